//! A sharding configuration of ShardingSphere 5: `rules: [!SHARDING …, !BROADCAST …]`.

use std::collections::BTreeMap;

use crate::cli::rules::import::draft::{Draft, Layout};
use crate::cli::rules::import::quotient::{Named, Quotient, together};
use crate::cli::rules::import::yaml::{entries, find, list, plain, scalar, word};
use crate::config::document::Node;

/// Names that an inline expression stands for at most.
const NAMES_MAX: usize = 65_536;

pub(super) fn translate(text: &str, database: &str) -> Result<Draft, String> {
    let root = Node::parse(&untagged(text)).map_err(|error| error.message)?;
    let tagged =
        |tag: &str| list(&root, "rules").iter().filter(move |rule| word(rule, "tag") == Some(tag)).collect();
    let sharding: Vec<&Node> = tagged("SHARDING");
    let [rule] = sharding.as_slice() else {
        return Err("needs `rules` with one `!SHARDING`, as ShardingSphere 5 has".to_owned());
    };
    let broadcast: Vec<&Node> = tagged("BROADCAST");
    let mut sphere = Sphere { rule, draft: Draft::new("ShardingSphere", database), layouts: BTreeMap::new() };
    for table in
        list(rule, "broadcastTables").iter().chain(broadcast.iter().flat_map(|rule| list(rule, "tables")))
    {
        if let Some(table) = plain(table) {
            sphere.draft.reference(&table);
        }
    }
    for (table, node) in entries(rule, "tables") {
        let layout = sphere.table(table, node);
        sphere.keep(table, node, layout);
    }
    for (table, node) in entries(rule, "autoTables") {
        let layout = sphere.auto(table, node);
        sphere.keep(table, node, layout);
    }
    sphere.write();
    Ok(sphere.draft)
}

struct Sphere<'s> {
    rule: &'s Node,
    draft: Draft,
    layouts: BTreeMap<String, Owned>,
}

struct Owned {
    column: String,
    key_type: &'static str,
    algorithm: String,
    slots: Vec<(String, String)>,
}

