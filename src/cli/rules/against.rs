//! `dazzle rules validate --against`: do the servers have what the rules say of them?

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::rules::catalog::{Catalog, Column, read};
use crate::config::ConfigFile;
use crate::sharding::{KeyType, PlacedTable, ShardingRules, SlotId, Table, TableKind, TextKind, Unique};

/// Everything in which the servers of `config` differ from each of `rules`, by its name.
pub(super) fn differences(
    config: &Path,
    rules: &[&ShardingRules],
) -> Result<Vec<(String, Vec<String>)>, String> {
    let config = ConfigFile::new(config).load().map_err(|error| error.to_string())?;
    let of = |rules: &&ShardingRules| {
        let catalog = read(&config, rules).map_err(|why| format!("{}: {why}", rules.name()))?;
        Ok((rules.name().to_owned(), compare(rules, &catalog)))
    };
    rules.iter().map(of).collect()
}

/// Everything in which the servers differ from the rules.
fn compare(rules: &ShardingRules, catalog: &Catalog) -> Vec<String> {
    let mut found = Vec::new();
    for table in rules.tables() {
        absent(rules, table, catalog, &mut found);
        drift(rules, table, catalog, &mut found);
        let TableKind::Placed(placed) = &table.kind else { continue };
        for slot in rules.placement(placed.placement).all().iter() {
            let here = Here { rules, table, placed, slot };
            here.columns(catalog, &mut found);
            here.unique_keys(catalog, &mut found);
            here.counted(catalog, &mut found);
        }
    }
    // What is wrong in every slot is told once.
    let mut told = BTreeSet::new();
    found.retain(|line| told.insert(line.split(" (in ").next().unwrap_or(line).to_owned()));
    found
}

/// A table that a slot does not have.
fn absent(rules: &ShardingRules, table: &Table, catalog: &Catalog, found: &mut Vec<String>) {
    let Some(id) = rules.table_named(&table.name) else { return };
    for slot in rules.slots_of(id).iter().filter(|slot| !catalog.has(*slot, &table.name)) {
        let place = rules.slot(slot);
        found.push(format!(
            "`{}` does not exist (in {}, database {})",
            table.name, place.label, place.database
        ));
    }
}

/// A table that is not the same in every slot: its rows would not be merged as those of one.
fn drift(rules: &ShardingRules, table: &Table, catalog: &Catalog, found: &mut Vec<String>) {
    let Some(id) = rules.table_named(&table.name) else { return };
    let slots: Vec<SlotId> =
        rules.slots_of(id).iter().filter(|slot| catalog.has(*slot, &table.name)).collect();
    let Some((first, others)) = slots.split_first() else { return };
    let shown = |column: Option<&Column>| match column {
        None => "is missing".to_owned(),
        Some(column) => {
            let collation = column.collation.as_ref().map_or(String::new(), |own| format!(" of {own}"));
            let null = if column.nullable { "" } else { " NOT NULL" };
            format!("is {}{collation}{null}", column.column_type)
        }
    };
    for other in others {
        let columns = catalog.columns(*first, &table.name).chain(catalog.columns(*other, &table.name));
        for (name, _) in columns {
            let one = shown(catalog.column(*first, &table.name, name));
            let two = shown(catalog.column(*other, &table.name, name));
            if one != two {
                let label = |slot: SlotId| &rules.slot(slot).label;
                found.push(format!(
                    "`{}.{name}` {one} in {}, and {two} (in {})",
                    table.name,
                    label(*first),
                    label(*other)
                ));
            }
        }
    }
}

/// One placed table in one slot.
struct Here<'h> {
    rules: &'h ShardingRules,
    table: &'h Table,
    placed: &'h PlacedTable,
    slot: SlotId,
}

