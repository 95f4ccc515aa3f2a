//! Fingerprint and normalised text of a statement, from one pass over its bytes.

use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};

use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::sql::literal::LiteralSpan;
use crate::sql::mode::LexMode;
use crate::sql::normalizer::{Buffer, Normalizer, Sink};

/// Hash of a statement's normalised text and of the [`LexMode`] it was read in: the key of facts and plans.
///
/// Statements that differ in literals, blanks, comments or the length of a list share it; so anything derived
/// from a statement may be kept by it unless it depends on the value of a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// The hash.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl Hash for Fingerprint {
    /// It is a hash already; half of it is enough for a table.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 as u64);
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

thread_local! {
    /// The text being hashed. It belongs to the thread because a session must not hold memory while idle;
    /// it is empty between calls and never larger than [`crate::sql::normalizer::PIECE_MAX`] twice.
    static SCRATCH: RefCell<Buffer> = const { RefCell::new(Buffer::new()) };
}

/// The fingerprint of `text`, the same in every process.
#[must_use]
pub fn fingerprint(text: &[u8], mode: LexMode) -> Fingerprint {
    fingerprint_keyed(text, mode, 0)
}

/// The fingerprint of `text` under a key.
///
/// Clients choose their texts, and xxh3 is no cryptographic hash: a cache shared between clients should use
/// a key that is drawn at random once per process.
#[must_use]
pub fn fingerprint_keyed(text: &[u8], mode: LexMode, key: u64) -> Fingerprint {
    let mut hash = PieceHash { seed: mode.seed() ^ key, pieces: 0 };
    SCRATCH.with_borrow_mut(|buffer| {
        Normalizer::run(text, mode, buffer, &mut hash);
        let fingerprint = hash.finish(buffer.written());
        buffer.reset();
        fingerprint
    })
}

/// Appends the normalised text of `text` to `out`. A text longer than 32 KiB is cut and ends with `...`.
pub fn normalize(text: &[u8], mode: LexMode, out: &mut Vec<u8>) {
    let mut buffer = Buffer::new();
    let mut first = FirstPiece { piece: None };
    Normalizer::run(text, mode, &mut buffer, &mut first);
    match first.piece {
        Some(piece) => {
            out.extend_from_slice(&piece);
            out.extend_from_slice(b" ...");
        }
        None => out.extend_from_slice(buffer.written()),
    }
}

/// Chains the hashes of pieces.
struct PieceHash {
    seed: u64,
    pieces: u128,
}

impl PieceHash {
    #[inline(always)]
    fn finish(&self, last: &[u8]) -> Fingerprint {
        Fingerprint(xxh3_128_with_seed(last, self.seed).wrapping_add(self.pieces))
    }
}

impl Sink for PieceHash {
    #[cold]
    fn piece(&mut self, piece: &[u8]) {
        // An odd factor keeps all 128 bits of what came before and makes the order count.
        const ODD: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
        self.pieces = self.pieces.wrapping_add(xxh3_128_with_seed(piece, self.seed)).wrapping_mul(ODD) | 1;
    }

    #[inline(always)]
    fn literal(&mut self, _: LiteralSpan) {}
}

/// Keeps the beginning of a long text.
struct FirstPiece {
    piece: Option<Vec<u8>>,
}

impl Sink for FirstPiece {
    fn piece(&mut self, piece: &[u8]) {
        self.piece.get_or_insert_with(|| piece.to_vec());
    }

    fn literal(&mut self, _: LiteralSpan) {}
}
