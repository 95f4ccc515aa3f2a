//! Commands that are none, cut short, too large, or out of order, after a proper login.

use std::time::Duration;

use dazzle::lab::Flavor;
use dazzle::wire::{Capabilities, PAYLOAD_MAX, code};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::client::{Raw, Verdict};
use crate::packets::{header, mutated, packet, seeded};
use crate::proxy::{Options, Proxy, each, one};

/// A reply is over when nothing has come for this long.
const QUIET: Duration = Duration::from_millis(10);

/// COM_STMT_PREPARE; the id.
async fn prepare(client: &mut Raw, sql: &str) -> u32 {
    client.command(&[&[code::STMT_PREPARE], sql.as_bytes()].concat()).await;
    let ok = client.read().await.unwrap();
    assert_eq!(ok[0], 0, "{}", String::from_utf8_lossy(&ok));
    let definitions = u16::from_le_bytes([ok[5], ok[6]]) + u16::from_le_bytes([ok[7], ok[8]]);
    for _ in 0..definitions {
        client.read().await.unwrap();
    }
    u32::from_le_bytes([ok[1], ok[2], ok[3], ok[4]])
}

#[tokio::test]
async fn every_command_byte_is_answered_and_the_connection_kept() {
    each(Options::default, async |proxy, flavor, _| {
        let mut client = proxy.client().await;
        for byte in 0..=u8::MAX {
            let expected = match byte {
                code::QUIT => continue,
                // No reply; cut short, none either.
                code::STMT_CLOSE | code::STMT_SEND_LONG_DATA => {
                    client.command(&[byte]).await;
                    assert!(client.serves().await, "{flavor} after {byte:#04x}");
                    continue;
                }
                code::QUERY | code::STMT_PREPARE => Some(Verdict::Error(1065)),
                code::PING | code::RESET_CONNECTION => Some(Verdict::Ok),
                code::STMT_EXECUTE
                | code::STMT_RESET
                | code::STMT_FETCH
                | code::PROCESS_KILL
                | code::SET_OPTION => Some(Verdict::Error(1835)),
                // The server's affair, or an end.
                code::STATISTICS
                | code::PROCESS_INFO
                | code::DEBUG
                | code::FIELD_LIST
                | code::INIT_DB
                | code::CHANGE_USER => None,
                // MariaDB's; that it is too short weighs more than that the client did not tell of it.
                code::STMT_BULK_EXECUTE if flavor == Flavor::MariaDb => Some(Verdict::Error(1835)),
                _ => Some(Verdict::Error(1047)),
            };
            let told = client.ask_one(&[byte]).await;
            if let Some(expected) = expected {
                assert_eq!(told, expected, "{flavor} {byte:#04x}");
            }
            if !client.serves().await {
                assert_eq!(byte, code::CHANGE_USER, "{flavor} {byte:#04x} ended the connection");
                client = proxy.client().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn statement_ids_that_nobody_has_are_errors() {
    one(Options::default(), async |proxy| {
        let mut client = proxy.client().await;
        let id = 77_u32.to_le_bytes();
        let of = |byte: u8, rest: &[u8]| [&[byte], &id[..], rest].concat();
        for (command, expected) in [
            (of(code::STMT_EXECUTE, &[0, 1, 0, 0, 0]), Verdict::Error(1243)),
            (of(code::STMT_FETCH, &[1, 0, 0, 0]), Verdict::Error(1243)),
            (of(code::STMT_RESET, &[]), Verdict::Error(1243)),
            (vec![code::PROCESS_KILL, 0xFF, 0xFF, 0xFF, 0xFF], Verdict::Error(1094)),
            (vec![code::SET_OPTION, 9, 9], Verdict::Error(1047)),
            (b"\x02no_such_schema".to_vec(), Verdict::Error(1049)),
            (b"\x02".to_vec(), Verdict::Error(1046)),
            (vec![], Verdict::Error(1047)),
        ] {
            assert_eq!(client.ask(&command).await, expected, "{command:x?}");
            assert!(client.serves().await, "{command:x?}");
        }
        for silent in [of(code::STMT_CLOSE, &[]), of(code::STMT_SEND_LONG_DATA, &[0, 0, b'x'])] {
            client.command(&silent).await;
            assert!(client.serves().await, "{silent:x?}");
        }
        // A statement without a cursor has no rows to fetch.
        let id = prepare(&mut client, "SELECT 1").await.to_le_bytes();
        let fetch = [&[code::STMT_FETCH], &id[..], &[1, 0, 0, 0]].concat();
        assert_eq!(client.ask(&fetch).await, Verdict::Error(1421));
        assert!(client.serves().await);
    })
    .await;
}

/// A valid command of each kind that has a body, to be cut and mutated.
async fn bodies(client: &mut Raw) -> Vec<Vec<u8>> {
    let id = prepare(client, "SELECT ?, ?, ?").await.to_le_bytes();
    let of = |byte: u8, rest: &[u8]| [&[byte], &id[..], rest].concat();
    vec![
        of(
            code::STMT_EXECUTE,
            b"\0\x01\0\0\0\0\x01\x08\0\xfd\0\x0c\0\x01\0\0\0\0\0\0\0\x02ab\x04\xe8\x07\x01\x02",
        ),
        of(code::STMT_SEND_LONG_DATA, b"\x01\0some data"),
        of(code::STMT_FETCH, &[1, 0, 0, 0]),
        of(code::STMT_RESET, &[]),
        b"\x11app\0\x08abcdefghshop\0\x2d\0mysql_native_password\0\x06\x01k\x03val".to_vec(),
        vec![code::SET_OPTION, 0, 0],
        vec![code::PROCESS_KILL, 0xFF, 0xFF, 0xFF, 0x7F],
        b"\x04user\0%".to_vec(),
        b"\x02information_schema".to_vec(),
        b"\x16SELECT ? + 1".to_vec(),
        b"\x03SET @a = 1, time_zone = '+01:00'".to_vec(),
    ]
}

/// Sends `command`, which may have no reply, and a ping: the connection serves or has been closed.
async fn survives(proxy: &Proxy, client: Raw, command: &[u8]) -> Raw {
    let mut client = client;
    client.command(command).await;
    client.sequence = 0;
    client.send(b"\x0e").await;
    let mut packets = 0;
    // Replies are read until nothing more comes: what a mutated command means is the server's affair.
    while packets < 100 {
        let Ok(first) = timeout(QUIET, client.stream.peek(&mut [0])).await else { return client };
        if !matches!(first, Ok(1)) || client.read().await.is_err() {
            return proxy.client().await;
        }
        packets += 1;
    }
    client
}

#[tokio::test]
async fn commands_cut_off_at_every_byte_break_nothing() {
    each(Options::default, async |proxy, _, _| {
        let mut client = proxy.client().await;
        for valid in bodies(&mut client).await {
            for end in 1..valid.len() {
                client = survives(proxy, client, &valid[..end]).await;
            }
        }
        // The replies above may have been abandoned midway: whoever comes next is served all the same.
        drop(client);
    })
    .await;
}

#[tokio::test]
async fn mutated_commands_break_nothing() {
    each(Options::default, async |proxy, _, _| {
        let mut rng = seeded();
        let wanted = Capabilities::QUERY_ATTRIBUTES;
        let mut client = proxy.client_with(wanted).await;
        let valid = bodies(&mut proxy.client().await).await;
        for n in 0..80 {
            let command = mutated(&valid[n % valid.len()], &mut rng);
            if command.first() == Some(&code::QUIT) {
                continue;
            }
            client = survives(proxy, client, &command).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_packet_above_the_limit_is_told_1153_and_costs_no_memory() {
    one(Options::default(), async |proxy| {
        for (command, length) in
            [(code::QUERY, 5 << 20), (code::PING, 5 << 20), (code::STMT_PREPARE, PAYLOAD_MAX)]
        {
            // The client writes all of it before it listens, as most do.
            let mut client = proxy.client().await;
            let mut payload = vec![b' '; length];
            payload[0] = command;
            client.command(&payload).await;
            assert_eq!(client.verdict().await, Verdict::Error(1153), "{command:#04x}");
            assert_eq!(client.sequence, 2, "{command:#04x}");
            assert_eq!(client.verdict().await, Verdict::Closed);
            // The client announces it only.
            let mut client = proxy.client().await;
            client.write(&header(length, 0)).await;
            client.write(&[command]).await;
            assert_eq!(client.verdict().await, Verdict::Error(1153), "{command:#04x}");
            drop(client);
        }
        assert!(proxy.peak_growth_kib() < 40 << 10, "{} KiB", proxy.peak_growth_kib());
    })
    .await;
}

#[tokio::test]
async fn continuation_packets_that_are_wrong_end_the_connection() {
    let options = || Options { limits: "{packet_bytes_max: 64MiB}", ..Options::default() };
    one(options(), async |proxy| {
        let mut full = header(PAYLOAD_MAX, 0);
        full.extend_from_slice(b"\x03SELECT 1 /*");
        full.resize(PAYLOAD_MAX + 4, b' ');
        for (next, expected) in [
            (packet(5, b"*/"), Verdict::Error(1156)),
            (packet(0, b"*/"), Verdict::Error(1156)),
            (vec![], Verdict::Closed),
            (header(100, 1), Verdict::Closed),
        ] {
            let mut client = proxy.client().await;
            client.write(&full).await;
            client.write(&next).await;
            let _ = client.stream.shutdown().await;
            assert_eq!(client.last_words().await, expected, "{next:x?}");
        }
        let mut client = proxy.client().await;
        client.write(&full).await;
        client.write(&packet(1, b"*/")).await;
        assert_eq!(client.reply().await, Verdict::Rows);
        assert!(client.serves().await);
    })
    .await;
}

#[tokio::test]
async fn a_command_out_of_order_is_told_1156() {
    each(Options::default, async |proxy, flavor, _| {
        for sequence in [1, 2, 255] {
            let mut client = proxy.client().await;
            client.write(&packet(sequence, b"\x03SELECT 1")).await;
            assert_eq!(client.last_words().await, Verdict::Error(1156), "{flavor} {sequence}");
        }
    })
    .await;
}
