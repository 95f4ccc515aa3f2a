//! Connections to Redis, and the three things that are said on them: a look-up, a telling, a result put.

use std::time::Duration;

use bb8::ManageConnection;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::cache::{Place, Token};
use crate::config;
use crate::telemetry::spawn;

/// For a connection with its login and its look at the server.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The field of the tokens' hash that tells of everything.
const ALL: &str = "all";

/// The field that names the server process that has the tokens.
const RUN: &str = "run";

/// What went wrong with Redis.
#[derive(Debug, thiserror::Error)]
pub(super) enum FleetError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("no answer in time")]
    Late,
    #[error("it does not say which process it is (INFO server)")]
    Nameless,
}

/// Makes connections.
#[derive(Debug)]
pub(super) struct Dialler {
    settings: config::Redis,
    /// The name of the hash of tokens.
    tokens: String,
}

/// One connection, lent to one who asks at a time.
pub(super) struct Connection {
    redis: MultiplexedConnection,
    /// Something was asked whose answer has not come. Dropped so, it is closed: nobody waits behind a slow answer.
    waits: bool,
}

/// What a look-up finds.
#[derive(Debug)]
pub(super) struct Found {
    /// In the order of the places; `None`: nobody has ever told of it.
    pub(super) tokens: Vec<Option<Token>>,
    /// Empty: there is none.
    pub(super) value: Vec<u8>,
    /// How long it is still to be there.
    pub(super) left: Duration,
    /// When it began to look, by its own clock, in milliseconds since 1970.
    pub(super) clock: u64,
}

/// What Redis says to a look-up.
type Answer = ((u64, u64), Vec<Option<Vec<u8>>>, i64, Vec<u8>);

/// A token that there never was.
pub(super) fn fresh_token() -> Token {
    Token(rand::random())
}

fn field(place: Place) -> String {
    place.map_or_else(|| ALL.to_owned(), |slot| slot.number().to_string())
}

impl Dialler {
    pub(super) fn new(settings: config::Redis, tokens: String) -> Self {
        Self { settings, tokens }
    }

    async fn dial(&self) -> Result<Connection, FleetError> {
        let address = &self.settings.address;
        let redis = if address.starts_with('/') {
            self.log_in(UnixStream::connect(address).await?).await?
        } else {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            self.log_in(stream).await?
        };
        let mut connection = Connection { redis, waits: false };
        connection.recognise(&self.tokens).await?;
        Ok(connection)
    }

    async fn log_in<S>(&self, stream: S) -> Result<MultiplexedConnection, FleetError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config::Redis { user, password, database, .. } = &self.settings;
        let mut login = RedisConnectionInfo::default().set_db(i64::from(*database));
        if !user.is_empty() {
            login = login.set_username(user);
        }
        if !password.reveal().is_empty() {
            login = login.set_password(password.reveal());
        }
        // Every wait has its own end, where it is.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(4);
        let (redis, driver) = MultiplexedConnection::new_with_config(&login, stream, config).await?;
        // It ends with the connection.
        drop(spawn("cache.redis", driver));
        Ok(redis)
    }
}

impl ManageConnection for Dialler {
    type Connection = Connection;
    type Error = FleetError;

    async fn connect(&self) -> Result<Connection, FleetError> {
        timeout(CONNECT_TIMEOUT, self.dial()).await.map_err(|_| FleetError::Late)?
    }

    async fn is_valid(&self, _: &mut Connection) -> Result<(), FleetError> {
        Ok(())
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.waits
    }
}

impl Connection {
    /// A server process that does not know itself from the tokens may have gone back to older ones (it began anew from a
    /// snapshot, or was a replica that had not been told everything): then nothing that was put is of use any more.
    async fn recognise(&mut self, tokens: &str) -> Result<(), FleetError> {
        let (known, info): (Option<String>, String) = redis::pipe()
            .cmd("HGET")
            .arg(tokens)
            .arg(RUN)
            .cmd("INFO")
            .arg("server")
            .query_async(&mut self.redis)
            .await?;
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).map(str::trim);
        let run = run.filter(|run| !run.is_empty()).ok_or(FleetError::Nameless)?;
        if known.as_deref() != Some(run) {
            let mut command = redis::cmd("HSET");
            command.arg(tokens).arg(RUN).arg(run).arg(ALL).arg(&fresh_token().0[..]);
            command.exec_async(&mut self.redis).await?;
        }
        Ok(())
    }

    /// The tokens of `places`, and what is kept at `place` up to so many bytes. To be told apart in this order: what is
    /// put between two of the answers then looks older than it is, not younger.
    pub(super) async fn look_up(
        &mut self,
        tokens: &str,
        places: impl Iterator<Item = Place>,
        place: &str,
        bytes_max: usize,
    ) -> Result<Found, FleetError> {
        self.waits = true;
        let mut pipe = redis::pipe();
        pipe.cmd("TIME").cmd("HMGET").arg(tokens);
        for place in places {
            pipe.arg(field(place));
        }
        pipe.cmd("PTTL").arg(place).cmd("GETRANGE").arg(place).arg(0).arg(bytes_max);
        let answer = pipe.query_async::<Answer>(&mut self.redis).await;
        let ((seconds, micros), tokens, left, value) = self.answered(answer)?;
        let clock = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
        let tokens = tokens.iter().map(|token| Token::of(token.as_deref()?)).collect();
        Ok(Found { tokens, value, left: Duration::from_millis(u64::try_from(left).unwrap_or(0)), clock })
    }

    /// Something has been written at these places.
    pub(super) async fn tell(
        &mut self,
        tokens: &str,
        places: impl Iterator<Item = Place>,
    ) -> Result<(), FleetError> {
        self.waits = true;
        let token = fresh_token();
        let mut command = redis::cmd("HSET");
        command.arg(tokens);
        for place in places {
            command.arg(field(place)).arg(&token.0[..]);
        }
        let answer = command.exec_async(&mut self.redis).await;
        self.answered(answer)
    }

    /// Puts a result until a moment of Redis's own clock: one that is put late is there for less time, or not at all.
    pub(super) async fn put(&mut self, place: &str, value: &[u8], until: u64) -> Result<(), FleetError> {
        self.waits = true;
        let mut command = redis::cmd("SET");
        command.arg(place).arg(value).arg("PXAT").arg(until);
        let answer = command.exec_async(&mut self.redis).await;
        self.answered(answer)
    }

    /// An answer has come, be it that it does not work; unless the connection is gone.
    fn answered<T>(&mut self, answer: Result<T, RedisError>) -> Result<T, FleetError> {
        self.waits = match &answer {
            Ok(_) => false,
            Err(error) => error.code().is_none(),
        };
        Ok(answer?)
    }
}

/// Whether somebody else has put something of another kind there.
pub(super) fn is_of_another_kind(error: &FleetError) -> bool {
    matches!(error, FleetError::Redis(error) if error.code() == Some("WRONGTYPE"))
}

/// What an operator may be told: a kind, without addresses.
pub(super) fn reason(error: &FleetError) -> String {
    match error {
        FleetError::Redis(error) => match error.code() {
            Some(code) => format!("it says {code}"),
            None => error.category().to_owned(),
        },
        FleetError::Io(error) => error.kind().to_string(),
        FleetError::Late | FleetError::Nameless => error.to_string(),
    }
}
