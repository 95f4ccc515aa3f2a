//! A transaction that was packed into one event (`binlog_transaction_compression`).

use std::io::Read;

use crate::wire::binlog::event::{EVENT_HEADER_BYTES, EventHeader};
use crate::wire::codec::{Malformed, Reader};

/// Of an event inside, so many bytes are looked at: names and the beginning of a text.
const LOOKED_AT_MAX: u64 = 4 << 10;

/// Events inside at most.
const EVENTS_MAX: usize = 1_000_000;

/// Compression types: zstd, none.
const ZSTD: u64 = 0;
const PLAIN: u64 = 255;

/// Calls `see` with the header and the beginning of the body of each event inside. An error: what else is in it is
/// not known.
pub fn inner_events(
    payload: &[u8],
    mut see: impl FnMut(&EventHeader, &[u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut reader = Reader::new(payload);
    let mut algorithm = None;
    loop {
        let field = reader.lenenc()?;
        if field == 0 {
            break;
        }
        let length = usize::try_from(reader.lenenc()?).map_err(|_| Malformed("length overflows"))?;
        let value = reader.bytes(length)?;
        // 1: bytes of the payload, 2: compression, 3: bytes before it.
        if field == 2 {
            algorithm = Some(Reader::new(value).lenenc()?);
        }
    }
    let rest = reader.take_rest();
    match algorithm {
        Some(ZSTD) => {
            let plain = zstd::stream::read::Decoder::with_buffer(rest).map_err(|_| Malformed("not zstd"))?;
            walk(plain, &mut see)
        }
        Some(PLAIN) => walk(rest, &mut see),
        _ => Err(Malformed("unknown compression of a transaction")),
    }
}

fn walk(
    mut plain: impl Read,
    see: &mut impl FnMut(&EventHeader, &[u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let cut = |_| Malformed("a packed transaction is cut short");
    let mut body = Vec::new();
    for _ in 0..EVENTS_MAX {
        let mut bytes = [0; EVENT_HEADER_BYTES];
        if plain.read(&mut bytes[..1]).map_err(cut)? == 0 {
            return Ok(());
        }
        plain.read_exact(&mut bytes[1..]).map_err(cut)?;
        let header = EventHeader::parse(&bytes)?;
        let length = u64::from(header.size)
            .checked_sub(EVENT_HEADER_BYTES as u64)
            .ok_or(Malformed("an event shorter than its header"))?;
        body.clear();
        let seen = plain.by_ref().take(length.min(LOOKED_AT_MAX)).read_to_end(&mut body).map_err(cut)? as u64;
        let left = length - seen;
        let skipped = std::io::copy(&mut plain.by_ref().take(left), &mut std::io::sink()).map_err(cut)?;
        if seen < length.min(LOOKED_AT_MAX) || skipped < left {
            return Err(Malformed("a packed transaction is cut short"));
        }
        see(&header, &body)?;
    }
    Err(Malformed("a packed transaction of too many events"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;
    use crate::wire::binlog::kind;

    fn event(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0, kind, 7, 0, 0, 0];
        bytes.extend_from_slice(&((EVENT_HEADER_BYTES + body.len()) as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(body);
        bytes
    }

    fn payload(algorithm: &[u8], packed: &[u8]) -> Vec<u8> {
        let mut bytes = vec![2, algorithm.len() as u8];
        bytes.extend_from_slice(algorithm);
        bytes.extend_from_slice(&[1, 1, 9, 0]);
        bytes.extend_from_slice(packed);
        bytes
    }

    fn seen(payload: &[u8]) -> Result<Vec<(u8, usize)>, Malformed> {
        let mut seen = Vec::new();
        inner_events(payload, |header, body| {
            seen.push((header.kind, body.len()));
            Ok(())
        })?;
        Ok(seen)
    }

    #[test]
    fn events_are_found_packed_or_plain() {
        let plain = [
            event(kind::QUERY, b"BEGIN"),
            event(kind::WRITE_ROWS, &vec![1; 100_000]),
            event(kind::XID, &[0; 8]),
        ]
        .concat();
        let expected = Ok(vec![(kind::QUERY, 5), (kind::WRITE_ROWS, LOOKED_AT_MAX as usize), (kind::XID, 8)]);
        assert_eq!(seen(&payload(&[0xfc, 255, 0], &plain)), expected);
        let packed = zstd::bulk::compress(&plain, 3).expect("it can be packed");
        assert_eq!(seen(&payload(&[0], &packed)), expected);
        for (algorithm, bytes) in [
            (&[0][..], &packed[..packed.len() - 3]),
            (&[0], b"no zstd"),
            (&[7], &packed),
            (&[0xfc, 255, 0], &plain[..30]),
        ] {
            assert!(seen(&payload(algorithm, bytes)).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = seen(&bytes);
            let _ = seen(&payload(&[0xfc, 255, 0], &bytes));
        }
    }
}
