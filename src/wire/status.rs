//! Server status flags: two bytes at the end of every OK and EOF packet.

/// Status flags of a session after a statement. Source: MySQL "SERVER_STATUS_flags_enum".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatusFlags(pub u16);

impl StatusFlags {
    /// A transaction is open.
    pub const IN_TRANS: Self = Self(1);
    /// `autocommit` is on.
    pub const AUTOCOMMIT: Self = Self(2);
    /// Another result follows this one.
    pub const MORE_RESULTS: Self = Self(8);
    /// No good index was used.
    pub const NO_GOOD_INDEX: Self = Self(16);
    /// No index was used.
    pub const NO_INDEX: Self = Self(32);
    /// A read-only cursor was opened for the prepared statement.
    pub const CURSOR_EXISTS: Self = Self(64);
    /// The cursor has sent its last row.
    pub const LAST_ROW_SENT: Self = Self(128);
    /// A schema was dropped.
    pub const DB_DROPPED: Self = Self(256);
    /// Backslash is no escape in string literals (`sql_mode` NO_BACKSLASH_ESCAPES).
    pub const NO_BACKSLASH_ESCAPES: Self = Self(512);
    /// A prepared statement's metadata changed.
    pub const METADATA_CHANGED: Self = Self(1024);
    /// The statement was slow.
    pub const QUERY_WAS_SLOW: Self = Self(2048);
    /// This result holds the OUT parameters of a stored procedure.
    pub const PS_OUT_PARAMS: Self = Self(4096);
    /// The open transaction is read-only.
    pub const IN_TRANS_READONLY: Self = Self(8192);
    /// The OK packet carries session state changes.
    pub const SESSION_STATE_CHANGED: Self = Self(16384);
    /// MariaDB: `sql_mode` holds ANSI_QUOTES.
    pub const ANSI_QUOTES: Self = Self(32768);

    /// Flags that tell about one result, not about the session.
    pub const OF_ONE_RESULT: Self = Self(
        Self::MORE_RESULTS.0
            | Self::NO_GOOD_INDEX.0
            | Self::NO_INDEX.0
            | Self::CURSOR_EXISTS.0
            | Self::LAST_ROW_SENT.0
            | Self::DB_DROPPED.0
            | Self::METADATA_CHANGED.0
            | Self::QUERY_WAS_SLOW.0
            | Self::PS_OUT_PARAMS.0
            | Self::SESSION_STATE_CHANGED.0,
    );

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

    /// These flags and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
