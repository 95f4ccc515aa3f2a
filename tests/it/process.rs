//! The life of the process: start, reload, drain; and how clients reach it.

use dazzle::config::{ServerTls, TlsMode};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::support::{At, Login, Setup, Tls, eventually, free_port, proxy};

/// A port of this machine.
fn local(port: u16) -> At {
    At::Tcp(format!("127.0.0.1:{port}"))
}

/// The timer that the kernel runs for a connection between two local ports, as /proc/net/tcp has it.
fn timer(from: u16, to: u16) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = [format!(":{from:04X}"), format!(":{to:04X}")];
    let line = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut found = line.filter(|fields| fields[1].ends_with(&ends[0]) && fields[2].ends_with(&ends[1]));
    found.next().map(|fields| fields[5].split(':').next().unwrap().to_owned())
}

both! {
    async fn ready_in_a_moment(server) {
        let proxy = Setup::new(server).start().await;
        // The first start made the TLS material; this is what every later one takes.
        proxy.signal(Signal::TERM);
        proxy.ended().await;
        let again = proxy.start_again();
        let began = Instant::now();
        again.ready().await;
        let took = began.elapsed();
        // The bar of 100 ms is that of an optimised build on a free machine.
        assert!(took.as_millis() < 2_000, "{took:?}");
    }

    async fn a_drain_lets_transactions_finish(server) {
        let proxy = Setup::new(server).top("process: {drain_timeout: 20s}").start().await;
        let (mut idle, mut busy) = (proxy.connect().await, proxy.connect().await);
        idle.ok("SELECT 1").await;
        busy.ok("BEGIN").await;
        busy.ok("SELECT 1").await;
        assert_eq!(proxy.http("/healthz").0, 200);
        eventually("readiness", async || proxy.http("/readyz").0 == 200).await;
        proxy.signal(Signal::TERM);
        // The idle client is told, or just closed.
        idle.stream.reset_sequence();
        let goodbye = idle.try_packet().await;
        assert!(goodbye.is_err() || goodbye.is_ok_and(|packet| packet.starts_with(&[0xFF, 0x1D, 0x04])));
        assert_eq!(proxy.http("/readyz").0, 503);
        busy.ok("SELECT 2").await;
        busy.ok("COMMIT").await;
        assert!(proxy.ended().await.success());
    }

    async fn a_new_configuration_takes_effect_and_a_bad_one_does_not(server) {
        let proxy = Setup::new(server).start().await;
        let mut before = proxy.connect().await;
        proxy.reconfigure(|setup| {
            setup.users("it_new: {password: other, server_user: it, server_password: secret}")
        });
        proxy.signal(Signal::HUP);
        let new = proxy.login().user("it_new", "other");
        eventually("the new user", async || new.try_connect().await.is_ok()).await;
        proxy.reconfigure(|mut setup| {
            setup.users = vec!["it_new: {password: changed, server_user: it, server_password: secret}".to_owned()];
            setup
        });
        // Nobody tells it: the file is watched.
        let changed = proxy.login().user("it_new", "changed");
        eventually("the new password", async || changed.try_connect().await.is_ok()).await;
        assert_eq!(new.try_connect().await.err().map(|error| error.code()), Some(1045));
        proxy.write_config("users: [nonsense");
        proxy.signal(Signal::HUP);
        eventually("the refusal", async || proxy.log().contains("configuration refused")).await;
        assert_eq!(before.value("SELECT 'served'").await, "served");
        assert!(changed.try_connect().await.is_ok());
    }

    async fn a_hangup_while_it_starts_is_a_reload(server) {
        let proxy = Setup::new(server).spawn();
        // It makes its keys, and is not ready for long.
        eventually("its beginning", async || proxy.dir().join("dazzle-tls").exists()).await;
        proxy.signal(Signal::HUP);
        proxy.ready().await;
        eventually("the reload", async || proxy.log().contains("configuration reloaded")).await;
        assert_eq!(proxy.connect().await.value("SELECT 1").await, "1");
    }

    async fn listeners_come_change_and_go_while_it_runs(server) {
        let proxy = Setup::new(server).start().await;
        let mut old = proxy.connect().await;
        let refusal = async |login: Login| login.try_connect().await.err().map(|error| error.code());
        proxy.reconfigure(|setup| setup.listener("tls: required"));
        proxy.signal(Signal::HUP);
        eventually("TLS is required", async || refusal(proxy.login()).await == Some(3159)).await;
        assert_eq!(refusal(proxy.login().tls()).await, None);
        let port = free_port();
        let socket = proxy.dir().join("e.sock");
        proxy.reconfigure(|setup| {
            setup
                .listeners(&format!("address: '127.0.0.1:{port}'"))
                .listeners(&format!("address: {}", socket.display()))
        });
        proxy.signal(Signal::HUP);
        let new = Login::new(local(port));
        eventually("a new listener", async || new.try_connect().await.is_ok()).await;
        let (mut through_new, mut through_socket) =
            (new.connect().await, Login::new(At::Unix(socket.clone())).connect().await);
        // An address that somebody has is a mistake of the file.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        proxy.reconfigure(|setup| setup.listeners(&format!("address: '{}'", taken.local_addr().unwrap())));
        proxy.signal(Signal::HUP);
        eventually("the refusal", async || proxy.log().contains("configuration refused")).await;
        assert!(proxy.log().contains("Address already in use"), "{}", proxy.log());
        assert_eq!(refusal(new.clone()).await, None);
        // From one interface to all of them, and back, on the same port.
        for (address, elsewhere) in [("0.0.0.0", true), ("[::]", true), ("127.0.0.1", false)] {
            proxy.reconfigure(|mut setup| {
                setup.listeners.clear();
                setup
                    .listeners(&format!("address: '{address}:{port}'"))
                    .listeners(&format!("address: {}", socket.display()))
            });
            proxy.signal(Signal::HUP);
            let reached = async |host: &str| Login::new(At::Tcp(format!("{host}:{port}"))).try_connect().await.is_ok();
            eventually(address, async || {
                reached("127.0.0.2").await == elsewhere && reached("127.0.0.1").await
            })
            .await;
        }
        proxy.reconfigure(|mut setup| {
            setup.listeners.clear();
            setup
        });
        proxy.signal(Signal::HUP);
        eventually("its end", async || std::net::TcpStream::connect(("127.0.0.1", port)).is_err()).await;
        assert!(!socket.exists());
        for conn in [&mut old, &mut through_new, &mut through_socket] {
            assert_eq!(conn.value("SELECT 'served'").await, "served");
        }
        assert_eq!(refusal(proxy.login().tls()).await, None);
    }

    async fn a_client_whose_machine_vanished_is_noticed(server) {
        let proxy = proxy(server).await;
        let At::Tcp(address) = proxy.at() else { unreachable!("it listens on TCP") };
        let client = tokio::net::TcpStream::connect(&address).await.unwrap();
        let (own, port) = (client.local_addr().unwrap().port(), client.peer_addr().unwrap().port());
        // 02: the keepalive timer.
        eventually("a timer", async || timer(port, own).as_deref() == Some("02")).await;
    }

    async fn a_pool_that_a_reload_brings_is_looked_after_at_once(server) {
        server.create_account(&dazzle::lab::Account::new(server.flavor(), "it_warm", "secret")).await.unwrap();
        let proxy = Setup::new(server).pool("size_min: 2, size_max: 4").start().await;
        proxy.connect().await.quit().await;
        proxy.reconfigure(|setup| setup.users("it_warm: {password: secret}"));
        proxy.signal(Signal::HUP);
        // Nobody logs in: upkeep opens them.
        eventually("its connections", async || {
            let idle = proxy.metric("dazzle_pool_connections", "user=\"it_warm\",state=\"idle\"");
            idle == 2.0
        })
        .await;
    }

    async fn metrics_move(server) {
        let proxy = Setup::new(server).start().await;
        let statements = || proxy.metric("dazzle_statements_total", "") + proxy.metric("dazzle_logins_total", "");
        let before = statements();
        let mut conn = proxy.connect().await;
        conn.ok("SELECT 1").await;
        assert!(statements() > before, "{}", proxy.http("/metrics").1);
        assert_eq!(proxy.http("/nothing").0, 404);
    }

    async fn clients_on_a_unix_socket(server) {
        let proxy = proxy(server).await;
        let mut conn = Login::new(proxy.unix()).connect().await;
        assert_eq!(conn.value("SELECT 1").await, "1");
    }

    async fn proxy_headers_from_trusted_networks_alone(server) {
        let trusted = Setup::new(server).listener("proxy_protocol: [127.0.0.0/8]").start().await;
        let untrusted = Setup::new(server).listener("proxy_protocol: [10.0.0.0/8]").start().await;
        let one = b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 3306\r\n".to_vec();
        let mut two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        two.extend_from_slice(&[192, 0, 2, 7, 192, 0, 2, 8, 0x0F, 0xA0, 0x0C, 0xEA]);
        for preamble in [one, two] {
            let mut conn = Login { preamble: preamble.clone(), ..trusted.login() }.connect().await;
            assert_eq!(conn.value("SELECT 1").await, "1");
            let wrong = Login { preamble: preamble.clone(), ..trusted.login() }.user("it", "wrong");
            let error = format!("{:?}", wrong.try_connect().await.err());
            assert!(error.contains("192.0.2.7"), "{error}");
            // Elsewhere it is taken for what it is: no login.
            assert!(Login { preamble, ..untrusted.login() }.try_connect().await.is_err());
        }
        // An IPv4 balancer before a socket for both.
        let port = free_port();
        let both = Setup::new(server)
            .listeners(&format!("address: '[::]:{port}', proxy_protocol: [127.0.0.0/8]"))
            .start()
            .await;
        let preamble = b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4000 3306\r\n".to_vec();
        let login = Login { preamble, ..Login::new(local(port)) };
        let mut conn = login.connect().await;
        assert_eq!(conn.value("SELECT 1").await, "1");
        let error = format!("{:?}", login.user("it", "wrong").try_connect().await.err());
        assert!(error.contains("'192.0.2.7'"), "{error}");
        drop(both);
        let silent = Login { preamble: b"GET / HTTP/1.1\r\n\r\n".to_vec(), ..trusted.login() };
        assert!(silent.try_connect().await.is_err());
        assert!(untrusted.login().try_connect().await.is_ok());
    }

    async fn certificates_of_clients(server) {
        let files = server.tls();
        let proxy = Setup::new(server)
            .listener("tls: required")
            .top(&format!("tls: {{client_ca: {}, client_certificate_required: true}}", files.ca.display()))
            .start()
            .await;
        assert!(proxy.login().try_connect().await.is_err(), "TLS is required");
        assert!(proxy.login().tls().try_connect().await.is_err(), "so is a certificate");
        let with = ServerTls {
            mode: TlsMode::Required,
            certificate: Some(files.client_certificate.clone()),
            key: Some(files.client_key.clone()),
            ..ServerTls::default()
        };
        let mut conn = Login { tls: Tls::With(with), ..proxy.login() }.connect().await;
        assert_eq!(conn.value("SELECT 1").await, "1");
    }

    async fn certificates_of_servers(server) {
        let ca = server.tls().ca.display().to_string();
        for (tls, works) in [
            ("{mode: disabled}".to_owned(), true),
            ("{mode: required}".to_owned(), true),
            (format!("{{mode: required, verify: ca, ca: {ca}}}"), true),
            (format!("{{mode: required, verify: full, ca: {ca}}}"), true),
            (format!("{{mode: required, verify: ca, ca: {}}}", server.tls().client_certificate.display()), false),
        ] {
            let setup = Setup::new(server).pool("size_max: 2, queue_timeout: 1s").cluster(&format!("tls: {tls}"));
            let proxy = setup.start().await;
            let outcome = proxy.login().try_connect().await;
            assert_eq!(outcome.is_ok(), works, "{tls}: {:?}", outcome.err());
            if let Ok(mut conn) = outcome {
                let cipher = conn.ok("SHOW STATUS LIKE 'Ssl_cipher'").await.rows()[0][1].clone();
                assert_eq!(cipher.is_empty(), tls.contains("disabled"), "{tls}: {cipher}");
            }
        }
    }
}
