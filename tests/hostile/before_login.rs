//! Bytes that are no login: silence, other protocols, packets cut off, out of order, too large, old.

use std::net::SocketAddr;
use std::time::Duration;

use dazzle::lab::{Account, Flavor, Server};
use dazzle::wire::handshake::{ClientHello, ConnectAttributes, HandshakeResponse, SslRequest};
use dazzle::wire::{Capabilities, Writer};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use crate::client::{Raw, Verdict};
use crate::packets::{header, mutated, packet, seeded};
use crate::proxy::{Options, each, one};

/// Sends `bytes` after the greeting, closes this side for writing, and says how the other side took it.
async fn after_greeting(address: SocketAddr, bytes: &[u8]) -> Verdict {
    let mut raw = Raw::connect(address).await;
    raw.greeting().await.unwrap();
    raw.write(bytes).await;
    let _ = raw.stream.shutdown().await;
    raw.last_words().await
}

/// A TLS 1.2 ClientHello as a browser that was pointed at the wrong port sends it, shortened.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03abcdefghijklmnopqrstuvwxyz012345\
    \x00\x00\x02\x00\x2f\x01\x00";

/// The login of a 3.2x client: two bytes of flags, packet size, user, scramble.
const OLD_LOGIN: &[u8] = b"\x05\x20\x00\x00\x00app\x00abcdefgh";

#[tokio::test]
async fn garbage_gets_the_error_that_mysql_gives_or_a_close() {
    use Verdict::{Closed, Error};
    let cases: Vec<(&str, Vec<u8>, Verdict)> = vec![
        ("nothing", vec![], Closed),
        ("one byte", vec![0x20], Closed),
        ("half a header", vec![0x20, 0, 0], Closed),
        ("a header alone", vec![0x20, 0, 0, 1], Closed),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: db\r\n\r\n".to_vec(), Error(1156)),
        ("TLS in clear", CLIENT_HELLO.to_vec(), Error(1156)),
        ("an empty packet", packet(1, b""), Error(1043)),
        ("sequence id 0", packet(0, &[0; 40]), Error(1156)),
        ("sequence id 2", packet(2, &[0; 40]), Error(1156)),
        ("sequence id 255", packet(255, &[0; 40]), Error(1156)),
        ("a login of 3.2x", packet(1, OLD_LOGIN), Error(1043)),
        ("two bytes", packet(1, &[0x0D, 0xA2]), Error(1043)),
        ("16 MiB announced", vec![0xFF, 0xFF, 0xFF, 1], Error(1153)),
        ("1 MiB announced", vec![0, 0, 0x10, 1, b'x'], Error(1153)),
        ("a second packet in place of a login", packet(1, b"\x03SELECT 1"), Error(1043)),
    ];
    each(Options::default, async |proxy, _, server| {
        let direct = server.address();
        for (name, bytes, expected) in &cases {
            let told = after_greeting(proxy.address(), bytes).await;
            assert_eq!(&told, expected, "{name}");
            // The servers' own answers: the same number, or (where they say nothing) a close.
            let theirs = after_greeting(direct, bytes).await;
            let agree = match (&told, &theirs) {
                (told, theirs) if told == theirs => true,
                // MariaDB says "error reading communication packets" to a client that hung up.
                (Closed, Error(1158)) => true,
                // A limit of ours, lower than theirs.
                (Error(1153), Closed | Error(1158)) => true,
                (Error(1043), Error(1251)) => *name == "a login of 3.2x",
                _ => false,
            };
            assert!(agree, "{name}: {told:?}, the server itself {theirs:?}");
        }
    })
    .await;
}

/// A proper response of the user `app`, as payload, and the connection it belongs to.
async fn response(address: SocketAddr) -> (Raw, Vec<u8>) {
    let mut raw = Raw::connect(address).await;
    let greeting = raw.greeting().await.unwrap();
    let (payload, _) = raw.response("app", "secret", &greeting);
    (raw, payload)
}

/// Sends `payload` as the login and says how that went.
async fn log_in_with(mut raw: Raw, payload: &[u8]) -> Verdict {
    raw.write(&packet(1, payload)).await;
    let _ = raw.stream.shutdown().await;
    raw.last_words().await
}

async fn own_account(server: &Server, flavor: Flavor) {
    server.create_account(&Account::new(flavor, "app", "secret")).await.unwrap();
}

