//! `dazzle check`: what it passes `dazzle serve` can start with, and it makes nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{CertificateParams, KeyPair};

/// A directory that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dazzle-check-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// A self-signed certificate and its key.
    fn certificate(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}-key.pem"), &key.serialize_pem());
    }

    /// What `dazzle check` says of the usual file with these lines more: standard output if it is right, the
    /// mistakes if not.
    fn check(&self, lines: &str) -> Result<String, Vec<String>> {
        let text = format!(
            "listeners: [{{address: '127.0.0.1:0'}}]\nclusters: {{main: {{primary: '127.0.0.1:1'}}}}\n\
             users: {{app: {{password: hunter2}}}}\n{lines}\n"
        );
        self.write("dazzle.yaml", &text);
        self.run(&["check", "--config"])
    }

    fn run(&self, arguments: &[&str]) -> Result<String, Vec<String>> {
        let output = Command::new(env!("CARGO_BIN_EXE_dazzle"))
            .args(arguments)
            .arg(self.0.join("dazzle.yaml"))
            .current_dir(&self.0)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let mistakes = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("hunter2") && !mistakes.contains("hunter2"), "{said}{mistakes}");
        match output.status.code() {
            Some(0) => {
                assert_eq!(mistakes, "");
                Ok(said)
            }
            Some(1) => Err(mistakes.lines().map(str::to_owned).collect()),
            other => panic!("{other:?}: {mistakes}"),
        }
    }

    /// The one mistake of a file, without the folder.
    fn mistake(&self, lines: &str) -> String {
        let mistakes = self.check(lines).unwrap_err();
        let [mistake] = &mistakes[..] else { panic!("{lines}: {mistakes:?}") };
        mistake.replace(&format!("{}/", self.0.display()), "")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_right_file_is_understood_and_nothing_is_made() {
    let folder = Folder::new("right");
    folder.certificate("one");
    assert!(folder.check("").unwrap().contains(" is valid"));
    let tls = "tls: {certificate: one.pem, key: one-key.pem, client_ca: one.pem}";
    assert!(folder.check(tls).unwrap().contains(" is valid"));
    assert!(folder.run(&["check", "--settings", "--config"]).unwrap().contains("tls.client_ca"));
    assert_eq!(folder.names().len(), 3, "{:?}", folder.names());
}

#[test]
fn mistakes_of_the_file_are_all_told_with_their_places() {
    let folder = Folder::new("places");
    let mistakes = folder.check("process: {worker: 1}\nlogging: {format: xml}").unwrap_err();
    for place in ["dazzle.yaml:4:11: process.worker: ", "dazzle.yaml:5:19: logging.format: "] {
        assert!(mistakes.iter().any(|line| line.contains(place)), "{place}{mistakes:?}");
    }
    let missing = folder.check("tls: {certificate: none.pem, key: none.pem}").unwrap_err();
    assert!(missing.iter().any(|line| line.contains("no such file")), "{missing:?}");
}

#[test]
fn what_only_looks_like_a_certificate_is_a_mistake() {
    let folder = Folder::new("garbage");
    folder.certificate("one");
    folder.certificate("two");
    folder.write("bad.pem", "-----BEGIN CERTIFICATE-----\nnonsense!\n-----END CERTIFICATE-----\n");
    let cluster = |tls: &str| format!("clusters: {{main: {{primary: '127.0.0.1:1', tls: {{{tls}}}}}}}");
    for (tls, expected) in [
        ("certificate: one.pem, key: two-key.pem", "dazzle.yaml: tls: tls: "),
        ("certificate: bad.pem, key: one-key.pem", "dazzle.yaml: tls: bad.pem: "),
        ("client_ca: bad.pem", "dazzle.yaml: tls: bad.pem: "),
    ] {
        let mistake = folder.mistake(&format!("tls: {{{tls}}}"));
        assert!(mistake.starts_with(expected), "{tls}: {mistake}");
        assert!(folder.run(&["serve", "--config"]).is_err(), "{tls}");
    }
    for (tls, expected) in [
        ("mode: required, verify: ca, ca: bad.pem", "dazzle.yaml: clusters.main.tls: bad.pem: "),
        ("certificate: one.pem, key: two-key.pem", "dazzle.yaml: clusters.main.tls: tls: "),
    ] {
        let text = format!(
            "listeners: [{{address: '127.0.0.1:0'}}]\nusers: {{app: {{password: x}}}}\n{}\n",
            cluster(tls)
        );
        folder.write("dazzle.yaml", &text);
        let mistakes = folder.run(&["check", "--config"]).unwrap_err();
        let mistake = mistakes.join("\n").replace(&format!("{}/", folder.0.display()), "");
        assert!(mistake.starts_with(expected), "{tls}: {mistake}");
        assert!(folder.run(&["serve", "--config"]).is_err(), "{tls}");
    }
}

#[test]
fn what_was_made_before_is_looked_at() {
    let folder = Folder::new("made");
    folder.certificate("one");
    fs::create_dir(folder.0.join("dazzle-tls")).unwrap();
    let into = |name: &str, as_name: &str| {
        let to = Path::new("dazzle-tls").join(as_name);
        fs::copy(folder.0.join(name), folder.0.join(to)).unwrap();
    };
    into("one-key.pem", "server-key.pem");
    assert!(folder.mistake("").contains("stands without server-cert.pem"));
    into("one.pem", "server-cert.pem");
    assert!(folder.check("").is_ok());
    into("one.pem", "private_key.pem");
    assert!(folder.mistake("").contains("dazzle-tls/private_key.pem: "));
}

#[test]
fn mistakes_of_the_sharding_rules_are_told() {
    let folder = Folder::new("rules");
    folder.write("shop.yaml", "database: shop\nnonsense: 1\n");
    let mistakes = folder.check("sharding: {rules: [shop.yaml]}").unwrap_err();
    assert!(mistakes.iter().any(|line| line.contains("shop.yaml:2:1: nonsense: ")), "{mistakes:?}");
    assert!(folder.run(&["serve", "--config"]).is_err());
}
