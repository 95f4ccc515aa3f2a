//! Reads of several sessions on one server connection: nobody can tell them from reads that went alone.

use std::fs;

use dazzle::lab::{Flavor, Server};
use tokio::task::JoinSet;

use crate::support::{Conn, Parameter, Proxy, Setup, eventually};

/// Executions after which every worker knows a digest well; more than it takes.
const WARM_UP: usize = 40;

/// A proxy with one worker, whose two server connections are many clients' too few.
async fn crowded(server: &Server, schema: &str) -> Proxy {
    crowded_under(server, schema, "").await
}

/// The same with these `rules` for statements.
async fn crowded_under(server: &Server, schema: &str, rules: &str) -> Proxy {
    server.create_schema(schema).await.unwrap();
    server
        .execute(&[
            format!("CREATE TABLE {schema}.t (id INT PRIMARY KEY, name VARCHAR(20), a INT, s DOUBLE)"),
            format!("CREATE TABLE {schema}.m (id INT, n INT, KEY (id))"),
            format!(
                "INSERT INTO {schema}.t SELECT n.d + 10 * m.d + 1, CONCAT('name ', n.d + 10 * m.d + 1), 1, 0
                 FROM {DIGITS} n, {DIGITS} m"
            ),
            format!("INSERT INTO {schema}.m SELECT id, id FROM {schema}.t"),
            format!("INSERT INTO {schema}.m VALUES (13, 13)"),
            format!("UPDATE {schema}.t SET a = 0 WHERE id = 13"),
            format!("UPDATE {schema}.t SET s = 2 WHERE id = 14"),
        ])
        .await
        .unwrap();
    let proxy = Setup::new(server)
        .pool("size_max: 2, queue_timeout: 60s, combine_from: 1")
        .top("process: {workers: 1}")
        .top(&format!("protection: {{rules: [{rules}]}}"))
        .start()
        .await;
    // The first login makes the first connection.
    proxy.connect().await.quit().await;
    proxy
}

/// Keys below 100 are in the first slot, those from 100 on in the second.
const LINE: &str = "
api: dazzle/v1
name: it_line
revision: 1
keys: {id: bigint}
placements:
  by_id: {range: id, ranges: {0: {below: 100}, 1: {}}, slots: {main: 0-1}, database: 'it_line_{slot}'}
tables:
  t: {placement: by_id}
tests: [{table: t, slots: all}]
";

/// A table of the digits.
const DIGITS: &str = "(SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 \
                      UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)";

/// Sessions in `schema`.
async fn sessions(proxy: &Proxy, schema: &str, count: usize) -> Vec<Conn> {
    let mut sessions = Vec::new();
    for _ in 0..count {
        sessions.push(proxy.login().schema(schema).connect().await);
    }
    sessions
}

/// Makes the proxy learn that statements like `sql` are quick.
async fn warm_up(conn: &mut Conn, sql: &str) {
    for _ in 0..WARM_UP {
        conn.ok(sql).await;
    }
}

