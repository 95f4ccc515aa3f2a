//! TLS towards servers: what is verified, and what is shown.

use std::net::IpAddr;
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::config::ServerTls;
use crate::config::TlsVerify;
use crate::wire::tls;
use crate::wire::tls::TlsError;

/// The TLS settings of one cluster, for all its connections: they share sessions to resume.
///
/// # Errors
/// A file that cannot be used, or a verification without an authority.
pub fn client_config(settings: &ServerTls) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = tls::provider();
    let verifier: Arc<dyn ServerCertVerifier> = match settings.verify {
        TlsVerify::None => Arc::new(AnyCertificate(Arc::clone(&provider))),
        TlsVerify::Ca => Arc::new(AnyName(chain_verifier(settings, &provider)?)),
        TlsVerify::Full => chain_verifier(settings, &provider)?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => {
            builder.with_client_auth_cert(tls::certificates(certificate)?, tls::private_key(key)?)?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => return Err(TlsError::Settings("a client certificate and its key belong together")),
    };
    Ok(Arc::new(config))
}

fn chain_verifier(
    settings: &ServerTls,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let ca = settings.ca.as_ref().ok_or(TlsError::Settings("verifying servers needs a `ca`"))?;
    WebPkiServerVerifier::builder_with_provider(tls::authorities(ca)?, Arc::clone(provider))
        .build()
        .map_err(|error| TlsError::content(ca, error.to_string()))
}

/// The name that a server's certificate is verified for: the host of `host:port`.
///
/// What is no host name (a socket's path) becomes an address that no certificate holds, so that
/// verification fails instead of passing for another server.
#[must_use]
pub fn server_name(address: &str) -> ServerName<'static> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(host.to_owned()).unwrap_or_else(|_| ServerName::from(IpAddr::from([0_u8; 4])))
}

/// `verify: none`: any certificate will do, like MySQL's `ssl-mode=REQUIRED`. The handshake's signature
/// is checked all the same: the server must hold the key of the certificate that it shows.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// `verify: ca`: the chain must lead to an authority of ours, for whatever name (`VERIFY_CA`).
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is compared last, when the chain has been found good.
        match self.0.verify_server_cert(certificate, chain, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_verified_by_the_host_of_its_address() {
        for (address, expected) in [
            ("db1.example.com:3306", "db1.example.com"),
            ("db_1:3306", "db_1"),
            ("10.0.0.1:3306", "10.0.0.1"),
            ("[::1]:3306", "::1"),
            ("/run/mysqld.sock", "0.0.0.0"),
            ("not a host:3306", "0.0.0.0"),
        ] {
            assert_eq!(server_name(address).to_str(), expected);
        }
    }

    #[test]
    fn settings_that_cannot_be_kept_are_refused() {
        for verify in [TlsVerify::Ca, TlsVerify::Full] {
            let settings = ServerTls { verify, ..ServerTls::default() };
            assert!(matches!(client_config(&settings), Err(TlsError::Settings(_))));
        }
        let half = ServerTls { certificate: Some("client.pem".into()), ..ServerTls::default() };
        assert!(matches!(client_config(&half), Err(TlsError::Settings(_))));
        assert!(client_config(&ServerTls::default()).is_ok());
        let missing =
            ServerTls { verify: TlsVerify::Ca, ca: Some("/nowhere".into()), ..ServerTls::default() };
        assert!(matches!(client_config(&missing), Err(TlsError::File { .. })));
    }
}
