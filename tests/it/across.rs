//! Writes that reach two servers: refused, or each server's outcome told.

use dazzle::lab::Server;

use crate::sharded::{SLOTS, Scene, error, scene};
use crate::support::{Conn, eventually};

const BEST_EFFORT: &str = "cross_shard_transactions: best_effort, scatter_write: allow";

/// One row for each server.
const BOTH: &str = "INSERT INTO orders (id, user_id) VALUES (50, 50), (150, 150)";

async fn count(conn: &mut Conn) -> String {
    conn.value("SELECT COUNT(*) FROM orders").await
}

/// A scene whose write is in its second part when the connection of its first one, on the first server, is killed.
/// Returns the error, and what SHOW WARNINGS tells of it.
async fn killed_between(
    server: &'static Server,
    name: &'static str,
    order: &str,
) -> (Scene, String, Vec<String>) {
    let scene = scene(server, name, BEST_EFFORT, "hints: []", order).await;
    let (mut writer, mut first, mut second) =
        (scene.connect().await, scene.direct(0).await, scene.direct(1).await);
    second.ok("BEGIN").await;
    second.ok("INSERT INTO orders (id, user_id) VALUES (150, 150)").await;
    writer.send_query(BOTH).await;
    let waiting =
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT INTO orders (id%'";
    let mut watcher = scene.direct(1).await;
    eventually("its second part", async || watcher.value(waiting).await == "1").await;
    // InnoDB's own list of transactions does not change as long as it is asked again and again.
    let idle = format!(
        "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{name}_0' AND COMMAND = 'Sleep' AND ID <> CONNECTION_ID()"
    );
    // A server sends its answer a moment before it shows that it sleeps.
    let mut waiting = Vec::new();
    eventually("the first part's connection", async || {
        waiting = first.ok(&idle).await.rows();
        !waiting.is_empty()
    })
    .await;
    for row in &waiting {
        first.ok(&format!("KILL {}", row[0])).await;
    }
    eventually("its end", async || first.ok(&idle).await.rows().is_empty()).await;
    second.ok("ROLLBACK").await;
    let (code, message) = error(&writer.reply().await);
    assert_eq!(code, 1180, "{message}");
    let warnings = writer.ok("SHOW WARNINGS").await.rows();
    let warnings = warnings.iter().map(|row| row.join(" ")).collect();
    assert_eq!(writer.value("SELECT @@warning_count").await, "3");
    writer.ok("INSERT INTO orders (id, user_id) VALUES (1, 1)").await;
    (scene, message, warnings)
}

both! {
    async fn a_write_to_two_servers_is_refused_unless_the_rules_allow_it(server) {
        let scene = scene(server, "kept", "scatter_write: allow", "hints: []", SLOTS).await;
        let mut conn = scene.connect().await;
        scene.fill(&mut conn).await;
        let everywhere = "INSERT INTO cities (id, name) VALUES (1, 'a')";
        for sql in [BOTH, everywhere, "UPDATE orders SET note = 'y'", "DELETE FROM orders"] {
            let (code, message) = error(&conn.query(sql).await);
            assert!(code == 1235 && message.starts_with("DZ1519"), "{sql}: {code} {message}");
        }
        conn.ok("BEGIN").await;
        assert_eq!(conn.fails(BOTH).await, 1235);
        conn.ok("COMMIT").await;
        assert_eq!(conn.ok("SELECT id FROM orders WHERE note = 'x' ORDER BY id").await.rows().len(), 4);
        assert_eq!(conn.value("SELECT COUNT(*) FROM cities").await, "0");
        assert_eq!(conn.ok("EXPLAIN ROUTE DELETE FROM orders").await.rows()[0][1].split(' ').next(), Some("refused:"));
        conn.ok("UPDATE orders SET note = 'y' WHERE user_id IN (1, 2)").await;
        conn.ok("INSERT INTO orders (id, user_id) VALUES (3, 3), (4, 4)").await;
    }

    async fn a_part_that_fails_before_the_first_commit_leaves_nothing_anywhere(server) {
        let scene = scene(server, "undone", BEST_EFFORT, "hints: []", SLOTS).await;
        let mut conn = scene.connect().await;
        conn.ok("INSERT INTO orders (id, user_id) VALUES (150, 150)").await;
        assert_eq!(conn.fails(BOTH).await, 1062);
        conn.ok("BEGIN").await;
        let (code, message) = error(&conn.query("INSERT INTO orders (id, user_id) VALUES (51, 51), (151, 151)").await);
        assert!(code == 1235 && message.starts_with("DZ1601"), "{code} {message}");
        conn.ok("ROLLBACK").await;
        assert_eq!(count(&mut conn).await, "1");
        let Scene { second, .. } = scene;
        drop(second);
        conn.fails("INSERT INTO orders (id, user_id) VALUES (51, 51), (151, 151)").await;
        conn.fails("UPDATE orders SET note = 'y'").await;
        assert_eq!(conn.value("SELECT COUNT(*) FROM orders WHERE user_id = 51").await, "0");
        conn.ok("INSERT INTO orders (id, user_id) VALUES (51, 51)").await;
    }

    async fn the_first_commit_that_is_lost_undoes_the_others(server) {
        let (scene, message, warnings) = killed_between(server, "lost", SLOTS).await;
        assert_eq!(
            message,
            "DZ1602: shards ended this write differently: not committed in by_user/1; not known to be committed in \
             by_user/0; look at them"
        );
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert_eq!(warnings[1..], [
            "Warning 1180 by_user/0: not known to be committed",
            "Warning 1180 by_user/1: not committed"
        ]);
        let mut second = scene.direct(1).await;
        assert_eq!(second.value("SELECT COUNT(*) FROM orders").await, "0");
    }

    async fn a_commit_that_is_lost_after_another_one_is_told_slot_by_slot(server) {
        let (scene, message, warnings) = killed_between(server, "torn", "second: 1, main: 0").await;
        assert_eq!(
            message,
            "DZ1602: shards ended this write differently: committed in by_user/1; not known to be committed in \
             by_user/0; look at them"
        );
        assert_eq!(warnings[0], format!("Error 1180 {message}"));
        assert_eq!(warnings[1..], [
            "Warning 1180 by_user/1: committed",
            "Warning 1180 by_user/0: not known to be committed"
        ]);
        let (mut first, mut second) = (scene.direct(0).await, scene.direct(1).await);
        assert_eq!(first.value("SELECT COUNT(*) FROM orders WHERE id = 50").await, "0");
        assert_eq!(second.value("SELECT COUNT(*) FROM orders").await, "1");
    }
}
