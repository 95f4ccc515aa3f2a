//! Rows of several servers as one result: rows in, rows out, no I/O.
//!
//! [`MergePlan`] says what is to be made of the rows, [`Merger`] does it: it asks for rows of the source
//! it needs, and gives the result's rows back one by one. It holds one row of each source and one group,
//! unless the plan sorts; then it holds what the result can consist of, up to a bound. A value that cannot
//! be compared exactly is an error, and so are rows that do not come in the order in which they are
//! compared here: a result is exact, or there is none.

mod collation;
mod computed;
mod condition;
mod decimal;
mod distinct;
mod error;
mod fold;
mod merger;
mod number;
mod plan;
mod row;
mod sort;
mod sources;
mod temporal;
mod value;

#[cfg(test)]
mod tests;

pub use collation::{Collations, Pad};
pub use computed::{Computing, Finished};
pub use error::{MergeError, Needed};
pub use merger::{MergeOptions, Merger, Step};
pub use plan::{
    BitOperation, Computed, ComputedItem, ComputedKey, Condition, Fold, Grouping, MergePlan, Operand,
    Operator, OrderKey,
};
pub use row::RowFormat;
pub use sources::Need;
