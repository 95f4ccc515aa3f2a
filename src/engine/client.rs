//! The client's side of a session: its packets, what it can do, how long it may take.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::cache::Recording;
use crate::config::Timeouts;
use crate::engine::fleet::Telling;
use crate::engine::outcome::Outcome;
use crate::engine::reports::OwedChanges;
use crate::error::SqlError;
use crate::sql::Tail;
use crate::wire::compression::Algorithm;
use crate::wire::{
    BUFFER_BYTES, Capabilities, Deadline, HEADER_BYTES, OkPacket, PAYLOAD_MAX, PacketStream, StatusFlags,
    StreamError, encode_eof, encode_err, frame,
};

/// How long a client that was told to go may go on sending.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// A client that has stopped sending may have left, or may only have nothing more to say: it still gets
/// the reply that comes within this time, as on a server. One that left costs the server connection that
/// much longer.
const FINISHED_GRACE: Duration = Duration::from_millis(500);

/// One client's connection.
#[derive(Debug)]
pub struct Client {
    /// Packets.
    pub stream: PacketStream,
    /// What it negotiated.
    pub capabilities: Capabilities,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// Bytes of one packet, continuations together, at most.
    pub packet_bytes_max: u64,
    /// Reads the rest of a statement that is streamed while it passes by.
    pub(crate) tail: Option<Tail>,
    /// Session state changes that the client has not been told of: an EOF packet cannot carry them.
    pub(crate) owed: OwedChanges,
    /// A copy of the reply that it is being sent, if that may be kept.
    pub(crate) recording: Option<Box<Recording>>,
    /// Whom else to tell of the write that its statement is, before it is told itself.
    pub(crate) telling: Option<Box<Telling>>,
    /// How long it may be silent with a transaction open, if that is less than at other times.
    pub idle_transaction_max: Option<Duration>,
    /// It has settings of its own for what is tracked, and is told everything that the server tells.
    pub(crate) tracks_itself: bool,
    deadline: Deadline,
}

/// The client is gone, stuck or talking nonsense; nothing can be sent to it any more.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Reading failed.
    #[error("client: {0}")]
    Stream(#[from] StreamError),
    /// It did not read its reply in time.
    #[error("client did not read its reply in time")]
    WriteTimeout,
    /// It sent nothing in time.
    #[error("client sent nothing in time")]
    ReadTimeout,
}

impl ClientError {
    /// What the client is told, as far as it can still be told anything.
    #[must_use]
    pub fn sql_error(&self) -> SqlError {
        match self {
            Self::Stream(error) => error.sql_error(),
            // Nobody reads it: said all the same, for the log.
            Self::WriteTimeout => StreamError::Closed.sql_error(),
            Self::ReadTimeout => SqlError::new(
                4031,
                "HY000",
                "The client was disconnected by the server because of inactivity. See wait_timeout and \
                 interactive_timeout for configuring this behavior.",
            ),
        }
    }
}

/// How a client ceased to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It closed its connection, or its sending half only: nobody can tell before it is written to.
    Finished,
    /// Its connection is broken.
    Failed,
}

/// Tells whoever waits for a server on behalf of a client when that has left.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// It has stopped sending; when this is over, it counts as gone.
    grace: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    /// Ready when `client` has left.
    pub(crate) fn poll_left(&mut self, client: &mut Client, cx: &mut Context<'_>) -> Poll<()> {
        if self.grace.is_none() {
            match client.poll_gone(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Departure::Failed) => return Poll::Ready(()),
                Poll::Ready(Departure::Finished) => {}
            }
        }
        self.grace.get_or_insert_with(|| Box::pin(sleep(FINISHED_GRACE))).as_mut().poll(cx)
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Stream(error.into())
    }
}

impl Client {
    /// A client that is logged in.
    #[must_use]
    pub fn new(
        stream: PacketStream,
        capabilities: Capabilities,
        timeouts: Timeouts,
        packet_bytes_max: u64,
    ) -> Self {
        Self {
            stream,
            capabilities,
            timeouts,
            packet_bytes_max,
            tail: None,
            owed: OwedChanges::default(),
            recording: None,
            telling: None,
            idle_transaction_max: None,
            tracks_itself: false,
            deadline: Deadline::new(),
        }
    }

    /// From here on packets are compressed.
    pub fn compress(&mut self, algorithm: Algorithm) {
        self.stream.compress(algorithm);
    }

