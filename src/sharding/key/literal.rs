//! What a statement says about a key, and what that means.

use crate::sharding::key::{KeyValue, Moment};

/// A constant of a statement, or a bound parameter, as far as its type is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeyLiteral<'a> {
    /// `NULL`, or a parameter that is NULL.
    Null,
    /// A whole number: `7`, `TRUE`, a parameter of an integer type.
    Integer(i128),
    /// A number with a decimal point, as written: `7.0`, `-1.50`; a parameter of type DECIMAL.
    Decimal(&'a [u8]),
    /// A number with an exponent, or a parameter of type FLOAT or DOUBLE.
    Double(f64),
    /// A string without quotes and escapes, in UTF-8. A string of another client or connection character set
    /// may come here only if every byte of it is ASCII; otherwise it is [`KeyLiteral::Opaque`].
    Text(&'a [u8]),
    /// A binary string: `x'4D'`, `_binary'…'`, a parameter of a BLOB type.
    Binary(&'a [u8]),
    /// A parameter of type DATE, DATETIME or TIMESTAMP; `DATE'…'`, `TIMESTAMP'…'`.
    Moment(Moment),
    /// A value of which nothing is known that would be sure.
    Opaque,
}

/// Which rows of a key column are equal to a constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// At most those with this value.
    Exactly(KeyValue<'a>),
    /// None: no slot need be asked.
    Never,
    /// Any might be: every slot must be asked.
    Unknown,
}

/// Where a constant stands in `key < constant` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `key < c`.
    Below,
    /// `key <= c`.
    AtMost,
    /// `key > c`.
    Above,
    /// `key >= c`.
    AtLeast,
}

impl Side {
    /// Whether the constant is the end of the range, rather than its beginning.
    #[must_use]
    pub const fn is_upper(self) -> bool {
        matches!(self, Self::Below | Self::AtMost)
    }
}

/// Which rows of a key column lie on one side of a constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bounded<'a> {
    /// Those at most (or at least, by the side that was asked) this value, which is one of them.
    Inclusive(KeyValue<'a>),
    /// Those below (or above) this value.
    Exclusive(KeyValue<'a>),
    /// None.
    Never,
    /// Any might.
    Unknown,
}

/// What a key column holds after a constant was stored in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored<'a> {
    /// This value.
    Exactly(KeyValue<'a>),
    /// NULL, which no key column may hold.
    Null,
    /// Something that depends on `sql_mode`, on rounding or on a conversion: the row has no sure place.
    Unknown,
}
