//! Why there is no server connection: what operators learn, what clients are told.

use std::sync::Arc;

use crate::error::{Blame, ProxyError, SqlError};

/// A connect that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ConnectFailure {
    /// Who it concerns.
    pub kind: FailureKind,
    /// The server's own error number, if it sent one.
    pub code: Option<u16>,
    /// For operators; may name addresses, so it is never sent to a client.
    pub detail: String,
}

/// Who a failed connect concerns, and so who backs off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Network, TLS, timeout, a server that shuts down: every pool of the backend backs off.
    Unreachable,
    /// The server answers but refuses this identity: this pool backs off, its waiters fail at once.
    Refused,
    /// The server answers but has no room (1040, 1203, 1226): this pool backs off, its waiters keep waiting.
    Busy,
}

impl ConnectFailure {
    /// No answer, or none that makes sense.
    pub fn unreachable(detail: impl Into<String>) -> Self {
        Self { kind: FailureKind::Unreachable, code: None, detail: detail.into() }
    }

    /// The server answers, but this identity cannot log in there.
    pub fn refused(detail: impl Into<String>) -> Self {
        Self { kind: FailureKind::Refused, code: None, detail: detail.into() }
    }

    /// The server answered with the ERR packet `code`.
    pub fn of_server_error(code: u16, detail: impl Into<String>) -> Self {
        let kind = match code {
            // ER_CON_COUNT_ERROR, ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED
            1040 | 1203 | 1226 => FailureKind::Busy,
            // ER_BAD_HOST_ERROR, ER_HANDSHAKE_ERROR, ER_SERVER_SHUTDOWN, ER_NORMAL_SHUTDOWN,
            // ER_HOST_IS_BLOCKED, ER_NET_* , ER_SERVER_OFFLINE_MODE
            1042 | 1043 | 1053 | 1077 | 1129 | 1156..=1161 | 3032 => FailureKind::Unreachable,
            _ => FailureKind::Refused,
        };
        Self { kind, code: Some(code), detail: detail.into() }
    }
}

/// Why a lease was not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// As many wait as may.
    #[error("too many statements wait for a server connection")]
    QueueFull,
    /// The deadline passed in the queue.
    #[error("no server connection became free in time")]
    Timeout,
    /// The backend does not answer, and has not for longer than waiting is worth.
    #[error("the database server cannot be reached: {0}")]
    Unavailable(Arc<ConnectFailure>),
    /// The same, and no attempt to connect was made for this statement: one is under way for another, or the pause
    /// between two is not over.
    #[error("the database server is known to be out of reach: {0}")]
    StillUnavailable(Arc<ConnectFailure>),
    /// The backend refuses the identity that the pool logs in with.
    #[error("the database server refused the proxy's login: {0}")]
    Refused(Arc<ConnectFailure>),
    /// The pool is being closed: the topology or the identity changed, or the process ends.
    #[error("the pool is draining")]
    Draining,
}

impl ProxyError for PoolError {
    fn blame(&self) -> Blame {
        match self {
            Self::QueueFull | Self::Timeout | Self::Refused(_) | Self::Draining => Blame::Proxy,
            Self::Unavailable(_) | Self::StillUnavailable(_) => Blame::Backend,
        }
    }

    fn retryable(&self) -> bool {
        // Nothing was sent to a server, so nothing can happen twice.
        match self {
            Self::QueueFull
            | Self::Timeout
            | Self::Unavailable(_)
            | Self::StillUnavailable(_)
            | Self::Draining => true,
            Self::Refused(_) => false,
        }
    }

    /// - Overload is 1203 with SQLSTATE 42000, as Vitess answers when its pools are exhausted. 1040 would carry
    ///   08004: client-side pools (HikariCP) throw a connection away at any SQLSTATE of class 08, so an
    ///   overloaded moment would become a storm of new logins. The session stays good and may try again.
    /// - A backend out of reach is 1042 with 08S01: MySqlConnector counts 1042 (`UnableToConnectToHost`) as
    ///   transient, and to JDBC drivers 08S01 is a communications failure, which is what lets them fail over.
    /// - A refused login is 1105 with HY000: trying again helps nobody until an operator acts. It is not 1045:
    ///   the client's own password is right.
    /// - Draining is 1053 with 08S01, what a server says that shuts down.
    fn sql_error(&self) -> SqlError {
        match self {
            Self::QueueFull => SqlError::new(
                1203,
                "42000",
                "too many statements wait for a server connection, try again later",
            ),
            Self::Timeout => {
                SqlError::new(1203, "42000", "no server connection became free in time, try again later")
            }
            Self::Unavailable(_) | Self::StillUnavailable(_) => {
                SqlError::new(1042, "08S01", "the database server cannot be reached, try again later")
            }
            Self::Refused(failure) => match failure.code {
                Some(code) => SqlError::new(
                    1105,
                    "HY000",
                    format!(
                        "the database server refused the proxy's login with error {code}, ask the operator"
                    ),
                ),
                None => SqlError::new(
                    1105,
                    "HY000",
                    "the database server refused the proxy's login, ask the operator",
                ),
            },
            Self::Draining => SqlError::new(1053, "08S01", "the connection pool is closing, try again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{ConnectFailure, FailureKind, PoolError};
    use crate::error::ProxyError;

    #[test]
    fn every_error_has_a_code_that_drivers_classify_and_hides_addresses() {
        let secret =
            || Arc::new(ConnectFailure::of_server_error(1045, "10.1.2.3:3306 as app: Access denied"));
        let check = |error: PoolError, code: u16, state: &str, retryable: bool| {
            let told = error.sql_error();
            assert_eq!((told.code, told.state, error.retryable()), (code, state, retryable), "{error:?}");
            assert!(!told.message.contains("10.1.2.3") && !told.message.contains("app"), "{}", told.message);
            let _ = error.blame();
        };
        check(PoolError::QueueFull, 1203, "42000", true);
        check(PoolError::Timeout, 1203, "42000", true);
        check(PoolError::Unavailable(secret()), 1042, "08S01", true);
        check(PoolError::StillUnavailable(secret()), 1042, "08S01", true);
        check(PoolError::Refused(secret()), 1105, "HY000", false);
        check(PoolError::Draining, 1053, "08S01", true);
    }

    #[test]
    fn a_servers_error_number_tells_who_backs_off() {
        for (code, kind) in [
            (1040, FailureKind::Busy),
            (1226, FailureKind::Busy),
            (1053, FailureKind::Unreachable),
            (1045, FailureKind::Refused),
            (1049, FailureKind::Refused),
        ] {
            assert_eq!(ConnectFailure::of_server_error(code, "").kind, kind, "{code}");
        }
    }
}
