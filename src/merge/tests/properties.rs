//! Against a simple reference: all rows in one list, sorted and grouped there.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Cells, column, decimal, encode, merge, merge_payloads, options, unsigned};
use crate::merge::merger::Merger;
use crate::merge::plan::{Fold, Grouping, MergePlan, OrderKey};
use crate::merge::row::RowFormat;
use crate::wire::{ColumnDefinition, Writer, column_type};

/// A row of the reference: a nullable integer, a decimal of scale 2 in hundredths, a number that tells
/// rows apart.
type Plain = (Option<i64>, i64, usize);

fn hundredths(n: i64) -> String {
    format!("{}{}.{:02}", if n < 0 { "-" } else { "" }, n.unsigned_abs() / 100, n.unsigned_abs() % 100)
}

fn as_cells(row: &Plain) -> Cells {
    vec![row.0.map(|n| n.to_string()), Some(hundredths(row.1)), Some(row.2.to_string())]
}

fn columns() -> Vec<ColumnDefinition> {
    vec![column(column_type::LONGLONG), decimal(2), unsigned(column_type::LONGLONG)]
}

fn compare(a: &Plain, b: &Plain, descending: (bool, bool)) -> Ordering {
    let turn = |order: Ordering, turned| if turned { order.reverse() } else { order };
    turn(a.0.cmp(&b.0), descending.0).then(turn(a.1.cmp(&b.1), descending.1))
}

fn rows() -> impl Strategy<Value = Vec<(Plain, usize)>> {
    let value = prop_oneof![Just(None), (-3_i64..3).prop_map(Some), any::<i64>().prop_map(Some)];
    let row = (value, prop_oneof![-300_i64..300, any::<i64>().prop_map(|n| n / 4)], 0_usize..5);
    proptest::collection::vec(row, 0..60).prop_map(|rows| {
        rows.into_iter().enumerate().map(|(id, (a, b, source))| ((a, b, id), source)).collect()
    })
}

/// The rows of each source, as their servers would order them.
fn spread(rows: &[(Plain, usize)], order: impl Fn(&Plain, &Plain) -> Ordering) -> Vec<Vec<Plain>> {
    let mut sources = vec![Vec::new(); 5];
    for (row, source) in rows {
        sources[*source].push(*row);
    }
    sources.iter_mut().for_each(|source| source.sort_by(&order));
    sources
}

