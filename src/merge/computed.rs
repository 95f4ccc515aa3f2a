//! Expressions of aggregates: their operands are merged here, and a server computes with them, by its own
//! arithmetic and under the session's settings.

use crate::merge::error::MergeError;
use crate::merge::number::{encode_double, encode_integer};
use crate::merge::plan::Computed;
use crate::merge::row::{Layout, Row, RowFormat, RowWriter};
use crate::merge::value::{double, integer};
use crate::wire::{ColumnDefinition, Malformed, Reader, UNSIGNED_FLAG, column_type};

/// Rows that one statement computes.
const BATCH: usize = 100;

/// Decimals of a DOUBLE without a fixed number of them.
const DECIMALS_VARY: u8 = 31;

/// The merged rows whose expressions are still to be computed, and what a server has answered so far.
#[derive(Debug)]
pub struct Computing {
    plan: Computed,
    /// Of the merged rows.
    layout: Layout,
    /// How many columns the client sees.
    shown: usize,
    rows: Vec<Row>,
    bytes: usize,
    bytes_max: usize,
    definitions: Vec<ColumnDefinition>,
    /// By row, the values of all expressions.
    values: Vec<Vec<Option<Vec<u8>>>>,
}

impl Computing {
    pub(crate) fn new(
        plan: &Computed,
        layout: &Layout,
        shown: usize,
        bytes_max: usize,
    ) -> Result<Self, MergeError> {
        for leaf in &plan.leaves {
            let definition = layout.columns.get(*leaf).ok_or(MergeError::Drift)?;
            type_of(definition)?;
        }
        Ok(Self {
            plan: plan.clone(),
            layout: layout.clone(),
            shown,
            rows: Vec::new(),
            bytes: 0,
            bytes_max,
            definitions: Vec::new(),
            values: Vec::new(),
        })
    }

    /// Takes in a merged row.
    ///
    /// # Errors
    /// [`MergeError::Memory`] if there are too many.
    pub fn push(&mut self, payload: &[u8]) -> Result<(), MergeError> {
        self.bytes += payload.len() + std::mem::size_of::<Row>();
        if self.bytes > self.bytes_max {
            return Err(MergeError::Memory(self.bytes_max));
        }
        self.rows.push(Row::from_payload(payload.to_vec(), &self.layout)?);
        Ok(())
    }

    /// What a server is asked next; None: it has computed everything.
    ///
    /// # Errors
    /// [`MergeError`] if a value is not one of its column's type.
    pub fn question(&self) -> Result<Option<Vec<u8>>, MergeError> {
        let done = self.values.len();
        if done == self.rows.len() && !self.definitions.is_empty() {
            return Ok(None);
        }
        let items: Vec<&[u8]> = self.plan.items.iter().map(|item| &item.text[..]).collect();
        let mut text = [b"SELECT ", &*items.join(&b", "[..]), b" FROM ("].concat();
        let batch = &self.rows[done..self.rows.len().min(done + BATCH)];
        for n in 0..batch.len().max(1) {
            text.extend_from_slice(if n == 0 { b"SELECT " } else { b" UNION ALL SELECT " });
            text.extend_from_slice(format!("{n} AS n").as_bytes());
            for (at, leaf) in self.plan.leaves.iter().enumerate() {
                let row = batch.get(n).ok_or(()).map(|row| row.cell(*leaf)).unwrap_or_default();
                let value = literal(row, &self.layout.columns[*leaf], self.layout.format)?;
                text.extend_from_slice(format!(", {value} AS c{at}").as_bytes());
            }
        }
        text.extend_from_slice(if batch.is_empty() { b") AS d LIMIT 0" } else { b") AS d ORDER BY d.n" });
        Ok(Some(text))
    }

    /// The server's answer to it, definitions and rows as text.
    ///
    /// # Errors
    /// [`MergeError::Drift`] if it is another one than was asked for.
    pub fn answered(&mut self, columns: &[Vec<u8>], rows: &[Vec<u8>]) -> Result<(), MergeError> {
        let definitions =
            columns.iter().map(|column| ColumnDefinition::parse(column)).collect::<Result<Vec<_>, _>>()?;
        let wanted = self.rows.len().saturating_sub(self.values.len()).min(BATCH);
        if definitions.len() != self.plan.items.len() || rows.len() != wanted {
            return Err(MergeError::Drift);
        }
        let what = |one: &ColumnDefinition| (one.column_type, one.decimals, one.charset);
        if self.definitions.is_empty() {
            self.definitions = definitions;
        } else if !self.definitions.iter().map(what).eq(definitions.iter().map(what)) {
            return Err(MergeError::Drift);
        }
        for row in rows {
            let mut reader = Reader::new(row);
            let mut values = Vec::with_capacity(self.definitions.len());
            for _ in &self.definitions {
                let null = reader.rest().first() == Some(&0xFB);
                let value = if null { reader.u8().map(|_| None) } else { reader.lenenc_bytes().map(Some) }?;
                values.push(value.map(<[u8]>::to_vec));
            }
            self.values.push(values);
        }
        Ok(())
    }

