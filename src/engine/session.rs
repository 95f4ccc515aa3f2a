//! One client's session: its state as a value, and the server connection it may be bound to.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::pool::{PoolError, Profile, Want, WorkerId};
use crate::backend::{BackendError, Flavor, ServerFacts, ServerLease, SessionImage};
use crate::engine::accounts::refusal;
use crate::engine::client::Client;
use crate::engine::combine::Station;
use crate::engine::diagnostics::Diagnostics;
use crate::engine::disagreement::Disagreements;
use crate::engine::error::EngineError;
use crate::engine::facts::FactsCache;
use crate::engine::held::Held;
use crate::engine::hot_reads::HotReads;
use crate::engine::known_answers::KnownAnswers;
use crate::engine::pin_watch::ShownPins;
use crate::engine::pins::Pins;
use crate::engine::prepared::Statements;
use crate::engine::process::{Engine, Shutdown};
use crate::engine::recall::Owed;
use crate::engine::relay::RelayError;
use crate::engine::sharded::Place;
use crate::engine::snapshot::User;
use crate::engine::values::Witness;
use crate::protection::Identity;
use crate::sql::{LexMode, Server};
use crate::telemetry::{PinReason, SessionGuard, WorkerMetrics};
use crate::wire::{Capabilities, StatusFlags, StreamError};

/// What one worker thread has for itself.
#[derive(Debug)]
pub struct Worker {
    /// Its number.
    pub id: WorkerId,
    /// Its counters.
    pub metrics: Arc<WorkerMetrics>,
    /// Statement facts it has learnt.
    pub facts: FactsCache,
    /// Statements that wait to go together.
    pub station: Station,
    /// Statements of which servers told more than their texts show.
    pub disagreements: Disagreements,
    /// What drivers ask when they connect, and what they were told.
    pub answers: KnownAnswers,
}

/// One client, logged in.
#[derive(Debug)]
pub struct Session {
    /// The client's side.
    pub client: Client,
    /// What MySQL would remember of the session.
    pub state: SessionState,
    /// Who it is.
    pub user: Arc<User>,
    /// Its place in the list of sessions.
    pub guard: Arc<SessionGuard>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) worker: Arc<Worker>,
    /// The server connection, while a statement, a transaction or a pin holds it.
    pub(crate) lease: Option<ServerLease>,
    pub(crate) pins: Pins,
    /// What of the session that connection knows.
    pub(crate) witness: Witness,
    /// What it must tell before it goes.
    pub(crate) owed: Owed,
    /// What it holds there by name.
    pub(crate) held: Held,
    /// It may have taken a number of a sequence on a connection that it is not known to have kept.
    pub(crate) took_numbers_elsewhere: bool,
    /// What hot reads remember of it.
    pub(crate) hot: HotReads,
    /// The pins as `/pins` shows them.
    pub(crate) shown_pins: ShownPins,
    /// Who it is to the rules.
    pub(crate) identity: Identity,
    /// Prepared statements; made with the first one, because most sessions have none.
    pub(crate) statements: Option<Box<Statements>>,
    /// Diagnostics of the last statement, kept when the connection had to be given up before the client asked.
    pub(crate) diagnostics: Option<Box<Diagnostics>>,
    /// The account's password had expired at the login: the session has a connection of its own.
    pub(crate) expired: bool,
    /// Where it is in a logical database, if it is in one.
    pub(crate) place: Option<Box<Place>>,
    /// KILL came while a statement ran: whoever waits for it must begin to wait anew.
    pub alarm_rung: bool,
}

/// Session state as a value.
#[derive(Debug)]
pub struct SessionState {
    /// What a server connection has to look like.
    pub image: Arc<SessionImage>,
    /// Where COM_RESET_CONNECTION goes back to, the schema apart: on MariaDB the image after the login, on MySQL what
    /// the server's global variables say.
    pub login: Arc<SessionImage>,
    /// How the lexer reads this session's texts.
    pub mode: LexMode,
    /// Status flags as the client last saw them.
    pub status: StatusFlags,
    /// LAST_INSERT_ID().
    pub last_insert_id: u64,
    /// ROW_COUNT().
    pub row_count: i64,
    /// FOUND_ROWS(); `None` if only the connection that ran the statement knew it.
    pub found_rows: Option<u64>,
    /// It has asked for that before.
    pub asks_found_rows: bool,
    /// Warnings of the last statement, errors included.
    pub warnings: u16,
    /// Errors of the last statement.
    pub errors: u16,
    /// The last statement showed them, and had none itself.
    pub shown_diagnostics: bool,
    /// The SQLSTATE of the error that ended it.
    pub error_state: Option<[u8; 5]>,
}

