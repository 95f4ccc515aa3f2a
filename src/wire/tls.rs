//! What TLS needs on both sides: the provider, certificates and keys read from PEM files.
//!
//! The one place of this floor that reads files, at start and at a reload.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, RootCertStore};

/// Why TLS cannot be set up. Seen by operators only.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {problem}")]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The settings contradict each other.
    #[error("{0}")]
    Settings(&'static str),
    /// Key and certificate do not belong together, or the library refuses them.
    #[error("tls: {0}")]
    Refused(#[from] rustls::Error),
    /// A certificate or key pair cannot be made.
    #[error("tls material cannot be made: {0}")]
    Making(String),
}

impl TlsError {
    /// A file that cannot be read or written.
    pub fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    /// A file that does not hold what it should.
    pub fn content(path: &Path, problem: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), problem: problem.into() }
    }

    fn pem(path: &Path, error: pem::Error) -> Self {
        match error {
            pem::Error::Io(source) => Self::file(path, source),
            pem::Error::NoItemsFound => Self::content(path, "holds no such pem section"),
            other => Self::content(path, format!("not pem: {other:?}")),
        }
    }
}

/// The one provider of cryptography. Always passed explicitly: rustls panics when it has to choose.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The certificates of a PEM file, in their order; at least one.
///
/// # Errors
/// The file cannot be read, or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| TlsError::pem(path, error))?;
    if chain.is_empty() {
        return Err(TlsError::content(path, "holds no certificate"));
    }
    Ok(chain)
}

/// The first private key of a PEM file: PKCS #8, PKCS #1 or SEC1.
///
/// # Errors
/// The file cannot be read, or holds none.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::pem(path, error))
}

/// The authorities of a PEM file.
///
/// # Errors
/// The file cannot be read, or one of its certificates cannot be an authority.
pub fn authorities(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::content(path, error.to_string()))?;
    }
    Ok(Arc::new(roots))
}
