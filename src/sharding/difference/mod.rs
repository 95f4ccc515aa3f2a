//! What a new revision changes, in the words of the rules, and what each change means for rows that are there.

mod sequences;
mod tables;
mod values;

use std::collections::BTreeMap;
use std::fmt;

use crate::sharding::difference::values::moved;
use crate::sharding::key::{KeyType, TextKind};
use crate::sharding::placement::{Algorithm, Gene, Placement, Step};
use crate::sharding::rules::ShardingRules;
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
    /// Something will be looked for in another place, and must be there before: the rows of a slot, the
    /// numbers of a sequence. Whoever has brought it there says so.
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
        changes.sequences();
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
                // Where its values lead now is told of its placement.
                self.add(Weight::Move, &slot.label, "gone: rows that are in it would no longer be found");
                continue;
            };
            let (before, after) = (place(old, SlotId(index as u16)), place(new, now));
            if before != after {
                let text = format!("{}.{} → {}.{}", before.0, before.1, after.0, after.1);
                self.add(Weight::Move, &slot.label, text);
            }
        }
        let added = new.slots.iter().filter(|slot| old.slot_named(&slot.label).is_none());
        for slot in added.map(|slot| slot.label.clone()).collect::<Vec<_>>() {
            self.add(
                Weight::Safe,
                &slot,
                "new slot: make its tables, and copies of the reference tables, first",
            );
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
                if !holds(&other_key.key_type, &one_key.key_type, &one.algorithm) {
                    return self.add(Weight::Rekey, before.name(), text);
                }
                self.add(Weight::Safe, before.name(), format!("{text}, which holds every value it held"));
            }
            self.genes((before, one), (after, other));
        }
        let (moved, all) = moved((self.old, before), (self.new, after));
        if moved > 0 {
            let share = moved as f64 * 100.0 / all.max(1) as f64;
            let text = format!("{share:.1} % of its values would lead to another slot");
            self.add(Weight::Rekey, before.name(), text);
        }
    }

    /// Ids that are no longer read only widen the search. Those that newly are must tell the truth of the rows that
    /// are there.
    fn genes(&mut self, (before, one): (&Placement, &Step), (after, other): (&Placement, &Step)) {
        let name = before.name();
        let (before, after) = (genes(self.old, before, one), genes(self.new, after, other));
        for (key, bits) in &before {
            match after.get(key) {
                Some(now) if now == bits => {}
                Some(_) => self.add(Weight::Rekey, name, format!("other bits of `{key}` are read")),
                None => self.add(Weight::Policy, name, format!("the bits of `{key}` are no longer read")),
            }
        }
        for key in after.keys().filter(|key| !before.contains_key(*key)) {
            let text = format!("the bits of `{key}` are read: rows that are there must lie where they lead");
            self.add(Weight::Move, &format!("{name}.also_from"), text);
        }
    }
}

/// The ids that a step reads, each with its bits and where every number in them leads.
fn genes(rules: &ShardingRules, placement: &Placement, step: &Step) -> BTreeMap<String, String> {
    let leads = |outcome: u32| {
        // The number of a group stands for it, whatever place it has in the list.
        let mut outcomes = vec![0; placement.steps().len()];
        outcomes[0] = outcome;
        rules.slot(placement.cell(&outcomes)).label.clone()
    };
    let gene = |gene: &Gene| {
        let numbers = gene.numbers.iter().flatten();
        let numbers: BTreeMap<u64, Box<str>> =
            numbers.map(|(number, outcome)| (*number, leads(*outcome))).collect();
        let bits = format!("{}+{} {numbers:?}", gene.field.offset, gene.field.length);
        (rules.key(gene.key).name.to_string(), bits)
    };
    step.also_from.iter().map(gene).collect()
}

/// The database of a slot: its cluster and its name there.
fn place(rules: &ShardingRules, slot: SlotId) -> (Box<str>, Box<str>) {
    (rules.shard_of(slot).cluster.clone(), rules.slot(slot).database.clone())
}

