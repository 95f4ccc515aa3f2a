//! Rows with equal keys become one: partial aggregates of the sources are put together.

use std::cmp::Ordering;

use crate::merge::decimal::Decimal;
use crate::merge::distinct::DistinctSet;
use crate::merge::error::MergeError;
use crate::merge::number::{Number, encode_double, encode_integer};
use crate::merge::plan::{BitOperation, Fold, Grouping, OrderKey};
use crate::merge::row::{Layout, Row, RowWriter};
use crate::merge::value::{Comparator, Key, Purpose, column, integer};
use crate::wire::{Malformed, column_type};

/// The group that is being put together.
#[derive(Debug)]
pub(crate) struct Folding {
    keys: usize,
    /// What the DISTINCT aggregates have met in this group.
    sets: Vec<DistinctSet>,
    separators: Vec<Vec<u8>>,
    bytes_max: usize,
    implicit: bool,
    accumulators: Vec<Accumulator>,
    /// The group's first row; its cells are those that are not computed.
    first: Option<Row>,
    /// The row seen last.
    last: Row,
}

impl Folding {
    pub(crate) fn new(grouping: &Grouping, layout: &Layout, bytes_max: usize) -> Result<Self, MergeError> {
        let set =
            |(n, keys): (usize, &Vec<OrderKey>)| DistinctSet::new(keys, grouping.ordered == Some(n), layout);
        let accumulators =
            grouping.folds.iter().map(|fold| Accumulator::new(*fold, layout)).collect::<Result<_, _>>()?;
        Ok(Self {
            keys: grouping.keys,
            sets: grouping.sets.iter().enumerate().map(set).collect::<Result<_, _>>()?,
            separators: grouping.separators.clone(),
            bytes_max,
            implicit: grouping.implicit,
            accumulators,
            first: None,
            last: Row::default(),
        })
    }

    /// The comparators of MIN and MAX, and of DISTINCT.
    pub(crate) fn comparators(&mut self) -> impl Iterator<Item = &mut Comparator> {
        let extremes = self.accumulators.iter_mut().filter_map(|accumulator| accumulator.comparator.as_mut());
        extremes.chain(self.sets.iter_mut().flat_map(DistinctSet::comparators))
    }

    /// The columns that DISTINCT looks at.
    pub(crate) fn set_columns(&self) -> Vec<usize> {
        self.sets.iter().flat_map(DistinctSet::columns).collect()
    }

    /// Takes in the next row in order. Returns the group before it, if it begins another one.
    pub(crate) fn step(
        &mut self,
        row: &Row,
        comparators: &[Comparator],
        layout: &Layout,
    ) -> Result<Option<Row>, MergeError> {
        let same = match &self.first {
            None => 0,
            Some(_) => equal_keys(&self.last, row, comparators)?,
        };
        let within = self.first.is_some() && same >= self.keys;
        let finished = if within || self.first.is_none() { None } else { self.take(layout)? };
        let arguments = row.keys.get(self.keys..).unwrap_or_default();
        let known = within && same == comparators.len();
        let by_order = !known && !arguments.contains(&Key::Null);
        let (mut counts, mut bytes) = (Vec::with_capacity(self.sets.len()), 0);
        for set in &mut self.sets {
            if !within {
                set.clear();
            }
            counts.push(set.is_new(row, by_order, layout)?);
            bytes += set.bytes();
        }
        for accumulator in &mut self.accumulators {
            let counts = accumulator.set().is_none_or(|set| counts.get(set) == Some(&true));
            accumulator.add(row, counts, &self.separators, layout)?;
            bytes += accumulator.bytes();
        }
        if bytes > self.bytes_max {
            return Err(MergeError::Memory(self.bytes_max));
        }
        if self.first.is_none() {
            self.first = Some(row.clone());
        }
        self.last = row.clone();
        Ok(finished)
    }

