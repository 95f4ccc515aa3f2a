//! Expressions as data: nodes that name each other by number, with their bytes in the client's text.

use crate::sql::tree::query::{QueryId, SortKey};
use crate::sql::tree::span::{ColumnName, Span};

/// A node of a [`Tree`](crate::sql::tree::Tree).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(pub(super) u32);

/// One expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its bytes, parentheses around it included: an expression wherever they stand.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Constant(Constant),
    /// `?`, with its number from 0.
    Parameter(u32),
    /// A column, perhaps qualified.
    Column(ColumnName),
    /// `@name`.
    UserVariable,
    /// `@@name`.
    SystemVariable,
    /// `@name := value`.
    Assign(ExprId),
    /// An operator before its operand.
    Prefix(Prefix, ExprId),
    /// An arithmetic operator, a bit operator, or `||` where it joins strings.
    Binary(BinaryOp, ExprId, ExprId),
    /// Two or more operands; `a AND b AND c` is one node.
    And(Box<[ExprId]>),
    /// Two or more operands.
    Or(Box<[ExprId]>),
    /// `a XOR b`.
    Xor(ExprId, ExprId),
    /// `NOT a`, `!a`.
    Not(ExprId),
    /// `a = b` and its like.
    Compare(CompareOp, ExprId, ExprId),
    /// `a = ANY (SELECT …)`; `all`: ALL.
    Quantified {
        /// The comparison.
        op: CompareOp,
        /// ALL, not ANY or SOME.
        all: bool,
        /// What is compared.
        left: ExprId,
        /// With what.
        query: QueryId,
    },
    /// `a IS [NOT] NULL` and its like.
    Is(ExprId, Truth, Polarity),
    /// `a [NOT] IN (b, c)`.
    In(ExprId, Box<[ExprId]>, Polarity),
    /// `a [NOT] IN (SELECT …)`.
    InQuery(ExprId, QueryId, Polarity),
    /// `a [NOT] BETWEEN low AND high`: operand, low, high.
    Between([ExprId; 3], Polarity),
    /// LIKE, REGEXP, SOUNDS LIKE, MEMBER OF, with their operands.
    Match(Box<[ExprId]>, Polarity),
    /// `(a, b)`, `ROW(a, b)`.
    Row(Box<[ExprId]>),
    /// `(SELECT …)` as a value.
    Subquery(QueryId),
    /// `EXISTS (SELECT …)`.
    Exists(QueryId),
    /// A function.
    Call(Box<Call>),
    /// CASE: all its expressions, in the order of the text.
    Case(Box<[ExprId]>),
    /// `CAST(a AS type)`, `CONVERT(a, type)`, `CONVERT(a USING charset)`, with the type's bytes.
    Cast(ExprId, Span),
    /// `a COLLATE name`.
    Collate(ExprId, Span),
    /// `INTERVAL a unit`, one side of `+` or `-`, or an argument of a function.
    Interval(ExprId, Span),
    /// `DEFAULT`.
    Default,
    /// `DEFAULT(a)`.
    DefaultOf(ColumnName),
    /// `VALUES(a)` of ON DUPLICATE KEY UPDATE.
    ValuesOf(ColumnName),
    /// `MATCH (a, b) AGAINST (c …)`: the columns, then c.
    FullText(Box<[ExprId]>),
}

/// How a constant is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// Digits, perhaps with fraction and exponent, and with a sign if `value` begins with one.
    Number {
        /// Its own bytes, without parentheses.
        value: Span,
    },
    /// One string without an introducer.
    Text {
        /// With its quotes.
        value: Span,
    },
    /// `NULL`, `\N`.
    Null,
    /// TRUE, FALSE.
    Truth(bool),
    /// Everything else: bits, hexadecimals, strings with an introducer or in several pieces, `DATE '…'`.
    Other,
}

/// Operators before one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// `-a`.
    Minus,
    /// `+a`.
    Plus,
    /// `~a`.
    Invert,
    /// `BINARY a`.
    Binary,
}

/// Operators between two operands, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the operators of the manual")]
pub enum BinaryOp {
    BitOr,
    BitAnd,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    IntegerDivide,
    Modulo,
    BitXor,
    Concat,
    /// `->`, `->>`.
    JsonPath,
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the operators of the manual")]
pub enum CompareOp {
    Equal,
    NullSafeEqual,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What IS asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the manual")]
pub enum Truth {
    Null,
    True,
    False,
    Unknown,
}

/// Whether a NOT belongs to a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// As it stands.
    Plain,
    /// With NOT.
    Negated,
}

/// A function and its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The name, upper case, if it is an unquoted single word: only such a name means a built-in function
    /// of special syntax, an aggregate above all.
    pub name: Option<Box<str>>,
    /// The name's bytes, its schema included.
    pub name_span: Span,
    /// In order; of TRIM, SUBSTRING … FROM, POSITION … IN and their like too.
    pub arguments: Box<[ExprId]>,
    /// What is special about it.
    pub form: CallForm,
    /// ORDER BY of GROUP_CONCAT.
    pub order: Box<[SortKey]>,
    /// OVER.
    pub over: Option<Window>,
}

/// Forms of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallForm {
    /// `f(a, b)`, also without parentheses as in `CURRENT_DATE`.
    Plain,
    /// `f(DISTINCT a)`.
    Distinct,
    /// `COUNT(*)`.
    Star,
    /// With words between the arguments: `TRIM(LEADING a FROM b)`, `GROUP_CONCAT(a SEPARATOR 'x')`.
    Worded,
    /// GROUP_CONCAT with DISTINCT and words.
    DistinctWorded,
}

impl Call {
    /// Whether DISTINCT stands before its arguments.
    #[must_use]
    pub fn is_distinct(&self) -> bool {
        matches!(self.form, CallForm::Distinct | CallForm::DistinctWorded)
    }
}

/// A window, or the name of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// PARTITION BY.
    pub partition: Box<[ExprId]>,
    /// ORDER BY.
    pub order: Box<[SortKey]>,
    /// Everything after OVER.
    pub span: Span,
    /// It is, or builds on, a window of the WINDOW clause.
    pub named: bool,
}
