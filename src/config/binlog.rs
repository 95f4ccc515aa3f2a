//! Settings of following a server's binary log.

use std::time::Duration;

use crate::config::secret::Secret;

/// How the binary log of a cluster's primary is followed, so that writes which do not pass this process end what is
/// kept of their tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binlog {
    /// Whether it is.
    pub follow: FollowMode,
    /// The account that reads it.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// What it calls itself among the server's replicas; 0: a number that nobody else is likely to have.
    pub server_id: u32,
    /// How old the proof that everything has been seen may be before nothing is answered from memory.
    pub lag_max: Duration,
}

impl Default for Binlog {
    fn default() -> Self {
        Self {
            follow: FollowMode::Off,
            user: String::new(),
            password: Secret::new(""),
            server_id: 0,
            lag_max: Duration::from_millis(500),
        }
    }
}

/// Whether a binary log is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowMode {
    /// Never: a write elsewhere is seen when what is kept has reached its age.
    Off,
    /// If the server allows it when first asked; from then on as [`FollowMode::Required`].
    Auto,
    /// Nothing is kept while it is not.
    Required,
}