impl SessionState {
    /// The state right after a login.
    #[must_use]
    pub fn new(login: Arc<SessionImage>, server: Server) -> Self {
        let mut state = Self {
            image: Arc::clone(&login),
            login,
            mode: LexMode::new(server),
            status: StatusFlags::default(),
            last_insert_id: 0,
            row_count: -1,
            found_rows: Some(0),
            asks_found_rows: false,
            warnings: 0,
            errors: 0,
            shown_diagnostics: false,
            error_state: None,
        };
        state.image_changed();
        state.status = state.idle_status();
        state
    }

    /// On this server.
    fn of_server(mut self, facts: Option<&ServerFacts>) -> Self {
        if let Some(facts) = facts.filter(|facts| facts.flavor == Flavor::MySql) {
            self.login = Arc::clone(&facts.reset);
        }
        self
    }

    /// Replaces the image and what follows from it.
    pub fn become_image(&mut self, image: Arc<SessionImage>) {
        self.image = image;
        self.image_changed();
    }

    fn image_changed(&mut self) {
        let mode = LexMode::new(self.mode.server);
        let mode = self.image.variable("sql_mode").map_or(mode, |sql_mode| mode.with_sql_mode(sql_mode));
        self.mode =
            self.image.variable("character_set_client").map_or(mode, |charset| mode.with_charset(charset));
    }

    /// Back to what it was after the login. Roles stay, on both servers.
    pub fn reset(&mut self) {
        let login = self.login.with_multi_statements(self.image.multi_statements());
        self.become_image(Arc::new(login.with_schema(self.image.schema()).with_role(self.image.role())));
        self.status = self.idle_status();
        (self.last_insert_id, self.row_count, self.found_rows) = (0, -1, Some(0));
        (self.warnings, self.errors, self.shown_diagnostics) = (0, 0, false);
    }

    /// The flags of a session that runs nothing, from the variables it has.
    #[must_use]
    pub fn idle_status(&self) -> StatusFlags {
        let mut status = StatusFlags::default();
        if self.image.variable("autocommit") != Some(b"OFF") {
            status = status.with(StatusFlags::AUTOCOMMIT);
        }
        if self.mode.no_backslash_escapes {
            status = status.with(StatusFlags::NO_BACKSLASH_ESCAPES);
        }
        status
    }
}

/// How many server connections are tried before a statement fails, when one after the other turns out
/// to be dead or refuses the session's state.
const ATTEMPTS_MAX: u32 = 4;

/// The same for connections that cannot log in again because their account has no room for it: each of them is closed, and the
/// first that is new needs no login.
const LOGINS_MAX: u32 = 64;

/// User variables of earlier sessions, by now NULL, that a connection may have left; with more it is reset.
const REMNANTS_MAX: usize = 64;

/// What a session is made of.
#[derive(Debug)]
pub struct SessionParts {
    /// The client's side.
    pub client: Client,
    /// Who it is.
    pub user: Arc<User>,
    /// Its place in the list of sessions.
    pub guard: SessionGuard,
    /// What all sessions share.
    pub engine: Arc<Engine>,
    /// What this thread's sessions share.
    pub worker: Arc<Worker>,
    /// The image after the login.
    pub login: Arc<SessionImage>,
    /// What the client calls itself, in lower case.
    pub application: Option<Box<str>>,
}

impl Session {
    /// A session at its beginning.
    #[must_use]
    pub fn new(parts: SessionParts) -> Self {
        let facts = parts.user.backend.facts();
        let version = facts.as_ref().map(|facts| facts.version.clone()).unwrap_or_default();
        let state = SessionState::new(parts.login, Server::from_version_text(&version));
        let shown_pins = ShownPins::new(&parts.engine, parts.guard.id());
        Self {
            client: parts.client,
            state: state.of_server(facts.as_deref()),
            user: parts.user,
            guard: Arc::new(parts.guard),
            engine: parts.engine,
            worker: parts.worker,
            lease: None,
            pins: Pins::default(),
            witness: Witness::default(),
            owed: Owed::default(),
            held: Held::default(),
            took_numbers_elsewhere: false,
            hot: HotReads::default(),
            shown_pins,
            identity: Identity::new(parts.application),
            statements: None,
            diagnostics: None,
            expired: false,
            place: None,
            alarm_rung: false,
        }
    }

