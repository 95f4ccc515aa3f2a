//! Tests of the merger: rows in, rows out.

mod properties;
mod stories;

use std::sync::Arc;

use crate::merge::collation::{Collations, Pad};
use crate::merge::error::MergeError;
use crate::merge::merger::{MergeOptions, Merger, Step};
use crate::merge::plan::MergePlan;
use crate::merge::row::RowFormat;
use crate::merge::sources::Need;
use crate::wire::{BINARY_CHARSET, ColumnDefinition, UNSIGNED_FLAG, Writer, column_type};

/// A row as a test writes it: texts, `None` for NULL.
type Cells = Vec<Option<String>>;

fn column(column_type: u8) -> ColumnDefinition {
    ColumnDefinition {
        catalog: b"def".to_vec(),
        schema: Vec::new(),
        table: Vec::new(),
        org_table: Vec::new(),
        name: b"c".to_vec(),
        org_name: Vec::new(),
        extended: None,
        charset: BINARY_CHARSET,
        length: 20,
        column_type,
        flags: 0,
        decimals: 0,
        rest: vec![0, 0],
    }
}

fn unsigned(column_type: u8) -> ColumnDefinition {
    ColumnDefinition { flags: UNSIGNED_FLAG, ..column(column_type) }
}

fn decimal(decimals: u8) -> ColumnDefinition {
    ColumnDefinition { decimals, ..column(column_type::NEWDECIMAL) }
}

fn text() -> ColumnDefinition {
    ColumnDefinition { charset: 255, ..column(column_type::VAR_STRING) }
}

fn options(format: RowFormat, bytes_max: usize) -> MergeOptions {
    let known = [
        (b"padded_ci".to_vec(), Pad { weights: Box::new([0, b' ']) }),
        (b"nopad_bin".to_vec(), Pad::default()),
    ];
    MergeOptions { format, bytes_max, collations: Arc::new(Collations::new(known)) }
}

/// `a|b|NULL` as cells.
fn cells(line: &str) -> Cells {
    line.split('|').map(|cell| (cell != "NULL").then(|| cell.to_owned())).collect()
}

fn encode(cells: &[Option<String>]) -> Vec<u8> {
    let mut payload = Vec::new();
    for cell in cells {
        match cell {
            Some(cell) => payload.put_lenenc_bytes(cell.as_bytes()),
            None => payload.push(0xFB),
        }
    }
    payload
}

fn decode(payload: &[u8]) -> Cells {
    let mut reader = crate::wire::Reader::new(payload);
    let mut cells = Vec::new();
    while !reader.is_empty() {
        if reader.rest()[0] == 0xFB {
            reader.u8().unwrap();
            cells.push(None);
        } else {
            cells.push(Some(String::from_utf8(reader.lenenc_bytes().unwrap().to_vec()).unwrap()));
        }
    }
    cells
}

/// Merges encoded rows; also returns how many rows of the sources were asked for.
fn merge_payloads(
    plan: &MergePlan,
    columns: &[ColumnDefinition],
    sources: &[Vec<Vec<u8>>],
    options: &MergeOptions,
) -> Result<(Vec<Vec<u8>>, usize), MergeError> {
    let mut merger = Merger::new(plan, columns.to_vec(), sources.len(), options)?;
    let mut next = vec![0; sources.len()];
    let (mut rows, mut asked, mut turn) = (Vec::new(), 0, 0);
    loop {
        let mut out = Vec::new();
        match merger.next(&mut out)? {
            Step::Row => rows.push(out),
            Step::Done => return Ok((rows, asked)),
            Step::Needs(need) => {
                let source = match need {
                    Need::Of(source) => source,
                    Need::Any => {
                        turn += 1;
                        let open = |source: &usize| next[*source] <= sources[*source].len();
                        (0..sources.len()).cycle().skip(turn).take(sources.len()).find(open).unwrap()
                    }
                };
                match sources[source].get(next[source]) {
                    Some(row) => {
                        merger.row(source, row)?;
                        asked += 1;
                    }
                    None => merger.end(source),
                }
                next[source] += 1;
            }
        }
    }
}

/// Merges texts.
fn merge(
    plan: &MergePlan,
    columns: &[ColumnDefinition],
    sources: &[Vec<Cells>],
) -> Result<Vec<Cells>, MergeError> {
    let encoded: Vec<Vec<Vec<u8>>> =
        sources.iter().map(|rows| rows.iter().map(|row| encode(row)).collect()).collect();
    let (rows, _) = merge_payloads(plan, columns, &encoded, &options(RowFormat::Text, 1 << 20))?;
    Ok(rows.iter().map(|row| decode(row)).collect())
}

/// Sources as lines, rows separated by blanks.
fn check(plan: &MergePlan, columns: &[ColumnDefinition], sources: &[&str], expected: &str) {
    let rows = |text: &str| text.split_whitespace().map(cells).collect::<Vec<_>>();
    let sources: Vec<Vec<Cells>> = sources.iter().map(|source| rows(source)).collect();
    assert_eq!(merge(plan, columns, &sources), Ok(rows(expected)), "{plan:?}");
}
