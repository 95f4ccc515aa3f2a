//! The fast path of `caching_sha2_password`: SHA256(password) XOR SHA256(SHA256(SHA256(password)) +
//! scramble).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256};

use crate::wire::auth::xor;
use crate::wire::handshake::Scramble;

/// Length of a digest, and of a response to a challenge.
pub(super) const LEN: usize = 32;

/// SHA256 of `parts`, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; LEN] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; LEN];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// What the fast path checks against: SHA256(SHA256(password)).
pub(super) fn fast_digest(password: &[u8]) -> [u8; LEN] {
    sha256(&[&sha256(&[password])])
}

/// A client's response to `scramble`; empty for an empty password.
pub(super) fn response(password: &[u8], scramble: &Scramble) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let mut stage1 = sha256(&[password]);
    let key = sha256(&[&sha256(&[&stage1]), scramble.as_bytes()]);
    xor(&mut stage1, &key);
    stage1.to_vec()
}

/// Whether `response` proves knowledge of the password behind the `digest` of [`fast_digest`].
pub(super) fn proves(response: &[u8], scramble: &Scramble, digest: &[u8; LEN]) -> bool {
    let Ok(mut stage1) = <[u8; LEN]>::try_from(response) else { return false };
    xor(&mut stage1, &sha256(&[digest, scramble.as_bytes()]));
    verify_slices_are_equal(&sha256(&[&stage1]), digest).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAMBLE: Scramble = Scramble::from_bytes(*b"abcdefghijklmnopqrst");

    #[test]
    fn a_response_is_what_the_documentation_computes() {
        // Computed from the documented formula with Python's hashlib.
        let expected = b"\xC7\x6E\x28\x98\x61\x2A\x4C\xF0\x42\xC7\x7F\xA8\xC4\x70\x2C\x4C\
                         \x64\xC0\xC2\xC5\x57\xC5\x3C\x4D\x75\x59\x5A\xAA\x6A\xBA\xE8\x09";
        assert_eq!(response(b"secret", &SCRAMBLE), expected);
        assert_eq!(response(b"", &SCRAMBLE), b"");
    }

    #[test]
    fn only_the_right_password_for_this_scramble_proves_itself() {
        let digest = fast_digest(b"secret");
        assert!(proves(&response(b"secret", &SCRAMBLE), &SCRAMBLE, &digest));
        assert!(!proves(&response(b"Secret", &SCRAMBLE), &SCRAMBLE, &digest));
        assert!(!proves(&response(b"secret", &Scramble::from_bytes([1; 20])), &SCRAMBLE, &digest));
        for wrong in [&b""[..], &[0], &[0; 31], &[0; 32], &[0; 33]] {
            assert!(!proves(wrong, &SCRAMBLE, &digest));
        }
    }
}
