//! Writes that do not pass the proxy: its server's binary log tells of them, and where it does not, nothing is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dazzle::lab::{Flavor, Lab, LabOptions, Server};
use mysql_async::prelude::Queryable;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::{Conn, Proxy, Setup, USER, asked_for, eventually, own_lab};

const RULES: &str = "cache: {rules: [{name: menu, tables: [menu, item], ttl: 1h}]}";
const READ: &str = "SELECT name FROM menu WHERE id = 1";

/// The account that reads the log; it also lets nobody else's knowledge of foreign keys be needed.
const FOLLOWER: &str = "reader";

fn follow(mode: &str) -> String {
    format!("binlog: {{follow: {mode}, user: {FOLLOWER}, password: reads}}")
}

async fn tables(server: &Server, schema: &str) {
    server.create_schema(schema).await.unwrap();
    let sql = [
        format!("CREATE TABLE {schema}.menu (id INT PRIMARY KEY, name VARCHAR(20)) ENGINE=InnoDB"),
        format!("INSERT INTO {schema}.menu VALUES (1, '0'), (2, '0')"),
        format!("CREATE TABLE {schema}.parent (id INT PRIMARY KEY) ENGINE=InnoDB"),
        format!("INSERT INTO {schema}.parent VALUES (1), (2)"),
        format!(
            "CREATE TABLE {schema}.item (id INT PRIMARY KEY, parent INT, \
             FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE) ENGINE=InnoDB"
        ),
        format!("INSERT INTO {schema}.item VALUES (1, 1), (2, 2)"),
    ];
    // The key names its parent without a schema.
    let mut conn = server.connect().await.unwrap();
    conn.query_drop(format!("USE {schema}")).await.unwrap();
    for sql in sql {
        conn.query_drop(sql).await.unwrap();
    }
}

async fn follower(server: &Server) {
    let granted = format!("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {FOLLOWER}@'%'");
    let create = format!("CREATE USER IF NOT EXISTS {FOLLOWER}@'%' IDENTIFIED BY 'reads'");
    server.execute(&[create, granted]).await.unwrap();
}

async fn followed(server: &Server, schema: &str) -> Proxy {
    tables(server, schema).await;
    follower(server).await;
    let proxy = Setup::new(server).cluster(&follow("required")).top(RULES).start().await;
    is_followed(&proxy).await;
    let mut conn = proxy.login().schema(schema).connect().await;
    warm(&proxy, &mut conn, READ).await;
    proxy
}

async fn is_followed(proxy: &Proxy) {
    eventually("the log is followed", async || proxy.metric("dazzle_binlog_followed", "main") == 1.0).await;
}

fn hits(proxy: &Proxy) -> f64 {
    proxy.metric("dazzle_cache_reads_total", "outcome=\"hit\"")
}

/// Reads until the answer comes from memory.
async fn warm(proxy: &Proxy, conn: &mut Conn, read: &str) {
    eventually("a kept result", async || {
        let before = hits(proxy);
        conn.ok(read).await;
        hits(proxy) > before
    })
    .await;
}

/// How long after a direct write's end a reader through the proxy sees it.
async fn delay(direct: &mut mysql_async::Conn, conn: &mut Conn, schema: &str, value: u64) -> Duration {
    let write = format!("UPDATE {schema}.menu SET name = '{value}' WHERE id = 1");
    direct.query_drop(write).await.unwrap();
    let told = Instant::now();
    let value = value.to_string();
    while conn.value(READ).await != value {
        assert!(told.elapsed() < Duration::from_secs(20), "the write is never seen");
    }
    told.elapsed()
}

/// A write elsewhere, and what a reader who has just been answered from memory then reads.
async fn seen(server: &Server, proxy: &Proxy, conn: &mut Conn, write: &[&str], read: &str) -> String {
    warm(proxy, conn, read).await;
    let before = conn.value(read).await;
    server.execute(write).await.unwrap();
    let told = Instant::now();
    loop {
        let now = conn.value(read).await;
        if now != before || told.elapsed() > Duration::from_secs(1) {
            return now;
        }
    }
}