/// Whether a key of type `new` holds every value that one of type `old` could hold, and the algorithm sees the
/// same value in it.
fn holds(new: &KeyType, old: &KeyType, algorithm: &Algorithm) -> bool {
    match (new, old) {
        // A function of Java may see another class of number.
        (KeyType::Integer(new), KeyType::Integer(old)) => {
            !matches!(algorithm, Algorithm::Legacy(_)) && new.min() <= old.min() && old.max() <= new.max()
        }
        (
            KeyType::Text { kind, length, collation },
            KeyType::Text { kind: old_kind, length: old_length, collation: old_collation },
        ) => {
            // BINARY is filled up to its length.
            let filled = matches!(kind, TextKind::Binary);
            kind == old_kind && collation == old_collation && length >= old_length && !filled
        }
        (KeyType::Integer(_) | KeyType::Text { .. } | KeyType::Date | KeyType::DateTime { .. }, _) => false,
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
                "safe    by_user/4: new slot: make its tables, and copies of the reference tables, first",
                "safe    by_user/5: new slot: make its tables, and copies of the reference tables, first",
                "safe    by_user/6: new slot: make its tables, and copies of the reference tables, first",
                "safe    by_user/7: new slot: make its tables, and copies of the reference tables, first",
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
        check(
            &[("until: 2025", "until: 2026")],
            &["safe    by_day/2026: new slot: make its tables, and copies of the reference tables, first"],
        );
        check(
            &[("from: 2024", "from: 2025")],
            &["move    by_day/2024: gone: rows that are in it would no longer be found"],
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
    #[test]
    fn a_key_may_become_wider_but_not_another() {
        check(
            &[("user_id: bigint,", "user_id: int,")],
            &["re-key  by_user: `user_id`: bigint → int", "re-key  by_range: `user_id`: bigint → int"],
        );
        check(
            &[("city: int,", "city: bigint,")],
            &["safe    by_city: `city`: int → bigint, which holds every value it held"],
        );
        check(&[("city: int,", "city: int unsigned,")], &["re-key  by_city: `city`: int → int unsigned"]);
    }

    #[test]
    fn a_column_that_newly_carries_a_key_needs_its_rows_there() {
        let ids = ("user_id: bigint,", "user_id: bigint, id: {type: bigint, bits: {b: 0-13}},");
        let gene = ("{s1: 0-1, s2: 2-3}}", "{s1: 0-1, s2: 2-3}, also_from: {id: {bucket: b}}}");
        check(
            &[
                ids,
                gene,
                ("orders: {placement: by_user}", "orders: {placement: by_user, columns: {user_id: user_id}}"),
            ],
            &[
                "move    by_user.also_from: the bits of `id` are read: rows that are there must lie where they lead",
            ],
        );
        check(
            &[("orders: {placement: by_user}", "orders: {placement: by_user, columns: {buyer: user_id}}")],
            &["re-key  orders: another column in place of `user_id` as `user_id`"],
        );
        check(
            &[(
                "orders: {placement: by_user}",
                "orders: {placement: by_user, columns: {user_id: user_id, payer: user_id}}",
            )],
            &["move    orders: looks at `payer` as `user_id`: rows that are there must lie where it leads"],
        );
    }

    #[test]
    fn a_table_that_was_found_unlisted_is_not_lost_from_sight() {
        let unlisted =
            ("revision: 1", "revision: 1\ndefaults: {unlisted_tables: {shard: s1, database: rest}}");
        let parse = |edits: &[(&str, &str)]| {
            let text = edits.iter().fold(BEFORE.to_owned(), |text, (from, to)| text.replace(from, to));
            ShardingRules::parse(&text, Path::new("shop.yaml"), Date::of_days(20_000))
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let told = |old: &ShardingRules, new: &ShardingRules| -> Vec<String> {
            old.difference(new).iter().map(ToString::to_string).collect()
        };
        let listed = ("  shops:", "  notes: {shard: s1, database: rest}\n  shops:");
        let elsewhere = ("  shops:", "  notes: {shard: s2, database: rest}\n  shops:");
        let before = parse(&[unlisted]);
        assert_eq!(told(&before, &parse(&[unlisted, listed])), ["safe    notes: newly listed"]);
        assert_eq!(
            told(&before, &parse(&[unlisted, elsewhere])),
            [
                "re-key  notes: newly listed, and unlisted tables are in s1.rest",
                "safe    s2.rest: new slot: make its tables, and copies of the reference tables, first"
            ]
        );
        assert_eq!(
            told(&parse(&[unlisted, elsewhere]), &before),
            [
                "re-key  notes: no longer listed, and unlisted tables are in s1.rest",
                "move    s2.rest: gone: rows that are in it would no longer be found"
            ]
        );
        let moved = ("revision: 1", "revision: 1\ndefaults: {unlisted_tables: {shard: s2, database: rest}}");
        assert!(
            told(&before, &parse(&[moved]))
                .contains(&"move    unlisted_tables: in s2.rest: they must be there".to_owned())
        );
    }

    #[test]
    fn numbers_of_a_sequence_never_come_twice() {
        let with =
            |place: &str| format!("sequences: {{ids: {{shard: s1, database: {place}, table: t}}}}\ntables:");
        let parse = |text: &str| {
            ShardingRules::parse(text, Path::new("shop.yaml"), Date::of_days(20_000))
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let before = parse(&BEFORE.replace("tables:", &with("a")));
        let after = parse(&BEFORE.replace("tables:", &with("b")));
        let told: Vec<String> = before.difference(&after).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["move    ids: s1.a.t → s1.b.t: no number may come twice"]);
    }
}
