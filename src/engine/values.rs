//! What a statement asks about its own session (`LAST_INSERT_ID()`, `ROW_COUNT()` …) and the leased connection
//! would answer with somebody else's: the session's own values are put in its place.

use crate::backend::Flavor;
use crate::engine::error::EngineError;
use crate::engine::relay::Outcome;
use crate::engine::session::Session;
use crate::engine::statement::{Sending, is_whole};
use crate::sql::{Effects, FoundRows, InsertId, Kind, SessionValues, Statement, substitute};
use crate::telemetry::PinReason;
use crate::wire::{HEADER_BYTES, frame};

/// What of the session's past the leased connection knows by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Witness {
    /// It ran the session's last statement, and nothing since: ROW_COUNT() and diagnostics.
    pub(crate) last_statement: bool,
    /// Its FOUND_ROWS() is the session's.
    pub(crate) found_rows: bool,
    /// Its LAST_INSERT_ID() is the session's.
    pub(crate) insert_id: bool,
    /// Every number that the session took from a sequence was taken here, and no other one.
    pub(crate) sequences: bool,
}

impl Witness {
    /// Something else than the session's statements ran a query on the connection.
    pub(crate) const fn queried_between(&mut self) {
        self.last_statement = false;
        self.found_rows = false;
    }
}

/// Effects with which a text asks about its session.
const ASKING: Effects = Effects::FOUND_ROWS
    .with(Effects::ROW_COUNT)
    .with(Effects::READS_LAST_INSERT_ID)
    .with(Effects::READS_CONNECTION_ID)
    .with(Effects::READS_SOCKET)
    .with(Effects::DIAGNOSTICS);

/// Effects with which nobody knows what else of the session a statement reads or changes.
const OPAQUE: Effects = Effects::CALLS_PROCEDURE
    .with(Effects::CALLS_UNKNOWN_FUNCTION)
    .with(Effects::TEXT_EXECUTE)
    .with(Effects::UNREADABLE);

impl Session {
    /// The command to send in place of the client's own, if its text asks about the session what this
    /// connection does not know.
    pub(crate) fn substituted_text(&self, sending: &Sending<'_>) -> Result<Option<Vec<u8>>, EngineError> {
        let statement = &sending.facts.statement;
        if !asks_about_session(statement) {
            return Ok(None);
        }
        let values = self.values(statement, false);
        if values == SessionValues::default() && !statement.effects.contains(Effects::READS_SOCKET) {
            return Ok(None);
        }
        let text = self.query_text(sending.header);
        let whole = is_whole(&self.client.stream.input, sending.header);
        let Some(text) = substitute(text, self.state.mode, &values).filter(|_| whole) else {
            return self.unsubstituted(statement).map(|()| None);
        };
        let payload = &self.client.stream.input.filled()[HEADER_BYTES..HEADER_BYTES + sending.header.length];
        let before = payload.len() - self.query_text(sending.header).len();
        let mut command = payload[..before].to_vec();
        command.extend_from_slice(&text);
        let mut bytes = Vec::with_capacity(command.len() + HEADER_BYTES);
        frame(&mut bytes, 0, &command);
        Ok(Some(bytes))
    }

    /// The text to be prepared in place of the client's own: with what stays the same for the whole session.
    pub(crate) fn substituted_prepare(&self, statement: &Statement, text: &[u8]) -> Option<Vec<u8>> {
        let lasting = Effects::READS_CONNECTION_ID | Effects::READS_SOCKET;
        if !statement.effects.intersects(lasting) || !asks_about_session(statement) {
            return None;
        }
        let values =
            SessionValues { connection_id: Some(u64::from(self.guard.id())), ..SessionValues::default() };
        substitute(text, self.state.mode, &values)
    }

    /// The text that stands for a prepared one in this execution, if it asks about the statement before.
    pub(crate) fn substituted_execution(
        &self,
        statement: &Statement,
        text: &[u8],
    ) -> Result<Option<Vec<u8>>, EngineError> {
        if !asks_about_session(statement) {
            return Ok(None);
        }
        let values = SessionValues { connection_id: None, ..self.values(statement, true) };
        if values == SessionValues::default() {
            return Ok(None);
        }
        match substitute(text, self.state.mode, &values) {
            Some(text) => Ok(Some(text)),
            None => self.unsubstituted(statement).map(|()| None),
        }
    }

