//! One account as its server has it stored.

use serde_json::Value;

use crate::backend::accounts::host::{Origin, matches, rank};
use crate::backend::facts::Flavor;
use crate::wire::auth::{Credential, Sha2Verifier};

/// What a password is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verifier {
    /// There is no password.
    Empty,
    /// SHA1(SHA1(password)).
    Native([u8; 20]),
    /// The stored string of `caching_sha2_password`.
    Sha2(Sha2Verifier),
}

/// How an account proves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stored {
    /// By a password behind one of these, all of one kind; two while one is being replaced by the other
    /// (`RETAIN CURRENT PASSWORD`). None: no password is right.
    Verifiers(Vec<Verifier>),
    /// By a plugin that shows a proxy nothing it could log in with.
    Plugin(String),
}

/// One account of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its host part.
    pub host: String,
    /// The server that has it.
    pub flavor: Flavor,
    /// It may not log in.
    pub locked: bool,
    /// It must have another password before it can do anything.
    pub expired: bool,
    /// It must use TLS.
    pub require_tls: bool,
    /// Changes with everything that is stored of the account itself.
    pub stamp: u64,
    /// Changes with its privileges and roles; nothing where they may not be read.
    pub grants: Option<u64>,
    stored: Stored,
}

impl Account {
    /// What a client's login is checked against; the name of the plugin where that is one that a proxy cannot stand
    /// in for.
    pub fn credential(&self) -> Result<Credential, &str> {
        let verifiers = match &self.stored {
            Stored::Plugin(name) => return Err(name),
            Stored::Verifiers(verifiers) => verifiers,
        };
        if verifiers.contains(&Verifier::Empty) {
            return Ok(Credential::Empty);
        }
        let sha2: Vec<Sha2Verifier> = verifiers
            .iter()
            .filter_map(|verifier| match verifier {
                Verifier::Sha2(verifier) => Some(verifier.clone()),
                Verifier::Empty | Verifier::Native(_) => None,
            })
            .collect();
        if !sha2.is_empty() {
            return Ok(Credential::Sha2(sha2));
        }
        let native = verifiers.iter().filter_map(|verifier| match verifier {
            Verifier::Native(stage2) => Some(*stage2),
            Verifier::Empty | Verifier::Sha2(_) => None,
        });
        Ok(Credential::Native(native.collect()))
    }

    /// The verifier that a login was proved against: [`crate::wire::auth::Proof`] has its place.
    #[must_use]
    pub fn verifier(&self, place: usize) -> Option<&Verifier> {
        match &self.stored {
            Stored::Verifiers(verifiers) => verifiers.get(place),
            Stored::Plugin(_) => None,
        }
    }

    /// Where a password that was right for `verifier` stands among those that are right now: 0 is the current one.
    #[must_use]
    pub fn place(&self, verifier: &Verifier) -> Option<usize> {
        match &self.stored {
            Stored::Verifiers(verifiers) => verifiers.iter().position(|known| known == verifier),
            Stored::Plugin(_) => None,
        }
    }

    /// The same with what is known of its privileges.
    #[must_use]
    pub fn with_grants(self, grants: Option<u64>) -> Self {
        Self { grants, ..self }
    }

    /// From a row of MySQL's `mysql.user`; see `read` for its columns.
    pub(super) fn of_mysql(row: &[Option<Vec<u8>>], stamp: u64) -> Option<Self> {
        let text = |n: usize| row.get(n).and_then(Option::as_ref).map(|text| String::from_utf8_lossy(text));
        let secret = |n: usize| unhex(&text(n).unwrap_or_default());
        let plugin = text(2)?.into_owned();
        let stored = stored(&plugin, &[secret(3)?, secret(4).unwrap_or_default()]);
        Some(Self {
            name: text(0)?.into_owned(),
            host: text(1)?.into_owned(),
            flavor: Flavor::MySql,
            locked: text(5).is_some_and(|locked| locked == "Y"),
            expired: text(8).is_some_and(|expired| expired == "Y"),
            require_tls: text(6).is_some_and(|kind| !kind.is_empty()),
            stamp,
            grants: None,
            stored,
        })
    }

