//! Connections that nobody holds, most recently used last.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::backend::pool::entry::Entry;
use crate::backend::pool::want::{Pooled, Profile, Want, WorkerId};

/// How many idle connections are looked at for one whose state and worker fit. Beyond it the most recently
/// used one is taken: resetting it costs less than a longer walk through cold memory under the lock.
const SCAN_MAX: usize = 16;

/// The same for those who come back to a few states: to follow costs them a round trip.
const SCAN_ROAMING_MAX: usize = 64;

struct Rest<T> {
    /// Copied from the connection, so that the scan does not follow pointers.
    state_key: u64,
    home: WorkerId,
    /// Stamped by the first maintenance that sees it: giving back needs no clock.
    since: Option<Instant>,
    entry: Box<Entry<T>>,
}

/// The idle set of a pool.
pub(super) struct Idle<T> {
    sets: [VecDeque<Rest<T>>; Profile::KINDS],
    len: u32,
}

impl<T: Pooled> Idle<T> {
    pub(super) fn new() -> Self {
        Self { sets: Default::default(), len: 0 }
    }

    /// Connections of every profile.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none of `profile`.
    pub(super) fn is_empty_of(&self, profile: Profile) -> bool {
        self.sets[profile.index()].is_empty()
    }

    /// Adds the most recently used one.
    pub(super) fn put(&mut self, entry: Box<Entry<T>>) {
        let set = &mut self.sets[entry.conn.profile().index()];
        set.push_back(Rest {
            state_key: entry.conn.state_key(),
            home: entry.conn.home(),
            since: None,
            entry,
        });
        self.len += 1;
    }

    /// Takes one of the wanted profile: in the wanted state if possible, then of the wanted worker, then the most
    /// recently used; or the least recently used, whose state is missed least, for a session that comes back to the
    /// state that it has left.
    pub(super) fn take(&mut self, want: &Want) -> Option<Box<Entry<T>>> {
        let set = &mut self.sets[want.profile.index()];
        let last = set.len().checked_sub(1)?;
        let mut best = if want.roams { 0 } else { last };
        let reach = if want.roams { SCAN_ROAMING_MAX } else { SCAN_MAX };
        let mut best_score = 0;
        for (index, rest) in set.iter().enumerate().rev().take(reach) {
            let here =
                u8::from(rest.home == want.worker && (!want.roams || rest.state_key == want.state_key));
            let score = 2 * u8::from(rest.state_key == want.state_key) + here;
            if score > best_score {
                best = index;
                best_score = score;
                if score == 3 {
                    break;
                }
            }
        }
        let rest = set.remove(best)?;
        self.len -= 1;
        Some(rest.entry)
    }

    /// Since when the least recently used one is idle, as far as it was stamped; outer none: there is none.
    pub(super) fn oldest(&self) -> Option<Option<Instant>> {
        self.fronts(None).map(|(_, since)| since).min_by_key(|since| (since.is_none(), *since))
    }

    /// Takes the least recently used one whose profile is not `except`.
    pub(super) fn take_oldest(&mut self, except: Option<Profile>) -> Option<Box<Entry<T>>> {
        let (index, _) = self.fronts(except).min_by_key(|(_, since)| (since.is_none(), *since))?;
        let rest = self.sets[index].pop_front()?;
        self.len -= 1;
        Some(rest.entry)
    }

    fn fronts(&self, except: Option<Profile>) -> impl Iterator<Item = (usize, Option<Instant>)> {
        let except = except.map(Profile::index);
        let others = self.sets.iter().enumerate().filter(move |(index, _)| Some(*index) != except);
        others.filter_map(|(index, set)| set.front().map(|rest| (index, rest.since)))
    }

    /// Visits every one, least recently used first; `keep` gets it and since when it is idle.
    /// Hands out those that it does not keep.
    pub(super) fn sweep(
        &mut self,
        now: Instant,
        mut keep: impl FnMut(&mut Entry<T>, Instant) -> bool,
        mut gone: impl FnMut(Box<Entry<T>>),
    ) {
        for set in &mut self.sets {
            for _ in 0..set.len() {
                let Some(mut rest) = set.pop_front() else { break };
                let since = *rest.since.get_or_insert(now);
                if keep(&mut rest.entry, since) {
                    set.push_back(rest);
                } else {
                    self.len -= 1;
                    gone(rest.entry);
                }
            }
        }
    }
}
