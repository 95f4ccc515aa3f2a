//! Those who wait for a connection: fair lines in a slab, so that waiting does not allocate.
//!
//! Users without limits share one line, each user with limits has its own, so that a user at its cap blocks
//! nobody behind it. Inside a line there is one list per profile. Order over all of them is by ticket.

use std::task::Waker;

use tokio::time::Instant;

use crate::backend::pool::error::PoolError;
use crate::backend::pool::want::{Profile, Want, WorkerId};

/// No waiter.
const NONE: u32 = u32::MAX;

/// Waiters of another worker that are looked at to find one that need not cross threads. A waiter can be
/// passed only by those this close behind it, and never by the second half of its list: so with a long
/// queue all wait about equally long, and with a short one nobody waits much more than twice as long.
const WINDOW: u32 = 16;

/// Where a waiter is.
pub(super) enum Phase<G> {
    /// The slot is free; the next free one.
    Free(u32),
    /// In line.
    Waiting(Waker),
    /// Handed a connection that it has not picked up yet.
    Granted(G),
    /// Told why there is none.
    Failed(PoolError),
}

/// One who waits.
pub(super) struct Waiter<G> {
    pub(super) want: Want,
    pub(super) since: Instant,
    pub(super) phase: Phase<G>,
    /// How often one behind it was served first because of its worker, and because of its profile.
    pub(super) passed_by_worker: u8,
    pub(super) passed_by_profile: u8,
    ticket: u64,
    lane: u32,
    before: u32,
    behind: u32,
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
    len: u32,
}

const EMPTY: List = List { first: NONE, last: NONE, len: 0 };

#[derive(Clone, Copy)]
struct Lane {
    lists: [List; Profile::KINDS],
    len: u32,
}

const EMPTY_LANE: Lane = Lane { lists: [EMPTY; Profile::KINDS], len: 0 };

/// All who wait in one pool. `G` is what they are handed.
pub(super) struct Queue<G> {
    slots: Vec<Waiter<G>>,
    free: u32,
    lanes: Vec<Lane>,
    /// Lanes with somebody in them.
    active: Vec<u32>,
    waiting: u32,
    next_ticket: u64,
}

