//! Slots, the unit of placement, and compact sets of them: what the routing algebra computes with.

use std::fmt;

/// Slots of one logical database at most: ids fit sixteen bits, and a set of all of them 8 KiB.
pub const SLOTS_MAX: usize = 65_536;

/// Bits of a set that need no allocation.
const INLINE: usize = 128;

/// One physical database on a shard, counted from 0 through all placements of a logical database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u16);

impl SlotId {
    /// Its place in a list of all slots.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of slots of one logical database, whose slots are its universe.
///
/// Up to 128 slots it is two words; beyond that one allocation.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SlotSet {
    /// How many slots there are.
    universe: u32,
    words: Words,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Words {
    Inline([u64; INLINE / 64]),
    Heap(Box<[u64]>),
}

impl SlotSet {
    /// No slot of `universe`.
    #[must_use]
    pub fn none(universe: usize) -> Self {
        debug_assert!(universe <= SLOTS_MAX, "a logical database has at most 65,536 slots");
        let words = if universe <= INLINE {
            Words::Inline([0; INLINE / 64])
        } else {
            Words::Heap(vec![0; universe.div_ceil(64)].into())
        };
        Self { universe: universe as u32, words }
    }

    /// Every slot of `universe`.
    #[must_use]
    pub fn all(universe: usize) -> Self {
        let mut set = Self::none(universe);
        set.insert_range(0..universe);
        set
    }

    /// `slot` alone.
    #[must_use]
    pub fn one(universe: usize, slot: SlotId) -> Self {
        let mut set = Self::none(universe);
        set.insert(slot);
        set
    }

    /// Every one of `slots`.
    #[must_use]
    pub fn of(universe: usize, slots: impl IntoIterator<Item = SlotId>) -> Self {
        let mut set = Self::none(universe);
        for slot in slots {
            set.insert(slot);
        }
        set
    }

    /// How many slots the logical database has.
    #[must_use]
    pub const fn universe(&self) -> usize {
        self.universe as usize
    }

    /// Adds `slot`; one outside the universe changes nothing.
    pub fn insert(&mut self, slot: SlotId) {
        if slot.index() < self.universe() {
            self.words_mut()[slot.index() / 64] |= 1 << (slot.index() % 64);
        }
    }

    /// Adds the slots with these places.
    pub fn insert_range(&mut self, range: std::ops::Range<usize>) {
        let end = range.end.min(self.universe());
        let words = self.words_mut();
        for index in range.start..end {
            words[index / 64] |= 1 << (index % 64);
        }
    }

    /// Whether `slot` is in it.
    #[must_use]
    pub fn contains(&self, slot: SlotId) -> bool {
        self.words().get(slot.index() / 64).is_some_and(|word| word >> (slot.index() % 64) & 1 == 1)
    }

    /// How many slots are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words().iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no slot is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words().iter().all(|word| *word == 0)
    }

    /// The slot, if there is exactly one.
    #[must_use]
    pub fn single(&self) -> Option<SlotId> {
        let mut slots = self.iter();
        match (slots.next(), slots.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// The slots from the lowest upwards.
    pub fn iter(&self) -> impl Iterator<Item = SlotId> + '_ {
        self.words().iter().enumerate().flat_map(|(place, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                rest &= rest.wrapping_sub(1);
                (bit < 64).then(|| SlotId((place * 64) as u16 + bit as u16))
            })
        })
    }

    /// ∩: what is in both.
    pub fn intersect(&mut self, other: &Self) {
        debug_assert_eq!(self.universe, other.universe, "sets of two logical databases never meet");
        for (word, theirs) in self.words_mut().iter_mut().zip(other.words()) {
            *word &= theirs;
        }
    }

    /// ∪: what is in one of them.
    pub fn unite(&mut self, other: &Self) {
        debug_assert_eq!(self.universe, other.universe, "sets of two logical databases never meet");
        for (word, theirs) in self.words_mut().iter_mut().zip(other.words()) {
            *word |= theirs;
        }
    }

    /// Whether every slot of it is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.words().iter().zip(other.words()).all(|(word, theirs)| word & !theirs == 0)
    }

    fn words(&self) -> &[u64] {
        match &self.words {
            Words::Inline(words) => words,
            Words::Heap(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match &mut self.words {
            Words::Inline(words) => words,
            Words::Heap(words) => words,
        }
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|slot| slot.0)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn slots(of: &SlotSet) -> BTreeSet<u16> {
        of.iter().map(|slot| slot.0).collect()
    }

    proptest! {
        #[test]
        fn a_set_of_slots_behaves_like_a_set(
            universe in prop_oneof![1_usize..130, 130_usize..1_500],
            a in prop::collection::btree_set(0_u16..1_500, 0..40),
            b in prop::collection::btree_set(0_u16..1_500, 0..40),
        ) {
            let within = |slots: &BTreeSet<u16>| -> BTreeSet<u16> {
                slots.iter().copied().filter(|slot| usize::from(*slot) < universe).collect()
            };
            let (a, b) = (within(&a), within(&b));
            let set = |slots: &BTreeSet<u16>| SlotSet::of(universe, slots.iter().copied().map(SlotId));
            let (mut meet, mut union) = (set(&a), set(&a));
            meet.intersect(&set(&b));
            union.unite(&set(&b));
            prop_assert_eq!(slots(&meet), &a & &b);
            prop_assert_eq!(slots(&union), &a | &b);
            prop_assert_eq!(meet.len(), (&a & &b).len());
            prop_assert_eq!(meet.is_empty(), (&a & &b).is_empty());
            prop_assert!(meet.is_subset(&union) && union.is_subset(&SlotSet::all(universe)));
            prop_assert_eq!(SlotSet::all(universe).len(), universe);
            prop_assert_eq!(set(&a).single().is_some(), a.len() == 1);
            prop_assert!(a.iter().all(|slot| union.contains(SlotId(*slot))));
        }
    }

    #[test]
    fn a_slot_outside_the_universe_is_never_in_a_set() {
        let mut set = SlotSet::none(4);
        set.insert(SlotId(4));
        set.insert(SlotId(700));
        assert!(set.is_empty() && !set.contains(SlotId(700)));
        assert_eq!(format!("{:?}", SlotSet::one(4, SlotId(2))), "{2}");
    }
}
