//! Stories of a gate, in simulated time.

use std::task::Waker;
use std::time::Duration;

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use tokio::time::Instant;

use super::{Ask, Concurrency, Entry, Gate, GateSettings, Grade, Reason, Sample, Woken};
use crate::protection::Tier;

const MS: Duration = Duration::from_millis(1);

fn settings(limit: u32) -> GateSettings {
    GateSettings {
        concurrency: Concurrency::Fixed(limit),
        queue_max: 1_000,
        queue_timeout: 1_000 * MS,
        target: 20 * MS,
    }
}

fn ask(tier: u32, user: u32, since: Instant) -> Ask {
    Ask { tier: Tier::new(tier).expect("a tier"), user, bound: false, since }
}

fn enter(gate: &mut Gate, ask: Ask, now: Instant) -> Entry {
    let mut woken = Woken::default();
    gate.enter(ask, now, Waker::noop(), &mut woken)
}

fn place(entry: Entry) -> u32 {
    match entry {
        Entry::Waits { place, .. } => place,
        Entry::Granted | Entry::Turned(_) => panic!("{entry:?}"),
    }
}

fn reason(outcome: Option<Result<(), super::Turned>>) -> Option<Reason> {
    outcome.and_then(|outcome| outcome.err().map(|turned| turned.reason))
}

#[test]
fn room_is_handed_on_in_the_order_of_tiers() {
    let now = Instant::now();
    let mut gate = Gate::new(settings(1), now);
    assert_eq!(enter(&mut gate, ask(3, 0, now), now), Entry::Granted);
    let low = place(enter(&mut gate, ask(4, 0, now), now));
    let high = place(enter(&mut gate, ask(1, 0, now), now));
    let mut woken = Woken::default();
    gate.leave(now + MS, None, &mut woken);
    assert_eq!(woken.0.len(), 1);
    assert_eq!(gate.outcome(high, Waker::noop()), Some(Ok(())));
    assert_eq!(gate.outcome(low, Waker::noop()), None);
    gate.leave(now + 2 * MS, None, &mut woken);
    assert_eq!(gate.outcome(low, Waker::noop()), Some(Ok(())));
    gate.leave(now + 3 * MS, None, &mut woken);
    assert_eq!((gate.running(), gate.waiting()), (0, 0));
}

#[test]
fn a_transaction_that_holds_locks_does_not_wait() {
    let now = Instant::now();
    let mut gate = Gate::new(settings(1), now);
    enter(&mut gate, ask(1, 0, now), now);
    place(enter(&mut gate, ask(1, 0, now), now));
    assert_eq!(enter(&mut gate, Ask { bound: true, ..ask(4, 0, now) }, now), Entry::Granted);
    assert_eq!(gate.running(), 2, "but it counts");
}

#[test]
fn a_full_line_gives_up_its_least_important_for_a_more_important_one() {
    let now = Instant::now();
    let mut gate = Gate::new(GateSettings { queue_max: 2, ..settings(1) }, now);
    enter(&mut gate, ask(3, 0, now), now);
    let first = place(enter(&mut gate, ask(3, 0, now), now));
    let second = place(enter(&mut gate, ask(3, 0, now), now));
    let Entry::Turned(turned) = enter(&mut gate, ask(3, 0, now), now) else { panic!("the line is full") };
    assert_eq!(turned.reason, Reason::Full);
    assert!(turned.retry_after >= 50 * MS);
    let important = place(enter(&mut gate, ask(1, 0, now), now));
    assert_eq!(reason(gate.outcome(second, Waker::noop())), Some(Reason::Shed));
    assert_eq!(gate.outcome(first, Waker::noop()), None);
    assert_eq!(gate.outcome(important, Waker::noop()), None);
}

#[test]
fn what_is_late_never_runs() {
    let now = Instant::now();
    let mut gate = Gate::new(settings(1), now);
    enter(&mut gate, ask(3, 0, now), now);
    let late = place(enter(&mut gate, ask(1, 0, now), now));
    let fresh = place(enter(&mut gate, ask(1, 1, now + 999 * MS), now + 999 * MS));
    let mut woken = Woken::default();
    gate.leave(now + 1_000 * MS, None, &mut woken);
    assert_eq!(reason(gate.outcome(late, Waker::noop())), Some(Reason::Late));
    assert_eq!(gate.outcome(fresh, Waker::noop()), Some(Ok(())));
    let old = ask(1, 0, now);
    let Entry::Turned(turned) = enter(&mut gate, old, now + 2_000 * MS) else { panic!("it is late") };
    assert_eq!(turned.reason, Reason::Late);
}

