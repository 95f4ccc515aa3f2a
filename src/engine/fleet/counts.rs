//! What became of what Redis was asked and told.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What became of one question or telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FleetOutcome {
    /// A result that holds.
    Hit,
    /// None.
    Miss,
    /// One from before a write.
    Old,
    /// That of another question.
    Another,
    /// Something that no process of the fleet has put there, or that is damaged.
    Poisoned,
    /// Redis, or the way to it, failed.
    Failed,
    /// It did not answer in time.
    Late,
    /// It was not asked: the circuit is open, or somebody has yet to be told of a write.
    Passed,
    /// A write was told before its client was.
    Told,
    /// It was not, and is told later.
    Untold,
    /// A result was put.
    Put,
    /// One was not: too many wait, or it failed.
    NotPut,
}

impl FleetOutcome {
    /// Their names in metrics, in their order.
    pub const NAMES: [&'static str; 12] = [
        "hit", "miss", "old", "another", "poisoned", "failed", "late", "passed", "told", "untold", "put",
        "not_put",
    ];
}

/// One counter for each.
#[derive(Debug, Default)]
pub(super) struct Counts([AtomicU64; FleetOutcome::NAMES.len()]);

impl Counts {
    pub(super) fn add(&self, outcome: FleetOutcome) {
        self.0[outcome as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn outcomes(&self) -> Vec<(&'static str, u64)> {
        FleetOutcome::NAMES.iter().zip(&self.0).map(|(name, count)| (*name, count.load(Relaxed))).collect()
    }
}

/// What operators see.
#[derive(Clone, Debug)]
pub struct FleetNumbers {
    /// Redis is asked.
    pub closed: bool,
    /// How often the circuit has opened.
    pub openings: u64,
    /// Why a question failed last.
    pub reason: Option<String>,
    /// Places with writes that the others do not know of.
    pub untold: u64,
    /// Connections to Redis.
    pub connections: u64,
    /// What became of questions, tellings and results, by name.
    pub outcomes: Vec<(&'static str, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_name() {
        let counts = Counts::default();
        counts.add(FleetOutcome::Hit);
        counts.add(FleetOutcome::NotPut);
        let outcomes = counts.outcomes();
        assert_eq!((outcomes[0], outcomes[11]), (("hit", 1), ("not_put", 1)));
    }
}
