//! What is not answered: by a code that drivers classify, a stable number, and a way out.

use std::borrow::Cow;

use crate::error::{Blame, ProxyError, SqlError};

/// Why a statement is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are names and places that the messages show")]
pub enum Refusal {
    /// It cannot be read surely.
    #[error("the statement is not understood: {why}")]
    Unparsed { why: &'static str },
    /// A table that the rules do not list.
    #[error("table {table} is not listed")]
    Unlisted { table: String },
    /// A table of another schema beside sharded ones.
    #[error("schema {schema} is not the logical database")]
    Foreign { schema: String },
    /// A hint that is not understood.
    #[error("the hint is not understood: {what}")]
    Hint { what: &'static str },
    /// Rows of several slots would have to be combined in a way that is not known to be exact.
    #[error("{what} over several slots")]
    Shape { what: &'static str },
    /// Tables whose rows are not proven to be in the same slots.
    #[error("{table} is joined without an equality of keys")]
    NotColocated { table: String },
    /// More slots than allowed.
    #[error("{slots} slots, at most {slots_max}")]
    TooManySlots { slots: usize, slots_max: u32 },
    /// A write without its key.
    #[error("a write to {slots} slots")]
    UnkeyedWrite { slots: usize },
    /// A write that no transaction makes one.
    #[error("a write to {shards} shards")]
    CrossShardWrite { shards: usize },
    /// An INSERT without a column list.
    #[error("no column list")]
    NoColumns,
    /// A column that decides the slot of a row.
    #[error("column {column}: {problem:?}")]
    Column { column: String, problem: ColumnProblem },
    /// A write to a table that something else feeds.
    #[error("{table} is not written by clients")]
    ReadOnlyTable { table: String },
    /// A stored function, whose tables are not known.
    #[error("a stored function")]
    StoredFunction,
    /// A question about `information_schema` that one server's answers differently.
    #[error("{what} of information_schema")]
    Catalog { what: &'static str },
    /// An INSERT whose ids cannot be made as one server would.
    #[error("{what} without ids")]
    Generated { what: &'static str },
    /// A write of another kind than is split.
    #[error("{what}")]
    Write { what: &'static str },
}

/// What is wrong about a column that decides the slot of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnProblem {
    /// It would be changed.
    Changed,
    /// It has no value.
    Missing,
    /// It is NULL.
    Null,
    /// What would be stored is not sure.
    Unsure,
    /// No slot is meant for its value.
    NoSlot,
    /// Another column leads to another slot.
    Disagrees,
}

impl ColumnProblem {
    fn sql_error(self, column: &str) -> SqlError {
        match self {
            Self::Changed => SqlError::new(
                1235,
                "42000",
                format!(
                    "DZ1509: column '{column}' decides the slot of its row and cannot be changed; delete the row and insert it anew"
                ),
            ),
            Self::Missing => SqlError::new(
                1364,
                "HY000",
                format!("DZ1511: no value is given for '{column}', which decides the slot of the row"),
            ),
            Self::Null => SqlError::new(
                1048,
                "23000",
                format!("DZ1512: column '{column}' decides the slot of the row and cannot be null"),
            ),
            Self::Unsure => SqlError::new(
                1235,
                "42000",
                format!(
                    "DZ1513: the value of '{column}' decides the slot of the row; write it as a plain constant of its type"
                ),
            ),
            Self::NoSlot => {
                SqlError::new(1526, "HY000", format!("DZ1514: no slot is meant for the value of '{column}'"))
            }
            Self::Disagrees => SqlError::new(
                1748,
                "HY000",
                format!("DZ1515: '{column}' belongs to another slot than the other keys of the row"),
            ),
        }
    }
}

impl ProxyError for Refusal {
    fn blame(&self) -> Blame {
        Blame::Client
    }

    fn retryable(&self) -> bool {
        false
    }

    fn sql_error(&self) -> SqlError {
        match self {
            Self::Unparsed { why } => unsupported(format!(
                "DZ1501: this statement cannot be routed: {why} is not understood; name its slot by a hint"
            )),
            Self::Unlisted { table } => SqlError::new(
                1146,
                "42S02",
                format!("DZ1502: table '{table}' is not listed in the sharding rules; add it there"),
            ),
            Self::Foreign { schema } => unsupported(format!(
                "DZ1503: schema '{schema}' is not part of the logical database; ask it in a session of its own"
            )),
            Self::Hint { what } => unsupported(format!("DZ1504: the hint is not understood: {what}")),
            Self::Shape { what } => unsupported(format!(
                "DZ1505: {what} cannot be answered exactly over several slots; restrict every sharded table to one slot by its key"
            )),
            Self::NotColocated { table } => unsupported(format!(
                "DZ1506: rows of '{table}' are not proven to be in the slots of the other tables; join it by its key"
            )),
            Self::TooManySlots { slots, slots_max } => SqlError::new(
                1104,
                "42000",
                format!(
                    "DZ1507: the statement needs {slots} slots and {slots_max} are allowed; restrict it by a key"
                ),
            ),
            Self::UnkeyedWrite { slots } => SqlError::new(
                1175,
                "HY000",
                format!("DZ1508: this write reaches {slots} slots; restrict it by its key to one"),
            ),
            Self::CrossShardWrite { shards } => unsupported(format!(
                "DZ1519: this write reaches {shards} shards, each of which would commit by itself; send each its rows alone, or allow it by cross_shard_transactions: best_effort in the sharding rules"
            )),
            Self::NoColumns => unsupported("DZ1510: an INSERT into a sharded table must name its columns"),
            Self::Column { column, problem } => problem.sql_error(column),
            Self::ReadOnlyTable { table } => {
                unsupported(format!("DZ1516: table '{table}' is not written by clients"))
            }
            Self::StoredFunction => {
                unsupported("DZ1518: a stored function may read tables of any slot; name the slot by a hint")
            }
            Self::Catalog { what } => unsupported(format!(
                "DZ1531: {what} in information_schema cannot be told of a logical database; name columns of its tables, or ask a server itself"
            )),
            Self::Generated { what } => unsupported(format!(
                "DZ1530: {what} get no ids of a sequence; give their ids in the statement"
            )),
            Self::Write { what } => unsupported(format!(
                "DZ1517: {what} cannot be done over several slots; restrict it to one by its key"
            )),
        }
    }
}

/// ER_NOT_SUPPORTED_YET.
fn unsupported(message: impl Into<Cow<'static, str>>) -> SqlError {
    SqlError::new(1235, "42000", message)
}
