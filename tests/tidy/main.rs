//! The rules of the house that a machine can check: CONTRIBUTING.md as tests.
//!
//! Each rule is a function from one source file to its offences, run over the whole tree, and once over
//! a bad sample to show that it can fail.

mod floors;
mod rules;
mod source;

use source::Source;

/// Runs `rule` over every file of `folders` and fails with all offences.
fn check(folders: &[&str], rule: impl Fn(&Source) -> Vec<String>) {
    let offences: Vec<String> = source::tree(folders)
        .iter()
        .flat_map(|file| rule(file).into_iter().map(|offence| format!("{}:{offence}", file.path)))
        .collect();
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
}

#[test]
fn imports_only_go_down_the_floors() {
    check(&["src"], floors::imports);
}

#[test]
fn files_are_at_most_500_lines() {
    check(&["src", "tests", "benches", "fuzz"], rules::length);
}

#[test]
fn every_file_opens_with_a_caption() {
    check(&["src", "tests", "benches", "fuzz"], rules::caption);
}

#[test]
fn no_test_is_ignored() {
    check(&["src", "tests", "benches", "fuzz"], rules::ignored);
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    check(&["src"], rules::unwrap);
}

#[test]
fn every_task_is_spawned_with_a_name() {
    check(&["src"], rules::spawn);
}

#[test]
fn every_channel_is_bounded() {
    check(&["src"], rules::channel);
}

#[test]
fn the_clock_is_the_one_that_tests_own() {
    check(&["src", "tests"], rules::clock);
}

#[test]
fn imports_are_written_out() {
    check(&["src"], rules::import_form);
}
