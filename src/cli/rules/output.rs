//! What the subcommands print: for people, or one JSON value for pipelines.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::config::ConfigError;

/// Writes to standard output; whoever reads it may close it early, as `head` does.
pub(super) fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// One JSON value on a line.
pub(super) fn print_json(value: &Value) {
    print(&format!("{value}\n"));
}

/// Everything that is wrong with a file.
pub(super) fn problems(error: &ConfigError) -> Value {
    let problem = |problem: &crate::config::Problem| {
        let (line, column) = problem.place().unzip();
        json!({ "line": line, "column": column, "path": problem.path(), "message": problem.message() })
    };
    error.problems().iter().map(problem).collect()
}
