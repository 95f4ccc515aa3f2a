//! Statistics of each digest: a bounded table per worker, written by its thread alone and read by any.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::telemetry::cell::Counter;
use crate::telemetry::histogram::nanos;

/// Digests that one worker tells apart; every further one is counted in the row `other`.
const DIGESTS_MAX: usize = 5_000;
/// Slots of the open-addressed index: a power of two, at most a third full, so that a probe is short.
const SLOTS: usize = 16_384;
/// Rows are made in blocks: a worker that sees few digests holds little memory.
const BLOCK: usize = 128;
/// Bytes kept of a digest's text.
const TEXT_BYTES_MAX: usize = 1024;

/// The place of a digest in its worker's table; valid for that table only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestRow(u16);

impl DigestRow {
    /// The row of all digests that found the table full.
    pub const OTHER: Self = Self(0);
}

/// The moment that times in the tables count from, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeBase {
    instant: Instant,
    since_epoch: Duration,
}

impl TimeBase {
    /// This moment.
    pub(super) fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), since_epoch }
    }

    /// Nanoseconds from the base to `moment`; 0 if it was before.
    #[inline]
    pub(super) fn nanos_until(&self, moment: Instant) -> u64 {
        nanos(moment.saturating_duration_since(self.instant))
    }

    /// The wall clock's time, since 1970, of a moment `nanos` after the base.
    pub(super) fn unix_time(&self, nanos: u64) -> Duration {
        self.since_epoch + Duration::from_nanos(nanos)
    }
}

/// What one digest did on one worker. The first 64 bytes are what a statement touches.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Row {
    count: Counter,
    errors: Counter,
    sum_nanos: Counter,
    max_nanos: Counter,
    first_seen: Counter,
    last_seen: Counter,
    hash: Counter,
    text: OnceLock<Box<str>>,
}

/// The digests of one worker: row 0 is `other`; an index leads from a digest's hash to its row.
///
/// Only the owning thread looks up and adds rows. Readers walk the rows and never the index, so a row
/// is complete before `len` shows it.
#[derive(Debug)]
pub struct DigestTable {
    base: TimeBase,
    /// Row numbers; 0: empty.
    index: Box<[AtomicU16]>,
    blocks: Box<[OnceLock<Box<[Row]>>]>,
    len: AtomicUsize,
}

impl DigestTable {
    pub(super) fn new(base: TimeBase) -> Self {
        let table = Self {
            base,
            index: (0..SLOTS).map(|_| AtomicU16::new(0)).collect(),
            blocks: (0..(DIGESTS_MAX + 1).div_ceil(BLOCK)).map(|_| OnceLock::new()).collect(),
            len: AtomicUsize::new(0),
        };
        table.push(0, "other");
        table
    }

    /// The row of the digest with this `hash`, made with `text` (the normalised text, no literal in it) if it is new.
    /// Owner only. Keep the result with the plan of the statement: then nothing is looked up again.
    pub fn row(&self, hash: u64, text: &str) -> DigestRow {
        let mut slot = hash as usize % SLOTS;
        loop {
            let row = self.index[slot].load(Ordering::Relaxed);
            if row == 0 {
                break;
            }
            if self.row_at(DigestRow(row)).hash.get() == hash {
                return DigestRow(row);
            }
            slot = (slot + 1) % SLOTS;
        }
        if self.len.load(Ordering::Relaxed) > DIGESTS_MAX {
            return DigestRow::OTHER;
        }
        let row = self.push(hash, text);
        self.index[slot].store(row.0, Ordering::Relaxed);
        row
    }

    /// Counts one execution that began at `started` and took `elapsed`. Owner only.
    #[inline]
    pub fn record(&self, row: DigestRow, started: Instant, elapsed: Duration, failed: bool) {
        let row = self.row_at(row);
        let started = self.base.nanos_until(started).max(1);
        let elapsed = nanos(elapsed);
        row.count.increment();
        row.errors.add(u64::from(failed));
        row.sum_nanos.add(elapsed);
        if elapsed > row.max_nanos.get() {
            row.max_nanos.set(elapsed);
        }
        if row.first_seen.get() == 0 {
            row.first_seen.set(started);
        }
        row.last_seen.set(started);
    }

    /// Executions that the row `other` holds.
    pub(super) fn overflowed(&self) -> u64 {
        self.row_at(DigestRow::OTHER).count.get()
    }

