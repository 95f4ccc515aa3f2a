//! Numbers of a segment sequence in memory: runs fetched from its table, the next one before the last is used up.
//!
//! Pure: whoever owns it does the fetching. A run is fetched by adding `step` to the table's row and taking what was
//! there before, so no two processes ever have the same number, and a crash loses a run, never repeats one.

use crate::sharding::sequence::Segment;

/// Numbers from `next` to below `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    next: u64,
    end: u64,
}

impl Run {
    const fn left(self) -> u64 {
        self.end - self.next
    }
}

/// The numbers of one sequence that this process may hand out.
#[derive(Clone, Debug)]
pub struct Segments {
    /// A new run is fetched while this many, or fewer, are left.
    low: u64,
    current: Run,
    spare: Option<Run>,
    fetching: bool,
}

impl Segments {
    /// None yet.
    #[must_use]
    pub fn new(segment: &Segment) -> Self {
        let used = u128::from(segment.step) * u128::from(segment.prefetch_percent.min(100)) / 100;
        let low = segment.step - used as u64;
        Self { low, current: Run::default(), spare: None, fetching: false }
    }

    /// The first of `count` consecutive numbers, None if a run must be fetched first. What a run has left over for
    /// fewer is given up, because numbers of one statement follow each other.
    pub fn take(&mut self, count: u64) -> Option<u64> {
        if self.current.left() < count {
            self.spare.filter(|spare| spare.left() >= count)?;
            self.current = self.spare.take()?;
        }
        let first = self.current.next;
        self.current.next += count;
        Some(first)
    }

    /// Whether somebody should fetch a run now; true for one caller alone, who then says what became of it.
    pub fn begin_fetch(&mut self) -> bool {
        let wanted = !self.fetching && self.spare.is_none() && self.current.left() <= self.low;
        self.fetching |= wanted;
        wanted
    }

    /// The numbers from `first` to below `end` were fetched.
    pub fn fetched(&mut self, first: u64, end: u64) {
        self.fetching = false;
        if first < end {
            self.spare = Some(Run { next: first, end });
        }
    }

    /// Nothing was fetched; the next caller tries again.
    pub fn not_fetched(&mut self) {
        self.fetching = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharding::rules::ShardId;

    fn segments(step: u64) -> Segments {
        Segments::new(&Segment {
            shard: ShardId(0),
            database: "ids".into(),
            table: "sequences".into(),
            step,
            prefetch_percent: 80,
        })
    }

    #[test]
    fn the_next_run_is_fetched_once_and_before_the_last_is_used_up() {
        let mut segments = segments(10);
        assert_eq!(segments.take(1), None);
        assert!(segments.begin_fetch() && !segments.begin_fetch(), "one caller fetches");
        segments.fetched(1, 11);
        let taken: Vec<u64> = (0..8).filter_map(|_| segments.take(1)).collect();
        assert_eq!(taken, (1..9).collect::<Vec<_>>());
        assert!(segments.begin_fetch(), "two of ten are left");
        segments.not_fetched();
        assert!(segments.begin_fetch(), "a failure is tried again");
        assert_eq!(segments.take(2), Some(9), "nobody waits for the fetch");
        assert_eq!(segments.take(1), None);
        segments.fetched(101, 111);
        assert_eq!(segments.take(1), Some(101));
        assert!(!segments.begin_fetch());
    }

    #[test]
    fn numbers_of_one_statement_follow_each_other() {
        let mut segments = segments(10);
        segments.begin_fetch();
        segments.fetched(1, 11);
        assert_eq!(segments.take(7), Some(1));
        assert_eq!(segments.take(7), None, "three are left");
        assert_eq!(segments.take(3), Some(8), "but they are not lost");
        segments.fetched(21, 31);
        assert_eq!(segments.take(11), None, "more than any run has");
        assert_eq!(segments.take(10), Some(21));
    }
}
