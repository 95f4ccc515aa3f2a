//! `mysql_native_password`: SHA1(password) XOR SHA1(scramble + SHA1(SHA1(password))).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, digest};
use zeroize::Zeroizing;

use crate::wire::auth::xor;
use crate::wire::handshake::Scramble;

/// Length of a digest, and of a response to a challenge.
pub(super) const LEN: usize = 20;

fn sha1(parts: &[&[u8]]) -> [u8; LEN] {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; LEN];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// What a server stores: SHA1(SHA1(password)).
pub(super) fn verifier(password: &[u8]) -> [u8; LEN] {
    sha1(&[digest(&SHA1_FOR_LEGACY_USE_ONLY, password).as_ref()])
}

/// A client's response to `scramble`; empty for an empty password.
pub(super) fn response(password: &[u8], scramble: &Scramble) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    response_by_key(&sha1(&[password]), scramble)
}

/// The same of whoever knows SHA1(password) alone.
pub(super) fn response_by_key(key: &[u8; LEN], scramble: &Scramble) -> Vec<u8> {
    let mut response = *key;
    xor(&mut response, &sha1(&[scramble.as_bytes(), &sha1(&[key])]));
    response.to_vec()
}

/// SHA1(password), if `response` proves knowledge of the password behind `verifier`.
pub(super) fn proved(
    response: &[u8],
    scramble: &Scramble,
    verifier: &[u8; LEN],
) -> Option<Zeroizing<[u8; LEN]>> {
    let mut key = Zeroizing::new(<[u8; LEN]>::try_from(response).ok()?);
    xor(&mut *key, &sha1(&[scramble.as_bytes(), verifier]));
    verify_slices_are_equal(&sha1(&[&*key]), verifier).is_ok().then_some(key)
}

/// Whether `response` proves knowledge of the password behind `verifier`.
pub(super) fn proves(response: &[u8], scramble: &Scramble, verifier: &[u8; LEN]) -> bool {
    proved(response, scramble, verifier).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAMBLE: Scramble = Scramble::from_bytes(*b"abcdefghijklmnopqrst");

    #[test]
    fn a_verifier_is_what_servers_store() {
        // SELECT PASSWORD('secret') on MariaDB 10.11.
        let stored = b"\x14\xE6\x55\x67\xAB\xDB\x51\x35\xD0\xCF\xD9\xA7\x0B\x30\x32\xC1\x79\xA4\x9E\xE7";
        assert_eq!(&verifier(b"secret"), stored);
    }

    #[test]
    fn only_the_right_password_for_this_scramble_proves_itself() {
        let stored = verifier(b"secret");
        assert!(proves(&response(b"secret", &SCRAMBLE), &SCRAMBLE, &stored));
        assert!(!proves(&response(b"Secret", &SCRAMBLE), &SCRAMBLE, &stored));
        // What the proof shows is enough for a login elsewhere.
        let key = proved(&response(b"secret", &SCRAMBLE), &SCRAMBLE, &stored).expect("proved");
        let other = Scramble::from_bytes([7; 20]);
        assert_eq!(response_by_key(&key, &other), response(b"secret", &other));
        assert!(!proves(&response(b"secret", &Scramble::from_bytes([1; 20])), &SCRAMBLE, &stored));
        for wrong in [&b""[..], &[0; 19], &[0; 20], &[0; 21]] {
            assert!(!proves(wrong, &SCRAMBLE, &stored));
        }
    }

    #[test]
    fn a_response_is_what_the_documentation_computes() {
        // Computed from the documented formula with Python's hashlib.
        let expected = b"\x88\x17\xC5\x0F\xA7\x79\xDA\xEF\x01\x0E\xE7\x57\x78\x25\xB0\x84\x7D\xF9\x84\x2E";
        assert_eq!(response(b"secret", &SCRAMBLE), expected);
        assert_eq!(response(b"", &SCRAMBLE), b"");
    }
}
