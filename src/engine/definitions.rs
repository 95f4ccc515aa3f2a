//! Whether what servers told earlier still holds: a definition, or a global variable, may have changed since.
//!
//! What is answered from memory (a PREPARE of a known text, what drivers ask when they connect) was true when a server
//! said it. Statements that pass through here and may make it untrue are counted; what others do to the server
//! is noticed late, so nothing is believed for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::Told;
use crate::sql::{Effects, Kind, Statement};

/// What a server said of definitions is asked anew after this time: somebody else may have changed them.
pub(crate) const DEFINITION_BELIEVED_MAX: Duration = Duration::from_secs(1);

/// The same of settings, which connections keep anyway as they were when they were made.
pub(crate) const SETTING_BELIEVED_MAX: Duration = Duration::from_secs(10);

/// Changes of definitions that passed through this process.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    /// Changes that have ended.
    ended: AtomicU64,
    /// Changes under way.
    running: AtomicU64,
}

/// A change under way; it has ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Change(Arc<Definitions>);

impl Drop for Change {
    fn drop(&mut self) {
        // In this order: who sees that nothing is under way sees the change, too.
        self.0.ended.fetch_add(1, Ordering::Release);
        self.0.running.fetch_sub(1, Ordering::Release);
    }
}

impl Definitions {
    /// To be held while `statement` runs, if it may change what servers have told.
    pub(crate) fn change(self: &Arc<Self>, statement: &Statement) -> Option<Change> {
        may_change(statement).then(|| {
            self.running.fetch_add(1, Ordering::Release);
            Change(Arc::clone(self))
        })
    }

    /// To be kept with what a server is about to be asked.
    pub(crate) fn told(&self) -> Told {
        Told { changes: self.ended.load(Ordering::Acquire), at: Instant::now() }
    }

    /// Whether what was told then can be told again.
    pub(crate) fn holds(&self, told: Told, believed_max: Duration) -> bool {
        self.running.load(Ordering::Acquire) == 0
            && self.ended.load(Ordering::Acquire) == told.changes
            && told.at.elapsed() < believed_max
    }
}

/// Whether a statement may change definitions, privileges or global variables.
fn may_change(statement: &Statement) -> bool {
    let effects = statement.effects;
    let opaque =
        Effects::CALLS_PROCEDURE | Effects::TEXT_EXECUTE | Effects::UNREADABLE | Effects::SETS_GLOBAL;
    if effects.intersects(opaque) {
        return true;
    }
    let harmless = matches!(
        statement.kind,
        Kind::Begin
            | Kind::LockTables
            | Kind::UnlockTables
            | Kind::Truncate
            | Kind::Flush
            | Kind::Maintenance
    );
    effects.contains(Effects::IMPLICIT_COMMIT) && (effects.contains(Effects::MULTIPLE) || !harmless)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{LexMode, analyze};

    const MAX: Duration = DEFINITION_BELIEVED_MAX;

    #[test]
    fn statements_that_change_definitions_are_known() {
        let check = |text: &str, expected: bool| {
            assert_eq!(may_change(&analyze(text.as_bytes(), LexMode::default())), expected, "{text}");
        };
        check("ALTER TABLE t ADD COLUMN a INT", true);
        check("/*! DROP TABLE t */", true);
        check("CREATE OR REPLACE VIEW v AS SELECT 1", true);
        check("GRANT SELECT ON t TO u", true);
        check("RENAME TABLE t TO u", true);
        check("CALL p()", true);
        check("EXECUTE s", true);
        check("SELECT 1; ALTER TABLE t ADD COLUMN a INT", true);
        check("SET GLOBAL wait_timeout = 5", true);
        check("SELECT 1", false);
        check("INSERT INTO t VALUES (1)", false);
        check("BEGIN", false);
        check("SET sql_mode = ''", false);
        check("CREATE TEMPORARY TABLE t (a INT)", false);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_holds_until_a_change_ends_or_time_passes() {
        let definitions = Arc::new(Definitions::default());
        let alter = analyze(b"ALTER TABLE t ADD COLUMN a INT", LexMode::default());
        let told = definitions.told();
        assert!(definitions.holds(told, MAX));
        let change = definitions.change(&alter);
        assert!(!definitions.holds(told, MAX) && !definitions.holds(definitions.told(), MAX));
        let during = definitions.told();
        drop(change);
        assert!(!definitions.holds(told, MAX) && !definitions.holds(during, MAX));
        let told = definitions.told();
        tokio::time::advance(MAX).await;
        assert!(!definitions.holds(told, MAX));
    }
}
