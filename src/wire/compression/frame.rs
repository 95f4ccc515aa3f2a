//! Frames of the compressed protocol, without a socket.

use crate::wire::compression::Algorithm;
use crate::wire::compression::CompressionError;
use crate::wire::compression::codec::Inflater;

/// Length of the compressed payload (3), sequence id (1), length before compression (3).
const HEADER_LEN: usize = 7;
/// Shorter payloads are sent as they are: MySQL's `MIN_COMPRESS_LENGTH`.
const COMPRESS_MIN: usize = 50;
/// Payload of one frame at most, before compression.
pub(super) const FRAME_MAX: usize = 0xFF_FFFF;

/// Appends one frame with `plain` (at most 16 MiB − 1) to `out`, compressed where that makes it smaller.
pub fn write_frame(algorithm: Algorithm, plain: &[u8], sequence: u8, out: &mut Vec<u8>) {
    debug_assert!(plain.len() <= FRAME_MAX, "the caller cuts the stream");
    let start = out.len();
    let body = start + HEADER_LEN;
    out.resize(body, 0);
    let mut plain_len = 0;
    if plain.len() >= COMPRESS_MIN {
        // zstd's higher levels give up without room for the worst case.
        out.resize(body + zstd::zstd_safe::compress_bound(plain.len()), 0);
        match algorithm.compress(plain, &mut out[body..]) {
            Some(len) if len < plain.len() => {
                out.truncate(body + len);
                plain_len = plain.len();
            }
            _ => out.truncate(body),
        }
    }
    if plain_len == 0 {
        out.extend_from_slice(plain);
    }
    let len = out.len() - body;
    out[start..start + 3].copy_from_slice(&(len as u32).to_le_bytes()[..3]);
    out[start + 3] = sequence;
    out[start + 4..body].copy_from_slice(&(plain_len as u32).to_le_bytes()[..3]);
}

/// Appends the header of a frame whose `length` bytes follow as they are.
pub(super) fn write_stored_header(length: usize, sequence: u8, out: &mut Vec<u8>) {
    debug_assert!(length <= FRAME_MAX, "the caller cuts the stream");
    out.extend_from_slice(&(length as u32).to_le_bytes()[..3]);
    out.extend_from_slice(&[sequence, 0, 0, 0]);
}

/// Takes frames apart, in pieces of any size, without ever holding one: memory is bounded by what the
/// decompressor needs for its window.
pub struct FrameReader {
    algorithm: Algorithm,
    state: State,
    /// Kept from frame to frame while frames come.
    inflater: Option<Inflater>,
    /// The first frame of the next command has been read while this one is still being answered.
    ahead: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Within the header, of which `len` bytes have come.
    Header { bytes: [u8; HEADER_LEN], len: usize },
    /// Within a payload that was not compressed.
    Stored { left: usize },
    /// Within a compressed one: bytes still to come, bytes still to be made of them.
    Compressed { left: usize, plain_left: usize },
}

const BOUNDARY: State = State::Header { bytes: [0; HEADER_LEN], len: 0 };

