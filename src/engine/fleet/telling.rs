//! A write that the others are told of before its client is.

use std::sync::Arc;

use crate::cache::Reach;
use crate::engine::fleet::Active;
use crate::wire::StatusFlags;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Telling {
    active: Arc<Active>,
    reach: Reach,
    /// Inside a transaction there is nothing to be told: nobody can read it yet.
    lazy: bool,
    told: bool,
}

impl Telling {
    pub(super) const fn new(active: Arc<Active>, reach: Reach, lazy: bool) -> Self {
        Self { active, reach, lazy, told: false }
    }

    /// A part of the reply is about to go to the client: everything that the server has done by now is told first, or is
    /// left for later if Redis does not answer in time.
    pub(crate) async fn tell(&mut self, status: StatusFlags) {
        let unfinished = self.lazy && status.has(StatusFlags::IN_TRANS);
        self.told = !unfinished && self.active.tell(&self.reach).await;
    }

    /// Whether the others know of all of it.
    pub(crate) const fn is_told(&self) -> bool {
        self.told
    }
}
