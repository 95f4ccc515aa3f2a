//! When connections are opened, and what gives way for them.

use std::sync::Arc;

use tokio::time::Instant;

use crate::backend::pool::effects::{DialOrder, Effects};
use crate::backend::pool::entry::CloseReason;
use crate::backend::pool::error::{FailureKind, PoolError};
use crate::backend::pool::quota::Blocked;
use crate::backend::pool::state::State;
use crate::backend::pool::users::Entitlement;
use crate::backend::pool::want::{Pooled, Profile, Want, WorkerId};

impl<T: Pooled> State<T> {
    /// Opens connections for those in line who lack one, as far as there is room.
    pub(super) fn grow(&mut self, fx: &mut Effects<T>) {
        let mut blocked = None;
        while let Some(waiter) = self.lacking(Self::has_room_for) {
            let want = self.queue.waiter(waiter).want;
            let since = self.queue.waiter(waiter).since;
            match self.begin_dial(want.profile, want.worker, since, fx) {
                Ok(()) => {}
                Err(None) => break,
                Err(Some(why)) => {
                    blocked = Some((since, why));
                    if why == Blocked::Full && !self.make_own_room(fx) && !self.asked_for_room {
                        self.asked_for_room = true;
                        fx.make_room = true;
                    }
                    break;
                }
            }
        }
        if blocked.is_none()
            && let Some(waiter) = self.lacking(|state, entitlement| !state.has_room_for(entitlement))
        {
            let room = self.make_own_room(fx);
            // When connecting works again, somebody else's dial will tell.
            blocked = (!room && !self.is_well()).then(|| (self.queue.waiter(waiter).since, Blocked::Shut));
        }
        if blocked != self.blocked {
            self.report_blocked(blocked);
        }
    }

    /// Opens connections ahead of demand: `size_min`, and what is set aside for owners.
    pub(super) fn warm(&mut self, now: Instant, fx: &mut Effects<T>) {
        while self.total() < self.floor().min(self.capacity()) && self.dial_ahead(now, fx) {}
    }

    /// Opens one connection that nobody waits for, if there is room. Says whether it began.
    pub(super) fn dial_ahead(&mut self, now: Instant, fx: &mut Effects<T>) -> bool {
        if self.draining || self.total() >= self.capacity() {
            return false;
        }
        let known = self.workers.len();
        let mut next = (0..known).map(|step| (self.next_worker + step) % known);
        let Some(worker) = next.find(|worker| self.workers[*worker].is_some()) else { return false };
        self.next_worker = worker + 1;
        let worker = WorkerId(u16::try_from(worker).expect("it was the number of a worker"));
        self.begin_dial(self.last_profile, worker, now, fx).is_ok()
    }

    /// Opens one more connection, if there is room for a common one and none is being opened, because none was in the
    /// state that `want` names and comes back to.
    pub(super) fn dial_for_state(&mut self, want: &Want, fx: &mut Effects<T>) {
        if self.dials == 0 && self.queue.waiting() == 0 && self.has_room_for(Entitlement::Shared) {
            // Nobody waits for it: if it may not be, it need not be.
            let _ = self.begin_dial(want.profile, want.worker, Instant::now(), fx);
        }
    }

    /// As many connections are kept even when nobody asks.
    pub(super) fn floor(&self) -> u32 {
        self.size.size_min.saturating_add(self.users.dedicated_total())
    }

    /// Why nobody in line can hope for a connection soon.
    pub(super) fn hopeless(&self, now: Instant) -> Option<PoolError> {
        if self.users.leased() > 0 {
            return None; // One that is held will come back.
        }
        if let Some(trouble) = self.gate.trouble()
            && trouble.failure.kind == FailureKind::Refused
        {
            return Some(PoolError::Refused(Arc::clone(&trouble.failure)));
        }
        if self.quota.is_troubled() {
            let trouble = self.quota.trouble()?;
            if now.saturating_duration_since(trouble.since) >= self.unavailable_after {
                return Some(PoolError::Unavailable(trouble.failure));
            }
        }
        None
    }

    /// Tells the quota that this pool lacks a dial that it does not let begin; or not any more.
    pub(super) fn report_blocked(&mut self, blocked: Option<(Instant, Blocked)>) {
        self.blocked = blocked;
        self.asked_for_room &= blocked.is_some();
        self.quota.report(self.member, blocked);
    }

