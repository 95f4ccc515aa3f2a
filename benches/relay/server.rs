//! A server that answers at once: MySQL's protocol, no SQL engine behind it. One thread, so that it
//! costs the machine as little as it can.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};

use dazzle::wire::{Capabilities, Reader, StatusFlags, Writer};

use crate::poller::{Poller, write_all};
use crate::replies::{Reply, packet};
use crate::variables::{self, strip_word};

const LISTENER: usize = usize::MAX;
const VERSION: &[u8] = b"5.5.5-10.11.14-MariaDB";
const SCRAMBLE: &[u8; 20] = b"abcdefghijklmnopqrst";
const READ_BYTES: usize = 64 << 10;
/// A command larger than this ends its connection: the bench sends none.
const COMMAND_BYTES_MAX: usize = 1 << 20;

/// Serves on `listener` for ever.
pub(crate) fn run(listener: &TcpListener) -> io::Result<()> {
    let mut poller = Poller::new()?;
    poller.add(listener, LISTENER)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut out = Vec::with_capacity(READ_BYTES);
    let mut ready = Vec::new();
    loop {
        poller.wait(None, |token| ready.push(token))?;
        for token in ready.drain(..) {
            if token == LISTENER {
                let (socket, _) = listener.accept()?;
                socket.set_nodelay(true)?;
                socket.set_nonblocking(true)?;
                poller.add(&socket, connections.len())?;
                write_all(&socket, &greeting(connections.len() as u32 + 1))?;
                connections.push(Some(Connection::new(socket)));
            } else if let Some(connection) = &mut connections[token]
                && connection.answer(&mut buffer, &mut out).is_none()
            {
                connections[token] = None;
            }
        }
    }
}

/// Source: MySQL "Protocol::HandshakeV10".
fn greeting(connection: u32) -> Vec<u8> {
    let offered = Capabilities::CLIENT_MYSQL
        | Capabilities::FOUND_ROWS
        | Capabilities::LONG_FLAG
        | Capabilities::CONNECT_WITH_DB
        | Capabilities::IGNORE_SPACE
        | Capabilities::PROTOCOL_41
        | Capabilities::TRANSACTIONS
        | Capabilities::SECURE_CONNECTION
        | Capabilities::MULTI_STATEMENTS
        | Capabilities::MULTI_RESULTS
        | Capabilities::PS_MULTI_RESULTS
        | Capabilities::PLUGIN_AUTH
        | Capabilities::CONNECT_ATTRS
        | Capabilities::PLUGIN_AUTH_LENENC
        | Capabilities::SESSION_TRACK
        | Capabilities::DEPRECATE_EOF;
    let mut payload = vec![10];
    payload.put_nul_bytes(VERSION);
    payload.put_u32(connection);
    payload.put_nul_bytes(&SCRAMBLE[..8]);
    payload.put_u16(offered.0 as u16);
    payload.push(45);
    payload.put_u16(StatusFlags::AUTOCOMMIT.0);
    payload.put_u16((offered.0 >> 16) as u16);
    payload.push(21);
    payload.extend_from_slice(&[0; 10]);
    payload.put_nul_bytes(&SCRAMBLE[8..]);
    payload.put_nul_bytes(b"mysql_native_password");
    let mut out = Vec::new();
    packet(&mut out, 0, &payload);
    out
}

struct Connection {
    socket: TcpStream,
    /// The start of a packet whose end has not come yet.
    partial: Vec<u8>,
    /// None until the handshake response has come.
    capabilities: Option<Capabilities>,
    status: StatusFlags,
    statements: u32,
}

impl Connection {
    fn new(socket: TcpStream) -> Self {
        let status = StatusFlags::AUTOCOMMIT;
        Self { socket, partial: Vec::new(), capabilities: None, status, statements: 0 }
    }

    /// Reads once and answers every whole packet in one write; nothing: the connection has ended.
    fn answer(&mut self, buffer: &mut [u8], out: &mut Vec<u8>) -> Option<()> {
        let read = match self.socket.read(buffer) {
            Ok(0) => return None,
            Ok(n) => &buffer[..n],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(()),
            Err(_) => return None,
        };
        out.clear();
        if self.partial.is_empty() {
            let rest = self.answer_packets(read, out)?;
            self.partial.extend_from_slice(rest);
        } else {
            let mut bytes = std::mem::take(&mut self.partial);
            bytes.extend_from_slice(read);
            self.partial = self.answer_packets(&bytes, out)?.to_vec();
        }
        if self.partial.len() > COMMAND_BYTES_MAX {
            return None;
        }
        write_all(&self.socket, out).ok()
    }

