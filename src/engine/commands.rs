//! The commands that are neither text statements nor prepared ones.

use tokio::time::Instant;

use crate::backend::{BackendError, Flavor, SessionImage};
use crate::engine::cut::Bounds;
use crate::engine::error::EngineError;
use crate::engine::relay::{Outcome, Relay, RelayError, relay};
use crate::engine::session::Session;
use crate::engine::streaming::write_command;
use crate::telemetry::{Kill, PinReason};
use crate::wire::{Capabilities, HEADER_BYTES, Header, OkPacket, ReplyKind, StatusFlags, code, frame};

impl Session {
    fn ok(&self) -> OkPacket<'static> {
        // MySQL tells the warnings of the last statement with every OK; one that shows them has none.
        let tells = self.flavor() == Flavor::MySql && !self.state.shown_diagnostics;
        let warnings = if tells { self.state.warnings } else { 0 };
        OkPacket { status: self.state.status, warnings, ..OkPacket::default() }
    }

    /// Answers with a plain OK.
    pub async fn answer_ok(&mut self) -> Result<(), EngineError> {
        let OkPacket { status, warnings, .. } = self.ok();
        self.send_ok(status, warnings).await
    }

    /// Answers with an OK of our own. MySQL tells changes that the client has not been told of with any OK.
    pub(crate) async fn send_ok(&mut self, status: StatusFlags, warnings: u16) -> Result<(), EngineError> {
        let state = match self.flavor() {
            Flavor::MySql => self.client.owed.take(),
            Flavor::MariaDb => Vec::new(),
        };
        let ok = OkPacket { status, warnings, state: &state, ..OkPacket::default() };
        Ok(self.client.send_ok(&ok).await?)
    }

    /// Drops the command at the front of the client's input.
    pub async fn skip(&mut self, header: Header) -> Result<(), EngineError> {
        self.skip_command(header).await
    }

    /// COM_PING. Answered here unless the session is bound: then its server connection is what matters.
    pub async fn ping(&mut self) -> Result<(), EngineError> {
        if !self.is_bound() {
            return self.answer_ok().await;
        }
        if !self.witness.last_statement && self.flavor() == Flavor::MySql {
            // The connection would tell the warnings of another statement than the session's last.
            let Some(lease) = self.lease.as_mut() else { return Ok(()) };
            let untold = lease.ping().await;
            self.take_untold(untold)?;
            self.mark_and_release();
            return self.answer_ok().await;
        }
        let outcome = self.ask_server(&[code::PING], ReplyKind::Status).await?;
        self.state.status = outcome.status.without(StatusFlags::OF_ONE_RESULT);
        self.mark_and_release();
        Ok(())
    }

    /// Makes sure that the session's status flags are known: an ERR has none, and the statement before it
    /// may have begun a transaction or ended one.
    pub async fn make_certain(&mut self) -> Result<(), EngineError> {
        if !self.pins.has(PinReason::Warnings) || self.state.errors == 0 {
            return Ok(());
        }
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        let untold = lease.ping().await;
        self.take_untold(untold)
    }

    /// Takes in what a server told with an OK that the client does not get.
    fn take_untold(&mut self, told: Result<Vec<u8>, BackendError>) -> Result<(), EngineError> {
        let untold = match told {
            Ok(untold) => untold,
            Err(error) => {
                self.drop_lease();
                return Err(error.into());
            }
        };
        if let Some(lease) = &self.lease {
            self.state.status = lease.status.without(StatusFlags::OF_ONE_RESULT);
        }
        if self.client.capabilities.has(Capabilities::SESSION_TRACK) {
            self.client.owed.untold(&untold, self.client.tracks_itself).map_err(RelayError::from)?;
        }
        Ok(())
    }

    /// COM_INIT_DB: the server says whether the schema exists and may be used.
    pub async fn init_db(&mut self, schema: Vec<u8>) -> Result<(), EngineError> {
        let image = std::sync::Arc::new(self.state.image.with_schema(Some(&schema)));
        let left = std::sync::Arc::clone(&self.state.image);
        let mut told = false;
        if !self.change_place(&schema).await? {
            // MySQL tells the warnings of the statement before, which another connection may have run.
            let knows = self.witness.last_statement || self.flavor() == Flavor::MariaDb;
            told = self.is_bound() && knows;
            match self.enter_schema(&schema, &image, told).await {
                Ok(true) => {}
                Ok(false) => {
                    self.failed_to_enter(None);
                    self.stay(left);
                    self.mark_and_release();
                    return Ok(());
                }
                Err(error) => {
                    if let Some(packet) = error.server_packet() {
                        self.failed_to_enter(Some(packet));
                    }
                    self.keep_if_known();
                    self.stay(left);
                    return Err(error);
                }
            }
        }
        let shown = String::from_utf8_lossy(&schema);
        self.guard.schema(Some(std::sync::Arc::from(&*shown)));
        self.state.become_image(image);
        self.mark_and_release();
        if told {
            return Ok(());
        }
        let mut state = Vec::new();
        if self.client.capabilities.has(Capabilities::SESSION_TRACK) {
            self.client.owed.schema(&schema, true).map_err(RelayError::from)?;
            state = self.client.owed.take();
        }
        Ok(self.client.send_ok(&OkPacket { state: &state, ..self.ok() }).await?)
    }

    /// Asks the server to enter a schema. Where the session is bound the server itself answers the client, with
    /// its status and warnings; false: by an error.
    async fn enter_schema(
        &mut self,
        schema: &[u8],
        image: &std::sync::Arc<SessionImage>,
        bound: bool,
    ) -> Result<bool, EngineError> {
        if bound {
            let command = [&[code::INIT_DB], schema].concat();
            if self.ask_server(&command, ReplyKind::Status).await?.error.is_some() {
                return Ok(false);
            }
        } else {
            self.acquire(Instant::now()).await?;
            let lease = self.lease.as_mut().expect("acquired just before");
            lease.enter_schema(image).await?;
        }
        if let Some(lease) = self.lease.as_mut() {
            lease.became(image);
            self.state.status = lease.status.without(StatusFlags::OF_ONE_RESULT);
        }
        Ok(true)
    }

    /// COM_SET_OPTION: multi-statements on or off.
    pub async fn set_option(&mut self, option: u16) -> Result<(), EngineError> {
        let on = match option {
            0 => true,
            1 => false,
            _ => return Err(EngineError::refused(1047, "08S01", "Unknown command")),
        };
        let image = std::sync::Arc::new(self.state.image.with_multi_statements(on));
        if !self.is_bound() {
            self.state.become_image(image);
            let OkPacket { warnings, status, .. } = self.ok();
            return Ok(self.client.send_eof(warnings, status).await?);
        }
        let command = [&[code::SET_OPTION][..], &option.to_le_bytes()].concat();
        if !self.witness.last_statement && self.flavor() == Flavor::MySql {
            // The connection would tell the warnings of another statement than the session's last.
            if let Some(lease) = self.lease.as_mut() {
                lease.command(command).await?;
                lease.became(&image);
                self.state.status = lease.status.without(StatusFlags::OF_ONE_RESULT);
            }
            self.state.become_image(image);
            self.mark_and_release();
            let OkPacket { warnings, status, .. } = self.ok();
            return Ok(self.client.send_eof(warnings, status).await?);
        }
        let outcome = self.ask_server(&command, ReplyKind::Status).await?;
        if outcome.error.is_none() {
            self.state.status = outcome.status.without(StatusFlags::OF_ONE_RESULT);
            if let Some(lease) = self.lease.as_mut() {
                lease.became(&image);
            }
            self.state.become_image(image);
        }
        self.mark_and_release();
        Ok(())
    }

    /// COM_RESET_CONNECTION: back to the state after the login, the schema apart.
    pub async fn reset_connection(&mut self) -> Result<(), EngineError> {
        self.reset_here().await?;
        self.start_over();
        Ok(self.client.send_ok(&self.ok()).await?)
    }

    /// Forgets everything but who the session is and its schema.
    fn start_over(&mut self) {
        self.forget_statements();
        self.diagnostics = None;
        self.took_numbers_elsewhere = false;
        self.state.reset();
        self.follow_wait_timeout();
        self.client.owed = Default::default();
    }

    /// The user did not change, because the client did not prove to be the new one. What the session goes on as;
    /// false: it is over. MySQL closes the connection, MariaDB has cleared the session before it looks at the proof.
    pub async fn remain(&mut self) -> Result<bool, EngineError> {
        if self.flavor() == Flavor::MySql {
            return Ok(false);
        }
        self.let_go().await?;
        self.start_over();
        Ok(true)
    }

    /// A command that a server answers and that leaves the session as it is: COM_STATISTICS,
    /// COM_FIELD_LIST, COM_PROCESS_INFO, COM_DEBUG.
    pub async fn pass_on(&mut self, command: &[u8], kind: ReplyKind) -> Result<(), EngineError> {
        if self.place.is_some() && command.first() == Some(&code::FIELD_LIST) {
            return Box::pin(self.list_fields(command)).await;
        }
        if self.ask_server(command, kind).await?.error.is_some() {
            self.failed_here();
        }
        self.mark_and_release();
        Ok(())
    }

    /// Sends a command that is not a statement and passes its reply on. The connection stays leased.
    async fn ask_server(&mut self, command: &[u8], kind: ReplyKind) -> Result<Outcome, EngineError> {
        self.acquire(Instant::now()).await?;
        let (reply_timeout, renaming) = (self.reply_timeout(), self.renaming());
        let lease = self.lease.as_mut().expect("acquired just before");
        let (infile, cursor, call, prepares_again, shared, results_min) =
            (false, false, false, false, false, 1);
        let moves = command.first() == Some(&code::INIT_DB);
        let bounds = Bounds::default();
        let how = Relay {
            kind,
            infile,
            moves,
            enters: moves,
            returns: false,
            cursor,
            call,
            results_min,
            reply_timeout,
            columns: None,
            prepares_again,
            shared,
            renaming,
            bounds,
        };
        lease.begin();
        let client = &mut self.client;
        let result = async {
            let mut packet = Vec::with_capacity(command.len() + HEADER_BYTES);
            frame(&mut packet, 0, command);
            write_command(lease, &packet).await?;
            relay(lease, client, how).await
        }
        .await;
        match result {
            Ok(outcome) => {
                let status = if kind == ReplyKind::Text { lease.status } else { outcome.status };
                lease.answered(status);
                Ok(outcome)
            }
            Err(error) => {
                self.drop_lease();
                let untouched = error.is_untouched();
                Err(if untouched { EngineError::Lost(error) } else { EngineError::Relay(error) })
            }
        }
    }

    /// COM_PROCESS_KILL. MySQL 8.3 has it no more.
    pub async fn process_kill(&mut self, id: u32) -> Result<(), EngineError> {
        let gone =
            self.user.backend.facts().is_some_and(|facts| {
                facts.flavor == Flavor::MySql && version_numbers(&facts.version) >= [8, 3]
            });
        if gone {
            return Err(EngineError::refused(1047, "08S01", "Unknown command"));
        }
        self.kill(u64::from(id), Kill::Connection)?;
        self.answer_ok().await
    }

    /// The end of the session: whatever the client left on its server connection is undone.
    pub async fn end(&mut self) {
        self.client.stream.input.consume(self.client.stream.input.len());
        if self.let_go().await.is_err() {
            self.drop_lease();
        }
    }

    /// Whether a drain may end the session now.
    #[must_use]
    pub fn is_outside_transaction(&self) -> bool {
        self.lease.is_none() || !self.state.status.has(StatusFlags::IN_TRANS)
    }
}

/// `9.7.0-log` → `[9, 7]`.
fn version_numbers(version: &str) -> [u32; 2] {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)]
}
