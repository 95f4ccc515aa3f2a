//! A proxy of its own for each test: a child process, and what must still be true of it at the end.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dazzle::lab::{Flavor, ROOT_PASSWORD, Server, shared};
use dazzle::wire::Capabilities;
use tokio::time::{Instant, sleep};

use crate::client::{Raw, Verdict, WITHIN};

/// Memory that bad input may cost for good.
const MEMORY_KIB_MAX: u64 = 64 << 10;

/// Server connections of a proxy at most.
const POOL_MAX: usize = 4;

/// What differs from one test's proxy to the next.
pub(crate) struct Options {
    /// Lines below `timeouts:`.
    pub(crate) timeouts: &'static str,
    /// Lines below `limits:`.
    pub(crate) limits: &'static str,
    /// Lines of the cluster.
    pub(crate) cluster: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeouts: "{login: 2s, read: 1s, idle: 20s, write: 5s}",
            limits: "{packet_bytes_max: 4MiB}",
            cluster: "",
        }
    }
}

/// A running `dazzle serve`.
pub(crate) struct Proxy {
    child: Child,
    folder: PathBuf,
    ports: [u16; 3],
    memory_kib: u64,
    files: usize,
}

impl Proxy {
    /// In front of one of the lab's servers.
    pub(crate) async fn before(server: &Server, options: Options) -> Self {
        let mut proxy = Self::start(server.address(), ROOT_PASSWORD, &options);
        proxy.wait_until_it_serves().await;
        proxy
    }

    /// In front of whatever listens at `address`.
    pub(crate) async fn before_address(address: SocketAddr, options: Options) -> Self {
        let mut proxy = Self::start(address, "", &options);
        let deadline = Instant::now() + WITHIN;
        while Raw::dial(proxy.address()).await.is_none() {
            assert!(Instant::now() < deadline, "the proxy does not listen: {}", proxy.log());
            sleep(Duration::from_millis(10)).await;
        }
        // Each worker has opened what it needs when it greets.
        for _ in 0..20 {
            Raw::connect(proxy.address()).await.greeting().await.unwrap();
        }
        proxy.remember();
        proxy
    }

    fn start(primary: SocketAddr, password: &str, options: &Options) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dazzle-hostile-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let held: Vec<TcpListener> =
            (0..3).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        let ports = [0, 1, 2].map(|n: usize| held[n].local_addr().unwrap().port());
        drop(held);
        let [plain, clear, behind] = ports;
        let Options { timeouts, limits, cluster } = options;
        let config = format!(
            "listeners:\n  - {{address: 127.0.0.1:{plain}}}\n  - {{address: 127.0.0.1:{clear}, tls: disabled}}\n  \
             - {{address: 127.0.0.1:{behind}, proxy_protocol: [127.0.0.1/32]}}\n\
             clusters:\n  main:\n    primary: {primary}\n    server_user: root\n    server_password: \"{password}\"\n    \
             pool: {{size_max: {POOL_MAX}, queue_timeout: 3s}}\n{cluster}\
             users:\n  app: {{password: secret}}\n  other: {{password: other}}\n\
             timeouts: {timeouts}\nlimits: {limits}\nprocess: {{workers: 2}}\nlogging: {{level: info}}\n"
        );
        fs::write(folder.join("dazzle.yaml"), config).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_dazzle"))
            .args(["serve", "--config"])
            .arg(folder.join("dazzle.yaml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, folder, ports, memory_kib: 0, files: 0 }
    }

    async fn wait_until_it_serves(&mut self) {
        let deadline = Instant::now() + WITHIN;
        loop {
            if let Some(raw) = Raw::dial(self.address()).await
                && let Ok(mut client) = raw.log_in("app", "secret", None, Capabilities::NONE).await
            {
                assert_eq!(client.ask(b"\x03SELECT 1").await, Verdict::Rows);
                break;
            }
            assert!(Instant::now() < deadline, "the proxy does not serve: {}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
        self.remember();
    }

    fn remember(&mut self) {
        self.memory_kib = self.status_kib("VmRSS:");
        self.files = self.open_files();
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[0]).into()
    }

    /// A listener that knows no TLS.
    pub(crate) fn address_without_tls(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[1]).into()
    }

    /// A listener that wants a PROXY header first.
    pub(crate) fn address_behind_balancer(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[2]).into()
    }

    /// A client that is logged in.
    pub(crate) async fn client(&self) -> Raw {
        self.client_with(Capabilities::NONE).await
    }

    /// A client that is logged in and has these capabilities, too.
    pub(crate) async fn client_with(&self, wanted: Capabilities) -> Raw {
        let raw = Raw::connect(self.address()).await;
        raw.log_in("app", "secret", None, wanted).await.unwrap_or_else(|end| {
            panic!("a proper client is refused: {end:?}\n{}", self.log());
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().unwrap_or_else(|_| panic!("it is dead: {}", self.log()))
    }

    fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// Memory it has taken at most since its start, above what it had then, in KiB.
    pub(crate) fn peak_growth_kib(&self) -> u64 {
        self.status_kib("VmHWM:").saturating_sub(self.memory_kib)
    }

    /// It lives, serves, has not panicked, and has given back what it took.
    pub(crate) async fn is_well(&mut self) {
        let mut client = self.client().await;
        assert_eq!(client.ask(b"\x03SELECT 1").await, Verdict::Rows, "{}", self.log());
        drop(client);
        self.is_intact().await;
    }

    /// The same as far as it can be told without a server behind it.
    pub(crate) async fn is_intact(&mut self) {
        let deadline = Instant::now() + WITHIN;
        while self.open_files() > self.files + POOL_MAX {
            assert!(Instant::now() < deadline, "{} files, {} before", self.open_files(), self.files);
            sleep(Duration::from_millis(20)).await;
        }
        assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.log());
        let log = self.log();
        assert!(!log.contains("panicked") && !log.contains("panic place="), "{log}");
        let grown = self.status_kib("VmRSS:").saturating_sub(self.memory_kib);
        assert!(grown <= MEMORY_KIB_MAX, "{grown} KiB more than at the start");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Runs `check` in front of every server that this machine has.
pub(crate) async fn each(options: impl Fn() -> Options, check: impl AsyncFn(&mut Proxy, Flavor, &Server)) {
    let installed = Flavor::installed();
    assert!(!installed.is_empty(), "no database server on this machine: run scripts/servers");
    for flavor in installed {
        let server = shared(flavor).await.unwrap().primary();
        let mut proxy = Proxy::before(server, options()).await;
        check(&mut proxy, flavor, server).await;
        proxy.is_well().await;
    }
}

/// Runs `check` in front of one server: where the server makes no difference.
pub(crate) async fn one(options: Options, check: impl AsyncFn(&mut Proxy)) {
    let flavor = *Flavor::installed().first().expect("run scripts/servers");
    let mut proxy = Proxy::before(shared(flavor).await.unwrap().primary(), options).await;
    check(&mut proxy).await;
    proxy.is_well().await;
}
