//! What a pool's lock guards: who holds what, what is idle, who waits. Nothing here waits or does I/O.
//!
//! The rule everything keeps: after every change, no waiter that is entitled to a connection waits while an
//! idle one of its profile may be taken, and for every waiter that lacks one a connection is being opened as
//! long as there is room.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::backend::pool::PoolOptions;
use crate::backend::pool::effects::{CloseOrder, Effects};
use crate::backend::pool::entry::{CloseReason, Entry};
use crate::backend::pool::error::PoolError;
use crate::backend::pool::gate::DialGate;
use crate::backend::pool::idle::Idle;
use crate::backend::pool::queue::{Phase, Queue};
use crate::backend::pool::quota::{BackendQuota, Blocked};
use crate::backend::pool::snapshot::{Snapshot, Totals};
use crate::backend::pool::users::{COMMON_LANE, Entitlement, Users};
use crate::backend::pool::want::{Pooled, Profile, UserSlot, Want, WorkerId};
use crate::config::PoolSize;

pub(super) struct State<T> {
    pub(super) size: PoolSize,
    pub(super) users: Users,
    pub(super) idle: Idle<T>,
    pub(super) queue: Queue<Box<Entry<T>>>,
    /// Connections being opened, by profile, and together.
    pub(super) dialling: [u32; Profile::KINDS],
    pub(super) dials: u32,
    /// Connections being closed.
    pub(super) closing: u32,
    /// Failures that concern this identity only.
    pub(super) gate: DialGate,
    pub(super) quota: Arc<BackendQuota>,
    pub(super) member: u64,
    /// Why the quota does not let this pool dial for a waiter, as reported to it.
    pub(super) blocked: Option<(Instant, Blocked)>,
    /// The other pools were asked for room since this pool is blocked, and nothing happened since.
    pub(super) asked_for_room: bool,
    /// For opening one connection, login included.
    pub(super) connect_timeout: Duration,
    pub(super) unavailable_after: Duration,
    /// The time of the last maintenance: good enough for lifetimes, and giving back needs no clock.
    pub(super) clock: Instant,
    /// Connections of older generations are closed when they come back.
    pub(super) generation: u64,
    pub(super) draining: bool,
    /// What connections opened ahead of demand look like.
    pub(super) last_profile: Profile,
    /// The runtimes of the workers, where known.
    pub(super) workers: Vec<Option<Handle>>,
    pub(super) next_worker: usize,
    pub(super) rng: SmallRng,
    pub(super) totals: Totals,
}

impl<T: Pooled> State<T> {
    pub(super) fn new(options: PoolOptions, quota: Arc<BackendQuota>, member: u64) -> Self {
        Self {
            size: options.size,
            users: Users::default(),
            idle: Idle::new(),
            queue: Queue::new(),
            dialling: [0; Profile::KINDS],
            dials: 0,
            closing: 0,
            gate: DialGate::new(options.backoff),
            quota,
            member,
            blocked: None,
            asked_for_room: false,
            connect_timeout: options.connect_timeout,
            unavailable_after: options.unavailable_after,
            clock: Instant::now(),
            generation: 0,
            draining: false,
            last_profile: Profile::PLAIN,
            workers: Vec::new(),
            next_worker: 0,
            rng: SmallRng::seed_from_u64(options.seed),
            totals: Totals::default(),
        }
    }

    /// All connections that exist or are being opened or closed.
    pub(super) fn total(&self) -> u32 {
        self.idle.len() + self.users.leased() + self.dials + self.closing
    }

    /// How many there may be.
    pub(super) fn capacity(&self) -> u32 {
        self.size.size_max.saturating_add(self.users.dedicated_total())
    }

    /// Whether connecting works, as far as anybody knows. If not, what is open is not closed for small reasons.
    pub(super) fn is_well(&self) -> bool {
        self.gate.trouble().is_none() && !self.quota.is_troubled()
    }

