//! COM_STMT_EXECUTE and what belongs to it: long data, cursors.

use std::sync::Arc;

use crate::backend::Flavor;
use crate::engine::cut::Bounds;
use crate::engine::error::EngineError;
use crate::engine::facts::Facts;
use crate::engine::hot_reads::{Asked, Hot};
use crate::engine::hot_rows::Sent;
use crate::engine::outcome::Outcome;
use crate::engine::parameters::BULK_HEAD_BYTES;
use crate::engine::prepared::unknown_statement;
use crate::engine::recall::too_late;
use crate::engine::relay::{Relay, RelayError, relay};
use crate::engine::session::Session;
use crate::engine::sharded::{Routed, unroutable};
use crate::engine::statement::{Sending, WHOLE_MAX, is_whole};
use crate::engine::streaming::{stream_command, write_command};
use crate::error::ProxyError;
use crate::sql::{Effects, Statement};
use crate::telemetry::{CommandKind, PinReason, StatementContext};
use crate::wire::{
    Capabilities, Command, HEADER_BYTES, Header, ReplyKind, StatusFlags, StreamError, code, frame,
};

/// Cursor type bits of an execution's flags.
const CURSOR_TYPES: u8 = 0x07;

/// One COM_STMT_EXECUTE.
struct Execution {
    id: u32,
    /// For many rows of parameters at once.
    bulk: bool,
    cursor: bool,
    facts: Arc<Facts>,
    text: Arc<[u8]>,
}

/// What a server says to a client that did not tell of its bulk executions.
fn no_bulk(flavor: Flavor) -> EngineError {
    match flavor {
        Flavor::MySql => EngineError::refused(1047, "08S01", "Unknown command"),
        Flavor::MariaDb => {
            let message = "This command is not supported in the prepared statement protocol yet";
            EngineError::refused(1295, "HY000", message)
        }
    }
}

impl Session {
    /// COM_STMT_EXECUTE, and MariaDB's COM_STMT_BULK_EXECUTE. The header has been read, the payload may still be on its way.
    pub async fn execute(&mut self, header: Header) -> Result<(), EngineError> {
        let head = (HEADER_BYTES + header.length).min(HEADER_BYTES + WHOLE_MAX);
        self.client.need(head).await?;
        self.renew_place();
        let worker = Arc::clone(&self.worker);
        let mut context = StatementContext::begin(&worker.metrics, CommandKind::Execute);
        match self.find_execution(header) {
            Ok(execution) => {
                let facts = Arc::clone(&execution.facts);
                let sent = if execution.bulk { Sent::Bulk } else { Sent::Execution(execution.id) };
                let writes = self.begin_write(&facts, header, sent);
                let result = self.run_execute(execution, header, &mut context).await;
                self.end_write(writes, &result);
                if self.hot.was_hit() {
                    return self.finish(result, context);
                }
                self.finish_paced(result, context, &facts.pace)
            }
            Err(error) => {
                let result = self.skip_command(header).await.and(Err(error));
                self.finish(result, context)
            }
        }
    }

    /// Which statement is executed, and how.
    fn find_execution(&mut self, header: Header) -> Result<Execution, EngineError> {
        let payload = &self.client.stream.input.filled()[HEADER_BYTES..];
        let payload = &payload[..payload.len().min(header.length)];
        let bulk = payload.first() == Some(&code::STMT_BULK_EXECUTE);
        let short = payload.len() < BULK_HEAD_BYTES;
        let looked_at = !short || self.flavor() == Flavor::MySql;
        if bulk && looked_at && !self.client.capabilities.has(Capabilities::MARIADB_BULK) {
            return Err(no_bulk(self.flavor()));
        }
        let stop = if self.flavor() == Flavor::MySql { "." } else { "" };
        let malformed =
            || EngineError::refused(1835, "HY000", format!("Malformed communication packet{stop}"));
        let (id, flags) = match Command::parse(payload) {
            Ok(Command::StmtExecute { statement, flags, .. }) => (statement, flags),
            Ok(Command::Unknown(_)) if bulk && !short => {
                let id = payload[1..5].try_into().map_err(|_| malformed())?;
                (u32::from_le_bytes(id), 0)
            }
            _ => return Err(malformed()),
        };
        let id = self.meant(id);
        let elsewhere = self.is_prepared_elsewhere(id);
        let Some(prepared) = self.statement(id) else {
            return Err(unknown_statement(id, self.flavor(), "mysqld_stmt_execute"));
        };
        if elsewhere {
            return Err(unroutable("a statement that was prepared in another database"));
        }
        if let Some(error) = prepared.failed.take() {
            return Err(EngineError::Refused(error));
        }
        Ok(Execution {
            id,
            bulk,
            cursor: flags & CURSOR_TYPES != 0,
            facts: Arc::clone(&prepared.facts),
            text: Arc::clone(&prepared.key.text),
        })
    }

