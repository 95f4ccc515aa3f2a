//! What only the leased connection knows of its session, and must tell before it goes to somebody else.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::backend::user_variable::{VALUE_BYTES_MAX, assigned, length, question};
use crate::engine::error::EngineError;
use crate::engine::relay::Outcome;
use crate::engine::relay::RelayError;
use crate::engine::roles::may_set_roles;
use crate::engine::session::Session;
use crate::engine::values::found_rows_after;
use crate::sql::{Effects, FoundRows, Kind, Statement, user_variables};
use crate::telemetry::PinReason;
use crate::wire::{StatusFlags, StreamError};

/// What the server has not told yet.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// LAST_INSERT_ID() may have changed; the id that the reply named, if it did.
    insert_id: Option<u64>,
    /// These user variables may have changed.
    user_variables: BTreeSet<Box<str>>,
    /// FOUND_ROWS() is another one, which the reply did not tell.
    found_rows: bool,
    /// Other roles may be active.
    role: bool,
}

impl Owed {
    /// LAST_INSERT_ID() may have changed: the id that the reply named, or 0.
    pub(crate) const fn insert_id(&self) -> Option<u64> {
        self.insert_id
    }

    /// Whether the connection must be asked before it goes.
    pub(crate) fn is_empty(&self) -> bool {
        self.insert_id.is_none() && self.user_variables.is_empty() && !self.found_rows && !self.role
    }

    /// Other roles may be active.
    pub(crate) const fn role(&self) -> bool {
        self.role
    }

    /// The active roles are known.
    pub(crate) const fn forget_role(&mut self) {
        self.role = false;
    }

    /// FOUND_ROWS() is known, or yet another one.
    pub(crate) const fn forget_found_rows(&mut self) {
        self.found_rows = false;
    }
}

/// User variables that a session may carry; one with more is pinned.
const USER_VARIABLES_MAX: usize = 256;

/// Statements after which LAST_INSERT_ID() may be another one although their reply names none.
const SILENT: Effects = Effects::SETS_LAST_INSERT_ID
    .with(Effects::CALLS_PROCEDURE)
    .with(Effects::TEXT_EXECUTE)
    .with(Effects::MULTIPLE)
    .with(Effects::UNREADABLE);

impl Session {
    /// Notes what `statement` may have changed and its reply does not tell for certain. An id in an OK may be
    /// one that the statement itself gave, which LAST_INSERT_ID() does not show.
    pub(crate) fn owe(&mut self, statement: &Statement, text: &[u8], outcome: &Outcome) {
        let told = outcome.last_insert_id;
        if told != 0 || statement.effects.intersects(SILENT) {
            self.owed.insert_id = Some(told);
        }
        if may_set_roles(statement) && self.lease.as_ref().is_some_and(|lease| lease.login_role().is_some()) {
            self.owed.role = true;
        }
        // What takes so long may be asked about; of every SELECT with an offset it would be too dear for those who never
        // want to know.
        let worthwhile = self.state.asks_found_rows || statement.kind == Kind::CreateTable;
        let untold = match found_rows_after(statement, outcome) {
            FoundRows::Untold => true,
            FoundRows::Unsure => self.witness.found_rows,
            FoundRows::Kept | FoundRows::Rows | FoundRows::One => false,
        };
        self.owed.found_rows |= worthwhile && untold;
        if !statement.effects.contains(Effects::ASSIGNS_USER_VARIABLE) {
            return;
        }
        match user_variables(text, self.state.mode).filter(|_| shows_assignments(statement)) {
            Some(names) => self.owed.user_variables.extend(names),
            None => self.pin(PinReason::UserVariable),
        }
    }

    /// After a statement: asks what must be asked if the connection can go, and gives it back.
    pub(crate) async fn part(&mut self) -> Result<(), EngineError> {
        self.check_locks().await?;
        if !self.owed.is_empty() && self.may_part() {
            self.recall().await.map_err(too_late)?;
        }
        self.mark_and_release();
        Ok(())
    }

    /// Whether nothing but an answer holds the connection.
    fn may_part(&self) -> bool {
        let idle = self.lease.as_ref().is_some_and(|lease| !lease.status.has(StatusFlags::IN_TRANS));
        idle && self.pins.is_empty()
    }

    async fn recall(&mut self) -> Result<(), EngineError> {
        self.learn_found_rows().await?;
        if self.owed.user_variables.is_empty() {
            return self.learn_insert_id().await;
        }
        if self.owed.role {
            self.learn_role().await?;
        }
        let names = std::mem::take(&mut self.owed.user_variables);
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        let questions: Vec<String> = names.iter().map(|name| question(name)).collect();
        let lengths: Vec<String> = names.iter().map(|name| length(name)).collect();
        // One question for all that is owed. Values that are too large are no row.
        let answer = lease
            .ask_payloads(&format!(
                "SELECT LAST_INSERT_ID(),{} FROM DUAL WHERE {}<={VALUE_BYTES_MAX} LIMIT 1",
                questions.join(","),
                lengths.join("+"),
            ))
            .await?;
        self.witness.queried_between();
        if answer.rows.is_empty() {
            self.pin(PinReason::UserVariable);
            return self.learn_insert_id().await;
        }
        let mut variables = Vec::new();
        for (n, name) in names.iter().enumerate() {
            let Some(value) = assigned(&answer, 1 + 3 * n, name).map_err(RelayError::from)? else {
                self.pin(PinReason::UserVariable);
                continue;
            };
            variables.push((format!("@{name}"), value));
        }
        self.remember(&variables);
        let value = answer.texts().map_err(RelayError::from)?.swap_remove(0).swap_remove(0);
        self.take_insert_id(value);
        Ok(())
    }

