//! Writes: to the slot of their key, split by rows, or to every copy of a reference table.

use std::collections::BTreeSet;

use crate::sharding::key::{KeyId, KeyValue, Stored};
use crate::sharding::placement::{PlacementId, Unplaced};
use crate::sharding::planner::block::{InstanceKind, Role, Statement};
use crate::sharding::planner::generate::generate;
use crate::sharding::planner::names::same_name;
use crate::sharding::planner::pushdown::prove;
use crate::sharding::planner::read::{Slots, first_home, has_all};
use crate::sharding::planner::refusal::ColumnProblem;
use crate::sharding::planner::value::value;
use crate::sharding::planner::{Action, Fanout, Reason, Refusal, Sql, insert_select};
use crate::sharding::rules::{self, CrossShard, PlacedTable, ShardingRules, TableId, TableKind, Writes};
use crate::sharding::slots::{SlotId, SlotSet};
use crate::sql::tree::{
    self as sql, Assignment, ColumnName, Delete, ExprId, ExprKind, Insert, Root, Source, Span, Update,
};

/// A statement for the slot that a hint names. Rows may be read and changed there whatever their keys say, but
/// none may come to lie where its key does not lead, and no copy of a reference table may become another.
pub(super) fn hinted(
    statement: &Statement<'_>,
    slot: SlotId,
    why: &mut Vec<Reason>,
) -> Result<Action, Refusal> {
    let there = || Ok(Action::One { slot, sql: statement.client_sql()? });
    let (planned, inserts) = match &statement.tree.root {
        Root::Query(_) => return there(),
        Root::Insert(insert) => (self::insert(statement, insert, why), true),
        Root::Update(update) => (self::update(statement, update, why), false),
        Root::Delete(delete) => (self::delete(statement, delete, why), false),
    };
    match planned {
        Ok(Action::One { slot: of_key, .. }) if of_key == slot || !inserts => there(),
        Ok(Action::Write(Fanout { answer: None, .. })) if !inserts => there(),
        Ok(_) => Err(Refusal::Hint { what: "the rows belong to another slot, or to several" }),
        Err(refusal @ (Refusal::Column { .. } | Refusal::NoColumns | Refusal::ReadOnlyTable { .. })) => {
            Err(refusal)
        }
        Err(refusal) if inserts => Err(refusal),
        Err(_) => there(),
    }
}

/// INSERT and REPLACE.
pub(super) fn insert(
    statement: &Statement<'_>,
    insert: &Insert,
    why: &mut Vec<Reason>,
) -> Result<Action, Refusal> {
    if statement.features.stored {
        return Err(Refusal::StoredFunction);
    }
    let slots = Slots::of(statement, why);
    match statement.listed(insert.table)? {
        InstanceKind::Single(slot) => {
            let elsewhere = slots.any && !slots.union.is_empty() && slots.union.single() != Some(slot);
            if elsewhere || !has_all(statement, slot) {
                return Err(Refusal::Write { what: "an INSERT that reads other slots" });
            }
            Ok(Action::One { slot, sql: statement.client_sql()? })
        }
        InstanceKind::Reference(source) => {
            if slots.any || insert.returning.is_some() {
                return Err(Refusal::Write {
                    what: "an INSERT into a reference table that reads or returns rows",
                });
            }
            everywhere(statement, source)
        }
        InstanceKind::Placed(table, placement) => {
            if let Source::Query(query) = insert.source {
                return insert_select::plan(statement, insert, query, (table, placement), &slots);
            }
            if slots.any {
                return Err(Refusal::Write { what: "an INSERT that reads sharded tables" });
            }
            rows(statement, insert, table, placement)
        }
        InstanceKind::Apart => Err(Refusal::Write { what: "an INSERT into something else than a table" }),
    }
}

/// One row of an INSERT: its values by column.
pub(super) struct Row<'t> {
    pub(super) values: Vec<(&'t ColumnName, ExprId)>,
    pub(super) span: Span,
}

impl Row<'_> {
    /// What is given for `column`; the last time counts.
    pub(super) fn value_of(&self, statement: &Statement<'_>, column: &str) -> Option<ExprId> {
        let text = statement.text();
        let mut given =
            self.values.iter().filter(|(named, _)| same_name(&named.column.name(text), column.as_bytes()));
        given.next_back().map(|(_, expr)| *expr)
    }
}

