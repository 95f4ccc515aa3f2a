//! What of a session changes how its statements are cut into tokens.

use crate::sql::charset::ClientCharset;

/// The server whose lexer is imitated; it decides which executable comments are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// MySQL, version as in executable comments: 80036 is 8.0.36.
    MySql {
        /// Major × 10000 + minor × 100 + patch.
        version: u32,
    },
    /// MariaDB, version as in executable comments: 101119 is 10.11.19.
    MariaDb {
        /// Major × 10000 + minor × 100 + patch.
        version: u32,
    },
}

impl Server {
    /// Reads the version text of a greeting or of `@@version`: `8.0.36`, `5.5.5-10.11.6-MariaDB-log`.
    #[must_use]
    pub fn from_version_text(text: &str) -> Self {
        let maria = text.to_ascii_lowercase().contains("mariadb");
        // MariaDB's replication-compatible prefix is no part of its version.
        let text = if maria { text.strip_prefix("5.5.5-").unwrap_or(text) } else { text };
        let mut parts =
            text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0).min(99);
        let version = next() * 10_000 + next() * 100 + next();
        if maria { Self::MariaDb { version } } else { Self::MySql { version } }
    }

    /// Whether the content of `/*!version … */` (or `/*M!…`, then `maria_only`) is executed.
    pub(super) fn executes(self, version: u32, maria_only: bool) -> bool {
        match self {
            Self::MySql { version: own } => !maria_only && version <= own,
            // MariaDB leaves out what MySQL 5.7 and later guard for themselves.
            Self::MariaDb { version: own } => {
                version <= own && (maria_only || !(50_700..=99_999).contains(&version))
            }
        }
    }

    /// MySQL reads `$tag$ … $tag$` as a string since 8.0.34; older servers and MariaDB see identifiers.
    pub(super) fn quotes_with_dollars(self) -> bool {
        matches!(self, Self::MySql { version } if version >= 80_030)
    }
}

/// `sql_mode`, `character_set_client` and the server, as far as they change the lexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LexMode {
    /// `"x"` is an identifier, not a string.
    pub ansi_quotes: bool,
    /// `\` inside a string is an ordinary character.
    pub no_backslash_escapes: bool,
    /// What else of `sql_mode` changes how a statement is read.
    pub grammar: Grammar,
    /// Of `character_set_client`.
    pub charset: ClientCharset,
    /// Whose lexer.
    pub server: Server,
}

/// The parts of `sql_mode` that leave tokens alone and change what they mean together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grammar {
    /// `||` joins strings, and binds tighter than `^`; without it, it is OR.
    pub pipes_as_concat: bool,
    /// NOT binds as tight as `!`.
    pub high_not_precedence: bool,
    /// A blank may stand between the name of a built-in function and its parenthesis.
    pub ignore_space: bool,
    /// MariaDB's other grammar, of which nothing is known here.
    pub oracle: bool,
}

impl Default for LexMode {
    fn default() -> Self {
        Self::new(Server::MySql { version: 80_036 })
    }
}

impl LexMode {
    /// A session without any lexical `sql_mode`, in utf8mb4.
    #[must_use]
    pub const fn new(server: Server) -> Self {
        Self {
            ansi_quotes: false,
            no_backslash_escapes: false,
            grammar: Grammar {
                pipes_as_concat: false,
                high_not_precedence: false,
                ignore_space: false,
                oracle: false,
            },
            charset: ClientCharset::AsciiSafe,
            server,
        }
    }

    /// Takes the lexical parts of a `sql_mode`: names separated by commas, combined modes such as `ANSI`
    /// included, or MySQL's number.
    #[must_use]
    pub fn with_sql_mode(mut self, sql_mode: &[u8]) -> Self {
        let sql_mode = sql_mode.trim_ascii();
        if let Some(bits) = std::str::from_utf8(sql_mode).ok().and_then(|text| text.parse::<u64>().ok()) {
            let has = |bit: u32| bits >> bit & 1 == 1;
            self.ansi_quotes = has(2);
            self.no_backslash_escapes = has(20);
            self.grammar = Grammar {
                pipes_as_concat: has(1),
                high_not_precedence: has(29),
                ignore_space: has(3),
                oracle: has(9) && matches!(self.server, Server::MariaDb { .. }),
            };
            return self;
        }
        let has = |names: &[&[u8]]| {
            sql_mode
                .split(|&byte| byte == b',')
                .any(|mode| names.iter().any(|name| name.eq_ignore_ascii_case(mode.trim_ascii())))
        };
        // Each of these stands for a set of modes with ANSI_QUOTES, PIPES_AS_CONCAT and IGNORE_SPACE.
        let combined = has(&[b"ANSI", b"ORACLE", b"MSSQL", b"DB2", b"MAXDB", b"POSTGRESQL"]);
        self.ansi_quotes = combined || has(&[b"ANSI_QUOTES"]);
        self.no_backslash_escapes = has(&[b"NO_BACKSLASH_ESCAPES"]);
        self.grammar = Grammar {
            pipes_as_concat: combined || has(&[b"PIPES_AS_CONCAT"]),
            high_not_precedence: has(&[b"HIGH_NOT_PRECEDENCE", b"MYSQL323", b"MYSQL40"]),
            ignore_space: combined || has(&[b"IGNORE_SPACE"]),
            oracle: has(&[b"ORACLE"]) && matches!(self.server, Server::MariaDb { .. }),
        };
        self
    }

    /// Takes the lexical part of a `character_set_client`.
    #[must_use]
    pub fn with_charset(mut self, character_set_client: &[u8]) -> Self {
        self.charset = ClientCharset::named(character_set_client);
        self
    }

    /// The mode as a number, to be mixed into a fingerprint.
    pub(super) fn seed(self) -> u64 {
        let (maria, version) = match self.server {
            Server::MySql { version } => (0, version),
            Server::MariaDb { version } => (1, version),
        };
        let grammar = u64::from(self.grammar.pipes_as_concat)
            | u64::from(self.grammar.high_not_precedence) << 1
            | u64::from(self.grammar.ignore_space) << 2
            | u64::from(self.grammar.oracle) << 3;
        grammar << 40
            | u64::from(version) << 8
            | maria << 5
            | (self.charset as u64) << 2
            | u64::from(self.ansi_quotes) << 1
            | u64::from(self.no_backslash_escapes)
    }
}
