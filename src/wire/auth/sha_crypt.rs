//! The stored verifier of `caching_sha2_password`: SHA-crypt (the `$5$` of crypt(3)) with a salt of 20
//! bytes, as MySQL's `my_crypt_genhash` computes it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use crate::wire::Malformed;
use crate::wire::auth::sha2;
use crate::wire::auth::sha2::sha256;

const SALT_LEN: usize = 20;
/// 32 bytes in crypt's base 64, without padding.
const HASH_LEN: usize = 43;
/// Thousands of rounds at most: MySQL's `MAX_ITERATIONS`, three hex digits.
const THOUSANDS_MAX: u32 = 0xFFF;

/// `$A$` + thousands of rounds in three hex digits + `$` + 20 bytes of salt + 43 characters of digest,
/// as `mysql.user.authentication_string` holds it. MySQL 8 stores 5000 rounds, MySQL 9.7 10 000.
#[derive(Clone, PartialEq, Eq)]
pub struct Sha2Verifier {
    rounds: u32,
    salt: [u8; SALT_LEN],
    hash: [u8; HASH_LEN],
}

impl Sha2Verifier {
    /// Reads a stored string.
    ///
    /// # Errors
    /// Anything but the form above.
    pub fn parse(stored: &[u8]) -> Result<Self, Malformed> {
        const WRONG: Malformed = Malformed("not a stored caching_sha2_password verifier");
        let rest = stored.strip_prefix(b"$A$").ok_or(WRONG)?;
        let (digits, rest) = rest.split_first_chunk::<3>().ok_or(WRONG)?;
        let rest = rest.strip_prefix(b"$").ok_or(WRONG)?;
        let (salt, hash) = rest.split_first_chunk::<SALT_LEN>().ok_or(WRONG)?;
        let hash = <[u8; HASH_LEN]>::try_from(hash).map_err(|_| WRONG)?;
        let digits = str::from_utf8(digits).map_err(|_| WRONG)?;
        let thousands = u32::from_str_radix(digits, 16).map_err(|_| WRONG)?;
        if thousands == 0 || thousands > THOUSANDS_MAX || !hash.iter().all(|c| ALPHABET.contains(c)) {
            return Err(WRONG);
        }
        Ok(Self { rounds: thousands * 1000, salt: *salt, hash })
    }

    /// A verifier that no password is known for, with MySQL's own number of rounds.
    pub(super) fn unknown(random: [u8; SALT_LEN + sha2::LEN], rounds: u32) -> Self {
        let mut salt = [0; SALT_LEN];
        salt.copy_from_slice(&random[..SALT_LEN]);
        let mut digest = [0; sha2::LEN];
        digest.copy_from_slice(&random[SALT_LEN..]);
        Self { rounds, salt, hash: encode(&digest) }
    }

    /// How often the digest is repeated.
    pub(super) const fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Whether `password` is the one; takes milliseconds by design.
    #[must_use]
    pub fn matches(&self, password: &[u8]) -> bool {
        let hash = encode(&crypt(password, &self.salt, self.rounds));
        verify_slices_are_equal(&hash, &self.hash).is_ok()
    }
}

impl std::fmt::Debug for Sha2Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sha2Verifier").field("rounds", &self.rounds).finish_non_exhaustive()
    }
}

/// SHA-crypt-256 without its final encoding. Source: Ulrich Drepper, "Unix crypt using SHA-256 and
/// SHA-512"; the numbers in the comments are its steps.
fn crypt(password: &[u8], salt: &[u8], rounds: u32) -> [u8; sha2::LEN] {
    // 4–8: the alternate sum B; 9–12: the sum A.
    let b = Zeroizing::new(sha256(&[password, salt, password]));
    let mut text = Zeroizing::new(Vec::with_capacity(password.len() * 16 + salt.len()));
    text.extend_from_slice(password);
    text.extend_from_slice(salt);
    extend_to(&mut text, &b[..], password.len());
    let mut bits = password.len();
    while bits > 0 {
        text.extend_from_slice(if bits & 1 == 1 { &b[..] } else { password });
        bits >>= 1;
    }
    let mut a = sha256(&[&text]);

    // 13–16: the password's sequence P; 17–20: the salt's sequence S.
    text.clear();
    for _ in 0..password.len() {
        text.extend_from_slice(password);
    }
    let dp = Zeroizing::new(sha256(&[&text]));
    let mut p = Zeroizing::new(Vec::with_capacity(password.len()));
    extend_to(&mut p, &dp[..], password.len());
    text.clear();
    for _ in 0..16 + usize::from(a[0]) {
        text.extend_from_slice(salt);
    }
    let ds = sha256(&[&text]);
    let mut s = Vec::with_capacity(salt.len());
    extend_to(&mut s, &ds, salt.len());

    // 21: the rounds.
    for round in 0..rounds {
        text.clear();
        text.extend_from_slice(if round % 2 == 1 { &p } else { &a });
        if round % 3 != 0 {
            text.extend_from_slice(&s);
        }
        if round % 7 != 0 {
            text.extend_from_slice(&p);
        }
        text.extend_from_slice(if round % 2 == 1 { &a } else { &p });
        a = sha256(&[&text]);
    }
    a
}

