//! Hashing: a value's bytes through a named, frozen function into one of 2^n buckets.
//!
//! Buckets are many more than slots, and a slot holds a run of them. So a slot can be split in two without
//! touching what ids carry, and one hot bucket can be isolated.

use std::ops::Bound;

use xxhash_rust::xxh64::xxh64;

use crate::sharding::key::KeyValue;
use crate::sharding::placement::Outcomes;

/// Whole numbers of a range that are tried one by one; more are every bucket.
const EXPANDED_MAX: i128 = 64;

/// Bits of a bucket's number at most.
pub const BUCKET_BITS_MAX: u32 = 20;

/// A hash function, with the version of what its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFunction {
    /// `xxh64/1`: XXH64 with seed 0. A whole number is its 8 bytes in two's complement, lowest first; a
    /// string is the bytes of its canonical form; a moment is its microseconds since 1970, as a number.
    ///
    /// Why this one: it is specified byte by byte, exists in every language that a data move may be written
    /// in, spreads consecutive ids evenly, and takes 5 ns for a number.
    Xxh64V1,
}

impl HashFunction {
    /// Every function with its name.
    pub const ALL: [(&'static str, Self); 1] = [("xxh64/1", Self::Xxh64V1)];

    /// Its name in the rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xxh64V1 => "xxh64/1",
        }
    }

    /// The hash of `value`.
    #[must_use]
    pub fn hash(self, value: &KeyValue<'_>) -> u64 {
        match self {
            Self::Xxh64V1 => match value {
                KeyValue::Integer(number) => xxh64(&(*number as u64).to_le_bytes(), 0),
                KeyValue::Moment(moment) => xxh64(&moment.micros().to_le_bytes(), 0),
                KeyValue::Text(text) => xxh64(text, 0),
            },
        }
    }
}

/// A hash function and how many buckets it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    /// The function.
    pub function: HashFunction,
    /// Bits of a bucket's number.
    pub bits: u32,
}

impl Hash {
    pub(super) fn buckets(self) -> u32 {
        1 << self.bits.min(BUCKET_BITS_MAX)
    }

    /// The bucket of `value`: the lowest bits of its hash.
    #[must_use]
    pub fn bucket(self, value: &KeyValue<'_>) -> u32 {
        (self.function.hash(value) & u64::from(self.buckets() - 1)) as u32
    }

    /// The slot, of `slots`, that holds `bucket`: runs of buckets in order, as even as can be.
    #[must_use]
    pub fn slot_of_bucket(self, bucket: u32, slots: u32) -> u32 {
        (u64::from(bucket) * u64::from(slots) / u64::from(self.buckets())) as u32
    }

    pub(super) fn between(self, lower: Bound<&KeyValue<'_>>, upper: Bound<&KeyValue<'_>>) -> Outcomes {
        let first = match lower {
            Bound::Included(KeyValue::Integer(number)) => *number,
            Bound::Excluded(KeyValue::Integer(number)) => *number + 1,
            Bound::Included(_) | Bound::Excluded(_) | Bound::Unbounded => return Outcomes::All,
        };
        let last = match upper {
            Bound::Included(KeyValue::Integer(number)) => *number,
            Bound::Excluded(KeyValue::Integer(number)) => *number - 1,
            Bound::Included(_) | Bound::Excluded(_) | Bound::Unbounded => return Outcomes::All,
        };
        if last - first >= EXPANDED_MAX {
            return Outcomes::All;
        }
        Outcomes::Some((first..=last).map(|number| self.bucket(&KeyValue::Integer(number))).collect())
    }
}
