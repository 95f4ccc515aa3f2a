//! Results of any size: they flow at the client's pace, through memory that does not depend on their size.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::packets::packet;
use crate::proxy::{Options, Proxy};
use crate::server::{EVIL, Fake, Script, Step, column};

/// Memory that one result may take, whatever its size: buffers of 16 KiB, and what the allocator keeps.
const MEMORY_KIB_MAX: u64 = 16 << 10;

/// What kernels hold between a server that writes and a client that does not read: two connections' buffers.
const HELD_BYTES_MAX: u64 = 64 << 20;

/// MiB of the result. `DAZZLE_FLOW_MIB=10240 cargo test --release --test hostile flow` is one of 10 GiB.
fn size_mib() -> u64 {
    std::env::var("DAZZLE_FLOW_MIB").ok().and_then(|size| size.parse().ok()).unwrap_or(384)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_of_any_size_flows_at_the_client_s_pace_through_little_memory() {
    let fake = Fake::start().await;
    let options = Options { timeouts: "{login: 2s, read: 5s, idle: 20s, write: 60s}", ..Options::default() };
    let mut proxy = Proxy::before_address(fake.address, options).await;
    proxy.is_well().await;
    let row = packet(3, &[b'r'; 256 << 10]);
    let rows = size_mib() * 4;
    let bytes = rows * row.len() as u64;
    fake.play(Script::Reply(vec![
        Step::Write([packet(1, &[1]), packet(2, &column())].concat()),
        Step::Repeat(row, rows),
        Step::Write(packet(4, &[0xFE, 0, 0, 2, 0, 0, 0])),
    ]));
    let started = Instant::now();
    let mut client = proxy.client().await;
    client.command(&[b"\x03", EVIL].concat()).await;
    for _ in 0..2 {
        client.read().await.unwrap();
    }
    let mut read = 0;
    for part in 0..3 {
        while read < bytes / 3 * part {
            read += client.read().await.unwrap().len() as u64 + 4;
        }
        // The client does nothing; soon nobody does.
        let mut before = u64::MAX;
        while before != fake.written() {
            before = fake.written();
            sleep(Duration::from_millis(100)).await;
        }
        let held = before - read.min(before);
        assert!(held < HELD_BYTES_MAX, "the server got rid of {held} bytes that nobody read");
        assert!(before < bytes, "the result is not over");
    }
    while read < bytes {
        read += client.read().await.unwrap().len() as u64 + 4;
    }
    assert_eq!(client.read().await.unwrap()[0], 0xFE);
    let grown = proxy.peak_growth_kib();
    eprintln!("{} MiB in {:?}, {grown} KiB of memory more", bytes >> 20, started.elapsed());
    assert!(grown < MEMORY_KIB_MAX, "{grown} KiB");
    fake.play(Script::Proper);
    proxy.is_well().await;
}
