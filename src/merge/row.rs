//! One row of a source: its bytes, where its cells are, and the keys it is compared by.

use std::ops::Range;

use crate::merge::error::MergeError;
use crate::merge::value::{Comparator, Key, integer};
use crate::wire::{ColumnDefinition, Malformed, Reader, Writer, column_type};

/// How rows are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// Replies to COM_QUERY.
    Text,
    /// Replies to COM_STMT_EXECUTE.
    Binary,
}

/// See the module's text. Its buffers are used again for the next row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) bytes: Vec<u8>,
    /// Where the content of each cell is; `None` for NULL.
    pub(crate) cells: Vec<Option<Range<usize>>>,
    /// Where what the client sees ends.
    shown_end: usize,
    pub(crate) keys: Vec<Key>,
}

/// What rows of a result consist of.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) format: RowFormat,
    pub(crate) columns: Vec<ColumnDefinition>,
    pub(crate) shown: usize,
}

impl Row {
    /// Takes in a row's payload.
    pub(crate) fn load(&mut self, payload: &[u8], layout: &Layout) -> Result<(), MergeError> {
        self.bytes.clear();
        self.bytes.extend_from_slice(payload);
        self.find_cells(layout)
    }

    /// A row of this payload, without keys.
    pub(crate) fn from_payload(bytes: Vec<u8>, layout: &Layout) -> Result<Self, MergeError> {
        let mut row = Self { bytes, ..Self::default() };
        row.find_cells(layout)?;
        Ok(row)
    }

    /// Finds the cells in the bytes.
    fn find_cells(&mut self, layout: &Layout) -> Result<(), MergeError> {
        self.cells.clear();
        self.shown_end = 0;
        let mut reader = Reader::new(&self.bytes);
        let length = self.bytes.len();
        let nulls = match layout.format {
            RowFormat::Text => &[][..],
            RowFormat::Binary => {
                reader.u8()?;
                reader.bytes((layout.columns.len() + 9) / 8)?
            }
        };
        for (n, column) in layout.columns.iter().enumerate() {
            if n == layout.shown {
                self.shown_end = length - reader.rest().len();
            }
            let null = match layout.format {
                RowFormat::Text => reader.rest().first() == Some(&0xFB),
                RowFormat::Binary => nulls[(n + 2) / 8] & (1 << ((n + 2) % 8)) != 0,
            };
            if null {
                if layout.format == RowFormat::Text {
                    reader.u8()?;
                }
                self.cells.push(None);
                continue;
            }
            let content = match layout.format {
                RowFormat::Text => reader.lenenc_bytes()?,
                RowFormat::Binary => binary_value(&mut reader, column.column_type)?,
            };
            let end = length - reader.rest().len();
            self.cells.push(Some(end - content.len()..end));
        }
        if !reader.is_empty() {
            return Err(Malformed("row with more bytes than its columns have").into());
        }
        if layout.shown == layout.columns.len() {
            self.shown_end = length;
        }
        Ok(())
    }

    /// Reads the keys that it is compared by.
    pub(crate) fn read_keys(
        &mut self,
        comparators: &[Comparator],
        layout: &Layout,
    ) -> Result<(), MergeError> {
        self.keys.clear();
        for comparator in comparators {
            let cell = self.cells.get(comparator.column).cloned().flatten();
            if cell.is_none() && self.cell(comparator.key.column).is_some() {
                // A server gives no weights that would exceed its max_allowed_packet; that is no NULL.
                return Err(MergeError::Malformed(Malformed("a text without weights")));
            }
            self.keys.push(comparator.read(cell, &self.bytes, &layout.columns, layout.format)?);
        }
        Ok(())
    }

    /// The content of a cell.
    pub(crate) fn cell(&self, column: usize) -> Option<&[u8]> {
        self.cells.get(column)?.clone().map(|range| &self.bytes[range])
    }

    /// Appends the payload that the client sees.
    pub(crate) fn emit(&self, layout: &Layout, out: &mut Vec<u8>) {
        match layout.format {
            _ if layout.shown == layout.columns.len() => out.extend_from_slice(&self.bytes),
            RowFormat::Text => out.extend_from_slice(&self.bytes[..self.shown_end]),
            RowFormat::Binary => {
                let (all, shown) = ((layout.columns.len() + 9) / 8, (layout.shown + 9) / 8);
                let start = out.len();
                out.extend_from_slice(&self.bytes[..=shown]);
                // Bits of hidden columns are no business of the client's.
                let spare = shown * 8 - (layout.shown + 2);
                if let Some(last) = out[start..].last_mut() {
                    *last &= 0xFF >> spare;
                }
                out.extend_from_slice(&self.bytes[1 + all..self.shown_end]);
            }
        }
    }
}

/// The content of one value of the binary protocol.
fn binary_value<'a>(reader: &mut Reader<'a>, kind: u8) -> Result<&'a [u8], Malformed> {
    use column_type as is;
    match kind {
        is::TINY => reader.bytes(1),
        is::SHORT | is::YEAR => reader.bytes(2),
        is::LONG | is::INT24 | is::FLOAT => reader.bytes(4),
        is::LONGLONG | is::DOUBLE => reader.bytes(8),
        is::DATE | is::NEWDATE | is::DATETIME | is::TIMESTAMP | is::TIME => {
            let length = reader.u8()?;
            reader.bytes(usize::from(length))
        }
        _ => reader.lenenc_bytes(),
    }
}

/// A cell's integer as text.
pub(crate) fn number_text(
    value: &[u8],
    definition: &ColumnDefinition,
    format: RowFormat,
) -> Result<Vec<u8>, MergeError> {
    match format {
        RowFormat::Text => Ok(value.to_vec()),
        RowFormat::Binary => Ok(integer(value, definition, format)?.to_string().into_bytes()),
    }
}

/// Appends rows cell by cell.
pub(crate) struct RowWriter<'a> {
    layout: &'a Layout,
    out: Vec<u8>,
    column: usize,
}

impl<'a> RowWriter<'a> {
    /// A row without cells yet, written into `out`.
    pub(crate) fn new(layout: &'a Layout, mut out: Vec<u8>) -> Self {
        out.clear();
        if layout.format == RowFormat::Binary {
            out.push(0);
            out.resize(1 + (layout.columns.len() + 9) / 8, 0);
        }
        Self { layout, out, column: 0 }
    }

    /// The next cell: its content in this format, `None` for NULL.
    pub(crate) fn put(&mut self, content: Option<&[u8]>) {
        use column_type as is;
        let n = self.column;
        self.column += 1;
        match (content, self.layout.format) {
            (None, RowFormat::Text) => self.out.push(0xFB),
            (None, RowFormat::Binary) => self.out[1 + (n + 2) / 8] |= 1 << ((n + 2) % 8),
            (Some(content), RowFormat::Text) => self.out.put_lenenc_bytes(content),
            (Some(content), RowFormat::Binary) => match self.layout.columns[n].column_type {
                is::TINY
                | is::SHORT
                | is::YEAR
                | is::LONG
                | is::INT24
                | is::FLOAT
                | is::LONGLONG
                | is::DOUBLE => {
                    self.out.extend_from_slice(content);
                }
                // A point in time takes 12 bytes at most: its length is one byte in either encoding.
                _ => self.out.put_lenenc_bytes(content),
            },
        }
    }

    /// The payload.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }
}
