//! Real TLS handshakes between the two sides: what clients see of us, what we verify of servers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use dazzle::backend::tls::{client_config, server_name};
use dazzle::config::{ClientTls, ServerTls, TlsVerify};
use dazzle::frontend::tls::Material;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A directory that is gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dazzle-tls-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn chosen(scratch: &Scratch) -> ClientTls {
    ClientTls { directory: Some(scratch.0.clone()), ..ClientTls::default() }
}

/// One handshake and one byte each way; how it went for the client.
async fn shake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    address: &str,
) -> std::io::Result<HandshakeKind> {
    let (near, far) = duplex(1 << 16);
    let server = async {
        let mut stream = TlsAcceptor::from(Arc::clone(server)).accept(far).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.flush().await
    };
    let client = async {
        let mut stream = TlsConnector::from(Arc::clone(client)).connect(server_name(address), near).await?;
        stream.write_u8(7).await?;
        stream.flush().await?;
        assert_eq!(stream.read_u8().await?, 7);
        Ok(stream.get_ref().1.handshake_kind().expect("the handshake is done"))
    };
    let (_, client) = tokio::join!(server, client);
    client
}

#[tokio::test]
async fn made_material_passes_every_verification() {
    let (scratch, other) = (Scratch::new("verify"), Scratch::new("verify-other"));
    let server = Material::load_or_create(&chosen(&scratch), &scratch.0).unwrap().server;
    Material::load_or_create(&chosen(&other), &other.0).unwrap();
    let (ours, theirs) = (Some(scratch.path("ca.pem")), Some(other.path("ca.pem")));
    for (verify, ca, address, good) in [
        (TlsVerify::None, None, "anything:1", true),
        (TlsVerify::Ca, ours.clone(), "anything:1", true),
        (TlsVerify::Ca, theirs.clone(), "localhost:1", false),
        (TlsVerify::Full, ours.clone(), "localhost:1", true),
        (TlsVerify::Full, ours.clone(), "127.0.0.1:1", true),
        (TlsVerify::Full, ours.clone(), "[::1]:1", true),
        (TlsVerify::Full, ours, "elsewhere:1", false),
        (TlsVerify::Full, theirs, "localhost:1", false),
    ] {
        let client = client_config(&ServerTls { verify, ca, ..ServerTls::default() }).unwrap();
        assert_eq!(shake(&server, &client, address).await.is_ok(), good, "{verify:?} {address}");
    }
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_its_session() {
    let scratch = Scratch::new("resume");
    let server = Material::load_or_create(&chosen(&scratch), &scratch.0).unwrap().server;
    let client = client_config(&ServerTls::default()).unwrap();
    assert_eq!(shake(&server, &client, "localhost:1").await.unwrap(), HandshakeKind::Full);
    assert_eq!(shake(&server, &client, "localhost:1").await.unwrap(), HandshakeKind::Resumed);
}

#[tokio::test]
async fn client_certificates_are_verified_when_shown_and_demanded_when_required() {
    let scratch = Scratch::new("client");
    let (ca, certificate, key) = client_material(&scratch);
    let with = ServerTls { certificate: Some(certificate), key: Some(key), ..ServerTls::default() };
    let other = Scratch::new("client-other");
    let (_, certificate, key) = client_material(&other);
    let foreign = ServerTls { certificate: Some(certificate), key: Some(key), ..ServerTls::default() };
    for (required, client, good) in [
        (false, ServerTls::default(), true),
        (false, with.clone(), true),
        (false, foreign, false),
        (true, with, true),
        (true, ServerTls::default(), false),
    ] {
        let settings = ClientTls {
            client_ca: Some(ca.clone()),
            client_certificate_required: required,
            ..chosen(&scratch)
        };
        let server = Material::load_or_create(&settings, &scratch.0).unwrap().server;
        let client = client_config(&client).unwrap();
        assert_eq!(shake(&server, &client, "localhost:1").await.is_ok(), good, "required={required}");
    }
}

/// An authority, and a client certificate by it with its key.
fn client_material(scratch: &Scratch) -> (PathBuf, PathBuf, PathBuf) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    fs::create_dir_all(&scratch.0).unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["client".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let write = |name: &str, text: String| {
        let path = scratch.path(name);
        fs::write(&path, text).unwrap();
        path
    };
    (
        write("client-ca.pem", ca.pem()),
        write("client-cert.pem", certificate.pem()),
        write("client-key.pem", key.serialize_pem()),
    )
}
