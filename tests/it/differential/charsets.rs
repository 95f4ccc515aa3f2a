//! Charsets in which a backslash or a quote is the second byte of a letter: wherever such a text is read, it ends where
//! the server says.

use dazzle::lab::{Flavor, Server};

use crate::support::{At, Conn, Login, Parameter, Setup, assert_same};

/// Charsets, and a letter of each whose last byte is 0x5C.
fn charsets(server: &Server) -> Vec<(&'static str, &'static [u8])> {
    let mut all: Vec<(&str, &[u8])> =
        vec![("gbk", b"\xBF\x5C"), ("sjis", b"\x83\x5C"), ("cp932", b"\x94\x5C"), ("big5", b"\xA5\x5C")];
    if server.flavor() == Flavor::MySql {
        all.push(("gb18030", b"\xBF\x5C"));
    }
    all
}

/// `text` with the letter in the place of each `#`.
fn with(letter: &[u8], text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for byte in text.bytes() {
        match byte {
            b'#' => bytes.extend_from_slice(letter),
            byte => bytes.push(byte),
        }
    }
    bytes
}

async fn query(conn: &mut Conn, text: Vec<u8>) {
    conn.command(&[&[0x03], &text[..]].concat()).await;
}

async fn execute(conn: &mut Conn, text: Vec<u8>, parameters: &[Parameter]) {
    if let Ok(id) = conn.prepare(text).await {
        conn.execute(id, parameters).await;
        conn.execute(id, parameters).await;
        conn.close_statement(id).await;
    }
}

/// What `a` does, while `b` in another charset uses the same server connection.
async fn converse(a: &mut Conn, b: &mut Conn, charset: &str, letter: &[u8]) {
    let say = |text: &str| with(letter, text);
    a.ok(&format!("SET NAMES {charset}")).await;
    for text in [
        "SELECT '#', HEX('#'), 'x#', '#x'",
        "SELECT '#' AS `#`, LAST_INSERT_ID() AS '#'",
        "SELECT '#', ROW_COUNT() AS n, '/*'",
        "SELECT '#', FOUND_ROWS() AS n -- '",
        "SELECT '#'; SELECT '#;', 2",
        "CREATE TABLE `t#` (id INT PRIMARY KEY AUTO_INCREMENT, `#` VARCHAR(20) CHARACTER SET utf8mb4)",
        "INSERT INTO `t#` (`#`) VALUES ('#'), ('##')",
        "SELECT LAST_INSERT_ID() AS id, `#` FROM `t#` WHERE `#` = '#'",
        "SELECT `#` FROM `t#` ORDER BY id",
        "SELECT '#' FROM nowhere",
        "SHOW WARNINGS",
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
        "SELECT '#', '\\', '#'",
        "SET sql_mode = 'ANSI_QUOTES'",
        "SELECT \"#\" FROM `t#` WHERE '#' = \"#\"",
        "SET sql_mode = DEFAULT",
        "DROP TABLE `t#`",
    ] {
        query(a, say(text)).await;
        b.ok("SELECT '\\'' AS other").await;
    }
    execute(a, say("SELECT '#', ? AS `#`, HEX('#')"), &[Parameter::text(letter)]).await;
    b.ok("SELECT 2").await;
    execute(a, say("SELECT '#', LAST_INSERT_ID(), ?"), &[Parameter::int(1)]).await;
    query(a, say("SELECT '#' = ?")).await;
    query(a, say("SELECT '#")).await;
    a.ok("SELECT 'alive'").await;
}

both! {
    async fn with_a_backslash_in_a_letter(server) {
        let proxy = Setup::new(server).pool("size_max: 1, queue_timeout: 3s").start().await;
        for (charset, letter) in charsets(server) {
            let mut logs = Vec::new();
            for at in [At::Tcp(server.address().to_string()), proxy.at()] {
                eprintln!("{charset} at {at:?}");
                server.create_schema("it_charsets").await.unwrap();
                let login = Login::new(at).schema("it_charsets");
                let (mut a, mut b) = (login.connect().await, login.connect().await);
                converse(&mut a, &mut b, charset, letter).await;
                logs.push(a.log);
            }
            assert_same(&logs[0], &logs[1]);
        }
    }
}
