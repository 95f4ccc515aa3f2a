//! Which shard has which slots of a placement, and what the databases are called.

use std::collections::BTreeMap;

use crate::config::document::{Position, did_you_mean, join};
use crate::sharding::file::build::Builder;
use crate::sharding::file::build::placements::place;
use crate::sharding::file::build::steps::{self, Numbering, SlotStep};
use crate::sharding::file::model::{At, Names, PlacementRule, Scalar, SlotList, SlotsForm};
use crate::sharding::key::Date;
use crate::sharding::placement::{Every, Interval};
use crate::sharding::rules::{ShardId, Slot};
use crate::sharding::slots::SlotId;
use crate::sharding::upkeep::Retired;

/// Periods that are looked back at most.
const RETIRED_MAX: i64 = 4_096;

/// What a pattern of database names may hold.
const PLACEHOLDERS: [&str; 6] = ["name", "group", "slot", "yyyy", "yyyymm", "yyyymmdd"];

/// The groups of one placement; a placement without any has one that has no name.
pub(super) struct Groups<'g> {
    pub(super) placement: &'g str,
    pub(super) names: Option<&'g [String]>,
    pub(super) path: &'g str,
}

/// The shard of one slot, and where that is written.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    pub(super) shard: ShardId,
    pub(super) at: Position,
}

impl Groups<'_> {
    /// The number of the group that a setting names; None if it names none that exists.
    pub(super) fn index(&self, name: Option<&At<String>>) -> Option<usize> {
        match (self.names, name) {
            (None, None) => Some(0),
            (Some(names), Some(name)) => names.iter().position(|known| *known == name.value),
            (None, Some(_)) | (Some(_), None) => None,
        }
    }

    /// The same, or a problem.
    pub(super) fn number_of(
        &self,
        builder: &Builder<'_>,
        name: Option<&At<String>>,
        at: Position,
        path: &str,
    ) -> Option<usize> {
        let index = self.index(name);
        if index.is_none() {
            let (at, message) = match (self.names, name) {
                (Some(names), Some(name)) => {
                    let hint = did_you_mean(&name.value, names.iter().map(String::as_str));
                    (name.at, format!("there is no group `{}`{hint}", name.value))
                }
                (None, Some(name)) => (name.at, "this placement has no groups".to_owned()),
                (_, None) => (at, "needs `group`: this placement has several".to_owned()),
            };
            builder.problem(at, path, message);
        }
        index
    }
}

/// For each group the owners of its slots, from slot 0 upwards.
pub(super) fn owners(
    builder: &mut Builder<'_>,
    rule: &PlacementRule,
    groups: &Groups<'_>,
    step: &SlotStep,
) -> Option<Vec<Vec<Owner>>> {
    let path = join(groups.path, "slots");
    let wrong = |builder: &Builder<'_>, message: &str| builder.problem(place(rule), path.as_str(), message);
    match (rule.slots.as_ref()?, groups.names) {
        (SlotsForm::Plain(shards), None) => {
            let at = shards.0.first().map_or(place(rule), |(name, _)| name.at);
            Some(vec![of_group(builder, shards, step, &path, at)?])
        }
        (SlotsForm::Grouped(given), Some(names)) => {
            let mut owners = Vec::new();
            for name in names {
                let Some((at, shards)) = given.0.iter().find(|(given, _)| given.value == *name) else {
                    wrong(builder, &format!("the group `{name}` has no slots"));
                    return None;
                };
                owners.push(of_group(builder, shards, step, &join(&path, name), at.at)?);
            }
            for (name, _) in given.0.iter().filter(|(given, _)| !names.contains(&given.value)) {
                let hint = did_you_mean(&name.value, names.iter().map(String::as_str));
                let message = format!("there is no group `{}`{hint}", name.value);
                builder.problem(name.at, join(&path, &name.value), message);
            }
            Some(owners)
        }
        (SlotsForm::Plain(_), Some(names)) => {
            let first = names.first().map_or("", String::as_str);
            wrong(builder, &format!("must be by group, as in `{{{first}: {{s1: 0-7}}}}`"));
            None
        }
        (SlotsForm::Grouped(_), None) => {
            wrong(builder, "must be shards with their slots: this placement has no `group`");
            None
        }
    }
}

