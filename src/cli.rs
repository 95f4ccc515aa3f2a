//! Command-line arguments of `dazzle`.

use std::process::ExitCode;

/// Parses the arguments and runs the subcommand.
#[must_use]
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}
