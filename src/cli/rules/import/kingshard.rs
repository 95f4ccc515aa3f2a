//! kingshard's rules, and Gaea's, which grew out of them.

use std::collections::BTreeMap;

use crate::cli::rules::import::draft::{Draft, Layout};
use crate::cli::rules::import::names::bracketed;
use crate::cli::rules::import::yaml::{find, list, plain, scalar, word};
use crate::config::document::Node;
use crate::sharding::{Date, Every};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Product {
    Kingshard,
    Gaea,
}

/// A rule of the other product.
#[derive(Debug)]
struct Rule<'n> {
    table: &'n str,
    kind: &'n str,
    node: &'n Node,
}

/// Each slot's shard, and the table that is there.
type Slots = Vec<(String, String)>;

pub(super) fn translate(product: Product, text: &str, database: Option<&str>) -> Result<Draft, String> {
    let root = Node::parse(text).map_err(|error| error.message)?;
    let schemas: Vec<&Node> = list(&root, "schema_list").iter().chain(find(&root, "schema")).collect();
    let nodes: Vec<&Node> = match product {
        Product::Kingshard => schemas.iter().flat_map(|schema| list(schema, "shard")).collect(),
        Product::Gaea => list(&root, "shard_rules").iter().collect(),
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
    let (name, default) = match product {
        Product::Kingshard => ("kingshard", schemas.iter().find_map(|schema| word(schema, "default"))),
        Product::Gaea => ("Gaea", word(&root, "default_slice")),
    };
    let physical = find(&root, "default_phy_dbs").and_then(|names| word(names, database)).unwrap_or(database);
    let mut draft = Draft::new(name, database);
    if let Some(default) = default {
        draft.unlisted(default, physical);
    }
    let mut known = BTreeMap::new();
    let (linked, own): (Vec<_>, Vec<_>) = rules.iter().partition(|rule| rule.kind == "linked");
    for rule in own.into_iter().chain(linked) {
        if let Err(why) = add(&mut draft, product, rule, (physical, &mut known)) {
            draft.leave_out(rule.table, &why);
        }
    }
    Ok(draft)
}

fn one_database<'n>(nodes: &[&'n Node]) -> Result<&'n str, String> {
    let mut names: Vec<&str> = nodes.iter().filter_map(|node| word(node, "db")).collect();
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [only] => Ok(only),
        [] => Err("no sharding rules".to_owned()),
        several => Err(format!("several databases; choose one with --database: {}", several.join(", "))),
    }
}

fn add(
    draft: &mut Draft,
    product: Product,
    rule: &Rule<'_>,
    (database, known): (&str, &mut BTreeMap<String, Slots>),
) -> Result<(), String> {
    let table = rule.table;
    if rule.kind == "global" {
        draft.reference(table);
        return Ok(());
    }
    let column = word(rule.node, "key").ok_or("has no key")?;
    if rule.kind == "linked" {
        let parent = word(rule.node, "parent_table").ok_or("has no parent_table")?;
        let slots = known.get(parent).ok_or_else(|| format!("`{parent}` is not translated"))?;
        // A sub-table is called as the table it is linked to, but for the name.
        let own = |(shard, from): &(String, String)| {
            let from = match from.rsplit_once('.') {
                Some((place, sub)) if sub.starts_with(parent) => {
                    format!("{place}.{table}{}", &sub[parent.len()..])
                }
                Some((place, _)) => format!("{place}.{table}"),
                None => from.clone(),
            };
            (shard.clone(), from)
        };
        let slots: Slots = slots.iter().map(own).collect();
        draft.beside(table, parent, &slots, column);
        return Ok(());
    }
    let every = [("date_year", Every::Year), ("date_month", Every::Month), ("date_day", Every::Day)];
    if let Some((_, every)) = every.iter().find(|(kind, _)| *kind == rule.kind) {
        return dates(draft, rule, column, (*every, database));
    }
    let slots = slots(rule, database)?;
    let algorithm = function(product, rule, slots.len())?;
    let layout =
        Layout { table, column, key_type: "bigint", algorithm, slots: slots.clone(), periods: Vec::new() };
    draft.placed(&layout);
    known.insert(table.to_owned(), slots);
    Ok(())
}