/// Appends `len` bytes of `block`, repeated.
fn extend_to(out: &mut Vec<u8>, block: &[u8], len: usize) {
    out.extend(block.iter().cycle().take(len));
}

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Crypt's base 64 of a digest, in crypt's order of its bytes.
fn encode(digest: &[u8; sha2::LEN]) -> [u8; HASH_LEN] {
    let mut out = [0; HASH_LEN];
    for (group, chars) in out.chunks_mut(4).enumerate() {
        // Ten groups of three bytes that stand ten apart, rotating; then the last two bytes.
        let at = |n: usize| u32::from(digest[(group * 21 + n * 10) % 30]);
        let mut bits = match group {
            10 => u32::from(digest[31]) << 8 | u32::from(digest[30]),
            _ => at(0) << 16 | at(1) << 8 | at(2),
        };
        for char in chars {
            *char = ALPHABET[(bits & 63) as usize];
            bits >>= 6;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        let digit = |c: u8| (c as char).to_digit(16).unwrap() as u8;
        text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    #[test]
    fn verifiers_of_a_real_server_match_their_passwords() {
        // CREATE USER … IDENTIFIED WITH caching_sha2_password BY …; SELECT HEX(authentication_string)
        // on MySQL 9.7.4, the first two with caching_sha2_password_digest_rounds=5000.
        let long = "long password ".repeat(8);
        for (password, stored) in [
            (
                "secret",
                "2441243030352474\
                 1F253C46127565677C4B13661754602037753E4E3950386E713174415550765236364F4C564D674477574572665A2E\
                 685A375564793255416A512F585137",
            ),
            (
                "12345678901234567890123456789012345678901234567890123456789012345",
                "2441243030352435\
                 38105B375A7C6B2D3F1F2B7035167C3A593D7F32376B4F5A644B7562686D6347493443464139784870647563334D70\
                 70584B6A4E567934363257766D4843",
            ),
            (
                "secret",
                "2441243030412\
                 41C743B6A4A711437750301282A072C3D1E5E5E4F7A746866667479396473715A7A776531312E464D6C7142412F647\
                 257507A2E453578456953613252466632",
            ),
            (
                long.as_str(),
                "2441243030412\
                 45A6E391F444B5C733A3234652F4D137E196F2F2E526357716F6C6147513750354174326153463535586C705747656\
                 24E66687A53442E7A6C784C5773624239",
            ),
            (
                "x",
                "2441243030412\
                 45450715C1A1B4E4D015F073F782D7042381C3D56386246365A554241484C667A4D4E673664664F594273716146305\
                 36C735342644A6C777279362F362E7A43",
            ),
            (
                "pässwörd 😀",
                "2441243030412\
                 464733B3F6A3F156D2C5F265212031D6B211850294E6F56692E357778503473697041445A55335253586F4A7356446\
                 E41306358654B6E4F794D623566305332",
            ),
        ] {
            let verifier = Sha2Verifier::parse(&unhex(stored)).unwrap();
            assert!(verifier.matches(password.as_bytes()), "{password}");
            assert!(!verifier.matches(b"wrong"));
        }
    }

    #[test]
    fn what_is_no_stored_verifier_is_refused() {
        let good = [&b"$A$005$"[..], &[b's'; 20], &[b'h'; 43]].concat();
        assert!(Sha2Verifier::parse(&good).is_ok());
        for (at, byte) in [(0, b'x'), (1, b'B'), (3, b'-'), (5, b'0'), (6, b's'), (30, b'$')] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(Sha2Verifier::parse(&bad).is_err(), "{at}");
        }
        assert!(Sha2Verifier::parse(&good[..69]).is_err());
        assert!(Sha2Verifier::parse(&[&good[..], b"h"].concat()).is_err());
        assert!(Sha2Verifier::parse(b"").is_err());
    }

    #[test]
    fn a_verifier_without_a_password_looks_like_a_stored_one() {
        let verifier = Sha2Verifier::unknown([9; 52], 5000);
        assert!(verifier.hash.iter().all(|c| ALPHABET.contains(c)));
        assert!(!verifier.matches(b""));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(stored in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Sha2Verifier::parse(&stored);
        }
    }
}
