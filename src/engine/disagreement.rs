//! Where the server tells of a change that the text does not show: the server is right, and it is told to operators.

use std::collections::HashSet;

use parking_lot::Mutex;
use tracing::warn;

use crate::engine::relay::Outcome;
use crate::engine::session::Session;
use crate::engine::tracker::is_carried;
use crate::sql::{Effects, Statement};

/// Digests that are remembered as told of; beyond it nothing more is logged.
const TOLD_MAX: usize = 1024;

/// Digests that a worker has told of.
#[derive(Debug, Default)]
pub struct Disagreements {
    /// Only this worker's sessions use it, one at a time and never across an await.
    told: Mutex<HashSet<u64>>,
}

impl Disagreements {
    /// Whether this digest is to be told of: once.
    fn is_news(&self, digest: u64) -> bool {
        let mut told = self.told.lock();
        told.len() < TOLD_MAX && told.insert(digest)
    }
}

/// Effects with which nobody expects the text to show everything.
const OPAQUE: Effects = Effects::CALLS_PROCEDURE
    .with(Effects::CALLS_UNKNOWN_FUNCTION)
    .with(Effects::TEXT_EXECUTE)
    .with(Effects::MULTIPLE)
    .with(Effects::CONDITIONAL)
    .with(Effects::UNREADABLE);

/// Effects that show that variables change.
const SETTING: Effects = Effects::SETS_SYSTEM_VARIABLE
    .with(Effects::SETS_UNTRACKED)
    .with(Effects::SETS_NEXT_TRANSACTION)
    .with(Effects::SETS_LAST_INSERT_ID)
    .with(Effects::SET_ROLE)
    .with(Effects::SETS_GLOBAL);

impl Session {
    /// Compares what the server told of a statement's changes with what its text shows.
    pub(crate) fn compare_witnesses(&self, statement: &Statement, outcome: &Outcome) {
        let effects = statement.effects;
        if effects.intersects(OPAQUE) {
            return;
        }
        let changes = &outcome.changes;
        // Variables of the database follow from the schema, and a DROP may leave one.
        let of_schema = |name: &str| name.ends_with("_database");
        let variables = changes.variables.iter().any(|(name, _)| is_carried(name) && !of_schema(name));
        let moved = changes
            .schema
            .as_deref()
            .is_some_and(|schema| !schema.is_empty() && Some(schema) != self.state.image.schema());
        let set_unseen = variables && !effects.intersects(SETTING);
        let moved_unseen = moved && !effects.contains(Effects::CHANGES_SCHEMA);
        if !set_unseen && !moved_unseen {
            return;
        }
        self.worker.metrics.tracker_disagreements.increment();
        if self.worker.disagreements.is_news(statement.digest.hash) {
            let digest = format!("{:016x}", statement.digest.hash);
            let names: Vec<&str> = changes.variables.iter().map(|(name, _)| &**name).collect();
            warn!(digest, ?names, moved, "the server told of a change that the statement does not show");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_told_of_once_and_not_too_many_of_them() {
        let disagreements = Disagreements::default();
        assert!(disagreements.is_news(7) && !disagreements.is_news(7));
        let told = (100..5000).filter(|digest| disagreements.is_news(*digest)).count();
        assert_eq!(told, TOLD_MAX - 1);
    }
}
