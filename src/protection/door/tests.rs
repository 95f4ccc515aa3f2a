//! Statements that wait before a door, in paused time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance};

use super::{Door, DoorSettings, Shut};
use crate::protection::breaker::Outcome;
use crate::protection::gate::{Ask, Reason};
use crate::protection::{BreakerSettings, Concurrency, GateSettings, Phase, Tier};

const MS: Duration = Duration::from_millis(1);

fn door(limit: u32, breaker: bool) -> Arc<Door> {
    let gate = GateSettings {
        concurrency: Concurrency::Fixed(limit),
        queue_max: 10,
        queue_timeout: 500 * MS,
        target: 20 * MS,
    };
    let breaker = breaker.then(|| BreakerSettings {
        window: 1_000 * MS,
        volume_min: 5,
        errors_max: 0.5,
        slow: 200 * MS,
        slow_max: 0.5,
        open: 1_000 * MS,
        open_max: 4_000 * MS,
        probes: 1,
        ramp: 100 * MS,
    });
    Door::new(DoorSettings { gate, breaker, per_digest: true }, Instant::now())
}

fn ask() -> Ask {
    Ask { tier: Tier::NORMAL, user: 1, bound: false, since: Instant::now() }
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_the_place_of_who_ends() {
    let door = door(1, false);
    let first = door.pass(ask(), 1, Instant::now()).await.expect("there is room");
    let waiting = door.pass(ask(), 1, Instant::now());
    let ending = async {
        tokio::task::yield_now().await;
        assert_eq!(door.view().waiting, 1);
        first.end(Instant::now(), Outcome::Served, None);
    };
    let (second, ()) = tokio::join!(waiting, ending);
    let second = second.expect("its turn");
    assert_eq!((door.view().running, door.view().waiting), (1, 0));
    drop(second);
    assert_eq!(door.view().running, 0, "a permit that is dropped gives its place back");
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_deadline() {
    let door = door(1, false);
    let _first = door.pass(ask(), 1, Instant::now()).await.expect("there is room");
    let began = Instant::now();
    let Err(Shut::Gate(turned)) = door.pass(ask(), 1, began).await else { panic!("it is taken") };
    assert_eq!(turned.reason, Reason::Late);
    assert_eq!(began.elapsed().as_millis() / 10, 50);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_line_leaves_nothing_behind() {
    let door = door(1, true);
    let first = door.pass(ask(), 1, Instant::now()).await.expect("there is room");
    let left = tokio::time::timeout(5 * MS, door.pass(ask(), 1, Instant::now())).await;
    assert!(left.is_err() && door.view().waiting == 0);
    drop(first);
    let again = door.pass(ask(), 1, Instant::now()).await.expect("there is room");
    assert_eq!(door.view().running, 1);
    drop(again);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_turns_everybody_away_at_once() {
    let door = door(5, true);
    let mut running = Vec::new();
    for digest in 0..5 {
        running.push(door.pass(ask(), digest, Instant::now()).await.expect("there is room"));
    }
    let waiting = door.pass(ask(), 9, Instant::now());
    let failing = async {
        tokio::task::yield_now().await;
        for held in running.drain(..) {
            held.end(Instant::now(), Outcome::Fault, None);
        }
    };
    let (waited, ()) = tokio::join!(waiting, failing);
    assert_eq!(door.view().breaker, Some((Phase::Open, 1)));
    drop(waited);
    let Err(Shut::Breaker(left)) = door.pass(ask(), 1, Instant::now()).await else { panic!("it is open") };
    assert!(left <= 1_000 * MS);
    advance(1_001 * MS).await;
    let probe = door.pass(ask(), 50, Instant::now()).await.expect("one probe");
    assert!(door.pass(ask(), 51, Instant::now()).await.is_err(), "and no second");
    probe.end(Instant::now(), Outcome::Served, None);
    assert_eq!(door.view().breaker, Some((Phase::Ramp, 1)));
    advance(200 * MS).await;
    let held = door.pass(ask(), 60, Instant::now()).await.expect("closed");
    held.end(Instant::now(), Outcome::Served, None);
    assert_eq!(door.view().breaker, Some((Phase::Closed, 1)));
    assert_eq!(door.view().running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_digest_that_fails_alone_is_barred_alone() {
    let door = door(50, true);
    for n in 0..40u64 {
        for digest in [1, 2, 3] {
            let Ok(held) = door.pass(ask(), digest, Instant::now()).await else { continue };
            let outcome = if digest == 3 && n > 2 { Outcome::Fault } else { Outcome::Served };
            held.end(Instant::now(), outcome, None);
        }
    }
    let view = door.view();
    assert_eq!(view.breaker, Some((Phase::Closed, 0)), "two of three are well");
    assert_eq!(view.digests_barred, 1);
    let Err(Shut::Digest(_)) = door.pass(ask(), 3, Instant::now()).await else { panic!("it is barred") };
    drop(door.pass(ask(), 1, Instant::now()).await.expect("the others are not"));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_passes_whatever_the_breaker_says() {
    let door = door(5, true);
    for _ in 0..5 {
        let held = door.pass(ask(), 1, Instant::now()).await.expect("there is room");
        held.end(Instant::now(), Outcome::Fault, None);
    }
    let bound = Ask { bound: true, ..ask() };
    assert!(door.pass(ask(), 2, Instant::now()).await.is_err());
    drop(door.pass(bound, 2, Instant::now()).await.expect("it holds a server connection already"));
}
