//! Zebra's router rules: databases and the tables in them, each chosen by a Groovy expression.

use roxmltree::{Document, Node};

use crate::cli::rules::import::draft::{Draft, Layout};
use crate::cli::rules::import::names::bracketed;
use crate::cli::rules::import::quotient::{Quotient, together};

pub(super) fn translate(text: &str, database: &str) -> Result<Draft, String> {
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let root = document.root_element();
    if root.tag_name().name() != "router-rule" {
        return Err("is no `router-rule`".to_owned());
    }
    let mut draft = Draft::new("Zebra", database);
    for rule in root.children().filter(|node| node.has_tag_name("table-shard-rule")) {
        let Some(table) = rule.attribute("table") else { continue };
        let dimensions: Vec<Node<'_, '_>> =
            rule.children().filter(|node| node.has_tag_name("shard-dimension")).collect();
        let masters: Vec<&Node<'_, '_>> =
            dimensions.iter().filter(|one| one.attribute("isMaster") == Some("true")).collect();
        let master = match (masters.as_slice(), dimensions.as_slice()) {
            ([only], _) => Some(*only),
            ([], [only]) => Some(only),
            _ => None,
        };
        let Some(master) = master else {
            draft.leave_out(table, "has no single shard-dimension that is the master");
            continue;
        };
        match layout(table, master) {
            Ok(layout) => draft.placed(&layout.borrowed(table)),
            Err(why) => draft.leave_out(table, &why),
        }
        if dimensions.len() > 1 {
            let others = dimensions.len() - 1;
            draft.leave_out(
                table,
                &format!("{others} more dimensions: list each as `copy_of` under a name of its own"),
            );
        }
        if rule.attribute("generatedPK").is_some_and(|column| !column.is_empty()) {
            draft.leave_out(table, "generatedPK: declare a sequence and `generate`");
        }
    }
    Ok(draft)
}

struct Owned {
    column: String,
    key_type: &'static str,
    algorithm: String,
    slots: Vec<(String, String)>,
}

impl Owned {
    fn borrowed<'l>(&'l self, table: &'l str) -> Layout<'l> {
        Layout {
            table,
            column: &self.column,
            key_type: self.key_type,
            algorithm: self.algorithm.clone(),
            slots: self.slots.clone(),
            periods: Vec::new(),
        }
    }
}

fn layout(table: &str, dimension: &Node<'_, '_>) -> Result<Owned, String> {
    if dimension.children().any(|child| child.is_element()) {
        return Err("rows that are exceptions have no translation".to_owned());
    }
    let text = |name: &str| dimension.attribute(name).unwrap_or_default().trim();
    // `database[0-1],other` is three.
    let databases: Vec<String> = text("dbIndexes").split(',').map(str::trim).flat_map(bracketed).collect();
    let padded = text("tbSuffixZeroPadding") == "true";
    let tables = tables(table, text("tbSuffix"), databases.len(), padded)?;
    let (algorithm, column, key_type, counts) = match text("dbRule").strip_prefix("shardByHash(") {
        Some(call) => by_hash(call)?,
        None => {
            let database = Quotient::parse(text("dbRule"))?;
            let inside = match text("tbRule") {
                "" => Quotient::ZERO,
                rule => Quotient::parse(rule)?,
            };
            let (algorithm, column, key_type) = together(&database, &inside)?;
            (algorithm, column, key_type, (database.modulus as usize, inside.modulus as usize))
        }
    };
    let (database_count, table_count) = counts;
    if database_count > databases.len() || tables.iter().any(|tables| table_count > tables.len()) {
        return Err(format!(
            "its rules lead to {database_count} databases of {table_count} tables: more than there are"
        ));
    }
    let mut slots = Vec::new();
    for (database, tables) in databases.iter().zip(&tables).take(database_count) {
        for table in tables.iter().take(table_count) {
            slots.push((database.clone(), format!("{database}.{table}")));
        }
    }
    Ok(Owned { column, key_type, algorithm, slots })
}

