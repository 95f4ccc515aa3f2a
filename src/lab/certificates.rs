//! The lab's certificate authority, and what it signs: one certificate for servers, one for clients.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::lab::error::LabError;

/// PEM files of one server. The server's certificate names `localhost`, `127.0.0.1` and `::1`.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The authority that signed both certificates.
    pub ca: PathBuf,
    /// What the server shows.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// What a client may show: the server accepts it for accounts that `REQUIRE X509`.
    pub client_certificate: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
}

impl TlsFiles {
    /// The names that the files have in `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            ca: folder.join("ca.pem"),
            certificate: folder.join("server-cert.pem"),
            key: folder.join("server-key.pem"),
            client_certificate: folder.join("client-cert.pem"),
            client_key: folder.join("client-key.pem"),
        }
    }

    /// Makes the authority and both certificates in `folder`, which is made too.
    pub(crate) fn make(folder: &Path) -> Result<Self, LabError> {
        let files = Self::in_folder(folder);
        fs::create_dir_all(folder).map_err(LabError::io("making a folder", &folder.display()))?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "dazzle lab authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        write(&files.ca, &certificate.pem())?;
        let issuer = Issuer::new(params, key);

        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        let (pem, key) = sign(&issuer, names, ExtendedKeyUsagePurpose::ServerAuth)?;
        write(&files.certificate, &pem)?;
        write(&files.key, &key)?;
        let (pem, key) = sign(&issuer, Vec::new(), ExtendedKeyUsagePurpose::ClientAuth)?;
        write(&files.client_certificate, &pem)?;
        write(&files.client_key, &key)?;
        Ok(files)
    }
}

/// A certificate for `names` and its key, both PEM.
fn sign(
    issuer: &Issuer<'_, KeyPair>,
    names: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
) -> Result<(String, String), LabError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "dazzle lab");
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, issuer)?.pem(), key.serialize_pem()))
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    fs::write(path, text).map_err(LabError::io("writing", &path.display()))?;
    // Servers refuse a key that others can read.
    let owner_only = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, owner_only).map_err(LabError::io("writing", &path.display()))
}
