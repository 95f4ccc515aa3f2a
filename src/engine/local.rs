//! Statements answered here, because no server connection knows the answer: it was another one that
//! ran the statement they ask about, or they are about connections of this proxy.

use crate::backend::Flavor;
use crate::engine::error::EngineError;
use crate::engine::session::Session;
use crate::sql::{Effects, KillId, KillScope, Statement, kill_target};
use crate::telemetry::{Kill, PinReason};
use crate::wire::{Capabilities, OkPacket, StatusFlags, Writer, encode_eof, frame};

impl Session {
    /// Answers a statement that must not, or need not, reach a server. False: it is to be sent.
    pub(crate) async fn answer_locally(
        &mut self,
        statement: &Statement,
        text: &[u8],
    ) -> Result<bool, EngineError> {
        let effects = statement.effects;
        if effects.contains(Effects::MULTIPLE) {
            return Ok(false);
        }
        if effects.contains(Effects::KILL) {
            self.kill_statement(text).await?;
            return Ok(true);
        }
        let text = text.trim_ascii();
        let text = text.strip_suffix(b";").unwrap_or(text).trim_ascii_end();
        if is_call(text, b"CONNECTION_ID") {
            // The id of the greeting, which KILL takes; a server would tell its own.
            let id = self.guard.id().to_string();
            self.send_integer(text[6..].trim_ascii(), &id).await?;
            return Ok(true);
        }
        let asks = Effects::DIAGNOSTICS | Effects::FOUND_ROWS | Effects::ROW_COUNT;
        // The connection that ran the last statement may still be here: then it knows best.
        if self.is_bound() || !effects.intersects(asks) {
            return Ok(false);
        }
        if effects.contains(Effects::DIAGNOSTICS) {
            return self.answer_diagnostics(text).await;
        }
        let value = if is_call(text, b"ROW_COUNT") {
            self.state.row_count.to_string()
        } else if is_call(text, b"FOUND_ROWS") {
            self.state.found_rows.to_string()
        } else {
            return self.refuse_stale(effects);
        };
        self.send_integer(text[6..].trim_ascii(), &value).await?;
        Ok(true)
    }

    /// ROW_COUNT() or FOUND_ROWS() inside something larger, on a connection that did not run the
    /// statement they mean: a server would answer, wrongly.
    fn refuse_stale(&self, effects: Effects) -> Result<bool, EngineError> {
        let name = if effects.contains(Effects::FOUND_ROWS) { "FOUND_ROWS()" } else { "ROW_COUNT()" };
        Err(EngineError::refused(
            1235,
            "42000",
            format!(
                "DZ0001 {name} inside an expression is not supported outside a transaction; select it alone"
            ),
        ))
    }

    async fn answer_diagnostics(&mut self, text: &[u8]) -> Result<bool, EngineError> {
        if self.state.warnings == 0 && self.diagnostics.is_none() {
            // No warnings on this side, none on any idle connection's after a clean statement: only one
            // that holds the diagnostics of somebody else's statement would answer wrongly.
            self.clear_diagnostics().await?;
            return Ok(false);
        }
        let plain = text.eq_ignore_ascii_case(b"SHOW WARNINGS");
        match &self.diagnostics {
            Some(reply) if plain => {
                let bytes = reply.clone();
                self.client.send(&bytes).await?;
                Ok(true)
            }
            _ => Err(EngineError::refused(
                1235,
                "42000",
                "DZ0002 the diagnostics of the last statement are kept for SHOW WARNINGS only, once the session was idle",
            )),
        }
    }

    /// Leases a connection and empties its diagnostics area.
    async fn clear_diagnostics(&mut self) -> Result<(), EngineError> {
        self.acquire(tokio::time::Instant::now()).await?;
        if let Some(lease) = self.lease.as_mut() {
            // MariaDB keeps old diagnostics over statements on one level and without tables.
            lease.ask("SELECT 1 FROM (SELECT 1) AS d").await?;
        }
        Ok(())
    }