fn of_group(
    builder: &mut Builder<'_>,
    shards: &Names<SlotList>,
    step: &SlotStep,
    path: &str,
    at: Position,
) -> Option<Vec<Owner>> {
    let mut owners: BTreeMap<u32, Owner> = BTreeMap::new();
    for (name, list) in &shards.0 {
        let path = join(path, &name.value);
        let shard = builder.shard(name, &path);
        let items = match list {
            SlotList::One(item) => std::slice::from_ref(item),
            SlotList::Several(items) => items.as_slice(),
        };
        for item in items {
            for number in numbers(builder, item, step, &path)? {
                if let Some(other) = owners.insert(number, Owner { shard, at: item.at }) {
                    let message = format!("slot {number} is given in line {} already", other.at.line);
                    builder.problem(item.at, path.as_str(), message);
                    return None;
                }
            }
        }
    }
    let needed = match step.numbering {
        Numbering::Buckets(_) => owners.len().max(1) as u32,
        Numbering::Direct | Numbering::Periods(_) => step.algorithm.outcomes(),
    };
    if let Some(hole) = (0..needed).find(|number| !owners.contains_key(number)) {
        let message = match &step.numbering {
            Numbering::Periods(interval) => format!("no shard has {}", period_name(interval, hole)),
            Numbering::Buckets(_) | Numbering::Direct => {
                format!("no shard has slot {hole}: slots count from 0 without a hole")
            }
        };
        builder.problem(at, path, message);
        return None;
    }
    if let Some((number, owner)) = owners.iter().find(|(number, _)| **number >= needed) {
        builder.problem(owner.at, path, format!("no value leads to slot {number}"));
        return None;
    }
    Some(owners.into_values().collect())
}

/// The slots that `3`, `0-7`, `2024-01..2024-12` or `all` names.
fn numbers(
    builder: &Builder<'_>,
    item: &At<Scalar>,
    step: &SlotStep,
    path: &str,
) -> Option<std::ops::Range<u32>> {
    let text = match &item.value {
        Scalar::Integer(number) => number.to_string(),
        Scalar::Text(text) => text.clone(),
        Scalar::Null => String::new(),
    };
    let wrong = |message: &str| {
        builder.problem(item.at, path, message);
        None
    };
    let outcomes = step.algorithm.outcomes();
    match (&step.numbering, text.as_str()) {
        (Numbering::Direct | Numbering::Periods(_), "all") => Some(0..outcomes),
        (Numbering::Periods(interval), _) => {
            let (first, last) = text.split_once("..").unwrap_or((&text, &text));
            let find = |text: &str| {
                let written = At::new(item.at, text.trim().to_owned());
                steps::period(builder, interval.every(), &written, path).map(|day| interval.number(day))
            };
            let (first, last) = (find(first)?, find(last)?);
            if first > last {
                return wrong("ends before it begins");
            }
            // Periods that are no longer kept, or not yet made, may be named all the same.
            let (first, last) = (first.max(0), last.min(i64::from(outcomes) - 1));
            Some(first as u32..(last + 1).max(first) as u32)
        }
        (Numbering::Buckets(_) | Numbering::Direct, _) => {
            let (first, last) = text.split_once('-').unwrap_or((&text, &text));
            let number = |text: &str| text.trim().parse::<u16>().ok().map(u32::from);
            match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => Some(first..last + 1),
                (Some(_), Some(_)) => wrong("ends before it begins"),
                _ => wrong("must be numbers of slots: `0-7`, `3`, or a list of them"),
            }
        }
    }
}

/// Takes the slots in; their ids by group and number.
pub(super) fn add(
    builder: &mut Builder<'_>,
    rule: &PlacementRule,
    groups: &Groups<'_>,
    step: &SlotStep,
    owners: &[Vec<Owner>],
) -> Vec<Vec<SlotId>> {
    let path = join(groups.path, "database");
    let pattern = pattern(builder, rule, groups, step, &path);
    let mut ids = Vec::new();
    for (group, owners) in owners.iter().enumerate() {
        let group_name = groups.names.map(|names| names[group].as_str());
        let mut slots = Vec::new();
        for (number, owner) in (0_u32..).zip(owners) {
            let day = match &step.numbering {
                Numbering::Periods(interval) => Some((interval.every(), interval.first_day(number))),
                Numbering::Buckets(_) | Numbering::Direct => None,
            };
            let label = match day {
                Some((every, day)) => digits(every, day),
                None => number.to_string(),
            };
            let facts = Facts { name: &builder.document.name.value, group: group_name, number, day };
            let slot = Slot {
                label: format!("{}/{label}", group_name.unwrap_or(groups.placement)).into(),
                shard: owner.shard,
                database: expand(&pattern, &facts).into(),
            };
            let at = rule.database.as_ref().map_or(owner.at, |pattern| pattern.at);
            slots.push(builder.add_slot(slot, at, &path));
        }
        ids.push(slots);
    }
    ids
}

