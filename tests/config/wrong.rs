//! Every `tests/golden/config/NAME.yaml` is wrong; `NAME.txt` says what Dazzle says about it.
//! `UPDATE_GOLDEN=1` writes the texts anew.

use std::fs;
use std::path::{Path, PathBuf};

use dazzle::config::Config;
use proptest::prelude::*;

use crate::example::{EXAMPLE, uncommented};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config");
    let files = fs::read_dir(folder).expect("the folder is part of the repository");
    let mut cases: Vec<PathBuf> = files
        .map(|file| file.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    cases.sort();
    cases
}

#[test]
fn every_wrong_file_is_explained_as_its_golden_text_says() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = Vec::new();
    for case in cases() {
        let name = case.file_name().and_then(|name| name.to_str()).expect("a golden file has a plain name");
        let text = fs::read_to_string(&case).expect("a golden file can be read");
        let said = match Config::parse(&text, Path::new(name)) {
            Ok(_) => panic!("{name} is meant to be wrong"),
            Err(error) => format!("{error}\n"),
        };
        let golden = case.with_extension("txt");
        if update {
            fs::write(&golden, &said).expect("a golden file can be written");
        } else if fs::read_to_string(&golden).unwrap_or_default() != said {
            different.push(format!("{name}:\n{said}"));
        }
    }
    assert!(different.is_empty(), "differs from the golden text:\n{}", different.join("\n"));
}

#[test]
fn no_explanation_repeats_a_password() {
    for case in cases() {
        let said = fs::read_to_string(case.with_extension("txt")).unwrap_or_default();
        assert!(!said.contains("hunter2"), "{}", case.display());
    }
}

#[test]
fn there_are_enough_cases_and_no_orphaned_text() {
    let cases = cases();
    assert!(cases.len() >= 25, "{} cases", cases.len());
    let folder = cases[0].parent().expect("a file is in a folder");
    let texts = fs::read_dir(folder).expect("the folder can be read").filter(|file| {
        file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|extension| extension == "txt"))
    });
    assert_eq!(texts.count(), cases.len());
}

proptest! {
    /// A file that somebody is in the middle of editing is refused or taken, never a panic.
    #[test]
    fn random_edits_of_the_example_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, "[a-z0-9:{}\\[\\]&*!|'\"#, \n-]{0,6}"), 1..6),
    ) {
        let mut text: Vec<char> = uncommented(EXAMPLE).chars().collect();
        for (place, removed, inserted) in edits {
            let start = place.index(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, inserted.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = Config::parse(&text, Path::new("edited.yaml")) {
            prop_assert!(!error.problems().is_empty());
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
