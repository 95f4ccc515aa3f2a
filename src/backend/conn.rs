//! One server connection: its stream, what the server's session looks like now, and whether somebody
//! else may have it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::backend::answer::{ANSWER_BYTES_MAX, ResultSet, expect_ok, read_prepared, read_rows};
use crate::backend::error::BackendError;
use crate::backend::facts::{Flavor, MYSQL_TRACKED, ServerFacts};
use crate::backend::image::SessionImage;
use crate::backend::login::Login;
use crate::backend::pool::{Pooled, Profile, WorkerId};
use crate::backend::prepared::{PrepareReply, PreparedKey, PreparedStatements};
use crate::wire::handshake::Scramble;
use crate::wire::{Buffer, Capabilities, Deadline, OkPacket, PacketStream, Socket, StatusFlags, code, frame};

/// Whether a connection can be given to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Its session is exactly what its image says; no reply is outstanding.
    Ready,
    /// A reply is outstanding.
    Busy,
    /// Its session holds something that no image describes (user variables, locks …): it must be reset
    /// before anybody else gets it.
    Dirty,
    /// Unknown; only good for being closed.
    Broken,
}

/// One server connection. Only a lease touches it.
#[derive(Debug)]
pub struct BackendConn {
    pub(crate) stream: PacketStream,
    pub(crate) deadline: Deadline,
    pub(crate) prepared: PreparedStatements,
    pub(crate) facts: Arc<ServerFacts>,
    /// Status after the last statement.
    pub(crate) status: StatusFlags,
    /// LAST_INSERT_ID() of the server's session, whosever it is.
    pub(crate) insert_id: u64,
    /// A statement has run that may have taken a number of a sequence, which LASTVAL() shows from then on.
    pub(crate) took_numbers: bool,
    /// The roles that its login made active; `None` of a server that has none.
    pub(super) login_role: Option<Vec<u8>>,
    pub(super) condition: Condition,
    pub(crate) image: Arc<SessionImage>,
    /// User variables of earlier sessions, NULL by now: all that is left of them is a collation.
    pub(super) remnants: BTreeSet<Box<str>>,
    profile: Profile,
    home: WorkerId,
    thread_id: u32,
    pub(super) capabilities: Capabilities,
    /// For exchanges that are not statements: state, reset, prepare.
    pub(super) exchange_timeout: Duration,
    /// For a server that does not read what it is sent.
    pub(crate) write_timeout: Duration,
    pub(super) login: Arc<Login>,
    pub(super) scramble: Scramble,
}

/// What a new connection consists of.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) stream: PacketStream,
    pub(crate) facts: Arc<ServerFacts>,
    pub(crate) status: StatusFlags,
    pub(crate) profile: Profile,
    pub(crate) home: WorkerId,
    pub(crate) thread_id: u32,
    pub(crate) capabilities: Capabilities,
    pub(crate) exchange_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) login: Arc<Login>,
    pub(crate) scramble: Scramble,
}

impl BackendConn {
    pub(crate) fn new(connected: Connected) -> Self {
        Self {
            image: Arc::clone(&connected.facts.fresh),
            stream: connected.stream,
            deadline: Deadline::new(),
            prepared: PreparedStatements::new(Arc::clone(&connected.facts.prepared)),
            facts: connected.facts,
            status: connected.status,
            insert_id: 0,
            took_numbers: false,
            login_role: None,
            condition: Condition::Ready,
            remnants: BTreeSet::new(),
            profile: connected.profile,
            home: connected.home,
            thread_id: connected.thread_id,
            capabilities: connected.capabilities,
            exchange_timeout: connected.exchange_timeout,
            write_timeout: connected.write_timeout,
            login: connected.login,
            scramble: connected.scramble,
        }
    }

    /// The server's id of this connection, for KILL.
    #[must_use]
    pub const fn thread_id(&self) -> u32 {
        self.thread_id
    }

    /// What was agreed on with the server.
    #[must_use]
    pub const fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// What its session looks like.
    #[must_use]
    pub const fn image(&self) -> &Arc<SessionImage> {
        &self.image
    }

    /// Whether somebody else may have it.
    #[must_use]
    pub const fn condition(&self) -> Condition {
        self.condition
    }

    /// The server's session has become this by a statement of the client.
    pub fn became(&mut self, image: &Arc<SessionImage>) {
        self.image = Arc::clone(image);
    }

    /// Whether the session holds something that no image describes; the owner says so after every
    /// statement.
    pub const fn mark_dirty(&mut self, dirty: bool) {
        self.condition = match self.condition {
            Condition::Ready | Condition::Dirty if dirty => Condition::Dirty,
            Condition::Ready | Condition::Dirty => Condition::Ready,
            other => other,
        };
    }

    /// A command is about to be written: until [`BackendConn::answered`] the connection is nobody's.
    pub fn begin(&mut self) {
        self.stream.reset_sequence();
        if self.condition != Condition::Broken {
            self.condition = Condition::Busy;
        }
    }

    /// The whole reply has been read.
    pub const fn answered(&mut self, status: StatusFlags) {
        self.status = status;
        if matches!(self.condition, Condition::Busy) {
            self.condition = Condition::Ready;
        }
    }

