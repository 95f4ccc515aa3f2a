//! Definitions that change under prepared statements.

use crate::support::duet;

both! {
    async fn a_statement_prepared_again_after_a_change_is_described_as_it_is_now(server) {
        duet(server, "it_duet_definitions", &[
            "a CREATE TABLE t (a INT)",
            "a INSERT INTO t VALUES (1)",
            "A SELECT * FROM t",
            "B SELECT * FROM t",
            "b ALTER TABLE t ADD COLUMN b VARCHAR(9) DEFAULT 'x'",
            "A SELECT * FROM t",
            "B ALTER TABLE t MODIFY a BIGINT",
            "A SELECT * FROM t",
            "b CREATE PROCEDURE drops() DROP TABLE t",
            "b CALL drops()",
            "A SELECT * FROM t",
            "a CREATE TABLE t (c INT)",
            "B SELECT * FROM t",
            "b DO 1; ALTER TABLE t ADD COLUMN d INT",
            "B SELECT * FROM t",
            "b CREATE VIEW v AS SELECT c FROM t",
            "A SELECT * FROM v",
            "b ALTER VIEW v AS SELECT c, d FROM t",
            "A SELECT * FROM v",
        ]).await;
    }

    async fn a_statement_held_over_a_change_shows_what_is_there_now(server) {
        crate::support::compare(server, "it_held_over", async |conn| {
            conn.ok("CREATE TABLE t (a INT)").await;
            conn.ok("INSERT INTO t VALUES (1)").await;
            let id = conn.prepare("SELECT * FROM t").await.unwrap();
            conn.execute(id, &[]).await;
            conn.ok("ALTER TABLE t ADD COLUMN b INT DEFAULT 5").await;
            conn.execute(id, &[]).await;
            let other = conn.prepare("SELECT * FROM t").await.unwrap();
            conn.execute(other, &[]).await;
            conn.ok("DROP TABLE t").await;
            conn.execute(id, &[]).await;
        }).await;
    }
}