/// An algorithm, the column and its type, and how many databases and tables in each there are.
type ByHash = (String, String, &'static str, (usize, usize));

/// `#uid#, 2, 4)` or `#uid#, 2, 4, false)`.
fn by_hash(call: &str) -> Result<ByHash, String> {
    let refused = || format!("`shardByHash({call}` is not understood");
    let parts: Vec<&str> =
        call.trim().strip_suffix(')').ok_or_else(refused)?.split(',').map(str::trim).collect();
    let (column, databases, tables, order) = match parts.as_slice() {
        [column, databases, tables] => (column, databases, tables, "true"),
        [column, databases, tables, order @ ("true" | "false")] => (column, databases, tables, *order),
        _ => return Err(refused()),
    };
    let column = column.strip_prefix('#').and_then(|column| column.strip_suffix('#')).ok_or_else(refused)?;
    let count = |text: &str| text.parse::<usize>().ok().filter(|count| (1..=65_536).contains(count));
    let counts = count(databases).zip(count(tables)).ok_or_else(refused)?;
    let order = if order == "false" { ", useDefaultOrder: \"false\"" } else { "" };
    let algorithm = format!(
        "legacy: {{function: zebra/hash, key: KEY, parameters: {{dbNumber: {databases}, tableNumberPerDb: {tables}{order}}}}}"
    );
    Ok((algorithm, column.to_owned(), "bigint", counts))
}

/// The tables of each database: `alldb:[_0,_31]` counts through all of them, `everydb:[_0,_3]` anew in each.
fn tables(table: &str, suffix: &str, databases: usize, padded: bool) -> Result<Vec<Vec<String>>, String> {
    let refused = || format!("tbSuffix `{suffix}` has no translation");
    let (style, range) = suffix.split_once(':').ok_or_else(refused)?;
    let range =
        range.trim().strip_prefix('[').and_then(|range| range.strip_suffix(']')).ok_or_else(refused)?;
    if suffix.contains('&') || databases == 0 {
        return Err(refused());
    }
    let parts: Vec<&str> = range.split(',').collect();
    let [first, last] = parts.as_slice() else {
        return Ok(vec![vec![table.to_owned()]; databases]);
    };
    let digits = |text: &str| text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let number = |text: &str| text[text.len() - digits(text)..].parse::<usize>().ok();
    let (from, to) = number(first).zip(number(last)).filter(|(from, to)| from <= to).ok_or_else(refused)?;
    let head = &first[..first.len() - digits(first)];
    let width = if padded { digits(last) } else { 0 };
    let name = |number: usize| format!("{table}{head}{number:0width$}");
    match style.trim() {
        "alldb" => {
            let each = (to - from + 1).div_ceil(databases);
            Ok((0..databases)
                .map(|database| (0..each).map(|inside| name(from + database * each + inside)).collect())
                .collect())
        }
        "everydb" => Ok(vec![(from..=to).map(name).collect(); databases]),
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_become_placements_and_what_is_none_is_named() {
        let text = r##"<?xml version="1.0" encoding="UTF-8"?>
<router-rule>
  <table-shard-rule table="Tb" generatedPK="id">
    <shard-dimension dbRule="(#uid#.intdiv(2))%2" dbIndexes="database[0-1]" tbRule="#uid#%2" tbSuffix="everydb:[0,1]" isMaster="true"/>
    <shard-dimension dbRule="(#tid#)%2" dbIndexes="database[0-1]" tbRule="(#tid#.intdiv(2))%2" tbSuffix="everydb:[0,1]" isMaster="false"/>
  </table-shard-rule>
  <table-shard-rule table="Feed">
    <shard-dimension dbRule="crc32(#Uid#)%2" dbIndexes="f0,f1" tbRule="crc32(#Uid#).intdiv(2)%4" tbSuffix="alldb:[_0,_7]" isMaster="true"/>
  </table-shard-rule>
  <table-shard-rule table="Coupon">
    <shard-dimension dbRule="shardByHash(#uid#, 2, 4)" dbIndexes="c0,c1" tbSuffix="alldb:[_00,_07]" tbSuffixZeroPadding="true" isMaster="true"/>
  </table-shard-rule>
  <table-shard-rule table="Mixed">
    <shard-dimension dbRule="#a#%2" dbIndexes="c0,c1" tbRule="#b#%4" tbSuffix="everydb:[0,3]" isMaster="true"/>
  </table-shard-rule>
  <table-shard-rule table="Months">
    <shard-dimension dbRule="shardByMonth(#d#, 'yyyy', '2017-01', '2019-12', 1, 1, 36, 0, 0)" dbIndexes="c0" tbSuffix="alldb:[0,35]" isMaster="true"/>
  </table-shard-rule>
</router-rule>"##;
        let translation =
            translate(text, "zeb").and_then(Draft::finish).unwrap_or_else(|why| panic!("{why}"));
        for line in [
            "    legacy: {function: groovy/modulo, key: Tb_key, parameters: {databases: 2, tables: 2, databaseDivisor: 2}}",
            "    slots: {database0: 0-1, database1: 2-3}",
            // 1001 / 2 % 2 = 0, 1001 % 2 = 1.
            "  - {table: Tb, rows: {uid: 1001}, slots: [by_Tb/1]}",
            "    legacy: {function: groovy/modulo, key: Feed_key, parameters: {databases: 2, tables: 4, tableDivisor: 2, of: crc32}}",
            // CRC-32 of `a` is 3904355907: odd, and 1952177953 % 4 = 1.
            "  - {table: Feed, rows: {Uid: \"a\"}, slots: [by_Feed/5]}",
            "    legacy: {function: zebra/hash, key: Coupon_key, parameters: {dbNumber: 2, tableNumberPerDb: 4}}",
        ] {
            assert!(translation.yaml.lines().any(|own| own == line), "{line}\n{}", translation.yaml);
        }
        assert_eq!(
            translation.left_out,
            [
                "zeb.Tb: 1 more dimensions: list each as `copy_of` under a name of its own",
                "zeb.Tb: generatedPK: declare a sequence and `generate`",
                "zeb.Mixed: databases are chosen by `a` and tables by `b`",
                "zeb.Months: `shardByMonth(#d#, 'yyyy', '2017-01', '2019-12', 1, 1, 36, 0, 0)` is not understood: only \
                 `value.intdiv(a) % n` is",
            ]
        );
        let renames = translation.statements();
        for statement in [
            "RENAME TABLE database1.Tb0 TO `zeb_Tb_0002`.`Tb`;",
            "RENAME TABLE f1.Feed_4 TO `zeb_Feed_0004`.`Feed`;",
            "RENAME TABLE c1.Coupon_07 TO `zeb_Coupon_0007`.`Coupon`;",
        ] {
            assert!(renames.iter().any(|own| own == statement), "{statement}\n{renames:?}");
        }
    }
}
