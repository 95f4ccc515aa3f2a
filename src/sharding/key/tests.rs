//! Spellings of keys: which are one value, which match nothing, which cannot be known.

use proptest::prelude::*;

use crate::sharding::key::moment::Date;
use crate::sharding::key::{
    Bounded, Collation, Integer, KeyLiteral, KeyType, KeyValue, Match, Moment, Side, Stored, TextKind,
};

const BIGINT: KeyType = KeyType::Integer(Integer { bits: 64, unsigned: false });
const UNSIGNED: KeyType = KeyType::Integer(Integer { bits: 64, unsigned: true });
const TINYINT: KeyType = KeyType::Integer(Integer { bits: 8, unsigned: false });

fn text(collation: &str) -> KeyType {
    let collation = Collation::named(collation).expect("a known collation");
    KeyType::Text { kind: TextKind::VarChar, length: 8, collation }
}

fn show(matched: Match<'_>) -> String {
    match matched {
        Match::Exactly(value) => value.to_string(),
        Match::Never => "never".to_owned(),
        Match::Unknown => "unknown".to_owned(),
    }
}

fn check(key_type: &KeyType, literal: KeyLiteral<'_>, expected: &str) {
    assert_eq!(show(key_type.equal_to(&literal)), expected, "{key_type} = {literal:?}");
}

#[test]
fn every_spelling_of_a_number_is_the_number() {
    for spelling in ["7", " 7", "07", "+7", "7.0", "7abc", "7e0", "0.7e1", "70e-1", "7 ", "7."] {
        check(&BIGINT, KeyLiteral::Text(spelling.as_bytes()), "7");
    }
    check(&BIGINT, KeyLiteral::Integer(7), "7");
    check(&BIGINT, KeyLiteral::Decimal(b"7.000"), "7");
    check(&BIGINT, KeyLiteral::Double(7.0), "7");
    check(&BIGINT, KeyLiteral::Text(b"abc"), "0");
    check(&BIGINT, KeyLiteral::Text(b""), "0");
    check(&BIGINT, KeyLiteral::Double(-0.0), "0");
    check(&BIGINT, KeyLiteral::Text(b"-7x"), "-7");
}

#[test]
fn what_no_column_holds_matches_nothing() {
    check(&BIGINT, KeyLiteral::Null, "never");
    check(&BIGINT, KeyLiteral::Decimal(b"7.4"), "never");
    check(&BIGINT, KeyLiteral::Double(7.4), "never");
    check(&BIGINT, KeyLiteral::Text(b"7.4"), "never");
    check(&TINYINT, KeyLiteral::Integer(128), "never");
    check(&TINYINT, KeyLiteral::Integer(-128), "-128");
    check(&UNSIGNED, KeyLiteral::Integer(-1), "never");
    check(&UNSIGNED, KeyLiteral::Integer(u64::MAX.into()), "18446744073709551615");
    check(&BIGINT, KeyLiteral::Integer(u64::MAX.into()), "never");
}

#[test]
fn a_double_that_names_several_numbers_is_unknown() {
    check(&BIGINT, KeyLiteral::Double(9_007_199_254_740_992.0), "unknown");
    check(&BIGINT, KeyLiteral::Double(9_007_199_254_740_991.0), "9007199254740991");
    check(&BIGINT, KeyLiteral::Text(b"9007199254740993"), "9007199254740993");
    check(&BIGINT, KeyLiteral::Text(b"9007199254740993x"), "unknown");
    check(&BIGINT, KeyLiteral::Text(b"9007199254740993.0"), "unknown");
    check(&BIGINT, KeyLiteral::Text(b"9007199254740993e0"), "unknown");
    check(&BIGINT, KeyLiteral::Decimal(b"9007199254740993.0"), "9007199254740993");
    check(&BIGINT, KeyLiteral::Text(b"6.99999999999999999999"), "unknown");
    check(&BIGINT, KeyLiteral::Double(f64::NAN), "unknown");
    check(&BIGINT, KeyLiteral::Text(b"1e999"), "unknown");
    for odd in [&b"\x0b7"[..], b"\xc2\xa07", b"\x007"] {
        check(&BIGINT, KeyLiteral::Text(odd), "unknown");
    }
    check(&BIGINT, KeyLiteral::Binary(b"7"), "unknown");
    check(&BIGINT, KeyLiteral::Opaque, "unknown");
}