    /// Whether somebody so entitled may take an idle connection.
    pub(super) fn may_take_idle(&self, entitlement: Entitlement) -> bool {
        match entitlement {
            Entitlement::Nothing => false,
            Entitlement::Shared => self.idle.len() > self.users.reserved(),
            Entitlement::Dedicated => self.idle.len() > 0,
        }
    }

    /// Whether so many connections are in use that statements should share one.
    pub(super) fn is_crowded(&self) -> bool {
        self.size.combine_from != 0 && self.users.leased() > self.size.combine_from
    }

    /// The fast path: an idle connection, now.
    ///
    /// It passes nobody: an idle connection is there only if no waiter may have it.
    pub(super) fn take(&mut self, want: &Want, fx: &mut Effects<T>) -> Option<Box<Entry<T>>> {
        let (entitlement, _) = self.users.entitlement(want.user, self.size.size_max);
        if self.draining || !self.may_take_idle(entitlement) {
            return None;
        }
        let entry = self.take_alive(want, fx)?;
        self.users.take(want.user);
        self.totals.leases += 1;
        if want.roams && entry.conn.state_key() != want.state_key {
            self.dial_for_state(want, fx);
        }
        Some(entry)
    }

    /// The best idle connection that the server has not closed meanwhile.
    pub(super) fn take_alive(&mut self, want: &Want, fx: &mut Effects<T>) -> Option<Box<Entry<T>>> {
        while let Some(mut entry) = self.idle.take(want) {
            if entry.conn.is_alive() {
                return Some(entry);
            }
            self.begin_close(entry, CloseReason::Dead, fx);
        }
        None
    }

    /// Gets in line. Gives the waiter's index, which the caller releases.
    pub(super) fn enter(
        &mut self,
        want: &Want,
        waker: &Waker,
        fx: &mut Effects<T>,
    ) -> Result<u32, PoolError> {
        if self.draining {
            return Err(PoolError::Draining);
        }
        if self.queue.waiting() >= self.size.queue_max {
            self.totals.queue_full += 1;
            return Err(PoolError::QueueFull);
        }
        self.know_worker(want.worker);
        self.last_profile = want.profile;
        self.totals.waits += 1;
        let now = Instant::now();
        let index = self.queue.push(*want, self.users.lane(want.user), waker.clone(), now);
        let dials = self.dials;
        self.settle(now, fx);
        // While the backend is known to be down, one waits for the next attempt: whoever set it off.
        let began = self.dials > dials;
        if !began
            && matches!(self.queue.waiter(index).phase, Phase::Waiting(_))
            && let Some(error) = self.hopeless(now)
        {
            let error = match error {
                PoolError::Unavailable(failure) => PoolError::StillUnavailable(failure),
                error => error,
            };
            self.queue.leave(index, Phase::Failed(error));
        }
        Ok(index)
    }

    /// A connection comes back from `user`, to be closed if there is a reason.
    pub(super) fn give_back(
        &mut self,
        entry: Box<Entry<T>>,
        user: UserSlot,
        reason: Option<CloseReason>,
        fx: &mut Effects<T>,
    ) {
        let was_shared = self.users.give(user);
        let mut handed_on = false;
        match reason.or_else(|| self.unwelcome(&entry)) {
            Some(reason) => self.begin_close(entry, reason, fx),
            None => {
                let for_all = was_shared || self.idle.len() >= self.users.reserved();
                handed_on = self.offer(entry, for_all, fx);
            }
        }
        // Handed on among users without limits, nothing else can have become possible.
        let limits = self.users.lane(user) != COMMON_LANE || self.users.dedicated_total() > 0;
        if self.queue.waiting() > 0 && (limits || !handed_on || self.blocked.is_some()) {
            self.settle(Instant::now(), fx);
        } else if self.blocked.is_some() {
            self.report_blocked(None);
        }
    }

