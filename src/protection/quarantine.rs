//! Finds the digest that takes so much longer than it did that it takes the server from everybody else.
//!
//! It is compared with its own past, and with how much everything else has slowed down meanwhile: under plain
//! overload all are slow, and none of them is to blame.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use foldhash::fast::FixedState;
use tokio::time::Instant;

use crate::config::protection::Quarantine;

/// Executions in one interval before a digest is judged.
const VOLUME_MIN: u64 = 5;
/// Executions before its past counts.
const PAST_MIN: u64 = 20;
/// How many times more it must have slowed down than everything else.
const ALONE: f64 = 3.0;
/// Digests that are remembered at most.
const DIGESTS_MAX: usize = 10_000;
/// A digest beside which others have always taken less than this part of the time has nobody to be kept from.
const COMPANY_MIN: f64 = 0.01;

/// What a digest did since the start of the process.
#[derive(Clone, Copy, Debug)]
pub struct Observed {
    /// Its hash.
    pub digest: u64,
    /// Executions.
    pub count: u64,
    /// Their time.
    pub time: Duration,
}

/// A digest that should be kept to a few at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Which.
    pub digest: u64,
    /// Why, for people.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, Default)]
struct Past {
    count: u64,
    time: Duration,
    /// Seconds that an execution took, smoothed, from before it became slow.
    usual: f64,
    /// The part of all time that others took meanwhile, smoothed likewise.
    company: f64,
    seen: u64,
}

/// What a digest did in one interval.
#[derive(Clone, Copy, Debug)]
struct Lately {
    digest: u64,
    count: u64,
    /// Seconds.
    time: f64,
    past: Past,
}

/// What all digests did in it.
#[derive(Clone, Copy, Debug)]
struct Whole {
    /// Seconds that passed.
    passed: f64,
    /// Seconds that statements took.
    time: f64,
    /// Seconds that they usually take.
    expected: f64,
}

/// See the module's text. Give it all digests every few seconds.
#[derive(Debug, Default)]
pub struct Watch {
    digests: HashMap<u64, Past, FixedState>,
    /// Until when a digest is left alone: it was found, or an operator has let it go.
    quiet: HashMap<u64, Instant, FixedState>,
    /// The end of the interval before.
    looked: Option<Instant>,
}

impl Watch {
    /// Looks at one interval; returns what is to be kept to a few at a time.
    pub fn observe(&mut self, observed: &[Observed], settings: &Quarantine, now: Instant) -> Vec<Finding> {
        self.quiet.retain(|_, until| now < *until);
        let passed = self.looked.replace(now).map_or(0.0, |before| (now - before).as_secs_f64());
        let lately = self.since_before(observed);
        let whole = Whole {
            passed,
            time: lately.iter().map(|digest| digest.time).sum(),
            expected: lately.iter().map(Lately::usual).sum(),
        };
        let mut found = Vec::new();
        for digest in &lately {
            if !digest.is_bad(whole, settings) {
                self.learn(digest, whole);
            } else if let Entry::Vacant(entry) = self.quiet.entry(digest.digest) {
                entry.insert(now + settings.ttl);
                found.push(digest.finding(whole));
            }
        }
        found
    }

    /// What ran since the last look.
    fn since_before(&mut self, observed: &[Observed]) -> Vec<Lately> {
        let mut lately = Vec::new();
        for seen in observed {
            if self.digests.len() >= DIGESTS_MAX && !self.digests.contains_key(&seen.digest) {
                continue;
            }
            let past = self.digests.entry(seen.digest).or_default();
            let count = seen.count.saturating_sub(past.count);
            let time = seen.time.saturating_sub(past.time).as_secs_f64();
            (past.count, past.time) = (seen.count, seen.time);
            if count > 0 {
                lately.push(Lately { digest: seen.digest, count, time, past: *past });
            }
        }
        lately
    }

    /// What is slow does not become the usual, but what is a little slower slowly does.
    fn learn(&mut self, lately: &Lately, whole: Whole) {
        let Some(past) = self.digests.get_mut(&lately.digest) else { return };
        let weight = if past.seen == 0 { 1.0 } else { 0.1 };
        past.usual += (lately.mean() - past.usual) * weight;
        past.company += (1.0 - lately.time / whole.time.max(1e-9) - past.company) * weight;
        past.seen += lately.count;
    }
}

impl Lately {
    /// Seconds that an execution took.
    fn mean(&self) -> f64 {
        self.time / self.count as f64
    }

    /// Seconds that as many executions usually take.
    fn usual(&self) -> f64 {
        if self.past.seen > 0 { self.past.usual * self.count as f64 } else { 0.0 }
    }

    fn slower(&self) -> f64 {
        self.mean() / self.past.usual.max(1e-9)
    }

