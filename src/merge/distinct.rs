//! Which arguments a DISTINCT aggregate has met in a group.

use std::collections::HashSet;

use crate::merge::decimal;
use crate::merge::error::MergeError;
use crate::merge::plan::OrderKey;
use crate::merge::row::{Layout, Row};
use crate::merge::value::{Comparator, Comparison, Key, Purpose};

/// What an entry takes beside its bytes.
const ENTRY_BYTES: usize = 48;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct DistinctSet {
    comparators: Vec<Comparator>,
    /// The rows of a group come ordered by it: equal ones are neighbours.
    ordered: bool,
    met: HashSet<Box<[u8]>>,
    bytes: usize,
}

impl DistinctSet {
    pub(crate) fn new(keys: &[OrderKey], ordered: bool, layout: &Layout) -> Result<Self, MergeError> {
        let resolve = |key: &OrderKey| Comparator::resolve(*key, &layout.columns, Purpose::Order);
        let comparators = keys.iter().map(resolve).collect::<Result<_, _>>()?;
        Ok(Self { comparators, ordered, met: HashSet::new(), bytes: 0 })
    }

    pub(crate) fn comparators(&mut self) -> impl Iterator<Item = &mut Comparator> {
        self.comparators.iter_mut()
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        self.comparators.iter().map(|comparator| comparator.column)
    }

    /// What is remembered, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Another group begins.
    pub(crate) fn clear(&mut self) {
        self.met.clear();
        self.bytes = 0;
    }

    /// Whether the row's argument has no NULL and has not been met. `by_order`: what its neighbour says.
    pub(crate) fn is_new(&mut self, row: &Row, by_order: bool, layout: &Layout) -> Result<bool, MergeError> {
        if self.ordered {
            return Ok(by_order);
        }
        let mut value = Vec::new();
        for comparator in &self.comparators {
            if row.cell(comparator.key.column).is_none() {
                return Ok(false);
            }
            let cell = row.cells.get(comparator.column).cloned().flatten();
            let key = comparator.read(cell, &row.bytes, &layout.columns, layout.format)?;
            let plain = plain(comparator, &key, &row.bytes)?;
            value.extend_from_slice(&(plain.len() as u64).to_le_bytes());
            value.extend_from_slice(&plain);
        }
        let size = value.len() + ENTRY_BYTES;
        let new = self.met.insert(value.into_boxed_slice());
        self.bytes += if new { size } else { 0 };
        Ok(new)
    }
}

/// The same bytes for equal values, and others for others.
fn plain(comparator: &Comparator, key: &Key, bytes: &[u8]) -> Result<Vec<u8>, MergeError> {
    Ok(match key {
        // A server gives no weights that would exceed its max_allowed_packet.
        Key::Null => return Err(MergeError::Unordered { kind: "TEXT without weights" }),
        Key::Integer(number) => number.to_le_bytes().to_vec(),
        Key::Double(number) => (if *number == 0.0 { 0.0 } else { *number }).to_le_bytes().to_vec(),
        Key::Bytes(range) => {
            let value = &bytes[range.clone()];
            match (comparator.comparison, &comparator.pad) {
                (Comparison::Decimal, _) => decimal::canonical(value)?,
                (Comparison::Weights, Some(pad)) => pad.stripped(value).to_vec(),
                (Comparison::Weights, None) => return Err(MergeError::Collation("?".to_owned())),
                (Comparison::Bytes | Comparison::Integer | Comparison::Double, _) => value.to_vec(),
            }
        }
    })
}
