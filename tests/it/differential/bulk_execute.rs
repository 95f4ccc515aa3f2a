//! COM_STMT_BULK_EXECUTE: one statement for many rows of parameters, on MariaDB.

use dazzle::lab::Flavor;
use dazzle::wire::{Capabilities, Writer, code};

use crate::support::{Conn, Login, Parameter, Setup, compare_with, proxy};

/// Rows of parameters; `types`: whether their types go along.
fn bulk(id: u32, rows: &[&[Parameter]], types: bool) -> Vec<u8> {
    let mut payload = vec![code::STMT_BULK_EXECUTE];
    payload.put_u32(id);
    payload.put_u16(if types { 0x80 } else { 0 });
    if types {
        rows[0].iter().for_each(|parameter| payload.put_u16(u16::from(parameter.kind)));
    }
    for parameter in rows.iter().copied().flatten() {
        payload.push(u8::from(parameter.value.is_none()));
        payload.extend_from_slice(parameter.value.as_deref().unwrap_or_default());
    }
    payload
}

fn row(n: i64, text: &str) -> [Parameter; 2] {
    [Parameter::int(n), Parameter::text(text.as_bytes())]
}

const UNSET: [Parameter; 2] = [Parameter { kind: 8, value: None }, Parameter { kind: 0xFD, value: None }];

fn able(login: Login) -> Login {
    login.without(Capabilities::CLIENT_MYSQL).with(Capabilities::MARIADB_BULK)
}

async fn script(conn: &mut Conn) {
    conn.ok("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b VARCHAR(300), UNIQUE (a))").await;
    let insert = conn.prepare("INSERT INTO t (a, b) VALUES (?, ?)").await.unwrap();
    conn.command(&bulk(insert, &[&row(1, "one"), &row(2, ""), &UNSET], true)).await;
    conn.command(&bulk(insert, &[&row(4, "four")], false)).await;
    conn.query("SELECT LAST_INSERT_ID(), ROW_COUNT()").await;
    let many: Vec<[Parameter; 2]> = (100..3_000).map(|n| row(n, &"m".repeat(200))).collect();
    let rows: Vec<&[Parameter]> = many.iter().map(|row| &row[..]).collect();
    conn.command(&bulk(insert, &rows, true)).await;
    conn.command(&bulk(insert, &[&row(5, "five"), &row(4, "again")], true)).await;
    conn.query("SHOW WARNINGS").await;
    conn.ok("BEGIN").await;
    conn.command(&bulk(insert, &[&row(6, "six")], true)).await;
    conn.ok("ROLLBACK").await;
    let update = conn.prepare("UPDATE t SET b = CONCAT(b, ?) WHERE a = ?").await.unwrap();
    conn.command(&bulk(
        update,
        &[&[Parameter::text(b"!"), Parameter::int(1)], &[Parameter::text(b"?"), Parameter::int(2)]],
        true,
    ))
    .await;
    conn.execute(insert, &row(7, "seven")).await;
    conn.command(&bulk(insert, &[&row(8, "eight")], false)).await;
    let nothing = conn.prepare("SELECT 1").await.unwrap();
    conn.command(&bulk(nothing, &[&[]], false)).await;
    let select = conn.prepare("SELECT ?").await.unwrap();
    conn.command(&bulk(select, &[&[Parameter::int(1)]], true)).await;
    conn.command(&bulk(9_999, &[&row(1, "x")], true)).await;
    conn.query("SELECT id, a, LEFT(b, 5) FROM t WHERE a < 200 OR a IS NULL ORDER BY id").await;
    conn.query("SELECT COUNT(*), SUM(LENGTH(b)) FROM t").await;
}

both! {
    async fn is_carried_as_the_server_does_it(server) {
        if server.flavor() == Flavor::MySql {
            return;
        }
        // The greeting says what servers can do that have been reached.
        proxy(server).await;
        compare_with(server, "it_bulk", able, script).await;
        let zipped = |login| able(login).with(Capabilities::COMPRESS);
        compare_with(server, "it_bulk_zip", zipped, script).await;
    }

    async fn who_did_not_offer_it_is_told_so(server) {
        for old in [Capabilities::NONE, Capabilities::CLIENT_MYSQL] {
            compare_with(server, "it_no_bulk", |login| login.without(old), async |conn| {
                let id = conn.prepare("SELECT ?").await.unwrap();
                conn.command(&bulk(id, &[&[Parameter::int(1)]], true)).await;
                conn.ok("SELECT 1").await;
                conn.command(&bulk(77, &[&[Parameter::int(1)]], true)).await;
                conn.command(&[code::STMT_BULK_EXECUTE, 1, 0, 0]).await;
                conn.command(&[code::STMT_BULK_EXECUTE]).await;
                conn.ok("SELECT 2").await;
            }).await;
        }
    }

    async fn types_go_along_to_another_connection(server) {
        if server.flavor() == Flavor::MySql {
            return;
        }
        server.create_schema("it_bulk_moves").await.unwrap();
        let proxy = Setup::new(server).pool("size_max: 4").start().await;
        proxy.connect().await.quit().await;
        let login = able(proxy.login().schema("it_bulk_moves"));
        let (mut a, mut b) = (login.connect().await, login.connect().await);
        a.ok("CREATE TABLE t (a INT, b TEXT)").await;
        let insert = a.prepare("INSERT INTO t VALUES (?, ?)").await.unwrap();
        a.command(&bulk(insert, &[&row(1, "one")], true)).await;
        // B takes the connection that knows the types.
        b.ok("BEGIN").await;
        b.ok("SELECT 1").await;
        let reply = a.command(&bulk(insert, &[&row(2, "two"), &row(3, "three")], false)).await;
        assert_eq!(reply.error(), None, "{reply:?}");
        b.ok("COMMIT").await;
        assert_eq!(b.value("SELECT GROUP_CONCAT(a, b ORDER BY a) FROM t").await, "1one,2two,3three");
    }
}
