//! Clients whose compressed frames lie: they are told, at no more than a bounded cost. Of the two servers, MariaDB closes such
//! a connection without a word and MySQL lets it wait; both answer only a frame whose turn it is not.

use std::net::SocketAddr;
use std::time::Duration;

use dazzle::lab::{Flavor, ROOT_PASSWORD};
use dazzle::wire::compression::{Algorithm, FrameReader, write_frame};
use dazzle::wire::{Capabilities, ErrPacket, HEADER_BYTES};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::client::{Raw, Verdict, WITHIN};
use crate::packets::packet;
use crate::proxy::{Options, Proxy, each};

/// Memory that a client may cost with frames of any kind: a decoder, and a packet of `packet_bytes_max`.
const MEMORY_KIB_MAX: u64 = 24 << 10;

/// MySQL's limit for a window of zstd is its own; the highest level takes the most.
const LEVEL_MAX: u8 = 22;

/// A server that has not closed by then does not mean to.
const AT_A_SERVER: Duration = Duration::from_secs(1);

/// What the two servers know.
fn algorithms(flavor: Flavor) -> &'static [Algorithm] {
    match flavor {
        Flavor::MariaDb => &[Algorithm::Zlib],
        Flavor::MySql => {
            &[Algorithm::Zlib, Algorithm::Zstd { level: 3 }, Algorithm::Zstd { level: LEVEL_MAX }]
        }
    }
}

/// A client that is logged in and whose next byte is a frame's.
async fn client(address: SocketAddr, (user, password): (&str, &str), algorithm: Algorithm) -> Raw {
    let mut raw = Raw::connect(address).await;
    let wanted = match algorithm {
        Algorithm::Zlib => Capabilities::COMPRESS,
        Algorithm::Zstd { level } => {
            raw.zstd_level = level;
            Capabilities::ZSTD
        }
    };
    let raw = raw.log_in(user, password, None, wanted).await.unwrap();
    assert!(raw.capabilities.has(wanted));
    raw
}

/// `packet` in one frame.
fn frame(algorithm: Algorithm, packet: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(algorithm, packet, 0, &mut bytes);
    bytes
}

/// A statement that compresses well.
fn select(length: usize) -> Vec<u8> {
    packet(0, format!("\x03SELECT 1 -- {}", "x".repeat(length)).as_bytes())
}

/// A frame that says of itself that it is `length` bytes long.
fn announcing(mut frame: Vec<u8>, length: usize) -> Vec<u8> {
    frame[4..7].copy_from_slice(&(length as u32).to_le_bytes()[..3]);
    frame
}

/// What the last packet says of everything that comes until the close; nothing without a close within `patience`.
async fn last_words(mut raw: Raw, algorithm: Algorithm, patience: Duration) -> Option<Verdict> {
    let mut bytes = Vec::new();
    // A reset after the last words is a close, too.
    let _ = timeout(patience, raw.stream.read_to_end(&mut bytes)).await.ok()?;
    let Some(mut sequence) = bytes.get(3).copied() else { return Some(Verdict::Closed) };
    let mut plain = vec![0; 1 << 20];
    let (mut at, mut length) = (0, 0);
    let mut reader = FrameReader::new(algorithm);
    while at < bytes.len() {
        let (consumed, produced) = reader.read(&bytes[at..], &mut plain[length..], &mut sequence).unwrap();
        (at, length) = (at + consumed, length + produced);
    }
    Some(match plain.get(HEADER_BYTES) {
        Some(0xFF) => Verdict::Error(ErrPacket::parse(&plain[HEADER_BYTES..length]).unwrap().code),
        Some(0) => Verdict::Ok,
        _ => Verdict::Rows,
    })
}

/// What becomes of a client that sends `bytes` in the place of a frame.
async fn act(
    address: SocketAddr,
    account: (&str, &str),
    (algorithm, bytes): (Algorithm, &[u8]),
    patience: Duration,
) -> Option<Verdict> {
    let mut raw = client(address, account, algorithm).await;
    raw.write(bytes).await;
    last_words(raw, algorithm, patience).await
}

