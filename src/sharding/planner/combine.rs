//! Reads of several slots: which shapes are split, and how the slots' answers become one.

use crate::merge::MergePlan;
use crate::sharding::planner::aggregate;
use crate::sharding::planner::block::{Role, Statement};
use crate::sharding::planner::pushdown::{Pushdown, prove};
use crate::sharding::planner::read::Slots;
use crate::sharding::planner::scatter::Columns;
use crate::sharding::planner::{Action, MergeSpec, Refusal, Scatter, Sql, union};
use crate::sharding::slots::SlotSet;
use crate::sql::tree::{Body, Query, QueryId};

/// The plan of a query that more than one slot must answer.
pub(super) fn plan(statement: &Statement<'_>, query: QueryId, slots: &Slots) -> Result<Action, Refusal> {
    allowed(statement)?;
    let query = whole(statement, query)?;
    match &query.body {
        Body::Set(arms) => {
            let (slots, columns) = union::plan(statement, query, arms, slots)?;
            scatter(statement, slots, columns)
        }
        Body::Select(select) => {
            let pushdown = prove(statement, top(statement, 0), slots)?;
            if let Some(action) = few(statement, &pushdown)? {
                return Ok(action);
            }
            let columns = aggregate::plan(statement, query, select, &pushdown)?;
            scatter(statement, pushdown.slots, columns)
        }
        Body::Values(_) | Body::Nested(_) => Err(Refusal::Shape { what: "this query" }),
        Body::Table(_) => {
            let pushdown = prove(statement, top(statement, 0), slots)?;
            if let Some(action) = few(statement, &pushdown)? {
                return Ok(action);
            }
            if query.order.is_some() || query.limit.is_some() {
                return Err(Refusal::Shape { what: "TABLE with ORDER BY or LIMIT" });
            }
            scatter(statement, pushdown.slots, Columns::new(statement, None)?)
        }
    }
}

/// What never is split.
fn allowed(statement: &Statement<'_>) -> Result<(), Refusal> {
    if let Some(what) = statement.features.volatile {
        return Err(Refusal::Shape { what });
    }
    if statement.tree.executable_comment {
        return Err(Refusal::Shape { what: "a statement with an executable comment" });
    }
    if statement.tree.explain.is_some_and(|explain| !explain.route) {
        return Err(Refusal::Shape { what: "EXPLAIN" });
    }
    Ok(())
}

/// The query without parentheses around it, if it locks and writes nothing.
pub(super) fn whole<'s>(statement: &'s Statement<'_>, id: QueryId) -> Result<&'s Query, Refusal> {
    let query = statement.tree.query(id);
    if query.locks.is_some() {
        return Err(Refusal::Shape { what: "a locking read" });
    }
    if query.into.is_some() {
        return Err(Refusal::Shape { what: "INTO" });
    }
    match (&query.body, &query.order, query.limit, &query.with) {
        (Body::Nested(inner), None, None, None) => whole(statement, *inner),
        (Body::Nested(_), ..) => Err(Refusal::Shape { what: "a query in parentheses with clauses after it" }),
        _ => Ok(query),
    }
}

/// The place of the n-th block that is no subquery and no derived table.
pub(super) fn top(statement: &Statement<'_>, n: usize) -> usize {
    let tops = statement.blocks.iter().enumerate().filter(|(_, block)| block.role == Role::Top);
    tops.map(|(at, _)| at).nth(n).unwrap_or(0)
}

/// If after all one slot has every row, or none has one.
fn few(statement: &Statement<'_>, pushdown: &Pushdown) -> Result<Option<Action>, Refusal> {
    let slot = match pushdown.slots.len() {
        0 => crate::sharding::planner::read::first_home(statement),
        1 => pushdown.slots.single(),
        _ => None,
    };
    slot.map(|slot| Ok(Action::One { slot, sql: statement.client_sql()? })).transpose()
}

fn scatter(statement: &Statement<'_>, slots: SlotSet, columns: Columns<'_, '_>) -> Result<Action, Refusal> {
    let slots_max = statement.rules.policies().scatter_read.slots_max;
    if slots.len() > slots_max as usize && !statement.hints.scatter {
        return Err(Refusal::TooManySlots { slots: slots.len(), slots_max });
    }
    let (hidden, unbound, probed) = (columns.hidden(), columns.unbound.clone(), columns.probed);
    let (edits, plan): (_, MergePlan) = columns.finish();
    let sql = if edits.is_empty() { Sql::Client } else { Sql::Changed(edits.apply(statement.text())) };
    Ok(Action::Scatter(Box::new(Scatter {
        slots,
        sql,
        merge: MergeSpec { hidden, plan },
        same_time: statement.features.time,
        unbound,
        probed,
    })))
}
