//! What a new revision changes, in the words of the rules, and what each change means for rows that are there.

use std::collections::BTreeSet;
use std::fmt;

use crate::sharding::key::{KeyValue, Moment};
use crate::sharding::placement::{Algorithm, Gene, Interval, Placement, Step};
use crate::sharding::rules::{KeyColumn, PlacedTable, ShardingRules, TableKind};
use crate::sharding::slots::SlotId;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it means for rows that are there.
    pub weight: Weight,
    /// What changes: `by_user`, `orders`, `defaults`.
    pub subject: String,
    /// From what to what.
    pub text: String,
}

/// What a change means for rows that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Nothing: every row stays where it is found.
    Safe,
    /// What was answered may be refused, or the other way round.
    Policy,
    /// Rows stay in their slot, but the slot goes to another place: it must have been moved before.
    Move,
    /// Rows would be looked for in another slot than the one that they are in.
    Rekey,
}

impl Weight {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Policy => "policy",
            Self::Move => "move",
            Self::Rekey => "re-key",
        }
    }

    /// Whether rows would be lost sight of, if it took effect as it is.
    #[must_use]
    pub const fn strands_rows(self) -> bool {
        matches!(self, Self::Move | Self::Rekey)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7} {}: {}", self.weight.name(), self.subject, self.text)
    }
}

impl ShardingRules {
    /// What `new` changes, the heaviest first.
    #[must_use]
    pub fn difference(&self, new: &Self) -> Vec<Change> {
        let mut changes = Changes { old: self, new, list: Vec::new() };
        changes.slots();
        for placement in &self.placements {
            match new.placements.iter().find(|other| other.name() == placement.name()) {
                Some(other) => changes.placement(placement, other),
                None => changes.add(Weight::Policy, placement.name(), "gone"),
            }
        }
        for placement in &new.placements {
            if !self.placements.iter().any(|other| other.name() == placement.name()) {
                changes.add(Weight::Safe, placement.name(), "new placement");
            }
        }
        changes.tables();
        changes.policies();
        let mut list = changes.list;
        list.sort_by_key(|change| std::cmp::Reverse(change.weight));
        list
    }
}

struct Changes<'r> {
    old: &'r ShardingRules,
    new: &'r ShardingRules,
    list: Vec<Change>,
}

