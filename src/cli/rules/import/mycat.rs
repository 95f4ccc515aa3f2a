//! MyCat's `schema.xml` and `rule.xml`: tables on data nodes, which are databases already.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use roxmltree::{Document, Node, ParsingOptions};

use crate::cli::rules::import::draft::{Draft, Layout};

/// Why a child has no place of its own.
const BESIDE: &str = "lies beside its parent's row, which its own columns do not tell";

/// Names that a range stands for at most.
const NODES_MAX: u32 = 65_536;

pub(super) fn translate(folder: &Path, database: Option<&str>) -> Result<Draft, String> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (schema, rules) = (read("schema.xml")?, read("rule.xml")?);
    let (schema, rules) = (parsed("schema.xml", &schema)?, parsed("rule.xml", &rules)?);
    let schemas: Vec<Node<'_, '_>> = elements(schema.root_element(), "schema").collect();
    let names = || schemas.iter().filter_map(|schema| schema.attribute("name"));
    let chosen = match (database, schemas.as_slice()) {
        (Some(name), _) => schemas.iter().find(|schema| schema.attribute("name") == Some(name)),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let chosen = chosen.ok_or_else(|| {
        format!("choose a schema with --database: {}", names().collect::<Vec<_>>().join(", "))
    })?;
    let name = chosen.attribute("name").unwrap_or_default();
    let mut file = MyCat {
        folder,
        rules: rules.root_element(),
        nodes: data_nodes(schema.root_element())?,
        draft: Draft::new("MyCat", name),
    };
    if let Some((host, database)) = chosen.attribute("dataNode").and_then(|node| file.nodes.get(node)) {
        file.draft.unlisted(host, database);
    }
    for table in elements(*chosen, "table") {
        for name in split(table.attribute("name").unwrap_or_default()) {
            if let Err(why) = file.table(&name, &table) {
                file.draft.leave_out(&name, &why);
            }
        }
    }
    Ok(file.draft)
}

fn parsed<'t>(name: &str, text: &'t str) -> Result<Document<'t>, String> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| format!("{name}: {error}"))
}

fn elements<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.has_tag_name(name))
}

struct MyCat<'m> {
    folder: &'m Path,
    rules: Node<'m, 'm>,
    /// The host and the database of each data node.
    nodes: HashMap<String, (String, String)>,
    draft: Draft,
}

/// A table of the schema with what its rule says.
struct Placed {
    column: String,
    key_type: &'static str,
    algorithm: String,
    periods: Vec<String>,
}

