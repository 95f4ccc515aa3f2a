//! FOUND_ROWS() and ROW_COUNT() over statements of every kind, while another session uses the same connection.

use dazzle::lab::{Flavor, Server};

use crate::support::{Setup, duet};

/// Statements that keep FOUND_ROWS() on both servers, or whose reply tells it; in an order in which they work.
const ON_BOTH: [&str; 78] = [
    "SELECT * FROM three",
    "SELECT * FROM three LIMIT 2",
    "SELECT DISTINCT a DIV 10 FROM seven",
    "SELECT a, COUNT(*) FROM seven GROUP BY a LIMIT 4",
    "SELECT * FROM three WHERE 0",
    "SELECT * FROM (SELECT * FROM seven LIMIT 2) AS d",
    "SELECT 1",
    "SELECT * FROM three UNION SELECT 2 UNION SELECT 9",
    "SET @a = 1",
    "SET sql_mode = ''",
    "SET NAMES utf8mb4",
    "SET autocommit = 1",
    "SET nonsense = 1",
    "BEGIN",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "RELEASE SAVEPOINT s",
    "COMMIT",
    "USE nowhere",
    "INSERT INTO three VALUES (4), (5)",
    "INSERT IGNORE INTO three VALUES (4)",
    "INSERT INTO three VALUES (4)",
    "INSERT INTO triggering VALUES (1)",
    "REPLACE INTO three VALUES (4)",
    "CREATE TABLE x (a INT)",
    "CREATE TABLE IF NOT EXISTS x (a INT)",
    "CREATE TABLE x (a INT)",
    "CREATE TABLE y LIKE three",
    "INSERT INTO x VALUES (1), (2)",
    "ALTER TABLE x ADD COLUMN b INT, ALGORITHM = COPY",
    "CREATE INDEX i ON x (a)",
    "RENAME TABLE x TO z",
    "TRUNCATE z",
    "DROP TABLE z",
    "DROP TABLE IF EXISTS y, z",
    "DROP TABLE nowhere",
    "CREATE VIEW v AS SELECT * FROM seven",
    "SELECT * FROM v",
    "DROP VIEW v",
    "CREATE PROCEDURE p() SELECT 1",
    "DROP PROCEDURE p",
    "CREATE TRIGGER n BEFORE INSERT ON seven FOR EACH ROW SET @n = 1",
    "DROP TRIGGER n",
    "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
    "DROP EVENT e",
    "CREATE DATABASE it_duet_found_more",
    "DROP DATABASE it_duet_found_more",
    "LOCK TABLES three WRITE, seven READ",
    "UNLOCK TABLES",
    "FLUSH TABLES three",
    "FLUSH STATUS",
    "SHOW TABLES",
    "SHOW DATABASES LIKE 'it_duet_f%'",
    "SHOW COLUMNS FROM three",
    "SHOW INDEX FROM seven",
    "SHOW CREATE TABLE three",
    "SHOW CREATE DATABASE it_duet_found",
    "SHOW VARIABLES LIKE 'sql_mode'",
    "SHOW STATUS LIKE 'Uptime'",
    "SHOW WARNINGS",
    "SHOW COUNT(*) WARNINGS",
    "SHOW ERRORS",
    "SHOW GRANTS",
    "DESCRIBE three",
    "ANALYZE TABLE three",
    "CHECK TABLE three, seven",
    "CHECKSUM TABLE three",
    "OPTIMIZE TABLE three",
    "HELP 'nothing'",
    "HANDLER three OPEN",
    "HANDLER three READ FIRST",
    "HANDLER three CLOSE",
    "PREPARE s FROM 'SELECT * FROM seven'",
    "DEALLOCATE PREPARE s",
    "SIGNAL SQLSTATE '01000'",
    "DO 1",
    "DO f()",
    "SELEC 1",
];

/// The same for one server only.
const ON_MARIADB: [&str; 7] = [
    "CREATE TABLE m AS SELECT CONCAT(ROW_COUNT()) AS c",
    "DROP TABLE m",
    "CREATE TABLE m AS SELECT * FROM seven LIMIT 2",
    "DROP TABLE m",
    "CREATE SEQUENCE q",
    "SELECT NEXTVAL(q)",
    "DROP SEQUENCE q",
];
const ON_MYSQL: [&str; 8] = [
    "SELECT f()",
    "SELECT COUNT(*) FROM seven WHERE 0",
    "SELECT a FROM three UNION ALL SELECT 1 LIMIT 2",
    "VALUES ROW(1), ROW(2)",
    "TABLE three",
    "DO (SELECT COUNT(*) FROM seven)",
    "LOCK INSTANCE FOR BACKUP",
    "UNLOCK INSTANCE",
];

/// Steps in which `b` uses the connection before and after each statement of `a`, which then asks.
fn asked_after_each(statements: &[&str]) -> Vec<String> {
    let each = statements.iter().flat_map(|statement| {
        [
            "a SELECT * FROM three LIMIT 3".to_owned(),
            "b SELECT * FROM seven".to_owned(),
            format!("a~{statement}"),
            "a SELECT FOUND_ROWS(), ROW_COUNT()".to_owned(),
        ]
    });
    each.collect()
}

