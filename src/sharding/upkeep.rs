//! What interval placements ask of the servers as time goes by: databases of periods that come, and those of
//! periods that are no longer kept. Pure: whoever knows the servers says what is there.

use crate::sharding::placement::{Algorithm, PlacementId};
use crate::sharding::rules::{ShardId, ShardingRules, TableKind};
use crate::sharding::slots::SlotId;

/// A period that is no longer kept: nobody asks its database any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Its label: `by_month/202401`.
    pub label: Box<str>,
    /// The database.
    pub database: Box<str>,
    /// Where it can be.
    pub shards: Vec<ShardId>,
}

/// What the servers have.
pub trait Present {
    /// Whether the shard has the database.
    fn database(&self, shard: ShardId, database: &str) -> bool;
    /// Whether the slot has the table.
    fn table(&self, slot: SlotId, table: &str) -> bool;
}

/// Something to be done on one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Where.
    pub shard: ShardId,
    /// What for: the label of a slot.
    pub label: Box<str>,
    /// What.
    pub kind: TaskKind,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// The database of a slot is not there.
    MakeDatabase(Box<str>),
    /// A table of a slot is not there: made like that of an earlier period.
    MakeTable {
        /// Its database.
        database: Box<str>,
        /// Its name.
        table: Box<str>,
        /// The database of the earlier period; None if no earlier one on this shard has the table.
        like: Option<Box<str>>,
    },
    /// A reference table is not whole in a slot: its rows are to be copied while nobody writes to it.
    CopyReference {
        /// The slot's database.
        database: Box<str>,
        /// The table.
        table: Box<str>,
    },
    /// A period is no longer kept.
    DropDatabase(Box<str>),
}

impl ShardingRules {
    /// Periods that are no longer kept, the first one first.
    #[must_use]
    pub fn retired(&self) -> &[Retired] {
        &self.retired
    }

    /// What is to be done so that every period has its tables and no other database is left behind.
    #[must_use]
    pub fn upkeep(&self, present: &dyn Present) -> Vec<Task> {
        let mut tasks = Vec::new();
        for (number, placement) in self.placements().iter().enumerate() {
            let last = placement.steps().last().map(|step| &step.algorithm);
            if !matches!(last, Some(Algorithm::Interval(_))) {
                continue;
            }
            for slot in placement.all().iter() {
                self.missing(PlacementId(number as u16), slot, present, &mut tasks);
            }
        }
        for retired in &self.retired {
            for shard in retired.shards.iter().filter(|shard| present.database(**shard, &retired.database)) {
                let kind = TaskKind::DropDatabase(retired.database.clone());
                tasks.push(Task { shard: *shard, label: retired.label.clone(), kind });
            }
        }
        tasks
    }

    fn missing(&self, placement: PlacementId, id: SlotId, present: &dyn Present, tasks: &mut Vec<Task>) {
        let slot = self.slot(id);
        let mut task = |kind| tasks.push(Task { shard: slot.shard, label: slot.label.clone(), kind });
        if !present.database(slot.shard, &slot.database) {
            task(TaskKind::MakeDatabase(slot.database.clone()));
        }
        for table in self.tables() {
            let (database, name) = (slot.database.clone(), table.name.clone());
            match &table.kind {
                TableKind::Placed(placed) if placed.placement == placement => {
                    if !present.table(id, &table.name) {
                        let like = self.like(placement, id, &table.name, present);
                        task(TaskKind::MakeTable { database, table: name, like });
                    }
                }
                TableKind::Reference { .. } if !present.table(id, &table.name) => {
                    task(TaskKind::CopyReference { database, table: name });
                }
                TableKind::Placed(_) | TableKind::Reference { .. } | TableKind::Single(_) => {}
            }
        }
    }

    /// The database of the last earlier period on the same shard that has the table.
    fn like(
        &self,
        placement: PlacementId,
        id: SlotId,
        table: &str,
        present: &dyn Present,
    ) -> Option<Box<str>> {
        let shard = self.slot(id).shard;
        let earlier = self.placement(placement).all().iter().take_while(|other| *other < id);
        let having = earlier.filter(|other| self.slot(*other).shard == shard && present.table(*other, table));
        having.last().map(|other| self.slot(other).database.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sharding::key::Date;

    const RULES: &str = "
api: dazzle/v1
name: shop
revision: 1
keys: {created: date}
placements:
  by_month: {interval: created, every: month, from: 2024-01, ahead: 2, keep: 3, slots: {s1: all}}
tables: {orders: {placement: by_month}, cities: {reference: true}}
tests: [{table: orders, slots: all}]
";

    /// A server whose databases and tables are these.
    struct Server<'s>(&'s ShardingRules, &'s [&'s str]);

    impl Present for Server<'_> {
        fn database(&self, _: ShardId, database: &str) -> bool {
            self.1.iter().any(|known| known.split('.').next() == Some(database))
        }

        fn table(&self, slot: SlotId, table: &str) -> bool {
            let name = format!("{}.{table}", self.0.slot(slot).database);
            self.1.contains(&name.as_str())
        }
    }

    #[test]
    fn periods_that_come_are_made_and_those_no_longer_kept_are_named() {
        let today = Date { year: 2024, month: 6, day: 15 };
        let rules = ShardingRules::parse(RULES, Path::new("shop.yaml"), today)
            .unwrap_or_else(|error| panic!("{error}"));
        let labels: Vec<&str> = rules.slots().iter().map(|slot| &*slot.label).collect();
        assert_eq!(
            labels,
            ["by_month/202404", "by_month/202405", "by_month/202406", "by_month/202407", "by_month/202408"]
        );
        let retired: Vec<&str> = rules.retired().iter().map(|retired| &*retired.database).collect();
        assert_eq!(retired, ["shop_202401", "shop_202402", "shop_202403"]);
        let present = [
            "shop_202402.orders",
            "shop_202404.orders",
            "shop_202404.cities",
            "shop_202405.orders",
            "shop_202405.cities",
            "shop_202406.cities",
            "shop_202407.orders",
            "shop_202407.cities",
        ];
        let tasks = rules.upkeep(&Server(&rules, &present));
        let kinds: Vec<TaskKind> = tasks.into_iter().map(|task| task.kind).collect();
        let made = |database: &str, like: &str| TaskKind::MakeTable {
            database: database.into(),
            table: "orders".into(),
            like: Some(like.into()),
        };
        assert_eq!(
            kinds,
            [
                made("shop_202406", "shop_202405"),
                TaskKind::MakeDatabase("shop_202408".into()),
                made("shop_202408", "shop_202407"),
                TaskKind::CopyReference { database: "shop_202408".into(), table: "cities".into() },
                TaskKind::DropDatabase("shop_202402".into()),
            ]
        );
    }
}
