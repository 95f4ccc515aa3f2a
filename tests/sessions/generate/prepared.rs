//! What random sessions prepare, and the values they execute it with.

use dazzle::wire::Writer;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::step::Value;

/// The kind of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Key,
    Text,
    Any,
}

use Kind::{Any, Int, Key, Text};

/// Texts to prepare: how often, the parameters, itself.
pub(crate) const PREPARED: &[(u32, &[Kind], &str)] = &[
    (8, &[], "SELECT * FROM t0 ORDER BY id"),
    (4, &[], "SELECT * FROM types ORDER BY i"),
    (6, &[Int], "SELECT id, a, b FROM t0 WHERE id > ? ORDER BY id"),
    (6, &[Any, Any], "SELECT ?, ? AS x"),
    (4, &[], "SELECT * FROM t1 ORDER BY k"),
    (4, &[], "SELECT * FROM extra"),
    (6, &[Key, Text], "INSERT INTO t0 (a, b) VALUES (?, ?)"),
    (4, &[Key, Text], "REPLACE INTO t1 VALUES (?, ?)"),
    (4, &[Text, Int], "UPDATE t0 SET b = ? WHERE id = ?"),
    (3, &[Key], "DELETE FROM t0 WHERE a = ?"),
    (3, &[Key, Any, Any, Any, Any], "REPLACE INTO types (i, ch, g, da, lb) VALUES (?, ?, ?, ?, ?)"),
    (3, &[Int], "SELECT a FROM t0 ORDER BY id LIMIT ?"),
    (3, &[Int], "CALL two(?)"),
    (3, &[Int, Any, Text], "CALL outs(?, ?, ?)"),
    (2, &[Int], "CALL fails(?)"),
    (2, &[Key], "CALL opens(?)"),
    (2, &[Text], "SET time_zone = ?"),
    (2, &[], "SET sql_mode = 'ANSI_QUOTES'"),
    (2, &[], "SET sql_mode = DEFAULT"),
    (2, &[], "SET autocommit = 0"),
    (2, &[], "SET autocommit = 1"),
    (2, &[], "BEGIN"),
    (3, &[], "COMMIT"),
    (3, &[], "ROLLBACK"),
    (2, &[], "USE fuzz_two"),
    (2, &[], "USE fuzz"),
    (2, &[], "SELECT DATABASE(), @@sql_mode, @@autocommit"),
    (2, &[Int], "SELECT adds(?)"),
    (2, &[], "SELECT \"a\", 'b' || 'c', 'x\\'"),
    (1, &[], "SELECT * FROM nowhere"),
    (1, &[], "SELEC"),
    (1, &[], "SELECT 1; SELECT 2"),
    (1, &[], ""),
    (1, &[], "SHOW TABLES"),
    (1, &[], "DO 1"),
    (1, &[], "CREATE TABLE extra (a INT)"),
    (1, &[], "DROP TABLE extra"),
    (1, &[], "ALTER TABLE t1 ADD COLUMN z INT"),
    (1, &[], "ALTER TABLE t1 DROP COLUMN z"),
    (1, &[], "EXPLAIN SELECT 1"),
    (1, &[Int], "DO SLEEP(? * 0)"),
];

/// A value for a parameter.
pub(crate) fn value(rng: &mut StdRng, kind: Kind) -> Value {
    match (kind, rng.random_range(0..12)) {
        (_, 0) => Value::NULL,
        (Kind::Key, _) => Value::int(rng.random_range(0..100)),
        (Kind::Int, 1) => Value { kind: 1, bytes: Some(vec![rng.random_range(0..9)]) },
        (Kind::Int, 2) => Value { kind: 3, bytes: Some(rng.random_range(0..9i32).to_le_bytes().to_vec()) },
        (Kind::Int, 3) => Value { kind: 0x8008, bytes: Some(5u64.to_le_bytes().to_vec()) },
        (Kind::Int, _) => Value::int(rng.random_range(0..9)),
        (Kind::Text, 1) => Value::text(b""),
        (Kind::Text, 2) => Value::text("gr\u{fc}n \u{1F993}".as_bytes()),
        (Kind::Text, 3) => Value::text(b"+03:00"),
        (Kind::Text, n) => Value::text(&b"abcdefghijkl"[..n]),
        (Kind::Any, n) => any(rng, n),
    }
}

fn any(rng: &mut StdRng, n: usize) -> Value {
    match n {
        1 => Value::int(rng.random_range(-9..9)),
        2 => Value { kind: 5, bytes: Some((-0.125f64).to_le_bytes().to_vec()) },
        3 => Value { kind: 4, bytes: Some(1.5f32.to_le_bytes().to_vec()) },
        4 => Value { kind: 2, bytes: Some((-7i16).to_le_bytes().to_vec()) },
        5 => Value { kind: 0x0A, bytes: Some(vec![4, 0xE8, 0x07, 2, 29]) },
        6 => Value { kind: 0x0C, bytes: Some(vec![7, 0xE8, 0x07, 2, 29, 1, 2, 3]) },
        7 => Value { kind: 0x0B, bytes: Some(vec![8, 1, 1, 0, 0, 0, 2, 3, 4]) },
        8 => decimal(),
        9 => Value { kind: 0xFC, bytes: Value::text(&[0, 0xFF, b'\'', 0x5C]).bytes },
        10 => Value { kind: 0x0C, bytes: Some(vec![11, 0xE8, 0x07, 2, 29, 1, 2, 3, 4, 0, 0, 0]) },
        _ => Value::text(&vec![b'v'; rng.random_range(0..400)]),
    }
}

fn decimal() -> Value {
    let mut bytes = Vec::new();
    bytes.put_lenenc_bytes(b"12.5");
    Value { kind: 0xF6, bytes: Some(bytes) }
}