    /// Whether it takes the server from others: much slower than it was, by itself, and dear by any measure.
    fn is_bad(&self, whole: Whole, settings: &Quarantine) -> bool {
        let expected = whole.expected - self.usual();
        // Without anybody beside it now: whether somebody used to be, and has perhaps no room left.
        let alone = if expected > 0.0 {
            self.slower() >= ALONE * (whole.time - self.time) / expected
        } else {
            self.past.company >= COMPANY_MIN
        };
        self.past.seen >= PAST_MIN
            && self.count >= VOLUME_MIN
            && self.slower() >= f64::from(settings.slower)
            && self.time * 100.0 >= whole.time * f64::from(settings.share)
            && self.mean() >= settings.time_min.as_secs_f64()
            && self.time * 100.0 >= whole.passed * f64::from(settings.busy)
            && alone
    }

    fn finding(&self, whole: Whole) -> Finding {
        let reason = format!(
            "takes {:.0} times its usual time ({:.1} ms) and {:.0} % of the time of all statements",
            self.slower(),
            self.past.usual * 1e3,
            self.time / whole.time.max(1e-9) * 100.0
        );
        Finding { digest: self.digest, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One interval: each digest with its executions and the milliseconds that each took.
    fn interval(totals: &mut [Observed], did: &[(u64, u64)]) {
        for (total, (count, millis)) in totals.iter_mut().zip(did) {
            total.count += count;
            total.time += Duration::from_millis(count * millis);
        }
    }

    fn totals() -> [Observed; 3] {
        [1, 2, 3].map(|digest| Observed { digest, count: 0, time: Duration::ZERO })
    }

    #[test]
    fn the_digest_that_explodes_is_found_once_and_the_others_are_not() {
        let (mut watch, mut seen, settings) = (Watch::default(), totals(), Quarantine::default());
        let mut now = Instant::now();
        for _ in 0..10 {
            now += Duration::from_secs(5);
            interval(&mut seen, &[(100, 2), (50, 4), (5, 20)]);
            assert_eq!(watch.observe(&seen, &settings, now), []);
        }
        let mut found = Vec::new();
        for _ in 0..12 {
            now += Duration::from_secs(5);
            interval(&mut seen, &[(100, 5), (50, 9), (6, 900)]);
            found.extend(watch.observe(&seen, &settings, now).into_iter().map(|finding| finding.digest));
        }
        assert_eq!(found, [3]);
    }

    #[test]
    fn overload_blames_nobody() {
        let (mut watch, mut seen, settings) = (Watch::default(), totals(), Quarantine::default());
        let mut now = Instant::now();
        for slow in [1, 1, 1, 1, 1, 30, 30, 30, 30] {
            now += Duration::from_secs(5);
            interval(&mut seen, &[(100, 2 * slow), (50, 4 * slow), (5, 20 * slow)]);
            assert_eq!(watch.observe(&seen, &settings, now), []);
        }
    }

    #[test]
    fn a_digest_without_a_past_or_without_weight_is_left_alone() {
        let (mut watch, mut seen, settings) = (Watch::default(), totals(), Quarantine::default());
        let now = Instant::now();
        interval(&mut seen, &[(100, 2), (3, 4), (0, 0)]);
        assert_eq!(watch.observe(&seen, &settings, now), []);
        interval(&mut seen, &[(100, 2), (3, 400), (50, 900)]);
        assert_eq!(watch.observe(&seen, &settings, now), [], "two is rare, three is new");
        for _ in 0..10 {
            interval(&mut seen, &[(100_000, 2), (10, 4), (0, 0)]);
            watch.observe(&seen, &settings, now);
        }
        interval(&mut seen, &[(100_000, 2), (10, 400), (0, 0)]);
        assert_eq!(watch.observe(&seen, &settings, now), [], "it takes two percent of the time");
    }

    #[test]
    fn what_is_still_quick_is_no_explosion() {
        let (mut watch, settings) = (Watch::default(), Quarantine::default());
        let mut now = Instant::now();
        let mut seen = [1, 2].map(|digest| Observed { digest, count: 0, time: Duration::ZERO });
        let mut found = Vec::new();
        // 10 µs, then 0.3 ms at any number of clients; then a few that are slow and keep nobody from anything.
        for (count, micros) in [(50_000, 10), (50_000, 10), (100_000, 300), (100_000, 300), (20, 40_000)] {
            now += Duration::from_secs(5);
            seen[0].count += count;
            seen[0].time += Duration::from_micros(count * micros);
            seen[1].count += 100;
            seen[1].time += Duration::from_micros(100 * 100);
            found.extend(watch.observe(&seen, &settings, now));
        }
        assert_eq!(found, []);
    }

    #[test]
    fn a_digest_that_was_always_alone_has_nobody_to_be_kept_from() {
        let check = |company: u64, expected: &[u64]| {
            let (mut watch, mut seen, settings) = (Watch::default(), totals(), Quarantine::default());
            let mut now = Instant::now();
            for _ in 0..10 {
                now += Duration::from_secs(5);
                interval(&mut seen, &[(1000, 1), (company, 1)]);
                watch.observe(&seen, &settings, now);
            }
            now += Duration::from_secs(5);
            interval(&mut seen, &[(1000, 60), (0, 0)]);
            let found = watch.observe(&seen, &settings, now).into_iter();
            assert_eq!(found.map(|finding| finding.digest).collect::<Vec<_>>(), expected);
        };
        check(0, &[]);
        check(100, &[1]);
    }
}