    async fn run_execute(
        &mut self,
        execution: Execution,
        header: Header,
        context: &mut StatementContext<'_>,
    ) -> Result<(), EngineError> {
        let Execution { id, bulk, cursor, facts, text } = execution;
        context.digest(facts.row);
        let statement = &facts.statement;
        let _changing = self.engine.definitions.change(statement);
        if self.place.is_some() && bulk {
            self.skip_command(header).await?;
            return Err(unroutable("an execution for many rows of parameters"));
        }
        if self.place.is_some()
            && !self.executes_by_recipe(id, &facts, header)
            && Box::pin(self.route_execution(id, &facts, header, context)).await? == Routed::Done
        {
            return Ok(());
        }
        let question = match bulk || cursor {
            true => None,
            false => self.executed_question(id, &facts, header),
        };
        if let Some(question) = question
            && Box::pin(self.answer_execution(question, &facts, header)).await?
        {
            return Ok(());
        }
        self.keep_cursors_apart(id, cursor);
        let (relay, long_data) = self.execution_relay(id, statement, cursor)?;
        if let Err(error) = self.check_use(id, statement).and_then(|()| self.note_types(id, header)) {
            return self.skip_command(header).await.and(Err(error));
        }
        let fill = match bulk || cursor || long_data || question.is_some() {
            true => None,
            false => {
                let (sent, started) = (Sent::Execution(id), context.started());
                match self.read_hot(Asked { facts: &facts, header, sent, parts: &[], started }).await? {
                    Hot::Answered => return Ok(()),
                    Hot::Sent(fill) => fill,
                }
            }
        };
        let sending = Sending { facts: &facts, relay, header, prepared: Some(id) };
        let outcome = self.send_and_confirm(sending, context).await;
        if let Some(question) = question {
            self.learn_execution(question, outcome.as_ref().ok());
        }
        let outcome = self.fill_hot(fill, outcome, context.started());
        let Some(outcome) = self.or_old(outcome, &facts, Some(id)).await? else { return Ok(()) };
        if statement.effects.contains(Effects::SETS_SYSTEM_VARIABLE) && outcome.error.is_none() {
            self.read_back(&text, &outcome).await.map_err(too_late)?;
        }
        self.follow_role(statement, &outcome).await.map_err(too_late)?;
        if self.client.tracks_itself {
            Box::pin(self.follow_schema(statement)).await.map_err(too_late)?;
        }
        if outcome.error.is_some() {
            self.owe_schema(id)?;
        }
        self.executed(id, &outcome);
        self.settle(statement, &text, &outcome);
        self.part().await
    }

    /// How the reply to an execution is passed on, and whether long data has been sent for it.
    fn execution_relay(
        &mut self,
        id: u32,
        statement: &Statement,
        cursor: bool,
    ) -> Result<(Relay, bool), EngineError> {
        let (long_data, columns) = match self.statement(id) {
            Some(statement) => (statement.long_data, Some(statement.columns).filter(|columns| *columns > 0)),
            None => (false, None),
        };
        let relay = Relay {
            kind: ReplyKind::Results,
            infile: statement.effects.contains(Effects::LOAD_LOCAL),
            moves: true,
            enters: statement.effects.contains(Effects::CHANGES_SCHEMA) || self.moves(id),
            returns: self.returns_unsaid(id)?,
            cursor,
            call: statement.effects.contains(Effects::CALLS_PROCEDURE),
            results_min: 1,
            reply_timeout: self.reply_timeout(),
            columns,
            prepares_again: !long_data,
            shared: false,
            renaming: self.renaming(),
            bounds: Bounds::default(),
        };
        Ok((relay, long_data))
    }

    /// The server could not execute what it has prepared any more: it is prepared again, once.
    pub(crate) async fn execute_anew(
        &mut self,
        sending: &Sending<'_>,
        context: &mut StatementContext<'_>,
    ) -> Result<Outcome, EngineError> {
        let prepared = sending.prepared.and_then(|id| self.statement(id));
        let key = prepared.map(|prepared| prepared.server_key().clone());
        if let (Some(key), Some(lease)) = (key, self.lease.as_mut()) {
            lease.prepared.remove(&key);
        }
        let mut again = sending.clone();
        again.relay.prepares_again = false;
        self.send_with_retry(&again, true, context).await
    }

    /// Drops the command at the front of the input, so that the next one can be read.
    pub(crate) async fn skip_command(&mut self, header: Header) -> Result<(), EngineError> {
        if is_whole(&self.client.stream.input, header) {
            self.client.stream.input.consume(HEADER_BYTES + header.length);
        } else {
            // MySQL, too, reads a packet to its end before it complains.
            self.client.stream.sequence = header.sequence;
            self.client.skip_payload(self.client.packet_bytes_max).await?;
        }
        Ok(())
    }

