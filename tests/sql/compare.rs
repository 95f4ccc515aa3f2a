//! Whether two answers are the same, as far as the statement says what the same is.

use std::collections::HashMap;

use dazzle::wire::{BINARY_CHARSET, ColumnDefinition, ENUM_FLAG, SET_FLAG, UNSIGNED_FLAG, column_type};

use crate::answer::{Answer, Row};

/// What a statement promises about its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Promise {
    /// Every row has its place.
    pub(crate) total: bool,
    /// Columns that the rows are ordered by, whose equal values are written alike.
    pub(crate) ordered: Vec<usize>,
    /// Which rows LIMIT takes is not determined: they must be some of the whole result's.
    pub(crate) cut: bool,
    /// Columns of which any of several equal spellings may stand for a group.
    pub(crate) loose: Vec<usize>,
    /// Whether there are warnings depends on which rows a server looks at, and how: with LIMIT, or where a text
    /// that is not wholly a number is compared with one.
    pub(crate) warned_by_plan: bool,
}

/// What the comparison came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The same.
    Same,
    /// The same but for a detail that a server's own choice of a plan changes as well: a column's display
    /// width, its flags of keys and NOT NULL, how often a warning was given.
    Nearly(String),
    /// Refused by this number.
    Refused(String),
    /// Different, and in what.
    Wrong(String),
}

/// Compares the proxy's answer with the one of a plain server. `whole` is the plain server's answer without
/// the LIMIT, where the promise is cut.
pub(crate) fn verdict(
    promise: &Promise,
    reference: &Answer,
    whole: Option<&Answer>,
    subject: &Answer,
) -> Verdict {
    if let Some(number) = subject.refusal() {
        return Verdict::Refused(number.to_owned());
    }
    match differences(promise, reference, whole, subject) {
        None => details(reference, subject).map_or(Verdict::Same, Verdict::Nearly),
        Some(what) => Verdict::Wrong(what),
    }
}

/// What differs between two answers with the same rows.
fn details(reference: &Answer, subject: &Answer) -> Option<String> {
    let (Answer::Rows { columns: a, warnings: w, .. }, Answer::Rows { columns: b, warnings: v, .. }) =
        (reference, subject)
    else {
        return None;
    };
    let column = a.iter().zip(b).find(|(a, b)| a != b);
    let what = |(a, b): (&ColumnDefinition, &ColumnDefinition)| {
        let shown = |column: &ColumnDefinition| (column.length, column.flags, column.decimals);
        format!("{}: {:?} for {:?}", String::from_utf8_lossy(&a.name), shown(b), shown(a))
    };
    column.map(what).or_else(|| (w != v).then(|| format!("{v} warnings for {w}")))
}

fn differences(
    promise: &Promise,
    reference: &Answer,
    whole: Option<&Answer>,
    subject: &Answer,
) -> Option<String> {
    match (reference, subject) {
        (Answer::Err { code: a, state: s, .. }, Answer::Err { code: b, state: t, message }) => {
            (a != b || s != t).then(|| format!("error {b} {t} for {a} {s}: {message}"))
        }
        (Answer::Ok { .. }, Answer::Ok { .. }) => {
            (reference != subject).then(|| format!("{subject:?} for {reference:?}"))
        }
        (
            Answer::Rows { columns: a, rows: expected, warnings: w },
            Answer::Rows { columns: b, rows, warnings: v },
        ) => metadata(a, b)
            .or_else(|| {
                (!promise.warned_by_plan && (*w == 0) != (*v == 0)).then(|| format!("{v} warnings for {w}"))
            })
            .or_else(|| rows_differ(promise, a, (expected, rows), whole)),
        _ => Some(format!("{} for {}", brief(subject), brief(reference))),
    }
}

fn brief(answer: &Answer) -> String {
    match answer {
        Answer::Rows { rows, .. } => format!("{} rows", rows.len()),
        Answer::Ok { affected_rows, .. } => format!("OK of {affected_rows} rows"),
        Answer::Err { code, message, .. } => format!("error {code} {message}"),
    }
}

