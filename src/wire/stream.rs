//! Packets over a socket: reads into a borrowed buffer, hands out whole packets, checks sequence ids.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use crate::error::{ProxyError, SqlError};
use crate::wire::buffer::{BUFFER_BYTES, Buffer};
use crate::wire::compression::{Algorithm, Compressed, CompressionError};
use crate::wire::packet::{HEADER_BYTES, Header, PAYLOAD_MAX, frame};
use crate::wire::socket::{Socket, Transport};

/// Bytes dropped at once.
const DRAIN_LEN: usize = 4 << 10;

/// Why a packet could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The peer closed the connection between two packets.
    #[error("connection closed")]
    Closed,
    /// The socket failed, or was closed within a packet.
    #[error("socket: {0}")]
    Io(#[from] io::Error),
    /// A packet had the wrong sequence id (MySQL 1156).
    #[error("packets out of order: got {got}, expected {expected}")]
    Sequence {
        /// What the packet said.
        got: u8,
        /// What it should have been.
        expected: u8,
    },
    /// A packet is larger than allowed (MySQL 1153).
    #[error("packet of {0} bytes is larger than allowed")]
    TooLarge(u64),
}

impl StreamError {
    /// Whether the peer is there and has only broken the protocol: it can be told.
    #[must_use]
    pub fn is_told(&self) -> bool {
        match self {
            Self::Sequence { .. } | Self::TooLarge(_) => true,
            Self::Io(error) => CompressionError::of(error).is_some(),
            Self::Closed => false,
        }
    }

    /// What the client is told whose packets failed so, in MySQL's own words.
    #[must_use]
    pub fn sql_error(&self) -> SqlError {
        match self {
            Self::Sequence { .. } => SqlError::new(1156, "08S01", "Got packets out of order"),
            Self::TooLarge(_) => {
                SqlError::new(1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes")
            }
            Self::Io(error) => CompressionError::of(error).map_or_else(unreadable, ProxyError::sql_error),
            Self::Closed => unreadable(),
        }
    }
}

/// A packet stream over one socket.
///
/// Holds no buffer while it waits for the first byte of a packet.
#[derive(Debug)]
pub struct PacketStream {
    socket: Socket,
    /// Bytes that were read and not consumed.
    pub(crate) input: Buffer,
    /// Sequence id that the next packet of this exchange has, in either direction.
    pub(crate) sequence: u8,
    /// Nothing is read beyond the packet that is waited for: TLS may begin right after it, and its
    /// bytes are not ours.
    exact: bool,
}

impl PacketStream {
    /// A stream at the start of a connection.
    #[must_use]
    pub fn new(socket: Socket) -> Self {
        Self { socket, input: Buffer::default(), sequence: 0, exact: true }
    }

    /// The login is over: from here on as much is read at once as there is.
    pub const fn read_ahead(&mut self) {
        self.exact = false;
    }

