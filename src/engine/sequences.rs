//! MariaDB's LASTVAL(): the number that a connection has taken last from a sequence, which no reply tells and no other
//! connection knows.
//!
//! A number may be taken where no text shows it: by a column's default, a trigger, a routine. So only who ran all of a
//! session's writes can answer, and it must have run nobody else's. To keep every session that takes a number would cost
//! those dear who never look back; so sessions are kept once their user has asked, and who asks before is refused.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::backend::Flavor;
use crate::engine::error::EngineError;
use crate::engine::relay::Outcome;
use crate::engine::session::Session;
use crate::engine::values::Witness;
use crate::sql::{Access, Effects, FoundRows, Kind, Statement};
use crate::telemetry::PinReason;
use crate::wire::StatusFlags;

/// Users that are remembered; with more, everybody counts as one of them.
const USERS_MAX: usize = 1024;

/// Users that have asked for LASTVAL().
#[derive(Debug, Default)]
pub(crate) struct Askers {
    /// There are some: the common case is that there are none.
    any: AtomicBool,
    /// A look-up or an insertion, no more, for statements that write once somebody has asked.
    users: Mutex<HashSet<Box<str>>>,
}

impl Askers {
    fn has(&self, user: &str) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let users = self.users.lock();
        users.len() >= USERS_MAX || users.contains(user)
    }

    fn add(&self, user: &str) {
        let mut users = self.users.lock();
        if users.len() < USERS_MAX && !users.contains(user) {
            users.insert(user.into());
        }
        self.any.store(true, Ordering::Relaxed);
    }
}

/// Effects with which a statement takes numbers, or may do anything.
const TAKING: Effects = Effects::USES_SEQUENCE
    .with(Effects::READS_SEQUENCE)
    .with(Effects::CALLS_PROCEDURE)
    .with(Effects::CALLS_UNKNOWN_FUNCTION)
    .with(Effects::TEXT_EXECUTE)
    .with(Effects::MULTIPLE)
    .with(Effects::CONDITIONAL)
    .with(Effects::UNREADABLE);

impl Session {
    /// Before a statement on the leased connection: what LASTVAL() is there must be what it is for the session.
    pub(crate) async fn prepare_sequences(&mut self, statement: &Statement) -> Result<(), EngineError> {
        let reads = statement.effects.contains(Effects::READS_SEQUENCE);
        let concerned = reads || statement.access == Access::Write && self.engine.askers.has(&self.user.name);
        if !concerned || self.witness.sequences || self.flavor() != Flavor::MariaDb {
            return Ok(());
        }
        if reads {
            self.engine.askers.add(&self.user.name);
        }
        let image = self.wanted_image();
        let held = !self.pins.is_empty() && !self.holds_for_diagnostics() || !self.owed.is_empty();
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        let bound = held || lease.status.has(StatusFlags::IN_TRANS);
        if self.took_numbers_elsewhere || self.place.is_some() || bound && lease.took_numbers {
            return if reads { Err(refusal()) } else { Ok(()) };
        }
        if lease.took_numbers {
            lease.reset().await?;
            lease.adopt(&image).await?;
            self.witness = Witness::default();
            self.pins.end(PinReason::Warnings);
        }
        self.witness.sequences = true;
        Ok(())
    }

    /// After a statement: it may have taken a number.
    pub(crate) fn note_sequences(&mut self, statement: &Statement, text: &[u8], outcome: &Outcome) {
        let syntax = outcome.is_syntax_error() && !statement.effects.intersects(TAKING);
        if statement.access == Access::Read || !may_take(statement, text) || syntax {
            return;
        }
        let Some(lease) = self.lease.as_mut().filter(|lease| lease.facts.flavor == Flavor::MariaDb) else {
            return;
        };
        lease.took_numbers = true;
        if self.witness.sequences {
            self.pin(PinReason::Sequence);
        } else {
            self.took_numbers_elsewhere = true;
        }
    }
}

/// Whether a statement that writes may take a number of a sequence, be it unseen.
fn may_take(statement: &Statement, text: &[u8]) -> bool {
    if statement.effects.intersects(TAKING) {
        return true;
    }
    match statement.kind {
        Kind::Insert
        | Kind::Replace
        | Kind::Load
        | Kind::Update
        | Kind::Delete
        | Kind::Compound
        | Kind::Analyze
        | Kind::Unknown => true,
        // A table that is filled by a query.
        Kind::CreateTable => statement.found_rows != FoundRows::Kept,
        // A column that is added, with a default for rows that are there.
        Kind::Ddl => text.windows(4).any(|word| word.eq_ignore_ascii_case(b"NEXT")),
        _ => false,
    }
}

fn refusal() -> EngineError {
    EngineError::refused(
        1235,
        "42000",
        "DZ0005 LASTVAL() of a session whose statements ran on several server connections; sessions that begin from now \
         on keep theirs: connect again, or keep the value of NEXTVAL()",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_asked_is_remembered_and_too_many_are_everybody() {
        let askers = Askers::default();
        assert!(!askers.has("a"));
        askers.add("a");
        assert!(askers.has("a") && !askers.has("b"));
        for n in 0..USERS_MAX {
            askers.add(&format!("u{n}"));
        }
        assert!(askers.has("b"));
        assert_eq!(askers.users.lock().len(), USERS_MAX);
    }
}
