//! When a file is worth loading again.

use std::fs;
use std::os::unix::fs::symlink;

use dazzle::config::{ConfigFile, Poll};

use crate::folder::Folder;

const TEXT: &str = "
listeners: [{address: '127.0.0.1:6033'}]
clusters: {main: {primary: '127.0.0.1:3306'}}
users: {app: {password: {file: secret}}}
";

#[test]
fn a_change_counts_once_it_holds_still() {
    let folder = Folder::new();
    folder.write("secret", "one\n");
    let mut file = ConfigFile::new(folder.write("dazzle.yaml", TEXT));
    let first = file.load().expect("the file is right");
    assert_eq!(file.poll(), Poll::Same);

    folder.write("dazzle.yaml", TEXT);
    assert_eq!(file.poll(), Poll::Same, "written anew with the same content");

    folder.write("dazzle.yaml", "listeners:\n");
    assert_eq!(file.poll(), Poll::Settling);
    folder.write("dazzle.yaml", &format!("{TEXT}process: {{workers: 3}}\n"));
    assert_eq!(file.poll(), Poll::Settling, "still being written");
    assert_eq!(file.poll(), Poll::Changed);
    let second = file.load().expect("the file is right");
    assert_eq!(first.difference(&second).restart, ["process.workers"]);
    assert_eq!(file.poll(), Poll::Same);
}

#[test]
fn a_file_that_the_configuration_names_is_watched_too() {
    let folder = Folder::new();
    folder.write("secret", "one\n");
    let mut file = ConfigFile::new(folder.write("dazzle.yaml", TEXT));
    let first = file.load().expect("the file is right");
    folder.write("secret", "two\n");
    assert_eq!((file.poll(), file.poll()), (Poll::Settling, Poll::Changed));
    let second = file.load().expect("the file is right");
    assert_eq!(first.difference(&second).live, ["users.app.password"]);
}

#[test]
fn a_bad_file_is_reported_once_and_its_repair_noticed() {
    let folder = Folder::new();
    let mut file = ConfigFile::new(folder.write("dazzle.yaml", TEXT));
    assert!(file.load().is_err(), "the password's file is missing");
    assert_eq!((file.poll(), file.poll()), (Poll::Same, Poll::Same));
    folder.write("secret", "one\n");
    assert_eq!((file.poll(), file.poll()), (Poll::Settling, Poll::Changed));
    assert!(file.load().is_ok());

    fs::remove_file(file.path()).expect("it was written");
    assert_eq!((file.poll(), file.poll()), (Poll::Settling, Poll::Changed));
    let error = file.load().expect_err("the file is gone").to_string();
    assert!(error.ends_with("dazzle.yaml: cannot be read: no such file"), "{error}");
    assert_eq!(file.poll(), Poll::Same);
    folder.write("dazzle.yaml", TEXT);
    assert_eq!((file.poll(), file.poll()), (Poll::Settling, Poll::Changed));
}

/// Kubernetes mounts `dazzle.yaml -> ..data/dazzle.yaml` and `..data -> ..2026_11_21`, and swaps `..data`.
#[test]
fn a_swapped_link_of_a_volume_is_a_change() {
    let folder = Folder::new();
    for (version, secret) in [("..1", "one"), ("..2", "two")] {
        folder.write(&format!("{version}/dazzle.yaml"), TEXT);
        folder.write(&format!("{version}/secret"), secret);
    }
    let link = |target: &str, name: &str| {
        let temporary = folder.path().join("..tmp");
        symlink(target, &temporary).expect("a link can be made");
        fs::rename(temporary, folder.path().join(name)).expect("a link can be swapped");
    };
    link("..1", "..data");
    link("..data/dazzle.yaml", "dazzle.yaml");
    link("..data/secret", "secret");
    let mut file = ConfigFile::new(folder.path().join("dazzle.yaml"));
    let first = file.load().expect("the file is right");
    link("..2", "..data");
    assert_eq!((file.poll(), file.poll()), (Poll::Settling, Poll::Changed));
    let second = file.load().expect("the file is right");
    assert_eq!(first.difference(&second).live, ["users.app.password"]);
}
