//! Whose turn it is: which waiter gets which connection.

use crate::backend::pool::effects::Effects;
use crate::backend::pool::entry::{CloseReason, Entry};
use crate::backend::pool::queue::Phase;
use crate::backend::pool::state::State;
use crate::backend::pool::users::Entitlement;
use crate::backend::pool::want::{Pooled, Profile, WorkerId};
use tokio::time::Instant;

/// How often a waiter may be passed by one behind it that runs on the connection's own worker. Crossing
/// workers wakes another thread (a write to its eventfd, about as dear as a statement's own system calls),
/// so a few places in line are worth it; four, together with the window of the queue, keep p99 ÷ p50 of
/// waiting far below 3 at 100 clients on one connection.
const PASSED_BY_WORKER_MAX: u8 = 4;

/// How often a waiter may be passed by one behind it because the free connection has the other's profile.
/// Then a connection is closed for it and another is opened: a login takes three to five round trips and a
/// password hash, as much as about eight point statements.
const PASSED_BY_PROFILE_MAX: u8 = 8;

/// What becomes of a connection that is free.
enum Turn {
    /// It goes to this waiter.
    Of(u32),
    /// It makes room for one of another profile.
    OfOtherProfile,
    /// Nobody may have it.
    OfNobody,
}

impl<T: Pooled> State<T> {
    /// Puts things right after a change: idle connections to waiters, dials for the others.
    pub(super) fn settle(&mut self, now: Instant, fx: &mut Effects<T>) {
        if self.queue.waiting() > 0 {
            self.dispatch(fx);
            self.grow(fx);
            if self.dials == 0
                && self.queue.waiting() > 0
                && let Some(error) = self.hopeless(now)
            {
                self.fail_all(&error, fx);
            }
        } else if self.blocked.is_some() {
            self.report_blocked(None);
        }
    }

    /// A good connection that nobody holds: to the waiter whose turn it is (says whether there was one), or to
    /// the idle set. `for_all`: it is not needed to keep what is set aside for owners.
    pub(super) fn offer(&mut self, entry: Box<Entry<T>>, for_all: bool, fx: &mut Effects<T>) -> bool {
        if self.queue.waiting() == 0 {
            self.idle.put(entry);
            return false;
        }
        match self.turn(entry.conn.profile(), entry.conn.home(), for_all) {
            Turn::Of(waiter) => {
                self.grant(waiter, entry, fx);
                true
            }
            Turn::OfOtherProfile => {
                self.begin_close(entry, CloseReason::OtherProfile, fx);
                false
            }
            Turn::OfNobody => {
                self.idle.put(entry);
                false
            }
        }
    }

    fn grant(&mut self, waiter: u32, entry: Box<Entry<T>>, fx: &mut Effects<T>) {
        self.users.take(self.queue.waiter(waiter).want.user);
        self.totals.leases += 1;
        let waker = self.queue.leave(waiter, Phase::Granted(entry));
        fx.wake(waker);
    }

    fn turn(&mut self, profile: Profile, home: WorkerId, for_all: bool) -> Turn {
        let (users, queue, size_max) = (&self.users, &self.queue, self.size.size_max);
        let may = |lane| match users.lane_entitlement(lane, size_max).0 {
            Entitlement::Nothing => false,
            Entitlement::Shared => for_all,
            Entitlement::Dedicated => true,
        };
        let firsts = Profile::ALL.map(|profile| queue.oldest(profile, may));
        let Some(head) = queue.earliest(firsts.into_iter().flatten()) else { return Turn::OfNobody };
        let Some(first) = firsts[profile.index()] else { return Turn::OfNobody };
        let near = if queue.waiter(first).want.worker != home
            && queue.waiter(first).passed_by_worker < PASSED_BY_WORKER_MAX
        {
            queue.near(profile, home, may)
        } else {
            None
        };
        if head != first {
            let passed = queue.waiter(head).passed_by_profile;
            if passed >= PASSED_BY_PROFILE_MAX && self.is_room_missing_for(queue.waiter(head).want.profile) {
                self.queue.waiter_mut(head).passed_by_profile = 0;
                return Turn::OfOtherProfile;
            }
            self.queue.waiter_mut(head).passed_by_profile = passed.saturating_add(1);
        }
        match near {
            Some(near) => {
                self.queue.waiter_mut(first).passed_by_worker += 1;
                Turn::Of(near)
            }
            None => Turn::Of(first),
        }
    }

    /// Gives idle connections to those who may have them, oldest first.
    fn dispatch(&mut self, fx: &mut Effects<T>) {
        while self.idle.len() > 0 {
            let may = |lane| self.may_take_idle(self.users.lane_entitlement(lane, self.size.size_max).0);
            let stocked = Profile::ALL.into_iter().filter(|profile| !self.idle.is_empty_of(*profile));
            let firsts = stocked.filter_map(|profile| self.queue.oldest(profile, may));
            let Some(first) = self.queue.earliest(firsts) else { return };
            let want = self.queue.waiter(first).want;
            if let Some(entry) = self.take_alive(&want, fx) {
                self.grant(first, entry, fx);
            }
        }
    }

    /// Since when the oldest waiter waits that may have any connection.
    pub(super) fn oldest_entitled(&self) -> Option<Instant> {
        let may = |lane| self.users.lane_entitlement(lane, self.size.size_max).0 != Entitlement::Nothing;
        let firsts = Profile::ALL.into_iter().filter_map(|profile| self.queue.oldest(profile, may));
        self.queue.earliest(firsts).map(|first| self.queue.waiter(first).since)
    }
}
