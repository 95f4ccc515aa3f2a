//! Servers that reply with nonsense: the client gets an error or a close, and the next one is served.

use std::time::Duration;

use dazzle::wire::PAYLOAD_MAX;
use tokio::time::{Instant, sleep};

use crate::client::{Raw, Verdict, WITHIN};
use crate::packets::{header, packet};
use crate::proxy::{Options, Proxy};
use crate::server::{EVIL, Fake, Script, Step, column, ok, reply};

pub(crate) fn options() -> Options {
    Options { cluster: "    reply_timeout: 300ms\n    connect_timeout: 1s\n", ..Options::default() }
}

/// A proxy and its fake; they have served once.
async fn pair() -> (Fake, Proxy) {
    let fake = Fake::start().await;
    let mut proxy = Proxy::before_address(fake.address, options()).await;
    proxy.is_well().await;
    (fake, proxy)
}

/// Asks the hostile statement and reads until there is nothing more to say.
async fn ask(proxy: &Proxy, command: &[u8]) -> (Raw, Verdict) {
    let mut client = proxy.client().await;
    client.command(command).await;
    let mut verdict = client.verdict().await;
    let mut packets = 1;
    while matches!(verdict, Verdict::Rows | Verdict::Ok) && packets < 20_000 {
        verdict = client.verdict().await;
        packets += 1;
    }
    (client, verdict)
}

/// Whether everything is as before: a good statement works, no connection is left over.
async fn recovers(fake: &Fake, proxy: &mut Proxy, name: &str) {
    fake.play(Script::Proper);
    let started = Instant::now();
    proxy.is_well().await;
    assert!(started.elapsed() < Duration::from_secs(5), "{name}: {:?}", started.elapsed());
    let deadline = Instant::now() + WITHIN;
    while fake.connections() > 4 {
        assert!(Instant::now() < deadline, "{name}: {} connections", fake.connections());
        sleep(Duration::from_millis(20)).await;
    }
}

/// A result set cut after so many bytes.
fn cut(bytes: usize) -> Vec<u8> {
    let mut whole = Vec::new();
    reply(&mut whole, 1, &["some text"]);
    whole.truncate(bytes);
    whole
}

fn packets(payloads: &[&[u8]]) -> Vec<u8> {
    (1..).zip(payloads).flat_map(|(sequence, payload)| packet(sequence, payload)).collect()
}