    /// What the session knows and this connection does not. LAST_INSERT_ID() of a prepared statement is set on
    /// the connection instead: its text would be a new one with every value.
    fn values(&self, statement: &Statement, prepared: bool) -> SessionValues {
        let effects = statement.effects;
        let mut values = SessionValues::default();
        if effects.contains(Effects::READS_CONNECTION_ID) {
            values.connection_id = Some(u64::from(self.guard.id()));
        }
        let set = prepared || effects.contains(Effects::MULTIPLE);
        if effects.contains(Effects::READS_LAST_INSERT_ID) && !set {
            values.last_insert_id = self.own_insert_id();
        }
        if !self.witness.found_rows {
            values.found_rows = self.state.found_rows.filter(|_| effects.contains(Effects::FOUND_ROWS));
        }
        if !self.witness.last_statement {
            values.row_count = Some(self.state.row_count).filter(|_| effects.contains(Effects::ROW_COUNT));
            if effects.contains(Effects::DIAGNOSTICS | Effects::READS_SYSTEM_VARIABLE) {
                values.warning_count = Some(u64::from(self.state.warnings));
                values.error_count = Some(u64::from(self.state.errors));
            }
        }
        values
    }

    /// LAST_INSERT_ID(), where the connection does not know it.
    fn own_insert_id(&self) -> Option<InsertId> {
        let (own, foreign) = (self.state.last_insert_id, self.lease.as_ref()?.insert_id);
        if self.witness.insert_id || own == foreign {
            return None;
        }
        match self.owed.insert_id() {
            None => Some(InsertId::Is(own)),
            Some(told) if told == foreign => None,
            Some(_) => Some(InsertId::Unless { foreign, own }),
        }
    }

    /// A text whose functions could not be replaced: the server may answer what it knows as well as we do.
    fn unsubstituted(&self, statement: &Statement) -> Result<(), EngineError> {
        let effects = statement.effects;
        let stale = Effects::ROW_COUNT | Effects::DIAGNOSTICS;
        let asks_before = effects.intersects(stale) && !self.witness.last_statement
            || effects.contains(Effects::FOUND_ROWS) && !self.witness.found_rows;
        if !asks_before && !effects.intersects(Effects::READS_CONNECTION_ID | Effects::READS_SOCKET) {
            return Ok(());
        }
        Err(refusal("a function about the session in a column whose name cannot be kept; give it an alias"))
    }

    /// FOUND_ROWS() of a statement whose count only its own connection knew is not made up.
    pub(crate) fn check_found_rows(&mut self, statement: &Statement) -> Result<(), EngineError> {
        let effects = statement.effects;
        if effects.contains(Effects::FOUND_ROWS) {
            self.state.asks_found_rows = true;
        }
        let asked = effects.contains(Effects::FOUND_ROWS) && !self.witness.found_rows;
        // What is asked for behind another statement, a value put in its place cannot answer.
        let behind = effects.contains(Effects::MULTIPLE) && statement.kind != Kind::Select;
        let counted = effects.contains(Effects::MULTIPLE | Effects::SQL_CALC_FOUND_ROWS);
        if asked && (self.state.found_rows.is_none() || behind) && !counted {
            return Err(refusal(
                "FOUND_ROWS() of the last statement is not known any more; use SQL_CALC_FOUND_ROWS or COUNT(*)",
            ));
        }
        Ok(())
    }

    /// Takes in what FOUND_ROWS(), ROW_COUNT() and the counts of diagnostics are after a statement.
    pub(crate) fn count(&mut self, statement: &Statement, outcome: &Outcome) {
        self.state.errors = u16::from(outcome.error.is_some());
        self.state.shown_diagnostics = false;
        self.state.warnings = outcome.warnings.max(self.state.errors);
        self.state.error_state = outcome.error_state;
        let counts = statement.kind != Kind::GetDiagnostics || outcome.error.is_some();
        if counts {
            self.state.row_count = outcome.row_count;
        }
        self.count_found_rows(found_rows_after(statement, outcome), outcome.rows);
        self.witness.last_statement |= counts;
    }

