//! Commands: the first payload byte of a client's packet and what follows it.

use crate::wire::codec::{Malformed, Reader};

/// Command bytes. Source: MySQL "enum_server_command", MariaDB "COM_*".
#[allow(missing_docs, reason = "the names are MySQL's own")]
pub mod code {
    pub const SLEEP: u8 = 0x00;
    pub const QUIT: u8 = 0x01;
    pub const INIT_DB: u8 = 0x02;
    pub const QUERY: u8 = 0x03;
    pub const FIELD_LIST: u8 = 0x04;
    pub const CREATE_DB: u8 = 0x05;
    pub const DROP_DB: u8 = 0x06;
    pub const REFRESH: u8 = 0x07;
    pub const SHUTDOWN: u8 = 0x08;
    pub const STATISTICS: u8 = 0x09;
    pub const PROCESS_INFO: u8 = 0x0A;
    pub const PROCESS_KILL: u8 = 0x0C;
    pub const DEBUG: u8 = 0x0D;
    pub const PING: u8 = 0x0E;
    pub const CHANGE_USER: u8 = 0x11;
    pub const STMT_PREPARE: u8 = 0x16;
    pub const STMT_EXECUTE: u8 = 0x17;
    pub const STMT_SEND_LONG_DATA: u8 = 0x18;
    pub const STMT_CLOSE: u8 = 0x19;
    pub const STMT_RESET: u8 = 0x1A;
    pub const SET_OPTION: u8 = 0x1B;
    pub const STMT_FETCH: u8 = 0x1C;
    pub const RESET_CONNECTION: u8 = 0x1F;
    pub const STMT_BULK_EXECUTE: u8 = 0xFA;
}

/// A parsed command of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// The client says goodbye.
    Quit,
    /// Change the default schema.
    InitDb(&'a [u8]),
    /// A statement as text; with QUERY_ATTRIBUTES the attributes stand before it.
    Query(&'a [u8]),
    /// Columns of a table (table, NUL, wildcard).
    FieldList(&'a [u8]),
    /// Server statistics as text.
    Statistics,
    /// Process list.
    ProcessInfo,
    /// Kill a connection.
    ProcessKill(u32),
    /// Debug dump to the server's log.
    Debug,
    /// Is anybody there?
    Ping,
    /// Log in again as somebody else, on this connection.
    ChangeUser(&'a [u8]),
    /// Prepare a statement.
    StmtPrepare(&'a [u8]),
    /// Execute a prepared statement.
    StmtExecute {
        /// The client's statement id.
        statement: u32,
        /// Cursor type and other flags.
        flags: u8,
        /// Parameters, from after the iteration count.
        parameters: &'a [u8],
    },
    /// A piece of one parameter; no reply.
    StmtSendLongData {
        /// The client's statement id.
        statement: u32,
    },
    /// Forget a prepared statement; no reply.
    StmtClose(u32),
    /// Drop collected long data, close the cursor.
    StmtReset(u32),
    /// Multi-statements on (0) or off (1).
    SetOption(u16),
    /// Rows from a cursor.
    StmtFetch {
        /// The client's statement id.
        statement: u32,
        /// Rows wanted.
        rows: u32,
    },
    /// Back to the state after the login.
    ResetConnection,
    /// A command this proxy does not know or does not pass on; answered with 1047.
    Unknown(u8),
}

impl<'a> Command<'a> {
    /// Parses a payload. An empty payload is what MySQL calls malformed (1835).
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let byte = reader.u8().map_err(|_| Malformed("empty command"))?;
        Ok(match byte {
            code::QUIT => Self::Quit,
            code::INIT_DB => Self::InitDb(reader.rest()),
            code::QUERY => Self::Query(reader.rest()),
            code::FIELD_LIST => Self::FieldList(reader.rest()),
            code::STATISTICS => Self::Statistics,
            code::PROCESS_INFO => Self::ProcessInfo,
            code::PROCESS_KILL => Self::ProcessKill(reader.u32()?),
            code::DEBUG => Self::Debug,
            code::PING => Self::Ping,
            code::CHANGE_USER => Self::ChangeUser(reader.rest()),
            code::STMT_PREPARE => Self::StmtPrepare(reader.rest()),
            code::STMT_EXECUTE => {
                let statement = reader.u32()?;
                let flags = reader.u8()?;
                // The iteration count is always 1.
                reader.u32()?;
                Self::StmtExecute { statement, flags, parameters: reader.rest() }
            }
            code::STMT_SEND_LONG_DATA => {
                let statement = reader.u32()?;
                reader.u16()?;
                Self::StmtSendLongData { statement }
            }
            code::STMT_CLOSE => Self::StmtClose(reader.u32()?),
            code::STMT_RESET => Self::StmtReset(reader.u32()?),
            code::SET_OPTION => Self::SetOption(reader.u16()?),
            code::STMT_FETCH => Self::StmtFetch { statement: reader.u32()?, rows: reader.u32()? },
            code::RESET_CONNECTION => Self::ResetConnection,
            other => Self::Unknown(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_are_told_apart() {
        let check = |payload: &[u8], expected| assert_eq!(Command::parse(payload), expected);
        check(b"\x03SELECT 1", Ok(Command::Query(b"SELECT 1")));
        check(b"\x0e", Ok(Command::Ping));
        check(b"\x1b\x01\x00", Ok(Command::SetOption(1)));
        check(b"\x18\x01\x00\x00", Err(Malformed("unexpected end")));
        check(b"\x12rest", Ok(Command::Unknown(0x12)));
        check(b"", Err(Malformed("empty command")));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Command::parse(&payload);
        }
    }
}
