//! Packets over a socket, as a client has them.

use std::io;

use dazzle::wire::{HEADER_BYTES, Header, PAYLOAD_MAX, Socket, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

/// How a connection ended.
pub(crate) type Broken = io::Error;

/// Reads and writes packets and checks their sequence ids. Not under compression: there a server's ids follow
/// its compressed packets (`net_flush` in `net_serv.cc`), and clients do not look at them.
pub(crate) struct Packets {
    socket: BufReader<Socket>,
    sequence: u8,
}

impl Packets {
    pub(crate) fn new(socket: Socket, sequence: u8) -> Self {
        Self { socket: BufReader::with_capacity(64 << 10, socket), sequence }
    }

    pub(crate) fn socket(&self) -> &Socket {
        self.socket.get_ref()
    }

    pub(crate) fn into_socket(self) -> Socket {
        assert!(self.socket.buffer().is_empty(), "nothing comes unasked");
        self.socket.into_inner()
    }

    /// A new command begins.
    pub(crate) fn reset_sequence(&mut self) {
        self.sequence = 0;
        self.socket.get_mut().reset_sequence();
    }

    /// The reply to a command that was written before others comes next.
    pub(crate) fn expect_reply(&mut self) {
        self.sequence = 1;
    }

    /// Reads one payload, continuation packets included.
    pub(crate) async fn read(&mut self) -> Result<Vec<u8>, Broken> {
        let mut payload = Vec::new();
        loop {
            let mut header = [0; HEADER_BYTES];
            self.socket.read_exact(&mut header).await?;
            let header = Header::parse(&header).expect("four bytes");
            if header.sequence != self.sequence && !matches!(self.socket(), Socket::Compressed(_)) {
                let text = format!("packet {} where {} was expected", header.sequence, self.sequence);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            self.sequence = header.sequence.wrapping_add(1);
            let start = payload.len();
            payload.resize(start + header.length, 0);
            self.socket.read_exact(&mut payload[start..]).await?;
            if header.length < PAYLOAD_MAX {
                return Ok(payload);
            }
        }
    }

    /// Writes one payload.
    pub(crate) async fn write(&mut self, payload: &[u8]) -> Result<(), Broken> {
        let mut bytes = Vec::with_capacity(payload.len() + 2 * HEADER_BYTES);
        self.sequence = frame(&mut bytes, self.sequence, payload);
        self.write_all(&bytes).await
    }

    /// Writes bytes as they are.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.socket.write_all(bytes).await?;
        self.socket.flush().await
    }
}
