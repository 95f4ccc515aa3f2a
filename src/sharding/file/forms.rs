//! How single values of a rule file are written.

use std::fmt;

use crate::config::document::{Kind, Node, Value};
use crate::config::kind;
use crate::sharding::file::model::{Api, Choice, EveryRule, Scalar, Transactions, UniqueRule};

/// Bytes of a name at most: MySQL's own bound on identifiers.
const NAME_MAX: usize = 64;

pub(super) const API: Kind<Api> =
    Kind { read: |node| kind::choose(node, &[("dazzle/v1", Api::V1)]), show: |_| "dazzle/v1".to_owned() };

pub(super) const CHOICE: Kind<Choice> =
    Kind { read: |node| kind::choose(node, &CHOICES), show: |choice| kind::chosen(*choice, &CHOICES) };
const CHOICES: [(&str, Choice); 2] = [("reject", Choice::Reject), ("allow", Choice::Allow)];

pub(super) const TRANSACTIONS: Kind<Transactions> = Kind {
    read: |node| kind::choose(node, &TRANSACTION_POLICIES),
    show: |policy| kind::chosen(*policy, &TRANSACTION_POLICIES),
};
const TRANSACTION_POLICIES: [(&str, Transactions); 2] =
    [("reject", Transactions::Reject), ("best_effort", Transactions::BestEffort)];

pub(super) const EVERY: Kind<EveryRule> =
    Kind { read: |node| kind::choose(node, &PERIODS), show: |every| kind::chosen(*every, &PERIODS) };
const PERIODS: [(&str, EveryRule); 4] = [
    ("day", EveryRule::Day),
    ("week", EveryRule::Week),
    ("month", EveryRule::Month),
    ("year", EveryRule::Year),
];

pub(super) const UNIQUE: Kind<UniqueRule> =
    Kind { read: |node| kind::choose(node, &UNIQUES), show: |unique| kind::chosen(*unique, &UNIQUES) };
const UNIQUES: [(&str, UniqueRule); 2] = [("global", UniqueRule::Global), ("local", UniqueRule::Local)];

/// Whether `name` may be the name of something in the rules.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(plain)
}

/// A name of MySQL: of a table, a column, a database.
pub(super) const IDENTIFIER: Kind<String> = Kind {
    read: |node| {
        let name = kind::word(node)?;
        match name.chars().count() <= NAME_MAX && !name.contains(['`', '/', '\\']) && !name.ends_with(' ') {
            true => Ok(name.to_owned()),
            false => Err("must be a name of MySQL: at most 64 characters".to_owned()),
        }
    },
    show: String::clone,
};

/// A text, or a whole number that is taken as written: `2024` of a year.
pub(super) const TEXT_OR_NUMBER: Kind<String> = Kind {
    read: |node| match scalar(node)? {
        Scalar::Integer(number) => Ok(number.to_string()),
        Scalar::Text(text) if !text.is_empty() => Ok(text),
        Scalar::Text(_) | Scalar::Null => Err("must not be empty".to_owned()),
    },
    show: String::clone,
};

/// One value of a key, a parameter, an error's number.
pub(super) const SCALAR: Kind<Scalar> = Kind { read: scalar, show: Scalar::to_string };

/// Percent, as `80` or `80%`.
pub(super) const PERCENT: Kind<u32> = Kind {
    read: |node| {
        let number = match &node.value {
            Value::Whole(number) => Some(*number),
            Value::Text(text) => text.strip_suffix('%').and_then(|number| number.trim_end().parse().ok()),
            Value::Null | Value::Switch(_) | Value::OtherNumber(_) | Value::List(_) | Value::Map(_) => None,
        };
        match number {
            Some(percent @ 1..=100) => Ok(percent as u32),
            _ => Err("must be a share from `1%` to `100%`".to_owned()),
        }
    },
    show: |percent| format!("{percent}%"),
};

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Integer(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

pub(super) fn scalar(node: &Node) -> Result<Scalar, String> {
    match &node.value {
        Value::Null => Ok(Scalar::Null),
        Value::Whole(number) => Ok(Scalar::Integer((*number).into())),
        Value::OtherNumber(Some(number)) => Ok(Scalar::Integer((*number).into())),
        Value::OtherNumber(None) => {
            Err("must be a whole number or text; write other numbers in quotes".to_owned())
        }
        Value::Switch(_) => Err("must be a number or text; write text in quotes".to_owned()),
        Value::Text(text) => Ok(Scalar::Text(text.clone())),
        Value::List(_) | Value::Map(_) => Err("must be a single value".to_owned()),
    }
}
