//! Packets by hand.

use dazzle::wire::frame;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// `payload` framed, the first packet with this sequence id.
pub(crate) fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes, sequence, payload);
    bytes
}

/// A header that announces `length` bytes.
pub(crate) fn header(length: usize, sequence: u8) -> Vec<u8> {
    let [a, b, c, ..] = length.to_le_bytes();
    vec![a, b, c, sequence]
}

/// A generator whose seed is printed: `DAZZLE_SEED` repeats a run.
pub(crate) fn seeded() -> SmallRng {
    let seed = std::env::var("DAZZLE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    eprintln!("DAZZLE_SEED={seed}");
    SmallRng::seed_from_u64(seed)
}

/// A few bytes of `valid` changed, inserted, removed or repeated.
pub(crate) fn mutated(valid: &[u8], rng: &mut SmallRng) -> Vec<u8> {
    const TELLING: [u8; 8] = [0, 1, 0x7F, 0x80, 0xFB, 0xFC, 0xFE, 0xFF];
    let mut bytes = valid.to_vec();
    for _ in 0..rng.random_range(1..4) {
        if bytes.is_empty() {
            bytes.push(0);
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..6) {
            0 => bytes[at] = rng.random(),
            1 => bytes[at] = TELLING[rng.random_range(0..TELLING.len())],
            2 => bytes.insert(at, rng.random()),
            3 => drop(bytes.remove(at)),
            4 => bytes.truncate(at),
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}
