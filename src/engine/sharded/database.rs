//! A logical database of one snapshot: its rules, and how a user reaches its shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use crate::backend::{Backend, ServerPool};
use crate::engine::sharded::numbers::Numbers;
use crate::engine::sharded::renaming::Renaming;
use crate::merge::Collations;
use crate::sharding::{ShardId, ShardingRules, SlotId};

/// See the module's text.
#[derive(Debug)]
pub struct LogicalDatabase {
    /// No other one of this process has it.
    pub(crate) id: u64,
    /// Its rules.
    pub rules: Arc<ShardingRules>,
    /// By slot.
    renamings: Vec<Arc<Renaming>>,
    /// How its servers compare texts; measured by the first statement that needs it.
    pub(crate) collations: ArcSwapOption<Collations>,
    /// Numbers of its sequences that this process may hand out.
    pub(crate) numbers: Numbers,
}

/// How one user reaches one shard.
#[derive(Clone, Debug)]
pub struct ShardPool {
    /// Where its statements go.
    pub pool: Arc<ServerPool>,
    /// The server behind that pool.
    pub backend: Arc<Backend>,
}

impl LogicalDatabase {
    pub(crate) fn new(rules: Arc<ShardingRules>) -> Self {
        let renaming = |physical: &str| Renaming {
            physical: physical.as_bytes().into(),
            logical: rules.name().as_bytes().into(),
        };
        let renamings = rules.slots().iter().map(|slot| Arc::new(renaming(&slot.database))).collect();
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let numbers = Numbers::new(&rules);
        Self { id, rules, renamings, collations: ArcSwapOption::empty(), numbers }
    }

    /// What a slot is called on its server, and for clients.
    #[must_use]
    pub(crate) fn renaming(&self, slot: SlotId) -> &Arc<Renaming> {
        &self.renamings[slot.index()]
    }

    /// The shard that a slot lies on.
    #[must_use]
    pub(crate) fn shard(&self, slot: SlotId) -> ShardId {
        self.rules.slot(slot).shard
    }
}
