//! `dazzle rules import`: the rules of kingshard and Gaea in our words.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::cli::rules::{output, surroundings};
use crate::config::document::{Node, Value};
use crate::sharding::{KeyLiteral, Located, Match, ShardingRules, TableKind, read};

/// Values whose slots become tests: small ones, and some that are spread.
const SAMPLES: [i64; 6] = [1, 2, 3, 1_001, 10_086, 123_456_789];

/// Translate the sharding rules of another proxy, with its hash functions bit by bit
///
/// Prints a rule file. What it cannot know (types of keys) is marked with `check`; what it cannot translate is told
/// on standard error, and it ends with 1.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// kingshard's ks.yaml
    #[arg(long, value_name = "FILE", required_unless_present = "gaea", conflicts_with = "gaea")]
    kingshard: Option<PathBuf>,

    /// A namespace of Gaea, as JSON
    #[arg(long, value_name = "FILE")]
    gaea: Option<PathBuf>,

    /// The logical database, if the file has several
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
}

pub(super) fn run(arguments: &Import) -> ExitCode {
    let (product, file) = match (&arguments.kingshard, &arguments.gaea) {
        (Some(file), _) => (Product::Kingshard, file),
        (None, Some(file)) => (Product::Gaea, file),
        (None, None) => return ExitCode::FAILURE,
    };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    };
    match translate(product, &text, arguments.database.as_deref()) {
        Ok(Translation { yaml, left_out }) => {
            output::print(&yaml);
            for line in &left_out {
                eprintln!("{line}");
            }
            if left_out.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("{}: {why}", file.display());
            ExitCode::FAILURE
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Product {
    Kingshard,
    Gaea,
}

#[derive(Debug)]
struct Translation {
    yaml: String,
    left_out: Vec<String>,
}

/// A rule of the other product.
#[derive(Debug)]
struct Rule<'n> {
    table: &'n str,
    kind: &'n str,
    node: &'n Node,
}

fn translate(product: Product, text: &str, database: Option<&str>) -> Result<Translation, String> {
    let root = Node::parse(text).map_err(|error| error.message)?;
    let nodes = match product {
        Product::Kingshard => {
            list(&root, "schema_list").iter().flat_map(|schema| list(schema, "shard")).collect()
        }
        Product::Gaea => list(&root, "shard_rules").iter().collect::<Vec<_>>(),
    };
    let database = match database {
        Some(database) => database,
        None => one_database(&nodes)?,
    };
    let rules: Vec<Rule<'_>> = nodes
        .into_iter()
        .filter(|node| word(node, "db") == Some(database))
        .filter_map(|node| Some(Rule { table: word(node, "table")?, kind: word(node, "type")?, node }))
        .collect();
    if rules.is_empty() {
        return Err(format!("no rules of `{database}`"));
    }
    let mut file = File {
        product,
        keys: String::new(),
        placements: String::new(),
        tables: String::new(),
        left_out: Vec::new(),
    };
    for rule in &rules {
        if let Err(why) = file.add(rule) {
            file.left_out.push(format!("left out: {database}.{}: {why}", rule.table));
        }
    }
    file.finish(database)
}

fn one_database<'n>(nodes: &[&'n Node]) -> Result<&'n str, String> {
    let mut names: Vec<&str> = nodes.iter().filter_map(|node| word(node, "db")).collect();
    names.dedup();
    match names.as_slice() {
        [only] => Ok(only),
        [] => Err("no sharding rules".to_owned()),
        several => Err(format!("several databases; choose one with --database: {}", several.join(", "))),
    }
}

struct File {
    product: Product,
    keys: String,
    placements: String,
    tables: String,
    left_out: Vec<String>,
}

impl File {
    fn add(&mut self, rule: &Rule<'_>) -> Result<(), String> {
        let table = quoted(rule.table);
        match rule.kind {
            "global" => {
                let _ = writeln!(self.tables, "  {table}: {{reference: true}}");
                return Ok(());
            }
            "linked" => {
                let parent = word(rule.node, "parent_table").ok_or("has no parent_table")?;
                let key = word(rule.node, "key").ok_or("has no key")?;
                let name = quoted(&format!("{parent}_key"));
                let _ = writeln!(
                    self.tables,
                    "  {table}: {{with: {}, columns: {{{}: {name}}}}}",
                    quoted(parent),
                    quoted(key)
                );
                return Ok(());
            }
            _ => {}
        }
        let column = word(rule.node, "key").ok_or("has no key")?;
        let slots = slots(rule.node)?;
        let function = self.function(rule, slots.count)?;
        let key = quoted(&format!("{}_key", rule.table));
        let _ = writeln!(self.keys, "  {key}: bigint   # check: the type of {}.{column}", rule.table);
        let _ = writeln!(
            self.placements,
            "  {}:\n    {}\n    slots: {{{}}}\n    database: \"{{name}}_{}_{{slot:04}}\"",
            quoted(&format!("by_{}", rule.table)),
            function.replace("KEY", &key),
            slots.shards,
            rule.table
        );
        let _ = writeln!(
            self.tables,
            "  {table}: {{placement: {}, columns: {{{}: {key}}}}}",
            quoted(&format!("by_{}", rule.table)),
            quoted(column)
        );
        Ok(())
    }

