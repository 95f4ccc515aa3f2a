//! What a step can do with a value: the fixed list, without code in rules.

use std::ops::Bound;

use crate::sharding::key::KeyValue;
use crate::sharding::placement::{Hash, Interval, Legacy, List, Range};

/// One of the algorithms that a rule file may name.
#[derive(Clone, Debug, PartialEq)]
pub enum Algorithm {
    /// A named hash function; outcomes are its buckets.
    Hash(Hash),
    /// Listed values.
    List(List),
    /// Ranges of values.
    Range(Range),
    /// Days, weeks, months or years.
    Interval(Interval),
    /// A function of another product.
    Legacy(Legacy),
}

/// Outcomes that a range of values can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcomes {
    /// Any of them.
    All,
    /// These.
    Some(Vec<u32>),
}

impl Algorithm {
    /// How many outcomes there are.
    #[must_use]
    pub fn outcomes(&self) -> u32 {
        match self {
            Self::Hash(hash) => hash.buckets(),
            Self::List(list) => list.outcomes(),
            Self::Range(range) => range.outcomes(),
            Self::Interval(interval) => interval.count(),
            Self::Legacy(legacy) => legacy.outcomes(),
        }
    }

    /// The outcome of `value`; None if it has no place.
    #[must_use]
    pub fn outcome(&self, value: &KeyValue<'_>) -> Option<u32> {
        match self {
            Self::Hash(hash) => Some(hash.bucket(value)),
            Self::List(list) => list.outcome(value),
            Self::Range(range) => range.outcome(value),
            Self::Interval(interval) => interval.outcome(value),
            Self::Legacy(legacy) => legacy.outcome(value),
        }
    }

    /// The outcomes that values between two bounds can have; never one too few.
    #[must_use]
    pub fn between(&self, lower: Bound<&KeyValue<'_>>, upper: Bound<&KeyValue<'_>>) -> Outcomes {
        match self {
            Self::Hash(hash) => hash.between(lower, upper),
            Self::List(list) => list.between(lower, upper),
            Self::Range(range) => range.between(lower, upper),
            Self::Interval(interval) => interval.between(lower, upper),
            Self::Legacy(_) => Outcomes::All,
        }
    }
}