impl Sphere<'_> {
    fn keep(&mut self, table: &str, node: &Node, layout: Result<Owned, String>) {
        match layout {
            Ok(layout) => {
                self.layouts.insert(table.to_owned(), layout);
                if find(node, "keyGenerateStrategy").is_some() {
                    self.draft.leave_out(table, "keyGenerateStrategy: declare a sequence and `generate`");
                }
            }
            Err(why) => self.draft.leave_out(table, &why),
        }
    }

    /// Tables of one binding lie beside each other if they really are spread alike.
    fn write(&mut self) {
        let mut parents: BTreeMap<String, String> = BTreeMap::new();
        for binding in list(self.rule, "bindingTables").iter().filter_map(plain) {
            let tables: Vec<&str> = binding.split(',').map(str::trim).collect();
            let Some((first, others)) = tables.split_first() else { continue };
            for other in others {
                parents.insert((*other).to_owned(), (*first).to_owned());
            }
        }
        let alike = |one: &Owned, other: &Owned| {
            let shards =
                |owned: &Owned| owned.slots.iter().map(|(shard, _)| shard.clone()).collect::<Vec<_>>();
            one.algorithm == other.algorithm && shards(one) == shards(other)
        };
        let layouts = std::mem::take(&mut self.layouts);
        let parent_of = |table: &str| {
            let parent = parents.get(table)?;
            let (own, others) = (layouts.get(table)?, layouts.get(parent)?);
            (!parents.contains_key(parent) && alike(own, others)).then_some(parent.as_str())
        };
        for (table, owned) in &layouts {
            if parent_of(table).is_none() {
                let Owned { column, key_type, algorithm, slots } = owned;
                self.draft.placed(&Layout {
                    table,
                    column,
                    key_type,
                    algorithm: algorithm.clone(),
                    slots: slots.clone(),
                    periods: Vec::new(),
                });
            }
        }
        for (table, owned) in &layouts {
            if let Some(parent) = parent_of(table) {
                self.draft.beside(table, parent, &owned.slots, &owned.column);
            }
        }
    }

    /// The inline expression of a strategy; None if there is none.
    fn inline(&self, table: &Node, own: &str, default: &str) -> Result<Option<Named>, String> {
        let strategy = find(table, own).or_else(|| find(self.rule, default));
        let Some(strategy) = strategy else { return Ok(None) };
        if find(strategy, "none").is_some() {
            return Ok(None);
        }
        let standard =
            find(strategy, "standard").ok_or_else(|| format!("{own}: only `standard` has a translation"))?;
        let column = word(standard, "shardingColumn").or_else(|| word(self.rule, "defaultShardingColumn"));
        let column = column.ok_or_else(|| format!("{own} has no shardingColumn"))?;
        let (kind, properties) = self.algorithm(standard)?;
        if kind != "INLINE" {
            return Err(format!("{own}: an algorithm of type {kind} has no translation here"));
        }
        let expression =
            scalar(properties, "algorithm-expression").ok_or("INLINE has no algorithm-expression")?;
        let named = Named::parse(&expression)?;
        match &named.quotient.column {
            Some(looked_at) if !looked_at.eq_ignore_ascii_case(column) => {
                Err(format!("`{expression}` looks at another column than `{column}`"))
            }
            _ => Ok(Some(named)),
        }
    }

    fn algorithm(&self, standard: &Node) -> Result<(String, &Node), String> {
        let name = word(standard, "shardingAlgorithmName").ok_or("has no shardingAlgorithmName")?;
        let known = find(self.rule, "shardingAlgorithms").and_then(|all| find(all, name));
        let known = known.ok_or_else(|| format!("there is no algorithm `{name}`"))?;
        let kind = word(known, "type").unwrap_or_default().to_uppercase();
        Ok((kind, find(known, "props").unwrap_or(known)))
    }

    fn table(&self, table: &str, node: &Node) -> Result<Owned, String> {
        let nodes = scalar(node, "actualDataNodes").ok_or("has no actualDataNodes")?;
        let known = expanded(&nodes)?;
        let database = self.inline(node, "databaseStrategy", "defaultDatabaseStrategy")?;
        let inside = self.inline(node, "tableStrategy", "defaultTableStrategy")?;
        let quotient =
            |named: &Option<Named>| named.as_ref().map_or(Quotient::ZERO, |named| named.quotient.clone());
        let (algorithm, column, key_type) = together(&quotient(&database), &quotient(&inside))?;
        let only = |part: fn(&(String, String)) -> &String| -> Result<Vec<String>, String> {
            let mut names: Vec<String> = known.iter().map(part).cloned().collect();
            names.sort();
            names.dedup();
            if names.len() == 1 {
                Ok(names)
            } else {
                Err(format!("`{nodes}` has several, but no strategy chooses"))
            }
        };
        let databases =
            database.as_ref().map_or_else(|| only(|(database, _)| database), |named| Ok(named.names()))?;
        let tables = inside.as_ref().map_or_else(|| only(|(_, table)| table), |named| Ok(named.names()))?;
        let mut slots = Vec::new();
        for database in &databases {
            for inside in &tables {
                if !known.contains(&(database.clone(), inside.clone())) {
                    return Err(format!("{database}.{inside} of `{table}` is none of its actualDataNodes"));
                }
                slots.push((database.clone(), format!("{database}.{inside}")));
            }
        }
        Ok(Owned { column, key_type, algorithm, slots })
    }

    /// Sub-tables are numbered through, and data sources take turns.
    fn auto(&self, table: &str, node: &Node) -> Result<Owned, String> {
        let sources = scalar(node, "actualDataSources").ok_or("has no actualDataSources")?;
        let mut databases = Vec::new();
        for part in sources.split(',') {
            databases.extend(names(part.trim())?);
        }
        let strategy = find(node, "shardingStrategy").and_then(|strategy| find(strategy, "standard"));
        let standard = strategy.ok_or("only a `standard` shardingStrategy has a translation")?;
        let column = word(standard, "shardingColumn").or_else(|| word(self.rule, "defaultShardingColumn"));
        let column = column.ok_or("has no shardingColumn")?.to_owned();
        let (kind, properties) = self.algorithm(standard)?;
        let count = || -> Result<usize, String> {
            let count = scalar(properties, "sharding-count").and_then(|count| count.parse().ok());
            count
                .filter(|count| (1..=NAMES_MAX).contains(count))
                .ok_or_else(|| format!("{kind} has no sharding-count"))
        };
        let (algorithm, count) = match kind.as_str() {
            "MOD" | "HASH_MOD" => {
                let count = count()?;
                let name = kind.to_lowercase();
                let algorithm = format!(
                    "legacy: {{function: shardingsphere/{name}, key: KEY, parameters: {{sharding-count: {count}}}}}"
                );
                (algorithm, count)
            }
            "BOUNDARY_RANGE" => bounds(&scalar(properties, "sharding-ranges").unwrap_or_default())?,
            kind => return Err(format!("there is no translation of {kind}")),
        };
        if databases.is_empty() {
            return Err("has no actualDataSources".to_owned());
        }
        let slot = |number: usize| {
            let database = databases[number % databases.len()].clone();
            (database.clone(), format!("{database}.{table}_{number}"))
        };
        Ok(Owned { column, key_type: "bigint", algorithm, slots: (0..count).map(slot).collect() })
    }
}

