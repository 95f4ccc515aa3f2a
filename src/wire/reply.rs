//! Where a reply ends: walks the packets of a server's reply without decoding rows, so that the bytes
//! can be passed on as they came.
//!
//! Server connections always negotiate DEPRECATE_EOF, so one grammar is enough: column count, column
//! definitions, rows, and an OK packet with header 0xFE.

use crate::wire::codec::{Malformed, Reader};
use crate::wire::ok::OkPacket;
use crate::wire::packet::{HEADER_BYTES, Header, PAYLOAD_MAX};
use crate::wire::status::StatusFlags;

/// Which grammar a reply follows; the command decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// COM_QUERY, COM_STMT_EXECUTE, COM_PROCESS_INFO: results, each an OK or rows.
    Results,
    /// COM_STMT_FETCH, COM_FIELD_LIST: rows (or definitions) straight away.
    Rows,
    /// One OK, EOF or ERR.
    Status,
    /// COM_STATISTICS: one packet of text.
    Text,
}

/// Bytes of the packet that ends a result at most: a server's message takes 512, session state changes a
/// few KiB. It is the only packet of a reply that is held in one piece.
pub const END_BYTES_MAX: usize = 1 << 20;

/// How a result, or the whole reply, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// An OK packet that stands for a result without rows.
    Ok,
    /// The OK packet (header 0xFE) after the rows.
    Rows,
    /// An ERR packet.
    Err,
    /// The server asks for the contents of a file.
    LocalInfile,
    /// A packet of text.
    Text,
}

/// What [`ReplyScanner::scan`] came upon, after the bytes it consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing yet; at least `wanted` bytes must be there to go on.
    More {
        /// Bytes from the end of the consumed ones.
        wanted: usize,
    },
    /// A column definition starts where the consumed bytes end; only asked for by
    /// [`ReplyScanner::columns_apart`]. The caller handles it and says [`ReplyScanner::column_done`].
    Column,
    /// The column definitions are over and rows follow.
    ColumnsEnd,
    /// A whole packet that ends a result starts where the consumed bytes end.
    End {
        /// How.
        end: End,
        /// Its header; the payload follows.
        header: Header,
        /// Another result follows.
        more: bool,
    },
    /// The next row is one too many, see [`ReplyScanner::bound`]; it has not been passed.
    TooMuch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    First,
    Columns(u64),
    ColumnsEnd,
    Rows,
    Status,
    Text,
    Over,
}

/// Walks one reply. Pure: bytes in, events out.
#[derive(Clone, Debug)]
pub struct ReplyScanner {
    phase: Phase,
    /// Payload bytes of the current packet that have not been seen.
    skip: usize,
    /// The current packet is a full one: a continuation follows.
    continued: bool,
    /// Sequence id of the next packet as the client is to see it. Packets are numbered here and not as
    /// the server did: some are inserted or left out, and under compression a server's ids follow its
    /// compressed packets.
    next: u8,
    rows: u64,
    columns: u64,
    /// The caller handles column definitions.
    apart: bool,
    /// Bytes of rows passed so far, headers not counted.
    bytes: u64,
    /// Rows, and bytes of rows, at most.
    max: (u64, u64),
}

impl ReplyScanner {
    /// A scanner at the first byte of a reply whose first packet is to have this sequence id.
    #[must_use]
    pub const fn new(kind: ReplyKind, first: u8) -> Self {
        let phase = match kind {
            ReplyKind::Results => Phase::First,
            ReplyKind::Rows => Phase::Rows,
            ReplyKind::Status => Phase::Status,
            ReplyKind::Text => Phase::Text,
        };
        let max = (u64::MAX, u64::MAX);
        Self {
            phase,
            skip: 0,
            continued: false,
            next: first,
            rows: 0,
            columns: 0,
            apart: false,
            bytes: 0,
            max,
        }
    }

    /// From here on column definitions are not passed over but told of.
    #[must_use]
    pub const fn columns_apart(self) -> Self {
        Self { apart: true, ..self }
    }

    /// A column definition has been handled.
    pub const fn column_done(&mut self) {
        self.phase = match self.phase {
            Phase::Columns(1) => Phase::ColumnsEnd,
            Phase::Columns(n) => Phase::Columns(n - 1),
            other => other,
        };
    }

    /// Rows passed so far, over all results.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// From here on a row that is more than `rows` in number, or with which rows have more than `bytes`, is
    /// reported as [`Event::TooMuch`] in place of being passed.
    pub const fn bound(&mut self, rows: u64, bytes: u64) {
        self.max = (rows, bytes);
    }

