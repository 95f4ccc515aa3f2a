//! Reads of several slots: which shapes are split, and how the slots' answers become one.

use crate::merge::MergePlan;
use crate::sharding::planner::aggregate;
use crate::sharding::planner::block::{Role, Statement};
use crate::sharding::planner::local::{aggregates_outside, is_plain};
use crate::sharding::planner::pushdown::{Pushdown, prove};
use crate::sharding::planner::read::Slots;
use crate::sharding::planner::scatter::Columns;
use crate::sharding::planner::{Action, MergeSpec, Refusal, Scatter, Sql};
use crate::sharding::slots::SlotSet;
use crate::sql::tree::{Body, Query, QueryId, SetOp};

/// The plan of a query that more than one slot must answer.
pub(super) fn plan(statement: &Statement<'_>, query: QueryId, slots: &Slots) -> Result<Action, Refusal> {
    allowed(statement)?;
    let query = whole(statement, query)?;
    match &query.body {
        Body::Set(arms) => {
            if arms.iter().skip(1).any(|arm| arm.op != SetOp::Union || arm.distinct) {
                return Err(Refusal::Shape { what: "UNION DISTINCT, INTERSECT or EXCEPT" });
            }
            union_all(statement, query, slots)
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
fn whole<'s>(statement: &'s Statement<'_>, id: QueryId) -> Result<&'s Query, Refusal> {
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
fn top(statement: &Statement<'_>, n: usize) -> usize {
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

/// Rows of all arms of all slots, one after the other.
fn union_all(statement: &Statement<'_>, query: &Query, slots: &Slots) -> Result<Action, Refusal> {
    if query.order.is_some() {
        return Err(Refusal::Shape { what: "UNION ALL with ORDER BY" });
    }
    let Body::Set(arms) = &query.body else { return Err(Refusal::Shape { what: "this query" }) };
    let mut all = SlotSet::none(statement.rules.slots().len());
    for (n, arm) in arms.iter().enumerate() {
        let arm = whole(statement, arm.query)?;
        let Body::Select(select) = &arm.body else {
            return Err(Refusal::Shape { what: "UNION ALL of such arms" });
        };
        let pushdown = prove(statement, top(statement, n), slots)?;
        let plain = arm.order.is_none() && arm.limit.is_none() && arm.with.is_none();
        if !plain || aggregates_outside(statement, arm, select) || !is_plain(statement, select, &pushdown) {
            return Err(Refusal::Shape { what: "UNION ALL of arms that are more than rows" });
        }
        all.unite(&pushdown.slots);
    }
    let mut columns = Columns::new(statement, None)?;
    columns.limit(query.limit)?;
    scatter(statement, all, columns)
}

fn scatter(statement: &Statement<'_>, slots: SlotSet, columns: Columns<'_, '_>) -> Result<Action, Refusal> {
    let slots_max = statement.rules.policies().scatter_read.slots_max;
    if slots.len() > slots_max as usize && !statement.hints.scatter {
        return Err(Refusal::TooManySlots { slots: slots.len(), slots_max });
    }
    let (hidden, unbound) = (columns.hidden(), columns.unbound.clone());
    let (edits, plan): (_, MergePlan) = columns.finish();
    let sql = if edits.is_empty() { Sql::Client } else { Sql::Changed(edits.apply(statement.text())) };
    Ok(Action::Scatter(Box::new(Scatter {
        slots,
        sql,
        merge: MergeSpec { hidden, plan },
        same_time: statement.features.time,
        unbound,
    })))
}
