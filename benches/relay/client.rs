//! A client as drivers are: login with either plugin, statements, and the end of a reply found without
//! reading its rows.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use dazzle::wire::{Capabilities, Malformed, Reader, Writer};

use crate::replies::packet;

/// The account that the generated configuration knows.
pub(crate) const USER: &str = "bench";
/// Its password.
pub(crate) const PASSWORD: &str = "bench password";
/// For each step of a login and for each statement outside a measurement.
const DEADLINE: Duration = Duration::from_secs(10);

/// A logged-in connection, blocking until [`into_socket`](Self::into_socket).
pub(crate) struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects and logs in.
    pub(crate) fn login(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, DEADLINE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.set_write_timeout(Some(DEADLINE))?;
        let mut client = Self { socket, buffer: Vec::new() };
        let (_, greeting) = client.read_packet()?;
        let (scramble, plugin) = read_greeting(&greeting).map_err(io::Error::other)?;
        let mut response = Vec::new();
        packet(&mut response, 1, &handshake_response(&scramble, &plugin)?);
        client.socket.write_all(&response)?;
        client.finish_login()?;
        Ok(client)
    }

    /// Follows an authentication switch and the fast path of `caching_sha2_password` to the OK packet.
    fn finish_login(&mut self) -> io::Result<()> {
        loop {
            let (sequence, payload) = self.read_packet()?;
            match payload.split_first() {
                Some((0x00, _)) => return Ok(()),
                Some((0x01, [3])) => {}
                Some((0x01, [4])) => return Err(io::Error::other("full authentication without TLS")),
                Some((0xFE, rest)) => {
                    let mut reader = Reader::new(rest);
                    let plugin = reader.nul_bytes().map_err(io::Error::other)?.to_vec();
                    let scramble = reader.rest();
                    let mut answer = Vec::new();
                    let proof = prove(&plugin, scramble.get(..20).unwrap_or(scramble))?;
                    packet(&mut answer, sequence.wrapping_add(1), &proof);
                    self.socket.write_all(&answer)?;
                }
                _ => return Err(io::Error::other(format!("login failed: {}", error_text(&payload)))),
            }
        }
    }

    /// Sends a command that is answered with a result or OK, and reads it to its end.
    pub(crate) fn command(&mut self, command: &[u8]) -> io::Result<()> {
        self.socket.write_all(command)?;
        let mut chunk = [0; 4096];
        loop {
            if let Some(end) = reply_end(&self.buffer)? {
                self.buffer.drain(..end);
                return Ok(());
            }
            self.fill(&mut chunk)?;
        }
    }

    /// Prepares `text`; the statement's id.
    pub(crate) fn prepare(&mut self, text: &str) -> io::Result<u32> {
        let mut command = Vec::new();
        packet(&mut command, 0, &[b"\x16", text.as_bytes()].concat());
        self.socket.write_all(&command)?;
        let (_, head) = self.read_packet()?;
        let mut reader = Reader::new(&head);
        let mut read =
            || -> Result<_, Malformed> { Ok((reader.u8()?, reader.u32()?, reader.u16()?, reader.u16()?)) };
        let (status, id, columns, parameters) = read().map_err(io::Error::other)?;
        if status != 0 {
            return Err(io::Error::other(format!("prepare failed: {}", error_text(&head))));
        }
        // DEPRECATE_EOF was agreed on: definitions alone.
        for _ in 0..columns + parameters {
            self.read_packet()?;
        }
        Ok(id)
    }

    /// The socket, non-blocking.
    pub(crate) fn into_socket(self) -> io::Result<TcpStream> {
        self.socket.set_nonblocking(true)?;
        Ok(self.socket)
    }

    fn read_packet(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(&[a, b, c, sequence]) = self.buffer.first_chunk::<4>() {
                let end = 4 + u32::from_le_bytes([a, b, c, 0]) as usize;
                if self.buffer.len() >= end {
                    let payload = self.buffer[4..end].to_vec();
                    self.buffer.drain(..end);
                    return Ok((sequence, payload));
                }
            }
            self.fill(&mut chunk)?;
        }
    }

    fn fill(&mut self, chunk: &mut [u8]) -> io::Result<()> {
        match self.socket.read(chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(())
            }
        }
    }
}