    /// Writes framed packets within the write timeout.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        match self.deadline.run(self.timeouts.write, self.stream.write_all(bytes)).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(ClientError::WriteTimeout),
        }
    }

    /// The client is about to be told what the server has done by now, if it has ended something: whoever shares results
    /// is told first.
    pub(crate) async fn tell_fleet(&mut self, outcome: &Outcome) {
        let ended = outcome.results > 0 || outcome.error.is_some();
        if let Some(telling) = self.telling.as_mut().filter(|_| ended) {
            // Boxed: few statements are such, and all would carry its room.
            Box::pin(telling.tell(outcome.status)).await;
        }
    }

    /// Sends a part of a server's reply.
    pub(crate) async fn pass_on(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        if let Some(recording) = &mut self.recording {
            recording.push(bytes);
        }
        self.send(bytes).await
    }

    /// Waits for the next command's header, within the idle timeout.
    pub async fn command_header(&mut self) -> Result<crate::wire::Header, ClientError> {
        self.stream.reset_sequence();
        let idle = self.idle_transaction_max.map_or(self.timeouts.idle, |max| max.min(self.timeouts.idle));
        match self.deadline.run(idle, self.stream.header()).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(ClientError::ReadTimeout),
        }
    }

    /// Waits for the header of the next packet of this exchange, within the read timeout.
    pub async fn next_header(&mut self) -> Result<crate::wire::Header, ClientError> {
        match self.deadline.run(self.timeouts.read, self.stream.header()).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(ClientError::ReadTimeout),
        }
    }

    /// Waits until `bytes` bytes of input are there, within the read timeout.
    pub async fn need(&mut self, bytes: usize) -> Result<(), ClientError> {
        match self.deadline.run(self.timeouts.read, self.stream.need(bytes)).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(ClientError::ReadTimeout),
        }
    }

    /// Reads one whole packet in the middle of an exchange, each piece of it within the read timeout.
    pub async fn read_payload(&mut self, max: u64) -> Result<Vec<u8>, ClientError> {
        let mut payload = Vec::new();
        self.take_payload(max, |piece| payload.extend_from_slice(piece)).await?;
        Ok(payload)
    }

    /// The same without keeping any of it.
    pub async fn skip_payload(&mut self, max: u64) -> Result<(), ClientError> {
        self.take_payload(max, |_| {}).await
    }

    /// Takes one whole packet out of the input piece by piece, so that only what `take` keeps is held.
    async fn take_payload(&mut self, max: u64, mut take: impl FnMut(&[u8])) -> Result<(), ClientError> {
        let mut total = 0;
        loop {
            let header = self.next_header().await?;
            self.stream.sequence = header.sequence.wrapping_add(1);
            total += header.length as u64;
            if total > max {
                return Err(StreamError::TooLarge(total).into());
            }
            self.stream.input.consume(HEADER_BYTES);
            let mut rest = header.length;
            while rest > 0 {
                self.need(rest.min(BUFFER_BYTES)).await?;
                let n = self.stream.input.len().min(rest);
                take(&self.stream.input.filled()[..n]);
                self.stream.input.consume(n);
                rest -= n;
            }
            if header.length < PAYLOAD_MAX {
                return Ok(());
            }
        }
    }

    /// Ready when the client sends no more. What it sends meanwhile (pipelined commands) is kept, up to a
    /// buffer's size; beyond that it has to wait.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Departure> {
        while self.stream.input.len() < BUFFER_BYTES {
            match self.stream.poll_fill(cx, HEADER_BYTES) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Departure::Finished),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Departure::Failed),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }

    /// Sends an OK packet as the next one of this exchange.
    pub async fn send_ok(&mut self, ok: &OkPacket<'_>) -> Result<(), ClientError> {
        let mut payload = Vec::with_capacity(16);
        ok.encode(0, &mut payload);
        self.send_payload(&payload).await
    }

    /// Sends an EOF packet, or the OK that stands for it, as the next one of this exchange.
    pub async fn send_eof(&mut self, warnings: u16, status: StatusFlags) -> Result<(), ClientError> {
        let mut payload = Vec::with_capacity(16);
        if self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            OkPacket { status, warnings, ..OkPacket::default() }.encode(0xFE, &mut payload);
        } else {
            encode_eof(warnings, status, &mut payload);
        }
        self.send_payload(&payload).await
    }

    /// Sends an ERR packet as the next one of this exchange.
    pub async fn send_error(&mut self, error: &SqlError) -> Result<(), ClientError> {
        let mut payload = Vec::with_capacity(64);
        encode_err(error, true, &mut payload);
        self.send_payload(&payload).await
    }

    /// The last thing that a client is told which may be in the middle of sending. What it sends is read
    /// and dropped for a while: a socket closed before would reset the connection, and the client, busy
    /// writing, would never see the error.
    pub async fn farewell(&mut self, error: &SqlError) {
        if self.send_error(error).await.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        let limit = self.timeouts.read.min(FAREWELL_MAX);
        let _ = self.deadline.run(limit, self.stream.drain()).await;
    }

    /// Sends one payload as the next packet of this exchange.
    pub async fn send_payload(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        let mut bytes = Vec::with_capacity(payload.len() + HEADER_BYTES);
        self.stream.sequence = frame(&mut bytes, self.stream.sequence, payload);
        self.send(&bytes).await
    }
}
