//! Why a reply could not be passed on to its end.

use crate::engine::client::ClientError;
use crate::wire::{Malformed, StreamError};

/// A reply that was cut short.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The client can get no more: the session ends.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The client closed its connection while the statement ran.
    #[error("client closed its connection during a statement")]
    Gone,
    /// The server failed.
    #[error("{error}")]
    Server {
        /// How.
        error: StreamError,
        /// The client has not seen a byte of the reply, and neither have we.
        untouched: bool,
    },
    /// The connection failed before the whole statement was written: nothing of it can have run.
    #[error("statement not sent: {0}")]
    Unsent(StreamError),
    /// The server had given the connection up before it read the statement, and says so.
    #[error("server closed the connection before it read the statement: error {0}")]
    Parted(u16),
    /// The server sent something that is not a reply.
    #[error("server sent a {0}")]
    Malformed(#[from] Malformed),
    /// The server was silent for too long, or did not read for too long.
    #[error("server did not reply in time")]
    Timeout,
}

impl RelayError {
    /// Whether the server certainly did not run the statement.
    #[must_use]
    pub const fn is_unread(&self) -> bool {
        matches!(self, Self::Unsent(_) | Self::Parted(_))
    }

    /// Whether nobody has seen a byte of the reply: the client can still be answered.
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        self.is_unread() || matches!(self, Self::Server { untouched: true, .. })
    }
}