/// Frames that no client should send, and what the proxy says to them.
fn lies(algorithm: Algorithm) -> Vec<(&'static str, Vec<u8>, Verdict)> {
    let good = frame(algorithm, &select(500));
    let mut corrupt = good.clone();
    corrupt[7..].fill(0xAA);
    let mut of_another_turn = good.clone();
    of_another_turn[3] = 7;
    // 16 MiB in 16 KiB, which say that they are one.
    let bomb = announcing(frame(algorithm, &packet(0, &vec![b' '; 16 << 20])[..0xFF_FFFF]), 1 << 10);
    vec![
        ("corrupt", corrupt, Verdict::Error(1157)),
        ("more than announced", bomb, Verdict::Error(1157)),
        ("less than announced", announcing(good, 10_000), Verdict::Error(1157)),
        ("of another turn", of_another_turn, Verdict::Error(1156)),
    ]
}

#[tokio::test]
async fn frames_that_lie_are_answered_and_the_connection_is_closed() {
    each(Options::default, async |proxy: &mut Proxy, flavor, server| {
        for &algorithm in algorithms(flavor) {
            for (what, bytes, expected) in lies(algorithm) {
                let sent = (algorithm, &*bytes);
                let direct = act(server.address(), ("root", ROOT_PASSWORD), sent, AT_A_SERVER).await;
                let through = act(proxy.address(), ("app", "secret"), sent, WITHIN).await;
                eprintln!(
                    "{flavor} {algorithm:?} {what}: {direct:?} from the server, {through:?} through the proxy"
                );
                assert_eq!(through.as_ref(), Some(&expected), "{flavor} {algorithm:?} {what}");
                // Where a server says something, it is that.
                if let Some(direct @ Verdict::Error(_)) = direct {
                    assert_eq!(direct, expected, "{flavor} {algorithm:?} {what}");
                }
            }
        }
        let grown = proxy.peak_growth_kib();
        assert!(grown < MEMORY_KIB_MAX, "{flavor}: {grown} KiB");
    })
    .await;
}

#[tokio::test]
async fn a_packet_beyond_the_limit_is_refused_however_small_its_frame() {
    each(Options::default, async |proxy: &mut Proxy, flavor, _| {
        for &algorithm in algorithms(flavor) {
            // An honest frame: 16 MiB in a hundredth of that.
            let bytes = frame(algorithm, &packet(0, &vec![b' '; (16 << 20) - 100])[..0xFF_FFFF - 100]);
            assert!(bytes.len() < 160 << 10, "{}", bytes.len());
            let verdict = act(proxy.address(), ("app", "secret"), (algorithm, &bytes), WITHIN).await;
            assert_eq!(verdict, Some(Verdict::Error(1153)), "{flavor} {algorithm:?}");
        }
        let grown = proxy.peak_growth_kib();
        assert!(grown < MEMORY_KIB_MAX, "{flavor}: {grown} KiB");
    })
    .await;
}

#[tokio::test]
async fn a_frame_cut_anywhere_is_a_client_that_left() {
    each(Options::default, async |proxy: &mut Proxy, flavor, _| {
        for &algorithm in algorithms(flavor) {
            let bytes = frame(algorithm, &select(200));
            for length in 0..bytes.len() {
                let mut raw = client(proxy.address(), ("app", "secret"), algorithm).await;
                raw.write(&bytes[..length]).await;
                drop(raw);
            }
            let mut whole = client(proxy.address(), ("app", "secret"), algorithm).await;
            whole.write(&bytes).await;
            let mut header = [0; 7];
            whole.stream.read_exact(&mut header).await.unwrap();
            assert_eq!(header[3], 1, "the reply counts on");
        }
        let grown = proxy.peak_growth_kib();
        assert!(grown < MEMORY_KIB_MAX, "{flavor}: {grown} KiB");
    })
    .await;
}

#[tokio::test]
async fn the_highest_level_takes_no_more_than_it_may() {
    each(Options::default, async |proxy: &mut Proxy, flavor, _| {
        let Some(&algorithm) = algorithms(flavor)
            .iter()
            .find(|algorithm| matches!(algorithm, Algorithm::Zstd { level: LEVEL_MAX }))
        else {
            return;
        };
        let mut clients = Vec::new();
        for _ in 0..8 {
            let mut raw = client(proxy.address(), ("app", "secret"), algorithm).await;
            raw.write(&frame(algorithm, &packet(0, b"\x03SELECT REPEAT('x', 1000000), RANDOM_BYTES(1024)")))
                .await;
            clients.push(raw);
        }
        for raw in &mut clients {
            let mut header = [0; 7];
            raw.stream.read_exact(&mut header).await.unwrap();
        }
        let grown = proxy.peak_growth_kib();
        eprintln!("eight clients with a megabyte each at level {LEVEL_MAX}: {grown} KiB");
        assert!(grown < 64 << 10, "{grown} KiB");
    })
    .await;
}
