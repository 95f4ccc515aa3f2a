//! Places in the client's text, and names by their places.

use std::borrow::Cow;
use std::ops::Range;

use crate::sql::literal::unquoted_name;

/// Bytes `start..end` of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end`.
    #[must_use]
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// As a range.
    #[must_use]
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Its bytes of `text`.
    #[must_use]
    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.range()).unwrap_or_default()
    }

    /// From here to the end of `other`.
    #[must_use]
    pub const fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }

    /// Its bytes of `text` as a name: without quotes.
    #[must_use]
    pub fn name(self, text: &[u8]) -> Cow<'_, [u8]> {
        unquoted_name(self.of(text))
    }

    /// The place right before it.
    #[must_use]
    pub const fn before(self) -> Self {
        Self { start: self.start, end: self.start }
    }

    /// The place right after it.
    #[must_use]
    pub const fn after(self) -> Self {
        Self { start: self.end, end: self.end }
    }
}

/// `[[schema.]table.]column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColumnName {
    /// Its schema.
    pub schema: Option<Span>,
    /// Its table or the alias of one.
    pub table: Option<Span>,
    /// The column.
    pub column: Span,
}

/// `[schema.]table`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    /// Its schema.
    pub schema: Option<Span>,
    /// The table.
    pub table: Span,
}

impl TableName {
    /// All of it.
    #[must_use]
    pub fn span(self) -> Span {
        self.schema.map_or(self.table, |schema| schema.to(self.table))
    }
}
