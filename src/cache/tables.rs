//! Which tables are being written now, and how often they have been: what a kept result is valid by.
//!
//! Tables are counted by the hash of their name alone, in a fixed number of places: tables that share a place
//! end each other's results too early, never too late.
//!
//! A table has three kinds of places. Writes that may change any of its rows are counted in [`Slot::of`]; those
//! that name the rows which they change, in [`Slot::of_rows`], and in [`Slot::of_row`] for each. A read of any rows
//! looks at the first two, one that names its rows at the first and at those of its rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::cache::untold::Untold;

/// Places; the share of tables that end each other's results is about the number of written tables over this.
const SLOTS: usize = 16_384;

/// A statement whose connection was lost may still be running on its server; for so long nothing of its tables
/// is kept.
pub const DOUBT: Duration = Duration::from_secs(30);

/// Since a moment that nobody has looked at yet.
const UNSTAMPED: u64 = u64::MAX;

/// Where writes of a table are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// That of a table with this name, which is in lower case and without its schema.
    #[must_use]
    pub fn of(table: &str) -> Self {
        Self::at(table.as_bytes())
    }

    /// That of writes of rows that they name, whichever these are.
    #[must_use]
    pub fn of_rows(table: &str) -> Self {
        Self::at(&[table.as_bytes(), &[0]].concat())
    }

    /// That of writes of the rows of `table` with this `key`.
    #[must_use]
    pub fn of_row(table: &str, key: &str, value: i128) -> Self {
        Self::at(&[table.as_bytes(), &[0], key.as_bytes(), &[0], &value.to_le_bytes()].concat())
    }

    fn at(name: &[u8]) -> Self {
        Self((xxh3_64(name) % SLOTS as u64) as u16)
    }

    /// Its number, which is the same in every process.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// What a write may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// These tables and no others.
    Tables(Arc<[Slot]>),
    /// Nobody knows what.
    Everything,
}

impl Reach {
    /// Places that it is counted in.
    #[must_use]
    pub fn places(&self) -> usize {
        match self {
            Self::Tables(slots) => slots.len(),
            Self::Everything => 1,
        }
    }

    /// What either changes.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Tables(one), Self::Tables(other)) => {
                if other.iter().all(|slot| one.contains(slot)) {
                    return Self::Tables(one);
                }
                let mut all: Vec<Slot> = one.iter().chain(&*other).copied().collect();
                all.sort_unstable();
                all.dedup();
                Self::Tables(all.into())
            }
            _ => Self::Everything,
        }
    }
}

/// The writes of one place, or of all.
#[derive(Debug, Default)]
struct Ledger {
    /// Under way.
    writing: AtomicU32,
    /// Ended.
    writes: AtomicU64,
    /// Milliseconds since the beginning of [`Tables`]; until then nobody knows whether one is under way.
    doubtful_until: AtomicU64,
}

impl Ledger {
    /// Whether no write is under way. To be asked before [`Ledger::writes`]: a write is counted before it is no
    /// longer under way.
    fn is_quiet(&self, now: u64) -> bool {
        if self.writing.load(SeqCst) > 0 {
            return false;
        }
        let mut until = self.doubtful_until.load(SeqCst);
        if until == UNSTAMPED {
            until = now.saturating_add(DOUBT.as_millis() as u64);
            if let Err(other) = self.doubtful_until.compare_exchange(UNSTAMPED, until, SeqCst, SeqCst) {
                until = other;
            }
        }
        until <= now
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct Tables {
    slots: Box<[Ledger]>,
    all: Ledger,
    began: Instant,
    /// Milliseconds since `began`: what was read elsewhere before then may be older than anybody will ever be told.
    vouched_from: AtomicU64,
    /// What those with whom results are shared have yet to be told.
    pub untold: Untold,
}

/// The counts at one moment at which nothing was being written.
#[derive(Clone, Debug)]
pub struct Seen {
    slots: Box<[(Slot, u64)]>,
    all: u64,
}

impl Seen {
    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }
}

impl Tables {
    /// Nothing has been written.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            slots: std::iter::repeat_with(Ledger::default).take(SLOTS).collect(),
            all: Ledger::default(),
            began: now,
            vouched_from: AtomicU64::new(0),
            untold: Untold::default(),
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(UNSTAMPED - 1)
    }

