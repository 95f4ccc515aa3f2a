//! Why a session keeps its server connection: what a statement left behind that no image describes.

use crate::engine::relay::Outcome;
use crate::sql::{Effects, Kind, Statement};
use crate::telemetry::PinReason;
use crate::wire::StatusFlags;

/// The set of reasons that hold right now; empty means the connection may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pins(u32);

/// Reasons that end by themselves, or leave nothing that a reset would have to wipe; the others last until what
/// is held is given up, or the session is reset.
const PASSING: [PinReason; 6] = [
    PinReason::Warnings,
    PinReason::FoundRows,
    PinReason::NextTransaction,
    PinReason::Savepoint,
    PinReason::Cursor,
    PinReason::LongData,
];

/// Effects that leave something behind, and the reason it is called by.
const LASTING: [(Effects, PinReason); 10] = [
    (Effects::CREATES_TEMPORARY_TABLE, PinReason::TemporaryTable),
    (Effects::LOCKS_TABLES, PinReason::TableLock),
    (Effects::FLUSH_WITH_READ_LOCK, PinReason::ReadLock),
    (Effects::LOCKS_INSTANCE, PinReason::InstanceLock),
    (Effects::GET_LOCK, PinReason::NamedLock),
    (Effects::HANDLER_OPEN, PinReason::Handler),
    (Effects::TEXT_PREPARE, PinReason::SqlPrepare),
    (Effects::SETS_UNTRACKED, PinReason::SessionVariable),
    (Effects::XA, PinReason::Xa),
    (Effects::UNREADABLE, PinReason::Unknown),
];

/// Effects that the server reports as a change of state, and that have a reason of their own.
const EXPLAINING: Effects = Effects::CREATES_TEMPORARY_TABLE
    .with(Effects::DROPS_TABLE)
    .with(Effects::TEXT_PREPARE)
    .with(Effects::TEXT_DEALLOCATE)
    .with(Effects::SETS_UNTRACKED)
    .with(Effects::SETS_SYSTEM_VARIABLE)
    .with(Effects::SETS_NEXT_TRANSACTION)
    .with(Effects::SET_ROLE)
    .with(Effects::XA);

/// What a reply told of the session after its statement.
#[derive(Clone, Copy, Debug, Default)]
pub struct After {
    /// The session's status.
    pub status: StatusFlags,
    /// A transaction was open, and is not any more.
    pub ended_transaction: bool,
    /// The server reported a change of state that is neither a variable nor the schema.
    pub unexplained: bool,
    /// FOUND_ROWS() is what it was before.
    pub kept_found_rows: bool,
}

impl Pins {
    const fn bit(reason: PinReason) -> u32 {
        1 << reason as u32
    }

    /// Whether nothing holds the connection.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this reason holds.
    #[must_use]
    pub const fn has(self, reason: PinReason) -> bool {
        self.0 & Self::bit(reason) != 0
    }

    /// Adds a reason; true if it is new.
    pub const fn add(&mut self, reason: PinReason) -> bool {
        let new = !self.has(reason);
        self.0 |= Self::bit(reason);
        new
    }

    /// Ends a reason.
    pub const fn end(&mut self, reason: PinReason) {
        self.0 &= !Self::bit(reason);
    }

    /// The reasons that leave the server's session unlike any image: the connection must be reset
    /// before somebody else gets it.
    #[must_use]
    pub fn lasting(self) -> Self {
        PASSING.iter().fold(self, |mut pins, reason| {
            pins.end(*reason);
            pins
        })
    }

    /// Whether a reason holds that ends by itself but leaves something in the server's session until it
    /// does: a cursor, collected long data, characteristics of the next transaction, a savepoint; diagnostics,
    /// because after an error nobody knows whether a transaction is open.
    #[must_use]
    pub const fn has_passing_state(self) -> bool {
        self.has(PinReason::Warnings)
            || self.has(PinReason::NextTransaction)
            || self.has(PinReason::Savepoint)
            || self.has(PinReason::Cursor)
            || self.has(PinReason::LongData)
    }

    /// Whether a reason holds for which a statement that nobody has read may have set roles.
    #[must_use]
    pub const fn may_hide_role(self) -> bool {
        self.has(PinReason::StateChange) || self.has(PinReason::SqlPrepare) || self.has(PinReason::Unknown)
    }

