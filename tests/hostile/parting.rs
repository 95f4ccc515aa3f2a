//! Servers that give a connection up just as it is used, or stop to read.

use std::time::Duration;

use dazzle::wire::Capabilities;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use crate::client::{Verdict, WITHIN};
use crate::packets::{header, packet};
use crate::proxy::{Options, Proxy};
use crate::server::{Fake, Script, Step, WRITE};

/// What a server says that closes an idle connection: an ERR that is no reply, with sequence id 0.
fn parting(sequence: u8) -> Vec<Step> {
    let text = b"\xff\xbf\x0f#HY000The client was disconnected by the server because of inactivity.";
    vec![Step::Write(packet(sequence, text)), Step::Close]
}

#[tokio::test]
async fn a_write_that_the_server_never_read_is_sent_again_and_any_other_is_not() {
    let fake = Fake::start().await;
    let mut proxy = Proxy::before_address(fake.address, crate::rogue::options()).await;
    let write = [b"\x03", WRITE].concat();
    for (name, steps, in_transaction, expected) in [
        ("said goodbye before", parting(0), false, Verdict::Ok),
        // The session's transaction is gone with the connection: it must not go on elsewhere.
        ("said goodbye before, in a transaction", parting(0), true, Verdict::Error(2013)),
        ("an error is an answer", parting(1), false, Verdict::Error(4031)),
        ("nobody knows", vec![Step::Close], false, Verdict::Error(2013)),
    ] {
        let mut client = proxy.client().await;
        // No longer fresh: it has served before.
        assert_eq!(client.ask(b"\x03SELECT 1").await, Verdict::Rows);
        if in_transaction {
            assert_eq!(client.ask(b"\x03BEGIN").await, Verdict::Ok);
        }
        fake.play(Script::Parting(steps));
        assert_eq!(client.ask(&write).await, expected, "{name}");
        fake.play(Script::Proper);
        drop(client);
        proxy.is_well().await;
    }
}

#[tokio::test]
async fn a_statement_that_the_server_wants_prepared_again_is_prepared_again_once() {
    let fake = Fake::start().await;
    let mut proxy = Proxy::before_address(fake.address, crate::rogue::options()).await;
    let execution = [&b"\x17"[..], &1u32.to_le_bytes(), b"\0", &1u32.to_le_bytes()].concat();
    for (stale, expected) in [(0, Verdict::Ok), (1, Verdict::Ok), (2, Verdict::Error(1615))] {
        let mut client = proxy.client().await;
        fake.play(Script::Stale(stale));
        assert_eq!(client.ask(format!("\x16DO {stale}").as_bytes()).await, Verdict::Ok);
        assert_eq!(client.ask(&execution).await, expected, "{stale}");
        fake.play(Script::Proper);
        drop(client);
        proxy.is_well().await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_read_is_given_up_at_the_write_timeout() {
    let fake = Fake::start().await;
    let options = Options {
        cluster: "    write_timeout: 1s\n    connect_timeout: 1s\n",
        limits: "{packet_bytes_max: 64MiB}",
        ..Options::default()
    };
    let mut proxy = Proxy::before_address(fake.address, options).await;
    let mut client = proxy.client_with(Capabilities::NONE).await;
    assert_eq!(client.ask(b"\x03SELECT 1").await, Verdict::Rows);
    fake.play(Script::Deaf);
    let started = Instant::now();
    // More than the kernels on both sides hold for each other.
    let length = 15 << 20;
    let mut bytes = header(length, 0);
    bytes.push(0x03);
    bytes.resize(4 + length, b' ');
    let sent = timeout(WITHIN, client.stream.write_all(&bytes)).await.expect("a deadline");
    assert!(sent.is_err() || client.read().await.is_err(), "the session ends");
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(5), "{took:?}");
    fake.play(Script::Proper);
    proxy.is_well().await;
}
