//! The same story for clients of every kind: old and new capabilities, compression, TLS, unix sockets.

use dazzle::lab::Flavor;
use dazzle::wire::{Capabilities, StatusFlags, Writer, code};

use crate::support::{At, Conn, Login, PASSWORD, Parameter, USER, compare_with, proxy};

/// A bit of everything.
async fn script(conn: &mut Conn) {
    for sql in [
        "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b TEXT)",
        "INSERT INTO t (a, b) VALUES (1, 'x'), (2, REPEAT('y', 100000)), (3, NULL)",
        "UPDATE t SET a = 1 WHERE a = 1",
        "UPDATE t SET a = 5 WHERE a < 3",
        "SELECT * FROM t",
        "SELECT * FROM t WHERE a = 99",
        "SELECT * FROM nowhere",
        "SET time_zone = '+01:00'",
        "USE mysql",
        "SET NAMES latin1",
        "SELECT 'a', DATABASE()",
        "SET autocommit = 0",
        "SELECT 1",
        "SET autocommit = 1",
        "SELECT 1/0",
        "SHOW WARNINGS",
        "CREATE PROCEDURE it_clients.p() BEGIN SELECT 1; SELECT 2; END",
        "CALL it_clients.p()",
        "DROP PROCEDURE it_clients.p",
    ] {
        conn.query(sql).await;
    }
    let id = conn.prepare("SELECT *, ? FROM it_clients.t").await.unwrap();
    conn.execute(id, &[Parameter::int(3)]).await;
    conn.execute_with(id, 1, &[Parameter::int(3)], true).await;
    conn.fetch(id, 5).await;
}