    /// The last group, after the last row.
    pub(crate) fn finish(&mut self, layout: &Layout) -> Result<Option<Row>, MergeError> {
        if self.first.is_none() && self.implicit {
            let mut writer = RowWriter::new(layout, Vec::new());
            layout.columns.iter().for_each(|_| writer.put(None));
            self.first = Some(Row::from_payload(writer.finish(), layout)?);
        }
        self.implicit = false;
        self.take(layout)
    }

    fn take(&mut self, layout: &Layout) -> Result<Option<Row>, MergeError> {
        let Some(first) = self.first.take() else { return Ok(None) };
        let mut cells: Vec<Option<Vec<u8>>> =
            (0..layout.columns.len()).map(|n| first.cell(n).map(<[u8]>::to_vec)).collect();
        for accumulator in &mut self.accumulators {
            accumulator.take(&mut cells, layout)?;
        }
        let mut writer = RowWriter::new(layout, first.bytes);
        cells.iter().for_each(|cell| writer.put(cell.as_deref()));
        Ok(Some(Row::from_payload(writer.finish(), layout)?))
    }
}

/// The columns whose values a fold computes with.
pub(crate) fn columns_of(fold: &Fold) -> Vec<usize> {
    match *fold {
        Fold::Count { column }
        | Fold::Sum { column }
        | Fold::Bits { column, .. }
        | Fold::CountDistinct { column, .. } => vec![column],
        Fold::Average { column, sum, count } => vec![column, sum, count],
        Fold::Min { key } | Fold::Max { key } => vec![key.column],
        Fold::SumDistinct { column, value, .. } => vec![column, value],
        Fold::AverageDistinct { column, sum, value, .. } => vec![column, sum, value],
        Fold::Concat { column, length, length_max, .. } => vec![column, length, length_max],
    }
}

/// How many keys, from the first, are equal.
fn equal_keys(left: &Row, right: &Row, comparators: &[Comparator]) -> Result<usize, MergeError> {
    let keys = left.keys.iter().zip(&right.keys);
    for (n, (comparator, (a, b))) in comparators.iter().zip(keys).enumerate() {
        if comparator.compare((a, &left.bytes), (b, &right.bytes))?.is_ne() {
            return Ok(n);
        }
    }
    Ok(comparators.len())
}

/// One computed cell on its way.
#[derive(Debug)]
struct Accumulator {
    fold: Fold,
    comparator: Option<Comparator>,
    state: State,
}

#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Empty,
    Count(i128),
    Bits(u64),
    Sum {
        sum: Number,
        count: u64,
    },
    Extreme(Box<Row>),
    /// The text, and its length in its own character set.
    Text(Vec<u8>, i128),
}

impl Accumulator {
    fn new(fold: Fold, layout: &Layout) -> Result<Self, MergeError> {
        let comparator = match fold {
            Fold::Min { key } | Fold::Max { key } => {
                let key = OrderKey { descending: false, ..key };
                Some(Comparator::resolve(key, &layout.columns, Purpose::Extreme)?)
            }
            Fold::Bits { column, .. } => {
                // Over BINARY arguments MySQL's operate on bytes.
                if self::column(&layout.columns, column)?.column_type != column_type::LONGLONG {
                    return Err(MergeError::Unordered { kind: "BINARY" });
                }
                None
            }
            Fold::Count { .. } | Fold::Sum { .. } | Fold::Average { .. } => None,
            Fold::CountDistinct { .. } | Fold::SumDistinct { .. } | Fold::AverageDistinct { .. } => None,
            Fold::Concat { .. } => None,
        };
        Ok(Self { fold, comparator, state: State::Empty })
    }

    /// The set of its DISTINCT argument.
    const fn set(&self) -> Option<usize> {
        match self.fold {
            Fold::CountDistinct { set, .. }
            | Fold::SumDistinct { set, .. }
            | Fold::AverageDistinct { set, .. } => Some(set),
            Fold::Concat { set, .. } => set,
            Fold::Count { .. } | Fold::Sum { .. } | Fold::Average { .. } => None,
            Fold::Min { .. } | Fold::Max { .. } | Fold::Bits { .. } => None,
        }
    }

