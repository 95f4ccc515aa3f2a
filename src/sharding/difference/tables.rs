//! Changes of tables and of what is allowed.

use std::collections::BTreeSet;

use crate::sharding::difference::{Changes, Weight, place};
use crate::sharding::rules::{KeyColumn, PlacedTable, ShardingRules, TableKind, Unlisted};
use crate::sharding::sequence::SequenceId;

impl Changes<'_> {
    pub(super) fn tables(&mut self) {
        let (old, new) = (self.old, self.new);
        for table in old.tables() {
            let Some(id) = new.table_named(&table.name) else {
                self.relisted(&table.name, &table.kind, (old, new), "no longer listed");
                continue;
            };
            match (&table.kind, &new.table(id).kind) {
                (TableKind::Placed(before), TableKind::Placed(after)) => {
                    self.placed(&table.name, before, after);
                }
                (TableKind::Reference { .. }, TableKind::Reference { .. }) => {}
                (TableKind::Single(before), TableKind::Single(after)) => {
                    if old.slot(*before).label != new.slot(*after).label {
                        self.add(Weight::Rekey, &table.name, "in another database");
                    }
                }
                (TableKind::Placed(_) | TableKind::Reference { .. } | TableKind::Single(_), _) => {
                    self.add(Weight::Rekey, &table.name, "of another kind");
                }
            }
        }
        for table in new.tables().iter().filter(|table| old.table_named(&table.name).is_none()) {
            self.relisted(&table.name, &table.kind, (new, old), "newly listed");
        }
    }

    /// A table that only one of two revisions lists: the other one may know it as an unlisted one.
    fn relisted(
        &mut self,
        name: &str,
        kind: &TableKind,
        (lists, other): (&ShardingRules, &ShardingRules),
        what: &str,
    ) {
        let Unlisted::In(home) = other.policies().unlisted_tables else {
            return self.add(Weight::Policy, name, what);
        };
        let stays = matches!(kind, TableKind::Single(slot) if place(lists, *slot) == place(other, home));
        if stays {
            return self.add(Weight::Safe, name, what);
        }
        let text = format!("{what}, and unlisted tables are in {}", other.slot(home).label);
        self.add(Weight::Rekey, name, text);
    }

    fn placed(&mut self, name: &str, before: &PlacedTable, after: &PlacedTable) {
        let (old, new) = (self.old, self.new);
        let placement =
            |rules: &ShardingRules, table: &PlacedTable| rules.placement(table.placement).name().to_owned();
        let (one, other) = (placement(old, before), placement(new, after));
        if one != other {
            self.add(Weight::Rekey, name, format!("placed by {one} → {other}"));
        }
        self.columns(name, before, after);
        if before.writes != after.writes || before.unique != after.unique {
            self.add(Weight::Policy, name, "other writes or unique keys are allowed");
        }
        let family =
            |rules: &ShardingRules, table: &PlacedTable| rules.table(table.family).name.to_lowercase();
        if family(old, before) != family(new, after) {
            self.add(Weight::Policy, name, "beside another table");
        }
        let copied = |rules: &ShardingRules, table: &PlacedTable| {
            table.copy_of.map(|original| rules.table(original).name.to_lowercase())
        };
        if copied(old, before) != copied(new, after) {
            self.add(Weight::Policy, name, "a copy of another table");
        }
        let generated = |rules: &ShardingRules, table: &PlacedTable| -> BTreeSet<(String, String)> {
            let pair = |(column, sequence): &(Box<str>, SequenceId)| {
                (column.to_lowercase(), rules.sequences()[usize::from(sequence.0)].name.to_string())
            };
            table.generate.iter().map(pair).collect()
        };
        if generated(old, before) != generated(new, after) {
            self.add(Weight::Policy, name, "other columns get generated values");
        }
    }

    /// A column that no longer carries a key only widens the search. One that newly does narrows it, which is true
    /// only if the rows that are there lie where it leads.
    fn columns(&mut self, name: &str, before: &PlacedTable, after: &PlacedTable) {
        let carried = |rules: &ShardingRules, table: &PlacedTable| -> BTreeSet<(String, String)> {
            let pair =
                |column: &KeyColumn| (column.column.to_lowercase(), rules.key(column.key).name.to_string());
            table.columns.iter().map(pair).collect()
        };
        let (one, other) = (carried(self.old, before), carried(self.new, after));
        let told = |(column, key): &(String, String)| format!("`{column}` as `{key}`");
        let gone: Vec<_> = one.difference(&other).collect();
        let come: Vec<_> = other.difference(&one).collect();
        let same_key = |(_, key): &&&(String, String)| come.iter().any(|(_, other)| other == key);
        if let Some(exchanged) = gone.iter().find(same_key) {
            let text = format!("another column in place of {}", told(exchanged));
            return self.add(Weight::Rekey, name, text);
        }
        for column in gone {
            self.add(Weight::Policy, name, format!("no longer looks at {}", told(column)));
        }
        for column in come {
            let text = format!("looks at {}: rows that are there must lie where it leads", told(column));
            self.add(Weight::Move, name, text);
        }
    }

    pub(super) fn policies(&mut self) {
        let (old, new) = (self.old.policies(), self.new.policies());
        let (one, other) = (&old.scatter_read, &new.scatter_read);
        let mut limit = |name: &str, before: String, after: String| {
            if before != after {
                self.add(Weight::Policy, "defaults", format!("scatter_read.{name} {before} → {after}"));
            }
        };
        limit("slots_max", one.slots_max.to_string(), other.slots_max.to_string());
        limit("rows_max", one.rows_max.to_string(), other.rows_max.to_string());
        limit("timeout", format!("{:?}", one.timeout), format!("{:?}", other.timeout));
        if old.scatter_write != new.scatter_write {
            self.add(Weight::Policy, "defaults", "scatter_write is decided otherwise");
        }
        if old.cross_shard_transactions != new.cross_shard_transactions {
            self.add(Weight::Policy, "defaults", "cross_shard_transactions are decided otherwise");
        }
        match (old.unlisted_tables, new.unlisted_tables) {
            (Unlisted::In(before), Unlisted::In(after))
                if place(self.old, before) != place(self.new, after) =>
            {
                let label = &self.new.slot(after).label;
                self.add(Weight::Move, "unlisted_tables", format!("in {label}: they must be there"));
            }
            (Unlisted::Reject, Unlisted::Reject) | (Unlisted::In(_), Unlisted::In(_)) => {}
            (Unlisted::Reject, Unlisted::In(_)) => {
                self.add(Weight::Policy, "defaults", "unlisted_tables are answered");
            }
            (Unlisted::In(_), Unlisted::Reject) => {
                self.add(Weight::Policy, "defaults", "unlisted_tables are refused");
            }
        }
    }
}
