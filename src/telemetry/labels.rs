//! Values that metric labels may have: closed lists, so that a peer can never make a time series.

use crate::error::Blame;

/// A closed list of values of one metric label.
pub trait Label: Copy + 'static {
    /// The label's key.
    const KEY: &'static str;
    /// The values, by [`index`](Self::index).
    const NAMES: &'static [&'static str];
    /// The place of this value in [`NAMES`](Self::NAMES).
    fn index(self) -> usize;
}

/// Declares an enum together with its label key and the label value of each variant, so that the two
/// lists cannot drift apart.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $key:literal, { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// How many values there are.
            pub const COUNT: usize = [$($text),+].len();

            /// Every value, in order.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant),+];

            /// The value as a label shows it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl Label for $name {
            const KEY: &'static str = $key;
            const NAMES: &'static [&'static str] = &[$($text),+];
            #[inline]
            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label! {
    /// What a client asked for.
    CommandKind, "command", {
        /// COM_QUERY: a text statement.
        Query = "query",
        /// COM_STMT_EXECUTE.
        Execute = "execute",
        /// COM_STMT_PREPARE.
        Prepare = "prepare",
        /// Every other command.
        Other = "other",
    }
}

label! {
    /// The way of bytes, seen from here.
    Direction, "direction", {
        /// Read by us.
        In = "in",
        /// Written by us.
        Out = "out",
    }
}

label! {
    /// How a login ended.
    LoginOutcome, "outcome", {
        /// The client is in.
        Ok = "ok",
        /// The client got 1045, 1049, 1226 or another refusal.
        Denied = "denied",
        /// The client left or fell silent before the end.
        Abandoned = "abandoned",
    }
}

label! {
    /// Why a client connection was turned away.
    ClientRefusal, "reason", {
        /// `limits.connections_max` is reached (1040).
        ConnectionsMax = "connections_max",
        /// The user's `connections_max` is reached (1226).
        UserConnectionsMax = "user_connections_max",
        /// The process is draining (1053).
        Draining = "draining",
        /// The process has no file descriptor left.
        FileLimit = "file_limit",
        /// What the client sent is not the protocol (1043, 1156).
        Protocol = "protocol",
        /// A deadline of `timeouts` passed.
        Timeout = "timeout",
        /// TLS was required and not used (3159).
        TlsRequired = "tls_required",
        /// The PROXY protocol header was missing, broken or not trusted.
        ProxyHeader = "proxy_header",
    }
}

label! {
    /// How far a statement had come when its client went away.
    Phase, "phase", {
        /// Waiting for a server connection, or answered without one.
        Received = "received",
        /// Sent to a server, no reply yet.
        Leased = "leased",
        /// The reply had begun.
        Replying = "replying",
    }
}

label! {
    /// How something that may fail ended.
    Outcome, "outcome", {
        /// It worked.
        Ok = "ok",
        /// It failed.
        Failed = "failed",
    }
}

label! {
    /// Why a session keeps its server connection between statements and outside transactions.
    PinReason, "reason", {
        /// A session variable that is not carried over.
        SessionVariable = "session_variable",
        /// A user variable was assigned.
        UserVariable = "user_variable",
        /// A temporary table exists.
        TemporaryTable = "temporary_table",
        /// LOCK TABLES is held: until UNLOCK TABLES, or the beginning of a transaction.
        TableLock = "table_lock",
        /// FLUSH TABLES WITH READ LOCK is held.
        ReadLock = "read_lock",
        /// LOCK INSTANCE FOR BACKUP is held.
        InstanceLock = "instance_lock",
        /// GET_LOCK is held.
        NamedLock = "named_lock",
        /// A prepared statement made with SQL `PREPARE`.
        SqlPrepare = "sql_prepare",
        /// A cursor is open.
        Cursor = "cursor",
        /// COM_STMT_SEND_LONG_DATA was sent and not executed yet.
        LongData = "long_data",
        /// SQL_CALC_FOUND_ROWS or FOUND_ROWS().
        FoundRows = "found_rows",
        /// LAST_INSERT_ID() or ROW_COUNT().
        LastInsertId = "last_insert_id",
        /// Warnings may be asked for.
        Warnings = "warnings",
        /// An XA transaction.
        Xa = "xa",
        /// SET TRANSACTION: characteristics of the next transaction only.
        NextTransaction = "next_transaction",
        /// A savepoint without an open transaction (`autocommit` off).
        Savepoint = "savepoint",
        /// SET ROLE with roles that cannot be set again on another connection.
        Role = "role",
        /// LASTVAL() of MariaDB: for users that have asked for it, from the first statement that may take a number.
        Sequence = "sequence",
        /// The account's password has expired: until it is another one the server allows nothing else.
        ExpiredPassword = "expired_password",
        /// HANDLER … OPEN.
        Handler = "handler",
        /// Several statements in one command.
        MultiStatement = "multi_statement",
        /// The server said that state changed, not which.
        StateChange = "state_change",
        /// The statement's effects are not known.
        Unknown = "unknown",
    }
}

impl Label for Blame {
    const KEY: &'static str = "blame";
    const NAMES: &'static [&'static str] = &["client", "proxy", "backend"];
    #[inline]
    fn index(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Proxy => 1,
            Self::Backend => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_own_name_at_its_index() {
        assert_eq!(CommandKind::NAMES[CommandKind::Other.index()], CommandKind::Other.name());
        assert_eq!(PinReason::NAMES[PinReason::Unknown.index()], "unknown");
        assert_eq!(PinReason::COUNT, PinReason::NAMES.len());
        let mut names = PinReason::NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PinReason::COUNT);
    }
}
