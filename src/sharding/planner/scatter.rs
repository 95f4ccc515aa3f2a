//! What the slots are asked for beside what the client sees: columns to sort by, a larger LIMIT.

use crate::merge::{MergePlan, OrderKey};
use crate::sharding::key::KeyLiteral;
use crate::sharding::planner::block::Statement;
use crate::sharding::planner::features::{QUOTIENTS, hides_digits};
use crate::sharding::planner::names::same_name;
use crate::sharding::planner::splice::Edits;
use crate::sharding::planner::value::value;
use crate::sharding::planner::{HIDDEN, Refusal};
use crate::sql::tree::{
    Child, Constant, Direction, ExprId, ExprKind, ItemKind, Limit, Select, SortKey, Span,
};

/// The columns of the slots' answers and what is made of them.
pub(super) struct Columns<'s, 'a> {
    pub(super) statement: &'s Statement<'a>,
    select: Option<&'s Select>,
    pub(super) edits: Edits,
    hidden: Vec<Vec<u8>>,
    pub(super) plan: MergePlan,
    pub(super) unbound: Vec<u32>,
    /// See [`Scatter::probed`](crate::sharding::planner::Scatter::probed).
    pub(super) probed: bool,
}

/// A value that is a column of the answers.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) number: usize,
    /// How it is asked for.
    pub(super) text: Vec<u8>,
}

impl<'s, 'a> Columns<'s, 'a> {
    pub(super) fn new(statement: &'s Statement<'a>, select: Option<&'s Select>) -> Result<Self, Refusal> {
        let edits = statement.edits()?;
        let plan = MergePlan::default();
        Ok(Self { statement, select, edits, hidden: Vec::new(), plan, unbound: Vec::new(), probed: false })
    }

    pub(super) fn hidden(&self) -> usize {
        self.hidden.len()
    }

    /// How many columns the client sees, if no `*` is among them.
    pub(super) fn shown(&self) -> Option<usize> {
        let items = &self.select?.items;
        items.iter().all(|item| matches!(item.kind, ItemKind::Expr(..))).then_some(items.len())
    }

    /// The alias of an entry of the select list.
    pub(super) fn alias(&self, at: usize) -> Option<Span> {
        match self.select?.items.get(at)?.kind {
            ItemKind::Expr(_, alias) => alias,
            ItemKind::Star | ItemKind::TableStar(_) => None,
        }
    }

    /// The statement's bytes at `span`, as a slot is sent them.
    pub(super) fn text_at(&self, span: Span) -> Vec<u8> {
        self.statement.names().within(self.statement.text(), span)
    }

    /// The bytes of an expression that can be asked for twice.
    pub(super) fn text_of(&self, id: ExprId) -> Result<Vec<u8>, Refusal> {
        if !repeatable(self.statement, id) {
            return Err(Refusal::Shape { what: "sorting or grouping by a parameter or a subquery" });
        }
        Ok(self.text_at(self.statement.tree.expr(id).span))
    }

    /// Values that are added up, counted once or grouped by must be those that the slots show.
    pub(super) fn exact(&self, exprs: &[ExprId]) -> Result<(), Refusal> {
        match exprs.iter().any(|expr| hides_digits(self.statement.tree, *expr)) {
            true => Err(Refusal::Shape { what: QUOTIENTS }),
            false => Ok(()),
        }
    }

    /// A column behind those that the client sees.
    pub(super) fn hide(&mut self, text: Vec<u8>) -> usize {
        let at = self.hidden.iter().position(|known| *known == text).unwrap_or_else(|| {
            self.hidden.push(text);
            self.hidden.len() - 1
        });
        HIDDEN + at
    }

    /// A column as something to sort by, with what a text needs besides.
    pub(super) fn key(&mut self, column: &Column) -> OrderKey {
        let call = |function: &str| [function.as_bytes(), b"(", &column.text, b")"].concat();
        let (weight, collation) = (call("WEIGHT_STRING"), call("COLLATION"));
        OrderKey::ascending(column.number).text(self.hide(weight), self.hide(collation))
    }

