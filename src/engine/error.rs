//! Why a statement, or a session, could not go on.

use crate::backend::pool::PoolError;
use crate::backend::{BackendError, ResultSet};
use crate::engine::client::ClientError;
use crate::engine::relay::RelayError;
use crate::error::{Blame, ProxyError, SqlError};
use crate::protection::Refusal;
use crate::wire::ErrPacket;

/// A statement failed. What the client is told, and whether its session goes on, follows from it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The client is gone or cannot be talked to.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No server connection, or none in the right state.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The reply was cut short.
    #[error("reply cut short: {0}")]
    Relay(RelayError),
    /// The server connection was lost before the statement was known to have run.
    #[error("server connection lost: {0}")]
    Lost(RelayError),
    /// The server does not let the session's account in any more: the client is told, and the session ends.
    #[error("{}", .0.message)]
    Expelled(SqlError),
    /// A refusal of our own.
    #[error("{}", .0.message)]
    Refused(SqlError),
    /// Some shards have carried out a write and others have not, and what SHOW WARNINGS tells of it.
    #[error("{}", .0.0.message)]
    Torn(Box<(SqlError, ResultSet)>),
    /// A refusal for the servers' sake, and what the client is told.
    #[error("{}", .0.0)]
    Protected(Box<(Refusal, SqlError)>),
}

impl From<PoolError> for EngineError {
    fn from(error: PoolError) -> Self {
        Self::Backend(error.into())
    }
}

impl From<RelayError> for EngineError {
    fn from(error: RelayError) -> Self {
        Self::Relay(error)
    }
}

impl EngineError {
    /// An error of our own with a MySQL code.
    pub fn refused(
        code: u16,
        state: &'static str,
        message: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Self {
        Self::Refused(SqlError::new(code, state, message))
    }

    /// The client's own mistake or misfortune that ended the statement, wherever it was noticed.
    #[must_use]
    pub const fn of_client(&self) -> Option<&ClientError> {
        match self {
            Self::Client(error) | Self::Relay(RelayError::Client(error)) => Some(error),
            Self::Relay(_) | Self::Backend(_) | Self::Lost(_) => None,
            Self::Expelled(_) | Self::Refused(_) | Self::Torn(_) | Self::Protected(_) => None,
        }
    }

    /// The server's own ERR packet, if that is the error: it is passed on word for word.
    #[must_use]
    pub const fn server_packet(&self) -> Option<&ErrPacket> {
        match self {
            Self::Backend(BackendError::Server(packet)) => Some(packet),
            _ => None,
        }
    }

    /// Whether the client can still be answered and its session go on.
    #[must_use]
    pub const fn session_survives(&self) -> bool {
        match self {
            Self::Client(_) | Self::Relay(_) | Self::Expelled(_) => false,
            Self::Backend(_) | Self::Lost(_) | Self::Refused(_) => true,
            Self::Torn(_) | Self::Protected(_) => true,
        }
    }
}

impl ProxyError for EngineError {
    fn blame(&self) -> Blame {
        match self {
            Self::Client(_) | Self::Relay(RelayError::Client(_) | RelayError::Gone) => Blame::Client,
            Self::Backend(error) => error.blame(),
            Self::Relay(_) | Self::Lost(_) | Self::Torn(_) => Blame::Backend,
            Self::Refused(_) | Self::Expelled(_) => Blame::Client,
            Self::Protected(refused) => refused.0.blame(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Backend(error) => error.retryable(),
            Self::Lost(_) => true,
            Self::Protected(refused) => refused.0.retry_after().is_some(),
            Self::Client(_) | Self::Relay(_) | Self::Refused(_) | Self::Expelled(_) | Self::Torn(_) => false,
        }
    }

    fn sql_error(&self) -> SqlError {
        if let Some(error) = self.of_client() {
            return error.sql_error();
        }
        match self {
            Self::Client(_) | Self::Relay(_) | Self::Lost(_) => {
                SqlError::new(2013, "HY000", "Lost connection to MySQL server during query")
            }
            Self::Backend(error) => error.sql_error(),
            Self::Refused(error) | Self::Expelled(error) => error.clone(),
            Self::Torn(torn) => torn.0.clone(),
            Self::Protected(refused) => refused.1.clone(),
        }
    }
}

/// The server's error number, if it refused the login of a pool's identity; the number may be unknown.
#[must_use]
pub fn pool_refusal(error: &EngineError) -> Option<Option<u16>> {
    match error {
        EngineError::Backend(BackendError::Pool(PoolError::Refused(failure))) => Some(failure.code),
        _ => None,
    }
}