impl MyCat<'_> {
    fn table(&mut self, name: &str, table: &Node<'_, '_>) -> Result<(), String> {
        if table.attribute("subTables").is_some() {
            return Err("subTables has no translation".to_owned());
        }
        if table.attribute("type").is_some_and(|kind| kind.eq_ignore_ascii_case("global")) {
            self.draft.reference(name);
            return Ok(());
        }
        let places: Vec<(String, String)> = split(table.attribute("dataNode").unwrap_or_default())
            .iter()
            .map(|node| self.nodes.get(node).cloned().ok_or_else(|| format!("there is no dataNode `{node}`")))
            .collect::<Result<_, _>>()?;
        let Some(rule) = table.attribute("rule") else {
            let [(host, database)] = places.as_slice() else {
                return Err("has several data nodes, but no rule".to_owned());
            };
            self.draft.single(name, host, database);
            self.children(name, table, None);
            return Ok(());
        };
        let Placed { column, key_type, algorithm, periods } = self.rule(rule, places.len())?;
        let slots: Vec<(String, String)> =
            places.iter().map(|(host, database)| (host.clone(), format!("{database}.{name}"))).collect();
        for ((host, from), period) in slots.iter().zip(&periods) {
            let database = self.draft.database_of(name, period);
            self.draft.rename(host, from, database, name);
        }
        let layout = Layout { table: name, column: &column, key_type, algorithm, slots, periods };
        self.draft.placed(&layout);
        if table.attribute("autoIncrement").is_some_and(|on| on.eq_ignore_ascii_case("true")) {
            self.draft.leave_out(name, "autoIncrement: declare a sequence and `generate`");
        }
        self.children(name, table, Some((column.as_str(), layout.slots.as_slice())));
        Ok(())
    }

    /// Children that are joined by their parent's sharding column lie where it leads. Others follow their parent's
    /// row, which only a look at that row could tell.
    fn children(&mut self, parent: &str, table: &Node<'_, '_>, placed: Option<(&str, &[(String, String)])>) {
        for child in elements(*table, "childTable") {
            let text = |name: &str| child.attribute(name).unwrap_or_default();
            let name = text("name");
            match placed {
                Some((column, slots)) if text("parentKey").eq_ignore_ascii_case(column) => {
                    let own = |(host, from): &(String, String)| {
                        let database = from.rsplit_once('.').map_or("", |(database, _)| database);
                        (host.clone(), format!("{database}.{name}"))
                    };
                    let slots: Vec<(String, String)> = slots.iter().map(own).collect();
                    self.draft.beside(name, parent, &slots, text("joinKey"));
                }
                _ => self.draft.leave_out(name, BESIDE),
            }
            // A child's own children are joined by a column of its own.
            for further in child.descendants().filter(|node| node.has_tag_name("childTable")).skip(1) {
                self.draft.leave_out(further.attribute("name").unwrap_or_default(), BESIDE);
            }
        }
    }

    fn rule(&self, name: &str, count: usize) -> Result<Placed, String> {
        let rule = elements(self.rules, "tableRule").find(|rule| rule.attribute("name") == Some(name));
        let rule = rule.and_then(|rule| elements(rule, "rule").next());
        let rule = rule.ok_or_else(|| format!("there is no tableRule `{name}`"))?;
        let text = |name| elements(rule, name).next().and_then(|node| node.text()).unwrap_or_default().trim();
        let (column, algorithm) = (text("columns"), text("algorithm"));
        if column.is_empty() || column.contains(',') {
            return Err(format!("tableRule `{name}` looks at `{column}`: it must be one column"));
        }
        let function =
            elements(self.rules, "function").find(|node| node.attribute("name") == Some(algorithm));
        let function = function.ok_or_else(|| format!("there is no function `{algorithm}`"))?;
        let properties: HashMap<&str, &str> = elements(function, "property")
            .filter_map(|property| {
                Some((property.attribute("name")?, property.text().unwrap_or_default().trim()))
            })
            .collect();
        let class = function.attribute("class").unwrap_or_default();
        let function = Function { class: class.rsplit('.').next().unwrap_or_default(), properties, count };
        let (key_type, algorithm, periods) = function.algorithm(self.folder)?;
        Ok(Placed { column: column.to_owned(), key_type, algorithm, periods })
    }
}

struct Function<'f> {
    class: &'f str,
    properties: HashMap<&'f str, &'f str>,
    /// Data nodes of the table.
    count: usize,
}