impl<G> Queue<G> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: NONE,
            lanes: vec![EMPTY_LANE],
            active: Vec::new(),
            waiting: 0,
            next_ticket: 0,
        }
    }

    /// How many stand in line.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// The waiter at `index`, which its owner has not released.
    pub(super) fn waiter(&self, index: u32) -> &Waiter<G> {
        &self.slots[index as usize]
    }

    pub(super) fn waiter_mut(&mut self, index: u32) -> &mut Waiter<G> {
        &mut self.slots[index as usize]
    }

    /// A new waiter at the end of `lane`.
    pub(super) fn push(&mut self, want: Want, lane: u32, waker: Waker, now: Instant) -> u32 {
        let waiter = Waiter {
            want,
            since: now,
            phase: Phase::Waiting(waker),
            passed_by_worker: 0,
            passed_by_profile: 0,
            ticket: self.next_ticket,
            lane,
            before: NONE,
            behind: NONE,
        };
        self.next_ticket += 1;
        let index = if self.free == NONE {
            self.slots.push(waiter);
            u32::try_from(self.slots.len() - 1).expect("queue_max is a u32")
        } else {
            let index = self.free;
            let slot = self.waiter_mut(index);
            let Phase::Free(next) = slot.phase else { unreachable!("the free list holds free slots") };
            *slot = waiter;
            self.free = next;
            index
        };
        self.link(index);
        index
    }

    fn link(&mut self, index: u32) {
        let (lane, profile) = (self.waiter(index).lane, self.waiter(index).want.profile.index());
        let last = self.lanes[lane as usize].lists[profile].last;
        let waiter = self.waiter_mut(index);
        waiter.before = last;
        waiter.behind = NONE;
        if last != NONE {
            self.waiter_mut(last).behind = index;
        }
        let line = &mut self.lanes[lane as usize];
        let list = &mut line.lists[profile];
        if last == NONE {
            list.first = index;
        }
        list.last = index;
        list.len += 1;
        if line.len == 0 {
            self.active.push(lane);
        }
        line.len += 1;
        self.waiting += 1;
    }

    /// Takes a waiter out of its line and puts it into `phase`. Gives its waker.
    pub(super) fn leave(&mut self, index: u32, phase: Phase<G>) -> Waker {
        let waiter = self.waiter_mut(index);
        let left = std::mem::replace(&mut waiter.phase, phase);
        let (before, behind, lane) = (waiter.before, waiter.behind, waiter.lane);
        let profile = waiter.want.profile.index();
        let Phase::Waiting(waker) = left else { unreachable!("only those in line leave it") };
        if before != NONE {
            self.waiter_mut(before).behind = behind;
        }
        if behind != NONE {
            self.waiter_mut(behind).before = before;
        }
        let line = &mut self.lanes[lane as usize];
        let list = &mut line.lists[profile];
        if before == NONE {
            list.first = behind;
        }
        if behind == NONE {
            list.last = before;
        }
        list.len -= 1;
        line.len -= 1;
        if line.len == 0 {
            self.active.retain(|active| *active != lane);
        }
        self.waiting -= 1;
        waker
    }

    /// Frees the slot of a waiter that is not in line any more. Gives the phase it was in.
    pub(super) fn release(&mut self, index: u32) -> Phase<G> {
        let free = self.free;
        let phase = std::mem::replace(&mut self.waiter_mut(index).phase, Phase::Free(free));
        debug_assert!(
            matches!(phase, Phase::Granted(_) | Phase::Failed(_)),
            "released after it left the line"
        );
        self.free = index;
        phase
    }

    /// The lanes with somebody in them.
    pub(super) fn active(&self) -> &[u32] {
        &self.active
    }

    /// How many wait in `lane` for `profile`.
    pub(super) fn len(&self, lane: u32, profile: Profile) -> u32 {
        self.lanes[lane as usize].lists[profile.index()].len
    }

    /// The oldest waiter of `profile` in those lanes that `may` take.
    pub(super) fn oldest(&self, profile: Profile, may: impl Fn(u32) -> bool) -> Option<u32> {
        let lanes = self.active.iter().copied().filter(|lane| may(*lane));
        let firsts = lanes.map(|lane| self.lanes[lane as usize].lists[profile.index()].first);
        self.earliest(firsts.filter(|first| *first != NONE))
    }

    /// The oldest waiter of `profile` that runs on `worker`, among those near the front of their lists.
    pub(super) fn near(&self, profile: Profile, worker: WorkerId, may: impl Fn(u32) -> bool) -> Option<u32> {
        let lanes = self.active.iter().copied().filter(|lane| may(*lane));
        let matches = lanes.filter_map(|lane| {
            let list = self.lanes[lane as usize].lists[profile.index()];
            let mut index = list.first;
            for _ in 0..WINDOW.min(list.len.div_ceil(2)) {
                if self.waiter(index).want.worker == worker {
                    return Some(index);
                }
                index = self.waiter(index).behind;
            }
            None
        });
        self.earliest(matches)
    }

    /// The waiter `steps` behind `index` in its list, or the last one.
    pub(super) fn behind(&self, index: u32, steps: u32) -> u32 {
        let mut index = index;
        for _ in 0..steps {
            match self.waiter(index).behind {
                NONE => break,
                behind => index = behind,
            }
        }
        index
    }

    /// The one that came first.
    pub(super) fn earliest(&self, waiters: impl Iterator<Item = u32>) -> Option<u32> {
        waiters.min_by_key(|index| self.waiter(*index).ticket)
    }

    /// Everybody in line, by ticket. Allocates: for failing all, for reloads, and for tests.
    pub(super) fn everybody(&self) -> Vec<u32> {
        let mut all = Vec::with_capacity(self.waiting as usize);
        for lane in &self.active {
            for list in self.lanes[*lane as usize].lists {
                let mut index = list.first;
                while index != NONE {
                    all.push(index);
                    index = self.waiter(index).behind;
                }
            }
        }
        all.sort_unstable_by_key(|index| self.waiter(*index).ticket);
        all
    }

    /// Sorts everybody into new lanes, in the old order.
    pub(super) fn relane(&mut self, lanes: usize, lane_of: impl Fn(&Want) -> u32) {
        let all = self.everybody();
        self.lanes.clear();
        self.lanes.resize(lanes, EMPTY_LANE);
        self.active.clear();
        self.waiting = 0;
        for index in all {
            let lane = lane_of(&self.waiter(index).want);
            self.waiter_mut(index).lane = lane;
            self.link(index);
        }
    }
}