    /// Fetches what SHOW WARNINGS would say, so that the connection can go to somebody else.
    pub async fn save_diagnostics(&mut self) -> Result<(), EngineError> {
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        let rows = lease.ask_payloads("SHOW WARNINGS").await?;
        // An ERR says nothing about the transaction that the statements before it may have begun; this reply does.
        let status = lease.status;
        self.state.status = status.without(StatusFlags::OF_ONE_RESULT);
        self.diagnostics = Some(self.frame_rows(&rows).into());
        self.pins.end(PinReason::Warnings);
        self.mark_and_release();
        Ok(())
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
    fn frame_rows(&self, payloads: &crate::backend::ResultSet) -> Vec<u8> {
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

    /// Sends one row with one integer, as MySQL describes the result of such a function.
    async fn send_integer(&mut self, name: &[u8], value: &str) -> Result<(), EngineError> {
        let mut definition = Vec::new();
        definition.put_lenenc_bytes(b"def");
        for _ in 0..3 {
            definition.put_lenenc_bytes(b"");
        }
        definition.put_lenenc_bytes(name);
        definition.put_lenenc_bytes(b"");
        definition.push(0x0C);
        definition.put_u16(63);
        definition.put_u32(21);
        // LONGLONG, NOT_NULL and BINARY.
        definition.push(0x08);
        definition.put_u16(0x0081);
        definition.push(0);
        definition.put_u16(0);
        let mut row = Vec::new();
        row.put_lenenc_bytes(value.as_bytes());
        let result = crate::backend::ResultSet { columns: vec![definition], rows: vec![row] };
        let bytes = self.frame_rows(&result);
        self.state.row_count = -1;
        Ok(self.client.send(&bytes).await?)
    }

    async fn kill_statement(&mut self, text: &[u8]) -> Result<(), EngineError> {
        let Some(target) = kill_target(text, self.state.mode) else {
            return Err(EngineError::refused(
                1064,
                "42000",
                "You have an error in your SQL syntax near KILL",
            ));
        };
        let KillId::Number(id) = target.id else {
            return Err(EngineError::refused(
                1235,
                "42000",
                "DZ0003 KILL takes a number here: connection ids are this proxy's own",
            ));
        };
        let scope = match target.scope {
            KillScope::Connection => Kill::Connection,
            KillScope::Query => Kill::Query,
        };
        self.kill(id, scope)?;
        Ok(self.client.send_ok(&OkPacket { status: self.state.status, ..OkPacket::default() }).await?)
    }

    /// Ends a session of this proxy, or its statement. Only sessions of the same user can be named, as
    /// on a server without CONNECTION_ADMIN.
    pub fn kill(&mut self, id: u64, scope: Kill) -> Result<(), EngineError> {
        let unknown = || EngineError::refused(1094, "HY000", format!("Unknown thread id: {id}"));
        let id = u32::try_from(id).map_err(|_| unknown())?;
        let sessions = self.engine.telemetry.sessions();
        let row = sessions.find(id).ok_or_else(unknown)?;
        if row.user.as_deref() != Some(&*self.user.name) {
            let message = format!("You are not owner of thread {id}");
            return Err(EngineError::refused(1095, "HY000", message));
        }
        if !sessions.kill(id, scope) {
            return Err(unknown());
        }
        // Whoever kills itself is told so in place of an OK.
        if id != self.guard.id() {
            return Ok(());
        }
        Err(match (self.flavor(), scope) {
            (Flavor::MariaDb, Kill::Connection) => {
                EngineError::refused(1927, "70100", "Connection was killed")
            }
            _ => EngineError::refused(1317, "70100", "Query execution was interrupted"),
        })
    }
}

/// Whether `text` is `SELECT name()` and nothing else.
fn is_call(text: &[u8], name: &[u8]) -> bool {
    let Some((select, rest)) = text.split_at_checked(6) else { return false };
    let rest = rest.trim_ascii_start();
    select.eq_ignore_ascii_case(b"SELECT")
        && rest.len() == name.len() + 2
        && rest[..name.len()].eq_ignore_ascii_case(name)
        && rest.ends_with(b"()")
}
