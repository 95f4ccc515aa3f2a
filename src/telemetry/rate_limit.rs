//! At most one log line a second from a place that could repeat itself for every client.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::histogram::nanos;

/// The state of one call site; a `static` beside the log line.
#[derive(Debug)]
pub struct RateLimit {
    interval: Duration,
    base: OnceLock<Instant>,
    /// Nanoseconds after `base` from which the next line is let through.
    next: AtomicU64,
    suppressed: AtomicU64,
}

impl RateLimit {
    /// One line a second.
    #[must_use]
    pub const fn per_second() -> Self {
        Self::every(Duration::from_secs(1))
    }

    /// One line in each `interval`.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        Self { interval, base: OnceLock::new(), next: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Whether a line may be written now; if so, how many were held back since the last one.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let now = nanos(now.saturating_duration_since(*self.base.get_or_init(|| now)));
        let next = self.next.load(Ordering::Relaxed);
        let after = now.saturating_add(nanos(self.interval));
        // Of several threads at the same moment one wins; the others are held back.
        let admitted = now >= next
            && self.next.compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if admitted {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_passes_and_says_how_many_did_not() {
        let limit = RateLimit::per_second();
        let start = Instant::now();
        assert_eq!(limit.admit(start), Some(0));
        assert_eq!(limit.admit(start), None);
        assert_eq!(limit.admit(start + Duration::from_millis(999)), None);
        assert_eq!(limit.admit(start + Duration::from_secs(1)), Some(2));
        assert_eq!(limit.admit(start + Duration::from_secs(3)), Some(0));
    }
}
