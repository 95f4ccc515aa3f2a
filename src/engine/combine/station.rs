//! The trains of one worker that can be boarded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::backend::ServerLease;
use crate::backend::pool::{Profile, UserSlot};
use crate::engine::combine::train::Train;

/// What statements on one connection must have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The address of the pool, which the train's own session keeps alive.
    pub(crate) pool: usize,
    /// Whose limits count.
    pub(crate) user: UserSlot,
    /// What the connection negotiated.
    pub(crate) profile: Profile,
    /// What the sessions look like.
    pub(crate) image: u128,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Station {
    /// One entry for each first statement that waits for its connection or for the end of its turn: a few.
    /// Only this worker's sessions use it, for the length of a look: never contended.
    boarding: Mutex<Vec<(Line, Arc<Train<ServerLease>>)>>,
    under_way: AtomicU32,
}

impl Station {
    /// The train on `line` that can be boarded.
    pub(crate) fn find(&self, line: &Line) -> Option<Arc<Train<ServerLease>>> {
        let boarding = self.boarding.lock();
        boarding.iter().rev().find(|(other, _)| other == line).map(|(_, train)| Arc::clone(train))
    }

    /// A statement waits for its reply, until the guard is dropped.
    pub(crate) fn depart(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self)
    }

    /// Statements of this worker that wait for their replies now.
    pub(crate) fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Opens a train on `line`, until the guard is dropped.
    pub(crate) fn open(&self, line: Line) -> Boarding<'_> {
        let train = Train::new();
        self.boarding.lock().push((line, Arc::clone(&train)));
        Boarding { station: self, train }
    }
}

/// A statement that waits for its reply.
#[derive(Debug)]
pub(crate) struct UnderWay<'a>(&'a Station);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A train that can be boarded. Dropped before it left, it sends all on board alone.
#[derive(Debug)]
pub(crate) struct Boarding<'a> {
    station: &'a Station,
    train: Arc<Train<ServerLease>>,
}

impl Boarding<'_> {
    /// The train.
    pub(crate) const fn train(&self) -> &Arc<Train<ServerLease>> {
        &self.train
    }

    /// It leaves: nobody finds it any more.
    pub(crate) fn leave(&self) -> (Option<ServerLease>, Vec<u8>) {
        self.withdraw();
        self.train.close_doors()
    }

    fn withdraw(&self) {
        self.station.boarding.lock().retain(|(_, train)| !Arc::ptr_eq(train, &self.train));
    }
}

impl Drop for Boarding<'_> {
    fn drop(&mut self) {
        self.withdraw();
        self.train.cancel();
    }
}