    /// The counts of these tables, for a read that is about to be sent; `None` while one of them is written.
    #[must_use]
    pub fn see(&self, slots: &[Slot], now: Instant) -> Option<Seen> {
        let now = self.millis(now);
        let look = |ledger: &Ledger| ledger.is_quiet(now).then(|| ledger.writes.load(SeqCst));
        let all = look(&self.all)?;
        let slots = slots.iter().map(|slot| Some((*slot, look(&self.slots[usize::from(slot.0)])?)));
        Some(Seen { slots: slots.collect::<Option<_>>()?, all })
    }

    /// Whether what was read after `seen` is what a read would find now.
    #[must_use]
    pub fn hold(&self, seen: &Seen, now: Instant) -> bool {
        let now = self.millis(now);
        let same = |ledger: &Ledger, count: u64| ledger.is_quiet(now) && ledger.writes.load(SeqCst) == count;
        same(&self.all, seen.all)
            && seen.slots.iter().all(|(slot, count)| same(&self.slots[usize::from(slot.0)], *count))
    }

    /// A write is about to be sent. Until it ends nothing of its tables is given from memory, and nothing kept.
    pub fn begin(self: &Arc<Self>, reach: Reach) -> Writing {
        self.each(&reach, |ledger| {
            ledger.writing.fetch_add(1, SeqCst);
        });
        Writing { tables: Arc::clone(self), reach, ended: false }
    }

    /// Ends everything that is kept.
    pub fn end_everything(&self) {
        self.all.writes.fetch_add(1, SeqCst);
    }

    /// There may have been writes that nobody here will be told of.
    pub fn distrust(&self) {
        self.vouched_from.store(UNSTAMPED, SeqCst);
    }

    /// How old a result of somebody else's may be, for every write since to be known of; `None`: any.
    #[must_use]
    pub fn age_max(&self, now: Instant) -> Option<Duration> {
        let now = self.millis(now);
        let mut from = self.vouched_from.load(SeqCst);
        if from == UNSTAMPED {
            // A later moment than that of the distrust is as right, and stricter. The part of a millisecond counts, too.
            let stamped = self.vouched_from.compare_exchange(UNSTAMPED, now + 1, SeqCst, SeqCst);
            from = stamped.map_or_else(|other| other, |_| now + 1);
        }
        (from > 0).then(|| Duration::from_millis(now.saturating_sub(from)))
    }

    /// Ends what is kept of these tables.
    pub fn end_results(&self, reach: &Reach) {
        self.each(reach, |ledger| {
            ledger.writes.fetch_add(1, SeqCst);
        });
    }

    fn each(&self, reach: &Reach, act: impl Fn(&Ledger)) {
        match reach {
            Reach::Everything => act(&self.all),
            Reach::Tables(slots) => slots.iter().for_each(|slot| act(&self.slots[usize::from(slot.0)])),
        }
    }
}

/// A write under way. Dropped without an end, nobody knows what became of it.
#[derive(Debug)]
#[must_use = "dropped, its tables are in doubt"]
pub struct Writing {
    tables: Arc<Tables>,
    reach: Reach,
    ended: bool,
}

impl Writing {
    /// What it may change.
    #[must_use]
    pub const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Its client has been told. `changed`: what was kept of its tables is old now.
    pub fn end(self, changed: bool) {
        if changed {
            self.tables.untold.ended(&self.reach);
        }
        self.end_told(changed);
    }

