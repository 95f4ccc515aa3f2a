//! Compressed frames: the same bytes come out however they arrive; what was written comes back.

#![no_main]

use dazzle::wire::compression::{Algorithm, FrameReader, write_frame};
use libfuzzer_sys::fuzz_target;

/// Bytes that come out of `input` fed in pieces of `step`, at most so many.
fn inflate(algorithm: Algorithm, input: &[u8], step: usize) -> Result<Vec<u8>, ()> {
    const OUT_MAX: usize = 1 << 20;
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

fuzz_target!(|input: (bool, u8, Vec<u8>)| {
    let (zlib, step, bytes) = input;
    let algorithm = if zlib { Algorithm::Zlib } else { Algorithm::Zstd { level: 3 } };
    let whole = inflate(algorithm, &bytes, bytes.len().max(1));
    let pieces = inflate(algorithm, &bytes, usize::from(step).max(1));
    if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
        assert_eq!(whole, pieces);
    }
    let mut frame = Vec::new();
    write_frame(algorithm, &bytes, 0, &mut frame);
    assert_eq!(inflate(algorithm, &frame, usize::from(step).max(1)), Ok(bytes));
});
