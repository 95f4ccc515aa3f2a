//! A rule file that is being written.

use std::fmt::Write as _;
use std::path::Path;

use crate::cli::rules::surroundings;
use crate::sharding::{KeyLiteral, KeyType, Located, Match, PlacedTable, ShardingRules, TableKind, read};

/// Values whose slots become tests: small ones, and some that are spread.
const NUMBERS: [i64; 6] = [1, 2, 3, 1_001, 10_086, 123_456_789];
const TEXTS: [&str; 4] = ["a", "abc", "user-10086", "hello, world"];

/// A rule file, and what it does not say.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) yaml: String,
    pub(super) left_out: Vec<String>,
    pub(super) renames: Vec<Rename>,
}

#[cfg(test)]
impl Translation {
    /// All renames.
    pub(super) fn statements(&self) -> Vec<String> {
        self.renames.iter().flat_map(Rename::statements).collect()
    }
}

/// A table that goes to the database of its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rename {
    pub(super) shard: String,
    /// Where it is, as the other product calls it.
    from: String,
    database: String,
    table: String,
}

impl Rename {
    pub(super) fn statements(&self) -> [String; 2] {
        let Self { from, database, table, .. } = self;
        [
            format!("CREATE DATABASE IF NOT EXISTS `{database}`;"),
            format!("RENAME TABLE {from} TO `{database}`.`{table}`;"),
        ]
    }
}

/// See the module's text.
pub(super) struct Draft {
    product: &'static str,
    database: String,
    defaults: String,
    keys: String,
    placements: String,
    tables: String,
    left_out: Vec<String>,
    renames: Vec<Rename>,
}

/// A table that is spread.
pub(super) struct Layout<'l> {
    pub(super) table: &'l str,
    pub(super) column: &'l str,
    /// The SQL type of the column, as far as it is known.
    pub(super) key_type: &'l str,
    /// The placement's algorithm, with KEY where the name of the key stands.
    pub(super) algorithm: String,
    /// Each slot's shard, and the table that is there now.
    pub(super) slots: Vec<(String, String)>,
    /// What the slots are called in the rules, if not by number: first and last period of each.
    pub(super) periods: Vec<String>,
}

impl Draft {
    pub(super) fn new(product: &'static str, database: &str) -> Self {
        Self {
            product,
            database: database.to_owned(),
            defaults: String::new(),
            keys: String::new(),
            placements: String::new(),
            tables: String::new(),
            left_out: Vec::new(),
            renames: Vec::new(),
        }
    }

    pub(super) fn leave_out(&mut self, what: &str, why: &str) {
        self.left_out.push(format!("{}.{what}: {why}", self.database));
    }

    /// Tables that nobody lists are there.
    pub(super) fn unlisted(&mut self, shard: &str, database: &str) {
        self.defaults = format!(
            "defaults: {{unlisted_tables: {{shard: {}, database: {}}}}}\n",
            quoted(shard),
            quoted(database)
        );
    }

    pub(super) fn reference(&mut self, table: &str) {
        let _ = writeln!(self.tables, "  {}: {{reference: true}}", quoted(table));
    }

    pub(super) fn single(&mut self, table: &str, shard: &str, database: &str) {
        let (table, shard, database) = (quoted(table), quoted(shard), quoted(database));
        let _ = writeln!(self.tables, "  {table}: {{shard: {shard}, database: {database}}}");
    }

    /// A table whose rows lie beside those of another one.
    pub(super) fn with(&mut self, table: &str, parent: &str, column: &str) {
        let (key, table) = (quoted(&format!("{parent}_key")), quoted(table));
        let _ = writeln!(
            self.tables,
            "  {table}: {{with: {}, columns: {{{}: {key}}}}}",
            quoted(parent),
            quoted(column)
        );
    }

    /// A table whose sub-tables go into the slots of another one.
    pub(super) fn beside(&mut self, table: &str, parent: &str, slots: &[(String, String)], column: &str) {
        self.with(table, parent, column);
        let prefix = format!("{}_{parent}", self.database);
        for (number, (shard, from)) in slots.iter().enumerate() {
            let database = format!("{prefix}_{number:04}");
            self.rename(shard, from, database, table);
        }
    }

    pub(super) fn placed(&mut self, layout: &Layout<'_>) {
        let Layout { table, column, key_type, algorithm, slots, periods } = layout;
        let key = quoted(&format!("{table}_key"));
        let _ = writeln!(self.keys, "  {key}: {key_type}   # check: the type of {table}.{column}");
        let pattern = match periods.first().map(|period| period.split("..").next().unwrap_or_default().len())
        {
            None => "{slot:04}",
            Some(4) => "{yyyy}",
            Some(7) => "{yyyymm}",
            Some(_) => "{yyyymmdd}",
        };
        let _ = writeln!(
            self.placements,
            "  {}:\n    {}\n    slots: {{{}}}\n    database: \"{{name}}_{table}_{pattern}\"",
            quoted(&format!("by_{table}")),
            algorithm.replace("KEY", &key),
            by_shard(slots, periods),
        );
        let _ = writeln!(
            self.tables,
            "  {}: {{placement: {}, columns: {{{}: {key}}}}}",
            quoted(table),
            quoted(&format!("by_{table}")),
            quoted(column)
        );
        if periods.is_empty() {
            for (number, (shard, from)) in slots.iter().enumerate() {
                let database = format!("{}_{table}_{number:04}", self.database);
                self.rename(shard, from, database, table);
            }
        }
    }

