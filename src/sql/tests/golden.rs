//! Every statement of `tests/golden/sql/*.txt` with its digest and facts. `UPDATE_GOLDEN=1` rewrites the answers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::sql::{Access, Kind, LexMode, analyze};

/// The answer for one statement: digest, kind, access, effects.
fn answer(text: &str) -> String {
    let statement = analyze(text.as_bytes(), LexMode::default());
    let kind = match statement.kind {
        Kind::Show(what) => format!("show {}", what.name()),
        kind => kind.name().to_owned(),
    };
    let access = match statement.access {
        Access::Read => "read",
        Access::Write => "write",
    };
    let effects: Vec<_> = statement.effects.names().collect();
    format!("{kind} | {access} | {}\n  {}", effects.join(" "), statement.digest.text)
}

fn check(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sql");
    let statements = fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
    let mut answers = String::new();
    for line in statements.lines() {
        let (_, text) = line.split_once('|').unwrap();
        // One line per statement: a line break inside of one is written as ⏎.
        let text = text.replace('⏎', "\n");
        let _ = write!(answers, "{line}\n  {}\n", answer(&text));
    }
    let file = folder.join(format!("{name}.golden"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &answers).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    for (expected, found) in expected.lines().zip(answers.lines()) {
        assert_eq!(expected, found, "{}; UPDATE_GOLDEN=1 rewrites it", file.display());
    }
    assert_eq!(expected.lines().count(), answers.lines().count(), "{}", file.display());
}

#[test]
fn statements_have_their_digests_and_facts() {
    check("statements");
}

#[test]
fn adversarial_statements_have_their_digests_and_facts() {
    check("adversarial");
}
