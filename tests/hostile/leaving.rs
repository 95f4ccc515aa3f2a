//! Clients that disappear, fall silent or shut half of their connection, at every point of an exchange.

use std::time::Duration;

use dazzle::wire::{Capabilities, code};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use crate::client::{Raw, Verdict, WITHIN};
use crate::packets::{header, packet};
use crate::proxy::{Options, each, one};

/// How a client goes.
#[derive(Clone, Copy, Debug)]
enum Exit {
    /// It closes its socket.
    Fin,
    /// It closes it so that the peer gets a reset.
    Reset,
}

fn leave(client: Raw, exit: Exit) {
    if matches!(exit, Exit::Reset) {
        client.stream.set_zero_linger().unwrap();
    }
    drop(client);
}

const LARGE: &[u8] = b"\x03SELECT REPEAT('x', 60000) FROM information_schema.COLLATIONS";

#[tokio::test]
async fn a_client_that_disappears_at_any_point_leaves_nothing_behind() {
    each(Options::default, async |proxy, flavor, server| {
        let schema = format!("hostile_{}", std::process::id());
        server.create_schema(&schema).await.unwrap();
        server.execute(&[&*format!("CREATE TABLE {schema}.t (a TEXT)")]).await.unwrap();
        let load = format!("\x03LOAD DATA LOCAL INFILE '/x' INTO TABLE {schema}.t");
        for exit in [Exit::Fin, Exit::Reset] {
            let started = Instant::now();
            // In the middle of a command's header, and of its payload, small and large.
            for bytes in [&b"\x05\0"[..], b"\x20\0\0\0\x03SELECT", b"\0\0\x20\0\x03SELECT 1 /*"] {
                let mut client = proxy.client().await;
                client.write(bytes).await;
                leave(client, exit);
            }
            // While the statement runs, before and in the middle of its reply.
            for command in [&b"\x03SELECT SLEEP(30)"[..], LARGE, b"\x03BEGIN", b"\x03SELECT 1"] {
                let mut client = proxy.client().await;
                client.command(command).await;
                if command == LARGE {
                    client.read().await.unwrap();
                }
                leave(client, exit);
            }
            // In the middle of a file.
            for bytes in [&b""[..], b"\x09\0\0", b"\x09\0\0\x02some"] {
                let mut client = proxy.client_with(Capabilities::LOCAL_FILES).await;
                client.command(load.as_bytes()).await;
                let request = client.read().await.unwrap();
                assert_eq!(request[0], 0xFB, "{flavor} {}", String::from_utf8_lossy(&request));
                client.write(bytes).await;
                leave(client, exit);
            }
            // In the middle of long data.
            let mut client = proxy.client().await;
            client.command(b"\x16SELECT ?").await;
            let id = client.read().await.unwrap()[1..5].to_vec();
            client
                .write(&[&header(9_000, 0)[..], &[code::STMT_SEND_LONG_DATA], &id, b"\0\0half"].concat())
                .await;
            leave(client, exit);
            // All of them had the four connections that there are.
            let mut next = proxy.client().await;
            assert_eq!(next.ask(b"\x03SELECT 1").await, Verdict::Rows);
            assert!(started.elapsed() < WITHIN, "{flavor} {exit:?}: {:?}", started.elapsed());
        }
        server.execute(&[&*format!("DROP DATABASE {schema}")]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_client_that_stopped_writing_is_treated_as_the_server_treats_it() {
    each(Options::default, async |proxy, flavor, server| {
        server.create_account(&dazzle::lab::Account::new(flavor, "half", "secret")).await.unwrap();
        for (address, user) in [(server.address(), "half"), (proxy.address(), "app")] {
            let raw = Raw::connect(address).await;
            let mut client = raw.log_in(user, "secret", None, Capabilities::NONE).await.ok().unwrap();
            client.command(b"\x03SELECT 1").await;
            client.stream.shutdown().await.unwrap();
            assert_eq!(client.reply().await, Verdict::Rows, "{flavor} {user}");
            // MySQL adds that it could not read the next command.
            let end = client.last_words().await;
            assert!(matches!(end, Verdict::Closed | Verdict::Error(1158)), "{flavor} {user}: {end:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_drips_its_command_is_closed() {
    one(Options::default(), async |proxy| {
        let mut client = proxy.client().await;
        // Each byte is in time; one that is not ends it.
        for byte in packet(0, b"\x03SELECT 1") {
            client.write(&[byte]).await;
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(client.reply().await, Verdict::Rows);
        let started = Instant::now();
        client.write(b"\x10\0\0\0\x03SEL").await;
        client.last_words().await;
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
        // Nor does it hold a place for ever by dripping.
        let mut client = proxy.client().await;
        let started = Instant::now();
        let mut bytes = header(4_000, 0);
        bytes.extend_from_slice(&[3; 4_000]);
        for byte in bytes {
            if client.stream.write_all(&[byte]).await.is_err() {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(12), "it is still listening");
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_reply_is_closed() {
    let options = Options { timeouts: "{login: 2s, read: 1s, idle: 20s, write: 1s}", ..Options::default() };
    one(options, async |proxy| {
        let mut stuck = Vec::new();
        for _ in 0..4 {
            let mut client = proxy.client().await;
            client.command(b"\x03SELECT REPEAT('x', 1000000) FROM information_schema.COLLATIONS").await;
            stuck.push(client);
        }
        // All connections are theirs, until they are closed for not reading.
        let mut next = proxy.client().await;
        let mut verdict = next.ask(b"\x03SELECT 1").await;
        // On a busy machine it takes the server longer than the queue's deadline to fill their sockets.
        for _ in 0..4 {
            if verdict == Verdict::Error(1203) {
                verdict = next.ask(b"\x03SELECT 1").await;
            }
        }
        assert_eq!(verdict, Verdict::Rows);
        assert!(proxy.peak_growth_kib() < 40 << 10, "{} KiB", proxy.peak_growth_kib());
    })
    .await;
}
