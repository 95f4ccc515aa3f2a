//! A slot for each listed table: where what its tables are like is asked.

use crate::sharding::rules::{ShardId, ShardingRules, TableId};
use crate::sharding::slots::SlotId;

/// Slots, each with the tables that it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Homes {
    /// In the order of their first tables; those of one shard follow each other.
    pub slots: Vec<(SlotId, Vec<TableId>)>,
}

impl ShardingRules {
    /// Slots of one shard that have every listed table between them, the shard of `here` before others; None if no
    /// shard has all.
    #[must_use]
    pub fn homes(&self, here: SlotId) -> Option<Homes> {
        let own = self.slot(here).shard;
        let others = (0..self.shards().len() as u16).map(ShardId).filter(|shard| *shard != own);
        std::iter::once(own).chain(others).find_map(|shard| self.homes_among(here, Some(shard)))
    }

    /// The same, of several shards if it must be.
    #[must_use]
    pub fn homes_anywhere(&self, here: SlotId) -> Homes {
        let mut homes = self.homes(here).or_else(|| self.homes_among(here, None)).unwrap_or_default();
        homes.slots.sort_by_key(|(slot, _)| self.slot(*slot).shard);
        homes
    }

    fn homes_among(&self, here: SlotId, shard: Option<ShardId>) -> Option<Homes> {
        let mut slots: Vec<(SlotId, Vec<TableId>)> = Vec::new();
        let fits = |slot: &SlotId| shard.is_none_or(|shard| self.slot(*slot).shard == shard);
        for table in (0..self.tables().len() as u32).map(TableId) {
            let all = self.slots_of(table);
            let near = all.contains(here) && fits(&here);
            let slot = if near { here } else { all.iter().find(fits)? };
            match slots.iter_mut().find(|(known, _)| *known == slot) {
                Some((_, tables)) => tables.push(table),
                None => slots.push((slot, vec![table])),
            }
        }
        (!slots.is_empty()).then_some(Homes { slots })
    }
}
