//! Lists that a digest collapses: the elements of `IN (…)` and the rows of `VALUES (…), (…)`.
//!
//! An element that reads exactly as the one before it is left out, whatever its literals were. So
//! `IN (1, 2, 3)` and `IN (4)` share a digest, as do inserts of two and of two hundred rows of one shape, and
//! nothing that a fact or a plan could depend on is lost.

use std::ops::Range;

/// Lists inside of lists that are followed; deeper ones are not collapsed.
const NESTED_MAX: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    In,
    Rows,
}

/// One list that is being written.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) kind: ListKind,
    /// Parenthesis depth at which its elements are separated.
    pub(super) depth: u32,
    /// Where the element being written began.
    pub(super) element: usize,
    /// Where its separator began: the end of the text if the element is left out.
    separator: usize,
    /// The last element that was kept, empty if none.
    kept: (usize, usize),
    /// An element like the kept one was left out, and the text says so.
    collapsed: bool,
}

/// What to do at the end of an element.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    Keep,
    /// Cut the text back to this length; `mark`: say once that something was left out.
    CutTo {
        length: usize,
        mark: bool,
    },
}

impl List {
    const fn new(kind: ListKind, depth: u32, element: usize) -> Self {
        Self { kind, depth, element, separator: 0, kept: (0, 0), collapsed: false }
    }

    /// Judges the element that ends with `written`.
    pub(super) fn end_element(&mut self, written: &[u8]) -> Verdict {
        let element: Range<usize> = self.element..written.len();
        let kept = self.kept.0..self.kept.1;
        if kept.len() == element.len() && !kept.is_empty() && same(&written[kept], &written[element.clone()])
        {
            let mark = self.kind == ListKind::Rows && !self.collapsed;
            self.collapsed = true;
            return Verdict::CutTo { length: self.separator, mark };
        }
        self.kept = (element.start, element.end);
        self.collapsed = false;
        Verdict::Keep
    }

    /// A separator was written from `separator` on; the next element begins at `element`.
    pub(super) fn next_element(&mut self, separator: usize, element: usize) {
        self.separator = separator;
        self.element = element;
    }
}

/// Most elements are one `?`.
#[inline(always)]
fn same(one: &[u8], other: &[u8]) -> bool {
    one[0] == other[0] && (one.len() == 1 || one == other)
}

/// The lists around the current token, the innermost last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists {
    nested: [List; NESTED_MAX],
    len: usize,
}

impl Lists {
    pub(super) const fn new() -> Self {
        Self { nested: [List::new(ListKind::In, 0, 0); NESTED_MAX], len: 0 }
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    pub(super) fn innermost(&mut self) -> Option<&mut List> {
        self.nested[..self.len].last_mut()
    }

    pub(super) fn push(&mut self, kind: ListKind, depth: u32, element: usize) {
        if self.len < NESTED_MAX {
            self.nested[self.len] = List::new(kind, depth, element);
            self.len += 1;
        }
    }

    pub(super) fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }
}
