//! A connection in somebody's hands, and the way there.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::backend::pool::Pool;
use crate::backend::pool::entry::{CloseReason, Entry};
use crate::backend::pool::error::PoolError;
use crate::backend::pool::queue::Phase;
use crate::backend::pool::want::{Connect, Pooled, UserSlot, Want};

/// The sole use of one server connection. Dropped, it gives the connection back if another session may have
/// it, and closes it otherwise.
pub struct Lease<C: Connect> {
    pool: Arc<Pool<C>>,
    /// None only while it is dropped.
    entry: Option<Box<Entry<C::Conn>>>,
    user: UserSlot,
    waited: Duration,
    fresh: bool,
    crowded: bool,
}

impl<C: Connect> Lease<C> {
    fn new(pool: &Arc<Pool<C>>, mut entry: Box<Entry<C::Conn>>, user: UserSlot, waited: Duration) -> Self {
        let fresh = std::mem::replace(&mut entry.fresh, false);
        Self { pool: Arc::clone(pool), entry: Some(entry), user, waited, fresh, crowded: false }
    }

    /// How long it took in the queue.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Whether nobody had the connection before.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether it was idle although so many others are in use that statements should share one.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// The pool it goes back to.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool<C>> {
        &self.pool
    }

    /// Closes the connection, whatever state it is in.
    pub fn close(mut self) {
        self.end(Some(CloseReason::Holder));
    }

    fn end(&mut self, reason: Option<CloseReason>) {
        if let Some(entry) = self.entry.take() {
            let reason = reason.or_else(|| (!entry.conn.is_reusable()).then_some(CloseReason::NotReusable));
            self.pool.with(|state, fx| state.give_back(entry, self.user, reason, fx));
        }
    }
}

impl<C: Connect> fmt::Debug for Lease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("waited", &self.waited)
            .field("fresh", &self.fresh)
            .finish_non_exhaustive()
    }
}

impl<C: Connect> Deref for Lease<C> {
    type Target = C::Conn;

    fn deref(&self) -> &C::Conn {
        &self.entry.as_ref().expect("the connection is there until the lease ends").conn
    }
}

impl<C: Connect> DerefMut for Lease<C> {
    fn deref_mut(&mut self) -> &mut C::Conn {
        &mut self.entry.as_mut().expect("the connection is there until the lease ends").conn
    }
}

impl<C: Connect> Drop for Lease<C> {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl<C: Connect> Pool<C> {
    /// An idle connection, if there is one that nobody in line may have. Does not wait, does not dial.
    pub fn try_lease(self: &Arc<Self>, want: &Want) -> Option<Lease<C>> {
        let (entry, crowded) = self.with(|state, fx| Some((state.take(want, fx)?, state.is_crowded())))?;
        let mut lease = Lease::new(self, entry, want.user, Duration::ZERO);
        lease.crowded = crowded;
        Some(lease)
    }

    /// A connection: idle, handed on, or opened. Waits in line for it until `want.deadline`.
    ///
    /// Cancel-safe: dropped in line it leaves the line, and what was handed to it at that moment goes to the next.
    ///
    /// # Errors
    /// [`PoolError`] says why there was none.
    pub async fn lease(self: &Arc<Self>, want: &Want) -> Result<Lease<C>, PoolError> {
        // One critical section: what comes back between the look and the line must not be missed.
        let first = poll_fn(|cx| {
            Poll::Ready(self.with(|state, fx| match state.take(want, fx) {
                Some(entry) => Ok(Err(entry)),
                None => state.enter(want, cx.waker(), fx).map(Ok),
            }))
        });
        let index = match first.await? {
            Ok(index) => index,
            Err(entry) => return Ok(Lease::new(self, entry, want.user, Duration::ZERO)),
        };
        let mut place = Place { pool: self, index: Some(index) };
        let mut deadline = pin!(sleep_until(want.deadline));
        let (entry, waited) = poll_fn(|cx| match place.poll(cx) {
            Poll::Pending if deadline.as_mut().poll(cx).is_ready() => Poll::Ready(place.expire()),
            polled => polled,
        })
        .await?;
        Ok(Lease::new(self, entry, want.user, waited))
    }
}

/// A place in line. Dropped, it is given up.
struct Place<'a, C: Connect> {
    pool: &'a Arc<Pool<C>>,
    /// None once the outcome was taken.
    index: Option<u32>,
}

/// A connection and how long it took.
type Outcome<C> = Result<(Box<Entry<<C as Connect>::Conn>>, Duration), PoolError>;

impl<C: Connect> Place<'_, C> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<C>> {
        let Some(index) = self.index else { return Poll::Pending };
        let outcome = self.pool.with(|state, _| {
            if let Phase::Waiting(waker) = &mut state.queue.waiter_mut(index).phase {
                waker.clone_from(cx.waker());
                return None;
            }
            Some(state.outcome(index))
        });
        match outcome {
            Some(outcome) => {
                self.index = None;
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }

    /// The deadline passed. What was granted at the same moment is still taken.
    fn expire(&mut self) -> Outcome<C> {
        let Some(index) = self.index.take() else { return Err(PoolError::Timeout) };
        self.pool.with(|state, fx| {
            if matches!(state.queue.waiter(index).phase, Phase::Waiting(_)) {
                state.expire(index, Instant::now(), fx);
            }
            state.outcome(index)
        })
    }
}

impl<C: Connect> Drop for Place<'_, C> {
    fn drop(&mut self) {
        if let Some(index) = self.index.take() {
            self.pool.with(|state, fx| state.abandon(index, Instant::now(), fx));
        }
    }
}
