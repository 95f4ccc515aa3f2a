//! `dazzle rules upkeep`: periods that come, and those that are no longer kept.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::rules::catalog::{self, Catalog};
use crate::cli::rules::{load_or_tell, output};
use crate::config::ConfigFile;
use crate::sharding::{Present, ShardId, ShardingRules, SlotId, Task, TaskKind};

/// Tell which databases and tables of periods are missing on the servers, and which are no longer kept, as SQL
///
/// For a job that runs every day: ends with 1 while something is left to do. --make executes what only makes; what
/// drops or copies is for people.
#[derive(Debug, Args)]
pub(super) struct Upkeep {
    /// The rule file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The configuration (dazzle.yaml) with the servers
    #[arg(long, value_name = "CONFIG")]
    against: PathBuf,

    /// Execute the statements that make databases and tables
    #[arg(long)]
    make: bool,

    /// One JSON value, for pipelines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Upkeep) -> ExitCode {
    let Some(loaded) = load_or_tell(&arguments.file) else { return ExitCode::FAILURE };
    match looked_after(&loaded.rules, arguments) {
        Ok(left) => {
            tell(&loaded.rules, &left, arguments.json);
            if left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// What is left to do.
fn looked_after(rules: &ShardingRules, arguments: &Upkeep) -> Result<Vec<Task>, String> {
    let config = ConfigFile::new(&arguments.against).load().map_err(|error| error.to_string())?;
    let tasks = |config| -> Result<Vec<Task>, String> {
        let catalog = catalog::read(config, rules)?;
        Ok(rules.upkeep(&Servers { rules, catalog: &catalog }))
    };
    let found = tasks(&config)?;
    if !arguments.make {
        return Ok(found);
    }
    let makes: Vec<(ShardId, String)> =
        found.iter().filter_map(|task| Some((task.shard, executed(&task.kind)?))).collect();
    catalog::execute(&config, rules, &makes)?;
    tasks(&config)
}

struct Servers<'s> {
    rules: &'s ShardingRules,
    catalog: &'s Catalog,
}

impl Present for Servers<'_> {
    fn database(&self, shard: ShardId, database: &str) -> bool {
        let cluster = &self.rules.shards()[usize::from(shard.0)].cluster;
        self.catalog.has_database(cluster, database)
    }

    fn table(&self, slot: SlotId, table: &str) -> bool {
        self.catalog.has(slot, table)
    }
}

/// The statement, if it only makes something.
fn executed(kind: &TaskKind) -> Option<String> {
    match kind {
        TaskKind::MakeDatabase(database) => Some(format!("CREATE DATABASE IF NOT EXISTS {}", name(database))),
        TaskKind::MakeTable { database, table, like: Some(like) } => {
            let table = name(table);
            Some(format!("CREATE TABLE IF NOT EXISTS {}.{table} LIKE {}.{table}", name(database), name(like)))
        }
        TaskKind::MakeTable { like: None, .. }
        | TaskKind::CopyReference { .. }
        | TaskKind::DropDatabase(_) => None,
    }
}

fn name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The task as a line of SQL.
fn line(kind: &TaskKind) -> String {
    match (executed(kind), kind) {
        (Some(sql), _) => format!("{sql};"),
        (None, TaskKind::DropDatabase(database)) => format!("DROP DATABASE {};", name(database)),
        (None, TaskKind::CopyReference { database, table }) => {
            format!("-- copy the reference table {table} to {database} while nobody writes to it")
        }
        (None, TaskKind::MakeTable { database, table, .. }) => {
            format!("-- make {database}.{table}: no earlier period on this shard has it")
        }
        (None, TaskKind::MakeDatabase(_)) => String::new(),
    }
}

fn tell(rules: &ShardingRules, tasks: &[Task], json: bool) {
    let shard = |task: &Task| &*rules.shards()[usize::from(task.shard.0)].name;
    if json {
        let list: Vec<Value> = tasks
            .iter()
            .map(|task| json!({ "shard": shard(task), "slot": task.label, "sql": line(&task.kind) }))
            .collect();
        return output::print_json(&Value::Array(list));
    }
    let mut before = "";
    for task in tasks {
        if shard(task) != before {
            before = shard(task);
            output::print(&format!("-- on {before}\n"));
        }
        output::print(&format!("{}\n", line(&task.kind)));
    }
}
