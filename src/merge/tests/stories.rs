//! What each clause comes to, and what is refused.

use super::{check, column, decimal, encode, merge, merge_payloads, options, text, unsigned};
use crate::merge::error::{MergeError, Needed};
use crate::merge::plan::{BitOperation, Condition, Fold, Grouping, MergePlan, Operand, Operator, OrderKey};
use crate::merge::row::RowFormat;
use crate::wire::{ColumnDefinition, ENUM_FLAG, column_type};

fn ordered(shown: usize, input: &[OrderKey]) -> MergePlan {
    MergePlan { shown, input: input.to_vec(), ..MergePlan::default() }
}

fn grouped(shown: usize, input: &[OrderKey], keys: usize, folds: &[Fold]) -> MergePlan {
    let grouping = Grouping { keys, implicit: keys == 0, folds: folds.to_vec(), ..Grouping::default() };
    MergePlan { grouping: Some(grouping), ..ordered(shown, input) }
}

fn long() -> ColumnDefinition {
    column(column_type::LONGLONG)
}

#[test]
fn rows_are_merged_by_value_and_not_by_text() {
    let by = |key: OrderKey| ordered(1, &[key]);
    check(&by(OrderKey::ascending(0)), &[long()], &["NULL -5 9 100", "-10 10"], "NULL -10 -5 9 10 100");
    check(&by(OrderKey::descending(0)), &[long()], &["100 9 -5 NULL", "10 -10"], "100 10 9 -5 -10 NULL");
    let big = "1 18446744073709551615";
    check(
        &by(OrderKey::ascending(0)),
        &[unsigned(8)],
        &[big, "9223372036854775808"],
        "1 9223372036854775808 18446744073709551615",
    );
    check(
        &by(OrderKey::ascending(0)),
        &[decimal(2)],
        &["-1.50 2.00", "-10.00 10.00"],
        "-10.00 -1.50 2.00 10.00",
    );
    check(
        &by(OrderKey::ascending(0)),
        &[column(column_type::DOUBLE)],
        &["-1e20 2", "0.5 1e3"],
        "-1e20 0.5 2 1e3",
    );
    let times = column(column_type::TIME);
    check(
        &by(OrderKey::ascending(0)),
        &[times],
        &["-01:00:00 99:00:00", "-00:59:59.5 100:00:00"],
        "-01:00:00 -00:59:59.5 99:00:00 100:00:00",
    );
    let dates = column(column_type::DATE);
    check(
        &by(OrderKey::ascending(0)),
        &[dates],
        &["0000-00-00 2020-01-02", "1999-12-31"],
        "0000-00-00 1999-12-31 2020-01-02",
    );
}

#[test]
fn texts_are_merged_by_their_weights() {
    let plan = ordered(1, &[OrderKey::ascending(0).text(1, 2)]);
    let columns = [text(), column(column_type::VAR_STRING), text()];
    let row =
        |word: &str, weight: &str| vec![Some(word.into()), Some(weight.into()), Some("padded_ci".into())];
    let sources = [vec![row("b", "\0B"), row("D", "\0D")], vec![row("A", "\0A"), row("c", "\0C")]];
    let merged: Vec<_> = merge(&plan, &columns, &sources).unwrap().into_iter().flatten().flatten().collect();
    assert_eq!(merged, ["A", "b", "c", "D"]);
}

#[test]
fn an_enum_is_ordered_by_its_number_and_its_minimum_by_its_text() {
    let size = ColumnDefinition { flags: ENUM_FLAG, charset: 255, ..column(column_type::STRING) };
    let columns = [size.clone(), column(column_type::DOUBLE)];
    let plan = ordered(1, &[OrderKey::ascending(0).number(1)]);
    check(&plan, &columns, &["small|1 large|3", "medium|2"], "small medium large");
    assert_eq!(
        merge(&ordered(1, &[OrderKey::ascending(0)]), std::slice::from_ref(&size), &[]),
        Err(MergeError::Missing { column: 0, what: Needed::Number })
    );
    let binary = ColumnDefinition { charset: 63, ..size };
    let minimum = grouped(1, &[], 0, &[Fold::Min { key: OrderKey::ascending(0) }]);
    check(&minimum, &[binary], &["small", "large", "medium"], "large");
}

