//! The proxy as a process, with a configuration of the story's own.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use dazzle::lab::{Flavor, Server};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::support::client::{At, Conn, Login};
use crate::support::{PASSWORD, SOON, USER, eventually};

/// The parts of a dazzle.yaml that stories choose; all are YAML text.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Address of the server.
    pub(crate) primary: String,
    /// Folder that the proxy's own is made in.
    pub(crate) dir: PathBuf,
    /// Keys of `pool`, in one line.
    pub(crate) pool: String,
    /// Keys of the cluster, in one line each.
    pub(crate) cluster: Vec<String>,
    /// More clusters, in YAML.
    pub(crate) clusters: String,
    /// Keys of the TCP listener, in one line each.
    pub(crate) listener: Vec<String>,
    /// More listeners, in YAML, in one line each.
    pub(crate) listeners: Vec<String>,
    /// Keys of the usual user, in one line.
    pub(crate) user: String,
    /// More users: `name: {…}`.
    pub(crate) users: Vec<String>,
    /// Top-level keys.
    pub(crate) top: Vec<String>,
    /// A program, with its arguments, that becomes the proxy after it has changed something of the process.
    pub(crate) under: Vec<String>,
}

impl Setup {
    /// A proxy in front of `server` with a pool of 20.
    pub(crate) fn new(server: &Server) -> Self {
        Self {
            primary: server.address().to_string(),
            dir: server.dir().parent().expect("a server lives in its lab's folder").to_owned(),
            pool: "size_max: 20".to_owned(),
            cluster: Vec::new(),
            clusters: String::new(),
            listener: Vec::new(),
            listeners: Vec::new(),
            user: format!("password: {PASSWORD}"),
            users: Vec::new(),
            top: Vec::new(),
            under: Vec::new(),
        }
    }

    pub(crate) fn pool(mut self, pool: &str) -> Self {
        self.pool = pool.to_owned();
        self
    }

    pub(crate) fn cluster(mut self, line: &str) -> Self {
        self.cluster.push(line.to_owned());
        self
    }

    pub(crate) fn listener(mut self, line: &str) -> Self {
        self.listener.push(line.to_owned());
        self
    }

    pub(crate) fn listeners(mut self, line: &str) -> Self {
        self.listeners.push(line.to_owned());
        self
    }

    pub(crate) fn user(mut self, keys: &str) -> Self {
        self.user = format!("{}, {keys}", self.user);
        self
    }

    pub(crate) fn users(mut self, line: &str) -> Self {
        self.users.push(line.to_owned());
        self
    }

    pub(crate) fn top(mut self, line: &str) -> Self {
        self.top.push(line.to_owned());
        self
    }

    pub(crate) fn under(mut self, program: &[&str]) -> Self {
        self.under = program.iter().map(|&part| part.to_owned()).collect();
        self
    }

    fn yaml(&self, port: u16, http: u16, dir: &Path) -> String {
        let indented =
            |lines: &[String]| lines.iter().map(|line| format!("    {line}\n")).collect::<String>();
        let listeners: String = self.listeners.iter().map(|line| format!("  - {{{line}}}\n")).collect();
        let users: String = self.users.iter().map(|line| format!("  {line}\n")).collect();
        format!(
            "listeners:\n  - address: 127.0.0.1:{port}\n{}  - address: {}/d.sock\n{listeners}\
             clusters:\n  main:\n    primary: {}\n{}    pool: {{{}}}\n{}users:\n  {USER}: {{{}}}\n{users}\
             admin: {{http: \"127.0.0.1:{http}\"}}\n{}\n",
            indented(&self.listener),
            dir.display(),
            self.primary,
            indented(&self.cluster),
            self.pool,
            self.clusters,
            self.user,
            self.top.join("\n"),
        )
    }

    /// Starts it and waits until it accepts clients.
    pub(crate) async fn start(&self) -> Proxy {
        let proxy = self.spawn();
        proxy.ready().await;
        proxy
    }

