//! The server's table and what it can do, the proxy before it, and the crowds of clients.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use dazzle::lab::{Account, Server};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::offer::{Crowd, statement};

/// Rows of the table.
pub(crate) const ROWS: u32 = 60_000;
/// What one statement should cost the server, so that load and proxy cost little beside it.
const STATEMENT: Duration = Duration::from_millis(8);
const PASSWORD: &str = "overload";
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// Who asks.
pub(crate) struct Kind {
    pub(crate) user: &'static str,
    pub(crate) tier: u32,
    /// Its part of the capacity at load 1.
    pub(crate) share: f64,
    clients: u32,
}

/// A fifth of what the server can do must get through; of the rest, half may go first.
pub(crate) const CROWDS: [Kind; 3] = [
    Kind { user: "checkout", tier: 1, share: 0.2, clients: 100 },
    Kind { user: "shop", tier: 3, share: 0.4, clients: 300 },
    Kind { user: "reports", tier: 4, share: 0.4, clients: 300 },
];

/// Makes the accounts and the table.
pub(crate) async fn fill(server: &Server) -> io::Result<()> {
    for crowd in &CROWDS {
        let account = Account::new(server.flavor(), crowd.user, PASSWORD);
        server.create_account(&account).await.map_err(io::Error::other)?;
    }
    server.create_schema("overload").await.map_err(io::Error::other)?;
    let mut statements = vec![
        "CREATE TABLE overload.item (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, note CHAR(40))".to_owned(),
        "INSERT INTO overload.item (note) VALUES ('a'),('b'),('c'),('d')".to_owned(),
    ];
    for _ in 0..14 {
        statements.push("INSERT INTO overload.item (note) SELECT note FROM overload.item".to_owned());
    }
    // Gaps of the counter are closed, so that each statement reads as many rows as it names.
    statements.push("ALTER TABLE overload.item DROP id".to_owned());
    statements
        .push("ALTER TABLE overload.item ADD id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY FIRST".to_owned());
    server.execute(&statements).await.map_err(io::Error::other)
}

/// Rows that a statement must read to cost what it should.
pub(crate) async fn calibrate(server: &Server) -> io::Result<u32> {
    let mut conn = connect(server.address(), CROWDS[0].user).await?;
    let mut random = SmallRng::seed_from_u64(1);
    let (probe, times) = (5_000, 20);
    // The first ones find nothing in the server's memory.
    for _ in 0..times {
        conn.query_drop(statement(&mut random, probe)).await.map_err(io::Error::other)?;
    }
    let started = Instant::now();
    for _ in 0..times {
        conn.query_drop(statement(&mut random, probe)).await.map_err(io::Error::other)?;
    }
    let each = started.elapsed().as_secs_f64() / f64::from(times);
    Ok((f64::from(probe) * STATEMENT.as_secs_f64() / each).clamp(500.0, f64::from(ROWS / 2)) as u32)
}

/// Statements a second at the server's best: the most that any number of clients gets who ask without pause. What that
/// is changes with the machine from minute to minute.
pub(crate) async fn capacity(server: &Server, rows: u32) -> io::Result<f64> {
    let mut best = 0.0_f64;
    for clients in [2_u64, 4, 8] {
        let mut tasks = JoinSet::new();
        let (started, window) = (Instant::now(), Duration::from_secs(1));
        for n in 0..clients {
            let mut conn = connect(server.address(), CROWDS[0].user).await?;
            tasks.spawn(async move {
                let (mut random, mut count) = (SmallRng::seed_from_u64(n), 0_u32);
                while started.elapsed() < window
                    && conn.query_drop(statement(&mut random, rows)).await.is_ok()
                {
                    count += 1;
                }
                count
            });
        }
        let mut count = 0;
        while let Some(done) = tasks.join_next().await {
            count += done.map_err(io::Error::other)?;
        }
        best = best.max(f64::from(count) / started.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// CPU time of a process so far, to a hundredth of a second.
pub(crate) fn cpu(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the command name; utime and stime are fields 14 and 15 of the whole line.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>();
    let second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks.map_err(io::Error::other)? as f64 / second as f64))
}

/// All clients, logged in.
pub(crate) async fn crowds(address: SocketAddr, rows: u32) -> io::Result<Vec<Crowd>> {
    let mut crowds = Vec::new();
    for kind in &CROWDS {
        let mut idle = Vec::new();
        for _ in 0..kind.clients {
            idle.push(connect(address, kind.user).await?);
        }
        crowds.push(Crowd { idle, rows });
    }
    Ok(crowds)
}

pub(crate) async fn connect(address: SocketAddr, user: &str) -> io::Result<Conn> {
    let options = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some(user))
        .pass(Some(PASSWORD))
        .db_name(Some("overload"))
        .prefer_socket(false);
    Conn::new(options).await.map_err(io::Error::other)
}

/// A `dazzle serve` of this tree before the server; ends when dropped, and with this process.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    _child: Child,
}

impl Proxy {
    /// `cluster`: lines of its cluster besides.
    pub(crate) async fn start(server: &Server, cluster: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        drop(listener);
        let users: String = CROWDS
            .iter()
            .map(|crowd| format!("  {}: {{password: {PASSWORD}, schema: overload}}\n", crowd.user))
            .collect();
        let rules: String = CROWDS
            .iter()
            .map(|crowd| format!("  - {{name: {0}, users: [{0}], tier: {1}}}\n", crowd.user, crowd.tier))
            .collect();
        let text = format!(
            "listeners:\n- address: {address}\n  tls: disabled\nclusters:\n  main:\n    primary: {}\n    \
             pool: {{size_max: 64}}\n    tls: {{mode: disabled}}\n{cluster}\
             users:\n{users}protection:\n  rules:\n{rules}logging: {{level: error}}\n",
            server.address(),
        );
        let file = server.dir().join("dazzle.yaml");
        fs::write(&file, text)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_dazzle"), "serve", "-c"])
            .arg(&file)
            .kill_on_drop(true)
            .spawn()?;
        let deadline = Instant::now() + READY_TIMEOUT;
        while let Err(error) = connect(address, CROWDS[0].user).await {
            if Instant::now() >= deadline {
                return Err(io::Error::other(format!("the proxy is not ready: {error}")));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { address, _child: child })
    }
}