    /// Nothing is known about it any more.
    pub const fn break_off(&mut self) {
        self.condition = Condition::Broken;
    }

    /// Moves its socket to `worker`'s I/O driver; it must be called there. Sockets under TLS stay where
    /// they are: they work from anywhere, only a wake-up costs more.
    pub fn move_to(&mut self, worker: WorkerId) -> std::io::Result<()> {
        if self.home != worker {
            self.stream.reregister()?;
            self.home = worker;
        }
        Ok(())
    }

    /// User variables that were never set in a fresh session, and here are NULLs with a collation.
    pub(crate) const fn remnants(&self) -> &BTreeSet<Box<str>> {
        &self.remnants
    }

    /// Whether several commands may be on their way at once. Under compression servers forget what stands behind a
    /// command in the same packet once they have answered it.
    pub(crate) const fn pipelines(&self) -> bool {
        !matches!(self.stream.socket(), Socket::Compressed(_))
    }

    /// Sends commands in one write, where that is possible, and reads one OK for each; the connection is broken in between.
    pub(super) async fn exchange(&mut self, commands: &[Vec<u8>]) -> Result<StatusFlags, BackendError> {
        let before = self.condition;
        self.condition = Condition::Broken;
        let at_once = if self.pipelines() { commands.len().max(1) } else { 1 };
        let limit = self.exchange_timeout;
        let (stream, capabilities) = (&mut self.stream, self.capabilities);
        let replies = async {
            let mut status = StatusFlags::default();
            for commands in commands.chunks(at_once) {
                stream.reset_sequence();
                stream.write_all(&framed(commands, capabilities)).await?;
                for _ in commands {
                    stream.sequence = 1;
                    status = expect_ok(&stream.read_payload(ANSWER_BYTES_MAX).await?)?;
                }
            }
            Ok::<_, BackendError>(status)
        };
        let result = timeout(limit, replies).await.map_err(|_| BackendError::Timeout("a state change"))?;
        match result {
            // One of several commands was refused: how far the others got is not worth finding out.
            Err(BackendError::Server(packet)) if commands.len() > 1 => Err(BackendError::Server(packet)),
            result => self.after(before, result),
        }
    }

    /// After an exchange of our own: the connection is as good as before if the server gave an answer,
    /// be it a refusal.
    pub(super) fn after<T>(
        &mut self,
        before: Condition,
        result: Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        if matches!(result, Ok(_) | Err(BackendError::Server(_))) {
            self.condition = before;
        }
        result
    }

    /// COM_INIT_DB for the client: `image` is the present one with the wanted schema. Unlike
    /// [`BackendConn::adopt`] it asks the server even if nothing changes: the schema may be gone, or the
    /// user may have lost its rights.
    pub async fn enter_schema(&mut self, image: &Arc<SessionImage>) -> Result<(), BackendError> {
        let mut command = vec![code::INIT_DB];
        command.extend_from_slice(image.schema().unwrap_or_default());
        self.status = self.exchange(&[command]).await?;
        self.image = Arc::clone(image);
        Ok(())
    }

    /// A command of our own that the server answers with OK.
    pub async fn command(&mut self, payload: Vec<u8>) -> Result<(), BackendError> {
        self.status = self.exchange(&[payload]).await?;
        Ok(())
    }

    /// COM_PING: the server tells the status of the session as it is now, and the changes of its state that it has not told
    /// yet, which it does not tell again.
    pub async fn ping(&mut self) -> Result<Vec<u8>, BackendError> {
        let before = self.condition;
        self.condition = Condition::Broken;
        self.stream.reset_sequence();
        let limit = self.exchange_timeout;
        let stream = &mut self.stream;
        let reply = async {
            stream.write_payload(&[code::PING]).await?;
            let payload = stream.read_payload(ANSWER_BYTES_MAX).await?;
            let status = expect_ok(&payload)?;
            Ok((status, OkPacket::parse(&payload)?.state.to_vec()))
        };
        let result = timeout(limit, reply).await.map_err(|_| BackendError::Timeout("a ping"))?;
        let (status, untold) = self.after(before, result)?;
        self.status = status;
        Ok(untold)
    }

    /// Asks the server something of our own; the answer's rows are texts or NULL. Leaves the session as
    /// it was, apart from its diagnostics.
    pub async fn ask(&mut self, sql: &str) -> Result<Vec<Vec<Option<Vec<u8>>>>, BackendError> {
        Ok(self.ask_payloads(sql).await?.texts()?)
    }

    /// See [`BackendConn::ask`]; the answer as the server sent it.
    pub async fn ask_payloads(&mut self, sql: &str) -> Result<ResultSet, BackendError> {
        Ok(self.ask_bytes(sql.as_bytes()).await?.0)
    }

