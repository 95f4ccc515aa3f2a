//! Stories of a breaker, in simulated time.

use std::time::Duration;

use proptest::prelude::{ProptestConfig, prop_assert, proptest};
use tokio::time::Instant;

use super::{Breaker, BreakerSettings, Outcome, Passage, Phase};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn settings() -> BreakerSettings {
    BreakerSettings {
        window: SECOND,
        volume_min: 20,
        errors_max: 0.5,
        slow: 200 * MS,
        slow_max: 0.5,
        open: SECOND,
        open_max: 8 * SECOND,
        probes: 3,
        ramp: 2 * SECOND,
    }
}

/// A statement every millisecond that ends at once; returns how many passed.
fn traffic(breaker: &mut Breaker, now: &mut Instant, millis: u32, outcome: Outcome) -> u32 {
    let mut passed = 0;
    for _ in 0..millis {
        *now += MS;
        let passage = breaker.ask(*now);
        if !matches!(passage, Passage::Barred(_)) {
            passed += 1;
            breaker.record(passage, *now, *now, outcome);
        }
    }
    passed
}

#[test]
fn faults_open_it_within_a_second_even_after_long_health() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new(settings(), now);
    assert_eq!(traffic(&mut breaker, &mut now, 60_000, Outcome::Served), 60_000);
    let passed = traffic(&mut breaker, &mut now, 1_000, Outcome::Fault);
    assert_eq!(breaker.phase(), Phase::Open);
    assert!(passed <= 600, "{passed} statements were still sent");
}

#[test]
fn a_few_faults_are_no_reason() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new(settings(), now);
    assert_eq!(traffic(&mut breaker, &mut now, 19, Outcome::Fault), 19, "below the minimum volume");
    now += 2 * SECOND;
    for _ in 0..2_000 {
        traffic(&mut breaker, &mut now, 3, Outcome::Served);
        traffic(&mut breaker, &mut now, 2, Outcome::Fault);
    }
    assert_eq!(breaker.phase(), Phase::Closed);
    assert_eq!(breaker.opened(), 0);
}

#[test]
fn it_closes_by_probes_and_a_ramp() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new(settings(), now);
    traffic(&mut breaker, &mut now, 100, Outcome::Fault);
    assert_eq!(breaker.phase(), Phase::Open);
    assert_eq!(traffic(&mut breaker, &mut now, 900, Outcome::Served), 0);
    now += 100 * MS;
    let probes: Vec<Passage> = (0..5).map(|_| breaker.ask(now)).collect();
    assert_eq!(probes[..3], [Passage::Probe; 3], "three probes");
    assert!(matches!(probes[3], Passage::Barred(_)) && matches!(probes[4], Passage::Barred(_)));
    for _ in 0..3 {
        breaker.record(Passage::Probe, now, now + MS, Outcome::Served);
    }
    assert_eq!(breaker.phase(), Phase::Ramp);
    let steps: Vec<u32> = (0..4).map(|_| traffic(&mut breaker, &mut now, 500, Outcome::Served)).collect();
    assert!(steps[0] < 200 && steps.is_sorted() && steps[3] > 350, "{steps:?}");
    traffic(&mut breaker, &mut now, 100, Outcome::Served);
    assert_eq!(breaker.phase(), Phase::Closed);
}

#[test]
fn a_bad_probe_doubles_the_pause_and_health_forgives() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new(settings(), now);
    for pause in [1, 2, 4, 8, 8] {
        let before = breaker.opened();
        traffic(&mut breaker, &mut now, 100, Outcome::Fault);
        assert_eq!((breaker.phase(), breaker.opened()), (Phase::Open, before + 1));
        let Passage::Barred(left) = breaker.ask(now) else { panic!("it is open") };
        assert!(left <= pause * SECOND && left > pause * SECOND - SECOND, "{left:?} of {pause} s");
        now += left;
    }
    now += 8 * SECOND;
    for _ in 0..3 {
        assert_eq!(breaker.ask(now), Passage::Probe);
        breaker.record(Passage::Probe, now, now, Outcome::Served);
    }
    traffic(&mut breaker, &mut now, 30_000, Outcome::Served);
    traffic(&mut breaker, &mut now, 600, Outcome::Fault);
    let Passage::Barred(left) = breaker.ask(now) else { panic!("it is open") };
    assert!(left <= SECOND, "after long health the first pause is short again: {left:?}");
}

