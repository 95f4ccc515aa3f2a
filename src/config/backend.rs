//! Settings towards servers: clusters, pools, TLS.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::binlog::Binlog;
use crate::config::frontend::TlsMode;
use crate::config::protection::{Breaker, Concurrency};
use crate::config::secret::Secret;

/// Servers that hold the same data: one primary, any number of replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// `host:port`, or the path of a unix socket (starts with `/`).
    pub primary: String,
    /// Replicas, in the same form.
    pub replicas: Vec<String>,
    /// User name towards the servers of every user that names none; comes with `server_password`.
    pub server_user: Option<String>,
    /// Password of that server user.
    pub server_password: Option<Secret>,
    /// Who may log in beside the users of the configuration.
    pub users: UserSource,
    /// TLS towards the servers.
    pub tls: ServerTls,
    /// Sizes and times of the pool of each (backend, server identity).
    pub pool: PoolSize,
    /// Server connections to one backend, all identities together. 0: no limit beside each pool's.
    pub connections_max: u32,
    /// Deadlines and retry times of a connect.
    pub backoff: Backoff,
    /// For a TCP connect and the login on it.
    pub connect_timeout: Duration,
    /// For a server that sends nothing while a statement runs. Zero: none.
    pub reply_timeout: Duration,
    /// For a server that does not read what it is sent.
    pub write_timeout: Duration,
    /// Whether statements are sent compressed: `none`, `zlib`, `zstd`.
    pub compression: Compression,
    /// Statements at once.
    pub concurrency: Concurrency,
    /// When the servers are left alone for a while.
    pub breaker: Breaker,
    /// How writes are noticed that do not pass this process.
    pub binlog: Binlog,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            primary: String::new(),
            replicas: Vec::new(),
            server_user: None,
            server_password: None,
            users: UserSource::Declared,
            tls: ServerTls::default(),
            pool: PoolSize::default(),
            connections_max: 0,
            backoff: Backoff::default(),
            connect_timeout: Duration::from_secs(5),
            reply_timeout: Duration::ZERO,
            write_timeout: Duration::from_secs(60),
            compression: Compression::None,
            concurrency: Concurrency::default(),
            breaker: Breaker::default(),
            binlog: Binlog::default(),
        }
    }
}

/// Who may log in and have statements sent to a cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum UserSource {
    /// The users of the configuration alone.
    Declared,
    /// The server's own accounts, too.
    FromServer(Accounts),
}

/// How the accounts of a server are read, and how many are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// Dazzle's own account, which may read the others.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// How often accounts in use are looked at for changes.
    pub refresh: Duration,
    /// Accounts with a pool at once, at most.
    pub pools_max: u32,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            user: String::new(),
            password: Secret::new(""),
            refresh: Duration::from_secs(5),
            pools_max: 100,
        }
    }
}

/// Compression of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Plain packets.
    #[default]
    None,
    /// zlib (CLIENT_COMPRESS).
    Zlib,
    /// zstd (CLIENT_ZSTD_COMPRESSION_ALGORITHM).
    Zstd,
}

/// TLS towards servers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerTls {
    /// Whether TLS is used.
    pub mode: TlsMode,
    /// What is verified.
    pub verify: TlsVerify,
    /// PEM authorities that the server's certificate is verified against.
    pub ca: Option<PathBuf>,
    /// PEM chain shown to the server.
    pub certificate: Option<PathBuf>,
    /// PEM key of that chain.
    pub key: Option<PathBuf>,
    /// Fingerprint of what these files held when the configuration was read: a certificate that was renewed under its old
    /// path is another setting, and connections are made anew.
    pub content: u128,
}

/// What is verified of a server's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVerify {
    /// Nothing (like MySQL's `ssl-mode=REQUIRED`).
    #[default]
    None,
    /// The chain (`VERIFY_CA`).
    Ca,
    /// The chain and the host name (`VERIFY_IDENTITY`).
    Full,
}

/// Sizes and times of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// Connections kept even when nobody asks.
    pub size_min: u32,
    /// Connections at most.
    pub size_max: u32,
    /// A connection above `size_min` that was idle this long is closed.
    pub idle_timeout: Duration,
    /// A connection older than this is closed when it comes back; up to 10 % are taken off at random.
    pub lifetime: Duration,
    /// How long a statement waits for a connection before it gets 1203.
    pub queue_timeout: Duration,
    /// Statements that may wait at once; one more gets 1203 at once.
    pub queue_max: u32,
    /// With more connections in use than this, quick plain reads of sessions that look alike share one. 0:
    /// never.
    pub combine_from: u32,
}

impl Default for PoolSize {
    fn default() -> Self {
        Self {
            size_min: 0,
            size_max: 20,
            idle_timeout: Duration::from_secs(300),
            lifetime: Duration::from_secs(3600),
            queue_timeout: Duration::from_secs(10),
            queue_max: 100_000,
            combine_from: 4,
        }
    }
}

/// Times between two attempts to connect to a server that does not answer: Fibonacci steps with jitter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first step.
    pub first: Duration,
    /// The longest.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), max: Duration::from_secs(5) }
    }
}
