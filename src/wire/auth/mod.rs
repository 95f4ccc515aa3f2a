//! Authentication as state machines: no socket, no clock, randomness passed in.
//!
//! [`ServerAuth`] checks clients, [`ClientAuth`] answers servers. Source: MySQL "Authentication
//! Methods", `sql/auth/sha2_password.cc` and `sql-common/client_authentication.cc`.

mod cache;
mod client;
mod credential;
mod error;
mod native;
mod pem;
mod plugin;
mod rsa;
mod secret;
mod server;
mod sha2;
mod sha_crypt;
#[cfg(test)]
mod tests;

pub use cache::Sha2Cache;
pub use client::{ClientAuth, ClientStep};
pub use credential::{Credential, Decoys};
pub use error::AuthError;
pub use plugin::Plugin;
pub use rsa::{KeyError, RsaKeys};
pub use secret::LoginSecret;
pub use server::{Denial, Offer, Proof, ServerAuth, Services, Step};
pub use sha_crypt::Sha2Verifier;

/// A request to go on with another plugin.
const AUTH_SWITCH: u8 = 0xFE;
/// A packet of the plugin's own.
const AUTH_MORE_DATA: u8 = 0x01;
/// `caching_sha2_password`: the response matched the cached digest.
const FAST_AUTH_OK: u8 = 0x03;
/// `caching_sha2_password`: send the password itself.
const FULL_AUTH: u8 = 0x04;
/// `caching_sha2_password`: send your public key.
const PUBLIC_KEY_REQUEST: u8 = 0x02;
/// `sha256_password`: send your public key.
const SHA256_PUBLIC_KEY_REQUEST: u8 = 0x01;
/// Bytes of a password at most, without its NUL: MySQL's `MAX_PLAINTEXT_LENGTH`.
const PASSWORD_LEN_MAX: usize = 256;

/// `bytes` combined with `pattern`, repeated; its own inverse.
fn xor(bytes: &mut [u8], pattern: &[u8]) {
    for (byte, key) in bytes.iter_mut().zip(pattern.iter().cycle()) {
        *byte ^= key;
    }
}