impl Changes<'_> {
    fn add(&mut self, weight: Weight, subject: &str, text: impl Into<String>) {
        self.list.push(Change { weight, subject: subject.to_owned(), text: text.into() });
    }

    /// Slots of the same label that are somewhere else, or no longer there.
    fn slots(&mut self) {
        let (old, new) = (self.old, self.new);
        for (index, slot) in old.slots.iter().enumerate() {
            let Some(now) = new.slot_named(&slot.label) else {
                self.add(Weight::Rekey, &slot.label, "gone: its rows would no longer be found");
                continue;
            };
            let place = |rules: &ShardingRules, id: SlotId| {
                (rules.shard_of(id).cluster.clone(), rules.slot(id).database.clone())
            };
            let (before, after) = (place(old, SlotId(index as u16)), place(new, now));
            if before != after {
                let text = format!("{}.{} → {}.{}", before.0, before.1, after.0, after.1);
                self.add(Weight::Move, &slot.label, text);
            }
        }
        let added = new.slots.iter().filter(|slot| old.slot_named(&slot.label).is_none());
        for slot in added.map(|slot| slot.label.clone()).collect::<Vec<_>>() {
            self.add(Weight::Safe, &slot, "new slot");
        }
    }

    fn placement(&mut self, before: &Placement, after: &Placement) {
        if before.steps().len() != after.steps().len() {
            return self.add(Weight::Rekey, before.name(), "another number of steps");
        }
        for (one, other) in before.steps().iter().zip(after.steps()) {
            let (one_key, other_key) = (self.old.key(one.key), self.new.key(other.key));
            if one_key.name != other_key.name {
                let text = format!("looks at `{}` → `{}`", one_key.name, other_key.name);
                return self.add(Weight::Rekey, before.name(), text);
            }
            if one_key.key_type != other_key.key_type {
                let text = format!("`{}`: {} → {}", one_key.name, one_key.key_type, other_key.key_type);
                return self.add(Weight::Rekey, before.name(), text);
            }
            if !same_genes(self.old, one, self.new, other) {
                self.add(Weight::Rekey, before.name(), "other bits of ids are read");
            }
        }
        let (moved, all) = self.moved(before, after);
        if moved > 0 {
            let share = moved as f64 * 100.0 / all.max(1) as f64;
            let text = format!("{share:.1} % of its values would lead to another slot");
            self.add(Weight::Rekey, before.name(), text);
        }
    }

    /// How many combinations of what the two tell apart lead to a slot of another label than before, of how many
    /// that led to one.
    fn moved(&self, before: &Placement, after: &Placement) -> (usize, usize) {
        let (Some(old_way), Some(new_way)) = (aligned(before, after), aligned(after, before)) else {
            return (1, 1);
        };
        let label = |rules: &ShardingRules, slot: SlotId| rules.slot(slot).label.clone();
        let led = || old_way.iter().zip(&new_way).filter_map(|(old, new)| Some(((*old)?, *new)));
        let moved =
            led().filter(|(old, new)| new.is_none_or(|new| label(self.old, *old) != label(self.new, new)));
        (moved.count(), led().count())
    }

    fn tables(&mut self) {
        let (old, new) = (self.old, self.new);
        for table in old.tables() {
            let Some(id) = new.table_named(&table.name) else {
                self.add(Weight::Policy, &table.name, "no longer listed");
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
            self.add(Weight::Policy, &table.name, "newly listed");
        }
    }

    fn placed(&mut self, name: &str, before: &PlacedTable, after: &PlacedTable) {
        let (old, new) = (self.old, self.new);
        let placement =
            |rules: &ShardingRules, table: &PlacedTable| rules.placement(table.placement).name().to_owned();
        let columns = |rules: &ShardingRules, table: &PlacedTable| -> BTreeSet<(String, String)> {
            let pair =
                |column: &KeyColumn| (column.column.to_lowercase(), rules.key(column.key).name.to_string());
            table.columns.iter().map(pair).collect()
        };
        let (one, other) = (placement(old, before), placement(new, after));
        if one != other {
            self.add(Weight::Rekey, name, format!("placed by {one} → {other}"));
        }
        if columns(old, before) != columns(new, after) {
            self.add(Weight::Rekey, name, "other columns carry keys");
        }
        if before.writes != after.writes || before.unique != after.unique {
            self.add(Weight::Policy, name, "other writes or unique keys are allowed");
        }
    }

    fn policies(&mut self) {
        let (old, new) = (self.old.policies(), self.new.policies());
        let (one, other) = (&old.scatter_read, &new.scatter_read);
        if one.slots_max != other.slots_max {
            let text = format!("scatter_read.slots_max {} → {}", one.slots_max, other.slots_max);
            self.add(Weight::Policy, "defaults", text);
        }
        if one.rows_max != other.rows_max || one.timeout != other.timeout {
            self.add(Weight::Policy, "defaults", "scatter_read has other limits");
        }
        if old.scatter_write != new.scatter_write {
            self.add(Weight::Policy, "defaults", "scatter_write is decided otherwise");
        }
        if old.cross_shard_transactions != new.cross_shard_transactions {
            self.add(Weight::Policy, "defaults", "cross_shard_transactions are decided otherwise");
        }
        if old.unlisted_tables != new.unlisted_tables {
            self.add(Weight::Policy, "defaults", "unlisted_tables go somewhere else");
        }
    }
}

fn same_genes(old: &ShardingRules, one: &Step, new: &ShardingRules, other: &Step) -> bool {
    let genes = |rules: &ShardingRules, step: &Step| -> Vec<(String, u32, u32)> {
        let gene = |gene: &Gene| (rules.key(gene.key).name.to_string(), gene.field.offset, gene.field.length);
        step.also_from.iter().map(gene).collect()
    };
    genes(old, one) == genes(new, other)
}

/// The slot in `placement` of each combination of what `basis` and it tell apart: buckets, listed values, the
/// beginnings of ranges and periods. None if the two cannot be compared.
fn aligned(placement: &Placement, basis: &Placement) -> Option<Vec<Option<SlotId>>> {
    let mut ways: Vec<Vec<Option<u32>>> = Vec::new();
    for (step, other) in placement.steps().iter().zip(basis.steps()) {
        ways.push(outcomes(&step.algorithm, &other.algorithm)?);
    }
    let slot = |outcomes: &[Option<u32>]| {
        let outcomes: Option<Vec<u32>> = outcomes.iter().copied().collect();
        outcomes.map(|outcomes| placement.cell(&outcomes))
    };
    match ways.as_slice() {
        [only] => Some(only.iter().map(|outcome| slot(&[*outcome])).collect()),
        [first, second] => {
            let pairs = first.iter().flat_map(|one| second.iter().map(move |other| [*one, *other]));
            Some(pairs.map(|pair| slot(&pair)).collect())
        }
        _ => None,
    }
}

