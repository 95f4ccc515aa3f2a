//! A server that fails or hangs is left alone at once, and found again gently.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dazzle::wire::frame;
use tokio::time::{Instant, sleep};

use crate::client::Verdict;
use crate::proxy::{Options, Proxy};
use crate::server::{EVIL, Fake, Script, Step};

fn options() -> Options {
    Options {
        cluster: "    reply_timeout: 3s\n    breaker: {enabled: true, window: 1s, volume_min: 8, slow: 200ms, \
                  slow_max: 60, open: 500ms, open_max: 4s, probes: 2, ramp: 1s}\n",
        ..Options::default()
    }
}

/// What clients met, in order: when, how long it took, and whether they were served.
#[derive(Clone, Copy, Debug)]
struct Met {
    at: Instant,
    took: Duration,
    verdict: Option<u16>,
}

/// Clients that ask the same again and again, with a short pause, until told to stop.
async fn crowd(proxy: &Proxy, clients: u32, pause: Duration, stop: Arc<AtomicBool>) -> Vec<Met> {
    let mut tasks = Vec::new();
    for n in 0..clients {
        let (mut client, stop) = (proxy.client().await, Arc::clone(&stop));
        tasks.push(tokio::spawn(async move {
            let (mut met, question) = (Vec::new(), [&b"\x03"[..], EVIL].concat());
            sleep(pause * n / clients).await;
            while !stop.load(Ordering::Relaxed) {
                let at = Instant::now();
                let verdict = match client.ask(&question).await {
                    Verdict::Error(code) => Some(code),
                    Verdict::Rows | Verdict::Ok => None,
                    Verdict::Closed => Some(0),
                };
                met.push(Met { at, took: at.elapsed(), verdict });
                if verdict == Some(0) {
                    break;
                }
                sleep(pause).await;
            }
            met
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort_unstable_by_key(|met| met.at);
    all
}

/// Plays `failure` for two seconds and then behaves; returns what clients met, and both moments.
async fn story(failure: Script, clients: u32, pause: Duration) -> (Vec<Met>, Instant, Instant) {
    let fake = Fake::start().await;
    let proxy = Proxy::before_address(fake.address, options()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let script = async {
        sleep(Duration::from_millis(500)).await;
        fake.play(failure);
        let failed = Instant::now();
        sleep(Duration::from_secs(2)).await;
        fake.play(Script::Proper);
        let healed = Instant::now();
        sleep(Duration::from_secs(8)).await;
        stop.store(true, Ordering::Relaxed);
        (failed, healed)
    };
    let (met, (failed, healed)) = tokio::join!(crowd(&proxy, clients, pause, Arc::clone(&stop)), script);
    (met, failed, healed)
}

fn check(met: &[Met], failed: Instant, healed: Instant) {
    let before = met.iter().filter(|met| met.at + met.took < failed);
    assert!(
        before.clone().count() > 20 && before.clone().all(|met| met.verdict.is_none()),
        "all is well at first"
    );
    let refused: Vec<&Met> = met.iter().filter(|met| met.verdict == Some(1203)).collect();
    let first = refused.first().expect("it opened");
    assert!(first.at - failed < Duration::from_secs(1), "it opened after {:?}", first.at - failed);
    let mut times: Vec<Duration> = refused.iter().map(|met| met.took).collect();
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!("opened after {:?}, {} refusals, median {median:?}", first.at - failed, refused.len());
    assert!(median < Duration::from_millis(5), "a refusal took {median:?}");
    // Served again by a ramp, and then without a relapse.
    let last = refused.last().expect("it opened");
    assert!(
        last.at < healed + Duration::from_secs(7),
        "closed {:?} after the server was well",
        last.at - healed
    );
    let end = met.last().expect("clients went on").at;
    let after = met.iter().filter(|met| met.at > end - Duration::from_millis(800));
    assert!(after.clone().count() > 50 && after.clone().all(|met| met.verdict.is_none()), "it stays closed");
    let served_between =
        met.iter().filter(|met| met.at > healed && met.at < last.at && met.verdict.is_none()).count();
    assert!(served_between > 3, "a ramp lets some through before all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_open_the_breaker_and_health_closes_it_by_a_ramp() {
    // ER_OUT_OF_RESOURCES
    let mut error = Vec::new();
    frame(&mut error, 1, b"\xff\x11\x04#HY000out of resources");
    let (met, failed, healed) =
        story(Script::Reply(vec![Step::Write(error)]), 12, Duration::from_millis(5)).await;
    check(&met, failed, healed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_opens_the_breaker_before_it_answers() {
    let (met, failed, _) = story(Script::Reply(vec![Step::Stall]), 80, Duration::from_millis(1_200)).await;
    // Those that hang already wait until their reply is late; the others are refused at once.
    let refused: Vec<&Met> =
        met.iter().filter(|met| met.verdict == Some(1203) && met.took < Duration::from_millis(100)).collect();
    let first = refused.first().expect("it opened");
    assert!(first.at - failed < Duration::from_secs(1), "it opened after {:?}", first.at - failed);
    assert!(refused.len() > 20, "only {} were refused at once: {met:?}", refused.len());
}
