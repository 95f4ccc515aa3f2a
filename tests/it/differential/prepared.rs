//! Prepared statements: metadata, executions, cursors, long data, errors.

use dazzle::wire::{Capabilities, StatusFlags};

use crate::support::{Conn, Parameter, Reply, compare, compare_with, execution};

/// COM_STMT_EXECUTE flag: open a read-only cursor.
const READ_ONLY: u8 = 1;

async fn table(conn: &mut Conn, rows: u32) {
    conn.ok("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b VARCHAR(100))").await;
    let values: Vec<String> = (1..=rows).map(|n| format!("({n}, 'row {n}')")).collect();
    conn.ok(&format!("INSERT INTO t (a, b) VALUES {}", values.join(","))).await;
}

async fn cursor_script(conn: &mut Conn) {
    table(conn, 10).await;
    let id = conn.prepare("SELECT id, b FROM t WHERE id > ? ORDER BY id").await.unwrap();
    for (rows, times) in [(3, 4), (100, 1), (1, 10)] {
        let reply = conn.execute_with(id, READ_ONLY, &[Parameter::int(0)], true).await;
        assert!(reply.status().has(StatusFlags::CURSOR_EXISTS), "{reply:?}");
        for _ in 0..times {
            conn.fetch(id, rows).await;
        }
        conn.fetch(id, 1).await;
    }
    // A cursor left open is closed by a reset, by the next execution, and by the end of the statement.
    conn.execute_with(id, READ_ONLY, &[Parameter::int(0)], true).await;
    conn.fetch(id, 2).await;
    conn.reset_statement(id).await;
    conn.fetch(id, 2).await;
    conn.execute_with(id, READ_ONLY, &[Parameter::int(5)], true).await;
    conn.fetch(id, 1).await;
    conn.execute_with(id, READ_ONLY, &[Parameter::int(8)], true).await;
    conn.fetch(id, 9).await;
    // A result without rows, a statement without a result, two cursors side by side.
    conn.execute_with(id, READ_ONLY, &[Parameter::int(99)], true).await;
    conn.fetch(id, 9).await;
    let update = conn.prepare("UPDATE t SET a = a + ?").await.unwrap();
    conn.execute_with(update, READ_ONLY, &[Parameter::int(1)], true).await;
    let other = conn.prepare("SELECT a FROM t ORDER BY id DESC").await.unwrap();
    conn.execute_with(id, READ_ONLY, &[Parameter::int(0)], true).await;
    conn.execute_with(other, READ_ONLY, &[], true).await;
    for _ in 0..3 {
        conn.fetch(id, 2).await;
        conn.fetch(other, 2).await;
    }
    conn.query("SELECT COUNT(*) FROM t").await;
    conn.close_statement(id).await;
    conn.fetch(other, 100).await;
    conn.query("SELECT 1").await;
}

