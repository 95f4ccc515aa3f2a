//! What statements change of a session's state, as the server tells it; and what it does not tell and
//! has to be asked for.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{DESCRIBED, Flavor, LOGIN_VARIABLES};
use crate::engine::changes::Changes;
use crate::engine::error::EngineError;
use crate::engine::relay::Outcome;
use crate::engine::session::Session;
use crate::sql::{Assignment, Effects, Kind, Statement, Target, is_untracked, set_assignments};

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
        if self.client.tracks_itself {
            names
                .extend(LOGIN_VARIABLES.iter().filter(|name| !reported(name)).map(|name| (*name).to_owned()));
        } else if reported("character_set_connection") || reported("character_set_client") {
            names.push("collation_connection".into());
        }
        let Some(assignments) = set_assignments(text, self.state.mode) else {
            self.hold_unnamed_variable();
            return self.ask_variables(names).await;
        };
        let mut described = None;
        for assignment in assignments {
            described = described_by(&assignment).or(described);
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
        self.ask_variables(names).await?;
        self.describe_results(described);
        Ok(())
    }

    /// Takes note of the collation that describes results from now on.
    fn describe_results(&mut self, by: Option<Described>) {
        let image = &self.state.image;
        let collation = match by {
            None => return,
            Some(Described::ByName) => image.variable("collation_connection").unwrap_or_default(),
            Some(Described::ByCharset) => &[],
        };
        let image = Arc::new(image.with_variables([(DESCRIBED, collation)]));
        self.state.become_image(image);
        let wanted = self.wanted_image();
        if let Some(lease) = self.lease.as_mut() {
            lease.became(&wanted);
        }
    }

    /// A client that sets `session_track_*` gets a connection whose tracking is its own: the defaults, and on top of them
    /// what it sets. What that does not tell has to be asked for.
    pub(crate) async fn hand_tracking_over(
        &mut self,
        statement: &Statement,
        text: &[u8],
    ) -> Result<(), EngineError> {
        let sets = statement.effects.contains(Effects::SETS_SYSTEM_VARIABLE);
        let named = || text.windows(13).any(|word| word.eq_ignore_ascii_case(b"session_track"));
        if self.client.tracks_itself || !sets || !named() {
            return Ok(());
        }
        self.hold_unnamed_variable();
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        let defaults = "SET session_track_system_variables=DEFAULT,session_track_schema=DEFAULT,\
                        session_track_state_change=DEFAULT";
        lease.ask(defaults).await?;
        self.client.tracks_itself = true;
        self.witness.last_statement = false;
        Ok(())
    }

    /// The schema after a statement that may have left it, where the server does not tell.
    pub(crate) async fn follow_schema(&mut self, statement: &Statement) -> Result<(), EngineError> {
        let moves = statement.effects.contains(Effects::CHANGES_SCHEMA) || statement.kind == Kind::Ddl;
        let Some(lease) = self.lease.as_mut().filter(|_| moves) else {
            return Ok(());
        };
        let mut rows = lease.ask("SELECT DATABASE()").await?;
        self.witness.queried_between();
        let schema = rows.pop().and_then(|mut row| row.pop()).flatten().unwrap_or_default();
        self.take_in(&Changes { schema: Some(schema.into()), ..Changes::default() });
        Ok(())
    }

    async fn ask_variables(&mut self, names: Vec<String>) -> Result<(), EngineError> {
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        if names.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = names.iter().map(|name| format!("@@SESSION.{name}")).collect();
        self.witness.queried_between();
        // A variable that cannot be read as a session's own cannot be carried either.
        let Ok(mut rows) = lease.ask(&format!("SELECT {}", list.join(","))).await else {
            self.hold_unnamed_variable();
            return Ok(());
        };
        let values = rows.pop().unwrap_or_default();
        let variables = names.into_iter().zip(values);
        let read = variables.map(|(name, value)| {
            let value = value.unwrap_or_default();
            let value = if name == "autocommit" { switch(&value).into() } else { value };
            (name.into(), value.into())
        });
        let changes = Changes { variables: read.collect(), ..Changes::default() };
        self.take_in(&changes);
        Ok(())
    }
}

/// What decides the collation that describes results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Described {
    /// SET NAMES: the collation that it names or implies.
    ByName,
    /// Their charset's default one.
    ByCharset,
}

fn described_by(assignment: &Assignment<'_>) -> Option<Described> {
    match assignment.target {
        Target::Names => Some(Described::ByName),
        Target::CharacterSet => Some(Described::ByCharset),
        Target::Session if assignment.name.eq_ignore_ascii_case(b"character_set_results") => {
            Some(Described::ByCharset)
        }
        _ => None,
    }
}

/// What the tracker says where a SELECT says 1 or 0.
const fn switch(value: &[u8]) -> &'static [u8] {
    match value {
        b"0" => b"OFF",
        _ => b"ON",
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
