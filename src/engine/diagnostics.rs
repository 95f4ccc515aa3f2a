//! The diagnostics of a session's last statement, kept when its connection has gone to somebody else.

use crate::backend::{BackendError, Flavor, ResultSet};
use crate::engine::error::EngineError;
use crate::engine::session::Session;
use crate::error::SqlError;
use crate::sql::{Kind, ShownDiagnostics, Statement, shown_diagnostics};
use crate::telemetry::PinReason;
use crate::wire::{Capabilities, ErrPacket, OkPacket, Reader, StatusFlags, Writer, encode_eof, frame};

/// What SHOW WARNINGS told, or would tell.
#[derive(Debug)]
pub(crate) enum Diagnostics {
    /// As the server told it.
    Shown(ResultSet),
    /// An error that the client was told from here: its number and text.
    Raised(u64, Box<[u8]>),
}

impl Diagnostics {
    /// The only condition, if it is an error: its number and text.
    fn only_error(&self) -> Option<(u64, &[u8])> {
        let conditions = match self {
            Self::Shown(conditions) => conditions,
            Self::Raised(code, message) => return Some((*code, message)),
        };
        let [row] = &*conditions.rows else { return None };
        let mut reader = Reader::new(row);
        let level = reader.lenenc_bytes().ok()?;
        let code = reader.lenenc_bytes().ok()?;
        let code = str::from_utf8(code).ok()?.parse().ok()?;
        (level == b"Error").then(|| Some((code, reader.lenenc_bytes().ok()?)))?
    }
}

fn is_error(row: &[u8]) -> bool {
    Reader::new(row).lenenc_bytes() == Ok(b"Error")
}

impl Session {
    /// SHOW WARNINGS and the like, GET DIAGNOSTICS: answered from what was kept. False: the server is to be
    /// asked, and knows.
    pub(crate) async fn answer_diagnostics(
        &mut self,
        statement: &Statement,
        text: &[u8],
    ) -> Result<bool, EngineError> {
        let Some(kept) = self.diagnostics.as_deref() else {
            // None on this side, none on any idle connection's after a clean statement: only one that holds
            // the diagnostics of somebody else's statement would answer wrongly.
            self.clear_diagnostics().await?;
            return Ok(false);
        };
        let conditions = match kept {
            Diagnostics::Shown(conditions) if statement.kind != Kind::GetDiagnostics => conditions,
            Diagnostics::Shown(_) | Diagnostics::Raised(..) => {
                return self.raise_again().await.map(|()| false);
            }
        };
        let Some(shown) = shown_diagnostics(text, self.state.mode) else { return Err(unknown_form()) };
        let result = if shown.counted { self.count_of(shown) } else { chosen(conditions, shown) };
        let bytes = self.frame_rows(&result);
        self.state.shown_diagnostics = true;
        self.client.send(&bytes).await?;
        Ok(true)
    }

    fn count_of(&self, shown: ShownDiagnostics) -> ResultSet {
        let (name, value) = match shown.errors {
            true => ("@@session.error_count", self.state.errors),
            false => ("@@session.warning_count", self.state.warnings),
        };
        let mut definition = Vec::new();
        definition.put_lenenc_bytes(b"def");
        for text in ["", "", "", name, ""] {
            definition.put_lenenc_bytes(text.as_bytes());
        }
        definition.push(0x0C);
        definition.put_u16(63);
        definition.put_u32(21);
        // LONGLONG, UNSIGNED and BINARY.
        definition.push(0x08);
        definition.put_u16(0x00A0);
        definition.push(0);
        definition.put_u16(0);
        let mut row = Vec::new();
        row.put_lenenc_bytes(value.to_string().as_bytes());
        ResultSet { columns: vec![definition], rows: vec![row] }
    }

    /// Makes a leased connection's diagnostics those of the session, by raising its error there anew.
    async fn raise_again(&mut self) -> Result<(), EngineError> {
        let state = self.state.error_state;
        let raised = self.diagnostics.as_deref().and_then(Diagnostics::only_error);
        let (Some((code, message)), Some(state)) = (raised, state) else { return Err(unknown_form()) };
        let hex: String = message.iter().map(|byte| format!("{byte:02X}")).collect();
        let charset = self.state.image.variable("character_set_results").unwrap_or(b"utf8mb4");
        let charset = if charset.is_empty() { "utf8mb4".into() } else { String::from_utf8_lossy(charset) };
        let signal = format!(
            "SIGNAL SQLSTATE '{}' SET MYSQL_ERRNO={code},MESSAGE_TEXT=_{charset} X'{hex}'",
            String::from_utf8_lossy(&state)
        );
        self.acquire(tokio::time::Instant::now()).await?;
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        match lease.ask(&signal).await {
            Err(BackendError::Server(packet)) if u64::from(packet.code) == code => {
                self.witness.last_statement = true;
                Ok(())
            }
            Err(error @ (BackendError::Stream(_) | BackendError::Timeout(_))) => Err(error.into()),
            Ok(_) | Err(_) => {
                self.keep_if_known();
                Err(unknown_form())
            }
        }
    }

    /// Leases a connection and empties its diagnostics area.
    async fn clear_diagnostics(&mut self) -> Result<(), EngineError> {
        self.acquire(tokio::time::Instant::now()).await?;
        if let Some(lease) = self.lease.as_mut() {
            // MariaDB keeps old diagnostics over statements on one level and without tables.
            lease.ask("SELECT 1 FROM (SELECT 1) AS d").await?;
            self.witness.queried_between();
        }
        Ok(())
    }