#[tokio::test]
async fn a_login_cut_off_at_every_byte_is_refused_or_closed() {
    one(Options::default(), async |proxy| {
        let (_, valid) = response(proxy.address()).await;
        for end in 0..valid.len() {
            // A whole packet with less in it.
            let (raw, payload) = response(proxy.address()).await;
            let told = log_in_with(raw, &payload[..end]).await;
            // What is missing may be the attributes alone.
            let fine =
                matches!(told, Verdict::Error(1043 | 1045) | Verdict::Ok | Verdict::Rows | Verdict::Closed);
            assert!(fine, "{end}: {told:?}");
            assert!(end > 31 || told == Verdict::Error(1043), "{end}: {told:?}");
            // A packet that never ends.
            let (mut raw, payload) = response(proxy.address()).await;
            raw.write(&packet(1, &payload)[..4 + end]).await;
            let _ = raw.stream.shutdown().await;
            assert_eq!(raw.last_words().await, Verdict::Closed, "{end}");
        }
    })
    .await;
}

#[tokio::test]
async fn mutated_logins_are_refused_as_the_server_refuses_them() {
    each(Options::default, async |proxy, flavor, server| {
        own_account(server, flavor).await;
        let mut rng = seeded();
        for _ in 0..80 {
            let (raw, payload) = response(proxy.address()).await;
            let payload = mutated(&payload, &mut rng);
            let told = log_in_with(raw, &payload).await;
            let fine = match told {
                Verdict::Error(code) => {
                    matches!(code, 1043 | 1045 | 1049 | 1044 | 1153 | 1156 | 1251 | 2059 | 3159)
                }
                Verdict::Ok | Verdict::Rows | Verdict::Closed => true,
            };
            assert!(fine, "{told:?} {payload:x?}");
        }
    })
    .await;
}

