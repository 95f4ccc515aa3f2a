//! Expressions of aggregates: the slots are asked for the aggregates, and a server computes the expression when
//! they have been folded. So HAVING and ORDER BY of such expressions are done on its answers.

use crate::merge::{ComputedItem, ComputedKey};
use crate::sharding::key::KeyLiteral;
use crate::sharding::planner::aggregate::Groups;
use crate::sharding::planner::block::Statement;
use crate::sharding::planner::features::{hides_digits, is_aggregate};
use crate::sharding::planner::value::{Value, value_of};
use crate::sharding::planner::{Refusal, Request};
use crate::sql::Server;
use crate::sql::tree::{Call, Child, ExprId, ExprKind, Span};

/// Where an expression stands: names mean other things there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clause {
    /// A name is a column.
    Items,
    /// A name is a key of the group, or else an alias.
    Having,
    /// A name in an expression may be a column, whatever aliases there are.
    Order,
}

impl Groups<'_, '_, '_> {
    /// Plans the entry `at` of the select list. `untitled`: where it stands, if it has no alias. The slots tell
    /// what type it has, and are asked for no value.
    pub(super) fn computed(
        &mut self,
        at: usize,
        expr: ExprId,
        untitled: Option<Span>,
    ) -> Result<(), Refusal> {
        let statement = self.columns.statement;
        let span = statement.tree.expr(expr).span;
        self.computed_item(Some(at), expr, Clause::Items)?;
        self.columns.edits.replace(span.before(), "IF(0, ");
        self.columns.edits.replace(span.after(), ", NULL)");
        if let Some(whole) = untitled {
            let title = statement.title(whole)?;
            self.columns.edits.replace(whole.after(), title);
        }
        Ok(())
    }

    /// An expression for a server to compute; its number. An AVG in it is computed with by all its digits: where a
    /// server's plan puts it into a temporary table first, it has those that it shows. What may be either must be
    /// the same by both.
    fn computed_item(
        &mut self,
        column: Option<usize>,
        expr: ExprId,
        clause: Clause,
    ) -> Result<usize, Refusal> {
        let wrapped = |text: Vec<u8>| match clause {
            Clause::Having => [b"IF(", &text[..], b", 1, 0)"].concat(),
            Clause::Items | Clause::Order => text,
        };
        let text = wrapped(self.expression(expr, clause)?);
        self.shown_digits = true;
        let shown = self.expression(expr, clause);
        self.shown_digits = false;
        let shown = wrapped(shown?);
        let computed = self.columns.plan.computed.get_or_insert_default();
        let item = computed.items.len();
        let twin = (shown != text).then_some(item + 1);
        computed.items.push(ComputedItem { column, text, twin });
        if twin.is_some() {
            computed.items.push(ComputedItem { column: None, text: shown, twin: None });
        }
        Ok(item)
    }

    /// HAVING as an expression that is 1 where it is met.
    pub(super) fn computed_having(&mut self, having: ExprId) -> Result<(), Refusal> {
        let item = self.computed_item(None, having, Clause::Having)?;
        self.columns.plan.computed.get_or_insert_default().filter = Some(item);
        Ok(())
    }

    /// A key of ORDER BY that is an expression of aggregates. `item`: the entry of the select list that it is.
    pub(super) fn computed_key(
        &mut self,
        item: Option<usize>,
        expr: ExprId,
        descending: bool,
    ) -> Result<ComputedKey, Refusal> {
        let known = self.columns.plan.computed.as_ref().zip(item);
        let known =
            known.and_then(|(computed, at)| computed.items.iter().position(|one| one.column == Some(at)));
        if let Some(item) = known {
            return Ok(ComputedKey::Item { item, descending });
        }
        let item = self.computed_item(None, expr, Clause::Order)?;
        Ok(ComputedKey::Item { item, descending })
    }

    /// An expression with the merged values in the place of aggregates and keys.
    fn expression(&mut self, expr: ExprId, clause: Clause) -> Result<Vec<u8>, Refusal> {
        let statement = self.columns.statement;
        let (tree, text) = (statement.tree, statement.text());
        let span = tree.expr(expr).span;
        if clause != Clause::Items && divides_by_parameter(statement, expr) {
            return Err(Refusal::Shape { what: "a quotient with a parameter" });
        }
        if statement.names().touch(span) {
            return Err(Refusal::Shape {
                what: "an expression of aggregates with the logical database's name in it",
            });
        }
        let mut operands = Vec::new();
        self.operands(expr, clause, &mut operands)?;
        operands.sort_by_key(|(span, _)| *span);
        let (mut item, mut from) = (Vec::new(), span.start);
        for (place, operand) in operands {
            item.extend_from_slice(Span::new(from, place.start).of(text));
            item.extend_from_slice(&operand);
            from = place.end;
        }
        item.extend_from_slice(Span::new(from, span.end).of(text));
        Ok(item)
    }

    /// Whether every row of a group has the same value of an expression: it is one of the group's keys.
    pub(super) fn is_determined(&self, id: ExprId) -> bool {
        let expr = self.columns.statement.tree.expr(id);
        if self.key_of(id).is_some() {
            return true;
        }
        if matches!(expr.kind, ExprKind::Column(_) | ExprKind::Parameter(_)) {
            return false;
        }
        let mut determined = true;
        expr.each_child(&mut |child| {
            determined &= match child {
                Child::Expr(inner) => determined && self.is_determined(inner),
                Child::Query(_) => false,
            };
        });
        determined
    }

    /// What stands in an expression in the place of aggregates, of the group's keys, of aliases and parameters.
    fn operands(
        &mut self,
        id: ExprId,
        clause: Clause,
        found: &mut Vec<(Span, Vec<u8>)>,
    ) -> Result<(), Refusal> {
        let statement = self.columns.statement;
        let expr = statement.tree.expr(id);
        if let Some(at) = self.key_of(id) {
            if clause != Clause::Items && self.columns.hides_an_alias(id) {
                return Err(Refusal::Shape { what: "a name of a key and of another column" });
            }
            let column = self.keys[at].1.number;
            found.push((expr.span, self.leaf(column)));
            return Ok(());
        }
        match &expr.kind {
            ExprKind::Call(call) if is_aggregate(expr) => {
                let operand = self.operand_of(call, id)?;
                found.push((expr.span, operand));
                return Ok(());
            }
            ExprKind::Column(_) => {
                let item = if clause == Clause::Having { self.columns.item_of(id, true)? } else { None };
                let Some((_, of)) = item.filter(|(at, _)| self.columns.alias(*at).is_some()) else {
                    return Err(Refusal::Shape { what: "a column that is not grouped by" });
                };
                let text = self.expression(of, Clause::Items)?;
                found.push((expr.span, [b"(", &text[..], b")"].concat()));
                return Ok(());
            }
            ExprKind::Parameter(_) => {
                found.push((expr.span, bound(statement.request, &expr.kind, clause)?));
                return Ok(());
            }
            _ => {}
        }
        let (mut children, mut asks) = (Vec::new(), false);
        expr.each_child(&mut |child| match child {
            Child::Expr(inner) => children.push(inner),
            Child::Query(_) => asks = true,
        });
        if asks {
            return Err(Refusal::Shape { what: "an expression of aggregates and a subquery" });
        }
        children.into_iter().try_for_each(|child| self.operands(child, clause, found))
    }

    /// An AVG has more digits to compute with than it shows, and no constant has them; the quotient that it is
    /// has them too.
    fn operand_of(&mut self, call: &Call, id: ExprId) -> Result<Vec<u8>, Refusal> {
        if call.name.as_deref() != Some("AVG") || self.shown_digits && !call.is_distinct() {
            if call.name.as_deref() != Some("COUNT") {
                self.columns.exact(&call.arguments)?;
            }
            let column = self.aggregate(call, id, None)?.column;
            return Ok(self.leaf(column));
        }
        if !self.on_mariadb() {
            // MySQL rounds the quotient of an expression, but not that of an AVG.
            return Err(Refusal::Shape { what: "an expression of AVG" });
        }
        let [argument] = &*call.arguments else {
            return Err(Refusal::Shape { what: "an aggregate of several columns" });
        };
        if call.is_distinct() {
            return Err(Refusal::Shape { what: "an expression of AVG(DISTINCT)" });
        }
        self.columns.exact(&call.arguments)?;
        let argument = self.columns.text_of(*argument)?;
        let sum = self.partial("SUM", &argument);
        let count = self.partial("COUNT", &argument);
        Ok([b"(", &self.leaf(sum)[..], b" / ", &self.leaf(count), b")"].concat())
    }

    /// Whether the servers are MariaDB.
    pub(super) const fn on_mariadb(&self) -> bool {
        matches!(self.columns.statement.request.mode.server, Server::MariaDb { .. })
    }

    /// How the expression calls the value of a column.
    fn leaf(&mut self, column: usize) -> Vec<u8> {
        let computed = self.columns.plan.computed.get_or_insert_default();
        let at = computed.leaves.iter().position(|known| *known == column).unwrap_or_else(|| {
            computed.leaves.push(column);
            computed.leaves.len() - 1
        });
        format!("d.c{at}").into_bytes()
    }
}

