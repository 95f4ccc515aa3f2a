//! What rules of the cache say beside a time: old results where the server cannot be asked, and what operators see.

use std::time::Duration;

use dazzle::lab::Server;
use tokio::time::{Instant, timeout};

use crate::hot_reads::is_hit;
use crate::support::{Conn, Parameter, Part, Proxy, Reply, Setup, eventually, own_lab};

const RULES: &str = "cache: {rules: [{name: fares, tables: [fare], ttl: 1h, stale: 1h}]}";
const READ: &str = "SELECT n FROM fare WHERE id = 1";

async fn tables(server: &Server, schema: &str) {
    server.create_schema(schema).await.unwrap();
    server
        .execute(&[
            format!("CREATE TABLE {schema}.fare (id INT PRIMARY KEY, n INT)"),
            format!("INSERT INTO {schema}.fare VALUES (1, 1), (2, 1)"),
        ])
        .await
        .unwrap();
}

async fn kept(server: &Server, schema: &str) -> Proxy {
    tables(server, schema).await;
    let proxy = Setup::new(server).top(RULES).start().await;
    let mut conn = proxy.login().schema(schema).connect().await;
    eventually("the server's tables are known", async || is_hit(&proxy, &mut conn, READ).await).await;
    proxy
}

fn warnings(reply: &Reply) -> u16 {
    match reply.parts.last() {
        Some(Part::Rows { warnings, .. }) => *warnings,
        other => panic!("no rows: {other:?}"),
    }
}

/// The old result with its warning, and again as the execution of a prepared statement.
async fn is_told_as_old(conn: &mut Conn, value: &str) {
    let reply = conn.query(READ).await;
    assert_eq!((reply.value().as_str(), warnings(&reply)), (value, 1));
    let shown = conn.ok("SHOW WARNINGS").await.rows();
    assert_eq!((shown.len(), shown[0][0].as_str(), shown[0][1].as_str()), (1, "Warning", "1105"));
    assert!(shown[0][2].starts_with("DZ0510 this result was read "), "{shown:?}");
}

