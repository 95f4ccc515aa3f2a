//! What is left to do once a pool's lock is released.

use std::task::Waker;

use tokio::runtime::Handle;

use crate::backend::pool::entry::Entry;
use crate::backend::pool::quota::DialPermit;
use crate::backend::pool::want::{Profile, WorkerId};

/// A dial that was decided on: counted already.
pub(super) struct DialOrder {
    pub(super) profile: Profile,
    pub(super) worker: WorkerId,
    /// The runtime of `worker`.
    pub(super) runtime: Option<Handle>,
    pub(super) permit: DialPermit,
    /// What the pool's own gate wants back if it fails.
    pub(super) epoch: u64,
    /// The pool's generation.
    pub(super) generation: u64,
}

/// A close that was decided on: counted already.
pub(super) struct CloseOrder<T> {
    pub(super) entry: Box<Entry<T>>,
    /// The runtime of its home worker.
    pub(super) runtime: Option<Handle>,
}

/// Collected under the lock, done after it: waking, spawning and closing take time and other locks.
pub(super) struct Effects<T> {
    /// The usual case, without allocation.
    pub(super) waker: Option<Waker>,
    pub(super) more_wakers: Vec<Waker>,
    pub(super) dials: Vec<DialOrder>,
    pub(super) closes: Vec<CloseOrder<T>>,
    /// The backend's cap stands in the way, and this pool has nothing to give.
    pub(super) make_room: bool,
}

impl<T> Effects<T> {
    pub(super) fn new() -> Self {
        Self { waker: None, more_wakers: Vec::new(), dials: Vec::new(), closes: Vec::new(), make_room: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waker.is_none()
            && self.more_wakers.is_empty()
            && self.dials.is_empty()
            && self.closes.is_empty()
            && !self.make_room
    }

    pub(super) fn wake(&mut self, waker: Waker) {
        match self.waker {
            None => self.waker = Some(waker),
            Some(_) => self.more_wakers.push(waker),
        }
    }
}
