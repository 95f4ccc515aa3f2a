//! The client and the proxy of the integration tests.

#[path = "../it/support/client.rs"]
mod client;
#[path = "../it/support/packets.rs"]
mod packets;
#[path = "../it/support/proxy.rs"]
mod proxy;
#[path = "../it/support/reply.rs"]
mod reply;
#[path = "../it/support/script.rs"]
mod script;

use std::time::Duration;

use tokio::time::{Instant, sleep};

pub(crate) use client::{At, Conn, Login};
pub(crate) use proxy::{Proxy, Setup};
pub(crate) use reply::{Part, Reply};
pub(crate) use script::Parameter;

/// The account on the servers and on the proxy.
pub(crate) const USER: &str = "it";
/// Its password.
pub(crate) const PASSWORD: &str = "secret";
/// For a condition that must come true by itself.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits until `condition` holds, looking every few milliseconds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition().await {
        assert!(Instant::now() < deadline, "in vain waited for: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
