//! Compressed frames and streams: the same bytes come out however they arrive; what was written comes back.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use dazzle::wire::compression::{Algorithm, Compressed, FrameReader, write_frame};
use tokio::io::{AsyncRead, ReadBuf};

use super::take;

/// Bytes that come out at most.
const OUT_MAX: usize = 1 << 20;

/// Bytes that come out of `input` fed in pieces of `step`.
fn inflate(algorithm: Algorithm, input: &[u8], step: usize) -> Result<Vec<u8>, ()> {
    let mut reader = FrameReader::new(algorithm);
    let (mut out, mut buffer, mut sequence) = (Vec::new(), [0; 4096], 0);
    let (mut at, mut end) = (0, 0);
    while out.len() < OUT_MAX {
        let (consumed, produced) = reader.read(&input[at..end], &mut buffer, &mut sequence).map_err(drop)?;
        assert!(consumed <= end - at && produced <= buffer.len());
        at += consumed;
        out.extend_from_slice(&buffer[..produced]);
        if consumed == 0 && produced == 0 {
            if end == input.len() {
                break;
            }
            end = (end + step).min(input.len());
        }
    }
    out.truncate(OUT_MAX);
    Ok(out)
}

/// Bytes that are read from a stream over `input` in pieces of `step`, and whether it ended where it may.
fn read_through(algorithm: Algorithm, input: &[u8], step: usize) -> (Vec<u8>, bool) {
    let mut stream = Compressed::new(input, algorithm);
    let (mut out, mut buffer) = (Vec::new(), vec![0; step]);
    while out.len() < OUT_MAX {
        let mut into = ReadBuf::new(&mut buffer);
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut stream).poll_read(&mut context, &mut into) {
            Poll::Ready(Ok(())) if into.filled().is_empty() => return (out, true),
            Poll::Ready(Ok(())) => out.extend_from_slice(into.filled()),
            Poll::Ready(Err(_)) => return (out, false),
            Poll::Pending => unreachable!("the input is all there"),
        }
    }
    out.truncate(OUT_MAX);
    (out, true)
}

pub fn check(mut bytes: &[u8]) {
    let (zlib, step) = (take(&mut bytes) & 1 != 0, usize::from(take(&mut bytes)).max(1));
    let algorithm = if zlib { Algorithm::Zlib } else { Algorithm::Zstd { level: 3 } };
    let whole = inflate(algorithm, bytes, bytes.len().max(1));
    let pieces = inflate(algorithm, bytes, step);
    if let (Ok(whole), Ok(pieces)) = (&whole, &pieces) {
        assert_eq!(whole, pieces);
    }
    let (stream, ended) = read_through(algorithm, bytes, step);
    match whole {
        Ok(whole) => assert_eq!(stream, whole),
        Err(()) => assert!(!ended || stream.len() == OUT_MAX, "what is wrong is an error"),
    }
    let mut frame = Vec::new();
    write_frame(algorithm, bytes, 0, &mut frame);
    assert_eq!(inflate(algorithm, &frame, step).as_deref(), Ok(bytes));
    assert_eq!(read_through(algorithm, &frame, step), (bytes.to_vec(), true));
}