    /// Counts a dial and orders it, for a statement that waits since `since`. The error: what of the quota stands in the way, or none if it is this
    /// pool's own gate, whose dials look again when they end.
    fn begin_dial(
        &mut self,
        profile: Profile,
        worker: WorkerId,
        since: Instant,
        fx: &mut Effects<T>,
    ) -> Result<(), Option<Blocked>> {
        let now = Instant::now();
        if !self.gate.is_open(now) {
            return Err(None);
        }
        let permit = self.quota.begin_dial(self.member, since, now).map_err(Some)?;
        let epoch = self.gate.begin();
        self.dialling[profile.index()] += 1;
        self.dials += 1;
        let runtime = self.runtime_of(worker);
        fx.dials.push(DialOrder { profile, worker, runtime, permit, epoch, generation: self.generation });
        Ok(())
    }

    /// Whether a connection may be opened for somebody so entitled, so that what is set aside for owners
    /// still finds room.
    fn has_room_for(&self, entitlement: Entitlement) -> bool {
        let spare = (self.idle.len() + self.dials).saturating_sub(self.users.reserved());
        self.total() < self.capacity()
            && match entitlement {
                Entitlement::Nothing => false,
                Entitlement::Shared => self.users.shared() + spare < self.size.size_max,
                Entitlement::Dedicated => true,
            }
    }

    /// How many waiters of `profile` could use a connection now, in the lanes that `count`.
    fn demand(&self, profile: Profile, count: &impl Fn(&Self, Entitlement) -> bool) -> u32 {
        let of_lane = |lane: &u32| match self.users.lane_entitlement(*lane, self.size.size_max) {
            (Entitlement::Nothing, _) => 0,
            (entitlement, left) if count(self, entitlement) => self.queue.len(*lane, profile).min(left),
            _ => 0,
        };
        self.queue.active().iter().map(of_lane).fold(0, u32::saturating_add)
    }

    /// The oldest waiter that no dial under way is for, in the lanes that `count`.
    fn lacking(&self, count: impl Fn(&Self, Entitlement) -> bool) -> Option<u32> {
        let may = |lane| match self.users.lane_entitlement(lane, self.size.size_max).0 {
            Entitlement::Nothing => false,
            entitlement => count(self, entitlement),
        };
        let lacks = |profile: &Profile| self.demand(*profile, &count) > self.dialling[profile.index()];
        let firsts =
            Profile::ALL.into_iter().filter(lacks).filter_map(|profile| self.queue.oldest(profile, may));
        let first = self.queue.earliest(firsts)?;
        let profile = self.queue.waiter(first).want.profile;
        Some(self.queue.behind(first, self.dialling[profile.index()]))
    }

    /// Whether a connection in hand, which is not counted, should be closed so that one can be opened for a
    /// waiter of `profile`.
    pub(super) fn is_room_missing_for(&self, profile: Profile) -> bool {
        let full = self.total() + 1 >= self.capacity() || matches!(self.blocked, Some((_, Blocked::Full)));
        full && self.is_more_wanted(profile) && self.is_dialling_likely()
    }

    /// Whether a connection closed now can be replaced: connecting works, or it is time to try it with one.
    fn is_dialling_likely(&self) -> bool {
        self.is_well() || (self.closing == 0 && self.is_dial_due(Instant::now()))
    }

    fn is_dial_due(&self, now: Instant) -> bool {
        self.gate.is_open(now) && self.quota.is_open(now)
    }

    /// Whether more wait for `profile` than dials and closes under way will serve.
    fn is_more_wanted(&self, profile: Profile) -> bool {
        let coming = self.dialling[profile.index()] + self.closing;
        self.demand(profile, &|_, _| true) > coming
    }

    /// Closes idle connections of profiles that are not wanted, for those who lack one. Says whether room will
    /// come for all of them.
    fn make_own_room(&mut self, fx: &mut Effects<T>) -> bool {
        while self.lack() > self.closing {
            let Some(waiter) = self.lacking(Self::may_take_idle) else { return false };
            if !self.is_dialling_likely() {
                return false;
            }
            let wanted = self.queue.waiter(waiter).want.profile;
            let Some(entry) = self.idle.take_oldest(Some(wanted)) else { return false };
            self.begin_close(entry, CloseReason::OtherProfile, fx);
        }
        true
    }

    /// How many in line no dial under way is for.
    fn lack(&self) -> u32 {
        let of_profile = |profile: Profile| {
            self.demand(profile, &|_, _| true).saturating_sub(self.dialling[profile.index()])
        };
        Profile::ALL.into_iter().map(of_profile).fold(0, u32::saturating_add)
    }
}