    /// Takes on another identity and the state of its login (COM_CHANGE_USER).
    pub async fn become_user(
        &mut self,
        user: Arc<User>,
        login: Arc<SessionImage>,
    ) -> Result<(), EngineError> {
        self.let_go().await?;
        self.forget_statements();
        self.diagnostics = None;
        self.took_numbers_elsewhere = false;
        self.client.owed = Default::default();
        self.user = user;
        self.expired = false;
        self.place = None;
        self.identity = Identity::new(self.identity.application.take());
        let facts = self.user.backend.facts();
        self.state = SessionState::new(login, self.state.mode.server).of_server(facts.as_deref());
        self.follow_wait_timeout();
        Ok(())
    }

    /// The account's password has expired: until its owner has changed it the server allows nothing else. The session
    /// keeps one connection, on which that happens.
    pub async fn enter_sandbox(&mut self, started: Instant) -> Result<(), EngineError> {
        self.expired = true;
        self.acquire(started).await?;
        self.pin(PinReason::ExpiredPassword);
        self.mark_and_release();
        Ok(())
    }

    /// Asks the server to enter the schema of the login: it must exist, and the user must have rights.
    pub async fn check_schema(&mut self, schema: &[u8], started: Instant) -> Result<(), EngineError> {
        let image = Arc::new(self.state.image.with_schema(Some(schema)));
        if self.enter(Some(schema)) {
            self.state.login = Arc::clone(&image);
            self.state.become_image(image);
            return Ok(());
        }
        self.acquire(started).await?;
        let lease = self.lease.as_mut().expect("acquired just before");
        let entered = lease.enter_schema(&image).await;
        self.keep_if_known();
        entered?;
        self.state.login = Arc::new(self.state.login.with_schema(Some(schema)));
        self.state.become_image(image);
        Ok(())
    }

    /// Server connections this session can use: those with its own kind of affected rows, and with
    /// query attributes if it sends them.
    pub(crate) fn profile(&self) -> Profile {
        let mut profile = Profile::PLAIN;
        if self.client.capabilities.has(Capabilities::FOUND_ROWS) {
            profile = profile | Profile::FOUND_ROWS;
        }
        if self.client.capabilities.has(Capabilities::QUERY_ATTRIBUTES) {
            profile = profile | Profile::QUERY_ATTRIBUTES;
        }
        if self.expired {
            profile = profile | Profile::EXPIRED_PASSWORD;
        }
        if self.client.capabilities.has(Capabilities::MARIADB_EXTENDED_METADATA) {
            profile = profile | Profile::EXTENDED_METADATA;
        }
        profile
    }

