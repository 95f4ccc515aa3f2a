//! TLS and RSA material that clients see: configured, or made at first start as MySQL does.

mod made;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::Ticketer;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;

use crate::config::ClientTls;
use crate::frontend::tls::made::Directory;
use crate::wire::auth::RsaKeys;
use crate::wire::tls;
use crate::wire::tls::TlsError;

/// Everything secret that the listeners need.
#[derive(Clone, Debug)]
pub struct Material {
    /// For clients that ask for TLS.
    pub server: Arc<ServerConfig>,
    /// For passwords that travel without TLS.
    pub rsa: Arc<RsaKeys>,
}

impl Material {
    /// Whether what `settings` names, and what has been made before, can be used. Makes nothing.
    ///
    /// # Errors
    /// A file that cannot be read or used.
    pub fn check(settings: &ClientTls, default_directory: &Path) -> Result<(), TlsError> {
        let directory = settings.directory.as_deref().unwrap_or(default_directory);
        let (chain, key) = match (&settings.certificate, &settings.key) {
            (Some(certificate), Some(key)) => (tls::certificates(certificate)?, tls::private_key(key)?),
            (None, None) => match made::kept_certificate(directory)? {
                Some(kept) => kept,
                None => made::throwaway_certificate()?,
            },
            _ => return Err(TlsError::Settings("a certificate and its key belong together")),
        };
        made::kept_rsa(directory)?;
        server_config(settings, chain, key).map(drop)
    }

    /// Reads what `settings` names. What they do not name is taken from their directory, or from
    /// `default_directory`, and made there the first time.
    ///
    /// Where the default directory cannot be written to, what was made lives in memory only and differs
    /// after a restart; where a directory was chosen, that is an error.
    ///
    /// # Errors
    /// A file that cannot be read, written or used.
    pub fn load_or_create(settings: &ClientTls, default_directory: &Path) -> Result<Self, TlsError> {
        let directory = match &settings.directory {
            Some(path) => Directory::open(path, true)?,
            None => Directory::open(default_directory, false)?,
        };
        let (chain, key) = match (&settings.certificate, &settings.key) {
            (Some(certificate), Some(key)) => (tls::certificates(certificate)?, tls::private_key(key)?),
            (None, None) => directory.certificate()?,
            _ => return Err(TlsError::Settings("a certificate and its key belong together")),
        };
        let server = Arc::new(server_config(settings, chain, key)?);
        Ok(Self { server, rsa: Arc::new(directory.rsa()?) })
    }
}

fn server_config(
    settings: &ClientTls,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let provider = tls::provider();
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match &settings.client_ca {
        Some(ca) => {
            let mut verifier = WebPkiClientVerifier::builder_with_provider(tls::authorities(ca)?, provider);
            if !settings.client_certificate_required {
                verifier = verifier.allow_unauthenticated();
            }
            builder.with_client_cert_verifier(
                verifier.build().map_err(|error| TlsError::content(ca, error.to_string()))?,
            )
        }
        None if settings.client_certificate_required => {
            return Err(TlsError::Settings("demanding client certificates needs a `client_ca`"));
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    // Tickets let a client that comes back skip the costly half of the handshake, and cost us no memory.
    config.ticketer = Ticketer::new()?;
    Ok(config)
}
