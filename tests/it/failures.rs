//! Servers that die, freeze or are not there; clients that leave or do not read.

use std::sync::Arc;
use std::time::Duration;

use dazzle::wire::{Capabilities, code};
use tokio::time::{Instant, timeout};

use crate::support::{At, Login, Parameter, Setup, eventually, execution, own_lab};

both! {
    async fn a_killed_server_costs_idle_clients_nothing_and_repeats_no_write(server) {
        let lab = own_lab(server.flavor()).await;
        let server = lab.primary();
        server.create_schema("it_kill").await.unwrap();
        server.execute(&["CREATE TABLE it_kill.t (a INT)"]).await.unwrap();
        let proxy = Setup::new(server).pool("size_max: 4, queue_timeout: 20s").start().await;
        let mut idle = proxy.login().schema("it_kill").connect().await;
        idle.ok("SELECT 1").await;
        let mut writer = proxy.login().schema("it_kill").connect().await;
        writer.send_query("INSERT INTO t SELECT SLEEP(600)").await;
        let mut watch = server.connect().await.unwrap();
        eventually("the write runs", async || {
            use mysql_async::prelude::Queryable;
            let running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT INTO t%'";
            watch.query_first::<u32, _>(running).await.unwrap() == Some(1)
        })
        .await;
        drop(watch);
        server.kill().await.unwrap();
        // The write's fate is unknown: its client is told so, or its connection closed, and it is never sent again.
        match writer.try_reply().await {
            Ok(reply) => assert_eq!(reply.error(), Some(2013), "{reply:?}"),
            Err(error) => eprintln!("closed: {error}"),
        }
        server.start().await.unwrap();
        assert_eq!(idle.value("SELECT 2").await, "2");
        assert_eq!(idle.value("SELECT COUNT(*) FROM t").await, "0");
    }

    async fn a_killed_idle_connection_never_surfaces(server) {
        let user = "it_victim: {password: secret}";
        server.create_account(&dazzle::lab::Account::new(server.flavor(), "it_victim", "secret")).await.unwrap();
        let proxy = Setup::new(server).pool("size_max: 1").users(user).start().await;
        let mut conn = proxy.login().user("it_victim", "secret").connect().await;
        for round in 0..5 {
            let list = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'it_victim'";
            let id = conn.value(list).await;
            server.execute(&[format!("KILL {id}")]).await.unwrap();
            // At once: the proxy may not have heard of it yet.
            assert_eq!(conn.value(&format!("SELECT {round}")).await, round.to_string());
        }
    }

    async fn a_write_on_a_connection_that_was_just_killed_runs_once(server) {
        server.create_account(&dazzle::lab::Account::new(server.flavor(), "it_writer", "secret")).await.unwrap();
        server.create_schema("it_killed_write").await.unwrap();
        server.execute(&["CREATE TABLE it_killed_write.t (a INT)"]).await.unwrap();
        let setup = Setup::new(server).pool("size_max: 1").users("it_writer: {password: secret}");
        let proxy = setup.start().await;
        let mut conn = proxy.login().user("it_writer", "secret").schema("it_killed_write").connect().await;
        let list = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'it_writer'";
        let (mut ran, mut lost) = (0, 0);
        for round in 0..10 {
            let id = conn.value(list).await;
            server.execute(&[format!("KILL {id}")]).await.unwrap();
            match conn.query(&format!("INSERT INTO t VALUES ({round})")).await.error() {
                None => ran += 1,
                // Closed at the very moment, without a word: nobody can know.
                Some(2013) => lost += 1,
                other => panic!("{other:?}"),
            }
        }
        let rows: u32 = conn.value("SELECT COUNT(*) FROM t").await.parse().unwrap();
        assert!(rows >= ran && rows <= ran + lost, "{rows} rows, {ran} ran, {lost} lost");
        assert_eq!(conn.value("SELECT COUNT(DISTINCT a) FROM t").await, rows.to_string());
        assert!(ran > 0, "{lost} lost");
    }

    async fn connections_that_the_server_gave_up_are_not_noticed(server) {
        let lab = own_lab(server.flavor()).await;
        let server = lab.primary();
        server.create_schema("it_idle").await.unwrap();
        server.execute(&["CREATE TABLE it_idle.t (a INT)", "SET GLOBAL wait_timeout = 1"]).await.unwrap();
        // A server's last words are no reply: they have sequence id 0, and replies begin with 1.
        let mut direct = Login::new(At::Tcp(server.address().to_string())).connect().await;
        direct.stream.reset_sequence();
        match direct.try_packet().await {
            Ok(packet) => assert_eq!((packet[0], u16::from_le_bytes([packet[1], packet[2]])), (0xFF, 4031)),
            // MariaDB closes without a word.
            Err(error) => eprintln!("closed: {error}"),
        }
        let proxy = Setup::new(server).pool("size_max: 2").start().await;
        let mut conn = proxy.login().schema("it_idle").connect().await;
        let mut watch = server.connect().await.unwrap();
        mysql_async::prelude::Queryable::query_drop(&mut watch, "SET wait_timeout = 1000").await.unwrap();
        for round in 0..3 {
            conn.ok(&format!("INSERT INTO t VALUES ({round})")).await;
            eventually("the server closes what is idle", async || {
                use mysql_async::prelude::Queryable;
                let open = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'it'";
                watch.query_first::<u32, _>(open).await.unwrap() == Some(0)
            })
            .await;
        }
        assert_eq!(conn.value("SELECT COUNT(*) FROM t").await, "3");
    }

    async fn a_server_that_comes_later(server) {
        let lab = own_lab(server.flavor()).await;
        let server = lab.primary();
        server.stop().await.unwrap();
        let proxy = Setup::new(server)
            .pool("size_max: 4, queue_timeout: 500ms")
            .cluster("connect_timeout: 500ms")
            .cluster("backoff: {first: 20ms, max: 100ms}")
            .start()
            .await;
        let began = Instant::now();
        let refused = proxy.login().try_connect().await.err().map(|error| error.code());
        assert!(refused.is_some_and(|code| code != 0), "{refused:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        server.start().await.unwrap();
        eventually("logins succeed", async || proxy.login().try_connect().await.is_ok()).await;
        assert_eq!(proxy.connect().await.value("SELECT 3").await, "3");
    }

    async fn a_frozen_server_meets_deadlines(server) {
        let lab = own_lab(server.flavor()).await;
        let server = lab.primary();
        let proxy = Setup::new(server)
            .pool("size_max: 1, queue_timeout: 500ms")
            .cluster("reply_timeout: 1s")
            .cluster("connect_timeout: 500ms")
            .start()
            .await;
        let (mut one, mut two) = (proxy.connect().await, proxy.connect().await);
        one.ok("SELECT 1").await;
        server.freeze().await.unwrap();
        let began = Instant::now();
        one.send_query("SELECT 1").await;
        assert_eq!(two.fails("SELECT 1").await, 1203);
        // The reply is late: its client is told, or its connection closed.
        let ended = timeout(Duration::from_secs(8), one.try_reply()).await.expect("a deadline");
        assert!(ended.is_err() || ended.is_ok_and(|reply| reply.error().is_some()));
        assert!(began.elapsed() < Duration::from_secs(8));
        server.thaw().unwrap();
        eventually("service again", async || two.query("SELECT 4").await.error().is_none()).await;
    }

    async fn a_client_that_dies_in_a_statement_frees_its_connection(server) {
        let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 20s").start().await;
        let mut dying = proxy.connect().await;
        dying.send_query("SELECT SLEEP(600)").await;
        eventually("the statement runs", async || proxy.metric("dazzle_pool_connections", "leased") == 1.0).await;
        drop(dying);
        assert_eq!(proxy.connect().await.value("SELECT 1").await, "1");
    }

    async fn a_client_that_reads_in_drops_is_served(server) {
        let proxy = Setup::new(server).pool("size_max: 1").top("timeouts: {write: 1s}").start().await;
        let mut slow = proxy.connect().await;
        let began = Instant::now();
        slow.send_query("SELECT REPEAT('x', 1000000) FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3) a, \
                         (SELECT 1 UNION SELECT 2 UNION SELECT 3) b, (SELECT 1 UNION SELECT 2) c").await;
        let mut rows = 0;
        loop {
            let packet = slow.packet().await;
            rows += u32::from(packet.len() > 1_000_000);
            if packet[0] == 0xFE && packet.len() < 100 {
                break;
            }
            // Each pause is shorter than the deadline, all together are longer.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(rows, 18);
        assert!(began.elapsed() > Duration::from_secs(3));
        assert_eq!(slow.value("SELECT 1").await, "1");
    }

    async fn a_client_that_does_not_read_is_dropped(server) {
        let proxy =
            Setup::new(server).pool("size_max: 1, queue_timeout: 20s").top("timeouts: {write: 1s}").start().await;
        let before = proxy.rss_kib();
        let mut stuck = proxy.connect().await;
        let sent = Instant::now();
        stuck.send_query("SELECT REPEAT('x', 60000000) UNION ALL SELECT REPEAT('y', 60000000)").await;
        eventually("its end", async || proxy.metric("dazzle_clients", "") == 0.0).await;
        // One second after the last byte that found room; the server takes its time over the first.
        assert!(sent.elapsed() < Duration::from_secs(6), "{:?}", sent.elapsed());
        assert_eq!(proxy.connect().await.value("SELECT 1").await, "1");
        let grown = proxy.rss_kib().saturating_sub(before);
        assert!(grown < 64 << 10, "{grown} KiB more");
    }

    async fn a_large_statement_flows_through_little_memory(server) {
        const BYTES: usize = 200 << 20;
        server.create_schema("it_large").await.unwrap();
        server.execute(&["CREATE TABLE it_large.t (a INT)"]).await.unwrap();
        let proxy = Setup::new(server).top("limits: {packet_bytes_max: 256MiB}").start().await;
        let login = proxy.login().schema("it_large").with(Capabilities::LOCAL_FILES);
        let mut conn = login.connect().await;
        let length = conn.prepare("SELECT LENGTH(?)").await.unwrap();
        assert_eq!(conn.execute(length, &[Parameter::text(b"short")]).await.error(), None);
        conn.ok("SELECT 1").await;
        let before = proxy.peak_kib();
        let stays_small = |what: &str| {
            let grown = proxy.peak_kib() - before;
            assert!(grown < 16 << 10, "{grown} KiB for {what}");
        };
        let text: Arc<[u8]> = vec![b'x'; BYTES].into();
        let statement = format!("SELECT LENGTH('{}')", String::from_utf8_lossy(&text));
        conn.send_query(&statement).await;
        assert_eq!(conn.reply().await.value(), BYTES.to_string());
        stays_small("a text");
        // What is refused is read to its end, and not kept either.
        conn.send(&[&[code::STMT_SEND_LONG_DATA, 99, 0, 0, 0, 0, 0], statement.as_bytes()].concat()).await;
        conn.send(&[&[code::INIT_DB], statement.as_bytes()].concat()).await;
        assert_eq!(conn.reply().await.error(), Some(1835));
        drop(statement);
        stays_small("what is refused");
        conn.send(&execution(length, 0, &[Parameter::text(&text)], true)).await;
        let reply = conn.reply().await;
        assert_eq!(reply.error(), None, "{reply:?}");
        stays_small("a parameter");
        for piece in text.chunks(BYTES / 8) {
            conn.long_data(length, 0, piece).await;
        }
        let reply = conn.execute(length, &[Parameter::long()]).await;
        assert_eq!(reply.error(), None, "{reply:?}");
        stays_small("long data");
        conn.file = Some(text);
        conn.ok("LOAD DATA LOCAL INFILE 'x' INTO TABLE t LINES TERMINATED BY 'x' IGNORE 300000000 LINES").await;
        stays_small("a file");
    }

    async fn texts_of_prepared_statements_are_held_up_to_a_bound(server) {
        const BYTES: usize = 20 << 20;
        let top = "limits: {packet_bytes_max: 64MiB, prepared_bytes_max: 41MiB}";
        let proxy = Setup::new(server).pool("size_max: 1").top(top).start().await;
        let mut conn = proxy.connect().await;
        conn.ok("SELECT 1").await;
        let before = proxy.peak_kib();
        let text = format!("SELECT LENGTH('{}')", "x".repeat(BYTES));
        let longest = format!("SELECT LENGTH('{}')", "x".repeat(64 << 20));
        let first = conn.prepare(&text).await.unwrap();
        assert_eq!(conn.execute(first, &[]).await.error(), None);
        // Once as it comes, and once as it is kept.
        let grown = proxy.peak_kib() - before;
        assert!(grown < (2 * BYTES as u64 + (16 << 20)) >> 10, "{grown} KiB");
        let second = conn.prepare(&format!("{text} + 1")).await.unwrap();
        assert_eq!(conn.prepare(&text).await, Err(1461));
        assert_eq!(conn.execute(second, &[]).await.error(), None);
        assert_eq!(conn.execute(first, &[]).await.error(), None);
        conn.close_statement(first).await;
        let third = conn.prepare(&text).await.unwrap();
        assert_eq!(conn.execute(third, &[]).await.error(), None);
        // A packet larger than any may be ends the connection, as on a server.
        conn.send(&[&[code::STMT_PREPARE], longest.as_bytes()].concat()).await;
        assert_eq!(conn.reply().await.error(), Some(1153));
    }

    async fn a_large_result_flows_through_little_memory(server) {
        let proxy = Setup::new(server).start().await;
        let plain = proxy.login();
        let with_eof = plain.clone().without(Capabilities::DEPRECATE_EOF);
        let compressed = plain.clone().with(Capabilities::COMPRESS);
        // Without DEPRECATE_EOF another EOF stands after the columns.
        for (kind, login, rows, ends) in [
            ("plain", plain.clone(), 25, 1),
            ("with EOF packets", with_eof, 10, 2),
            ("TLS", plain.tls(), 10, 1),
            ("zlib", compressed, 5, 1),
        ] {
            let mut conn = login.connect().await;
            conn.ok("SELECT 1").await;
            let before = proxy.rss_kib();
            let five = "(SELECT 1 AS a UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5)";
            let from = format!("SELECT REPEAT('r', 8000000) FROM {five} x, {five} y LIMIT {rows}");
            conn.send_query(&from).await;
            let (mut bytes, mut most, mut ended) = (0, 0, 0);
            while ended < ends {
                let packet = conn.packet().await;
                most = most.max(proxy.rss_kib());
                bytes += packet.len();
                ended += i32::from(packet[0] == 0xFE && packet.len() < 100);
            }
            assert!(bytes >= rows * 8_000_000, "{kind}: {bytes} bytes");
            assert!(most < before + (64 << 10), "{kind}: from {before} to {most} KiB");
            conn.quit().await;
        }
    }
}
