//! The SQL types that a key may have.

use std::fmt;

use crate::sharding::key::collation::Collation;
use crate::sharding::key::literal::{Bounded, KeyLiteral, Match, Side, Stored};
use crate::sharding::key::moment::{self, Precision};
use crate::sharding::key::{KeyValue, number, text};

/// What the columns of a key hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// TINYINT to BIGINT.
    Integer(Integer),
    /// CHAR, VARCHAR, BINARY, VARBINARY.
    Text {
        /// Which of them.
        kind: TextKind,
        /// Characters at most; bytes of a binary type.
        length: u32,
        /// What is equal to what.
        collation: Collation,
    },
    /// DATE.
    Date,
    /// DATETIME with so many digits of a second's fraction.
    DateTime {
        /// 0 to 6.
        digits: u8,
    },
}

/// A whole number of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    /// 8, 16, 24, 32 or 64.
    pub bits: u32,
    /// UNSIGNED.
    pub unsigned: bool,
}

impl Integer {
    /// The least value.
    #[must_use]
    pub const fn min(self) -> i128 {
        if self.unsigned { 0 } else { -(1 << (self.bits - 1)) }
    }

    /// The greatest value.
    #[must_use]
    pub const fn max(self) -> i128 {
        if self.unsigned { (1 << self.bits) - 1 } else { (1 << (self.bits - 1)) - 1 }
    }

    /// Whether a column can hold `value`.
    #[must_use]
    pub const fn holds(self, value: i128) -> bool {
        self.min() <= value && value <= self.max()
    }
}

/// How a string column stores its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// Blanks at the end are no part of the value.
    Char,
    /// As given.
    VarChar,
    /// Filled up with NUL bytes.
    Binary,
    /// As given, bytes.
    VarBinary,
}

impl TextKind {
    /// Its name in SQL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Char => "char",
            Self::VarChar => "varchar",
            Self::Binary => "binary",
            Self::VarBinary => "varbinary",
        }
    }
}

impl KeyType {
    /// The rows that `key = literal` can select. `key <=> literal` selects the same, but for NULL.
    #[must_use]
    pub fn equal_to<'a>(&self, literal: &KeyLiteral<'a>) -> Match<'a> {
        if matches!(literal, KeyLiteral::Null) {
            return Match::Never;
        }
        match self {
            Self::Integer(integer) => number::equal_to(*integer, literal),
            Self::Text { kind, collation, .. } => text::equal_to(*kind, *collation, literal),
            Self::Date => moment::equal_to(Precision::Day, literal),
            Self::DateTime { .. } => moment::equal_to(Precision::Time, literal),
        }
    }

    /// The rows on one side of `literal`.
    #[must_use]
    pub fn bounded_by<'a>(&self, literal: &KeyLiteral<'a>, side: Side) -> Bounded<'a> {
        if matches!(literal, KeyLiteral::Null) {
            return Bounded::Never;
        }
        match self {
            Self::Integer(integer) => number::bounded_by(*integer, literal, side),
            // The order of a collation is not the order of what stands for its classes.
            Self::Text { .. } => Bounded::Unknown,
            Self::Date => moment::bounded_by(Precision::Day, literal, side),
            Self::DateTime { .. } => moment::bounded_by(Precision::Time, literal, side),
        }
    }

    /// What a column holds once `literal` is stored in it, whatever `sql_mode` says.
    #[must_use]
    pub fn stored<'a>(&self, literal: &KeyLiteral<'a>) -> Stored<'a> {
        if matches!(literal, KeyLiteral::Null) {
            return Stored::Null;
        }
        let value = match self {
            Self::Integer(integer) => number::stored(*integer, literal),
            Self::Text { kind, length, collation } => text::stored(*kind, *length, *collation, literal),
            Self::Date => moment::stored(literal, None),
            Self::DateTime { digits } => moment::stored(literal, Some(*digits)),
        };
        value.map_or(Stored::Unknown, Stored::Exactly)
    }

    /// Whether columns of both types hold comparable values with the same equality: what lets `a.k = b.k`
    /// carry a restriction from one table to another.
    #[must_use]
    pub fn same_domain(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integer(_), Self::Integer(_))
            | (Self::Date | Self::DateTime { .. }, Self::Date | Self::DateTime { .. }) => true,
            (
                Self::Text { kind, collation, .. },
                Self::Text { kind: their_kind, collation: their_collation, .. },
            ) => {
                let binary = |kind: &TextKind| matches!(kind, TextKind::Binary | TextKind::VarBinary);
                collation == their_collation && binary(kind) == binary(their_kind)
            }
            (Self::Integer(_) | Self::Text { .. } | Self::Date | Self::DateTime { .. }, _) => false,
        }
    }

    /// A value of this type as the rules write it, for a placement's bounds and lists.
    #[must_use]
    pub fn written(&self, literal: &KeyLiteral<'_>) -> Option<KeyValue<'static>> {
        match self.stored(literal) {
            Stored::Exactly(value) => Some(value.into_owned()),
            Stored::Null | Stored::Unknown => None,
        }
    }
}

/// As a rule file writes it, without the collation.
impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(Integer { bits, unsigned }) => {
                f.write_str(match bits {
                    8 => "tinyint",
                    16 => "smallint",
                    24 => "mediumint",
                    32 => "int",
                    _ => "bigint",
                })?;
                f.write_str(if *unsigned { " unsigned" } else { "" })
            }
            Self::Text { kind, length, .. } => write!(f, "{}({length})", kind.name()),
            Self::Date => f.write_str("date"),
            Self::DateTime { digits: 0 } => f.write_str("datetime"),
            Self::DateTime { digits } => write!(f, "datetime({digits})"),
        }
    }
}
