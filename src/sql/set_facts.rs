//! What SET does to a session.

use crate::sql::assignment;
use crate::sql::assignment::{Assignment, Target};
use crate::sql::cursor::Cursor;
use crate::sql::effects::Effects;

/// Session state that is more than a variable's value: it is consumed, or it changes what is logged, or the
/// server does not report it. Restoring it by a SET is not enough, or not right.
const UNTRACKED: [&str; 27] = [
    "DEBUG",
    "DEBUG_DBUG",
    "DEBUG_SYNC",
    "GTID_DOMAIN_ID",
    "GTID_NEXT",
    "GTID_NEXT_LIST",
    "GTID_SEQ_NO",
    "IMMEDIATE_SERVER_VERSION",
    "INSERT_ID",
    "ORIGINAL_COMMIT_TIMESTAMP",
    "ORIGINAL_SERVER_VERSION",
    "PROFILING",
    "PROFILING_HISTORY_SIZE",
    "PROXY_USER",
    "PSEUDO_REPLICA_MODE",
    "PSEUDO_SLAVE_MODE",
    "PSEUDO_THREAD_ID",
    "RAND_SEED1",
    "RAND_SEED2",
    "SERVER_ID",
    "SKIP_PARALLEL_REPLICATION",
    "SKIP_REPLICATION",
    "SQL_LOG_BIN",
    "SQL_LOG_OFF",
    "SYSTEM_VERSIONING_ASOF",
    "TIMESTAMP",
    "USE_SECONDARY_ENGINE",
];

/// Whether a session variable is more than its value, so that no SET brings it to another connection.
#[must_use]
pub fn is_untracked(name: &str) -> bool {
    UNTRACKED.contains(&&*name.to_ascii_uppercase())
}

/// The effects of what follows SET. The cursor is left at the end of the statement or where it stopped making
/// sense.
pub(super) fn effects(cursor: &mut Cursor<'_>) -> Effects {
    let Some(assignments) = assignment::assignments(cursor) else { return Effects::UNREADABLE };
    assignments.iter().fold(Effects::NONE, |effects, assignment| effects | effect(assignment))
}

fn effect(assignment: &Assignment<'_>) -> Effects {
    match assignment.target {
        Target::User => Effects::ASSIGNS_USER_VARIABLE,
        Target::Session => Effects::SETS_SYSTEM_VARIABLE | variable(&assignment.name),
        Target::Global | Target::Persist | Target::PersistOnly => Effects::SETS_GLOBAL,
        Target::NextTransaction => Effects::SETS_NEXT_TRANSACTION,
        Target::Names | Target::CharacterSet => Effects::SETS_SYSTEM_VARIABLE,
        Target::Password => Effects::SET_PASSWORD | Effects::IMPLICIT_COMMIT,
        Target::Role => Effects::SET_ROLE,
        Target::DefaultRole => Effects::IMPLICIT_COMMIT,
        Target::ResourceGroup => Effects::SETS_RESOURCE_GROUP,
    }
}

fn variable(name: &[u8]) -> Effects {
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    match name.as_str() {
        "AUTOCOMMIT" => Effects::SETS_AUTOCOMMIT,
        "LAST_INSERT_ID" | "IDENTITY" => Effects::SETS_LAST_INSERT_ID,
        name if UNTRACKED.contains(&name) => Effects::SETS_UNTRACKED,
        _ => Effects::NONE,
    }
}
