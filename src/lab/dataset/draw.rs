//! Random values of one row: a SplitMix64 sequence that begins at the hash of seed, table and row number.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The sequence of one row. Its values stay the same over versions of this program.
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64, table: &str, row: u32) -> Self {
        let mut key = table.as_bytes().to_vec();
        key.extend_from_slice(&row.to_le_bytes());
        Self(xxh3_64_with_seed(&key, seed))
    }

    /// A number below `bound`, which is not 0. The tiny bias of the multiplication does not matter here.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        let high = (u128::from(self.next()) * u128::from(bound)) >> 64;
        u32::try_from(high).expect("less than a u32 bound")
    }

    /// A number of `from..=to`.
    pub(super) fn between(&mut self, from: u32, to: u32) -> u32 {
        from + self.below(to - from + 1)
    }

    /// True for so many percent.
    pub(super) fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`, which is not empty.
    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let count = u32::try_from(choices.len()).expect("a short list");
        choices[self.below(count) as usize]
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
