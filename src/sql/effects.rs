//! What a statement does to its session, and what it needs of it.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of effects.
///
/// They are what the text itself shows. What a routine, a trigger or a prepared text does is known to the
/// server alone, which reports it by session tracking.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Effects(u64);

macro_rules! effects {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// Positions of the effects in the set.
        #[derive(Clone, Copy)]
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "the constants below take their names from here")]
        enum Bit { $($name,)+ }

        impl Effects {
            $($(#[$doc])+ pub const $name: Self = Self(1 << Bit::$name as u32);)+

            const NAMES: &'static [&'static str] = &[$(stringify!($name),)+];
        }
    };
}

effects! {
    /// Reads a user variable.
    USES_USER_VARIABLE,
    /// May assign a user variable: SET @x, `:=`, INTO @x, an OUT argument of CALL.
    ASSIGNS_USER_VARIABLE,
    /// CREATE TEMPORARY TABLE or SEQUENCE.
    CREATES_TEMPORARY_TABLE,
    /// DROP TABLE, of a temporary one perhaps.
    DROPS_TABLE,
    /// LOCK TABLES, FLUSH TABLES t WITH READ LOCK or FOR EXPORT.
    LOCKS_TABLES,
    /// UNLOCK TABLES.
    UNLOCKS_TABLES,
    /// FLUSH TABLES WITH READ LOCK.
    FLUSH_WITH_READ_LOCK,
    /// LOCK INSTANCE FOR BACKUP, BACKUP STAGE, BACKUP LOCK.
    LOCKS_INSTANCE,
    /// UNLOCK INSTANCE, BACKUP STAGE END, BACKUP UNLOCK.
    UNLOCKS_INSTANCE,
    /// Takes a named lock: GET_LOCK and the locking service's functions.
    GET_LOCK,
    /// RELEASE_LOCK.
    RELEASE_LOCK,
    /// RELEASE_ALL_LOCKS.
    RELEASE_ALL_LOCKS,
    /// HANDLER … OPEN.
    HANDLER_OPEN,
    /// HANDLER … CLOSE.
    HANDLER_CLOSE,
    /// SELECT SQL_CALC_FOUND_ROWS.
    SQL_CALC_FOUND_ROWS,
    /// FOUND_ROWS() of the statement before.
    FOUND_ROWS,
    /// ROW_COUNT() of the statement before.
    ROW_COUNT,
    /// LAST_INSERT_ID(), @@last_insert_id, @@identity.
    READS_LAST_INSERT_ID,
    /// LAST_INSERT_ID(expression).
    SETS_LAST_INSERT_ID,
    /// Reads the diagnostics of the statement before: SHOW WARNINGS, GET DIAGNOSTICS, @@warning_count.
    DIAGNOSTICS,
    /// SET of a session variable, SET NAMES and SET SESSION TRANSACTION included.
    SETS_SYSTEM_VARIABLE,
    /// SET GLOBAL, PERSIST, PERSIST_ONLY.
    SETS_GLOBAL,
    /// SET autocommit.
    SETS_AUTOCOMMIT,
    /// SET TRANSACTION for the next transaction only.
    SETS_NEXT_TRANSACTION,
    /// SET of session state beyond the ordinary variables: timestamp, insert_id, gtid_next, pseudo_*, …
    SETS_UNTRACKED,
    /// SET ROLE.
    SET_ROLE,
    /// SET PASSWORD.
    SET_PASSWORD,
    /// BEGIN, START TRANSACTION, COMMIT AND CHAIN.
    STARTS_TRANSACTION,
    /// COMMIT, ROLLBACK.
    ENDS_TRANSACTION,
    /// Commits the open transaction by itself: DDL, LOCK TABLES, BEGIN, …
    IMPLICIT_COMMIT,
    /// SAVEPOINT, RELEASE SAVEPOINT, ROLLBACK TO.
    SAVEPOINT,
    /// XA but XA RECOVER.
    XA,
    /// PREPARE.
    TEXT_PREPARE,
    /// EXECUTE, EXECUTE IMMEDIATE.
    TEXT_EXECUTE,
    /// DEALLOCATE PREPARE.
    TEXT_DEALLOCATE,
    /// USE.
    CHANGES_SCHEMA,
    /// LOAD DATA LOCAL, LOAD XML LOCAL: the client will be asked for a file.
    LOAD_LOCAL,
    /// KILL.
    KILL,
    /// More than one statement.
    MULTIPLE,
    /// CONNECTION_ID(), @@pseudo_thread_id, PS_CURRENT_THREAD_ID(), IS_USED_LOCK().
    READS_CONNECTION_ID,
    /// SELECT … FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE.
    LOCKING_READ,
    /// SELECT … INTO OUTFILE, INTO DUMPFILE.
    INTO_OUTFILE,
    /// No server can read it, or servers cut it into tokens differently: nothing here may be relied on.
    UNREADABLE,
    /// The facts depend on which executable comments a server executes; these are the union.
    CONDITIONAL,
    /// Holds an executable comment.
    EXECUTABLE_COMMENT,
    /// Calls a function that is not built in, which may do anything.
    CALLS_UNKNOWN_FUNCTION,
    /// Reads @@something.
    READS_SYSTEM_VARIABLE,
    /// SELECT of system variables and nothing else: `select_variables` reads it.
    SELECT_VARIABLES,
    /// SET RESOURCE GROUP.
    SETS_RESOURCE_GROUP,
    /// CALL.
    CALLS_PROCEDURE,
    /// NEXTVAL, NEXT VALUE FOR, SETVAL.
    USES_SEQUENCE,
    /// COMMIT RELEASE, ROLLBACK RELEASE: the server closes the connection afterwards.
    DISCONNECTS,
    /// @@socket: where the server listens beside the proxy.
    READS_SOCKET,
    /// LIMIT with an offset: FOUND_ROWS() counts the rows that were skipped, too.
    SKIPS_ROWS,
    /// LASTVAL, PREVIOUS VALUE FOR: the number that this connection took last from a sequence.
    READS_SEQUENCE,
}

impl Effects {
    /// No effect.
    pub const NONE: Self = Self(0);

    /// True if all of `other` are in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if any of `other` is in this set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// True if the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds the effects of `other`.
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// This set and the effects of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the effects of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The names of the effects in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().enumerate().filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| *name)
    }
}

impl BitOr for Effects {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Effects {
    fn bitor_assign(&mut self, other: Self) {
        self.insert(other);
    }
}

impl fmt::Debug for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