fn begun(steps: Vec<String>) -> Vec<String> {
    let mut all = vec![
        "a CREATE TABLE three (a INT PRIMARY KEY)".to_owned(),
        "a CREATE TABLE seven (a INT PRIMARY KEY)".to_owned(),
        "a INSERT INTO three VALUES (1), (2), (3)".to_owned(),
        "a INSERT INTO seven VALUES (1), (2), (3), (4), (5), (6), (7)".to_owned(),
        "a CREATE TABLE triggering (a INT)".to_owned(),
        "a CREATE TRIGGER tr BEFORE INSERT ON triggering FOR EACH ROW BEGIN DECLARE z INT; \
         SELECT COUNT(*) INTO z FROM three; END"
            .to_owned(),
        "a CREATE FUNCTION f() RETURNS INT READS SQL DATA BEGIN DECLARE z INT; \
         SELECT SQL_CALC_FOUND_ROWS a INTO z FROM seven LIMIT 1; RETURN z; END"
            .to_owned(),
    ];
    all.extend(steps);
    all
}

async fn play(server: &'static Server, schema: &str, steps: Vec<String>) {
    let steps = begun(steps);
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    duet(server, schema, &steps).await;
}

both! {
    async fn the_rows_found_are_counted_as_each_server_counts_them(server) {
        let own: &[&str] = match server.flavor() {
            Flavor::MariaDb => &ON_MARIADB,
            Flavor::MySql => &ON_MYSQL,
        };
        let pinning = ["BEGIN", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE SAVEPOINT s", "LOCK TABLES", "LOCK INSTANCE", "HANDLER", "PREPARE"];
        let statements: Vec<&str> = ON_BOTH.iter().chain(own).copied().collect();
        let (kept, free): (Vec<&str>, Vec<&str>) =
            statements.into_iter().partition(|text| pinning.iter().any(|word| text.starts_with(word)));
        assert!(kept.len() > 8);
        play(server, "it_duet_found", asked_after_each(&free)).await;
    }

    async fn rows_found_before_a_transaction_are_told_inside_of_it(server) {
        let steps = [
            "a SELECT * FROM three",
            "b SELECT * FROM seven",
            "a BEGIN",
            "a SELECT FOUND_ROWS()",
            "a ROLLBACK",
            "a SELECT * FROM three",
            "b SELECT * FROM seven",
            "a SET autocommit = 0",
            "a INSERT INTO triggering VALUES (7)",
            "A SELECT FOUND_ROWS()",
            "a COMMIT",
            "a SET autocommit = 1",
            "a SELECT * FROM three",
            "b SELECT * FROM seven",
            "a LOCK TABLES three READ",
            "a SELECT FOUND_ROWS()",
            "a UNLOCK TABLES",
            "a SELECT SQL_CALC_FOUND_ROWS * FROM seven LIMIT 1",
            "a DROP TABLE IF EXISTS nowhere",
            "a SHOW CREATE TABLE three",
            "a SELECT FOUND_ROWS()",
            "b SELECT FOUND_ROWS()",
            "a UPDATE seven SET a = a + 10 ORDER BY a DESC",
            "a SHOW WARNINGS",
            "a SELECT ROW_COUNT()",
        ];
        play(server, "it_duet_found_inside", steps.map(str::to_owned).to_vec()).await;
    }

    async fn a_session_that_asks_for_rows_found_is_told_of_those_that_an_offset_skipped(server) {
        let steps = [
            "a SELECT * FROM seven",
            "a SELECT FOUND_ROWS()",
            "a SELECT * FROM seven LIMIT 2, 3",
            "b SELECT * FROM three",
            "a SELECT FOUND_ROWS()",
            "a SELECT * FROM seven ORDER BY a DESC LIMIT 2 OFFSET 1",
            "b SELECT * FROM three",
            "a SELECT FOUND_ROWS()",
            "a SELECT * FROM seven LIMIT 9, 3",
            "b SELECT * FROM three",
            "a SELECT FOUND_ROWS() AS found, ROW_COUNT()",
            "a SELECT a FROM seven ORDER BY a LIMIT 1, 1 INTO @one",
            "b SELECT * FROM three",
            "a SELECT FOUND_ROWS(), @one",
        ];
        play(server, "it_duet_found_offset", steps.map(str::to_owned).to_vec()).await;
    }

    async fn rows_found_that_nobody_knows_are_not_made_up(server) {
        server.create_schema("it_found_unknown").await.unwrap();
        let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 3s").start().await;
        let login = proxy.login().schema("it_found_unknown");
        let (mut a, mut b) = (login.connect().await, login.connect().await);
        a.ok("CREATE TABLE t (a INT)").await;
        a.ok("INSERT INTO t VALUES (1), (2), (3)").await;
        a.ok("SELECT a FROM t LIMIT 1, 1").await;
        b.ok("SELECT 1").await;
        assert_eq!(a.query("SELECT FOUND_ROWS()").await.error(), Some(1235), "before anybody knew that it is asked for");
        for unsure in ["SET @a = (SELECT COUNT(*) FROM t)", "INSERT INTO t SELECT 1"] {
            b.ok("SELECT a FROM t").await;
            a.ok(unsure).await;
            b.ok("SELECT 1").await;
            let refused = a.query("SELECT FOUND_ROWS()").await;
            assert_eq!(refused.error(), Some(1235), "{unsure}");
            assert_eq!(a.query("SET @b = 1; SELECT FOUND_ROWS()").await.error(), Some(1235), "{unsure}");
        }
        if server.flavor() == Flavor::MariaDb {
            for unsure in ["SELECT MAX(a) FROM t WHERE 0", "SELECT 1 UNION ALL SELECT 2", "VALUES (1), (2)"] {
                a.ok(unsure).await;
                assert_eq!(a.query("SELECT FOUND_ROWS()").await.error(), Some(1235), "{unsure}");
            }
        }
    }
}