    /// From a row of MariaDB's `mysql.global_priv`; see `read` for its columns. Roles are no accounts.
    pub(super) fn of_mariadb(row: &[Option<Vec<u8>>], stamp: u64) -> Option<Self> {
        let bytes = |n: usize| row.get(n).and_then(Option::as_ref);
        let text = |n: usize| bytes(n).map(|text| String::from_utf8_lossy(text).into_owned());
        let privileges: Value = serde_json::from_slice(bytes(2)?).ok()?;
        let is = |key: &str| privileges.get(key).and_then(Value::as_bool).unwrap_or(false);
        if is("is_role") {
            return None;
        }
        let stored_in = |method: &Value| {
            let word = |key: &str| method.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            match word("plugin") {
                // An empty entry of `auth_or` stands for what is beside it.
                plugin if plugin.is_empty() && !std::ptr::eq(method, &raw const privileges) => None,
                plugin if plugin.is_empty() => Some(stored("mysql_native_password", &[Vec::new()])),
                plugin => Some(stored(&plugin, &[word("authentication_string").into_bytes()])),
            }
        };
        let others = privileges.get("auth_or").and_then(Value::as_array).into_iter().flatten();
        let mut methods = std::iter::once(&privileges).chain(others).filter_map(stored_in);
        let first = methods.next()?;
        let usable =
            |stored: &Stored| matches!(stored, Stored::Verifiers(verifiers) if !verifiers.is_empty());
        let stored = if usable(&first) { first } else { methods.find(usable).unwrap_or(first) };
        Some(Self {
            name: text(0)?,
            host: text(1)?,
            flavor: Flavor::MariaDb,
            locked: is("account_locked"),
            expired: privileges.get("password_last_changed").and_then(Value::as_u64) == Some(0),
            require_tls: privileges.get("ssl_type").and_then(Value::as_u64).is_some_and(|kind| kind != 0),
            stamp,
            grants: None,
            stored,
        })
    }
}

/// The account that the server takes for a login of `name` from `origin`, of all that have the name.
pub(super) fn choose<'a>(accounts: &'a [Account], name: &str, origin: &Origin) -> Option<&'a Account> {
    let fitting = accounts.iter().filter(|account| account.name == name && matches(&account.host, origin));
    fitting.min_by_key(|account| rank(&account.host))
}