fn rows(
    statement: &Statement<'_>,
    insert: &Insert,
    table: TableId,
    placement: PlacementId,
) -> Result<Action, Refusal> {
    let placed = writable(statement, table)?;
    for assignment in &insert.on_duplicate {
        keeps_key(statement, placed, assignment.column)?;
    }
    let rows = match &insert.source {
        Source::Set(list) => {
            let values = list.iter().map(|one| (&one.column, one.value)).collect();
            vec![Row { values, span: insert.span }]
        }
        Source::Values(rows) => {
            let columns = insert.columns.as_ref().ok_or(Refusal::NoColumns)?;
            if rows.iter().any(|row| row.values.len() != columns.len()) {
                // The servers refuse it, each in the same words.
                let slot = statement.rules.placement(placement).all().iter().next();
                let slot = slot.ok_or(Refusal::Write { what: "an INSERT into no slot" })?;
                return Ok(Action::One { slot, sql: statement.client_sql()? });
            }
            let row = |row: &sql::ValuesRow| Row {
                values: columns.iter().zip(row.values.iter().copied()).collect(),
                span: row.span,
            };
            rows.iter().map(row).collect()
        }
        Source::Query(_) => return Err(Refusal::Write { what: "an INSERT of such rows" }),
    };
    if let Some(generate) = generate(statement, insert, placed, &rows)? {
        return Ok(Action::Generate(Box::new(generate)));
    }
    let mut slots = Vec::with_capacity(rows.len());
    for row in &rows {
        slots.push(slot_of(statement, placed, placement, row)?);
    }
    let first = slots[0];
    if slots.iter().all(|slot| *slot == first) {
        return Ok(Action::One { slot: first, sql: statement.client_sql()? });
    }
    split(statement, insert, &rows, &slots)
}

/// The slot of a new row.
pub(super) fn slot_of(
    statement: &Statement<'_>,
    placed: &PlacedTable,
    placement: PlacementId,
    row: &Row<'_>,
) -> Result<SlotId, Refusal> {
    let mut keys: Vec<(KeyId, KeyValue<'static>)> = Vec::new();
    for column in &placed.columns {
        let Some(expr) = row.value_of(statement, &column.column) else { continue };
        let expr = statement.tree.expr(expr);
        if matches!(expr.kind, ExprKind::Default) {
            continue;
        }
        let name = || column.column.to_string();
        let Some(value) = value(statement.request, expr) else {
            return Err(problem(name(), ColumnProblem::Unsure));
        };
        statement.trace.stored(placement, column.key, &expr.kind);
        match statement.rules.key(column.key).key_type.stored(&value.as_key()) {
            Stored::Exactly(value) => keys.push((column.key, value.into_owned())),
            Stored::Null => return Err(problem(name(), ColumnProblem::Null)),
            Stored::Unknown => return Err(problem(name(), ColumnProblem::Unsure)),
        }
    }
    let column = |key: KeyId| {
        let column = placed.columns.iter().find(|column| column.key == key);
        column.map_or_else(|| statement.rules.key(key).name.to_string(), |column| column.column.to_string())
    };
    let slot = statement.rules.placement(placement).slot_of_row(&keys);
    slot.map(|slot| statement.trace.instead_of(slot)).map_err(|unplaced| match unplaced {
        Unplaced::Missing(key) => problem(column(key), ColumnProblem::Missing),
        Unplaced::NoSlot(key) => problem(column(key), ColumnProblem::NoSlot),
        Unplaced::Disagree(_, key) => problem(column(key), ColumnProblem::Disagrees),
    })
}

/// Rows of several slots: one INSERT for each.
fn split(
    statement: &Statement<'_>,
    insert: &Insert,
    rows: &[Row<'_>],
    slots: &[SlotId],
) -> Result<Action, Refusal> {
    if insert.replace || insert.ignore || !insert.on_duplicate.is_empty() || insert.returning.is_some() {
        return Err(Refusal::Write { what: "REPLACE, IGNORE, ON DUPLICATE KEY UPDATE or RETURNING" });
    }
    if statement.tree.executable_comment || statement.features.volatile.is_some() {
        return Err(Refusal::Write { what: "an INSERT with variables or executable comments" });
    }
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err(Refusal::Write { what: "an INSERT of no row" });
    };
    let (edits, text) = (statement.edits()?, statement.text());
    let before = edits.within(text, Span::new(0, first.span.start));
    let after = edits.within(text, Span::new(last.span.end, text.len() as u32));
    let all = SlotSet::of(statement.rules.slots().len(), slots.iter().copied());
    let part = |slot: SlotId| {
        let own = rows.iter().zip(slots).filter(|(_, of)| **of == slot);
        let own: Vec<_> = own.map(|(row, _)| edits.within(text, row.span)).collect();
        (slot, Sql::Changed([&*before, &own.join(&b", "[..]), &after].concat()))
    };
    let parts = all.iter().map(part).collect();
    let unbound = all.iter().map(|slot| elsewhere(statement, rows, slots, slot)).collect();
    Ok(Action::Write(Fanout { parts, unbound, answer: None, same_time: statement.features.time }))
}

/// The parameters of rows that are not for `slot`.
fn elsewhere(statement: &Statement<'_>, rows: &[Row<'_>], slots: &[SlotId], slot: SlotId) -> Vec<u32> {
    let other = |span: Span| {
        let mut others = rows.iter().zip(slots).filter(|(_, of)| **of != slot);
        others.any(|(row, _)| row.span.start <= span.start && span.end <= row.span.end)
    };
    let parameters = statement.tree.exprs().iter().filter_map(|expr| match expr.kind {
        ExprKind::Parameter(number) if other(expr.span) => Some(number),
        _ => None,
    });
    let mut parameters: Vec<u32> = parameters.collect();
    parameters.sort_unstable();
    parameters
}

