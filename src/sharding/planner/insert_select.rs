//! INSERT … SELECT into a sharded table: where every row stays in the slot that it is read in.
//!
//! It does if the key columns of the new row are those of a row that it is made of, under the same placement; or if
//! nothing but reference tables is read, and the key is a constant.

use crate::sharding::placement::PlacementId;
use crate::sharding::planner::block::{InstanceKind, Statement};
use crate::sharding::planner::combine::whole;
use crate::sharding::planner::local::{aggregates_outside, is_plain};
use crate::sharding::planner::names::{KeyRef, same_name};
use crate::sharding::planner::pushdown::{decides, prove};
use crate::sharding::planner::read::{Slots, first_home, has_all};
use crate::sharding::planner::value::value;
use crate::sharding::planner::write::{Row, keeps_key, may_scatter, slot_of, writable};
use crate::sharding::planner::{Action, Fanout, Refusal};
use crate::sharding::rules::{PlacedTable, TableId};
use crate::sql::tree::{Body, ColumnName, ExprId, Insert, QueryId, Select};

/// The plan of such an INSERT into a table of this placement.
pub(super) fn plan(
    statement: &Statement<'_>,
    insert: &Insert,
    query: QueryId,
    (table, placement): (TableId, PlacementId),
    slots: &Slots,
) -> Result<Action, Refusal> {
    let placed = writable(statement, table)?;
    for assignment in &insert.on_duplicate {
        keeps_key(statement, placed, assignment.column)?;
    }
    if statement.features.volatile.is_some() || statement.tree.executable_comment {
        return Err(Refusal::Write { what: "INSERT … SELECT with variables or stored functions" });
    }
    let query = whole(statement, query)?;
    let Body::Select(select) = &query.body else {
        return Err(Refusal::Write { what: "INSERT … SELECT of such a query" });
    };
    let columns = insert.columns.as_ref().ok_or(Refusal::NoColumns)?;
    let values = values(columns, select)?;
    let text = statement.text();
    let given = |generated: &str| {
        columns.iter().any(|column| same_name(&column.column.name(text), generated.as_bytes()))
    };
    if !placed.generate.iter().all(|(generated, _)| given(generated)) {
        return Err(Refusal::Write { what: "INSERT … SELECT that leaves a generated column out" });
    }
    if !slots.any {
        let slot = slot_of(statement, placed, placement, &Row { values, span: insert.span })?;
        return Ok(Action::One { slot, sql: statement.client_sql()? });
    }
    let plain = query.order.is_none() && query.limit.is_none() && query.with.is_none();
    let block = statement.blocks.iter().position(|block| block.from.is_some() && block.from == select.from);
    let block = block.ok_or(Refusal::Write { what: "INSERT … SELECT of no table" })?;
    let pushdown = prove(statement, block, slots)?;
    let InstanceKind::Placed(_, of_rows) = statement.instances[pushdown.driver].kind else {
        return Err(Refusal::Write { what: "INSERT … SELECT of no sharded table" });
    };
    let keys = keys(statement, placed, block, &values)?;
    if of_rows != placement || !decides(statement, pushdown.driver, &keys) {
        return Err(Refusal::Write { what: "INSERT … SELECT whose rows may belong to other slots" });
    }
    if !plain || aggregates_outside(statement, query, select) || !is_plain(statement, select, &pushdown) {
        return Err(Refusal::Write { what: "INSERT … SELECT of more than rows" });
    }
    let slots = pushdown.slots;
    let single = slots.single().or_else(|| if slots.is_empty() { first_home(statement) } else { None });
    if let Some(slot) = single
        && has_all(statement, slot)
    {
        return Ok(Action::One { slot, sql: statement.client_sql()? });
    }
    may_scatter(statement, &slots)?;
    if insert.replace || insert.ignore || !insert.on_duplicate.is_empty() || insert.returning.is_some() {
        return Err(Refusal::Write { what: "REPLACE, IGNORE, ON DUPLICATE KEY UPDATE or RETURNING" });
    }
    let sql = statement.client_sql()?;
    let parts = slots.iter().map(|slot| (slot, sql.clone())).collect();
    let same_time = statement.features.time;
    Ok(Action::Write(Fanout { parts, unbound: Vec::new(), answer: None, same_time }))
}

/// What each column of the new row is.
fn values<'t>(columns: &'t [ColumnName], select: &Select) -> Result<Vec<(&'t ColumnName, ExprId)>, Refusal> {
    let exprs: Vec<ExprId> = select.exprs().collect();
    if exprs.len() != columns.len() || select.items.len() != columns.len() {
        return Err(Refusal::Write { what: "INSERT … SELECT of *, or of another number of columns" });
    }
    Ok(columns.iter().zip(exprs).collect())
}

/// The keys of rows read that become the keys of the new row.
fn keys(
    statement: &Statement<'_>,
    placed: &PlacedTable,
    block: usize,
    values: &[(&ColumnName, ExprId)],
) -> Result<Vec<KeyRef>, Refusal> {
    let text = statement.text();
    let mut keys = Vec::new();
    for column in &placed.columns {
        let named = |name: &ColumnName| same_name(&name.column.name(text), column.column.as_bytes());
        let mut given = values.iter().filter(|(name, _)| named(name));
        let Some((_, expr)) = given.next() else { continue };
        let key = statement.key_ref(block, *expr).filter(|key| key.key == column.key);
        match key {
            Some(key) if given.next().is_none() => keys.push(key),
            _ if value(statement.request, statement.tree.expr(*expr)).is_some() => {
                return Err(Refusal::Write {
                    what: "INSERT … SELECT of a constant key beside sharded tables",
                });
            }
            _ => {
                return Err(Refusal::Write {
                    what: "INSERT … SELECT whose rows may belong to other slots"
                });
            }
        }
    }
    Ok(keys)
}