impl FrameReader {
    /// A reader at a frame boundary.
    #[must_use]
    pub const fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, state: BOUNDARY, inflater: None, ahead: false }
    }

    /// Whether no frame is open.
    #[must_use]
    pub const fn at_boundary(&self) -> bool {
        matches!(self.state, State::Header { len: 0, .. })
    }

    /// Gives the decompressor's memory back, at a frame boundary.
    pub fn release(&mut self) {
        if self.at_boundary() {
            self.inflater = None;
        }
    }

    /// Reads from the front of `input` into the front of `output`; returns how many bytes were consumed
    /// and made. Nothing of either means that more input is needed. `sequence` is the id that the next
    /// frame must have, and is counted on.
    ///
    /// # Errors
    /// See [`CompressionError`]; the reader is of no use afterwards.
    pub fn read(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        sequence: &mut u8,
    ) -> Result<(usize, usize), CompressionError> {
        let (mut consumed, mut produced) = (0, 0);
        loop {
            let (input, output) = (&input[consumed..], &mut output[produced..]);
            let (taken, made, changed) = match &mut self.state {
                State::Header { .. } => (self.header(input, sequence)?, 0, true),
                State::Stored { left } => {
                    let n = input.len().min(output.len()).min(*left);
                    output[..n].copy_from_slice(&input[..n]);
                    *left -= n;
                    (n, n, false)
                }
                State::Compressed { .. } => self.inflate(input, output)?,
            };
            if matches!(self.state, State::Stored { left: 0 }) {
                self.state = BOUNDARY;
            }
            consumed += taken;
            produced += made;
            if taken == 0 && made == 0 && !(changed && self.at_boundary() && !input.is_empty()) {
                return Ok((consumed, produced));
            }
        }
    }

    /// The sequence id that a command begins with: 0, or 1 if its first frame has been read already.
    pub(super) const fn next_command(&mut self) -> u8 {
        let ahead = self.ahead;
        self.ahead = false;
        ahead as u8
    }

    fn header(&mut self, input: &[u8], sequence: &mut u8) -> Result<usize, CompressionError> {
        let State::Header { bytes, len } = &mut self.state else { return Ok(0) };
        let n = input.len().min(HEADER_LEN - *len);
        bytes[*len..*len + n].copy_from_slice(&input[..n]);
        *len += n;
        if *len < HEADER_LEN {
            return Ok(n);
        }
        let [a, b, c, got, d, e, f] = *bytes;
        if got == *sequence {
            *sequence = sequence.wrapping_add(1);
        } else if got == 0 {
            // A client that sends its next command before it has the reply (MariaDB Connector/J does)
            // counts that command's frames from 0; the reply still counts on from the first.
            self.ahead = true;
        } else {
            return Err(CompressionError::OutOfOrder { expected: *sequence, got });
        }
        let left = u32::from_le_bytes([a, b, c, 0]) as usize;
        let plain_left = u32::from_le_bytes([d, e, f, 0]) as usize;
        if plain_left == 0 {
            self.state = State::Stored { left };
        } else {
            match &mut self.inflater {
                Some(inflater) => inflater.reset()?,
                None => self.inflater = Some(Inflater::new(self.algorithm)?),
            }
            self.state = State::Compressed { left, plain_left };
        }
        Ok(n)
    }

    /// Returns bytes consumed, bytes made, and whether the frame ended.
    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize, bool), CompressionError> {
        let State::Compressed { left, plain_left } = &mut self.state else { return Ok((0, 0, false)) };
        let inflater = self.inflater.as_mut().ok_or(CompressionError::Corrupt("no decoder"))?;
        let input = &input[..input.len().min(*left)];
        if output.is_empty() && *plain_left > 0 {
            return Ok((0, 0, false));
        }
        // When everything announced has been made, one spare byte shows a frame that makes more.
        let mut spare = [0; 1];
        let n = output.len().min(*plain_left);
        let output = if *plain_left == 0 { &mut spare[..] } else { &mut output[..n] };
        let step = inflater.step(input, output)?;
        if step.produced > *plain_left {
            return Err(CompressionError::Corrupt("longer than announced"));
        }
        *left -= step.consumed;
        *plain_left -= step.produced;
        if step.finished {
            if *left > 0 || *plain_left > 0 {
                return Err(CompressionError::Corrupt("shorter than announced"));
            }
            self.state = BOUNDARY;
            return Ok((step.consumed, step.produced, true));
        }
        if *left == 0 && step.consumed == 0 && step.produced == 0 {
            return Err(CompressionError::Corrupt("truncated"));
        }
        Ok((step.consumed, step.produced, false))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    const ALGORITHMS: [Algorithm; 3] =
        [Algorithm::Zlib, Algorithm::Zstd { level: 0 }, Algorithm::Zstd { level: 22 }];

    /// Reads all of `input`, `piece` bytes at a time, into pieces of `room` bytes.
    fn read_all(
        reader: &mut FrameReader,
        input: &[u8],
        piece: usize,
        room: usize,
    ) -> Result<Vec<u8>, CompressionError> {
        let (mut plain, mut sequence, mut at, mut upto) = (Vec::new(), 0, 0, 0);
        let mut output = vec![0; room];
        loop {
            let (consumed, produced) = reader.read(&input[at..upto], &mut output, &mut sequence)?;
            at += consumed;
            plain.extend_from_slice(&output[..produced]);
            if consumed == 0 && produced == 0 {
                if upto == input.len() {
                    return Ok(plain);
                }
                upto = input.len().min(upto + piece);
            }
        }
    }

    fn frame(algorithm: Algorithm, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_frame(algorithm, plain, 0, &mut out);
        out
    }

    #[test]
    fn short_and_incompressible_payloads_are_stored() {
        for algorithm in ALGORITHMS {
            assert_eq!(frame(algorithm, b"\x01\0\0\0\x0E"), b"\x05\0\0\0\0\0\0\x01\0\0\0\x0E");
            assert_eq!(frame(algorithm, &[b'a'; 49]).len(), 7 + 49);
            let len = frame(algorithm, &[b'a'; 500]).len();
            assert!(len < 50, "{algorithm:?} {len}");
            let noise: Vec<u8> = (0u32..200).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            let stored = frame(algorithm, &noise);
            assert_eq!(stored[4..7], [0; 3]);
            assert_eq!(stored[7..], noise);
        }
    }

    #[test]
    fn a_frame_out_of_order_is_an_error() {
        let mut input = frame(Algorithm::Zlib, b"first");
        let second = input.len();
        input.extend(frame(Algorithm::Zlib, b"second"));
        input[second + 3] = 2;
        let expected = Err(CompressionError::OutOfOrder { expected: 1, got: 2 });
        assert_eq!(read_all(&mut FrameReader::new(Algorithm::Zlib), &input, 100, 100), expected);
    }

    #[test]
    fn a_command_sent_ahead_counts_from_0() {
        let mut reader = FrameReader::new(Algorithm::Zlib);
        let mut input = frame(Algorithm::Zlib, b"first");
        input.extend(frame(Algorithm::Zlib, b"second"));
        assert_eq!(read_all(&mut reader, &input, 100, 100), Ok(b"firstsecond".to_vec()));
        assert_eq!((reader.next_command(), reader.next_command()), (1, 0));
    }

    #[test]
    fn a_frame_that_lies_is_an_error() {
        for algorithm in ALGORITHMS {
            let good = frame(algorithm, &[b'a'; 500]);
            let read = |bytes: &[u8]| read_all(&mut FrameReader::new(algorithm), bytes, 3, 7);
            assert_eq!(read(&good), Ok(vec![b'a'; 500]));
            for (at, byte) in [(4, 0xF3), (4, 0xF5), (6, 0xFF), (4, 1), (7, 0xAA)] {
                let mut bad = good.clone();
                assert_ne!(bad[at], byte);
                bad[at] = byte;
                assert!(matches!(read(&bad), Err(CompressionError::Corrupt(_))), "{algorithm:?} {at} {byte}");
            }
            // Compressed bytes cut short, and followed by garbage, with a header to match.
            let mut cut = good[..good.len() - 1].to_vec();
            cut[0] -= 1;
            assert!(read(&cut).is_err(), "{algorithm:?} cut");
            let mut more = [&good[..], b"x"].concat();
            more[0] += 1;
            assert!(read(&more).is_err(), "{algorithm:?} more");
        }
    }

    #[test]
    fn an_open_frame_is_no_boundary() {
        let input = frame(Algorithm::Zlib, &[b'a'; 500]);
        let mut reader = FrameReader::new(Algorithm::Zlib);
        assert!(reader.at_boundary());
        for len in 1..input.len() {
            let mut reader = FrameReader::new(Algorithm::Zlib);
            let plain = read_all(&mut reader, &input[..len], 100, 1000).unwrap();
            reader.release();
            assert!(!reader.at_boundary(), "after {len} bytes, {} out", plain.len());
        }
        assert_eq!(read_all(&mut reader, &input, 100, 1000).unwrap().len(), 500);
        assert!(reader.at_boundary());
    }

    #[test]
    fn empty_frames_are_passed_over() {
        let mut input = vec![0; 7];
        input.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0]);
        input.extend_from_slice(b"\x02\0\0\x02\0\0\0ok");
        for piece in [1, 100] {
            assert_eq!(read_all(&mut FrameReader::new(Algorithm::Zlib), &input, piece, 5).unwrap(), b"ok");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(
            mut input in prop::collection::vec(any::<u8>(), 0..300), which in 0..3usize, compressed: bool,
        ) {
            if input.len() > 7 {
                input[3] = 0;
                if !compressed {
                    input[4..7].fill(0);
                }
            }
            let _ = read_all(&mut FrameReader::new(ALGORITHMS[which]), &input, 40, 50);
        }

        #[test]
        fn a_stream_survives_frames_of_any_cut(
            pieces in prop::collection::vec((any::<u8>(), 0usize..3000, any::<bool>()), 0..6), which in 0..3usize,
            piece in 1usize..500, room in 1usize..500,
        ) {
            let (mut plain, mut input) = (Vec::new(), Vec::new());
            for (sequence, &(seed, len, noise)) in pieces.iter().enumerate() {
                let payload: Vec<u8> = (0..len)
                    .map(|n| if noise { (n.wrapping_mul(2_654_435_761 + usize::from(seed)) >> 9) as u8 } else { seed })
                    .collect();
                write_frame(ALGORITHMS[which], &payload, sequence as u8, &mut input);
                plain.extend(payload);
            }
            let mut reader = FrameReader::new(ALGORITHMS[which]);
            prop_assert_eq!(read_all(&mut reader, &input, piece, room), Ok(plain));
        }
    }
}
