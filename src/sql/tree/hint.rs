//! Hints to the proxy: `/*+ dazzle: … */`, anywhere in a statement.

use memchr::memmem;

use crate::sql::mode::LexMode;
use crate::sql::scanner::Scanner;
use crate::sql::token::TokenKind;
use crate::sql::tree::span::Span;

/// What a hint says, after `dazzle:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Without blanks around it.
    pub content: Span,
    /// The whole comment.
    pub comment: Span,
}

/// All hints to the proxy in `text`, in order. A text without `/*+` costs one search.
#[must_use]
pub fn hints(text: &[u8], mode: LexMode) -> Vec<Hint> {
    let mut found = Vec::new();
    if memmem::find(text, b"/*+").is_none() || u32::try_from(text.len()).is_err() {
        return found;
    }
    let mut scanner = Scanner::new(text, mode);
    loop {
        let token = scanner.next();
        match token.kind {
            TokenKind::End | TokenKind::Bad => return found,
            TokenKind::HintOpen => {
                let (mut start, mut end) = (token.start + 3, scanner.limit);
                scanner.pos = end;
                let content = &text[start..end];
                let lead = content.len() - content.trim_ascii_start().len();
                if !content[lead..].get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"dazzle:")) {
                    continue;
                }
                let content = &content[lead + 7..];
                start += lead + 7 + (content.len() - content.trim_ascii_start().len());
                end = start + text[start..end].trim_ascii_end().len();
                found.push(Hint {
                    content: Span::new(start as u32, end as u32),
                    comment: Span::new(token.start as u32, scanner.limit as u32 + 2),
                });
            }
            _ => {}
        }
    }
}