    /// Starts it.
    pub(crate) fn spawn(&self) -> Proxy {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let dir = self.dir.join(format!("proxy-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&dir).unwrap();
        let (port, http) = (free_port(), free_port());
        let setup = self.clone();
        fs::write(dir.join("dazzle.yaml"), self.yaml(port, http, &dir)).unwrap();
        let child = spawn(&dir, &setup.under);
        Proxy { setup: Mutex::new(setup), port, http, dir, child: Mutex::new(child) }
    }
}

static PROXIES: [OnceCell<Proxy>; 2] = [const { OnceCell::const_new() }; 2];

/// The shared proxies are never dropped: each story looks at them when it is over.
pub(crate) fn shared_proxies_have_not_panicked() {
    PROXIES.iter().filter_map(OnceCell::get).for_each(Proxy::has_not_panicked);
}

/// The proxy of `server` that stories share.
pub(crate) async fn proxy(server: &'static Server) -> &'static Proxy {
    let cell = &PROXIES[usize::from(server.flavor() == Flavor::MySql)];
    cell.get_or_init(async || {
        let setup = Setup::new(server).top("limits: {packet_bytes_max: 256MiB}");
        let proxy = setup.start().await;
        // The first login tells it which server it stands for: version and capabilities of its greeting.
        proxy.connect().await.quit().await;
        proxy
    })
    .await
}

/// A running proxy; killed when dropped, and with this process in any case.
#[derive(Debug)]
pub(crate) struct Proxy {
    setup: Mutex<Setup>,
    port: u16,
    http: u16,
    dir: PathBuf,
    child: Mutex<Child>,
}

impl Proxy {
    /// Its TCP address.
    pub(crate) fn at(&self) -> At {
        At::Tcp(format!("127.0.0.1:{}", self.port))
    }

    /// Its unix socket.
    pub(crate) fn unix(&self) -> At {
        At::Unix(self.dir.join("d.sock"))
    }

    /// Starts it again in the same folder, after its end.
    pub(crate) fn start_again(&self) -> Self {
        let setup = self.setup.lock().unwrap().clone();
        let child = Mutex::new(spawn(&self.dir, &setup.under));
        let setup = Mutex::new(setup);
        Self { setup, port: self.port, http: self.http, dir: self.dir.clone(), child }
    }

    /// The usual login.
    pub(crate) fn login(&self) -> Login {
        Login::new(self.at())
    }

    /// A session of the usual account.
    pub(crate) async fn connect(&self) -> Conn {
        self.login().connect().await
    }

    /// Waits until it accepts clients and operators.
    pub(crate) async fn ready(&self) {
        let deadline = Instant::now() + SOON;
        while [self.port, self.http].iter().any(|port| TcpStream::connect(("127.0.0.1", *port)).is_err()) {
            let ended = self.child.lock().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the proxy ended:\n{}", self.log());
            assert!(Instant::now() < deadline, "the proxy does not come up:\n{}", self.log());
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("dazzle.yaml")
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Nothing in it has panicked, whatever became of the session it was about.
    pub(crate) fn has_not_panicked(&self) {
        let log = self.log();
        let panic = log.lines().find(|line| line.contains("panic place=") || line.contains("panicked"));
        assert!(panic.is_none(), "{panic:?}");
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid() as i32).unwrap(), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the proxy", async || {
            status = self.child.lock().unwrap().try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.expect("just seen")
    }

    /// Writes a changed configuration; the process notices by itself, or is told by SIGHUP.
    pub(crate) fn reconfigure(&self, change: impl FnOnce(Setup) -> Setup) {
        let mut setup = self.setup.lock().unwrap();
        *setup = change(setup.clone());
        self.write_config(&setup.yaml(self.port, self.http, &self.dir));
    }

    /// Puts `text` in the place of its configuration, all at once.
    pub(crate) fn write_config(&self, text: &str) {
        let new = self.dir.join("dazzle.yaml.new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.dir.join("dazzle.yaml")).unwrap();
    }

    /// Runs another command of the program with this proxy's configuration; what it says, on success or not.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dazzle"));
        let output = command.args(arguments).arg("-c").arg(self.dir.join("dazzle.yaml")).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
    }

    /// GET of a page of the operators' port: status and body.
    pub(crate) fn http(&self, path: &str) -> (u16, String) {
        self.raw_http(&format!("GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n"))
    }

    /// A request to the operators' port: status and body.
    pub(crate) fn raw_http(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// The sum of all samples of a metric whose line has `labels` in it.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> f64 {
        let (_, body) = self.http("/metrics");
        let samples = body.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels)
        });
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Resident memory in KiB.
    pub(crate) fn rss_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most of it that there ever was.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        let _ = child.kill();
        let _ = child.wait();
        if std::thread::panicking() {
            eprintln!("log of the proxy:\n{}", self.log());
        } else {
            self.has_not_panicked();
        }
    }
}

/// Starts the process. It dies with the thread that starts it, so one thread that lives as long as this process
/// starts them all.
fn spawn(dir: &Path, under: &[String]) -> Child {
    type Order = (PathBuf, Vec<String>, SyncSender<Child>);
    static STARTER: OnceLock<SyncSender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, received) = sync_channel::<Order>(16);
        std::thread::spawn(move || {
            for (dir, under, answer) in received {
                let log = fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
                let child = Command::new("setpriv")
                    .args(["--pdeathsig", "KILL"])
                    .args(under)
                    .args([env!("CARGO_BIN_EXE_dazzle"), "serve", "-c"])
                    .arg(dir.join("dazzle.yaml"))
                    .stdin(Stdio::null())
                    .stdout(log.try_clone().unwrap())
                    .stderr(log)
                    .spawn()
                    .unwrap();
                answer.send(child).unwrap();
            }
        });
        orders
    });
    let (answer, child) = sync_channel(1);
    starter.send((dir.to_owned(), under.to_owned(), answer)).unwrap();
    child.recv().unwrap()
}

/// A port that nobody listens on, outside the range that the system picks from for outgoing connections.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 12_000 + (std::process::id() % 180) as u16 * 100;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 1_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
