//! Placements: values lead to the slots of their rows, and ranges never to one too few.

use std::ops::{Bound, RangeBounds};

use proptest::prelude::*;

use crate::sharding::key::{BitField, Date, KeyId, KeyValue, Moment};
use crate::sharding::placement::{
    Algorithm, Every, Gene, Hash, HashFunction, Interval, List, Located, Placement, Range, Span, Step,
    Unplaced,
};
use crate::sharding::slots::SlotId;

const USER: KeyId = KeyId(0);
const CITY: KeyId = KeyId(1);
const ORDER: KeyId = KeyId(2);

const HASH: Hash = Hash { function: HashFunction::Xxh64V1, bits: 14 };

fn integer(number: i128) -> KeyValue<'static> {
    KeyValue::Integer(number)
}

fn field(offset: u32, length: u32) -> BitField {
    BitField { name: "field".into(), offset, length }
}

/// Two units of 16 slots, a hot user alone in slot 32, ids that carry both.
fn two_steps() -> Placement {
    let units = List::new([(integer(110_000), 0), (integer(310_000), 1)], None, 2);
    let steps = vec![
        Step {
            key: CITY,
            algorithm: Algorithm::List(units),
            also_from: vec![Gene { key: ORDER, field: field(14, 4), numbers: Some(vec![(1, 0), (2, 1)]) }],
        },
        Step {
            key: USER,
            algorithm: Algorithm::Hash(HASH),
            also_from: vec![Gene { key: ORDER, field: field(0, 14), numbers: None }],
        },
    ];
    let cells = (0..2_u32).flat_map(|unit| {
        (0..1 << 14).map(move |bucket| {
            let hot = unit == 0 && bucket == 15_744;
            SlotId(if hot { 32 } else { (unit * 16 + HASH.slot_of_bucket(bucket, 16)) as u16 })
        })
    });
    Placement::new("by_user", steps, cells.collect(), 33)
}

fn among(located: &Located) -> Vec<u16> {
    match located {
        Located::Nowhere => Vec::new(),
        Located::One(slot) => vec![slot.0],
        Located::Among(slots) => slots.iter().map(|slot| slot.0).collect(),
    }
}

#[test]
fn the_published_vectors_of_the_hash_hold() {
    let hash = |value| HashFunction::Xxh64V1.hash(&value);
    assert_eq!(hash(integer(1_001)), 0xbad6_7559_fe8e_8461);
    assert_eq!(HASH.bucket(&integer(1_001)), 1_121);
    assert_eq!(HASH.bucket(&integer(10_086)), 15_744);
    assert_eq!(HASH.slot_of_bucket(HASH.bucket(&integer(77)), 8), 7);
    // XXH64 of the empty string and of "a", from the specification's own implementation.
    assert_eq!(hash(KeyValue::Text(b"".as_slice().into())), 0xef46_db37_51d8_e999);
    assert_eq!(hash(KeyValue::Text(b"a".as_slice().into())), 0xd24e_c4f1_a98c_6e5b);
}

#[test]
fn keys_narrow_each_other_and_ids_carry_both() {
    let placement = two_steps();
    let user = placement.locate(USER, &integer(1_001));
    assert_eq!(among(&user), [1, 17], "one slot in each unit");
    let city = placement.locate(CITY, &integer(110_000));
    assert_eq!(among(&city), (0..16).chain([32]).collect::<Vec<u16>>());
    let (Located::Among(mut user), Located::Among(city)) = (user, city) else { panic!("both are sets") };
    user.intersect(&city);
    assert_eq!(user.single(), Some(SlotId(1)));
    assert_eq!(placement.locate(ORDER, &integer(32_363_267_169)), Located::One(SlotId(1)));
    assert_eq!(among(&placement.locate(USER, &integer(10_086))), [31, 32], "hot in one unit only");
    assert_eq!(placement.locate(CITY, &integer(5)), Located::Nowhere);
    assert_eq!(placement.locate(ORDER, &integer(9 << 14)), Located::Nowhere, "no unit has number 9");
    assert_eq!(among(&placement.locate(KeyId(9), &integer(1))).len(), 33);
    assert!(placement.determined_by(&[ORDER]) && placement.determined_by(&[USER, CITY]));
    assert!(!placement.determined_by(&[USER]));
}

#[test]
fn ids_are_told_what_to_carry() {
    let placement = two_steps();
    assert_eq!(placement.carried(ORDER, USER, &integer(1_001)), Some(1_121));
    assert_eq!(placement.carried(ORDER, CITY, &integer(310_000)), Some(2));
    assert_eq!(placement.carried(ORDER, CITY, &integer(5)), None);
    assert_eq!(placement.carried(USER, CITY, &integer(310_000)), None, "user ids carry nothing");
}

