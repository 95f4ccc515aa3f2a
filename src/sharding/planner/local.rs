//! What each slot can answer for itself: groups, distinct rows and windows that lie within one, and aggregates that
//! do not.

use crate::sharding::planner::block::{Role, Statement};
use crate::sharding::planner::features::is_aggregate;
use crate::sharding::planner::names::KeyRef;
use crate::sharding::planner::pushdown::{Pushdown, decides};
use crate::sharding::planner::scatter::Columns;
use crate::sql::tree::{Body, Child, ColumnName, ExprId, ExprKind, ItemKind, Query, Select};

/// Whether the rows of the slots together are the rows of the result: what is grouped, made distinct or
/// numbered is so within one slot.
pub(super) fn is_plain(statement: &Statement<'_>, select: &Select, pushdown: &Pushdown) -> bool {
    let block = statement.instances[pushdown.driver].block;
    let local = |keys: &[ExprId]| {
        let keys: Vec<KeyRef> = keys.iter().filter_map(|key| statement.key_ref(block, *key)).collect();
        decides(statement, pushdown.driver, &keys)
    };
    if let Some(group) = &select.group {
        let keys: Vec<ExprId> = group.keys.iter().map(|key| key.expr).collect();
        // A column that is called like another's alias might be that one.
        let named = keys.iter().all(|key| !alias_of_another(statement, select, *key));
        if group.rollup || !named || !local(&keys) {
            return false;
        }
    } else if aggregates(statement, select) {
        return false;
    }
    let windows = statement.tree.exprs().iter().filter_map(|expr| match &expr.kind {
        ExprKind::Call(call) => call.over.as_ref(),
        _ => None,
    });
    for window in windows {
        if window.named || !local(&window.partition) {
            return false;
        }
    }
    if select.distinct.is_some() {
        let items: Vec<ExprId> = select.exprs().collect();
        let star = select.items.iter().any(|item| item.kind == ItemKind::Star);
        return star || local(&items);
    }
    true
}

fn alias_of_another(statement: &Statement<'_>, select: &Select, key: ExprId) -> bool {
    Columns::new(statement, Some(select)).map_or(true, |columns| columns.hides_an_alias(key))
}

/// Whether a SELECT without GROUP BY makes one row of all.
pub(super) fn aggregates(statement: &Statement<'_>, select: &Select) -> bool {
    let having = select.having.map(|(_, having)| having);
    select.exprs().chain(having).any(|expr| has_aggregate(statement, expr)) || {
        let order =
            statement.blocks.iter().find(|block| block.role == Role::Top).and_then(|block| block.query);
        let order = order.and_then(|query| statement.tree.query(query).order.as_ref());
        order.is_some_and(|order| order.keys.iter().any(|key| has_aggregate(statement, key.expr)))
    }
}

pub(super) fn has_aggregate(statement: &Statement<'_>, id: ExprId) -> bool {
    let expr = statement.tree.expr(id);
    if is_aggregate(expr) {
        return true;
    }
    let mut found = false;
    expr.each_child(&mut |child| {
        if let Child::Expr(inner) = child {
            found |= has_aggregate(statement, inner);
        }
    });
    found
}

/// Whether a subquery of the select list, HAVING or ORDER BY may hold an aggregate over the rows of the query
/// around it, as in `SELECT (SELECT COUNT(o.id)) FROM orders o`: then all slots' rows make one.
pub(super) fn aggregates_outside(statement: &Statement<'_>, query: &Query, select: &Select) -> bool {
    let having = select.having.map(|(_, having)| having);
    let order = query.order.iter().flat_map(|order| order.keys.iter().map(|key| key.expr));
    let mut all = select.exprs().chain(having).chain(order);
    all.any(|expr| asks(statement, expr))
        && statement.blocks.iter().enumerate().any(|(at, block)| {
            block.role != Role::Top && {
                let Some(inner) = block.query.map(|query| statement.tree.query(query)) else { return false };
                let Body::Select(inner) = &inner.body else { return false };
                inner.items.iter().any(|item| match item.kind {
                    ItemKind::Expr(expr, _) => foreign(statement, at, expr),
                    ItemKind::Star | ItemKind::TableStar(_) => false,
                }) || inner.having.is_some_and(|(_, having)| foreign(statement, at, having))
            }
        })
}

/// Whether there is a subquery in an expression.
fn asks(statement: &Statement<'_>, id: ExprId) -> bool {
    let mut found = false;
    statement.tree.expr(id).each_child(&mut |child| {
        found |= match child {
            Child::Expr(inner) => asks(statement, inner),
            Child::Query(_) => true,
        };
    });
    found
}

/// Whether an aggregate in this expression of `block` has columns, none of which is surely one of its tables.
fn foreign(statement: &Statement<'_>, block: usize, id: ExprId) -> bool {
    let expr = statement.tree.expr(id);
    let mut children = Vec::new();
    expr.each_child(&mut |child| {
        if let Child::Expr(inner) = child {
            children.push(inner);
        }
    });
    if is_aggregate(expr) {
        let mut columns = Vec::new();
        children.iter().for_each(|child| named(statement, *child, &mut columns));
        let own = |column: &ColumnName| {
            let found = column.table.and_then(|table| statement.qualified(block, table));
            found.is_some_and(|instance| statement.instances[instance].block == block)
        };
        return !columns.is_empty() && !columns.iter().any(own);
    }
    children.into_iter().any(|child| foreign(statement, block, child))
}

/// The columns in an expression.
fn named(statement: &Statement<'_>, id: ExprId, columns: &mut Vec<ColumnName>) {
    let expr = statement.tree.expr(id);
    if let ExprKind::Column(name) = expr.kind {
        columns.push(name);
    }
    expr.each_child(&mut |child| {
        if let Child::Expr(inner) = child {
            named(statement, inner, columns);
        }
    });
}
