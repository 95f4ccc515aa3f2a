//! Sequences: where generated ids come from, and how their bits are composed. The pure part.

use crate::sharding::key::{BitField, KeyId};
use crate::sharding::rules::ShardId;

/// A sequence of one logical database, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(pub u16);

/// A source of ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// Its name in the rules.
    pub name: Box<str>,
    /// How it makes ids.
    pub kind: SequenceKind,
}

/// How a sequence makes ids.
#[derive(Clone, Debug, PartialEq)]
pub enum SequenceKind {
    /// Runs of numbers, each fetched from a row of a table and handed out from memory.
    Segment(Segment),
    /// Another sequence's number and what the row's keys decide, side by side in the bits of one id.
    Composed(Composed),
}

/// Runs of numbers from a table `(name, next)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The shard of the table.
    pub shard: ShardId,
    /// Its database there.
    pub database: Box<str>,
    /// The table.
    pub table: Box<str>,
    /// Numbers that are fetched at once.
    pub step: u64,
    /// The next run is fetched once so many percent of this one are used.
    pub prefetch_percent: u8,
}

/// An id made of parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Composed {
    /// The key whose bits it fills.
    pub key: KeyId,
    /// Each part with its bits.
    pub parts: Vec<(BitField, Part)>,
}

/// What fills some bits of a composed id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The next number of a sequence.
    Sequence(SequenceId),
    /// What the step of a placement that looks at this key decides for the row: its bucket, or the number of
    /// its group.
    Of(KeyId),
}

/// An id could not be composed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncomposed {
    /// The part at this place does not fit its bits: the sequence is used up.
    Full(usize),
}

impl Composed {
    /// The id of these parts, in the order of [`Composed::parts`].
    ///
    /// # Errors
    /// If one does not fit its bits.
    pub fn id(&self, parts: &[u64]) -> Result<u64, Uncomposed> {
        let mut id = 0;
        for (place, ((field, _), value)) in self.parts.iter().zip(parts).enumerate() {
            if *value > field.mask() {
                return Err(Uncomposed::Full(place));
            }
            id |= value << field.offset;
        }
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_side_by_side_and_a_part_that_does_not_fit_is_refused() {
        let field = |offset, length| BitField { name: "f".into(), offset, length };
        let parts = vec![
            (field(0, 14), Part::Of(KeyId(0))),
            (field(14, 4), Part::Of(KeyId(1))),
            (field(18, 45), Part::Sequence(SequenceId(0))),
        ];
        let composed = Composed { key: KeyId(2), parts };
        assert_eq!(composed.id(&[1_121, 1, 123_456]), Ok(32_363_267_169));
        assert_eq!(composed.id(&[1_121, 1, (1 << 45) - 1]).map(|id| id >> 63), Ok(0), "fits a signed BIGINT");
        assert_eq!(composed.id(&[1_121, 16, 1]), Err(Uncomposed::Full(1)));
        assert_eq!(composed.id(&[1_121, 1, 1 << 45]), Err(Uncomposed::Full(2)));
        for ((field, _), value) in composed.parts.iter().zip([1_121, 1, 123_456]) {
            assert_eq!(field.of(32_363_267_169), Some(value));
        }
    }
}
