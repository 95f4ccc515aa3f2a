//! What is to be made of the rows of several sources: filled by the planner, carried out by the merger.
//!
//! A source is one server's answer to its own statement. All sources answer with the same columns: those
//! the client sees come first, hidden ones behind them. Merging never changes this layout: a folded row
//! has the same columns as a source's row, with some of its cells computed. The definitions that the
//! client gets are therefore the servers' own, and a computed cell needs a column in the source's
//! statement whose type is that of the result: `AVG(x)` is asked for as itself, beside the hidden
//! `SUM(x)` and `COUNT(x)` that it is computed from.

/// One result from the rows of several sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergePlan {
    /// Columns that the client sees; those behind them are hidden.
    pub shown: usize,
    /// The order in which every source sends its rows, and in which they are merged. Empty: rows are
    /// passed on in whatever order they come.
    pub input: Vec<OrderKey>,
    /// Rows with equal keys become one.
    pub grouping: Option<Grouping>,
    /// Which (folded) rows count.
    pub having: Option<Condition>,
    /// The order of the result, if it is not the one of `input`. Rows are then held in memory: all of
    /// them, or as many as `offset` and `limit` ask for.
    pub sort: Vec<OrderKey>,
    /// Rows left out at the beginning.
    pub offset: u64,
    /// Rows passed on at most.
    pub limit: Option<u64>,
    /// The columns are of no table, whatever the sources say.
    pub anonymous: bool,
    /// Columns that are computed from the others by a server, when the rows are complete. Hidden columns are
    /// then part of the merged rows.
    pub computed: Option<Computed>,
}

/// Expressions of merged values, and what depends on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Computed {
    /// The columns of the values, which the expressions call `d.c0`, `d.c1` and so on.
    pub leaves: Vec<usize>,
    /// The expressions.
    pub items: Vec<ComputedItem>,
    /// HAVING: the number of the item that is 1 for the rows that count.
    pub filter: Option<usize>,
    /// The order of the result, if expressions decide it.
    pub sort: Vec<ComputedKey>,
    /// Rows left out at the beginning, of those that count.
    pub offset: u64,
    /// Rows passed on at most.
    pub limit: Option<u64>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComputedItem {
    /// The column that the client sees it in, whose definition the sources have sent.
    pub column: Option<usize>,
    /// Its text.
    pub text: Vec<u8>,
    /// The number of another item whose values must be the same.
    pub twin: Option<usize>,
}

/// What computed rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputedKey {
    /// A column of the merged rows.
    Column(OrderKey),
    /// An expression.
    Item {
        /// Its number.
        item: usize,
        /// DESC.
        descending: bool,
    },
}

/// A value that rows are ordered by. How its type is compared follows from the definition of its column;
/// what that type's order needs besides is in hidden columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderKey {
    /// The column with the value.
    pub column: usize,
    /// DESC.
    pub descending: bool,
    /// The column with `WEIGHT_STRING(value)`; needed for texts, unused for other types.
    pub weight: Option<usize>,
    /// The column with `COLLATION(value)`; needed for texts, unused for other types.
    pub collation: Option<usize>,
    /// The column with `value + 0`; needed for FLOAT, ENUM and SET, unused for other types.
    pub number: Option<usize>,
}

impl OrderKey {
    /// Ascending by this column alone.
    #[must_use]
    pub const fn ascending(column: usize) -> Self {
        Self { column, descending: false, weight: None, collation: None, number: None }
    }

    /// Descending by this column alone.
    #[must_use]
    pub const fn descending(column: usize) -> Self {
        Self { descending: true, ..Self::ascending(column) }
    }

    /// The same for a text, with the columns of its weights and its collation.
    #[must_use]
    pub const fn text(self, weight: usize, collation: usize) -> Self {
        Self { weight: Some(weight), collation: Some(collation), ..self }
    }

    fn each_column(&mut self, each: &mut dyn FnMut(&mut usize)) {
        each(&mut self.column);
        let others = [&mut self.weight, &mut self.collation, &mut self.number];
        others.into_iter().flatten().for_each(each);
    }

    /// The same with the column of its numeric value.
    #[must_use]
    pub const fn number(self, number: usize) -> Self {
        Self { number: Some(number), ..self }
    }
}

/// Rows with equal keys become one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// How many keys of [`MergePlan::input`], from the first, make the group. Those behind them order its rows.
    pub keys: usize,
    /// No GROUP BY: there is exactly one row, even if no source sends any.
    pub implicit: bool,
    /// Cells that are computed. All others are those of the group's first row.
    pub folds: Vec<Fold>,
    /// The arguments of DISTINCT aggregates, each a list of values.
    pub sets: Vec<Vec<OrderKey>>,
    /// The one of them that the rows of a group are ordered by, so that nothing need be remembered of it.
    pub ordered: Option<usize>,
    /// What GROUP_CONCAT puts between values.
    pub separators: Vec<Vec<u8>>,
}

