//! Servers that are hostile while a connection is made: clients get an error in time, and are served as
//! soon as the server behaves.

use std::time::Duration;

use dazzle::wire::Capabilities;
use tokio::time::{Instant, sleep};

use crate::client::{Raw, Verdict, WITHIN};
use crate::packets::{header, packet};
use crate::proxy::Proxy;
use crate::rogue::options;
use crate::server::{Fake, Script, Step, column, ok};

fn refusal(code: u16) -> Vec<u8> {
    packet(0, &[&[0xFF][..], &code.to_le_bytes(), b"go away"].concat())
}

fn scripts() -> Vec<(&'static str, Script)> {
    let stalling = |bytes: Vec<u8>| vec![Step::Write(bytes), Step::Stall];
    let closing = |bytes: Vec<u8>| vec![Step::Write(bytes), Step::Close];
    let half = b"\x4a\0\0\0\x0a8.0.36\0\x07\0\0\0abcd".to_vec();
    vec![
        ("an SSH server", Script::Greeting(stalling(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()))),
        ("protocol 9", Script::Greeting(stalling(packet(0, b"\x093.23\0")))),
        ("1040", Script::Greeting(closing(refusal(1040)))),
        ("1129", Script::Greeting(closing(refusal(1129)))),
        ("1130", Script::Greeting(closing(refusal(1130)))),
        ("half a greeting", Script::Greeting(closing(half.clone()))),
        ("half a greeting and silence", Script::Greeting(stalling(half))),
        ("silence", Script::Greeting(vec![Step::Stall])),
        (
            "a greeting of 16 MiB",
            Script::Greeting(vec![Step::Write(header(0xFF_FFFF, 0)), Step::Endless(vec![b'x'; 4096])]),
        ),
        ("a wrong sequence id", Script::Greeting(stalling(packet(5, b"\x0a")))),
        ("a plugin nobody has", Script::Login(stalling(packet(2, b"\xfeno_such_plugin\0abc\0")))),
        ("a switch without a scramble", Script::Login(stalling(packet(2, b"\xfecaching_sha2_password\0")))),
        ("the old switch", Script::Login(stalling(packet(2, b"\xfe")))),
        ("more data that is none", Script::Login(stalling(packet(2, b"\x01\x09")))),
        ("an empty answer", Script::Login(stalling(packet(2, b"")))),
        ("endless patience", Script::Login(vec![Step::Endless(packet(2, b"\x01\x03"))])),
        ("a login that is never answered", Script::Login(vec![Step::Stall])),
        ("a close after the login", Script::Login(vec![Step::Close])),
        ("questions without answers", Script::Questions(vec![Step::Stall])),
        ("an OK to a question", Script::Questions(stalling(packet(1, &ok())))),
        (
            "endless columns",
            Script::Questions(vec![
                Step::Write(packet(1, b"\xfd\xff\xff\xff")),
                Step::Endless(
                    (2..=255).chain(0..2).flat_map(|n| packet(n, &column().repeat(1000))).collect(),
                ),
            ]),
        ),
        (
            "endless rows",
            Script::Questions(vec![
                Step::Write([packet(1, &[1]), packet(2, &column())].concat()),
                Step::Endless((3..=255).chain(0..3).flat_map(|n| packet(n, &[b'\0'; 60_000])).collect()),
            ]),
        ),
    ]
}

#[tokio::test]
async fn a_hostile_server_is_an_error_in_time_and_served_from_when_it_behaves() {
    // Side by side: most of it is waiting.
    let mut cases = tokio::task::JoinSet::new();
    for (name, script) in scripts() {
        cases.spawn(check(name, script));
        if cases.len() >= 6 {
            cases.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

async fn check(name: &'static str, script: Script) {
    let fake = Fake::start().await;
    fake.play(script);
    let mut proxy = Proxy::before_address(fake.address, options()).await;
    let started = Instant::now();
    let login = Raw::connect(proxy.address()).await.log_in("app", "secret", None, Capabilities::NONE).await;
    let served = match login {
        Ok(mut client) => client.ask(b"\x03SELECT 1").await,
        Err(end) => end,
    };
    assert!(matches!(served, Verdict::Error(_) | Verdict::Closed | Verdict::Rows), "{name}: {served:?}");
    assert!(started.elapsed() < Duration::from_secs(8), "{name}: {:?}", started.elapsed());
    assert!(fake.connections() <= 4, "{name}: {} connections", fake.connections());
    fake.play(Script::Proper);
    let deadline = Instant::now() + WITHIN;
    loop {
        let raw = Raw::connect(proxy.address()).await;
        if let Ok(mut client) = raw.log_in("app", "secret", None, Capabilities::NONE).await
            && client.ask(b"\x03SELECT 1").await == Verdict::Rows
        {
            break;
        }
        assert!(Instant::now() < deadline, "{name}: it behaves, and nobody is served");
        sleep(Duration::from_millis(50)).await;
    }
    proxy.is_intact().await;
    assert!(proxy.peak_growth_kib() < 60 << 10, "{name}: {} KiB", proxy.peak_growth_kib());
}
