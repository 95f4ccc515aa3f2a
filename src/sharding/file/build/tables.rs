//! Tables: placed, with another one, a copy of another one, reference, or on one shard.

use std::collections::HashMap;

use crate::config::document::{Position, did_you_mean, join};
use crate::sharding::file::build::Builder;
use crate::sharding::file::build::placements::Draft;
use crate::sharding::file::model::{At, Choice, Home, TableRule, UniqueRule};
use crate::sharding::key::KeyId;
use crate::sharding::placement::PlacementId;
use crate::sharding::rules::{KeyColumn, PlacedTable, Table, TableId, TableKind, Unique, Writes};
use crate::sharding::sequence::{Sequence, SequenceId, SequenceKind};
use crate::sharding::slots::SlotId;

/// The tables of the file; of those that make no sense, something.
pub(super) fn tables(
    builder: &mut Builder<'_>,
    drafts: &[Option<Draft>],
    sequences: &[Sequence],
) -> Vec<Table> {
    let document = builder.document;
    let mut tables = Vec::new();
    let mut names: HashMap<String, Position> = HashMap::new();
    for (index, (name, rule)) in document.tables.0.iter().enumerate() {
        let path = join("tables", &name.value);
        if let Some(first) =
            names.insert(name.value.to_lowercase(), name.at).filter(|first| *first != name.at)
        {
            let message = format!("differs in case alone from the table in line {}", first.line);
            builder.problem(name.at, path.as_str(), message);
        }
        let kind = kind(builder, TableId(index as u32), (name, rule), &path, (drafts, sequences));
        let kind = kind.unwrap_or(TableKind::Single(SlotId(0)));
        tables.push(Table { name: name.value.as_str().into(), kind });
    }
    tables
}

/// Ids by names in lower case.
pub(super) fn ids(tables: &[Table]) -> HashMap<Box<str>, TableId> {
    let id = |(index, table): (usize, &Table)| (table.name.to_lowercase().into(), TableId(index as u32));
    tables.iter().enumerate().map(id).collect()
}

fn kind(
    builder: &mut Builder<'_>,
    id: TableId,
    (name, rule): (&At<String>, &TableRule),
    path: &str,
    (drafts, sequences): (&[Option<Draft>], &[Sequence]),
) -> Option<TableKind> {
    let shapes = [
        rule.placement.is_some() && rule.copy_of.is_none(),
        rule.with.is_some(),
        rule.copy_of.is_some(),
        rule.reference.as_ref().is_some_and(|reference| reference.value),
        rule.shard.is_some(),
    ];
    if shapes.iter().filter(|given| **given).count() != 1 {
        let message = "needs exactly one of `placement`, `with`, `copy_of` (with a placement), \
                       `reference: true` and `shard`";
        builder.problem(name.at, path, message);
        return None;
    }
    if let Some(shard) = &rule.shard {
        unused(builder, rule, path, "a table on one shard");
        let database = rule.database.as_ref().map(|database| database.value.clone());
        let home = Home { shard: shard.clone(), database };
        return Some(TableKind::Single(builder.home(&home, &join(path, "shard"))));
    }
    if let Some(database) = &rule.database {
        builder.problem(database.at, join(path, "database"), "belongs to `shard`");
    }
    if rule.reference.is_some() {
        unused(builder, rule, path, "a reference table");
        return Some(TableKind::Reference { source: SlotId(0) });
    }
    let root = root(builder, name, path)?;
    let placement_name = builder.document.tables.0[root.0 as usize].1.placement.clone()?;
    let placement = placement(builder, &placement_name, path)?;
    let draft = drafts.get(placement.index())?.as_ref()?;
    let columns = columns(builder, (name, rule), root, draft, path)?;
    let copy_of = match &rule.copy_of {
        Some(original) => Some(copied(builder, original, path)?),
        None => None,
    };
    let generate = generate(builder, rule, &columns, (draft, sequences), path);
    let writes = match rule.writes.as_ref().map(|writes| writes.value) {
        Some(Choice::Reject) => Writes::Refused,
        None | Some(Choice::Allow) if copy_of.is_some() => Writes::Refused,
        None | Some(Choice::Allow) => Writes::Allowed,
    };
    if let Some(writes) =
        rule.writes.as_ref().filter(|writes| copy_of.is_some() && writes.value == Choice::Allow)
    {
        builder.problem(writes.at, join(path, "writes"), "a copy is only read");
    }
    let unique = match rule.unique.as_ref().map(|unique| unique.value) {
        Some(UniqueRule::Local) => Unique::Local,
        None | Some(UniqueRule::Global) => Unique::Global,
    };
    let family = if root == id || copy_of.is_some() { id } else { root };
    Some(TableKind::Placed(PlacedTable { placement, columns, family, generate, copy_of, writes, unique }))
}

