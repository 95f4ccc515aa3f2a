//! Classes of bytes: the lookup tables that drive the scanner.

use crate::sql::charset::ClientCharset;

/// A letter, `_`, or a byte above 0x7F that belongs to identifiers. Classes up to [`LAST_WORD`] continue a word.
pub(super) const WORD: u8 = 0;
/// A letter that may open a literal (`x'`, `b'`, `n'`), or `$`, which may open a dollar-quoted string.
pub(super) const PREFIX: u8 = 1;
/// 0–9.
pub(super) const DIGIT: u8 = 2;
pub(super) const LAST_WORD: u8 = DIGIT;
pub(super) const SPACE: u8 = 3;
/// First byte of a character of two or four bytes, some of them below 0x80.
pub(super) const LEAD: u8 = 4;
/// A byte above 0x7F in a character set whose letters are not known here.
pub(super) const OPAQUE: u8 = 5;
pub(super) const QUOTE: u8 = 6;
pub(super) const DOUBLE_QUOTE: u8 = 7;
pub(super) const BACKTICK: u8 = 8;
pub(super) const DOT: u8 = 9;
pub(super) const COMMA: u8 = 10;
pub(super) const OPEN: u8 = 11;
pub(super) const CLOSE: u8 = 12;
pub(super) const SEMICOLON: u8 = 13;
pub(super) const AT: u8 = 14;
pub(super) const HASH: u8 = 15;
pub(super) const MINUS: u8 = 16;
pub(super) const SLASH: u8 = 17;
pub(super) const OPERATOR: u8 = 18;
pub(super) const PLACEHOLDER: u8 = 19;
pub(super) const BACKSLASH: u8 = 20;
pub(super) const NUL: u8 = 21;
/// `=`, `<`, `>`: a sign after one of them belongs to its number.
pub(super) const COMPARE: u8 = 22;

/// The class of every byte.
pub(super) type Classes = [u8; 256];

const fn classes(charset: ClientCharset) -> Classes {
    let mut table = [OPERATOR; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'x' | b'X' | b'b' | b'B' | b'n' | b'N' | b'$' => PREFIX,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => WORD,
            b'0'..=b'9' => DIGIT,
            9..=13 | b' ' => SPACE,
            b'\'' => QUOTE,
            b'"' => DOUBLE_QUOTE,
            b'`' => BACKTICK,
            b'.' => DOT,
            b',' => COMMA,
            b'(' => OPEN,
            b')' => CLOSE,
            b';' => SEMICOLON,
            b'@' => AT,
            b'#' => HASH,
            b'-' => MINUS,
            b'/' => SLASH,
            b'?' => PLACEHOLDER,
            b'\\' => BACKSLASH,
            b'=' | b'<' | b'>' => COMPARE,
            0 => NUL,
            0x80..=0xFF => high(byte as u8, charset),
            _ => OPERATOR,
        };
        byte += 1;
    }
    table
}

const fn high(byte: u8, charset: ClientCharset) -> u8 {
    match charset {
        ClientCharset::AsciiSafe => WORD,
        ClientCharset::Latin if byte == 0xA0 => SPACE,
        ClientCharset::Latin => WORD,
        ClientCharset::SingleByte => OPAQUE,
        // Half-width katakana are single bytes.
        ClientCharset::Sjis if matches!(byte, 0xA1..=0xDF) => WORD,
        ClientCharset::Gbk | ClientCharset::Sjis | ClientCharset::Big5 | ClientCharset::Gb18030 => LEAD,
    }
}

static ASCII_SAFE: Classes = classes(ClientCharset::AsciiSafe);
static LATIN: Classes = classes(ClientCharset::Latin);
static SINGLE_BYTE: Classes = classes(ClientCharset::SingleByte);
static SJIS: Classes = classes(ClientCharset::Sjis);
static MULTI_BYTE: Classes = classes(ClientCharset::Gbk);

/// The table of a character set.
pub(super) fn of(charset: ClientCharset) -> &'static Classes {
    match charset {
        ClientCharset::AsciiSafe => &ASCII_SAFE,
        ClientCharset::Latin => &LATIN,
        ClientCharset::SingleByte => &SINGLE_BYTE,
        ClientCharset::Sjis => &SJIS,
        ClientCharset::Gbk | ClientCharset::Big5 | ClientCharset::Gb18030 => &MULTI_BYTE,
    }
}
