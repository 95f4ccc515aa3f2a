//! Expressions of aggregates in a select list: the slots are asked for the aggregates, and a server computes the
//! expression when they have been folded.

use crate::merge::ComputedItem;
use crate::sharding::planner::Refusal;
use crate::sharding::planner::aggregate::Groups;
use crate::sharding::planner::features::is_aggregate;
use crate::sql::tree::{Call, Child, ExprId, ExprKind, Span};

impl Groups<'_, '_, '_> {
    /// Plans the entry `at` of the select list. `untitled`: where it stands, if it has no alias.
    pub(super) fn computed(
        &mut self,
        at: usize,
        expr: ExprId,
        untitled: Option<Span>,
    ) -> Result<(), Refusal> {
        let statement = self.columns.statement;
        let (tree, text) = (statement.tree, statement.text());
        let span = tree.expr(expr).span;
        if statement.names().touch(span) {
            return Err(Refusal::Shape {
                what: "an expression of aggregates with the logical database's name in it",
            });
        }
        let mut operands = Vec::new();
        self.operands(expr, &mut operands)?;
        operands.sort_by_key(|(span, _)| *span);
        let (mut item, mut from) = (Vec::new(), span.start);
        for (place, operand) in operands {
            item.extend_from_slice(Span::new(from, place.start).of(text));
            item.extend_from_slice(operand.as_bytes());
            from = place.end;
        }
        item.extend_from_slice(Span::new(from, span.end).of(text));
        if let Some(whole) = untitled {
            item.extend_from_slice(&statement.title(whole)?);
        } else {
            item.extend_from_slice(b" AS ");
            item.extend_from_slice(self.columns.alias(at).map_or(&b"_"[..], |alias| alias.of(text)));
        }
        self.columns.edits.replace(span, "NULL");
        let computed = self.columns.plan.computed.get_or_insert_default();
        computed.items.push(ComputedItem { column: at, text: item });
        Ok(())
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

    /// What stands in an expression in the place of aggregates and of the group's keys.
    fn operands(&mut self, id: ExprId, found: &mut Vec<(Span, String)>) -> Result<(), Refusal> {
        let expr = self.columns.statement.tree.expr(id);
        if let Some(at) = self.key_of(id) {
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
            ExprKind::Column(_) => return Err(Refusal::Shape { what: "a column that is not grouped by" }),
            ExprKind::Parameter(_) => {
                return Err(Refusal::Shape { what: "an expression of aggregates and a parameter" });
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
        children.into_iter().try_for_each(|child| self.operands(child, found))
    }

    /// An AVG has more digits to compute with than it shows, and no constant has them.
    fn operand_of(&mut self, call: &Call, id: ExprId) -> Result<String, Refusal> {
        if call.name.as_deref() == Some("AVG") {
            return Err(Refusal::Shape { what: "an expression of AVG" });
        }
        self.columns.exact(&call.arguments)?;
        let column = self.aggregate(call, id, None)?.column;
        Ok(self.leaf(column))
    }

    /// How the expression calls the value of a column.
    fn leaf(&mut self, column: usize) -> String {
        let computed = self.columns.plan.computed.get_or_insert_default();
        let at = computed.leaves.iter().position(|known| *known == column).unwrap_or_else(|| {
            computed.leaves.push(column);
            computed.leaves.len() - 1
        });
        format!("d.c{at}")
    }
}