both! {
    async fn every_session_gets_its_own_rows(server) {
        let proxy = crowded(server, "it_company").await;
        let mut conns = sessions(&proxy, "it_company", 40).await;
        warm_up(&mut conns[0], "SELECT name FROM t WHERE id = 1").await;
        let mut clients = JoinSet::new();
        for (n, mut conn) in conns.into_iter().enumerate() {
            clients.spawn(async move {
                let prepared = conn.prepare("SELECT id, name FROM t WHERE id = ?").await.unwrap();
                let typed = conn.prepare("SELECT ?, name FROM t WHERE id = 7").await.unwrap();
                for step in 0..60 {
                    let id = 1 + (n * 7 + step) % 100;
                    let text = conn.value(&format!("SELECT name FROM t WHERE id = {id}")).await;
                    assert_eq!(text, format!("name {id}"));
                    // The types go along with every third execution only.
                    let parameters = [Parameter::int(id as i64)];
                    let reply = conn.execute_with(prepared, 0, &parameters, step % 3 == 0).await;
                    let row = &reply.packets[reply.packets.len() - 2];
                    assert!(row.ends_with(format!("name {id}").as_bytes()), "{id}: {row:?}");
                    // Half of the sessions bind a number to the same statement, half a text; each told so once.
                    let text = Parameter::text(format!("text {id}").as_bytes());
                    let parameter = if n % 2 == 0 { Parameter::int(id as i64) } else { text };
                    let value = parameter.value.clone().unwrap();
                    let reply = conn.execute_with(typed, 0, &[parameter], step == 0).await;
                    let row = &reply.packets[reply.packets.len() - 2];
                    assert_eq!(row[2..], [&value, &b"\x06name 7"[..]].concat(), "session {n}");
                }
                conn.quit().await;
            });
        }
        while let Some(done) = clients.join_next().await {
            done.unwrap();
        }
        assert!(proxy.metric("dazzle_combined_total", "") > 0.0, "nothing was combined");
        assert_eq!(proxy.metric("dazzle_pins_total", ""), 0.0);
    }

    async fn sessions_share_a_connection_at_the_same_slot_and_at_no_other(server) {
        for slot in 0..2 {
            let schema = format!("it_line_{slot}");
            server.create_schema(&schema).await.unwrap();
            let table = "CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20))".to_owned();
            let rows = format!(
                "INSERT INTO t SELECT n.d + 10 * m.d + 100 * {slot}, CONCAT('slot ', {slot}, ' ', n.d + 10 * m.d)
                 FROM {DIGITS} n, {DIGITS} m"
            );
            server.execute(&[format!("USE {schema}"), table, rows]).await.unwrap();
        }
        let rules = server.dir().parent().unwrap().join("line.yaml");
        fs::write(&rules, LINE).unwrap();
        let proxy = Setup::new(server)
            .pool("size_max: 4, queue_timeout: 60s, combine_from: 1")
            .top(&format!("process: {{workers: 1}}\nsharding: {{rules: [{}]}}", rules.display()))
            .start()
            .await;
        let mut conns = sessions(&proxy, "it_line", 40).await;
        warm_up(&mut conns[0], "SELECT name FROM t WHERE id = 1").await;
        let mut clients = JoinSet::new();
        for (n, mut conn) in conns.into_iter().enumerate() {
            clients.spawn(async move {
                let prepared = conn.prepare("SELECT id, name FROM t WHERE id = ?").await.unwrap();
                for step in 0..60 {
                    let id = (n * 37 + step * 61) % 200;
                    let name = format!("slot {} {}", id / 100, id % 100);
                    let reply = conn.query(&format!("SELECT name FROM t WHERE id = {id}")).await;
                    assert_eq!(reply.value(), name);
                    let told = reply.packets.concat();
                    assert!(!told.windows(8).any(|name| name == b"it_line_"), "a slot's name is nobody's business");
                    let reply = conn.execute_with(prepared, 0, &[Parameter::int(id as i64)], step % 3 == 0).await;
                    let row = &reply.packets[reply.packets.len() - 2];
                    assert!(row.ends_with(name.as_bytes()), "{id}: {row:?}");
                }
                conn.quit().await;
            });
        }
        while let Some(done) = clients.join_next().await {
            done.unwrap();
        }
        assert!(proxy.metric("dazzle_combined_total", "") > 0.0, "nothing was combined");
        assert_eq!(proxy.metric("dazzle_pins_total", ""), 0.0);
    }

    async fn warnings_and_errors_are_told_as_if_alone(server) {
        let proxy = crowded(server, "it_warned").await;
        let conns = sessions(&proxy, "it_warned", 20).await;
        let mut watch = proxy.login().schema("it_warned").connect().await;
        let mut conns = Some(conns);
        for round in 0..6 {
            warm_up(&mut watch, "SELECT 5 DIV a FROM t WHERE id = 1").await;
            warm_up(&mut watch, "SELECT (SELECT n FROM m WHERE m.id = t.id) FROM t WHERE id = 1").await;
            let mut clients = JoinSet::new();
            for (n, mut conn) in conns.take().unwrap().into_iter().enumerate() {
                clients.spawn(async move {
                    let id = if n % 5 == round % 5 { 13 } else { n + 20 };
                    let reply = conn.query(&format!("SELECT 5 DIV a FROM t WHERE id = {id}")).await;
                    assert_eq!(reply.value(), if id == 13 { "NULL" } else { "5" });
                    let warnings = conn.query("SHOW WARNINGS").await.rows();
                    let codes: Vec<&str> = warnings.iter().map(|row| row[1].as_str()).collect();
                    assert_eq!(codes, if id == 13 { &["1365"][..] } else { &[] }, "{id}");
                    let sql = format!("SELECT (SELECT n FROM m WHERE m.id = t.id) FROM t WHERE id = {id}");
                    let reply = conn.query(&sql).await;
                    if id == 13 {
                        assert_eq!(reply.error(), Some(1242));
                        assert_eq!(conn.query("SHOW WARNINGS").await.rows()[0][1], "1242");
                    } else {
                        assert_eq!(reply.value(), id.to_string());
                    }
                    conn
                });
            }
            conns = Some(clients.join_all().await);
        }
        assert!(proxy.metric("dazzle_combined_total", "") > 0.0, "nothing was combined");
    }

    async fn a_slow_statement_delays_nobody_behind_it(server) {
        let proxy = crowded(server, "it_slow").await;
        let mut conns = sessions(&proxy, "it_slow", 30).await;
        let sql = |id: usize| format!("SELECT id + SLEEP(s) FROM t WHERE id = {id}");
        warm_up(&mut conns[0], &sql(1)).await;
        let mut clients = JoinSet::new();
        for (n, mut conn) in conns.into_iter().enumerate() {
            clients.spawn(async move {
                let id = if n == 3 { 14 } else { n + 20 };
                let reply = conn.query(&sql(id)).await;
                assert_eq!(reply.value().parse::<f64>().unwrap(), id as f64);
                id
            });
        }
        let mut order = Vec::new();
        while let Some(done) = clients.join_next().await {
            order.push(done.unwrap());
        }
        assert_eq!(order.last(), Some(&14), "{order:?}");
        // What was to be answered behind it is read and dropped.
        let idle = async || proxy.metric("dazzle_pool_connections", "state=\"idle\"") == 2.0;
        eventually("both connections are idle", idle).await;
        assert_eq!(proxy.metric("dazzle_pool_created_total", ""), 2.0, "no connection was replaced");
    }

    async fn limits_hold_for_each_of_those_that_share(server) {
        let limits = "{name: bounded, kinds: [read], rows_max: 1, time_max: 1s}";
        let proxy = crowded_under(server, "it_bounded", limits).await;
        let too_long = if server.flavor() == Flavor::MariaDb { 1969 } else { 3024 };
        let mut conns = sessions(&proxy, "it_bounded", 40).await;
        let by_id = |id: usize| format!("SELECT n FROM m WHERE id = {id}");
        let slowly = |id: usize| format!("SELECT id + SLEEP(s) FROM t WHERE id = {id}");
        warm_up(&mut conns[0], &by_id(1)).await;
        let mut clients = JoinSet::new();
        for (n, mut conn) in conns.into_iter().enumerate() {
            clients.spawn(async move {
                for step in 0..60 {
                    let id = 14 + (n * 7 + step) % 80;
                    assert_eq!(conn.value(&by_id(id)).await, id.to_string());
                }
                (n, conn)
            });
        }
        let mut conns = clients.join_all().await;
        let combined = proxy.metric("dazzle_combined_total", "");
        assert!(combined > 1000.0, "hardly anything was combined: {combined}");
        warm_up(&mut conns[0].1, &slowly(1)).await;
        let mut clients = JoinSet::new();
        for (n, mut conn) in conns {
            clients.spawn(async move {
                for id in 10..18 {
                    let reply = conn.query(&by_id(id)).await;
                    // There are two rows of 13.
                    assert_eq!((reply.rows().len(), reply.error()), (1, (id == 13).then_some(1317)), "{id}");
                }
                let reply = conn.query(&slowly(1 + n)).await;
                assert_eq!(reply.error(), (n + 1 == 14).then_some(too_long), "{n}: {reply:?}");
                // A SLEEP that was ended is no error to MySQL.
                if reply.error().is_none() {
                    assert_eq!(conn.value("SELECT @@warning_count").await, "0", "as if nothing were limited");
                }
            });
        }
        while let Some(done) = clients.join_next().await {
            done.unwrap();
        }
    }

    async fn clients_that_leave_cost_the_others_nothing(server) {
        let proxy = crowded(server, "it_leaving").await;
        let mut watch = proxy.login().schema("it_leaving").connect().await;
        warm_up(&mut watch, "SELECT name FROM t WHERE id = 1").await;
        for round in 0..10 {
            let mut clients = JoinSet::new();
            for (n, mut conn) in sessions(&proxy, "it_leaving", 16).await.into_iter().enumerate() {
                clients.spawn(async move {
                    for step in 0..5 {
                        let id = 1 + (n * 11 + step + round) % 100;
                        let sql = format!("SELECT name FROM t WHERE id = {id}");
                        if n % 4 == 0 && step == 3 {
                            // It is gone before its reply can have come.
                            conn.send_query(&sql).await;
                            return;
                        }
                        assert_eq!(conn.value(&sql).await, format!("name {id}"));
                    }
                });
            }
            while let Some(done) = clients.join_next().await {
                done.unwrap();
            }
        }
        assert_eq!(watch.value("SELECT name FROM t WHERE id = 5").await, "name 5");
    }

    async fn a_session_inside_a_transaction_keeps_to_itself(server) {
        let proxy = crowded(server, "it_apart").await;
        let mut conns = sessions(&proxy, "it_apart", 12).await;
        warm_up(&mut conns[0], "SELECT a FROM t WHERE id = 1").await;
        let mut writer = proxy.login().schema("it_apart").connect().await;
        writer.ok("BEGIN").await;
        writer.ok("UPDATE t SET a = 77 WHERE id = 1").await;
        let mut manual = conns.pop().unwrap();
        let mut clients = JoinSet::new();
        for mut conn in conns {
            clients.spawn(async move {
                for _ in 0..20 {
                    assert_eq!(conn.value("SELECT a FROM t WHERE id = 1").await, "1");
                }
            });
        }
        for _ in 0..20 {
            assert_eq!(writer.value("SELECT a FROM t WHERE id = 1").await, "77");
        }
        clients.join_all().await;
        writer.ok("ROLLBACK").await;
        // Its first read begins a transaction, whose snapshot must be its own.
        manual.ok("SET autocommit = 0").await;
        assert_eq!(manual.value("SELECT a FROM t WHERE id = 1").await, "1");
        writer.ok("UPDATE t SET a = 2 WHERE id = 1").await;
        assert_eq!(manual.value("SELECT a FROM t WHERE id = 1").await, "1");
        assert_eq!(writer.value("SELECT a FROM t WHERE id = 1").await, "2");
    }
}
