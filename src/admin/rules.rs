//! `/rules`: the sharding rules that statements go by, as JSON: which revision of which logical database.

use serde::Serialize;

use crate::sharding::RuleSet;

/// One logical database.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    revision: u64,
    /// 16 hex digits of the file's text and of the files that it names.
    content: String,
    tables: usize,
    slots: usize,
    shards: usize,
}

pub(super) fn to_json(rules: &RuleSet) -> String {
    let rows: Vec<Row<'_>> = rules
        .iter()
        .map(|rules| Row {
            name: rules.name(),
            revision: rules.revision(),
            content: format!("{:016x}", rules.content()),
            tables: rules.tables().len(),
            slots: rules.slots().len(),
            shards: rules.shards().len(),
        })
        .collect();
    serde_json::to_string(&serde_json::json!({ "rules": rows })).expect("strings and numbers are JSON")
}