#[test]
fn offset_and_limit_count_over_all_sources_and_stop_early() {
    let plan = MergePlan { offset: 1, limit: Some(2), ..ordered(1, &[OrderKey::ascending(0)]) };
    check(&plan, &[long()], &["1 4 7", "2 5 8", "3 6 9"], "2 3");
    let sources: Vec<Vec<Vec<u8>>> = (0..3)
        .map(|source| (0..1000).map(|n| encode(&[Some((n * 3 + source).to_string())])).collect())
        .collect();
    let (rows, asked) = merge_payloads(&plan, &[long()], &sources, &options(RowFormat::Text, 0)).unwrap();
    assert_eq!(rows.len(), 2);
    assert!(asked <= 6, "{asked} rows were asked for");
    check(&MergePlan { limit: Some(0), ..plan }, &[long()], &["1"], "");
    let any = MergePlan { limit: Some(3), ..MergePlan::concatenate(1) };
    let (rows, _) = merge_payloads(&any, &[long()], &sources, &options(RowFormat::Text, 0)).unwrap();
    assert_eq!(rows.len(), 3);
}

#[test]
fn groups_are_put_together_from_the_sources_parts() {
    let folds =
        [Fold::Count { column: 1 }, Fold::Sum { column: 2 }, Fold::Average { column: 3, sum: 2, count: 1 }];
    let columns = [long(), long(), decimal(0), decimal(4)];
    let plan = grouped(4, &[OrderKey::ascending(0)], 1, &folds);
    check(
        &plan,
        &columns,
        &["NULL|1|5|5.0000 1|2|5|2.5000", "1|1|5|5.0000 2|0|NULL|NULL"],
        "NULL|1|5|5.0000 1|3|10|3.3333 2|0|NULL|NULL",
    );
    let having = Condition::Compare {
        left: Operand::Column(2),
        operator: Operator::GreaterOrEqual,
        right: Operand::Number("5.5".into()),
    };
    let plan = MergePlan { having: Some(having), sort: vec![OrderKey::descending(1)], ..plan };
    check(&plan, &columns, &["1|2|5|2.5000 2|1|9|9.0000", "1|1|5|5.0000"], "1|3|10|3.3333 2|1|9|9.0000");
}

#[test]
fn an_aggregate_of_nothing_is_one_row_and_a_group_of_nothing_none() {
    let bits = |operation, column| Fold::Bits { operation, column };
    let folds = [
        Fold::Count { column: 0 },
        Fold::Sum { column: 1 },
        bits(BitOperation::And, 2),
        bits(BitOperation::Or, 3),
    ];
    let columns = [long(), decimal(0), unsigned(8), unsigned(8)];
    check(&grouped(4, &[], 0, &folds), &columns, &["", ""], "0|NULL|18446744073709551615|0");
    check(&grouped(4, &[], 0, &folds), &columns, &["1|2|7|1", "0|NULL|13|2"], "1|2|5|3");
    check(&grouped(4, &[OrderKey::ascending(0)], 1, &folds[1..]), &columns, &["", ""], "");
}

#[test]
fn different_arguments_are_counted_once_wherever_they_are() {
    // SELECT g, COUNT(DISTINCT x), SUM(DISTINCT x), AVG(DISTINCT x), COUNT(*) … GROUP BY g
    let folds = [
        Fold::CountDistinct { column: 1, set: 0 },
        Fold::SumDistinct { column: 2, value: 5, set: 0 },
        Fold::AverageDistinct { column: 3, sum: 2, value: 5, set: 0 },
        Fold::Count { column: 4 },
    ];
    let columns = [long(), long(), decimal(0), decimal(4), long(), long()];
    let plan = |input: &[OrderKey], ordered| {
        let mut plan = grouped(5, input, 1, &folds);
        let sets = vec![vec![OrderKey::ascending(5)]];
        plan.grouping = plan.grouping.map(|grouping| Grouping { sets, ordered, ..grouping });
        plan
    };
    let expected = "1|2|7|3.5000|6 2|1|3|3.0000|1";
    check(
        &plan(&[OrderKey::ascending(0), OrderKey::ascending(5)], Some(0)),
        &columns,
        &["1|0|NULL|NULL|2|NULL 1|1|3|3|1|3 2|1|3|3|1|3", "1|2|6|3|2|3 1|1|4|4|1|4"],
        expected,
    );
    check(
        &plan(&[OrderKey::ascending(0)], None),
        &columns,
        &["1|1|3|3|1|3 1|0|NULL|NULL|2|NULL 2|1|3|3|1|3", "1|1|4|4|1|4 1|2|6|3|2|3"],
        expected,
    );
}

