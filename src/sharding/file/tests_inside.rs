//! The tests that stand in a rule file: values or a statement, and the slots that they must lead to.

use std::collections::BTreeSet;

use crate::config::document::{Position, Report, did_you_mean};
use crate::error::ProxyError;
use crate::sharding::file::model::{At, Document, Names, Scalar, TestRule};
use crate::sharding::key::{KeyId, KeyLiteral, KeyValue, Match, Stored};
use crate::sharding::placement::{Located, Unplaced};
use crate::sharding::planner::{Action, Request, plan};
use crate::sharding::rules::{PlacedTable, ShardingRules, TableId, TableKind};
use crate::sharding::slots::SlotSet;
use crate::sql::LexMode;

/// Numbers of MySQL's errors for rows without a place.
const NO_SLOT: u16 = 1526;
const NULL_KEY: u16 = 1048;
const NO_KEY: u16 = 1364;
const CONTRADICTION: u16 = 1748;

/// What a test finds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Slots(SlotSet),
    /// The number of the error and, of a statement, its message.
    Refused(u16, String),
}

/// Runs every test; one that fails is a problem of the file.
pub(super) fn run(report: &Report, document: &Document, rules: &ShardingRules) {
    for (number, test) in document.tests.iter().enumerate() {
        let path = format!("tests[{number}]");
        if let Err((at, message)) = check(test, rules) {
            report.problem(at, path, message);
        }
    }
}

type Wrong = (Position, String);

/// What values of a table's columns lead to.
fn of_table(
    rules: &ShardingRules,
    table: &At<String>,
    test: &At<TestRule>,
) -> Result<(Option<TableId>, Found), Wrong> {
    let Some(id) = rules.table_named(&table.value) else {
        let hint = did_you_mean(&table.value, rules.tables().iter().map(|table| &*table.name));
        return Err((table.at, format!("there is no table `{}`{hint}", table.value)));
    };
    let found = match (&test.value.rows, &test.value.insert) {
        (Some(rows), None) => rows_of(rules, id, rows)?,
        (None, Some(row)) => inserted(rules, id, row)?,
        (None, None) => Found::Slots(rules.slots_of(id)),
        (Some(_), Some(_)) => {
            return Err((test.at, "needs one of `rows` and `insert`, not both".to_owned()));
        }
    };
    Ok((Some(id), found))
}

/// What a statement leads to, as a client in utf8mb4 sends it to MySQL.
fn planned(rules: &ShardingRules, sql: &At<String>, params: &[At<Scalar>]) -> Found {
    let parameters: Vec<KeyLiteral<'_>> = params.iter().map(|value| value.value.literal()).collect();
    let request = Request {
        text: sql.value.as_bytes(),
        mode: LexMode::default(),
        utf8: true,
        schema: Some(rules.name()),
        parameters: &parameters,
    };
    let universe = rules.slots().len();
    match plan(rules, &request).action {
        Action::One { slot, .. } => Found::Slots(SlotSet::one(universe, slot)),
        Action::Any { .. } => Found::Slots(rules.all_slots()),
        Action::Scatter(scatter) => Found::Slots(scatter.slots),
        Action::Generate(generate) => Found::Slots(generate.slots),
        Action::Write(write) => {
            Found::Slots(SlotSet::of(universe, write.parts.iter().map(|(slot, _)| *slot)))
        }
        Action::Refuse(refusal) => {
            let error = refusal.sql_error();
            Found::Refused(error.code, error.message.into_owned())
        }
    }
}

fn check(test: &At<TestRule>, rules: &ShardingRules) -> Result<(), Wrong> {
    let rule = &test.value;
    let at = |message: &str| (test.at, message.to_owned());
    let (id, found) = match (&rule.table, &rule.sql) {
        (Some(table), None) => of_table(rules, table, test)?,
        (None, Some(sql)) => (None, planned(rules, sql, &rule.params)),
        (None, None) | (Some(_), Some(_)) => return Err(at("needs `table` or `sql`")),
    };
    match (&rule.refused, rule.slots.is_some() || rule.shards.is_some()) {
        (Some(refused), false) => compare_refusal(rules, refused, &found),
        (None, true) => {
            rule.slots.as_ref().map_or(Ok(()), |slots| compare_slots(rules, id, slots, &found))?;
            rule.shards.as_ref().map_or(Ok(()), |shards| compare_shards(rules, shards, &found))
        }
        (None, false) | (Some(_), true) => Err(at("needs `slots`, `shards` or both; or else `refused`")),
    }
}

/// Where rows with all these values can be.
fn rows_of(rules: &ShardingRules, id: TableId, values: &Names<At<Scalar>>) -> Result<Found, Wrong> {
    let mut slots = rules.slots_of(id);
    let TableKind::Placed(placed) = &rules.table(id).kind else { return Ok(Found::Slots(slots)) };
    let placement = rules.placement(placed.placement);
    for (column, written) in &values.0 {
        let Some(key) = placed.key_of(&column.value) else { continue };
        let universe = rules.slots().len();
        let open = match rules.key(key).key_type.equal_to(&written.value.literal()) {
            Match::Never => SlotSet::none(universe),
            Match::Unknown => continue,
            Match::Exactly(value) => match placement.locate(key, &value) {
                Located::Nowhere => SlotSet::none(universe),
                Located::One(slot) => SlotSet::one(universe, slot),
                Located::Among(slots) => slots,
            },
        };
        slots.intersect(&open);
    }
    Ok(Found::Slots(slots))
}