both! {
    async fn statements_of_every_kind(server) {
        for flags in [Capabilities::NONE, Capabilities::DEPRECATE_EOF] {
            compare_with(server, "it_prepared", |login| login.without(flags), async |conn| {
                table(conn, 3).await;
                for sql in [
                    "SELECT 1",
                    "SELECT * FROM t",
                    "SHOW TABLES",
                    "SET @a = 5",
                    "DO 1",
                    "CREATE TABLE IF NOT EXISTS u (a INT)",
                    "INSERT INTO t (a) VALUES (7)",
                    "EXPLAIN SELECT * FROM t",
                    "BEGIN",
                    "COMMIT",
                ] {
                    if let Ok(id) = conn.prepare(sql).await {
                        conn.execute(id, &[]).await;
                        conn.execute(id, &[]).await;
                        conn.close_statement(id).await;
                    }
                }
                let id = conn.prepare("INSERT INTO t (a, b) VALUES (?, ?)").await.unwrap();
                conn.execute(id, &[Parameter::int(1), Parameter::text(b"one")]).await;
                // The types of the last execution are meant where none are sent.
                conn.execute_with(id, 0, &[Parameter::int(2), Parameter::text(b"two")], false).await;
                conn.execute(id, &[Parameter::null(), Parameter::null()]).await;
                let id = conn.prepare("SELECT ?, ? + 1, t.* FROM t WHERE a = ? OR b = ?").await.unwrap();
                let values = [1, 2, 3, 4].map(Parameter::int);
                conn.execute(id, &values).await;
                conn.execute_with(id, 0, &values, false).await;
            }).await;
        }
    }

    async fn show_warnings_can_be_prepared_after_the_statement_it_is_about(server) {
        compare(server, "it_prepared_warnings", async |conn| {
            conn.query("SELECT CAST('12x' AS SIGNED)").await;
            // MySQL does not prepare it.
            if let Ok(id) = conn.prepare("SHOW WARNINGS").await {
                conn.execute(id, &[]).await;
            }
        }).await;
    }

    async fn prepare_and_execute_fail_as_on_the_server(server) {
        compare(server, "it_unprepared", async |conn| {
            table(conn, 2).await;
            for sql in ["SELEC", "SELECT * FROM nowhere", "PREPARE s FROM 'SELECT 1'", "SELECT 1; SELECT 2", ""] {
                assert!(conn.prepare(sql).await.is_err(), "{sql}");
            }
            conn.query("SHOW WARNINGS").await;
            let id = conn.prepare("INSERT INTO t (id) VALUES (?)").await.unwrap();
            conn.execute(id, &[Parameter::int(1)]).await;
            conn.query("SHOW WARNINGS").await;
            conn.execute(id, &[Parameter::int(10)]).await;
            let gone = conn.prepare("SELECT * FROM t").await.unwrap();
            conn.ok("DROP TABLE t").await;
            conn.execute(gone, &[]).await;
            table(conn, 1).await;
            conn.execute(gone, &[]).await;
            conn.ok("ALTER TABLE t ADD COLUMN c INT DEFAULT 9").await;
            conn.execute(gone, &[]).await;
            conn.close_statement(gone).await;
            conn.close_statement(4_000_000).await;
            conn.command(&execution(4_000_000, 0, &[], true)).await;
            conn.query("SELECT 'alive'").await;
        }).await;
    }

    async fn to_prepare_again_does_not_end_a_transaction(server) {
        let proxy = crate::support::Setup::new(server).pool("size_max: 1").start().await;
        server.create_schema("it_again").await.unwrap();
        let mut conn = proxy.login().schema("it_again").connect().await;
        conn.ok("CREATE TABLE t (a INT)").await;
        let id = conn.prepare("INSERT INTO t VALUES (1)").await.unwrap();
        conn.ok("SET autocommit = 0").await;
        // Somebody else without a schema: the connection logs in again, and its statements are gone.
        proxy.connect().await.ok("SELECT 1").await;
        conn.ok("INSERT INTO t VALUES (2)").await;
        conn.execute(id, &[]).await;
        conn.ok("ROLLBACK").await;
        assert_eq!(conn.value("SELECT COUNT(*) FROM t").await, "0");
    }

    async fn a_server_may_refuse_to_prepare_in_a_transaction(server) {
        compare(server, "it_refused_prepare", async |conn| {
            table(conn, 1).await;
            let text = "INSERT INTO t (id) VALUES (?)";
            conn.prepare(text).await.unwrap();
            conn.ok("START TRANSACTION READ ONLY").await;
            let _ = conn.prepare(text).await;
            conn.ok("ROLLBACK").await;
            conn.prepare(text).await.unwrap();
        }).await;
    }

    async fn statements_of_one_text_do_not_share_what_waits_for_one_of_them(server) {
        compare(server, "it_same_text", async |conn| {
            table(conn, 3).await;
            let text = "SELECT id, ? FROM t ORDER BY id";
            let one = conn.prepare(text).await.unwrap();
            let other = conn.prepare(text).await.unwrap();
            conn.long_data(one, 0, b"long").await;
            conn.execute(other, &[Parameter::int(5)]).await;
            conn.execute(one, &[Parameter::long()]).await;
            conn.execute_with(one, READ_ONLY, &[Parameter::int(6)], true).await;
            conn.execute(other, &[Parameter::int(7)]).await;
            conn.fetch(one, 2).await;
            conn.execute_with(other, READ_ONLY, &[Parameter::int(8)], true).await;
            conn.fetch(other, 1).await;
            conn.fetch(one, 2).await;
            conn.close_statement(one).await;
            conn.fetch(other, 2).await;
        }).await;
    }

    async fn the_statement_prepared_last_has_no_id(server) {
        compare(server, "it_direct", async |conn| {
            table(conn, 2).await;
            let last = u32::MAX;
            conn.execute(last, &[]).await;
            conn.prepare("SELECT id FROM t WHERE id > ? ORDER BY id").await.unwrap();
            conn.execute(last, &[Parameter::int(0)]).await;
            conn.long_data(last, 0, b"1").await;
            conn.execute(last, &[Parameter::long()]).await;
            conn.reset_statement(last).await;
            conn.prepare("SELECT 5").await.unwrap();
            conn.execute(last, &[]).await;
            conn.prepare("SELEC").await.unwrap_err();
            conn.execute(last, &[]).await;
            conn.prepare("SELECT 6").await.unwrap();
            conn.close_statement(last).await;
            conn.execute(last, &[]).await;
        }).await;
    }

    async fn cursors(server) {
        compare(server, "it_cursor", cursor_script).await;
    }

    async fn cursors_of_an_older_client(server) {
        let older = Capabilities::DEPRECATE_EOF | Capabilities::SESSION_TRACK;
        compare_with(server, "it_cursor_eof", |login| login.without(older), cursor_script).await;
    }

    async fn long_data_leaves_the_diagnostics_of_the_statement_before(server) {
        compare(server, "it_long_diagnostics", async |conn| {
            let id = conn.prepare("SELECT ?").await.unwrap();
            for other in ["SELECT * FROM nowhere", "SELECT CAST('x' AS SIGNED), CAST('y' AS SIGNED)", ""] {
                conn.query(other).await;
                conn.long_data(id, 0, b"text").await;
                // COM_PING
                conn.command(&[0x0E]).await;
                conn.query("SHOW WARNINGS").await;
                conn.execute(id, &[Parameter::long()]).await;
            }
        }).await;
    }

    async fn long_data(server) {
        compare(server, "it_long", async |conn| {
            conn.ok("CREATE TABLE t (a LONGBLOB, b INT)").await;
            let id = conn.prepare("INSERT INTO t VALUES (?, ?)").await.unwrap();
            for piece in [&b"abc"[..], b"", &[0xFE; 70_000], b"xyz"] {
                conn.long_data(id, 0, piece).await;
            }
            conn.execute(id, &[Parameter::long(), Parameter::int(1)]).await;
            conn.execute(id, &[Parameter::text(b"short"), Parameter::int(2)]).await;
            conn.long_data(id, 0, b"forgotten").await;
            conn.reset_statement(id).await;
            conn.execute(id, &[Parameter::text(b"after a reset"), Parameter::int(3)]).await;
            conn.long_data(id, 0, b"kept over another statement").await;
            conn.query("SELECT 1").await;
            conn.execute(id, &[Parameter::long(), Parameter::int(4)]).await;
            conn.query("SELECT b, LENGTH(a), SHA2(a, 256) FROM t ORDER BY b").await;
            conn.long_data(4_000_000, 0, b"to nobody").await;
            conn.query("SELECT 'alive'").await;
        }).await;
    }

    async fn procedures_with_out_parameters(server) {
        for flags in [Capabilities::NONE, Capabilities::DEPRECATE_EOF] {
            compare_with(server, "it_out", |login| login.without(flags), async |conn| {
                conn.ok("CREATE PROCEDURE p(IN n INT, OUT o INT, INOUT io VARCHAR(20)) \
                         BEGIN SELECT n, io; SET o = n + 1; SET io = CONCAT(io, '!'); END").await;
                let id = conn.prepare("CALL p(?, ?, ?)").await.unwrap();
                for n in [1, 2] {
                    let reply = conn.execute(
                        id,
                        &[Parameter::int(n), Parameter::null(), Parameter::text(b"hey")],
                    ).await;
                    assert!(reply.parts.len() >= 3, "{reply:?}");
                    // The comparison leaves flags of an EOF out, and clients read these.
                    let flagged =
                        |packet: &&Vec<u8>| matches!(packet[..], [0xFE, _, _, _, flags] if flags & 0x10 != 0);
                    let count = reply.packets.iter().filter(flagged).count();
                    let told = Reply { packets: vec![vec![count as u8]], ..Reply::default() };
                    conn.note("EOF packets that flag OUT parameters", &told);
                }
            }).await;
        }
    }
}