    /// The definitions and the rows that the client gets.
    ///
    /// # Errors
    /// [`MergeError`] if a value cannot be written in the format of the rows.
    pub fn finish(self) -> Result<(Vec<ColumnDefinition>, Vec<Vec<u8>>), MergeError> {
        let mut columns = self.layout.columns[..self.shown].to_vec();
        for (item, definition) in self.plan.items.iter().zip(&self.definitions) {
            *columns.get_mut(item.column).ok_or(MergeError::Drift)? = definition.clone();
        }
        let layout = Layout { format: self.layout.format, columns, shown: self.shown };
        let mut rows = Vec::with_capacity(self.rows.len());
        for (row, values) in self.rows.iter().zip(&self.values) {
            let mut cells: Vec<Option<Vec<u8>>> =
                (0..self.shown).map(|n| row.cell(n).map(<[u8]>::to_vec)).collect();
            for (item, value) in self.plan.items.iter().zip(values) {
                let value = value.as_deref();
                cells[item.column] = value
                    .map(|text| encoded(text, &layout.columns[item.column], layout.format))
                    .transpose()?;
            }
            let mut writer = RowWriter::new(&layout, Vec::new());
            cells.iter().for_each(|cell| writer.put(cell.as_deref()));
            rows.push(writer.finish());
        }
        Ok((layout.columns, rows))
    }
}

/// The type that a CAST must name for a value to be what the aggregate is.
fn type_of(definition: &ColumnDefinition) -> Result<String, MergeError> {
    let decimals = definition.decimals;
    let unsigned = definition.has(UNSIGNED_FLAG);
    match definition.column_type {
        column_type::LONGLONG => Ok(if unsigned { "UNSIGNED" } else { "SIGNED" }.to_owned()),
        column_type::NEWDECIMAL => {
            let around = u32::from(decimals > 0) + u32::from(!unsigned);
            let digits = definition.length.saturating_sub(around);
            if unsigned || !(1..=65).contains(&digits) {
                return Err(MergeError::Uncomputed);
            }
            Ok(format!("DECIMAL({digits},{decimals})"))
        }
        column_type::DOUBLE if decimals == DECIMALS_VARY => Ok("DOUBLE".to_owned()),
        _ => Err(MergeError::Uncomputed),
    }
}

fn literal(
    value: Option<&[u8]>,
    definition: &ColumnDefinition,
    format: RowFormat,
) -> Result<String, MergeError> {
    let kind = type_of(definition)?;
    let Some(value) = value else { return Ok(format!("CAST(NULL AS {kind})")) };
    let number = match definition.column_type {
        column_type::LONGLONG => integer(value, definition, format)?.to_string(),
        column_type::DOUBLE => format!("{:e}", double(value, definition, format)?),
        _ => {
            let digits = value.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
            let text = std::str::from_utf8(value).ok().filter(|_| digits);
            text.ok_or(Malformed("number that is none"))?.to_owned()
        }
    };
    Ok(format!("CAST({number} AS {kind})"))
}

/// A value that came as text, in this format.
fn encoded(text: &[u8], definition: &ColumnDefinition, format: RowFormat) -> Result<Vec<u8>, MergeError> {
    if format == RowFormat::Text {
        return Ok(text.to_vec());
    }
    match definition.column_type {
        column_type::TINY
        | column_type::SHORT
        | column_type::YEAR
        | column_type::LONG
        | column_type::INT24
        | column_type::LONGLONG => {
            Ok(encode_integer(integer(text, definition, RowFormat::Text)?, definition, format))
        }
        column_type::DOUBLE => {
            Ok(encode_double(double(text, definition, RowFormat::Text)?, definition, format))
        }
        column_type::DATE
        | column_type::NEWDATE
        | column_type::DATETIME
        | column_type::TIMESTAMP
        | column_type::TIME
        | column_type::FLOAT => Err(MergeError::Uncomputed),
        _ => Ok(text.to_vec()),
    }
}