    /// COM_STMT_SEND_LONG_DATA: no reply, not even to an error; that is told at the EXECUTE.
    pub async fn send_long_data(&mut self, header: Header) -> Result<(), EngineError> {
        let whole = HEADER_BYTES + header.length;
        self.client.need(whole.min(HEADER_BYTES + 7)).await?;
        let payload = &self.client.stream.input.filled()[HEADER_BYTES..];
        let payload = &payload[..payload.len().min(header.length)];
        let Ok(Command::StmtSendLongData { statement: id }) = Command::parse(payload) else {
            return self.skip_long_data(header).await;
        };
        let id = self.meant(id);
        if self.statement(id).is_none() {
            return self.skip_long_data(header).await;
        }
        // To prepare it here would wipe the diagnostics of the statement before, which this command leaves alone.
        let saved = match self.pins.has(PinReason::Warnings) {
            true => self.save_diagnostics().await,
            false => Ok(()),
        };
        let ready = match saved {
            Ok(()) => self.acquire(tokio::time::Instant::now()).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = ready {
            return self.fail_long_data(id, error, header).await;
        }
        self.witness.last_statement = false;
        // Where types are open, the statement that has not settled them yet is there for anybody to take.
        if let Some(statement) = self.statement(id).filter(|statement| !statement.open.is_empty()) {
            statement.key.copy = id;
        }
        let server_id = match self.prepare_here(id).await {
            Ok(server_id) => server_id,
            Err(error) => return self.fail_long_data(id, error, header).await,
        };
        let packet = self.client.stream.input.filled_mut();
        packet[HEADER_BYTES + 1..HEADER_BYTES + 5].copy_from_slice(&server_id.to_le_bytes());
        let lease = self.lease.as_mut().expect("acquired just before");
        lease.begin();
        if let Err(error) = stream_command(lease, &mut self.client, header).await {
            self.drop_lease();
            return Err(EngineError::Relay(error));
        }
        let status = lease.status;
        lease.answered(status);
        if let Some(statement) = self.statement(id) {
            statement.long_data = true;
        }
        self.update_statement_pins();
        self.mark_and_release();
        Ok(())
    }

    async fn skip_long_data(&mut self, header: Header) -> Result<(), EngineError> {
        self.client.stream.sequence = header.sequence;
        self.client.skip_payload(self.client.packet_bytes_max).await?;
        Ok(())
    }

    async fn fail_long_data(
        &mut self,
        id: u32,
        error: EngineError,
        header: Header,
    ) -> Result<(), EngineError> {
        if !error.session_survives() {
            return Err(error);
        }
        if let Some(statement) = self.statement(id) {
            statement.failed = Some(error.sql_error());
        }
        self.mark_and_release();
        self.skip_long_data(header).await
    }

    /// COM_STMT_FETCH: rows from a cursor, which is on the bound connection.
    pub async fn fetch(&mut self, command: &[u8], id: u32) -> Result<(), EngineError> {
        let id = self.meant(id);
        let (key, open) = match self.statement(id) {
            Some(statement) => (statement.server_key().clone(), statement.cursor),
            None => {
                return Err(unknown_statement(id, self.flavor(), "mysqld_stmt_fetch"));
            }
        };
        let (reply_timeout, renaming) = (self.reply_timeout(), self.renaming());
        let server_id = self
            .lease
            .as_mut()
            .filter(|_| open)
            .and_then(|lease| lease.prepared.find(&key).map(|statement| statement.reply.id));
        let (Some(server_id), Some(lease)) = (server_id, self.lease.as_mut()) else {
            let stop = if self.flavor() == Flavor::MySql { "." } else { "" };
            let message = format!("The statement ({id}) has no open cursor{stop}");
            return Err(EngineError::refused(1421, "HY000", message));
        };
        if !lease.stream.is_quiet() {
            self.drop_lease();
            return Err(EngineError::Lost(RelayError::Server {
                error: StreamError::Closed,
                untouched: true,
            }));
        }
        let mut command = command.to_vec();
        command[1..5].copy_from_slice(&server_id.to_le_bytes());
        lease.begin();
        let how = Relay {
            kind: ReplyKind::Rows,
            infile: false,
            moves: false,
            enters: false,
            returns: false,
            cursor: false,
            call: false,
            results_min: 1,
            reply_timeout,
            columns: None,
            prepares_again: false,
            shared: false,
            renaming,
            bounds: Bounds::default(),
        };
        let result = async {
            let mut packet = Vec::with_capacity(command.len() + HEADER_BYTES);
            frame(&mut packet, 0, &command);
            write_command(lease, &packet).await?;
            relay(lease, &mut self.client, how).await
        }
        .await;
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(error) => {
                self.drop_lease();
                return Err(EngineError::Relay(error));
            }
        };
        lease.answered(outcome.status);
        self.state.status = outcome.status.without(StatusFlags::OF_ONE_RESULT);
        if outcome.status.has(StatusFlags::LAST_ROW_SENT) || outcome.error.is_some() {
            if let Some(statement) = self.statement(id) {
                statement.cursor = false;
            }
            self.update_statement_pins();
        }
        self.part().await
    }
}