/// What is stored by `plugin`: the present secret and the one it replaces.
fn stored(plugin: &str, secrets: &[Vec<u8>]) -> Stored {
    let mut secrets = secrets.iter();
    match plugin {
        "mysql_native_password" | "caching_sha2_password" => {}
        other => return Stored::Plugin(other.to_owned()),
    }
    let present = secrets.next().map(Vec::as_slice).unwrap_or_default();
    if present.is_empty() {
        return Stored::Verifiers(vec![Verifier::Empty]);
    }
    let read = |secret: &[u8]| match plugin {
        "mysql_native_password" => {
            let digits = secret.strip_prefix(b"*").and_then(|digits| str::from_utf8(digits).ok())?;
            unhex(digits)?.try_into().ok().map(Verifier::Native)
        }
        _ => Sha2Verifier::parse(secret).ok().map(Verifier::Sha2),
    };
    let all = std::iter::once(present).chain(secrets.map(Vec::as_slice));
    Stored::Verifiers(all.filter_map(read).collect())
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let values: Option<Vec<u8>> =
        digits.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let values = values.filter(|values| values.len().is_multiple_of(2))?;
    Some(values.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::{Account, Verifier, choose};
    use crate::backend::accounts::host::Origin;
    use crate::wire::auth::Credential;

    fn row(values: &[&str]) -> Vec<Option<Vec<u8>>> {
        values.iter().map(|value| Some(value.as_bytes().to_vec())).collect()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    const NATIVE: &str = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";

    fn sha2(salt: u8) -> String {
        hex(&[&b"$A$005$"[..], &[salt; 20], &[b'h'; 43]].concat())
    }

    /// What the account's login is like, and how many passwords are right for it.
    fn check(account: Option<Account>, expected: &str, passwords: usize) {
        let account = account.expect("an account");
        let credential = match account.credential() {
            Ok(credential) => format!("{credential:?}"),
            Err(plugin) => plugin.to_owned(),
        };
        let known = (0..).take_while(|n| account.verifier(*n).is_some()).count();
        assert_eq!((credential.as_str(), known), (expected, passwords), "{account:?}");
    }

    #[test]
    fn rows_of_mysql_become_accounts() {
        let of = |plugin: &str, secret: &str, second: Option<String>| {
            let mut row = row(&["app", "%", plugin, secret, "", "N", ""]);
            row[4] = second.map(String::into_bytes);
            Account::of_mysql(&row, 1)
        };
        check(of("caching_sha2_password", &sha2(b'a'), None), "Sha2(…)", 1);
        check(of("caching_sha2_password", &sha2(b'a'), Some(sha2(b'b'))), "Sha2(…)", 2);
        check(of("caching_sha2_password", "", None), "Empty", 1);
        check(of("mysql_native_password", &hex(NATIVE.as_bytes()), None), "Native(…)", 1);
        check(of("caching_sha2_password", &hex(b"nonsense"), None), "Native(…)", 0);
        check(of("authentication_ldap_sasl", "", None), "authentication_ldap_sasl", 0);
        let locked = Account::of_mysql(&row(&["app", "%", "x", "", "", "Y", "ANY"]), 1).expect("an account");
        assert!(locked.locked && locked.require_tls);
        assert!(Account::of_mysql(&row(&["app"]), 1).is_none());
    }

    #[test]
    fn rows_of_mariadb_become_accounts() {
        let of = |privileges: &str| Account::of_mariadb(&row(&["app", "%", privileges]), 1);
        let native = format!(r#""plugin":"mysql_native_password","authentication_string":"{NATIVE}""#);
        check(of(&format!(r#"{{"access":1,{native}}}"#)), "Native(…)", 1);
        check(of(r#"{"access":1,"plugin":"mysql_native_password","authentication_string":""}"#), "Empty", 1);
        check(of(r#"{"access":1}"#), "Empty", 1);
        check(of(r#"{"plugin":"ed25519","authentication_string":"x"}"#), "ed25519", 0);
        check(of(&format!(r#"{{"plugin":"unix_socket","auth_or":[{{}},{{{native}}}]}}"#)), "Native(…)", 1);
        let unusable = r#"{"plugin":"mysql_native_password","authentication_string":"invalid","auth_or":[{},{"plugin":"unix_socket"}]}"#;
        check(of(unusable), "Native(…)", 0);
        assert!(of(r#"{"is_role":true}"#).is_none() && of("no json").is_none());
        let locked = of(r#"{"account_locked":true,"ssl_type":2}"#).expect("an account");
        assert!(locked.locked && locked.require_tls && !locked.expired);
        assert!(of(r#"{"password_last_changed":0}"#).expect("an account").expired);
    }

    #[test]
    fn the_account_of_the_most_specific_host_is_taken() {
        let accounts: Vec<Account> = ["%", "10.%", "localhost"]
            .iter()
            .map(|host| Account::of_mysql(&row(&["app", host, "mysql_native_password", "", "", "N", ""]), 1))
            .map(|account| account.expect("an account"))
            .collect();
        let host = |user: &str| {
            choose(&accounts, "app", &Origin::of_user(user, None)).map(|account| account.host.as_str())
        };
        assert_eq!(host("dazzle@10.1.2.3"), Some("10.%"));
        assert_eq!(host("dazzle@localhost"), Some("localhost"));
        assert_eq!(host("dazzle@192.0.2.1"), Some("%"));
        // As bytes: a server's collation ignores trailing spaces, a login does not.
        assert!(choose(&accounts, "app ", &Origin::of_user("dazzle@10.1.2.3", None)).is_none());
        assert_eq!(accounts[0].place(&Verifier::Empty), Some(0));
        assert!(matches!(accounts[0].credential(), Ok(Credential::Empty)));
    }
}
