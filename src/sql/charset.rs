//! What `character_set_client` changes for a lexer: which bytes belong to one character.

/// The kinds of client character sets that a lexer must tell apart.
///
/// In most of them every byte below 0x80 is a character of its own. In a few Asian ones the second byte of a
/// character may be `\`, `` ` `` or `|`; reading those bytewise misplaces the end of a string, which is the
/// classic injection behind `addslashes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientCharset {
    /// utf8mb4, ascii, cp1251, koi8r, ujis, euckr and their like: no byte above 0x7F is a blank.
    #[default]
    AsciiSafe,
    /// One byte per character, 0xA0 is a blank to the lexer: latin1, latin2, greek, hebrew, cp1250 …
    Latin,
    /// One byte per character; which bytes above 0x7F are blanks is not known here.
    SingleByte,
    /// gbk: a second byte in 0x40–0x7E, 0x80–0xFE.
    Gbk,
    /// sjis, cp932: a second byte in 0x40–0x7E, 0x80–0xFC.
    Sjis,
    /// big5: a second byte in 0x40–0x7E, 0xA1–0xFE.
    Big5,
    /// gb18030: two bytes as in gbk, or four.
    Gb18030,
}

impl ClientCharset {
    /// The kind of the character set of this name (any case), as in `character_set_client`.
    ///
    /// Which bytes are blanks was asked of MariaDB 10.11 and MySQL 9.7: `SELECT`, the byte, `1`.
    #[must_use]
    pub fn named(name: &[u8]) -> Self {
        let name = name.to_ascii_lowercase();
        match name.as_slice() {
            b"gbk" => Self::Gbk,
            b"sjis" | b"cp932" => Self::Sjis,
            b"big5" => Self::Big5,
            b"gb18030" => Self::Gb18030,
            b"latin1" | b"latin2" | b"latin5" | b"latin7" | b"greek" | b"hebrew" | b"cp1250" | b"dec8"
            | b"armscii8" | b"geostd8" => Self::Latin,
            b"utf8" | b"utf8mb3" | b"utf8mb4" | b"ascii" | b"binary" | b"ujis" | b"eucjpms" | b"euckr"
            | b"gb2312" | b"cp1251" | b"cp1256" | b"cp1257" | b"cp850" | b"koi8r" | b"koi8u" | b"hp8"
            | b"swe7" | b"macce" | b"macroman" | b"tis620" => Self::AsciiSafe,
            // cp852, cp866 and keybcs2, where 0xFF is a blank, and what is not known.
            _ => Self::SingleByte,
        }
    }

    /// True where a character may have a second byte below 0x80.
    pub(super) const fn has_ascii_trail(self) -> bool {
        matches!(self, Self::Gbk | Self::Sjis | Self::Big5 | Self::Gb18030)
    }

    /// Length of the multi-byte character at the start of `bytes`, 0 if there is none (MySQL's `my_ismbchar`).
    pub(super) fn character_len(self, bytes: &[u8]) -> usize {
        let (Some(&lead), Some(&trail)) = (bytes.first(), bytes.get(1)) else { return 0 };
        let two = match self {
            Self::AsciiSafe | Self::Latin | Self::SingleByte => false,
            Self::Gbk => matches!(lead, 0x81..=0xFE) && matches!(trail, 0x40..=0x7E | 0x80..=0xFE),
            Self::Sjis => {
                matches!(lead, 0x81..=0x9F | 0xE0..=0xFC) && matches!(trail, 0x40..=0x7E | 0x80..=0xFC)
            }
            Self::Big5 => matches!(lead, 0xA1..=0xF9) && matches!(trail, 0x40..=0x7E | 0xA1..=0xFE),
            Self::Gb18030 => {
                if matches!(bytes, [0x81..=0xFE, 0x30..=0x39, 0x81..=0xFE, 0x30..=0x39, ..]) {
                    return 4;
                }
                matches!(lead, 0x81..=0xFE) && matches!(trail, 0x40..=0x7E | 0x80..=0xFE)
            }
        };
        if two { 2 } else { 0 }
    }
}
