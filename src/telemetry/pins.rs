//! Who is kept on a server connection, why and since when; and how often that happened, by reason, user and
//! digest.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::telemetry::labels::PinReason;

/// Combinations of reason, user and digest that are told apart; the rest counts for the digest `other`.
const ROWS_MAX: usize = 4_096;

/// Bytes kept of a digest's text.
const TEXT_BYTES_MAX: usize = 256;

/// The digest of the statement that pinned: hash and normalised text.
pub type PinnedBy<'a> = (u64, &'a str);

/// Every pin of the process. A pin is rare next to statements, so one lock serves all workers; it is held for
/// one insert, one removal, or one copy.
#[derive(Debug, Default)]
pub struct PinTable {
    pins: Mutex<Pins>,
}

#[derive(Debug, Default)]
struct Pins {
    rows: HashMap<(PinReason, Arc<str>, u64), Row>,
    current: HashMap<(u32, PinReason), Current>,
}

#[derive(Debug, Default)]
struct Row {
    text: Box<str>,
    count: u64,
    time: Duration,
}

#[derive(Debug)]
struct Current {
    user: Arc<str>,
    digest: u64,
    since: Instant,
    reported: bool,
}

/// What one combination did so far. Time of pins that have not ended is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinStatistics {
    /// Why.
    pub reason: PinReason,
    /// Whose.
    pub user: Arc<str>,
    /// The digest of the statement that pinned; 0: not known, or one of too many.
    pub digest: u64,
    /// Its normalised text, shortened.
    pub text: Box<str>,
    /// How often.
    pub count: u64,
    /// For how long, all together.
    pub time: Duration,
}

/// A session that is pinned now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedRow {
    /// The session's id.
    pub session: u32,
    /// Why.
    pub reason: PinReason,
    /// Whose session it is.
    pub user: Arc<str>,
    /// The digest of the statement that pinned.
    pub digest: u64,
    /// For how long.
    pub age: Duration,
}

impl PinTable {
    /// A session is pinned from now on.
    pub fn began(&self, session: u32, reason: PinReason, user: &Arc<str>, by: PinnedBy<'_>) {
        let mut pins = self.pins.lock();
        let (mut digest, mut text) = by;
        let known = pins.rows.contains_key(&(reason, Arc::clone(user), digest));
        if !known && pins.rows.len() >= ROWS_MAX {
            (digest, text) = (0, "other");
        }
        let row = pins.rows.entry((reason, Arc::clone(user), digest)).or_default();
        row.count += 1;
        if row.text.is_empty() {
            row.text = text[..text.floor_char_boundary(TEXT_BYTES_MAX)].into();
        }
        let current = Current { user: Arc::clone(user), digest, since: Instant::now(), reported: false };
        pins.current.insert((session, reason), current);
    }

    /// It is not any more.
    pub fn ended(&self, session: u32, reason: PinReason) {
        let mut pins = self.pins.lock();
        let Some(current) = pins.current.remove(&(session, reason)) else { return };
        if let Some(row) = pins.rows.get_mut(&(reason, current.user, current.digest)) {
            row.time += current.since.elapsed();
        }
    }

    /// Every combination, the most frequent first.
    #[must_use]
    pub fn statistics(&self) -> Vec<PinStatistics> {
        let pins = self.pins.lock();
        let mut rows: Vec<PinStatistics> = (pins.rows.iter())
            .map(|((reason, user, digest), row)| PinStatistics {
                reason: *reason,
                user: Arc::clone(user),
                digest: *digest,
                text: row.text.clone(),
                count: row.count,
                time: row.time,
            })
            .collect();
        drop(pins);
        rows.sort_unstable_by_key(|row| (std::cmp::Reverse(row.count), row.digest, row.reason as u32));
        rows
    }

    /// The sessions that are pinned now, the longest first.
    #[must_use]
    pub fn current(&self) -> Vec<PinnedRow> {
        let pins = self.pins.lock();
        let mut rows: Vec<PinnedRow> =
            pins.current.iter().map(|((session, reason), current)| current.row(*session, *reason)).collect();
        drop(pins);
        rows.sort_unstable_by_key(|row| (std::cmp::Reverse(row.age), row.session, row.reason as u32));
        rows
    }

    /// Pins older than `limit` that have not been handed out by this before.
    #[must_use]
    pub fn take_old(&self, limit: Duration) -> Vec<PinnedRow> {
        let mut pins = self.pins.lock();
        let mut rows = Vec::new();
        for ((session, reason), current) in &mut pins.current {
            if !current.reported && current.since.elapsed() >= limit {
                current.reported = true;
                rows.push(current.row(*session, *reason));
            }
        }
        rows
    }
}

impl Current {
    fn row(&self, session: u32, reason: PinReason) -> PinnedRow {
        PinnedRow {
            session,
            reason,
            user: Arc::clone(&self.user),
            digest: self.digest,
            age: self.since.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pin_is_counted_and_shown_while_it_lasts() {
        let (table, user) = (PinTable::default(), Arc::<str>::from("app"));
        table.began(7, PinReason::TemporaryTable, &user, (1, "CREATE TEMPORARY TABLE t"));
        table.began(8, PinReason::NamedLock, &user, (2, "SELECT GET_LOCK(?)"));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(table.take_old(Duration::from_secs(6)).len(), 0);
        assert_eq!(table.take_old(Duration::from_secs(5)).len(), 2);
        assert_eq!(table.take_old(Duration::from_secs(5)).len(), 0, "each is reported once");
        table.ended(7, PinReason::TemporaryTable);
        table.ended(7, PinReason::TemporaryTable);
        let current = table.current();
        assert_eq!((current.len(), current[0].session, current[0].age), (1, 8, Duration::from_secs(5)));
        table.began(9, PinReason::TemporaryTable, &user, (1, ""));
        let rows = table.statistics();
        assert_eq!(
            (rows[0].count, rows[0].time, &*rows[0].text),
            (2, Duration::from_secs(5), "CREATE TEMPORARY TABLE t")
        );
    }

    #[test]
    fn too_many_digests_share_a_row() {
        let (table, user) = (PinTable::default(), Arc::<str>::from("app"));
        for digest in 1..=ROWS_MAX as u64 + 5 {
            table.began(1, PinReason::Handler, &user, (digest, "HANDLER t OPEN"));
        }
        let rows = table.statistics();
        assert_eq!(rows.len(), ROWS_MAX + 1);
        assert_eq!((rows[0].digest, rows[0].count, &*rows[0].text), (0, 5, "other"));
    }
}
