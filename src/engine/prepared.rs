//! Prepared statements of a session: the client's ids, and the statement they stand for on whichever
//! server connection runs it.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::backend::{BackendConn, Flavor, PrepareReply, PreparedKey, SessionImage};
use crate::engine::admission::end_permit;
use crate::engine::error::EngineError;
use crate::engine::facts::Facts;
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::engine::sharded::IMAGES_MAX;
use crate::engine::typing::open_parameters;
use crate::engine::values::asks_about_session;
use crate::error::SqlError;
use crate::sql::{Effects, Statement};
use crate::telemetry::{CommandKind, PinReason, StatementContext};
use crate::wire::{Capabilities, StatusFlags, Writer, encode_eof, frame};

/// A statement as the client knows it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) key: PreparedKey,
    pub(crate) facts: Arc<Facts>,
    /// The session's image at the PREPARE: it decides what the text means.
    pub(crate) image: Arc<SessionImage>,
    /// The same in the databases of slots to which it went lately.
    images: Vec<Arc<SessionImage>>,
    pub(crate) parameters: u16,
    /// Columns of its result, as the client knows them.
    pub(crate) columns: u16,
    /// The logical database that the session was in at the PREPARE.
    pub(crate) database: Option<Box<str>>,
    /// The types the client bound last: executions that send none mean these.
    pub(crate) types: Option<Arc<[u8]>>,
    /// Which parameters get their type from what is bound; empty if none does.
    pub(crate) open: Box<[bool]>,
    /// The key of the server's statement that becomes this one's own, where it is there.
    pub(crate) former: Option<PreparedKey>,
    /// Pieces of parameters wait on the bound connection.
    pub(crate) long_data: bool,
    /// A cursor is open on the bound connection.
    pub(crate) cursor: bool,
    /// What stands for it in this execution: its text with values that only the session knows.
    pub(crate) stand_in: Option<PreparedKey>,
    /// Why long data could not be passed on; told at the EXECUTE, because the command has no reply.
    pub(crate) failed: Option<SqlError>,
}

impl Prepared {
    /// Whether something waits for it on the bound connection.
    const fn keeps(&self) -> bool {
        self.cursor || self.long_data
    }

    /// Its image in another schema.
    pub(crate) fn image_in(&mut self, schema: &[u8]) -> Arc<SessionImage> {
        if let Some(known) = self.images.iter().find(|image| image.schema() == Some(schema)) {
            return Arc::clone(known);
        }
        if self.images.len() >= IMAGES_MAX {
            self.images.clear();
        }
        let image = Arc::new(self.image.with_schema(Some(schema)));
        self.images.push(Arc::clone(&image));
        image
    }

    /// What the server has prepared for it.
    pub(crate) fn server_key(&self) -> &PreparedKey {
        self.stand_in.as_ref().unwrap_or(&self.key)
    }
}

/// The statements of one session.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    last_id: u32,
    /// What MariaDB's clients call −1: the statement prepared last, if that has worked.
    latest: Option<u32>,
    pub(crate) known: HashMap<u32, Prepared, FixedState>,
    /// Bytes of their texts.
    bytes: usize,
}

impl Statements {
    fn insert(&mut self, statement: Prepared) -> u32 {
        self.bytes += statement.key.text.len();
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            // 0 is no id, and all ones means "the statement prepared last" to MariaDB's clients.
            if self.last_id != 0 && self.last_id != u32::MAX && !self.known.contains_key(&self.last_id) {
                self.known.insert(self.last_id, statement);
                self.latest = Some(self.last_id);
                return self.last_id;
            }
        }
    }

    /// Gives a statement the server's to itself if another one of the same text keeps something there.
    fn part(&mut self, id: u32) {
        let Some(statement) = self.known.get(&id).filter(|known| !known.keeps()) else { return };
        if self.is_taken(id, &statement.key)
            && let Some(statement) = self.known.get_mut(&id)
        {
            statement.key.copy = id;
        }
    }

    /// Whether a statement other than `id` keeps something at the server's for `key`.
    fn is_taken(&self, id: u32, key: &PreparedKey) -> bool {
        self.known.iter().any(|(other, known)| *other != id && known.keeps() && known.server_key() == key)
    }

    /// What a new statement must be told apart by from those that keep something.
    fn copy_for(&self, key: &PreparedKey) -> u32 {
        if self.is_taken(0, key) { self.last_id.wrapping_add(1) } else { 0 }
    }

    /// The bound connection is gone, and with it cursors and long data.
    pub(crate) fn unbind(&mut self) {
        for statement in self.known.values_mut() {
            statement.cursor = false;
            statement.long_data = false;
        }
    }
}