#[test]
fn a_string_is_compared_as_its_collation_does() {
    let check = |collation, literal: &[u8], expected| {
        check(&text(collation), KeyLiteral::Text(literal), expected);
    };
    check("utf8mb4_general_ci", b"Abc  ", "'abc'");
    check("utf8mb4_general_ci", b" abc", "' abc'");
    check("utf8mb4_general_ci", "äbc".as_bytes(), "unknown");
    check("utf8mb4_unicode_ci", b"a\x01bc", "unknown");
    check("utf8mb4_0900_ai_ci", b"Abc ", "'abc '");
    check("utf8mb4_0900_as_cs", b"Abc ", "'Abc '");
    check("utf8mb4_bin", "Äbc ".as_bytes(), "'Äbc'");
    check("utf8mb4_0900_bin", b"Abc ", "'Abc '");
    check("utf8mb4_bin", b"\xff", "unknown");
}

#[test]
fn a_number_is_equal_to_many_strings() {
    let key = text("utf8mb4_bin");
    check(&key, KeyLiteral::Integer(12), "unknown");
    check(&key, KeyLiteral::Double(12.0), "unknown");
    check(&key, KeyLiteral::Binary(b"ab"), "'ab'");
    check(&key, KeyLiteral::Binary("ä".as_bytes()), "unknown");
    let binary = KeyType::Text { kind: TextKind::Binary, length: 4, collation: Collation::BINARY };
    check(&binary, KeyLiteral::Binary(b"ab\0\0"), "'ab'");
    check(&binary, KeyLiteral::Text(b"ab "), "'ab '");
}

#[test]
fn a_moment_is_the_same_in_every_spelling() {
    let key = KeyType::DateTime { digits: 0 };
    for spelling in ["2016-03-04", "2016-3-4", "2016/03/04", "20160304", "20160304000000", "2016-03-04 00:00"]
    {
        check(&key, KeyLiteral::Text(spelling.as_bytes()), "2016-03-04");
    }
    check(&key, KeyLiteral::Integer(20_160_304), "2016-03-04");
    check(&key, KeyLiteral::Integer(20_160_304_101_112), "2016-03-04 10:11:12");
    check(&key, KeyLiteral::Text(b"2016-03-04T10:11:12.5"), "2016-03-04 10:11:12.500000");
    let odd: [&[u8]; 8] = [
        b"16-03-04",
        b"2016-02-30",
        b"0000-00-00",
        b"2016-03-04 10:11:12+08:00",
        b"2016-03-04x",
        b"2016-03",
        b"",
        b"2016-03-04 24:00:00",
    ];
    for odd in odd {
        check(&key, KeyLiteral::Text(odd), "unknown");
    }
    check(&key, KeyLiteral::Integer(0), "unknown");
    check(&key, KeyLiteral::Double(20_160_304.0), "unknown");
    check(&KeyType::Date, KeyLiteral::Integer(20_160_304), "2016-03-04");
    check(&KeyType::Date, KeyLiteral::Integer(20_160_304_101_112), "unknown");
    check(&KeyType::Date, KeyLiteral::Text(b"2016-03-04 10:11:12"), "2016-03-04 10:11:12");
}

#[test]
fn a_bound_is_brought_to_the_type_of_the_key() {
    let check = |literal: KeyLiteral<'_>, side, expected: &str| {
        let shown = match TINYINT.bounded_by(&literal, side) {
            Bounded::Inclusive(value) => format!("to {value}"),
            Bounded::Exclusive(value) => format!("before {value}"),
            Bounded::Never => "never".to_owned(),
            Bounded::Unknown => "unknown".to_owned(),
        };
        assert_eq!(shown, expected, "{side:?} {literal:?}");
    };
    check(KeyLiteral::Integer(7), Side::Below, "before 7");
    check(KeyLiteral::Integer(7), Side::AtLeast, "to 7");
    check(KeyLiteral::Decimal(b"7.5"), Side::Below, "to 7");
    check(KeyLiteral::Decimal(b"7.5"), Side::AtLeast, "before 7");
    check(KeyLiteral::Decimal(b"-7.5"), Side::AtMost, "to -8");
    check(KeyLiteral::Text(b"7.5"), Side::Above, "before 7");
    check(KeyLiteral::Integer(-128), Side::Below, "never");
    check(KeyLiteral::Integer(127), Side::Above, "never");
    check(KeyLiteral::Integer(1_000), Side::Below, "before 1000");
    check(KeyLiteral::Null, Side::Below, "never");
    check(KeyLiteral::Opaque, Side::Below, "unknown");
}