impl Function<'_> {
    fn property(&self, name: &str) -> Result<&str, String> {
        self.properties.get(name).copied().ok_or_else(|| format!("{} has no {name}", self.class))
    }

    /// As many places as there are data nodes, because each is a slot.
    fn counted(&self, count: &str) -> Result<(), String> {
        match count.parse::<usize>() {
            Ok(count) if count == self.count => Ok(()),
            _ => Err(format!("{} has {count} places, and the table {} data nodes", self.class, self.count)),
        }
    }

    fn algorithm(&self, folder: &Path) -> Result<(&'static str, String, Vec<String>), String> {
        let legacy = |name: &str, parameters: String| {
            format!("legacy: {{function: {name}, key: KEY, parameters: {{{parameters}}}}}")
        };
        let segments = || {
            let (count, length) = (self.property("partitionCount")?, self.property("partitionLength")?);
            let places: usize = count.split(',').filter_map(|count| count.trim().parse::<usize>().ok()).sum();
            self.counted(&places.to_string())?;
            Ok::<_, String>(format!("partitionCount: \"{count}\", partitionLength: \"{length}\""))
        };
        let text = "{type: varchar(255), collation: utf8mb4_bin}";
        Ok(match self.class {
            "PartitionByMod" => {
                self.counted(self.property("count")?)?;
                ("bigint", legacy("mycat/mod", format!("count: {}", self.count)), Vec::new())
            }
            "PartitionByLong" => ("bigint", legacy("mycat/long", segments()?), Vec::new()),
            "PartitionByString" => {
                let slice = self.properties.get("hashSlice").copied().unwrap_or("0:8");
                let parameters = format!("{}, hashSlice: \"{slice}\"", segments()?);
                (text, legacy("mycat/string", parameters), Vec::new())
            }
            "PartitionByMurmurHash" => {
                if self.properties.contains_key("weightMapFile") {
                    return Err("weightMapFile has no translation".to_owned());
                }
                self.counted(self.property("count")?)?;
                let or = |name: &str, default| self.properties.get(name).copied().unwrap_or(default);
                let parameters = format!(
                    "count: {}, seed: \"{}\", virtualBucketTimes: \"{}\"",
                    self.count,
                    or("seed", "0"),
                    or("virtualBucketTimes", "160")
                );
                ("bigint", legacy("mycat/murmur", parameters), Vec::new())
            }
            "PartitionByFileMap" => {
                let key_type =
                    if self.properties.get("type").is_none_or(|kind| *kind == "0") { "int" } else { text };
                (key_type, self.listed(&self.map_file(folder)?)?, Vec::new())
            }
            "AutoPartitionByLong" => ("bigint", self.ranges(&self.map_file(folder)?)?, Vec::new()),
            class => return Err(format!("there is no translation of {class}")),
        })
    }

    /// The lines `key=value` of the file that the function names.
    fn map_file(&self, folder: &Path) -> Result<Vec<(String, String)>, String> {
        let name = self.property("mapFile")?;
        let path = folder.join(name);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let lines = text.lines().map(str::trim);
        let lines =
            lines.filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("//"));
        lines
            .map(|line| {
                let (key, value) =
                    line.split_once('=').ok_or_else(|| format!("{name}: `{line}` has no `=`"))?;
                Ok((key.trim().to_owned(), value.trim().to_owned()))
            })
            .collect()
    }

    fn place(&self, text: &str) -> Result<usize, String> {
        let place = text.parse::<usize>().ok().filter(|place| *place < self.count);
        place.ok_or_else(|| format!("there is no data node {text}"))
    }

    fn listed(&self, lines: &[(String, String)]) -> Result<String, String> {
        let mut values: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let mut rest = self.properties.get("defaultNode").copied().filter(|node| !node.starts_with('-'));
        for (key, value) in lines {
            if key == "DEFAULT_NODE" {
                rest = Some(value.as_str());
                continue;
            }
            values.entry(self.place(value)?).or_default().push(format!("{key:?}"));
        }
        let mut parts: Vec<String> =
            values.iter().map(|(place, values)| format!("{place}: [{}]", values.join(", "))).collect();
        if let Some(rest) = rest {
            let rest = self.place(rest)?;
            if values.contains_key(&rest) {
                return Err("the data node for all other values has listed ones, too".to_owned());
            }
            parts.push(format!("{rest}: rest"));
        }
        Ok(format!("list: KEY\n    values: {{{}}}", parts.join(", ")))
    }

    /// Both ends of a range belong to it, and the first that holds a value has it.
    fn ranges(&self, lines: &[(String, String)]) -> Result<String, String> {
        if self.properties.get("defaultNode").is_some_and(|node| !node.starts_with('-')) {
            return Err("a defaultNode of ranges has no translation".to_owned());
        }
        let mut spans: Vec<(i128, i128, usize)> = Vec::new();
        for (range, place) in lines {
            let wrong = || format!("`{range}` is no range");
            let (first, last) = range.split_once('-').ok_or_else(wrong)?;
            let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
            let below = spans.iter().map(|(_, below, _)| *below).max().unwrap_or(first);
            if spans.iter().any(|(from, _, _)| first < *from) {
                return Err("the ranges are in no order".to_owned());
            }
            if first > below {
                return Err(format!("the ranges leave a hole: nothing holds {below} to below {first}"));
            }
            spans.push((below.max(first), last + 1, self.place(place)?));
        }
        let text: Vec<String> = spans
            .iter()
            .map(|(from, below, place)| format!("{place}: {{from: {from}, below: {below}}}"))
            .collect();
        Ok(format!("range: KEY\n    ranges: {{{}}}", text.join(", ")))
    }
}

