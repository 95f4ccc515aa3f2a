//! How important a statement is: 1 must get through, 4 is the first to go.

use std::fmt;

/// A tier, from 1 (must get through) to [`Tier::COUNT`] (the first to go).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tier(u8);

impl Tier {
    /// How many there are.
    pub const COUNT: usize = 4;
    /// Must get through.
    pub const FIRST: Self = Self(1);
    /// What no rule gives another tier.
    pub const NORMAL: Self = Self(3);
    /// The first to go.
    pub const LAST: Self = Self(Self::COUNT as u8);

    /// Tier `number`, if there is one.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number >= 1 && number <= Self::COUNT as u32 { Some(Self(number as u8)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0 as u32
    }

    /// Every tier, the most important first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (1..=Self::COUNT as u8).map(Self)
    }

    /// Its place in an array of [`Tier::COUNT`].
    pub(crate) const fn index(self) -> usize {
        self.0 as usize - 1
    }

    /// The next more important one; tier 1 has none.
    pub(crate) const fn above(self) -> Option<Self> {
        if self.0 > 1 { Some(Self(self.0 - 1)) } else { None }
    }

    /// The next less important one.
    pub(crate) const fn below(self) -> Option<Self> {
        if (self.0 as usize) < Self::COUNT { Some(Self(self.0 + 1)) } else { None }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
