//! What a statement asks about the statement before it, and about its own session.

use crate::support::duet;

both! {
    async fn counts_of_the_statement_before(server) {
        duet(server, "it_duet_counts", &[
            "a CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT)",
            "a INSERT INTO t (a) VALUES (1), (2), (3)",
            "b SELECT 1",
            "a SELECT ROW_COUNT()",
            "a UPDATE t SET a = a + 1",
            "b DO 1",
            "a SELECT ROW_COUNT() + 1, ROW_COUNT() AS n, 'x'",
            "a DELETE FROM t WHERE a = 4",
            "b SELECT 1",
            "a INSERT INTO t (a) SELECT ROW_COUNT()",
            "a SELECT * FROM t",
            "b SELECT 1 UNION SELECT 2 UNION SELECT 3",
            "a SELECT FOUND_ROWS()",
            "b SELECT FOUND_ROWS() > 2 AS three, FOUND_ROWS()",
            "a SELECT a FROM t LIMIT 2",
            "b SELECT 1",
            "a SET @n = 5",
            "b SELECT 1",
            "A SELECT FOUND_ROWS() AS n",
            "a UPDATE t SET a = a + 1",
            "b SELECT 1",
            "A SELECT ROW_COUNT(), 1",
            "a SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1",
            "a SELECT FOUND_ROWS()",
            "b SELECT 1 UNION SELECT 2",
            "a SELECT FOUND_ROWS()",
            "a SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1",
            "A SELECT FOUND_ROWS()",
            "b SELECT 1 UNION SELECT 2",
            "a SELECT * FROM nowhere",
            "b SELECT 1",
            "a SELECT ROW_COUNT()",
        ]).await;
    }

    async fn the_last_insert_id_is_each_one_s_own(server) {
        duet(server, "it_duet_ids", &[
            "a CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT)",
            "a INSERT INTO t (a) VALUES (1), (2), (3)",
            "b SELECT LAST_INSERT_ID()",
            "b INSERT INTO t (a) VALUES (4)",
            "a SELECT LAST_INSERT_ID()",
            "b SELECT LAST_INSERT_ID(), @@identity, @@last_insert_id AS l",
            // An id that the statement itself gives is in the OK and not in LAST_INSERT_ID().
            "a INSERT INTO t (id, a) VALUES (50, 5)",
            "b SELECT 1",
            "a SELECT LAST_INSERT_ID()",
            "A INSERT INTO t (id, a) VALUES (60, 6)",
            "b SELECT LAST_INSERT_ID()",
            "A SELECT LAST_INSERT_ID()",
            "B SELECT LAST_INSERT_ID() + 1 AS next",
            "a BEGIN",
            "a SELECT LAST_INSERT_ID()",
            "a INSERT INTO t (id, a) VALUES (70, 7)",
            "a SELECT LAST_INSERT_ID(), ROW_COUNT()",
            "a INSERT INTO t (a) VALUES (8)",
            "a SELECT LAST_INSERT_ID()",
            "a INSERT INTO t (id, a) VALUES (90, 7)",
            "A SELECT LAST_INSERT_ID()",
            "a COMMIT",
            "b SELECT LAST_INSERT_ID()",
            "a SELECT LAST_INSERT_ID()",
            "a UPDATE t SET a = LAST_INSERT_ID(a + 100) WHERE id = 1",
            "b SELECT LAST_INSERT_ID()",
            "a SELECT LAST_INSERT_ID()",
            "a SELECT LAST_INSERT_ID(4242)",
            "b SELECT LAST_INSERT_ID(17)",
            "a INSERT INTO t (a) VALUES (LAST_INSERT_ID())",
            "a SELECT a FROM t WHERE id = LAST_INSERT_ID()",
            "b SELECT LAST_INSERT_ID()",
            "a INSERT INTO t (id, a) VALUES (1, 1) ON DUPLICATE KEY UPDATE a = 3",
            "b SELECT 1",
            "a SELECT LAST_INSERT_ID()",
            "a INSERT INTO t (id, a) VALUES (1, 1) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), a = 4",
            "b SELECT 1",
            "a SELECT LAST_INSERT_ID()",
            "a CREATE PROCEDURE p() INSERT INTO t (a) VALUES (LAST_INSERT_ID() + 1000)",
            "b INSERT INTO t (a) VALUES (77)",
            "a CALL p()",
            "b SELECT LAST_INSERT_ID()",
            "a SELECT LAST_INSERT_ID()",
            "a SELECT a FROM t WHERE a > 1000",
            "a INSERT INTO t (id) VALUES (1)",
            "b SELECT 1",
            "a SELECT LAST_INSERT_ID()",
        ]).await;
    }

    async fn connection_ids_are_described_as_the_server_does(server) {
        duet(server, "it_duet_ids_of", &[
            "a~SELECT CONNECTION_ID()",
            "A~SELECT CONNECTION_ID()",
            "a SELECT CONNECTION_ID() = CONNECTION_ID() AS same, CONNECTION_ID() > 0",
            "A SELECT CONNECTION_ID() > 0, CONNECTION_ID() IS NULL",
            "a~SELECT CONNECTION_ID() + 1 AS next, @@pseudo_thread_id",
            "b CREATE TABLE t (a BIGINT)",
            "b INSERT INTO t VALUES (CONNECTION_ID())",
            "b SELECT COUNT(*) FROM t WHERE a = CONNECTION_ID()",
            "B SELECT COUNT(*) FROM t WHERE a = CONNECTION_ID()",
            "a SELECT COUNT(*) FROM t WHERE a = CONNECTION_ID()",
            "a CREATE VIEW v AS SELECT CONNECTION_ID() AS id",
            "a~SHOW CREATE VIEW v",
            "a KILL QUERY CONNECTION_ID()",
        ]).await;
    }

    async fn the_servers_socket_is_not_told(server) {
        let proxy = duet(server, "it_duet_socket", &[
            "a~SELECT @@max_allowed_packet,@@wait_timeout,@@socket",
            "A~SELECT @@socket AS s, @@GLOBAL.socket",
        ]).await;
        let mut conn = proxy.login().connect().await;
        let row = conn.ok("SELECT @@max_allowed_packet,@@wait_timeout,@@socket").await.rows().remove(0);
        assert_eq!(row[2], "NULL");
    }
}
