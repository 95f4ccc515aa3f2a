//! Ranges: half-open spans of values, in order and without holes, as in PARTITION BY RANGE.

use std::ops::Bound;

use crate::sharding::key::KeyValue;
use crate::sharding::placement::Outcomes;

/// One span: from `from`, or from the least value, to below `below`, or to the greatest value.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The first value.
    pub from: Option<KeyValue<'static>>,
    /// The first value that is no longer in it.
    pub below: Option<KeyValue<'static>>,
    /// Its outcome.
    pub outcome: u32,
}

/// Spans from the lowest upwards; none overlaps another.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    spans: Vec<Span>,
    outcomes: u32,
}

impl Range {
    /// `spans`, sorted and disjoint; `outcomes` is more than each of their outcomes.
    #[must_use]
    pub fn new(spans: Vec<Span>, outcomes: u32) -> Self {
        Self { spans, outcomes }
    }

    pub(super) const fn outcomes(&self) -> u32 {
        self.outcomes
    }

    /// The spans, from the lowest upwards.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    pub(super) fn outcome(&self, value: &KeyValue<'_>) -> Option<u32> {
        let after = self.spans.partition_point(|span| span.from.as_ref().is_none_or(|from| from <= value));
        let span = self.spans.get(after.checked_sub(1)?)?;
        span.below.as_ref().is_none_or(|below| value < below).then_some(span.outcome)
    }

    pub(super) fn between(&self, lower: Bound<&KeyValue<'_>>, upper: Bound<&KeyValue<'_>>) -> Outcomes {
        let touched = |span: &&Span| {
            let ends_before = match (&span.below, lower) {
                (Some(below), Bound::Included(lower) | Bound::Excluded(lower)) => below <= lower,
                (None, _) | (_, Bound::Unbounded) => false,
            };
            let starts_after = match (&span.from, upper) {
                (Some(from), Bound::Included(upper)) => from > upper,
                (Some(from), Bound::Excluded(upper)) => from >= upper,
                (None, _) | (_, Bound::Unbounded) => false,
            };
            !ends_before && !starts_after
        };
        Outcomes::Some(self.spans.iter().filter(touched).map(|span| span.outcome).collect())
    }
}
