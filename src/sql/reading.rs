//! The ways in which servers may read executable comments: which of them they execute.

use crate::sql::mode::{LexMode, Server};
use crate::sql::scanner::Scanner;
use crate::sql::token::TokenKind;

/// Versions in one text that are told apart; a text with more is read wholly and not at all.
const VERSIONS_MAX: usize = 4;

/// One way to read a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Every executable comment is skipped.
    Nothing,
    /// Every one is executed.
    Everything,
    /// As this server does it.
    Of(Server),
}

impl Reading {
    /// Whether the comment with this opener, `/*!40101` or `/*M!`, is executed.
    pub(super) fn executes(self, opener: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Of(server) => {
                let (version, maria_only) = parse(opener);
                server.executes(version, maria_only)
            }
        }
    }
}

/// Version (0 if none) of an opener, and whether MySQL takes it for a plain comment.
fn parse(opener: &[u8]) -> (u32, bool) {
    let digits = opener.iter().filter(|byte| byte.is_ascii_digit());
    let version = digits.fold(0u32, |value, digit| value.saturating_mul(10) + u32::from(digit - b'0'));
    (version, opener.get(2) != Some(&b'!'))
}

/// All readings that can differ for `text`; one if it has no executable comment.
pub(super) fn readings(text: &[u8], mode: LexMode) -> Vec<Reading> {
    let mut openers: Vec<(u32, bool)> = Vec::new();
    let mut scanner = Scanner::new(text, mode);
    loop {
        let token = scanner.next();
        match token.kind {
            TokenKind::End => break,
            TokenKind::ExecutableOpen => {
                let opener = parse(token.bytes(text));
                if !openers.contains(&opener) && openers.len() <= VERSIONS_MAX {
                    openers.push(opener);
                }
            }
            _ => {}
        }
    }
    let mut readings = vec![Reading::Of(mode.server)];
    if openers.is_empty() {
        return readings;
    }
    readings.extend([Reading::Nothing, Reading::Everything]);
    if openers.len() > 1 && openers.len() <= VERSIONS_MAX {
        for &(version, _) in &openers {
            readings.push(Reading::Of(Server::MySql { version }));
            readings.push(Reading::Of(Server::MariaDb { version }));
        }
    }
    readings
}