    /// Whether the session is bound to its server connection.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.lease.is_some()
    }

    /// Which server its texts are for.
    #[must_use]
    pub fn flavor(&self) -> Flavor {
        self.user.backend.facts().map_or(Flavor::MySql, |facts| facts.flavor)
    }

    /// Whether a client hears why it is disconnected after a long silence. MariaDB closes without a word.
    #[must_use]
    pub fn tells_of_inactivity(&self) -> bool {
        self.flavor() == Flavor::MySql
    }

    /// Makes sure there is a leased connection that looks like this session. Returns how long it waited
    /// in line. The wait begins at `started`.
    pub(crate) async fn acquire(&mut self, started: Instant) -> Result<Duration, EngineError> {
        let mut waited = Duration::ZERO;
        if let Some(lease) = self.lease.as_mut()
            && !lease.stream.is_quiet()
        {
            // Bytes that nobody asked for would be taken for the next reply. If only diagnostics are lost
            // with the connection, another one will do.
            let held = !self.holds_for_diagnostics();
            self.drop_lease();
            if !held {
                return Box::pin(self.acquire(started)).await;
            }
            return Err(EngineError::Lost(RelayError::Server {
                error: StreamError::Closed,
                untouched: true,
            }));
        }
        for attempt in 1.. {
            if self.lease.is_none() {
                waited += self.lease_connection(started).await?;
            }
            let image = self.wanted_image();
            let Some(lease) = self.lease.as_mut() else { continue };
            if self.expired {
                // The server would refuse it, and nobody else ever gets this connection.
                break;
            }
            let bound =
                lease.status.has(StatusFlags::IN_TRANS) || !self.pins.is_empty() || !self.owed.is_empty();
            if lease.remnants().len() > REMNANTS_MAX && !bound {
                lease.reset().await?;
            }
            let error = match lease.adopt(&image).await {
                Ok(()) => break,
                Err(error) => error,
            };
            let in_transaction = lease.status.has(StatusFlags::IN_TRANS);
            let bound = in_transaction || (!self.pins.is_empty() && !self.holds_for_diagnostics());
            let attempts_max = match error {
                BackendError::Stream(_) | BackendError::Timeout(_) => ATTEMPTS_MAX,
                BackendError::NoRoom(_) => LOGINS_MAX,
                _ => 0,
            };
            self.drop_lease();
            if bound || attempt >= attempts_max {
                return Err(error.into());
            }
        }
        Ok(waited)
    }

    async fn lease_connection(&mut self, started: Instant) -> Result<Duration, EngineError> {
        let mut want = self.want(started);
        let lease = match self.pool().try_lease(&want) {
            Some(lease) => lease,
            None => {
                want.deadline = started + self.pool().queue_timeout();
                self.wait_for_lease(&want).await?
            }
        };
        self.take(lease)
    }

    /// Takes an idle connection if there is one. True: there was none, or so many are in use that the
    /// statement should be shared.
    pub(crate) fn take_idle(&mut self, started: Instant) -> Result<bool, EngineError> {
        let want = self.want(started);
        let Some(lease) = self.pool().try_lease(&want) else { return Ok(true) };
        let crowded = lease.is_crowded();
        self.take(lease)?;
        Ok(crowded)
    }

    fn take(&mut self, mut lease: ServerLease) -> Result<Duration, EngineError> {
        if let Err(error) = lease.move_to(self.worker.id) {
            lease.close();
            return Err(BackendError::from(error).into());
        }
        let waited = lease.waited();
        self.lease = Some(lease);
        self.witness = Witness::default();
        Ok(waited)
    }

    /// Waits in line. A pool that drains because the configuration changed is left for its successor.
    async fn wait_for_lease(&mut self, want: &Want) -> Result<ServerLease, EngineError> {
        let pool = Arc::clone(self.pool());
        match self.watch_client(pool.lease(want)).await? {
            Ok(lease) => Ok(lease),
            Err(PoolError::Draining) => match self.engine.snapshot().successor(&self.user) {
                Some(user) if !Arc::ptr_eq(&user, &self.user) => {
                    let want = Want { user: user.slot, ..*want };
                    self.user = user;
                    self.refresh_place();
                    let pool = Arc::clone(self.pool());
                    self.watch_client(pool.lease(&want)).await?.map_err(|error| self.without_lease(error))
                }
                _ => Err(self.without_lease(PoolError::Draining)),
            },
            Err(error) => Err(self.without_lease(error)),
        }
    }

    /// Why there is no connection. An account that its server does not let in any more ends its sessions here: they
    /// could do nothing, and clients that log in again learn what has changed.
    fn without_lease(&self, error: PoolError) -> EngineError {
        let code = match &error {
            PoolError::Refused(failure) => failure.code,
            PoolError::Draining => Some(1045),
            PoolError::QueueFull
            | PoolError::Timeout
            | PoolError::Unavailable(_)
            | PoolError::StillUnavailable(_) => return error.into(),
        };
        let snapshot = self.engine.snapshot();
        let ending = snapshot.accounts().is_none() || self.engine.stage() != Shutdown::Not;
        if self.user.account.is_none() || (ending && matches!(error, PoolError::Draining)) {
            return error.into();
        }
        snapshot.accounts().into_iter().for_each(|accounts| accounts.suspect());
        EngineError::Expelled(refusal(code, self.flavor(), &format!("'{}'", self.user.name)))
    }

    /// Runs `wait` unless the client goes away meanwhile: nobody waits in line for a client that left.
    pub(crate) async fn watch_client<F: Future>(&mut self, wait: F) -> Result<F::Output, EngineError> {
        let mut wait = std::pin::pin!(wait);
        let client = &mut self.client;
        std::future::poll_fn(|cx| {
            if let std::task::Poll::Ready(output) = wait.as_mut().poll(cx) {
                return std::task::Poll::Ready(Ok(output));
            }
            client.poll_gone(cx).map(|_| Err(EngineError::from(RelayError::Gone)))
        })
        .await
    }
}