/// Settings that only a placed table has.
fn unused(builder: &Builder<'_>, rule: &TableRule, path: &str, what: &str) {
    let given = [
        ("columns", rule.columns.as_ref().map(|columns| columns.0.first().map(|(name, _)| name.at))),
        ("generate", rule.generate.0.first().map(|(name, _)| Some(name.at))),
        ("writes", rule.writes.as_ref().map(|writes| Some(writes.at))),
        ("unique", rule.unique.as_ref().map(|unique| Some(unique.at))),
    ];
    for (setting, at) in given {
        if let Some(at) = at {
            let at = at.or(rule.at).unwrap_or(Position::START);
            builder.problem(at, join(path, setting), format!("has no use for {what}"));
        }
    }
}

/// The table that this one follows through all `with`; itself, if it follows none.
fn root(builder: &Builder<'_>, name: &At<String>, path: &str) -> Option<TableId> {
    let tables = &builder.document.tables.0;
    let find = |wanted: &str| tables.iter().position(|(name, _)| name.value.eq_ignore_ascii_case(wanted));
    let mut way = vec![find(&name.value)?];
    loop {
        let here = *way.last()?;
        let Some(next) = &tables[here].1.with else { return Some(TableId(here as u32)) };
        let Some(found) = find(&next.value) else {
            // Said once, where the table that does not exist is named.
            if way.len() == 1 {
                let hint = did_you_mean(&next.value, tables.iter().map(|(name, _)| name.value.as_str()));
                let message = format!("there is no table `{}`{hint}", next.value);
                builder.problem(next.at, join(path, "with"), message);
            }
            return None;
        };
        if let Some(start) = way.iter().position(|seen| *seen == found) {
            // Told once for all of its tables, at the first of them.
            if start == 0 && way.iter().all(|index| *index >= found) {
                let names: Vec<&str> =
                    way.iter().chain([&found]).map(|index| tables[*index].0.value.as_str()).collect();
                let message = format!("a cycle: {}; one of them needs a `placement`", names.join(" → "));
                let at = tables[found].1.with.as_ref().map_or(name.at, |with| with.at);
                builder.problem(at, join(path, "with"), message);
            }
            return None;
        }
        let target = &tables[found].1;
        if way.len() == 1 && target.with.is_none() && (target.placement.is_none() || target.copy_of.is_some())
        {
            let message = format!("`{}` is not placed, so nothing can be placed with it", next.value);
            builder.problem(next.at, join(path, "with"), message);
            return None;
        }
        way.push(found);
    }
}

fn placement(builder: &Builder<'_>, name: &At<String>, path: &str) -> Option<PlacementId> {
    let placements = &builder.document.placements.0;
    let found = placements.iter().position(|(known, _)| known.value == name.value);
    if found.is_none() {
        let hint = did_you_mean(&name.value, placements.iter().map(|(known, _)| known.value.as_str()));
        builder.problem(
            name.at,
            join(path, "placement"),
            format!("there is no placement `{}`{hint}", name.value),
        );
    }
    found.map(|index| PlacementId(index as u16))
}

fn copied(builder: &Builder<'_>, original: &At<String>, path: &str) -> Option<TableId> {
    let tables = &builder.document.tables.0;
    let found = tables.iter().position(|(name, _)| name.value.eq_ignore_ascii_case(&original.value));
    let message = match found {
        None => {
            let hint = did_you_mean(&original.value, tables.iter().map(|(name, _)| name.value.as_str()));
            Some(format!("there is no table `{}`{hint}", original.value))
        }
        Some(index) if tables[index].1.copy_of.is_some() => Some("is a copy itself".to_owned()),
        Some(index) if tables[index].1.placement.is_none() && tables[index].1.with.is_none() => {
            Some("is not spread, so it needs no copy in another dimension".to_owned())
        }
        Some(_) => None,
    };
    if let Some(message) = message {
        builder.problem(original.at, join(path, "copy_of"), message);
        return None;
    }
    found.map(|index| TableId(index as u32))
}