/// Marks the copy of a statement that is executed with cursors; no session has so many statements.
const WITH_CURSORS: u32 = 1 << 31;

/// What of an image a prepared text depends on: the type of a user variable is part of what its statement
/// means.
pub(crate) fn meaning(facts: &Facts, image: &SessionImage) -> u128 {
    let named = Effects::USES_USER_VARIABLE | Effects::ASSIGNS_USER_VARIABLE;
    if facts.statement.effects.intersects(named) { image.key() } else { image.base_key() }
}

/// MySQL's error for an id that no statement has.
pub(crate) fn unknown_statement(id: u32, flavor: Flavor, command: &str) -> EngineError {
    // MySQL looks the statement up in one place for all commands.
    let command = if flavor == Flavor::MySql { "mysql_stmt_precheck" } else { command };
    let message = format!("Unknown prepared statement handler ({id}) given to {command}");
    EngineError::refused(1243, "HY000", message)
}

impl Session {
    pub(crate) fn statement(&mut self, id: u32) -> Option<&mut Prepared> {
        self.statements.as_mut()?.known.get_mut(&id)
    }

    /// The id that a client means: MariaDB's may say −1.
    pub(crate) fn meant(&self, id: u32) -> u32 {
        if id != u32::MAX || self.flavor() != Flavor::MariaDb {
            return id;
        }
        self.statements.as_ref().and_then(|statements| statements.latest).unwrap_or(id)
    }

    /// COM_STMT_PREPARE of `text`.
    pub async fn prepare(&mut self, text: Vec<u8>) -> Result<(), EngineError> {
        let worker = Arc::clone(&self.worker);
        let mut context = StatementContext::begin(&worker.metrics, CommandKind::Prepare);
        let facts = self.worker.facts.facts(&text, self.state.mode, &self.worker.metrics);
        if let Some(statements) = self.statements.as_mut() {
            statements.latest = None;
        }
        let result = self.run_prepare(text.into(), facts, &mut context).await;
        self.finish(result, context)
    }

    async fn run_prepare(
        &mut self,
        text: Arc<[u8]>,
        facts: Arc<Facts>,
        context: &mut StatementContext<'_>,
    ) -> Result<(), EngineError> {
        let limits = self.engine.snapshot().config.limits.clone();
        let known = self.statements.as_ref().map_or((0, 0), |known| (known.known.len(), known.bytes));
        let max = limits.prepared_statements_max as usize;
        if known.0 >= max {
            let message =
                format!("Can't create more than max_prepared_stmt_count statements (current value: {max})");
            return Err(EngineError::refused(1461, "42000", message));
        }
        let max = limits.prepared_bytes_max;
        if (known.1 + text.len()) as u64 > max {
            let message = format!("DZ0004 the texts of prepared statements would take more than {max} bytes");
            return Err(EngineError::refused(1461, "42000", message));
        }
        let permit = self.admit_prepare(&facts, &text, context.started()).await?;
        let result = self.prepare_somewhere(text, facts, context).await;
        end_permit(permit, &result);
        let (id, reply) = result?;
        self.send_prepared(id, &reply).await
    }

    /// Prepares on a leased connection; returns the client's id and the server's reply.
    async fn prepare_somewhere(
        &mut self,
        text: Arc<[u8]>,
        facts: Arc<Facts>,
        context: &mut StatementContext<'_>,
    ) -> Result<(u32, Arc<PrepareReply>), EngineError> {
        let text = self.substituted_prepare(&facts.statement, &text).map_or(text, Into::into);
        let image = self.wanted_image();
        let mut key = PreparedKey { text, image: meaning(&facts, &image), types: Arc::default(), copy: 0 };
        if let Some(statements) = self.statements.as_ref() {
            key.copy = statements.copy_for(&key);
        }
        let question = self.prepared_question(&facts, &key);
        let reply = match self.known_preparation(question) {
            Some(reply) => reply,
            None => {
                let reply = self.prepare_on_lease(&key, context).await?;
                self.learn_preparation(question, &reply);
                reply
            }
        };
        // A PREPARE does not tell whether the statement before it, which failed, has opened a transaction.
        self.make_certain().await?;
        // Servers keep the diagnostics for a statement that is about them.
        if !facts.statement.effects.contains(Effects::DIAGNOSTICS) {
            self.prepared_cleanly(reply.warnings);
        }
        let statement = Prepared {
            key,
            facts,
            image,
            images: Vec::new(),
            parameters: reply.parameters,
            columns: reply.columns,
            database: self.logical_name().map(Into::into),
            types: None,
            open: open_parameters(&reply, self.flavor()),
            former: None,
            long_data: false,
            cursor: false,
            stand_in: None,
            failed: None,
        };
        let id = self.statements.get_or_insert_default().insert(statement);
        self.release();
        Ok((id, reply))
    }

