//! What the pools of one backend share: the cap of connections, and whether dialling works at all.
//!
//! Lock order: a pool's state, then the quota. The quota calls pools only while neither is locked.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::time::Instant;

use crate::backend::pool::entry::CloseReason;
use crate::backend::pool::error::ConnectFailure;
use crate::backend::pool::gate::{DialGate, Trouble};
use crate::config;

/// A pool whose statements wait takes a connection from a pool whose statements wait too only if it has
/// waited this long and twice as long as they: moving a connection costs a logout and a login, so it must not
/// happen for the small differences that every moment has.
const YIELD_MIN: Duration = Duration::from_millis(20);

/// A pool, as its backend's quota sees it.
pub(super) trait Member: Send + Sync {
    /// Looks again whether something can be done for its waiters.
    fn look_again(self: Arc<Self>);
    /// Since when the idle connection is idle that it could give up; the inner none: not known, recently.
    fn oldest_idle(&self) -> Option<Option<Instant>>;
    /// Closes that connection.
    fn evict(self: Arc<Self>) -> bool;
}

/// Why a dial may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    /// The backend has as many connections as it may have.
    Full,
    /// Enough connects are under way, or connecting fails and the pause is not over.
    Shut,
}

struct BlockedMember {
    member: u64,
    since: Instant,
    why: Blocked,
}

struct Inner {
    connections_max: u32,
    used: u32,
    /// Of those used, how many are being closed.
    releasing: u32,
    gate: DialGate,
    rng: SmallRng,
    members: Vec<(u64, Weak<dyn Member>)>,
    blocked: Vec<BlockedMember>,
}

impl Inner {
    fn is_full(&self) -> bool {
        self.connections_max != 0 && self.used >= self.connections_max
    }

    fn is_over(&self) -> bool {
        self.connections_max != 0 && self.used - self.releasing > self.connections_max
    }

    fn free(&self) -> usize {
        if self.connections_max == 0 {
            usize::MAX
        } else {
            self.connections_max.saturating_sub(self.used) as usize
        }
    }

    /// How many other members wait for a place longer than `since`.
    fn ahead_of(&self, member: u64, since: Instant) -> usize {
        let full = self.blocked.iter().filter(|other| other.why == Blocked::Full);
        full.filter(|other| other.member != member && other.since < since).count()
    }

    /// How many members wait for a place.
    fn lacking(&self) -> usize {
        self.blocked.iter().filter(|blocked| blocked.why == Blocked::Full).count()
    }

    fn is_release_needed(&self) -> bool {
        self.is_full() && (self.releasing as usize) < self.lacking()
    }
}

/// The cap of connections to one backend over all its pools, and the one place that knows whether connecting
/// to it fails.
pub struct BackendQuota {
    /// Short: counters and lists of a few pools. Taken when connections open and close, not per lease.
    inner: Mutex<Inner>,
    /// Somebody needs a place, or there are too many. Read at every return.
    pressure: AtomicBool,
    /// Connecting fails.
    troubled: AtomicBool,
    next_member: AtomicU64,
}

