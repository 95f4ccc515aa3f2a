//! Many at once: commands in one write, connections that never log in, more than the limit.

use dazzle::wire::Capabilities;
use tokio::io::AsyncWriteExt;

use crate::client::{Raw, Verdict};
use crate::packets::packet;
use crate::proxy::{Options, each, one};

#[tokio::test]
async fn ten_thousand_commands_in_one_write_are_answered_in_order() {
    each(Options::default, async |proxy, flavor, _| {
        let client = proxy.client().await;
        let (mut read, mut write) = client.stream.into_split();
        let mut bytes = Vec::new();
        for n in 0..10_000 {
            match n % 10 {
                0 => bytes.extend(packet(0, format!("\x03SELECT {n} AS n").as_bytes())),
                _ => bytes.extend(packet(0, b"\x0e")),
            }
        }
        let writing = tokio::spawn(async move { write.write_all(&bytes).await.map(|()| write) });
        for n in 0..10_000 {
            let first = payload(&mut read).await;
            if n % 10 != 0 {
                assert_eq!(first[0], 0, "{flavor} {n}");
                continue;
            }
            // Count, definition, row, end.
            payload(&mut read).await;
            let row = payload(&mut read).await;
            assert_eq!(&row[1..], n.to_string().as_bytes(), "{flavor}");
            payload(&mut read).await;
        }
        writing.await.unwrap().unwrap();
    })
    .await;
}

async fn payload(read: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    use tokio::io::AsyncReadExt;
    let one = async {
        let mut header = [0; 4];
        read.read_exact(&mut header).await.unwrap();
        let mut payload = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
        read.read_exact(&mut payload).await.unwrap();
        payload
    };
    tokio::time::timeout(crate::client::WITHIN, one).await.expect("a reply in time")
}

#[tokio::test]
async fn a_crowd_that_never_logs_in_stops_nobody() {
    one(Options::default(), async |proxy| {
        let mut crowd = Vec::new();
        for _ in 0..500 {
            crowd.push(Raw::connect(proxy.address()).await);
        }
        let mut client = proxy.client().await;
        assert_eq!(client.ask(b"\x03SELECT 1").await, Verdict::Rows);
        assert!(proxy.peak_growth_kib() < 40 << 10, "{} KiB", proxy.peak_growth_kib());
        for mut raw in crowd {
            raw.greeting().await.unwrap();
            assert_eq!(raw.last_words().await, Verdict::Closed);
        }
    })
    .await;
}

#[tokio::test]
async fn one_client_too_many_is_told_1040_until_somebody_leaves() {
    let options = Options { limits: "{connections_max: 20}", ..Options::default() };
    one(options, async |proxy| {
        let mut crowd = Vec::new();
        while crowd.len() < 20 {
            match Raw::connect(proxy.address()).await.log_in("app", "secret", None, Capabilities::NONE).await
            {
                Ok(client) => crowd.push(client),
                Err(end) => assert_eq!(end, Verdict::Error(1040)),
            }
        }
        for _ in 0..50 {
            let told = Raw::connect(proxy.address()).await.greeting().await.err();
            assert_eq!(told, Some(Verdict::Error(1040)));
        }
        for client in &mut crowd {
            assert!(client.serves().await);
        }
        drop(crowd);
        let deadline = tokio::time::Instant::now() + crate::client::WITHIN;
        while Raw::connect(proxy.address()).await.greeting().await.is_err() {
            assert!(tokio::time::Instant::now() < deadline, "places do not come back");
        }
    })
    .await;
}
