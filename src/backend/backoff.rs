//! Times between two attempts at something that fails: Fibonacci steps with jitter and a cap.
//!
//! Fibonacci grows slower than doubling, so a server that is back after seconds is found sooner; the
//! jitter keeps many proxies from knocking at the same moment.

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::config;

/// The times to wait after the first, second, third … failure in a row.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    settings: config::Backoff,
    /// The step that comes next, before jitter.
    step: Duration,
    /// The one after it.
    following: Duration,
}

impl Backoff {
    /// Starts at `settings.first`; no time is longer than `settings.max`.
    #[must_use]
    pub(crate) fn new(settings: config::Backoff) -> Self {
        let first = settings.first;
        Self { settings, step: first, following: first }
    }

    /// How long to wait now: the step (1, 1, 2, 3, 5 … times the first, capped), less up to half of it at random.
    pub(crate) fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let step = self.step.min(self.settings.max);
        if self.step <= self.settings.max {
            let sum = self.step.saturating_add(self.following);
            self.step = std::mem::replace(&mut self.following, sum);
        }
        let whole = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(rng.random_range(whole / 2..=whole))
    }

    /// New settings: the next step is within them.
    pub(crate) fn retime(&mut self, settings: config::Backoff) {
        if self.settings != settings {
            *self = Self::new(settings);
        }
    }

    /// It worked: the next failure waits `settings.first` again.
    pub(crate) fn reset(&mut self) {
        self.step = self.settings.first;
        self.following = self.settings.first;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::Backoff;
    use crate::config;

    fn settings(first_ms: u64, max_ms: u64) -> config::Backoff {
        config::Backoff { first: Duration::from_millis(first_ms), max: Duration::from_millis(max_ms) }
    }

    #[test]
    fn the_steps_are_fibonacci_numbers_up_to_the_cap_with_at_most_half_taken_off() {
        for seed in 0..50 {
            let mut rng = SmallRng::seed_from_u64(seed);
            let mut backoff = Backoff::new(settings(100, 1000));
            for expected in [100, 100, 200, 300, 500, 800, 1000, 1000, 1000] {
                let time = backoff.next(&mut rng);
                let whole = Duration::from_millis(expected);
                assert!(whole / 2 <= time && time <= whole, "seed {seed}: {time:?} for a step of {whole:?}");
            }
        }
    }

    #[test]
    fn a_success_starts_over() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut backoff = Backoff::new(settings(100, 60_000));
        for _ in 0..10 {
            backoff.next(&mut rng);
        }
        backoff.reset();
        assert!(backoff.next(&mut rng) <= Duration::from_millis(100));
    }

    #[test]
    fn extreme_settings_neither_panic_nor_exceed_the_cap() {
        let mut rng = SmallRng::seed_from_u64(2);
        for (first, max) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::from_secs(9), Duration::from_secs(1)),
            (Duration::MAX, Duration::MAX),
        ] {
            let mut backoff = Backoff::new(config::Backoff { first, max });
            for _ in 0..200 {
                assert!(backoff.next(&mut rng) <= max);
            }
        }
    }
}
