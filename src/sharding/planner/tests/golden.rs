//! `tests/golden/sharding/*.txt`: statements, and the plan of each as EXPLAIN ROUTE tells it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::sharding::key::KeyLiteral;
use crate::sharding::planner::tests::fixture::rules;
use crate::sharding::planner::{Request, plan};
use crate::sharding::rules::{self, Policies};
use crate::sql::LexMode;

/// A line is `words|statement`: `wide` allows writes to several slots and `across` those to several servers, numbers are the parameters, anything
/// else is a part of `sql_mode`.
fn answer(words: &str, text: &str) -> String {
    let mut policies = Policies::default();
    policies.scatter_read.slots_max = 4;
    let mut parameters = Vec::new();
    let mut sql_mode = Vec::new();
    for word in words.split_whitespace() {
        match word.parse::<i128>() {
            Ok(number) => parameters.push(KeyLiteral::Integer(number)),
            Err(_) if word == "wide" => policies.scatter_write = rules::ScatterWrite::Allow,
            Err(_) if word == "across" => policies.cross_shard_transactions = rules::CrossShard::BestEffort,
            Err(_) if word == "NULL" => parameters.push(KeyLiteral::Null),
            Err(_) => sql_mode.push(word),
        }
    }
    let rules = rules(policies);
    let request = Request {
        text: text.as_bytes(),
        mode: LexMode::default().with_sql_mode(sql_mode.join(",").as_bytes()),
        utf8: true,
        schema: Some("waimai"),
        parameters: &parameters,
    };
    let mut lines = String::new();
    for (name, value) in plan(&rules, &request).explain(&rules, text.as_bytes()) {
        let _ = writeln!(lines, "  {name}: {value}");
    }
    lines
}

fn check(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sharding");
    let statements = fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
    let mut answers = String::new();
    for line in statements.lines() {
        let _ = writeln!(answers, "{line}");
        if let Some((words, text)) = line.split_once('|') {
            answers.push_str(&answer(words, text));
        }
    }
    let file = folder.join(format!("{name}.golden"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &answers).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    for (expected, found) in expected.lines().zip(answers.lines()) {
        assert_eq!(expected, found, "{}; UPDATE_GOLDEN=1 rewrites it", file.display());
    }
    assert_eq!(expected.lines().count(), answers.lines().count(), "{}", file.display());
}

#[test]
fn conditions_lead_to_slots() {
    check("routing");
}

#[test]
fn reads_of_several_slots_are_split_or_refused() {
    check("scatter");
}

#[test]
fn writes_go_to_their_slots_or_are_refused() {
    check("writes");
}

#[test]
fn what_other_proxies_answer_wrongly_is_not() {
    check("shame");
}