impl Here<'_> {
    fn columns(&self, catalog: &Catalog, found: &mut Vec<String>) {
        for carried in &self.placed.columns {
            let key = self.rules.key(carried.key);
            let name = format!("{}.{}", self.table.name, carried.column);
            let place = format!("(in {})", self.rules.slot(self.slot).label);
            let Some(column) = catalog.column(self.slot, &self.table.name, &carried.column) else {
                if catalog.has(self.slot, &self.table.name) && self.needs(&carried.column) {
                    found.push(format!("`{name}` does not exist {place}"));
                }
                continue;
            };
            if let Some(why) = differs(&key.key_type, column) {
                found.push(format!("`{name}` is {why}, the key `{}` is {} {place}", key.name, key.key_type));
            }
            if column.nullable {
                found.push(format!("`{name}` may be NULL, which no key may be {place}"));
            }
        }
    }

    /// Whether a row could not be placed without this column.
    fn needs(&self, column: &str) -> bool {
        let others = self.placed.columns.iter().filter(|other| !other.column.eq_ignore_ascii_case(column));
        let keys: Vec<_> = others.map(|other| other.key).collect();
        !self.rules.placement(self.placed.placement).determined_by(&keys)
    }

    /// Each slot counts an AUTO_INCREMENT by itself, so numbers would come twice.
    fn counted(&self, catalog: &Catalog, found: &mut Vec<String>) {
        if self.placed.unique == Unique::Local {
            return;
        }
        for (name, _) in catalog.columns(self.slot, &self.table.name).filter(|(_, column)| column.counted) {
            if !self.placed.generate.iter().any(|(generated, _)| generated.eq_ignore_ascii_case(name)) {
                found.push(format!(
                    "`{}.{name}` is AUTO_INCREMENT, which each slot counts by itself; let a sequence `generate` it, or \
                     say `unique: local` if clients give its values (in {})",
                    self.table.name,
                    self.rules.slot(self.slot).label
                ));
            }
        }
    }

    /// A UNIQUE key that lacks the placement's key holds in each slot alone.
    fn unique_keys(&self, catalog: &Catalog, found: &mut Vec<String>) {
        if self.placed.unique == Unique::Local {
            return;
        }
        for (name, columns) in catalog.unique_keys(self.slot, &self.table.name) {
            let keys: Vec<_> = columns.iter().filter_map(|column| self.placed.key_of(column)).collect();
            if !self.rules.placement(self.placed.placement).determined_by(&keys) {
                found.push(format!(
                    "the unique key `{name}` of `{}` does not hold what decides the slot, so it is unique in each slot \
                     alone; say `unique: local` if that is enough (in {})",
                    self.table.name,
                    self.rules.slot(self.slot).label
                ));
            }
        }
    }
}