#[tokio::test]
async fn lengths_and_names_without_reason_are_refused() {
    one(Options::default(), async |proxy| {
        let (_, valid) = response(proxy.address()).await;
        let Ok(ClientHello::Login(valid)) = ClientHello::parse(&valid) else { panic!("a login") };
        let with = |change: &dyn Fn(&mut HandshakeResponse)| {
            let mut response = valid.clone();
            change(&mut response);
            let mut payload = Vec::new();
            response.encode(&mut payload);
            payload
        };
        let fixed = &with(&|_| {})[..32];
        let lengths = |length: u64| {
            let mut payload = [fixed, b"app\0"].concat();
            payload.push(0xFE);
            payload.put_u64(length);
            payload.extend_from_slice(b"abc");
            payload
        };
        let attributes = |bytes: usize| {
            let mut payload = with(&|response| response.attributes = ConnectAttributes::new());
            assert_eq!(payload.pop(), Some(0), "no attributes");
            let mut attribute = vec![3, b'k', b'e', b'y'];
            attribute.put_lenenc_bytes(&vec![b'v'; bytes]);
            payload.put_lenenc_bytes(&attribute);
            payload
        };
        for (name, payload, expected) in [
            ("a scramble of 2^64-1 bytes", lengths(u64::MAX), 1043),
            ("a scramble of 2^63 bytes", lengths(1 << 63), 1043),
            ("a scramble of 2^32 bytes", lengths(1 << 32), 1043),
            ("no such user", with(&|response| response.user = "nobody".into()), 1045),
            ("an empty name", with(&|response| response.user = String::new()), 1045),
            ("a name of 100 KiB", with(&|response| response.user = "x".repeat(100 << 10)), 1045),
            ("a name of 200 KiB", with(&|response| response.user = "x".repeat(200 << 10)), 1153),
            ("a name that is no UTF-8", [fixed, b"\xff\xfe\0\0\0"].concat(), 1045),
            ("attributes of 100 KiB", attributes(100 << 10), 0),
            ("attributes of 200 KiB", attributes(200 << 10), 1153),
        ] {
            let (raw, _) = response(proxy.address()).await;
            let told = log_in_with(raw, &payload).await;
            if expected == 0 {
                assert!(matches!(told, Verdict::Rows | Verdict::Error(1045 | 1043)), "{name}: {told:?}");
            } else {
                // A client that hangs up in the middle of the exchange is told nothing more.
                assert!(
                    told == Verdict::Error(expected) || (expected == 1045 && told == Verdict::Rows),
                    "{name}: {told:?}"
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn wrong_passwords_users_and_schemas_get_the_servers_errors() {
    each(Options::default, async |proxy, flavor, server| {
        own_account(server, flavor).await;
        for address in [proxy.address(), server.address()] {
            for (user, password, schema, expected) in [
                ("app", "wrong", None, 1045),
                ("app", "", None, 1045),
                ("nobody", "secret", None, 1045),
                ("app", "secret", Some("no_such_schema"), 1049),
                ("app", "wrong", Some("no_such_schema"), 1045),
            ] {
                let raw = Raw::connect(address).await;
                let told = raw.log_in(user, password, schema, Capabilities::NONE).await.err();
                assert_eq!(told, Some(Verdict::Error(expected)), "{flavor} {user} {password} {schema:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_for_tls_is_answered_with_tls_or_refused() {
    one(Options::default(), async |proxy| {
        let capabilities = Capabilities::PROTOCOL_41 | Capabilities::SSL | Capabilities::CLIENT_MYSQL;
        let mut request = Vec::new();
        SslRequest { capabilities, packet_max: 1 << 24, collation: 45 }.encode(&mut request);
        // Garbage in place of a ClientHello, in the same write and later; and nothing at all.
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 600], &[0x16, 3, 1, 0xFF, 0xFF], b""] {
            for together in [true, false] {
                let mut raw = Raw::connect(proxy.address()).await;
                raw.greeting().await.unwrap();
                let mut bytes = packet(1, &request);
                if together {
                    bytes.extend_from_slice(garbage);
                    raw.write(&bytes).await;
                } else {
                    raw.write(&bytes).await;
                    raw.write(garbage).await;
                }
                // A TLS alert may come first: it is no packet.
                let mut rest = Vec::new();
                let end = tokio::io::AsyncReadExt::read_to_end(&mut raw.stream, &mut rest);
                let _ = tokio::time::timeout(crate::client::WITHIN, end).await.expect("a close in time");
                assert!(rest.len() < 64, "{rest:x?}");
            }
        }
        let told = after_greeting(proxy.address_without_tls(), &packet(1, &request)).await;
        assert_eq!(told, Verdict::Error(1043));
    })
    .await;
}

#[tokio::test]
async fn a_balancer_that_talks_nonsense_is_closed() {
    one(Options::default(), async |proxy| {
        let address = proxy.address_behind_balancer();
        let v2 = b"\r\n\r\n\0\r\nQUIT\n";
        for garbage in [
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999999\r\n".to_vec(),
            b"PROXY \r\n".to_vec(),
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            [b"PROXY TCP4 ", &[b'1'; 300][..]].concat(),
            [&v2[..], b"\x21\x11\x00\x02ab"].concat(),
            [&v2[..], b"\x71\x11\x00\x0c"].concat(),
            [&v2[..], b"\x21\x11\xff\xff"].concat(),
            v2.to_vec(),
            vec![0; 1000],
            b"P".to_vec(),
        ] {
            let mut raw = Raw::connect(address).await;
            raw.write(&garbage).await;
            assert_eq!(raw.last_words().await, Verdict::Closed, "{garbage:x?}");
        }
        let mut raw = Raw::connect(address).await;
        raw.write(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 3306\r\n").await;
        let mut client = raw.log_in("app", "secret", None, Capabilities::NONE).await.ok().unwrap();
        assert!(client.serves().await);
    })
    .await;
}

#[tokio::test]
async fn whoever_is_slow_to_log_in_is_closed() {
    one(Options::default(), async |proxy| {
        let started = Instant::now();
        let mut silent = Raw::connect(proxy.address()).await;
        silent.greeting().await.unwrap();
        let mut slow = Raw::connect(proxy.address()).await;
        let mut slow_header = Raw::connect(proxy.address_behind_balancer()).await;
        let drip = async {
            for byte in packet(1, &[0x8D; 200]) {
                if slow.stream.write_all(&[byte]).await.is_err()
                    || slow_header.stream.write_all(b"P").await.is_err()
                {
                    break;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::join!(drip, async { assert_eq!(silent.last_words().await, Verdict::Closed) });
        let took = started.elapsed();
        assert!(took > Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
    })
    .await;
}

#[tokio::test]
async fn packets_announced_before_the_login_cost_no_memory() {
    one(Options::default(), async |proxy| {
        let mut crowd = Vec::new();
        for _ in 0..50 {
            let mut raw = Raw::connect(proxy.address()).await;
            raw.greeting().await.unwrap();
            raw.write(&header(120 << 10, 1)).await;
            raw.write(&vec![b'x'; 60 << 10]).await;
            crowd.push(raw);
        }
        for _ in 0..50 {
            let mut raw = Raw::connect(proxy.address()).await;
            raw.greeting().await.unwrap();
            raw.write(&header(0xFF_FFFF, 1)).await;
            let _ = raw.stream.try_write(&vec![b'x'; 1 << 20]);
            assert_eq!(raw.verdict().await, Verdict::Error(1153));
            crowd.push(raw);
        }
        assert!(proxy.peak_growth_kib() < 40 << 10, "{} KiB", proxy.peak_growth_kib());
    })
    .await;
}
