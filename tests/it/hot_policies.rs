//! What rules of the cache say beside a time: old results where the server cannot be asked, and what operators see.

use std::time::Duration;

use dazzle::lab::Server;
use tokio::time::timeout;

use crate::hot_reads::is_hit;
use crate::support::{Conn, Parameter, Part, Proxy, Reply, Setup, eventually, own_lab};

const RULES: &str = "cache: {rules: [{name: fares, tables: [fare], ttl: 1h, stale: 1h}]}";
const READ: &str = "SELECT n FROM fare WHERE id = 1";

async fn kept(server: &Server, schema: &str) -> Proxy {
    server.create_schema(schema).await.unwrap();
    server
        .execute(&[
            format!("CREATE TABLE {schema}.fare (id INT PRIMARY KEY, n INT)"),
            format!("INSERT INTO {schema}.fare VALUES (1, 1), (2, 1)"),
        ])
        .await
        .unwrap();
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

    async fn operators_switch_a_table_over_to_what_is_kept(server) {
        let proxy = kept(server, "it_fares_stale").await;
        let mut conn = proxy.login().schema("it_fares_stale").connect().await;
        conn.ok(READ).await;
        conn.ok("UPDATE fare SET n = 2 WHERE id = 1").await;
        proxy.run(&["degrade", "set", "fares", "stale", "--table", "fare", "--ttl", "1h"]).expect("it works");
        is_told_as_old(&mut conn, "1").await;
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