    /// Columns of the last result that had some.
    #[must_use]
    pub const fn columns(&self) -> u64 {
        self.columns
    }

    /// The sequence id of a packet that the caller puts in, or ends a result with.
    pub const fn take_sequence(&mut self) -> u8 {
        let sequence = self.next;
        self.next = sequence.wrapping_add(1);
        sequence
    }

    /// From here on packets are numbered from `next`.
    pub const fn number_from(&mut self, next: u8) {
        self.next = next;
    }

    /// After [`End::LocalInfile`]: the file has been sent, an OK or ERR follows.
    pub const fn file_sent(&mut self) {
        self.phase = Phase::First;
    }

    /// Walks over `bytes`, from where the last call stopped. Returns how many bytes may be passed on as
    /// they are (already numbered) and what follows them. The packet of an
    /// [`Event::End`] is not among the consumed bytes: the caller handles it.
    pub fn scan(&mut self, bytes: &mut [u8]) -> Result<(usize, Event), Malformed> {
        let mut at = 0;
        loop {
            if self.skip > 0 {
                let n = self.skip.min(bytes.len() - at);
                at += n;
                self.skip -= n;
                if self.skip > 0 {
                    return Ok((at, Event::More { wanted: 1 }));
                }
            }
            if self.phase == Phase::ColumnsEnd {
                self.phase = Phase::Rows;
                return Ok((at, Event::ColumnsEnd));
            }
            let Some(header) = Header::parse(&bytes[at..]) else {
                return Ok((at, Event::More { wanted: HEADER_BYTES }));
            };
            if self.apart
                && matches!(self.phase, Phase::Columns(_))
                && bytes.get(at + HEADER_BYTES) != Some(&0xFF)
            {
                return Ok((at, Event::Column));
            }
            if self.continued {
                self.enter(&mut bytes[at..], header);
                at += HEADER_BYTES;
                continue;
            }
            // Before its first byte is looked at: an empty packet has none, what follows is the next one's.
            if header.length == 0 {
                return Err(Malformed("empty packet in a reply"));
            }
            let Some(&first) = bytes.get(at + HEADER_BYTES) else {
                return Ok((at, Event::More { wanted: HEADER_BYTES + 1 }));
            };
            if let Some(end) = self.ends(first, header.length) {
                return self.end(&bytes[at..], header, end).map(|event| (at, event));
            }
            if self.phase == Phase::Rows && self.is_too_much(header) {
                return Ok((at, Event::TooMuch));
            }
            if !self.pass(&bytes[at..], header)? {
                return Ok((at, Event::More { wanted: HEADER_BYTES + header.length }));
            }
            self.enter(&mut bytes[at..], header);
            at += HEADER_BYTES;
        }
    }

    fn is_too_much(&self, row: Header) -> bool {
        self.rows >= self.max.0 || self.bytes.saturating_add(row.length as u64) > self.max.1
    }

    /// Goes into the payload of a packet that is passed on.
    fn enter(&mut self, packet: &mut [u8], header: Header) {
        if self.phase == Phase::Rows {
            self.bytes += header.length as u64;
        }
        packet[3] = self.take_sequence();
        self.skip = header.length;
        self.continued = header.length == PAYLOAD_MAX;
    }

    /// Whether a packet with this first byte ends a result.
    fn ends(&self, first: u8, length: usize) -> Option<End> {
        match (self.phase, first) {
            (_, 0xFF) if length < PAYLOAD_MAX => Some(End::Err),
            (Phase::First | Phase::Status, 0x00) | (Phase::Status, 0xFE) => Some(End::Ok),
            (Phase::First, 0xFB) => Some(End::LocalInfile),
            // A row that starts with 0xFE is at least 16 MiB long: its packet is a full one.
            (Phase::Rows, 0xFE) if length < PAYLOAD_MAX => Some(End::Rows),
            (Phase::Text, _) => Some(End::Text),
            _ => None,
        }
    }

    fn end(&mut self, packet: &[u8], header: Header, end: End) -> Result<Event, Malformed> {
        if header.length > END_BYTES_MAX {
            return Err(Malformed("packet too large to end a result"));
        }
        let Some(payload) = packet.get(HEADER_BYTES..HEADER_BYTES + header.length) else {
            return Ok(Event::More { wanted: HEADER_BYTES + header.length });
        };
        let more = match end {
            End::Ok | End::Rows if self.phase != Phase::Status => {
                OkPacket::parse(payload)?.status.has(StatusFlags::MORE_RESULTS)
            }
            _ => false,
        };
        self.phase = if more { Phase::First } else { Phase::Over };
        Ok(Event::End { end, header, more })
    }

