//! The packets that end a reply: OK, EOF and ERR, and the session state changes an OK may carry.

use crate::error::SqlError;
use crate::wire::codec::{Malformed, Reader, Writer};
use crate::wire::status::StatusFlags;

/// An OK packet (header 0x00, or 0xFE where it stands for EOF).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OkPacket<'a> {
    /// Rows changed (or found, with FOUND_ROWS).
    pub affected_rows: u64,
    /// First generated AUTO_INCREMENT value, or 0.
    pub last_insert_id: u64,
    /// The session's status after the statement.
    pub status: StatusFlags,
    /// Warnings of the statement.
    pub warnings: u16,
    /// `Rows matched: 1  Changed: 0` and the like.
    pub info: &'a [u8],
    /// Session state changes, still encoded; see [`StateChanges`].
    pub state: &'a [u8],
}

impl<'a> OkPacket<'a> {
    /// Parses a payload, header byte included. The info is length-encoded on both servers, whatever the
    /// session tracking capability (MySQL `net_send_ok`, MariaDB `net_send_ok`).
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        reader.u8()?;
        let mut ok = Self {
            affected_rows: reader.lenenc()?,
            last_insert_id: reader.lenenc()?,
            status: StatusFlags(reader.u16()?),
            warnings: reader.u16()?,
            info: &[],
            state: &[],
        };
        if !reader.is_empty() {
            ok.info = reader.lenenc_bytes()?;
        }
        if ok.status.has(StatusFlags::SESSION_STATE_CHANGED) && !reader.is_empty() {
            ok.state = reader.lenenc_bytes()?;
        }
        Ok(ok)
    }

    /// Appends the payload with `header` (0x00 or 0xFE). State changes go along if there are any, and
    /// the status flag tells the truth about them.
    pub fn encode(&self, header: u8, out: &mut Vec<u8>) {
        let mut status = self.status.without(StatusFlags::SESSION_STATE_CHANGED);
        if !self.state.is_empty() {
            status = status.with(StatusFlags::SESSION_STATE_CHANGED);
        }
        out.push(header);
        out.put_lenenc(self.affected_rows);
        out.put_lenenc(self.last_insert_id);
        out.put_u16(status.0);
        out.put_u16(self.warnings);
        if !self.info.is_empty() || !self.state.is_empty() {
            out.put_lenenc_bytes(self.info);
        }
        if !self.state.is_empty() {
            out.put_lenenc_bytes(self.state);
        }
    }
}

/// An EOF packet: the end of column definitions and of rows for clients without DEPRECATE_EOF.
pub fn encode_eof(warnings: u16, status: StatusFlags, out: &mut Vec<u8>) {
    out.push(0xFE);
    out.put_u16(warnings);
    out.put_u16(status.without(StatusFlags::SESSION_STATE_CHANGED).0);
}

/// Parses an EOF payload to its warnings and status.
pub fn parse_eof(payload: &[u8]) -> Result<(u16, StatusFlags), Malformed> {
    let mut reader = Reader::new(payload);
    reader.u8()?;
    Ok((reader.u16()?, StatusFlags(reader.u16()?)))
}

/// An ERR packet as a server sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrPacket {
    /// Error number.
    pub code: u16,
    /// SQLSTATE, or `HY000` where the packet has none (errors before the handshake).
    pub state: [u8; 5],
    /// The server's text, as sent.
    pub message: Vec<u8>,
}

impl ErrPacket {
    /// Parses a payload, header byte included.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        reader.u8()?;
        let code = reader.u16()?;
        let mut state = *b"HY000";
        if reader.rest().first() == Some(&b'#') {
            reader.u8()?;
            state.copy_from_slice(reader.bytes(5)?);
        }
        Ok(Self { code, state, message: reader.take_rest().to_vec() })
    }
}

/// Appends an ERR payload. `marker` is false only for errors in place of a greeting, which carry no
/// SQLSTATE because no capability has been agreed on yet.
pub fn encode_err(error: &SqlError, marker: bool, out: &mut Vec<u8>) {
    out.push(0xFF);
    out.put_u16(error.code);
    if marker {
        out.push(b'#');
        out.extend_from_slice(error.state.as_bytes());
    }
    // MySQL cuts messages at MYSQL_ERRMSG_SIZE (512 bytes); some clients keep a buffer of that size.
    let mut end = error.message.len().min(511);
    while !error.message.is_char_boundary(end) {
        end -= 1;
    }
    out.extend_from_slice(&error.message.as_bytes()[..end]);
}

/// One session state change of an OK packet. Source: MySQL "SESSION_TRACK_*" types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateChange<'a> {
    /// A system variable now has this value.
    SystemVariable {
        /// Name, lowercase.
        name: &'a [u8],
        /// Value as text.
        value: &'a [u8],
    },
    /// The default schema; empty if none.
    Schema(&'a [u8]),
    /// Some session state changed (only the fact).
    State(bool),
    /// Everything else (GTIDs, transaction characteristics and state): type and data, still encoded.
    Other {
        /// SESSION_TRACK_* number.
        kind: u8,
        /// Encoded data.
        data: &'a [u8],
    },
}

