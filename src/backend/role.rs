//! Active roles, as a server tells them and as SET ROLE takes them.

use crate::backend::facts::Flavor;

/// The question that tells the active roles.
pub const CURRENT_ROLE: &str = "SELECT CURRENT_ROLE()";

/// Longer lists of roles are not carried.
const ROLE_BYTES_MAX: usize = 4 << 10;

/// What SET ROLE takes for the roles that CURRENT_ROLE() tells; `None` for names that not every charset has, or that are
/// not quoted.
#[must_use]
pub fn role_setting(flavor: Flavor, told: Option<&[u8]>) -> Option<Vec<u8>> {
    let told = match (told, flavor) {
        (None, _) | (Some(b"NONE"), Flavor::MySql) => return Some(b"NONE".to_vec()),
        (Some(told), _) => told,
    };
    let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'\\' || *byte == b' ';
    if told.len() > ROLE_BYTES_MAX || !told.iter().all(plain) {
        return None;
    }
    match flavor {
        // A list, each quoted: `reader`@`%`,`writer`@`%`
        Flavor::MySql => matches!(told, [b'`' | b'"', ..]).then(|| told.to_vec()),
        Flavor::MariaDb => {
            let name = String::from_utf8_lossy(told).replace('`', "``");
            Some(format!("`{name}`").into_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_set_again_as_the_server_told_them() {
        let check = |flavor, told: Option<&str>, expected: Option<&str>| {
            let found = role_setting(flavor, told.map(str::as_bytes));
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{told:?}");
        };
        check(Flavor::MySql, Some("NONE"), Some("NONE"));
        check(Flavor::MySql, Some("`a`@`%`,`b`@`h`"), Some("`a`@`%`,`b`@`h`"));
        check(Flavor::MySql, Some("\"a\"@\"%\""), Some("\"a\"@\"%\""));
        check(Flavor::MySql, Some("a@%"), None);
        check(Flavor::MySql, Some("`\u{fc}`@`%`"), None);
        check(Flavor::MariaDb, None, Some("NONE"));
        check(Flavor::MariaDb, Some("NONE"), Some("`NONE`"));
        check(Flavor::MariaDb, Some("re`ader"), Some("`re``ader`"));
        check(Flavor::MariaDb, Some("a\\"), None);
    }
}
