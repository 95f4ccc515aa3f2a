//! What the stories are told with: servers, proxies, clients.

mod client;
mod duet;
mod packets;
mod pair;
mod proxy;
mod reply;
mod script;

use std::time::Duration;

use dazzle::lab::{Account, Flavor, Lab, LabOptions, Server};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

pub(crate) use client::{At, Conn, Guess, Login, Tls};
pub(crate) use duet::duet;
pub(crate) use pair::{assert_same, compare, compare_with};
pub(crate) use proxy::{Proxy, Setup, free_port, proxy};
pub(crate) use reply::{Part, Reply};
pub(crate) use script::{Parameter, execution};

/// The account of most stories, on the servers and on the proxies.
pub(crate) const USER: &str = "it";
/// Its password.
pub(crate) const PASSWORD: &str = "secret";
/// No story takes longer; what hangs fails.
const STORY_MAX: Duration = Duration::from_secs(120);
/// What asks for more rounds of a story than the usual ones.
const ASKED_FOR: [&str; 2] = ["DAZZLE_IT_ROUNDS", "DAZZLE_IT_OPERATIONS"];
/// For a condition that must come true by itself.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Makes two tests of each story, one for each flavor of server.
macro_rules! both {
    ($(async fn $name:ident($server:ident) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every story needs every name of its file")]
            use super::*;

            async fn story($server: &'static dazzle::lab::Server) $body

            #[tokio::test]
            async fn mariadb() {
                $crate::support::run(dazzle::lab::Flavor::MariaDb, story).await;
            }

            #[tokio::test]
            async fn mysql() {
                $crate::support::run(dazzle::lab::Flavor::MySql, story).await;
            }
        }
    )+};
}

/// Runs a story on the shared server of `flavor`. Without that server it fails where CI=true, and says so in
/// one loud line elsewhere.
pub(crate) async fn run(flavor: Flavor, story: impl AsyncFn(&'static Server)) {
    if !flavor.available() {
        assert!(std::env::var("CI").is_err(), "{flavor} is missing: run scripts/servers");
        eprintln!("NOT TESTED: {flavor} is missing on this machine: run scripts/servers");
        return;
    }
    let server = server(flavor).await;
    // Who asks for a longer story gives it the time.
    let longer = ASKED_FOR.iter().any(|name| std::env::var_os(name).is_some());
    let limit = if longer { 10 * STORY_MAX } else { STORY_MAX };
    timeout(limit, story(server)).await.expect("the story comes to its end");
    proxy::shared_proxies_have_not_panicked();
}

/// How often a story repeats what it measures: as somebody asks for in the environment, or the usual number.
pub(crate) fn asked_for(name: &str, usual: u64) -> u64 {
    assert!(ASKED_FOR.contains(&name));
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The server that stories share; none of them stops, freezes or reconfigures it.
async fn server(flavor: Flavor) -> &'static Server {
    lab(flavor).await.primary()
}

async fn lab(flavor: Flavor) -> &'static Lab {
    static LABS: [OnceCell<Lab>; 2] = [const { OnceCell::const_new() }; 2];
    LABS[flavor as usize].get_or_init(async || own_lab(flavor).await).await
}

/// A server for one story.
pub(crate) async fn own_lab(flavor: Flavor) -> Lab {
    let options = LabOptions { connections_max: 1_000, ..LabOptions::new(flavor) };
    let lab = Lab::start(&options).await.unwrap();
    lab.primary().create_account(&Account::new(flavor, USER, PASSWORD)).await.unwrap();
    lab
}

/// Waits until `condition` holds, looking every few milliseconds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition().await {
        assert!(Instant::now() < deadline, "in vain waited for: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
