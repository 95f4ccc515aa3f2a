//! Framing: four bytes of header (length, sequence id) before at most 16 MiB - 1 of payload.

/// Bytes of a packet header.
pub const HEADER_BYTES: usize = 4;

/// Payload length that announces a continuation packet.
pub const PAYLOAD_MAX: usize = 0xFF_FFFF;

/// A packet's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of payload that follow.
    pub length: usize,
    /// Sequence id: starts at 0 with a command, counts packets of both directions, wraps at 256.
    pub sequence: u8,
}

impl Header {
    /// The header at the front of `bytes`, if all four bytes are there.
    #[must_use]
    pub const fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [a, b, c, sequence, ..] => {
                Some(Self { length: u32::from_le_bytes([*a, *b, *c, 0]) as usize, sequence: *sequence })
            }
            _ => None,
        }
    }

    /// The four bytes.
    #[must_use]
    pub const fn encode(self) -> [u8; HEADER_BYTES] {
        let [a, b, c, _] = (self.length as u32).to_le_bytes();
        [a, b, c, self.sequence]
    }
}

/// Appends `payload` to `out` as one packet, or as several if it is longer than [`PAYLOAD_MAX`];
/// returns the next sequence id.
pub fn frame(out: &mut Vec<u8>, mut sequence: u8, payload: &[u8]) -> u8 {
    let mut rest = payload;
    loop {
        let length = rest.len().min(PAYLOAD_MAX);
        out.extend_from_slice(&Header { length, sequence }.encode());
        out.extend_from_slice(&rest[..length]);
        sequence = sequence.wrapping_add(1);
        rest = &rest[length..];
        if length < PAYLOAD_MAX {
            return sequence;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_exactly_the_maximum_ends_with_an_empty_packet() {
        let mut out = Vec::new();
        assert_eq!(frame(&mut out, 255, &vec![7; PAYLOAD_MAX]), 1);
        assert_eq!(out.len(), PAYLOAD_MAX + 2 * HEADER_BYTES);
        assert_eq!(Header::parse(&out[PAYLOAD_MAX + 4..]), Some(Header { length: 0, sequence: 0 }));
    }
}
