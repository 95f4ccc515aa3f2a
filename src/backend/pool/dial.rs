//! Opening and closing connections: the tasks that do it, each of which gives back what it counts for even
//! when it is dropped halfway.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::backend::pool::Pool;
use crate::backend::pool::effects::{CloseOrder, DialOrder, Effects};
use crate::backend::pool::entry::{CloseReason, Entry};
use crate::backend::pool::error::{ConnectFailure, FailureKind};
use crate::backend::pool::quota::QuotaSlot;
use crate::backend::pool::state::State;
use crate::backend::pool::want::{Connect, Pooled};
use crate::telemetry::task;

/// For the goodbye to a server. One that does not answer within it counts the connection a little longer
/// than we do.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

impl<C: Connect> Pool<C> {
    /// Does what was decided under the lock.
    pub(super) fn run(self: &Arc<Self>, effects: Effects<C::Conn>) {
        let Effects { waker, more_wakers, dials, closes, make_room } = effects;
        waker.into_iter().chain(more_wakers).for_each(std::task::Waker::wake);
        for CloseOrder { entry, runtime } in closes {
            let Entry { conn, slot, .. } = *entry;
            let closing = Closing { pool: Arc::clone(self), slot: Some(slot) };
            let Some(runtime) = runtime.or_else(|| Handle::try_current().ok()) else {
                drop(conn);
                continue;
            };
            let _entered = runtime.enter();
            task::spawn("pool.close", closing.run(conn));
        }
        for order in dials {
            let runtime = order.runtime.clone().or_else(|| Handle::try_current().ok());
            let dial = Dial { pool: Arc::clone(self), order: Some(order) };
            let Some(runtime) = runtime else { continue };
            let _entered = runtime.enter();
            task::spawn("pool.dial", dial.run());
        }
        if make_room {
            self.quota.make_room();
        }
    }
}

/// A connection on its way out: counted until it is gone.
struct Closing<C: Connect> {
    pool: Arc<Pool<C>>,
    slot: Option<QuotaSlot>,
}

impl<C: Connect> Closing<C> {
    async fn run(self, conn: C::Conn) {
        // Late is no different from never: it is dropped either way.
        let _ = timeout(GOODBYE_TIMEOUT, conn.close()).await;
        drop(self);
    }
}

impl<C: Connect> Drop for Closing<C> {
    fn drop(&mut self) {
        let slot = self.slot.take();
        self.pool.with(|state, fx| {
            state.closing -= 1;
            drop(slot);
            let now = Instant::now();
            state.settle(now, fx);
        });
        self.pool.quota.poke();
    }
}

/// A connection on its way in: counted, with a permit, until it is there or has failed.
struct Dial<C: Connect> {
    pool: Arc<Pool<C>>,
    order: Option<DialOrder>,
}

impl<C: Connect> Dial<C> {
    async fn run(mut self) {
        let next_attempt = match self.connect().await {
            Some(Ok(conn)) => return self.arrived(conn),
            Some(Err(failure)) => self.failed(failure),
            None => return,
        };
        let pool = Arc::downgrade(&self.pool);
        drop(self);
        sleep_until(next_attempt).await;
        if let Some(pool) = pool.upgrade() {
            pool.with(|state, fx| state.settle(Instant::now(), fx));
            pool.quota.poke();
        }
    }

    /// None: the pool drains.
    async fn connect(&self) -> Option<Result<C::Conn, ConnectFailure>> {
        let (pool, order) = (&self.pool, self.order.as_ref()?);
        let mut stop = pin!(pool.stop.notified());
        stop.as_mut().enable();
        let limit = pool.connect_timeout()?;
        tokio::select! {
            connected = timeout(limit, pool.connector.connect(order.profile, order.worker)) => {
                Some(match connected {
                    Ok(connected) => connected.map_err(Into::into),
                    Err(_) => Err(ConnectFailure::unreachable("connecting took too long")),
                })
            }
            () = stop => None,
        }
    }

    fn arrived(&mut self, conn: C::Conn) {
        let Some(order) = self.order.take() else { return };
        debug_assert!(
            conn.profile() == order.profile && conn.home() == order.worker,
            "the connector does as told"
        );
        self.pool.with(|state, fx| state.dialled(conn, order, Instant::now(), fx));
        self.pool.quota.poke();
    }

    /// Says when the next attempt may be made.
    fn failed(&mut self, failure: ConnectFailure) -> Instant {
        let now = Instant::now();
        let Some(order) = self.order.take() else { return now };
        let next_attempt = self.pool.with(|state, fx| state.dial_failed(failure, order, now, fx));
        self.pool.quota.poke();
        next_attempt
    }
}

impl<C: Connect> Drop for Dial<C> {
    /// Cut short: the pool drains, the runtime ends, or the connector panicked. It counts as a failure,
    /// so that what goes wrong at once is not tried again at once.
    fn drop(&mut self) {
        if self.order.is_some() {
            self.failed(ConnectFailure::unreachable("connecting was cut short"));
        }
    }
}

impl<T: Pooled> State<T> {
    fn dial_ended(&mut self, order: &DialOrder) {
        self.dialling[order.profile.index()] -= 1;
        self.dials -= 1;
    }

    fn dialled(&mut self, conn: T, order: DialOrder, now: Instant, fx: &mut Effects<T>) {
        self.dial_ended(&order);
        self.gate.succeeded();
        self.totals.created += 1;
        let expires = self.expiry(now);
        let slot = order.permit.connected();
        let entry = Box::new(Entry { conn, slot, expires, generation: order.generation, fresh: true });
        let retired = self.draining || entry.generation != self.generation;
        if retired {
            self.begin_close(entry, CloseReason::Retired, fx);
        } else if self.total() - self.closing >= self.capacity() {
            self.begin_close(entry, CloseReason::Resize, fx);
        } else {
            self.offer(entry, true, fx);
        }
        self.settle(now, fx);
        self.warm(now, fx);
    }

    fn dial_failed(
        &mut self,
        failure: ConnectFailure,
        order: DialOrder,
        now: Instant,
        fx: &mut Effects<T>,
    ) -> Instant {
        self.dial_ended(&order);
        self.totals.connect_failures += 1;
        let kind = failure.kind;
        let failure = Arc::new(failure);
        let next_attempt = if self.draining {
            self.gate.abandoned();
            drop(order);
            now
        } else if kind == FailureKind::Unreachable {
            self.gate.abandoned();
            order.permit.failed(failure, now)
        } else {
            let (next_attempt, began) =
                self.gate.failed(order.epoch, now, &mut self.rng, Arc::clone(&failure));
            order.permit.refused();
            if began {
                tracing::warn!(error = %failure, "the backend does not let this identity in, connecting backs off");
            }
            next_attempt
        };
        self.settle(now, fx);
        next_attempt
    }
}
