//! `dazzle rules validate`: is the file right, and do its own tests pass?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::rules::{Loaded, against, load, output};
use crate::config::ConfigError;
use crate::sharding::ShardingRules;

/// Check rule files: their form, their sense, and the tests inside them
///
/// Every mistake is told with its line and column. With --against, what the rules say of columns is compared
/// with the servers: types, collations, unique keys.
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// Rule files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Also compare with the servers of this configuration (dazzle.yaml)
    #[arg(long, value_name = "CONFIG")]
    against: Option<PathBuf>,

    /// One JSON value, for pipelines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Validate) -> ExitCode {
    let loaded: Vec<Result<Loaded, ConfigError>> = arguments.files.iter().map(|file| load(file)).collect();
    let rules: Vec<&ShardingRules> = loaded.iter().flatten().map(|loaded| &loaded.rules).collect();
    let against = match &arguments.against {
        Some(config) => against::differences(config, &rules),
        None => Ok(Vec::new()),
    };
    let differ = |found: &Vec<(String, Vec<String>)>| found.iter().any(|(_, lines)| !lines.is_empty());
    let right = loaded.iter().all(Result::is_ok) && against.as_ref().is_ok_and(|found| !differ(found));
    if arguments.json {
        let files: Vec<Value> =
            arguments.files.iter().zip(&loaded).map(|(file, loaded)| as_json(file, loaded)).collect();
        let found = against.as_ref().map(|found| {
            let found = found.iter().map(|(name, lines)| json!({ "name": name, "differences": lines }));
            found.collect::<Vec<_>>()
        });
        output::print_json(&json!({
            "valid": right,
            "files": files,
            "servers": found.as_ref().ok(),
            "unanswered": against.as_ref().err(),
        }));
    } else {
        for loaded in &loaded {
            match loaded {
                Ok(loaded) => output::print(&format!("{}\n", summary(loaded))),
                Err(error) => eprintln!("{error}"),
            }
        }
        tell(&against);
    }
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// In which the servers differ, for people.
fn tell(against: &Result<Vec<(String, Vec<String>)>, String>) {
    match against {
        Err(why) => eprintln!("{why}"),
        Ok(found) => {
            for (name, lines) in found {
                for line in lines {
                    eprintln!("{name}: {line}");
                }
                if lines.is_empty() {
                    output::print(&format!("{name}: the servers have what the rules say\n"));
                }
            }
        }
    }
}

fn as_json(file: &Path, loaded: &Result<Loaded, ConfigError>) -> Value {
    let file = file.display().to_string();
    match loaded {
        Ok(loaded) => json!({ "file": file, "valid": true, "rules": facts(&loaded.rules) }),
        Err(error) => json!({ "file": file, "valid": false, "problems": output::problems(error) }),
    }
}

fn summary(Loaded { file, rules, .. }: &Loaded) -> String {
    let slots = rules.slots().len();
    let (shards, tables) = (rules.shards().len(), rules.tables().len());
    format!(
        "{} is valid: `{}` revision {}, {tables} tables in {slots} slots on {shards} shards",
        file.display(),
        rules.name(),
        rules.revision()
    )
}

fn facts(rules: &ShardingRules) -> Value {
    json!({
        "name": rules.name(),
        "revision": rules.revision(),
        "owners": rules.owners(),
        "shards": rules.shards().len(),
        "slots": rules.slots().len(),
        "tables": rules.tables().len(),
    })
}
