//! Writes that name the rows which they change end what was read of those, and of all rows; and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dazzle::lab::Server;
use tokio::task::JoinSet;

use crate::hot_reads::{is_hit, reads};
use crate::support::{Conn, Parameter, Proxy, Setup, eventually};

const RULES: &str = "cache: {rules: [{name: rows, tables: [dish, tag], ttl: 1h, keys: [tag.dish]}]}";

/// A proxy that knows what the server's tables are. Names that no other story has: a table of which two schemas say
/// different things has no key.
async fn kept(server: &Server, schema: &str) -> Proxy {
    server.create_schema(schema).await.unwrap();
    server
        .execute(&[
            format!(
                "CREATE TABLE {schema}.dish (id INT PRIMARY KEY, name VARCHAR(20), n INT, UNIQUE (name))"
            ),
            format!("INSERT INTO {schema}.dish VALUES (1,'soup',0),(2,'bread',0),(3,'cake',0)"),
            format!("CREATE TABLE {schema}.tag (dish INT, tag VARCHAR(20), PRIMARY KEY (dish, tag))"),
            format!("INSERT INTO {schema}.tag VALUES (1,'hot'),(1,'new'),(2,'old')"),
        ])
        .await
        .unwrap();
    let proxy = Setup::new(server).top(RULES).start().await;
    let mut conn = proxy.login().schema(schema).connect().await;
    eventually("the server's tables are known", async || {
        is_hit(&proxy, &mut conn, "SELECT COUNT(*) FROM dish").await
    })
    .await;
    proxy
}

/// After `write`: whether what was read of row 2 is still given, and that nothing older than it is.
async fn check(proxy: &Proxy, conn: &mut Conn, write: &str, spares_others: bool) {
    let (one, other, all) = (
        "SELECT n, name FROM dish WHERE id = 1",
        "SELECT n, name FROM dish AS d WHERE d.n >= 0 AND 2 = d.id",
        "SELECT COUNT(*), SUM(n), SUM(id), MIN(name) FROM dish",
    );
    for read in [one, other, all] {
        conn.ok(read).await;
        assert!(is_hit(proxy, conn, read).await, "before {write}: {read}");
    }
    conn.query(write).await;
    assert!(!is_hit(proxy, conn, one).await, "{write}");
    assert_eq!(is_hit(proxy, conn, other).await, spares_others, "{write}");
    assert!(!is_hit(proxy, conn, all).await, "{write}");
}

