//! Events as they come from the server: of long ones only the beginning is held.

use crate::backend::BackendError;
use crate::engine::follower::FollowError;
use crate::wire::binlog::{EVENT_HEADER_BYTES, EventHeader, kind};
use crate::wire::{ErrPacket, HEADER_BYTES, PAYLOAD_MAX, PacketStream, StreamError};

/// Of an event so many bytes are looked at: names, and the beginning of a text.
const LOOKED_AT_MAX: usize = 4 << 10;

/// Rows are looked at up to this size; those of a larger event may be any of their table.
const ROWS_MAX: usize = 64 << 10;

/// A packed transaction is looked at whole, up to this size; in a larger one everything may change.
const PACKED_MAX: usize = 16 << 20;

/// For an error's text.
const ERROR_BYTES_MAX: u64 = 64 << 10;

/// An event's header, and whether all that matters of it is in `body`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    pub(super) header: EventHeader,
    /// Not all of it is there.
    pub(super) cut: bool,
}

/// Reads one event. Not cancel-safe: after a drop midway the connection is of no use.
pub(super) async fn read_event(
    stream: &mut PacketStream,
    body: &mut Vec<u8>,
) -> Result<Received, FollowError> {
    let mut packet = stream.header().await.map_err(BackendError::from)?;
    stream.need(HEADER_BYTES + packet.length.min(1)).await.map_err(BackendError::from)?;
    match stream.input.filled().get(HEADER_BYTES) {
        Some(0x00) if packet.length > EVENT_HEADER_BYTES => {}
        Some(0xFF) => {
            let payload = stream.read_payload(ERROR_BYTES_MAX).await.map_err(BackendError::from)?;
            return Err(BackendError::Server(ErrPacket::parse(&payload)?).into());
        }
        // The server ends the stream.
        _ => return Err(BackendError::from(StreamError::Closed).into()),
    }
    stream.need(HEADER_BYTES + 1 + EVENT_HEADER_BYTES).await.map_err(BackendError::from)?;
    let event = &stream.input.filled()[HEADER_BYTES + 1..];
    let header = EventHeader::parse(event)?;
    stream.input.consume(HEADER_BYTES + 1 + EVENT_HEADER_BYTES);
    let mut left = packet.length - 1 - EVENT_HEADER_BYTES;
    let wanted = match header.kind {
        kind::TRANSACTION_PAYLOAD => PACKED_MAX,
        kind::WRITE_ROWS_V1..=kind::DELETE_ROWS_V1 | kind::WRITE_ROWS..=kind::DELETE_ROWS => ROWS_MAX,
        _ => LOOKED_AT_MAX,
    };
    body.clear();
    let mut cut = false;
    loop {
        cut |= pass(stream, left, body, wanted).await?;
        stream.sequence = stream.sequence.wrapping_add(1);
        if packet.length < PAYLOAD_MAX {
            return Ok(Received { header, cut });
        }
        packet = stream.header().await.map_err(BackendError::from)?;
        stream.input.consume(HEADER_BYTES);
        left = packet.length;
    }
}

/// Takes `left` bytes from the stream, the first of them into `body` until that has `wanted`. Whether some were dropped.
async fn pass(
    stream: &mut PacketStream,
    mut left: usize,
    body: &mut Vec<u8>,
    wanted: usize,
) -> Result<bool, FollowError> {
    let mut cut = false;
    while left > 0 {
        stream.need(1).await.map_err(BackendError::from)?;
        let there = stream.input.len().min(left);
        let kept = there.min(wanted - body.len());
        body.extend_from_slice(&stream.input.filled()[..kept]);
        cut |= kept < there;
        stream.input.consume(there);
        left -= there;
    }
    Ok(cut)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::wire::{Socket, Transport, frame};

    fn event(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0, 0, kind, 7, 0, 0, 0];
        bytes.extend_from_slice(&((EVENT_HEADER_BYTES + body.len()) as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(body);
        bytes
    }

    #[tokio::test]
    async fn long_events_pass_and_only_their_beginning_is_held() {
        let mut bytes = Vec::new();
        let mut next = 0;
        for (kind, length) in [(kind::XID, 8), (kind::WRITE_ROWS, PAYLOAD_MAX + 99), (kind::QUERY, 20)] {
            next = frame(&mut bytes, next, &event(kind, &vec![9; length]));
        }
        next = frame(&mut bytes, next, &event(kind::TRANSACTION_PAYLOAD, &vec![9; PACKED_MAX + 1]));
        frame(&mut bytes, next, b"\xff\xd4\x04#HY000gone");
        let (near, mut far) = tokio::io::duplex(64 << 10);
        let writing = async {
            far.write_all(&bytes).await.expect("it is read");
        };
        let reading = async {
            let mut stream = PacketStream::new(Socket::Plain(Transport::Pipe(near)));
            let mut body = Vec::new();
            let expected = [
                (kind::XID, 8, false),
                (kind::WRITE_ROWS, ROWS_MAX, true),
                (kind::QUERY, 20, false),
                (kind::TRANSACTION_PAYLOAD, PACKED_MAX, true),
            ];
            for (kind, length, cut) in expected {
                let received = read_event(&mut stream, &mut body).await.expect("an event");
                assert_eq!((received.header.kind, body.len(), received.cut), (kind, length, cut));
            }
            let error = read_event(&mut stream, &mut body).await.expect_err("the server's word");
            assert!(error.place_is_gone(), "{error}");
        };
        tokio::join!(writing, reading);
    }
}
