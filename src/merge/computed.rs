//! Expressions of aggregates: their operands are merged here, and a server computes with them, by its own
//! arithmetic and under the session's settings. HAVING and ORDER BY of such expressions follow from the values.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::merge::collation::Collations;
use crate::merge::error::MergeError;
use crate::merge::merger::{MergeOptions, learn};
use crate::merge::number::{encode_double, encode_integer};
use crate::merge::plan::{Computed, ComputedKey, OrderKey};
use crate::merge::row::{Layout, Row, RowFormat, RowWriter};
use crate::merge::temporal::temporal_text;
use crate::merge::value::{Comparator, Purpose, double, integer};
use crate::wire::{ColumnDefinition, Malformed, UNSIGNED_FLAG, ZEROFILL_FLAG, column_type};

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
    collations: Arc<Collations>,
    /// Of the server's answers: a column for each expression.
    answers: Layout,
    /// One for each row.
    values: Vec<Row>,
}

/// What the client gets.
#[derive(Debug)]
pub struct Finished {
    /// The definitions of the columns.
    pub columns: Vec<ColumnDefinition>,
    /// Payloads.
    pub rows: Vec<Vec<u8>>,
    /// Rows that OFFSET left out.
    pub skipped: u64,
}

impl Computing {
    pub(crate) fn new(
        plan: &Computed,
        layout: &Layout,
        shown: usize,
        options: &MergeOptions,
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
            bytes_max: options.bytes_max,
            collations: Arc::clone(&options.collations),
            answers: Layout { format: RowFormat::Text, columns: Vec::new(), shown: 0 },
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
        if done == self.rows.len() && !self.answers.columns.is_empty() {
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
        if self.answers.columns.is_empty() {
            self.answers.shown = definitions.len();
            self.answers.columns = definitions;
        } else if !self.answers.columns.iter().map(what).eq(definitions.iter().map(what)) {
            return Err(MergeError::Drift);
        }
        for row in rows {
            self.values.push(Row::from_payload(row.clone(), &self.answers)?);
        }
        Ok(())
    }

    /// The definitions and the rows that the client gets.
    ///
    /// # Errors
    /// [`MergeError`] if a value cannot be written in the format of the rows, or sorted by.
    pub fn finish(mut self) -> Result<Finished, MergeError> {
        let mut placed: Vec<Option<usize>> = vec![None; self.shown];
        for (n, item) in self.plan.items.iter().enumerate() {
            let Some(column) = item.column else { continue };
            let definition = self.layout.columns.get(column).ok_or(MergeError::Drift)?;
            fits(definition, &self.answers.columns[n])?;
            *placed.get_mut(column).ok_or(MergeError::Drift)? = Some(n);
        }
        let columns = self.layout.columns[..self.shown].to_vec();
        let layout = Layout { format: self.layout.format, columns, shown: self.shown };
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        if let Some(filter) = self.plan.filter {
            self.agrees(filter, &order)?;
            order.retain(|n| self.values[*n].cell(filter) == Some(b"1"));
        }
        (0..self.plan.items.len()).try_for_each(|item| self.agrees(item, &order))?;
        self.sort(&mut order)?;
        let offset = usize::try_from(self.plan.offset).unwrap_or(usize::MAX);
        let limit = self.plan.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let skipped = if limit == 0 { 0 } else { order.len().min(offset) as u64 };
        let mut rows = Vec::with_capacity(order.len().min(limit));
        for n in order.into_iter().skip(offset).take(limit) {
            let mut writer = RowWriter::new(&layout, Vec::new());
            for (column, item) in placed.iter().enumerate() {
                let Some(item) = item else {
                    writer.put(self.rows[n].cell(column));
                    continue;
                };
                let value = self.values[n].cell(*item);
                let value = value.map(|text| encoded(text, &layout.columns[column], layout.format));
                writer.put(value.transpose()?.as_deref());
            }
            rows.push(writer.finish());
        }
        Ok(Finished { columns: layout.columns, rows, skipped })
    }

    /// Whether an expression and its twin have the same values in these rows.
    fn agrees(&self, item: usize, rows: &[usize]) -> Result<(), MergeError> {
        let Some(twin) = self.plan.items[item].twin else { return Ok(()) };
        let same = rows.iter().all(|n| self.values[*n].cell(item) == self.values[*n].cell(twin));
        if same { Ok(()) } else { Err(MergeError::Digits) }
    }

    /// Puts the numbers of rows into the order of the result.
    fn sort(&mut self, order: &mut [usize]) -> Result<(), MergeError> {
        if self.plan.sort.is_empty() || order.len() < 2 {
            return Ok(());
        }
        let (mut merged, mut computed) = (Vec::new(), Vec::new());
        for key in &self.plan.sort {
            match *key {
                ComputedKey::Column(key) => {
                    merged.push(Comparator::resolve(key, &self.layout.columns, Purpose::Order)?);
                }
                ComputedKey::Item { item, descending } => {
                    let key = OrderKey { descending, ..OrderKey::ascending(item) };
                    computed.push(Comparator::resolve(key, &self.answers.columns, Purpose::Order)?);
                }
            }
        }
        learn(&self.rows[order[0]], &self.collations, merged.iter_mut())?;
        for n in &*order {
            self.rows[*n].read_keys(&merged, &self.layout)?;
            self.values[*n].read_keys(&computed, &self.answers)?;
        }
        let mut failure = None;
        order.sort_by(|left, right| {
            self.compare(*left, *right, &merged, &computed).unwrap_or_else(|error| {
                failure = Some(error);
                Ordering::Equal
            })
        });
        failure.map_or(Ok(()), Err)
    }

    fn compare(
        &self,
        left: usize,
        right: usize,
        merged: &[Comparator],
        computed: &[Comparator],
    ) -> Result<Ordering, MergeError> {
        let (mut merged, mut computed) = (merged.iter().enumerate(), computed.iter().enumerate());
        for key in &self.plan.sort {
            let (next, rows) = match key {
                ComputedKey::Column(_) => (merged.next(), &self.rows),
                ComputedKey::Item { .. } => (computed.next(), &self.values),
            };
            let Some((n, comparator)) = next else { continue };
            let (a, b) = (&rows[left], &rows[right]);
            let order = comparator.compare((&a.keys[n], &a.bytes), (&b.keys[n], &b.bytes))?;
            if order.is_ne() {
                return Ok(order);
            }
        }
        Ok(Ordering::Equal)
    }
}

/// Whether values that a server gives as `computed` are values of the column that the client is told of: the
/// operands are wider than the sources' at most, which changes widths alone.
fn fits(told: &ColumnDefinition, computed: &ColumnDefinition) -> Result<(), MergeError> {
    use column_type as is;
    let class = |column: &ColumnDefinition| match column.column_type {
        is::TINY | is::SHORT | is::INT24 | is::LONG | is::LONGLONG => is::LONGLONG,
        is::VARCHAR | is::VAR_STRING | is::STRING | is::TINY_BLOB..=is::BLOB => is::VAR_STRING,
        other => other,
    };
    let text = class(told) == is::VAR_STRING;
    let same = class(told) == class(computed)
        && (text || told.decimals == computed.decimals)
        && told.charset == computed.charset
        && told.has(UNSIGNED_FLAG) == computed.has(UNSIGNED_FLAG);
    if same { Ok(()) } else { Err(MergeError::Uncomputed) }
}

/// The type that a CAST must name for a value to be what the aggregate is.
fn type_of(definition: &ColumnDefinition) -> Result<String, MergeError> {
    let decimals = definition.decimals;
    let unsigned = definition.has(UNSIGNED_FLAG);
    match definition.column_type {
        column_type::TINY
        | column_type::SHORT
        | column_type::INT24
        | column_type::LONG
        | column_type::LONGLONG
            if !definition.has(ZEROFILL_FLAG) =>
        {
            Ok(if unsigned { "UNSIGNED" } else { "SIGNED" }.to_owned())
        }
        column_type::DATE => Ok("DATE".to_owned()),
        column_type::DATETIME if decimals <= 6 => Ok(format!("DATETIME({decimals})")),
        column_type::TIME if decimals <= 6 => Ok(format!("TIME({decimals})")),
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
        column_type::TINY
        | column_type::SHORT
        | column_type::INT24
        | column_type::LONG
        | column_type::LONGLONG => integer(value, definition, format)?.to_string(),
        column_type::DATE | column_type::DATETIME | column_type::TIME => {
            format!("'{}'", temporal_text(value, definition, format)?)
        }
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
