//! What executions of a digest have been like: only statements known to be quick, small and free of
//! warnings share a connection, because whoever travels behind one waits for it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Executions in a row that must have been harmless before a digest may share.
const RUNS_MIN: u32 = 32;

/// The shortest time on the server of late, at most, for a digest that may share. The shortest: where this
/// worker or the server is busy, the others are as long as the line is.
const FLOOR_MAX: Duration = Duration::from_millis(1);

/// Average time, at most: what is quick only now and then is not quick.
const AVERAGE_MAX: Duration = Duration::from_millis(8);

/// One execution that took this long ends the sharing of its digest until others have been quick again.
const OUTLIER: Duration = Duration::from_millis(50);

/// Bytes of a reply at most: it is read whole before the next one's turn.
pub(crate) const REPLY_BYTES_MAX: u64 = 8 << 10;

/// The pace of one digest on one worker, which alone writes it.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    runs: AtomicU32,
    /// Average time in nanoseconds, the newest execution weighing an eighth.
    average: AtomicU32,
    /// Shortest time in nanoseconds, forgotten by a 32nd with each execution.
    floor: AtomicU32,
}

impl Pace {
    /// Whether statements of this digest may share a connection.
    pub(crate) fn is_quick(&self) -> bool {
        let within =
            |time: &AtomicU32, max: Duration| u128::from(time.load(Ordering::Relaxed)) <= max.as_nanos();
        self.runs.load(Ordering::Relaxed) >= RUNS_MIN
            && within(&self.floor, FLOOR_MAX)
            && within(&self.average, AVERAGE_MAX)
    }

    /// An execution took `time` on the server.
    pub(crate) fn ran(&self, time: Duration) {
        if time >= OUTLIER {
            return self.begin_anew();
        }
        let time = u32::try_from(time.as_nanos()).unwrap_or(u32::MAX);
        let runs = self.runs.load(Ordering::Relaxed);
        let (average, floor) = (self.average.load(Ordering::Relaxed), self.floor.load(Ordering::Relaxed));
        let (average, floor) = match runs {
            0 => (time, time),
            _ => (average - average / 8 + time / 8, time.min(floor.saturating_add(floor / 32 + 1))),
        };
        self.average.store(average, Ordering::Relaxed);
        self.floor.store(floor, Ordering::Relaxed);
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
        for _ in 0..64 {
            pace.ran(Duration::from_millis(3));
        }
        assert!(!pace.is_quick(), "never quick of late");
        pace.begin_anew();
        quick();
        for _ in 0..32 {
            pace.ran(Duration::from_millis(30));
            pace.ran(Duration::from_micros(300));
        }
        assert!(!pace.is_quick(), "slow on average");
    }
}
