//! INSERTs that leave ids to sequences: what is asked for, and the statement that comes of it.

use std::path::Path;

use crate::error::ProxyError;
use crate::sharding::key::{Date, KeyLiteral};
use crate::sharding::planner::{Action, Bind, Request, Sql, plan};
use crate::sharding::rules::ShardingRules;
use crate::sharding::slots::SlotId;
use crate::sql::LexMode;

const RULES: &str = "
api: dazzle/v1
name: shop
revision: 1
defaults: {cross_shard_transactions: best_effort}
keys:
  user_id: bigint unsigned
  order_id: {type: bigint unsigned, bits: {bucket: 0-13, number: 14-62}}
placements:
  by_user: {hash: user_id, also_from: {order_id: {bucket: bucket}}, slots: {s1: 0-1, s2: 2-3}}
sequences:
  user_ids: {shard: s1, table: ids}
  order_numbers: {shard: s1, table: ids}
  order_ids: {key: order_id, fill: {number: order_numbers, bucket: user_id}}
  note_ids: {shard: s1, table: ids}
tables:
  users: {placement: by_user, columns: {id: user_id}, generate: {id: user_ids}}
  orders: {with: users, columns: {user_id: user_id, order_id: order_id}, generate: {order_id: order_ids}}
  notes: {with: users, columns: {user_id: user_id}, generate: {note: note_ids}}
tests: [{table: users, slots: all}]
";

fn rules() -> ShardingRules {
    let read = ShardingRules::parse(RULES, Path::new("shop.yaml"), Date::of_days(20_000));
    read.unwrap_or_else(|error| panic!("{error}"))
}

fn planned(text: &[u8], parameters: &[KeyLiteral<'_>]) -> Action {
    let request = Request { text, mode: LexMode::default(), utf8: true, schema: Some("shop"), parameters };
    plan(&rules(), &request).action
}

/// The statement with ids from 100 on; nothing if it needs none, an error's number if it is refused.
fn completed(text: &str) -> String {
    match planned(text.as_bytes(), &[]) {
        Action::Generate(generate) => {
            let firsts = vec![100; generate.numbers.len()];
            let done = generate.complete(&rules(), text.as_bytes(), &firsts, false).unwrap();
            String::from_utf8(done.text).unwrap()
        }
        Action::Refuse(refusal) => {
            refusal.sql_error().message.split(':').next().unwrap_or_default().to_owned()
        }
        _ => String::new(),
    }
}

#[test]
fn what_auto_increment_would_fill_gets_an_id() {
    let check = |text: &str, expected: &str| assert_eq!(completed(text), expected, "{text}");
    check("INSERT INTO users (name) VALUES ('x')", "INSERT INTO users (name, `id`) VALUES ('x', 100)");
    check("INSERT INTO users VALUES ('x')", "DZ1510");
    check(
        "INSERT INTO shop.users (name) VALUES ('x'), ('y') ",
        "INSERT INTO shop.users (name, `id`) VALUES ('x', 100), ('y', 101) ",
    );
    check(
        "INSERT users (ID, name) VALUES (NULL, 'x'), (DEFAULT, 'y'), (7, 'z'), (0, '')",
        "INSERT users (ID, name) VALUES (100, 'x'), (101, 'y'), (7, 'z'), (102, '')",
    );
    check("INSERT INTO users SET name = 'x'", "INSERT INTO users SET `id` = 100, name = 'x'");
    check(
        "REPLACE INTO users (id, name) VALUES ('0', 'x')",
        "REPLACE INTO users (id, name) VALUES (100, 'x')",
    );
    check("INSERT INTO users (id, name) VALUES (5, 'x')", "");
    check("INSERT INTO users (id, name) VALUES (5 + 1, 'x')", "DZ1513");
    check("INSERT INTO users (name) VALUES ('x') ON DUPLICATE KEY UPDATE name = 'y'", "DZ1530");
    check("INSERT IGNORE INTO users (name) VALUES ('x'), ('y')", "DZ1530");
    check("INSERT INTO users (name) VALUES ('x') RETURNING id", "DZ1530");
    check("EXPLAIN INSERT INTO users (name) VALUES ('x')", "DZ1530");
}

#[test]
fn a_column_that_decides_nothing_gets_ids_as_well() {
    let check = |text: &str, expected: &str| assert_eq!(completed(text), expected, "{text}");
    check(
        "INSERT INTO notes (user_id) VALUES (1), (2)",
        "INSERT INTO notes (user_id, `note`) VALUES (1, 100), (2, 101)",
    );
    check(
        "INSERT INTO notes (user_id, note) VALUES (1, 0)",
        "INSERT INTO notes (user_id, note) VALUES (1, 100)",
    );
    check("INSERT INTO notes (user_id, note) VALUES (1, 9)", "");
    check("INSERT INTO notes (user_id, note) VALUES (1, 'x')", "DZ1513");
}

#[test]
fn a_composed_id_carries_what_its_row_says() {
    let text = "INSERT INTO orders (user_id, note) VALUES (1001, 'a'), (10086, 'b')";
    let Action::Generate(generate) = planned(text.as_bytes(), &[]) else { panic!("no ids") };
    let slots: Vec<usize> = generate.slots.iter().map(SlotId::index).collect();
    assert_eq!(slots, [0, 3]);
    let done = generate.complete(&rules(), text.as_bytes(), &[1], false).unwrap();
    assert_eq!(done.first, 1 << 14 | 1121);
    let Action::Write(write) = planned(&done.text, &[]) else { panic!("two slots") };
    let parts: Vec<usize> = write.parts.iter().map(|(slot, _)| slot.index()).collect();
    assert_eq!(parts, [0, 3], "each row lies where its id leads");
    assert_eq!(completed("INSERT INTO orders (note) VALUES ('x')"), "DZ1511");
    assert_eq!(completed("INSERT INTO orders (user_id) VALUES (NULL)"), "DZ1512");
    assert!(generate.complete(&rules(), text.as_bytes(), &[1 << 49], false).is_err(), "used up");
}

#[test]
fn parameters_keep_their_places_among_ids() {
    let text = b"INSERT INTO users (id, name) VALUES (?, ?), (7, ?), (NULL, ?)";
    let sent = [KeyLiteral::Null, KeyLiteral::Text(b"a"), KeyLiteral::Text(b"b"), KeyLiteral::Text(b"c")];
    let Action::Generate(generate) = planned(text, &sent) else { panic!("no ids") };
    let done = generate.complete(&rules(), text, &[100], true).unwrap();
    assert_eq!(done.text, b"INSERT INTO users (id, name) VALUES (?, ?), (7, ?), (?, ?)");
    assert_eq!(done.parameters, [Bind::Id(100), Bind::Sent(1), Bind::Sent(2), Bind::Id(101), Bind::Sent(3)]);
    let again = [
        KeyLiteral::Integer(100),
        KeyLiteral::Text(b"a"),
        KeyLiteral::Text(b"b"),
        KeyLiteral::Integer(101),
        KeyLiteral::Text(b"c"),
    ];
    let Action::Write(write) = planned(&done.text, &again) else { panic!("several slots") };
    for ((_, sql), unbound) in write.parts.iter().zip(&write.unbound) {
        let Sql::Changed(text) = sql else { panic!("a part of the rows") };
        let marks = text.iter().filter(|byte| **byte == b'?').count();
        assert_eq!(marks + unbound.len(), 5, "{}", String::from_utf8_lossy(text));
    }
}
