//! The README's table of errors is the list of errors in the sources, neither more nor less.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What makes an error with a number and a SQLSTATE.
const MAKERS: [&str; 2] = ["SqlError::new(", "refused("];

/// Errors of the proxy's own logins at servers: they reach the log, and clients as 1105.
const NOT_FOR_CLIENTS: &str = "src/wire/auth/error.rs";

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a file of the repository is UTF-8 text")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    read(&root().join("README.md"))
}

/// What every source file ships, without its tests, which come last.
fn sources() -> Vec<String> {
    let mut folders = vec![root().join("src")];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            let shown = path.to_string_lossy().into_owned();
            if path.is_dir() && !shown.ends_with("/tests") {
                folders.push(path);
            } else if shown.ends_with(".rs")
                && !shown.ends_with("/tests.rs")
                && !shown.ends_with(NOT_FOR_CLIENTS)
            {
                let text = read(&path);
                texts.push(text.split("#[cfg(test)]").next().unwrap_or_default().to_owned());
            }
        }
    }
    texts
}

/// `1045, "28000"` at the beginning of `arguments`.
fn code_and_state(arguments: &str) -> Option<(String, String)> {
    let (code, rest) = arguments.trim_start().split_once(',')?;
    let state = rest.trim_start().strip_prefix('"')?.get(..5)?;
    code.parse::<u16>().ok()?;
    Some((code.to_owned(), state.to_owned()))
}

fn in_sources() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for text in sources() {
        for maker in MAKERS {
            found.extend(text.split(maker).skip(1).filter_map(code_and_state));
        }
    }
    found
}

fn in_readme() -> BTreeSet<(String, String)> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (code, state) = (cells.next()?, cells.next()?);
        code.parse::<u16>().ok()?;
        Some((code.to_owned(), state.to_owned()))
    };
    readme().lines().filter_map(row).collect()
}

/// Every `DZ` and four digits.
fn refusals(text: &str) -> BTreeSet<String> {
    let word = |rest: &str| {
        let digits = rest.get(..4)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("DZ{digits}"))
    };
    text.split("DZ").skip(1).filter_map(word).collect()
}

#[test]
fn every_error_of_the_proxy_is_in_the_readme() {
    let (sources, readme) = (in_sources(), in_readme());
    assert!(sources.len() > 20, "the search finds the errors: {sources:?}");
    let missing: Vec<_> = sources.difference(&readme).collect();
    let gone: Vec<_> = readme.difference(&sources).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in README.md: {missing:?}; not in src: {gone:?}");
}

#[test]
fn every_refusal_is_in_the_readme() {
    let sources: BTreeSet<String> = sources().iter().flat_map(|text| refusals(text)).collect();
    assert_eq!(sources, refusals(&readme()));
}

#[test]
fn every_link_of_the_readme_leads_to_a_file() {
    let readme = readme();
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.contains("://")) {
        assert!(root().join(link).exists(), "README.md links to {link}");
    }
}

#[test]
fn every_test_that_the_architecture_relies_on_exists() {
    let architecture = read(&root().join("ARCHITECTURE.md"));
    let invariants = architecture.split("## Invariants").nth(1).and_then(|rest| rest.split("\n## ").next());
    let kept_by = invariants.unwrap_or_default().lines().filter_map(|row| row.rsplit(" | ").next());
    let names: Vec<&str> = kept_by.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 20, "the search finds the tests: {names:?}");
    let mut folders = vec![root().join("src"), root().join("tests")];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the tree can be read") {
            let path = entry.expect("the tree can be read").path();
            if path.is_dir() {
                if !path.ends_with("node_modules") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&read(&path));
            }
        }
    }
    for name in names {
        assert!(text.contains(&format!("fn {name}(")), "ARCHITECTURE.md relies on {name}");
    }
}