    /// The leased connection ran a statement that does this to FOUND_ROWS().
    fn count_found_rows(&mut self, found: FoundRows, rows: u64) {
        let (value, told) = match found {
            FoundRows::Kept => return,
            FoundRows::Rows => (Some(rows), true),
            FoundRows::One => (Some(1), true),
            FoundRows::Untold => (None, true),
            // If it is still what it was, that was somebody else's.
            FoundRows::Unsure => (None, self.witness.found_rows),
        };
        self.state.found_rows = value;
        self.witness.found_rows = told;
        self.owed.forget_found_rows();
    }

    /// A command of the client failed on the leased connection, which knows the error's diagnostics.
    pub(crate) fn failed_here(&mut self) {
        (self.state.warnings, self.state.errors, self.state.row_count) = (1, 1, -1);
        (self.diagnostics, self.state.error_state) = (None, None);
        self.state.shown_diagnostics = false;
        self.witness.last_statement = true;
        self.pins.add(PinReason::Warnings);
    }

    /// Makes LAST_INSERT_ID() of the connection the session's own, where the statement may ask for it in a way
    /// that its text does not show.
    pub(crate) async fn adopt_insert_id(
        &mut self,
        statement: &Statement,
        prepared: bool,
    ) -> Result<(), EngineError> {
        let effects = statement.effects;
        let set = prepared || effects.contains(Effects::MULTIPLE);
        let reads = effects.contains(Effects::READS_LAST_INSERT_ID) && set;
        // A reply with an OK names the value; one with rows does not.
        let silent = effects.contains(Effects::SETS_LAST_INSERT_ID)
            && !matches!(statement.kind, Kind::Insert | Kind::Replace | Kind::Update);
        if self.witness.insert_id || !(reads || silent || effects.intersects(OPAQUE)) {
            return Ok(());
        }
        if self.flavor() == Flavor::MySql {
            // What the server has not told with an ERR it would tell with the answer to our question.
            self.make_certain().await?;
        }
        self.learn_insert_id().await?;
        let value = self.state.last_insert_id;
        let lease = self.lease.as_mut().expect("acquired just before");
        if lease.insert_id != value {
            lease.ask(&format!("SET last_insert_id={value}")).await?;
            lease.insert_id = value;
            self.witness.last_statement = false;
        }
        self.witness.insert_id = true;
        Ok(())
    }
}

/// Whether the text asks about its session in a way that another connection's server would answer wrongly.
pub(crate) fn asks_about_session(statement: &Statement) -> bool {
    statement.effects.intersects(ASKING) && is_evaluated(statement.kind)
}

fn refusal(what: &str) -> EngineError {
    EngineError::refused(1235, "42000", format!("DZ0001 {what}"))
}

/// Whether the expressions of such a statement are evaluated when it runs, and not kept as text.
fn is_evaluated(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Select
            | Kind::Values
            | Kind::Insert
            | Kind::Replace
            | Kind::Update
            | Kind::Delete
            | Kind::Set
            | Kind::Do
            | Kind::Call
            | Kind::Explain
            | Kind::Analyze
    )
}

/// What a statement did to FOUND_ROWS(), by its reply.
pub(crate) fn found_rows_after(statement: &Statement, outcome: &Outcome) -> FoundRows {
    match statement.found_rows {
        FoundRows::Kept => FoundRows::Kept,
        _ if outcome.is_syntax_error() && !statement.effects.intersects(OPAQUE | Effects::MULTIPLE) => {
            FoundRows::Kept
        }
        _ if outcome.error.is_some() => FoundRows::Unsure,
        // SELECT … INTO: the rows went elsewhere.
        FoundRows::Rows if outcome.row_count >= 0 => FoundRows::Untold,
        // What exists already was not filled.
        FoundRows::Untold if statement.kind == Kind::CreateTable && outcome.warnings > 0 => FoundRows::Unsure,
        found => found,
    }
}
