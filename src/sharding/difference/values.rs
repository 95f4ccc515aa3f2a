//! Values whose slot another revision changes: compared over everything that the two tell apart.

use std::collections::BTreeSet;

use crate::sharding::key::{KeyValue, Moment};
use crate::sharding::placement::{Algorithm, Interval, Placement};
use crate::sharding::rules::ShardingRules;
use crate::sharding::slots::SlotId;

/// How many combinations of what the two tell apart lead to a slot of another label than before, of how many that
/// led to one. A value that leads nowhere any more is told of its slot, if that is gone.
pub(super) fn moved(
    (old, before): (&ShardingRules, &Placement),
    (new, after): (&ShardingRules, &Placement),
) -> (usize, usize) {
    let (Some(old_way), Some(new_way)) = (aligned(before, after), aligned(after, before)) else {
        return (1, 1);
    };
    let led = || old_way.iter().zip(&new_way).filter_map(|(old, new)| Some(((*old)?, *new)));
    let elsewhere = |(was, now): &(SlotId, Option<SlotId>)| {
        let label = &old.slot(*was).label;
        match now {
            Some(now) => new.slot(*now).label != *label,
            None => new.slot_named(label).is_some(),
        }
    };
    (led().filter(elsewhere).count(), led().count())
}

/// The slot in `placement` of each combination of what `basis` and it tell apart: buckets, listed values, the
/// beginnings of ranges and periods. None if the two cannot be compared.
fn aligned(placement: &Placement, basis: &Placement) -> Option<Vec<Option<SlotId>>> {
    let mut ways: Vec<Vec<Option<u32>>> = Vec::new();
    for (step, other) in placement.steps().iter().zip(basis.steps()) {
        ways.push(outcomes(&step.algorithm, &other.algorithm)?);
    }
    let slot = |outcomes: &[Option<u32>]| {
        let outcomes: Option<Vec<u32>> = outcomes.iter().copied().collect();
        outcomes.map(|outcomes| placement.cell(&outcomes))
    };
    match ways.as_slice() {
        [only] => Some(only.iter().map(|outcome| slot(&[*outcome])).collect()),
        [first, second] => {
            let pairs = first.iter().flat_map(|one| second.iter().map(move |other| [*one, *other]));
            Some(pairs.map(|pair| slot(&pair)).collect())
        }
        _ => None,
    }
}

/// The outcome in `algorithm` of each value that it or `basis` tells apart.
fn outcomes(algorithm: &Algorithm, basis: &Algorithm) -> Option<Vec<Option<u32>>> {
    let of = |values: BTreeSet<KeyValue<'static>>| -> Vec<Option<u32>> {
        values.iter().map(|value| algorithm.outcome(value)).collect()
    };
    match (algorithm, basis) {
        (Algorithm::Hash(one), Algorithm::Hash(other)) => {
            (one == other).then(|| (0..algorithm.outcomes()).map(Some).collect())
        }
        (Algorithm::Legacy(one), Algorithm::Legacy(other)) => {
            (one == other).then(|| (0..algorithm.outcomes()).map(Some).collect())
        }
        (Algorithm::List(one), Algorithm::List(other)) => {
            let listed = one.values().chain(other.values()).map(|(value, _)| value.clone());
            let mut outcomes = of(listed.collect());
            outcomes.push(one.rest());
            Some(outcomes)
        }
        (Algorithm::Range(one), Algorithm::Range(other)) => {
            let bounds = one.spans().iter().chain(other.spans());
            let bounds = bounds.flat_map(|span| span.from.iter().chain(&span.below).cloned());
            let mut outcomes = of(bounds.collect());
            outcomes.push(one.spans().first().filter(|span| span.from.is_none()).map(|span| span.outcome));
            Some(outcomes)
        }
        (Algorithm::Interval(one), Algorithm::Interval(other)) => {
            if one.every() != other.every() {
                return None;
            }
            let days = |interval: &Interval| {
                let interval = *interval;
                (0..interval.count()).map(move |outcome| interval.first_day(outcome).days())
            };
            let moments = days(one).chain(days(other)).map(Moment::of_day);
            Some(of(moments.map(KeyValue::Moment).collect()))
        }
        (
            Algorithm::Hash(_)
            | Algorithm::Legacy(_)
            | Algorithm::List(_)
            | Algorithm::Range(_)
            | Algorithm::Interval(_),
            _,
        ) => None,
    }
}