/// The placement's algorithm, with KEY where the name of the key stands.
fn function(product: Product, rule: &Rule<'_>, count: usize) -> Result<String, String> {
    let legacy = |name: &str, parameters: &str| {
        format!("legacy: {{function: {name}, key: KEY, parameters: {{{parameters}}}}}")
    };
    let counted = |name: &str| Ok(legacy(name, &format!("count: {count}")));
    let text = |key: &str| scalar(rule.node, key).ok_or_else(|| format!("has no {key}"));
    match (product, rule.kind) {
        (Product::Kingshard, "hash") => counted("kingshard/hash"),
        (Product::Gaea, "hash") => counted("gaea/hash"),
        (Product::Gaea, "mod") => counted("gaea/mod"),
        (Product::Gaea, "mycat_mod") => counted("mycat/mod"),
        (_, "range") => {
            let limit: i128 =
                text("table_row_limit")?.parse().map_err(|_| "table_row_limit is no number".to_owned())?;
            let span = |slot: usize| {
                let (from, below) = (slot as i128 * limit, (slot as i128 + 1) * limit);
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
            parameters.push_str(&format!(", hashSlice: \"{}\"", text("hash_slice")?));
            Ok(legacy("mycat/string", &parameters))
        }
        (Product::Gaea, "mycat_murmur") => {
            let seed = text("seed")?;
            let points = scalar(rule.node, "virtual_bucket_times").unwrap_or_else(|| "160".to_owned());
            let parameters = format!("count: {count}, seed: \"{seed}\", virtualBucketTimes: \"{points}\"");
            Ok(legacy("mycat/murmur", &parameters))
        }
        (_, kind) => Err(format!("there is no translation of type `{kind}`")),
    }
}

/// `locations` says how many sub-tables each of `nodes` (or `slices`) has. The rules of MyCat that Gaea has know
/// databases in place of sub-tables.
fn slots(rule: &Rule<'_>, database: &str) -> Result<Slots, String> {
    let nodes = nodes(rule.node);
    let locations: Vec<Option<usize>> = list(rule.node, "locations")
        .iter()
        .map(|location| plain(location).and_then(|count| count.parse().ok()))
        .collect();
    if nodes.is_empty() || nodes.len() != locations.len() {
        return Err("nodes and locations do not belong together".to_owned());
    }
    let databases: Vec<String> =
        list(rule.node, "databases").iter().filter_map(plain).flat_map(|name| bracketed(&name)).collect();
    let mut slots = Vec::new();
    for (node, count) in nodes.iter().zip(locations) {
        let count = count.filter(|count| (1..=65_536).contains(count));
        for _ in 0..count.ok_or("locations are no numbers")? {
            let number = slots.len();
            let from = match databases.get(number) {
                Some(own) => format!("{own}.{}", rule.table),
                None => format!("{database}.{}_{number:04}", rule.table),
            };
            slots.push((node.clone(), from));
        }
    }
    Ok(slots)
}

fn nodes(node: &Node) -> Vec<String> {
    let nodes = list(node, "nodes").iter().chain(list(node, "slices"));
    nodes.filter_map(plain).collect()
}

/// Sub-tables by date: each node has periods, as `201603-201605` or `201609`.
fn dates(
    draft: &mut Draft,
    rule: &Rule<'_>,
    column: &str,
    (every, database): (Every, &str),
) -> Result<(), String> {
    let (nodes, ranges) = (nodes(rule.node), list(rule.node, "date_range"));
    if nodes.is_empty() || nodes.len() != ranges.len() {
        return Err("nodes and date_range do not belong together".to_owned());
    }
    let mut periods: BTreeMap<i64, String> = BTreeMap::new();
    for (node, range) in nodes.iter().zip(ranges) {
        let range = plain(range).unwrap_or_default();
        let (first, last) = range.split_once('-').unwrap_or((&range, &range));
        let number = |text: &str| period(every, text).ok_or_else(|| format!("`{text}` is no date"));
        for period in number(first)?..=number(last)? {
            if periods.insert(period, node.clone()).is_some() || periods.len() > 65_536 {
                return Err("date_range names a period twice, or too many".to_owned());
            }
        }
    }
    let first = *periods.keys().next().ok_or("has no date_range")?;
    let last = first + periods.len() as i64 - 1;
    if !periods.contains_key(&last) {
        return Err("date_range has a hole, which no interval has".to_owned());
    }
    let names: Vec<String> = periods.keys().map(|period| name(every, *period)).collect();
    let slots: Slots = periods
        .values()
        .zip(&names)
        .map(|(node, name)| (node.clone(), format!("{database}.{}_{}", rule.table, name.replace('-', ""))))
        .collect();
    for ((shard, from), name) in slots.iter().zip(&names) {
        let database = draft.database_of(rule.table, name);
        draft.rename(shard, from, database, rule.table);
    }
    let every = Every::ALL.iter().find(|(_, known)| *known == every).map_or("", |(name, _)| name);
    let algorithm = format!(
        "interval: KEY\n    every: {every}\n    from: \"{}\"\n    until: \"{}\"",
        name_of(names.first()),
        name_of(names.last())
    );
    let layout = Layout { table: rule.table, column, key_type: "datetime", algorithm, slots, periods: names };
    draft.placed(&layout);
    Ok(())
}

fn name_of(name: Option<&String>) -> &str {
    name.map_or("", String::as_str)
}

/// The number of the period that `2016`, `201603` or `20160306` names.
fn period(every: Every, text: &str) -> Option<i64> {
    let digits = text.trim();
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<u32>().ok();
    let date = match (every, digits.len()) {
        (Every::Year, 4) => Date::new(part(0, 4)? as i32, 1, 1),
        (Every::Month, 6) => Date::new(part(0, 4)? as i32, part(4, 6)?, 1),
        (Every::Day, 8) => Date::new(part(0, 4)? as i32, part(4, 6)?, part(6, 8)?),
        _ => None,
    };
    date.map(|date| every.period(date))
}

/// A period as rule files write it.
fn name(every: Every, period: i64) -> String {
    let Date { year, month, day } = every.first_day(period);
    match every {
        Every::Year => format!("{year:04}"),
        Every::Month => format!("{year:04}-{month:02}"),
        Every::Day | Every::Week => format!("{year:04}-{month:02}-{day:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(product: Product, text: &str, lines: &[&str], left_out: &[&str]) -> Vec<String> {
        let translation = translate(product, text, None).and_then(Draft::finish);
        let translation = translation.unwrap_or_else(|why| panic!("{why}"));
        for line in lines {
            assert!(translation.yaml.lines().any(|own| own == *line), "{line}\n{}", translation.yaml);
        }
        assert_eq!(translation.left_out, left_out);
        translation.statements()
    }

    #[test]
    fn kingshards_rules_become_ours_with_tests_that_hold() {
        let text = "
schema_list:
- user: root
  default: node1
  shard:
  - {db: shop, table: orders, key: id, nodes: [node1, node2], type: hash, locations: [4, 4]}
  - {db: shop, table: bills, key: id, nodes: [node1, node2], type: range, locations: [1, 1], table_row_limit: 10000}
  - {db: shop, table: logs, key: day, nodes: [node1, node2], type: date_month, date_range: ['201603-201605', '201606']}
  - {db: shop, table: gaps, key: day, nodes: [node1], type: date_day, date_range: ['20160301', '20160303']}
  - {db: shop, table: holes, key: day, nodes: [node1, node2], type: date_year, date_range: ['2014', '2016']}
  - {db: shop, table: own, key: id, nodes: [node1], type: custom, locations: [4]}
";
        let renames = check(
            Product::Kingshard,
            text,
            &[
                "defaults: {unlisted_tables: {shard: node1, database: shop}}",
                "    legacy: {function: kingshard/hash, key: orders_key, parameters: {count: 8}}",
                "    slots: {node1: 0-3, node2: 4-7}",
                "    ranges: {0: {from: 0, below: 10000}, 1: {from: 10000, below: 20000}}",
                "    slots: {node1: [\"2016-03\", \"2016-04\", \"2016-05\"], node2: \"2016-06\"}",
                "  - {table: orders, rows: {id: 1001}, slots: [by_orders/1]}",
                "  - {table: bills, rows: {id: 10086}, slots: [by_bills/1]}",
                "  - {table: bills, rows: {id: 123456789}, slots: none}",
                "  - {table: logs, rows: {day: \"2016-03-04\"}, slots: [by_logs/201603]}",
            ],
            &[
                "shop.gaps: nodes and date_range do not belong together",
                "shop.holes: date_range has a hole, which no interval has",
                "shop.own: there is no translation of type `custom`",
            ],
        );
        for statement in [
            "RENAME TABLE shop.orders_0003 TO `shop_orders_0003`.`orders`;",
            "CREATE DATABASE IF NOT EXISTS `shop_logs_201606`;",
            "RENAME TABLE shop.logs_201606 TO `shop_logs_201606`.`logs`;",
        ] {
            assert!(renames.iter().any(|own| own == statement), "{statement}\n{renames:?}");
        }
    }

    #[test]
    fn a_namespace_of_gaea_becomes_ours() {
        let text = r#"{"name": "ns", "default_phy_dbs": {"d": "d_real"}, "shard_rules": [
            {"db": "d", "table": "b", "type": "linked", "parent_table": "a", "key": "a_id"},
            {"db": "d", "table": "a", "type": "mod", "key": "id", "locations": [2, 2], "slices": ["slice-0", "slice-1"]},
            {"db": "d", "table": "c", "type": "mycat_long", "key": "id", "locations": [2, 2], "slices": ["slice-0", "slice-1"],
             "databases": ["d_[0-3]"], "partition_count": "4", "partition_length": "256"},
            {"db": "d", "table": "g", "type": "global", "locations": [1, 1], "slices": ["slice-0", "slice-1"]}]}"#;
        let renames = check(
            Product::Gaea,
            text,
            &[
                "    legacy: {function: gaea/mod, key: a_key, parameters: {count: 4}}",
                "  b: {with: a, columns: {a_id: a_key}}",
                "  g: {reference: true}",
                "  - {table: b, rows: {a_id: 10086}, slots: [by_a/2]}",
                // Its lowest ten bits are 870, in the last of four segments of 256.
                "  - {table: c, rows: {id: 10086}, slots: [by_c/3]}",
            ],
            &[],
        );
        for statement in
            ["RENAME TABLE d_real.b_0003 TO `d_a_0003`.`b`;", "RENAME TABLE d_2.c TO `d_c_0002`.`c`;"]
        {
            assert!(renames.iter().any(|own| own == statement), "{statement}\n{renames:?}");
        }
    }
}
