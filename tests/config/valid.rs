//! What right files mean.

use std::path::Path;
use std::time::Duration;

use dazzle::config::{Config, Password, Secret, TlsMode, Verifier};

use crate::folder::Folder;

const MINIMAL: &str = "
listeners:
  - address: 127.0.0.1:6033
clusters:
  main:
    primary: 127.0.0.1:3306
users:
  app:
    password: secret
";

fn parse(text: &str) -> Config {
    Config::parse(text, Path::new("dazzle.yaml")).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The minimal file with another password for its user.
fn password(written: &str) -> Password {
    parse(&MINIMAL.replace("password: secret", &format!("password: {written}\n    server_password: x")))
        .users
        .remove("app")
        .expect("the file has this user")
        .password
}

#[test]
fn eight_lines_are_enough_for_one_server() {
    let config = parse(MINIMAL);
    assert_eq!(config.users["app"].cluster, "main");
    assert_eq!(config.clusters["main"].pool.size_max, 20);
    assert_eq!(config.listeners[0].tls, TlsMode::Preferred);
    assert_eq!(config.tls.directory.as_deref(), Some(Path::new("dazzle-tls")));
}

#[test]
fn an_emptied_section_keeps_its_defaults() {
    let config = parse(&format!("{MINIMAL}limits:\n  #connections_max: 5\ntimeouts: {{}}\n"));
    assert_eq!(config, parse(MINIMAL));
}

#[test]
fn durations_and_sizes_have_units() {
    let check = |written: &str, expected: Duration| {
        let config = parse(&format!("{MINIMAL}timeouts: {{read: {written}}}\n"));
        assert_eq!(config.timeouts.read, expected, "{written}");
    };
    check("250ms", Duration::from_millis(250));
    check("10s", Duration::from_secs(10));
    check("5m", Duration::from_secs(300));
    check("8h", Duration::from_secs(28_800));
    check("1d", Duration::from_secs(86_400));
    check("\"3 s\"", Duration::from_secs(3));
    let check = |written: &str, expected: u64| {
        let config = parse(&format!("{MINIMAL}limits: {{packet_bytes_max: {written}}}\n"));
        assert_eq!(config.limits.packet_bytes_max, expected, "{written}");
    };
    check("4096", 4096);
    check("512KiB", 512 << 10);
    check("64MiB", 64 << 20);
    check("1GiB", 1 << 30);
}

#[test]
fn a_password_is_taken_as_written() {
    let plain = |text: &str| Password::Plain(Secret::new(text));
    assert_eq!(password("secret"), plain("secret"));
    assert_eq!(password("\"0123 # ! *\""), plain("0123 # ! *"));
    assert_eq!(password("yes"), plain("yes"));
    assert_eq!(password("\"\""), Password::Empty);
    assert_eq!(password("{env: CARGO_PKG_NAME}"), plain("dazzle"));
}

#[test]
fn a_password_file_ends_with_its_line() {
    let folder = Folder::new();
    let check = |content: &str, expected: &str| {
        let file = folder.write("secret", content);
        let expected = Password::Plain(Secret::new(expected));
        assert_eq!(password(&format!("{{file: {}}}", file.display())), expected, "{content:?}");
    };
    check("s3cret\n", "s3cret");
    check("s3cret\r\n", "s3cret");
    check("s3cret", "s3cret");
    check(" two words \n", " two words ");
}

#[test]
fn a_verifier_is_what_a_server_stores() {
    let native = [
        0x24, 0x70, 0xc0, 0xc0, 0x6d, 0xee, 0x42, 0xfd, 0x16, 0x18, 0xbb, 0x99, 0x00, 0x5a, 0xdc, 0xa2, 0xec,
        0x9d, 0x1e, 0x19,
    ];
    let written = "{native: \"*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19\"}";
    assert_eq!(password(written), Password::Verifier(Verifier::Native(native)));

    let stored = format!("$A$005${}{}", "\u{1}abcdefghijklmnopqr\u{7f}", "A".repeat(43));
    let expected = Password::Verifier(Verifier::Sha2(stored.clone().into_bytes()));
    let escaped = stored.replace('\u{1}', "\\x01").replace('\u{7f}', "\\x7f");
    assert_eq!(password(&format!("{{sha2: \"{escaped}\"}}")), expected);
    let hex: String = stored.bytes().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(password(&format!("{{sha2_hex: \"{hex}\"}}")), expected);
}

#[test]
fn the_server_identity_is_the_users_or_the_clusters_or_the_clients_own() {
    let check = |cluster: &str, user: &str, expected: (&str, &str)| {
        let text = MINIMAL
            .replace("127.0.0.1:3306", &format!("127.0.0.1:3306\n{cluster}"))
            .replace("password: secret", &format!("password: secret\n{user}"));
        let identity = parse(&text).server_identity("app").expect("the user exists");
        assert_eq!((identity.user.as_str(), identity.password.reveal()), expected, "{text}");
    };
    let cluster = "    server_user: pool\n    server_password: p";
    check("", "", ("app", "secret"));
    check(cluster, "", ("pool", "p"));
    check(cluster, "    server_user: own\n    server_password: o", ("own", "o"));
    check(cluster, "    server_user: own", ("own", "secret"));
    check(cluster, "    server_password: o", ("app", "o"));
    check("", "    server_password: \"\"", ("app", ""));
    assert_eq!(parse(MINIMAL).server_identity("nobody"), None);
}

#[test]
fn a_verifier_may_rely_on_the_account_of_the_cluster() {
    let text = MINIMAL
        .replace("password: secret", "password: {native: \"*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19\"}")
        .replace("127.0.0.1:3306", "127.0.0.1:3306\n    server_user: pool\n    server_password: p");
    assert_eq!(parse(&text).server_identity("app").expect("the user exists").user, "pool");
}

#[test]
fn anchors_and_merges_share_settings() {
    let config = parse(
        "
listeners: [{address: '[::1]:6033'}, {address: /run/dazzle.sock}]
clusters:
  a: &base {primary: 'a:1', pool: {size_max: 7}, connect_timeout: 1s}
  b: {<<: *base, primary: 'b:1'}
users:
  u: {password: x, cluster: b}
",
    );
    assert_eq!(config.clusters["b"].primary, "b:1");
    assert_eq!(config.clusters["b"].pool, config.clusters["a"].pool);
    assert_eq!(config.clusters["b"].connect_timeout, Duration::from_secs(1));
}

#[test]
fn debug_output_holds_no_password() {
    let config = parse(&MINIMAL.replace("secret", "hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"));
}