/// Takes in the periods that are no longer kept: databases that may still be there.
pub(super) fn retire(
    builder: &mut Builder<'_>,
    rule: &PlacementRule,
    groups: &Groups<'_>,
    step: &SlotStep,
    owners: &[Vec<Owner>],
) {
    // With problems nobody will ask, and each of them has been told.
    if builder.report.has_problems() {
        return;
    }
    let (Numbering::Periods(interval), Some(from)) = (&step.numbering, &rule.from) else { return };
    let every = interval.every();
    let Some(from) = steps::period(builder, every, from, groups.path) else { return };
    let path = join(groups.path, "database");
    let pattern = pattern(builder, rule, groups, step, &path);
    let first = every.period(interval.first_day(0));
    for (group, owners) in owners.iter().enumerate() {
        let name = groups.names.map(|names| names[group].as_str());
        let mut shards: Vec<ShardId> = owners.iter().map(|owner| owner.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        for period in every.period(from).max(first - RETIRED_MAX)..first {
            let day = every.first_day(period);
            let facts =
                Facts { name: &builder.document.name.value, group: name, number: 0, day: Some((every, day)) };
            let database = expand(&pattern, &facts).into();
            let label = format!("{}/{}", name.unwrap_or(groups.placement), digits(every, day)).into();
            builder.retired.push(Retired { label, database, shards: shards.clone() });
        }
    }
}

/// What the placeholders of a pattern stand for.
struct Facts<'f> {
    name: &'f str,
    group: Option<&'f str>,
    number: u32,
    day: Option<(Every, Date)>,
}

/// The pattern of the placement's databases, checked.
fn pattern(
    builder: &Builder<'_>,
    rule: &PlacementRule,
    groups: &Groups<'_>,
    step: &SlotStep,
    path: &str,
) -> String {
    let own = match (&step.numbering, groups.names) {
        (Numbering::Periods(interval), None) => format!("{{name}}_{{{}}}", day_placeholder(interval.every())),
        (Numbering::Periods(interval), Some(_)) => {
            format!("{{name}}_{{group}}_{{{}}}", day_placeholder(interval.every()))
        }
        (Numbering::Buckets(_) | Numbering::Direct, None) => "{name}_{slot}".to_owned(),
        (Numbering::Buckets(_) | Numbering::Direct, Some(_)) => "{name}_{group}_{slot}".to_owned(),
    };
    let Some(given) = &rule.database else { return own };
    for part in given.value.split('{').skip(1) {
        let Some((name, _)) = part.split_once('}') else {
            builder.problem(given.at, path, "a `{` without its `}`");
            return own;
        };
        let base = name.split(':').next().unwrap_or_default();
        let width = name.strip_prefix("slot:0").is_none_or(|width| width.parse::<u8>().is_ok_and(|n| n <= 9));
        if !PLACEHOLDERS.contains(&base) || (name != base && base != "slot") || !width {
            let hint = did_you_mean(base, PLACEHOLDERS);
            let message = format!("`{{{name}}}` stands for nothing: {{{}}}{hint}", PLACEHOLDERS.join("}, {"));
            builder.problem(given.at, path, message);
            return own;
        }
    }
    given.value.clone()
}

fn expand(pattern: &str, facts: &Facts<'_>) -> String {
    let mut parts = pattern.split('{');
    let mut database = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        let value = match name {
            "name" => facts.name.to_owned(),
            "group" => facts.group.unwrap_or_default().to_owned(),
            "slot" => facts.number.to_string(),
            "yyyy" => facts.day.map_or_else(String::new, |(_, day)| digits(Every::Year, day)),
            "yyyymm" => facts.day.map_or_else(String::new, |(_, day)| digits(Every::Month, day)),
            "yyyymmdd" => facts.day.map_or_else(String::new, |(_, day)| digits(Every::Day, day)),
            padded => {
                let width = padded.strip_prefix("slot:0").and_then(|width| width.parse().ok()).unwrap_or(0);
                format!("{:0width$}", facts.number)
            }
        };
        database.push_str(&value);
        database.push_str(rest);
    }
    database
}

const fn day_placeholder(every: Every) -> &'static str {
    match every {
        Every::Year => "yyyy",
        Every::Month => "yyyymm",
        Every::Day | Every::Week => "yyyymmdd",
    }
}

/// The first day of a period in as many digits as it needs.
fn digits(every: Every, day: Date) -> String {
    let Date { year, month, day } = day;
    match every {
        Every::Year => format!("{year:04}"),
        Every::Month => format!("{year:04}{month:02}"),
        Every::Day | Every::Week => format!("{year:04}{month:02}{day:02}"),
    }
}

fn period_name(interval: &Interval, number: u32) -> String {
    let day = interval.first_day(number);
    match interval.every() {
        Every::Year => format!("{:04}", day.year),
        Every::Month => format!("{:04}-{:02}", day.year, day.month),
        Every::Day | Every::Week => day.to_string(),
    }
}