both! {
    async fn a_write_elsewhere_is_seen_within_a_second(server) {
        let schema = "it_binlog_delay";
        let proxy = followed(server, schema).await;
        let mut conn = proxy.login().schema(schema).connect().await;
        let mut direct = server.connect().await.unwrap();
        let mut delays = Vec::new();
        for value in 1..=asked_for("DAZZLE_IT_ROUNDS", 100) {
            warm(&proxy, &mut conn, READ).await;
            delays.push(delay(&mut direct, &mut conn, schema, value).await);
        }
        delays.sort_unstable();
        let at = |part: usize| delays[(delays.len() - 1) * part / 100];
        let flavor = server.flavor();
        eprintln!(
            "{flavor}: {} direct writes seen after p50 {:?}, p99 {:?}, max {:?}",
            delays.len(), at(50), at(99), at(100)
        );
        assert!(at(99) <= Duration::from_millis(200), "p99 {:?}", at(99));
        assert!(at(100) <= Duration::from_secs(1), "max {:?}", at(100));
        assert!(proxy.metric("dazzle_binlog_changes_total", "reach=") > 0.0);
    }

    async fn readers_and_writers_elsewhere_end_up_with_the_same(server) {
        let schema = "it_binlog_race";
        let proxy = Arc::new(followed(server, schema).await);
        // What a read finds between a change's place in the log and its visibility must not be kept: after each burst
        // of writes every reader sees the last one, however its reads fell between them.
        let (last, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut readers = JoinSet::new();
        for _ in 0..4 {
            let (proxy, over) = (Arc::clone(&proxy), Arc::clone(&over));
            readers.spawn(async move {
                let mut conn = proxy.login().schema("it_binlog_race").connect().await;
                while !over.load(Ordering::SeqCst) {
                    conn.value(READ).await;
                }
            });
        }
        let mut direct = server.connect().await.unwrap();
        let mut conn = proxy.login().schema(schema).connect().await;
        for burst in 0..asked_for("DAZZLE_IT_ROUNDS", 100).min(200) / 4 {
            for _ in 0..10 {
                let value = last.fetch_add(1, Ordering::SeqCst) + 1;
                let write = format!("UPDATE {schema}.menu SET name = '{value}' WHERE id = 1");
                direct.query_drop(write).await.unwrap();
            }
            let expected = last.load(Ordering::SeqCst).to_string();
            eventually("the last write is seen", async || conn.value(READ).await == expected).await;
            for _ in 0..20 {
                assert_eq!(conn.value(READ).await, expected, "burst {burst}");
            }
        }
        over.store(true, Ordering::SeqCst);
        while let Some(reader) = readers.join_next().await {
            reader.unwrap();
        }
        assert!(hits(&proxy) > 0.0);
    }

    async fn whatever_changes_a_table_elsewhere_is_seen(server) {
        let schema = "it_binlog_kinds";
        let proxy = followed(server, schema).await;
        let mut conn = proxy.login().schema(schema).connect().await;
        let in_schema = |sql: &str| sql.replace("SCHEMA", schema);
        for (write, read, expected) in [
            ("INSERT INTO SCHEMA.menu VALUES (3, 'x')", "SELECT COUNT(*) FROM menu", "3"),
            ("DELETE FROM SCHEMA.menu WHERE id = 3", "SELECT COUNT(*) FROM menu", "2"),
            ("DELETE FROM SCHEMA.parent WHERE id = 1", "SELECT COUNT(*) FROM item", "1"),
            ("TRUNCATE TABLE SCHEMA.item", "SELECT COUNT(*) FROM item", "0"),
        ] {
            assert_eq!(seen(server, &proxy, &mut conn, &[&in_schema(write)], read).await, expected, "{write}");
        }
        // The log goes on in another file.
        let write = in_schema("UPDATE SCHEMA.menu SET name = 'rotated' WHERE id = 1");
        assert_eq!(seen(server, &proxy, &mut conn, &["FLUSH BINARY LOGS", &write], READ).await, "rotated");
        // Everything in one event, or its rows compressed.
        let pack = match server.flavor() {
            Flavor::MySql => "SET SESSION binlog_transaction_compression = ON",
            Flavor::MariaDb => "SET GLOBAL log_bin_compress = ON",
        };
        let write = in_schema("UPDATE SCHEMA.menu SET name = REPEAT('p', 20) WHERE id = 1");
        assert_eq!(seen(server, &proxy, &mut conn, &[pack, &write], READ).await, "p".repeat(20));
        if server.flavor() == Flavor::MariaDb {
            server.execute(&["SET GLOBAL log_bin_compress = OFF"]).await.unwrap();
        }
        // A statement instead of rows.
        let write = in_schema("UPDATE SCHEMA.menu SET name = 'statement' WHERE id = 1");
        let statement = &["SET SESSION binlog_format = STATEMENT", &write];
        assert_eq!(seen(server, &proxy, &mut conn, statement, READ).await, "statement");
        // Only the end of a prepared transaction makes it visible.
        let write = in_schema("UPDATE SCHEMA.menu SET name = 'xa' WHERE id = 1");
        let xa = &["XA START 'it'", &write, "XA END 'it'", "XA PREPARE 'it'"];
        warm(&proxy, &mut conn, READ).await;
        server.execute(xa).await.unwrap();
        warm(&proxy, &mut conn, READ).await;
        assert_eq!(seen(server, &proxy, &mut conn, &["XA COMMIT 'it'"], READ).await, "xa");
    }

    async fn own_writes_that_come_back_in_the_log_end_no_more_than_they_named(server) {
        let lab = own_lab(server.flavor()).await;
        let (server, schema) = (lab.primary(), "own");
        let proxy = followed(server, schema).await;
        let more: Vec<String> = (3..=100).map(|id| format!("({id}, '0')")).collect();
        server.execute(&[format!("INSERT INTO {schema}.menu VALUES {}", more.join(","))]).await.unwrap();
        let alone = Setup::new(server).top(RULES).start().await;
        let mut ratios = Vec::new();
        for proxy in [&alone, &proxy] {
            let mut conn = proxy.login().schema(schema).connect().await;
            warm(proxy, &mut conn, READ).await;
            let (before, mut random, mut read) = (hits(proxy), 1_u64, 0);
            for _ in 0..asked_for("DAZZLE_IT_OPERATIONS", 4_000) {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let id = (random >> 33) % 100 + 1;
                match (random >> 50) % 20 {
                    0 => drop(conn.ok(&format!("UPDATE menu SET name = '{}' WHERE id = {id}", random >> 40)).await),
                    _ => {
                        read += 1;
                        conn.ok(&format!("SELECT name FROM menu WHERE id = {id}")).await;
                    }
                }
            }
            ratios.push((hits(proxy) - before) / f64::from(read));
        }
        eprintln!("{}: hits of all reads, one in twenty statements writes: unfollowed {:.3}, followed {:.3}", server.flavor(), ratios[0], ratios[1]);
        assert!(ratios[1] > 0.8 * ratios[0], "{ratios:?}");
        assert!(proxy.metric("dazzle_binlog_changes_total", "reach=\"rows\"") > 0.0);
    }

    async fn rows_in_the_log_end_what_was_read_of_them_wherever_their_key_stands(server) {
        let schema = "it_binlog_rows";
        tables(server, schema).await;
        follower(server).await;
        let create = format!(
            "CREATE TABLE {schema}.wide (a TINYINT, b SMALLINT, c MEDIUMINT, d FLOAT, e DOUBLE, f DECIMAL(20,5), g DATE, h DATETIME(3), \
             j TIMESTAMP NULL, k YEAR, l VARCHAR(300), m CHAR(200) CHARACTER SET utf8mb4, n BIT(13), o ENUM('x','y'), \
             p SET('x','y'), q TINYTEXT, r MEDIUMBLOB, s JSON, t BINARY(5), u VARBINARY(20), v POINT, n2 BIGINT, \
             id BIGINT UNSIGNED PRIMARY KEY) ENGINE=InnoDB"
        );
        let row = |id: u32| {
            format!(
                "(1, NULL, -3, 1.5, 2.5, '12345.678', '2020-02-03', '2020-02-03 04:05:06.789', NULL, 2024, '{}', 'é', b'101', 'y', 'x,y', \
                 't', '{}', '{{\"a\": [1, 2]}}', 'bin', NULL, ST_GeomFromText('POINT(1 2)'), 0, {id})",
                "l".repeat(299), "b".repeat(70)
            )
        };
        server.execute(&[create, format!("INSERT INTO {schema}.wide VALUES {}, {}", row(1), row(2))]).await.unwrap();
        let rules = RULES.replace("item]", "item, wide]");
        let proxy = Setup::new(server).cluster(&follow("required")).top(&rules).start().await;
        is_followed(&proxy).await;
        let mut conn = proxy.login().schema(schema).connect().await;
        let mut direct = server.connect().await.unwrap();
        let reads = ["SELECT n2 FROM wide WHERE id = 1", "SELECT n2 FROM wide WHERE id = 2"];
        let told_apart = || proxy.metric("dazzle_binlog_changes_total", "reach=\"rows\"");
        let mut n = 0;
        for alter in ["", "MODIFY id BIGINT UNSIGNED FIRST", "ADD COLUMN w INT FIRST", "DROP COLUMN a", "MODIFY id BIGINT UNSIGNED AFTER n2"] {
            if !alter.is_empty() {
                direct.query_drop(format!("ALTER TABLE {schema}.wide {alter}")).await.unwrap();
            }
            let before = told_apart();
            // At once, while nobody can be sure yet where the key is; until it is found again.
            eventually("rows are told apart", async || {
                for read in reads {
                    warm(&proxy, &mut conn, read).await;
                }
                n += 1;
                direct.query_drop(format!("UPDATE {schema}.wide SET n2 = {n}, id = id WHERE id = 1")).await.unwrap();
                let told = Instant::now();
                while conn.value(reads[0]).await != n.to_string() {
                    assert!(told.elapsed() < Duration::from_secs(1), "{alter}: {n} is not seen");
                }
                told_apart() > before
            })
            .await;
            for read in reads {
                warm(&proxy, &mut conn, read).await;
            }
            let others = hits(&proxy);
            conn.ok(reads[1]).await;
            assert!(hits(&proxy) > others);
            direct.query_drop(format!("UPDATE {schema}.wide SET n2 = 0 WHERE id = 1")).await.unwrap();
            eventually("it is seen", async || conn.value(reads[0]).await == "0").await;
            let others = hits(&proxy);
            conn.ok(reads[1]).await;
            assert!(hits(&proxy) > others, "{alter}: another row was not written");
        }
        // A key that changes is two keys, and more rows than are told apart are all.
        for (write, expected) in [("SET id = 3 WHERE id = 1", ["", "0"]), ("SET id = 1 WHERE id = 3", ["0", "0"]), ("SET n2 = 77", ["77", "77"])] {
            for read in reads {
                warm(&proxy, &mut conn, read).await;
            }
            direct.query_drop(format!("UPDATE {schema}.wide {write}")).await.unwrap();
            for (read, expected) in reads.into_iter().zip(expected) {
                eventually(write, async || {
                    let rows = conn.ok(read).await.rows();
                    rows.first().map_or("", |row| row[0].as_str()) == expected
                })
                .await;
            }
        }
    }

    async fn a_log_that_is_cut_ends_what_is_kept_and_is_taken_up_again(server) {
        let lab = own_lab(server.flavor()).await;
        let (server, schema) = (lab.primary(), "cut");
        let proxy = followed(server, schema).await;
        let mut conn = proxy.login().schema(schema).connect().await;
        let mut direct = server.connect().await.unwrap();
        let resumed = || proxy.metric("dazzle_binlog_beginnings_total", "how=\"resumed\"");
        warm(&proxy, &mut conn, READ).await;
        let others = hits(&proxy);
        kill_dump(&mut direct).await;
        eventually("it goes on where it was", async || resumed() >= 1.0).await;
        is_followed(&proxy).await;
        conn.ok(READ).await;
        assert!(hits(&proxy) > others, "what was kept before is good again");
        // Now it cannot come back.
        direct.query_drop(format!("ALTER USER {FOLLOWER}@'%' IDENTIFIED BY 'other'")).await.unwrap();
        kill_dump(&mut direct).await;
        eventually("it is lost", async || proxy.http("/cache").1.contains("\"lost\"")).await;
        let before = hits(&proxy);
        for value in 100..150 {
            let write = format!("UPDATE {schema}.menu SET name = '{value}' WHERE id = 1");
            direct.query_drop(write).await.unwrap();
            assert_eq!(conn.value(READ).await, value.to_string());
        }
        assert_eq!(hits(&proxy), before, "nothing is answered from memory");
        assert!(proxy.log().contains("binary log is not followed"), "{}", proxy.log());
        direct.query_drop(format!("ALTER USER {FOLLOWER}@'%' IDENTIFIED BY 'reads'")).await.unwrap();
        is_followed(&proxy).await;
        warm(&proxy, &mut conn, READ).await;
        assert_eq!(conn.value(READ).await, "149");
        // A place that is gone: what is kept is ended, and it begins anew.
        let reset = match server.flavor() {
            Flavor::MySql => "RESET BINARY LOGS AND GTIDS",
            Flavor::MariaDb => "RESET MASTER",
        };
        kill_dump(&mut direct).await;
        direct.query_drop(reset).await.unwrap();
        eventually("it begins anew", async || {
            proxy.metric("dazzle_binlog_beginnings_total", "how=\"anew\"") >= 2.0
        })
        .await;
        is_followed(&proxy).await;
        assert!(delay(&mut direct, &mut conn, schema, 500).await < Duration::from_secs(1));
    }

    async fn a_server_that_stops_sending_its_log_ends_what_is_given(server) {
        let schema = "it_binlog_stall";
        tables(server, schema).await;
        follower(server).await;
        let relay = Relay::before(server).await;
        let setup = Setup { primary: relay.address.clone(), ..Setup::new(server) };
        let setup = setup.cluster(&follow("required")).cluster("tls: {mode: disabled}").top(RULES);
        let proxy = setup.start().await;
        is_followed(&proxy).await;
        let mut conn = proxy.login().schema(schema).connect().await;
        let mut direct = server.connect().await.unwrap();
        warm(&proxy, &mut conn, READ).await;
        relay.stalls.store(true, Ordering::SeqCst);
        let waited = delay(&mut direct, &mut conn, schema, 7).await;
        assert!(waited <= Duration::from_secs(1), "{waited:?}");
        for value in 8..40 {
            direct.query_drop(format!("UPDATE {schema}.menu SET name = '{value}' WHERE id = 1")).await.unwrap();
            assert_eq!(conn.value(READ).await, value.to_string(), "it is known that the log is not read");
        }
        assert_eq!(proxy.metric("dazzle_binlog_followed", "main"), 0.0);
        relay.stalls.store(false, Ordering::SeqCst);
        is_followed(&proxy).await;
        warm(&proxy, &mut conn, READ).await;
        assert_eq!(conn.value(READ).await, "39");
    }

    async fn an_account_that_may_not_read_the_log_is_told_of(server) {
        let schema = "it_binlog_denied";
        tables(server, schema).await;
        let line = |mode: &str| format!("binlog: {{follow: {mode}, user: {USER}, password: secret}}");
        let proxy = Setup::new(server).cluster(&line("required")).top(RULES).start().await;
        let mut conn = proxy.login().schema(schema).connect().await;
        eventually("it is refused", async || proxy.http("/cache").1.contains("\"lost\"")).await;
        let before = hits(&proxy);
        for _ in 0..20 {
            conn.ok(READ).await;
        }
        assert_eq!(hits(&proxy), before, "{}", proxy.http("/cache").1);
        let auto = Setup::new(server).cluster(&line("auto")).top(RULES).start().await;
        let mut conn = auto.login().schema(schema).connect().await;
        eventually("it is done without", async || auto.http("/cache").1.contains("not_followed")).await;
        warm(&auto, &mut conn, READ).await;
        assert!(auto.log().contains("cannot be followed"), "{}", auto.log());
    }

    async fn a_server_without_a_log_of_rows_is_told_of(server) {
        let flavor = server.flavor();
        for (argument, reason) in [("--skip-log-bin", "log_bin"), ("--binlog-format=MIXED", "binlog_format")] {
            let arguments = vec![argument.to_owned()];
            let lab = Lab::start(&LabOptions { arguments, ..LabOptions::new(flavor) }).await.unwrap();
            let server = lab.primary();
            server.create_account(&dazzle::lab::Account::new(flavor, USER, "secret")).await.unwrap();
            tables(server, "bare").await;
            follower(server).await;
            let proxy = Setup::new(server).cluster(&follow("required")).top(RULES).start().await;
            eventually("it is told", async || proxy.http("/cache").1.contains(reason)).await;
            let mut conn = proxy.login().schema("bare").connect().await;
            for value in 0..20 {
                server.execute(&[format!("UPDATE bare.menu SET name = '{value}' WHERE id = 1")]).await.unwrap();
                assert_eq!(conn.value(READ).await, value.to_string(), "{argument}");
            }
        }
    }
}

/// Ends the connection that is sent the log.
async fn kill_dump(direct: &mut mysql_async::Conn) {
    let find = "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
    let mut ids: Vec<u64> = Vec::new();
    eventually("the log is sent", async || {
        ids = direct.query(find).await.unwrap();
        !ids.is_empty()
    })
    .await;
    for id in ids {
        // It may have gone by itself.
        let _ = direct.query_drop(format!("KILL {id}")).await;
    }
}

/// Passes bytes on between the proxy and its server, but for those of a log, if it is told so.
struct Relay {
    address: String,
    stalls: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Relay {
    async fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (server, stalls) = (server.address(), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        let told = Arc::clone(&stalls);
        tasks.spawn(async move {
            let mut pairs = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(server).await else { continue };
                let is_log = Arc::new(AtomicBool::new(false));
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                pairs.spawn(pass_commands(near_read, far_write, Arc::clone(&is_log)));
                pairs.spawn(pass_replies(far_read, near_write, is_log, Arc::clone(&told)));
            }
        });
        Self { address, stalls, _tasks: tasks }
    }
}

/// Notices COM_BINLOG_DUMP and COM_BINLOG_DUMP_GTID.
async fn pass_commands(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_log: Arc<AtomicBool>) {
    let mut bytes = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        if let [_, _, _, 0, 0x12 | 0x1e, ..] = bytes[..n] {
            is_log.store(true, Ordering::SeqCst);
        }
        if to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}

async fn pass_replies(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    is_log: Arc<AtomicBool>,
    stalls: Arc<AtomicBool>,
) {
    let mut bytes = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        while is_log.load(Ordering::SeqCst) && stalls.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(5)).await;
        }
        if to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}