both! {
    async fn an_old_result_is_given_where_the_server_cannot_be_asked(server) {
        let lab = own_lab(server.flavor()).await;
        let server = lab.primary();
        let proxy = kept(server, "it_fares_down").await;
        let mut conn = proxy.login().schema("it_fares_down").connect().await;
        let mut modern = proxy.login().schema("it_fares_down").connect().await;
        let prepared = modern.prepare("SELECT n FROM fare WHERE id = ?").await.unwrap();
        modern.execute(prepared, &[Parameter::int(1)]).await;
        conn.ok("UPDATE fare SET n = 2 WHERE id = 1").await;
        server.stop().await.unwrap();
        is_told_as_old(&mut conn, "1").await;
        let reply = modern.execute(prepared, &[Parameter::int(1)]).await;
        assert_eq!((reply.error(), warnings(&reply)), (None, 1));
        assert!(conn.query("SELECT n FROM fare WHERE id = 2").await.error().is_some(), "it is not kept");
        assert!(conn.query("UPDATE fare SET n = 3 WHERE id = 1").await.error().is_some(), "it does not only read");
        assert!(proxy.metric("dazzle_cache_reads_total", "outcome=\"old\"") >= 2.0);
        server.start().await.unwrap();
        eventually("the server is asked again", async || {
            let reply = conn.query(READ).await;
            reply.error().is_none() && reply.value() == "2" && warnings(&reply) == 0
        })
        .await;
    }

    async fn an_open_breaker_is_answered_for_with_what_was_kept_until_it_closes(server) {
        let lab = own_lab(server.flavor()).await;
        let server = lab.primary();
        let schema = "it_fares_broken";
        tables(server, schema).await;
        let breaker = "breaker: {enabled: true, slow: 100ms, volume_min: 5, open: 5s, ramp: 100ms}";
        let setup = Setup::new(server).cluster(breaker).cluster("reply_timeout: 60s");
        let proxy = setup.top(&RULES.replace("ttl: 1h", "ttl: 1s")).start().await;
        let mut conn = proxy.login().schema(schema).connect().await;
        let prepared = conn.prepare("SELECT n FROM fare WHERE id = ?").await.unwrap();
        let mut others = Vec::new();
        for _ in 0..30 {
            others.push(proxy.login().schema(schema).connect().await);
        }
        eventually("the server's tables are known", async || is_hit(&proxy, &mut conn, READ).await).await;
        conn.execute(prepared, &[Parameter::int(1)]).await;
        // Behind it nothing is sent: what was read by now is what there is.
        server.freeze().await.unwrap();
        let (mut asking, frozen) = (Vec::new(), Instant::now());
        eventually("the breaker is open", async || {
            // It opens when somebody comes after others have been out for too long.
            if frozen.elapsed() > 30 * Duration::from_millis(asking.len() as u64)
                && let Some(mut other) = others.pop()
            {
                other.send_query(&format!("SELECT n FROM fare WHERE id = {}", 100 + others.len())).await;
                asking.push(other);
            }
            proxy.metric("dazzle_breaker_state", "") == 3.0
        })
        .await;
        let began = Instant::now();
        eventually("its end has come", async || warnings(&conn.query(READ).await) == 1).await;
        is_told_as_old(&mut conn, "1").await;
        eventually("the end of what was executed has come", async || {
            warnings(&conn.execute(prepared, &[Parameter::int(1)]).await) == 1
        })
        .await;
        assert_eq!(conn.fails("SELECT n FROM fare WHERE id = 2").await, 1203, "it is not kept");
        assert_eq!(conn.fails("UPDATE fare SET n = 3 WHERE id = 1").await, 1203, "it does not only read");
        assert!(began.elapsed() < Duration::from_secs(4), "nobody waits for a server that is left alone");
        server.thaw().unwrap();
        server.execute(&[format!("UPDATE {schema}.fare SET n = 7 WHERE id = 1")]).await.unwrap();
        eventually("the server is asked again", async || {
            let reply = conn.query(READ).await;
            reply.error().is_none() && reply.value() == "7" && warnings(&reply) == 0
        })
        .await;
        let reply = conn.execute(prepared, &[Parameter::int(1)]).await;
        assert_eq!((reply.error(), warnings(&reply)), (None, 0));
        assert!(conn.ok("SHOW WARNINGS").await.rows().is_empty());
        for other in &mut asking {
            // The last of them found it open.
            assert!(matches!(other.reply().await.error(), None | Some(1203)));
        }
    }

    async fn operators_switch_a_table_over_to_what_is_kept(server) {
        let proxy = kept(server, "it_fares_stale").await;
        let mut conn = proxy.login().schema("it_fares_stale").connect().await;
        let prepared = conn.prepare("SELECT n FROM fare WHERE id = ?").await.unwrap();
        conn.execute(prepared, &[Parameter::int(1)]).await;
        conn.ok(READ).await;
        conn.ok("UPDATE fare SET n = 2 WHERE id = 1").await;
        proxy.run(&["degrade", "set", "fares", "stale", "--table", "fare", "--ttl", "1h"]).expect("it works");
        is_told_as_old(&mut conn, "1").await;
        let reply = conn.execute(prepared, &[Parameter::int(1)]).await;
        assert_eq!((reply.error(), warnings(&reply)), (None, 1));
        assert_eq!(conn.fails("SELECT n FROM fare WHERE id = 2").await, 1203, "nothing of it is kept");
        assert_eq!(conn.fails("UPDATE fare SET n = 3").await, 1203);
        assert!(proxy.http("/protection").1.contains("\"stale\":true"));
        proxy.run(&["degrade", "set", "fares", "on"]).expect("it works");
        assert_eq!(conn.value(READ).await, "2");
        assert!(is_hit(&proxy, &mut conn, READ).await);
        proxy.run(&["degrade", "set", "fares", "stale", "--table", "fare", "--ttl", "1h"]).expect("it works");
        let reply = conn.query(READ).await;
        assert_eq!((reply.value().as_str(), warnings(&reply)), ("2", 0), "what holds comes without a warning");
    }

    async fn an_empty_result_is_kept_until_its_row_comes(server) {
        let proxy = kept(server, "it_fares_none").await;
        let mut conn = proxy.login().schema("it_fares_none").connect().await;
        let read = "SELECT n FROM fare WHERE id = 7";
        assert!(conn.ok(read).await.rows().is_empty());
        assert!(is_hit(&proxy, &mut conn, read).await);
        conn.ok("INSERT INTO fare (id, n) VALUES (7, 9)").await;
        assert_eq!(conn.value(read).await, "9");
        assert_eq!(conn.fails("SELECT n FROM fares WHERE id = 7").await, 1146);
        conn.ok("CREATE TABLE fares LIKE fare").await;
        conn.ok("SELECT n FROM fares WHERE id = 7").await;
    }

    async fn what_comes_often_is_shown_to_its_user(server) {
        let proxy = kept(server, "it_fares_hot").await;
        let mut conn = proxy.login().schema("it_fares_hot").connect().await;
        let found = async {
            loop {
                for _ in 0..100 {
                    conn.ok(READ).await;
                }
                let shown = conn.ok("SHOW HOTKEYS").await.rows();
                if !shown.is_empty() {
                    return shown;
                }
            }
        };
        let shown = timeout(Duration::from_secs(60), found).await.expect("it comes often");
        let [key, digest, rate, share, rule, statement] = &shown[0][..] else { panic!("{shown:?}") };
        assert_eq!((key.len(), digest.len(), rule.as_str()), (16, 16, "fares"));
        assert!(rate.parse::<f64>().unwrap() > 1.0 && share.parse::<f64>().unwrap() > 50.0, "{shown:?}");
        assert!(statement.contains("`id` = ?") || statement.contains("id = ?"), "{statement}");
        assert!(proxy.http("/cache").1.contains(key.as_str()));
        let shown = conn.ok("show cache;").await.rows();
        assert_eq!((shown.len(), shown[0][0].as_str()), (1, "fares"));
        assert!(shown[0][1].parse::<u64>().unwrap() > 100, "{shown:?}");
        assert!(conn.ok("SHOW WARNINGS").await.rows().is_empty());
    }
}
