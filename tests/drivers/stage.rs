//! The stage of the driver tests: one private server and a proxy before it, until stdin ends.
//!
//! `stage mariadb|mysql` prints shell assignments that say where both are, then waits.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use dazzle::config::ConfigFile;
use dazzle::lab::{Account, Flavor, Lab, LabOptions, ROOT_PASSWORD};
use dazzle::server;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

const USER: &str = "app";
const PASSWORD: &str = "s3cret, with blanks";

/// Fewer than the connections that some drivers open, so that sharing is what is tested.
const POOL_SIZE_MAX: u32 = 4;

const READY_TIMEOUT: Duration = Duration::from_secs(30);

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let flavor = match std::env::args().nth(1).as_deref() {
        Some("mariadb") => Flavor::MariaDb,
        Some("mysql") => Flavor::MySql,
        _ => {
            eprintln!("usage: stage mariadb|mysql");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime at start");
    match runtime.block_on(play(flavor)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stage: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn play(flavor: Flavor) -> Fallible<()> {
    let lab = Lab::start(&LabOptions::new(flavor)).await?;
    let primary = lab.primary();
    primary.create_account(&Account::new(flavor, USER, PASSWORD)).await?;
    let (proxy, admin) = (free_address()?, free_address()?);
    let socket = lab.dir().join("proxy.sock");
    let file = lab.dir().join("dazzle.yaml");
    std::fs::write(
        &file,
        format!(
            "listeners: [{{address: '{proxy}'}}, {{address: '{}'}}]\n\
             clusters: {{main: {{primary: '{}', pool: {{size_max: {POOL_SIZE_MAX}}}}}}}\n\
             users: {{{USER}: {{password: '{PASSWORD}'}}, root: {{password: '{ROOT_PASSWORD}'}}}}\n\
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
    writeln!(out, "DB_USER={USER}\nDB_PASSWORD='{PASSWORD}'\nROOT_PASSWORD={ROOT_PASSWORD}\nREADY=yes")?;
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
