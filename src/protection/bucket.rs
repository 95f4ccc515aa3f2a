//! A token bucket: so many a second on average, so many at once.
//!
//! Kept as one moment instead of a count (the generic cell rate algorithm): the moment at which the bucket
//! is full again. Whoever waits has its place by reservation, so waiters go in the order in which they came.

use std::time::Duration;

use tokio::time::Instant;

/// How far statements that cannot wait may overdraw the bucket: later ones pay this back and no more.
const DEBT_MAX: Duration = Duration::from_secs(1);

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Between two tokens.
    interval: Duration,
    /// What a burst may be ahead of the average.
    tolerance: Duration,
    /// When the bucket is full again, if nobody takes anything.
    full: Instant,
}

impl Bucket {
    /// A full bucket of `burst` tokens (at least 1) that gets `rate` (at least 1) a second.
    #[must_use]
    pub fn new(rate: u32, burst: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / rate.max(1);
        Self { interval, tolerance: interval.saturating_mul(burst.max(1) - 1), full: now }
    }

    /// Other numbers from now on; what has been taken stays taken.
    pub fn change(&mut self, rate: u32, burst: u32, now: Instant) {
        *self = Self { full: self.full.max(now), ..Self::new(rate, burst, now) };
    }

    /// Takes a token that is there within `patience`.
    ///
    /// # Errors
    /// How long it would take; nothing has been taken.
    pub fn take(&mut self, now: Instant, patience: Duration) -> Result<Instant, Duration> {
        let full = self.full.max(now);
        let wait = full.saturating_duration_since(now).saturating_sub(self.tolerance);
        if wait > patience {
            return Err(wait);
        }
        self.full = full + self.interval;
        Ok(now + wait)
    }

    /// Takes a token whether there is one or not.
    pub fn overdraw(&mut self, now: Instant) {
        let bound = now + self.tolerance + DEBT_MAX;
        self.full = (self.full.max(now) + self.interval).min(bound.max(self.full));
    }

    /// Gives back a token that was reserved and not used.
    pub fn give_back(&mut self) {
        if let Some(full) = self.full.checked_sub(self.interval) {
            self.full = full;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::new(10, 3, now);
        for _ in 0..3 {
            assert_eq!(bucket.take(now, Duration::ZERO), Ok(now));
        }
        assert_eq!(bucket.take(now, Duration::ZERO), Err(100 * MS));
        assert_eq!(bucket.take(now, 250 * MS), Ok(now + 100 * MS));
        assert_eq!(bucket.take(now, 250 * MS), Ok(now + 200 * MS));
        assert_eq!(bucket.take(now, 250 * MS), Err(300 * MS), "nobody waits in vain");
        assert_eq!(bucket.take(now + 300 * MS, Duration::ZERO), Ok(now + 300 * MS));
    }

    #[test]
    fn who_cannot_wait_is_counted_and_paid_for_later() {
        let now = Instant::now();
        let mut bucket = Bucket::new(10, 1, now);
        for _ in 0..1_000 {
            bucket.overdraw(now);
        }
        let wait = bucket.take(now, Duration::ZERO).expect_err("overdrawn");
        assert_eq!(wait, Duration::from_secs(1), "the debt has a bound");
    }

    #[test]
    fn a_reservation_that_is_given_back_serves_the_next() {
        let now = Instant::now();
        let mut bucket = Bucket::new(10, 1, now);
        assert_eq!(bucket.take(now, MS), Ok(now));
        assert_eq!(bucket.take(now, 100 * MS), Ok(now + 100 * MS));
        bucket.give_back();
        assert_eq!(bucket.take(now, 100 * MS), Ok(now + 100 * MS));
    }

    proptest! {
        #[test]
        fn no_second_sees_more_than_rate_and_burst(
            rate in 1..500u32,
            burst in 1..50u32,
            gaps in proptest::collection::vec(0..40u64, 1..400),
        ) {
            let start = Instant::now();
            let mut bucket = Bucket::new(rate, burst, start);
            let (mut now, mut passed) = (start, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                if let Ok(at) = bucket.take(now, Duration::from_millis(50)) {
                    prop_assert!(at >= now && at <= now + Duration::from_millis(50));
                    passed.push(at);
                }
            }
            for (n, from) in passed.iter().enumerate() {
                let within = passed[n..].iter().filter(|at| **at < *from + Duration::from_secs(1)).count();
                prop_assert!(within as u32 <= rate + burst, "{within} in a second");
            }
        }
    }
}
