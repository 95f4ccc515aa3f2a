//! What a logical database shows of itself: SHOW and DESCRIBE.

use crate::engine::error::EngineError;
use crate::engine::sharded::route::unroutable;
use crate::sql::ShowKind;

/// `EXPLAIN ROUTE` and a statement: to those who do not know it, it describes a table of that name.
pub(super) fn asks_for_route(text: &[u8]) -> bool {
    let mut words = text.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let explain = words.next().is_some_and(|word| {
        [&b"EXPLAIN"[..], b"DESCRIBE", b"DESC"].iter().any(|known| word.eq_ignore_ascii_case(known))
    });
    explain && words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"ROUTE")) && words.next().is_some()
}

/// Whether an EXPLAIN or DESCRIBE is of a statement, not of a table.
pub(super) fn explains(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 8] =
        [b"SELECT", b"INSERT", b"UPDATE", b"DELETE", b"REPLACE", b"WITH", b"TABLE", b"VALUES"];
    let mut words = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && *byte != b'`');
    words.any(|word| WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

/// Whether a slot's answer to a SHOW is the logical database's: what its tables are like, and what is the
/// same on every server. Numbers of rows, sessions and the like are those of one slot only.
pub(super) fn shows_logically(kind: ShowKind, text: &[u8], database: &str) -> Result<(), EngineError> {
    // With the database's name in it, it would have to be written anew.
    let mut names = text.split(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'$' | 0x80..));
    let bare = database.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let named = names.any(|name| name.eq_ignore_ascii_case(database.as_bytes()))
        || !bare && memchr::memmem::find(text, database.as_bytes()).is_some();
    let mut words = text.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<String> =
        words.by_ref().take(4).map(|word| String::from_utf8_lossy(word).to_ascii_uppercase()).collect();
    let tail = words.iter().skip(1).map(String::as_str).find(|word| !matches!(*word, "FULL" | "EXTENDED"));
    let of_schema = matches!(tail, Some("TABLES" | "COLUMNS" | "FIELDS"))
        || (tail == Some("CREATE") && words.get(2).is_some_and(|word| word == "TABLE"));
    match kind {
        ShowKind::Variables
        | ShowKind::Diagnostics
        | ShowKind::Server
        | ShowKind::Grants
        | ShowKind::Profile => Ok(()),
        ShowKind::Schema if of_schema && !named => Ok(()),
        _ => Err(unroutable("this form of SHOW")),
    }
}
