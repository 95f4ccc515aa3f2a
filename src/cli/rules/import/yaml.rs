//! Looking into YAML of another product.

use crate::config::document::{Node, Value};

pub(super) fn find<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

pub(super) fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    match find(node, key).map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// Names and what they stand for.
pub(super) fn entries<'n>(node: &'n Node, key: &str) -> Vec<(&'n str, &'n Node)> {
    match find(node, key).map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.iter().map(|entry| (entry.key.as_str(), &entry.value)).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn word<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    match find(node, key).map(|node| &node.value) {
        Some(Value::Text(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

pub(super) fn scalar(node: &Node, key: &str) -> Option<String> {
    plain(find(node, key)?)
}

/// A single value as text.
pub(super) fn plain(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) if !text.is_empty() => Some(text.clone()),
        Value::Whole(number) => Some(number.to_string()),
        _ => None,
    }
}
