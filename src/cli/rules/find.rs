//! `dazzle rules find`: where does key 42 live?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::rules::{load_or_tell, output};
use crate::sharding::{
    Algorithm, KeyLiteral, KeyValue, Located, Match, PlacedTable, ShardingRules, SlotSet, TableKind,
};

/// Tell where rows with some values are
///
/// For example: dazzle rules find orders.yaml orders user_id=42
#[derive(Debug, Args)]
pub(super) struct Find {
    /// The rule file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The table
    #[arg(value_name = "TABLE")]
    table: String,

    /// Columns with their values; a value that is no whole number is text
    #[arg(value_name = "COLUMN=VALUE")]
    values: Vec<String>,

    /// One JSON value, for pipelines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Find) -> ExitCode {
    let Some(loaded) = load_or_tell(&arguments.file) else { return ExitCode::FAILURE };
    match find(&loaded.rules, arguments) {
        Ok((slots, why)) => {
            tell(&loaded.rules, &slots, &why, arguments.json);
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn find(rules: &ShardingRules, arguments: &Find) -> Result<(SlotSet, Vec<String>), String> {
    let id = rules.table_named(&arguments.table).ok_or_else(|| {
        let names: Vec<&str> = rules.tables().iter().map(|table| &*table.name).collect();
        format!("there is no table `{}`; there are {}", arguments.table, names.join(", "))
    })?;
    let mut slots = rules.slots_of(id);
    let mut why = Vec::new();
    let TableKind::Placed(table) = &rules.table(id).kind else { return Ok((slots, why)) };
    for given in &arguments.values {
        let (column, value) =
            given.split_once('=').ok_or_else(|| format!("`{given}` must be written as column=value"))?;
        let (open, reason) = one(rules, table, column, value)?;
        slots.intersect(&open);
        why.push(reason);
    }
    Ok((slots, why))
}

/// The slots that one column leaves open, and why.
fn one(
    rules: &ShardingRules,
    table: &PlacedTable,
    column: &str,
    value: &str,
) -> Result<(SlotSet, String), String> {
    let placement = rules.placement(table.placement);
    let Some(key) = table.key_of(column) else {
        let known: Vec<&str> = table.columns.iter().map(|known| &*known.column).collect();
        return Err(format!("the column `{column}` carries no key; {} do", known.join(", ")));
    };
    let literal = value.parse().map_or(KeyLiteral::Text(value.as_bytes()), KeyLiteral::Integer);
    let universe = rules.slots().len();
    let key_type = &rules.key(key).key_type;
    Ok(match key_type.equal_to(&literal) {
        Match::Never => (SlotSet::none(universe), format!("{column}: no {key_type} is equal to {value}")),
        Match::Unknown => (
            placement.all().clone(),
            format!("{column}: which {key_type} is equal to {value} cannot be known"),
        ),
        Match::Exactly(exact) => {
            let slots = match placement.locate(key, &exact) {
                Located::Nowhere => SlotSet::none(universe),
                Located::One(slot) => SlotSet::one(universe, slot),
                Located::Among(slots) => slots,
            };
            let steps = placement.steps().iter().filter(|step| step.key == key);
            let reasons: Vec<String> = steps.map(|step| reason(&step.algorithm, &exact)).collect();
            let reasons = if reasons.is_empty() { "its bits".to_owned() } else { reasons.join(", ") };
            (slots, format!("{column} = {exact}: {reasons}"))
        }
    })
}

fn reason(algorithm: &Algorithm, value: &KeyValue<'_>) -> String {
    match algorithm {
        Algorithm::Hash(hash) => {
            let bits = hash.function.hash(value);
            format!("{} {bits:016x}, bucket {}", hash.function.name(), hash.bucket(value))
        }
        Algorithm::List(_) => "listed".to_owned(),
        Algorithm::Range(_) => "in a range".to_owned(),
        Algorithm::Interval(interval) => match algorithm.outcome(value) {
            Some(period) => format!("in the period from {}", interval.first_day(period)),
            None => "in no period".to_owned(),
        },
        Algorithm::Legacy(_) => "by its legacy function".to_owned(),
    }
}

fn tell(rules: &ShardingRules, slots: &SlotSet, why: &[String], json: bool) {
    if json {
        let slots: Vec<Value> = slots
            .iter()
            .map(|id| {
                let (slot, shard) = (rules.slot(id), rules.shard_of(id));
                json!({ "slot": slot.label, "shard": shard.name, "cluster": shard.cluster, "database": slot.database })
            })
            .collect();
        return output::print_json(&json!({ "slots": slots, "why": why }));
    }
    for reason in why {
        output::print(&format!("{reason}\n"));
    }
    if slots.is_empty() {
        output::print("in no slot: no row can have these values\n");
    }
    for id in slots.iter() {
        let (slot, shard) = (rules.slot(id), rules.shard_of(id));
        output::print(&format!(
            "{:<20} shard {}, cluster {}, database {}\n",
            slot.label, shard.name, shard.cluster, slot.database
        ));
    }
}