impl BackendQuota {
    /// A backend that nobody has connected to. `connections_max` 0: no cap.
    #[must_use]
    pub fn new(connections_max: u32, backoff: config::Backoff, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                connections_max,
                used: 0,
                releasing: 0,
                gate: DialGate::new(backoff),
                rng: SmallRng::seed_from_u64(seed),
                members: Vec::new(),
                blocked: Vec::new(),
            }),
            pressure: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            next_member: AtomicU64::new(0),
        })
    }

    /// Changes the cap. Connections above it are closed when they are idle or come back.
    pub fn resize(&self, connections_max: u32) {
        self.change(|inner| inner.connections_max = connections_max);
        self.poke();
    }

    /// New pauses between attempts to connect.
    pub fn retime(&self, backoff: config::Backoff) {
        self.inner.lock().gate.retime(backoff);
    }

    /// Connections that exist or are being opened or closed.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.inner.lock().used
    }

    /// Since when connecting fails, if it does.
    #[must_use]
    pub fn down_since(&self) -> Option<Instant> {
        self.inner.lock().gate.trouble().map(|trouble| trouble.since)
    }

    /// Somebody else got an answer from the backend: the next connect need not wait for the pause to end.
    pub fn reachable(&self) {
        self.inner.lock().gate.hope(Instant::now());
        self.poke();
    }

    /// Every change of `inner` that `pressure` depends on goes through here.
    fn change<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        let mut inner = self.inner.lock();
        let result = change(&mut inner);
        self.pressure.store(inner.lacking() > 0 || inner.is_over(), Ordering::Release);
        self.troubled.store(inner.gate.trouble().is_some(), Ordering::Release);
        result
    }

    pub(super) fn new_member(&self) -> u64 {
        self.next_member.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn join(&self, member: u64, pool: Weak<dyn Member>) {
        self.inner.lock().members.push((member, pool));
    }

    pub(super) fn leave(&self, member: u64) {
        self.change(|inner| {
            inner.members.retain(|(id, _)| *id != member);
            inner.blocked.retain(|blocked| blocked.member != member);
        });
        self.poke();
    }

    /// Whether a pool must ask [`BackendQuota::claim`] before it keeps a connection.
    pub(super) fn is_under_pressure(&self) -> bool {
        self.pressure.load(Ordering::Acquire)
    }

    /// Whether connecting fails at the moment.
    pub(super) fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Acquire)
    }

    /// What is wrong with connecting, if anything.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.inner.lock().gate.trouble().cloned()
    }

    /// Whether a dial may begin now, if there is room.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.inner.lock().gate.is_open(now)
    }

    /// Whether there are more connections than the cap allows.
    pub(super) fn is_over(&self) -> bool {
        self.inner.lock().is_over()
    }

    /// Reserves a place and the right to dial now, for a statement of `member` that waits since `since`.
    /// Places that are free are kept for those who wait longer.
    pub(super) fn begin_dial(
        self: &Arc<Self>,
        member: u64,
        since: Instant,
        now: Instant,
    ) -> Result<DialPermit, Blocked> {
        self.change(|inner| {
            if !inner.gate.is_open(now) {
                return Err(Blocked::Shut);
            }
            if inner.free() <= inner.ahead_of(member, since) {
                return Err(Blocked::Full);
            }
            inner.used += 1;
            let epoch = inner.gate.begin();
            let slot = QuotaSlot { quota: Arc::clone(self), releasing: false };
            Ok(DialPermit { slot: Some(slot), epoch })
        })
    }

    /// `member` has statements that wait since `since` and may not dial; or none that lack a dial.
    pub(super) fn report(&self, member: u64, blocked: Option<(Instant, Blocked)>) {
        self.change(|inner| {
            inner.blocked.retain(|other| other.member != member);
            if let Some((since, why)) = blocked {
                inner.blocked.push(BlockedMember { member, since, why });
            }
        });
    }

    /// Whether `member` should close a connection it could keep, and why. `waiting_since`: its own oldest
    /// waiter that could use it.
    pub(super) fn claim(
        &self,
        member: u64,
        waiting_since: Option<Instant>,
        now: Instant,
    ) -> Option<CloseReason> {
        let inner = self.inner.lock();
        if inner.is_over() {
            return Some(CloseReason::Resize);
        }
        if !inner.is_release_needed() || inner.gate.trouble().is_some() {
            return None;
        }
        let others =
            inner.blocked.iter().filter(|other| other.member != member && other.why == Blocked::Full);
        let theirs = now.saturating_duration_since(others.map(|other| other.since).min()?);
        let yields = waiting_since.is_none_or(|since| {
            let ours = now.saturating_duration_since(since);
            theirs >= YIELD_MIN && theirs > ours.saturating_mul(2)
        });
        yields.then_some(CloseReason::OtherPool)
    }

    /// A place or the right to dial became free: the pools that lack one look again, longest waiting first.
    /// No lock is held by the caller.
    pub(super) fn poke(&self) {
        let pools: Vec<Arc<dyn Member>> = {
            let mut inner = self.inner.lock();
            let Inner { blocked, members, .. } = &mut *inner;
            blocked.sort_by_key(|blocked| blocked.since);
            let find = |blocked: &BlockedMember| members.iter().find(|(id, _)| *id == blocked.member);
            blocked.iter().filter_map(find).filter_map(|(_, pool)| pool.upgrade()).collect()
        };
        for pool in pools {
            pool.look_again();
        }
    }

    /// Closes the least recently used idle connection of all pools, if a pool lacks its place.
    /// No lock is held by the caller.
    pub(super) fn make_room(&self) {
        let pools: Vec<Arc<dyn Member>> = {
            let inner = self.inner.lock();
            if !inner.is_release_needed() || inner.gate.trouble().is_some() {
                return;
            }
            inner.members.iter().filter_map(|(_, pool)| pool.upgrade()).collect()
        };
        let oldest = |pool: &Arc<dyn Member>| pool.oldest_idle().map(|since| (since.is_none(), since));
        let candidates = pools.into_iter().filter_map(|pool| oldest(&pool).map(|age| (age, pool)));
        if let Some((_, pool)) = candidates.min_by_key(|(age, _)| *age) {
            pool.evict();
        }
    }
}

/// The place of one connection under its backend's cap. Given back on drop.
pub(super) struct QuotaSlot {
    quota: Arc<BackendQuota>,
    releasing: bool,
}

impl QuotaSlot {
    /// The connection is being closed: room will come.
    pub(super) fn begin_release(&mut self) {
        if !self.releasing {
            self.releasing = true;
            self.quota.change(|inner| inner.releasing += 1);
        }
    }
}

impl Drop for QuotaSlot {
    fn drop(&mut self) {
        self.quota.change(|inner| {
            inner.used -= 1;
            inner.releasing -= u32::from(self.releasing);
        });
    }
}

/// A place, and the right to dial. Dropped, it gives both back.
pub(super) struct DialPermit {
    slot: Option<QuotaSlot>,
    epoch: u64,
}

impl DialPermit {
    fn quota(&self) -> &Arc<BackendQuota> {
        &self.slot.as_ref().expect("the slot is there until the permit is used").quota
    }

    /// The backend let us in. Gives the place.
    pub(super) fn connected(mut self) -> QuotaSlot {
        self.answered();
        self.slot.take().expect("the slot is there until the permit is used")
    }

    /// The backend answered, but did not let us in.
    pub(super) fn refused(mut self) {
        self.answered();
        self.slot = None;
    }

    fn answered(&self) {
        if self.quota().change(|inner| inner.gate.succeeded()) {
            tracing::info!("the backend answers again");
        }
    }

    /// The backend did not answer. Says when the next dial may begin.
    pub(super) fn failed(mut self, failure: Arc<ConnectFailure>, now: Instant) -> Instant {
        let epoch = self.epoch;
        let detail = failure.to_string();
        let (next_attempt, began) = self.quota().change(|inner| {
            let Inner { gate, rng, .. } = inner;
            gate.failed(epoch, now, rng, failure)
        });
        if began {
            tracing::warn!(error = detail, "the backend does not answer, connecting backs off");
        } else {
            tracing::debug!(error = detail, "the backend still does not answer");
        }
        self.slot = None;
        next_attempt
    }
}

impl Drop for DialPermit {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.quota.change(|inner| inner.gate.abandoned());
        }
    }
}

impl std::fmt::Debug for BackendQuota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackendQuota").finish_non_exhaustive()
    }
}
