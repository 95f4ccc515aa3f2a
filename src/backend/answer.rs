//! What a server answers to questions of our own: an OK, a result set, a prepared statement.

use crate::backend::error::BackendError;
use crate::backend::prepared::PrepareReply;
use crate::wire::{ErrPacket, Malformed, OkPacket, PacketStream, Reader, StatusFlags};

/// Rows and bytes of an internal query's answer at most.
pub(crate) const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Bytes of the definitions of a prepared statement at most: 65,535 parameters take 4 MiB.
const DEFINITIONS_BYTES_MAX: u64 = 16 << 20;

/// The status of an OK or EOF payload; an ERR becomes an error.
pub(crate) fn expect_ok(payload: &[u8]) -> Result<StatusFlags, BackendError> {
    match payload.first() {
        Some(0x00) => Ok(OkPacket::parse(payload)?.status),
        Some(0xFE) if payload.len() < 6 => Ok(crate::wire::parse_eof(payload)?.1),
        Some(0xFE) => Ok(OkPacket::parse(payload)?.status),
        Some(0xFF) => Err(BackendError::Server(ErrPacket::parse(payload)?)),
        _ => Err(BackendError::Malformed(Malformed("neither OK nor ERR"))),
    }
}

/// A result set as the server sent it, in payloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultSet {
    /// Column definitions.
    pub columns: Vec<Vec<u8>>,
    /// Rows.
    pub rows: Vec<Vec<u8>>,
}

impl ResultSet {
    /// The rows as texts or NULL.
    pub fn texts(&self) -> Result<Vec<Vec<Option<Vec<u8>>>>, Malformed> {
        let columns = self.columns.len() as u64;
        self.rows.iter().map(|row| parse_row(row, columns)).collect()
    }
}

/// Status and warnings of an OK or EOF payload; an ERR becomes an error.
fn expect_end(payload: &[u8]) -> Result<(StatusFlags, u16), BackendError> {
    let status = expect_ok(payload)?;
    let warnings = match payload {
        [0xFE, rest @ ..] if rest.len() < 5 => crate::wire::parse_eof(payload)?.0,
        _ => OkPacket::parse(payload)?.warnings,
    };
    Ok((status, warnings))
}

/// How an answer ended: status and warnings.
pub(crate) type AnswerEnd = (StatusFlags, u16);

/// Reads one result set, or the OK of a statement without one.
pub(crate) async fn read_rows(stream: &mut PacketStream) -> Result<(ResultSet, AnswerEnd), BackendError> {
    let mut answer = ResultSet::default();
    let first = stream.read_payload(ANSWER_BYTES_MAX).await?;
    if matches!(first.first(), Some(0x00 | 0xFF)) {
        return Ok((answer, expect_end(&first)?));
    }
    let mut left = ANSWER_BYTES_MAX;
    for _ in 0..Reader::new(&first).lenenc()? {
        answer.columns.push(read_within(stream, &mut left).await?);
    }
    loop {
        let payload = read_within(stream, &mut left).await?;
        if matches!(payload.first(), Some(0xFE | 0xFF)) {
            return Ok((answer, expect_end(&payload)?));
        }
        answer.rows.push(payload);
    }
}

/// Reads one packet of an answer that may have `left` bytes more. A packet counts for its overhead, too:
/// there may be many empty ones.
async fn read_within(stream: &mut PacketStream, left: &mut u64) -> Result<Vec<u8>, BackendError> {
    const OVERHEAD: u64 = 32;
    let payload = stream.read_payload(*left).await?;
    *left = left
        .checked_sub(payload.len() as u64 + OVERHEAD)
        .ok_or(Malformed("answer that is larger than an internal question's may be"))?;
    Ok(payload)
}

fn parse_row(payload: &[u8], columns: u64) -> Result<Vec<Option<Vec<u8>>>, Malformed> {
    let mut reader = Reader::new(payload);
    (0..columns)
        .map(|_| {
            if reader.rest().first() == Some(&0xFB) {
                reader.u8()?;
                Ok(None)
            } else {
                reader.lenenc_bytes().map(|text| Some(text.to_vec()))
            }
        })
        .collect()
}

pub(crate) async fn read_prepared(stream: &mut PacketStream) -> Result<PrepareReply, BackendError> {
    let first = stream.read_payload(ANSWER_BYTES_MAX).await?;
    if first.first() == Some(&0xFF) {
        return Err(BackendError::Server(ErrPacket::parse(&first)?));
    }
    let mut reader = Reader::new(&first);
    reader.u8()?;
    let (id, columns, parameters) = (reader.u32()?, reader.u16()?, reader.u16()?);
    reader.u8()?;
    let warnings = reader.u16().unwrap_or(0);
    let count = usize::from(columns) + usize::from(parameters);
    let mut definitions = Vec::with_capacity(count);
    let mut left = DEFINITIONS_BYTES_MAX;
    for _ in 0..count {
        definitions.push(read_within(stream, &mut left).await?.into_boxed_slice());
    }
    Ok(PrepareReply { id, parameters, columns, warnings, definitions: definitions.into() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_oneof, proptest};
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::wire::{Socket, Transport, frame};

    /// What a server may say, packet by packet: nonsense that begins as something known.
    fn packets() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let first =
            prop_oneof![Just(0x00), Just(0xFE), Just(0xFF), Just(0xFB), Just(0x01), Just(0x02), any::<u8>()];
        let packet = (first, prop::collection::vec(any::<u8>(), 0..24));
        prop::collection::vec(packet.prop_map(|(first, rest)| [&[first][..], &rest].concat()), 0..8)
    }

    /// Runs both readers over bytes that a server has sent before it closed the connection.
    fn read_both(bytes: &[u8]) -> (Result<ResultSet, BackendError>, Result<PrepareReply, BackendError>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut streams = Vec::new();
            for _ in 0..2 {
                let (mut server, client) = tokio::io::duplex(bytes.len().max(1));
                server.write_all(bytes).await.unwrap();
                streams.push(PacketStream::new(Socket::Plain(Transport::Pipe(client))));
            }
            let prepared = read_prepared(&mut streams[1]).await;
            (read_rows(&mut streams[0]).await.map(|(rows, _)| rows), prepared)
        })
    }

    proptest! {
        #[test]
        fn nonsense_in_place_of_an_answer_is_an_error_or_an_answer(packets in packets()) {
            let (mut bytes, mut sequence) = (Vec::new(), 0);
            for packet in &packets {
                sequence = frame(&mut bytes, sequence, packet);
            }
            let (rows, prepared) = read_both(&bytes);
            if let Ok(rows) = rows {
                prop_assert!(rows.columns.len() + rows.rows.len() < packets.len().max(1));
                let _ = rows.texts();
            }
            if let Ok(prepared) = prepared {
                prop_assert!(prepared.definitions.len() < packets.len());
            }
        }

        #[test]
        fn random_bytes_in_place_of_an_answer_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(read_both(&bytes));
        }
    }
}
