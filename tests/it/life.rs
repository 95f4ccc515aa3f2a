//! How the process ends, what it tells who started it, and what it does where files are short.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{At, Conn, Login, Proxy, SOON, Setup, eventually};

/// Where a service manager hears of its service.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dazzle-notify-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self { socket, path }
    }

    /// The next message, line by line.
    fn hears(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message in time");
        String::from_utf8_lossy(&message[..length]).lines().map(str::to_owned).collect()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether nobody listens at the proxy's address any more.
async fn is_closed(proxy: &Proxy) -> bool {
    let At::Tcp(address) = proxy.at() else { unreachable!("it listens on TCP") };
    TcpStream::connect(address).await.is_err()
}

/// Whether `conn` is told that the process ends, or just closed.
async fn is_sent_away(conn: &mut Conn) -> bool {
    conn.stream.reset_sequence();
    let goodbye = conn.try_packet().await;
    goodbye.is_err() || goodbye.is_ok_and(|packet| packet.starts_with(&[0xFF, 0x1D, 0x04]))
}

both! {
    async fn a_drain_takes_nobody_new_and_ends_at_its_deadline(server) {
        server.create_schema("it_drain").await.unwrap();
        server.execute(&["CREATE TABLE it_drain.t (a INT)"]).await.unwrap();
        let proxy = Setup::new(server).top("process: {drain_timeout: 1s}").start().await;
        let mut idle = Login::new(proxy.unix()).connect().await;
        let mut busy = proxy.login().schema("it_drain").connect().await;
        idle.ok("SELECT 1").await;
        busy.ok("BEGIN").await;
        busy.ok("INSERT INTO t VALUES (1)").await;
        let began = Instant::now();
        proxy.signal(Signal::TERM);
        assert!(is_sent_away(&mut idle).await);
        eventually("the closed door", async || is_closed(&proxy).await).await;
        assert!(Login::new(proxy.unix()).try_connect().await.is_err());
        assert_eq!(busy.value("SELECT COUNT(*) FROM t").await, "1");
        let status = proxy.ended().await;
        let took = began.elapsed();
        assert_eq!(status.code(), Some(1), "it had to close a transaction");
        assert!((1_000..3_000).contains(&took.as_millis()), "{took:?}");
        assert!(is_sent_away(&mut busy).await);
        let mut watch = Login::new(At::Tcp(server.address().to_string())).connect().await;
        eventually("the end of the transaction", async || {
            let open = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_query IS NULL";
            watch.ok(open).await;
            watch.value("SELECT COUNT(*) FROM it_drain.t FOR UPDATE").await == "0"
        })
        .await;
    }

    async fn a_second_signal_of_either_kind_ends_it_at_once(server) {
        for second in [Signal::TERM, Signal::INT] {
            let proxy = Setup::new(server).top("process: {drain_timeout: 600s}").start().await;
            let mut busy = proxy.connect().await;
            busy.ok("BEGIN").await;
            busy.ok("SELECT 1").await;
            proxy.signal(Signal::TERM);
            eventually("the drain", async || proxy.log().contains("draining")).await;
            let began = Instant::now();
            proxy.signal(second);
            assert_eq!(proxy.ended().await.code(), Some(1));
            assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        }
    }

    async fn a_service_manager_is_told_of_each_step(server) {
        let manager = Manager::new(&format!("{:?}", server.flavor()));
        let socket = format!("NOTIFY_SOCKET={}", manager.path.display());
        let proxy =
            Setup::new(server).top("process: {drain_timeout: 20s}").under(&["env", &socket]).spawn();
        let has = |message: &[String], line: &str| message.iter().any(|told| told == line);
        let ready = manager.hears();
        assert!(has(&ready, "READY=1") && has(&ready, "STATUS=serving"), "{ready:?}");
        // Ready means that clients are let in, and that signals are heard.
        assert_eq!(proxy.connect().await.value("SELECT 1").await, "1");
        for file in ["right", "wrong"] {
            if file == "wrong" {
                proxy.write_config("users: [nonsense");
            }
            proxy.signal(Signal::HUP);
            let reloading = manager.hears();
            assert!(has(&reloading, "RELOADING=1"), "{file}: {reloading:?}");
            let time = reloading.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
            assert!(time.is_some_and(|time| time.parse::<u64>().is_ok()), "{file}: {reloading:?}");
            let ready = manager.hears();
            assert!(has(&ready, "READY=1"), "{file}: {ready:?}");
        }
        eventually("the refusal", async || proxy.log().contains("configuration refused")).await;
        let mut busy = proxy.connect().await;
        busy.ok("BEGIN").await;
        busy.ok("SELECT 1").await;
        proxy.signal(Signal::TERM);
        let stopping = manager.hears();
        // The drain's time and five seconds.
        assert!(has(&stopping, "STOPPING=1") && has(&stopping, "EXTEND_TIMEOUT_USEC=25000000"), "{stopping:?}");
        busy.ok("COMMIT").await;
        assert!(proxy.ended().await.success());
    }

    async fn the_limit_of_files_is_raised_as_far_as_it_goes(server) {
        let proxy = Setup::new(server).under(&["prlimit", "--nofile=256:4096"]).start().await;
        let limits = fs::read_to_string(format!("/proc/{}/limits", proxy.pid())).unwrap();
        let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        assert_eq!(files.split_whitespace().take(2).collect::<Vec<_>>(), ["4096", "4096"]);
        // As many clients as are allowed have no room.
        assert!(proxy.log().contains("limits.connections_max is more than"), "{}", proxy.log());
    }

    async fn where_files_are_short_clients_wait_and_the_others_are_served(server) {
        let proxy = Setup::new(server).pool("size_max: 2").under(&["prlimit", "--nofile=80:80"]).start().await;
        let At::Tcp(address) = proxy.at() else { unreachable!("it listens on TCP") };
        let mut served = proxy.connect().await;
        served.ok("SELECT 1").await;
        let mut crowd = Vec::new();
        for _ in 0..100 {
            crowd.push(TcpStream::connect(&address).await.unwrap());
        }
        eventually("no file is left", async || proxy.log().contains("a client could not be accepted")).await;
        for n in 0..10 {
            assert_eq!(served.value(&format!("SELECT {n}")).await, n.to_string());
        }
        drop(crowd);
        eventually("room", async || proxy.login().try_connect().await.is_ok()).await;
        assert!(proxy.metric("dazzle_clients_refused_total", "file_limit") > 0.0);
        assert_eq!(served.value("SELECT 'still'").await, "still");
    }

    async fn a_log_for_machines_is_json_in_every_line_and_holds_no_secret(server) {
        const SECRETS: [&str; 4] = ["hunter2-literal", "hunter2-pass", "hunter2-guess", "hunter2-prepared"];
        let setup = Setup::new(server)
            .users("it_json: {password: hunter2-pass, server_user: it, server_password: secret}")
            .top("logging: {format: json, level: debug}");
        let proxy = setup.start().await;
        let login = proxy.login().user("it_json", "hunter2-pass");
        let mut conn = login.connect().await;
        conn.ok("SELECT 'hunter2-literal'").await;
        assert_eq!(conn.fails("SELECT hunter2_no_column, 'hunter2-literal'").await, 1054);
        conn.command(b"\x16SELECT ? + 'hunter2-prepared'").await;
        assert!(proxy.login().user("it_json", "hunter2-guess").try_connect().await.is_err());
        assert!(conn.change_user("it_json", "hunter2-guess", None).await.is_err());
        proxy.reconfigure(|setup| setup.users("it_two: {password: hunter2-pass, passwort: hunter2-pass}"));
        proxy.signal(Signal::HUP);
        eventually("the refusal", async || proxy.log().contains("configuration refused")).await;
        proxy.signal(Signal::TERM);
        proxy.ended().await;
        let log = proxy.log();
        for line in log.lines() {
            let value: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            for key in ["timestamp", "level", "message"] {
                assert!(value[key].is_string(), "{key}: {line}");
            }
        }
        for secret in SECRETS {
            assert!(!log.contains(secret), "{secret}:\n{log}");
        }
        assert!(log.contains(r#""message":"ready""#), "{log}");
    }
}
