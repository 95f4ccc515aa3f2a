//! All tokens of a statement at once, as the mode's server reads them, with the partners of parentheses.

use crate::sql::mode::LexMode;
use crate::sql::reading::Reading;
use crate::sql::scanner::{Inside, Scanner};
use crate::sql::token::TokenKind;
use crate::sql::tree::Unparsed;
use crate::sql::tree::span::Span;

/// Tokens of one statement. An INSERT of 1 MiB has fewer.
const TOKENS_MAX: usize = 1 << 19;

/// One token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexeme {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
    /// Of an opening parenthesis, the token that closes it; of a placeholder, its number.
    pub(super) link: u32,
}

/// The tokens, an end last.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) items: Vec<Lexeme>,
    pub(super) parameters: u32,
    pub(super) executable: bool,
}

impl Tokens {
    pub(super) fn read(text: &[u8], mode: LexMode) -> Result<Self, Unparsed> {
        let fail = |at: usize, why| Unparsed { at: u32::try_from(at).unwrap_or(u32::MAX), why };
        if u32::try_from(text.len()).is_err() {
            return Err(fail(0, "a text too long"));
        }
        let reading = Reading::Of(mode.server);
        let mut this = Self { items: Vec::new(), parameters: 0, executable: false };
        let mut open: Vec<usize> = Vec::new();
        let mut scanner = Scanner::new(text, mode);
        loop {
            let token = scanner.next();
            let mut link = 0;
            match token.kind {
                TokenKind::HintOpen => {
                    skip(&mut scanner);
                    continue;
                }
                TokenKind::ExecutableOpen => {
                    this.executable = true;
                    if !reading.executes(token.bytes(text)) {
                        skip(&mut scanner);
                    }
                    continue;
                }
                TokenKind::CommentClose => continue,
                TokenKind::Bad => return Err(fail(token.start, "an unreadable token")),
                TokenKind::Open => open.push(this.items.len()),
                TokenKind::Close => match open.pop() {
                    Some(partner) => this.items[partner].link = this.items.len() as u32,
                    None => return Err(fail(token.start, "a parenthesis that nothing opens")),
                },
                TokenKind::Placeholder => {
                    link = this.parameters;
                    this.parameters += 1;
                }
                _ => {}
            }
            let span = Span::new(token.start as u32, token.end as u32);
            this.items.push(Lexeme { kind: token.kind, span, link });
            if token.kind == TokenKind::End {
                break;
            }
            if this.items.len() > TOKENS_MAX {
                return Err(fail(token.start, "too many tokens"));
            }
        }
        if let Some(&partner) = open.last() {
            return Err(Unparsed { at: this.items[partner].span.start, why: "a parenthesis without an end" });
        }
        Ok(this)
    }
}

fn skip(scanner: &mut Scanner<'_>) {
    debug_assert!(scanner.inside != Inside::Statement);
    scanner.pos = scanner.limit;
}
