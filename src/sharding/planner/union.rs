//! UNION over several slots: each slot's rows of all arms, put together as they are, in an order, or each once.
//!
//! How a column of a UNION is compared follows from all its arms. Where that matters, the slots are asked about the
//! columns of the union as a whole, which is a derived table then.

use crate::merge::{Grouping, OrderKey};
use crate::sharding::planner::Refusal;
use crate::sharding::planner::block::Statement;
use crate::sharding::planner::combine::{top, whole};
use crate::sharding::planner::local::{aggregates, aggregates_outside, is_plain};
use crate::sharding::planner::names::same_name;
use crate::sharding::planner::pushdown::prove;
use crate::sharding::planner::read::Slots;
use crate::sharding::planner::scatter::{Column, Columns, alias_name};
use crate::sharding::slots::SlotSet;
use crate::sql::tree::{
    Body, Constant, Direction, ExprId, ExprKind, ItemKind, Order, Query, Select, SetArm, SetOp,
};

/// What the derived table is called.
const UNION: &str = "dazzle_union";

/// The slots of a UNION, and their columns.
pub(super) fn plan<'s, 'a>(
    statement: &'s Statement<'a>,
    query: &Query,
    arms: &[SetArm],
    slots: &Slots,
) -> Result<(SlotSet, Columns<'s, 'a>), Refusal> {
    if arms.iter().skip(1).any(|arm| arm.op != SetOp::Union) {
        return Err(Refusal::Shape { what: "INTERSECT or EXCEPT" });
    }
    // The last one decides: what it makes distinct are the rows of all.
    let distinct = arms.last().is_some_and(|arm| arm.distinct);
    if !distinct && arms.iter().skip(1).any(|arm| arm.distinct) {
        return Err(Refusal::Shape { what: "UNION ALL after UNION DISTINCT" });
    }
    let mut columns = Columns::new(statement, None)?;
    let mut all = SlotSet::none(statement.rules.slots().len());
    for (n, arm) in arms.iter().enumerate() {
        let arm = whole(statement, arm.query)?;
        let Body::Select(select) = &arm.body else {
            return Err(Refusal::Shape { what: "UNION of such arms" });
        };
        let pushdown = prove(statement, top(statement, n), slots)?;
        let plain = arm.order.is_none() && arm.limit.is_none() && arm.with.is_none();
        let once = distinct
            && select.distinct.is_some()
            && select.group.is_none()
            && !aggregates(statement, select)
            && !statement.features.window;
        let rows = once || is_plain(statement, select, &pushdown);
        if !plain || aggregates_outside(statement, arm, select) || !rows {
            return Err(Refusal::Shape { what: "UNION of arms that are more than rows" });
        }
        if distinct {
            columns.exact(&expressions(select)?)?;
        }
        all.unite(&pushdown.slots);
    }
    if !distinct && query.order.is_none() {
        columns.limit(query.limit)?;
        return Ok((all, columns));
    }
    let first = whole(statement, arms[0].query)?;
    let Body::Select(select) = &first.body else { return Err(Refusal::Shape { what: "this query" }) };
    let titles = titles(statement, select)?;
    let order = query.order.as_ref().map_or(Ok(Vec::new()), |order| keys(statement, order, &titles))?;
    let compared: Vec<usize> =
        if distinct { (0..titles.len()).collect() } else { order.iter().map(|(at, _)| *at).collect() };
    let mut by: Vec<OrderKey> = Vec::new();
    for at in &compared {
        let text = [UNION.as_bytes(), b".", &titles[*at]].concat();
        by.push(columns.key(&Column { number: *at, text }));
    }
    let directed = |key: OrderKey, descending: bool| OrderKey { descending, ..key };
    let places: Vec<String> = if distinct {
        let sort = order.iter().map(|(at, descending)| directed(by[*at], *descending));
        columns.plan.sort = sort.collect();
        columns.plan.input = by;
        columns.plan.grouping = Some(Grouping { keys: titles.len(), ..Grouping::default() });
        columns.limit_here(query.limit)?;
        compared.iter().map(|at| (at + 1).to_string()).collect()
    } else {
        let input = by.into_iter().zip(&order).map(|(key, (_, descending))| directed(key, *descending));
        columns.plan.input = input.collect();
        columns.limit(query.limit)?;
        let place = |(at, descending): &(usize, bool)| {
            format!("{}{}", at + 1, if *descending { " DESC" } else { "" })
        };
        order.iter().map(place).collect()
    };
    columns.plan.anonymous = true;
    if let Some(order) = &query.order {
        columns.edits.cut(order.span);
    }
    let (begin, end) =
        (statement.tree.query(arms[0].query).span, statement.tree.query(arms[arms.len() - 1].query).span);
    columns.wrap(begin.before(), end.after(), (UNION, &places.join(", ")));
    Ok((all, columns))
}

/// The expressions of a select list.
fn expressions(select: &Select) -> Result<Vec<ExprId>, Refusal> {
    let each = select.items.iter().map(|item| match item.kind {
        ItemKind::Expr(expr, _) => Ok(expr),
        ItemKind::Star | ItemKind::TableStar(_) => Err(Refusal::Shape { what: "UNION DISTINCT of *" }),
    });
    each.collect()
}

/// The names of the columns, in backquotes.
fn titles(statement: &Statement<'_>, select: &Select) -> Result<Vec<Vec<u8>>, Refusal> {
    let unnamed =
        Refusal::Shape { what: "a UNION in order or without duplicates, whose columns have no names" };
    let mut titles: Vec<Vec<u8>> = Vec::new();
    for item in &select.items {
        let title = match item.kind {
            ItemKind::Expr(_, Some(alias)) => alias_name(alias, statement.text()),
            ItemKind::Expr(expr, None) => match statement.tree.expr(expr).kind {
                ExprKind::Column(name) => name.column.name(statement.text()).into_owned(),
                _ => return Err(unnamed),
            },
            ItemKind::Star | ItemKind::TableStar(_) => return Err(unnamed),
        };
        let title = String::from_utf8_lossy(&title).replace('`', "``");
        let title = format!("`{title}`").into_bytes();
        if titles.iter().any(|known| same_name(known, &title)) {
            return Err(unnamed);
        }
        titles.push(title);
    }
    Ok(titles)
}

/// ORDER BY: which columns, and whether they descend.
fn keys(statement: &Statement<'_>, order: &Order, titles: &[Vec<u8>]) -> Result<Vec<(usize, bool)>, Refusal> {
    let text = statement.text();
    let mut keys = Vec::new();
    for key in &order.keys {
        let at = match statement.tree.expr(key.expr).kind {
            ExprKind::Constant(Constant::Number { value }) => {
                let number = std::str::from_utf8(value.of(text)).ok().and_then(|digits| digits.parse().ok());
                number.and_then(|number: usize| number.checked_sub(1)).filter(|at| *at < titles.len())
            }
            ExprKind::Column(name) if name.table.is_none() => {
                let name = [b"`", &*name.column.name(text), b"`"].concat();
                titles.iter().position(|title| same_name(title, &name))
            }
            _ => None,
        };
        let at = at.ok_or(Refusal::Shape { what: "a UNION sorted by something else than its columns" })?;
        keys.push((at, key.direction == Direction::Descending));
    }
    Ok(keys)
}
