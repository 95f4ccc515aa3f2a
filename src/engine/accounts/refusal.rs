//! A server that does not let an account in: the client is told what the server would have told it, without the
//! address that the server sees.

use crate::backend::Flavor;
use crate::error::SqlError;

/// What a client whose account the server refused with error `code` is told. `who`: `'name'@'host'` of the client.
#[must_use]
pub fn refusal(code: Option<u16>, flavor: Flavor, who: &str) -> SqlError {
    match code {
        Some(1045 | 1698) => {
            SqlError::new(1045, "28000", format!("Access denied for user {who} (using password: YES)"))
        }
        Some(3118 | 4151) => locked(flavor, who),
        // 1820: let in to do nothing but change it.
        Some(1820 | 1862) => SqlError::new(
            1862,
            "HY000",
            "Your password has expired. To log in you must change it using a client that supports expired passwords.",
        ),
        _ => SqlError::new(1105, "HY000", "the database server could not be used; see the proxy's log"),
    }
}

/// What a server tells the owner of a locked account.
#[must_use]
pub fn locked(flavor: Flavor, who: &str) -> SqlError {
    match flavor {
        Flavor::MySql => {
            SqlError::new(3118, "HY000", format!("Access denied for user {who}. Account is locked."))
        }
        Flavor::MariaDb => SqlError::new(4151, "HY000", "Access denied, this account is locked"),
    }
}

#[cfg(test)]
mod tests {
    use super::refusal;
    use crate::backend::Flavor;

    #[test]
    fn what_a_server_refuses_is_told_in_its_words() {
        for (code, flavor, told) in [
            (Some(1045), Flavor::MySql, 1045),
            (Some(1698), Flavor::MariaDb, 1045),
            (Some(3118), Flavor::MySql, 3118),
            (Some(4151), Flavor::MariaDb, 4151),
            (Some(1862), Flavor::MySql, 1862),
            (Some(1820), Flavor::MariaDb, 1862),
            (Some(1044), Flavor::MySql, 1105),
            (None, Flavor::MySql, 1105),
        ] {
            assert_eq!(refusal(code, flavor, "'u'@'h'").code, told, "{code:?}");
        }
    }
}