#[test]
fn a_grant_that_nobody_takes_goes_to_the_next() {
    let now = Instant::now();
    let mut gate = Gate::new(settings(1), now);
    enter(&mut gate, ask(3, 0, now), now);
    let gone = place(enter(&mut gate, ask(3, 0, now), now));
    let next = place(enter(&mut gate, ask(3, 0, now), now));
    let mut woken = Woken::default();
    gate.leave(now, None, &mut woken);
    gate.abandon(gone, now, &mut woken);
    assert_eq!(gate.outcome(next, Waker::noop()), Some(Ok(())));
    gate.leave(now, None, &mut woken);
    assert_eq!(gate.running(), 0);
}

#[test]
fn a_closed_gate_lets_nobody_wait_on() {
    let now = Instant::now();
    let mut gate = Gate::new(settings(1), now);
    enter(&mut gate, ask(1, 0, now), now);
    let waiting = place(enter(&mut gate, ask(1, 0, now), now));
    let mut woken = Woken::default();
    gate.close(3_000 * MS, &mut woken);
    let Some(Err(turned)) = gate.outcome(waiting, Waker::noop()) else { panic!("it is told") };
    assert_eq!((turned.reason, turned.retry_after), (Reason::Closed, 3_000 * MS));
}

/// What one tier met in a simulated overload.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    asked: u32,
    served: u32,
    worst: Duration,
}

/// Offers `times` of what 4 statements at once can do, 10 ms each, for five seconds; tier 1 is a tenth of
/// what the server can do, the others share the rest. Returns what the tiers met, and the grades in order.
fn overload(times: u64, tiers: &[u32]) -> ([Seen; Tier::COUNT], Vec<Grade>) {
    let start = Instant::now();
    let mut gate = Gate::new(settings(4), start);
    let (mut seen, mut grades) = ([Seen::default(); Tier::COUNT], vec![Grade::Calm]);
    let (mut running, mut waiting): (Vec<Instant>, Vec<(u32, Ask, Instant)>) = (Vec::new(), Vec::new());
    let mut woken = Woken::default();
    // 100 µs a step; 40 statements can run in 100 ms, so one every 25 steps is all the server can do.
    for step in 0..50_000u64 {
        let now = start + Duration::from_micros(100 * step);
        let before = running.len();
        running.retain(|end| *end > now);
        for _ in running.len()..before {
            gate.leave(now, None, &mut woken);
        }
        let mut arrive = |tier: u32, gate: &mut Gate| {
            let ask = ask(tier, (step % 3) as u32, now);
            seen[ask.tier.index()].asked += 1;
            match enter(gate, ask, now) {
                Entry::Granted => {
                    seen[ask.tier.index()].served += 1;
                    running.push(now + 10 * MS);
                }
                Entry::Waits { place, deadline } => waiting.push((place, ask, deadline)),
                Entry::Turned(_) => {}
            }
        };
        if step % 250 == 0 && tiers.contains(&1) {
            arrive(1, &mut gate);
        }
        if step % 25 < times {
            let others: Vec<u32> = tiers.iter().copied().filter(|tier| *tier != 1).collect();
            arrive(others[(step / 25) as usize % others.len()], &mut gate);
        }
        waiting.retain(|(place, ask, deadline)| {
            let outcome = match gate.outcome(*place, Waker::noop()) {
                None if *deadline <= now => Some(gate.expire(*place, now, &mut woken)),
                outcome => outcome,
            };
            if outcome == Some(Ok(())) {
                let seen = &mut seen[ask.tier.index()];
                seen.served += 1;
                seen.worst = seen.worst.max(now - ask.since);
                running.push(now + 10 * MS);
            }
            outcome.is_none()
        });
        if grades.last() != Some(&gate.grade()) {
            grades.push(gate.grade());
        }
    }
    (seen, grades)
}

#[test]
fn overload_costs_no_throughput_and_tier_1_nothing() {
    for times in [1, 3, 10] {
        let (seen, grades) = overload(times, &[1, 2, 3, 4]);
        let served: u32 = seen.iter().map(|seen| seen.served).sum();
        assert!(served >= 1_800, "{times}x: {served} of 2,000 that the server can do; {seen:?}");
        assert_eq!(seen[0].served, seen[0].asked, "{times}x: {seen:?}");
        assert!(seen[0].worst <= 12 * MS, "{times}x: {seen:?}");
        if times > 1 {
            let order: Vec<&Grade> = grades.iter().filter(|grade| **grade > Grade::Warn).take(4).collect();
            assert_eq!(order[0], &Grade::Queue, "{grades:?}");
            assert!(grades.contains(&Grade::FirstOnly), "{grades:?}");
        }
    }
}

#[test]
fn one_tier_alone_is_not_shed_below_what_the_server_can_do() {
    let (seen, _) = overload(10, &[3]);
    assert!(seen[2].served >= 1_900, "{seen:?}");
    assert!(seen[2].worst <= 200 * MS, "and nobody waits long once the line stands: {seen:?}");
}

