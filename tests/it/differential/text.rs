//! Text statements: results, OK fields, warnings, errors, several results at once.

use dazzle::lab::Flavor;

use dazzle::wire::Capabilities;

use crate::support::{Conn, Login, Reply, compare, compare_with};

/// Runs each text; failures are as much part of the comparison as successes.
async fn each(conn: &mut Conn, texts: &[&str]) {
    for text in texts {
        conn.query(text).await;
    }
}

both! {
    async fn plain_statements(server) {
        compare(server, "it_plain", async |conn| {
            each(conn, &[
                "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b VARCHAR(20), UNIQUE (a))",
                "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), (3, NULL)",
                "SELECT * FROM t",
                "SELECT * FROM t WHERE a > 99",
                "SELECT NULL, '', 0, -1, 18446744073709551615, 1e100, 0x41, b'101', 3.1400, DATE'2024-02-29'",
                "SELECT t.a AS x, COUNT(*) c FROM t AS t GROUP BY t.a WITH ROLLUP",
                "UPDATE t SET b = 'z' WHERE a < 3",
                "UPDATE t SET b = 'z' WHERE a < 3",
                "DELETE FROM t WHERE a = 3",
                "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE b = 'dup'",
                "REPLACE INTO t (a, b) VALUES (1, 'r')",
                "INSERT INTO t (a) SELECT a + 10 FROM t",
                "SELECT LAST_INSERT_ID() > 0",
                "CREATE TABLE u LIKE t",
                "ALTER TABLE u ADD COLUMN c INT",
                "TRUNCATE u",
                "SHOW TABLES",
                "SHOW COLUMNS FROM t",
                "DESCRIBE t",
                "EXPLAIN SELECT * FROM t WHERE a = 1",
                "/* a comment */ SELECT 1 -- and another",
                "SELECT 1;",
                "DO 1",
                "DROP TABLE u",
            ]).await;
        }).await;
    }

    async fn errors_keep_number_sqlstate_and_text(server) {
        compare(server, "it_errors", async |conn| {
            conn.ok("CREATE TABLE t (id INT PRIMARY KEY, a INT NOT NULL)").await;
            conn.ok("INSERT INTO t VALUES (1, 1)").await;
            each(conn, &[
                "SELEC 1",
                "SELECT * FROM nowhere",
                "SELECT nothing FROM t",
                "SELECT * FROM nowhere.t",
                "INSERT INTO t VALUES (1, 2)",
                "INSERT INTO t VALUES (2, NULL)",
                "INSERT INTO t VALUES (2)",
                "SELECT 1 UNION SELECT 1, 2",
                "USE nowhere",
                "SET sql_mode = 'nonsense'",
                "SET nonsense = 1",
                "SET @@nonsense = 1",
                "SET GLOBAL max_connections = 1",
                "DROP TABLE nowhere",
                "DROP TABLE IF EXISTS nowhere",
                "CALL nothing()",
                "SELECT NOTHING(1)",
                "SELECT (SELECT id FROM t UNION ALL SELECT 2)",
                "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'gr\u{fc}n', MYSQL_ERRNO = 5555",
                "KILL 'x'; SELECT",
                "",
                "   ",
                "-- nothing",
                ";",
                "\u{0}",
                "SELECT 'unfinished",
            ]).await;
        }).await;
    }

    async fn warnings_are_counted_and_shown(server) {
        compare(server, "it_warnings", async |conn| {
            conn.ok("CREATE TABLE t (a TINYINT, b VARCHAR(3))").await;
            each(conn, &[
                "SHOW WARNINGS",
                "SET sql_mode = ''",
                "INSERT INTO t VALUES (300, 'abcdef'), (-300, 'abcdef')",
                "SHOW WARNINGS",
                "SELECT 1/0, CAST('x' AS SIGNED)",
                "SHOW WARNINGS",
                "SELECT 1",
                "SELECT * FROM nowhere",
                "SHOW WARNINGS",
                "DROP TABLE IF EXISTS nowhere",
                "SHOW WARNINGS",
            ]).await;
        }).await;
    }

    async fn several_statements_at_once(server) {
        compare(server, "it_multi", async |conn| {
            each(conn, &[
                "CREATE TABLE t (a INT PRIMARY KEY); INSERT INTO t VALUES (1), (2); SELECT * FROM t",
                "SELECT 1; SELECT 2; SELECT 3",
                "SELECT 1; SELECT * FROM nowhere; SELECT 3",
                "INSERT INTO t VALUES (3); INSERT INTO t VALUES (3); INSERT INTO t VALUES (4)",
                "SELECT * FROM t",
                "SELECT 1;;",
                "SELECT 1; -- done",
                "SET @a = 1; SELECT @a",
                "UPDATE t SET a = a + 10; SELECT ROW_COUNT(); DELETE FROM t",
                "BEGIN; INSERT INTO t VALUES (7); SELECT * FROM nowhere",
                "ROLLBACK",
                "SELECT * FROM t",
            ]).await;
        }).await;
    }

    async fn transactions_and_their_status_flags(server) {
        compare(server, "it_trans", async |conn| {
            each(conn, &[
                "CREATE TABLE t (a INT PRIMARY KEY) ENGINE=InnoDB",
                "BEGIN",
                "INSERT INTO t VALUES (1)",
                "SELECT * FROM t",
                "SAVEPOINT s",
                "INSERT INTO t VALUES (2)",
                "ROLLBACK TO s",
                "INSERT INTO t VALUES (1)",
                "SELECT * FROM t",
                "COMMIT",
                "START TRANSACTION READ ONLY",
                "INSERT INTO t VALUES (3)",
                "SELECT * FROM t",
                "COMMIT AND CHAIN",
                "ROLLBACK RELEASE; SELECT 1",
            ][..14]).await;
            each(conn, &[
                "ROLLBACK",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT",
                "SELECT * FROM t",
                "CREATE TABLE implicit_commit (a INT)",
                "SELECT 1",
                "SET autocommit = 0",
                "SELECT 1",
                "INSERT INTO t VALUES (5)",
                "ROLLBACK",
                "INSERT INTO t VALUES (6)",
                "SET autocommit = 1",
                "SELECT * FROM t",
                "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                "BEGIN",
                "SELECT * FROM t",
                "COMMIT",
                "SET SESSION TRANSACTION READ ONLY",
                "INSERT INTO t VALUES (9)",
                "SET SESSION TRANSACTION READ WRITE",
                "INSERT INTO t VALUES (9)",
                "BEGIN; INSERT INTO t VALUES (10); COMMIT; SELECT * FROM t",
                "ROLLBACK TO nothing",
                "RELEASE SAVEPOINT nothing",
            ]).await;
        }).await;
    }

    async fn stored_procedures(server) {
        compare(server, "it_proc", async |conn| {
            each(conn, &[
                "CREATE TABLE t (a INT PRIMARY KEY)",
                "CREATE PROCEDURE two(IN n INT, OUT o INT, INOUT io INT) \
                 BEGIN SELECT n; SELECT n + 1, 'x'; SET o = n * 2; SET io = io + n; END",
                "SET @io = 5",
                "CALL two(4, @o, @io)",
                "SELECT @o, @io",
                "CREATE PROCEDURE fails(IN n INT) BEGIN SELECT n; \
                 SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END",
                "CALL fails(1)",
                "CALL fails(1); SELECT 2",
                "CREATE PROCEDURE writes(IN n INT) BEGIN INSERT INTO t VALUES (n), (n + 1); END",
                "CALL writes(1)",
                "CALL writes(1)",
                "CREATE PROCEDURE opens() BEGIN START TRANSACTION; INSERT INTO t VALUES (50); END",
                "CALL opens()",
                "SELECT * FROM t",
                "ROLLBACK",
                "CREATE FUNCTION f(n INT) RETURNS INT DETERMINISTIC RETURN n + 1",
                "SELECT f(41)",
                "CREATE PROCEDURE moves() BEGIN SET sql_mode = 'ANSI_QUOTES'; SET @v = 3; END",
                "CALL moves()",
                "SELECT @@sql_mode, @v",
            ]).await;
        }).await;
    }

    async fn an_error_after_some_rows(server) {
        compare(server, "it_late", async |conn| {
            each(conn, &[
                "CREATE TABLE t (a INT)",
                "INSERT INTO t VALUES (1), (2), (3), (4)",
                "SET SESSION max_statement_time = 0",
                "SELECT a, IF(a < 3, a, (SELECT a FROM t)) FROM t",
                "SELECT a, IF(a < 3, a, EXP(a * 10000)) FROM t",
                "SELECT a, IF(a < 4, ST_AsText(POINT(a, a)), ST_GeomFromText('nonsense')) FROM t",
                "SELECT 1",
            ]).await;
        }).await;
    }

    async fn the_schema_moves(server) {
        compare(server, "it_use", async |conn| {
            each(conn, &[
                "SELECT DATABASE()",
                "USE mysql",
                "SELECT DATABASE()",
                "USE information_schema",
                "SELECT DATABASE()",
                "USE it_use",
                "CREATE DATABASE it_use_two",
                "USE it_use_two",
                "SELECT DATABASE()",
                "DROP DATABASE it_use_two",
                "SELECT DATABASE()",
                "SHOW TABLES",
                "CREATE TABLE t (a INT)",
                "USE it_use",
                "SELECT DATABASE()",
            ]).await;
        }).await;
    }

    async fn session_variables_and_their_reports(server) {
        compare(server, "it_vars", async |conn| {
            each(conn, &[
                "SET NAMES latin1",
                "SELECT @@character_set_client, @@character_set_results, @@collation_connection",
                "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
                "SELECT @@collation_connection",
                "SET character_set_results = NULL",
                "SELECT @@character_set_results",
                "SET CHARACTER SET utf8mb4",
                "SELECT @@character_set_client, @@character_set_results, @@collation_connection",
                "SET time_zone = '+03:00', sql_mode = 'ANSI_QUOTES'",
                "SELECT @@time_zone, @@sql_mode",
                "CREATE TABLE \"t\" (\"a\" INT)",
                "SET sql_mode = DEFAULT",
                "SET sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')",
                "SELECT 'a\\'",
                "SET sql_mode = DEFAULT, time_zone = DEFAULT",
                "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
                "SET @@session.sql_select_limit = 1",
                "SELECT 1 UNION SELECT 2",
                "SET sql_select_limit = DEFAULT",
                "SELECT 1 UNION SELECT 2",
                "SET @x := 1, @y := 'two'",
                "SELECT @x, @y",
                "SET group_concat_max_len = 4",
                "SELECT GROUP_CONCAT(a) FROM (SELECT 111 AS a UNION SELECT 222) d",
                "SET lc_time_names = 'de_DE'",
                "SELECT DAYNAME('2024-01-01')",
                "SET timestamp = 1000000000",
                "SELECT NOW(), UNIX_TIMESTAMP()",
                "SET timestamp = DEFAULT",
                "SET autocommit = 0, autocommit = 1",
                "SET last_insert_id = 5",
                "SELECT LAST_INSERT_ID()",
                "SET session_track_schema = OFF",
                "USE mysql",
            ]).await;
        }).await;
    }

    async fn what_an_eof_cannot_report_the_next_ok_does(server) {
        let client = |login: Login| login.without(Capabilities::DEPRECATE_EOF);
        compare_with(server, "it_owed", client, async |conn| {
            each(conn, &[
                "CREATE PROCEDURE p() BEGIN SET time_zone = '+05:00'; SELECT 1; END",
                "CALL p()",
                "CREATE FUNCTION f() RETURNS INT BEGIN SET time_zone = '+06:00'; RETURN 1; END",
                "SELECT f()",
                "SELECT 2",
                "DO 3",
                "DO 4",
            ]).await;
        }).await;
    }

    async fn before_the_rows_clients_are_told_that_more_results_follow(server) {
        let client = |login: Login| login.without(Capabilities::DEPRECATE_EOF).with(Capabilities::MULTI_STATEMENTS);
        compare_with(server, "it_more", client, async |conn| {
            conn.ok("CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END").await;
            for text in [
                "SELECT 1; SELECT 2; SELECT 3",
                "SELECT 1; DO 1; SELECT 2;",
                "SELECT 1; NONSENSE",
                "SELECT 1;",
                "CALL p()",
                "SELECT 'a;b'; SELECT * FROM missing",
            ] {
                let reply = conn.query(text).await;
                // The comparison leaves flags of the EOF after the columns out.
                let more = |packet: &Vec<u8>| match packet[..] {
                    [0xFE, _, _, flags, _] => Some(flags & 8),
                    _ => None,
                };
                let flags = reply.packets.iter().filter_map(more).collect();
                conn.note(text, &Reply { packets: vec![flags], ..Reply::default() });
            }
        }).await;
    }

    async fn what_a_routine_sets_ends_with_it(server) {
        compare(server, "it_routine_sets", async |conn| {
            each(conn, &[
                "CREATE PROCEDURE p() SET sql_mode = 'ANSI_QUOTES', collation_connection = utf8mb4_bin",
                "CREATE TABLE t (a INT)",
                "INSERT INTO t VALUES (1)",
            ]).await;
            let id = conn.prepare("SELECT * FROM t").await.unwrap();
            conn.query("CALL p()").await;
            // Makes the connection look as it did at the PREPARE, and as it does now again.
            conn.execute(id, &[]).await;
            conn.query("SELECT @@sql_mode, @@collation_connection, \"a\", REPEAT('x', 3)").await;
        }).await;
    }

    async fn the_last_insert_id_and_the_counts_survive(server) {
        compare(server, "it_counts", async |conn| {
            each(conn, &[
                "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT)",
                "INSERT INTO t (a) VALUES (1), (2), (3)",
                "SELECT LAST_INSERT_ID()",
                "SELECT ROW_COUNT()",
                "UPDATE t SET a = a + 1",
                "SELECT ROW_COUNT()",
                "SELECT LAST_INSERT_ID()",
                "SELECT * FROM t LIMIT 2",
                "SELECT LAST_INSERT_ID(77)",
                "SELECT LAST_INSERT_ID()",
                "INSERT INTO t (id) VALUES (1)",
                "SELECT LAST_INSERT_ID()",
                "INSERT INTO t (a) SELECT LAST_INSERT_ID()",
                "SELECT * FROM t",
                "SET insert_id = 500",
                "INSERT INTO t (a) VALUES (9)",
                "SELECT * FROM t",
                "SELECT ROW_COUNT()",
                "DELETE FROM t",
                "SELECT ROW_COUNT()",
            ]).await;
        }).await;
    }

    async fn tables_of_the_session(server) {
        compare(server, "it_temp", async |conn| {
            each(conn, &[
                "CREATE TEMPORARY TABLE tt (a INT)",
                "INSERT INTO tt VALUES (1)",
                "SELECT * FROM tt",
                "DROP TEMPORARY TABLE tt",
                "CREATE TABLE t (a INT PRIMARY KEY)",
                "LOCK TABLES t WRITE",
                "INSERT INTO t VALUES (1)",
                "UNLOCK TABLES",
                "SELECT GET_LOCK('it_temp', 0)",
                "SELECT IS_FREE_LOCK('it_temp')",
                "SELECT RELEASE_LOCK('it_temp')",
                "HANDLER t OPEN",
                "HANDLER t READ FIRST",
                "HANDLER t CLOSE",
                "PREPARE s FROM 'SELECT a + ? FROM t'",
                "SET @p = 5",
                "EXECUTE s USING @p",
                "DEALLOCATE PREPARE s",
                "EXECUTE s USING @p",
                "XA START 'x'",
                "INSERT INTO t VALUES (9)",
                "XA END 'x'",
                "XA ROLLBACK 'x'",
                "SELECT * FROM t",
            ]).await;
        }).await;
    }

    async fn what_only_this_flavor_has(server) {
        compare(server, "it_flavor", async |conn| {
            conn.ok("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT)").await;
            match server.flavor() {
                Flavor::MariaDb => each(conn, &[
                    "INSERT INTO t (a) VALUES (1), (2) RETURNING id, a",
                    "DELETE FROM t WHERE a = 1 RETURNING id",
                    "CREATE SEQUENCE s",
                    "SELECT NEXTVAL(s), SETVAL(s, 5)",
                    "BEGIN NOT ATOMIC SELECT 1; SELECT 2; END",
                    "SET STATEMENT sql_select_limit = 1 FOR SELECT 1 UNION SELECT 2",
                    "EXECUTE IMMEDIATE 'SELECT 5'",
                    "SELECT 1 UNION SELECT 2 LIMIT ROWS EXAMINED 1",
                    "SET sql_mode = 'ORACLE'",
                    "SELECT 'a' || 'b'",
                ]).await,
                Flavor::MySql => each(conn, &[
                    "SELECT /*+ SET_VAR(sql_select_limit = 1) */ 1 UNION SELECT 2",
                    "TABLE t",
                    "VALUES ROW(1, 2), ROW(3, 4)",
                    "SELECT JSON_OBJECT('a', 1)",
                    "SET session_track_transaction_info = 'OFF'",
                    "SET resultset_metadata = 'FULL'",
                    "EXPLAIN FORMAT=TREE SELECT 1",
                ]).await,
            }
        }).await;
    }
}
