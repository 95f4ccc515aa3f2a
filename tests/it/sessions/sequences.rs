//! MariaDB's sequences: LASTVAL() is the session's own, or refused.

use dazzle::lab::Flavor;

use crate::support::{Setup, duet};

/// COM_RESET_CONNECTION.
const RESET: &[u8] = &[0x1F];

const SEQUENCES: [&str; 4] = [
    "CREATE SEQUENCE s",
    "CREATE SEQUENCE other START WITH 100",
    "CREATE TABLE t (id BIGINT DEFAULT NEXTVAL(s) PRIMARY KEY, a INT)",
    "CREATE PROCEDURE takes() BEGIN DECLARE n BIGINT; SELECT NEXTVAL(s) INTO n; END",
];

both! {
    async fn a_number_that_somebody_else_took_is_not_shown(server) {
        if server.flavor() == Flavor::MySql {
            return;
        }
        server.create_schema("it_sequences_others").await.unwrap();
        let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 300ms").start().await;
        let login = proxy.login().schema("it_sequences_others");
        let (mut a, mut b) = (login.connect().await, login.connect().await);
        for text in SEQUENCES {
            a.ok(text).await;
        }
        for take in ["SELECT NEXTVAL(s)", "INSERT INTO t (a) VALUES (1)", "CALL takes()", "SELECT NEXT VALUE FOR s"] {
            a.ok(take).await;
            assert_eq!(b.value("SELECT LASTVAL(s)").await, "NULL", "{take}");
            b.command(RESET).await;
            assert_eq!(b.value("SELECT PREVIOUS VALUE FOR s").await, "NULL", "{take}");
            b.command(RESET).await;
        }
    }

    async fn who_has_asked_keeps_the_connection_that_knows(server) {
        if server.flavor() == Flavor::MySql {
            return;
        }
        let name = "it_sequences_own";
        server.create_schema(name).await.unwrap();
        let proxy = Setup::new(server).pool("size_max: 2, queue_timeout: 3s").start().await;
        let login = proxy.login().schema(name);
        let (mut a, b) = (login.connect().await, login.connect().await);
        for text in SEQUENCES {
            a.ok(text).await;
        }
        // Taken on a connection that others have used.
        a.ok("INSERT INTO t (a) VALUES (1)").await;
        assert_eq!(a.fails("SELECT LASTVAL(s)").await, 1235);
        a.quit().await;
        b.quit().await;
        for take in ["SELECT NEXTVAL(s)", "INSERT INTO t (a) VALUES (1)", "CALL takes()", "SELECT NEXT VALUE FOR s"] {
            let (mut c, mut d) = (login.connect().await, login.connect().await);
            c.ok(take).await;
            let own = c.value("SELECT LASTVAL(s)").await;
            d.ok(take).await;
            assert_eq!(c.value("SELECT LASTVAL(s)").await, own, "{take}");
            assert_eq!(c.value("SELECT LASTVAL(other)").await, "NULL", "{take}");
            assert_ne!(d.value("SELECT PREVIOUS VALUE FOR s").await, own, "{take}");
            d.command(RESET).await;
            assert_eq!(d.value("SELECT LASTVAL(s)").await, "NULL", "{take}");
            let (mut e, mut f) = (c, d);
            e.ok("BEGIN").await;
            e.ok("INSERT INTO t (a) VALUES (2)").await;
            e.ok("COMMIT").await;
            f.ok("SELECT 1").await;
            assert_eq!(e.value("SELECT LASTVAL(s) = MAX(id) FROM t").await, "1");
            e.quit().await;
            f.quit().await;
        }
        assert!(proxy.metric("dazzle_pins_total", "reason=\"sequence\"") > 0.0);
    }

    async fn in_every_spelling_a_session_sees_what_it_would_see_alone(server) {
        if server.flavor() == Flavor::MySql {
            return;
        }
        duet(server, "it_sequences_duet", &[
            "a CREATE SEQUENCE s",
            "b SELECT LASTVAL(s)",
            "b!1f",
            "a SELECT NEXTVAL(s), LASTVAL(s)",
            "a SELECT LASTVAL(s)",
            "a SELECT SETVAL(s, 50)",
            "a SELECT LASTVAL(s)",
            "A SELECT PREVIOUS VALUE FOR s",
            "A SELECT NEXT VALUE FOR s",
            "a SET sql_mode = 'ORACLE'",
            "a SELECT s.nextval, s.currval",
            "a SELECT s.currval",
            "a DROP SEQUENCE s",
            "a SELECT LASTVAL(s)",
            "a CREATE SEQUENCE s",
            "a SELECT LASTVAL(s)",
            "a!1f",
            "b SELECT LASTVAL(s)",
            "b SET sql_mode = 'ORACLE'",
            "b SELECT s.currval",
            "b!1f",
            "a SELECT LASTVAL(s)",
        ]).await;
    }
}
