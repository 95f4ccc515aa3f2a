//! Settings towards clients: listeners, users, TLS, deadlines, limits.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::secret::{Password, Secret};

/// One socket that clients connect to.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Where it listens.
    pub address: ListenerAddress,
    /// Whether clients may, must or cannot use TLS here. Unix sockets never use TLS.
    pub tls: TlsMode,
    /// Networks whose connections start with a PROXY protocol header (v1 or v2). Empty: no header is read.
    pub proxy_protocol: Vec<IpNet>,
}

/// A TCP address or a unix socket's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerAddress {
    /// `127.0.0.1:3306`
    Tcp(SocketAddr),
    /// `/run/dazzle/dazzle.sock`
    Unix(PathBuf),
}

/// As the configuration has it.
impl fmt::Display for ListenerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Whether TLS is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disabled,
    /// If the peer can.
    #[default]
    Preferred,
    /// Always; without TLS the connection is refused (3159 towards clients).
    Required,
}

/// As the configuration has it.
impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "disabled",
            Self::Preferred => "preferred",
            Self::Required => "required",
        })
    }
}

/// TLS material that clients see. Without a certificate a self-signed one is made in `directory`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientTls {
    /// Where made material is kept; default: beside the configuration file, in `dazzle-tls/`.
    pub directory: Option<PathBuf>,
    /// PEM chain.
    pub certificate: Option<PathBuf>,
    /// PEM key.
    pub key: Option<PathBuf>,
    /// PEM authorities; if set, client certificates are verified against them when presented.
    pub client_ca: Option<PathBuf>,
    /// A client certificate is demanded.
    pub client_certificate_required: bool,
    /// Fingerprint of what these files held when the configuration was read.
    pub content: u128,
}

/// One client identity.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// How it proves itself.
    pub password: Password,
    /// The cluster its statements go to.
    pub cluster: String,
    /// Schema of a session whose client names none.
    pub schema: Option<String>,
    /// User name towards the servers; default: the client's name.
    pub server_user: Option<String>,
    /// Password towards the servers; default: the client's password, where it is known in plain.
    pub server_password: Option<Secret>,
    /// Client connections at most; one more gets 1226. 0: no limit.
    pub connections_max: u32,
    /// Server connections this user's sessions hold at once, at most. 0: no limit but the pool's.
    pub leases_max: u32,
    /// Server connections that nobody else can take, beside the shared ones.
    pub dedicated: u32,
    /// A session kept on one server connection for longer is ended. Zero: no limit. Transactions do not count.
    pub pinned_max: Duration,
    /// Whether a session of this user must use TLS (or a unix socket).
    pub require_tls: bool,
    /// Hints on the way of a statement that its texts may have, beside `primary` and `replica`.
    pub hints: Vec<Hint>,
}

/// A hint that takes a check from the way of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// `slot=…`: the statement goes there, whatever its keys say.
    Slot,
    /// `shard=…`: rows of other shards do not count.
    Shard,
    /// `scatter`: to as many slots as it takes, writes too.
    Scatter,
}

/// Deadlines of every wait on a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From accept to the end of the login. Like MySQL's `connect_timeout`.
    pub login: Duration,
    /// Between two commands. Like MySQL's `wait_timeout`.
    pub idle: Duration,
    /// Between two pieces of one packet. Like MySQL's `net_read_timeout`.
    pub read: Duration,
    /// For a client that does not read its reply. Like MySQL's `net_write_timeout`.
    pub write: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            login: Duration::from_secs(10),
            idle: Duration::from_secs(28_800),
            read: Duration::from_secs(30),
            write: Duration::from_secs(60),
        }
    }
}

/// Bounds on what clients may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Client connections at most; one more gets 1040.
    pub connections_max: u32,
    /// Bytes of one client packet, continuation packets together; larger gets 1153.
    pub packet_bytes_max: u64,
    /// Prepared statements of one session; one more gets 1461.
    pub prepared_statements_max: u32,
    /// Bytes of the texts of these together; one more gets 1461.
    pub prepared_bytes_max: u64,
    /// A session kept on one server connection for longer is told of in the log. Zero: none is.
    pub pin_report: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 16_000,
            packet_bytes_max: 64 << 20,
            prepared_statements_max: 16_382,
            prepared_bytes_max: 64 << 20,
            pin_report: Duration::from_secs(60),
        }
    }
}
