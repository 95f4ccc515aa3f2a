//! Why rows cannot be merged exactly. Every one of these ends the statement instead of an answer that
//! might be wrong.

use crate::error::{Blame, ProxyError, SqlError};
use crate::wire::Malformed;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A value that has no order which could be kept here.
    #[error("a column of type {kind} cannot be compared across slots")]
    Unordered {
        /// JSON, GEOMETRY and the like.
        kind: &'static str,
    },
    /// The plan has no column for what the type's order needs.
    #[error("the plan has no {what} for column {column}")]
    Missing {
        /// The column.
        column: usize,
        /// Weights or a number.
        what: Needed,
    },
    /// A collation whose order is not known here.
    #[error("collation {0} cannot be merged")]
    Collation(String),
    /// Slots answered with different columns.
    #[error("slots answered with different columns")]
    Drift,
    /// A source's rows did not come in the order of the plan.
    #[error("rows of a slot came in an order that is not the one of their comparison here")]
    Disorder,
    /// More rows must be held than is allowed.
    #[error("the statement needs more than {0} bytes of memory to be merged")]
    Memory(usize),
    /// A sum of more than 65 digits.
    #[error("a decimal result has more than 65 digits")]
    Overflow,
    /// An expression of aggregates with a value that no server can be given exactly.
    #[error("a value of an expression cannot be handed to a server")]
    Uncomputed,
    /// A GROUP_CONCAT that a server would cut.
    #[error("GROUP_CONCAT is longer than group_concat_max_len")]
    Cut,
    /// An expression of an average that depends on how many digits of it a server's plan keeps.
    #[error("an expression depends on hidden digits of an average")]
    Digits,
    /// A cell that is not what its column's type says.
    #[error("a slot sent a {0}")]
    Malformed(#[from] Malformed),
}

/// What an order key lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// `WEIGHT_STRING(value)` and `COLLATION(value)`.
    Weights,
    /// `value + 0`.
    Number,
}

impl std::fmt::Display for Needed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Weights => "weights",
            Self::Number => "number",
        })
    }
}

impl ProxyError for MergeError {
    fn blame(&self) -> Blame {
        match self {
            Self::Unordered { .. } | Self::Missing { .. } | Self::Collation(_) => Blame::Client,
            Self::Memory(_) | Self::Overflow | Self::Uncomputed | Self::Digits | Self::Cut => Blame::Client,
            Self::Drift | Self::Disorder | Self::Malformed(_) => Blame::Backend,
        }
    }

    fn retryable(&self) -> bool {
        false
    }

    fn sql_error(&self) -> SqlError {
        match self {
            Self::Unordered { kind } => SqlError::new(
                1235,
                "42000",
                format!(
                    "DZ1401: values of type {kind} cannot be ordered or grouped across slots; \
                         restrict the statement to one slot by its key"
                ),
            ),
            Self::Missing { .. } => SqlError::new(
                1235,
                "42000",
                "DZ1402: this column's type cannot be ordered or grouped across slots here; \
                 restrict the statement to one slot by its key",
            ),
            Self::Collation(name) => SqlError::new(
                1235,
                "42000",
                format!(
                    "DZ1403: the order of collation {name} cannot be merged across slots; \
                         choose another by COLLATE, or restrict the statement to one slot by its key"
                ),
            ),
            Self::Drift => SqlError::new(
                1105,
                "HY000",
                "DZ1404: slots answered with different columns; compare their tables' definitions",
            ),
            Self::Disorder => SqlError::new(
                1105,
                "HY000",
                "DZ1405: a slot's rows came in another order than their values are compared in here",
            ),
            Self::Memory(_) => SqlError::new(
                1104,
                "42000",
                "DZ1406: too many rows must be held to merge the result; add a LIMIT, or restrict the \
                 statement to one slot by its key",
            ),
            Self::Uncomputed => SqlError::new(
                1235,
                "42000",
                "DZ1408: an expression of aggregates across slots takes BIGINT, DECIMAL and DOUBLE alone; select \
                 the aggregates themselves",
            ),
            Self::Cut => SqlError::new(
                1235,
                "42000",
                "DZ1410: GROUP_CONCAT over several slots would be cut at group_concat_max_len; raise it, or restrict \
                 the statement to one slot by its key",
            ),
            Self::Digits => SqlError::new(
                1235,
                "42000",
                "DZ1409: this expression of an average depends on how many digits of it a server's plan keeps; round \
                 less, or select SUM and COUNT",
            ),
            Self::Overflow => SqlError::new(1690, "22003", "DECIMAL value is out of range in 'SUM'"),
            Self::Malformed(_) => SqlError::new(
                1105,
                "HY000",
                "DZ1407: a slot sent a value that its column's type does not allow",
            ),
        }
    }
}
