//! What a pool does when nobody asks: sizes, ages, drains.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::backend::pool::Pool;
use crate::backend::pool::effects::Effects;
use crate::backend::pool::entry::{CloseReason, Entry};
use crate::backend::pool::error::PoolError;
use crate::backend::pool::state::State;
use crate::backend::pool::users::UserLimits;
use crate::backend::pool::want::{Connect, Pooled, UserSlot, WorkerId};
use crate::config::{Backoff, PoolSize};

/// How often a pool looks after itself: the grain of its idle times and lifetimes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The background task of a pool. Ends with it.
pub struct Upkeep<C: Connect> {
    pool: Weak<Pool<C>>,
    worker: WorkerId,
}

impl<C: Connect> Upkeep<C> {
    /// For `pool`, to run on the runtime of `worker`.
    #[must_use]
    pub fn new(pool: &Arc<Pool<C>>, worker: WorkerId) -> Self {
        Self { pool: Arc::downgrade(pool), worker }
    }

    /// Looks after the pool each second until it is gone or drained.
    pub async fn run(self) {
        let mut ticks = interval(UPKEEP_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if let Some(pool) = self.pool.upgrade() {
            pool.add_worker(self.worker);
        }
        loop {
            let now = ticks.tick().await;
            let Some(pool) = self.pool.upgrade() else { return };
            pool.maintain(now);
            if pool.is_drained() {
                return;
            }
        }
    }
}

impl<C: Connect> Pool<C> {
    /// Closes what is dead, too old or idle for too long, opens what is missing to `size_min`, and looks again
    /// at whoever waits.
    pub fn maintain(self: &Arc<Self>, now: Instant) {
        self.with(|state, fx| state.maintain(now, fx));
    }

    /// New sizes and times, from a reload. What is too much is closed when it is idle or comes back.
    pub fn resize(self: &Arc<Self>, size: PoolSize) {
        self.with(|state, fx| {
            state.size = size;
            state.maintain(Instant::now(), fx);
        });
    }

    /// New times of connecting, from a reload: for the next attempt.
    pub fn retime(&self, connect_timeout: Duration, backoff: Backoff) {
        let mut state = self.state.lock();
        state.connect_timeout = connect_timeout;
        state.gate.retime(backoff);
    }

    /// New limits of users, from a reload: the whole list, whoever is not in it has none.
    pub fn limit_users(self: &Arc<Self>, limits: &[(UserSlot, UserLimits)]) {
        self.with(|state, fx| {
            state.users.limit(limits);
            let State { users, queue, .. } = state;
            queue.relane(users.lane_count(), |want| users.lane(want.user));
            state.maintain(Instant::now(), fx);
        });
    }

    /// The credentials changed: closes what is idle now, and everything else when it comes back.
    pub fn close_all_idle(self: &Arc<Self>) {
        self.with(|state, fx| {
            let now = Instant::now();
            state.gate.hope(now);
            state.retire(now, fx);
            state.settle(now, fx);
        });
    }

    /// Ends the pool: no more leases, those in line are told [`PoolError::Draining`], connections are closed
    /// when they come back.
    pub fn drain(self: &Arc<Self>) {
        self.with(|state, fx| {
            state.draining = true;
            state.fail_all(&PoolError::Draining, fx);
            state.retire(Instant::now(), fx);
        });
        self.stop.notify_waiters();
    }

    /// Whether it drains and has no connection left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let state = self.state.lock();
        state.draining && state.total() == 0
    }
}

impl<T: Pooled> State<T> {
    fn retire(&mut self, now: Instant, fx: &mut Effects<T>) {
        self.generation += 1;
        self.sweep(now, |_, _| Some(CloseReason::Retired), fx);
    }

    fn maintain(&mut self, now: Instant, fx: &mut Effects<T>) {
        self.clock = now;
        let well = self.is_well();
        let open = self.total() - self.closing;
        let mut excess = open.saturating_sub(self.capacity());
        let mut spare = open.saturating_sub(self.floor());
        let mut overdue = false;
        let idle_timeout = self.size.idle_timeout;
        let judge = |entry: &mut Entry<T>, since: Instant| {
            let too_old = entry.expires.is_some_and(|expires| expires <= now);
            let unused = !idle_timeout.is_zero() && now.saturating_duration_since(since) >= idle_timeout;
            let reason = if !entry.conn.is_alive() {
                CloseReason::Dead
            } else if excess > 0 {
                CloseReason::Resize
            } else if too_old {
                CloseReason::Lifetime
            } else if spare > 0 && unused {
                CloseReason::Idle
            } else {
                return None;
            };
            if !well && matches!(reason, CloseReason::Lifetime | CloseReason::Idle) {
                overdue = true;
                return None;
            }
            excess = excess.saturating_sub(1);
            spare = spare.saturating_sub(1);
            Some(reason)
        };
        self.sweep(now, judge, fx);
        while self.quota.is_over() {
            let Some(entry) = self.idle.take_oldest(None) else { break };
            self.begin_close(entry, CloseReason::Resize, fx);
        }
        self.asked_for_room = false;
        self.settle(now, fx);
        self.warm(now, fx);
        if overdue {
            // What connects no more is not thrown away, but somebody must find out whether it still does not.
            self.dial_ahead(now, fx);
        }
    }

    /// Closes those idle connections that `judge` gives a reason for.
    fn sweep(
        &mut self,
        now: Instant,
        mut judge: impl FnMut(&mut Entry<T>, Instant) -> Option<CloseReason>,
        fx: &mut Effects<T>,
    ) {
        let mut reasons = Vec::new();
        let mut gone = Vec::new();
        let keep = |entry: &mut Entry<T>, since: Instant| {
            let reason = judge(entry, since);
            reasons.extend(reason);
            reason.is_none()
        };
        self.idle.sweep(now, keep, |entry| gone.push(entry));
        for (entry, reason) in gone.into_iter().zip(reasons) {
            self.begin_close(entry, reason, fx);
        }
    }
}