#[test]
fn texts_are_put_together_in_order_and_never_cut() {
    // SELECT g, GROUP_CONCAT(x ORDER BY k SEPARATOR ';') … GROUP BY g, k
    let folds = [Fold::Concat { column: 1, length: 2, length_max: 3, separator: 0, set: None }];
    let mut plan = grouped(2, &[OrderKey::ascending(0), OrderKey::descending(4)], 1, &folds);
    let separators = vec![b";".to_vec()];
    plan.grouping = plan.grouping.map(|grouping| Grouping { separators, ..grouping });
    let columns = [long(), column(column_type::BLOB), long(), long(), long()];
    let slots = ["1|c|1|40|9 1|a|1|40|3 1|NULL|NULL|40|2 2|NULL|NULL|40|7", "1|b|1|40|5"];
    check(&plan, &columns, &slots, "1|c;b;a 2|NULL");
    let long = ["1|aaaaaaaa|8|20|1", "1|bbbbb|5|20|1"];
    let rows = long.map(|row| vec![row.split('|').map(|cell| Some(cell.to_owned())).collect()]);
    assert_eq!(merge(&plan, &columns, &rows), Err(MergeError::Cut));
}

#[test]
fn the_first_and_last_of_all_are_found() {
    let folds = [Fold::Min { key: OrderKey::ascending(0) }, Fold::Max { key: OrderKey::descending(1) }];
    check(&grouped(2, &[], 0, &folds), &[long(), long()], &["9|9", "NULL|NULL", "10|10"], "9|10");
    check(&grouped(2, &[], 0, &folds), &[long(), long()], &["NULL|NULL", ""], "NULL|NULL");
}

#[test]
fn what_cannot_be_compared_is_refused_before_the_first_row() {
    let by = |column| merge(&ordered(1, &[OrderKey::ascending(0)]), &[column], &[]);
    assert_eq!(by(column(column_type::JSON)), Err(MergeError::Unordered { kind: "JSON" }));
    assert_eq!(by(column(column_type::GEOMETRY)), Err(MergeError::Unordered { kind: "GEOMETRY" }));
    assert_eq!(by(text()), Err(MergeError::Missing { column: 0, what: Needed::Weights }));
    assert_eq!(by(column(column_type::FLOAT)), Err(MergeError::Missing { column: 0, what: Needed::Number }));
    let unknown = vec![vec![Some("a".into()), Some("a".into()), Some("klingon_ci".into())]];
    let plan = ordered(1, &[OrderKey::ascending(0).text(1, 2)]);
    let columns = [text(), column(column_type::VAR_STRING), text()];
    assert_eq!(merge(&plan, &columns, &[unknown]), Err(MergeError::Collation("klingon_ci".into())));
}

#[test]
fn rows_out_of_order_are_an_error_and_not_a_result() {
    let plan = ordered(1, &[OrderKey::ascending(0)]);
    let source = ["1", "3", "2"].map(|cell| vec![Some(cell.to_owned())]).to_vec();
    assert_eq!(merge(&plan, &[long()], &[source]), Err(MergeError::Disorder));
}

#[test]
fn what_must_be_held_is_bounded_and_a_limit_bounds_it() {
    let rows: Vec<Vec<u8>> = (0..10_000).map(|n| encode(&[Some((n * 7919 % 10_000).to_string())])).collect();
    let plan = MergePlan { shown: 1, sort: vec![OrderKey::ascending(0)], ..MergePlan::default() };
    let small = options(RowFormat::Text, 100_000);
    let result = merge_payloads(&plan, &[long()], std::slice::from_ref(&rows), &small);
    assert_eq!(result, Err(MergeError::Memory(100_000)));
    let top = MergePlan { offset: 2, limit: Some(3), ..plan };
    let (rows, _) = merge_payloads(&top, &[long()], &[rows], &small).unwrap();
    assert_eq!(rows, ["2", "3", "4"].map(|cell| encode(&[Some(cell.into())])));
}

#[test]
fn a_slot_with_other_columns_is_noticed() {
    let merger =
        crate::merge::Merger::new(&MergePlan::concatenate(1), vec![long()], 2, &options(RowFormat::Text, 0))
            .unwrap();
    let elsewhere = ColumnDefinition { schema: b"shop_1".to_vec(), ..long() };
    assert_eq!(merger.check(&[elsewhere]), Ok(()));
    for other in [vec![text()], vec![unsigned(8)], vec![], vec![long(), long()]] {
        assert_eq!(merger.check(&other), Err(MergeError::Drift));
    }
}