both! {
    async fn of_every_kind(server) {
        type Client = (&'static str, fn(Login) -> Login);
        let both: [Client; 11] = [
            ("without DEPRECATE_EOF", |login| login.without(Capabilities::DEPRECATE_EOF)),
            ("without SESSION_TRACK", |login| login.without(Capabilities::SESSION_TRACK)),
            ("of long ago", |login| {
                login.without(
                    Capabilities::DEPRECATE_EOF
                        | Capabilities::SESSION_TRACK
                        | Capabilities::CONNECT_ATTRS
                        | Capabilities::PLUGIN_AUTH_LENENC,
                )
            }),
            ("without MULTI_STATEMENTS", |login| login.without(Capabilities::MULTI_STATEMENTS)),
            ("FOUND_ROWS", |login| login.with(Capabilities::FOUND_ROWS)),
            ("IGNORE_SPACE", |login| login.with(Capabilities::IGNORE_SPACE)),
            ("zlib", |login| login.with(Capabilities::COMPRESS)),
            ("TLS", Login::tls),
            ("zlib over TLS", |login| login.with(Capabilities::COMPRESS).tls()),
            ("unix", |login| Login { at: At::Unix("".into()), ..login }),
            ("latin1", |login| Login { collation: 8, ..login }),
        ];
        let mysql: [Client; 1] = [("zstd", |login| login.with(Capabilities::ZSTD))];
        let own = if server.flavor() == Flavor::MySql { &mysql[..] } else { &[] };
        for (name, client) in both.iter().chain(own) {
            eprintln!("{name}");
            compare_with(server, "it_clients", client, script).await;
        }
    }

    async fn that_look_for_a_bad_plan_after_the_columns_find_it_there(server) {
        let mut logs = Vec::new();
        let proxy = proxy(server).await;
        server.create_schema("it_plans").await.unwrap();
        for at in [At::Tcp(server.address().to_string()), proxy.at()] {
            let mut conn = Login::new(at).schema("it_plans").without(Capabilities::DEPRECATE_EOF).connect().await;
            conn.ok("CREATE TABLE IF NOT EXISTS plans (id INT PRIMARY KEY, a INT)").await;
            conn.ok("REPLACE INTO plans VALUES (1, 2), (2, 3)").await;
            let plan = StatusFlags::NO_INDEX.0 | StatusFlags::NO_GOOD_INDEX.0;
            let mut flags = Vec::new();
            let id = conn.prepare("SELECT id FROM plans WHERE a = 2").await.unwrap();
            let replies = [
                conn.query("SELECT id FROM plans WHERE a = 2").await,
                conn.query("SELECT a FROM plans WHERE id = 2").await,
                conn.query("SELECT 1").await,
                conn.execute(id, &[]).await,
            ];
            for reply in replies {
                let ends = reply.packets.iter().filter(|packet| packet.first() == Some(&0xFE));
                flags.extend(ends.map(|eof| u16::from_le_bytes([eof[3], eof[4]]) & plan));
            }
            logs.push(flags);
        }
        assert_eq!(logs[0], logs[1]);
        assert_eq!(logs[0].len(), 8);
        assert!(logs[0][0] != 0 && logs[0][2] == 0, "{:?}", logs[0]);
    }

    async fn ignored_spaces(server) {
        let client = |login: Login| login.with(Capabilities::IGNORE_SPACE);
        compare_with(server, "it_spaces", client, async |conn| {
            conn.query("SELECT COUNT (*) FROM (SELECT 1) d").await;
            conn.query("SELECT @@sql_mode LIKE '%IGNORE_SPACE%'").await;
            conn.command(&[code::RESET_CONNECTION]).await;
            conn.query("SELECT @@sql_mode LIKE '%IGNORE_SPACE%'").await;
            conn.query("SELECT COUNT (*) FROM (SELECT 1) d").await;
            conn.change_user(USER, PASSWORD, Some("it_spaces")).await.unwrap();
            conn.query("SELECT @@sql_mode LIKE '%IGNORE_SPACE%'").await;
            conn.query("SELECT COUNT (*) FROM (SELECT 1) d").await;
        }).await;
    }

    async fn types_without_a_number_of_their_own(server) {
        if server.flavor() == Flavor::MySql {
            return;
        }
        // The greeting says what servers can do that have been reached.
        proxy(server).await;
        let client = |login: Login| {
            login.without(Capabilities::CLIENT_MYSQL).with(Capabilities::MARIADB_EXTENDED_METADATA)
        };
        compare_with(server, "it_extended", client, async |conn| {
            conn.ok("CREATE TABLE t (a JSON, b INET6, c UUID, d POINT, e INT, f TEXT)").await;
            conn.ok("INSERT INTO t VALUES ('{\"a\": 1}', '::1', UUID(), POINT(1, 2), 3, 'x')").await;
            conn.query("SELECT a, b, d, e, f, JSON_OBJECT('a', 1) FROM t").await;
            conn.query("SET @a = 1, @b = 'x', @c = 1.5").await;
            conn.query("SELECT @a, @b, @c, LAST_INSERT_ID(), CONNECTION_ID() > 0").await;
            conn.query("SELECT CAST('1x' AS SIGNED)").await;
            conn.query("SHOW WARNINGS").await;
            for _ in 0..2 {
                let id = conn.prepare("SELECT a, b, e, ? FROM t WHERE e = ?").await.unwrap();
                conn.execute(id, &[Parameter::int(1), Parameter::int(3)]).await;
                conn.close_statement(id).await;
            }
        }).await;
        // Who does not ask for it is served by other connections.
        compare_with(server, "it_plain", |login| login, async |conn| {
            conn.ok("CREATE TABLE t (a JSON)").await;
            conn.query("SELECT a, JSON_OBJECT('a', 1) FROM t").await;
        }).await;
    }

    async fn query_attributes(server) {
        if server.flavor() == Flavor::MariaDb {
            return;
        }
        server.execute(&["INSTALL COMPONENT 'file://component_query_attributes'"]).await.unwrap();
        proxy(server).await;
        let client = |login: Login| login.with(Capabilities::QUERY_ATTRIBUTES);
        compare_with(server, "it_attributes", client, async |conn| {
            conn.query("SELECT mysql_query_attribute_string('color')").await;
            for value in [&b"red"[..], b"", b"/* not SQL */ '"] {
                let mut payload = vec![code::QUERY, 1, 1, 0, 1];
                payload.put_u16(0xFE);
                payload.put_lenenc_bytes(b"color");
                payload.put_lenenc_bytes(value);
                payload.extend_from_slice(b"SELECT mysql_query_attribute_string('color') AS c");
                conn.command(&payload).await;
            }
            let id = conn.prepare("SELECT ?, mysql_query_attribute_string('size')").await.unwrap();
            for flags in [0x08, 0x00] {
                let mut payload = vec![code::STMT_EXECUTE];
                payload.put_u32(id);
                payload.push(flags);
                payload.put_u32(1);
                let count = if flags == 0 { 1 } else { 2 };
                payload.extend_from_slice(&[count, 0, 1]);
                payload.put_u16(0x08);
                payload.put_lenenc_bytes(b"");
                if count == 2 {
                    payload.put_u16(0xFE);
                    payload.put_lenenc_bytes(b"size");
                }
                payload.put_u64(42);
                if count == 2 {
                    payload.put_lenenc_bytes(b"XL");
                }
                conn.command(&payload).await;
            }
        }).await;
    }
}
