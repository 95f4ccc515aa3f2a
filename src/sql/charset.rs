//! What `character_set_client` changes for a lexer: which bytes belong to one character.

/// The kinds of client character sets that a lexer must tell apart.
///
/// In most of them every byte below 0x80 is a character of its own. In a few Asian ones the second byte of a
/// character may be `\`, `` ` `` or `|`; reading those bytewise misplaces the end of a string, which is the
/// classic injection behind `addslashes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientCharset {
    /// utf8mb4, utf8mb3, ascii, ujis, euckr, gb2312 and their like.
    #[default]
    AsciiSafe,
    /// One byte per character, 0xA0 is a space to MySQL's lexer (latin1, cp1250–cp1257, greek, hebrew …).
    Latin,
    /// One byte per character; which bytes above 0x7F are letters or spaces is not known here.
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
    #[must_use]
    pub fn named(name: &[u8]) -> Self {
        let name = name.to_ascii_lowercase();
        match name.as_slice() {
            b"gbk" => Self::Gbk,
            b"sjis" | b"cp932" => Self::Sjis,
            b"big5" => Self::Big5,
            b"gb18030" => Self::Gb18030,
            b"latin1" | b"latin2" | b"latin5" | b"latin7" | b"cp1250" | b"cp1251" | b"cp1256" | b"cp1257"
            | b"greek" | b"hebrew" => Self::Latin,
            b"utf8" | b"utf8mb3" | b"utf8mb4" | b"ascii" | b"binary" | b"ujis" | b"eucjpms" | b"euckr"
            | b"gb2312" => Self::AsciiSafe,
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
