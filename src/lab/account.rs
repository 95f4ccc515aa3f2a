//! Accounts on a private server: authentication plugin, TLS requirement, an application's privileges.

use std::fmt::Write;

use crate::lab::error::LabError;
use crate::lab::flavor::Flavor;
use crate::lab::server::Server;

/// How an account proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthPlugin {
    /// `mysql_native_password`: MariaDB only, MySQL 9 has none.
    Native,
    /// `caching_sha2_password`: MySQL only.
    CachingSha2,
    /// `sha256_password`: MySQL only; a plugin that proxies meet rarely.
    Sha256,
    /// `ed25519`: MariaDB only; a plugin that most clients lack. Loaded when first used.
    Ed25519,
}

/// What a login must bring beside the password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// Nothing.
    #[default]
    None,
    /// TLS.
    Ssl,
    /// A client certificate of the server's authority.
    X509,
}

/// An account from every host, with the privileges of an application that owns its schemas.
#[derive(Clone, Debug)]
pub struct Account<'a> {
    /// User name.
    pub user: &'a str,
    /// Password; may be empty.
    pub password: &'a str,
    /// How it proves itself.
    pub plugin: AuthPlugin,
    /// TLS.
    pub require: Require,
    /// Connections at once that the server allows; 0: any number.
    pub connections_max: u32,
}

/// What applications need, and nothing that passes by `read_only` or `max_connections`.
const APPLICATION_PRIVILEGES: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, \
    CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, \
    TRIGGER, PROCESS, RELOAD, REPLICATION CLIENT";

impl<'a> Account<'a> {
    /// An account with the flavor's usual plugin and no TLS requirement.
    #[must_use]
    pub const fn new(flavor: Flavor, user: &'a str, password: &'a str) -> Self {
        let plugin = match flavor {
            Flavor::MariaDb => AuthPlugin::Native,
            Flavor::MySql => AuthPlugin::CachingSha2,
        };
        Self { user, password, plugin, require: Require::None, connections_max: 0 }
    }
}

impl Server {
    /// Makes `account` anew, with an application's privileges on every schema; replicas get it too.
    ///
    /// # Errors
    /// [`LabError::Unsupported`] for a plugin that the flavor lacks, [`LabError::Sql`].
    pub async fn create_account(&self, account: &Account<'_>) -> Result<(), LabError> {
        let mut statements = Vec::new();
        let name = format!("'{}'@'%'", escape(account.user));
        let password = escape(account.password);
        let identified = match (self.flavor(), account.plugin) {
            (Flavor::MariaDb, AuthPlugin::Native) => {
                format!("IDENTIFIED VIA mysql_native_password USING PASSWORD('{password}')")
            }
            (Flavor::MariaDb, AuthPlugin::Ed25519) => {
                statements.push("INSTALL PLUGIN IF NOT EXISTS ed25519 SONAME 'auth_ed25519'".to_owned());
                format!("IDENTIFIED VIA ed25519 USING PASSWORD('{password}')")
            }
            (Flavor::MySql, AuthPlugin::CachingSha2) => {
                format!("IDENTIFIED WITH caching_sha2_password BY '{password}'")
            }
            (Flavor::MySql, AuthPlugin::Sha256) => format!("IDENTIFIED WITH sha256_password BY '{password}'"),
            (flavor, AuthPlugin::Native) => {
                return Err(LabError::Unsupported { flavor, what: "mysql_native_password" });
            }
            (flavor, AuthPlugin::CachingSha2) => {
                return Err(LabError::Unsupported { flavor, what: "caching_sha2_password" });
            }
            (flavor, AuthPlugin::Sha256) => {
                return Err(LabError::Unsupported { flavor, what: "sha256_password" });
            }
            (flavor, AuthPlugin::Ed25519) => return Err(LabError::Unsupported { flavor, what: "ed25519" }),
        };
        let mut create = format!("CREATE USER {name} {identified}");
        let require = match account.require {
            Require::None => "NONE",
            Require::Ssl => "SSL",
            Require::X509 => "X509",
        };
        write!(create, " REQUIRE {require} WITH MAX_USER_CONNECTIONS {}", account.connections_max)
            .expect("writing to a String cannot fail");
        statements.push(format!("DROP USER IF EXISTS {name}"));
        statements.push(create);
        statements.push(format!("GRANT {APPLICATION_PRIVILEGES} ON *.* TO {name}"));
        self.execute(&statements).await
    }

    /// Makes an empty schema, dropping one of that name before: a test's own room.
    ///
    /// # Errors
    /// [`LabError::Sql`].
    pub async fn create_schema(&self, name: &str) -> Result<(), LabError> {
        let name = name.replace('`', "``");
        self.execute(&[format!("DROP DATABASE IF EXISTS `{name}`"), format!("CREATE DATABASE `{name}`")])
            .await
    }
}

/// The inside of a quoted literal, under the default `sql_mode`.
pub(crate) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "''")
}
