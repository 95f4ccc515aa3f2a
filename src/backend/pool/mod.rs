//! The pool of server connections: few connections, fairly shared by many sessions.
//!
//! One pool belongs to one backend and one server identity. All its decisions are made under one short lock
//! ([`state`]); what they need done (wake, dial, close) is done after it ([`effects`]). A connection that comes
//! back is handed straight to whoever waits longest ([`turn`], [`queue`]); when somebody waits and there is
//! room, one is opened on the runtime of the waiter ([`grow`], [`dial`]). What pools of one backend share,
//! the cap of connections and the knowledge that it is down, is the [`quota`]'s.

mod dial;
mod effects;
mod entry;
mod error;
mod gate;
mod grow;
mod idle;
mod lease;
mod queue;
mod quota;
mod snapshot;
mod state;
mod turn;
mod upkeep;
mod users;
mod want;

#[cfg(test)]
mod tests;

pub use entry::CloseReason;
pub use error::{ConnectFailure, FailureKind, PoolError};
pub use lease::Lease;
pub use quota::BackendQuota;
pub use snapshot::{Snapshot, Totals};
pub use upkeep::Upkeep;
pub use users::UserLimits;
pub use want::{Connect, Pooled, Profile, UserSlot, Want, WorkerId};

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backend::pool::effects::Effects;
use crate::backend::pool::quota::Member;
use crate::backend::pool::state::State;
use crate::config;

/// Settings of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// Sizes and times.
    pub size: config::PoolSize,
    /// Pauses after the server refused this identity.
    pub backoff: config::Backoff,
    /// For opening one connection, login included.
    pub connect_timeout: Duration,
    /// When connecting fails for this long and no connection is left, statements fail at once instead of waiting.
    pub unavailable_after: Duration,
    /// Of the randomness in lifetimes and pauses.
    pub seed: u64,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            size: config::PoolSize::default(),
            backoff: config::Backoff::default(),
            connect_timeout: Duration::from_secs(5),
            unavailable_after: Duration::from_secs(5),
            seed: 0,
        }
    }
}

/// The connections to one backend as one server identity.
pub struct Pool<C: Connect> {
    /// Short: a few list operations per lease and return; nothing is awaited, woken, dropped or allocated under
    /// it in the usual case. Taken before the quota's lock, never after it.
    state: Mutex<State<C::Conn>>,
    connector: C,
    quota: Arc<BackendQuota>,
    member: u64,
    /// Tells dials under way that the pool drains.
    stop: Notify,
}

impl<C: Connect> Pool<C> {
    /// An empty pool under `quota`, which all pools of the backend share. Spawn its [`Upkeep`] too.
    pub fn new(connector: C, options: PoolOptions, quota: Arc<BackendQuota>) -> Arc<Self> {
        let member = quota.new_member();
        let state = Mutex::new(State::new(options, Arc::clone(&quota), member));
        let stop = Notify::new();
        let pool = Arc::new(Self { state, connector, quota, member, stop });
        let weak: Weak<Self> = Arc::downgrade(&pool);
        pool.quota.join(member, weak);
        pool
    }

    /// Makes the runtime that runs this known as that of `worker`, so that connections can be opened there ahead
    /// of demand. A session that waits makes its worker known by itself.
    pub fn add_worker(&self, worker: WorkerId) {
        self.state.lock().know_worker(worker);
    }

    /// How long a statement may wait in line, by the settings.
    #[must_use]
    pub fn queue_timeout(&self) -> Duration {
        self.state.lock().size.queue_timeout
    }

    /// What makes its connections; for one that is not to be the pool's.
    pub const fn connector(&self) -> &C {
        &self.connector
    }

    /// Its numbers now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.state.lock().snapshot()
    }

    /// How long opening a connection may take; nothing when the pool drains.
    fn connect_timeout(&self) -> Option<Duration> {
        let state = self.state.lock();
        (!state.draining).then_some(state.connect_timeout)
    }

    /// Changes the state, then does what follows from it.
    fn with<R>(self: &Arc<Self>, change: impl FnOnce(&mut State<C::Conn>, &mut Effects<C::Conn>) -> R) -> R {
        let mut effects = Effects::new();
        let result = change(&mut self.state.lock(), &mut effects);
        if !effects.is_empty() {
            self.run(effects);
        }
        result
    }
}

impl<C: Connect> Drop for Pool<C> {
    fn drop(&mut self) {
        // The idle connections give their places back before others are told.
        self.state.get_mut().idle = idle::Idle::new();
        self.quota.leave(self.member);
    }
}

impl<C: Connect> Member for Pool<C> {
    fn look_again(self: Arc<Self>) {
        self.with(|state, fx| {
            state.asked_for_room = false;
            state.settle(Instant::now(), fx);
        });
    }

    fn oldest_idle(&self) -> Option<Option<Instant>> {
        let state = self.state.lock();
        if state.idle.len() > state.users.reserved() { state.idle.oldest() } else { None }
    }

    fn evict(self: Arc<Self>) -> bool {
        self.with(|state, fx| {
            if state.idle.len() <= state.users.reserved() {
                return false;
            }
            let Some(entry) = state.idle.take_oldest(None) else { return false };
            state.begin_close(entry, CloseReason::OtherPool, fx);
            true
        })
    }
}

impl<C: Connect> std::fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