    /// User variables have these values, here and on the connection.
    fn remember(&mut self, variables: &[(String, String)]) {
        let changed = variables.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let image = Arc::new(self.state.image.with_variables(changed));
        let (count, bytes) = image.user_variables_size();
        if count > USER_VARIABLES_MAX || bytes > 2 * VALUE_BYTES_MAX {
            return self.pin(PinReason::UserVariable);
        }
        self.state.become_image(image);
        let wanted = self.wanted_image();
        if let Some(lease) = self.lease.as_mut() {
            lease.became(&wanted);
        }
    }

    /// Asks for FOUND_ROWS(), before any other question changes it.
    async fn learn_found_rows(&mut self) -> Result<(), EngineError> {
        let asked = std::mem::take(&mut self.owed.found_rows) && self.witness.found_rows;
        let Some(lease) = self.lease.as_mut().filter(|_| asked) else { return Ok(()) };
        let rows = lease.ask("SELECT FOUND_ROWS() LIMIT 1").await?;
        self.witness.queried_between();
        let value = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
        self.state.found_rows = value.and_then(|value| str::from_utf8(&value).ok()?.parse().ok());
        Ok(())
    }

    /// A variable that this session has never set must not look like one that another session has: it is NULL
    /// either way, but with a collation.
    pub(crate) async fn forget_remnants(
        &mut self,
        statement: &Statement,
        text: &[u8],
    ) -> Result<(), EngineError> {
        let Some(lease) = self.lease.as_ref() else { return Ok(()) };
        let uses = Effects::USES_USER_VARIABLE | Effects::ASSIGNS_USER_VARIABLE;
        let bound = lease.status.has(StatusFlags::IN_TRANS) || !self.pins.is_empty() || !self.owed.is_empty();
        if lease.remnants().is_empty() || bound || !statement.effects.intersects(uses) {
            return Ok(());
        }
        let names = user_variables(text, self.state.mode);
        if names.is_some_and(|names| names.is_disjoint(lease.remnants())) {
            return Ok(());
        }
        let image = self.wanted_image();
        let lease = self.lease.as_mut().expect("looked at just before");
        lease.reset().await?;
        self.witness = Default::default();
        Ok(lease.adopt(&image).await?)
    }

    /// Asks for LAST_INSERT_ID() if it may have changed. A value that is the one the connection had before
    /// belongs to whoever used it then, unless the statement's reply named it.
    pub(crate) async fn learn_insert_id(&mut self) -> Result<(), EngineError> {
        if self.owed.insert_id.is_none() && !self.owed.role {
            return Ok(());
        }
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        let question = match self.owed.role {
            true => "SELECT LAST_INSERT_ID(),CURRENT_ROLE() LIMIT 1",
            false => "SELECT LAST_INSERT_ID() LIMIT 1",
        };
        let mut row = lease.ask(question).await?.pop().unwrap_or_default();
        self.witness.queried_between();
        if self.owed.role {
            self.take_role(row.pop().flatten().as_deref());
        }
        self.take_insert_id(row.pop().flatten());
        Ok(())
    }

    fn take_insert_id(&mut self, value: Option<Vec<u8>>) {
        let Some(told) = self.owed.insert_id.take() else { return };
        let value = value.unwrap_or_default();
        let value = str::from_utf8(&value).ok().and_then(|value| value.parse().ok());
        let (Some(value), Some(lease)) = (value, self.lease.as_mut()) else { return };
        if self.witness.insert_id || value != lease.insert_id || value == told {
            self.state.last_insert_id = value;
            self.witness.insert_id = true;
        }
        lease.insert_id = value;
    }
}

/// Whether what assigns user variables is all in the text: not in a routine or a trigger.
pub(crate) fn shows_assignments(statement: &Statement) -> bool {
    let hidden =
        SILENT.without(Effects::SETS_LAST_INSERT_ID) | Effects::CALLS_UNKNOWN_FUNCTION | Effects::CONDITIONAL;
    matches!(statement.kind, Kind::Set | Kind::Select | Kind::Do | Kind::GetDiagnostics)
        && !statement.effects.intersects(hidden)
}

/// An error after the client has had its whole reply: it cannot be told, and what the session knew is lost with
/// the connection.
pub(crate) fn too_late(error: EngineError) -> EngineError {
    match error {
        error @ (EngineError::Client(_) | EngineError::Relay(_)) => error,
        EngineError::Lost(error) => EngineError::Relay(error),
        EngineError::Backend(_)
        | EngineError::Refused(_)
        | EngineError::Expelled(_)
        | EngineError::Torn(_)
        | EngineError::Protected(_) => {
            EngineError::Relay(RelayError::Server { error: StreamError::Closed, untouched: false })
        }
    }
}