    /// The placement's algorithm, with KEY where the name of the key stands.
    fn function(&self, rule: &Rule<'_>, count: u64) -> Result<String, String> {
        let legacy = |name: &str, parameters: &str| {
            format!("legacy: {{function: {name}, key: KEY, parameters: {{{parameters}}}}}")
        };
        let counted = |name: &str| Ok(legacy(name, &format!("count: {count}")));
        let text = |key: &str| scalar(rule.node, key).ok_or_else(|| format!("has no {key}"));
        match (self.product, rule.kind) {
            (Product::Kingshard, "hash") => counted("kingshard/hash"),
            (Product::Gaea, "hash") => counted("gaea/hash"),
            (Product::Gaea, "mod") => counted("gaea/mod"),
            (Product::Gaea, "mycat_mod") => counted("mycat/mod"),
            (_, "range") => {
                let limit: i128 = text("table_row_limit")?
                    .parse()
                    .map_err(|_| "table_row_limit is no number".to_owned())?;
                let span = |slot: u64| {
                    let (from, below) = (i128::from(slot) * limit, (i128::from(slot) + 1) * limit);
                    format!("{slot}: {{from: {from}, below: {below}}}")
                };
                let spans: Vec<String> = (0..count).map(span).collect();
                Ok(format!("range: KEY\n    ranges: {{{}}}", spans.join(", ")))
            }
            (Product::Gaea, "mycat_long" | "mycat_string") => {
                let mut parameters = format!(
                    "partitionCount: \"{}\", partitionLength: \"{}\"",
                    text("partition_count")?,
                    text("partition_length")?
                );
                if rule.kind == "mycat_long" {
                    return Ok(legacy("mycat/long", &parameters));
                }
                let _ = write!(parameters, ", hashSlice: \"{}\"", text("hash_slice")?);
                Ok(legacy("mycat/string", &parameters))
            }
            (Product::Gaea, "mycat_murmur") => {
                let seed = text("seed")?;
                let points = scalar(rule.node, "virtual_bucket_times").unwrap_or_else(|| "160".to_owned());
                let parameters =
                    format!("count: {count}, seed: \"{seed}\", virtualBucketTimes: \"{points}\"");
                Ok(legacy("mycat/murmur", &parameters))
            }
            (_, kind) => Err(format!("there is no translation of type `{kind}`")),
        }
    }

    fn finish(self, database: &str) -> Result<Translation, String> {
        let product = match self.product {
            Product::Kingshard => "kingshard",
            Product::Gaea => "Gaea",
        };
        let head = format!(
            "# Translated from {product}. Every sub-table becomes a database of its own, which a rename does without moving\n\
             # a row: RENAME TABLE {database}.orders_0003 TO {database}_orders_0003.orders.\n\
             api: dazzle/v1\nname: {}\nrevision: 1\n\nkeys:\n{}\nplacements:\n{}\ntables:\n{}\ntests:\n",
            quoted(database),
            or_none(&self.keys),
            or_none(&self.placements),
            or_none(&self.tables),
        );
        let table = self.tables.trim_start().split(':').next().unwrap_or_default().to_owned();
        let draft = format!("{head}  - {{table: {table}, slots: all}}\n");
        let rules = read(&draft, Path::new("translated.yaml"), &surroundings())
            .rules
            .map_err(|error| error.to_string())?;
        Ok(Translation { yaml: format!("{head}{}", tests(&rules)), left_out: self.left_out })
    }
}

/// Tests that say where sample values are now, so that a later change of the file is noticed.
fn tests(rules: &ShardingRules) -> String {
    let mut tests = String::new();
    for table in rules.tables() {
        let TableKind::Placed(placed) = &table.kind else {
            let _ = writeln!(tests, "  - {{table: {}, slots: all}}", quoted(&table.name));
            continue;
        };
        let Some(column) = placed.columns.first() else { continue };
        let key_type = &rules.key(column.key).key_type;
        for sample in SAMPLES {
            let Match::Exactly(value) = key_type.equal_to(&KeyLiteral::Integer(sample.into())) else {
                continue;
            };
            let slots = match rules.placement(placed.placement).locate(column.key, &value) {
                Located::One(slot) => format!("[{}]", rules.slot(slot).label),
                Located::Nowhere => "none".to_owned(),
                Located::Among(_) => continue,
            };
            let (table, column) = (quoted(&table.name), quoted(&column.column));
            let _ = writeln!(tests, "  - {{table: {table}, rows: {{{column}: {sample}}}, slots: {slots}}}");
        }
    }
    tests
}

