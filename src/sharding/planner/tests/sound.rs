//! Routing is sound: a row that meets a random condition is in a slot that the condition leaves.

use proptest::prelude::{Just, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::sharding::key::KeyValue;
use crate::sharding::planner::tests::fixture::{USER, rules};
use crate::sharding::planner::{Action, Request, plan};
use crate::sharding::rules::Policies;
use crate::sharding::slots::SlotSet;
use crate::sql::LexMode;

/// A condition on the key `user_id` and on `x`, which is always 1, with its value: None is unknown.
#[derive(Clone, Debug)]
enum Condition {
    Compare(&'static str, i64),
    Between(i64, i64, bool),
    In(Vec<Option<i64>>, bool),
    Other(&'static str, Option<bool>),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

impl Condition {
    fn text(&self) -> String {
        let list = |list: &[Self], operator: &str| {
            let all: Vec<_> = list.iter().map(Self::text).collect();
            format!("({})", all.join(operator))
        };
        match self {
            Self::Compare(operator, value) => format!("user_id {operator} {value}"),
            Self::Between(low, high, not) => {
                format!("user_id {}BETWEEN {low} AND {high}", if *not { "NOT " } else { "" })
            }
            Self::In(values, not) => {
                let values: Vec<_> = values
                    .iter()
                    .map(|value| value.map_or("NULL".to_owned(), |value| value.to_string()))
                    .collect();
                format!("user_id {}IN ({})", if *not { "NOT " } else { "" }, values.join(", "))
            }
            Self::Other(text, _) => (*text).to_owned(),
            Self::Not(inner) => format!("NOT ({})", inner.text()),
            Self::And(all) => list(all, " AND "),
            Self::Or(all) => list(all, " OR "),
        }
    }

    fn value(&self, key: i64) -> Option<bool> {
        match self {
            Self::Compare(operator, value) => Some(match *operator {
                "=" | "<=>" => key == *value,
                "<>" => key != *value,
                "<" => key < *value,
                "<=" => key <= *value,
                ">" => key > *value,
                _ => key >= *value,
            }),
            Self::Between(low, high, not) => Some((*low..=*high).contains(&key) != *not),
            Self::In(values, not) => {
                let found = values.contains(&Some(key));
                let value =
                    if found { Some(true) } else { values.iter().all(Option::is_some).then_some(false) };
                value.map(|value| value != *not)
            }
            Self::Other(_, value) => *value,
            Self::Not(inner) => inner.value(key).map(|value| !value),
            Self::And(all) => decided(all, key, false),
            Self::Or(all) => decided(all, key, true),
        }
    }
}

/// OR is true if one operand is, AND false if one is; neither is known if none decides and one is unknown.
fn decided(all: &[Condition], key: i64, decisive: bool) -> Option<bool> {
    let values: Vec<_> = all.iter().map(|one| one.value(key)).collect();
    if values.contains(&Some(decisive)) {
        return Some(decisive);
    }
    values.iter().all(Option::is_some).then_some(!decisive)
}

fn conditions() -> impl Strategy<Value = Condition> {
    let operator = prop::sample::select(&["=", "<=>", "<>", "<", "<=", ">", ">="][..]);
    let leaf = prop_oneof![
        (operator, 0..12_i64).prop_map(|(operator, value)| Condition::Compare(operator, value)),
        (0..12_i64, 0..12_i64, prop::bool::ANY)
            .prop_map(|(low, high, not)| Condition::Between(low, high, not)),
        (prop::collection::vec(prop::option::weighted(0.9, 0..12_i64), 1..4), prop::bool::ANY)
            .prop_map(|(values, not)| Condition::In(values, not)),
        Just(Condition::Other("x = 1", Some(true))),
        Just(Condition::Other("x = 2", Some(false))),
        Just(Condition::Other("x = NULL", None)),
        Just(Condition::Other("TRUE", Some(true))),
        Just(Condition::Other("NULL", None)),
        Just(Condition::Other("user_id + 0 = user_id", Some(true))),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Condition::Not(Box::new(inner))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::And),
            prop::collection::vec(inner, 2..4).prop_map(Condition::Or),
        ]
    })
}

fn slots(text: &str) -> SlotSet {
    let rules = rules(Policies::default());
    let request = Request {
        text: text.as_bytes(),
        mode: LexMode::default(),
        utf8: true,
        schema: Some("waimai"),
        parameters: &[],
    };
    match plan(&rules, &request).action {
        Action::One { slot, .. } => SlotSet::one(8, slot),
        Action::Scatter(scatter) => scatter.slots,
        other => panic!("{text}: {other:?}"),
    }
}

proptest! {
    #[test]
    fn a_row_that_counts_is_in_a_slot_that_is_asked(condition in conditions()) {
        let text = format!("SELECT x FROM orders WHERE {}", condition.text());
        let slots = slots(&text);
        let rules = rules(Policies::default());
        for key in 0..12 {
            let home = rules.placements()[0].slot_of_row(&[(USER, KeyValue::Integer(i128::from(key)))]).unwrap();
            let counts = condition.value(key) == Some(true);
            prop_assert!(!counts || slots.contains(home), "{} with {}", text, key);
        }
    }

    #[test]
    fn the_other_side_of_a_left_join_is_asked_whole(condition in conditions()) {
        let text = format!("SELECT 1 FROM users u LEFT JOIN orders o ON u.id = o.user_id AND {}", condition.text());
        prop_assert_eq!(slots(&text).len(), 4);
    }
}
