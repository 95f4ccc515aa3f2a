//! Certificates that are renewed while everything runs, and what the two sides demand of each other.

use std::fs;
use std::path::{Path, PathBuf};

use dazzle::config::{ServerTls, TlsMode, TlsVerify};
use dazzle::lab::{Account, Lab, LabOptions, Require};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;

use crate::support::{At, Login, PASSWORD, Setup, Tls, USER, eventually};

/// Puts a new self-signed certificate for 127.0.0.1 and its key into `folder`; both files at once, as far as a reader
/// that sees only one of them is refused and comes again.
fn renew(folder: &Path) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let paths = (folder.join("own-cert.pem"), folder.join("own-key.pem"));
    for (path, text) in [(&paths.0, certificate.pem()), (&paths.1, key.serialize_pem())] {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }
    paths
}

/// A client that trusts `ca` alone.
fn trusting(login: Login, ca: &Path) -> Login {
    let settings = ServerTls {
        mode: TlsMode::Required,
        verify: TlsVerify::Ca,
        ca: Some(ca.to_owned()),
        ..ServerTls::default()
    };
    Login { tls: Tls::With(settings), ..login }
}

/// A file of the story's own with the content of `from`.
fn copy(from: &Path, folder: &Path, name: &str) -> PathBuf {
    let to = folder.join(name);
    fs::copy(from, &to).unwrap();
    to
}

