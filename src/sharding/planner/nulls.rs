//! Outer joins that are none: WHERE turns away the rows that they would add.

use crate::sharding::planner::block::Statement;
use crate::sql::tree::{CompareOp, ExprId, ExprKind, Join, JoinKind, Polarity, TableId, Truth};

impl Statement<'_> {
    /// What a join is, given WHERE of its block: an outer join is an inner one if no row in which its nullable
    /// side is NULL can pass.
    pub(super) fn join_kind(&self, block: usize, join: &Join) -> JoinKind {
        let nullable = match join.kind {
            JoinKind::Inner => return JoinKind::Inner,
            JoinKind::Left => join.right,
            JoinKind::Right => join.left,
        };
        let rejects = self.blocks[block].filter.is_some_and(|filter| self.rejects(block, filter, nullable));
        if rejects { JoinKind::Inner } else { join.kind }
    }

    /// Whether a condition is never true where every column of `side` is NULL.
    fn rejects(&self, block: usize, condition: ExprId, side: TableId) -> bool {
        match &self.tree.expr(condition).kind {
            ExprKind::And(list) => list.iter().any(|one| self.rejects(block, *one, side)),
            ExprKind::Or(list) => list.iter().all(|one| self.rejects(block, *one, side)),
            ExprKind::Compare(op, left, right) => {
                *op != CompareOp::NullSafeEqual
                    && (self.is_of(block, *left, side) || self.is_of(block, *right, side))
            }
            ExprKind::In(left, ..) => self.is_of(block, *left, side),
            ExprKind::Between([operand, ..], Polarity::Plain) => self.is_of(block, *operand, side),
            ExprKind::Match(list, _) => list.first().is_some_and(|left| self.is_of(block, *left, side)),
            ExprKind::Is(operand, Truth::Null, Polarity::Negated) => self.is_of(block, *operand, side),
            _ => false,
        }
    }

    /// Whether an expression is a column of `side`, by its qualifier, or because it is a key of it alone.
    fn is_of(&self, block: usize, id: ExprId, side: TableId) -> bool {
        let expr = self.tree.expr(id);
        let ExprKind::Column(name) = expr.kind else { return false };
        let instance = match name.table {
            Some(table) => self.qualified(block, table),
            None => self.key_of(block, name).map(|key| key.instance),
        };
        instance.is_some_and(|at| {
            self.instances[at].block == block && self.contains(side, self.instances[at].node)
        })
    }
}
