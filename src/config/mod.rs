//! The settings of one `dazzle.yaml`, typed. Every struct's `Default` is the documented default.

mod backend;
mod binlog;
pub mod cache;
mod difference;
pub(crate) mod document;
mod file;
mod frontend;
mod identity;
mod process;
pub mod protection;
mod read;
mod secret;
mod sharding;

pub use backend::{Accounts, Backoff, Cluster, Compression, PoolSize, ServerTls, TlsVerify, UserSource};
pub use binlog::{Binlog, FollowMode};
pub use cache::{Cache, CacheRule, Redis};
pub use difference::Changes;
pub use document::{ConfigError, Problem, Setting};
pub use file::{ConfigFile, Poll};
pub use frontend::{ClientTls, Hint, Limits, Listener, ListenerAddress, Timeouts, TlsMode, User};
pub use identity::ServerIdentity;
pub use process::{Admin, LogFormat, Logging, Process};
pub use protection::Protection;
pub(crate) use read::kind;
pub use secret::{Password, Secret, Verifier};
pub use sharding::Sharding;

use std::collections::BTreeMap;
use std::path::Path;

/// Everything `dazzle.yaml` says, validated: every user names a cluster that exists, every password
/// that comes from a file or the environment has been read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// Groups of servers that hold the same data, by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Who may log in, by user name.
    pub users: BTreeMap<String, User>,
    /// TLS towards clients.
    pub tls: ClientTls,
    /// Deadlines of every wait on a client.
    pub timeouts: Timeouts,
    /// Bounds on what clients may take.
    pub limits: Limits,
    /// What protects the servers.
    pub protection: Protection,
    /// Results that are kept in memory.
    pub cache: Cache,
    /// The operators' HTTP port.
    pub admin: Admin,
    /// Threads, draining.
    pub process: Process,
    /// Log level and format.
    pub logging: Logging,
    /// Where the rules of sharding are.
    pub sharding: Sharding,
}

/// A duration as the file has it: `30m`.
#[must_use]
pub fn duration(text: &str) -> Option<std::time::Duration> {
    read::duration(text)
}

impl Config {
    /// The cluster whose server's own accounts may log in; there is one at most.
    #[must_use]
    pub fn accounts_cluster(&self) -> Option<(&str, &Accounts)> {
        self.clusters.iter().find_map(|(name, cluster)| match &cluster.users {
            UserSource::FromServer(accounts) => Some((name.as_str(), accounts)),
            UserSource::Declared => None,
        })
    }

    /// Reads `text` as the content of `file`: relative paths in it are seen from the file's folder, and
    /// the passwords and certificates that it names are read.
    ///
    /// # Errors
    /// Everything that is wrong, each with its line, column and path.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        read::read(text, file).config
    }
}