/// Where the first reply in `bytes` ends; nothing if it has not come whole. An ERR packet is an error:
/// a bench that gets one measures nothing.
pub(crate) fn reply_end(bytes: &[u8]) -> io::Result<Option<usize>> {
    let mut at = 0;
    let mut columns = None;
    while let Some(&[a, b, c, _]) = bytes[at..].first_chunk::<4>() {
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        let Some(payload) = bytes.get(at + 4..at + 4 + length) else { return Ok(None) };
        at += 4 + length;
        columns = match (columns, payload.first()) {
            (_, Some(0xFF)) => return Err(io::Error::other(error_text(payload))),
            (None, Some(0x00)) => return Ok(Some(at)),
            (None, Some(count)) => Some(*count),
            // DEPRECATE_EOF was agreed on: rows begin behind the last definition.
            (Some(0), Some(0xFE)) => return Ok(Some(at)),
            (Some(left), _) => Some(left.saturating_sub(1)),
            (None, None) => return Err(io::Error::other("empty packet")),
        };
    }
    Ok(None)
}

/// The message of an ERR packet.
fn error_text(payload: &[u8]) -> String {
    match payload {
        [0xFF, low, high, text @ ..] => {
            format!("error {}: {}", u16::from_le_bytes([*low, *high]), String::from_utf8_lossy(text))
        }
        other => format!("unexpected packet {other:02x?}"),
    }
}

fn read_greeting(payload: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Malformed> {
    let mut reader = Reader::new(payload);
    if reader.u8()? != 10 {
        return Err(Malformed("no handshake of version 10"));
    }
    reader.nul_bytes()?;
    reader.u32()?;
    let mut scramble = reader.bytes(8)?.to_vec();
    // NUL, capabilities, charset, status, capabilities, length, reserved.
    reader.bytes(1 + 2 + 1 + 2 + 2 + 1 + 10)?;
    scramble.extend_from_slice(reader.bytes(12)?);
    reader.u8()?;
    Ok((scramble, reader.nul_bytes()?.to_vec()))
}

/// Source: MySQL "Protocol::HandshakeResponse41"; the capabilities of a current C client.
fn handshake_response(scramble: &[u8], plugin: &[u8]) -> io::Result<Vec<u8>> {
    let capabilities = Capabilities::CLIENT_MYSQL
        | Capabilities::LONG_FLAG
        | Capabilities::CONNECT_WITH_DB
        | Capabilities::PROTOCOL_41
        | Capabilities::TRANSACTIONS
        | Capabilities::SECURE_CONNECTION
        | Capabilities::MULTI_RESULTS
        | Capabilities::PS_MULTI_RESULTS
        | Capabilities::PLUGIN_AUTH
        | Capabilities::SESSION_TRACK
        | Capabilities::DEPRECATE_EOF;
    let mut payload = Vec::new();
    payload.put_u32(capabilities.0 as u32);
    payload.put_u32(1 << 24);
    payload.push(45);
    payload.extend_from_slice(&[0; 23]);
    payload.put_nul_bytes(USER.as_bytes());
    let proof = prove(plugin, scramble)?;
    payload.push(proof.len() as u8);
    payload.extend_from_slice(&proof);
    payload.put_nul_bytes(b"bench");
    payload.put_nul_bytes(plugin);
    Ok(payload)
}

/// The answer to `scramble`: h(password) XOR h(two hashes), as both plugins do in their own way.
fn prove(plugin: &[u8], scramble: &[u8]) -> io::Result<Vec<u8>> {
    let hash = |algorithm, parts: &[&[u8]]| {
        let mut context = Context::new(algorithm);
        parts.iter().for_each(|part| context.update(part));
        context.finish()
    };
    let (password, mask) = match plugin {
        b"mysql_native_password" => {
            let password = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[PASSWORD.as_bytes()]);
            let stored = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[password.as_ref()]);
            (password, hash(&SHA1_FOR_LEGACY_USE_ONLY, &[scramble, stored.as_ref()]))
        }
        b"caching_sha2_password" => {
            let password = hash(&SHA256, &[PASSWORD.as_bytes()]);
            let stored = hash(&SHA256, &[password.as_ref()]);
            (password, hash(&SHA256, &[stored.as_ref(), scramble]))
        }
        other => return Err(io::Error::other(format!("plugin {}", String::from_utf8_lossy(other)))),
    };
    Ok(password.as_ref().iter().zip(mask.as_ref()).map(|(a, b)| a ^ b).collect())
}