    /// Steps over a packet that is passed on; false if more of it must be seen first.
    fn pass(&mut self, packet: &[u8], header: Header) -> Result<bool, Malformed> {
        match self.phase {
            Phase::First => {
                // Before it is all there: what is malformed does not depend on how it arrives.
                if header.length > 9 {
                    return Err(Malformed("column count"));
                }
                let Some(payload) = packet.get(HEADER_BYTES..HEADER_BYTES + header.length) else {
                    return Ok(false);
                };
                let columns = Reader::new(payload).lenenc()?;
                self.columns = columns;
                self.phase = if columns == 0 { Phase::ColumnsEnd } else { Phase::Columns(columns) };
            }
            Phase::Columns(1) => self.phase = Phase::ColumnsEnd,
            Phase::Columns(n) => self.phase = Phase::Columns(n - 1),
            Phase::Rows => self.rows += 1,
            Phase::Status | Phase::Text | Phase::ColumnsEnd | Phase::Over => {
                return Err(Malformed("unexpected packet in a reply"));
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::packet::frame;

    fn reply(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut sequence = 1;
        for payload in payloads {
            sequence = frame(&mut bytes, sequence, payload);
        }
        bytes
    }

    /// Feeds `bytes` in pieces of `step` and returns the ends that were seen and the bytes passed on.
    fn walk(kind: ReplyKind, bytes: &[u8], step: usize) -> (Vec<End>, usize, u64) {
        let mut scanner = ReplyScanner::new(kind, 1);
        let (mut held, mut ends, mut passed) = (Vec::new(), Vec::new(), 0);
        let mut pieces = bytes.chunks(step);
        loop {
            let (n, event) = scanner.scan(&mut held).expect("well-formed");
            passed += n;
            held.drain(..n);
            match event {
                Event::More { .. } => match pieces.next() {
                    Some(piece) => held.extend_from_slice(piece),
                    None => return (ends, passed, scanner.rows()),
                },
                Event::ColumnsEnd | Event::Column => {}
                Event::TooMuch => panic!("nothing is bounded"),
                Event::End { end, header, more } => {
                    held.drain(..HEADER_BYTES + header.length);
                    ends.push(end);
                    if !more {
                        assert!(held.is_empty() && pieces.next().is_none(), "bytes after the end");
                        return (ends, passed, scanner.rows());
                    }
                }
            }
        }
    }

    const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
    const ROWS_END: &[u8] = &[0xFE, 0, 0, 2, 0, 0, 0];
    const ROWS_END_MORE: &[u8] = &[0xFE, 0, 0, 10, 0, 0, 0];

    #[test]
    fn the_end_is_found_however_the_bytes_arrive() {
        let rows = reply(&[&[2], b"\x03def1", b"\x03def2", b"\x01a\x01b", b"\xfb\xfb", ROWS_END]);
        let two = reply(&[&[1], b"\x03def1", b"\x01a", ROWS_END_MORE, OK]);
        let error = reply(&[&[1], b"\x03def1", b"\x01a", b"\xff\x15\x04#70100gone"]);
        for step in [1, 2, 3, 7, 1000] {
            assert_eq!(walk(ReplyKind::Results, &rows, step), (vec![End::Rows], rows.len() - 11, 2));
            assert_eq!(walk(ReplyKind::Results, &two, step).0, vec![End::Rows, End::Ok]);
            assert_eq!(walk(ReplyKind::Results, &error, step).0, vec![End::Err]);
            assert_eq!(walk(ReplyKind::Results, &reply(&[OK]), step).0, vec![End::Ok]);
            assert_eq!(walk(ReplyKind::Results, &reply(&[b"\xfb/f"]), step).0, vec![End::LocalInfile]);
            assert_eq!(walk(ReplyKind::Status, &reply(&[&[0xFE, 0, 0, 2, 0]]), step).0, vec![End::Ok]);
            assert_eq!(walk(ReplyKind::Text, &reply(&[b"Uptime: 1"]), step).0, vec![End::Text]);
        }
    }

    #[test]
    fn a_column_count_that_is_too_long_is_malformed_however_it_arrives() {
        let bytes = reply(&[b"\x02 and more than that", b"\x03def1"]);
        for held in [6, bytes.len()] {
            let mut scanner = ReplyScanner::new(ReplyKind::Results, 1);
            assert_eq!(scanner.scan(&mut bytes[..held].to_vec()), Err(Malformed("column count")));
        }
    }

    #[test]
    fn an_empty_packet_is_malformed_whatever_follows_it() {
        for follows in [&b""[..], b"\xff", b"\xfe\0\0\x02\0\0\0"] {
            let mut bytes = [&[0, 0, 0, 1], follows].concat();
            let mut scanner = ReplyScanner::new(ReplyKind::Rows, 1);
            assert_eq!(scanner.scan(&mut bytes), Err(Malformed("empty packet in a reply")));
        }
    }

    #[test]
    fn a_row_of_16_mib_is_data_and_not_an_end() {
        let mut row = vec![0xFE];
        row.extend_from_slice(&(PAYLOAD_MAX as u64 - 9).to_le_bytes());
        row.resize(PAYLOAD_MAX, b'x');
        let bytes = reply(&[&[1], b"\x03def1", &row, ROWS_END]);
        assert_eq!(walk(ReplyKind::Results, &bytes, 1 << 20), (vec![End::Rows], bytes.len() - 11, 1));
    }

    #[test]
    fn column_definitions_can_be_handled_apart() {
        let mut bytes = reply(&[&[2], b"\x03def1", b"\x03def2", b"\x01a\x01b", ROWS_END]);
        let mut scanner = ReplyScanner::new(ReplyKind::Results, 1).columns_apart();
        let (mut at, mut columns) = (0, 0);
        loop {
            let (n, event) = scanner.scan(&mut bytes[at..]).expect("well-formed");
            at += n;
            match event {
                Event::Column => {
                    at += HEADER_BYTES + Header::parse(&bytes[at..]).expect("a header").length;
                    assert_eq!(scanner.take_sequence(), 2 + columns, "numbered by the caller");
                    scanner.column_done();
                    columns += 1;
                }
                Event::ColumnsEnd => {}
                Event::End { end, .. } => {
                    assert_eq!((end, columns, scanner.rows()), (End::Rows, 2, 1));
                    return;
                }
                Event::More { .. } | Event::TooMuch => panic!("all is there"),
            }
        }
    }

    #[test]
    fn a_row_too_many_is_told_before_it_is_passed() {
        let rows = reply(&[&[1], b"\x03def1", b"\x01a", b"\x02bb", b"\x01c", ROWS_END]);
        for (max_rows, max_bytes, expected) in [(2, u64::MAX, 2), (9, 4, 1), (9, 5, 2), (9, 7, 3), (0, 9, 0)]
        {
            let mut bytes = rows.clone();
            let mut scanner = ReplyScanner::new(ReplyKind::Results, 1);
            scanner.bound(max_rows, max_bytes);
            let (mut at, mut told) = (0, false);
            loop {
                let (n, event) = scanner.scan(&mut bytes[at..]).expect("well-formed");
                at += n;
                match event {
                    Event::TooMuch => {
                        assert_eq!(scanner.rows(), expected, "{max_rows} rows, {max_bytes} bytes");
                        (told, _) = (true, scanner.bound(u64::MAX, u64::MAX));
                    }
                    Event::End { .. } => break,
                    Event::ColumnsEnd | Event::Column => {}
                    Event::More { .. } => panic!("it is all there"),
                }
            }
            assert_eq!((told, scanner.rows()), (expected < 3, 3), "the rest can still be walked over");
        }
    }

    #[test]
    fn packets_are_numbered_in_place() {
        let mut bytes = reply(&[&[1], b"\x03def1", b"\x01a", ROWS_END]);
        let mut scanner = ReplyScanner::new(ReplyKind::Results, 1);
        let (n, event) = scanner.scan(&mut bytes).expect("well-formed");
        assert_eq!(event, Event::ColumnsEnd);
        assert_eq!(scanner.take_sequence(), 3, "for an inserted EOF");
        scanner.scan(&mut bytes[n..]).expect("well-formed");
        assert_eq!(bytes[n + 3], 4, "the row was packet 3 and is packet 4 after an inserted EOF");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for kind in [ReplyKind::Results, ReplyKind::Rows, ReplyKind::Status, ReplyKind::Text] {
                let mut scanner = ReplyScanner::new(kind, 1);
                let mut at = 0;
                while let Ok((n, event)) = scanner.scan(&mut bytes[at..]) {
                    at += n;
                    match event {
                        Event::More { .. } => break,
                        Event::Column => scanner.column_done(),
                        Event::ColumnsEnd | Event::TooMuch => {}
                        Event::End { header, more, .. } => {
                            at += HEADER_BYTES + header.length;
                            if !more { break; }
                        }
                    }
                }
            }
        }
    }
}
