//! The statement tree: SELECT, INSERT, REPLACE, UPDATE and DELETE as MySQL's grammar reads them.
//!
//! Read once per digest, to decide; what a server executes is the client's text, of which every node knows
//! its bytes. A text that is not understood wholly is [`Unparsed`]: a tree is never a guess.

mod call;
mod expression;
mod from;
mod hint;
mod outline;
mod parser;
mod predicate;
mod primary;
mod query;
mod reserved;
mod select;
mod span;
mod tokens;
mod walk;
mod write;
mod writes;

use crate::sql::mode::LexMode;
use crate::sql::tree::parser::Parser;

pub use expression::{
    BinaryOp, Call, CallForm, CompareOp, Constant, Expr, ExprId, ExprKind, Polarity, Prefix, Truth, Window,
};
pub use hint::{Hint, hints};
pub use query::{
    Body, CommonTable, Condition, Direction, Group, Item, ItemKind, Join, JoinKind, Limit, Order, Query,
    QueryId, Select, SetArm, SetOp, SortKey, TableId, TableKind, TableRef, With,
};
pub use span::{ColumnName, Span, TableName};
pub use walk::Child;
pub use write::{Assignment, Delete, Insert, Source, Update, ValuesRow};

/// A statement as a tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    exprs: Vec<Expr>,
    queries: Vec<Query>,
    tables: Vec<TableRef>,
    /// What it is.
    pub root: Root,
    /// EXPLAIN before it.
    pub explain: Option<Explain>,
    /// Number of `?`.
    pub parameters: u32,
    /// An executable comment is in it: its bytes must not be moved.
    pub executable_comment: bool,
}

/// Kinds of statements.
#[derive(Clone, Debug, PartialEq)]
pub enum Root {
    /// SELECT and its like.
    Query(QueryId),
    /// INSERT, REPLACE.
    Insert(Box<Insert>),
    /// UPDATE.
    Update(Box<Update>),
    /// DELETE.
    Delete(Box<Delete>),
}

/// EXPLAIN, DESCRIBE, DESC before a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explain {
    /// `EXPLAIN ROUTE`, `EXPLAIN FORMAT = ROUTE`: asked of the proxy.
    pub route: bool,
    /// The words before the statement.
    pub span: Span,
}

/// Why there is no tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why} at byte {at}")]
pub struct Unparsed {
    /// Where reading ended.
    pub at: u32,
    /// What is not read.
    pub why: &'static str,
}

/// Reads `text`, one statement, as the mode's server would.
///
/// # Errors
///
/// [`Unparsed`] for any other statement, for what the servers' grammars read differently, and for what is
/// larger or deeper than the limits of this module.
pub fn parse(text: &[u8], mode: LexMode) -> Result<Tree, Unparsed> {
    Parser::new(text, mode)?.statement()
}

impl Tree {
    /// A node.
    #[must_use]
    pub fn expr(&self, id: ExprId) -> &Expr {
        &self.exprs[id.0 as usize]
    }

    /// All nodes, those inside of others before them.
    #[must_use]
    pub fn exprs(&self) -> &[Expr] {
        &self.exprs
    }

    /// A query.
    #[must_use]
    pub fn query(&self, id: QueryId) -> &Query {
        &self.queries[id.0 as usize]
    }

    /// All queries.
    #[must_use]
    pub fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// All table references.
    #[must_use]
    pub fn tables(&self) -> &[TableRef] {
        &self.tables
    }

    /// A table reference.
    #[must_use]
    pub fn table(&self, id: TableId) -> &TableRef {
        &self.tables[id.0 as usize]
    }
}
