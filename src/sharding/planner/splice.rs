//! A statement's text with some places changed.

use crate::sql::tree::Span;

/// Changes of a text, in any order; none overlaps another.
#[derive(Clone, Debug, Default)]
pub(super) struct Edits {
    list: Vec<(Span, Vec<u8>)>,
}

impl Edits {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Puts `text` in the place of `span`.
    pub(super) fn replace(&mut self, span: Span, text: impl Into<Vec<u8>>) {
        self.list.push((span, text.into()));
    }

    pub(super) fn cut(&mut self, span: Span) {
        self.replace(span, Vec::new());
    }

    /// Changes inside of `span`, applied to its own bytes.
    pub(super) fn within(&self, text: &[u8], span: Span) -> Vec<u8> {
        self.apply_to(text, span)
    }

    /// Whether something inside of `span` is changed.
    pub(super) fn touch(&self, span: Span) -> bool {
        self.list.iter().any(|(changed, _)| span.start <= changed.start && changed.end <= span.end)
    }

    pub(super) fn apply(&self, text: &[u8]) -> Vec<u8> {
        self.apply_to(text, Span::new(0, text.len() as u32))
    }

    fn apply_to(&self, text: &[u8], whole: Span) -> Vec<u8> {
        let mut list: Vec<_> =
            self.list.iter().filter(|(span, _)| whole.start <= span.start && span.end <= whole.end).collect();
        list.sort_by_key(|(span, _)| *span);
        let mut out = Vec::with_capacity(text.len() + 64);
        let mut at = whole.start;
        for (span, new) in list {
            debug_assert!(span.start >= at, "edits overlap");
            out.extend_from_slice(Span::new(at, span.start.max(at)).of(text));
            out.extend_from_slice(new);
            at = span.end.max(at);
        }
        out.extend_from_slice(Span::new(at, whole.end).of(text));
        out
    }
}
