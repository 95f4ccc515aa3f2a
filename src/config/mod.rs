//! The settings of one `dazzle.yaml`, typed. Every struct's `Default` is the documented default.

mod backend;
mod frontend;
mod process;
mod secret;

pub use backend::{Backoff, Cluster, Compression, PoolSize, ServerTls, TlsVerify};
pub use frontend::{ClientTls, Limits, Listener, ListenerAddress, Timeouts, TlsMode, User};
pub use process::{Admin, LogFormat, Logging, Process};
pub use secret::{Password, Secret, Verifier};

use std::collections::BTreeMap;

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
    /// The operators' HTTP port.
    pub admin: Admin,
    /// Threads, draining.
    pub process: Process,
    /// Log level and format.
    pub logging: Logging,
}
