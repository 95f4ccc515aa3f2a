//! What the bench's server answers: packets of a MariaDB 10.11 that knows one table.

use dazzle::wire::{Capabilities, StatusFlags, Writer};

/// Columns of the one table, with their protocol types (LONGLONG, VAR_STRING).
const COLUMNS: [(&str, u8); 5] =
    [("id", 8), ("user_id", 8), ("status", 0xFD), ("total_cents", 8), ("note", 0xFD)];
const STATUS: &[u8] = b"delivered";
const NOTE: &[u8] = b"ring twice, third floor";

/// Appends one packet.
pub(crate) fn packet(out: &mut Vec<u8>, sequence: u8, payload: &[u8]) {
    out.put_u24(payload.len() as u32);
    out.push(sequence);
    out.extend_from_slice(payload);
}

/// Writes the packets of one reply in sequence.
pub(crate) struct Reply<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) sequence: u8,
    pub(crate) capabilities: Capabilities,
    pub(crate) status: StatusFlags,
}

impl Reply<'_> {
    fn put(&mut self, payload: &[u8]) {
        packet(self.out, self.sequence, payload);
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// OK with nothing to tell. Source: MySQL "OK_Packet".
    pub(crate) fn ok(&mut self, affected: u8) {
        let [low, high] = self.status.0.to_le_bytes();
        self.put(&[0, affected, 0, low, high, 0, 0]);
    }

    /// The end of columns: only for clients that did not deprecate it.
    fn end_of_columns(&mut self) {
        if !self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            self.end_of_rows();
        }
    }

    /// EOF, in the form that the client asked for. Source: MySQL "EOF_Packet".
    pub(crate) fn end_of_rows(&mut self) {
        let [low, high] = self.status.0.to_le_bytes();
        if self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            self.put(&[0xFE, 0, 0, low, high, 0, 0]);
        } else {
            self.put(&[0xFE, 0, 0, low, high]);
        }
    }

    fn column(&mut self, table: &str, name: &str, kind: u8) {
        let schema: &[u8] = if table.is_empty() { b"" } else { b"bench" };
        let mut payload = Vec::with_capacity(64);
        payload.put_lenenc_bytes(b"def");
        payload.put_lenenc_bytes(schema);
        payload.put_lenenc_bytes(table.as_bytes());
        payload.put_lenenc_bytes(table.as_bytes());
        payload.put_lenenc_bytes(name.as_bytes());
        payload.put_lenenc_bytes(if table.is_empty() { b"" } else { name.as_bytes() });
        payload.push(12);
        payload.put_u16(if kind == 8 { 63 } else { 45 });
        payload.put_u32(if kind == 8 { 20 } else { 1020 });
        payload.push(kind);
        payload.put_u16(0);
        payload.push(0);
        payload.put_u16(0);
        self.put(&payload);
    }

    fn order_columns(&mut self) {
        for (name, kind) in COLUMNS {
            self.column("orders", name, kind);
        }
    }

    /// One order as a text result.
    pub(crate) fn text_order(&mut self) {
        self.put(&[COLUMNS.len() as u8]);
        self.order_columns();
        self.end_of_columns();
        let mut row = Vec::with_capacity(64);
        for value in [b"424242".as_slice(), b"170141", STATUS, b"2350", NOTE] {
            row.put_lenenc_bytes(value);
        }
        self.put(&row);
        self.end_of_rows();
    }

    /// One order as a binary result.
    pub(crate) fn binary_order(&mut self) {
        self.put(&[COLUMNS.len() as u8]);
        self.order_columns();
        self.end_of_columns();
        let mut row = vec![0, 0];
        row.put_u64(424_242);
        row.put_u64(170_141);
        row.put_lenenc_bytes(STATUS);
        row.put_u64(2_350);
        row.put_lenenc_bytes(NOTE);
        self.put(&row);
        self.end_of_rows();
    }

    /// Texts under names that are no table's.
    pub(crate) fn texts(&mut self, names: &[&str], rows: &[Vec<&str>]) {
        self.put(&[names.len() as u8]);
        for name in names {
            self.column("", name, 0xFD);
        }
        self.end_of_columns();
        for values in rows {
            let mut row = Vec::new();
            values.iter().for_each(|value| row.put_lenenc_bytes(value.as_bytes()));
            self.put(&row);
        }
        self.end_of_rows();
    }

    /// COM_STMT_PREPARE_OK and the definitions that follow it.
    pub(crate) fn prepared(&mut self, statement: u32, columns: bool, parameters: u16) {
        let mut payload = vec![0];
        payload.put_u32(statement);
        payload.put_u16(if columns { COLUMNS.len() as u16 } else { 0 });
        payload.put_u16(parameters);
        payload.extend_from_slice(&[0, 0, 0]);
        self.put(&payload);
        if parameters > 0 {
            (0..parameters).for_each(|_| self.column("", "?", 0xFD));
            self.end_of_columns();
        }
        if columns {
            self.order_columns();
            self.end_of_columns();
        }
    }
}
