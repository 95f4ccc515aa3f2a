//! The sources of a merge: one row at the head of each, the least of them first.

use crate::merge::error::MergeError;
use crate::merge::row::{Layout, Row};
use crate::merge::sort::compare_rows;
use crate::merge::value::{Comparator, Comparison, Key};
use std::cmp::Ordering;

/// Servers order texts by this many bytes of their weights, and leave the order of the rest to chance.
/// Source: `max_sort_length` of both servers, whose default is also their usual value.
const SORT_BYTES: usize = 1024;

/// Whose row is needed to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// This source's.
    Of(usize),
    /// Any source's: the order does not matter.
    Any,
}

/// What the sources have to offer.
pub(crate) enum Head {
    /// A row is missing.
    Needs(Need),
    /// This source has the next row.
    Of(usize),
    /// All have ended.
    End,
}

#[derive(Debug, Default)]
struct Source {
    head: Row,
    /// The row before the head.
    before: Row,
    begun: bool,
    ended: bool,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Sources {
    sources: Vec<Source>,
    /// Sources with a row at their head, as a binary heap.
    heap: Vec<usize>,
    /// Sources whose next row is missing.
    missing: Vec<usize>,
    ordered: bool,
    /// Rows of one group must lie together, so that no disorder at all can be overlooked.
    strict: bool,
}

impl Sources {
    pub(crate) fn new(count: usize, ordered: bool, strict: bool) -> Self {
        Self {
            sources: (0..count).map(|_| Source::default()).collect(),
            heap: Vec::with_capacity(count),
            missing: (0..count).rev().collect(),
            ordered,
            strict,
        }
    }

    /// Whether the source has not sent a row yet.
    pub(crate) fn is_first(&self, source: usize) -> bool {
        self.sources.get(source).is_some_and(|source| !source.begun)
    }

    /// The source's next row has come.
    pub(crate) fn load(
        &mut self,
        source: usize,
        payload: &[u8],
        comparators: &[Comparator],
        layout: &Layout,
    ) -> Result<&Row, MergeError> {
        let one = &mut self.sources[source];
        one.head.load(payload, layout)?;
        one.head.read_keys(comparators, layout)?;
        Ok(&one.head)
    }

    /// Puts the row that was loaded last among the heads.
    pub(crate) fn admit(&mut self, source: usize, comparators: &[Comparator]) -> Result<(), MergeError> {
        let one = &mut self.sources[source];
        if one.begun && self.ordered {
            let order = compare_rows(&one.before, &one.head, comparators)?;
            if order == Ordering::Greater
                && (self.strict || !is_beyond_sort(&one.head, &one.before, comparators))
            {
                return Err(MergeError::Disorder);
            }
        }
        one.begun = true;
        self.missing.retain(|missing| *missing != source);
        self.heap.push(source);
        self.sift_up(comparators)
    }

    /// The source has no more rows.
    pub(crate) fn end(&mut self, source: usize) {
        if let Some(one) = self.sources.get_mut(source) {
            one.ended = true;
        }
        self.missing.retain(|missing| *missing != source);
    }

    /// What is next.
    pub(crate) fn head(&self) -> Head {
        match (self.heap.first(), self.missing.last()) {
            (Some(source), _) if !self.ordered => Head::Of(*source),
            (None, Some(_)) if !self.ordered => Head::Needs(Need::Any),
            (_, Some(source)) => Head::Needs(Need::Of(*source)),
            (Some(source), None) => Head::Of(*source),
            (None, None) => Head::End,
        }
    }

    /// Takes the head of `source`, which is the least. It must be given back by [`Sources::put_back`],
    /// because the next row is compared with it.
    pub(crate) fn take(&mut self, source: usize, comparators: &[Comparator]) -> Result<Row, MergeError> {
        self.heap.swap_remove(0);
        self.sift_down(comparators)?;
        self.missing.push(source);
        Ok(std::mem::take(&mut self.sources[source].head))
    }

    /// Gives back a row that was taken.
    pub(crate) fn put_back(&mut self, source: usize, row: Row) {
        let one = &mut self.sources[source];
        one.head = std::mem::replace(&mut one.before, row);
    }

    fn less(&self, left: usize, right: usize, comparators: &[Comparator]) -> Result<bool, MergeError> {
        if !self.ordered {
            return Ok(false);
        }
        let (a, b) = (&self.sources[self.heap[left]].head, &self.sources[self.heap[right]].head);
        let order = compare_rows(a, b, comparators)?.then(self.heap[left].cmp(&self.heap[right]));
        Ok(order == Ordering::Less)
    }

    fn sift_up(&mut self, comparators: &[Comparator]) -> Result<(), MergeError> {
        let mut at = self.heap.len() - 1;
        while at > 0 && self.less(at, (at - 1) / 2, comparators)? {
            self.heap.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        Ok(())
    }

    fn sift_down(&mut self, comparators: &[Comparator]) -> Result<(), MergeError> {
        let mut at = 0;
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.less(child, least, comparators)? {
                    least = child;
                }
            }
            if least == at {
                return Ok(());
            }
            self.heap.swap(at, least);
            at = least;
        }
    }
}

/// Whether the order of two rows may have been left to chance by their server.
fn is_beyond_sort(left: &Row, right: &Row, comparators: &[Comparator]) -> bool {
    let long = |row: &Row| {
        comparators.iter().zip(&row.keys).any(|(comparator, key)| {
            let text = matches!(comparator.comparison, Comparison::Weights | Comparison::Bytes);
            matches!(key, Key::Bytes(range) if text && range.len() >= SORT_BYTES)
        })
    };
    long(left) || long(right)
}