/// `1,5,10`: below 1, from 1 to below 5, from 5 to below 10, from 10.
fn bounds(text: &str) -> Result<(String, usize), String> {
    let bounds: Option<Vec<i64>> = text.split(',').map(|bound| bound.trim().parse().ok()).collect();
    let bounds =
        bounds.filter(|bounds| bounds.is_sorted()).ok_or("sharding-ranges are no ascending numbers")?;
    let mut spans: Vec<String> =
        bounds.iter().enumerate().map(|(slot, bound)| format!("{slot}: {{below: {bound}}}")).collect();
    spans.push(format!("{}: {{}}", bounds.len()));
    Ok((format!("range: KEY\n    ranges: {{{}}}", spans.join(", ")), bounds.len() + 1))
}

/// Data sources and tables of `ds_${0..1}.t_${0..3}, ds_2.t`.
fn expanded(nodes: &str) -> Result<Vec<(String, String)>, String> {
    let mut all = Vec::new();
    for node in outside_brackets(nodes) {
        let (database, table) = dot(node.trim()).ok_or_else(|| format!("`{node}` is no data node"))?;
        let tables = names(table)?;
        for database in names(database)? {
            all.extend(tables.iter().map(|table| (database.clone(), table.clone())));
        }
        if all.len() > NAMES_MAX {
            return Err(format!("`{nodes}` are too many"));
        }
    }
    Ok(all)
}

/// At commas that stand in no brackets.
fn outside_brackets(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(move |c: char| {
        depth += i32::from(matches!(c, '{' | '[')) - i32::from(matches!(c, '}' | ']'));
        c == ',' && depth == 0
    })
    .collect()
}

/// At the dot that stands in no brackets: `${0..1}` has some.
fn dot(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_i32;
    let at = text.char_indices().find(|(_, c)| {
        depth += i32::from(*c == '{') - i32::from(*c == '}');
        *c == '.' && depth == 0
    })?;
    Some((&text[..at.0], &text[at.0 + 1..]))
}

/// What a name with ranges and lists stands for, the last one fastest: `ds_${0..1}`, `ds_$->{[0, 2]}`.
fn names(text: &str) -> Result<Vec<String>, String> {
    let text = text.replace("$->{", "${");
    let Some((head, rest)) = text.split_once("${") else { return Ok(vec![text]) };
    let wrong = || format!("`{text}` is not understood: only `${{0..3}}` and `${{[0, 2]}}` are");
    let (inner, tail) = rest.split_once('}').ok_or_else(wrong)?;
    let inner = inner.trim();
    let values: Vec<String> = match inner.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        Some(list) => {
            list.split(',').map(|value| value.trim().trim_matches(['\'', '"']).to_owned()).collect()
        }
        None => {
            let (first, last) = inner.split_once("..").ok_or_else(wrong)?;
            let number = |text: &str| text.trim().parse::<usize>().ok().filter(|number| *number < NAMES_MAX);
            let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
            (first..=last).map(|number| number.to_string()).collect()
        }
    };
    let tails = names(tail)?;
    if values.len() * tails.len() > NAMES_MAX {
        return Err(wrong());
    }
    Ok(values.iter().flat_map(|value| tails.iter().map(move |tail| format!("{head}{value}{tail}"))).collect())
}

