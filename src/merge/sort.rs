//! Rows that must be held before the first can go out: sorted at the end, in bounded memory.

use std::cmp::Ordering;

use crate::merge::error::MergeError;
use crate::merge::row::Row;
use crate::merge::value::Comparator;

/// What a held row takes beside its bytes: its vectors and their contents, roughly.
const ROW_OVERHEAD_BYTES: usize = 200;

/// Rows on hold.
#[derive(Debug)]
pub(crate) struct Sorter {
    comparators: Vec<Comparator>,
    rows: Vec<Row>,
    bytes: usize,
    bytes_max: usize,
    /// Rows that can be in the result at most.
    wanted: Option<usize>,
}

impl Sorter {
    pub(crate) fn new(comparators: Vec<Comparator>, bytes_max: usize, wanted: Option<u64>) -> Self {
        let wanted = wanted.and_then(|wanted| usize::try_from(wanted).ok());
        Self { comparators, rows: Vec::new(), bytes: 0, bytes_max, wanted }
    }

    pub(crate) fn comparators(&mut self) -> &mut Vec<Comparator> {
        &mut self.comparators
    }

    /// Holds a row.
    pub(crate) fn push(&mut self, row: Row) -> Result<(), MergeError> {
        self.bytes += cost(&row);
        self.rows.push(row);
        let full = self.bytes > self.bytes_max;
        let spare = self.wanted.is_some_and(|wanted| self.rows.len() / 2 > wanted.max(32));
        if full || spare {
            self.shrink()?;
        }
        if self.bytes > self.bytes_max { Err(MergeError::Memory(self.bytes_max)) } else { Ok(()) }
    }

    /// Drops what cannot be in the result.
    fn shrink(&mut self) -> Result<(), MergeError> {
        let Some(wanted) = self.wanted else { return Ok(()) };
        if self.rows.len() > wanted {
            self.sort()?;
            self.rows.truncate(wanted);
            self.bytes = self.rows.iter().map(cost).sum();
        }
        Ok(())
    }

    fn sort(&mut self) -> Result<(), MergeError> {
        let comparators = &self.comparators;
        let mut failure = None;
        self.rows.sort_by(|left, right| {
            compare_rows(left, right, comparators).unwrap_or_else(|error| {
                failure = Some(error);
                Ordering::Equal
            })
        });
        failure.map_or(Ok(()), Err)
    }

    /// All rows in order.
    pub(crate) fn finish(&mut self) -> Result<std::vec::IntoIter<Row>, MergeError> {
        self.sort()?;
        Ok(std::mem::take(&mut self.rows).into_iter())
    }
}

fn cost(row: &Row) -> usize {
    row.bytes.len() + row.cells.len() * 24 + row.keys.len() * 48 + ROW_OVERHEAD_BYTES
}

/// Compares two rows by their keys.
pub(crate) fn compare_rows(
    left: &Row,
    right: &Row,
    comparators: &[Comparator],
) -> Result<Ordering, MergeError> {
    for (comparator, (a, b)) in comparators.iter().zip(left.keys.iter().zip(&right.keys)) {
        let order = comparator.compare((a, &left.bytes), (b, &right.bytes))?;
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(Ordering::Equal)
}