both! {
    async fn a_write_that_names_its_rows_ends_what_was_read_of_them(server) {
        let proxy = kept(server, "it_rows").await;
        let mut conn = proxy.login().schema("it_rows").connect().await;
        for (write, spares_others) in [
            ("UPDATE dish SET n = n + 1 WHERE id = 1", true),
            ("UPDATE it_rows.dish SET n = n + 1 WHERE n >= 0 AND id IN (1, 3)", true),
            ("DELETE FROM dish WHERE id = 1", true),
            ("INSERT INTO dish (id, name, n) VALUES (1, 'soup', 5)", true),
            ("INSERT INTO dish (id, name, n) VALUES (1, 'soup', 6)", true),
            ("INSERT IGNORE INTO dish SET n = 7, id = 1, name = 'tea'", true),
            // Through another unique key it is row 2 that changes.
            ("INSERT INTO dish (id, name, n) VALUES (1, 'bread', 8) ON DUPLICATE KEY UPDATE n = 8", false),
            ("REPLACE INTO dish (id, name, n) VALUES (1, 'soup', 9)", false),
            ("UPDATE dish SET id = id WHERE id = 1", false),
            ("UPDATE dish SET n = 10 WHERE id = '1'", false),
            ("UPDATE dish SET n = 11 WHERE name = 'soup'", false),
            ("UPDATE dish SET n = 12 LIMIT 1", false),
            ("UPDATE dish JOIN tag ON tag.dish = dish.id SET n = 13 WHERE id = 1", false),
        ] {
            check(&proxy, &mut conn, write, spares_others).await;
        }
    }

    async fn a_transaction_ends_the_rows_that_it_named_once_more_with_its_end(server) {
        let proxy = kept(server, "it_rows_open").await;
        let mut writer = proxy.login().schema("it_rows_open").connect().await;
        let mut conn = proxy.login().schema("it_rows_open").connect().await;
        let (one, other) = ("SELECT n FROM dish WHERE id = 1", "SELECT n FROM dish WHERE id = 2");
        conn.ok(other).await;
        writer.ok("BEGIN").await;
        writer.ok("UPDATE dish SET n = 1 WHERE id = 1").await;
        assert_eq!((conn.value(one).await, conn.value(one).await), ("0".to_owned(), "0".to_owned()));
        assert!(is_hit(&proxy, &mut conn, one).await, "it is what everybody else sees until the end");
        writer.ok("COMMIT").await;
        assert_eq!(conn.value(one).await, "1");
        assert!(is_hit(&proxy, &mut conn, other).await, "its row was not written");
        writer.ok("BEGIN").await;
        for id in 0..100 {
            writer.ok(&format!("UPDATE dish SET n = n + 1 WHERE id = {id}")).await;
        }
        writer.ok("COMMIT").await;
        assert_eq!((conn.value(one).await, conn.value(other).await), ("2".to_owned(), "1".to_owned()));
    }

    async fn executions_name_rows_by_what_is_bound_to_them(server) {
        let proxy = kept(server, "it_rows_bound").await;
        let mut conn = proxy.login().schema("it_rows_bound").connect().await;
        let read = conn.prepare("SELECT n FROM dish WHERE id = ?").await.unwrap();
        let write = conn.prepare("UPDATE dish SET n = n + 1 WHERE id = ?").await.unwrap();
        let hit = async |conn: &mut Conn, id: i64| {
            let before = reads(&proxy, "hit");
            conn.execute(read, &[Parameter::int(id)]).await;
            reads(&proxy, "hit") > before
        };
        for id in [1, 2] {
            hit(&mut conn, id).await;
            assert!(hit(&mut conn, id).await);
        }
        conn.execute(write, &[Parameter::int(1)]).await;
        assert!(!hit(&mut conn, 1).await);
        assert!(hit(&mut conn, 2).await, "its row was not written");
        conn.execute(write, &[Parameter::text(b"1")]).await;
        assert!(!hit(&mut conn, 2).await, "a text may be equal to more than one number");
        conn.ok("UPDATE dish SET n = n + 1 WHERE id = 2").await;
        assert!(!hit(&mut conn, 2).await);
    }

    async fn a_rule_names_the_key_of_a_table_with_another(server) {
        let proxy = kept(server, "it_rows_named").await;
        let mut conn = proxy.login().schema("it_rows_named").connect().await;
        let (one, other) = ("SELECT tag FROM tag WHERE dish = 1", "SELECT COUNT(*) FROM tag WHERE dish = 2");
        conn.ok(one).await;
        conn.ok(other).await;
        conn.ok("DELETE FROM tag WHERE dish = 1 AND tag = 'new'").await;
        assert_eq!(conn.value(one).await, "hot");
        assert!(is_hit(&proxy, &mut conn, other).await);
        conn.ok("INSERT INTO tag (dish, tag) VALUES (2, 'more')").await;
        assert_eq!(conn.value(other).await, "2");
    }

    async fn nobody_reads_a_row_older_than_its_writer_knows_however_it_was_written(server) {
        let proxy = Arc::new(kept(server, "it_rows_race").await);
        let told: Arc<[AtomicU64; 3]> = Arc::default();
        let mut tasks = JoinSet::new();
        for writer in 0..3_u64 {
            let (proxy, told) = (Arc::clone(&proxy), Arc::clone(&told));
            tasks.spawn(async move {
                let mut conn = proxy.login().schema("it_rows_race").connect().await;
                let (id, name) = (writer + 1, ["soup", "bread", "cake"][writer as usize]);
                for n in 1..=200_u64 {
                    match n % 5 {
                        0 => drop(conn.ok(&format!("UPDATE dish SET n = {n} WHERE name = '{name}'")).await),
                        1 => {
                            conn.ok("BEGIN").await;
                            conn.ok(&format!("UPDATE dish SET n = {n} WHERE id = {id}")).await;
                            conn.ok("SELECT COUNT(*) FROM dish").await;
                            conn.ok("COMMIT").await;
                        }
                        _ => drop(conn.ok(&format!("UPDATE dish SET n = {n} WHERE id = {id}")).await),
                    }
                    told[writer as usize].store(n, Ordering::SeqCst);
                }
            });
        }
        for reader in 0..6_u64 {
            let (proxy, told) = (Arc::clone(&proxy), Arc::clone(&told));
            tasks.spawn(async move {
                let mut conn = proxy.login().schema("it_rows_race").connect().await;
                for step in 0..1_000_u64 {
                    let row = (reader + step) % 3;
                    let before: [u64; 3] = std::array::from_fn(|row| told[row].load(Ordering::SeqCst));
                    if step % 7 == 0 {
                        let sum = conn.value("SELECT SUM(n) FROM dish").await;
                        assert!(sum.parse::<u64>().unwrap() >= before.iter().sum(), "{sum} after {before:?}");
                    } else {
                        let seen = conn.value(&format!("SELECT n FROM dish WHERE id = {}", row + 1)).await;
                        assert!(seen.parse::<u64>().unwrap() >= before[row as usize], "{seen} after {before:?}");
                    }
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert!(reads(&proxy, "hit") > 0.0, "nothing came from memory");
    }
}