/// The text with `- !SHARDING` as an entry `tag: SHARDING`, because nothing here has tags.
fn untagged(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut result = String::new();
    for (number, line) in lines.iter().enumerate() {
        match line.trim_start().strip_prefix("- !") {
            Some(tag) => {
                let follows = lines[number + 1..].iter().find(|line| {
                    let text = line.trim();
                    !text.is_empty() && !text.starts_with('#')
                });
                let own = indent(line);
                let inner = follows.map_or(0, |line| indent(line)).max(own + 2);
                result.push_str(&format!("{:own$}-\n{:inner$}tag: {}\n", "", "", tag.trim()));
            }
            None => {
                result.push_str(line);
                result.push('\n');
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = "
rules:
- !SHARDING
  tables:
    t_order:
      actualDataNodes: ds_${0..1}.t_order_${0..1}
      tableStrategy:
        standard: {shardingColumn: user_id, shardingAlgorithmName: t_order_inline}
      keyGenerateStrategy: {column: order_id, keyGeneratorName: snowflake}
    t_order_item:
      actualDataNodes: ds_$->{0..1}.t_order_item_$->{0..1}
      tableStrategy:
        standard: {shardingColumn: user_id, shardingAlgorithmName: t_order_item_inline}
    t_mixed:
      actualDataNodes: ds_${0..1}.t_mixed_${0..1}
      tableStrategy:
        standard: {shardingColumn: order_id, shardingAlgorithmName: t_mixed_inline}
    t_complex:
      actualDataNodes: ds_0.t_complex_${0..1}
      tableStrategy:
        complex: {shardingColumns: 'a, b', shardingAlgorithmName: x}
  autoTables:
    t_auto:
      actualDataSources: ds_${0..1}
      shardingStrategy:
        standard: {shardingColumn: id, shardingAlgorithmName: auto_mod}
    t_bounds:
      actualDataSources: ds_0,ds_1
      shardingStrategy:
        standard: {shardingColumn: id, shardingAlgorithmName: bounds}
  bindingTables:
    - t_order, t_order_item
  defaultDatabaseStrategy:
    standard: {shardingColumn: user_id, shardingAlgorithmName: database_inline}
  shardingAlgorithms:
    database_inline: {type: INLINE, props: {algorithm-expression: 'ds_${user_id % 2}'}}
    t_order_inline: {type: INLINE, props: {algorithm-expression: 't_order_${user_id.intdiv(2) % 2}'}}
    t_order_item_inline: {type: INLINE, props: {algorithm-expression: 't_order_item_${user_id.intdiv(2) % 2}'}}
    t_mixed_inline: {type: INLINE, props: {algorithm-expression: 't_mixed_${order_id % 2}'}}
    auto_mod: {type: HASH_MOD, props: {sharding-count: 4}}
    bounds: {type: BOUNDARY_RANGE, props: {sharding-ranges: '1,5,10'}}
- !BROADCAST
  tables:
    - t_address
";

    #[test]
    fn strategies_become_placements_and_what_is_none_is_named() {
        let translation =
            translate(CONFIGURATION, "demo").and_then(Draft::finish).unwrap_or_else(|why| panic!("{why}"));
        for line in [
            "    legacy: {function: groovy/modulo, key: t_order_key, parameters: {databases: 2, tables: 2, tableDivisor: 2}}",
            "    slots: {ds_0: 0-1, ds_1: 2-3}",
            "  t_order_item: {with: t_order, columns: {user_id: t_order_key}}",
            "  t_address: {reference: true}",
            // 10086 % 2 = 0, 5043 % 2 = 1.
            "  - {table: t_order, rows: {user_id: 10086}, slots: [by_t_order/1]}",
            "    legacy: {function: shardingsphere/hash_mod, key: t_auto_key, parameters: {sharding-count: 4}}",
            "    slots: {ds_0: [0, 2], ds_1: [1, 3]}",
            "    ranges: {0: {below: 1}, 1: {below: 5}, 2: {below: 10}, 3: {}}",
            "  - {table: t_bounds, rows: {id: 1}, slots: [by_t_bounds/1]}",
        ] {
            assert!(translation.yaml.lines().any(|own| own == line), "{line}\n{}", translation.yaml);
        }
        assert_eq!(
            translation.left_out,
            [
                "demo.t_order: keyGenerateStrategy: declare a sequence and `generate`",
                "demo.t_mixed: databases are chosen by `user_id` and tables by `order_id`",
                "demo.t_complex: tableStrategy: only `standard` has a translation",
            ]
        );
        let renames = translation.statements();
        for statement in [
            "RENAME TABLE ds_1.t_order_item_1 TO `demo_t_order_0003`.`t_order_item`;",
            "RENAME TABLE ds_1.t_auto_3 TO `demo_t_auto_0003`.`t_auto`;",
        ] {
            assert!(renames.iter().any(|own| own == statement), "{statement}\n{renames:?}");
        }
    }

    #[test]
    fn names_are_those_of_ranges_and_lists() {
        assert_eq!(
            names("ds_${0..1}_${[7, 9]}"),
            Ok(["ds_0_7", "ds_0_9", "ds_1_7", "ds_1_9"].map(str::to_owned).to_vec())
        );
        assert_eq!(expanded("a.t, b.u_${0..1}").map(|nodes| nodes.len()), Ok(3));
        assert!(names("ds_${x}").is_err());
    }
}
