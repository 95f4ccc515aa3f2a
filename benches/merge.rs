//! What merging costs: rows of four slots in one order, beside the same rows forwarded, and the memory that it takes.
//!
//! `cargo bench --bench merge [-- ROWS]`, a million rows in each slot if none are named. MariaDB must be installed.
//! CPU and memory are those of the proxy's process alone.

use std::error::Error;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use dazzle::lab::{Account, Flavor, Lab, LabOptions};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tokio::time::{Instant, sleep};

const USER: &str = "bench";
const PASSWORD: &str = "secret";
const SLOTS: u64 = 4;

const RULES: &str = r#"
api: dazzle/v1
name: shop
revision: 1
defaults: {scatter_read: {rows_max: 100000000, timeout: 0s}}
keys: {id: bigint}
placements:
  by_id: {hash: id, slots: {bench: 0-3}, database: "shop_{slot}"}
tables:
  orders: {placement: by_id, columns: {id: id}}
tests: [{table: orders, slots: all}]
"#;

/// The proxy, and what it has used.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    async fn start(server: &str) -> Result<Self, Box<dyn Error>> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let admin = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("merge-{}", address.port()));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("shop.yaml"), RULES)?;
        let rules = folder.join("shop.yaml");
        let config = format!(
            "listeners: [{{address: \"{address}\", tls: disabled}}]\nclusters: {{bench: {{primary: \"{server}\", tls: {{mode: disabled}}}}}}\n\
             users: {{{USER}: {{password: {PASSWORD}, cluster: bench}}}}\nadmin: {{http: \"{admin}\"}}\n\
             logging: {{level: warn}}\nsharding: {{rules: [\"{}\"]}}\n",
            rules.display()
        );
        let file = folder.join("dazzle.yaml");
        fs::write(&file, config)?;
        let child = Command::new(env!("CARGO_BIN_EXE_dazzle")).arg("serve").arg("-c").arg(&file).spawn()?;
        let proxy = Self { child, address };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                return Err("the proxy does not listen".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(proxy)
    }

    async fn connect(&self, schema: &str) -> Result<Conn, Box<dyn Error>> {
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.address.port())
            .user(Some(USER))
            .pass(Some(PASSWORD))
            .db_name(Some(schema))
            .prefer_socket(false);
        Ok(Conn::new(opts).await?)
    }

    /// Seconds of CPU of all its threads so far.
    fn cpu(&self) -> Result<f64, Box<dyn Error>> {
        let mut nanoseconds = 0_u64;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += text.split_whitespace().next().unwrap_or("0").parse::<u64>()?;
        }
        Ok(nanoseconds as f64 / 1e9)
    }

    /// The most memory since the last call, in MiB.
    fn peak(&self) -> Result<f64, Box<dyn Error>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
        let kib: f64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?;
        Ok(kib / 1024.0)
    }
}

/// Reads all rows; how many there are.
async fn read(conn: &mut Conn, sql: &str) -> Result<u64, Box<dyn Error>> {
    let mut result = conn.query_iter(sql).await?;
    let mut rows = 0;
    while result.next().await?.is_some() {
        rows += 1;
    }
    Ok(rows)
}

async fn measured(
    proxy: &Proxy,
    name: &str,
    schemas: &[String],
    sql: &str,
    floor: Option<f64>,
) -> Result<f64, Box<dyn Error>> {
    proxy.peak()?;
    let (mut rows, mut cpu, begun) = (0, 0.0, Instant::now());
    for schema in schemas {
        let mut conn = proxy.connect(schema).await?;
        let before = proxy.cpu()?;
        rows += read(&mut conn, sql).await?;
        cpu += proxy.cpu()? - before;
        conn.disconnect().await?;
    }
    let ratio = floor.map_or_else(String::new, |floor| format!(", {:.2} times forwarding", cpu / floor));
    println!(
        "{name}: {rows} rows, CPU {cpu:.2} s{ratio}, memory {:.0} MiB, {:.1} s",
        proxy.peak()?,
        begun.elapsed().as_secs_f64()
    );
    Ok(cpu)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let rows: u64 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let lab = Lab::start(&LabOptions::new(Flavor::MariaDb)).await?;
    let mut sql = Vec::new();
    for slot in 0..SLOTS {
        sql.extend([
            format!("CREATE DATABASE shop_{slot}"),
            format!("USE shop_{slot}"),
            "CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, amount DECIMAL(10,2) NOT NULL, note VARCHAR(40) \
             COLLATE utf8mb4_general_ci NOT NULL, created_at DATETIME NOT NULL, KEY (amount, id, note, created_at), KEY (note, id, amount, created_at))"
                .to_owned(),
            format!(
                "INSERT INTO orders SELECT seq * {SLOTS} + {slot}, seq * 7919 % 100003 / 7, CONCAT('note ', MD5(seq)), \
                 '2026-01-01' + INTERVAL seq SECOND FROM seq_1_to_{rows}"
            ),
            "ANALYZE TABLE orders".to_owned(),
        ]);
    }
    lab.primary().execute(&sql).await?;
    lab.primary().create_account(&Account::new(Flavor::MariaDb, USER, PASSWORD)).await?;
    let proxy = Proxy::start(&lab.primary().address().to_string()).await?;
    let slots: Vec<String> = (0..SLOTS).map(|slot| format!("shop_{slot}")).collect();
    let (logical, all) = (["shop".to_owned()], "SELECT id, amount, note, created_at FROM orders");
    measured(&proxy, "warming up", &slots, all, None).await?;
    let floor = measured(&proxy, "forwarded, slot by slot", &slots, all, None).await?;
    measured(&proxy, "as they come", &logical, all, Some(floor)).await?;
    measured(&proxy, "ORDER BY amount, id", &logical, &format!("{all} ORDER BY amount, id"), Some(floor))
        .await?;
    measured(&proxy, "ORDER BY note, id", &logical, &format!("{all} ORDER BY note, id"), Some(floor)).await?;
    Ok(())
}
