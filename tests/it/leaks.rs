//! No session sees another's state, and each sees its own again: two clients, one server connection.

use dazzle::lab::Server;
use dazzle::wire::code;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::timeout;

use crate::support::{Conn, Proxy, SOON, Setup};

/// What a session may set, what it asks to see it, and how it is taken back where it must be so that the
/// connection may go.
struct State {
    set: &'static [&'static str],
    seen: &'static str,
}

const fn state(set: &'static [&'static str], seen: &'static str) -> State {
    State { set, seen }
}

/// State that either travels with the session or keeps its connection.
const STATES: [State; 38] = [
    state(&["USE mysql"], "SELECT DATABASE()"),
    state(
        &["SET NAMES latin1"],
        "SELECT @@character_set_client, @@character_set_results, @@collation_connection",
    ),
    state(&["SET NAMES utf8mb4 COLLATE utf8mb4_bin"], "SELECT @@collation_connection"),
    state(&["SET character_set_results = NULL"], "SELECT @@character_set_results"),
    state(
        &["SET collation_connection = latin1_bin"],
        "SELECT @@collation_connection, @@character_set_connection",
    ),
    state(&["SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'"], "SELECT @@sql_mode"),
    state(&["SET sql_mode = 'NO_BACKSLASH_ESCAPES'"], "SELECT @@sql_mode"),
    state(&["SET time_zone = '+07:30'"], "SELECT @@time_zone"),
    state(&["SET autocommit = 0"], "SELECT @@autocommit"),
    state(&["SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"], "SHOW VARIABLES LIKE 't%isolation'"),
    state(&["SET SESSION TRANSACTION READ ONLY"], "SHOW VARIABLES LIKE 't%read_only'"),
    state(&["SET sql_select_limit = 7"], "SELECT @@sql_select_limit"),
    state(&["SET group_concat_max_len = 77"], "SELECT @@group_concat_max_len"),
    state(&["SET lc_time_names = 'fr_FR'"], "SELECT MONTHNAME('2024-01-01')"),
    state(&["SET div_precision_increment = 9"], "SELECT 1/3"),
    state(&["SET foreign_key_checks = 0, unique_checks = 0"], "SELECT @@foreign_key_checks, @@unique_checks"),
    state(&["SET sql_safe_updates = 1"], "SELECT @@sql_safe_updates"),
    state(
        &["SET lock_wait_timeout = 3, innodb_lock_wait_timeout = 4"],
        "SELECT @@lock_wait_timeout, @@innodb_lock_wait_timeout",
    ),
    state(&["SET wait_timeout = 1234, net_write_timeout = 55"], "SELECT @@wait_timeout, @@net_write_timeout"),
    state(&["SET max_error_count = 3, sql_notes = 0"], "SELECT @@max_error_count, @@sql_notes"),
    state(&["SET default_storage_engine = MyISAM"], "SELECT @@default_storage_engine"),
    state(&["SET completion_type = 'CHAIN'"], "SELECT @@completion_type"),
    state(
        &["SET auto_increment_increment = 5, auto_increment_offset = 3"],
        "SELECT @@auto_increment_increment, @@auto_increment_offset",
    ),
    state(&["SET @@session.optimizer_switch = 'index_merge=off'"], "SELECT @@optimizer_switch"),
    state(&["SET session_track_schema = OFF"], "SELECT @@session_track_schema"),
    state(&["SET session_track_system_variables = ''"], "SELECT @@session_track_system_variables"),
    state(&["SET session_track_state_change = ON"], "SELECT @@session_track_state_change"),
    state(&["SET timestamp = 1000000000"], "SELECT NOW()"),
    state(&["SET insert_id = 4711"], "SELECT @@insert_id"),
    state(&["SET last_insert_id = 99"], "SELECT LAST_INSERT_ID(), @@identity"),
    state(&["SET @leak = 'secret'"], "SELECT @leak"),
    state(&["SELECT 5 INTO @leak"], "SELECT @leak"),
    state(&["SELECT @leak := 6"], "SELECT @leak"),
    state(&["CREATE TEMPORARY TABLE leak (a INT)"], "SELECT COUNT(*) FROM leak"),
    state(&["PREPARE leak FROM 'SELECT 42'"], "EXECUTE leak"),
    state(&["CALL it_leaks.sets()"], "SELECT @leak, @@sql_mode"),
    state(&["CALL it_leaks.sets_and_fails()"], "SELECT @leak, @@time_zone"),
    state(&["CALL it_leaks.tables()"], "SELECT COUNT(*) FROM leak"),
];