    /// Why a connection that comes back good is closed all the same.
    pub(super) fn unwelcome(&mut self, entry: &Entry<T>) -> Option<CloseReason> {
        if self.draining || entry.generation != self.generation {
            return Some(CloseReason::Retired);
        }
        if entry.expires.is_some_and(|expires| expires <= self.clock) && self.is_well() {
            return Some(CloseReason::Lifetime);
        }
        if self.total() - self.closing >= self.capacity() {
            return Some(CloseReason::Resize);
        }
        if self.quota.is_under_pressure() {
            return self.quota.claim(self.member, self.oldest_entitled(), Instant::now());
        }
        None
    }

    /// A connection of nobody leaves the pool.
    pub(super) fn begin_close(&mut self, mut entry: Box<Entry<T>>, reason: CloseReason, fx: &mut Effects<T>) {
        self.closing += 1;
        self.totals.closed[reason as usize] += 1;
        entry.slot.begin_release();
        let runtime = self.runtime_of(entry.conn.home());
        fx.closes.push(CloseOrder { entry, runtime });
    }

    /// What became of a waiter that is not in line any more. Its index is free then.
    pub(super) fn outcome(&mut self, index: u32) -> Result<(Box<Entry<T>>, Duration), PoolError> {
        let waited = self.queue.waiter(index).since.elapsed();
        match self.queue.release(index) {
            Phase::Granted(entry) => {
                self.totals.wait_time += waited;
                Ok((entry, waited))
            }
            Phase::Failed(error) => Err(error),
            Phase::Free(_) | Phase::Waiting(_) => {
                unreachable!("only those who left the line are asked about")
            }
        }
    }

    /// A waiter is not interested any more.
    pub(super) fn abandon(&mut self, index: u32, now: Instant, fx: &mut Effects<T>) {
        self.totals.cancelled += 1;
        if matches!(self.queue.waiter(index).phase, Phase::Waiting(_)) {
            self.queue.leave(index, Phase::Failed(PoolError::Timeout));
            if self.blocked.is_some() {
                self.settle(now, fx);
            }
        }
        let user = self.queue.waiter(index).want.user;
        if let Phase::Granted(entry) = self.queue.release(index) {
            self.give_back(entry, user, None, fx);
        }
    }

    /// The deadline of somebody in line passed.
    pub(super) fn expire(&mut self, index: u32, now: Instant, fx: &mut Effects<T>) {
        self.totals.timeouts += 1;
        self.queue.leave(index, Phase::Failed(PoolError::Timeout));
        if self.blocked.is_some() {
            self.settle(now, fx);
        }
    }

    /// Everybody in line is told `error`.
    pub(super) fn fail_all(&mut self, error: &PoolError, fx: &mut Effects<T>) {
        for index in self.queue.everybody() {
            let waker = self.queue.leave(index, Phase::Failed(error.clone()));
            fx.wake(waker);
        }
        if self.blocked.is_some() {
            self.report_blocked(None);
        }
    }

    /// Remembers the runtime that runs this, as that of `worker`.
    pub(super) fn know_worker(&mut self, worker: WorkerId) {
        let index = usize::from(worker.0);
        if index >= self.workers.len() {
            self.workers.resize(index + 1, None);
        }
        if self.workers[index].is_none() {
            self.workers[index] = Handle::try_current().ok();
        }
    }

    pub(super) fn runtime_of(&self, worker: WorkerId) -> Option<Handle> {
        self.workers.get(usize::from(worker.0)).cloned().flatten()
    }

    /// When a connection opened now is too old: up to 10 % before `lifetime`, so that connections opened
    /// together do not end together.
    pub(super) fn expiry(&mut self, now: Instant) -> Option<Instant> {
        let lifetime = self.size.lifetime;
        if lifetime.is_zero() {
            return None;
        }
        now.checked_add(lifetime.mul_f64(self.rng.random_range(0.9..=1.0)))
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            idle: self.idle.len(),
            leased: self.users.leased(),
            dialling: self.dials,
            closing: self.closing,
            waiting: self.queue.waiting(),
            size: self.total(),
            size_max: self.capacity(),
            totals: self.totals,
        }
    }
}