    /// The same for an expression that rows are grouped by: MySQL takes what is computed from it for something
    /// that may differ within a group, which it does not but for blanks at the end.
    pub(super) fn grouped_key(&mut self, column: &Column) -> OrderKey {
        let call = |function: &str| [b"MIN(", function.as_bytes(), b"(", &column.text[..], b"))"].concat();
        let (weight, collation) = (call("WEIGHT_STRING"), call("COLLATION"));
        OrderKey::ascending(column.number).text(self.hide(weight), self.hide(collation))
    }

    /// The entry of the select list that a key of ORDER BY or GROUP BY names by number or by name.
    pub(super) fn item_of(&self, id: ExprId, aliases: bool) -> Result<Option<(usize, ExprId)>, Refusal> {
        let Some(select) = self.select else { return Ok(None) };
        let (tree, text) = (self.statement.tree, self.statement.text());
        let name = match tree.expr(id).kind {
            ExprKind::Constant(Constant::Number { value }) => {
                return self.numbered(select, value.of(text)).map(Some);
            }
            ExprKind::Column(name) if name.table.is_none() => name.column.name(text),
            _ => return Ok(None),
        };
        let mut found: Option<(usize, ExprId)> = None;
        for (at, item) in select.items.iter().enumerate() {
            let ItemKind::Expr(expr, alias) = item.kind else { continue };
            let named = match (alias, &tree.expr(expr).kind) {
                (Some(alias), _) if aliases => same_name(&alias_name(alias, text), &name),
                (None, ExprKind::Column(column)) => same_name(&column.column.name(text), &name),
                _ => false,
            };
            if !named {
                continue;
            }
            if found.is_some_and(|(_, other)| {
                self.text_at(tree.expr(other).span) != self.text_at(tree.expr(expr).span)
            }) {
                return Err(Refusal::Shape { what: "a name that two columns have" });
            }
            found = found.or(Some((at, expr)));
        }
        Ok(found)
    }

    fn numbered(&self, select: &Select, digits: &[u8]) -> Result<(usize, ExprId), Refusal> {
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
        let at = number.and_then(|number| number.checked_sub(1));
        let item = at.filter(|_| self.shown().is_some()).and_then(|at| Some((at, select.items.get(at)?)));
        match item.map(|(at, item)| (at, &item.kind)) {
            Some((at, ItemKind::Expr(expr, _))) => Ok((at, *expr)),
            _ => Err(Refusal::Shape { what: "sorting or grouping by a number that names no column" }),
        }
    }

    /// What a key of ORDER BY is sorted by; None: by nothing.
    pub(super) fn sorted(&mut self, key: SortKey) -> Result<Option<OrderKey>, Refusal> {
        let tree = self.statement.tree;
        if matches!(tree.expr(key.expr).kind, ExprKind::Constant(Constant::Null)) {
            return Ok(None);
        }
        let item = self.item_of(key.expr, true)?;
        if item.is_none() && self.hides_an_alias(key.expr) {
            return Err(Refusal::Shape { what: "ORDER BY an expression of an alias" });
        }
        let expr = item.map_or(key.expr, |(_, expr)| expr);
        let text = self.text_of(expr)?;
        let number = match (item, self.shown()) {
            (Some((at, _)), Some(_)) => at,
            _ => self.hide(text.clone()),
        };
        let order = self.key(&Column { number, text });
        Ok(Some(OrderKey { descending: key.direction == Direction::Descending, ..order }))
    }

    /// Whether an unqualified column in this expression is called like an alias.
    pub(super) fn hides_an_alias(&self, id: ExprId) -> bool {
        let (tree, text) = (self.statement.tree, self.statement.text());
        let Some(select) = self.select else { return false };
        let expr = tree.expr(id);
        if let ExprKind::Column(name) = expr.kind {
            let name_text = name.column.name(text);
            let mut aliases = select.items.iter().filter_map(|item| match item.kind {
                ItemKind::Expr(expr, Some(alias)) => Some((expr, alias)),
                _ => None,
            });
            return name.table.is_none()
                && aliases.any(|(of, alias)| {
                    let same = matches!(tree.expr(of).kind, ExprKind::Column(column)
                        if same_name(&column.column.name(text), &name_text));
                    !same && same_name(&alias_name(alias, text), &name_text)
                });
        }
        let mut hides = false;
        expr.each_child(&mut |child| {
            if let Child::Expr(inner) = child {
                hides |= self.hides_an_alias(inner);
            }
        });
        hides
    }

