//! The private servers that everything else is tested with, on both real servers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use dazzle::lab::{Account, AuthPlugin, Dataset, Flavor, Lab, LabError, LabOptions, Require, Server, shared};
use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, SslOpts};
use tokio::time::{Instant, sleep, timeout};

/// Set in the process that `a_killed_owner_leaves_nothing` starts and kills.
const OWNER: &str = "DAZZLE_LAB_TEST_OWNER";

const SOON: Duration = Duration::from_secs(60);

/// Runs `check` against every server that this machine has.
async fn each(check: impl AsyncFn(Flavor)) {
    let installed = Flavor::installed();
    assert!(!installed.is_empty(), "no database server on this machine: run scripts/servers");
    for flavor in installed {
        check(flavor).await;
    }
}

async fn number(server: &Server, query: &str) -> Option<i64> {
    let mut connection = server.connect().await.unwrap();
    let value = connection.query_first(query).await.unwrap();
    connection.disconnect().await.unwrap();
    value
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A process that was waited for by nobody stays as a zombie, whose command line is empty.
fn runs(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn a_replica_follows_through_pauses_kills_and_restarts() {
    each(async |flavor| {
        let options = LabOptions { replicas: 1, ..LabOptions::new(flavor) };
        let lab = Lab::start(&options).await.unwrap();
        let (primary, replica) = (lab.primary(), &lab.replicas()[0]);
        primary.create_schema("app").await.unwrap();
        primary
            .execute(&["CREATE TABLE app.t (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)"])
            .await
            .unwrap();
        lab.catch_up().await.unwrap();
        assert_eq!(number(replica, "SELECT COUNT(*) FROM app.t").await, Some(1), "{flavor}");
        assert_eq!(number(replica, "SELECT @@read_only").await, Some(1), "{flavor}");
        // On a busy machine the last event may be a second old when it is applied, and the lag says so for a moment.
        let deadline = Instant::now() + SOON;
        while replica.lag().await.unwrap() != Some(Duration::ZERO) {
            assert!(Instant::now() < deadline, "{flavor}: the replica lags behind");
            sleep(Duration::from_millis(10)).await;
        }

        replica.pause_replication().await.unwrap();
        primary.execute(&["INSERT INTO app.t VALUES (2)"]).await.unwrap();
        let late = replica.catch_up(primary, Duration::from_millis(50)).await;
        assert!(matches!(late, Err(LabError::Deadline { .. })), "{flavor}: {late:?}");
        assert_eq!(number(replica, "SELECT COUNT(*) FROM app.t").await, Some(1), "{flavor}");
        replica.resume_replication().await.unwrap();
        lab.catch_up().await.unwrap();

        primary.kill().await.unwrap();
        assert_eq!(primary.pid(), None, "{flavor}");
        assert!(primary.connect().await.is_err(), "{flavor}");
        assert!(matches!(primary.freeze().await, Err(LabError::NotRunning(_))), "{flavor}");
        let port = primary.port();
        primary.start().await.unwrap();
        replica.restart().await.unwrap();
        assert_eq!(primary.port(), port, "{flavor}");
        assert_eq!(number(replica, "SELECT @@read_only").await, Some(1), "{flavor}: after a restart");
        primary.execute(&["INSERT INTO app.t VALUES (3)"]).await.unwrap();
        lab.catch_up().await.unwrap();
        assert_eq!(number(replica, "SELECT COUNT(*) FROM app.t").await, Some(3), "{flavor}");

        replica.promote().await.unwrap();
        replica.execute(&["INSERT INTO app.t VALUES (4)"]).await.unwrap();
        assert_eq!(number(replica, "SELECT @@read_only").await, Some(0), "{flavor}");
        assert_eq!(replica.lag().await.unwrap(), None, "{flavor}");
    })
    .await;
}

#[tokio::test]
async fn a_delayed_replica_applies_late_and_then_catches_up() {
    each(async |flavor| {
        let options = LabOptions { replicas: 1, ..LabOptions::new(flavor) };
        let lab = Lab::start(&options).await.unwrap();
        let replica = &lab.replicas()[0];
        replica.delay(3600).await.unwrap();
        lab.primary().create_schema("late").await.unwrap();
        let late = replica.catch_up(lab.primary(), Duration::from_millis(300)).await;
        assert!(matches!(late, Err(LabError::Deadline { .. })), "{flavor}: {late:?}");
        replica.delay(0).await.unwrap();
        lab.catch_up().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_frozen_server_answers_again_after_it_is_thawed() {
    each(async |flavor| {
        let lab = Lab::start(&LabOptions::new(flavor)).await.unwrap();
        let server = lab.primary();
        let mut connection = server.connect().await.unwrap();
        server.freeze().await.unwrap();
        let answer = timeout(Duration::from_millis(200), connection.ping()).await;
        assert!(answer.is_err(), "{flavor}: a frozen server answered");
        server.thaw().unwrap();
        assert_eq!(number(server, "SELECT 1").await, Some(1), "{flavor}");
        server.freeze().await.unwrap();
        server.kill().await.unwrap();
        assert_eq!(server.pid(), None, "{flavor}: a frozen server can be killed");
    })
    .await;
}

#[tokio::test]
async fn accounts_have_the_plugin_and_the_tls_requirement_asked_for() {
    each(async |flavor| {
        let lab = Lab::start(&LabOptions::new(flavor)).await.unwrap();
        let server = lab.primary();
        let usual = Account::new(flavor, "o'neil", "p\\w'");
        server.create_account(&usual).await.unwrap();
        server
            .create_account(&Account { require: Require::Ssl, ..Account::new(flavor, "tls", "") })
            .await
            .unwrap();
        server
            .create_account(&Account { require: Require::X509, ..Account::new(flavor, "x509", "x") })
            .await
            .unwrap();
        let (missing, rare) = match flavor {
            Flavor::MariaDb => (AuthPlugin::CachingSha2, AuthPlugin::Ed25519),
            Flavor::MySql => (AuthPlugin::Native, AuthPlugin::Sha256),
        };
        let refused = server.create_account(&Account { plugin: missing, ..usual.clone() }).await;
        assert!(matches!(refused, Err(LabError::Unsupported { .. })), "{flavor}: {refused:?}");
        server.create_account(&Account { plugin: rare, ..Account::new(flavor, "rare", "r") }).await.unwrap();

        let login = async |user: &str, password: &str, tls: Option<SslOpts>| {
            let connection = Conn::new(server.tcp_opts(user, password).ssl_opts(tls)).await?;
            connection.disconnect().await
        };
        let verified = SslOpts::default().with_root_certs(vec![server.tls().ca.clone().into()]);
        let identity = ClientIdentity::new(
            server.tls().client_certificate.clone().into(),
            server.tls().client_key.clone().into(),
        );
        let known = verified.clone().with_client_identity(Some(identity));
        login("o'neil", "p\\w'", None).await.unwrap();
        login("tls", "", Some(verified.clone())).await.unwrap();
        login("x509", "x", Some(known)).await.unwrap();
        assert!(login("tls", "", None).await.is_err(), "{flavor}: a login without TLS");
        assert!(login("x509", "x", Some(verified)).await.is_err(), "{flavor}: a login without a certificate");
        assert!(login("o'neil", "wrong", None).await.is_err(), "{flavor}: a wrong password");
    })
    .await;
}

#[tokio::test]
async fn a_dropped_lab_leaves_no_process_and_no_folder() {
    each(async |flavor| {
        let lab = Lab::start(&LabOptions::new(flavor)).await.unwrap();
        let (dir, pid) = (lab.dir().to_owned(), lab.primary().pid().unwrap());
        assert!(runs(pid), "{flavor}");
        drop(lab);
        assert!(!dir.exists(), "{flavor}");
        assert!(!runs(pid), "{flavor}");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_cannot_start_is_named_with_the_end_of_its_log() {
    each(async |flavor| {
        let arguments = vec!["--no-such-setting=1".to_owned()];
        let error = Lab::start(&LabOptions { arguments, ..LabOptions::new(flavor) }).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("primary") && text.contains("no-such-setting"), "{flavor}: {text}");
    })
    .await;
}

#[tokio::test]
async fn a_killed_owner_leaves_nothing() {
    if std::env::var_os(OWNER).is_some() {
        return own_until_killed().await;
    }
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_owner_leaves_nothing", "--nocapture"])
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut dirs: Vec<PathBuf> = Vec::new();
    let mut pids: Vec<u32> = Vec::new();
    for line in BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap) {
        match line.split_once(' ') {
            Some(("lab", dir)) => dirs.push(dir.into()),
            Some(("server", pid)) => pids.push(pid.parse().unwrap()),
            Some(("up", _)) => break,
            _ => {}
        }
    }
    assert_eq!(dirs.len(), Flavor::installed().len());
    assert!(pids.len() == dirs.len() * 2 && pids.iter().all(|pid| runs(*pid)));
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("the servers of a killed owner end", || !pids.iter().any(|pid| runs(*pid))).await;
    until("the folders of a killed owner go", || !dirs.iter().any(|dir| dir.exists())).await;
}

/// Starts labs, one server of each frozen, says what must be gone later, and waits for its end.
async fn own_until_killed() {
    let mut labs = Vec::new();
    for flavor in Flavor::installed() {
        let lab = Lab::start(&LabOptions { replicas: 1, ..LabOptions::new(flavor) }).await.unwrap();
        println!("\nlab {}", lab.dir().display());
        for server in lab.servers() {
            println!("server {}", server.pid().unwrap());
        }
        lab.replicas()[0].freeze().await.unwrap();
        labs.push(lab);
    }
    println!("up now");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn the_data_set_is_the_same_on_every_server() {
    let dataset = Dataset { seed: 3, users: 600, shops: 50, orders: 1_200 };
    let sums = "SELECT CONCAT_WS(' ', (SELECT COUNT(*) FROM food.users), (SELECT COUNT(*) FROM food.shops), \
                (SELECT SUM(amount) FROM food.orders), (SELECT SUM(quantity * price) FROM food.order_items), \
                (SELECT MIN(created_at) FROM food.orders), (SELECT SUM(CRC32(dish)) FROM food.order_items), \
                (SELECT SUM(CRC32(name)) FROM food.users), (SELECT COUNT(note) FROM food.orders))";
    let mut seen: Vec<String> = Vec::new();
    for flavor in Flavor::installed() {
        let lab = shared(flavor).await.unwrap();
        let mut batches = 0;
        dataset.load(lab.primary(), "food", || batches += 1).await.unwrap();
        assert_eq!(batches, dataset.batch_count());
        let mut connection = lab.primary().connect().await.unwrap();
        let text: String = connection.query_first(sums).await.unwrap().unwrap();
        let wrong = "SELECT COUNT(*) FROM food.orders o WHERE amount <> (SELECT SUM(quantity * price) \
                     FROM food.order_items i WHERE i.order_id = o.order_id)";
        assert_eq!(
            connection.query_first(wrong).await.unwrap(),
            Some(0),
            "{flavor}: amounts are sums of items"
        );
        connection.disconnect().await.unwrap();
        assert!(text.starts_with("600 50 "), "{flavor}: {text}");
        seen.push(text);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}
