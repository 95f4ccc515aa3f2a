//! What drivers ask when they connect: answered as the server answers, and without a server connection.

use dazzle::lab::Flavor;
use dazzle::wire::Capabilities;

use crate::support::{Setup, compare, compare_with};

/// As the drivers ask it: Connector/J, mysql_async, Go, the `mysql` shell, Django, SQLAlchemy.
const QUESTIONS: [&str; 13] = [
    "/* mysql-connector-j-8.0.33 */SELECT  @@session.auto_increment_increment AS auto_increment_increment, \
     @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, \
     @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, \
     @@collation_server AS collation_server, @@collation_connection AS collation_connection, \
     @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, \
     @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, \
     @@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, \
     @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, \
     @@wait_timeout AS wait_timeout",
    "SELECT @@max_allowed_packet,@@wait_timeout",
    "SELECT @@max_allowed_packet",
    "select @@version_comment limit 1",
    "SELECT @@sql_mode, @@autocommit, @@sql_auto_is_null, @@lower_case_table_names, @@time_zone IS NOT NULL",
    "SELECT @@sql_mode, @@autocommit, @@sql_auto_is_null, @@lower_case_table_names",
    "SELECT VERSION(), DATABASE()",
    "SELECT DATABASE()",
    "SHOW VARIABLES LIKE 'sql_mode'",
    "SHOW VARIABLES LIKE 'lower_case_table_names'",
    "SHOW VARIABLES LIKE 'no_such_variable'",
    "SELECT @@session.autocommit AS `a b`, @@version 'v'",
    "SELECT @@GLOBAL.version_comment;",
];

both! {
    async fn are_answered_as_the_server_answers(server) {
        let script = async |conn: &mut crate::support::Conn| {
            for state in ["DO 1", "SET NAMES latin1", "SET sql_mode = 'ANSI_QUOTES', time_zone = '+05:00'", "SET character_set_results = NULL"] {
                conn.ok(state).await;
                conn.query("SELECT @@no_such_variable").await;
                for question in QUESTIONS.iter().chain(&QUESTIONS) {
                    conn.query(question).await;
                }
                conn.query("SELECT ROW_COUNT()").await;
            }
        };
        compare(server, "it_driver_questions", script).await;
        let old = |login: crate::support::Login| login.without(Capabilities::DEPRECATE_EOF);
        compare_with(server, "it_driver_questions", old, script).await;
    }

    async fn leave_no_trace_in_what_comes_after(server) {
        compare(server, "it_driver_traces", async |conn| {
            conn.ok("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT)").await;
            for _ in 0..2 {
                conn.ok("INSERT INTO t (a) VALUES (1), (2)").await;
                conn.query("SELECT @@max_allowed_packet").await;
                conn.query("SELECT LAST_INSERT_ID(), ROW_COUNT()").await;
                conn.query("DROP TABLE IF EXISTS nowhere").await;
                conn.query("SELECT @@max_allowed_packet").await;
                // MariaDB keeps them over statements without tables.
                if server.flavor() == Flavor::MySql {
                    conn.query("SHOW WARNINGS").await;
                }
                conn.ok("BEGIN").await;
                conn.query("SELECT @@autocommit").await;
                conn.ok("ROLLBACK").await;
                conn.ok("SET autocommit = 0").await;
                conn.query("SELECT @@autocommit").await;
                conn.ok("SET autocommit = 1").await;
            }
        }).await;
    }

    async fn need_no_server_connection_that_somebody_else_has(server) {
        server.execute(&["CREATE DATABASE IF NOT EXISTS it_driver_lease"]).await.unwrap();
        let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 200ms").start().await;
        let login = proxy.login().schema("it_driver_lease");
        let (mut a, mut b) = (login.connect().await, login.connect().await);
        b.ok("SELECT @@socket").await;
        let known = QUESTIONS.iter().filter(|question| !question.contains("no_such") && !question.contains("NULL"));
        let mut told = Vec::new();
        for question in known.clone() {
            told.push(b.ok(question).await.packets);
        }
        a.ok("BEGIN").await;
        a.ok("SELECT 1").await;
        for (question, told) in known.zip(told) {
            assert_eq!(b.ok(question).await.packets, told, "{question}");
        }
        a.ok("ROLLBACK").await;
    }

    async fn are_answered_as_the_server_answers_when_they_are_prepared(server) {
        let script = async |conn: &mut crate::support::Conn| {
            for state in ["DO 1", "SET NAMES latin1", "SET sql_mode = 'ANSI_QUOTES', time_zone = '+05:00'", "SET character_set_results = NULL"] {
                conn.ok(state).await;
                for question in QUESTIONS.iter().chain(&QUESTIONS) {
                    if let Ok(id) = conn.prepare(question).await {
                        conn.execute(id, &[]).await;
                        conn.execute(id, &[]).await;
                        conn.query("SELECT ROW_COUNT()").await;
                        conn.close_statement(id).await;
                    }
                }
            }
        };
        compare(server, "it_driver_prepared", script).await;
        let old = |login: crate::support::Login| login.without(Capabilities::DEPRECATE_EOF);
        compare_with(server, "it_driver_prepared", old, script).await;
    }

    async fn need_no_server_connection_when_they_are_prepared(server) {
        let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 200ms").start().await;
        let (mut a, mut b) = (proxy.connect().await, proxy.connect().await);
        let known = QUESTIONS.iter().filter(|question| !question.contains("no_such") && !question.contains("NULL"));
        let mut told = Vec::new();
        for question in known.clone() {
            let id = b.prepare(question).await.unwrap();
            told.push(b.execute(id, &[]).await.packets);
        }
        a.ok("BEGIN").await;
        a.ok("SELECT 1").await;
        for (question, told) in known.zip(told) {
            let id = b.prepare(question).await.unwrap();
            assert_eq!(b.execute(id, &[]).await.packets, told, "{question}");
        }
        b.fails("SELECT 2").await;
        a.ok("ROLLBACK").await;
        b.ok("SET net_write_timeout = 77").await;
        let id = b.prepare("SELECT @@max_allowed_packet,@@wait_timeout").await.unwrap();
        b.execute(id, &[]).await;
    }

    async fn show_what_has_been_set_meanwhile(server) {
        let proxy = Setup::new(server).start().await;
        let (mut a, mut b) = (proxy.connect().await, proxy.connect().await);
        let before = b.value("SELECT @@net_write_timeout").await;
        a.ok("SET net_write_timeout = 77").await;
        assert_eq!(a.value("SELECT @@net_write_timeout").await, "77");
        assert_eq!(b.value("SELECT @@net_write_timeout").await, before);
        b.ok("SET SESSION net_write_timeout = 78").await;
        assert_eq!(b.value("SELECT @@net_write_timeout").await, "78");
        assert_eq!(b.value("SELECT @@socket").await, "NULL");
    }
}