/// Walks the state changes of an OK packet.
#[derive(Clone, Copy, Debug)]
pub struct StateChanges<'a> {
    reader: Reader<'a>,
    /// MariaDB packs several variables into one entry; MySQL sends one each. This is what remains.
    variables: Reader<'a>,
}

impl<'a> StateChanges<'a> {
    /// The changes encoded in [`OkPacket::state`].
    #[must_use]
    pub const fn new(state: &'a [u8]) -> Self {
        Self { reader: Reader::new(state), variables: Reader::new(&[]) }
    }

    fn variable(&mut self) -> Result<StateChange<'a>, Malformed> {
        let name = self.variables.lenenc_bytes()?;
        let value = self.variables.lenenc_bytes()?;
        Ok(StateChange::SystemVariable { name, value })
    }

    fn entry(&mut self) -> Result<StateChange<'a>, Malformed> {
        let kind = self.reader.u8()?;
        let data = self.reader.lenenc_bytes()?;
        Ok(match kind {
            0 => {
                self.variables = Reader::new(data);
                return self.variable();
            }
            1 => StateChange::Schema(Reader::new(data).lenenc_bytes()?),
            // Both servers send the digit without a length of its own.
            2 => StateChange::State(data == b"1"),
            kind => StateChange::Other { kind, data },
        })
    }
}

impl<'a> Iterator for StateChanges<'a> {
    type Item = Result<StateChange<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = if !self.variables.is_empty() {
            self.variable()
        } else if !self.reader.is_empty() {
            self.entry()
        } else {
            return None;
        };
        if item.is_err() {
            // A malformed entry ends the walk: what follows cannot be delimited.
            *self = Self::new(&[]);
        }
        Some(item)
    }
}

/// Appends one state change in wire form.
pub fn encode_state_change(change: StateChange<'_>, out: &mut Vec<u8>) {
    let mut data = Vec::new();
    let kind = match change {
        StateChange::SystemVariable { name, value } => {
            data.put_lenenc_bytes(name);
            data.put_lenenc_bytes(value);
            0
        }
        StateChange::Schema(name) => {
            data.put_lenenc_bytes(name);
            1
        }
        StateChange::State(changed) => {
            data.push(if changed { b'1' } else { b'0' });
            2
        }
        StateChange::Other { kind, data: encoded } => {
            data.extend_from_slice(encoded);
            kind
        }
    };
    out.push(kind);
    out.put_lenenc_bytes(&data);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_ok_with_state_changes_survives_a_round_trip() {
        let changes = [
            StateChange::Schema(b"shop"),
            StateChange::SystemVariable { name: b"autocommit", value: b"OFF" },
            StateChange::State(true),
        ];
        let mut state = Vec::new();
        for change in changes {
            encode_state_change(change, &mut state);
        }
        let ok = OkPacket {
            affected_rows: 300,
            last_insert_id: 1 << 40,
            status: StatusFlags::AUTOCOMMIT.with(StatusFlags::SESSION_STATE_CHANGED),
            warnings: 3,
            info: b"Records: 3",
            state: &state,
        };
        let mut payload = Vec::new();
        ok.encode(0, &mut payload);
        let parsed = OkPacket::parse(&payload).expect("round trip");
        assert_eq!(parsed, ok);
        let seen: Result<Vec<_>, _> = StateChanges::new(parsed.state).collect();
        assert_eq!(seen.expect("well-formed"), changes);
    }

    #[test]
    fn an_error_is_cut_at_a_character() {
        let error = SqlError::new(1064, "42000", "ü".repeat(400));
        let mut payload = Vec::new();
        encode_err(&error, true, &mut payload);
        let parsed = ErrPacket::parse(&payload).expect("round trip");
        assert_eq!((parsed.code, &parsed.state), (1064, b"42000"));
        assert_eq!(parsed.message.len(), 510);
    }

    /// An OK whose state changes are `state`, as a server sends it.
    fn ok_with(state: &[u8]) -> Vec<u8> {
        let mut payload = vec![0, 0, 0];
        payload.put_u16(StatusFlags::SESSION_STATE_CHANGED.0);
        payload.put_u16(0);
        payload.put_lenenc_bytes(b"");
        payload.put_lenenc_bytes(state);
        payload
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ErrPacket::parse(&bytes);
            let _ = parse_eof(&bytes);
            if let Ok(ok) = OkPacket::parse(&bytes) {
                prop_assert!(StateChanges::new(ok.state).count() <= bytes.len() + 1);
            }
            let payload = ok_with(&bytes);
            let ok = OkPacket::parse(&payload).expect("well-formed up to its state");
            prop_assert_eq!(ok.state, &*bytes);
            prop_assert!(StateChanges::new(ok.state).count() <= bytes.len() + 1);
        }

        #[test]
        fn a_damaged_packet_never_panics(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let mut state = Vec::new();
            encode_state_change(StateChange::SystemVariable { name: b"time_zone", value: b"UTC" }, &mut state);
            encode_state_change(StateChange::Schema(b"shop"), &mut state);
            let mut payload = ok_with(&state);
            let at = at.index(payload.len());
            payload[at] = byte;
            payload.truncate(cut.index(payload.len() + 1));
            if let Ok(ok) = OkPacket::parse(&payload) {
                prop_assert!(StateChanges::new(ok.state).count() <= payload.len());
            }
        }
    }
}
