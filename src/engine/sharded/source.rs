//! One slot's reply in a scatter: its packets, read as they are needed.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::backend::{BackendError, PreparedKey, ServerLease};
use crate::engine::client::{Client, Watch};
use crate::engine::error::EngineError;
use crate::engine::relay::RelayError;
use crate::engine::sharded::parameters::Parameters;
use crate::engine::sharded::renaming::Renaming;
use crate::engine::sharded::time;
use crate::wire::{
    Capabilities, ColumnDefinition, ErrPacket, HEADER_BYTES, Header, Malformed, OkPacket, PAYLOAD_MAX,
    Reader, StreamError,
};

/// Columns of a result, as both servers limit them.
const COLUMNS_MAX: u64 = 4096;

/// What is still read of a reply that nobody needs: less than a new connection costs.
const DRAINED_BYTES_MAX: usize = 256 << 10;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) lease: ServerLease,
    renaming: Arc<Renaming>,
    /// The reply has been read to its end.
    pub(crate) ended: bool,
    pub(crate) warnings: u16,
    /// The connection was told what time it is.
    pub(crate) told_time: bool,
    /// Silent for this long, the server has failed; zero: no limit.
    reply_timeout: Duration,
}

/// A row, or the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next packet is a row of this many bytes, and in the buffer behind its header.
    Row(usize),
    /// A row of several packets; [`Source::large`] reads it.
    Large,
    /// No more rows.
    End,
}

impl Source {
    pub(crate) const fn new(lease: ServerLease, renaming: Arc<Renaming>, reply_timeout: Duration) -> Self {
        Self { lease, renaming, ended: false, warnings: 0, told_time: false, reply_timeout }
    }

    /// Sends a text statement.
    pub(crate) async fn send(&mut self, text: &[u8]) -> Result<(), EngineError> {
        self.lease.begin();
        let closing = self.lease.closing_frames();
        let payload = self.lease.query_payload(text);
        let mut bytes = closing;
        crate::wire::frame(&mut bytes, 0, &payload);
        self.lease.stream.write_all(&bytes).await.map_err(|error| lost(error.into()))
    }

    /// Prepares the text here if it is not, and executes it.
    pub(crate) async fn execute(
        &mut self,
        text: &[u8],
        parameters: &Parameters<'_>,
        left_out: &[u32],
    ) -> Result<(), EngineError> {
        let image = self.lease.image().key();
        let key = PreparedKey { text: text.into(), image, types: parameters.kinds(), copy: 0 };
        let known = self.lease.prepared.find(&key).map(|known| known.reply.id);
        let id = match known {
            Some(id) => id,
            None => match self.lease.prepare(&key).await {
                Ok(reply) => reply.id,
                Err(error) => {
                    self.ended = true;
                    return Err(error.into());
                }
            },
        };
        if let Some(known) = self.lease.prepared.find(&key) {
            // The next execution by somebody else must send its types.
            known.types = None;
        }
        let attributes = self.lease.capabilities().has(Capabilities::QUERY_ATTRIBUTES);
        self.lease.begin();
        let mut bytes = self.lease.closing_frames();
        crate::wire::frame(&mut bytes, 0, &parameters.execution(id, left_out, attributes));
        self.lease.stream.write_all(&bytes).await.map_err(|error| lost(error.into()))
    }

    /// The connection tells the time by its clock again; one that cannot be told so is closed.
    pub(crate) async fn forget_time(&mut self) {
        if self.told_time && self.ended {
            time::go_on(&mut self.lease).await;
        }
    }

