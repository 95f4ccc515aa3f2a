//! The stage of the driver tests: one private server and a proxy before it, until stdin ends.
//!
//! `stage [--accounts] mariadb|mysql [argument of the server …]` prints shell assignments that say where both are,
//! then waits. With `--accounts` the server's own accounts log in, and its `root` has no password, as on a fresh server.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use dazzle::config::ConfigFile;
use dazzle::lab::{Account, Flavor, Lab, LabOptions, ROOT_PASSWORD, Server};
use dazzle::server;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

const USER: &str = "app";
const PASSWORD: &str = "s3cret, with blanks";

/// Users that have never logged in before their driver's battery does, known to the proxy by a stored
/// `caching_sha2_password` verifier alone: the first login of each is in full.
const FULL_LOGINS: [&str; 6] =
    ["full_pymysql", "full_mysql2", "full_java", "full_go", "full_mariadb", "full_mysql"];

/// The password of these.
const FULL_PASSWORD: &str = "secret";

/// The same as a MySQL 9.7 stores it, in hexadecimal digits.
const FULL_STORED: &str = "24412430303524741F253C46127565677C4B13661754602037753E4E3950386E713174415550765236364F4C564D\
                           674477574572665A2E685A375564793255416A512F585137";

/// Fewer than the connections that some drivers open, so that sharing is what is tested.
const POOL_SIZE_MAX: u32 = 4;

/// Tests of a server hold as many connections as they like in transactions and locks, and wait for nothing.
const POOL_SIZE_MAX_ACCOUNTS: u32 = 20;

/// The account by which the proxy reads the others.
const READER: &str = "reader";

const READY_TIMEOUT: Duration = Duration::from_secs(30);

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Who may log in at the proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Users {
    Declared,
    FromServer,
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let users = match arguments.first().map(String::as_str) {
        Some("--accounts") => Users::FromServer,
        _ => Users::Declared,
    };
    if users == Users::FromServer {
        arguments.remove(0);
    }
    let flavor = match arguments.first().map(String::as_str) {
        Some("mariadb") => Flavor::MariaDb,
        Some("mysql") => Flavor::MySql,
        _ => {
            eprintln!("usage: stage [--accounts] mariadb|mysql [argument of the server ...]");
            return ExitCode::FAILURE;
        }
    };
    arguments.remove(0);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime at start");
    match runtime.block_on(play(flavor, users, arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stage: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the configuration says of pool and users.
async fn users_of(primary: &Server, users: Users) -> Fallible<(String, String)> {
    let flavor = primary.flavor();
    match users {
        Users::Declared => {
            primary.create_account(&Account::new(flavor, USER, PASSWORD)).await?;
            let mut users =
                format!("{USER}: {{password: '{PASSWORD}'}}, root: {{password: '{ROOT_PASSWORD}'}}");
            for name in FULL_LOGINS {
                primary.create_account(&Account::new(flavor, name, FULL_PASSWORD)).await?;
                write!(
                    users,
                    ", {name}: {{password: {{sha2_hex: '{FULL_STORED}'}}, server_user: {USER}, \
                     server_password: '{PASSWORD}'}}"
                )?;
            }
            Ok((format!("pool: {{size_max: {POOL_SIZE_MAX}}}"), format!("{{{users}}}")))
        }
        Users::FromServer => {
            primary.create_account(&Account::new(flavor, READER, PASSWORD)).await?;
            primary
                .execute(&[
                    &format!("GRANT SELECT ON mysql.* TO {READER}"),
                    // The last ones: nobody can log in with the lab's own password after them.
                    "ALTER USER 'root'@'%' IDENTIFIED BY ''",
                    "ALTER USER 'root'@'localhost' IDENTIFIED BY ''",
                ])
                .await?;
            Ok((
                format!(
                    "users: from_server, accounts: {{user: {READER}, password: '{PASSWORD}'}}, \
                     pool: {{size_max: {POOL_SIZE_MAX_ACCOUNTS}}}"
                ),
                "{}".to_owned(),
            ))
        }
    }
}

async fn play(flavor: Flavor, users: Users, arguments: Vec<String>) -> Fallible<()> {
    let lab = Lab::start(&LabOptions { arguments, ..LabOptions::new(flavor) }).await?;
    let primary = lab.primary();
    let (cluster, declared) = users_of(primary, users).await?;
    let (proxy, admin) = (free_address()?, free_address()?);
    let socket = lab.dir().join("proxy.sock");
    let file = lab.dir().join("dazzle.yaml");
    std::fs::write(
        &file,
        format!(
            "listeners: [{{address: '{proxy}'}}, {{address: '{}'}}]\n\
             clusters: {{main: {{primary: '{}', {cluster}}}}}\n\
             users: {declared}\n\
             limits: {{packet_bytes_max: 1GiB}}\n\
             admin: {{http: '{admin}'}}\n\
             process: {{drain_timeout: 0s}}\n\
             logging: {{level: warn}}\n",
            socket.display(),
            primary.address(),
        ),
    )?;
    let config = ConfigFile::new(&file);
    let (proxy_ended, mut end) = mpsc::channel(1);
    let input_ended = proxy_ended.clone();
    let served = thread::spawn(move || {
        let _ = server::serve(config);
        let _ = proxy_ended.blocking_send(());
    });
    let deadline = Instant::now() + READY_TIMEOUT;
    while TcpStream::connect(proxy).is_err() {
        if served.is_finished() || Instant::now() > deadline {
            return Err("the proxy does not serve".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "DIRECT_PORT={}", primary.address().port())?;
    writeln!(out, "DIRECT_SOCKET={}", primary.socket().display())?;
    writeln!(out, "PROXY_PORT={}", proxy.port())?;
    writeln!(out, "PROXY_SOCKET={}", socket.display())?;
    writeln!(out, "ADMIN={admin}")?;
    let root_password = if users == Users::FromServer { "" } else { ROOT_PASSWORD };
    writeln!(
        out,
        "DB_USER={USER}\nDB_PASSWORD='{PASSWORD}'\nROOT_PASSWORD={root_password}\nFULL_PASSWORD={FULL_PASSWORD}\nREADY=yes"
    )?;
    out.flush()?;
    drop(out);
    // A signal ends the proxy, and then the stage too.
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = input_ended.blocking_send(());
    });
    let _ = end.recv().await;
    Ok(())
}

/// A port nobody listens on at this moment.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