#[tokio::test]
async fn nonsense_in_place_of_a_reply_ends_in_an_error_or_a_close() {
    let (fake, mut proxy) = pair().await;
    let definition = column();
    let many = |status: u8| [0x00, 0, 0, status, 0x40, 0, 0, 0];
    let write = |bytes: Vec<u8>| vec![Step::Write(bytes), Step::Stall];
    let cases = [
        ("an empty packet", write(packets(&[b""]))),
        ("a column count of 2^64-1", write(packets(&[b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"]))),
        ("a column count of NULL", write(packets(&[b"\xfb"]))),
        ("a column count cut off", write(packets(&[b"\xfc\x01"]))),
        ("a column count and more", write(packets(&[b"\x01 and some more text"]))),
        ("fewer columns than announced", write(packets(&[b"\x05", &definition, &[0xFE, 0, 0, 2, 0, 0, 0]]))),
        ("an OK cut off", write(packets(&[b"\0\0"]))),
        ("an ERR cut off", write(packets(&[b"\xff\x01"]))),
        ("state changes that end early", write(packets(&[b"\0\0\0\x02\x40\0\0\0\x09\x00\x20abc"]))),
        (
            "state changes of another length",
            write(packets(&[b"\0\0\0\x02\x40\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"])),
        ),
        ("state changes that are none", write(packets(&[b"\0\0\0\x02\x40\0\0\0\x05\x00\x03\xff\xff\xff"]))),
        ("another result that never comes", write(packets(&[&many(10)]))),
        ("wrong sequence ids", write([packet(7, &[1]), packet(3, &definition)].concat())),
        (
            "sequence ids that go back",
            write([packet(1, &[1]), packet(1, &definition), packet(9, b"\x01a")].concat()),
        ),
        ("a file nobody asked for", write(packets(&[b"\xfb/etc/passwd"]))),
        ("a name of 16 MiB", vec![Step::Write(header(PAYLOAD_MAX - 1, 1)), Step::Endless(vec![0xFB; 4096])]),
        ("an OK of 16 MiB", vec![Step::Write(header(PAYLOAD_MAX - 1, 1)), Step::Endless(vec![0; 4096])]),
        ("random bytes", write((0..999_u32).map(|n| ((n * n * 31) >> 3) as u8).collect())),
    ];
    for (name, steps) in cases {
        fake.play(Script::Reply(steps));
        let (client, verdict) = ask(&proxy, &[b"\x03", EVIL].concat()).await;
        assert!(matches!(verdict, Verdict::Error(_) | Verdict::Closed), "{name}: {verdict:?}");
        drop(client);
        recovers(&fake, &mut proxy, name).await;
    }
    assert!(proxy.peak_growth_kib() < 60 << 10, "{} KiB", proxy.peak_growth_kib());
}

#[tokio::test]
async fn replies_that_stop_at_any_byte_end_in_time() {
    let (fake, mut proxy) = pair().await;
    let whole = cut(usize::MAX).len();
    for end in (0..whole).step_by(5) {
        for last in [Step::Close, Step::Stall] {
            let stalls = matches!(last, Step::Stall);
            if stalls && end % 15 != 0 {
                continue;
            }
            fake.play(Script::Reply(vec![Step::Write(cut(end)), last]));
            let (client, verdict) = ask(&proxy, &[b"\x03", EVIL].concat()).await;
            let clean = matches!(verdict, Verdict::Error(_) | Verdict::Closed);
            assert!(clean, "{end} of {whole}, stalls: {stalls}: {verdict:?}");
            drop(client);
        }
    }
    recovers(&fake, &mut proxy, "cut").await;
}

#[tokio::test]
async fn endless_rows_and_large_ones_flow_in_bounded_memory() {
    let (fake, mut proxy) = pair().await;
    let head = packets(&[&[1], &column()]);
    let endless = [packet(3, b"\x03abc"), packet(4, b"\x03def")].concat();
    let mut large = header(PAYLOAD_MAX, 3);
    large.resize(PAYLOAD_MAX + 4, b'x');
    large.extend(packet(4, &[b'x'; 1 << 20]));
    let changes =
        [&b"\0\0\0\x0a\x40\0\0\0\xfd\x00\x80\0\0"[..], &[0xFD, 0xFC, 0x7F, 0, 1], b"n", &[0xFD, 0, 0, 0]]
            .concat();
    for (name, steps) in [
        ("endless rows", vec![Step::Write(head.clone()), Step::Endless(endless.repeat(1000))]),
        ("a row of 17 MiB", vec![Step::Write(head.clone()), Step::Endless(large)]),
        (
            "endless columns",
            vec![
                Step::Write(packets(&[b"\xfd\xff\xff\xff"])),
                Step::Endless(packet(2, &column()).repeat(500)),
            ],
        ),
        ("endless results", vec![Step::Endless(packet(1, &[0, 0, 0, 10, 0, 0, 0]).repeat(1000))]),
        ("endless state changes", vec![Step::Endless(packet(1, &changes).repeat(100))]),
    ] {
        fake.play(Script::Reply(steps));
        let mut client = proxy.client().await;
        client.command(&[b"\x03", EVIL].concat()).await;
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(400) {
            if client.read().await.is_err() {
                break;
            }
        }
        drop(client);
        recovers(&fake, &mut proxy, name).await;
    }
    assert!(proxy.peak_growth_kib() < 60 << 10, "{} KiB", proxy.peak_growth_kib());
}

#[tokio::test]
async fn what_a_server_says_unasked_reaches_nobody() {
    let (fake, mut proxy) = pair().await;
    let mut rows = Vec::new();
    reply(&mut rows, 1, &["not yours"]);
    for (name, steps) in [
        ("an OK", vec![Step::Write(packet(1, &ok()))]),
        ("rows", vec![Step::Write(rows)]),
        ("an ERR", vec![Step::Write(packet(0, b"\xff\x88\x13#HY000gone")), Step::Close]),
        ("half a packet", vec![Step::Write(vec![9, 0])]),
    ] {
        for in_transaction in [false, true] {
            fake.play(Script::Unasked(steps.clone()));
            let mut client = proxy.client().await;
            if in_transaction {
                assert_eq!(client.ask(b"\x03BEGIN").await, Verdict::Ok);
            }
            assert_eq!(client.ask(&[b"\x03", EVIL].concat()).await, Verdict::Rows, "{name}");
            // The answer to a question is its own: the right row, or an error.
            client.command(b"\x03SELECT 1").await;
            match client.verdict().await {
                Verdict::Rows => {
                    client.read().await.unwrap();
                    assert_eq!(client.read().await.unwrap(), b"\x011", "{name} {in_transaction}");
                }
                Verdict::Error(_) => assert!(in_transaction, "{name}"),
                other => panic!("{name} {in_transaction}: {other:?}"),
            }
            drop(client);
            recovers(&fake, &mut proxy, name).await;
        }
    }
}

#[tokio::test]
async fn prepares_that_are_answered_with_nonsense_fail() {
    let (fake, mut proxy) = pair().await;
    let definition = column();
    let most = b"\0\x01\0\0\0\xff\xff\xff\xff\0\0\0";
    for (name, steps) in [
        ("cut off", vec![Step::Write(packets(&[b"\0\x01\0"])), Step::Stall]),
        ("no OK", vec![Step::Write(packets(&[b"\x07nonsense"])), Step::Stall]),
        (
            "definitions missing",
            vec![Step::Write(packets(&[b"\0\x01\0\0\0\x02\0\x01\0\0\0\0", &definition])), Step::Stall],
        ),
        (
            "131,070 definitions of 64 KiB",
            vec![Step::Write(packets(&[most])), Step::Endless(packet(2, &[3; 65_000]))],
        ),
        ("silence", vec![Step::Stall]),
        ("a close", vec![Step::Close]),
    ] {
        fake.play(Script::Prepare(steps));
        let (client, verdict) = ask(&proxy, b"\x16SELECT ?").await;
        assert!(matches!(verdict, Verdict::Error(_) | Verdict::Closed), "{name}: {verdict:?}");
        drop(client);
        recovers(&fake, &mut proxy, name).await;
    }
    assert!(proxy.peak_growth_kib() < 60 << 10, "{} KiB", proxy.peak_growth_kib());
}
