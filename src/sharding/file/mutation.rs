//! Mutation: each value of a rule file flipped in turn; a flip that no test of the file notices is a value that
//! nobody would notice to be wrong.

use std::path::Path;

use crate::config::document::{Node, Position, Report, Value, join};
use crate::sharding::file::{Surroundings, folder_of, parsed, understood};
use crate::sharding::rules::ShardingRules;

/// Parts of a file that decide where rows are.
const DECISIVE: [&str; 3] = ["keys", "placements", "tables"];

/// What mutation found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mutation {
    /// Flips that a test noticed.
    pub killed: usize,
    /// Flips that none did.
    pub survived: Vec<Mutant>,
}

/// One flip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Line and column of the value, from 1.
    pub place: (u64, u64),
    /// Where it is: `placements.by_user.bits`.
    pub path: String,
    /// What it was, and what it was made.
    pub change: String,
}

/// Flips every decisive value of `text`, the content of `file`, whose rules are valid. Besides the tests in the file,
/// `notices` may tell that rules are wrong.
#[must_use]
pub fn mutate(
    text: &str,
    file: &Path,
    surroundings: &Surroundings<'_>,
    notices: &dyn Fn(&ShardingRules) -> bool,
) -> Mutation {
    let mut found = Mutation::default();
    let Ok(root) = parsed(text) else { return found };
    let mut flips = Vec::new();
    for part in DECISIVE {
        if let Some(node) = child(&root, part) {
            collect(node, &mut vec![Step::Key(part.to_owned())], &mut flips);
        }
    }
    for flip in flips {
        let mut mutant = root.clone();
        let Some(place) = at(&mut mutant, &flip.way) else { continue };
        *place = flip.value;
        let report = Report::new(&folder_of(file));
        let rules = understood(&report, &mutant, surroundings);
        let (problems, _, _) = report.into_parts();
        if problems.is_empty() && notices(&rules) {
            found.killed += 1;
        } else if problems.is_empty() {
            let path = path(&flip.way);
            found.survived.push(Mutant { place: (flip.at.line, flip.at.column), path, change: flip.change });
        } else if problems.iter().all(|problem| problem.path().starts_with("tests[")) {
            found.killed += 1;
        }
        // Otherwise the flip makes no sense, and whoever makes it by mistake is told so.
    }
    found
}

#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Item(usize),
}

struct Flip {
    way: Vec<Step>,
    at: Position,
    change: String,
    value: Value,
}

fn path(way: &[Step]) -> String {
    way.iter().fold(String::new(), |path, step| match step {
        Step::Key(key) => join(&path, key),
        Step::Item(index) => format!("{path}[{index}]"),
    })
}

fn child<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

fn at<'n>(node: &'n mut Node, way: &[Step]) -> Option<&'n mut Value> {
    let mut node = node;
    for step in way {
        node = match (step, &mut node.value) {
            (Step::Key(key), Value::Map(entries)) => {
                &mut entries.iter_mut().find(|entry| entry.key == *key)?.value
            }
            (Step::Item(index), Value::List(items)) => items.get_mut(*index)?,
            _ => return None,
        };
    }
    Some(&mut node.value)
}

fn collect(node: &Node, way: &mut Vec<Step>, flips: &mut Vec<Flip>) {
    let mut flip = |change: String, value: Value| {
        flips.push(Flip { way: way.clone(), at: node.at, change, value });
    };
    match &node.value {
        Value::Whole(number) => {
            flip(format!("{number} → {}", number + 1), Value::Whole(number.saturating_add(1)));
        }
        Value::OtherNumber(Some(number)) => {
            let next = number.wrapping_add(1);
            flip(format!("{number} → {next}"), Value::OtherNumber(Some(next)));
        }
        Value::Switch(switch) => flip(format!("{switch} → {}", !switch), Value::Switch(!switch)),
        Value::Text(text) => {
            for other in others(text) {
                flip(format!("{text} → {other}"), Value::Text(other));
            }
        }
        Value::List(items) => {
            for index in 0..items.len() {
                let mut fewer = items.clone();
                fewer.remove(index);
                flip(format!("without item {}", index + 1), Value::List(fewer));
            }
            for (index, item) in items.iter().enumerate() {
                way.push(Step::Item(index));
                collect(item, way, flips);
                way.pop();
            }
        }
        Value::Map(entries) => {
            for (first, second) in entries.iter().zip(entries.iter().skip(1)) {
                if same(&first.value, &second.value) {
                    continue;
                }
                let mut swapped = entries.clone();
                let place = |key: &str| entries.iter().position(|entry| entry.key == key);
                if let (Some(one), Some(other)) = (place(&first.key), place(&second.key)) {
                    swapped[one].value = second.value.clone();
                    swapped[other].value = first.value.clone();
                    flip(format!("{} ↔ {}", first.key, second.key), Value::Map(swapped));
                }
            }
            for entry in entries {
                way.push(Step::Key(entry.key.clone()));
                collect(&entry.value, way, flips);
                way.pop();
            }
        }
        Value::Null | Value::OtherNumber(None) => {}
    }
}

/// Whether two nodes say the same, wherever they stand.
fn same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Null, Value::Null) => true,
        (Value::Switch(one), Value::Switch(other)) => one == other,
        (Value::Whole(one), Value::Whole(other)) => one == other,
        (Value::OtherNumber(one), Value::OtherNumber(other)) => one == other,
        (Value::Text(one), Value::Text(other)) => one == other,
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Map(one), Value::Map(other)) => {
            let pairs = || one.iter().zip(other);
            one.len() == other.len()
                && pairs().all(|(one, other)| one.key == other.key && same(&one.value, &other.value))
        }
        _ => false,
    }
}

/// What a text could have been by mistake.
fn others(text: &str) -> Vec<String> {
    let words: &[&str] = match text {
        "day" => &["week"],
        "week" => &["day"],
        "month" => &["year"],
        "year" => &["month"],
        "allow" => &["reject"],
        "reject" => &["allow"],
        "local" => &["global"],
        "global" => &["local"],
        _ => &[],
    };
    if !words.is_empty() {
        return words.iter().map(|word| (*word).to_owned()).collect();
    }
    // `18-62` and `2024-01`: the last number is one more.
    let digits = text.len() - text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (head, tail) = text.split_at(digits);
    match tail.parse::<u64>() {
        Ok(number) if head.ends_with('-') => {
            vec![format!("{head}{:0width$}", number + 1, width = tail.len())]
        }
        _ => Vec::new(),
    }
}
