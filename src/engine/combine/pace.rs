//! What executions of a digest have been like: only statements known to be quick, small and free of
//! warnings share a connection, because whoever travels behind one waits for it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Executions in a row that must have been harmless before a digest may share.
const RUNS_MIN: u32 = 32;

/// The shortest time on the server, at most, for a digest that may share. The shortest: where this worker or the
/// server is busy, the others are as long as the line is.
const FLOOR_MAX: Duration = Duration::from_millis(1);

/// Average time, at most: what is quick only now and then is not quick.
const AVERAGE_MAX: Duration = Duration::from_millis(8);

/// What each statement under way may add to the time of another one by standing before it in line somewhere.
/// Without this allowance sharing would end just where it helps most, under a load that makes lines.
const LINE: Duration = Duration::from_micros(100);

/// One execution that took this long ends the sharing of its digest until others have been quick again.
const OUTLIER: Duration = Duration::from_millis(50);

/// Bytes of a reply at most: it is read whole before the next one's turn.
pub(crate) const REPLY_BYTES_MAX: u64 = 8 << 10;

/// The pace of one digest on one worker, which alone writes it.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    runs: AtomicU32,
    /// Average time in nanoseconds beyond what the line explains, the newest execution weighing an eighth.
    average: AtomicU32,
    /// Shortest time in nanoseconds. It is forgotten by a 32nd with each execution that took longer than that
    /// even when shared out among the statements under way: those have not all been quick.
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

    /// An execution took `time` on the server, with so many statements of this worker under way, itself included.
    pub(crate) fn ran(&self, time: Duration, under_way: u32) {
        let under_way = under_way.max(1);
        let beyond = time.saturating_sub(LINE.saturating_mul(under_way - 1));
        if beyond >= OUTLIER {
            return self.begin_anew();
        }
        let nanos = |time: Duration| u32::try_from(time.as_nanos()).unwrap_or(u32::MAX);
        let (time, beyond) = (nanos(time), nanos(beyond));
        let runs = self.runs.load(Ordering::Relaxed);
        let (average, floor) = (self.average.load(Ordering::Relaxed), self.floor.load(Ordering::Relaxed));
        let forgotten = if time / under_way > floor { floor.saturating_add(floor / 32 + 1) } else { floor };
        let (average, floor) = match runs {
            0 => (beyond, time),
            _ => (average - average / 8 + beyond / 8, time.min(forgotten)),
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

    const ALONE: u32 = 1;

    fn quick(pace: &Pace) {
        for _ in 0..RUNS_MIN {
            assert!(!pace.is_quick());
            pace.ran(Duration::from_micros(300), ALONE);
        }
        assert!(pace.is_quick());
    }

    #[test]
    fn a_digest_shares_after_enough_quick_executions_and_no_longer_after_a_slow_one() {
        let pace = Pace::default();
        quick(&pace);
        pace.ran(OUTLIER, ALONE);
        quick(&pace);
        pace.begin_anew();
        quick(&pace);
        for _ in 0..64 {
            pace.ran(Duration::from_millis(3), ALONE);
        }
        assert!(!pace.is_quick(), "never quick of late");
        pace.begin_anew();
        quick(&pace);
        for _ in 0..32 {
            pace.ran(Duration::from_millis(30), ALONE);
            pace.ran(Duration::from_micros(300), ALONE);
        }
        assert!(!pace.is_quick(), "slow on average");
    }

    #[test]
    fn a_long_line_of_quick_statements_does_not_end_their_sharing() {
        let pace = Pace::default();
        quick(&pace);
        for _ in 0..10_000 {
            pace.ran(Duration::from_millis(12), 256);
        }
        assert!(pace.is_quick(), "0.05 ms for each of them");
        for _ in 0..200 {
            pace.ran(Duration::from_millis(12), 4);
        }
        assert!(!pace.is_quick(), "3 ms for each of them");
    }

    #[test]
    fn what_waits_on_the_server_is_not_quick_however_many_wait_with_it() {
        let pace = Pace::default();
        for _ in 0..10_000 {
            pace.ran(Duration::from_millis(10), 256);
        }
        assert!(!pace.is_quick(), "nobody ever saw it return within a millisecond");
    }
}