#[test]
fn only_what_is_stored_unchanged_has_a_sure_place() {
    let check = |key_type: &KeyType, literal: KeyLiteral<'_>, expected: &str| {
        let shown = match key_type.stored(&literal) {
            Stored::Exactly(value) => value.to_string(),
            Stored::Null => "null".to_owned(),
            Stored::Unknown => "unknown".to_owned(),
        };
        assert_eq!(shown, expected, "{key_type} := {literal:?}");
    };
    check(&BIGINT, KeyLiteral::Text(b" 7.0"), "7");
    check(&BIGINT, KeyLiteral::Text(b"7abc"), "unknown");
    check(&BIGINT, KeyLiteral::Decimal(b"7.5"), "unknown");
    check(&BIGINT, KeyLiteral::Null, "null");
    check(&TINYINT, KeyLiteral::Integer(300), "unknown");
    let name = text("utf8mb4_general_ci");
    check(&name, KeyLiteral::Text(b"12345678"), "'12345678'");
    check(&name, KeyLiteral::Text(b"123456789"), "unknown");
    check(&text("utf8mb4_bin"), KeyLiteral::Text("a🍜".as_bytes()), "'a🍜'");
    check(&text("utf8mb3_bin"), KeyLiteral::Text("a🍜".as_bytes()), "unknown");
    check(&text("latin1_bin"), KeyLiteral::Text("ä".as_bytes()), "unknown");
    let seconds = KeyType::DateTime { digits: 0 };
    check(&seconds, KeyLiteral::Text(b"2026-01-31 10:00:00.7"), "2026-01-31 10:00:00");
    check(&seconds, KeyLiteral::Text(b"2026-01-31 23:59:59.7"), "unknown");
    check(
        &KeyType::DateTime { digits: 1 },
        KeyLiteral::Text(b"2026-01-31 23:59:59.7"),
        "2026-01-31 23:59:59.700000",
    );
    check(&KeyType::Date, KeyLiteral::Text(b"2026-01-31 10:00:00"), "unknown");
    check(&KeyType::Date, KeyLiteral::Text(b"2026-01-31"), "2026-01-31");
}

#[test]
fn only_columns_that_compare_alike_share_a_domain() {
    assert!(BIGINT.same_domain(&TINYINT) && BIGINT.same_domain(&UNSIGNED));
    assert!(!BIGINT.same_domain(&text("utf8mb4_bin")));
    assert!(!text("utf8mb4_general_ci").same_domain(&text("utf8mb4_bin")));
    assert!(KeyType::Date.same_domain(&KeyType::DateTime { digits: 3 }));
}

proptest! {
    #[test]
    fn days_and_dates_are_inverse(days in -719_162_i64..2_932_897) {
        let date = Date::of_days(days);
        prop_assert_eq!(date.days(), days);
        prop_assert_eq!(Date::new(date.year, date.month, date.day), Some(date));
    }

    #[test]
    fn a_whole_number_is_itself_in_every_literal(number in any::<i64>()) {
        let written = number.to_string();
        let expected = Match::Exactly(KeyValue::Integer(number.into()));
        prop_assert_eq!(&BIGINT.equal_to(&KeyLiteral::Text(written.as_bytes())), &expected);
        prop_assert_eq!(&BIGINT.equal_to(&KeyLiteral::Decimal(written.as_bytes())), &expected);
        prop_assert_eq!(&BIGINT.equal_to(&KeyLiteral::Integer(number.into())), &expected);
    }

    #[test]
    fn random_text_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40), words in "[-+0-9eE. :T]{0,30}") {
        for literal in [KeyLiteral::Text(&bytes), KeyLiteral::Text(words.as_bytes()), KeyLiteral::Decimal(words.as_bytes())] {
            for key_type in [&BIGINT, &KeyType::Date, &text("utf8mb4_general_ci")] {
                let _ = (key_type.equal_to(&literal), key_type.stored(&literal), key_type.bounded_by(&literal, Side::Below));
            }
        }
        let _ = Moment::parse(&bytes);
    }
}
