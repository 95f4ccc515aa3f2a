//! The proxy under test: a `dazzle serve` of this tree, or whatever else is named.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::client::{Client, PASSWORD, USER};
use crate::poller::pause;
use crate::process::Role;

/// What `dazzle` is run with unless `--config` names another: defaults, as many server connections as the relay has at 64 clients, metrics on.
const CONFIG: &str = r#"
listeners:
  - address: {listen}
    tls: disabled
clusters:
  bench:
    primary: {server}
    pool:
      size_max: 64
    tls:
      mode: disabled
users:
  {user}:
    password: "{password}"
    cluster: bench
admin:
  http: {admin}
logging:
  level: warn
"#;
/// For a logical database: what its users and the whole configuration have besides.
const SCHEMA: &str = "    cluster: bench\n    schema: bench\n";
const SHARDING: &str = "sharding:\n  rules: [\"{rules}\"]\n";

/// Results of the one table are kept.
const CACHE: &str = "cache:\n  rules: [{name: orders, tables: [orders], ttl: 1h}]\n";

/// Every door that a statement may have to pass, and none that it waits at.
const DOORS: &str = "    concurrency: {mode: adaptive, min: 64, max: 64}\n    breaker: {enabled: true, slow: 1s, per_digest: true}\n";
const DOOR_RULES: &str = r#"
protection:
  rules:
    - {name: first, users: [bench], kinds: [read], tier: 2, concurrency: 1000, rate: 10000000}
    - {name: spare the tables, kinds: [whole_table, drop, truncate], deny: true}
    - {name: no endless ones, tables: [orders], rows_max: 100000}
"#;

/// The server's one table by its key, in four slots.
const RULES: &str = r#"
api: dazzle/v1
name: bench
revision: 1
keys: {order_id: bigint}
placements:
  by_order: {hash: order_id, slots: {bench: 0-3}, database: "bench_{slot}"}
tables:
  orders: {placement: by_order, columns: {id: order_id}}
tests: [{table: orders, slots: all}]
"#;

const READY_TIMEOUT: Duration = Duration::from_secs(10);
const READY_PAUSE: Duration = Duration::from_millis(1);

/// How long starts took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// In an empty folder: keys and a certificate are made.
    pub(crate) first: Duration,
    /// In the folder of an earlier start.
    pub(crate) next: Duration,
}

/// A process between clients and the server, and where it listens.
pub(crate) struct Middle {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    /// From the start of the process to a client that is logged in.
    pub(crate) ready: Option<Ready>,
    role: Option<Role>,
    /// Removed at the end.
    folder: Option<PathBuf>,
}

impl Middle {
    /// The bare copy relay.
    pub(crate) fn relay(server: SocketAddr) -> io::Result<Self> {
        let mut role = Role::start(&["relay", &server.to_string()])?;
        Ok(Self { address: role.address()?, pid: role.pid(), ready: None, role: Some(role), folder: None })
    }

    /// A proxy that runs already and has `server` behind it by other means.
    pub(crate) fn running(address: SocketAddr, pid: u32) -> Self {
        Self { address, pid, ready: None, role: None, folder: None }
    }

    /// `program serve --config …`; in the configuration `{listen}`, `{server}`, `{admin}`, `{user}` and
    /// `{password}` stand for what this run uses.
    pub(crate) fn dazzle(program: &Path, config: Option<&Path>, server: SocketAddr) -> io::Result<Self> {
        let template = match config {
            Some(path) => fs::read_to_string(path)?,
            None => CONFIG.to_owned(),
        };
        Self::serve(program, &template, server)
    }

    /// The same with the table in slots of a logical database.
    pub(crate) fn sharded(program: &Path, server: SocketAddr) -> io::Result<Self> {
        let template = CONFIG.replace("    cluster: bench\n", SCHEMA) + SHARDING;
        Self::serve(program, &template, server)
    }

    /// The same with results of the table kept.
    pub(crate) fn kept(program: &Path, server: SocketAddr) -> io::Result<Self> {
        Self::serve(program, &(CONFIG.to_owned() + CACHE), server)
    }

    /// The same with every door that protects a server.
    pub(crate) fn doors(program: &Path, server: SocketAddr) -> io::Result<Self> {
        let template = CONFIG.replace("    pool:\n", &format!("{DOORS}    pool:\n")) + DOOR_RULES;
        Self::serve(program, &template, server)
    }

    fn serve(program: &Path, template: &str, server: SocketAddr) -> io::Result<Self> {
        let (address, admin) = free_addresses()?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("relay-{}", address.port()));
        fs::create_dir_all(&folder)?;
        let rules = folder.join("bench.yaml");
        fs::write(&rules, RULES)?;
        let text = template
            .replace(
                "{rules}",
                rules.to_str().ok_or(io::Error::other("the target folder's path is not UTF-8"))?,
            )
            .replace("{listen}", &address.to_string())
            .replace("{server}", &server.to_string())
            .replace("{admin}", &admin.to_string())
            .replace("{user}", USER)
            .replace("{password}", PASSWORD);
        let file = folder.join("dazzle.yaml");
        fs::write(&file, text)?;
        let file = file.to_str().ok_or(io::Error::other("the target folder's path is not UTF-8"))?;
        let start = || -> io::Result<(Self, Duration)> {
            let began = Instant::now();
            let role = Role::start_program(program, &["serve", "--config", file])?;
            let mut proxy = Self { address, pid: role.pid(), ready: None, role: Some(role), folder: None };
            proxy.wait_until_ready()?;
            Ok((proxy, began.elapsed()))
        };
        // The proxy of the first start ends with its statement.
        let first = start()?.1;
        let (mut proxy, next) = start()?;
        (proxy.ready, proxy.folder) = (Some(Ready { first, next }), Some(folder));
        Ok(proxy)
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let error = match Client::login(self.address) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if self.role.as_mut().is_some_and(|role| role.ended().unwrap_or(true)) {
                return Err(io::Error::other("the proxy ended at its start"));
            }
            if Instant::now() >= deadline {
                return Err(io::Error::other(format!("the proxy is not ready: {error}")));
            }
            pause(READY_PAUSE);
        }
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        drop(self.role.take());
        if let Some(folder) = &self.folder {
            // A leftover in the target folder harms nobody.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Two addresses that were free a moment ago.
fn free_addresses() -> io::Result<(SocketAddr, SocketAddr)> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((first.local_addr()?, second.local_addr()?))
}