    /// What it holds.
    const fn bytes(&self) -> usize {
        if let State::Text(text, _) = &self.state { text.len() } else { 0 }
    }

    /// Takes in a row; `counts`: its DISTINCT argument, if it has one, is new.
    fn add(
        &mut self,
        row: &Row,
        counts: bool,
        separators: &[Vec<u8>],
        layout: &Layout,
    ) -> Result<(), MergeError> {
        match self.fold {
            Fold::Count { column } => self.add_count(count(row, column, layout)?),
            Fold::CountDistinct { .. } => self.add_count(i128::from(counts)),
            Fold::Sum { column } => self.add_number(row, (column, column), 0, layout),
            Fold::Average { sum, count: counted, .. } => {
                let n = u64::try_from(count(row, counted, layout)?).unwrap_or(0);
                self.add_number(row, (sum, sum), n, layout)
            }
            Fold::SumDistinct { column, value, .. } if counts => {
                self.add_number(row, (value, column), 1, layout)
            }
            Fold::AverageDistinct { sum, value, .. } if counts => {
                self.add_number(row, (value, sum), 1, layout)
            }
            Fold::Concat { column, length, length_max, separator, .. } if counts => {
                let separator = separators.get(separator).map(Vec::as_slice).unwrap_or_default();
                self.add_text(row, (column, length, length_max), separator, layout)
            }
            Fold::SumDistinct { .. } | Fold::AverageDistinct { .. } | Fold::Concat { .. } => Ok(()),
            Fold::Bits { operation, column } => self.add_bits(row, operation, column, layout),
            Fold::Min { .. } => self.add_extreme(row, Ordering::Less, layout),
            Fold::Max { .. } => self.add_extreme(row, Ordering::Greater, layout),
        }
    }

    fn add_count(&mut self, n: i128) -> Result<(), MergeError> {
        let before = if let State::Count(before) = self.state { before } else { 0 };
        self.state = State::Count(before + n);
        Ok(())
    }

    /// Adds the cell `from`, as a number of the type of the column `like`.
    fn add_number(
        &mut self,
        row: &Row,
        (from, like): (usize, usize),
        n: u64,
        layout: &Layout,
    ) -> Result<(), MergeError> {
        let Some(value) = row.cell(from) else { return Ok(()) };
        let number = Number::read(
            value,
            column(&layout.columns, from)?,
            column(&layout.columns, like)?,
            layout.format,
        )?;
        match &mut self.state {
            State::Sum { sum, count } => {
                sum.add(&number)?;
                *count += n;
            }
            state => *state = State::Sum { sum: number, count: n },
        }
        Ok(())
    }

    fn add_bits(
        &mut self,
        row: &Row,
        operation: BitOperation,
        column: usize,
        layout: &Layout,
    ) -> Result<(), MergeError> {
        let Some(value) = row.cell(column) else { return Ok(()) };
        let value = integer(value, &layout.columns[column], layout.format)? as u64;
        self.state = State::Bits(match (&self.state, operation) {
            (State::Bits(before), BitOperation::And) => before & value,
            (State::Bits(before), BitOperation::Or) => before | value,
            (State::Bits(before), BitOperation::Xor) => before ^ value,
            _ => value,
        });
        Ok(())
    }

    /// Appends a text. What a server would cut is refused a little before: a text of a slot may have lost a character.
    fn add_text(
        &mut self,
        row: &Row,
        (text, length, length_max): (usize, usize, usize),
        separator: &[u8],
        layout: &Layout,
    ) -> Result<(), MergeError> {
        const CHARACTER_BYTES: i128 = 4;
        let Some(more) = row.cell(text) else { return Ok(()) };
        let (more_length, max) = (count(row, length, layout)?, count(row, length_max, layout)?);
        let total = match &mut self.state {
            State::Text(all, total) => {
                all.extend_from_slice(separator);
                all.extend_from_slice(more);
                *total += more_length + separator.len() as i128 * CHARACTER_BYTES;
                *total
            }
            state => {
                *state = State::Text(more.to_vec(), more_length);
                more_length
            }
        };
        if total > max - CHARACTER_BYTES { Err(MergeError::Cut) } else { Ok(()) }
    }