    /// The same for a write that those with whom results are shared have been told of.
    pub fn end_told(mut self, changed: bool) {
        self.ended = true;
        if changed {
            self.tables.end_results(&self.reach);
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let ended = self.ended;
        if !ended {
            self.tables.untold.lost(&self.reach);
        }
        self.tables.each(&self.reach, |ledger| {
            if !ended {
                ledger.writes.fetch_add(1, SeqCst);
                ledger.doubtful_until.store(UNSTAMPED, SeqCst);
            }
            ledger.writing.fetch_sub(1, SeqCst);
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    fn tables() -> (Arc<Tables>, Instant) {
        let now = Instant::now();
        (Arc::new(Tables::new(now)), now)
    }

    fn reach(names: &[&str]) -> Reach {
        Reach::Tables(names.iter().map(|name| Slot::of(name)).collect())
    }

    #[tokio::test]
    async fn what_was_read_before_a_write_ended_is_old_after_it() {
        let (tables, now) = tables();
        let menu = [Slot::of("menu")];
        let before = tables.see(&menu, now).expect("nothing is written");
        let writing = tables.begin(reach(&["menu", "orders"]));
        assert!(!tables.hold(&before, now), "the writer may have been told already");
        assert!(tables.see(&menu, now).is_none());
        assert!(tables.see(&[Slot::of("users")], now).is_some());
        writing.end(true);
        assert!(!tables.hold(&before, now));
        let after = tables.see(&menu, now).expect("it has ended");
        assert!(tables.hold(&after, now));
        tables.begin(reach(&["menu"])).end(false);
        assert!(tables.hold(&after, now), "nothing has changed");
    }

    #[tokio::test]
    async fn a_write_of_unknown_reach_ends_everything() {
        let (tables, now) = tables();
        let seen = tables.see(&[Slot::of("menu")], now).expect("nothing is written");
        let writing = tables.begin(Reach::Everything);
        assert!(tables.see(&[Slot::of("menu")], now).is_none());
        writing.end(true);
        assert!(!tables.hold(&seen, now));
    }

    #[tokio::test]
    async fn a_write_is_untold_unless_somebody_has_told_of_it() {
        let (tables, now) = tables();
        tables.untold.switch(true);
        let menu = [Slot::of("menu")];
        tables.begin(reach(&["menu"])).end_told(true);
        tables.begin(reach(&["menu"])).end(false);
        assert!(tables.untold.leaves(&menu));
        tables.begin(reach(&["menu"])).end(true);
        assert!(!tables.untold.leaves(&menu));
        tables.untold.told(&tables.untold.due(now).expect("it is due"));
        drop(tables.begin(reach(&["menu"])));
        assert!(!tables.untold.leaves(&menu));
    }

    #[tokio::test]
    async fn results_of_others_are_taken_if_they_are_young_enough_to_be_vouched_for() {
        let (tables, now) = tables();
        let second = Duration::from_secs(1);
        assert_eq!(tables.age_max(now + second), None);
        tables.distrust();
        assert_eq!(tables.age_max(now + second), Some(Duration::ZERO));
        assert_eq!(tables.age_max(now + 3 * second), Some(2 * second - Duration::from_millis(1)));
    }

    #[tokio::test]
    async fn a_write_that_was_lost_leaves_its_tables_in_doubt_for_a_while() {
        let (tables, now) = tables();
        let menu = [Slot::of("menu")];
        drop(tables.begin(reach(&["menu"])));
        assert!(tables.see(&menu, now).is_none());
        assert!(tables.see(&menu, now + DOUBT - Duration::from_millis(1)).is_none());
        assert!(tables.see(&menu, now + DOUBT).is_some());
        assert!(tables.see(&[Slot::of("users")], now).is_some());
    }

    proptest! {
        #[test]
        fn nothing_old_is_given_after_a_write_has_ended(steps in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (tables, now) = tables();
            let slots = [Slot::of("a"), Slot::of("b")];
            // Committed versions; a write changes its table at any time between its beginning and its end.
            let mut committed = [0u32; 2];
            let mut told = [0u32; 2];
            let mut under_way: Vec<(usize, bool, Writing)> = Vec::new();
            let mut kept: Option<(Seen, [u32; 2])> = None;
            let mut filling: Option<(Seen, Option<[u32; 2]>)> = None;
            for step in steps {
                let which = usize::from(step >> 7);
                match step % 6 {
                    0 => {
                        let writing = tables.begin(Reach::Tables([slots[which]].into()));
                        under_way.push((which, false, writing));
                    }
                    1 => if let Some((table, done, _)) = under_way.iter_mut().find(|(_, done, _)| !done) {
                        committed[*table] += 1;
                        *done = true;
                    },
                    2 => if let Some(at) = under_way.iter().position(|(_, done, _)| *done) {
                        let (table, _, writing) = under_way.remove(at);
                        told[table] = committed[table].max(told[table]);
                        writing.end(true);
                    },
                    3 => filling = tables.see(&slots, now).map(|seen| (seen, None)),
                    4 => if let Some((_, read)) = &mut filling {
                        *read = Some(committed);
                    },
                    _ => if let Some((seen, Some(read))) = filling.take() {
                        kept = Some((seen, read));
                    },
                }
                if let Some((seen, read)) = &kept
                    && tables.hold(seen, now)
                {
                    prop_assert_eq!((read[0] >= told[0], read[1] >= told[1]), (true, true));
                    prop_assert_eq!(*read, committed);
                }
            }
        }
    }
}
