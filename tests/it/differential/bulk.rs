//! Packets beyond 16 MiB in both directions, and files of the client.

use std::sync::Arc;

use dazzle::wire::{Capabilities, PAYLOAD_MAX};

use crate::support::{Conn, Login, Parameter, Part, compare, compare_with, execution};

/// Values around the largest packet: below, exactly at one and at two packets, above.
fn sizes(overhead: usize) -> [usize; 3] {
    [PAYLOAD_MAX - overhead - 1, PAYLOAD_MAX - overhead, (17 << 20) + 3]
}

/// Bytes that need no escaping and differ from place to place.
fn filler(bytes: usize) -> String {
    (0..bytes).map(|n| char::from(b'a' + (n / 1_000 % 26) as u8)).collect()
}

both! {
    async fn rows_and_statements_beyond_16_mib(server) {
        compare(server, "it_large", async |conn| {
            conn.ok("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v LONGBLOB)").await;
            let (head, tail) = ("INSERT INTO t (v) VALUES ('", "')");
            // The command's own byte counts, too.
            for size in sizes(head.len() + tail.len() + 1) {
                conn.ok(&format!("{head}{}{tail}", filler(size))).await;
            }
            conn.ok("SELECT id, LENGTH(v), SHA2(v, 256) FROM t ORDER BY id").await;
            conn.ok("SELECT id, v FROM t WHERE id > 1 ORDER BY id").await;
            // A row of one value takes four bytes more than the value.
            for size in sizes(4) {
                conn.ok(&format!("SELECT REPEAT('z', {size})")).await;
            }
            conn.ok("SELECT 'alive'").await;
        }).await;
    }

    async fn executions_beyond_16_mib(server) {
        let older = Capabilities::DEPRECATE_EOF;
        compare_with(server, "it_large_ps", |login| login.without(older), async |conn| {
            conn.ok("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v LONGBLOB)").await;
            let id = conn.prepare("INSERT INTO t (v) VALUES (?)").await.unwrap();
            let overhead = execution(id, 0, &[Parameter::text(&[b'x'; 100_000])], true).len() - 100_000;
            for size in sizes(overhead) {
                let reply = conn.execute(id, &[Parameter::text(filler(size).as_bytes())]).await;
                assert_eq!(reply.error(), None, "{reply:?}");
            }
            conn.long_data(id, 0, filler(17 << 20).as_bytes()).await;
            conn.execute(id, &[Parameter::long()]).await;
            conn.ok("SELECT id, LENGTH(v), SHA2(v, 256) FROM t ORDER BY id").await;
            let id = conn.prepare("SELECT v FROM t WHERE id = 2").await.unwrap();
            conn.execute(id, &[]).await;
        }).await;
    }

    async fn large_and_compressed(server) {
        compare_with(server, "it_large_zip", |login| login.with(Capabilities::COMPRESS), async |conn| {
            conn.ok(&format!("SELECT SHA2('{}', 256)", filler(17 << 20))).await;
            conn.ok("SELECT REPEAT('compressible', 1500000)").await;
        }).await;
    }

    async fn files_of_the_client(server) {
        for flags in [Capabilities::NONE, Capabilities::DEPRECATE_EOF] {
            let client = |login: Login| login.with(Capabilities::LOCAL_FILES).without(flags);
            compare_with(server, "it_infile", client, load_files).await;
        }
    }

    async fn no_file_of_a_client_that_gives_none(server) {
        compare_with(server, "it_no_file", |login| login, refuse_files).await;
    }
}

async fn refuse_files(conn: &mut Conn) {
    conn.ok("CREATE TABLE t (a INT, b VARCHAR(20))").await;
    let reply = conn.query("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t").await;
    assert!(!reply.parts.iter().any(|part| matches!(part, Part::File(_))), "{reply:?}");
    assert_eq!(conn.value("SELECT COUNT(*) FROM t").await, "0");
}

async fn load_files(conn: &mut Conn) {
    conn.ok("CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(40))").await;
    let load = "LOAD DATA LOCAL INFILE 'a file' INTO TABLE t";
    let lines = |range: std::ops::Range<u32>| -> Arc<[u8]> {
        range.flat_map(|n| format!("{n}\tline {n}\n").into_bytes()).collect()
    };
    for file in [lines(0..10), lines(5..15), lines(100..200_000), lines(0..0)] {
        conn.file = Some(file);
        conn.query(load).await;
        conn.query("SHOW WARNINGS").await;
    }
    conn.file = Some(lines(200_000..200_010));
    conn.query(&format!("{load}; SELECT COUNT(*), SUM(a) FROM t; SELECT 2")).await;
    conn.query("LOAD DATA LOCAL INFILE 'a file' INTO TABLE nowhere").await;
    conn.query("LOAD DATA LOCAL INFILE 'a file' INTO TABLE t FIELDS TERMINATED BY '\\t' (a, nothing)").await;
    conn.query("SELECT COUNT(*), SUM(a) FROM t").await;
}