fn metadata(expected: &[ColumnDefinition], columns: &[ColumnDefinition]) -> Option<String> {
    if expected.len() != columns.len() {
        return Some(format!("{} columns for {}", columns.len(), expected.len()));
    }
    let typed = |column: &ColumnDefinition| {
        let text = column.charset != BINARY_CHARSET;
        let flags = column.flags & (UNSIGNED_FLAG | ENUM_FLAG | SET_FLAG);
        let names =
            (column.schema.clone(), column.table.clone(), column.org_table.clone(), column.name.clone());
        let decimals = if text { 0 } else { column.decimals };
        // Servers tell an origin of what is no table's column only where their plan made a temporary table.
        let origin = if column.org_table.is_empty() { Vec::new() } else { column.org_name.clone() };
        (names, origin, column.column_type, column.charset, flags, decimals)
    };
    let pair = expected.iter().zip(columns).find(|(a, b)| typed(a) != typed(b));
    pair.map(|(a, b)| format!("column {b:?} for {a:?}"))
}

fn rows_differ(
    promise: &Promise,
    columns: &[ColumnDefinition],
    (expected, rows): (&[Row], &[Row]),
    whole: Option<&Answer>,
) -> Option<String> {
    if expected.len() != rows.len() {
        return Some(format!("{} rows for {}", rows.len(), expected.len()));
    }
    let plain = |rows: &[Row]| rows.iter().map(|row| canonical(row, columns, promise)).collect::<Vec<_>>();
    let (expected, rows) = (plain(expected), plain(rows));
    if promise.total {
        let at = expected.iter().zip(&rows).position(|(a, b)| a != b)?;
        return Some(format!("row {at} is {} for {}", shown(&rows[at]), shown(&expected[at])));
    }
    let order = |row: &Row| promise.ordered.iter().map(|column| row[*column].clone()).collect::<Row>();
    if let Some(at) = expected.iter().zip(&rows).position(|(a, b)| order(a) != order(b)) {
        return Some(format!("row {at} is {} for {}", shown(&rows[at]), shown(&expected[at])));
    }
    match whole.filter(|_| promise.cut) {
        Some(whole) => surplus(&plain(whole.rows()), &rows),
        None => surplus(&expected, &rows),
    }
}

/// A row that there are more of than there may be.
fn surplus(allowed: &[Row], rows: &[Row]) -> Option<String> {
    let mut left: HashMap<&Row, usize> = HashMap::new();
    for row in allowed {
        *left.entry(row).or_default() += 1;
    }
    let extra = rows.iter().find(|row| match left.get_mut(row) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    extra.map(|row| format!("a row that should not be there: {}", shown(row)))
}

/// A row in which what may differ does not: doubles to 13 digits, spellings of one text.
fn canonical(row: &Row, columns: &[ColumnDefinition], promise: &Promise) -> Row {
    let cell = |(n, value): (usize, &Option<Vec<u8>>)| {
        let value = value.as_ref()?;
        if columns[n].column_type == column_type::DOUBLE {
            let number =
                match (std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()), value.len()) {
                    (Some(number), _) => number,
                    (None, 8) => f64::from_le_bytes(value[..].try_into().unwrap()),
                    (None, _) => return Some(value.clone()),
                };
            return Some(format!("{number:.12e}").into_bytes());
        }
        if promise.loose.contains(&n) {
            let text: String =
                String::from_utf8_lossy(value).to_lowercase().chars().map(plain_letter).collect();
            return Some(text.trim_end_matches(' ').as_bytes().to_vec());
        }
        Some(value.clone())
    };
    row.iter().enumerate().map(cell).collect()
}

/// The letter that `utf8mb4_general_ci` weighs alike, of those in the data.
const fn plain_letter(letter: char) -> char {
    match letter {
        'ä' => 'a',
        'ë' => 'e',
        'ü' => 'u',
        'ß' => 's',
        other => other,
    }
}