    /// The same in the client's charset, and how many warnings there were.
    pub async fn ask_bytes(&mut self, sql: &[u8]) -> Result<(ResultSet, u16), BackendError> {
        let before = self.condition;
        self.condition = Condition::Broken;
        self.stream.reset_sequence();
        let command = query(sql, self.capabilities);
        let limit = self.exchange_timeout;
        let stream = &mut self.stream;
        let answer = async {
            stream.write_payload(&command).await?;
            read_rows(stream).await
        };
        let result = timeout(limit, answer).await.map_err(|_| BackendError::Timeout("an internal query"))?;
        let (answer, (status, warnings)) = self.after(before, result)?;
        self.status = status;
        Ok((answer, warnings))
    }

    /// Prepares `key.text` here. Not cancel-safe: a drop midway leaves the connection broken.
    pub async fn prepare(&mut self, key: &PreparedKey) -> Result<Arc<PrepareReply>, BackendError> {
        self.prepared.make_room(key.text.len());
        match self.try_prepare(key).await {
            // Others have taken what this account leaves them, and more.
            Err(BackendError::Server(packet))
                if packet.code == TOO_MANY_PREPARED && self.prepared.give_up_half() =>
            {
                self.try_prepare(key).await
            }
            result => result,
        }
    }

    async fn try_prepare(&mut self, key: &PreparedKey) -> Result<Arc<PrepareReply>, BackendError> {
        let before = self.condition;
        self.condition = Condition::Broken;
        self.stream.reset_sequence();
        // What is to be closed goes first: it makes room.
        let closing = self.closing_frames();
        let limit = self.exchange_timeout;
        let stream = &mut self.stream;
        let exchange = async {
            stream.write_text_command(closing, code::STMT_PREPARE, &key.text).await?;
            read_prepared(stream).await
        };
        let result = timeout(limit, exchange).await.map_err(|_| BackendError::Timeout("a PREPARE"))?;
        let reply = Arc::new(self.after(before, result)?);
        self.prepared.insert(key.clone(), Arc::clone(&reply));
        Ok(reply)
    }

    /// Drops a statement's long data and closes its cursor.
    pub async fn reset_statement(&mut self, id: u32) -> Result<(), BackendError> {
        let mut command = vec![code::STMT_RESET];
        command.extend_from_slice(&id.to_le_bytes());
        self.status = self.exchange(&[command]).await?;
        Ok(())
    }

    /// The frames that close statements which have been forgotten; they have no reply and go along
    /// with the next command.
    pub fn closing_frames(&mut self) -> Vec<u8> {
        let mut frames = Vec::new();
        for id in self.prepared.take_closing() {
            let mut command = vec![code::STMT_CLOSE];
            command.extend_from_slice(&id.to_le_bytes());
            frame(&mut frames, 0, &command);
        }
        frames
    }

    /// The payload of a COM_QUERY of our own.
    pub(crate) fn query_payload(&self, sql: &[u8]) -> Vec<u8> {
        query(sql, self.capabilities)
    }

    /// Bytes that were read from the server and not consumed.
    pub(crate) const fn input(&mut self) -> &mut Buffer {
        &mut self.stream.input
    }
}

impl Pooled for BackendConn {
    fn profile(&self) -> Profile {
        self.profile
    }

    fn state_key(&self) -> u64 {
        self.image.key() as u64
    }

    fn home(&self) -> WorkerId {
        self.home
    }

    fn is_alive(&mut self) -> bool {
        self.stream.is_quiet()
    }

    fn is_reusable(&self) -> bool {
        self.condition == Condition::Ready
            && !self.status.has(StatusFlags::IN_TRANS)
            && !self.profile.contains(Profile::EXPIRED_PASSWORD)
    }

    async fn close(mut self) {
        // COM_QUIT, then the server's FIN: only then does the server no longer count the connection.
        self.stream.reset_sequence();
        if self.stream.write_payload(&[code::QUIT]).await.is_ok() {
            while matches!(self.stream.fill(1).await, Ok(n) if n > 0) {
                let n = self.stream.input.len();
                self.stream.input.consume(n);
            }
        }
    }
}

/// ER_MAX_PREPARED_STMT_COUNT_REACHED.
const TOO_MANY_PREPARED: u16 = 1461;

/// Commands as they go on the wire.
fn framed(commands: &[Vec<u8>], capabilities: Capabilities) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command in commands {
        match command.split_first() {
            Some((&code::QUERY, text)) => frame(&mut bytes, 0, &query(text, capabilities)),
            _ => frame(&mut bytes, 0, command),
        };
    }
    bytes
}

/// The payload of a COM_QUERY of our own. Where query attributes were agreed on, their number (none) and
/// the number of sets of them (one) come first.
pub(super) fn query(sql: &[u8], capabilities: Capabilities) -> Vec<u8> {
    let mut payload = Vec::with_capacity(sql.len() + 3);
    payload.push(code::QUERY);
    if capabilities.has(Capabilities::QUERY_ATTRIBUTES) {
        payload.extend_from_slice(&[0, 1]);
    }
    payload.extend_from_slice(sql);
    payload
}

/// The statement that makes the server report what changes.
pub(crate) fn tracking(flavor: Flavor) -> String {
    let variables = match flavor {
        Flavor::MySql => MYSQL_TRACKED,
        Flavor::MariaDb => "*",
    };
    format!(
        "SET session_track_system_variables='{variables}', session_track_schema=1, session_track_state_change=1"
    )
}
