//! A reply as the client saw it: packets, and what they mean.

use std::fmt;

use dazzle::wire::{ErrPacket, OkPacket, Reader, StatusFlags, parse_eof};

/// One result, or what stands in its place.
#[derive(Clone, PartialEq)]
pub(crate) enum Part {
    /// An OK packet.
    Ok { affected_rows: u64, last_insert_id: u64, status: StatusFlags, warnings: u16, info: String },
    /// An ERR packet.
    Err { code: u16, state: String, message: String },
    /// A result set: column names, rows, status and warnings at its end.
    Rows { columns: Vec<String>, rows: Vec<Vec<u8>>, status: StatusFlags, warnings: u16 },
    /// The server asked for a file.
    File(String),
}

/// All packets up to the end of one reply.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Reply {
    /// Payloads, as they came.
    pub(crate) packets: Vec<Vec<u8>>,
    /// What they mean.
    pub(crate) parts: Vec<Part>,
}

impl Reply {
    /// The error that ended it, if one did.
    pub(crate) fn error(&self) -> Option<u16> {
        match self.parts.last() {
            Some(Part::Err { code, .. }) => Some(*code),
            _ => None,
        }
    }

    /// Status flags of the last packet that has some.
    pub(crate) fn status(&self) -> StatusFlags {
        let statuses = self.parts.iter().rev().filter_map(|part| match part {
            Part::Ok { status, .. } | Part::Rows { status, .. } => Some(*status),
            Part::Err { .. } | Part::File(_) => None,
        });
        statuses.into_iter().next().unwrap_or_default()
    }

    /// Text rows of the first result set; NULL is "NULL".
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        let Some(Part::Rows { columns, rows, .. }) = self.parts.first() else { panic!("no rows: {self:?}") };
        rows.iter().map(|row| text_row(row, columns.len())).collect()
    }

    /// The first column of the first row, as text.
    pub(crate) fn value(&self) -> String {
        let mut rows = self.rows();
        assert!(!rows.is_empty(), "an empty result");
        rows.remove(0).remove(0)
    }
}

fn text_row(row: &[u8], columns: usize) -> Vec<String> {
    let mut reader = Reader::new(row);
    let values = (0..columns).map(|_| {
        if reader.rest().first() == Some(&0xFB) {
            reader.u8().unwrap();
            return "NULL".to_owned();
        }
        String::from_utf8_lossy(reader.lenenc_bytes().unwrap()).into_owned()
    });
    values.collect()
}

/// The name in a column definition.
pub(crate) fn column_name(definition: &[u8]) -> String {
    let mut reader = Reader::new(definition);
    for _ in 0..4 {
        reader.lenenc_bytes().unwrap();
    }
    String::from_utf8_lossy(reader.lenenc_bytes().unwrap()).into_owned()
}

impl Part {
    pub(crate) fn of_ok(payload: &[u8]) -> Self {
        let ok = OkPacket::parse(payload).unwrap();
        Self::Ok {
            affected_rows: ok.affected_rows,
            last_insert_id: ok.last_insert_id,
            status: ok.status,
            warnings: ok.warnings,
            info: String::from_utf8_lossy(ok.info).into_owned(),
        }
    }

    pub(crate) fn of_err(payload: &[u8]) -> Self {
        let error = ErrPacket::parse(payload).unwrap();
        Self::Err {
            code: error.code,
            state: String::from_utf8_lossy(&error.state).into_owned(),
            message: String::from_utf8_lossy(&error.message).into_owned(),
        }
    }

    pub(crate) fn of_rows(columns: &[Vec<u8>], rows: Vec<Vec<u8>>, end: &[u8]) -> Self {
        let (warnings, status) = if end.len() == 5 {
            parse_eof(end).unwrap()
        } else {
            let ok = OkPacket::parse(end).unwrap();
            (ok.warnings, ok.status)
        };
        Self::Rows {
            columns: columns.iter().map(|column| column_name(column)).collect(),
            rows,
            status,
            warnings,
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok { affected_rows, last_insert_id, status, warnings, info } => write!(
                f,
                "OK({affected_rows} rows, id {last_insert_id}, {:#06x}, {warnings} warnings, {info:?})",
                status.0
            ),
            Self::Err { code, state, message } => write!(f, "ERR({code} {state} {message})"),
            Self::Rows { columns, rows, status, warnings } => {
                write!(f, "ROWS({columns:?}, {} rows, {:#06x}, {warnings} warnings", rows.len(), status.0)?;
                for row in rows.iter().take(3) {
                    write!(f, ", {}", Excerpt(row))?;
                }
                f.write_str(")")
            }
            Self::File(name) => write!(f, "FILE({name})"),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.parts).finish()
    }
}

/// The beginning of a payload, for people.
pub(crate) struct Excerpt<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(160)];
        write!(f, "{} bytes: {}", self.0.len(), shown.escape_ascii())
    }
}