    /// The socket below.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Takes the socket out, for TLS or compression to be put in between. Refuses when bytes have been
    /// read ahead: what a peer sent in clear before a TLS handshake must not count as sent under it.
    pub fn into_socket(self) -> io::Result<Socket> {
        if self.input.is_empty() {
            Ok(self.socket)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "bytes before the TLS handshake"))
        }
    }

    /// Goes on over another socket (the same one under TLS, say); sequence ids continue.
    #[must_use]
    pub fn over(socket: Socket, sequence: u8) -> Self {
        Self { socket, input: Buffer::default(), sequence, exact: true }
    }

    /// Packets are compressed from here on.
    pub fn compress(&mut self, algorithm: Algorithm) {
        let (closed, _) = tokio::io::duplex(1);
        let socket = std::mem::replace(&mut self.socket, Socket::Plain(Transport::Pipe(closed)));
        self.socket = Socket::Compressed(Box::new(Compressed::new(socket, algorithm)));
    }

    /// Moves the socket to the I/O driver of the current runtime, where that is possible.
    pub fn reregister(&mut self) -> io::Result<()> {
        if let Socket::Plain(transport) = &mut self.socket {
            transport.reregister()?;
        }
        Ok(())
    }

    /// A new exchange begins: the next packet has sequence id 0.
    pub fn reset_sequence(&mut self) {
        self.sequence = 0;
        self.socket.reset_sequence();
    }

    /// Reads once; returns the number of bytes, 0 at the end. `wanted` is how many bytes the caller
    /// needs in all, so that there is room for them. Cancel-safe.
    pub async fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx, wanted)).await
    }

    /// See [`PacketStream::fill`].
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let missing = wanted.saturating_sub(self.input.len()).max(1);
        let spare = self.input.spare(wanted);
        let room = if self.exact { missing.min(spare.len()) } else { spare.len() };
        let mut spare = ReadBuf::new(&mut spare[..room]);
        let polled = Pin::new(&mut self.socket).poll_read(cx, &mut spare);
        let n = spare.filled().len();
        match polled {
            Poll::Ready(Ok(())) => {
                self.input.advance(n);
                if n == 0 {
                    self.input.release();
                }
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => {
                self.input.release();
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                self.input.release();
                Poll::Pending
            }
        }
    }

    /// Waits until the header of the next packet is there and checks its sequence id. The packet stays
    /// in the buffer. Cancel-safe.
    pub async fn header(&mut self) -> Result<Header, StreamError> {
        loop {
            if let Some(header) = Header::parse(self.input.filled()) {
                // Under compression the frames are counted instead, and the ids within mean nothing: both
                // servers set theirs from the frame counter.
                let counted = !matches!(self.socket, Socket::Compressed(_));
                if counted && header.sequence != self.sequence {
                    return Err(StreamError::Sequence { got: header.sequence, expected: self.sequence });
                }
                return Ok(header);
            }
            self.fill_some(HEADER_BYTES).await?;
        }
    }

    /// Waits until `bytes` bytes are in the buffer. Cancel-safe.
    pub async fn need(&mut self, bytes: usize) -> Result<(), StreamError> {
        while self.input.len() < bytes {
            self.fill_some(bytes).await?;
        }
        Ok(())
    }

    async fn fill_some(&mut self, wanted: usize) -> Result<(), StreamError> {
        let between_packets = self.input.is_empty();
        match self.fill(wanted).await {
            Ok(0) if between_packets => Err(StreamError::Closed),
            Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(_) => Ok(()),
            Err(error) if between_packets && is_hangup(&error) => Err(StreamError::Closed),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads one whole packet of at most `max` payload bytes and returns its payload, taken out of the
    /// buffer. For handshakes and other rare exchanges; continuation packets are put together. Not
    /// cancel-safe: after a drop midway the stream must be closed.
    pub async fn read_payload(&mut self, max: u64) -> Result<Vec<u8>, StreamError> {
        let mut payload = Vec::new();
        loop {
            let header = self.header().await?;
            let total = payload.len() as u64 + header.length as u64;
            if total > max {
                return Err(StreamError::TooLarge(total));
            }
            self.need(HEADER_BYTES + header.length).await?;
            let packet = &self.input.filled()[HEADER_BYTES..HEADER_BYTES + header.length];
            payload.extend_from_slice(packet);
            self.input.consume(HEADER_BYTES + header.length);
            self.sequence = self.sequence.wrapping_add(1);
            if header.length < PAYLOAD_MAX {
                return Ok(payload);
            }
        }
    }

    /// Writes `bytes` (whole packets, already framed) and flushes.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await?;
        match &mut self.socket {
            Socket::Plain(_) => Ok(()),
            layered => layered.flush().await,
        }
    }

    /// Writes `payload` as the next packet of this exchange.
    pub async fn write_payload(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(payload.len() + HEADER_BYTES);
        self.sequence = frame(&mut bytes, self.sequence, payload);
        self.write_all(&bytes).await
    }

    /// Writes a command that consists of a byte and a text, behind `before` (whole packets, already framed). A long
    /// text goes from where it is, without another copy of it.
    pub async fn write_text_command(&mut self, before: Vec<u8>, command: u8, text: &[u8]) -> io::Result<()> {
        let (mut bytes, mut first, mut rest) = (before, &[command][..], text);
        self.sequence = 0;
        loop {
            let length = (first.len() + rest.len()).min(PAYLOAD_MAX);
            let (piece, after) = rest.split_at(length - first.len());
            bytes.extend_from_slice(&Header { length, sequence: self.sequence }.encode());
            bytes.extend_from_slice(first);
            if piece.len() <= BUFFER_BYTES {
                bytes.extend_from_slice(piece);
                self.write_all(&bytes).await?;
            } else {
                self.write_all(&bytes).await?;
                self.write_all(piece).await?;
            }
            self.sequence = self.sequence.wrapping_add(1);
            if length < PAYLOAD_MAX {
                return Ok(());
            }
            bytes.clear();
            (first, rest) = (&[], after);
        }
    }

    /// Reads and drops everything until the peer closes, below compression: what comes need not be frames. Nothing can be
    /// read afterwards. Cancel-safe.
    pub async fn drain(&mut self) {
        self.input = Buffer::default();
        let mut socket = &mut self.socket;
        while let Socket::Compressed(inner) = socket {
            socket = inner.get_mut();
        }
        let mut dropped = vec![0; DRAIN_LEN];
        while socket.read(&mut dropped).await.is_ok_and(|n| n > 0) {}
    }

    /// Says goodbye below the protocol: TLS close_notify, FIN.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.socket.shutdown().await
    }

    /// Whether the peer is still there and silent, as far as can be told without waiting. A peer that
    /// sent something unasked (or closed) is not.
    pub fn is_quiet(&mut self) -> bool {
        if !self.input.is_empty() {
            return false;
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        self.poll_fill(&mut cx, HEADER_BYTES).is_pending()
    }
}

fn unreadable() -> SqlError {
    SqlError::new(1158, "08S01", "Got an error reading communication packets")
}

/// Whether this is how a peer that is simply gone looks.
fn is_hangup(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof
    )
}
