//! The rules that look at one file alone.

use crate::source::{Source, lines_with};

/// Where a bare spawn may stand: the one function that gives a task its name and its owner.
const SPAWNERS: [&str; 1] = ["src/telemetry/task.rs"];

/// At most 500 lines.
pub(crate) fn length(file: &Source) -> Vec<String> {
    match file.text.lines().count() {
        ..=500 => Vec::new(),
        lines => vec![format!("1: {lines} lines; split it by idea")],
    }
}

/// The first line is the caption.
pub(crate) fn caption(file: &Source) -> Vec<String> {
    let first = file.text.lines().next().unwrap_or_default();
    let good = first.strip_prefix("//! ").is_some_and(|caption| !caption.trim().is_empty());
    if good { Vec::new() } else { vec!["1: must open with one `//!` sentence: what this is".to_owned()] }
}

/// No test that nobody runs.
pub(crate) fn ignored(file: &Source) -> Vec<String> {
    found(&file.code, &["#[ignore"], "an ignored test proves nothing")
}

/// No panic on what should be an error.
pub(crate) fn unwrap(file: &Source) -> Vec<String> {
    found(
        &file.shipped,
        &[".unwrap()"],
        "return an error, or `expect` the invariant that makes it impossible",
    )
}

/// Every task and thread has a name and an owner.
pub(crate) fn spawn(file: &Source) -> Vec<String> {
    if SPAWNERS.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let mut bare = vec!["tokio::spawn(", "tokio::task::spawn(", "spawn_local(", "thread::spawn("];
    // `task::spawn` is the house's own with a name, unless the file says that it is tokio's.
    if file.shipped.contains("use tokio::task;") || file.shipped.contains("use tokio::task::{self") {
        bare.push(" task::spawn(");
    }
    found(&file.shipped, &bare, "a task needs a name and an owner: `telemetry::task::spawn`")
}

/// Every queue has a bound.
pub(crate) fn channel(file: &Source) -> Vec<String> {
    let unbounded = ["unbounded_channel", "std::sync::mpsc::channel"];
    found(&file.shipped, &unbounded, "a queue needs a bound")
}

/// `tokio::time::Instant`, which tests can pause.
pub(crate) fn clock(file: &Source) -> Vec<String> {
    let named = lines_with(&file.code, "Instant").filter(|(_, line)| {
        line.split("std::time::").skip(1).any(|path| {
            let path = path.split(';').next().unwrap_or_default();
            path.starts_with("Instant") || (path.starts_with('{') && path.contains("Instant"))
        })
    });
    named
        .map(|(number, _)| format!("{number}: `tokio::time::Instant`, so that tests own the clock"))
        .collect()
}

/// One path per line, no globs, no grouped root.
pub(crate) fn import_form(file: &Source) -> Vec<String> {
    let mut offences = found(&file.shipped, &["use crate::{"], "one `use` per module");
    let globs = lines_with(&file.shipped, "::*;").filter(|(_, line)| line.trim_start().contains("use "));
    offences.extend(globs.map(|(number, _)| format!("{number}: name what is imported")));
    offences
}

fn found(code: &str, words: &[&str], why: &str) -> Vec<String> {
    let offence = |word: &str, number: usize| format!("{number}: `{word}`: {why}");
    words
        .iter()
        .flat_map(|word| lines_with(code, word).map(move |(number, _)| offence(word, number)))
        .collect()
}

#[test]
fn each_rule_finds_its_bad_sample_and_passes_a_good_one() {
    type Rule = fn(&Source) -> Vec<String>;
    let check = |rule: Rule, bad: &str, good: &str| {
        assert_eq!(rule(&Source::new("src/wire/x.rs", bad)).len(), 1, "{bad}");
        assert_eq!(rule(&Source::new("src/wire/x.rs", good)), Vec::<String>::new(), "{good}");
    };
    check(length, &"x\n".repeat(501), &"x\n".repeat(500));
    check(caption, "use a;\n//! Late.\n", "//! What this is.\nuse a;\n");
    check(caption, "//! \n", "//! Short.");
    check(ignored, "#[test]\n#[ignore = \"slow\"]\nfn a() {}", "// #[ignore]\nfn a() {}");
    check(
        unwrap,
        "a\n    .unwrap();",
        "a.expect(\".unwrap()\");\n#[cfg(test)]\nmod tests { fn b() { a.unwrap() } }",
    );
    check(spawn, "tokio::spawn(a)", "task::spawn(\"pool.dial\", a); set.spawn(b)");
    check(
        spawn,
        "use tokio::task;\nfn f() { task::spawn(a) }",
        "use crate::telemetry::task;\nfn f() { task::spawn(n, a) }",
    );
    check(spawn, "std::thread::spawn(a)", "thread::Builder::new().spawn(a)");
    check(channel, "mpsc::unbounded_channel()", "mpsc::channel(16)");
    check(channel, "std::sync::mpsc::channel()", "std::sync::mpsc::sync_channel(1)");
    check(
        clock,
        "use std::time::{Duration, Instant};",
        "use std::time::Duration;\nuse tokio::time::Instant;",
    );
    check(clock, "std::time::Instant::now()", "// std::time::Instant");
    check(import_form, "use crate::{a, b};", "use crate::a::{b, c};");
    check(import_form, "use crate::a::*;", "use crate::a::B;");
    assert_eq!(spawn(&Source::new(SPAWNERS[0], "tokio::spawn(a)")), Vec::<String>::new());
}
