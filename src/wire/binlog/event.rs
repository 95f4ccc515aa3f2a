//! One event of a binary log.

use crate::wire::binlog::gtid::Gtid;
use crate::wire::codec::{Malformed, Reader};

/// Bytes of the header of an event, without a checksum.
pub const EVENT_HEADER_BYTES: usize = 19;

/// Types of events. Source: MySQL `Log_event_type`, MariaDB the same and more.
#[allow(missing_docs, reason = "the names are the servers' own")]
pub mod kind {
    pub const START_V3: u8 = 1;
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const APPEND_BLOCK: u8 = 9;
    pub const RAND: u8 = 13;
    pub const USER_VAR: u8 = 14;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const BEGIN_LOAD_QUERY: u8 = 17;
    pub const TABLE_MAP: u8 = 19;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const UPDATE_ROWS_V1: u8 = 24;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;
    pub const ANNOTATE_ROWS: u8 = 160;
    pub const BINLOG_CHECKPOINT: u8 = 161;
    pub const MARIADB_GTID: u8 = 162;
    pub const MARIADB_GTID_LIST: u8 = 163;
    pub const START_ENCRYPTION: u8 = 164;
    pub const WRITE_ROWS_COMPRESSED_V1: u8 = 166;
    pub const DELETE_ROWS_COMPRESSED: u8 = 171;
}

/// `LOG_EVENT_IGNORABLE_F`: who does not know the type may go on.
const IGNORABLE_FLAG: u16 = 0x80;

/// `LOG_EVENT_ARTIFICIAL_F`: it is in no log.
const ARTIFICIAL_FLAG: u16 = 0x20;

/// What every event begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventHeader {
    /// One of [`kind`], or one that nobody here knows.
    pub kind: u8,
    /// Bytes, with this header.
    pub size: u32,
    /// Where the next one begins in the log; only the lower 32 bits. 0: it is in no log.
    pub next: u32,
    flags: u16,
}

impl EventHeader {
    /// The header at the front of `event`.
    pub fn parse(event: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(event);
        let _timestamp = reader.u32()?;
        let kind = reader.u8()?;
        let _server_id = reader.u32()?;
        Ok(Self { kind, size: reader.u32()?, next: reader.u32()?, flags: reader.u16()? })
    }

    /// Whether the server made it for the stream: it is in no log.
    #[must_use]
    pub const fn is_artificial(&self) -> bool {
        self.flags & ARTIFICIAL_FLAG != 0
    }
}

/// The rows of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsOf<'a> {
    /// The number that a table map has given the table.
    pub table: u64,
    /// The type of the event.
    pub kind: u8,
    /// What follows the table's number.
    pub rows: &'a [u8],
}

