//! INSERT, UPDATE and DELETE, as data.

use crate::sql::tree::expression::ExprId;
use crate::sql::tree::query::{Limit, Order, QueryId, TableId, With};
use crate::sql::tree::span::{ColumnName, Span, TableName};

/// INSERT or REPLACE.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// REPLACE.
    pub replace: bool,
    /// IGNORE.
    pub ignore: bool,
    /// DELAYED.
    pub delayed: bool,
    /// Into where.
    pub table: TableName,
    /// PARTITION (…) is there.
    pub partition: bool,
    /// `(a, b)`; None if no list is written.
    pub columns: Option<Box<[ColumnName]>>,
    /// What is inserted.
    pub source: Source,
    /// ON DUPLICATE KEY UPDATE.
    pub on_duplicate: Box<[Assignment]>,
    /// RETURNING.
    pub returning: Option<Span>,
    /// All of it.
    pub span: Span,
}

/// Where the rows of an INSERT come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// VALUES.
    Values(Box<[ValuesRow]>),
    /// SET.
    Set(Box<[Assignment]>),
    /// A query.
    Query(QueryId),
}

/// One row of VALUES.
#[derive(Clone, Debug, PartialEq)]
pub struct ValuesRow {
    /// Its values.
    pub values: Box<[ExprId]>,
    /// With its parentheses, and ROW.
    pub span: Span,
}

/// `a = b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// What is assigned to.
    pub column: ColumnName,
    /// What.
    pub value: ExprId,
}

/// UPDATE.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// WITH.
    pub with: Option<With>,
    /// IGNORE.
    pub ignore: bool,
    /// What is updated: one table or a join.
    pub tables: TableId,
    /// SET.
    pub assignments: Box<[Assignment]>,
    /// WHERE.
    pub filter: Option<ExprId>,
    /// ORDER BY.
    pub order: Option<Order>,
    /// LIMIT.
    pub limit: Option<Limit>,
    /// All of it.
    pub span: Span,
}

/// DELETE.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// WITH.
    pub with: Option<With>,
    /// IGNORE.
    pub ignore: bool,
    /// Of several tables: from which it deletes. None: from the one in `tables`.
    pub targets: Option<Box<[TableName]>>,
    /// One table or a join.
    pub tables: TableId,
    /// WHERE.
    pub filter: Option<ExprId>,
    /// ORDER BY.
    pub order: Option<Order>,
    /// LIMIT.
    pub limit: Option<Limit>,
    /// RETURNING.
    pub returning: Option<Span>,
    /// All of it.
    pub span: Span,
}
