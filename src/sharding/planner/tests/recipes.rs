//! What a recipe says is what the planner says, whatever the literals are.

use crate::sharding::key::KeyLiteral;
use crate::sharding::planner::tests::fixture::rules;
use crate::sharding::planner::{Action, Plan, Recipe, Refusal, Request, Source, Sql, plan, recipe};
use crate::sharding::rules::Policies;
use crate::sql::{LexMode, Spelling};

/// `#` stands for the key, `$` for other literals.
const STATEMENTS: [(&str, bool); 22] = [
    ("SELECT * FROM users WHERE id = #", true),
    ("SELECT * FROM users u WHERE u.id = # AND x = $ ORDER BY 1 LIMIT $", true),
    ("SELECT * FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id = # AND o.x > $", true),
    ("SELECT * FROM users u LEFT JOIN orders o ON u.id = o.user_id WHERE o.user_id = #", true),
    ("SELECT * FROM users WHERE id = # AND EXISTS (SELECT 1 FROM orders o WHERE o.user_id = users.id)", true),
    ("SELECT * FROM users u, city c WHERE u.id = # AND c.id = $", true),
    ("UPDATE users SET x = $ WHERE id = #", true),
    ("DELETE FROM users WHERE # = id AND y IN ($, $)", true),
    ("INSERT INTO users (id, x) VALUES (#, $)", true),
    ("INSERT INTO users SET id = #, x = $", true),
    ("SELECT * FROM city WHERE id = $", true),
    ("SELECT * FROM app_config WHERE id = $", true),
    ("SELECT * FROM users WHERE id = # AND id = $", false),
    ("SELECT * FROM users WHERE id IN (#, $)", false),
    ("SELECT * FROM users WHERE id = # AND $", false),
    ("SELECT * FROM users WHERE id = # OR x = $", false),
    ("SELECT * FROM users WHERE id = # AND id < $", false),
    ("SELECT * FROM users u, shops s WHERE u.id = # AND s.id = $", false),
    ("SELECT * FROM app_config, users WHERE users.id = #", false),
    ("SELECT waimai.users.x FROM users WHERE id = #", false),
    ("EXPLAIN ROUTE SELECT * FROM users WHERE id = #", false),
    ("INSERT INTO users (id) VALUES (#), ($)", false),
];

const KEYS: [&str; 16] = [
    "1001",
    "7",
    "'7'",
    "' 1001'",
    "'7abc'",
    "-7",
    "7.0",
    "7.5",
    "9223372036854775807",
    "9223372036854775808",
    "0",
    "1e3",
    "'x'",
    "''",
    "'1''2'",
    "3",
];

fn slot(plan: &Plan) -> Option<usize> {
    match &plan.action {
        Action::One { slot, sql: Sql::Client } => Some(slot.index()),
        Action::Any { sql: Sql::Client } => Some(usize::MAX),
        _ => None,
    }
}

#[test]
fn a_recipe_leads_where_the_plan_leads() {
    let rules = rules(Policies::default());
    let mode = LexMode::default();
    fn request(text: &str, mode: LexMode) -> Request<'_> {
        Request { text: text.as_bytes(), mode, utf8: true, schema: Some("waimai"), parameters: &[] }
    }
    let mut followed = 0;
    for (statement, has_recipe) in STATEMENTS {
        let fill = |key: &str, other: &str| statement.replace('#', key).replace('$', other);
        let first = fill("1001", "5");
        let recipe = recipe(&rules, &request(&first, mode));
        assert_eq!(recipe.is_some(), has_recipe, "{statement}");
        let Some(recipe) = recipe else { continue };
        let spelling = Spelling::of(first.as_bytes(), mode).unwrap();
        for (key, other) in KEYS.iter().flat_map(|key| KEYS.map(|other| (*key, other))) {
            let text = fill(key, other);
            let plan = plan(&rules, &request(&text, mode));
            if matches!(plan.action, Action::Refuse(Refusal::Unparsed { .. })) {
                // `LIMIT '5'`: its server says what is wrong with it.
                continue;
            }
            let planned = slot(&plan);
            let found = match recipe {
                Recipe::Any => spelling.find(text.as_bytes(), mode, usize::MAX).map(|_| usize::MAX),
                Recipe::Fixed(slot) => spelling.find(text.as_bytes(), mode, usize::MAX).map(|_| slot.index()),
                Recipe::Key(key) => {
                    let (Source::Number(span) | Source::Text(span)) = key.source() else {
                        panic!("{statement}")
                    };
                    let (number, sign) = spelling.literal_in(span.range()).unwrap();
                    let found = spelling.find(text.as_bytes(), mode, number);
                    let span = |found: std::ops::Range<usize>| {
                        crate::sql::tree::Span::new((found.start - sign) as u32, found.end as u32)
                    };
                    let slot =
                        found.and_then(|found| key.slot(&rules, &request(&text, mode), Some(span(found))));
                    slot.map(crate::sharding::slots::SlotId::index)
                }
            };
            if found.is_some() {
                followed += 1;
                assert_eq!(found, planned, "{text}");
            }
        }
    }
    assert!(followed > 500, "{followed}");
}

#[test]
fn a_parameter_decides_by_its_type() {
    let rules = rules(Policies::default());
    fn ask<'a>(parameters: &'a [KeyLiteral<'a>]) -> Request<'a> {
        let text = b"SELECT * FROM users WHERE id = ? AND x = ?";
        Request { text, mode: LexMode::default(), utf8: true, schema: Some("waimai"), parameters }
    }
    let other = KeyLiteral::Integer(5);
    let first = [KeyLiteral::Integer(1001), other];
    let Some(Recipe::Key(key)) = recipe(&rules, &ask(&first)) else { panic!("no recipe") };
    assert_eq!(key.source(), Source::Parameter(0));
    for value in [
        KeyLiteral::Integer(7),
        KeyLiteral::Text(b" 7"),
        KeyLiteral::Decimal(b"7.5"),
        KeyLiteral::Null,
        KeyLiteral::Opaque,
    ] {
        let parameters = [value, other];
        let found = key.slot(&rules, &ask(&parameters), None).map(crate::sharding::slots::SlotId::index);
        if found.is_some() {
            assert_eq!(found, slot(&plan(&rules, &ask(&parameters))), "{value:?}");
        } else {
            assert!(!matches!(value, KeyLiteral::Integer(_) | KeyLiteral::Text(_)), "{value:?}");
        }
    }
}
