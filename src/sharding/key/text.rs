//! String keys: the one form that all strings share which a collation calls equal.

use std::borrow::Cow;

use crate::sharding::key::KeyValue;
use crate::sharding::key::collation::{Classes, Collation};
use crate::sharding::key::literal::{KeyLiteral, Match};
use crate::sharding::key::typed::TextKind;

pub(super) fn equal_to<'a>(kind: TextKind, collation: Collation, literal: &KeyLiteral<'a>) -> Match<'a> {
    let form = string(kind, literal).and_then(|text| form(kind, collation, text));
    form.map_or(Match::Unknown, |text| Match::Exactly(KeyValue::Text(text)))
}

/// Only what is stored without being cut off or converted.
pub(super) fn stored<'a>(
    kind: TextKind,
    length: u32,
    collation: Collation,
    literal: &KeyLiteral<'a>,
) -> Option<KeyValue<'a>> {
    let text = string(kind, literal)?;
    let long = match kind {
        TextKind::Binary | TextKind::VarBinary => text.len(),
        TextKind::Char | TextKind::VarChar => {
            let text = std::str::from_utf8(text).ok().filter(|text| collation.holds(text))?;
            text.chars().count()
        }
    };
    if long > length as usize {
        return None;
    }
    form(kind, collation, text).map(KeyValue::Text)
}

/// The bytes that are compared. A number is equal to many strings: `12` to `'12'`, `'012'` and `'12abc'`.
fn string<'a>(kind: TextKind, literal: &KeyLiteral<'a>) -> Option<&'a [u8]> {
    match (kind, literal) {
        (_, KeyLiteral::Text(text)) => Some(text),
        (TextKind::Binary | TextKind::VarBinary, KeyLiteral::Binary(bytes)) => Some(bytes),
        // Compared byte by byte with the column's own character set, which ASCII is the same in.
        (TextKind::Char | TextKind::VarChar, KeyLiteral::Binary(bytes)) if bytes.is_ascii() => Some(bytes),
        (
            _,
            KeyLiteral::Null
            | KeyLiteral::Integer(_)
            | KeyLiteral::Decimal(_)
            | KeyLiteral::Double(_)
            | KeyLiteral::Binary(_)
            | KeyLiteral::Moment(_)
            | KeyLiteral::Opaque,
        ) => None,
    }
}

/// What stands for everything equal to `text`; None if that is not known.
fn form(kind: TextKind, collation: Collation, text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let text = match kind {
        // Whatever PAD_CHAR_TO_FULL_LENGTH makes of them.
        TextKind::Char => without_end(text, b' '),
        TextKind::VarChar if collation.pad => without_end(text, b' '),
        TextKind::VarChar | TextKind::VarBinary => text,
        TextKind::Binary => without_end(text, 0),
    };
    if matches!(kind, TextKind::Binary | TextKind::VarBinary) {
        return Some(Cow::Borrowed(text));
    }
    let printable = || text.iter().all(|byte| matches!(byte, b' '..=b'~'));
    match collation.classes {
        Classes::Exact => std::str::from_utf8(text).is_ok().then_some(Cow::Borrowed(text)),
        Classes::AsciiExact => printable().then_some(Cow::Borrowed(text)),
        Classes::AsciiFolded if !printable() => None,
        Classes::AsciiFolded if text.iter().any(u8::is_ascii_uppercase) => {
            Some(Cow::Owned(text.to_ascii_lowercase()))
        }
        Classes::AsciiFolded => Some(Cow::Borrowed(text)),
    }
}

fn without_end(text: &[u8], fill: u8) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte != fill).map_or(0, |last| last + 1);
    &text[..end]
}
