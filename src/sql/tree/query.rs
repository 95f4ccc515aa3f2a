//! Queries and what they read from, as data.

use crate::sql::tree::expression::ExprId;
use crate::sql::tree::expression::Window;
use crate::sql::tree::span::{Span, TableName};

/// A query of a [`Tree`](crate::sql::tree::Tree).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryId(pub(super) u32);

/// A table reference of a [`Tree`](crate::sql::tree::Tree).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub(super) u32);

/// A query expression with what stands around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// WITH.
    pub with: Option<With>,
    /// What it consists of.
    pub body: Body,
    /// ORDER BY.
    pub order: Option<Order>,
    /// LIMIT.
    pub limit: Option<Limit>,
    /// FOR UPDATE and its like.
    pub locks: Option<Span>,
    /// INTO OUTFILE, INTO @a.
    pub into: Option<Span>,
    /// All of it, without parentheses around it.
    pub span: Span,
}

/// The middle of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// SELECT.
    Select(Box<Select>),
    /// UNION, INTERSECT, EXCEPT: arms in the order of the text.
    Set(Box<[SetArm]>),
    /// VALUES ROW(…), …
    Values(Box<[Box<[ExprId]>]>),
    /// TABLE t.
    Table(TableId),
    /// `(SELECT …)`.
    Nested(QueryId),
}

/// One arm of a set operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetArm {
    /// What joins it to those before; UNION for the first one.
    pub op: SetOp,
    /// Without ALL.
    pub distinct: bool,
    /// The arm.
    pub query: QueryId,
}

/// Set operations. INTERSECT binds tighter than the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the manual")]
pub enum SetOp {
    Union,
    Intersect,
    Except,
}

/// WITH.
#[derive(Clone, Debug, PartialEq)]
pub struct With {
    /// WITH RECURSIVE.
    pub recursive: bool,
    /// In order.
    pub tables: Box<[CommonTable]>,
    /// All of it.
    pub span: Span,
}

/// A common table expression.
#[derive(Clone, Debug, PartialEq)]
pub struct CommonTable {
    /// Its name.
    pub name: Span,
    /// Names of its columns.
    pub columns: Box<[Span]>,
    /// What it stands for.
    pub query: QueryId,
}

/// SELECT, without ORDER BY and LIMIT.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// The word SELECT.
    pub verb: Span,
    /// DISTINCT, DISTINCTROW.
    pub distinct: Option<Span>,
    /// SQL_CALC_FOUND_ROWS.
    pub calc_found_rows: Option<Span>,
    /// What is selected.
    pub items: Box<[Item]>,
    /// FROM; None for none or DUAL.
    pub from: Option<TableId>,
    /// WHERE.
    pub filter: Option<ExprId>,
    /// GROUP BY.
    pub group: Option<Group>,
    /// HAVING, with the place of its word.
    pub having: Option<(Span, ExprId)>,
    /// WINDOW.
    pub windows: Box<[Window]>,
    /// INTO before FROM.
    pub into: Option<Span>,
    /// From SELECT to the end of the last clause.
    pub span: Span,
}

impl Select {
    /// The expressions that are selected; a `*` is none.
    pub fn exprs(&self) -> impl Iterator<Item = ExprId> {
        self.items.iter().filter_map(|item| match item.kind {
            ItemKind::Expr(expr, _) => Some(expr),
            ItemKind::Star | ItemKind::TableStar(_) => None,
        })
    }
}

/// One entry of a select list.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Expression and alias.
    pub span: Span,
}

/// Kinds of entries.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `*`.
    Star,
    /// `t.*`.
    TableStar(TableName),
    /// An expression and its alias.
    Expr(ExprId, Option<Span>),
}

/// GROUP BY.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// In order.
    pub keys: Box<[SortKey]>,
    /// WITH ROLLUP, ROLLUP(…).
    pub rollup: bool,
    /// From GROUP on.
    pub span: Span,
}

/// ORDER BY.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// In order.
    pub keys: Box<[SortKey]>,
    /// From ORDER on.
    pub span: Span,
}

/// `a [ASC | DESC]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// What is sorted by.
    pub expr: ExprId,
    /// Which way.
    pub direction: Direction,
}

/// Directions of a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Nothing is written; it means ascending.
    Unsaid,
    /// ASC.
    Ascending,
    /// DESC.
    Descending,
}

/// LIMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Rows to return: a number or a parameter.
    pub count: ExprId,
    /// Rows to leave out before.
    pub offset: Option<ExprId>,
    /// From LIMIT on.
    pub span: Span,
}

/// What is read from.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRef {
    /// What it is.
    pub kind: TableKind,
    /// All of it, parentheses included.
    pub span: Span,
}

/// Kinds of table references.
#[derive(Clone, Debug, PartialEq)]
pub enum TableKind {
    /// A table, or a common table expression.
    Table {
        /// Its name.
        name: TableName,
        /// AS.
        alias: Option<Span>,
        /// PARTITION (…) is there.
        partition: bool,
    },
    /// `(SELECT …) AS d (a, b)`.
    Derived {
        /// What it stands for.
        query: QueryId,
        /// AS; MySQL wants one.
        alias: Option<Span>,
        /// Names of its columns.
        columns: Box<[Span]>,
        /// LATERAL: it sees the tables before it.
        lateral: bool,
    },
    /// `JSON_TABLE(expression, …) AS j`.
    Json {
        /// The document.
        document: ExprId,
        /// AS.
        alias: Span,
    },
    /// A join.
    Join(Box<Join>),
}

/// A join of two table references.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// Which one.
    pub kind: JoinKind,
    /// Left side.
    pub left: TableId,
    /// Right side.
    pub right: TableId,
    /// ON or USING.
    pub condition: Condition,
}

/// Kinds of joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// `,`, JOIN, INNER JOIN, CROSS JOIN, STRAIGHT_JOIN.
    Inner,
    /// LEFT JOIN: the right side is nullable.
    Left,
    /// RIGHT JOIN: the left side is nullable.
    Right,
}

/// The condition of a join.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// None.
    None,
    /// ON.
    On(ExprId),
    /// USING, with the columns.
    Using(Box<[Span]>),
    /// NATURAL: all columns that both sides have.
    Natural,
}
