//! What a statement uses that matters where several servers answer.

use crate::sharding::planner::block::Statement;
use crate::sql::tree::{BinaryOp, Child, Expr, ExprId, ExprKind, Tree};
use crate::sql::{is_aggregate_function, is_builtin_function};

/// Functions whose value is the server's or the connection's own.
const VOLATILE: [&str; 32] = [
    "BENCHMARK",
    "CONNECTION_ID",
    "CURRENT_ROLE",
    "CURRENT_USER",
    "FOUND_ROWS",
    "GET_LOCK",
    "IS_FREE_LOCK",
    "IS_USED_LOCK",
    "LAST_INSERT_ID",
    "LASTVAL",
    "LOAD_FILE",
    "MASTER_GTID_WAIT",
    "MASTER_POS_WAIT",
    "NEXTVAL",
    "PS_CURRENT_THREAD_ID",
    "RAND",
    "RANDOM_BYTES",
    "RELEASE_ALL_LOCKS",
    "RELEASE_LOCK",
    "ROW_COUNT",
    "SESSION_USER",
    "SETVAL",
    "SLEEP",
    "SYSDATE",
    "SYSTEM_USER",
    "USER",
    "UUID",
    "UUID_SHORT",
    "UUID_V4",
    "UUID_V7",
    "VERSION",
    "SYS_GUID",
];

/// Functions of the time at which the statement began.
const TIME: [&str; 13] = [
    "CURDATE",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURTIME",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NOW",
    "UNIX_TIMESTAMP",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
    "TO_SECONDS",
];

/// Collected over all expressions of a statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Features {
    /// What each server, or each connection, would answer in its own way.
    pub(super) volatile: Option<&'static str>,
    /// The time of the statement is asked for.
    pub(super) time: bool,
    /// A stored function: it may read tables of any slot.
    pub(super) stored: bool,
    /// GET_LOCK and its like: a lock lives on one server.
    pub(super) named_lock: bool,
    /// A window function.
    pub(super) window: bool,
    /// `DATABASE()`.
    pub(super) database: Vec<ExprId>,
}

impl Features {
    pub(super) fn note(&mut self, id: ExprId, expr: &Expr) {
        match &expr.kind {
            ExprKind::Assign(_) | ExprKind::UserVariable => self.volatile = Some("a user variable"),
            ExprKind::SystemVariable => self.volatile = Some("a system variable"),
            ExprKind::Call(call) => {
                self.window |= call.over.is_some();
                match call.name.as_deref() {
                    Some("DATABASE" | "SCHEMA") if call.arguments.is_empty() => self.database.push(id),
                    Some(
                        "GET_LOCK" | "RELEASE_LOCK" | "RELEASE_ALL_LOCKS" | "IS_FREE_LOCK" | "IS_USED_LOCK",
                    ) => {
                        self.named_lock = true;
                        self.volatile = Some("a named lock");
                    }
                    Some(name) if VOLATILE.contains(&name) => {
                        self.volatile = Some("a function of the server itself");
                    }
                    Some(name) if TIME.contains(&name) => self.time = true,
                    Some(name) if is_builtin_function(name) => {}
                    Some(_) | None => {
                        self.stored = true;
                        self.volatile = Some("a stored function");
                    }
                }
            }
            _ => {}
        }
    }
}

/// Whether `expr` is an aggregate itself, over rows and not over a window.
pub(super) fn is_aggregate(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call(call)
        if call.over.is_none() && call.name.as_deref().is_some_and(|name| name == "ANY_VALUE" || is_aggregate_function(name)))
}

/// Whether an expression may have more digits than it shows: those of a quotient, to which MariaDB adds and by
/// which it groups. What is rounded has no others.
pub(super) fn hides_digits(tree: &Tree, id: ExprId) -> bool {
    const ROUNDED: [&str; 5] = ["ROUND", "TRUNCATE", "FLOOR", "CEIL", "CEILING"];
    let expr = tree.expr(id);
    match &expr.kind {
        ExprKind::Binary(BinaryOp::Divide, ..) => return true,
        ExprKind::Cast(..) => return false,
        ExprKind::Call(call) if call.name.as_deref().is_some_and(|name| ROUNDED.contains(&name)) => {
            return false;
        }
        _ => {}
    }
    let mut hides = false;
    expr.each_child(&mut |child| {
        if let Child::Expr(inner) = child {
            hides |= hides_digits(tree, inner);
        }
    });
    hides
}

/// What is refused of expressions that hide digits.
pub(super) const QUOTIENTS: &str = "a sum, a group or DISTINCT of a quotient that is not rounded";

/// Whether an aggregate adds up what hides digits: how many of them it adds depends on the server's plan.
pub(super) fn adds_quotients(statement: &Statement<'_>) -> bool {
    statement.tree.exprs().iter().any(|expr| match &expr.kind {
        ExprKind::Call(call) if is_aggregate(expr) => {
            !matches!(call.name.as_deref(), Some("COUNT" | "MIN" | "MAX"))
                && call.arguments.iter().any(|argument| hides_digits(statement.tree, *argument))
        }
        _ => false,
    })
}

/// Whether an expression is a truth: MySQL gives it one type or another by the way in which it groups.
pub(super) const fn is_truth(kind: &ExprKind) -> bool {
    matches!(
        kind,
        ExprKind::Is(..)
            | ExprKind::Compare(..)
            | ExprKind::In(..)
            | ExprKind::Between(..)
            | ExprKind::And(_)
            | ExprKind::Or(_)
            | ExprKind::Xor(..)
            | ExprKind::Not(_)
            | ExprKind::Match(..)
    )
}
