//! What a peer may do wrong in the compressed protocol.

use std::io;

use crate::error::Blame;
use crate::error::ProxyError;
use crate::error::SqlError;

/// A frame that cannot be read. The connection is of no use afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// A frame with another sequence id than its turn has.
    #[error("compressed packets out of order: got {got}, expected {expected}")]
    OutOfOrder {
        /// Whose turn it was.
        expected: u8,
        /// What came.
        got: u8,
    },
    /// A frame that does not decompress to what its header announces.
    #[error("corrupt compressed packet: {0}")]
    Corrupt(&'static str),
}

impl CompressionError {
    /// The error inside an `io::Error` that reading from a [`super::Compressed`] returned.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<CompressionError> for io::Error {
    fn from(error: CompressionError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl ProxyError for CompressionError {
    /// The client: the connection code towards servers reports its own errors, in which this one is
    /// only the cause.
    fn blame(&self) -> Blame {
        Blame::Client
    }

    fn retryable(&self) -> bool {
        false
    }

    fn sql_error(&self) -> SqlError {
        match self {
            Self::OutOfOrder { .. } => SqlError::new(1156, "08S01", "Got packets out of order"),
            Self::Corrupt(_) => SqlError::new(1157, "08S01", "Couldn't uncompress communication packet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_answered_as_mysql_does_and_found_inside_io_errors() {
        for (error, code) in [
            (CompressionError::OutOfOrder { expected: 0, got: 1 }, 1156),
            (CompressionError::Corrupt("truncated"), 1157),
        ] {
            assert_eq!(error.sql_error().code, code);
            assert_eq!(error.blame(), Blame::Client);
            assert!(!error.retryable());
            assert_eq!(CompressionError::of(&io::Error::from(error)), Some(&error));
        }
        assert_eq!(CompressionError::of(&io::ErrorKind::NotFound.into()), None);
    }
}