fn shown(row: &Row) -> String {
    let cell = |value: &Option<Vec<u8>>| {
        value.as_ref().map_or("NULL".to_owned(), |value| value.escape_ascii().to_string())
    };
    row.iter().map(cell).collect::<Vec<_>>().join(" | ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::{Promise, Verdict, verdict};
    use crate::answer::Answer;
    use dazzle::wire::{ColumnDefinition, column_type};

    fn columns(kinds: &[u8]) -> Vec<ColumnDefinition> {
        let column = |kind: &u8| ColumnDefinition {
            catalog: b"def".to_vec(),
            schema: b"waimai".to_vec(),
            table: Vec::new(),
            org_table: Vec::new(),
            name: b"c".to_vec(),
            org_name: Vec::new(),
            charset: 63,
            length: 20,
            column_type: *kind,
            flags: 0,
            decimals: 0,
            rest: Vec::new(),
            extended: None,
        };
        kinds.iter().map(column).collect()
    }

    fn rows(kinds: &[u8], lines: &[&str]) -> Answer {
        let cell = |cell: &str| (cell != "NULL").then(|| cell.as_bytes().to_vec());
        let rows = lines.iter().map(|line| line.split('|').map(cell).collect()).collect();
        Answer::Rows { columns: columns(kinds), rows, warnings: 0 }
    }

    const TWO: &[u8] = &[column_type::LONGLONG, column_type::VAR_STRING];

    fn check(promise: &Promise, expected: &[&str], subject: &[&str], same: bool) {
        let found = verdict(promise, &rows(TWO, expected), None, &rows(TWO, subject));
        assert_eq!(found == Verdict::Same, same, "{expected:?} {subject:?}: {found:?}");
    }

    /// Every kind of wrong answer of the proxies that came before this one.
    #[test]
    fn planted_wrong_answers_are_found() {
        let (any, total) = (Promise::default(), Promise { total: true, ..Promise::default() });
        let expected = ["1|a", "2|b", "2|c"];
        check(&any, &expected, &["2|c", "1|a", "2|b"], true);
        check(&total, &expected, &["2|c", "1|a", "2|b"], false);
        check(&any, &expected, &["1|a", "2|b"], false);
        check(&any, &expected, &["1|a", "2|b", "2|b"], false);
        check(&any, &expected, &["1|a", "2|b", "2|NULL"], false);
        check(&any, &["0|a"], &["NULL|a"], false);
        let by_first = Promise { ordered: vec![0], ..Promise::default() };
        check(&by_first, &expected, &["1|a", "2|c", "2|b"], true);
        check(&by_first, &expected, &["2|c", "2|b", "1|a"], false);
        let loose = Promise { loose: vec![1], ..Promise::default() };
        check(&loose, &["1|a"], &["1|A  "], true);
        check(&any, &["1|a"], &["1|A"], false);
    }

    #[test]
    fn rows_that_a_limit_took_must_be_of_the_result_and_in_its_order() {
        let promise = Promise { ordered: vec![0], cut: true, ..Promise::default() };
        let whole = rows(TWO, &["1|a", "2|b", "2|c", "3|d"]);
        let judge = |subject: &[&str]| {
            verdict(&promise, &rows(TWO, &["1|a", "2|b"]), Some(&whole), &rows(TWO, subject))
        };
        assert_eq!(judge(&["1|a", "2|c"]), Verdict::Same);
        for wrong in [&["1|a", "3|d"][..], &["1|a", "1|a"], &["1|a"], &["1|a", "2|x"]] {
            assert!(matches!(judge(wrong), Verdict::Wrong(_)), "{wrong:?}");
        }
    }

    #[test]
    fn types_errors_and_counts_are_compared_and_refusals_counted() {
        let any = Promise::default();
        let wider = rows(&[column_type::NEWDECIMAL, column_type::VAR_STRING], &["1|a"]);
        assert!(matches!(verdict(&any, &rows(TWO, &["1|a"]), None, &wider), Verdict::Wrong(_)));
        let error =
            |code, message: &str| Answer::Err { code, state: "42000".into(), message: message.into() };
        assert_eq!(
            verdict(&any, &rows(TWO, &[]), None, &error(1235, "DZ1001: across slots")),
            Verdict::Refused("DZ1001".into())
        );
        assert_eq!(verdict(&any, &error(1146, "no a.t"), None, &error(1146, "no a_1.t")), Verdict::Same);
        assert!(matches!(verdict(&any, &error(1146, ""), None, &error(1054, "")), Verdict::Wrong(_)));
        let ok = |affected_rows, last_insert_id| Answer::Ok {
            affected_rows,
            last_insert_id,
            warnings: 0,
            info: String::new(),
        };
        assert_eq!(verdict(&any, &ok(2, 5), None, &ok(2, 5)), Verdict::Same);
        assert!(matches!(verdict(&any, &ok(2, 5), None, &ok(4, 5)), Verdict::Wrong(_)));
        assert!(matches!(verdict(&any, &ok(2, 5), None, &ok(2, 6)), Verdict::Wrong(_)));
        let double = |text| rows(&[column_type::DOUBLE], &[text]);
        assert_eq!(verdict(&any, &double("0.3"), None, &double("0.30000000000000004")), Verdict::Same);
        assert!(matches!(verdict(&any, &double("0.3"), None, &double("0.3001")), Verdict::Wrong(_)));
    }
}
