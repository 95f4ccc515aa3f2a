//! What a client may do wrong before it is logged in.

use crate::error::Blame;
use crate::error::ProxyError;
use crate::error::SqlError;
use crate::wire::Malformed;

/// A login packet that cannot be answered but with 1043.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The client speaks the protocol of 3.2x: no CLIENT_PROTOCOL_41.
    #[error("the client speaks the protocol before 4.1")]
    OldProtocol,
    /// The packet does not hold what its capabilities announce.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl ProxyError for HandshakeError {
    fn blame(&self) -> Blame {
        Blame::Client
    }

    fn retryable(&self) -> bool {
        false
    }

    fn sql_error(&self) -> SqlError {
        // MySQL's own text of ER_HANDSHAKE_ERROR; drivers and their tests know it.
        SqlError::new(1043, "08S01", "Bad handshake")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_login_packet_is_answered_as_mysql_does() {
        for error in [HandshakeError::OldProtocol, HandshakeError::Malformed(Malformed("unexpected end"))] {
            assert_eq!(error.sql_error(), SqlError::new(1043, "08S01", "Bad handshake"));
            assert_eq!(error.blame(), Blame::Client);
            assert!(!error.retryable());
        }
    }
}