/// Everything that B could see of A, in one look.
async fn look(conn: &mut Conn) -> Vec<String> {
    let mut seen = Vec::new();
    for state in &STATES {
        let reply = conn.query(state.seen).await;
        let mut shown = match reply.error() {
            Some(code) => code.to_string(),
            None => format!("{:?}", reply.rows()),
        };
        if state.seen.contains("NOW()") && !shown.contains("2001") {
            shown = "now".to_owned();
        }
        seen.push(shown);
    }
    seen
}

/// A proxy with one server connection, and what the stories call.
async fn narrow(server: &'static Server) -> Proxy {
    let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 20s").start().await;
    // Stories of other tests make the same objects; whoever comes first makes them.
    server
        .execute(&[
            "CREATE DATABASE IF NOT EXISTS it_leaks",
            "CREATE TABLE IF NOT EXISTS it_leaks.t (id INT PRIMARY KEY AUTO_INCREMENT, a INT UNIQUE)",
            "CREATE PROCEDURE IF NOT EXISTS it_leaks.sets() BEGIN SET @leak = 8; SET sql_mode = 'ANSI'; END",
            "CREATE PROCEDURE IF NOT EXISTS it_leaks.sets_and_fails() \
             BEGIN SET @leak = 9; SET SESSION time_zone = '+02:00'; SIGNAL SQLSTATE '45000'; END",
            "CREATE PROCEDURE IF NOT EXISTS it_leaks.tables() CREATE TEMPORARY TABLE leak (a INT)",
            "CREATE PROCEDURE IF NOT EXISTS it_leaks.opens() \
             BEGIN START TRANSACTION; INSERT INTO it_leaks.t (a) VALUES (1); SIGNAL SQLSTATE '45000'; END",
        ])
        .await
        .unwrap();
    proxy
}

async fn client(proxy: &Proxy) -> Conn {
    proxy.login().schema("it_leaks").connect().await
}

both! {
    async fn the_characteristics_of_a_sessions_transactions_go_where_it_goes(server) {
        let proxy = Setup::new(server).pool("size_max: 1").start().await;
        let (mut one, mut other) = (proxy.login().connect().await, proxy.login().connect().await);
        let seen = "SHOW VARIABLES LIKE 't%isolation'";
        let before = one.query(seen).await.packets;
        for sql in ["SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET SESSION TRANSACTION READ ONLY"] {
            one.ok(sql).await;
            assert_eq!(other.query(seen).await.packets, before);
        }
        assert_ne!(one.query(seen).await.packets, before);
        assert_eq!(one.query("CREATE TABLE mysql.it_never (a INT)").await.error(), Some(1792));
        assert_eq!(proxy.metric("dazzle_pins_total", ""), 0.0);
    }

    async fn a_text_that_the_server_cannot_read_leaves_nothing_behind(server) {
        let proxy = Setup::new(server).start().await;
        let mut conn = proxy.login().connect().await;
        // What the mysql shell asks for when it connects.
        for _ in 0..3 {
            conn.query("select $$").await;
            conn.query("SELECT 'a").await;
        }
        assert_eq!(proxy.metric("dazzle_pins_total", "unknown"), 0.0);
        assert_eq!(proxy.metric("dazzle_statements_pinned_total", ""), 0.0);
        // Here something may have been done before it came to that.
        conn.query("SET @a = 1; SELECT 'a").await;
        // Counted after its reply, and before the next command is read.
        conn.command(&[code::PING]).await;
        let counted = [("dazzle_pins_total", "unknown"), ("dazzle_statements_pinned_total", "")];
        let counted = counted.map(|(name, labels)| proxy.metric(name, labels));
        // MySQL reads on before it runs the first statement.
        let ran = conn.value("SELECT @a IS NOT NULL").await == "1";
        assert_eq!(counted, [f64::from(ran), f64::from(ran)]);
    }
}

