//! What keeps a session on its server connection, and that it ends with its cause: the other client is served at
//! once afterwards.

use std::time::Duration;

use dazzle::lab::Server;
use tokio::time::timeout;

use crate::support::{At, Conn, Login, Proxy, Setup, duet, eventually};

both! {
    async fn pins_end_with_what_they_are_for(server) {
        let proxy = duet(server, "it_duet_pins", &[
            "a CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT)",
            "a INSERT INTO t (a) VALUES (1), (2)",
            "a CREATE TEMPORARY TABLE x (a INT)",
            "a CREATE TEMPORARY TABLE IF NOT EXISTS x (a INT)",
            "a CREATE TEMPORARY TABLE it_duet_pins.y SELECT * FROM t",
            "a DROP TABLE y",
            "a SELECT * FROM x",
            "a DROP TEMPORARY TABLE IF EXISTS x",
            "b SELECT 1",
            "a CREATE TEMPORARY TABLE t (a INT, a INT)",
            "b SELECT 1",
            "a SELECT GET_LOCK('it_duet', 0), GET_LOCK('it_Duet_2', 0)",
            "a SELECT RELEASE_LOCK('it_duet')",
            "a SELECT IS_FREE_LOCK('it_duet_2')",
            "a SELECT RELEASE_LOCK('it_duet_2')",
            "b SELECT IS_FREE_LOCK('it_duet_2')",
            "A SELECT GET_LOCK('it_duet', 0)",
            "a SELECT RELEASE_ALL_LOCKS()",
            "b SELECT IS_FREE_LOCK('it_duet')",
            "a HANDLER t OPEN",
            "a HANDLER t OPEN AS h",
            "a HANDLER h READ FIRST",
            "a HANDLER t CLOSE",
            "a HANDLER h CLOSE",
            "b SELECT 1",
            "a LOCK TABLES t WRITE",
            "a INSERT INTO t (a) VALUES (9)",
            "a UNLOCK TABLES",
            "b SELECT * FROM t",
            "a LOCK TABLES t WRITE",
            "a BEGIN",
            "a COMMIT",
            "b SELECT 1",
            "a LOCK TABLES t WRITE",
            "a START TRANSACTION READ ONLY",
            "a ROLLBACK",
            "b INSERT INTO t (a) VALUES (8)",
            "a PREPARE s FROM 'SELECT a + ? FROM t'",
            "a SET @p = 5",
            "a EXECUTE s USING @p",
            "a DEALLOCATE PREPARE s",
            "b SELECT 1",
            "a SET timestamp = 1000000000",
            "a SELECT NOW()",
            "a SET timestamp = DEFAULT",
            "b SELECT NOW() > '2020-01-01'",
            "a SET last_insert_id = 99",
            "b SELECT LAST_INSERT_ID()",
            "a SELECT LAST_INSERT_ID(), @@identity",
            "a SET TRANSACTION READ ONLY",
            "a SELECT 1",
            "a BEGIN",
            "a INSERT INTO t (a) VALUES (3)",
            "a COMMIT",
            "b INSERT INTO t (a) VALUES (4)",
            "a INSERT INTO t (a) VALUES (5)",
            "a SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1",
            "a SELECT FOUND_ROWS()",
            "b SELECT 1",
            "a SELEC 'LOCK TABLES'",
            "a SELECT 'unfinished",
            "b SELECT 1",
        ]).await;
        assert_shown(&proxy);
    }

    async fn what_is_still_held_still_pins(server) {
        for (hold, other) in [
            (&["CREATE TEMPORARY TABLE x (a INT)", "CREATE TEMPORARY TABLE y (a INT)", "DROP TABLE x"][..], "SELECT * FROM y"),
            (&["SELECT GET_LOCK('it_held', 0)", "SELECT GET_LOCK('it_held', 0)", "SELECT RELEASE_LOCK('it_held')"], "SELECT IS_USED_LOCK('it_held') = 0"),
            (&["SET TRANSACTION READ ONLY", "SELECT 1"], "SELECT 1"),
            (&["PREPARE s FROM 'CREATE TEMPORARY TABLE y (a INT)'", "EXECUTE s", "DEALLOCATE PREPARE s"], "SELECT * FROM y"),
            (&["SET timestamp = 1000000000, insert_id = 5", "SET timestamp = DEFAULT"], "SELECT @@insert_id"),
        ] {
            let (proxy, mut a, mut b) = narrow(server).await;
            for text in hold {
                a.ok(text).await;
            }
            b.send_query("SELECT 2").await;
            let early = timeout(Duration::from_millis(200), b.try_reply()).await;
            assert!(early.is_err(), "{hold:?} leaves the connection to somebody else");
            assert_ne!(a.query(other).await.error(), Some(1146), "{hold:?}");
            a.quit().await;
            assert_eq!(b.reply().await.value(), "2");
            drop(proxy);
        }
    }

    async fn a_pin_that_lasts_is_told_of_and_may_be_ended(server) {
        let proxy = Setup::new(server)
            .pool("size_max: 1, queue_timeout: 20s")
            .user("pinned_max: 2s")
            .top("limits: {pin_report: 1s}")
            .start()
            .await;
        let (mut a, mut b) = (proxy.connect().await, proxy.connect().await);
        a.ok("SELECT GET_LOCK('it_lasting', 0)").await;
        // The client has its reply before the statement's traces are written.
        let shown = async || proxy.http("/pins").1.contains("\"reason\":\"named_lock\",\"session\"");
        eventually("the pin to be shown", shown).await;
        assert_eq!(b.value("SELECT IS_FREE_LOCK('it_lasting')").await, "1", "served once A has been ended");
        assert!(a.try_packet().await.is_err());
        let told = async || proxy.log().contains("session is still pinned") && proxy.log().contains("pinned for too long");
        eventually("the pin to be told of", told).await;
        assert!(!proxy.log().contains("it_lasting"));
    }

    async fn a_client_that_sets_wait_timeout_is_held_to_it(server) {
        let (_proxy, mut a, mut b) = narrow(server).await;
        a.ok("SET wait_timeout = 1").await;
        assert_eq!(a.value("SELECT @@wait_timeout").await, "1");
        assert_ne!(b.value("SELECT @@wait_timeout").await, "1");
        let mut direct = Login::new(At::Tcp(server.address().to_string())).connect().await;
        direct.ok("SET wait_timeout = 1").await;
        let (proxied, direct) = (a.try_packet().await, direct.try_packet().await);
        // MySQL says why, in a packet of its own; MariaDB just closes.
        let says = |end: &Result<Vec<u8>, _>| format!("{end:?}").contains("packet 0 where");
        assert!(proxied.is_err() && direct.is_err());
        assert_eq!(says(&proxied), says(&direct));
        b.ok("SELECT 1").await;
    }
}

async fn narrow(server: &'static Server) -> (Proxy, Conn, Conn) {
    server.execute(&["CREATE DATABASE IF NOT EXISTS it_pins"]).await.unwrap();
    let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 20s").start().await;
    let login = proxy.login().schema("it_pins");
    let clients = (login.connect().await, login.connect().await);
    (proxy, clients.0, clients.1)
}

/// The page of pins names every reason, and no literal.
fn assert_shown(proxy: &Proxy) {
    let (status, page) = proxy.http("/pins");
    assert_eq!(status, 200);
    assert!(page.contains("\"pinned\":[]"), "{page}");
    for reason in [
        "temporary_table",
        "table_lock",
        "named_lock",
        "sql_prepare",
        "handler",
        "session_variable",
        "next_transaction",
        "found_rows",
    ] {
        assert!(page.contains(&format!("\"reason\":\"{reason}\"")), "{reason}: {page}");
    }
    assert!(page.contains("CREATE TEMPORARY TABLE x") && !page.contains("1000000000"), "{page}");
}