/// Which columns carry which keys: as given, as the followed table has them, or by the names of the keys.
fn columns(
    builder: &Builder<'_>,
    (name, rule): (&At<String>, &TableRule),
    root: TableId,
    draft: &Draft,
    path: &str,
) -> Option<Vec<KeyColumn>> {
    let path = join(path, "columns");
    let followed = builder.document.tables.0[root.0 as usize].1.columns.as_ref();
    let given = rule.columns.as_ref().or(followed);
    let Some(given) = given else {
        let own = |key: KeyId| KeyColumn { column: builder.keys[key.index()].name.clone(), key };
        return Some(draft.keys().into_iter().map(own).collect());
    };
    let mut columns: Vec<KeyColumn> = Vec::new();
    for (column, key) in &given.0 {
        let path = join(&path, &column.value);
        let key_id = builder.key(key, &path)?;
        if !draft.keys().contains(&key_id) {
            let message = format!("the placement `{}` does not look at `{}`", draft.name, key.value);
            builder.problem(key.at, path, message);
            continue;
        }
        if columns.iter().any(|known| known.column.eq_ignore_ascii_case(&column.value)) {
            builder.problem(column.at, path, "this column carries a key already");
            continue;
        }
        columns.push(KeyColumn { column: column.value.as_str().into(), key: key_id });
    }
    let keys: Vec<KeyId> = columns.iter().map(|column| column.key).collect();
    if let Some(key) = draft.undecided(&keys) {
        let key = &builder.keys[key.index()].name;
        let at = rule
            .columns
            .as_ref()
            .and_then(|columns| columns.0.first())
            .map_or(name.at, |(column, _)| column.at);
        let message = format!("no column carries `{key}`, so a new row would have no place");
        builder.problem(at, path, message);
    }
    Some(columns)
}

fn generate(
    builder: &Builder<'_>,
    rule: &TableRule,
    columns: &[KeyColumn],
    (draft, sequences): (&Draft, &[Sequence]),
    path: &str,
) -> Vec<(Box<str>, SequenceId)> {
    let path = join(path, "generate");
    let mut generated = Vec::new();
    for (column, name) in &rule.generate.0 {
        let path = join(&path, &column.value);
        let Some(index) = sequences.iter().position(|known| *known.name == *name.value) else {
            let hint = did_you_mean(&name.value, sequences.iter().map(|known| &*known.name));
            builder.problem(name.at, path, format!("there is no sequence `{}`{hint}", name.value));
            continue;
        };
        let carried = columns.iter().find(|known| known.column.eq_ignore_ascii_case(&column.value));
        let carried = carried.map(|carried| carried.key);
        let key_name = |key: KeyId| builder.keys.get(key.index()).map_or("", |key| &*key.name);
        let message = match (&sequences[index].kind, carried) {
            (SequenceKind::Composed(composed), carried) if carried != Some(composed.key) => Some(format!(
                "`{}` makes values of `{}`, which this column does not carry",
                name.value,
                key_name(composed.key)
            )),
            (SequenceKind::Composed(composed), _) => draft.untrue_bits(composed).map(|field| {
                format!(
                    "`{}` fills the bits `{}` with something else than `{}` reads from them",
                    name.value, field.name, draft.name
                )
            }),
            (SequenceKind::Segment(_), Some(key)) if draft.reads_bits_of(key) => Some(format!(
                "ids of `{}` carry bits that `{}` reads; a composed sequence must fill them",
                key_name(key),
                draft.name
            )),
            (SequenceKind::Segment(_), _) => None,
        };
        if let Some(message) = message {
            builder.problem(name.at, path.as_str(), message);
        }
        generated.push((column.value.as_str().into(), SequenceId(index as u16)));
    }
    generated
}
