//! The questions to a server about its accounts. Names come from clients that nobody knows yet: they go into the
//! text as hexadecimal digits, in which nothing can be hidden.

use std::collections::HashMap;
use std::fmt::Write;

use xxhash_rust::xxh3::Xxh3;

use crate::backend::accounts::account::Account;
use crate::backend::conn::BackendConn;
use crate::backend::error::BackendError;
use crate::backend::facts::Flavor;

type Row = Vec<Option<Vec<u8>>>;

/// Tables with something that pooled connections keep from their login on, or from their last USE. The account's
/// name is the first column that is asked for.
const MYSQL_GRANTS: [&str; 5] = [
    "SELECT t.User, t.* FROM mysql.user t WHERE t.User",
    "SELECT t.User, t.* FROM mysql.db t WHERE t.User",
    "SELECT t.USER, t.* FROM mysql.default_roles t WHERE t.USER",
    "SELECT t.TO_USER, t.* FROM mysql.role_edges t WHERE t.TO_USER",
    "SELECT t.USER, t.* FROM mysql.global_grants t WHERE t.USER",
];
const MARIADB_GRANTS: [&str; 3] = [
    "SELECT t.User, t.* FROM mysql.global_priv t WHERE t.User",
    "SELECT t.User, t.* FROM mysql.db t WHERE t.User",
    "SELECT t.User, t.* FROM mysql.roles_mapping t WHERE t.User",
];

/// Every account that has one of these names.
pub(super) async fn accounts(conn: &mut BackendConn, names: &[&str]) -> Result<Vec<Account>, BackendError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let flavor = conn.facts.flavor;
    let columns = match flavor {
        Flavor::MySql => {
            "User, Host, plugin, HEX(authentication_string), \
             HEX(JSON_UNQUOTE(JSON_EXTRACT(User_attributes, '$.additional_password'))), account_locked, ssl_type, \
             password_last_changed, password_expired FROM mysql.user"
        }
        Flavor::MariaDb => "User, Host, Priv FROM mysql.global_priv",
    };
    let rows = conn.ask(&format!("SELECT {columns} WHERE User {}", among(names))).await?;
    let read = |row: &Row| match flavor {
        Flavor::MySql => Account::of_mysql(row, stamp(row)),
        Flavor::MariaDb => Account::of_mariadb(row, stamp(row)),
    };
    Ok(rows.iter().filter_map(read).collect())
}

/// For each name a number that changes with its privileges and roles.
pub(super) async fn grants<'a>(
    conn: &mut BackendConn,
    names: &[&'a str],
) -> Result<HashMap<&'a str, u64>, BackendError> {
    let mut stamps: HashMap<&str, u64> = names.iter().map(|name| (*name, 0)).collect();
    if names.is_empty() {
        return Ok(stamps);
    }
    let questions: &[&str] = match conn.facts.flavor {
        Flavor::MySql => &MYSQL_GRANTS,
        Flavor::MariaDb => &MARIADB_GRANTS,
    };
    for (table, question) in (1..).zip(questions) {
        for row in conn.ask(&format!("{question} {}", among(names))).await? {
            let name = row.first().and_then(Option::as_deref).unwrap_or_default();
            if let Some(sum) = str::from_utf8(name).ok().and_then(|name| stamps.get_mut(name)) {
                // A sum, because rows come in no order.
                *sum = sum.wrapping_add(stamp(&row).wrapping_mul(table * 2 + 1));
            }
        }
    }
    Ok(stamps)
}

/// `IN (…)` with every name.
fn among(names: &[&str]) -> String {
    let mut text = String::from("IN (");
    for (n, name) in names.iter().enumerate() {
        text.push_str(if n == 0 { "_utf8mb4 0x" } else { ", _utf8mb4 0x" });
        for byte in name.as_bytes() {
            write!(text, "{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    text.push(')');
    text
}

fn stamp(row: &Row) -> u64 {
    let mut hash = Xxh3::new();
    for value in row {
        match value {
            Some(value) => {
                hash.update(&(value.len() as u64).to_le_bytes());
                hash.update(value);
            }
            None => hash.update(&[0xFF]),
        }
    }
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::{among, stamp};

    #[test]
    fn names_cannot_say_anything() {
        assert_eq!(among(&["app", "x') OR ('"]), "IN (_utf8mb4 0x617070, _utf8mb4 0x782729204F52202827)");
    }

    #[test]
    fn a_stamp_tells_rows_apart() {
        let row = |values: &[Option<&str>]| -> Vec<Option<Vec<u8>>> {
            values.iter().map(|value| value.map(|value| value.as_bytes().to_vec())).collect()
        };
        let one = stamp(&row(&[Some("a"), Some("bc")]));
        assert_eq!(one, stamp(&row(&[Some("a"), Some("bc")])));
        for other in
            [row(&[Some("ab"), Some("c")]), row(&[Some("a"), None]), row(&[Some("a"), Some("bc"), None])]
        {
            assert_ne!(one, stamp(&other));
        }
    }
}