/// UPDATE.
pub(super) fn update(
    statement: &Statement<'_>,
    update: &Update,
    why: &mut Vec<Reason>,
) -> Result<Action, Refusal> {
    let mut targets = Vec::new();
    for Assignment { column, .. } in &update.assignments {
        match column.table {
            Some(table) => targets.extend(statement.qualified(top(statement), table)),
            None => targets.extend(&statement.blocks[top(statement)].instances),
        }
    }
    for target in &targets {
        let InstanceKind::Placed(table, _) = statement.instances[*target].kind else { continue };
        let placed = writable(statement, table)?;
        for assignment in &update.assignments {
            keeps_key(statement, placed, assignment.column)?;
        }
    }
    let limited = update.order.is_some() || update.limit.is_some();
    changed(statement, &targets, limited, why)
}

/// DELETE.
pub(super) fn delete(
    statement: &Statement<'_>,
    delete: &Delete,
    why: &mut Vec<Reason>,
) -> Result<Action, Refusal> {
    let block = top(statement);
    let targets: Vec<usize> = match &delete.targets {
        None => statement.blocks[block].instances.clone(),
        Some(names) => names.iter().filter_map(|name| statement.qualified(block, name.table)).collect(),
    };
    for target in &targets {
        if let InstanceKind::Placed(table, _) = statement.instances[*target].kind {
            writable(statement, table)?;
        }
    }
    let limited = delete.order.is_some() || delete.limit.is_some() || delete.returning.is_some();
    changed(statement, &targets, limited, why)
}

