//! Commands other than statements.

use dazzle::wire::{Capabilities, code, frame};

use crate::support::{Conn, Login, PASSWORD, Reply, USER, compare, compare_with};

/// COM_CHANGE_USER of the usual account with `password`; whether it was accepted.
async fn change_user(conn: &mut Conn, password: &str, schema: Option<&str>) -> Result<(), u16> {
    let outcome = conn.change_user(USER, password, schema).await.map_err(|error| error.code());
    conn.note(&format!("CHANGE USER {outcome:?}"), &Reply::default());
    outcome
}

both! {
    async fn schemas_pings_and_options(server) {
        compare(server, "it_commands", async |conn| {
            for payload in [
                &[code::PING][..],
                b"\x02mysql",
                b"\x02it_commands",
                &[code::SET_OPTION, 1, 0],
            ] {
                conn.command(payload).await;
            }
            conn.query("SELECT DATABASE()").await;
            conn.query("SELECT 1; SELECT 2").await;
            // Clears the diagnostics, whose count a server puts into any EOF.
            conn.query("SELECT 1").await;
            conn.command(&[code::SET_OPTION, 0, 0]).await;
            conn.query("SELECT 1; SELECT 2").await;
            conn.command(b"\x02nowhere").await;
            conn.command(b"\x02").await;
            conn.query("SELECT 'alive'").await;
        }).await;
    }

    async fn unknown_commands_are_1047_and_the_session_goes_on(server) {
        let proxy = crate::support::proxy(server).await;
        let mut conn = proxy.connect().await;
        for command in [0x00, 0x05, 0x06, 0x0B, 0x0F, 0x10, 0x12, 0x13, 0x14, 0x15, 0x1D, 0x1E, 0x30, 0x7F, 0xFF] {
            let reply = conn.command(&[command, b'x']).await;
            assert_eq!(reply.error(), Some(1047), "{command:#04x}: {reply:?}");
        }
        assert_eq!(conn.value("SELECT 'alive'").await, "alive");
    }

    async fn a_table_s_fields(server) {
        for flags in [Capabilities::NONE, Capabilities::DEPRECATE_EOF] {
            compare_with(server, "it_fields", |login| login.without(flags), async |conn| {
                conn.ok("CREATE TABLE t (a INT NOT NULL DEFAULT 5, b VARCHAR(20), abc DATE)").await;
                for payload in [&b"\x04t\0"[..], b"\x04t\0a%", b"\x04t\0zzz", b"\x04nowhere\0"] {
                    conn.send(payload).await;
                    let mut reply = Reply::default();
                    conn.rows(&[], &mut reply).await.unwrap();
                    conn.note(&format!("FIELDS {}", payload.escape_ascii()), &reply);
                }
                conn.query("SELECT 'alive'").await;
            }).await;
        }
    }

    async fn statistics_are_a_text(server) {
        let proxy = crate::support::proxy(server).await;
        let mut conn = proxy.connect().await;
        conn.send(&[code::STATISTICS]).await;
        let text = conn.packet().await;
        assert!(text.starts_with(b"Uptime: "), "{}", text.escape_ascii());
        conn.ok("SELECT 1").await;
    }

    async fn a_reset_forgets_the_session(server) {
        compare(server, "it_reset", async |conn| {
            conn.ok("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT)").await;
            let id = conn.prepare("SELECT 5").await.unwrap();
            conn.ok("SET @a = 1, sql_mode = 'ANSI', time_zone = '+05:00', autocommit = 0").await;
            conn.ok("SET NAMES latin1").await;
            conn.ok("CREATE TEMPORARY TABLE tt (a INT)").await;
            conn.ok("INSERT INTO t VALUES ()").await;
            conn.command(&[code::RESET_CONNECTION]).await;
            for sql in [
                "SELECT @a, @@sql_mode, @@time_zone, @@autocommit, @@character_set_client, DATABASE()",
                "SELECT @@collation_connection, @@character_set_results, SHA2('a', 256)",
                "SELECT LAST_INSERT_ID()",
                "SELECT * FROM tt",
                "SELECT COUNT(*) FROM t",
            ] {
                conn.query(sql).await;
            }
            assert_eq!(conn.execute(id, &[]).await.error(), Some(1243));
            // Its text names the id, which is each side's own.
            conn.log.pop();
            conn.query("SELECT 'alive'").await;
        }).await;
    }

    async fn a_reset_of_a_latin1_client(server) {
        let client = |login: Login| Login { collation: 8, ..login };
        compare_with(server, "it_reset_latin1", client, async |conn| {
            let charsets = "SELECT @@character_set_client, @@collation_connection, @@character_set_results, 'x'";
            conn.query(charsets).await;
            conn.ok("SET NAMES utf8mb4 COLLATE utf8mb4_bin").await;
            conn.query(charsets).await;
            conn.command(&[code::RESET_CONNECTION]).await;
            conn.query(charsets).await;
            conn.ok("SET @a = 1").await;
            conn.query(charsets).await;
        }).await;
    }

    async fn commands_sent_ahead_are_answered_in_order(server) {
        compare(server, "it_ahead", async |conn| {
            let mut bytes = Vec::new();
            let payloads = [conn.query_payload("SELECT 1"), conn.query_payload("SELEC"), vec![code::PING]];
            for payload in &payloads {
                frame(&mut bytes, 0, payload);
            }
            conn.stream.reset_sequence();
            conn.stream.write_all(&bytes).await.unwrap();
            for (n, _) in payloads.iter().enumerate() {
                conn.stream.expect_reply();
                let reply = conn.reply().await;
                conn.note(&format!("command {n}"), &reply);
            }
        }).await;
    }

    async fn after_an_error_every_command_tells_whether_a_transaction_is_open(server) {
        compare(server, "it_doubt", async |conn| {
            conn.ok("CREATE TABLE t (a INT PRIMARY KEY)").await;
            let id = conn.prepare("SELECT 1").await.unwrap();
            conn.ok("SET autocommit = 0").await;
            for command in [&[code::PING][..], b"\x02it_doubt", &[code::SET_OPTION, 0, 0]] {
                conn.query("INSERT INTO t VALUES (1), (1)").await;
                conn.command(command).await;
                conn.query("ROLLBACK").await;
            }
            conn.query("INSERT INTO t VALUES (1), (1)").await;
            conn.reset_statement(id).await;
            conn.query("ROLLBACK").await;
            conn.command(&[code::PING]).await;
        }).await;
    }

    async fn the_user_changes(server) {
        compare(server, "it_change", async |conn| {
            conn.ok("SET @a = 1, sql_mode = 'ANSI'").await;
            assert_eq!(change_user(conn, PASSWORD, Some("it_change")).await, Ok(()));
            conn.query("SELECT @a, @@sql_mode, DATABASE(), CURRENT_USER()").await;
            assert_eq!(change_user(conn, PASSWORD, None).await, Ok(()));
            conn.query("SELECT DATABASE()").await;
            conn.query("SELECT * FROM t").await;
            assert_eq!(change_user(conn, "wrong", None).await, Err(1045));
            let ended = conn.query_or_end("SELECT 1").await.is_none();
            let told = Reply { packets: vec![vec![u8::from(ended)]], ..Reply::default() };
            conn.note(&format!("ended: {ended}"), &told);
            if !ended {
                conn.query("SELECT @a, @@sql_mode, DATABASE(), CURRENT_USER()").await;
                conn.query("SELECT 'alive'").await;
            }
        }).await;
    }

    async fn passwords_are_not_tried_by_changing_the_user(server) {
        compare(server, "it_changes", async |conn| {
            conn.ok("SET @a = 1").await;
            for password in ["wrong", "wrong", PASSWORD, "wrong", "wrong", PASSWORD] {
                if change_user(conn, password, None).await == Err(1045) && conn.query_or_end("SELECT @a").await.is_none() {
                    return;
                }
                conn.query("SELECT @a, CURRENT_USER()").await;
                conn.query("SET @a = 2").await;
            }
        }).await;
    }
}
