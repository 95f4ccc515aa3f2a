//! What is directly inside of an expression.

use crate::sql::tree::expression::{Expr, ExprId, ExprKind};
use crate::sql::tree::query::{QueryId, SortKey};

/// Something inside of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    /// An expression.
    Expr(ExprId),
    /// A query, with names of its own.
    Query(QueryId),
}

impl Expr {
    /// Calls `each` for everything directly inside, in the order of the text.
    pub fn each_child(&self, each: &mut dyn FnMut(Child)) {
        match &self.kind {
            ExprKind::Constant(_)
            | ExprKind::Parameter(_)
            | ExprKind::Column(_)
            | ExprKind::UserVariable
            | ExprKind::SystemVariable
            | ExprKind::Default
            | ExprKind::DefaultOf(_)
            | ExprKind::ValuesOf(_) => {}
            ExprKind::Assign(inner)
            | ExprKind::Prefix(_, inner)
            | ExprKind::Not(inner)
            | ExprKind::Is(inner, ..)
            | ExprKind::Cast(inner, _)
            | ExprKind::Collate(inner, _)
            | ExprKind::Interval(inner, _) => each(Child::Expr(*inner)),
            ExprKind::Binary(_, left, right)
            | ExprKind::Xor(left, right)
            | ExprKind::Compare(_, left, right) => all(&[*left, *right], each),
            ExprKind::And(list)
            | ExprKind::Or(list)
            | ExprKind::Match(list, _)
            | ExprKind::Row(list)
            | ExprKind::Case(list)
            | ExprKind::FullText(list) => all(list, each),
            ExprKind::In(left, list, _) => {
                each(Child::Expr(*left));
                all(list, each);
            }
            ExprKind::Between(operands, _) => all(operands, each),
            ExprKind::Quantified { left, query, .. } | ExprKind::InQuery(left, query, _) => {
                each(Child::Expr(*left));
                each(Child::Query(*query));
            }
            ExprKind::Subquery(query) | ExprKind::Exists(query) => each(Child::Query(*query)),
            ExprKind::Call(call) => {
                all(&call.arguments, each);
                sorted(&call.order, each);
                if let Some(window) = &call.over {
                    all(&window.partition, each);
                    sorted(&window.order, each);
                }
            }
        }
    }
}

fn all(list: &[ExprId], each: &mut dyn FnMut(Child)) {
    list.iter().for_each(|id| each(Child::Expr(*id)));
}

fn sorted(keys: &[SortKey], each: &mut dyn FnMut(Child)) {
    keys.iter().for_each(|key| each(Child::Expr(key.expr)));
}
