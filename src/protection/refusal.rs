//! Why a statement was not run, or not to its end, and what its client is told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Blame, SqlError};
use crate::protection::door::Shut;
use crate::protection::gate::Reason;

/// Where a statement was turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the server.
    Server,
    /// At a rule.
    Rule(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("the database server"),
            Self::Rule(name) => write!(f, "rule {name:?}"),
        }
    }
}

/// A refusal. Names in it are those of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A rule denies such statements.
    #[error("rule {0:?} denies this statement")]
    Denied(Arc<str>),
    /// An operator has switched such statements off.
    #[error("switch {name:?} has turned this statement off")]
    SwitchedOff {
        /// The switch.
        name: Arc<str>,
        /// When it reverts.
        retry_after: Duration,
    },
    /// An operator lets such statements be answered from what is kept only, and nothing is.
    #[error("switch {name:?} has turned this statement off, and no result of it is kept")]
    NotKept {
        /// The switch.
        name: Arc<str>,
        /// When it reverts.
        retry_after: Duration,
    },
    /// More a second than the rule allows.
    #[error("rule {name:?} allows no more statements at this rate")]
    TooFast {
        /// The rule.
        name: Arc<str>,
        /// When there will be room.
        retry_after: Duration,
    },
    /// More at once than may be, and the line is full, too long, or not for this tier.
    #[error("{place} is busy: {}", told(*.reason))]
    Busy {
        /// Where.
        place: Place,
        /// Why it could not wait.
        reason: Reason,
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The server fails, so it is left alone.
    #[error("the database server fails and is left alone for now")]
    ServerFails(Duration),
    /// Statements of this digest fail.
    #[error("statements like this fail and are left alone for now")]
    DigestFails(Duration),
    /// It ran longer than its rule allows.
    #[error("the statement took longer than {0:?} and was ended")]
    TooLong(Duration),
    /// Its result has more rows than its rule allows.
    #[error("the result has more than {0} rows and was cut off")]
    TooManyRows(u64),
    /// Its result has more bytes than its rule allows.
    #[error("the result has more than {0} bytes and was cut off")]
    TooManyBytes(u64),
    /// KILL QUERY came while it waited.
    #[error("query execution was interrupted while it waited")]
    Killed,
}

fn told(reason: Reason) -> &'static str {
    match reason {
        Reason::Full => "too many statements wait",
        Reason::Late => "the statement waited too long",
        Reason::Shed => "more important statements go first",
        Reason::Closed => "it fails and is left alone for now",
    }
}

impl Refusal {
    /// A door at `place` stayed shut.
    #[must_use]
    pub fn at(shut: Shut, place: Place) -> Self {
        match shut {
            Shut::Gate(turned) => {
                Self::Busy { place, reason: turned.reason, retry_after: turned.retry_after }
            }
            Shut::Breaker(left) => Self::ServerFails(left),
            Shut::Digest(left) => Self::DigestFails(left),
        }
    }

    /// The server's own door stayed shut.
    #[must_use]
    pub fn at_server(shut: Shut) -> Self {
        Self::at(shut, Place::Server)
    }

