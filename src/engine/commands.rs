//! The commands that are neither text statements nor prepared ones.

use tokio::time::Instant;

use crate::backend::{BackendError, Flavor};
use crate::engine::error::EngineError;
use crate::engine::relay::{Relay, relay};
use crate::engine::session::Session;
use crate::engine::streaming::write_command;
use crate::telemetry::PinReason;
use crate::wire::{
    Capabilities, HEADER_BYTES, Header, OkPacket, ReplyKind, StateChange, StatusFlags, encode_state_change,
    frame,
};

impl Session {
    fn ok(&self) -> OkPacket<'static> {
        OkPacket { status: self.state.status, ..OkPacket::default() }
    }

    /// Answers with a plain OK.
    pub async fn answer_ok(&mut self) -> Result<(), EngineError> {
        Ok(self.client.send_ok(&self.ok()).await?)
    }

    /// Drops the command at the front of the client's input.
    pub async fn skip(&mut self, header: Header) -> Result<(), EngineError> {
        let after = self.client.stream.sequence;
        self.skip_command(header).await?;
        self.client.stream.sequence = after;
        Ok(())
    }

    /// COM_PING. Answered here unless the session is bound: then its server connection is what matters.
    pub async fn ping(&mut self) -> Result<(), EngineError> {
        if let Some(lease) = self.lease.as_mut()
            && !lease.stream.is_quiet()
        {
            self.drop_lease();
            return Err(BackendError::Stream(crate::wire::StreamError::Closed).into());
        }
        Ok(self.client.send_ok(&self.ok()).await?)
    }

    /// COM_INIT_DB: the server says whether the schema exists and may be used.
    pub async fn init_db(&mut self, schema: Vec<u8>) -> Result<(), EngineError> {
        let image = std::sync::Arc::new(self.state.image.with_schema(Some(&schema)));
        let left = std::sync::Arc::clone(&self.state.image);
        if !self.change_place(&schema).await? {
            let entered = match self.acquire(Instant::now()).await {
                Ok(_) => {
                    let lease = self.lease.as_mut().expect("acquired just before");
                    lease.enter_schema(&image).await.map_err(EngineError::from)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = entered {
                self.keep_if_known();
                self.stay(left);
                return Err(error);
            }
        }
        let shown = String::from_utf8_lossy(&schema);
        self.guard.schema(Some(std::sync::Arc::from(&*shown)));
        self.state.become_image(image);
        self.state.warnings = 0;
        self.pins.end(PinReason::Warnings);
        self.mark_and_release();
        let mut state = Vec::new();
        if self.client.capabilities.has(Capabilities::SESSION_TRACK) {
            encode_state_change(StateChange::Schema(&schema), &mut state);
        }
        Ok(self.client.send_ok(&OkPacket { state: &state, ..self.ok() }).await?)
    }

    /// COM_SET_OPTION: multi-statements on or off.
    pub async fn set_option(&mut self, option: u16) -> Result<(), EngineError> {
        let on = match option {
            0 => true,
            1 => false,
            _ => return Err(EngineError::refused(1047, "08S01", "Unknown command")),
        };
        self.state.become_image(std::sync::Arc::new(self.state.image.with_multi_statements(on)));
        Ok(self.client.send_eof(self.state.status).await?)
    }

    /// COM_RESET_CONNECTION: back to the state after the login, the schema apart.
    pub async fn reset_connection(&mut self) -> Result<(), EngineError> {
        self.start_over().await?;
        Ok(self.client.send_ok(&self.ok()).await?)
    }

    /// Forgets everything but who the session is and its schema.
    async fn start_over(&mut self) -> Result<(), EngineError> {
        self.let_go().await?;
        self.forget_statements();
        self.diagnostics = None;
        self.state.reset();
        self.follow_wait_timeout();
        Ok(())
    }

    /// The user did not change, because the client did not prove to be the new one. What the session goes on as;
    /// false: it is over. MySQL closes the connection, MariaDB has cleared the session before it looks at the proof.
    pub async fn remain(&mut self) -> Result<bool, EngineError> {
        if self.flavor() == Flavor::MySql {
            return Ok(false);
        }
        self.start_over().await?;
        Ok(true)
    }

    /// A command that a server answers and that leaves the session as it is: COM_STATISTICS,
    /// COM_FIELD_LIST, COM_PROCESS_INFO, COM_DEBUG.
    pub async fn pass_on(&mut self, command: &[u8], kind: ReplyKind) -> Result<(), EngineError> {
        self.acquire(Instant::now()).await?;
        let (reply_timeout, renaming) = (self.reply_timeout(), self.renaming());
        let lease = self.lease.as_mut().expect("acquired just before");
        let (infile, cursor, call, shared) = (false, false, false, false);
        let how = Relay { kind, infile, cursor, call, reply_timeout, shared, renaming };
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
                self.mark_and_release();
                Ok(())
            }
            Err(error) => {
                self.drop_lease();
                let untouched = error.is_untouched();
                Err(if untouched { EngineError::Lost(error) } else { EngineError::Relay(error) })
            }
        }
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
