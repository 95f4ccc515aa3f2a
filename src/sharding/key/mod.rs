//! Keys: what a routing column holds, and which values are the same value to MySQL.
//!
//! A placement must see one value where MySQL sees one: `7`, `'07'` and `7.0` are equal to a BIGINT of 7 and
//! so must route alike. A key is declared once with its SQL type, signedness and collation; what a statement
//! says is brought to that type ([`KeyType::equal_to`]) by the rules of MySQL's comparison, or the answer
//! is that it cannot be known, which means every slot.

mod collation;
mod literal;
mod moment;
mod number;
mod text;
mod typed;

use std::borrow::Cow;
use std::fmt;

pub use collation::Collation;
pub use literal::{Bounded, KeyLiteral, Match, Side, Stored};
pub use moment::{Date, Moment};

pub use typed::{Integer, KeyType, TextKind};

/// A key of one logical database, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u16);

impl KeyId {
    /// Its place in the list of keys.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One declared key: columns that carry it may be compared with each other across tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its name in the rules.
    pub name: Box<str>,
    /// What its columns hold.
    pub key_type: KeyType,
    /// Parts of an id that carry what other keys decided, by name.
    pub bits: Vec<BitField>,
}

impl Key {
    /// The bit field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&BitField> {
        self.bits.iter().find(|field| &*field.name == name)
    }
}

/// Some bits of an integer key, the lowest of which is bit 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitField {
    /// Its name in the rules.
    pub name: Box<str>,
    /// Its lowest bit.
    pub offset: u32,
    /// How many bits it has, at least 1.
    pub length: u32,
}

impl BitField {
    /// What stands in these bits of `value`. A negative id has no fields.
    #[must_use]
    pub fn of(&self, value: i128) -> Option<u64> {
        let value = u64::try_from(value).ok()?;
        Some(value >> self.offset & self.mask())
    }

    /// The largest value that fits.
    #[must_use]
    pub const fn mask(&self) -> u64 {
        if self.length >= 64 { u64::MAX } else { (1 << self.length) - 1 }
    }
}

/// One value of a key, in the one form that all its spellings share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyValue<'a> {
    /// Of an integer key: the number.
    Integer(i128),
    /// Of a DATE or DATETIME key.
    Moment(Moment),
    /// Of a string key: the bytes that stand for everything that its collation calls equal.
    Text(Cow<'a, [u8]>),
}

impl KeyValue<'_> {
    /// The value with a life of its own.
    #[must_use]
    pub fn into_owned(self) -> KeyValue<'static> {
        match self {
            Self::Integer(number) => KeyValue::Integer(number),
            Self::Moment(moment) => KeyValue::Moment(moment),
            Self::Text(text) => KeyValue::Text(Cow::Owned(text.into_owned())),
        }
    }
}

/// As an operator would write it; never for a log.
impl fmt::Display for KeyValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Moment(moment) => moment.fmt(f),
            Self::Text(text) => write!(f, "'{}'", String::from_utf8_lossy(text).escape_debug()),
        }
    }
}

#[cfg(test)]
mod tests;
