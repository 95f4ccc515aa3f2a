//! Compression towards the server and towards the client, with everything that has a length.

use dazzle::lab::{Flavor, Server};
use dazzle::wire::{Capabilities, PAYLOAD_MAX};

use crate::support::{Conn, Parameter, Setup};

/// What both flavors, or MySQL alone, can do.
fn algorithms(server: &Server) -> &'static [(&'static str, Capabilities)] {
    match server.flavor() {
        Flavor::MariaDb => &[("none", Capabilities::NONE), ("zlib", Capabilities::COMPRESS)],
        Flavor::MySql => {
            &[("none", Capabilities::NONE), ("zlib", Capabilities::COMPRESS), ("zstd", Capabilities::ZSTD)]
        }
    }
}

/// Text that hardly compresses: digits of a generator.
fn noise(bytes: usize) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("{state:016x}"));
    }
    text.truncate(bytes);
    text
}

/// Statements and results of every length that matters, and several results at once.
async fn converse(conn: &mut Conn, large: &[usize]) {
    for bytes in [10, 50, 64 << 10, (64 << 10) + 1, 300_000].iter().chain(large) {
        let bytes = *bytes;
        let text = noise(bytes);
        assert!(conn.value(&format!("SELECT '{text}'")).await == text, "{bytes} bytes there and back");
    }
    let long = noise(70_000);
    let reply = conn.ok(&format!("SELECT 1; DO 0; SELECT '{long}' UNION ALL SELECT 'b'; SELECT 2")).await;
    assert_eq!(reply.parts.len(), 4, "{reply:?}");
    assert_eq!(conn.query("SELECT 1; SELECT nothing; SELECT 2").await.error(), Some(1054));
    let id = conn.prepare("SELECT ?, REPEAT('r', 200000)").await.unwrap();
    for bytes in [1, 100_000] {
        let reply = conn.execute(id, &[Parameter::text(noise(bytes).as_bytes())]).await;
        assert_eq!(reply.error(), None, "{reply:?}");
        assert!(reply.packets.iter().any(|packet| packet.len() > bytes + 200_000), "a row of {bytes}");
    }
    assert_eq!(conn.value("SELECT 'alive'").await, "alive");
}

both! {
    async fn sessions_that_differ_take_turns_on_one_connection(server) {
        server.create_schema("it_compressed").await.unwrap();
        for (name, _) in algorithms(server) {
            let proxy = Setup::new(server)
                .cluster(&format!("compression: {name}"))
                .pool("size_max: 1, queue_timeout: 5s")
                .start()
                .await;
            let mut here = proxy.login().schema("it_compressed").connect().await;
            let mut there = proxy.login().schema("mysql").connect().await;
            here.ok("SET time_zone = '+01:00'").await;
            here.ok("SET @a = 5").await;
            there.ok("SET time_zone = '+02:00', sql_mode = ''").await;
            for _ in 0..3 {
                assert_eq!(here.value("SELECT CONCAT(DATABASE(), @@time_zone, @a)").await, "it_compressed+01:005");
                assert_eq!(there.value("SELECT CONCAT(DATABASE(), @@time_zone)").await, "mysql+02:00");
            }
            here.ok("CREATE TEMPORARY TABLE t (a INT)").await;
            here.command(&[0x1F]).await;
            assert_eq!(there.value("SELECT @@time_zone").await, "+02:00");
        }
    }

    async fn every_length_and_several_results(server) {
        for (name, _) in algorithms(server) {
            let proxy = Setup::new(server)
                .cluster(&format!("compression: {name}"))
                .top("limits: {packet_bytes_max: 64MiB}")
                .start()
                .await;
            // The first login tells it which server it stands for.
            proxy.connect().await.quit().await;
            for (both, client) in algorithms(server) {
                eprintln!("{name} towards the server, {both} towards the client");
                // Packets beyond 16 MiB take a debug build some time: once for each algorithm, on both sides.
                let large = if both == name { &[PAYLOAD_MAX + 5][..] } else { &[] };
                converse(&mut proxy.login().with(*client).connect().await, large).await;
            }
        }
    }
}