both! {
    async fn what_one_sets_another_never_sees(server) {
        let proxy = narrow(server).await;
        let mut b = client(&proxy).await;
        let before = look(&mut b).await;
        b.quit().await;
        for state in &STATES {
            let mut a = client(&proxy).await;
            if a.query(state.set[0]).await.error() == Some(1227) {
                // MySQL asks for a privilege that applications do not have.
                continue;
            }
            let own = a.ok(state.seen).await.rows();
            // B waits until A is gone where A keeps the connection, and is served at once where not.
            let mut b = client_beside(&proxy, &mut a, state, &own).await;
            let seen = timeout(SOON, look(&mut b)).await.unwrap_or_else(|_| panic!("{:?}: hangs", state.set));
            for (n, (seen, before)) in seen.iter().zip(&before).enumerate() {
                assert_eq!(seen, before, "{:?} leaks into {:?}", state.set, STATES[n].seen);
            }
            b.quit().await;
        }
    }

    async fn an_open_transaction_ends_with_its_client(server) {
        let proxy = narrow(server).await;
        server.execute(&["CREATE TABLE IF NOT EXISTS it_leaks.tx (a INT PRIMARY KEY)"]).await.unwrap();
        for begin in [
            &["BEGIN", "INSERT INTO tx VALUES (1)"][..],
            &["SET autocommit = 0", "INSERT INTO tx VALUES (1)"],
            &["SET autocommit = 0; INSERT INTO tx VALUES (1); SELECT * FROM nowhere"],
            &["BEGIN; INSERT INTO tx VALUES (1); SELECT * FROM nowhere"],
            &["BEGIN", "INSERT INTO tx VALUES (1)", "SAVEPOINT s", "SELECT * FROM nowhere"],
            &["CALL it_leaks.opens()"],
            &["XA START 'it'", "INSERT INTO tx VALUES (1)"],
            &["LOCK TABLES tx WRITE", "INSERT INTO tx VALUES (1)", "DELETE FROM tx"],
        ] {
            let mut a = client(&proxy).await;
            for sql in begin {
                a.query(sql).await;
            }
            // Abruptly: no COM_QUIT.
            drop(a);
            let mut b = client(&proxy).await;
            let status = b.ok("SELECT COUNT(*) FROM tx").await;
            assert_eq!(status.value(), "0", "{begin:?}");
            assert!(!status.status().has(dazzle::wire::StatusFlags::IN_TRANS), "{begin:?}");
            b.ok("INSERT INTO tx VALUES (1)").await;
            b.ok("DELETE FROM tx").await;
            b.quit().await;
        }
    }

    async fn an_error_inside_a_transaction_nobody_announced(server) {
        let proxy = narrow(server).await;
        server.execute(&["CREATE TABLE IF NOT EXISTS it_leaks.late (a INT PRIMARY KEY)"]).await.unwrap();
        let mut b = client(&proxy).await;
        for begin in [
            "BEGIN; INSERT INTO late VALUES (1); SELECT * FROM nowhere",
            "CALL it_leaks.opens()",
            "SET autocommit = 0; INSERT INTO late VALUES (1); SELECT * FROM nowhere",
        ] {
            let mut a = client(&proxy).await;
            assert!(a.query(begin).await.error().is_some());
            // A waits longer than the proxy keeps a connection for a SHOW WARNINGS. Nothing marks that moment for
            // a client: B asks, and must either wait for A or find nothing.
            b.send_query("SELECT (SELECT COUNT(*) FROM late) + (SELECT COUNT(*) FROM t WHERE a = 1)").await;
            let early = timeout(std::time::Duration::from_millis(300), b.try_reply()).await;
            if let Ok(reply) = &early {
                assert_eq!(reply.as_ref().unwrap().value(), "0", "{begin}");
            }
            a.ok("ROLLBACK").await;
            a.quit().await;
            if early.is_err() {
                assert_eq!(b.reply().await.value(), "0", "{begin}");
            }
        }
    }

    async fn locks_end_with_their_client(server) {
        let proxy = narrow(server).await;
        for (lock, free) in [
            ("SELECT GET_LOCK('it_leak', 1)", "SELECT IS_FREE_LOCK('it_leak')"),
            ("LOCK TABLES it_leaks.t WRITE", "SELECT COUNT(*) * 0 + 1 FROM it_leaks.t"),
            ("FLUSH TABLES it_leaks.t WITH READ LOCK", "SELECT COUNT(*) * 0 + 1 FROM it_leaks.t"),
            ("HANDLER it_leaks.t OPEN", "SELECT COUNT(*) * 0 + 1 FROM it_leaks.t"),
        ] {
            let mut a = client(&proxy).await;
            a.query(lock).await;
            drop(a);
            let mut b = client(&proxy).await;
            assert_eq!(b.value(free).await, "1", "{lock}");
            b.quit().await;
        }
    }

    async fn ids_counts_and_warnings_are_each_one_s_own(server) {
        let proxy = narrow(server).await;
        server.execute(&["CREATE TABLE IF NOT EXISTS it_leaks.ids (id INT PRIMARY KEY AUTO_INCREMENT, a INT)"])
            .await
            .unwrap();
        let (mut a, mut b) = (client(&proxy).await, client(&proxy).await);
        a.ok("INSERT INTO ids (a) VALUES (1), (2), (3)").await;
        let own = a.value("SELECT LAST_INSERT_ID()").await;
        b.ok("INSERT INTO ids (a) VALUES (1)").await;
        assert_eq!(b.value("SELECT ROW_COUNT()").await, "1");
        assert_ne!(b.value("SELECT LAST_INSERT_ID()").await, own);
        assert_eq!(a.value("SELECT LAST_INSERT_ID()").await, own);
        a.ok("SELECT LAST_INSERT_ID(4242)").await;
        b.ok("SELECT 1").await;
        assert_eq!(a.value("SELECT LAST_INSERT_ID()").await, "4242");
        let mut c = client(&proxy).await;
        assert_eq!(c.value("SELECT LAST_INSERT_ID()").await, "0");
        assert_eq!(c.value("SELECT ROW_COUNT()").await, "-1");
        a.ok("SELECT * FROM ids LIMIT 2").await;
        b.ok("SELECT 1").await;
        assert_eq!(a.value("SELECT FOUND_ROWS()").await, "2");
        assert_eq!(b.value("SELECT FOUND_ROWS()").await, "1");
        // MySQL warns of FOUND_ROWS().
        b.ok("SELECT 1").await;
        a.ok("SELECT 1/0, CAST('x' AS SIGNED)").await;
        assert_eq!(b.ok("SHOW WARNINGS").await.rows().len(), 0);
        assert!(!a.ok("SHOW WARNINGS").await.rows().is_empty());
        assert_eq!(a.fails("SELECT * FROM nowhere").await, 1146);
        b.ok("SELECT 1").await;
        assert_eq!(b.ok("SHOW WARNINGS").await.rows().len(), 0);
        assert_eq!(a.ok("SHOW WARNINGS").await.rows()[0][1], "1146");
    }

    async fn the_next_transaction_alone_is_read_only(server) {
        let proxy = narrow(server).await;
        let mut a = client(&proxy).await;
        a.ok("SET TRANSACTION READ ONLY").await;
        drop(a);
        let mut b = client(&proxy).await;
        b.ok("BEGIN").await;
        b.ok("DELETE FROM t WHERE a = -1").await;
        b.ok("COMMIT").await;
        let mut a = client(&proxy).await;
        a.ok("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY").await;
        a.ok("BEGIN").await;
        assert_eq!(a.fails("DELETE FROM t WHERE a = -1").await, 1792);
        a.ok("COMMIT").await;
        b.ok("DELETE FROM t WHERE a = -1").await;
        a.ok("DELETE FROM t WHERE a = -1").await;
    }

    async fn random_sessions_on_one_connection(server) {
        let seed: u64 = rand::random();
        eprintln!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let proxy = Setup::new(server).pool("size_max: 2, queue_timeout: 20s").start().await;
        narrow(server).await;
        type Variable = (&'static str, [&'static str; 3]);
        const VARIABLES: [Variable; 8] = [
            ("sql_mode", ["", "ANSI", "NO_BACKSLASH_ESCAPES"]),
            ("time_zone", ["+00:00", "-05:00", "SYSTEM"]),
            ("autocommit", ["1", "0", "1"]),
            ("sql_select_limit", ["5", "50", "500"]),
            ("collation_connection", ["utf8mb4_bin", "latin1_bin", "utf8mb4_general_ci"]),
            ("lc_time_names", ["en_US", "de_DE", "ja_JP"]),
            ("group_concat_max_len", ["64", "128", "256"]),
            ("div_precision_increment", ["1", "2", "3"]),
        ];
        let mut conns = Vec::new();
        let mut models: Vec<[Option<&str>; 8]> = Vec::new();
        for _ in 0..6 {
            conns.push(client(&proxy).await);
            models.push([None; 8]);
        }
        for step in 0..400 {
            let (who, what) = (rng.random_range(0..6), rng.random_range(0..8));
            let (name, values) = VARIABLES[what];
            if rng.random_bool(0.5) {
                let value = values[rng.random_range(0..3)];
                let quote = if is_number(value) { "" } else { "'" };
                conns[who].ok(&format!("SET {name} = {quote}{value}{quote}")).await;
                models[who][what] = Some(value);
            } else if let Some(expected) = models[who][what] {
                let seen = conns[who].value(&format!("SELECT @@{name}")).await;
                let same = seen == expected || name == "sql_mode" && expected == "ANSI" && seen.contains("ANSI");
                assert!(same, "seed {seed} step {step}: {who} sees {name} {seen}, had set {expected}");
            }
            if rng.random_bool(0.05) {
                conns[who] = client(&proxy).await;
                models[who] = [None; 8];
            }
        }
    }
}

