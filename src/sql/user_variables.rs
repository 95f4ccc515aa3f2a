//! Which user variables a text names.

use std::collections::BTreeSet;

use crate::sql::assignment::user_variable_name;
use crate::sql::cursor::Cursor;
use crate::sql::mode::LexMode;
use crate::sql::reading::Reading;
use crate::sql::token::TokenKind;

/// Bytes of a name at most: MySQL's own limit.
const NAME_BYTES_MAX: usize = 64;

/// The user variables of `text`, in lower case, those in executable comments included.
///
/// `None` if the text cannot be read, or if a name is more than letters, digits, `_`, `$` and `.`: which other
/// names mean the same variable is a matter of collations.
#[must_use]
pub fn user_variables(text: &[u8], mode: LexMode) -> Option<BTreeSet<Box<str>>> {
    let mut cursor = Cursor::new(text, mode, Reading::Everything);
    let mut found = BTreeSet::new();
    loop {
        let token = cursor.next();
        match token.kind {
            TokenKind::End => return (!cursor.bad).then_some(found),
            TokenKind::UserVariable => {
                let name = user_variable_name(&cursor, token);
                let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.');
                if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.iter().all(plain) {
                    return None;
                }
                found.insert(String::from_utf8_lossy(&name).to_ascii_lowercase().into());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_quoted() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let found = user_variables(text.as_bytes(), LexMode::default());
            let found = found.map(|names| names.into_iter().map(String::from).collect::<Vec<_>>());
            assert_eq!(
                found.as_deref(),
                expected.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>()).as_deref(),
                "{text}"
            );
        };
        check("SELECT 1", Some(&[]));
        check("SET @A = 1, @`b.c` = @a, @'d' := 2", Some(&["a", "b.c", "d"]));
        check("SELECT '@no', @@no, /*!99999 @yes */ 1 -- @no", Some(&["yes"]));
        check("SET @`a b` = 1", None);
        check("SET @ä = 1", None);
        check("SET @a = 'unfinished", None);
    }
}