struct Slots {
    count: u64,
    /// `node1: 0-3, node2: 4-7`.
    shards: String,
}

/// `locations` says how many sub-tables each of `nodes` (or `slices`) has.
fn slots(node: &Node) -> Result<Slots, String> {
    let nodes = [list(node, "nodes"), list(node, "slices")].concat();
    let locations = list(node, "locations");
    if nodes.is_empty() || nodes.len() != locations.len() {
        return Err("nodes and locations do not belong together".to_owned());
    }
    let mut next = 0;
    let mut shards = Vec::new();
    for (name, location) in nodes.iter().zip(locations) {
        let (Value::Text(name), Value::Whole(count @ 1..=65_536)) = (&name.value, &location.value) else {
            return Err("nodes and locations do not belong together".to_owned());
        };
        shards.push(format!("{}: {next}-{}", quoted(name), next + count - 1));
        next += count;
    }
    Ok(Slots { count: next, shards: shards.join(", ") })
}

fn find<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    match find(node, key).map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

fn word<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    match find(node, key).map(|node| &node.value) {
        Some(Value::Text(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn scalar(node: &Node, key: &str) -> Option<String> {
    match &find(node, key)?.value {
        Value::Text(text) if !text.is_empty() => Some(text.clone()),
        Value::Whole(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A name that YAML reads as it is, or in quotes.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let bare = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(plain);
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if bare && !word.contains(&name.to_lowercase().as_str()) { name.to_owned() } else { format!("{name:?}") }
}

fn or_none(section: &str) -> &str {
    if section.is_empty() { "  {}\n" } else { section }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kingshards_rules_become_ours_with_tests_that_hold() {
        let text = "
schema_list:
- user: root
  shard:
  - {db: shop, table: orders, key: id, nodes: [node1, node2], type: hash, locations: [4, 4]}
  - {db: shop, table: bills, key: id, nodes: [node1, node2], type: range, locations: [1, 1], table_row_limit: 10000}
  - {db: shop, table: logs, key: day, nodes: [node1], type: date_month, date_range: ['201603-201605']}
";
        let translation = translate(Product::Kingshard, text, None).expect("it is translated");
        assert_eq!(translation.left_out, ["left out: shop.logs: nodes and locations do not belong together"]);
        let yaml = &translation.yaml;
        for line in [
            "    legacy: {function: kingshard/hash, key: orders_key, parameters: {count: 8}}",
            "    slots: {node1: 0-3, node2: 4-7}",
            "    ranges: {0: {from: 0, below: 10000}, 1: {from: 10000, below: 20000}}",
            "  - {table: orders, rows: {id: 1001}, slots: [by_orders/1]}",
            "  - {table: bills, rows: {id: 10086}, slots: [by_bills/1]}",
            "  - {table: bills, rows: {id: 123456789}, slots: none}",
        ] {
            assert!(yaml.lines().any(|own| own == line), "{line}\n{yaml}");
        }
        let read = read(yaml, Path::new("shop.yaml"), &surroundings());
        assert!(
            read.rules.is_ok(),
            "{}",
            read.rules.map(|_| String::new()).unwrap_or_else(|e| e.to_string())
        );
    }

    #[test]
    fn a_namespace_of_gaea_becomes_ours() {
        let text = r#"{"name": "ns", "shard_rules": [
            {"db": "d", "table": "a", "type": "mod", "key": "id", "locations": [2, 2], "slices": ["slice-0", "slice-1"]},
            {"db": "d", "table": "b", "type": "linked", "parent_table": "a", "key": "a_id"},
            {"db": "d", "table": "c", "type": "mycat_long", "key": "id", "locations": [2, 2], "slices": ["slice-0", "slice-1"],
             "partition_count": "4", "partition_length": "256"},
            {"db": "d", "table": "g", "type": "global", "locations": [1, 1], "slices": ["slice-0", "slice-1"]}]}"#;
        let translation = translate(Product::Gaea, text, None).expect("it is translated");
        assert_eq!(translation.left_out, Vec::<String>::new());
        let rules = read(&translation.yaml, Path::new("d.yaml"), &surroundings()).rules;
        let rules = rules.unwrap_or_else(|error| panic!("{error}\n{}", translation.yaml));
        assert_eq!(rules.tables().len(), 4);
        assert!(
            translation.yaml.contains("{table: b, rows: {a_id: 10086}, slots: [by_a/2]}"),
            "{}",
            translation.yaml
        );
    }
}