#[test]
fn a_line_that_is_kept_short_does_not_leave_the_server_idle() {
    // As many as can run, or thrice, at random moments: one at a time, 10 ms each, for a minute.
    for times in [1.0, 3.0] {
        let (start, mut random) = (Instant::now(), 0x9E37_79B9_7F4A_7C15_u64);
        let mut gate = Gate::new(settings(1), start);
        let (mut waiting, mut woken) = (Vec::new(), Woken::default());
        let (mut ends, mut served, mut worst) = (None, 0_u32, Duration::ZERO);
        for step in 0..600_000_u32 {
            let now = start + step * Duration::from_micros(100);
            if ends.is_some_and(|ends| ends <= now) {
                ends = None;
                gate.leave(now, Some(Sample { digest: 1, took: 10 * MS }), &mut woken);
            }
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if (random >> 40) as f64 / f64::from(1 << 24) < times / 100.0 {
                match enter(&mut gate, ask(3, 0, now), now) {
                    Entry::Granted => (ends, served) = (Some(now + 10 * MS), served + 1),
                    Entry::Waits { place, deadline } => waiting.push((place, now, deadline)),
                    Entry::Turned(_) => {}
                }
            }
            waiting.retain(|(place, since, deadline)| {
                let outcome = match gate.outcome(*place, Waker::noop()) {
                    None if *deadline <= now => Some(gate.expire(*place, now, &mut woken)),
                    outcome => outcome,
                };
                if outcome == Some(Ok(())) {
                    (ends, served, worst) = (Some(now + 10 * MS), served + 1, worst.max(now - *since));
                }
                outcome.is_none()
            });
        }
        // Before the line stands, somebody may have come early and waited longer.
        assert!(f64::from(served) >= 6_000.0 * 0.9, "{times}x: {served} of 6,000");
        assert!(worst <= 320 * MS, "{times}x: {worst:?}");
    }
}

#[test]
fn pressure_that_ends_is_forgotten_step_by_step() {
    let start = Instant::now();
    let mut gate = Gate::new(settings(1), start);
    let (mut now, mut woken) = (start, Woken::default());
    enter(&mut gate, ask(3, 0, now), now);
    let mut waiting = Vec::new();
    for _ in 0..100 {
        now += 5 * MS;
        if let Entry::Waits { place, .. } = enter(&mut gate, ask(1, 0, now), now) {
            waiting.push(place);
        }
        if let Entry::Waits { place, .. } = enter(&mut gate, ask(4, 0, now), now) {
            waiting.push(place);
        }
    }
    assert_eq!(gate.grade(), Grade::FirstOnly);
    for place in waiting {
        gate.abandon(place, now, &mut woken);
    }
    let mut grades = Vec::new();
    for _ in 0..10 {
        now += 100 * MS;
        gate.leave(now, None, &mut woken);
        enter(&mut gate, ask(3, 0, now), now);
        grades.push(gate.grade());
    }
    assert!(grades.contains(&Grade::Shed(Tier::LAST)), "{grades:?}");
    assert_eq!(grades.last(), Some(&Grade::Warn), "the one place is taken: {grades:?}");
}

proptest! {
    #[test]
    fn counts_stay_right_and_no_room_stays_empty_while_somebody_waits(
        limit in 1..4u32,
        steps in proptest::collection::vec((0..4u8, 1..5u32, 0..3u32, 0..60u64), 0..300),
    ) {
        let mut now = Instant::now();
        let mut gate = Gate::new(GateSettings { queue_max: 5, ..settings(limit) }, now);
        let (mut running, mut waiting, mut woken) = (0u32, Vec::new(), Woken::default());
        for (what, tier, user, pause) in steps {
            now += Duration::from_millis(pause);
            match what {
                0 | 1 => match enter(&mut gate, ask(tier, user, now), now) {
                    Entry::Granted => running += 1,
                    Entry::Waits { place, .. } => waiting.push(place),
                    Entry::Turned(_) => {}
                },
                2 if running > 0 => {
                    running -= 1;
                    gate.leave(now, None, &mut woken);
                }
                _ => if let Some(place) = waiting.pop() {
                    gate.abandon(place, now, &mut woken);
                },
            }
            waiting.retain(|place| match gate.outcome(*place, Waker::noop()) {
                Some(Ok(())) => { running += 1; false }
                Some(Err(_)) => false,
                None => true,
            });
            prop_assert_eq!(gate.running(), running);
            prop_assert_eq!(gate.waiting(), waiting.len());
            prop_assert!(running <= limit);
            prop_assert!(waiting.is_empty() || running == limit);
        }
    }
}