proptest! {
    #[test]
    fn merged_rows_are_all_rows_in_order(
        rows in rows(), first in any::<bool>(), second in any::<bool>(), offset in 0_u64..8, limit in proptest::option::of(0_u64..40),
    ) {
        let key = |column, descending| OrderKey { descending, ..OrderKey::ascending(column) };
        let input = vec![key(0, first), key(1, second), OrderKey::ascending(2)];
        let plan = MergePlan { shown: 3, input, offset, limit, ..MergePlan::default() };
        let order = |a: &Plain, b: &Plain| compare(a, b, (first, second)).then(a.2.cmp(&b.2));
        let sources: Vec<Vec<Cells>> =
            spread(&rows, order).iter().map(|rows| rows.iter().map(as_cells).collect()).collect();
        let mut expected: Vec<Plain> = rows.iter().map(|(row, _)| *row).collect();
        expected.sort_by(order);
        let expected: Vec<Cells> = expected
            .iter()
            .skip(offset as usize)
            .take(limit.unwrap_or(u64::MAX) as usize)
            .map(as_cells)
            .collect();
        prop_assert_eq!(merge(&plan, &columns(), &sources), Ok(expected));
    }

    #[test]
    fn groups_are_those_of_one_list(rows in rows()) {
        // SELECT a, COUNT(*), SUM(b), MIN(b), MAX(id) … GROUP BY a
        let partial = |rows: &[Plain]| {
            let mut groups: BTreeMap<Option<i64>, (u64, i128, i64, usize)> = BTreeMap::new();
            for (a, b, id) in rows {
                let group = groups.entry(*a).or_insert((0, 0, i64::MAX, 0));
                *group = (group.0 + 1, group.1 + i128::from(*b), group.2.min(*b), group.3.max(*id));
            }
            groups.into_iter().map(|(a, (count, sum, least, last))| {
                let sum = format!("{}{}.{:02}", if sum < 0 { "-" } else { "" }, sum.unsigned_abs() / 100, sum.unsigned_abs() % 100);
                vec![a.map(|a| a.to_string()), Some(count.to_string()), Some(sum), Some(hundredths(least)), Some(last.to_string())]
            }).collect::<Vec<Cells>>()
        };
        let folds = vec![
            Fold::Count { column: 1 },
            Fold::Sum { column: 2 },
            Fold::Min { key: OrderKey::ascending(3) },
            Fold::Max { key: OrderKey::ascending(4) },
        ];
        let grouping = Grouping { keys: 1, folds, ..Grouping::default() };
        let plan = MergePlan {
            shown: 5, input: vec![OrderKey::ascending(0)], grouping: Some(grouping), ..MergePlan::default()
        };
        let columns = [
            column(column_type::LONGLONG), column(column_type::LONGLONG), decimal(2), decimal(2),
            column(column_type::LONGLONG),
        ];
        let sources: Vec<Vec<Cells>> =
            spread(&rows, |_, _| Ordering::Equal).iter().map(|rows| partial(rows)).collect();
        let all: Vec<Plain> = rows.iter().map(|(row, _)| *row).collect();
        prop_assert_eq!(merge(&plan, &columns, &sources), Ok(partial(&all)));
    }

    #[test]
    fn the_binary_protocol_gives_the_same_rows(rows in rows()) {
        let order = |a: &Plain, b: &Plain| compare(a, b, (false, true)).then(a.2.cmp(&b.2));
        let input = vec![OrderKey::ascending(0), OrderKey::descending(1), OrderKey::ascending(2)];
        let plan = MergePlan { shown: 2, input, ..MergePlan::default() };
        let encode = |row: &Plain, columns: usize| {
            let mut payload = vec![0, if row.0.is_none() { 4 } else { 0 }];
            if let Some(n) = row.0 {
                payload.put_u64(n as u64);
            }
            payload.put_lenenc_bytes(hundredths(row.1).as_bytes());
            if columns == 3 {
                payload.put_u64(row.2 as u64);
            }
            payload
        };
        let sources: Vec<Vec<Vec<u8>>> = spread(&rows, order)
            .iter()
            .map(|rows| rows.iter().map(|row| encode(row, 3)).collect())
            .collect();
        let mut expected: Vec<Plain> = rows.iter().map(|(row, _)| *row).collect();
        expected.sort_by(order);
        let expected: Vec<Vec<u8>> = expected.iter().map(|row| encode(row, 2)).collect();
        let merged = merge_payloads(&plan, &columns(), &sources, &options(RowFormat::Binary, 0));
        prop_assert_eq!(merged.map(|(rows, _)| rows), Ok(expected));
    }

    #[test]
    fn random_rows_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..60), binary in any::<bool>()) {
        let kinds = [8, 246, 5, 12, 11, 16, 253, 4].map(column).to_vec();
        let input = (0..7).map(OrderKey::ascending).collect();
        let plan = MergePlan { shown: 3, input, ..MergePlan::default() };
        let format = if binary { RowFormat::Binary } else { RowFormat::Text };
        let mut merger = Merger::new(&plan, kinds, 1, &options(format, 0)).unwrap();
        for _ in 0..2 {
            if merger.row(0, &payload).is_ok() {
                let _ = merger.next(&mut Vec::new());
            }
        }
    }
}

#[test]
fn unordered_rows_all_come() {
    let sources: Vec<Vec<Vec<u8>>> = (0..3_usize)
        .map(|source| (0..source * 3).map(|n| encode(&[Some(format!("{source}.{n}"))])).collect())
        .collect();
    let plan = MergePlan::concatenate(1);
    let (mut rows, _) =
        merge_payloads(&plan, &[column(253)], &sources, &options(RowFormat::Text, 0)).unwrap();
    let mut expected: Vec<Vec<u8>> = sources.concat();
    rows.sort();
    expected.sort();
    assert_eq!(rows, expected);
}