    /// Calls `visit` with what each digest did so far, `other` first.
    pub(super) fn visit(&self, mut visit: impl FnMut(&DigestStatistics, &str)) {
        for number in 0..self.len.load(Ordering::Acquire) {
            let row = self.row_at(DigestRow(number as u16));
            let statistics = DigestStatistics {
                hash: row.hash.get(),
                count: row.count.get(),
                errors: row.errors.get(),
                time_sum: Duration::from_nanos(row.sum_nanos.get()),
                time_max: Duration::from_nanos(row.max_nanos.get()),
                first_seen: self.base.unix_time(row.first_seen.get()),
                last_seen: self.base.unix_time(row.last_seen.get()),
            };
            if statistics.count > 0 {
                visit(&statistics, row.text.get().map_or("", |text| text));
            }
        }
    }

    fn push(&self, hash: u64, text: &str) -> DigestRow {
        let number = self.len.load(Ordering::Relaxed);
        let block = self.blocks[number / BLOCK].get_or_init(|| (0..BLOCK).map(|_| Row::default()).collect());
        let row = &block[number % BLOCK];
        row.hash.set(hash);
        row.text.get_or_init(|| shortened(text));
        self.len.store(number + 1, Ordering::Release);
        DigestRow(number as u16)
    }

    #[inline]
    fn row_at(&self, row: DigestRow) -> &Row {
        let number = usize::from(row.0);
        let block = self.blocks[number / BLOCK].get().expect("a row exists before its number is given out");
        &block[number % BLOCK]
    }
}

/// The first [`TEXT_BYTES_MAX`] bytes of `text`, cut between characters.
fn shortened(text: &str) -> Box<str> {
    match text.len() <= TEXT_BYTES_MAX {
        true => text.into(),
        false => format!("{}…", &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]).into(),
    }
}

/// What one digest did so far.
#[derive(Clone, Debug, PartialEq)]
pub struct DigestStatistics {
    /// The hash of the normalised text; 0 for `other`.
    pub hash: u64,
    /// Executions.
    pub count: u64,
    /// Executions that ended with an error.
    pub errors: u64,
    /// All executions together.
    pub time_sum: Duration,
    /// The longest.
    pub time_max: Duration,
    /// When the first began, since 1970.
    pub first_seen: Duration,
    /// When the last began, since 1970.
    pub last_seen: Duration,
}

impl DigestStatistics {
    /// Adds what another worker saw of the same digest.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.time_sum += other.time_sum;
        self.time_max = self.time_max.max(other.time_max);
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(table: &DigestTable) -> Vec<(DigestStatistics, String)> {
        let mut rows = Vec::new();
        table.visit(|statistics, text| rows.push((statistics.clone(), text.to_owned())));
        rows
    }

    #[test]
    fn executions_of_one_digest_share_a_row() {
        let base = TimeBase::now();
        let table = DigestTable::new(base);
        let row = table.row(7, "SELECT ?");
        assert_eq!(table.row(7, "not kept"), row);
        assert_ne!(table.row(7 + SLOTS as u64, "same slot"), row);
        let second = Duration::from_secs(1);
        table.record(row, base.instant + second, second, false);
        table.record(row, base.instant + 2 * second, 3 * second, true);
        let rows = seen(&table);
        assert_eq!(rows.len(), 1, "digests that never ran are not shown");
        let (statistics, text) = &rows[0];
        assert_eq!((text.as_str(), statistics.hash), ("SELECT ?", 7));
        assert_eq!((statistics.count, statistics.errors), (2, 1));
        assert_eq!((statistics.time_sum, statistics.time_max), (4 * second, 3 * second));
        assert_eq!(statistics.last_seen - statistics.first_seen, second);
    }

    #[test]
    fn a_full_table_counts_in_the_row_other() {
        let base = TimeBase::now();
        let table = DigestTable::new(base);
        for hash in 1..=DIGESTS_MAX as u64 {
            assert_ne!(table.row(hash, "SELECT ?"), DigestRow::OTHER);
        }
        assert_eq!(table.row(u64::MAX, "one too many"), DigestRow::OTHER);
        table.record(DigestRow::OTHER, base.instant, Duration::ZERO, false);
        assert_eq!(table.overflowed(), 1);
        assert_eq!(seen(&table)[0].1, "other");
        assert_eq!(table.row(1, ""), DigestRow(1), "known digests keep their rows");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(&*shortened("é"), "é");
        let cut = shortened(&"ab€".repeat(1000));
        assert!(cut.ends_with('…') && cut.len() <= TEXT_BYTES_MAX + 3, "{}", cut.len());
    }
}