    /// When the same statement may succeed, if it may.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::SwitchedOff { retry_after, .. }
            | Self::NotKept { retry_after, .. }
            | Self::TooFast { retry_after, .. }
            | Self::Busy { retry_after, .. }
            | Self::ServerFails(retry_after)
            | Self::DigestFails(retry_after) => Some(*retry_after),
            Self::Denied(_)
            | Self::TooLong(_)
            | Self::TooManyRows(_)
            | Self::TooManyBytes(_)
            | Self::Killed => None,
        }
    }

    /// Whether an old result would have been better than this.
    #[must_use]
    pub const fn is_eased_by_old_results(&self) -> bool {
        match self {
            Self::NotKept { .. } | Self::ServerFails(_) | Self::DigestFails(_) => true,
            Self::Busy { reason, .. } => matches!(reason, Reason::Closed),
            Self::Denied(_)
            | Self::SwitchedOff { .. }
            | Self::TooFast { .. }
            | Self::TooLong(_)
            | Self::TooManyRows(_)
            | Self::TooManyBytes(_)
            | Self::Killed => false,
        }
    }

    /// Who caused it.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Denied(_)
            | Self::TooLong(_)
            | Self::TooManyRows(_)
            | Self::TooManyBytes(_)
            | Self::Killed => Blame::Client,
            Self::SwitchedOff { .. } | Self::NotKept { .. } | Self::TooFast { .. } | Self::Busy { .. } => {
                Blame::Proxy
            }
            Self::ServerFails(_) | Self::DigestFails(_) => Blame::Backend,
        }
    }

    /// What the client of session `session` is told.
    ///
    /// - Pressure is 1203 with SQLSTATE 42000, as when the pool is exhausted: 1040 would carry class 08, at which
    ///   client-side pools throw good connections away. A rate is 1226, which is what MySQL's own limits of
    ///   statements an hour give.
    /// - A denied statement is 1227, a matter of rights: no driver tries it again.
    /// - A statement that ran too long gets what the server's own limit gives: 3024, or MariaDB's 1969.
    /// - A result cut off is 1317: it was interrupted.
    #[must_use]
    pub fn sql_error(&self, session: u32, maria_db: bool) -> SqlError {
        let text = |number: &str| match self.retry_after() {
            Some(after) => {
                format!("{number} {self}; try again after {:.3} s (session {session})", after.as_secs_f64())
            }
            None => format!("{number} {self} (session {session})"),
        };
        match self {
            Self::Denied(_) => SqlError::new(1227, "42000", text("DZ0501")),
            Self::SwitchedOff { .. } | Self::NotKept { .. } => SqlError::new(1203, "42000", text("DZ0502")),
            Self::TooFast { .. } => SqlError::new(1226, "42000", text("DZ0503")),
            Self::Busy { .. } => SqlError::new(1203, "42000", text("DZ0504")),
            Self::ServerFails(_) => SqlError::new(1203, "42000", text("DZ0505")),
            Self::DigestFails(_) => SqlError::new(1203, "42000", text("DZ0506")),
            Self::TooLong(_) if maria_db => SqlError::new(1969, "70100", text("DZ0507")),
            Self::TooLong(_) => SqlError::new(3024, "HY000", text("DZ0507")),
            Self::TooManyRows(_) | Self::TooManyBytes(_) => SqlError::new(1317, "70100", text("DZ0508")),
            Self::Killed => SqlError::new(1317, "70100", "Query execution was interrupted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_code_that_drivers_classify_its_number_and_the_session() {
        let second = Duration::from_secs(1);
        let name: Arc<str> = "reports".into();
        let busy = |reason| Refusal::Busy { place: Place::Server, reason, retry_after: second };
        for (refusal, code, number) in [
            (Refusal::Denied(Arc::clone(&name)), 1227, "DZ0501"),
            (Refusal::SwitchedOff { name: Arc::clone(&name), retry_after: second }, 1203, "DZ0502"),
            (Refusal::NotKept { name: Arc::clone(&name), retry_after: second }, 1203, "DZ0502"),
            (Refusal::TooFast { name: Arc::clone(&name), retry_after: second }, 1226, "DZ0503"),
            (busy(Reason::Full), 1203, "DZ0504"),
            (busy(Reason::Late), 1203, "DZ0504"),
            (busy(Reason::Shed), 1203, "DZ0504"),
            (Refusal::ServerFails(second), 1203, "DZ0505"),
            (Refusal::DigestFails(second), 1203, "DZ0506"),
            (Refusal::TooLong(second), 3024, "DZ0507"),
            (Refusal::TooManyRows(5), 1317, "DZ0508"),
            (Refusal::TooManyBytes(5), 1317, "DZ0508"),
        ] {
            let told = refusal.sql_error(42, false);
            assert_eq!(told.code, code, "{refusal:?}");
            assert!(
                told.message.starts_with(number) && told.message.contains("session 42"),
                "{}",
                told.message
            );
            let again = told.message.contains("try again after 1.000 s");
            assert_eq!(again, refusal.retry_after().is_some(), "{}", told.message);
        }
        assert_eq!(Refusal::TooLong(second).sql_error(1, true).code, 1969);
    }
}