/// The outcome in `algorithm` of each value that it or `basis` tells apart.
fn outcomes(algorithm: &Algorithm, basis: &Algorithm) -> Option<Vec<Option<u32>>> {
    let of = |values: BTreeSet<KeyValue<'static>>| -> Vec<Option<u32>> {
        values.iter().map(|value| algorithm.outcome(value)).collect()
    };
    match (algorithm, basis) {
        (Algorithm::Hash(one), Algorithm::Hash(other)) => {
            (one == other).then(|| (0..algorithm.outcomes()).map(Some).collect())
        }
        (Algorithm::Legacy(one), Algorithm::Legacy(other)) => {
            (one == other).then(|| (0..algorithm.outcomes()).map(Some).collect())
        }
        (Algorithm::List(one), Algorithm::List(other)) => {
            let listed = one.values().chain(other.values()).map(|(value, _)| value.clone());
            let mut outcomes = of(listed.collect());
            outcomes.push(one.rest());
            Some(outcomes)
        }
        (Algorithm::Range(one), Algorithm::Range(other)) => {
            let bounds = one.spans().iter().chain(other.spans());
            let bounds = bounds.flat_map(|span| span.from.iter().chain(&span.below).cloned());
            let mut outcomes = of(bounds.collect());
            outcomes.push(one.spans().first().filter(|span| span.from.is_none()).map(|span| span.outcome));
            Some(outcomes)
        }
        (Algorithm::Interval(one), Algorithm::Interval(other)) => {
            if one.every() != other.every() {
                return None;
            }
            let days = |interval: &Interval| {
                let interval = *interval;
                (0..interval.count()).map(move |outcome| interval.first_day(outcome).days())
            };
            let moments = days(one).chain(days(other)).map(Moment::of_day);
            Some(of(moments.map(KeyValue::Moment).collect()))
        }
        (
            Algorithm::Hash(_)
            | Algorithm::Legacy(_)
            | Algorithm::List(_)
            | Algorithm::Range(_)
            | Algorithm::Interval(_),
            _,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sharding::key::Date;

    const BEFORE: &str = "
api: dazzle/v1
name: shop
revision: 1
keys: {user_id: bigint, city: int, day: date}
placements:
  by_user: {hash: user_id, slots: {s1: 0-1, s2: 2-3}}
  by_city: {list: city, values: {0: [1, 2], 1: [3]}, slots: {s1: 0, s2: 1}, database: 'city_{slot}'}
  by_range: {range: user_id, ranges: {0: {below: 100}, 1: {}}, slots: {s1: 0, s2: 1}, database: 'range_{slot}'}
  by_day: {interval: day, every: year, from: 2024, until: 2025, slots: {s1: all}}
tables:
  orders: {placement: by_user}
  shops: {placement: by_city}
  cities: {reference: true}
tests: [{table: cities, slots: all}]
";

    fn check(edits: &[(&str, &str)], expected: &[&str]) {
        let parse = |text: &str| {
            let read = ShardingRules::parse(text, Path::new("shop.yaml"), Date::of_days(20_000));
            read.unwrap_or_else(|error| panic!("{error}"))
        };
        let mut after = BEFORE.to_owned();
        for (from, to) in edits {
            assert!(after.contains(from), "{from}");
            after = after.replace(from, to);
        }
        let changes = parse(BEFORE).difference(&parse(&after));
        assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{edits:?}");
    }

    #[test]
    fn each_change_is_weighed_by_what_it_does_to_rows() {
        check(&[], &[]);
        check(&[("revision: 1", "revision: 2")], &[]);
        check(&[("{s1: 0-1, s2: 2-3}", "{s1: [0], s2: 1-3}")], &["move    by_user/1: s1.shop_1 → s2.shop_1"]);
        check(
            &[("{s1: 0-1, s2: 2-3}", "{s1: 0-1, s2: 2-7}")],
            &[
                "re-key  by_user: 87.5 % of its values would lead to another slot",
                "safe    by_user/4: new slot",
                "safe    by_user/5: new slot",
                "safe    by_user/6: new slot",
                "safe    by_user/7: new slot",
            ],
        );
        check(&[("1: [3]", "1: [3, 4]")], &[]);
        check(
            &[("0: [1, 2], 1: [3]", "0: [1], 1: [3, 2]")],
            &["re-key  by_city: 33.3 % of its values would lead to another slot"],
        );
        check(
            &[("below: 100", "below: 200")],
            &["re-key  by_range: 33.3 % of its values would lead to another slot"],
        );
        check(&[("until: 2025", "until: 2026")], &["safe    by_day/2026: new slot"]);
        check(
            &[("from: 2024", "from: 2025")],
            &[
                "re-key  by_day/2024: gone: its rows would no longer be found",
                "re-key  by_day: 50.0 % of its values would lead to another slot",
            ],
        );
        check(
            &[("orders: {placement: by_user}", "orders: {placement: by_range}")],
            &["re-key  orders: placed by by_user → by_range"],
        );
        check(
            &[("user_id: bigint,", "user_id: int,")],
            &["re-key  by_user: `user_id`: bigint → int", "re-key  by_range: `user_id`: bigint → int"],
        );
        check(
            &[
                ("  cities: {reference: true}", "  towns: {reference: true}"),
                ("table: cities", "table: towns"),
            ],
            &["policy  cities: no longer listed", "policy  towns: newly listed"],
        );
    }
}
