//! Facts of a statement: what a proxy must know to send it to the right server, and what to remember then.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use crate::sql::body;
use crate::sql::cursor::Cursor;
use crate::sql::digest::normalize;
use crate::sql::effects::Effects;
use crate::sql::found_rows::{FoundRows, found_rows};
use crate::sql::kind::{Access, Kind};
use crate::sql::mode::LexMode;
use crate::sql::reading::{Reading, readings};
use crate::sql::token::TokenKind;
use crate::sql::verbs;

/// What is known of all statements with one fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it is; of several statements, the first one's.
    pub kind: Kind,
    /// Whether all of it only reads.
    pub access: Access,
    /// What it does to its session.
    pub effects: Effects,
    /// What it does to FOUND_ROWS().
    pub found_rows: FoundRows,
    /// For statistics and people.
    pub digest: Digest,
}

/// The normalised text and its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    /// xxh3 of the text: the same in every process and every lexical mode.
    pub hash: u64,
    /// Without literals, at most 32 KiB, bytes that are not UTF-8 replaced.
    pub text: Box<str>,
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x} {}", self.hash, self.text)
    }
}

/// Everything that follows from the text alone, from its fingerprint even: no fact depends on a literal.
///
/// A text with executable comments is read in every way in which a server may read it. Its effects are the
/// union, it is a read only if it always is, and its kind is what the mode's own server sees.
#[must_use]
pub fn analyze(text: &[u8], mode: LexMode) -> Statement {
    let readings = readings(text, mode);
    let mut facts = read(text, mode, readings[0]);
    let own = facts;
    for &reading in &readings[1..] {
        let other = read(text, mode, reading);
        if other != own {
            facts.effects |= Effects::CONDITIONAL;
        }
        facts.effects |= other.effects;
        if other.access == Access::Write {
            facts.access = Access::Write;
        }
    }
    if readings.len() > 1 {
        facts.effects |= Effects::EXECUTABLE_COMMENT;
    }
    if read_bad(text, mode) {
        facts.effects |= Effects::UNREADABLE;
    }
    if facts.effects.contains(Effects::UNREADABLE) {
        facts.access = Access::Write;
    }
    Statement {
        kind: facts.kind,
        access: facts.access,
        effects: facts.effects,
        found_rows: found_rows(text, mode, facts.kind, facts.effects),
        digest: digest(text, mode),
    }
}

fn digest(text: &[u8], mode: LexMode) -> Digest {
    let mut normalized = Vec::new();
    normalize(text, mode, &mut normalized);
    let text = String::from_utf8_lossy(&normalized).replace('\0', "\u{FFFD}");
    Digest { hash: xxh3_64(&normalized), text: text.into_boxed_str() }
}

/// Whether the text holds a token that no server, or not every server, can read.
fn read_bad(text: &[u8], mode: LexMode) -> bool {
    let mut cursor = Cursor::new(text, mode, Reading::Everything);
    while cursor.next().kind != TokenKind::End {}
    cursor.bad
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    kind: Kind,
    access: Access,
    effects: Effects,
}

/// The facts of one reading, of all its statements.
fn read(text: &[u8], mode: LexMode, reading: Reading) -> Facts {
    let mut cursor = Cursor::new(text, mode, reading);
    let mut all: Option<Facts> = None;
    loop {
        while cursor.take_kind(TokenKind::Semicolon) {}
        if cursor.peek().kind == TokenKind::End {
            break;
        }
        let one = statement(&mut cursor);
        all = Some(match all {
            None => one,
            Some(first) => Facts {
                kind: first.kind,
                access: if one.access == Access::Write { Access::Write } else { first.access },
                effects: (first.effects | one.effects).without(Effects::SELECT_VARIABLES) | Effects::MULTIPLE,
            },
        });
    }
    all.unwrap_or(Facts { kind: Kind::Empty, access: Access::Read, effects: Effects::NONE })
}

/// The facts of the statement at the cursor, which is left at its end.
fn statement(cursor: &mut Cursor<'_>) -> Facts {
    let verb = verbs::verb(cursor);
    let body = body::read(cursor, verb);
    let mut effects = verb.effects | body.effects;
    if verb.kind == Kind::Explain {
        effects = effects.without(Effects::LOCKING_READ | Effects::INTO_OUTFILE);
    }
    let functions_write = effects.intersects(WRITING);
    let reads = verb.reads && (body.reads || verb.kind == Kind::Explain && !functions_write);
    Facts { kind: verb.kind, access: if reads { Access::Read } else { Access::Write }, effects }
}

/// Effects of functions that must not run on a replica.
const WRITING: Effects = Effects::GET_LOCK
    .with(Effects::RELEASE_LOCK)
    .with(Effects::RELEASE_ALL_LOCKS)
    .with(Effects::USES_SEQUENCE)
    .with(Effects::READS_SEQUENCE)
    .with(Effects::ASSIGNS_USER_VARIABLE);

/// Passes one statement; used to find where it ends.
pub(super) fn pass(cursor: &mut Cursor<'_>) {
    let verb = verbs::verb(cursor);
    body::read(cursor, verb);
}