    /// A PREPARE that worked leaves no diagnostics of the statement before it.
    fn prepared_cleanly(&mut self, warnings: u16) {
        (self.state.warnings, self.state.errors) = (warnings, 0);
        self.state.shown_diagnostics = false;
        (self.diagnostics, self.state.error_state) = (None, None);
        if warnings > 0 {
            self.pin(PinReason::Warnings);
        } else {
            self.pins.end(PinReason::Warnings);
        }
    }

    async fn send_prepared(&mut self, id: u32, reply: &PrepareReply) -> Result<(), EngineError> {
        let mut ok = vec![0x00];
        ok.put_u32(id);
        ok.put_u16(reply.columns);
        ok.put_u16(reply.parameters);
        ok.push(0);
        ok.put_u16(reply.warnings);
        let eof = (!self.client.capabilities.has(Capabilities::DEPRECATE_EOF)).then(|| {
            let mut eof = Vec::new();
            encode_eof(0, self.state.status, &mut eof);
            eof
        });
        let mut bytes = Vec::new();
        let mut sequence = frame(&mut bytes, self.client.stream.sequence, &ok);
        let renaming = self.renaming();
        let (parameters, columns) = reply.definitions.split_at(usize::from(reply.parameters));
        for group in [parameters, columns] {
            for definition in group {
                let renamed = renaming.as_ref().and_then(|renaming| renaming.column(definition));
                sequence = frame(&mut bytes, sequence, renamed.as_deref().unwrap_or(definition));
            }
            if let Some(eof) = eof.as_ref().filter(|_| !group.is_empty()) {
                sequence = frame(&mut bytes, sequence, eof);
            }
        }
        Ok(self.client.send(&bytes).await?)
    }

    /// Chooses what is executed for a prepared statement: its own text, or one with the session's values.
    pub(crate) fn choose_text(&mut self, id: u32, statement: &Statement) -> Result<(), EngineError> {
        if !asks_about_session(statement) {
            return Ok(());
        }
        let Some(key) = self.statement(id).map(|prepared| prepared.key.clone()) else { return Ok(()) };
        let stand_in = self.substituted_execution(statement, &key.text)?;
        let stand_in = stand_in.map(|text| PreparedKey { text: text.into(), ..key });
        if let Some(prepared) = self.statement(id) {
            // Long data waits at the statement it was sent for.
            prepared.stand_in = stand_in.filter(|_| !prepared.long_data);
        }
        Ok(())
    }

    /// MySQL sends no readable reply to an execution without a cursor of a statement that had one before: what is
    /// executed with cursors is not shared with what is not. Where types are open, it has them from earlier executions.
    pub(crate) fn keep_cursors_apart(&mut self, id: u32, cursor: bool) {
        if self.flavor() != Flavor::MySql {
            return;
        }
        let apart = |statement: &&mut Prepared| !statement.long_data && statement.open.is_empty();
        let Some(statement) = self.statement(id).filter(apart) else { return };
        let own = statement.key.copy & !WITH_CURSORS;
        let copy = if cursor { own | WITH_CURSORS } else { own };
        if copy == statement.key.copy {
            return;
        }
        let next = PreparedKey { copy, ..statement.key.clone() };
        let left = std::mem::replace(&mut statement.key, next);
        let open = std::mem::take(&mut statement.cursor);
        if let Some(lease) = self.lease.as_mut().filter(|_| open) {
            lease.prepared.remove(&left);
        }
    }

    /// Makes sure that the leased connection has the statement prepared; returns the server's id.
    pub(crate) async fn prepare_here(&mut self, id: u32) -> Result<u32, EngineError> {
        if let Some(statements) = self.statements.as_mut() {
            statements.part(id);
        }
        let statements = self.statements.as_ref();
        let Some(statement) = statements.and_then(|statements| statements.known.get(&id)) else {
            return Err(unknown_statement(id, self.flavor(), "mysqld_stmt_execute"));
        };
        let lease = self.lease.as_mut().expect("acquired just before");
        if let Some(known) = lease.prepared.find(statement.server_key()) {
            return Ok(known.reply.id);
        }
        if let Some(former) = &statement.former
            && let Some(known) = lease.prepared.become_own(former, statement.server_key())
        {
            return Ok(known.reply.id);
        }
        if statement.former.is_none()
            && let Some(known) = lease.prepared.settle(statement.server_key())
        {
            return Ok(known.reply.id);
        }
        // The text means what it meant when the client prepared it.
        let now = Arc::clone(lease.image());
        let then = if statement.image.key() == now.key() {
            Arc::clone(&now)
        } else {
            let stays = lease.status.has(StatusFlags::IN_TRANS) || !self.pins.is_empty();
            Arc::new(now.with_meaning_of(&statement.image, stays))
        };
        lease.adopt(&then).await?;
        let reply = lease.prepare(statement.server_key()).await?;
        lease.adopt(&now).await?;
        Ok(reply.id)
    }