/// `500M` is 500 times ten thousand to MyCat, `20K` twenty thousand, `2M1` one more than 2M.
fn number(text: &str) -> Option<i128> {
    let text = text.trim().to_uppercase();
    let scaled = |letter: char, factor: i128| {
        let (head, tail) = text.split_once(letter)?;
        let tail: i128 = if tail.is_empty() { 0 } else { tail.parse().ok()? };
        Some(head.parse::<i128>().ok()? * factor + tail)
    };
    match (text.contains('M'), text.contains('K')) {
        (true, _) => scaled('M', 10_000),
        (false, true) => scaled('K', 1_000),
        (false, false) => text.parse().ok(),
    }
}

/// Names between commas; `dn$0-7` is eight.
fn split(names: &str) -> Vec<String> {
    let mut all = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let range = name.split_once('$').and_then(|(head, range)| {
            let (first, last) = range.split_once('-')?;
            let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
            (first <= last && last - first < NODES_MAX).then_some((head, first, last))
        });
        match range {
            Some((head, first, last)) => all.extend((first..=last).map(|number| format!("{head}{number}"))),
            None => all.push(name.to_owned()),
        }
    }
    all
}

fn data_nodes(root: Node<'_, '_>) -> Result<HashMap<String, (String, String)>, String> {
    let mut nodes = HashMap::new();
    for node in elements(root, "dataNode") {
        let text = |name: &str| split(node.attribute(name).unwrap_or_default());
        let (names, hosts, databases) = (text("name"), text("dataHost"), text("database"));
        match hosts.as_slice() {
            [host] if names.len() == databases.len() => {
                let places = databases.into_iter().map(|database| (host.clone(), database));
                nodes.extend(names.into_iter().zip(places));
            }
            _ => {
                let name = node.attribute("name").unwrap_or_default();
                return Err(format!(
                    "dataNode `{name}`: names, one host and databases do not belong together"
                ));
            }
        }
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"<?xml version="1.0"?>
<!DOCTYPE mycat:schema SYSTEM "schema.dtd">
<mycat:schema xmlns:mycat="http://io.mycat/">
  <schema name="shop" checkSQLschema="false" dataNode="dn1">
    <table name="travelrecord" dataNode="dn1,dn2,dn3" rule="auto-sharding-long"/>
    <table name="company" type="global" dataNode="dn1,dn2,dn3"/>
    <table name="hotnews" dataNode="dn$1-3" rule="mod-long"/>
    <table name="employee" dataNode="dn1,dn2" rule="sharding-by-intfile"/>
    <table name="customer" dataNode="dn$1-3" rule="mod-long">
      <childTable name="orders" joinKey="customer_id" parentKey="id">
        <childTable name="order_items" joinKey="order_id" parentKey="id"/>
      </childTable>
    </table>
    <table name="parts" dataNode="dn1" subTables="parts$1-3" rule="mod-long"/>
    <table name="calls" dataNode="dn1,dn2" rule="latest-month"/>
    <table name="config" dataNode="dn2"/>
  </schema>
  <dataNode name="dn$1-3" dataHost="host1" database="db$1-3"/>
</mycat:schema>"#;

    const RULE: &str = r#"<?xml version="1.0"?>
<!DOCTYPE mycat:rule SYSTEM "rule.dtd">
<mycat:rule xmlns:mycat="http://io.mycat/">
  <tableRule name="mod-long"><rule><columns>id</columns><algorithm>mod-long</algorithm></rule></tableRule>
  <tableRule name="auto-sharding-long"><rule><columns>id</columns><algorithm>rang-long</algorithm></rule></tableRule>
  <tableRule name="sharding-by-intfile"><rule><columns>sharding_id</columns><algorithm>hash-int</algorithm></rule></tableRule>
  <tableRule name="latest-month"><rule><columns>calldate</columns><algorithm>latest</algorithm></rule></tableRule>
  <function name="mod-long" class="io.mycat.route.function.PartitionByMod"><property name="count">3</property></function>
  <function name="rang-long" class="io.mycat.route.function.AutoPartitionByLong"><property name="mapFile">long.txt</property></function>
  <function name="hash-int" class="io.mycat.route.function.PartitionByFileMap"><property name="mapFile">int.txt</property></function>
  <function name="latest" class="io.mycat.route.function.LatestMonthPartion"><property name="splitOneDay">24</property></function>
</mycat:rule>"#;

    struct Folder(std::path::PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn tables_on_data_nodes_become_placements_and_what_is_none_is_named() {
        let folder = Folder(std::env::temp_dir().join(format!("dazzle-mycat-{}", std::process::id())));
        fs::create_dir_all(&folder.0).expect("a temporary folder can be made");
        for (name, text) in [
            ("schema.xml", SCHEMA),
            ("rule.xml", RULE),
            ("long.txt", "# range start-end ,data node index\n0-500M=0\n500M-1000M=1\n1000M-1500M=2\n"),
            ("int.txt", "10000=0\n10010=1\n"),
        ] {
            fs::write(folder.0.join(name), text).expect("a file can be written");
        }
        let translation =
            translate(&folder.0, None).and_then(Draft::finish).unwrap_or_else(|why| panic!("{why}"));
        for line in [
            "defaults: {unlisted_tables: {shard: host1, database: db1}}",
            "    ranges: {0: {from: 0, below: 5000001}, 1: {from: 5000001, below: 10000001}, 2: {from: 10000001, below: 15000001}}",
            "    values: {0: [\"10000\"], 1: [\"10010\"]}",
            "    legacy: {function: mycat/mod, key: hotnews_key, parameters: {count: 3}}",
            "  orders: {with: customer, columns: {customer_id: customer_key}}",
            "  company: {reference: true}",
            "  config: {shard: host1, database: db2}",
            // 1001 = 3 × 333 + 2.
            "  - {table: hotnews, rows: {id: 1001}, slots: [by_hotnews/2]}",
            "  - {table: travelrecord, rows: {id: 123456789}, slots: none}",
        ] {
            assert!(translation.yaml.lines().any(|own| own == line), "{line}\n{}", translation.yaml);
        }
        let beside = "lies beside its parent's row, which its own columns do not tell";
        assert_eq!(
            translation.left_out,
            [
                format!("shop.order_items: {beside}"),
                "shop.parts: subTables has no translation".to_owned(),
                "shop.calls: there is no translation of LatestMonthPartion".to_owned(),
            ]
        );
        let renames = translation.statements();
        assert!(
            renames.contains(&"RENAME TABLE db2.orders TO `shop_customer_0001`.`orders`;".to_owned()),
            "{renames:?}"
        );
    }

    #[test]
    fn numbers_are_read_as_mycat_reads_them() {
        for (text, expected) in
            [("500M", 5_000_000), ("20k", 20_000), ("2M1", 20_001), ("7", 7), ("1K5", 1_005)]
        {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        assert_eq!(number("M"), None);
        assert_eq!(split("dn$0-2,x, y"), ["dn0", "dn1", "dn2", "x", "y"]);
    }
}
