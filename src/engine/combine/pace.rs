//! What executions of a digest have been like: only statements known to be quick, small and free of
//! warnings share a connection, because whoever travels behind one waits for it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Executions in a row that must have been harmless before a digest may share.
const RUNS_MIN: u32 = 32;

/// Average time on the server, at most, for a digest that may share. What travels behind waits at most this
/// long for each seat before it.
const TIME_MAX: Duration = Duration::from_millis(1);

/// One execution that took this long ends the sharing of its digest until others have been quick again.
const OUTLIER: Duration = Duration::from_millis(20);

/// Bytes of a reply at most: it is read whole before the next one's turn.
pub(crate) const REPLY_BYTES_MAX: u64 = 8 << 10;

/// The pace of one digest on one worker, which alone writes it.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    runs: AtomicU32,
    /// Average time in nanoseconds, the newest execution weighing an eighth.
    average: AtomicU32,
}

impl Pace {
    /// Whether statements of this digest may share a connection.
    pub(crate) fn is_quick(&self) -> bool {
        self.runs.load(Ordering::Relaxed) >= RUNS_MIN
            && u128::from(self.average.load(Ordering::Relaxed)) <= TIME_MAX.as_nanos()
    }

    /// An execution took `time` on the server.
    pub(crate) fn ran(&self, time: Duration) {
        if time >= OUTLIER {
            return self.begin_anew();
        }
        let time = u32::try_from(time.as_nanos()).unwrap_or(u32::MAX);
        let runs = self.runs.load(Ordering::Relaxed);
        let average = self.average.load(Ordering::Relaxed);
        let next = if runs == 0 { time } else { average - average / 8 + time / 8 };
        self.average.store(next, Ordering::Relaxed);
        self.runs.store(runs.saturating_add(1), Ordering::Relaxed);
    }

    /// An execution was no harmless one: large, with warnings, an error, a change of state.
    pub(crate) fn begin_anew(&self) {
        self.runs.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_shares_after_enough_quick_executions_and_no_longer_after_a_slow_one() {
        let pace = Pace::default();
        let quick = || {
            for _ in 0..RUNS_MIN {
                assert!(!pace.is_quick());
                pace.ran(Duration::from_micros(300));
            }
            assert!(pace.is_quick());
        };
        quick();
        pace.ran(OUTLIER);
        quick();
        pace.begin_anew();
        quick();
        for _ in 0..32 {
            pace.ran(Duration::from_millis(3));
        }
        assert!(!pace.is_quick(), "slow on average");
    }
}