    /// The client is told an error from here: what it can ask about it afterwards.
    pub fn note_refusal(&mut self, error: &SqlError) {
        (self.state.warnings, self.state.errors, self.state.row_count) = (1, 1, -1);
        self.state.shown_diagnostics = false;
        self.state.error_state = error.state.as_bytes().try_into().ok();
        let message = error.message.as_bytes().into();
        self.diagnostics = Some(Box::new(Diagnostics::Raised(u64::from(error.code), message)));
        self.witness.last_statement = false;
        if self.pins.has(PinReason::Warnings) {
            self.pins.end(PinReason::Warnings);
            self.mark_and_release();
        }
    }

    /// The server did not let the client enter a schema; with `error` if it was the proxy that asked. MySQL adds this error
    /// to what the statement before left.
    pub(crate) fn failed_to_enter(&mut self, error: Option<&ErrPacket>) {
        let before = match self.flavor() {
            Flavor::MySql => (self.state.warnings, self.state.errors),
            Flavor::MariaDb => (0, 0),
        };
        let kept = self.diagnostics.take();
        self.failed_here();
        self.state.warnings = before.0.saturating_add(1);
        self.state.errors = before.1.saturating_add(1);
        let Some(error) = error.filter(|_| self.flavor() == Flavor::MySql) else { return };
        // The connection has told it after what somebody else's statement left there.
        self.witness.last_statement = false;
        self.pins.end(PinReason::Warnings);
        self.state.error_state = Some(error.state);
        self.diagnostics = Some(Box::new(match kept.map(|kept| *kept) {
            Some(Diagnostics::Shown(mut conditions)) => {
                let mut row = Vec::new();
                row.put_lenenc_bytes(b"Error");
                row.put_lenenc_bytes(error.code.to_string().as_bytes());
                row.put_lenenc_bytes(&error.message);
                conditions.rows.push(row);
                Diagnostics::Shown(conditions)
            }
            _ => Diagnostics::Raised(u64::from(error.code), error.message.as_slice().into()),
        }));
    }

    /// The client is told that shards ended its write differently: what it can ask about each of them.
    pub fn note_torn(&mut self, error: &SqlError, conditions: &ResultSet) {
        self.note_refusal(error);
        if !conditions.columns.is_empty() {
            self.keep_diagnostics(conditions.clone());
        }
    }

    /// Keeps what SHOW WARNINGS tells of the last statement.
    pub(crate) fn keep_diagnostics(&mut self, conditions: ResultSet) {
        let errors = conditions.rows.iter().filter(|row| is_error(row)).count();
        self.state.errors = u16::try_from(errors).unwrap_or(u16::MAX);
        let shown = u16::try_from(conditions.rows.len()).unwrap_or(u16::MAX);
        self.state.warnings = self.state.warnings.max(shown);
        self.diagnostics = Some(Box::new(Diagnostics::Shown(conditions)));
    }

    /// Fetches what SHOW WARNINGS would say, so that the connection can go to somebody else.
    pub async fn save_diagnostics(&mut self) -> Result<(), EngineError> {
        // What MySQL has not told of the session's state with the ERR, it would tell with the answer to our question.
        if self.flavor() == Flavor::MySql && self.client.capabilities.has(Capabilities::SESSION_TRACK) {
            self.make_certain().await?;
        }
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        let conditions = lease.ask_payloads("SHOW WARNINGS").await?;
        // An ERR says nothing about the transaction that the statements before it may have begun; this reply does.
        let status = lease.status;
        self.state.status = status.without(StatusFlags::OF_ONE_RESULT);
        self.keep_diagnostics(conditions);
        self.pins.end(PinReason::Warnings);
        self.part().await
    }

    /// Whether only the chance of a SHOW WARNINGS holds the connection.
    #[must_use]
    pub fn holds_for_diagnostics(&self) -> bool {
        let mut others = self.pins;
        others.end(PinReason::Warnings);
        self.pins.has(PinReason::Warnings)
            && others.is_empty()
            && self.lease.as_ref().is_some_and(|lease| !lease.status.has(StatusFlags::IN_TRANS))
    }

    /// Frames a result set from payloads: column count, definitions, rows. The end is added.
    pub(crate) fn frame_rows(&self, payloads: &ResultSet) -> Vec<u8> {
        let (mut bytes, mut sequence) = (Vec::new(), 1);
        let deprecate_eof = self.client.capabilities.has(Capabilities::DEPRECATE_EOF);
        let mut put = |payload: &[u8]| sequence = frame(&mut bytes, sequence, payload);
        let mut count = Vec::new();
        count.put_lenenc(payloads.columns.len() as u64);
        put(&count);
        for definition in &payloads.columns {
            put(definition);
        }
        let mut end = Vec::new();
        if !deprecate_eof {
            encode_eof(0, self.state.status, &mut end);
            put(&end);
        }
        for row in &payloads.rows {
            put(row);
        }
        if deprecate_eof {
            OkPacket { status: self.state.status, ..OkPacket::default() }.encode(0xFE, &mut end);
        }
        put(&end);
        bytes
    }
}

/// The conditions that a SHOW asks for.
fn chosen(conditions: &ResultSet, shown: ShownDiagnostics) -> ResultSet {
    let rows = conditions.rows.iter().filter(|row| !shown.errors || is_error(row));
    let rows = rows.skip(shown.offset).take(shown.limit).cloned().collect();
    ResultSet { columns: conditions.columns.clone(), rows }
}

fn unknown_form() -> EngineError {
    EngineError::refused(
        1235,
        "42000",
        "DZ0002 GET DIAGNOSTICS of warnings, or of several conditions, is not supported once the session was idle; \
         use SHOW WARNINGS",
    )
}
