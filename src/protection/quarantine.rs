//! Finds the digest that takes so much longer than it did that it takes the server from everybody else.
//!
//! It is compared with its own past, and with how much everything else has slowed down meanwhile: under plain
//! overload all are slow, and none of them is to blame.

use std::collections::HashMap;
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
    seen: u64,
}

/// See the module's text. Give it all digests every few seconds.
#[derive(Debug, Default)]
pub struct Watch {
    digests: HashMap<u64, Past, FixedState>,
    /// Until when a digest is left alone: it was found, or an operator has let it go.
    quiet: HashMap<u64, Instant, FixedState>,
}

impl Watch {
    /// Looks at one interval; returns what is to be kept to a few at a time.
    pub fn observe(&mut self, observed: &[Observed], settings: &Quarantine, now: Instant) -> Vec<Finding> {
        self.quiet.retain(|_, until| now < *until);
        let mut interval: Vec<(u64, u64, f64, Past)> = Vec::new();
        for seen in observed {
            if self.digests.len() >= DIGESTS_MAX && !self.digests.contains_key(&seen.digest) {
                continue;
            }
            let past = self.digests.entry(seen.digest).or_default();
            let count = seen.count.saturating_sub(past.count);
            let time = seen.time.saturating_sub(past.time).as_secs_f64();
            (past.count, past.time) = (seen.count, seen.time);
            if count > 0 {
                interval.push((seen.digest, count, time, *past));
            }
        }
        let all: f64 = interval.iter().map(|(_, _, time, _)| time).sum();
        let usual = |count: u64, past: &Past| if past.seen > 0 { past.usual * count as f64 } else { 0.0 };
        let expected: f64 = interval.iter().map(|(_, count, _, past)| usual(*count, past)).sum();
        let mut found = Vec::new();
        for (digest, count, time, past) in &interval {
            let mean = time / *count as f64;
            let slower = mean / past.usual.max(1e-9);
            let others = (all - time) / (expected - usual(*count, past)).max(1e-9);
            let alone = expected - usual(*count, past) <= 0.0 || slower >= ALONE * others;
            let known = past.seen >= PAST_MIN && *count >= VOLUME_MIN;
            let bad = known
                && slower >= f64::from(settings.slower)
                && time * 100.0 >= all * f64::from(settings.share)
                && alone;
            if !bad {
                self.learn(*digest, *count, mean);
            } else if !self.quiet.contains_key(digest) {
                self.quiet.insert(*digest, now + settings.ttl);
                let reason = format!(
                    "takes {slower:.0} times its usual time ({:.1} ms) and {:.0} % of the time of all statements",
                    past.usual * 1e3,
                    time / all.max(1e-9) * 100.0
                );
                found.push(Finding { digest: *digest, reason });
            }
        }
        found
    }

    /// What is slow does not become the usual, but what is a little slower slowly does.
    fn learn(&mut self, digest: u64, count: u64, mean: f64) {
        let Some(past) = self.digests.get_mut(&digest) else { return };
        let weight = if past.seen == 0 { 1.0 } else { 0.1 };
        past.usual += (mean - past.usual) * weight;
        past.seen += count;
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
}