/// Where a row with these values is put.
fn inserted(rules: &ShardingRules, id: TableId, values: &Names<At<Scalar>>) -> Result<Found, Wrong> {
    let TableKind::Placed(placed) = &rules.table(id).kind else {
        return Ok(Found::Slots(rules.slots_of(id)));
    };
    let row = match stored(rules, placed, values) {
        Ok(row) => row,
        Err(code) => return Ok(Found::Refused(code, String::new())),
    };
    Ok(match rules.placement(placed.placement).slot_of_row(&row) {
        Ok(slot) => Found::Slots(SlotSet::one(rules.slots().len(), slot)),
        Err(Unplaced::Missing(_)) => Found::Refused(NO_KEY, String::new()),
        Err(Unplaced::NoSlot(_)) => Found::Refused(NO_SLOT, String::new()),
        Err(Unplaced::Disagree(..)) => Found::Refused(CONTRADICTION, String::new()),
    })
}

fn stored<'v>(
    rules: &ShardingRules,
    placed: &PlacedTable,
    values: &'v Names<At<Scalar>>,
) -> Result<Vec<(KeyId, KeyValue<'v>)>, u16> {
    let mut row = Vec::new();
    for (column, written) in &values.0 {
        let Some(key) = placed.key_of(&column.value) else { continue };
        match rules.key(key).key_type.stored(&written.value.literal()) {
            Stored::Exactly(value) => row.push((key, value)),
            Stored::Null => return Err(NULL_KEY),
            Stored::Unknown => return Err(NO_SLOT),
        }
    }
    Ok(row)
}

fn compare_slots(
    rules: &ShardingRules,
    id: Option<TableId>,
    expected: &At<Vec<String>>,
    found: &Found,
) -> Result<(), Wrong> {
    let wanted = match expected.value.as_slice() {
        [all] if all == "all" => id.map_or_else(|| rules.all_slots(), |id| rules.slots_of(id)),
        [none] if none == "none" => SlotSet::none(rules.slots().len()),
        labels => {
            let mut slots = SlotSet::none(rules.slots().len());
            for label in labels {
                let Some(slot) = rules.slot_named(label) else {
                    let hint = did_you_mean(label, rules.slots().iter().map(|slot| &*slot.label));
                    return Err((expected.at, format!("there is no slot `{label}`{hint}")));
                };
                slots.insert(slot);
            }
            slots
        }
    };
    match found {
        Found::Slots(slots) if *slots == wanted => Ok(()),
        found => Err((expected.at, format!("fails: it leads to {}", show(rules, found)))),
    }
}

fn compare_shards(rules: &ShardingRules, expected: &At<Vec<String>>, found: &Found) -> Result<(), Wrong> {
    let known = || rules.shards().iter().map(|shard| &*shard.name);
    if let Some(unknown) = expected.value.iter().find(|name| !known().any(|known| known == **name)) {
        let hint = did_you_mean(unknown, known());
        return Err((expected.at, format!("there is no shard `{unknown}`{hint}")));
    }
    let Found::Slots(slots) = found else {
        return Err((expected.at, format!("fails: it leads to {}", show(rules, found))));
    };
    let shards: BTreeSet<&str> = slots.iter().map(|slot| &*rules.shard_of(slot).name).collect();
    if shards == expected.value.iter().map(String::as_str).collect() {
        return Ok(());
    }
    let shards: Vec<&str> = shards.into_iter().collect();
    Err((expected.at, format!("fails: those slots are on `shards: [{}]`", shards.join(", "))))
}

fn compare_refusal(rules: &ShardingRules, expected: &At<Scalar>, found: &Found) -> Result<(), Wrong> {
    let right = match (found, &expected.value) {
        (Found::Refused(code, _), Scalar::Integer(wanted)) => i128::from(*code) == *wanted,
        (Found::Refused(_, message), Scalar::Text(wanted)) => message.starts_with(wanted.as_str()),
        (Found::Refused(..), Scalar::Null) | (Found::Slots(_), _) => false,
    };
    if right { Ok(()) } else { Err((expected.at, format!("fails: it leads to {}", show(rules, found)))) }
}

/// Slots as a test would write them.
fn show(rules: &ShardingRules, found: &Found) -> String {
    match found {
        Found::Refused(code, message) if message.is_empty() => format!("a refusal with {code}"),
        Found::Refused(code, message) => format!("a refusal with {code}: {message}"),
        Found::Slots(slots) if slots.is_empty() => "no slot; write `slots: none`".to_owned(),
        Found::Slots(slots) => {
            let labels: Vec<&str> = slots.iter().take(8).map(|slot| &*rules.slot(slot).label).collect();
            let more = match slots.len() - labels.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("`slots: [{}]`{more}", labels.join(", "))
        }
    }
}
