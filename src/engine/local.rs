//! Statements answered here, because no server connection knows the answer: it was another one that
//! ran the statement they ask about, or they are about connections of this proxy.

use crate::backend::Flavor;
use crate::engine::error::EngineError;
use crate::engine::session::Session;
use crate::sql::{Effects, KillId, KillScope, Kind, ShowKind, Statement, kill_target};
use crate::telemetry::{Kill, PinReason};
use crate::wire::Capabilities;

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
        if effects.contains(Effects::LOAD_LOCAL) && !self.client.capabilities.has(Capabilities::LOCAL_FILES) {
            return Err(self.refuse_infile());
        }
        let text = text.trim_ascii();
        let text = text.strip_suffix(b";").unwrap_or(text).trim_ascii_end();
        let asks = matches!(statement.kind, Kind::Show(ShowKind::Diagnostics) | Kind::GetDiagnostics);
        // The connection that ran the last statement may still be here: then it knows best.
        if !asks || self.is_bound() && self.witness.last_statement {
            return Ok(false);
        }
        self.answer_diagnostics(statement, text).await
    }

    /// What a server tells a client that did not offer its files: our own connection offers them.
    fn refuse_infile(&self) -> EngineError {
        match self.flavor() {
            Flavor::MariaDb => EngineError::refused(
                4166,
                "HY000",
                "The used command is not allowed because the MariaDB server or client has disabled the local infile capability",
            ),
            Flavor::MySql => EngineError::refused(
                3948,
                "42000",
                "Loading local data is disabled; this must be enabled on both the client and server sides",
            ),
        }
    }

    async fn kill_statement(&mut self, text: &[u8]) -> Result<(), EngineError> {
        let Some(target) = kill_target(text, self.state.mode) else {
            return Err(EngineError::refused(
                1064,
                "42000",
                "You have an error in your SQL syntax near KILL",
            ));
        };
        let id = match target.id {
            KillId::Number(id) => id,
            KillId::Expression(place) if is_own_id(&text[place.clone()]) => u64::from(self.guard.id()),
            KillId::Expression(_) => {
                return Err(EngineError::refused(
                    1235,
                    "42000",
                    "DZ0003 KILL takes a number here: connection ids are this proxy's own",
                ));
            }
        };
        let scope = match target.scope {
            KillScope::Connection => Kill::Connection,
            KillScope::Query => Kill::Query,
        };
        self.make_certain().await?;
        self.kill(id, scope)?;
        (self.state.warnings, self.state.errors, self.state.row_count) = (0, 0, 0);
        (self.diagnostics, self.state.error_state) = (None, None);
        self.witness.last_statement = false;
        if self.pins.has(PinReason::Warnings) {
            self.pins.end(PinReason::Warnings);
            self.mark_and_release();
        }
        self.send_ok(self.state.status, 0).await
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

/// Effects with which a statement may have to be answered here, not by a server.
pub(crate) fn needs_care(effects: Effects) -> bool {
    effects.intersects(Effects::KILL | Effects::DIAGNOSTICS | Effects::LOAD_LOCAL)
}

/// Whether an expression is `CONNECTION_ID()`.
fn is_own_id(expression: &[u8]) -> bool {
    let words = expression.iter().filter(|byte| !byte.is_ascii_whitespace()).copied();
    words.collect::<Vec<u8>>().eq_ignore_ascii_case(b"CONNECTION_ID()")
}
