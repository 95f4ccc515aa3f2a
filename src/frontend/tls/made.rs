//! The directory of material that was made: `ca.pem`, `server-cert.pem`, `server-key.pem`,
//! `private_key.pem`, `public_key.pem`, by MySQL's names.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tracing::{info, warn};

use crate::wire::auth::KeyError;
use crate::wire::auth::RsaKeys;
use crate::wire::tls;
use crate::wire::tls::TlsError;

/// Where material is kept.
pub(super) struct Directory {
    path: PathBuf,
    /// Whether the configuration names it; then it must work. Otherwise what cannot be kept lives in
    /// memory only, until the process ends.
    chosen: bool,
    /// Held while this lives, so that two processes that start at once make one set. None: there is no
    /// directory.
    lock: Option<File>,
}

/// Readable by all: certificates, public keys.
const PUBLIC: u32 = 0o644;
/// Readable by us alone: private keys.
const PRIVATE: u32 = 0o600;

impl Directory {
    /// Opens the directory at `path`, makes it where there is none.
    pub(super) fn open(path: &Path, chosen: bool) -> Result<Self, TlsError> {
        let mut directory = Self { path: path.to_owned(), chosen, lock: None };
        match open_locked(path) {
            Ok(lock) => directory.lock = Some(lock),
            Err(error) => directory.not_kept(TlsError::file(path, error))?,
        }
        Ok(directory)
    }

    /// The server's certificate chain and key.
    pub(super) fn certificate(&self) -> Result<ChainAndKey, TlsError> {
        if self.lock.is_some()
            && let Some(kept) = kept_certificate(&self.path)?
        {
            return Ok(kept);
        }
        let made = Certificate::make().map_err(|error| TlsError::Making(error.to_string()))?;
        self.keep(&[
            ("server-key.pem", &made.key.serialize_pem(), PRIVATE),
            ("ca.pem", &made.ca_pem, PUBLIC),
            ("server-cert.pem", &made.pem, PUBLIC),
        ])?;
        info!(path = %self.path.display(), "self-signed tls certificate made");
        Ok((vec![made.der], PrivatePkcs8KeyDer::from(made.key.serialize_der()).into()))
    }

    /// The RSA pair for passwords without TLS.
    pub(super) fn rsa(&self) -> Result<RsaKeys, TlsError> {
        if self.lock.is_some()
            && let Some(kept) = kept_rsa(&self.path)?
        {
            return Ok(kept);
        }
        let making = |error: KeyError| TlsError::Making(error.to_string());
        let keys = RsaKeys::generate().map_err(making)?;
        let private_pem = keys.private_pem().map_err(making)?;
        self.keep(&[
            ("private_key.pem", &private_pem, PRIVATE),
            ("public_key.pem", keys.public_pem(), PUBLIC),
        ])?;
        info!(path = %self.path.display(), "rsa key pair made");
        Ok(keys)
    }

    /// Writes files that belong together: first all under temporary names, then the names.
    fn keep(&self, files: &[(&str, &str, u32)]) -> Result<(), TlsError> {
        if self.lock.is_none() {
            return Ok(());
        }
        let temporary = |name: &str| self.path.join(format!(".{name}.new"));
        for &(name, text, mode) in files {
            let path = temporary(name);
            if let Err(error) = write_new(&path, text, mode) {
                return self.not_kept(TlsError::file(&path, error));
            }
        }
        for &(name, ..) in files {
            let path = self.path.join(name);
            std::fs::rename(temporary(name), &path).map_err(|error| TlsError::file(&path, error))?;
        }
        Ok(())
    }

    fn not_kept(&self, error: TlsError) -> Result<(), TlsError> {
        if self.chosen {
            return Err(error);
        }
        warn!(%error, "tls material is kept in memory only");
        Ok(())
    }
}

/// A certificate chain and the key of its first certificate.
pub(super) type ChainAndKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn exists(path: &Path) -> Result<bool, TlsError> {
    path.try_exists().map_err(|error| TlsError::file(path, error))
}

/// The certificate in the directory at `path`, if there is one.
pub(super) fn kept_certificate(path: &Path) -> Result<Option<ChainAndKey>, TlsError> {
    let (certificate, key) = (path.join("server-cert.pem"), path.join("server-key.pem"));
    match (exists(&certificate)?, exists(&key)?) {
        (true, _) => Ok(Some((tls::certificates(&certificate)?, tls::private_key(&key)?))),
        (false, true) => Err(TlsError::content(&key, "stands without server-cert.pem")),
        (false, false) => Ok(None),
    }
}

/// The RSA pair in the directory at `path`, if there is one.
pub(super) fn kept_rsa(path: &Path) -> Result<Option<RsaKeys>, TlsError> {
    let path = path.join("private_key.pem");
    if !exists(&path)? {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(|error| TlsError::file(&path, error))?;
    RsaKeys::from_pkcs8_pem(&text).map(Some).map_err(|error| TlsError::content(&path, error.to_string()))
}

/// A certificate that is kept nowhere.
pub(super) fn throwaway_certificate() -> Result<ChainAndKey, TlsError> {
    let made = Certificate::make().map_err(|error| TlsError::Making(error.to_string()))?;
    Ok((vec![made.der], PrivatePkcs8KeyDer::from(made.key.serialize_der()).into()))
}

fn open_locked(path: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    let directory = File::open(path)?;
    // Held by nobody longer than it takes to make two key pairs.
    directory.lock()?;
    Ok(directory)
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    // A leftover of a process that died; we hold the lock.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A server certificate and the authority that signed it. The authority's key is forgotten: nothing
/// else will ever be signed by it.
struct Certificate {
    ca_pem: String,
    pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl Certificate {
    /// Elliptic curve keys (P-256): made and used in a fraction of RSA's time.
    fn make() -> Result<Self, rcgen::Error> {
        let mut ca = parameters("CA", Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if let Ok(host) = rustix::system::uname().nodename().to_str()
            && !host.is_empty()
            && host != "localhost"
        {
            names.push(host.to_owned());
        }
        let mut server = parameters("Server", names)?;
        server.is_ca = IsCa::ExplicitNoCa;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let server = server.signed_by(&key, &ca)?;
        Ok(Self { ca_pem: ca.pem(), pem: server.pem(), der: server.der().clone(), key })
    }
}

/// Ten years, like MySQL's own; from a year before, for clocks that differ.
fn parameters(role: &str, names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    const SECONDS_PER_YEAR: u64 = 31_556_952;
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let year = 1970 + (elapsed.as_secs() / SECONDS_PER_YEAR) as i32;
    let mut parameters = CertificateParams::new(names)?;
    let name = format!("Dazzle_{}_Auto_Generated_{role}_Certificate", env!("CARGO_PKG_VERSION"));
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = date_time_ymd(year - 1, 1, 1);
    parameters.not_after = date_time_ymd(year + 10, 1, 1);
    Ok(parameters)
}