    fn add_extreme(&mut self, row: &Row, wanted: Ordering, layout: &Layout) -> Result<(), MergeError> {
        let Some(comparator) = &self.comparator else { return Ok(()) };
        let cell = row.cells.get(comparator.column).cloned().flatten();
        if row.cell(comparator.key.column).is_none() {
            return Ok(());
        }
        let key = comparator.read(cell, &row.bytes, &layout.columns, layout.format)?;
        if let State::Extreme(best) = &self.state {
            let known = best.keys.first().ok_or(MergeError::Malformed(Malformed("extreme without a key")))?;
            if comparator.compare((&key, &row.bytes), (known, &best.bytes))? != wanted {
                return Ok(());
            }
        }
        let mut best = row.clone();
        best.keys = vec![key];
        self.state = State::Extreme(Box::new(best));
        Ok(())
    }

    /// Writes the cell, and begins anew.
    fn take(&mut self, cells: &mut [Option<Vec<u8>>], layout: &Layout) -> Result<(), MergeError> {
        let state = std::mem::take(&mut self.state);
        match self.fold {
            Fold::Concat { column, .. } => {
                cells[column] = if let State::Text(text, _) = state { Some(text) } else { None };
            }
            Fold::Count { column } | Fold::CountDistinct { column, .. } => {
                let n = if let State::Count(n) = state { n } else { 0 };
                cells[column] = Some(encode_integer(n, &layout.columns[column], layout.format));
            }
            Fold::Sum { column } | Fold::SumDistinct { column, .. } => {
                let State::Sum { sum, .. } = state else {
                    cells[column] = None;
                    return Ok(());
                };
                cells[column] = Some(sum.encode(&layout.columns[column], layout.format)?);
            }
            Fold::Average { column, sum, .. } | Fold::AverageDistinct { column, sum, .. } => {
                cells[column] = match state {
                    State::Sum { sum: total, count } if count > 0 => {
                        let (from, to) = (&layout.columns[sum], &layout.columns[column]);
                        Some(average(&total, count, (from.decimals, to.decimals), layout, column)?)
                    }
                    _ => None,
                };
            }
            Fold::Bits { operation, column } => {
                let empty = if operation == BitOperation::And { u64::MAX } else { 0 };
                let bits = if let State::Bits(bits) = state { bits } else { empty };
                cells[column] =
                    Some(encode_integer(i128::from(bits), &layout.columns[column], layout.format));
            }
            Fold::Min { key } | Fold::Max { key } => {
                let best = if let State::Extreme(best) = state { Some(best) } else { None };
                for column in [Some(key.column), key.weight, key.number].into_iter().flatten() {
                    cells[column] = best.as_ref().and_then(|row| row.cell(column)).map(<[u8]>::to_vec);
                }
            }
        }
        Ok(())
    }
}

fn count(row: &Row, index: usize, layout: &Layout) -> Result<i128, MergeError> {
    let definition = column(&layout.columns, index)?;
    row.cell(index).map_or(Ok(0), |value| integer(value, definition, layout.format))
}

fn average(
    total: &Number,
    count: u64,
    (scale, decimals): (u8, u8),
    layout: &Layout,
    column: usize,
) -> Result<Vec<u8>, MergeError> {
    Ok(match total {
        Number::Decimal(sum) => sum.average(usize::from(scale), count, usize::from(decimals))?.into_bytes(),
        Number::Double(sum) => encode_double(sum / count as f64, &layout.columns[column], layout.format),
    })
}

/// Sums start from nothing.
impl Default for Number {
    fn default() -> Self {
        Self::Decimal(Decimal::default())
    }
}
