//! Prepared statements, packet by packet.

use dazzle::wire::{Capabilities, Writer, code};

use crate::support::client::Conn;
use crate::support::reply::Reply;

/// A parameter of an execution: type and encoded value; no value is NULL.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) kind: u8,
    pub(crate) value: Option<Vec<u8>>,
}

impl Parameter {
    /// A BIGINT.
    pub(crate) fn int(n: i64) -> Self {
        Self { kind: 8, value: Some(n.to_le_bytes().to_vec()) }
    }

    /// A string.
    pub(crate) fn text(text: &[u8]) -> Self {
        let mut value = Vec::new();
        value.put_lenenc_bytes(text);
        Self { kind: 0xFD, value: Some(value) }
    }

    pub(crate) const fn null() -> Self {
        Self { kind: 6, value: None }
    }

    /// A string whose value was, or will be, sent as long data.
    pub(crate) const fn long() -> Self {
        Self { kind: 0xFC, value: Some(Vec::new()) }
    }
}

/// The payload of a COM_STMT_EXECUTE. `types`: whether the types of the parameters go along.
pub(crate) fn execution(id: u32, flags: u8, parameters: &[Parameter], types: bool) -> Vec<u8> {
    let mut payload = vec![code::STMT_EXECUTE];
    payload.put_u32(id);
    payload.push(flags);
    payload.put_u32(1);
    if parameters.is_empty() {
        return payload;
    }
    let mut nulls = vec![0u8; parameters.len().div_ceil(8)];
    for (n, parameter) in parameters.iter().enumerate() {
        if parameter.value.is_none() {
            nulls[n / 8] |= 1 << (n % 8);
        }
    }
    payload.extend_from_slice(&nulls);
    payload.push(u8::from(types));
    if types {
        for parameter in parameters {
            payload.put_u16(u16::from(parameter.kind));
        }
    }
    for parameter in parameters {
        payload.extend_from_slice(parameter.value.as_deref().unwrap_or_default());
    }
    payload
}

impl Conn {
    /// COM_STMT_PREPARE; the statement's id, or the error. Ids are no part of what is compared.
    pub(crate) async fn prepare(&mut self, sql: impl AsRef<[u8]>) -> Result<u32, u16> {
        let mut payload = vec![code::STMT_PREPARE];
        payload.extend_from_slice(sql.as_ref());
        let sql = sql.as_ref().escape_ascii().to_string();
        self.send(&payload).await;
        let mut first = self.packet().await;
        let mut reply = Reply::default();
        if first[0] == 0xFF {
            reply.packets.push(first.clone());
            self.note(&format!("PREPARE {sql}"), &reply);
            return Err(u16::from_le_bytes([first[1], first[2]]));
        }
        let id = u32::from_le_bytes([first[1], first[2], first[3], first[4]]);
        let count = |at: usize| usize::from(u16::from_le_bytes([first[at], first[at + 1]]));
        let groups = [count(7), count(5)];
        first[1..5].fill(0);
        reply.packets.push(first);
        for group in groups.into_iter().filter(|group| *group > 0) {
            let eof = usize::from(!self.capabilities.has(Capabilities::DEPRECATE_EOF));
            for _ in 0..group + eof {
                reply.packets.push(self.packet().await);
            }
        }
        self.note(&format!("PREPARE {sql}"), &reply);
        Ok(id)
    }

    /// COM_STMT_EXECUTE with types, without a cursor.
    pub(crate) async fn execute(&mut self, id: u32, parameters: &[Parameter]) -> Reply {
        self.execute_with(id, 0, parameters, true).await
    }

    /// COM_STMT_EXECUTE. With query attributes agreed on, use [`execution`] and a payload of your own.
    pub(crate) async fn execute_with(
        &mut self,
        id: u32,
        flags: u8,
        parameters: &[Parameter],
        types: bool,
    ) -> Reply {
        self.send(&execution(id, flags, parameters, types)).await;
        let reply = self.reply().await;
        self.note(&format!("EXECUTE flags {flags} {} parameters", parameters.len()), &reply);
        reply
    }

    /// COM_STMT_FETCH.
    pub(crate) async fn fetch(&mut self, id: u32, rows: u32) -> Reply {
        let mut payload = vec![code::STMT_FETCH];
        payload.put_u32(id);
        payload.put_u32(rows);
        self.send(&payload).await;
        let mut reply = Reply::default();
        self.rows(&[], &mut reply).await.unwrap();
        self.note(&format!("FETCH {rows}"), &reply);
        reply
    }

    /// COM_STMT_SEND_LONG_DATA.
    pub(crate) async fn long_data(&mut self, id: u32, parameter: u16, piece: &[u8]) {
        let mut payload = vec![code::STMT_SEND_LONG_DATA];
        payload.put_u32(id);
        payload.put_u16(parameter);
        payload.extend_from_slice(piece);
        self.send(&payload).await;
    }

    /// COM_STMT_RESET.
    pub(crate) async fn reset_statement(&mut self, id: u32) -> Reply {
        let mut payload = vec![code::STMT_RESET];
        payload.put_u32(id);
        self.send(&payload).await;
        let reply = self.reply().await;
        self.note("RESET", &reply);
        reply
    }

    /// COM_STMT_CLOSE.
    pub(crate) async fn close_statement(&mut self, id: u32) {
        let mut payload = vec![code::STMT_CLOSE];
        payload.put_u32(id);
        self.send(&payload).await;
    }
}