/// What an event says, as far as it matters to who keeps results.
#[derive(Debug, PartialEq, Eq)]
pub enum LogEvent<'a> {
    /// A transaction begins; its name in MySQL.
    Begins(Gtid),
    /// A transaction begins that has no name, or whose place in the log is its name (MariaDB).
    BeginsUnnamed,
    /// A number for a table: its schema and name.
    TableMap {
        /// The number.
        table: u64,
        /// The schema's name.
        schema: &'a [u8],
        /// The table's name.
        name: &'a [u8],
        /// Its columns, for a [`RowLayout`](crate::wire::binlog::RowLayout).
        columns: &'a [u8],
    },
    /// Rows of a table are written, changed or deleted.
    Rows(RowsOf<'a>),
    /// A statement as text, or its beginning.
    Query(&'a [u8]),
    /// The log goes on in another file.
    Rotate {
        /// The file.
        file: &'a [u8],
        /// Where in it.
        at: u64,
    },
    /// How the events that follow are written.
    Format {
        /// Each ends in a checksum of four bytes.
        checksums: bool,
    },
    /// Nothing happens; the log ends here.
    Heartbeat,
    /// A whole transaction, packed.
    Payload(&'a [u8]),
    /// It changes nothing by itself.
    Harmless,
    /// Nobody here knows what it changes.
    Unknown,
}

impl<'a> LogEvent<'a> {
    /// What follows `header`. Of a long event the beginning is enough, but for a packed transaction.
    pub fn parse(header: &EventHeader, body: &'a [u8]) -> Result<Self, Malformed> {
        use LogEvent::{Harmless, Heartbeat, Payload, Unknown};
        let mut reader = Reader::new(body);
        match header.kind {
            kind::GTID => {
                let _flags = reader.u8()?;
                Ok(Self::Begins(Gtid::new(reader.bytes(16)?, b"", reader.u64()?)?))
            }
            kind::GTID_TAGGED => Ok(Self::Begins(Gtid::parse_tagged(body)?)),
            kind::ANONYMOUS_GTID | kind::MARIADB_GTID => Ok(Self::BeginsUnnamed),
            kind::TABLE_MAP => table_map(reader),
            kind::WRITE_ROWS_V1..=kind::DELETE_ROWS_V1
            | kind::WRITE_ROWS..=kind::DELETE_ROWS
            | kind::PARTIAL_UPDATE_ROWS
            | kind::WRITE_ROWS_COMPRESSED_V1..=kind::DELETE_ROWS_COMPRESSED => {
                let table = number_of_table(&mut reader)?;
                Ok(Self::Rows(RowsOf { table, kind: header.kind, rows: reader.take_rest() }))
            }
            kind::QUERY => query(reader),
            kind::ROTATE => Ok(Self::Rotate { at: reader.u64()?, file: reader.take_rest() }),
            kind::FORMAT_DESCRIPTION => format(body),
            kind::HEARTBEAT | kind::HEARTBEAT_V2 => Ok(Heartbeat),
            kind::TRANSACTION_PAYLOAD => Ok(Payload(body)),
            kind::START_V3
            | kind::STOP
            | kind::INTVAR
            | kind::RAND
            | kind::USER_VAR
            | kind::XID
            | kind::BEGIN_LOAD_QUERY
            | kind::APPEND_BLOCK
            | kind::IGNORABLE
            | kind::ROWS_QUERY
            | kind::PREVIOUS_GTIDS
            | kind::TRANSACTION_CONTEXT
            | kind::VIEW_CHANGE
            | kind::XA_PREPARE
            | kind::ANNOTATE_ROWS
            | kind::BINLOG_CHECKPOINT
            | kind::MARIADB_GTID_LIST
            | kind::START_ENCRYPTION => Ok(Harmless),
            _ if header.flags & IGNORABLE_FLAG != 0 => Ok(Harmless),
            _ => Ok(Unknown),
        }
    }
}

/// Six bytes, little-endian, in every log since MySQL 5.1.
fn number_of_table(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    let low = u64::from(reader.u32()?);
    Ok(low | u64::from(reader.u16()?) << 32)
}

/// Its last bytes are the algorithm and, always, a checksum.
fn format(body: &[u8]) -> Result<LogEvent<'_>, Malformed> {
    match body {
        [.., algorithm @ (0 | 1), _, _, _, _] => Ok(LogEvent::Format { checksums: *algorithm == 1 }),
        _ => Err(Malformed("unknown checksums of a binary log")),
    }
}

fn table_map(mut reader: Reader<'_>) -> Result<LogEvent<'_>, Malformed> {
    let table = number_of_table(&mut reader)?;
    let _flags = reader.u16()?;
    let mut name = || {
        let length = usize::from(reader.u8()?);
        let name = reader.bytes(length)?;
        let _nul = reader.u8()?;
        Ok::<_, Malformed>(name)
    };
    let (schema, name) = (name()?, name()?);
    Ok(LogEvent::TableMap { table, schema, name, columns: reader.take_rest() })
}

fn query(mut reader: Reader<'_>) -> Result<LogEvent<'_>, Malformed> {
    let _thread = reader.u32()?;
    let _seconds = reader.u32()?;
    let schema = usize::from(reader.u8()?);
    let _error = reader.u16()?;
    let variables = usize::from(reader.u16()?);
    reader.bytes(variables)?;
    reader.bytes(schema)?;
    let _nul = reader.u8()?;
    Ok(LogEvent::Query(reader.take_rest()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    /// An event of this kind as it stands in a log.
    fn event(kind: u8, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1, 2, 3, 4, kind, 7, 0, 0, 0];
        bytes.extend_from_slice(&((EVENT_HEADER_BYTES + body.len()) as u32).to_le_bytes());
        bytes.extend_from_slice(&1_000_u32.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn check(kind: u8, body: &[u8], expected: &LogEvent<'_>) {
        let bytes = event(kind, 0, body);
        let header = EventHeader::parse(&bytes).expect("whole");
        assert_eq!((header.kind, header.next), (kind, 1_000));
        assert_eq!(LogEvent::parse(&header, &bytes[EVENT_HEADER_BYTES..]).as_ref(), Ok(expected));
    }

    #[test]
    fn an_event_says_what_changes() {
        // As MariaDB 10.11 and MySQL 9.7 have sent them.
        check(
            kind::TABLE_MAP,
            b"\x12\0\0\0\0\0\x01\0\x01t\0\x04menu\0\x02\x03\x0f\x02\x50\0\x02",
            &LogEvent::TableMap {
                table: 18,
                schema: b"t",
                name: b"menu",
                columns: b"\x02\x03\x0f\x02\x50\0\x02",
            },
        );
        check(
            kind::WRITE_ROWS_V1,
            b"\x12\0\0\0\0\0\x01\0\x01\xff\xfe\x01\0\0\0",
            &LogEvent::Rows(RowsOf { table: 18, kind: 23, rows: b"\x01\0\x01\xff\xfe\x01\0\0\0" }),
        );
        check(
            kind::UPDATE_ROWS,
            b"\x12\0\0\0\x01\0\x01\0",
            &LogEvent::Rows(RowsOf { table: 18 | 1 << 32, kind: 31, rows: b"\x01\0" }),
        );
        check(kind::QUERY, b"\x05\0\0\0\0\0\0\0\x01\0\0\x02\0\xaa\xbbt\0BEGIN", &LogEvent::Query(b"BEGIN"));
        check(
            kind::ROTATE,
            b"\x04\0\0\0\0\0\0\0bin.000002",
            &LogEvent::Rotate { file: b"bin.000002", at: 4 },
        );
        check(kind::XID, b"\x06\0\0\0\0\0\0\0", &LogEvent::Harmless);
        check(kind::FORMAT_DESCRIPTION, b"\x04\0more\x01abcd", &LogEvent::Format { checksums: true });
        check(kind::FORMAT_DESCRIPTION, b"\x04\0more\0abcd", &LogEvent::Format { checksums: false });
        check(kind::HEARTBEAT, b"bin.000002", &LogEvent::Heartbeat);
        check(kind::MARIADB_GTID, b"\x01\0\0\0\0\0\0\0\0\0\0\0\0", &LogEvent::BeginsUnnamed);
        let name = Gtid::new(&[7; 16], b"", 9).expect("sixteen bytes");
        let body = [&[1][..], &[7; 16], &9_u64.to_le_bytes(), b"more"].concat();
        check(kind::GTID, &body, &LogEvent::Begins(name));
    }

    #[test]
    fn what_nobody_knows_is_harmless_only_if_it_says_so() {
        for (flags, expected) in [(0, LogEvent::Unknown), (IGNORABLE_FLAG, LogEvent::Harmless)] {
            let bytes = event(99, flags, b"x");
            let header = EventHeader::parse(&bytes).expect("whole");
            assert_eq!(LogEvent::parse(&header, b"x"), Ok(expected));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(kind in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = event(kind, 0, &body);
            let header = EventHeader::parse(&bytes).expect("whole");
            let _ = LogEvent::parse(&header, &body);
            let _ = EventHeader::parse(&body);
        }
    }
}