both! {
    async fn a_renewed_certificate_is_shown_to_the_next_client(server) {
        let folder = server.dir().parent().unwrap().join("renewed");
        fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = renew(&folder);
        let setup = Setup::new(server).top(&format!(
            "tls: {{certificate: {}, key: {}}}",
            certificate.display(),
            key.display()
        ));
        let proxy = setup.start().await;
        let first = copy(&certificate, &folder, "first.pem");
        let mut before = trusting(proxy.login(), &first).connect().await;
        renew(&folder);
        proxy.signal(Signal::HUP);
        let with_new = trusting(proxy.login(), &certificate);
        eventually("the new certificate", async || with_new.try_connect().await.is_ok()).await;
        assert!(trusting(proxy.login(), &first).try_connect().await.is_err());
        assert_eq!(before.value("SELECT 'served'").await, "served");
    }

    async fn a_renewed_authority_of_servers_is_the_one_that_counts(server) {
        let folder = server.dir().parent().unwrap().join("authority");
        fs::create_dir_all(&folder).unwrap();
        let ca = copy(&server.tls().ca, &folder, "ca.pem");
        let setup = Setup::new(server)
            .pool("size_max: 2, queue_timeout: 1s")
            .cluster("backoff: {first: 20ms, max: 100ms}")
            .cluster(&format!("tls: {{mode: required, verify: ca, ca: {}}}", ca.display()));
        let proxy = setup.start().await;
        let mut conn = proxy.connect().await;
        conn.ok("SELECT 1").await;
        // An authority that did not sign the server's certificate, under the same path.
        fs::copy(renew(&folder).0, &ca).unwrap();
        proxy.signal(Signal::HUP);
        eventually("nothing is verified any more", async || {
            conn.query("SELECT 1").await.error().is_some()
        })
        .await;
        fs::copy(&server.tls().ca, &ca).unwrap();
        proxy.signal(Signal::HUP);
        eventually("all is well again", async || conn.query("SELECT 1").await.error().is_none()).await;
    }

    async fn a_user_who_must_be_secure_comes_by_tls_or_a_unix_socket(server) {
        let proxy = Setup::new(server).user("require_tls: true").start().await;
        assert_eq!(proxy.login().try_connect().await.err().map(|error| error.code()), Some(3159));
        for login in [proxy.login().tls(), Login::new(proxy.unix())] {
            assert_eq!(login.connect().await.value("SELECT 1").await, "1");
        }
        // A change of user is a login.
        let other = Setup::new(server)
            .users("it_secure: {password: x, server_user: it, server_password: secret, require_tls: true}")
            .start()
            .await;
        let mut conn = other.connect().await;
        assert_eq!(conn.change_user("it_secure", "x", None).await.err().map(|error| error.code()), Some(3159));
    }

    async fn a_server_on_a_unix_socket(server) {
        let mut setup = Setup::new(server);
        setup.primary = server.socket().display().to_string();
        let proxy = setup.start().await;
        let mut conn = proxy.connect().await;
        let own = conn.value("SELECT SUBSTRING_INDEX(USER(), '@', -1)").await;
        assert_eq!(own, "localhost");
        conn.ok("BEGIN").await;
        conn.ok("DO 1").await;
        conn.ok("COMMIT").await;
    }

    async fn an_account_that_wants_a_certificate_gets_it(server) {
        let account = Account { require: Require::X509, ..Account::new(server.flavor(), "it_x509", "secret") };
        server.create_account(&account).await.unwrap();
        let files = server.tls();
        let (certificate, key) = (files.client_certificate.display(), files.client_key.display());
        for (tls, works) in [
            ("{mode: required}".to_owned(), false),
            (format!("{{mode: required, certificate: {certificate}, key: {key}}}"), true),
        ] {
            let setup = Setup::new(server)
                .pool("size_max: 2, queue_timeout: 1s")
                .cluster(&format!("tls: {tls}"))
                .users("it_x509: {password: secret}");
            let proxy = setup.start().await;
            let outcome = proxy.login().user("it_x509", "secret").try_connect().await;
            let served = match outcome {
                Ok(mut conn) => conn.query("SELECT 1").await.error().is_none(),
                Err(_) => false,
            };
            assert_eq!(served, works, "{tls}");
        }
    }

    async fn a_server_under_another_name_is_not_the_one_that_is_meant(server) {
        // It is the same address, and not among the names of the certificate.
        let address = format!("'[::ffff:127.0.0.1]:{}'", server.address().port());
        let ca = server.tls().ca.display();
        for (verify, works) in [("ca", true), ("full", false)] {
            let mut setup = Setup::new(server)
                .pool("size_max: 2, queue_timeout: 1s")
                .cluster(&format!("tls: {{mode: required, verify: {verify}, ca: {ca}}}"));
            setup.primary.clone_from(&address);
            let proxy = setup.start().await;
            let outcome = proxy.login().try_connect().await;
            assert_eq!(outcome.is_ok(), works, "{verify}: {:?}", outcome.err());
        }
    }

    async fn a_server_without_tls_is_used_only_where_it_may_be(server) {
        let flavor = server.flavor();
        let without = if flavor == dazzle::lab::Flavor::MariaDb { "--skip-ssl" } else { "--tls-version=" };
        let options = LabOptions { arguments: vec![without.to_owned()], ..LabOptions::new(flavor) };
        let lab = Lab::start(&options).await.unwrap();
        lab.primary().create_account(&Account::new(flavor, USER, PASSWORD)).await.unwrap();
        for (mode, works) in [("disabled", true), ("preferred", true), ("required", false)] {
            let setup = Setup::new(lab.primary())
                .pool("size_max: 2, queue_timeout: 1s")
                .cluster(&format!("tls: {{mode: {mode}}}"));
            let proxy = setup.start().await;
            let outcome = proxy.login().try_connect().await;
            assert_eq!(outcome.is_ok(), works, "{mode}: {:?}", outcome.err());
        }
    }

    async fn a_certificate_that_is_not_demanded_is_verified_all_the_same(server) {
        let files = server.tls();
        let setup = Setup::new(server).top(&format!("tls: {{client_ca: {}}}", files.ca.display()));
        let proxy = setup.start().await;
        let At::Tcp(_) = proxy.at() else { unreachable!("it listens on TCP") };
        let folder = server.dir().parent().unwrap().join("foreign");
        fs::create_dir_all(&folder).unwrap();
        let foreign = renew(&folder);
        let own = (files.client_certificate.clone(), files.client_key.clone());
        for (shown, works) in [(None, true), (Some(own), true), (Some(foreign), false)] {
            let (certificate, key) = shown.clone().unzip();
            let settings = ServerTls { mode: TlsMode::Required, certificate, key, ..ServerTls::default() };
            let login = Login { tls: Tls::With(settings), ..proxy.login() };
            assert_eq!(login.try_connect().await.is_ok(), works, "{shown:?}");
        }
    }
}