    /// The definitions of its columns, under the name of the logical database.
    pub(crate) async fn columns(
        &mut self,
        client: &mut Client,
    ) -> Result<Vec<ColumnDefinition>, EngineError> {
        let first = self.payload(client).await?;
        if first.first() == Some(&0xFF) {
            return Err(self.failed(&first)?);
        }
        let count = Reader::new(&first).lenenc().map_err(RelayError::from)?;
        if count == 0 || count > COLUMNS_MAX {
            return Err(RelayError::Malformed(Malformed("reply without columns")).into());
        }
        let mut columns = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let payload = self.payload(client).await?;
            if payload.first() == Some(&0xFF) {
                return Err(self.failed(&payload)?);
            }
            let mut column = ColumnDefinition::parse(&payload).map_err(RelayError::from)?;
            if *column.schema == *self.renaming.physical {
                column.schema = self.renaming.logical.to_vec();
            }
            columns.push(column);
        }
        Ok(columns)
    }

    /// What is next. A row stays in the buffer until [`Source::taken`].
    pub(crate) async fn next(&mut self, client: &mut Client) -> Result<Next, EngineError> {
        self.fill(client, HEADER_BYTES + 1).await?;
        let held = self.lease.input().filled();
        let header =
            Header::parse(held).ok_or(RelayError::Malformed(Malformed("packet without a header")))?;
        let first = held[HEADER_BYTES];
        match first {
            _ if header.length == PAYLOAD_MAX => Ok(Next::Large),
            0xFF => {
                let payload = self.payload(client).await?;
                Err(self.failed(&payload)?)
            }
            0xFE => {
                let payload = self.payload(client).await?;
                let ok = OkPacket::parse(&payload).map_err(RelayError::from)?;
                self.warnings = ok.warnings;
                let status = ok.status;
                self.lease.answered(status);
                self.ended = true;
                Ok(Next::End)
            }
            _ => {
                self.fill(client, HEADER_BYTES + header.length).await?;
                Ok(Next::Row(header.length))
            }
        }
    }

    /// The row that is in the buffer.
    pub(crate) fn row(&mut self, length: usize) -> &[u8] {
        &self.lease.input().filled()[HEADER_BYTES..HEADER_BYTES + length]
    }

    /// The row has been taken in.
    pub(crate) fn taken(&mut self, length: usize) {
        self.lease.input().consume(HEADER_BYTES + length);
    }

    /// A row of more than 16 MiB.
    pub(crate) async fn large(&mut self, client: &mut Client, max: u64) -> Result<Vec<u8>, EngineError> {
        let mut whole = Vec::new();
        loop {
            let packet = self.payload(client).await?;
            whole.extend_from_slice(&packet);
            if whole.len() as u64 > max {
                return Err(RelayError::Malformed(Malformed("row too large to be merged")).into());
            }
            if packet.len() < PAYLOAD_MAX {
                return Ok(whole);
            }
        }
    }

    /// One packet.
    async fn payload(&mut self, client: &mut Client) -> Result<Vec<u8>, EngineError> {
        self.fill(client, HEADER_BYTES).await?;
        let header = Header::parse(self.lease.input().filled());
        let header = header.ok_or(RelayError::Malformed(Malformed("packet without a header")))?;
        self.fill(client, HEADER_BYTES + header.length).await?;
        let payload = self.row(header.length).to_vec();
        self.taken(header.length);
        Ok(payload)
    }

    /// Waits until `wanted` bytes of the reply are there. The client is watched meanwhile.
    async fn fill(&mut self, client: &mut Client, wanted: usize) -> Result<(), EngineError> {
        let mut watch = Watch::default();
        while self.lease.input().len() < wanted {
            let conn = &mut *self.lease;
            let (deadline, stream) = (&mut conn.deadline, &mut conn.stream);
            let read = poll_fn(|cx| {
                if let Poll::Ready(read) = stream.poll_fill(cx, wanted) {
                    return Poll::Ready(Ok(read));
                }
                watch.poll_left(client, cx).map(|()| Err(RelayError::Gone))
            });
            match deadline.run(self.reply_timeout, read).await {
                Err(_) => return Err(RelayError::Timeout.into()),
                Ok(Err(gone)) => return Err(gone.into()),
                Ok(Ok(Ok(0))) => return Err(lost(StreamError::Closed)),
                Ok(Ok(Ok(_))) => {}
                Ok(Ok(Err(error))) => return Err(lost(error.into())),
            }
        }
        Ok(())
    }

    /// Whether a packet has begun to arrive, without waiting.
    pub(crate) fn has_something(&mut self) -> bool {
        self.lease.input().len() > HEADER_BYTES
    }

    /// The error that an ERR packet says; it ends the reply.
    fn failed(&mut self, payload: &[u8]) -> Result<EngineError, EngineError> {
        let mut packet = ErrPacket::parse(payload).map_err(RelayError::from)?;
        if let Some(message) = self.renaming.message(&packet.message) {
            packet.message = message;
        }
        let status = self.lease.status;
        self.lease.answered(status);
        self.ended = true;
        Ok(BackendError::Server(packet).into())
    }

    /// Reads on to the end if that is soon, so that the connection can be used again.
    pub(crate) async fn drain(&mut self, until: Instant) {
        let drained = async {
            let mut read = 0;
            while !self.ended && read < DRAINED_BYTES_MAX {
                let Ok(()) = self.lease.stream.need(HEADER_BYTES + 1).await else { return };
                let Some(header) = Header::parse(self.lease.input().filled()) else { return };
                let Ok(()) = self.lease.stream.need(HEADER_BYTES + header.length).await else { return };
                let first = self.lease.input().filled().get(HEADER_BYTES).copied();
                if matches!(first, Some(0xFE | 0xFF)) && header.length < PAYLOAD_MAX {
                    // Rows that nobody needs were read by the server as well: it warned of them.
                    if let Ok(ok) = OkPacket::parse(self.row(header.length))
                        && first == Some(0xFE)
                    {
                        self.warnings = ok.warnings;
                    }
                    let status = self.lease.status;
                    self.lease.answered(status);
                    self.ended = true;
                }
                self.taken(header.length);
                read += header.length;
            }
        };
        // Whatever is not read by then is closed with its connection.
        let _ = timeout_at(until, drained).await;
    }
}

fn lost(error: StreamError) -> EngineError {
    RelayError::Server { error, untouched: false }.into()
}