    /// LIMIT of the result: every slot sends as many rows as it may have to give.
    pub(super) fn limit(&mut self, limit: Option<Limit>) -> Result<(), Refusal> {
        let Some(limit) = limit else { return Ok(()) };
        let count = self.bound(limit.count)?;
        self.plan.limit = Some(count);
        let Some(offset) = limit.offset else { return Ok(()) };
        self.plan.offset = self.bound(offset)?;
        let pushed = count.saturating_add(self.plan.offset);
        self.edits.replace(limit.span, format!("LIMIT {pushed}"));
        self.unbind(&[limit.count, offset]);
        Ok(())
    }

    /// LIMIT of a result whose rows are made here: the slots are not told.
    pub(super) fn limit_here(&mut self, limit: Option<Limit>) -> Result<(), Refusal> {
        let Some(limit) = limit else { return Ok(()) };
        self.plan.limit = Some(self.bound(limit.count)?);
        self.plan.offset = limit.offset.map_or(Ok(0), |offset| self.bound(offset))?;
        self.edits.cut(limit.span);
        self.unbind(&[limit.count]);
        self.unbind(limit.offset.as_slice());
        Ok(())
    }

    fn bound(&self, id: ExprId) -> Result<u64, Refusal> {
        let value = value(self.statement.request, self.statement.tree.expr(id));
        match value.as_ref().map(super::value::Value::as_key) {
            Some(KeyLiteral::Integer(number)) => {
                u64::try_from(number).map_err(|_| Refusal::Shape { what: "a LIMIT below 0" })
            }
            _ => Err(Refusal::Shape { what: "a LIMIT whose value is not known" }),
        }
    }

    /// These expressions are gone from the text.
    pub(super) fn unbind(&mut self, exprs: &[ExprId]) {
        for id in exprs {
            let expr = self.statement.tree.expr(*id);
            if let ExprKind::Parameter(number) = expr.kind {
                self.unbound.push(number);
            }
            let mut inner = Vec::new();
            expr.each_child(&mut |child| {
                if let Child::Expr(child) = child {
                    inner.push(child);
                }
            });
            self.unbind(&inner);
        }
    }

    /// Makes what is between two places a derived table, with the hidden columns beside its own, in an order.
    pub(super) fn wrap(&mut self, begin: Span, end: Span, (name, order): (&str, &str)) {
        let mut text = format!("SELECT {name}.*").into_bytes();
        for column in &self.hidden {
            text.extend_from_slice(b", ");
            text.extend_from_slice(column);
        }
        text.extend_from_slice(b" FROM (");
        self.edits.replace(begin, text);
        self.edits.replace(end, format!(") AS {name} ORDER BY {order}"));
    }

    /// The changes of the text, and the plan of the merge.
    pub(super) fn finish(mut self) -> (Edits, MergePlan) {
        if let (Some(select), false) = (self.select, self.hidden.is_empty())
            && let Some(last) = select.items.last()
        {
            let mut text = Vec::new();
            for column in &self.hidden {
                text.extend_from_slice(b", ");
                text.extend_from_slice(column);
            }
            self.edits.replace(last.span.after(), text);
        }
        (self.edits, self.plan)
    }
}

/// The name that an alias gives; it may be written as a string.
pub(super) fn alias_name(alias: Span, text: &[u8]) -> Vec<u8> {
    match alias.of(text) {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner.to_vec(),
        _ => alias.name(text).into_owned(),
    }
}

/// Whether an expression may stand twice in a statement: nothing is bound, asked or drawn in it.
fn repeatable(statement: &Statement<'_>, id: ExprId) -> bool {
    let expr = statement.tree.expr(id);
    let mut repeatable = !matches!(expr.kind, ExprKind::Parameter(_));
    expr.each_child(&mut |child| {
        repeatable &= match child {
            Child::Expr(inner) => repeatable && self::repeatable(statement, inner),
            Child::Query(_) => false,
        };
    });
    repeatable
}
