//! Command-line arguments of `dazzle`: one subcommand, one function.

mod check;
mod degrade;
mod demo;
mod rules;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Many MySQL clients in front, few server connections behind.
#[derive(Debug, Parser)]
#[command(name = "dazzle", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Degrade(Box<degrade::Degrade>),
    Demo(demo::Demo),
    Rules(rules::Rules),
    Serve(serve::Serve),
}

/// Parses the arguments and runs the subcommand.
#[must_use]
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Degrade(arguments) => degrade::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Rules(arguments) => rules::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }
}
