//! Many clients, few server connections: caps hold, nobody starves, and who waits too long is told so.

use std::time::Duration;

use dazzle::lab::{Account, Server};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{At, Login, Setup, eventually};

/// An account of its own, so that the server's list of connections tells whose they are. The server refuses it one
/// connection more than `max`.
async fn account(server: &Server, name: &str, max: u32) -> String {
    let account = Account { connections_max: max, ..Account::new(server.flavor(), name, "secret") };
    server.create_account(&account).await.unwrap();
    format!("{name}: {{password: secret}}")
}

/// How many connections the server counts for `user`.
fn counting(user: &str) -> String {
    format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '{user}'")
}

both! {
    async fn three_hundred_clients_on_three_connections(server) {
        let user = account(server, "it_cap", 3).await;
        let proxy = Setup::new(server).pool("size_max: 3, queue_timeout: 60s").users(&user).start().await;
        let mut watch = Login::new(At::Tcp(server.address().to_string())).connect().await;
        let mut clients = JoinSet::new();
        for n in 0..300 {
            let login = proxy.login().user("it_cap", "secret");
            clients.spawn(async move {
                let mut conn = login.connect().await;
                for step in 0..5 {
                    if step == 2 {
                        conn.ok("BEGIN").await;
                        conn.ok("SELECT 1").await;
                        conn.ok("COMMIT").await;
                    }
                    assert_eq!(conn.value(&format!("SELECT {n} + {step}")).await, (n + step).to_string());
                }
                conn.quit().await;
            });
        }
        let mut most = 0;
        while !clients.is_empty() {
            most = most.max(watch.value(&counting("it_cap")).await.parse().unwrap());
            while let Some(done) = clients.try_join_next() {
                done.unwrap();
            }
        }
        assert!((1..=3).contains(&most), "the server counted {most}");
        assert_eq!(proxy.metric("dazzle_pool_connect_failures_total", "it_cap"), 0.0, "the server refused one");
    }

    async fn a_cluster_s_cap_holds_for_all_its_accounts_together(server) {
        let users = [account(server, "it_sum_one", 3).await, account(server, "it_sum_two", 3).await];
        let proxy = Setup::new(server)
            .pool("size_max: 3, queue_timeout: 60s")
            .cluster("connections_max: 4")
            .users(&users[0])
            .users(&users[1])
            .start()
            .await;
        let mut watch = Login::new(At::Tcp(server.address().to_string())).connect().await;
        let mut clients = JoinSet::new();
        for n in 0..40 {
            let login = proxy.login().user(["it_sum_one", "it_sum_two"][n % 2], "secret");
            clients.spawn(async move {
                let mut conn = login.connect().await;
                for _ in 0..5 {
                    conn.ok("BEGIN").await;
                    assert_eq!(conn.value(&format!("SELECT {n} + SLEEP(0.01)")).await, n.to_string());
                    conn.ok("COMMIT").await;
                }
                conn.quit().await;
            });
        }
        let mut most = [0, 0];
        while !clients.is_empty() {
            let own: Vec<u32> = watch
                .ok("SELECT USER FROM information_schema.PROCESSLIST WHERE USER LIKE 'it\\_sum\\_%'")
                .await
                .rows()
                .iter()
                .map(|row| u32::from(row[0] == "it_sum_one"))
                .collect();
            let one = own.iter().sum::<u32>();
            most = [most[0].max(own.len() as u32), most[1].max(one)];
            while let Some(done) = clients.try_join_next() {
                done.unwrap();
            }
        }
        assert!((2..=4).contains(&most[0]), "the server counted {most:?}");
    }

    async fn a_hundred_clients_on_one_connection_wait_alike(server) {
        for combine in ["combine_from: 0, ", ""] {
            let setup = Setup::new(server).pool(&format!("{combine}size_max: 1, queue_timeout: 60s"));
            let proxy = setup.start().await;
            let mut clients = JoinSet::new();
            for _ in 0..100 {
                let login = proxy.login();
                clients.spawn(async move {
                    let mut conn = login.connect().await;
                    let mut waits = Vec::new();
                    for _ in 0..12 {
                        let began = Instant::now();
                        conn.ok("SELECT SLEEP(0.002)").await;
                        waits.push(began.elapsed());
                    }
                    conn.quit().await;
                    // While they gather and while they leave, the line is shorter.
                    waits[2..10].to_vec()
                });
            }
            let mut waits: Vec<Duration> = clients.join_all().await.concat();
            waits.sort();
            let (middle, late) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
            eprintln!("{}: {combine}p50 {middle:?}, p99 {late:?}", server.flavor());
            assert!(late <= middle * 3, "{combine}p50 {middle:?}, p99 {late:?}");
        }
    }

    async fn short_lives_of_server_connections_are_not_noticed(server) {
        let setup = Setup::new(server).pool("size_max: 4, lifetime: 1s, idle_timeout: 1s, queue_timeout: 20s");
        let proxy = setup.start().await;
        let until = Instant::now() + Duration::from_secs(5);
        let mut clients = JoinSet::new();
        for n in 0..10 {
            let login = proxy.login();
            clients.spawn(async move {
                let mut conn = login.connect().await;
                let mut rounds = 0;
                while Instant::now() < until {
                    assert_eq!(conn.value(&format!("SELECT {n} + SLEEP(0.02)")).await, n.to_string());
                    rounds += 1;
                }
                rounds
            });
        }
        let rounds: u32 = clients.join_all().await.iter().sum();
        assert!(rounds > 50, "{rounds}");
        assert!(proxy.metric("dazzle_pool_created_total", "") > 4.0, "{}", proxy.http("/metrics").1);
    }

    async fn who_waits_too_long_gets_1203(server) {
        let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 250ms, queue_max: 1").start().await;
        // The proxy's own first look at the server takes the one place in the queue.
        eventually("the server is known", async || proxy.login().try_connect().await.is_ok()).await;
        let mut holder = proxy.connect().await;
        holder.ok("BEGIN").await;
        holder.ok("DO 1").await;
        let (mut one, mut two) = (proxy.connect().await, proxy.connect().await);
        let began = Instant::now();
        one.send_query("SELECT 1").await;
        eventually("one waits", async || proxy.metric("dazzle_pool_waiting", "") == 1.0).await;
        assert_eq!(two.fails("SELECT 1").await, 1203);
        assert!(began.elapsed() < Duration::from_secs(5), "a full queue refuses at once");
        assert_eq!(one.reply().await.error(), Some(1203));
        assert!(began.elapsed() >= Duration::from_millis(250));
        holder.ok("COMMIT").await;
        assert_eq!(one.value("SELECT 7").await, "7");
    }

    async fn what_is_a_user_s_own_waits_for_nobody(server) {
        let own = account(server, "it_alone", 3).await.replace('}', ", dedicated: 1}");
        let noisy = "it_noisy: {password: secret, server_user: it_alone, server_password: secret}";
        let proxy = Setup::new(server)
            .pool("size_max: 2, queue_timeout: 300ms")
            .users(&own)
            .users(noisy)
            .start()
            .await;
        let noisy = proxy.login().user("it_noisy", "secret");
        let mut holders = [noisy.connect().await, noisy.connect().await];
        for holder in &mut holders {
            holder.ok("BEGIN").await;
            holder.ok("DO 1").await;
        }
        // Everything that is shared is in use, and who shares waits in vain.
        let mut third = noisy.connect().await;
        assert_eq!(third.fails("SELECT 1").await, 1203);
        let mut own = proxy.login().user("it_alone", "secret").connect().await;
        third.send_query("SELECT 3").await;
        for n in 0..3 {
            assert_eq!(own.value(&format!("SELECT {n}")).await, n.to_string());
        }
        assert_eq!(third.reply().await.error(), Some(1203));
        let mut watch = Login::new(At::Tcp(server.address().to_string())).connect().await;
        assert_eq!(watch.value(&counting("it_alone")).await, "3");
    }

    async fn a_user_s_share_is_bounded_and_an_allotment_is_its_own(server) {
        let users = [account(server, "it_own", 0).await];
        let greedy = "it_greedy: {password: secret, server_user: it_own, server_password: secret, leases_max: 1}";
        let own = users[0].replace('}', ", dedicated: 1}");
        let proxy = Setup::new(server)
            .pool("size_max: 2, queue_timeout: 300ms")
            .users(&own)
            .users(greedy)
            .start()
            .await;
        let greedy = proxy.login().user("it_greedy", "secret");
        let (mut first, mut second) = (greedy.connect().await, greedy.connect().await);
        first.ok("BEGIN").await;
        first.ok("DO 1").await;
        assert_eq!(second.fails("SELECT 1").await, 1203);
        let mut own = proxy.login().user("it_own", "secret").connect().await;
        assert_eq!(own.value("SELECT 5").await, "5");
        first.ok("COMMIT").await;
        assert_eq!(second.value("SELECT 6").await, "6");
    }

    async fn connections_of_a_user_and_of_all(server) {
        let proxy = Setup::new(server).user("connections_max: 2").top("limits: {connections_max: 3}").start().await;
        let (one, two) = (proxy.connect().await, proxy.connect().await);
        assert_eq!(proxy.login().try_connect().await.err().map(|error| error.code()), Some(1226));
        let wrong = proxy.login().user("nobody", "x");
        assert_eq!(wrong.try_connect().await.err().map(|error| error.code()), Some(1045));
        one.quit().await;
        // Whoever was refused or has left is counted until the proxy has closed its end, too.
        let mut three = None;
        eventually("room for one", async || {
            three = proxy.login().try_connect().await.ok();
            three.is_some()
        })
        .await;
        // A third connection of any kind is let in, one that says nothing; a fourth is not.
        let crate::support::At::Tcp(address) = proxy.at() else { unreachable!("it listens on TCP") };
        let silent = tokio::net::TcpStream::connect(&address).await.unwrap();
        let mut greeting = [0; 1];
        silent.readable().await.unwrap();
        silent.peek(&mut greeting).await.unwrap();
        assert_eq!(proxy.login().try_connect().await.err().map(|error| error.code()), Some(1040));
        drop((two, three, silent));
        eventually("room again", async || proxy.login().try_connect().await.is_ok()).await;
    }

    async fn a_large_insert_does_not_keep_its_connection(server) {
        server.create_schema("it_large_insert").await.unwrap();
        server.execute(&["CREATE TABLE it_large_insert.t (a INT, b LONGTEXT)"]).await.unwrap();
        let setup = Setup::new(server).pool("size_max: 1, queue_timeout: 500ms").top("limits: {packet_bytes_max: 64MiB}");
        let proxy = setup.start().await;
        let (mut writer, mut other) =
            (proxy.login().schema("it_large_insert").connect().await, proxy.connect().await);
        // Beyond what is held, and beyond one packet.
        for bytes in [3 << 20, 18 << 20] {
            let mut text = "INSERT INTO t VALUES (0, 'first')".to_owned();
            while text.len() < bytes {
                text.push_str(&format!(", ({}, 'it''s; SET @x = \\' /* {} */')", text.len(), "r".repeat(5_000)));
            }
            writer.ok(&text).await;
            assert_eq!(other.value("SELECT 'served'").await, "served", "{bytes} bytes");
        }
        // What is more than values keeps it.
        let text = format!("INSERT INTO t VALUES (0, '{}'), (@x := 5, 'y')", "z".repeat(2 << 20));
        writer.ok(&text).await;
        assert_eq!(other.fails("SELECT 'served'").await, 1203);
        assert_eq!(writer.value("SELECT @x").await, "5");
    }
}
