//! Passwords and stored verifiers: kept out of logs, wiped when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// A secret text. `Debug` hides it; memory is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself; the caller must not log or store it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a server stores instead of a password: enough to check a login, not to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verifier {
    /// `mysql_native_password`: SHA1(SHA1(password)), written `*` and 40 hex digits.
    Native([u8; 20]),
    /// `caching_sha2_password`: the whole stored string, `$A$005$` or another number of rounds + 20 bytes
    /// of salt + 43 of digest.
    Sha2(Vec<u8>),
}

/// How a client user proves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// No password: an empty authentication response is right, everything else wrong.
    Empty,
    /// The password itself: works with both plugins.
    Plain(Secret),
    /// A stored verifier: works with its own plugin only; the server identity needs its own password.
    Verifier(Verifier),
}