/// Where rows of `targets` are changed.
fn changed(
    statement: &Statement<'_>,
    targets: &[usize],
    limited: bool,
    why: &mut Vec<Reason>,
) -> Result<Action, Refusal> {
    if statement.features.stored {
        return Err(Refusal::StoredFunction);
    }
    let kinds = || targets.iter().map(|target| statement.instances[*target].kind);
    let slots = Slots::of(statement, why);
    if let Some(source) = kinds().find_map(|kind| match kind {
        InstanceKind::Reference(source) => Some(source),
        InstanceKind::Placed(..) | InstanceKind::Single(_) | InstanceKind::Apart => None,
    }) {
        if slots.any || limited {
            return Err(Refusal::Write { what: "a write to a reference table beside others, or with LIMIT" });
        }
        return everywhere(statement, source);
    }
    if targets.is_empty() || kinds().any(|kind| kind == InstanceKind::Apart) {
        return Err(Refusal::Write { what: "a write to something else than a table" });
    }
    if let Some(slot) = slots.single(statement)
        && has_all(statement, slot)
    {
        return Ok(Action::One { slot, sql: statement.client_sql()? });
    }
    let pushdown = prove(statement, top(statement), &slots)?;
    let slots = pushdown.slots;
    if let (Some(slot), _) | (None, Some(slot)) =
        (slots.single(), slots.is_empty().then(|| first_home(statement)).flatten())
    {
        return Ok(Action::One { slot, sql: statement.client_sql()? });
    }
    may_scatter(statement, &slots)?;
    if limited || statement.features.volatile.is_some() || statement.tree.executable_comment {
        return Err(Refusal::Write {
            what: "a write with ORDER BY, LIMIT, RETURNING, variables or stored functions",
        });
    }
    let sql = statement.client_sql()?;
    let parts = slots.iter().map(|slot| (slot, sql.clone())).collect();
    Ok(Action::Write(Fanout { parts, unbound: Vec::new(), answer: None, same_time: statement.features.time }))
}

/// Whether the rules allow a write without its key to these slots.
pub(super) fn may_scatter(statement: &Statement<'_>, slots: &SlotSet) -> Result<(), Refusal> {
    if statement.rules.policies().scatter_write == rules::ScatterWrite::Reject && !statement.hints.scatter {
        return Err(Refusal::UnkeyedWrite { slots: slots.len() });
    }
    Ok(())
}

/// A write to every copy of a reference table.
fn everywhere(statement: &Statement<'_>, source: SlotId) -> Result<Action, Refusal> {
    if let Some(what) = statement.features.volatile {
        return Err(Refusal::Shape { what });
    }
    let sql = statement.client_sql()?;
    let parts = statement.rules.all_slots().iter().map(|slot| (slot, sql.clone())).collect();
    let unbound = Vec::new();
    Ok(Action::Write(Fanout { parts, unbound, answer: Some(source), same_time: statement.features.time }))
}

/// A server's transaction makes parts one; over several servers nothing does, so that the rules must allow it.
pub(super) fn keeps_to_one_server(rules: &ShardingRules, fanout: &Fanout) -> Result<(), Refusal> {
    if rules.policies().cross_shard_transactions == CrossShard::BestEffort {
        return Ok(());
    }
    let clusters = fanout.parts.iter().map(|(slot, _)| &*rules.shard_of(*slot).cluster);
    match clusters.collect::<BTreeSet<&str>>().len() {
        0 | 1 => Ok(()),
        shards => Err(Refusal::CrossShardWrite { shards }),
    }
}

fn top(statement: &Statement<'_>) -> usize {
    statement.blocks.iter().position(|block| block.role == Role::Top).unwrap_or(0)
}

/// A sharded table that clients may write to.
pub(super) fn writable<'s>(statement: &'s Statement<'_>, table: TableId) -> Result<&'s PlacedTable, Refusal> {
    let table = statement.rules.table(table);
    match &table.kind {
        TableKind::Placed(placed) if placed.writes == Writes::Allowed && placed.copy_of.is_none() => {
            Ok(placed)
        }
        TableKind::Placed(_) | TableKind::Reference { .. } | TableKind::Single(_) => {
            Err(Refusal::ReadOnlyTable { table: table.name.to_string() })
        }
    }
}

/// An assignment to a column that carries a key would leave the row where it does not belong.
pub(super) fn keeps_key(
    statement: &Statement<'_>,
    placed: &PlacedTable,
    column: ColumnName,
) -> Result<(), Refusal> {
    let name = column.column.name(statement.text());
    // To the servers, an accent makes no other column.
    let accented = String::from_utf8_lossy(&name)
        .chars()
        .any(|c| matches!(c, '\u{80}'..='\u{24F}' | '\u{1E00}'..='\u{1EFF}'));
    let key = placed.columns.iter().find(|known| accented || same_name(known.column.as_bytes(), &name));
    key.map_or(Ok(()), |known| Err(problem(known.column.to_string(), ColumnProblem::Changed)))
}

pub(super) fn problem(column: String, problem: ColumnProblem) -> Refusal {
    Refusal::Column { column, problem }
}