    /// The server's id of the statement, if `conn` has it prepared.
    pub(crate) fn prepared_on(&self, id: u32, conn: &mut BackendConn) -> Option<u32> {
        let statement = self.statements.as_ref()?.known.get(&id)?;
        conn.prepared.find(statement.server_key()).map(|known| known.reply.id)
    }

    /// After an execution: a cursor keeps the connection, long data has been used up.
    pub(crate) fn executed(&mut self, id: u32, outcome: &Outcome) {
        let status = outcome.status;
        let open = status.has(StatusFlags::CURSOR_EXISTS) && !status.has(StatusFlags::LAST_ROW_SENT);
        let mut settled_otherwise = None;
        if let Some(statement) = self.statement(id) {
            statement.cursor = open;
            if statement.columns > 0 && outcome.columns > 0 {
                statement.columns = u16::try_from(outcome.columns).unwrap_or(u16::MAX);
            }
            let by_long_data = std::mem::take(&mut statement.long_data) && !statement.open.is_empty();
            settled_otherwise = (by_long_data && !open).then(|| statement.key.clone());
        }
        // It was executed with types that its key does not tell.
        if let (Some(key), Some(lease)) = (settled_otherwise, self.lease.as_mut()) {
            lease.prepared.remove(&key);
        }
        self.update_statement_pins();
    }

    /// Cursors and long data hold the connection as long as any statement has one.
    pub(crate) fn update_statement_pins(&mut self) {
        let Some(statements) = self.statements.as_ref() else { return };
        let holds = [
            (PinReason::Cursor, statements.known.values().any(|statement| statement.cursor)),
            (PinReason::LongData, statements.known.values().any(|statement| statement.long_data)),
        ];
        for (reason, held) in holds {
            if !held {
                self.pins.end(reason);
            } else if self.pins.add(reason) {
                self.worker.metrics.pins.increment(reason);
            }
        }
    }

    /// COM_STMT_CLOSE: no reply. The server's statement stays for the next one who prepares the same.
    pub fn close_statement(&mut self, id: u32) {
        let id = self.meant(id);
        if let Some(statements) = self.statements.as_mut().filter(|statements| statements.latest == Some(id))
        {
            statements.latest = None;
        }
        let Some(statements) = self.statements.as_mut() else { return };
        let Some(statement) = statements.known.remove(&id) else { return };
        statements.bytes -= statement.key.text.len();
        if statement.cursor || statement.long_data {
            if let Some(lease) = self.lease.as_mut() {
                lease.prepared.remove(statement.server_key());
            }
            self.update_statement_pins();
            self.mark_and_release();
        }
    }

    /// Forgets all statements: their ids are void after a reset.
    pub(crate) fn forget_statements(&mut self) {
        self.statements = None;
    }

    /// Tells the connection whether it is dirty, and gives it back if nothing holds it.
    pub(crate) fn mark_and_release(&mut self) {
        self.show_pins(None);
        let dirty = !self.pins.lasting().is_empty() || self.pins.has_passing_state();
        if let Some(lease) = self.lease.as_mut() {
            lease.mark_dirty(dirty);
        }
        self.release();
    }

    /// COM_STMT_RESET: drops long data, closes the cursor.
    pub async fn reset_statement(&mut self, id: u32) -> Result<(), EngineError> {
        self.make_certain().await?;
        let id = self.meant(id);
        let status = self.state.status;
        let Some(statement) = self.statement(id) else {
            return Err(unknown_statement(id, self.flavor(), "mysqld_stmt_reset"));
        };
        statement.failed = None;
        if statement.cursor || statement.long_data {
            (statement.cursor, statement.long_data) = (false, false);
            let key = statement.server_key().clone();
            if let Some(lease) = self.lease.as_mut()
                && let Some(server_id) = lease.prepared.find(&key).map(|statement| statement.reply.id)
            {
                lease.reset_statement(server_id).await?;
            }
            self.update_statement_pins();
            self.mark_and_release();
        }
        self.send_ok(status, 0).await
    }
}