#[test]
fn a_row_has_one_slot_or_a_reason_why_not() {
    let placement = two_steps();
    let (user, city, order) =
        ((USER, integer(1_001)), (CITY, integer(110_000)), (ORDER, integer(32_363_267_169)));
    let check = |row: &[(KeyId, KeyValue<'_>)], expected| assert_eq!(placement.slot_of_row(row), expected);
    check(&[user.clone(), city.clone()], Ok(SlotId(1)));
    check(std::slice::from_ref(&order), Ok(SlotId(1)));
    check(&[user.clone(), city.clone(), order.clone()], Ok(SlotId(1)));
    check(std::slice::from_ref(&user), Err(Unplaced::Missing(CITY)));
    check(&[user.clone(), (CITY, integer(3))], Err(Unplaced::NoSlot(CITY)));
    check(&[(USER, integer(5)), city, order.clone()], Err(Unplaced::Disagree(USER, ORDER)));
    check(&[(CITY, integer(310_000)), order], Err(Unplaced::Disagree(CITY, ORDER)));
}

fn one_step(algorithm: Algorithm) -> Placement {
    let cells = (0..algorithm.outcomes()).map(|outcome| SlotId((outcome % 97) as u16)).collect();
    Placement::new("p", vec![Step { key: USER, algorithm, also_from: Vec::new() }], cells, 97)
}

#[test]
fn a_range_of_dates_touches_its_months_only() {
    let from = Date::new(2026, 1, 1).expect("a date");
    let placement = one_step(Algorithm::Interval(Interval::new(Every::Month, from, 6)));
    let moment = |text: &str| KeyValue::Moment(Moment::parse(text.as_bytes()).expect("a moment"));
    let slots = |lower: Bound<&str>, upper: Bound<&str>| -> Vec<u16> {
        let (lower, upper) = (lower.map(moment), upper.map(moment));
        placement.between(USER, lower.as_ref(), upper.as_ref()).iter().map(|slot| slot.0).collect()
    };
    use Bound::{Excluded, Included, Unbounded};
    assert_eq!(slots(Included("2026-01-15"), Excluded("2026-03-01")), [0, 1]);
    assert_eq!(slots(Included("2026-01-15"), Included("2026-03-01")), [0, 1, 2]);
    assert_eq!(slots(Excluded("2026-01-31 23:59:59"), Unbounded), [0, 1, 2, 3, 4, 5]);
    assert_eq!(slots(Unbounded, Excluded("2026-01-01")), [0; 0]);
    assert_eq!(slots(Included("2026-06-30"), Unbounded), [5]);
    assert_eq!(placement.locate(USER, &moment("2026-07-01")), Located::Nowhere);
    assert_eq!(placement.locate(USER, &moment("2026-02-28 23:59:59.9")), Located::One(SlotId(1)));
}

#[test]
fn periods_begin_where_the_calendar_says() {
    let first = |every: Every, date: [u32; 3]| {
        let date = Date::new(date[0] as i32, date[1], date[2]).expect("a date");
        every.first_day(every.period(date)).to_string()
    };
    assert_eq!(first(Every::Day, [2026, 11, 26]), "2026-11-26");
    assert_eq!(first(Every::Week, [2026, 11, 26]), "2026-11-23");
    assert_eq!(first(Every::Week, [2026, 11, 23]), "2026-11-23");
    assert_eq!(first(Every::Month, [2026, 11, 26]), "2026-11-01");
    assert_eq!(first(Every::Year, [2026, 11, 26]), "2026-01-01");
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    let spans = vec![
        Span { from: None, below: Some(integer(-5)), outcome: 3 },
        Span { from: Some(integer(-5)), below: Some(integer(40)), outcome: 0 },
        Span { from: Some(integer(40)), below: Some(integer(41)), outcome: 1 },
        Span { from: Some(integer(60)), below: None, outcome: 2 },
    ];
    let listed = (-50..50).map(|number| (integer(number * 3), number.rem_euclid(7) as u32));
    prop_oneof![
        Just(Algorithm::Hash(HASH)),
        Just(Algorithm::Range(Range::new(spans, 4))),
        Just(Algorithm::List(List::new(listed.clone(), None, 8))),
        Just(Algorithm::List(List::new(listed, Some(7), 8))),
    ]
}

fn bounds() -> impl Strategy<Value = Bound<i128>> {
    prop_oneof![
        (-100_i128..100).prop_map(Bound::Included),
        (-100_i128..100).prop_map(Bound::Excluded),
        Just(Bound::Unbounded),
    ]
}

proptest! {
    #[test]
    fn a_range_holds_the_slot_of_every_value_in_it(
        algorithm in algorithms(), lower in bounds(), upper in bounds(), value in -120_i128..120,
    ) {
        let placement = one_step(algorithm);
        let keys = (lower.map(integer), upper.map(integer));
        let slots = placement.between(USER, keys.0.as_ref(), keys.1.as_ref());
        if (lower, upper).contains(&value)
            && let Located::One(slot) = placement.locate(USER, &integer(value))
        {
            prop_assert!(slots.contains(slot));
        }
    }
}
