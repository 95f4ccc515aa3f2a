//! Rules, limits and doors as clients see them.

use std::time::Duration;

use dazzle::lab::{Flavor, Server};
use tokio::time::{Instant, timeout};

use crate::support::{At, Conn, Login, PASSWORD, Part, Reply, Setup, USER, eventually};

/// The error that ended a reply, with its text.
pub(crate) fn refusal(reply: &Reply) -> (u16, String) {
    match reply.parts.last() {
        Some(Part::Err { code, message, .. }) => (*code, message.clone()),
        _ => panic!("it was not refused: {reply:?}"),
    }
}

async fn refused(conn: &mut Conn, sql: &str, code: u16, number: &str) -> String {
    let (found, message) = refusal(&conn.query(sql).await);
    assert_eq!(found, code, "{sql}: {message}");
    assert!(message.starts_with(number) && message.contains("(session "), "{sql}: {message}");
    message
}

/// Statements of this text that run on the server.
pub(crate) async fn running(server: &Server, text: &str) -> u32 {
    use mysql_async::prelude::Queryable;
    let mut watch = server.connect().await.unwrap();
    let count = format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '{text}%'");
    watch.query_first::<u32, _>(count).await.unwrap().unwrap_or_default()
}

async fn five_rows(server: &Server, schema: &str) {
    server.create_schema(schema).await.unwrap();
    let table = format!("CREATE TABLE {schema}.t (a INT PRIMARY KEY, b VARCHAR(100))");
    let rows = format!("INSERT INTO {schema}.t VALUES (1,'x'),(2,'x'),(3,'x'),(4,'x'),(5,REPEAT('y',90))");
    server.execute(&[table, rows]).await.unwrap();
}

