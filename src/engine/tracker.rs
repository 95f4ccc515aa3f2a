//! What statements change of a session's state, as the server tells it; and what it does not tell and
//! has to be asked for.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::Flavor;
use crate::engine::changes::Changes;
use crate::engine::error::EngineError;
use crate::engine::relay::Outcome;
use crate::engine::session::Session;
use crate::sql::{Target, is_untracked, set_assignments};

/// Variables whose value belongs to one connection: they are not carried, their session is pinned.
const UNCARRIED: [&str; 14] = [
    "gtid_next",
    "immediate_server_version",
    "insert_id",
    "original_commit_timestamp",
    "original_server_version",
    "profiling",
    "pseudo_replica_mode",
    "pseudo_slave_mode",
    "pseudo_thread_id",
    "rand_seed1",
    "rand_seed2",
    "sql_log_bin",
    "timestamp",
    "debug",
];

/// Variables that are reported and say what the connection did; LAST_INSERT_ID() is kept apart.
const NOT_SET: [&str; 8] = [
    "error_count",
    "external_user",
    "identity",
    "in_transaction",
    "last_gtid",
    "last_insert_id",
    "proxy_user",
    "warning_count",
];

impl Session {
    /// The server reported changes: the session's image, and the connection's, become what it said.
    pub(crate) fn take_in(&mut self, changes: &Changes) {
        if changes.schema.is_none() && !changes.variables.iter().any(|(name, _)| is_carried(name)) {
            return;
        }
        let mut image = (*self.state.image).clone();
        if let Some(schema) = &changes.schema {
            image = image.with_schema((!schema.is_empty()).then_some(schema));
            let shown = String::from_utf8_lossy(schema);
            self.guard.schema((!schema.is_empty()).then(|| Arc::from(&*shown)));
        }
        let carried = changes.variables.iter().filter(|(name, _)| is_carried(name));
        image = image.with_variables(carried.map(|(name, value)| (&**name, &**value)));
        self.state.become_image(Arc::new(image));
        let wanted = self.wanted_image();
        if let Some(lease) = self.lease.as_mut() {
            lease.became(&wanted);
        }
        self.follow_wait_timeout();
    }

    /// A client that has set `wait_timeout` is held to it here: the server does not see it wait.
    pub(crate) fn follow_wait_timeout(&mut self) {
        let set = self.state.image.variable("wait_timeout");
        let seconds = set.and_then(|value| str::from_utf8(value).ok()?.parse().ok());
        self.client.timeouts.idle = match seconds {
            Some(seconds) => Duration::from_secs(seconds),
            None => self.engine.snapshot().config.timeouts.idle,
        };
    }

    /// Asks the server for what a `SET` changed without it being reported: the collation that follows
    /// from a charset, and variables outside the tracker's list.
    pub(crate) async fn read_back(&mut self, text: &[u8], outcome: &Outcome) -> Result<(), EngineError> {
        let reported = |name: &str| outcome.changes.variables.iter().any(|(reported, _)| &**reported == name);
        let mut names: Vec<String> = Vec::new();
        if reported("character_set_connection") || reported("character_set_client") {
            names.push("collation_connection".into());
        }
        let Some(assignments) = set_assignments(text, self.state.mode) else {
            self.hold_unnamed_variable();
            return self.ask_variables(names).await;
        };
        for assignment in assignments {
            let name = String::from_utf8_lossy(&assignment.name).to_ascii_lowercase();
            if assignment.target != Target::Session {
                continue;
            }
            let name = match self.flavor() {
                Flavor::MariaDb if !reported(&name) => name_on_mariadb(name),
                Flavor::MariaDb | Flavor::MySql => name,
            };
            if NOT_SET.contains(&&*name) {
                continue;
            }
            // Pins also where it is reported, as MariaDB does; what has a fresh value may end that.
            if is_uncarried(&name) {
                if !is_untracked(&name) {
                    self.hold_unnamed_variable();
                }
            } else if is_word(&name) && !reported(&name) && !names.contains(&name) {
                names.push(name);
            }
        }
        self.ask_variables(names).await
    }

    async fn ask_variables(&mut self, names: Vec<String>) -> Result<(), EngineError> {
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        if names.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = names.iter().map(|name| format!("@@SESSION.{name}")).collect();
        self.witness.last_statement = false;
        // A variable that cannot be read as a session's own cannot be carried either.
        let Ok(mut rows) = lease.ask(&format!("SELECT {}", list.join(","))).await else {
            self.hold_unnamed_variable();
            return Ok(());
        };
        let values = rows.pop().unwrap_or_default();
        let variables = names.into_iter().zip(values);
        let read = variables.map(|(name, value)| (name.into(), value.unwrap_or_default().into()));
        let changes = Changes { variables: read.collect(), ..Changes::default() };
        self.take_in(&changes);
        Ok(())
    }
}

/// What MariaDB calls the variables of `SET TRANSACTION`; the names of MySQL came with MariaDB 11.1.
fn name_on_mariadb(name: String) -> String {
    match &*name {
        "transaction_isolation" => "tx_isolation".to_owned(),
        "transaction_read_only" => "tx_read_only".to_owned(),
        _ => name,
    }
}

pub(crate) fn is_carried(name: &str) -> bool {
    // It follows from collation_connection, which is read back.
    name != "character_set_connection" && !is_uncarried(name) && !NOT_SET.contains(&name)
}

/// Whether a change of it keeps the connection.
pub(crate) fn is_uncarried(name: &str) -> bool {
    name.starts_with("session_track") || UNCARRIED.contains(&name)
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::is_carried;

    #[test]
    fn what_a_server_reports_is_carried_only_if_it_can_be_set_again() {
        let check = |name: &str, expected: bool| assert_eq!(is_carried(name), expected, "{name}");
        check("sql_mode", true);
        check("collation_connection", true);
        check("character_set_connection", false);
        check("session_track_schema", false);
        check("last_insert_id", false);
        check("last_gtid", false);
    }
}
