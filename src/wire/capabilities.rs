//! Capability flags: what two peers agree on in the handshake.

use std::ops::{BitAnd, BitOr, BitOrAssign};

/// The 32 capability bits of MySQL in the low half, MariaDB's extended ones in the high half.
///
/// Source: MySQL "Capabilities Flags", MariaDB "Connection: capabilities".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// MySQL's name `CLIENT_LONG_PASSWORD`; MariaDB calls it `CLIENT_MYSQL` and leaves it out of its
    /// greeting to announce that the extended flags are valid.
    pub const CLIENT_MYSQL: Self = Self(1);
    /// Affected rows count the rows found, not the rows changed.
    pub const FOUND_ROWS: Self = Self(1 << 1);
    /// Column flags take two bytes.
    pub const LONG_FLAG: Self = Self(1 << 2);
    /// The handshake response may name a schema.
    pub const CONNECT_WITH_DB: Self = Self(1 << 3);
    /// `database.table.column` is not allowed.
    pub const NO_SCHEMA: Self = Self(1 << 4);
    /// Packets may be compressed with zlib.
    pub const COMPRESS: Self = Self(1 << 5);
    /// ODBC client; no effect since 3.22.
    pub const ODBC: Self = Self(1 << 6);
    /// `LOAD DATA LOCAL` is allowed.
    pub const LOCAL_FILES: Self = Self(1 << 7);
    /// Spaces before `(` are ignored.
    pub const IGNORE_SPACE: Self = Self(1 << 8);
    /// The 4.1 protocol.
    pub const PROTOCOL_41: Self = Self(1 << 9);
    /// `interactive_timeout` instead of `wait_timeout`.
    pub const INTERACTIVE: Self = Self(1 << 10);
    /// TLS.
    pub const SSL: Self = Self(1 << 11);
    /// The client does not raise SIGPIPE; no effect on the wire.
    pub const IGNORE_SIGPIPE: Self = Self(1 << 12);
    /// OK and EOF packets carry status flags.
    pub const TRANSACTIONS: Self = Self(1 << 13);
    /// The 4.1 authentication (20-byte scramble).
    pub const SECURE_CONNECTION: Self = Self(1 << 15);
    /// Several statements in one COM_QUERY.
    pub const MULTI_STATEMENTS: Self = Self(1 << 16);
    /// Several results for one COM_QUERY.
    pub const MULTI_RESULTS: Self = Self(1 << 17);
    /// Several results for one COM_STMT_EXECUTE.
    pub const PS_MULTI_RESULTS: Self = Self(1 << 18);
    /// Named authentication plugins.
    pub const PLUGIN_AUTH: Self = Self(1 << 19);
    /// Connection attributes.
    pub const CONNECT_ATTRS: Self = Self(1 << 20);
    /// The authentication response is length-encoded.
    pub const PLUGIN_AUTH_LENENC: Self = Self(1 << 21);
    /// The client can live with an expired password (sandbox mode).
    pub const CAN_HANDLE_EXPIRED_PASSWORDS: Self = Self(1 << 22);
    /// OK packets may carry session state changes.
    pub const SESSION_TRACK: Self = Self(1 << 23);
    /// An OK packet with header 0xFE replaces EOF.
    pub const DEPRECATE_EOF: Self = Self(1 << 24);
    /// Column metadata may be left out.
    pub const OPTIONAL_METADATA: Self = Self(1 << 25);
    /// Packets may be compressed with zstd.
    pub const ZSTD: Self = Self(1 << 26);
    /// COM_QUERY and COM_STMT_EXECUTE carry query attributes.
    pub const QUERY_ATTRIBUTES: Self = Self(1 << 27);
    /// Multi-factor authentication.
    pub const MULTI_FACTOR: Self = Self(1 << 28);
    /// The client verifies the server's certificate; no effect on the wire.
    pub const SSL_VERIFY_SERVER_CERT: Self = Self(1 << 30);
    /// The client keeps its options after a failed connect; no effect on the wire.
    pub const REMEMBER_OPTIONS: Self = Self(1 << 31);

    /// MariaDB: progress reports during long statements.
    pub const MARIADB_PROGRESS: Self = Self(1 << 32);
    /// MariaDB: COM_STMT_BULK_EXECUTE.
    pub const MARIADB_BULK: Self = Self(1 << 34);
    /// MariaDB: extended type names in column definitions.
    pub const MARIADB_EXTENDED_METADATA: Self = Self(1 << 35);
    /// MariaDB: column definitions of prepared statements may be left out when unchanged.
    pub const MARIADB_CACHE_METADATA: Self = Self(1 << 36);

    /// No capability.
    pub const NONE: Self = Self(0);

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// These flags and those of `other`; usable in constants.
    #[must_use]
    pub const fn and_also(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Capabilities {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Capabilities {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Capabilities {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