    /// A table that goes to another database.
    pub(super) fn rename(&mut self, shard: &str, from: &str, database: String, table: &str) {
        self.renames.push(Rename {
            shard: shard.to_owned(),
            from: from.to_owned(),
            database,
            table: table.to_owned(),
        });
    }

    /// The database of the slot of a period.
    pub(super) fn database_of(&self, table: &str, period: &str) -> String {
        format!("{}_{table}_{}", self.database, period.replace('-', ""))
    }

    /// The file, read once to see that it is right, and with tests that say where some values are now.
    pub(super) fn finish(mut self) -> Result<Translation, String> {
        let head = format!(
            "# Translated from {}. A slot is a database: `dazzle rules import … --renames` has the statements that bring\n\
             # each table to its own, which moves no row.\n\
             api: dazzle/v1\nname: {}\nrevision: 1\n{}\nkeys:\n{}\nplacements:\n{}\ntables:\n{}\ntests:\n",
            self.product,
            quoted(&self.database),
            self.defaults,
            or_none(&self.keys),
            or_none(&self.placements),
            or_none(&self.tables),
        );
        if self.tables.is_empty() {
            return Err(format!("nothing of it can be translated:\n{}", self.left_out.join("\n")));
        }
        let table = self.tables.trim_start().split(": {").next().unwrap_or_default().to_owned();
        let draft = format!("{head}  - {{table: {table}, slots: all}}\n");
        let rules = read(&draft, Path::new("translated.yaml"), &surroundings())
            .rules
            .map_err(|error| format!("{error}\n{draft}"))?;
        self.renames.sort_by(|one, other| one.shard.cmp(&other.shard));
        Ok(Translation {
            yaml: format!("{head}{}", tests(&rules)),
            left_out: self.left_out,
            renames: self.renames,
        })
    }
}

/// Tests that say where sample values are now, so that a later change of the file is noticed.
fn tests(rules: &ShardingRules) -> String {
    let mut tests = String::new();
    for table in rules.tables() {
        match &table.kind {
            TableKind::Placed(placed) => samples(rules, &table.name, placed, &mut tests),
            TableKind::Reference { .. } | TableKind::Single(_) => {
                let _ = writeln!(tests, "  - {{table: {}, slots: all}}", quoted(&table.name));
            }
        }
    }
    tests
}

fn samples(rules: &ShardingRules, table: &str, placed: &PlacedTable, tests: &mut String) {
    let Some(column) = placed.columns.first() else { return };
    let key_type = &rules.key(column.key).key_type;
    let numbers = NUMBERS.map(|number| (KeyLiteral::Integer(number.into()), number.to_string()));
    let texts = |texts: &[&'static str]| -> Vec<(KeyLiteral<'static>, String)> {
        texts.iter().map(|text| (KeyLiteral::Text(text.as_bytes()), format!("{text:?}"))).collect()
    };
    let samples = match key_type {
        KeyType::Integer(_) => numbers.to_vec(),
        KeyType::Text { .. } => texts(&TEXTS),
        KeyType::Date | KeyType::DateTime { .. } => texts(&["2016-03-04", "2016-12-31", "2024-02-29"]),
    };
    for (literal, written) in samples {
        let Match::Exactly(value) = key_type.equal_to(&literal) else { continue };
        let slots = match rules.placement(placed.placement).locate(column.key, &value) {
            Located::One(slot) => format!("[{}]", rules.slot(slot).label),
            Located::Nowhere => "none".to_owned(),
            Located::Among(_) => continue,
        };
        let (table, column) = (quoted(table), quoted(&column.column));
        let _ = writeln!(tests, "  - {{table: {table}, rows: {{{column}: {written}}}, slots: {slots}}}");
    }
}

/// `node1: 0-3, node2: [4, 6-7]`, or periods.
fn by_shard(slots: &[(String, String)], periods: &[String]) -> String {
    let mut shards: Vec<(&str, Vec<String>)> = Vec::new();
    let mut number = 0;
    while number < slots.len() {
        let shard = slots[number].0.as_str();
        let mut last = number;
        while periods.is_empty() && slots.get(last + 1).is_some_and(|(next, _)| next == shard) {
            last += 1;
        }
        let item = match periods.get(number) {
            Some(period) => format!("\"{period}\""),
            None if last == number => number.to_string(),
            None => format!("{number}-{last}"),
        };
        match shards.iter_mut().find(|(known, _)| *known == shard) {
            Some((_, items)) => items.push(item),
            None => shards.push((shard, vec![item])),
        }
        number = last + 1;
    }
    let written = shards.iter().map(|(shard, items)| match items.as_slice() {
        [only] => format!("{}: {only}", quoted(shard)),
        several => format!("{}: [{}]", quoted(shard), several.join(", ")),
    });
    written.collect::<Vec<_>>().join(", ")
}

/// A name that YAML reads as it is, or in quotes.
pub(super) fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let bare = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(plain);
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if bare && !word.contains(&name.to_lowercase().as_str()) { name.to_owned() } else { format!("{name:?}") }
}

fn or_none(section: &str) -> &str {
    if section.is_empty() { "  {}\n" } else { section }
}
