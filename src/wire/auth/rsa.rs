//! RSA-OAEP (SHA-1): how a password travels in full authentication without TLS.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use zeroize::Zeroizing;

use crate::wire::auth::AuthError;
use crate::wire::auth::PASSWORD_LEN_MAX;
use crate::wire::auth::pem;
use crate::wire::auth::xor;
use crate::wire::handshake::Scramble;

/// The key pair cannot be made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not PEM of a PKCS #8 private key (`BEGIN PRIVATE KEY`).
    #[error("not a pkcs #8 private key in pem")]
    NotPem,
    /// Not an RSA key of 2048 to 8192 bits.
    #[error("not an rsa key of 2048 to 8192 bits")]
    Rejected,
    /// The cryptographic library failed.
    #[error("the rsa key pair could not be made")]
    Failed,
}

/// The pair whose public half clients get on request.
pub struct RsaKeys {
    pair: PrivateDecryptingKey,
    private: OaepPrivateDecryptingKey,
    public_pem: String,
}

impl RsaKeys {
    /// A new pair of 2048 bits; takes a tenth of a second and more.
    pub fn generate() -> Result<Self, KeyError> {
        Self::new(PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| KeyError::Failed)?)
    }

    /// The pair of a private key in PEM (PKCS #8).
    pub fn from_pkcs8_pem(text: &str) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| KeyError::NotPem)?;
        let pair = PrivateDecryptingKey::from_pkcs8(der.secret_pkcs8_der());
        Self::new(pair.map_err(|_| KeyError::Rejected)?)
    }

    fn new(pair: PrivateDecryptingKey) -> Result<Self, KeyError> {
        let public = pair.public_key();
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&public).map_err(|_| KeyError::Failed)?;
        let public_pem = pem::encode("PUBLIC KEY", der.as_ref());
        let private = OaepPrivateDecryptingKey::new(pair.clone()).map_err(|_| KeyError::Failed)?;
        Ok(Self { pair, private, public_pem })
    }

    /// The private key in PEM (PKCS #8), to be kept in a file that nobody else can read.
    pub fn private_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&self.pair).map_err(|_| KeyError::Failed)?;
        Ok(Zeroizing::new(pem::encode("PRIVATE KEY", der.as_ref())))
    }

    /// The public key in PEM (`BEGIN PUBLIC KEY`), as clients are sent it.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The password in `encrypted`, with its NUL; none if it was not made with our key.
    pub(super) fn decrypt(&self, encrypted: &[u8], scramble: &Scramble) -> Option<Zeroizing<Vec<u8>>> {
        let mut buffer = Zeroizing::new(vec![0; self.private.min_output_size()]);
        let plain = self.private.decrypt(&OAEP_SHA1_MGF1SHA1, encrypted, &mut buffer, None).ok()?;
        let mut plain = Zeroizing::new(plain.to_vec());
        xor(&mut plain, scramble.as_bytes());
        Some(plain)
    }
}

impl std::fmt::Debug for RsaKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RsaKeys").finish_non_exhaustive()
    }
}

/// `password` and its NUL, combined with `scramble` and encrypted with the server's key.
pub(super) fn encrypt(
    password: &[u8],
    scramble: &Scramble,
    server_key_pem: &[u8],
) -> Result<Vec<u8>, AuthError> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(server_key_pem).map_err(|_| AuthError::BadPublicKey)?;
    let key = PublicEncryptingKey::from_der(&der).map_err(|_| AuthError::BadPublicKey)?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| AuthError::BadPublicKey)?;
    if password.len() >= key.max_plaintext_size(&OAEP_SHA1_MGF1SHA1).min(PASSWORD_LEN_MAX) {
        return Err(AuthError::PasswordTooLong);
    }
    let mut plain = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    plain.extend_from_slice(password);
    plain.push(0);
    xor(&mut plain, scramble.as_bytes());
    let mut out = vec![0; key.ciphertext_size()];
    let len =
        key.encrypt(&OAEP_SHA1_MGF1SHA1, &plain, &mut out, None).map_err(|_| AuthError::BadPublicKey)?.len();
    out.truncate(len);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAMBLE: Scramble = Scramble::from_bytes(*b"abcdefghijklmnopqrst");

    #[test]
    fn a_password_survives_encryption_for_its_scramble_only() {
        let keys = RsaKeys::generate().unwrap();
        let encrypted = encrypt(b"secret", &SCRAMBLE, keys.public_pem().as_bytes()).unwrap();
        assert_eq!(encrypted.len(), 256);
        assert_eq!(keys.decrypt(&encrypted, &SCRAMBLE).unwrap().as_slice(), b"secret\0");
        let other = keys.decrypt(&encrypted, &Scramble::from_bytes([1; 20])).unwrap();
        assert_ne!(other.as_slice(), b"secret\0");
        for garbage in [&b""[..], b"secret\0", &[0; 256], &[0xFF; 256], &[1; 300]] {
            assert!(keys.decrypt(garbage, &SCRAMBLE).is_none());
        }
        let long = [b'x'; 300];
        let pem = keys.public_pem().as_bytes();
        assert_eq!(encrypt(&long, &SCRAMBLE, pem), Err(AuthError::PasswordTooLong));
        assert_eq!(encrypt(b"x", &SCRAMBLE, b"no key"), Err(AuthError::BadPublicKey));
    }

    #[test]
    fn a_pair_survives_its_file() {
        let keys = RsaKeys::generate().unwrap();
        let read = RsaKeys::from_pkcs8_pem(&keys.private_pem().unwrap()).unwrap();
        assert_eq!(read.public_pem(), keys.public_pem());
        assert!(keys.public_pem().starts_with("-----BEGIN PUBLIC KEY-----\nMIIBIj"));
        assert_eq!(RsaKeys::from_pkcs8_pem("").err(), Some(KeyError::NotPem));
        assert_eq!(RsaKeys::from_pkcs8_pem(keys.public_pem()).err(), Some(KeyError::NotPem));
    }
}