both! {
    async fn a_switch_is_turned_from_the_command_line_and_reverts(server) {
        five_rows(server, "it_switch").await;
        let proxy = Setup::new(server)
            .top("protection: {rules: [{name: shop, patterns: ['select ?'], tier: 1}, {name: writes, kinds: [write], rate: 100000}]}")
            .start()
            .await;
        let mut conn = proxy.login().schema("it_switch").connect().await;
        let degrade = |arguments: &[&str]| proxy.run(&[&["degrade"], arguments].concat());
        degrade(&["set", "reports", "off", "--table", "t", "--kind", "select", "--ttl", "1h"]).expect("it works");
        let message = refused(&mut conn, "SELECT * FROM t", 1203, "DZ0502").await;
        assert!(message.contains("\"reports\"") && message.contains("try again after 3"), "{message}");
        conn.ok("INSERT INTO t VALUES (9, 'x')").await;
        assert!(proxy.http("/protection").1.contains("\"reports\""));
        assert_eq!(proxy.metric("dazzle_switch_hits_total", "switch=\"reports\""), 1.0);
        degrade(&["set", "reports", "on"]).expect("it works");
        conn.ok("SELECT * FROM t").await;
        degrade(&["set", "writes", "off"]).expect("a rule's name is enough");
        refused(&mut conn, "DELETE FROM t WHERE a = 9", 1203, "DZ0502").await;
        degrade(&["set", "writes", "on"]).expect("it works");
        degrade(&["set", "low", "off", "--tier", "2", "--ttl", "700ms"]).expect("it works");
        refused(&mut conn, "SELECT * FROM t", 1203, "DZ0502").await;
        conn.ok("SELECT 1").await;
        eventually("it reverts by itself", async || conn.query("SELECT * FROM t").await.error().is_none()).await;
        for wrong in [&["set", "all", "off"][..], &["set", "x", "off", "--tier", "1"], &["set", "none", "on"]] {
            assert!(degrade(wrong).is_err(), "{wrong:?}");
        }
        let page = "POST /switches/evil?ttl=1h&table=t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert_eq!(proxy.raw_http(page).0, 403, "a page in a browser turns nothing");
    }

    async fn what_is_denied_never_reaches_the_server(server) {
        five_rows(server, "it_deny").await;
        let proxy = Setup::new(server)
            .top("protection: {rules: [\
                {name: spare, users: [it], kinds: [whole_table, drop, truncate], deny: true}, \
                {name: look, kinds: [delete], deny: true, dry_run: true}, \
                {name: reports, applications: ['report*'], kinds: [select], deny: true}]}")
            .start()
            .await;
        let mut conn = proxy.login().schema("it_deny").connect().await;
        for sql in ["DELETE FROM t", "UPDATE t SET b = 'WHERE'", "TRUNCATE t", "DROP TABLE t", "SELECT 1; DROP TABLE t"] {
            let message = refused(&mut conn, sql, 1227, "DZ0501").await;
            assert!(message.contains("\"spare\""), "{message}");
        }
        assert_eq!(conn.prepare("DELETE FROM t").await.err(), Some(1227));
        conn.ok("DELETE FROM t WHERE a = 5").await;
        assert_eq!(conn.value("SELECT COUNT(*) FROM t").await, "4");
        refused(&mut conn, "/* app=Reports */ SELECT 1", 1227, "DZ0501").await;
        refused(&mut conn, "SELECT 1 /*application='report-7',route='x'*/", 1227, "DZ0501").await;
        conn.ok("SET NAMES utf8mb4").await;
        assert_eq!(proxy.metric("dazzle_rule_hits_total", "rule=\"look\""), 1.0);
        proxy.reconfigure(|mut setup| { setup.top.clear(); setup });
        eventually("the rules are gone", async || conn.query("SELECT 1 /* app=report */").await.error().is_none()).await;
    }

    async fn a_rate_and_a_concurrency_are_kept(server) {
        let proxy = Setup::new(server)
            .top("protection: {rules: [\
                {name: slowly, patterns: ['select ? + ?'], rate: 2, burst: 2, queue_max: 0}, \
                {name: single, patterns: ['select sleep*'], concurrency: 1, queue_timeout: 200ms}]}")
            .start()
            .await;
        let (mut one, mut two) = (proxy.connect().await, proxy.connect().await);
        one.ok("SELECT 1 + 1").await;
        one.ok("SELECT 1 + 2").await;
        let message = refused(&mut one, "SELECT 2 + 2", 1226, "DZ0503").await;
        assert!(message.contains("try again after 0."), "{message}");
        assert_eq!(one.value("SELECT 1").await, "1");
        one.ok("BEGIN").await;
        one.ok("SELECT 1").await;
        one.ok("SELECT 2 + 3").await;
        one.ok("COMMIT").await;
        one.send_query("SELECT SLEEP(2)").await;
        eventually("it runs", async || running(server, "SELECT SLEEP(2)").await == 1).await;
        let began = Instant::now();
        refused(&mut two, "SELECT SLEEP(1)", 1203, "DZ0504").await;
        assert!(began.elapsed() >= Duration::from_millis(190), "it may wait a little");
        assert_eq!(one.reply().await.error(), None);
        two.ok("SELECT SLEEP(0.01)").await;
    }

    async fn a_statement_that_takes_too_long_is_killed_and_its_transaction_goes_on(server) {
        five_rows(server, "it_time").await;
        let proxy = Setup::new(server)
            .pool("size_max: 2")
            .top("protection: {rules: [{name: quick, time_max: 400ms}]}")
            .start()
            .await;
        let code = if server.flavor() == Flavor::MariaDb { 1969 } else { 3024 };
        let mut conn = proxy.login().schema("it_time").connect().await;
        let began = Instant::now();
        refused(&mut conn, "SELECT COUNT(*), SLEEP(30) FROM t", code, "DZ0507").await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        conn.ok("BEGIN").await;
        conn.ok("UPDATE t SET b = 'changed' WHERE a = 1").await;
        refused(&mut conn, "SELECT SLEEP(30)", code, "DZ0507").await;
        assert_eq!(conn.value("SELECT b FROM t WHERE a = 1").await, "changed");
        conn.ok("COMMIT").await;
        let statement = conn.prepare("SELECT SLEEP(30)").await.unwrap();
        assert_eq!(conn.execute(statement, &[]).await.error(), Some(code));
        assert_eq!(conn.value("SELECT 1").await, "1");
        eventually("nothing runs on", async || running(server, "SELECT SLEEP(30)").await == 0).await;
    }

    async fn the_server_knows_the_limit_too_and_its_variables_stay_the_client_s(server) {
        use mysql_async::prelude::Queryable;
        five_rows(server, "it_told").await;
        let proxy = Setup::new(server).top("protection: {rules: [{name: quick, time_max: 1s}]}").start().await;
        let mut conn = proxy.login().schema("it_told").connect().await;
        let (name, told) = match server.flavor() {
            Flavor::MariaDb => ("max_statement_time", "SET STATEMENT max_statement_time=2.000 FOR SELECT b FROM t"),
            Flavor::MySql => ("max_execution_time", "SELECT /*+ MAX_EXECUTION_TIME(2000) */ b FROM t"),
        };
        let tracking = dazzle::wire::Capabilities::SESSION_TRACK;
        let direct = Login::new(At::Tcp(server.address().to_string())).user(USER, PASSWORD);
        let (mut one, mut two) = (direct.with(tracking).connect().await, proxy.login().with(tracking).connect().await);
        let sql = "SELECT b FROM it_told.t";
        assert_eq!(one.ok(sql).await.packets, two.ok(sql).await.packets, "a client is told of nothing more");
        conn.ok("SELECT b FROM t").await;
        assert_eq!(conn.value(&format!("SELECT @@{name} = @@GLOBAL.{name}")).await, "1");
        assert_eq!(conn.value(&format!("SELECT VARIABLE_VALUE + 0 FROM {} WHERE VARIABLE_NAME = '{name}'", match server.flavor() {
            Flavor::MariaDb => "information_schema.SESSION_VARIABLES",
            Flavor::MySql => "performance_schema.session_variables",
        })).await.parse::<f64>().unwrap(), 0.0);
        let mut lock = server.connect().await.unwrap();
        lock.query_drop("LOCK TABLES it_told.t WRITE").await.unwrap();
        conn.send_query("SELECT b FROM t").await;
        eventually("it runs", async || running(server, told).await == 1).await;
        // Dazzle cannot kill it now.
        proxy.signal(rustix::process::Signal::STOP);
        eventually("the server ends it", async || running(server, told).await == 0).await;
        proxy.signal(rustix::process::Signal::CONT);
        lock.query_drop("UNLOCK TABLES").await.unwrap();
        let code = if server.flavor() == Flavor::MariaDb { 1969 } else { 3024 };
        assert_eq!(conn.reply().await.error(), Some(code));
        assert_eq!(conn.ok("SELECT b FROM t").await.rows().len(), 5);
    }

    async fn a_result_is_cut_off_at_its_limit_and_the_session_goes_on(server) {
        five_rows(server, "it_rows").await;
        let proxy = Setup::new(server)
            .top("protection: {rules: [\
                {name: rows, patterns: ['select a from*'], rows_max: 3}, \
                {name: bytes, patterns: ['select b from*'], result_bytes_max: 50}]}")
            .start()
            .await;
        let mut conn = proxy.login().schema("it_rows").connect().await;
        for _ in 0..2 {
            let reply = conn.query("SELECT a FROM t").await;
            assert_eq!((reply.rows().len(), refusal(&reply).0), (3, 1317), "{reply:?}");
            let reply = conn.query("SELECT b FROM t ORDER BY a").await;
            assert_eq!((reply.rows().len(), refusal(&reply).0), (4, 1317), "{reply:?}");
            assert!(refusal(&reply).1.starts_with("DZ0508"));
            assert_eq!(conn.ok("SELECT a FROM t LIMIT 3").await.rows().len(), 3);
        }
        let statement = conn.prepare("SELECT a FROM t").await.unwrap();
        assert_eq!(conn.execute(statement, &[]).await.error(), Some(1317));
        conn.ok("BEGIN").await;
        conn.ok("INSERT INTO t VALUES (6, 'x')").await;
        assert_eq!(conn.fails("SELECT a FROM t").await, 1317);
        assert_eq!(conn.fails("SELECT a FROM t; SELECT 2").await, 1317);
        assert_eq!(conn.value("SELECT COUNT(*) FROM t").await, "6");
        conn.ok("ROLLBACK").await;
        let many = "SELECT a FROM (WITH RECURSIVE n AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM n WHERE a < 900) SELECT x.a FROM n x, n y) z";
        assert_eq!(conn.fails(many).await, 1317);
        assert_eq!(conn.value("SELECT 1").await, "1");
        let mut old = proxy
            .login()
            .without(dazzle::wire::Capabilities::DEPRECATE_EOF)
            .schema("it_rows")
            .connect()
            .await;
        let reply = old.query("SELECT a FROM t").await;
        assert_eq!((reply.rows().len(), refusal(&reply).0), (3, 1317), "{reply:?}");
        assert_eq!(old.value("SELECT 1").await, "1");
    }

    async fn an_open_transaction_may_not_be_silent_for_ever(server) {
        five_rows(server, "it_idle").await;
        let proxy = Setup::new(server)
            .top("protection: {rules: [{name: idle, applications: [it], idle_transaction_max: 300ms}]}")
            .start()
            .await;
        let mut idle = proxy.connect().await;
        let mut conn = proxy.login().schema("it_idle").connect().await;
        idle.ok("SELECT 1").await;
        conn.ok("BEGIN").await;
        conn.ok("DELETE FROM t WHERE a = 1").await;
        conn.stream.reset_sequence();
        let packet = timeout(Duration::from_secs(10), conn.try_packet()).await.expect("a deadline").unwrap();
        let Part::Err { code, message, .. } = Part::of_err(&packet) else { panic!("an error") };
        assert_eq!(code, 4031, "{message}");
        assert!(message.starts_with("DZ0509"), "{message}");
        assert!(conn.try_packet().await.is_err(), "the connection is closed");
        assert_eq!(idle.value("SELECT COUNT(*) FROM it_idle.t").await, "5", "rolled back; others may be silent");
    }

    async fn a_client_that_leaves_has_its_statement_killed_within_a_second(server) {
        let proxy = Setup::new(server).pool("size_max: 2").start().await;
        let mut leaving = proxy.connect().await;
        leaving.send_query("SELECT 'leaving', SLEEP(600)").await;
        eventually("it runs", async || running(server, "SELECT ''leaving''").await == 1).await;
        drop(leaving);
        let left = Instant::now();
        eventually("it is gone", async || running(server, "SELECT ''leaving''").await == 0).await;
        assert!(left.elapsed() < Duration::from_secs(2), "{:?}", left.elapsed());
    }

    async fn the_most_important_goes_first_and_a_waiting_statement_can_be_killed(server) {
        let proxy = Setup::new(server)
            .pool("size_max: 4")
            .cluster("concurrency: {mode: fixed, max: 1, queue_timeout: 20s, target: 10s}")
            .top("protection: {rules: [{name: first, patterns: ['select sleep*, ?'], tier: 1}, {name: last, patterns: ['select ?, ?, ?'], tier: 4}]}")
            .start()
            .await;
        let (mut holder, mut low, mut high) = (proxy.connect().await, proxy.connect().await, proxy.connect().await);
        let mut victim = proxy.connect().await;
        let id: u32 = victim.value("SELECT CONNECTION_ID()").await.parse().unwrap();
        holder.send_query("SELECT SLEEP(1.5)").await;
        eventually("it runs", async || running(server, "SELECT SLEEP(1.5)").await == 1).await;
        let waiting = async |n: f64| eventually("they wait", async || proxy.metric("dazzle_door_waiting", "") == n).await;
        low.send_query("SELECT 1, 2, 3").await;
        waiting(1.0).await;
        high.send_query("SELECT SLEEP(0.5), 2").await;
        waiting(2.0).await;
        victim.send_query("SELECT 'victim'").await;
        waiting(3.0).await;
        let mut killer = proxy.connect().await;
        killer.ok(&format!("KILL QUERY {id}")).await;
        assert_eq!(victim.reply().await.error(), Some(1317));
        let began = Instant::now();
        let order = async {
            let first = high.reply().await;
            (first.error(), began.elapsed())
        };
        let last = async { (low.reply().await.error(), began.elapsed()) };
        let ((first, first_at), (last, last_at)) = tokio::join!(order, last);
        assert_eq!((first, last), (None, None));
        // Half a second apart if the order were the other one.
        assert!(first_at <= last_at + Duration::from_millis(200), "{first_at:?} {last_at:?}");
        assert_eq!(holder.reply().await.error(), None);
        assert_eq!(victim.value("SELECT 5").await, "5");
    }
}