/// What the column is instead, if it is not of the key's type.
fn differs(key: &KeyType, column: &Column) -> Option<String> {
    let kind = column.data_type.as_str();
    let same = match key {
        KeyType::Integer(integer) => {
            let name = match integer.bits {
                8 => "tinyint",
                16 => "smallint",
                24 => "mediumint",
                32 => "int",
                _ => "bigint",
            };
            name == kind && column.unsigned == integer.unsigned
        }
        KeyType::Text { kind: text, length, collation } => {
            let collated = matches!(text, TextKind::Binary | TextKind::VarBinary)
                || column.collation.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(collation.name));
            text.name() == kind && collated && column.length == Some(u64::from(*length))
        }
        KeyType::Date => kind == "date",
        KeyType::DateTime { digits } => {
            kind == "datetime" && column.digits.unwrap_or_default() == u64::from(*digits)
        }
    };
    (!same).then(|| match &column.collation {
        Some(collation) => format!("{} of {collation}", column.column_type),
        None => column.column_type.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sharding::Date;

    const RULES: &str = "
api: dazzle/v1
name: shop
revision: 1
keys: {user_id: bigint unsigned, email: {type: varchar(80), collation: utf8mb4_bin}}
placements:
  by_user: {hash: user_id, slots: {s1: 0-1}}
  by_email: {hash: email, slots: {s1: 0}, database: mails}
tables:
  users: {placement: by_user, columns: {id: user_id}}
  mails: {placement: by_email}
  cities: {reference: true}
tests:
  - {table: users, slots: all}
";

    fn column(column_type: &str, collation: Option<&str>) -> Column {
        let data_type = column_type.split(['(', ' ']).next().unwrap_or_default().to_owned();
        let length = column_type.split(['(', ')']).nth(1).and_then(|length| length.parse().ok());
        Column {
            unsigned: column_type.ends_with("unsigned"),
            data_type,
            column_type: column_type.to_owned(),
            collation: collation.map(str::to_owned),
            length,
            digits: None,
            nullable: false,
            counted: false,
        }
    }

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        for slot in 0..3 {
            catalog.add_table(SlotId(slot), "cities");
        }
        for slot in 0..2 {
            catalog.add_column(SlotId(slot), "users", "id", column("bigint unsigned", None));
            catalog.add_unique(SlotId(slot), "users", "PRIMARY", "id");
        }
        catalog.add_column(SlotId(2), "mails", "email", column("varchar(80)", Some("utf8mb4_bin")));
        catalog
    }

    fn check(change: impl Fn(&mut Catalog), expected: &[&str]) {
        let today = Date::of_days(20_000);
        let rules =
            ShardingRules::parse(RULES, Path::new("shop.yaml"), today).unwrap_or_else(|e| panic!("{e}"));
        let mut catalog = catalog();
        change(&mut catalog);
        assert_eq!(compare(&rules, &catalog), expected);
    }

    #[test]
    fn what_the_servers_have_otherwise_is_told_once() {
        check(|_| (), &[]);
        check(
            |catalog| {
                for slot in 0..2 {
                    catalog.add_column(SlotId(slot), "users", "id", column("bigint", None));
                    catalog.add_unique(SlotId(slot), "users", "email", "email");
                }
            },
            &[
                "`users.id` is bigint, the key `user_id` is bigint unsigned (in by_user/0)",
                "the unique key `email` of `users` does not hold what decides the slot, so it is unique in each slot \
                 alone; say `unique: local` if that is enough (in by_user/0)",
            ],
        );
        check(
            |catalog| {
                let mut wrong = column("varchar(80)", Some("utf8mb4_general_ci"));
                wrong.nullable = true;
                catalog.add_column(SlotId(2), "mails", "email", wrong);
            },
            &[
                "`mails.email` is varchar(80) of utf8mb4_general_ci, the key `email` is varchar(80) (in by_email/0)",
                "`mails.email` may be NULL, which no key may be (in by_email/0)",
            ],
        );
        check(
            |catalog| {
                let mut counted = column("bigint unsigned", None);
                counted.counted = true;
                for slot in 0..2 {
                    catalog.add_column(SlotId(slot), "users", "id", counted.clone());
                }
                catalog.add_column(SlotId(0), "users", "name", column("varchar(20)", Some("utf8mb4_bin")));
                catalog.add_column(SlotId(1), "users", "name", column("varchar(30)", Some("utf8mb4_bin")));
                catalog.add_column(SlotId(1), "cities", "id", column("int", None));
            },
            &[
                "`users.name` is varchar(20) of utf8mb4_bin NOT NULL in by_user/0, and is varchar(30) of utf8mb4_bin NOT \
                 NULL (in by_user/1)",
                "`users.id` is AUTO_INCREMENT, which each slot counts by itself; let a sequence `generate` it, or say \
                 `unique: local` if clients give its values (in by_user/0)",
                "`cities.id` is missing in by_user/0, and is int NOT NULL (in by_user/1)",
            ],
        );
        check(
            |catalog| *catalog = Catalog::default(),
            &[
                "`users` does not exist (in by_user/0, database shop_0)",
                "`mails` does not exist (in by_email/0, database mails)",
                "`cities` does not exist (in by_user/0, database shop_0)",
            ],
        );
    }
}
