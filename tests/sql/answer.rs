//! What a statement came to, column by column and value by value.

use dazzle::wire::{ColumnDefinition, Reader, column_type};

use crate::support::{Part, Reply};

/// A row; `None` is NULL. Values of the binary protocol are their encoded bytes.
pub(crate) type Row = Vec<Option<Vec<u8>>>;

/// See the module's text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// A result set.
    Rows { columns: Vec<ColumnDefinition>, rows: Vec<Row>, warnings: u16 },
    /// An OK.
    Ok { affected_rows: u64, last_insert_id: u64, warnings: u16, info: String },
    /// An ERR.
    Err { code: u16, state: String, message: String },
}

impl Answer {
    /// The first result of a reply.
    pub(crate) fn of(reply: &Reply, binary: bool) -> Self {
        let failure = reply.parts.iter().find_map(|part| match part {
            Part::Err { code, state, message } => {
                Some(Self::Err { code: *code, state: state.clone(), message: message.clone() })
            }
            _ => None,
        });
        if let Some(failure) = failure {
            return failure;
        }
        match reply.parts.first() {
            Some(Part::Ok { affected_rows, last_insert_id, warnings, info, .. }) => Self::Ok {
                affected_rows: *affected_rows,
                last_insert_id: *last_insert_id,
                warnings: *warnings,
                info: info.clone(),
            },
            Some(Part::Rows { columns: names, rows, warnings, .. }) => {
                let columns: Vec<ColumnDefinition> = reply.packets[1..=names.len()]
                    .iter()
                    .map(|payload| ColumnDefinition::parse(payload).unwrap())
                    .collect();
                let rows = rows
                    .iter()
                    .map(|row| if binary { binary_row(row, &columns) } else { text_row(row, columns.len()) })
                    .collect();
                Self::Rows { columns, rows, warnings: *warnings }
            }
            other => panic!("no answer: {other:?}"),
        }
    }

    /// Whether it is a refusal of the proxy's own, which has a number.
    pub(crate) fn refusal(&self) -> Option<&str> {
        match self {
            Self::Err { message, .. } => {
                let at = message.find("DZ")?;
                let number = message.get(at..at + 6)?;
                number.bytes().skip(2).all(|byte| byte.is_ascii_digit()).then_some(number)
            }
            Self::Rows { .. } | Self::Ok { .. } => None,
        }
    }

    /// Rows of a result set.
    pub(crate) fn rows(&self) -> &[Row] {
        match self {
            Self::Rows { rows, .. } => rows,
            Self::Ok { .. } | Self::Err { .. } => &[],
        }
    }
}

fn text_row(row: &[u8], columns: usize) -> Row {
    let mut reader = Reader::new(row);
    (0..columns)
        .map(|_| {
            if reader.rest().first() == Some(&0xFB) {
                reader.u8().unwrap();
                return None;
            }
            Some(reader.lenenc_bytes().unwrap().to_vec())
        })
        .collect()
}

fn binary_row(row: &[u8], columns: &[ColumnDefinition]) -> Row {
    use column_type as is;
    let mut reader = Reader::new(row);
    reader.u8().unwrap();
    let nulls = reader.bytes((columns.len() + 9) / 8).unwrap();
    columns
        .iter()
        .enumerate()
        .map(|(n, column)| {
            if nulls[(n + 2) / 8] & (1 << ((n + 2) % 8)) != 0 {
                return None;
            }
            let value = match column.column_type {
                is::TINY => reader.bytes(1),
                is::SHORT | is::YEAR => reader.bytes(2),
                is::LONG | is::INT24 | is::FLOAT => reader.bytes(4),
                is::LONGLONG | is::DOUBLE => reader.bytes(8),
                is::DATE | is::DATETIME | is::TIMESTAMP | is::TIME => {
                    let length = reader.u8().unwrap();
                    reader.bytes(usize::from(length))
                }
                _ => reader.lenenc_bytes(),
            };
            Some(value.unwrap().to_vec())
        })
        .collect()
}