fn is_number(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// A second client while `a` is there. If `a` does not keep the connection, the second one takes it, and `a` sees
/// its own state again afterwards; otherwise `a` leaves.
async fn client_beside(proxy: &Proxy, a: &mut Conn, state: &State, own: &[Vec<String>]) -> Conn {
    // A login without a schema needs no server connection once the server is known.
    let mut b = proxy.login().connect().await;
    b.send_query("SELECT 1").await;
    let wait = std::time::Duration::from_millis(150);
    if let Ok(reply) = timeout(wait, b.try_reply()).await {
        assert_eq!(reply.unwrap().value(), "1");
        let again = a.ok(state.seen).await.rows();
        assert_eq!(again, own, "{:?} is forgotten", state.set);
        a.ok("DO 1").await;
        a.send(&[dazzle::wire::code::QUIT]).await;
        while a.try_packet().await.is_ok() {}
    } else {
        assert_eq!(a.ok(state.seen).await.rows(), own, "{:?} is forgotten", state.set);
        a.send(&[dazzle::wire::code::QUIT]).await;
        while a.try_packet().await.is_ok() {}
        assert_eq!(timeout(SOON, b.reply()).await.expect("B is served when A is gone").value(), "1");
    }
    b.ok("USE it_leaks").await;
    b
}
