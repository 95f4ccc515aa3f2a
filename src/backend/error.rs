//! What can go wrong on a server connection.

use std::io;

use crate::backend::pool::{ConnectFailure, PoolError};
use crate::error::{Blame, ProxyError, SqlError};
use crate::wire::auth::AuthError;
use crate::wire::{ErrPacket, Malformed, StreamError};

/// An exchange with a server failed.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// No connection could be leased.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The server answered with an error; the connection is fine.
    #[error("server error {}: {}", .0.code, String::from_utf8_lossy(&.0.message))]
    Server(ErrPacket),
    /// MySQL counts a connection twice while it logs in again, and its account may not have one more: it is closed,
    /// and a new one would do.
    #[error("login on an open connection: server error {}: {}", .0.code, String::from_utf8_lossy(&.0.message))]
    NoRoom(ErrPacket),
    /// The connection failed, or the server closed it.
    #[error("connection to the server: {0}")]
    Stream(#[from] StreamError),
    /// The server sent something that is not MySQL's protocol.
    #[error("server sent a {0}")]
    Malformed(#[from] Malformed),
    /// The login failed on our side.
    #[error("login at the server: {0}")]
    Auth(#[from] AuthError),
    /// The account's password has changed, and nobody has logged in with the new one yet.
    #[error("the account's password is not known any more")]
    NoSecret,
    /// The server cannot do what this proxy needs.
    #[error("server is too old: it lacks {0}")]
    TooOld(&'static str),
    /// TLS is required and the server has none.
    #[error("TLS is required and the server offers none")]
    NoTls,
    /// The server did not answer in time.
    #[error("server did not answer {0} in time")]
    Timeout(&'static str),
}

impl From<io::Error> for BackendError {
    fn from(error: io::Error) -> Self {
        Self::Stream(error.into())
    }
}

impl From<BackendError> for ConnectFailure {
    fn from(error: BackendError) -> Self {
        match &error {
            BackendError::Server(packet) => Self::of_server_error(packet.code, error.to_string()),
            // As if the server had said that the password is wrong: it would.
            BackendError::NoSecret => Self::of_server_error(1045, error.to_string()),
            // This identity's affair, not the server's.
            BackendError::Auth(AuthError::Malformed(_)) => Self::unreachable(error.to_string()),
            BackendError::Auth(_) => Self::refused(error.to_string()),
            _ => Self::unreachable(error.to_string()),
        }
    }
}

/// SQLSTATEs with which servers refuse a login, a schema, a connection, or to prepare a statement again.
const STATES: [&str; 14] = [
    "08004", "08S01", "21000", "21S01", "22007", "25006", "28000", "3D000", "40001", "42000", "42S02",
    "42S22", "70100", "HY000",
];

fn known_state(state: &[u8; 5]) -> &'static str {
    STATES.into_iter().find(|known| known.as_bytes() == state).unwrap_or("HY000")
}

impl ProxyError for BackendError {
    fn blame(&self) -> Blame {
        match self {
            Self::Pool(error) => error.blame(),
            _ => Blame::Backend,
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Pool(error) => error.retryable(),
            Self::Server(_)
            | Self::Malformed(_)
            | Self::Auth(_)
            | Self::NoSecret
            | Self::TooOld(_)
            | Self::NoTls => false,
            Self::Stream(_) | Self::Timeout(_) | Self::NoRoom(_) => true,
        }
    }

    fn sql_error(&self) -> SqlError {
        match self {
            Self::Pool(error) => error.sql_error(),
            // The session passes server errors on untouched; this is for places that have only the code.
            Self::Server(packet) | Self::NoRoom(packet) => SqlError::new(
                packet.code,
                known_state(&packet.state),
                String::from_utf8_lossy(&packet.message).into_owned(),
            ),
            Self::Stream(_) | Self::Timeout(_) => {
                SqlError::new(2013, "HY000", "Lost connection to MySQL server during query")
            }
            Self::Malformed(_) | Self::Auth(_) | Self::NoSecret | Self::TooOld(_) | Self::NoTls => {
                SqlError::new(1105, "HY000", "the database server could not be used; see the proxy's log")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refuses_to_prepare_a_statement_keeps_its_sqlstate() {
        for state in [*b"25006", *b"42S02", *b"42S22", *b"HY000"] {
            let packet = ErrPacket { code: 1792, state, message: b"no".to_vec() };
            assert_eq!(BackendError::Server(packet).sql_error().state.as_bytes(), state);
        }
    }
}
