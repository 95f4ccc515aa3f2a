//! Differences that random sessions have found, each by itself.

use dazzle::lab::{Flavor, Server};
use dazzle::wire::Capabilities;

use crate::support::{At, Conn, Login, Parameter, Setup, assert_same, duet};

/// Plays a story of two clients direct and through a proxy with one server connection.
async fn both_ways(
    server: &'static Server,
    schema: &str,
    client: impl Fn(Login) -> Login,
    story: impl AsyncFn(&mut Conn, &mut Conn),
) {
    let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 3s").start().await;
    let mut logs = Vec::new();
    for at in [At::Tcp(server.address().to_string()), proxy.at()] {
        eprintln!("at {at:?}");
        server.create_schema(schema).await.unwrap();
        let login = client(Login::new(at)).schema(schema);
        let (mut a, mut b) = (login.connect().await, login.connect().await);
        story(&mut a, &mut b).await;
        logs.push(a.log);
        drop(b);
    }
    assert_same(&logs[0], &logs[1]);
}

both! {
    async fn a_statement_prepared_in_another_schema_tells_that_it_came_back(server) {
        both_ways(server, "it_finds_schema", |login| login, async |a, _| {
            a.ok("CREATE TABLE t (a INT PRIMARY KEY)").await;
            let insert = a.prepare("INSERT INTO t VALUES (?)").await.unwrap();
            a.ok("USE mysql").await;
            a.execute(insert, &[Parameter::int(1)]).await;
            // It fails; that the schema was left is told with the next OK that has something to tell.
            a.execute(insert, &[Parameter::int(1)]).await;
            a.query("SHOW WARNINGS").await;
            a.query("SELECT 1").await;
            a.query("SET autocommit = 1").await;
            a.query("SET autocommit = 1").await;
            a.execute(insert, &[Parameter::int(1)]).await;
            a.query("USE mysql").await;
            a.ok("PREPARE q FROM 'SELECT 5'").await;
            a.query("USE it_finds_schema").await;
            a.query("EXECUTE q").await;
        }).await;
    }

    async fn a_routine_that_fails_in_another_schema_leaves_nobody_there(server) {
        both_ways(server, "it_finds_failing", |login| login, async |a, _| {
            a.ok("CREATE PROCEDURE fails(n INT) BEGIN SELECT n; SIGNAL SQLSTATE '45000'; END").await;
            let call = a.prepare("CALL fails(?)").await.unwrap();
            a.ok("USE mysql").await;
            a.execute(call, &[Parameter::int(1)]).await;
            a.query("SELECT DATABASE()").await;
            a.query("CALL it_finds_failing.fails(2)").await;
            a.query("SELECT DATABASE()").await;
            a.query("USE it_finds_failing; SELECT nothing").await;
            a.query("SELECT DATABASE()").await;
        }).await;
    }

    async fn what_was_prepared_outside_of_any_schema_tells_so_as_well(server) {
        let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 3s").start().await;
        let mut logs = Vec::new();
        for at in [At::Tcp(server.address().to_string()), proxy.at()] {
            server.create_schema("it_finds_outside").await.unwrap();
            let (mut a, mut b) = (Login::new(at.clone()).connect().await, Login::new(at).connect().await);
            let set = a.prepare("SET time_zone = '+01:00'").await.unwrap();
            b.ok("USE it_finds_outside").await;
            a.command(b"\x02it_finds_outside").await;
            a.execute(set, &[]).await;
            a.ok("BEGIN").await;
            a.execute(set, &[]).await;
            a.ok("COMMIT").await;
            b.ok("SELECT 1").await;
            a.execute(set, &[]).await;
            logs.push(a.log);
        }
        assert_same(&logs[0], &logs[1]);
    }

    async fn a_prepared_use_moves_only_who_is_where_it_was_prepared(server) {
        if server.flavor() == Flavor::MySql {
            return;
        }
        both_ways(server, "it_finds_use", |login| login, async |a, b| {
            let enter = a.prepare("USE it_finds_use").await.unwrap();
            for schema in ["mysql", "information_schema", "it_finds_use"] {
                a.ok(&format!("USE {schema}")).await;
                a.execute(enter, &[]).await;
                a.query("SELECT DATABASE()").await;
                a.execute(enter, &[]).await;
                b.ok("SELECT 1").await;
                a.query("SELECT DATABASE()").await;
                a.query("SET autocommit = 1").await;
            }
        }).await;
    }

    async fn a_use_that_was_prepared_outside_of_any_schema_moves_nobody(server) {
        if server.flavor() == Flavor::MySql {
            return;
        }
        let proxy = Setup::new(server).start().await;
        for at in [At::Tcp(server.address().to_string()), proxy.at()] {
            server.create_schema("it_finds_nowhere").await.unwrap();
            let direct = matches!(&at, At::Tcp(address) if *address == server.address().to_string());
            let mut conn = Login::new(at).connect().await;
            let enter = conn.prepare("USE it_finds_nowhere").await.unwrap();
            conn.execute(enter, &[]).await;
            assert_eq!(conn.value("SELECT DATABASE()").await, "it_finds_nowhere");
            conn.ok("USE mysql").await;
            let reply = conn.execute(enter, &[]).await;
            assert_eq!(reply.error(), (!direct).then_some(1235), "{reply:?}");
            assert_eq!(conn.value("SELECT DATABASE()").await, "mysql");
        }
    }

    async fn a_transaction_that_an_error_hides_is_not_lost(server) {
        // Of its transaction MySQL tells unasked, be it to the proxy.
        let client = |login: Login| login.without(Capabilities::SESSION_TRACK);
        both_ways(server, "it_finds_hidden", client, async |a, _| {
            a.ok("CREATE TABLE t (a INT PRIMARY KEY)").await;
            a.ok("CREATE PROCEDURE opens() BEGIN START TRANSACTION; INSERT INTO t VALUES (1); INSERT INTO t VALUES (1); END").await;
            a.query("CALL opens()").await;
            let id = a.prepare("SELECT 1").await.unwrap();
            a.reset_statement(id).await;
            a.query("SELECT COUNT(*) FROM t").await;
            a.ok("ROLLBACK").await;
            a.query("SELECT COUNT(*) FROM t").await;
            a.query("CALL opens()").await;
            // Refused without a server.
            a.query("KILL 4000000000").await;
            a.query("SELECT COUNT(*) FROM t").await;
            a.ok("ROLLBACK").await;
            a.query("SELECT COUNT(*) FROM t").await;
        }).await;
    }

    async fn a_schema_that_is_not_entered_adds_its_error_to_what_was_there(server) {
        if server.flavor() == Flavor::MariaDb {
            return;
        }
        both_ways(server, "it_finds_entering", |login| login, async |a, b| {
            a.query("SELECT CAST('1x' AS SIGNED), CAST('2x' AS SIGNED)").await;
            a.command(b"\x02nowhere").await;
            a.command(b"\x02it_finds_entering").await;
            a.query("SHOW WARNINGS").await;
            a.query("SELECT 1 FROM (SELECT 1) d").await;
            b.query("SELECT CAST('1x' AS SIGNED), CAST('2x' AS SIGNED), CAST('3x' AS SIGNED)").await;
            b.ok("SELECT 1").await;
            a.command(b"\x02nowhere").await;
            a.command(b"\x02it_finds_entering").await;
            a.query("SHOW WARNINGS").await;
        }).await;
    }

    async fn an_execution_without_a_cursor_is_not_that_of_somebody_with_one(server) {
        let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 3s").start().await;
        server.create_schema("it_finds_cursor").await.unwrap();
        let login = proxy.login().schema("it_finds_cursor").without(Capabilities::DEPRECATE_EOF);
        let (mut a, mut b) = (login.connect().await, login.connect().await);
        a.ok("CREATE TABLE t (id INT PRIMARY KEY, v INT)").await;
        a.ok("INSERT INTO t VALUES (1, 1), (2, 2)").await;
        let text = "SELECT id, v FROM t WHERE id > ? ORDER BY id";
        let (with, without) = (a.prepare(text).await.unwrap(), b.prepare(text).await.unwrap());
        for _ in 0..3 {
            a.execute_with(with, 1, &[Parameter::int(0)], true).await;
            assert_eq!(a.fetch(with, 5).await.packets.len(), 3);
            for (value, rows) in [(Parameter::null(), 0), (Parameter::int(1), 1)] {
                let reply = b.execute(without, &[value]).await;
                // The count, two columns, an EOF, the rows and an EOF.
                assert_eq!(reply.packets.len(), 5 + rows, "{reply:?}");
            }
        }
    }

    async fn the_ok_of_a_kill_tells_what_is_still_to_be_told(server) {
        both_ways(server, "it_finds_kill", |login| login, async |a, b| {
            a.ok("CREATE PROCEDURE fails() BEGIN SELECT 1; SIGNAL SQLSTATE '45000'; END").await;
            for _ in 0..2 {
                a.ok("USE mysql").await;
                a.query("CALL it_finds_kill.fails()").await;
                a.query(&format!("KILL QUERY {}", b.greeting.connection_id)).await;
                a.query("SELECT DATABASE()").await;
                a.query("CALL it_finds_kill.fails()").await;
                // COM_PING, COM_SET_OPTION, COM_INIT_DB.
                a.command(&[0x0E]).await;
                a.query("CALL it_finds_kill.fails()").await;
                a.command(&[0x1B, 0, 0]).await;
                a.query("CALL it_finds_kill.fails()").await;
                a.command(b"\x02it_finds_kill").await;
            }
        }).await;
    }

    async fn an_empty_procedure_counts_no_rows(server) {
        duet(server, "it_finds_empty", &[
            "a CREATE PROCEDURE nothing() BEGIN END",
            "a CREATE TABLE t (a INT)",
            "a INSERT INTO t VALUES (1), (2)",
            "a CALL nothing()",
            "a SELECT ROW_COUNT()",
            "a INSERT INTO t VALUES (3), (4)",
            "a CALL nothing()",
            "b DO 1",
            "a SELECT ROW_COUNT()",
            "a SELECT 1",
            "A CALL nothing()",
            "a SELECT ROW_COUNT()",
            "a SET @a = 1",
            "a CALL nothing()",
            "b SELECT 2",
            "A SELECT ROW_COUNT()",
        ]).await;
    }

    async fn warnings_after_a_schema_that_was_not_entered_and_one_that_was(server) {
        duet(server, "it_finds_entered", &[
            "a SELECT CAST('1x' AS SIGNED), CAST('2x' AS SIGNED)",
            "a!026e6f7768657265",
            "a!0269745f66696e64735f656e7465726564",
            "a SHOW WARNINGS",
            "a SELECT @@warning_count, @@error_count",
            "a!026e6f7768657265",
            "b SELECT CAST('1x' AS SIGNED), CAST('2x' AS SIGNED)",
            "b SELECT 1 FROM (SELECT 1) d",
            "a!0269745f66696e64735f656e7465726564",
            "a SHOW WARNINGS",
            "a SHOW COUNT(*) ERRORS",
            "a!0269745f66696e64735f656e7465726564",
            "a SHOW WARNINGS",
        ]).await;
    }

    async fn names_of_schemas_are_told_only_with_what_changed_them(server) {
        duet(server, "it_finds_names", &[
            "a CREATE PROCEDURE drops() BEGIN CREATE TEMPORARY TABLE tp (a INT); DROP TEMPORARY TABLE tp; END",
            "a USE mysql",
            "b SELECT 1",
            "a USE it_finds_names",
            "a CALL drops()",
            "a CALL mysql.nothing()",
            "a CALL drops()",
            "a SET autocommit = 1",
        ]).await;
    }
}
