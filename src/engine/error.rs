//! Why a statement, or a session, could not go on.

use crate::backend::BackendError;
use crate::backend::pool::PoolError;
use crate::engine::client::ClientError;
use crate::engine::relay::RelayError;
use crate::error::{Blame, ProxyError, SqlError};
use crate::wire::ErrPacket;
use crate::wire::StreamError;

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
    /// A refusal of our own.
    #[error("{}", .0.message)]
    Refused(SqlError),
}

impl From<PoolError> for EngineError {
    fn from(error: PoolError) -> Self {
        Self::Backend(error.into())
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
            Self::Relay(_) | Self::Backend(_) | Self::Lost(_) | Self::Refused(_) => None,
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
            Self::Client(_) | Self::Relay(_) => false,
            Self::Backend(_) | Self::Lost(_) | Self::Refused(_) => true,
        }
    }
}

impl ProxyError for EngineError {
    fn blame(&self) -> Blame {
        match self {
            Self::Client(_) | Self::Relay(RelayError::Client(_) | RelayError::Gone) => Blame::Client,
            Self::Backend(error) => error.blame(),
            Self::Relay(_) | Self::Lost(_) => Blame::Backend,
            Self::Refused(_) => Blame::Client,
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Backend(error) => error.retryable(),
            Self::Lost(_) => true,
            Self::Client(_) | Self::Relay(_) | Self::Refused(_) => false,
        }
    }

    fn sql_error(&self) -> SqlError {
        if let Some(error) = self.of_client() {
            return client_error(error);
        }
        match self {
            Self::Client(_) | Self::Relay(_) | Self::Lost(_) => {
                SqlError::new(2013, "HY000", "Lost connection to MySQL server during query")
            }
            Self::Backend(error) => error.sql_error(),
            Self::Refused(error) => error.clone(),
        }
    }
}

fn client_error(error: &ClientError) -> SqlError {
    match error {
        ClientError::Stream(StreamError::Sequence { .. }) => {
            SqlError::new(1156, "08S01", "Got packets out of order")
        }
        ClientError::Stream(StreamError::TooLarge(_)) => {
            SqlError::new(1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes")
        }
        ClientError::ReadTimeout => {
            SqlError::new(4031, "HY000", "The client was disconnected by the server because of inactivity.")
        }
        ClientError::Stream(_) | ClientError::WriteTimeout => {
            SqlError::new(1158, "08S01", "Got an error reading communication packets")
        }
    }
}