#[test]
fn a_server_that_hangs_opens_it_before_it_answers() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new(settings(), now);
    traffic(&mut breaker, &mut now, 5_000, Outcome::Served);
    let hung = now;
    let mut out = 0;
    while breaker.phase() == Phase::Closed {
        now += 10 * MS;
        if !matches!(breaker.ask(now), Passage::Barred(_)) {
            out += 1;
        }
        assert!(now - hung <= SECOND, "open within a second");
    }
    assert!(out > 0);
}

#[test]
fn a_probe_that_hangs_opens_it_again() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new(settings(), now);
    traffic(&mut breaker, &mut now, 100, Outcome::Fault);
    now += SECOND;
    assert_eq!(breaker.ask(now), Passage::Probe);
    now += SECOND + MS;
    assert!(matches!(breaker.ask(now), Passage::Barred(_)));
    assert_eq!(breaker.phase(), Phase::Open);
}

#[test]
fn a_probe_that_nobody_tried_to_answer_is_no_bad_one() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new(settings(), now);
    traffic(&mut breaker, &mut now, 100, Outcome::Fault);
    now += SECOND;
    let (first, second) = (breaker.ask(now), breaker.ask(now));
    assert_eq!((first, second), (Passage::Probe, Passage::Probe));
    assert!(!breaker.record(second, now, now, Outcome::KnownDown), "the first is being connected");
    assert_eq!(breaker.phase(), Phase::HalfOpen);
    assert!(!breaker.record(first, now, now, Outcome::Served));
    for _ in 0..2 {
        let probe = breaker.ask(now);
        breaker.record(probe, now, now, Outcome::Served);
    }
    assert_eq!(breaker.phase(), Phase::Ramp);
}

#[test]
fn a_server_known_to_be_down_opens_it() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new(settings(), now);
    traffic(&mut breaker, &mut now, 100, Outcome::KnownDown);
    assert_eq!(breaker.phase(), Phase::Open);
}

#[test]
fn a_probe_whose_client_left_is_tried_again() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new(settings(), now);
    traffic(&mut breaker, &mut now, 100, Outcome::Fault);
    now += SECOND;
    for _ in 0..10 {
        assert_eq!(breaker.ask(now), Passage::Probe);
        breaker.record(Passage::Probe, now, now, Outcome::Unknown);
    }
    assert_eq!(breaker.phase(), Phase::HalfOpen);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever comes, an open breaker ends: good traffic closes it for good within its pauses and ramp.
    #[test]
    fn it_always_finds_its_way_back(
        steps in proptest::collection::vec((0..3u8, 0..3_000u64, 0..400u64), 0..200),
    ) {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(settings(), now);
        let mut out = Vec::new();
        for (what, pause, took) in steps {
            now += Duration::from_millis(pause);
            let passage = breaker.ask(now);
            if !matches!(passage, Passage::Barred(_)) {
                out.push((passage, now));
            }
            if what > 0 && let Some((passage, began)) = out.pop() {
                now += Duration::from_millis(took);
                let outcome = if what == 1 { Outcome::Fault } else { Outcome::Served };
                breaker.record(passage, began, now, outcome);
            }
        }
        for (passage, began) in out {
            breaker.record(passage, began, now, Outcome::Unknown);
        }
        for _ in 0..30 {
            traffic(&mut breaker, &mut now, 1_000, Outcome::Served);
        }
        prop_assert!(breaker.phase() == Phase::Closed, "{:?}", breaker.phase());
        prop_assert!(traffic(&mut breaker, &mut now, 100, Outcome::Served) == 100);
    }
}
