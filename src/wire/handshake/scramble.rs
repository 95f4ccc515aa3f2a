//! The 20 random bytes that a server challenges its client with.

use rand::CryptoRng;

/// A challenge: sent in the greeting and in every authentication switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scramble([u8; Self::LEN]);

impl Scramble {
    /// Its length in bytes.
    pub const LEN: usize = 20;

    /// A fresh challenge: seven-bit bytes, none of them NUL (it ends strings on the wire) or `$` (it
    /// separates the fields of a stored verifier), as MySQL's `generate_user_salt` makes them.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; Self::LEN];
        rng.fill_bytes(&mut bytes);
        for byte in &mut bytes {
            *byte &= 0x7F;
            if matches!(*byte, 0 | b'$') {
                *byte += 1;
            }
        }
        Self(bytes)
    }

    /// A challenge that a server sent.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_challenge_has_no_byte_that_ends_or_separates_strings() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..2_000 {
            let scramble = Scramble::random(&mut rng);
            assert!(scramble.as_bytes().iter().all(|&b| b != 0 && b != b'$' && b < 0x80));
        }
    }
}