    /// The reasons that hold now and did not hold in `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self(self.0 & !before.0)
    }

    /// The reasons, one by one.
    pub fn iter(self) -> impl Iterator<Item = PinReason> {
        PinReason::ALL.into_iter().filter(move |reason| self.has(*reason))
    }

    /// Takes in what a statement did: of its effects those that it had.
    pub fn fold(&mut self, effects: Effects, after: After) {
        let in_transaction = after.status.has(StatusFlags::IN_TRANS);
        // Ends come first: where a text holds both an end and a beginning, the beginning counts.
        if effects.contains(Effects::UNLOCKS_TABLES) {
            self.end(PinReason::TableLock);
            self.end(PinReason::ReadLock);
        }
        // The beginning of a transaction gives the locks of LOCK TABLES up, not that of FLUSH TABLES.
        if effects.contains(Effects::STARTS_TRANSACTION) && !effects.contains(Effects::CONDITIONAL) {
            self.end(PinReason::TableLock);
        }
        if effects.contains(Effects::UNLOCKS_INSTANCE) {
            self.end(PinReason::InstanceLock);
        }
        if effects.contains(Effects::RELEASE_ALL_LOCKS) {
            self.end(PinReason::NamedLock);
        }
        if !after.kept_found_rows {
            self.end(PinReason::FoundRows);
        }
        // A statement without tables leaves the characteristics to the next one.
        if after.ended_transaction
            || effects.intersects(Effects::ENDS_TRANSACTION | Effects::IMPLICIT_COMMIT) && !in_transaction
        {
            self.end(PinReason::NextTransaction);
        }
        if effects.contains(Effects::ENDS_TRANSACTION) {
            self.end(PinReason::Savepoint);
        }
        for (effect, reason) in LASTING {
            if effects.contains(effect) {
                self.add(reason);
            }
        }
        if effects.contains(Effects::SQL_CALC_FOUND_ROWS) {
            self.add(PinReason::FoundRows);
        }
        if effects.contains(Effects::SETS_NEXT_TRANSACTION) {
            self.add(PinReason::NextTransaction);
        }
        // With autocommit off, a savepoint exists although the server does not say IN_TRANS (MySQL bug
        // 107875).
        if effects.contains(Effects::SAVEPOINT) && !in_transaction {
            self.add(PinReason::Savepoint);
        }
        if after.unexplained && (self.lasting().is_empty() || !effects.intersects(EXPLAINING)) {
            self.add(PinReason::StateChange);
        }
    }
}

/// The effects that a statement had: one that failed as a whole left nothing behind.
pub(crate) fn effects_had(statement: &Statement, outcome: &Outcome) -> Effects {
    const UNDONE: Effects = Effects::CREATES_TEMPORARY_TABLE
        .with(Effects::HANDLER_OPEN)
        .with(Effects::TEXT_PREPARE)
        .with(Effects::LOCKS_TABLES)
        .with(Effects::FLUSH_WITH_READ_LOCK)
        .with(Effects::LOCKS_INSTANCE)
        .with(Effects::SET_ROLE)
        .with(Effects::STARTS_TRANSACTION);
    let several = Effects::MULTIPLE | Effects::CALLS_PROCEDURE | Effects::CALLS_UNKNOWN_FUNCTION;
    // A result before the error tells of several statements where the text does not.
    let alone = outcome.results == 0 && !statement.effects.intersects(several);
    if outcome.error.is_none() || !alone {
        return statement.effects;
    }
    let hidden = statement.kind == Kind::Compound || statement.effects.contains(Effects::TEXT_EXECUTE);
    if outcome.is_syntax_error() && !hidden {
        return Effects::NONE;
    }
    statement.effects.without(UNDONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{LexMode, analyze};

    fn after(statements: &[&str]) -> Vec<PinReason> {
        let mut pins = Pins::default();
        for text in statements {
            let statement = analyze(text.as_bytes(), LexMode::default());
            pins.fold(statement.effects, After::default());
        }
        pins.iter().collect()
    }

    #[test]
    fn what_is_left_behind_pins_and_its_end_unpins() {
        let check = |statements: &[&str], expected: &[PinReason]| {
            assert_eq!(after(statements), expected, "{statements:?}");
        };
        check(&["SELECT * FROM t WHERE a = 'LOCK TABLES t'"], &[]);
        check(&["SET @a = 1"], &[]);
        check(&["LOCK TABLES t READ"], &[PinReason::TableLock]);
        check(&["LOCK TABLES t READ", "UNLOCK TABLES"], &[]);
        check(&["LOCK TABLES t READ", "BEGIN"], &[]);
        check(&["LOCK TABLES t READ; BEGIN", "SELECT 1"], &[PinReason::TableLock]);
        check(&["FLUSH TABLES WITH READ LOCK", "START TRANSACTION"], &[PinReason::ReadLock]);
        check(&["FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES"], &[]);
        check(&["SELECT GET_LOCK('a', 1)"], &[PinReason::NamedLock]);
        check(&["SELECT GET_LOCK('a', 1)", "SELECT RELEASE_ALL_LOCKS()"], &[]);
        check(&["SELECT SQL_CALC_FOUND_ROWS * FROM t LIMIT 1"], &[PinReason::FoundRows]);
        check(&["SELECT SQL_CALC_FOUND_ROWS * FROM t LIMIT 1", "SELECT 1"], &[]);
        check(&["SET TRANSACTION READ ONLY"], &[PinReason::NextTransaction]);
        check(&["SET TRANSACTION READ ONLY", "SELECT 1"], &[PinReason::NextTransaction]);
        check(&["SET TRANSACTION READ ONLY", "COMMIT"], &[]);
        check(&["CREATE TEMPORARY TABLE t (a INT)", "SELECT 1"], &[PinReason::TemporaryTable]);
    }

    #[test]
    fn a_change_the_server_reports_without_a_name_pins() {
        let mut pins = Pins::default();
        let call = analyze(b"CALL p()", LexMode::default());
        pins.fold(call.effects, After { unexplained: true, ..After::default() });
        assert!(pins.has(PinReason::StateChange) && !pins.lasting().is_empty());
        let mut pins = Pins::default();
        let create = analyze(b"CREATE TEMPORARY TABLE t (a INT)", LexMode::default());
        pins.fold(create.effects, After { unexplained: true, ..After::default() });
        assert!(!pins.has(PinReason::StateChange));
        pins.fold(call.effects, After { unexplained: true, ..After::default() });
        assert!(pins.has(PinReason::StateChange), "beside what is known already");
    }
}
