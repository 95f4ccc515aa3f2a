//! Made material on disk.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::*;

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

#[test]
fn material_is_made_once_and_keys_are_private() {
    let scratch = Scratch::new("made");
    let first = Material::load_or_create(&chosen(&scratch), &scratch.0).unwrap();
    let names = ["ca.pem", "server-cert.pem", "server-key.pem", "private_key.pem", "public_key.pem"];
    let inodes = || names.map(|name| fs::metadata(scratch.path(name)).unwrap().ino());
    let before = inodes();
    for (name, mode) in names.into_iter().zip([0o644, 0o644, 0o600, 0o600, 0o644]) {
        assert_eq!(fs::metadata(scratch.path(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), names.len(), "no temporary file stays");

    let second = Material::load_or_create(&ClientTls::default(), &scratch.0).unwrap();
    assert_eq!(first.rsa.public_pem(), second.rsa.public_pem());
    assert_eq!(inodes(), before);
}

#[test]
fn where_nothing_can_be_kept_only_a_chosen_directory_is_an_error() {
    let scratch = Scratch::new("file");
    fs::write(&scratch.0, "a file, not a directory").unwrap();
    let inside = scratch.path("tls");
    let settings = ClientTls { directory: Some(inside.clone()), ..ClientTls::default() };
    assert!(Material::load_or_create(&settings, &inside).is_err());
    Material::load_or_create(&ClientTls::default(), &inside).unwrap();
    fs::remove_file(&scratch.0).unwrap();
}

#[test]
fn a_key_without_certificate_is_not_overwritten() {
    let scratch = Scratch::new("key");
    fs::create_dir(&scratch.0).unwrap();
    fs::write(scratch.path("server-key.pem"), "precious").unwrap();
    assert!(Material::load_or_create(&chosen(&scratch), &scratch.0).is_err());
    assert_eq!(fs::read_to_string(scratch.path("server-key.pem")).unwrap(), "precious");
}

#[test]
fn settings_that_cannot_be_kept_are_refused() {
    let scratch = Scratch::new("settings");
    for settings in [
        ClientTls { certificate: Some(scratch.path("server-cert.pem")), ..chosen(&scratch) },
        ClientTls { client_certificate_required: true, ..chosen(&scratch) },
        ClientTls { client_ca: Some(scratch.path("absent.pem")), ..chosen(&scratch) },
        ClientTls { client_ca: Some(scratch.path("public_key.pem")), ..chosen(&scratch) },
    ] {
        assert!(Material::load_or_create(&settings, &scratch.0).is_err(), "{settings:?}");
    }
}