/// A bound parameter as a constant of the same type. Where nobody checks the type of what comes of it, it must be an
/// integer.
fn bound(request: &Request<'_>, kind: &ExprKind, clause: Clause) -> Result<Vec<u8>, Refusal> {
    let value = value_of(request, kind);
    match value.as_ref().map(Value::as_key) {
        Some(KeyLiteral::Integer(number)) if number < 0 => Ok(format!("({number})").into_bytes()),
        Some(KeyLiteral::Integer(number)) => Ok(number.to_string().into_bytes()),
        Some(KeyLiteral::Decimal(digits))
            if clause == Clause::Items
                && digits.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.')) =>
        {
            Ok([b"(", digits, b")"].concat())
        }
        Some(KeyLiteral::Double(number)) if clause == Clause::Items && number.is_finite() => {
            Ok(format!("({number:e})").into_bytes())
        }
        _ => Err(Refusal::Shape { what: "an expression of aggregates and a parameter that is no number" }),
    }
}

/// Whether an expression has a parameter and a quotient: MySQL gives a quotient more digits or fewer by what it
/// takes the parameter for.
fn divides_by_parameter(statement: &Statement<'_>, id: ExprId) -> bool {
    fn any(statement: &Statement<'_>, id: ExprId) -> bool {
        let expr = statement.tree.expr(id);
        let mut found = matches!(expr.kind, ExprKind::Parameter(_));
        expr.each_child(&mut |child| {
            if let Child::Expr(inner) = child {
                found |= any(statement, inner);
            }
        });
        found
    }
    any(statement, id) && hides_digits(statement.tree, id)
}