/// A computed cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// COUNT of the sources' counts.
    Count {
        /// `COUNT(…)`.
        column: usize,
    },
    /// SUM of the sources' sums.
    Sum {
        /// `SUM(x)`.
        column: usize,
    },
    /// AVG from the sources' sums and counts.
    Average {
        /// `AVG(x)`.
        column: usize,
        /// `SUM(x)`.
        sum: usize,
        /// `COUNT(x)`.
        count: usize,
    },
    /// MIN: by text for ENUM and SET, as a server has it. Of a text, the weight is that of the minimum.
    Min {
        /// `MIN(x)`; the direction does not matter.
        key: OrderKey,
    },
    /// MAX, in the same way.
    Max {
        /// `MAX(x)`; the direction does not matter.
        key: OrderKey,
    },
    /// BIT_AND, BIT_OR, BIT_XOR.
    Bits {
        /// Which.
        operation: BitOperation,
        /// `BIT_…(x)`.
        column: usize,
    },
    /// COUNT(DISTINCT x): how many different arguments without a NULL there are.
    CountDistinct {
        /// `COUNT(x)`.
        column: usize,
        /// The argument, of [`Grouping::sets`].
        set: usize,
    },
    /// SUM(DISTINCT x).
    SumDistinct {
        /// `SUM(x)`.
        column: usize,
        /// `x` itself.
        value: usize,
        /// The argument, of [`Grouping::sets`].
        set: usize,
    },
    /// AVG(DISTINCT x).
    AverageDistinct {
        /// `AVG(x)`.
        column: usize,
        /// `SUM(x)`: the scale of the sum.
        sum: usize,
        /// `x` itself.
        value: usize,
        /// The argument, of [`Grouping::sets`].
        set: usize,
    },
    /// GROUP_CONCAT: the sources' texts one behind the other, in the order of the rows.
    Concat {
        /// `GROUP_CONCAT(x)`.
        column: usize,
        /// Its length in bytes of its own character set.
        length: usize,
        /// `@@group_concat_max_len`.
        length_max: usize,
        /// Of [`Grouping::separators`].
        separator: usize,
        /// With DISTINCT, the argument, of [`Grouping::sets`].
        set: Option<usize>,
    },
}

/// An aggregate over bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitOperation {
    /// BIT_AND.
    And,
    /// BIT_OR.
    Or,
    /// BIT_XOR.
    Xor,
}

/// HAVING, over numeric cells; NULL makes a comparison unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `left operator right`.
    Compare {
        /// Left operand.
        left: Operand,
        /// Operator.
        operator: Operator,
        /// Right operand.
        right: Operand,
    },
    /// `column IS NULL`.
    IsNull(usize),
    /// NOT.
    Not(Box<Self>),
    /// AND.
    And(Vec<Self>),
    /// OR.
    Or(Vec<Self>),
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A numeric column.
    Column(usize),
    /// A number without an exponent: `-12.50`.
    Number(String),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Fold {
    fn each_column(&mut self, each: &mut dyn FnMut(&mut usize)) {
        match self {
            Self::Count { column }
            | Self::Sum { column }
            | Self::Bits { column, .. }
            | Self::CountDistinct { column, .. } => each(column),
            Self::Average { column, sum, count } => [column, sum, count].into_iter().for_each(each),
            Self::Min { key } | Self::Max { key } => key.each_column(each),
            Self::SumDistinct { column, value, .. } => [column, value].into_iter().for_each(each),
            Self::AverageDistinct { column, sum, value, .. } => {
                [column, sum, value].into_iter().for_each(each);
            }
            Self::Concat { column, length, length_max, .. } => {
                [column, length, length_max].into_iter().for_each(each);
            }
        }
    }
}

impl Condition {
    fn each_column(&mut self, each: &mut dyn FnMut(&mut usize)) {
        match self {
            Self::Compare { left, right, .. } => {
                for operand in [left, right] {
                    if let Operand::Column(column) = operand {
                        each(column);
                    }
                }
            }
            Self::IsNull(column) => each(column),
            Self::Not(condition) => condition.each_column(each),
            Self::And(conditions) | Self::Or(conditions) => {
                conditions.iter_mut().for_each(|condition| condition.each_column(each));
            }
        }
    }
}

impl MergePlan {
    /// Rows of all sources one after the other.
    #[must_use]
    pub fn concatenate(shown: usize) -> Self {
        Self { shown, ..Self::default() }
    }

    /// Calls `each` for every number of a column in it: whoever makes a plan before the number of columns
    /// is known moves the hidden ones behind the others so.
    pub fn each_column(&mut self, each: &mut dyn FnMut(&mut usize)) {
        for key in self.input.iter_mut().chain(&mut self.sort) {
            key.each_column(each);
        }
        for fold in self.grouping.iter_mut().flat_map(|grouping| &mut grouping.folds) {
            fold.each_column(each);
        }
        for key in self.grouping.iter_mut().flat_map(|grouping| grouping.sets.iter_mut().flatten()) {
            key.each_column(each);
        }
        if let Some(having) = &mut self.having {
            having.each_column(each);
        }
        let Some(computed) = &mut self.computed else { return };
        computed.leaves.iter_mut().for_each(&mut *each);
        computed.items.iter_mut().filter_map(|item| item.column.as_mut()).for_each(&mut *each);
        for key in &mut computed.sort {
            if let ComputedKey::Column(key) = key {
                key.each_column(each);
            }
        }
    }

    /// Whether rows are passed on as they come.
    #[must_use]
    pub const fn is_unordered(&self) -> bool {
        self.input.is_empty() && self.grouping.is_none() && self.sort.is_empty()
    }
}