    /// Answers whole packets; the rest is the start of another.
    fn answer_packets<'b>(&mut self, mut bytes: &'b [u8], out: &mut Vec<u8>) -> Option<&'b [u8]> {
        loop {
            let mut reader = Reader::new(bytes);
            let (Ok(length), Ok(sequence)) = (reader.u24(), reader.u8()) else { return Some(bytes) };
            let Ok(payload) = reader.bytes(length as usize) else { return Some(bytes) };
            bytes = reader.rest();
            self.answer_packet(payload, sequence.wrapping_add(1), out)?;
        }
    }

    fn answer_packet(&mut self, payload: &[u8], sequence: u8, out: &mut Vec<u8>) -> Option<()> {
        let Some(capabilities) = self.capabilities else {
            let capabilities = Capabilities(u64::from(Reader::new(payload).u32().ok()?));
            self.capabilities = Some(capabilities);
            Reply { out, sequence, capabilities, status: self.status }.ok(0);
            return Some(());
        };
        let (&command, argument) = payload.split_first()?;
        match command {
            // COM_QUIT
            0x01 => return None,
            // COM_STMT_SEND_LONG_DATA, COM_STMT_CLOSE: no reply
            0x18 | 0x19 => return Some(()),
            // COM_RESET_CONNECTION
            0x1F => self.status = StatusFlags::AUTOCOMMIT,
            // COM_QUERY
            0x03 => self.track_transaction(argument),
            _ => {}
        }
        let mut reply = Reply { out, sequence, capabilities, status: self.status };
        match command {
            0x03 => query(argument, &mut reply),
            // COM_STMT_PREPARE
            0x16 => {
                self.statements += 1;
                let parameters = argument.iter().filter(|byte| **byte == b'?').count() as u16;
                // Odd numbers return an order, even ones change something: no table of statements.
                let selects = is_select(argument);
                if (self.statements % 2 == 1) != selects {
                    self.statements += 1;
                }
                reply.prepared(self.statements, selects, parameters);
            }
            // COM_STMT_EXECUTE
            0x17 => match Reader::new(argument).u32().ok()? % 2 {
                1 => reply.binary_order(),
                _ => reply.ok(1),
            },
            // COM_SET_OPTION
            0x1B => reply.end_of_rows(),
            // COM_INIT_DB, COM_PING, COM_STMT_RESET, COM_RESET_CONNECTION …
            _ => reply.ok(0),
        }
        Some(())
    }

    fn track_transaction(&mut self, text: &[u8]) {
        // Only the statements that tests of a proxy send; the first letter decides for all others.
        let Some(b'B' | b'b' | b'S' | b's' | b'C' | b'c' | b'R' | b'r') = text.first() else { return };
        let Ok(text) = str::from_utf8(text) else { return };
        let is = |word| strip_word(text, word).is_some();
        if is("BEGIN") || is("START") {
            self.status = self.status.with(StatusFlags::IN_TRANS);
        } else if is("COMMIT") || is("ROLLBACK") {
            self.status = self.status.without(StatusFlags::IN_TRANS);
        } else if is("SET") {
            let lower = text.to_ascii_lowercase();
            let Some((_, value)) = lower.split_once("autocommit") else { return };
            let value = value.trim_start_matches([' ', '=', ':']);
            self.status = match value.starts_with('0') || value.starts_with("off") {
                true => self.status.without(StatusFlags::AUTOCOMMIT),
                false => self.status.with(StatusFlags::AUTOCOMMIT),
            };
        }
    }
}

fn is_select(text: &[u8]) -> bool {
    text.get(..6).is_some_and(|word| word.eq_ignore_ascii_case(b"SELECT"))
}

fn query(text: &[u8], reply: &mut Reply<'_>) {
    // The bench's own statement first: it must not pay for the others.
    if is_select(text) && memchr::memmem::find(text, b" FROM ").is_some() {
        return reply.text_order();
    }
    let text = str::from_utf8(text).unwrap_or_default();
    if variables::select(text, reply) || variables::show(text, reply) {
        return;
    }
    // What are its tables: nothing but plain ones, as far as somebody sees who sees everything.
    if text.starts_with("(SELECT 'kind'") {
        let rows = [vec!["sees", "SELECT"], vec!["sees", "TRIGGER"], vec!["end", ""]];
        return reply.texts(&["what", "name"], &rows);
    }
    let first = text.trim_start().get(..6).unwrap_or_default().to_ascii_uppercase();
    match first.as_str() {
        "SELECT" => reply.text_order(),
        "INSERT" | "UPDATE" | "DELETE" => reply.ok(1),
        _ => reply.ok(0),
    }
}
