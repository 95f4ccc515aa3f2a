//! One step of a random session: which client does what. A list of steps is a script that can be played again.

use std::fmt;

use dazzle::wire::Writer;
use dazzle::wire::{Capabilities, code};

/// What one of the two clients does.
#[derive(Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) client: usize,
    pub(crate) action: Action,
}

/// How a session begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) capabilities: Capabilities,
    pub(crate) schema: Option<&'static str>,
    pub(crate) collation: u8,
}

/// A parameter of an execution: type and encoded value; no value is NULL.
#[derive(Clone, PartialEq)]
pub(crate) struct Value {
    pub(crate) kind: u16,
    pub(crate) bytes: Option<Vec<u8>>,
}

/// Something that a client sends. Texts may hold `{me}` and `{other}`, the connection ids of the two.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// A new connection in place of the one before.
    Connect(Entry),
    /// COM_QUERY.
    Text(Bytes),
    /// COM_QUERY that may ask for a file, and the file.
    Load(Bytes, Bytes),
    /// A command whose reply begins like that of a statement.
    Command(Bytes),
    /// COM_STATISTICS.
    Statistics,
    /// COM_FIELD_LIST: table and wildcard.
    Fields(Bytes),
    /// COM_CHANGE_USER: whether with the right password, and the schema.
    ChangeUser(bool, Option<&'static str>),
    /// COM_STMT_PREPARE into a slot.
    Prepare(u8, Bytes),
    /// COM_STMT_EXECUTE: slot, flags, parameters, and whether their types go along.
    Execute { slot: u8, flags: u8, values: Vec<Value>, types: bool },
    /// COM_STMT_SEND_LONG_DATA: slot, parameter, piece.
    LongData(u8, u16, Bytes),
    /// COM_STMT_FETCH: slot and rows.
    Fetch(u8, u32),
    /// COM_STMT_RESET.
    ResetStatement(u8),
    /// COM_STMT_CLOSE.
    CloseStatement(u8),
    /// KILL of the other session, which must end; the text, or COM_PROCESS_KILL without one.
    KillOther(Option<Bytes>),
    /// The other client runs this, and is killed while it does.
    KillRunning(&'static str),
    /// COM_QUIT.
    Quit,
    /// The connection is closed without a word.
    Vanish,
    /// Several of them in one write; replies come in order.
    Pipelined(Vec<Action>),
}

/// Bytes that are mostly text.
#[derive(Clone, PartialEq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for Bytes {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(400)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if shown.len() < self.0.len() { write!(f, "… ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.bytes {
            Some(bytes) => write!(f, "{:#x}:{:?}", self.kind, Bytes(bytes.clone())),
            None => write!(f, "{:#x}:NULL", self.kind),
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.client == 0 { "A" } else { "B" };
        write!(f, "{name}  {:?}", self.action)
    }
}

impl Value {
    pub(crate) const NULL: Self = Self { kind: 6, bytes: None };
    /// A parameter that was sent as long data.
    pub(crate) const LONG: Self = Self { kind: 0xFC, bytes: Some(Vec::new()) };

    pub(crate) fn int(n: i64) -> Self {
        Self { kind: 8, bytes: Some(n.to_le_bytes().to_vec()) }
    }

    pub(crate) fn text(text: &[u8]) -> Self {
        let mut bytes = Vec::new();
        bytes.put_lenenc_bytes(text);
        Self { kind: 0xFD, bytes: Some(bytes) }
    }
}

/// The payload of a COM_STMT_EXECUTE.
pub(crate) fn execution(id: u32, flags: u8, values: &[Value], types: bool, attributes: bool) -> Vec<u8> {
    let mut payload = vec![code::STMT_EXECUTE];
    payload.put_u32(id);
    payload.push(flags);
    payload.put_u32(1);
    if values.is_empty() {
        return payload;
    }
    if attributes {
        payload.put_lenenc(values.len() as u64);
    }
    let mut nulls = vec![0u8; values.len().div_ceil(8)];
    for (n, value) in values.iter().enumerate() {
        if value.bytes.is_none() {
            nulls[n / 8] |= 1 << (n % 8);
        }
    }
    payload.extend_from_slice(&nulls);
    payload.push(u8::from(types));
    if types {
        for value in values {
            payload.put_u16(value.kind);
            if attributes {
                payload.put_lenenc_bytes(b"");
            }
        }
    }
    for value in values {
        payload.extend_from_slice(value.bytes.as_deref().unwrap_or_default());
    }
    payload
}
