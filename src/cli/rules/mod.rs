//! `dazzle rules`: rule files are checked, asked and compared without a running proxy.

mod against;
mod apply;
mod catalog;
mod corpus;
mod ddl;
mod difference;
mod explain;
mod find;
mod import;
mod output;
mod revisions;
mod running;
mod statements;
mod test;
mod upkeep;
mod validate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::ConfigError;
use crate::server::today;
use crate::sharding::{ShardingRules, Surroundings, read};

/// The JSON Schema of rule files, for editors.
const SCHEMA: &str = include_str!("../../../sharding-rules/schema.json");

/// Check, ask and compare sharding rules.
///
/// Ends with 0 if all is well, with 1 if something is wrong (an invalid file, a value that no test
/// protects, a change that would strand rows), with 2 if the arguments make no sense.
#[derive(Debug, Args)]
pub(super) struct Rules {
    #[command(subcommand)]
    command: RulesCommand,
}

#[derive(Debug, Subcommand)]
enum RulesCommand {
    Validate(validate::Validate),
    Explain(explain::Explain),
    Find(find::Find),
    Test(test::Test),
    Diff(difference::Diff),
    Plan(difference::Plan),
    Apply(apply::Apply),
    History(apply::History),
    Rollback(apply::Rollback),
    Import(import::Import),
    Upkeep(upkeep::Upkeep),
    Ddl(ddl::Ddl),
    /// Print the JSON Schema of rule files, for editors
    Schema,
}

/// Runs one of them.
pub(super) fn run(arguments: &Rules) -> ExitCode {
    match &arguments.command {
        RulesCommand::Validate(arguments) => validate::run(arguments),
        RulesCommand::Explain(arguments) => explain::run(arguments),
        RulesCommand::Find(arguments) => find::run(arguments),
        RulesCommand::Test(arguments) => test::run(arguments),
        RulesCommand::Diff(arguments) => difference::diff(arguments),
        RulesCommand::Plan(arguments) => difference::plan(arguments),
        RulesCommand::Apply(arguments) => apply::apply(arguments),
        RulesCommand::History(arguments) => apply::history(arguments),
        RulesCommand::Rollback(arguments) => apply::rollback(arguments),
        RulesCommand::Import(arguments) => import::run(arguments),
        RulesCommand::Upkeep(arguments) => upkeep::run(arguments),
        RulesCommand::Ddl(arguments) => ddl::run(arguments),
        RulesCommand::Schema => {
            output::print(SCHEMA);
            ExitCode::SUCCESS
        }
    }
}

/// A rule file and its text.
struct Loaded {
    file: PathBuf,
    text: String,
    rules: ShardingRules,
    /// The files that it names.
    named: Vec<PathBuf>,
}

/// Reads one file; the clusters that its shards may be are not known here.
fn load(file: &Path) -> Result<Loaded, ConfigError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| ConfigError::of_file(file, format!("cannot be read: {error}")))?;
    read_as(file, text)
}

/// The same of a text that `file` could hold.
fn read_as(file: &Path, text: String) -> Result<Loaded, ConfigError> {
    let reading = read(&text, file, &surroundings());
    let named = reading.files.into_keys().collect();
    Ok(Loaded { file: file.to_owned(), text, rules: reading.rules?, named })
}

/// The same, or the errors on standard error.
fn load_or_tell(file: &Path) -> Option<Loaded> {
    load(file).map_err(|error| eprintln!("{error}")).ok()
}

fn surroundings() -> Surroundings<'static> {
    Surroundings { today: today(), clusters: None }
}
