//! Lists: each value is named, or there is a place for the rest, or the value has none.

use std::collections::HashMap;
use std::ops::{Bound, RangeBounds};

use crate::sharding::key::KeyValue;
use crate::sharding::placement::Outcomes;

/// Values and the outcome of each.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    values: HashMap<KeyValue<'static>, u32, foldhash::fast::FixedState>,
    rest: Option<u32>,
    outcomes: u32,
}

impl List {
    /// `values` with their outcomes, and the outcome of all others, if they have one. `outcomes` is more
    /// than each of them.
    #[must_use]
    pub fn new(
        values: impl IntoIterator<Item = (KeyValue<'static>, u32)>,
        rest: Option<u32>,
        outcomes: u32,
    ) -> Self {
        Self { values: values.into_iter().collect(), rest, outcomes }
    }

    pub(super) const fn outcomes(&self) -> u32 {
        self.outcomes
    }

    pub(super) fn outcome(&self, value: &KeyValue<'_>) -> Option<u32> {
        self.values.get(value).copied().or(self.rest)
    }

    /// The outcome of all values that are not listed.
    #[must_use]
    pub const fn rest(&self) -> Option<u32> {
        self.rest
    }

    /// The values, in no order.
    pub fn values(&self) -> impl Iterator<Item = (&KeyValue<'static>, u32)> {
        self.values.iter().map(|(value, outcome)| (value, *outcome))
    }

    pub(super) fn between(&self, lower: Bound<&KeyValue<'_>>, upper: Bound<&KeyValue<'_>>) -> Outcomes {
        let mut outcomes: Vec<u32> = self
            .values
            .iter()
            .filter(|(value, _)| (lower, upper).contains(*value))
            .map(|(_, outcome)| *outcome)
            .chain(self.rest)
            .collect();
        outcomes.sort_unstable();
        outcomes.dedup();
        Outcomes::Some(outcomes)
    }
}
