//! `docs/dazzle.example.yaml` shows every setting, each with the default that the code has.

use std::collections::BTreeSet;

use dazzle::config::{ConfigFile, Setting};

use crate::folder::Folder;

pub(crate) const EXAMPLE: &str = include_str!("../../docs/dazzle.example.yaml");

/// The example with every commented-out setting made live: `#name: value`, and `#- name: value` in lists.
pub(crate) fn uncommented(text: &str) -> String {
    let live = |line: &str| {
        let code = line.trim_start();
        let setting = code.strip_prefix('#').filter(|rest| {
            let name = rest.strip_prefix("- ").unwrap_or(rest);
            let end = name.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(0);
            end > 0 && name[end..].starts_with(':')
        });
        setting.map_or_else(
            || line.to_owned(),
            |setting| format!("{}{setting}", &line[..line.len() - code.len()]),
        )
    };
    text.lines().map(live).collect::<Vec<_>>().join("\n")
}

/// Everything that is a default in the text of `text`, and what is wrong with that.
fn untrue(text: &str) -> Vec<String> {
    let folder = Folder::new();
    for name in ["server-ca.pem", "towards-servers.pem", "dazzle.pem", "clients-ca.pem"] {
        folder.write(&format!("tls/{name}"), "-----BEGIN CERTIFICATE-----\n");
    }
    for name in ["towards-servers.key", "dazzle.key"] {
        folder.write(&format!("tls/{name}"), "-----BEGIN PRIVATE KEY-----\n");
    }
    let mut file = ConfigFile::new(folder.write("dazzle.yaml", &uncommented(text)));
    // All settings at once contradict each other in exactly these places.
    let error = file.load().expect_err("not all settings make sense together");
    let mut wrong: Vec<String> = error
        .problems()
        .iter()
        .filter(|problem| {
            !["tls.directory", "clusters.main.tls.ca", "clusters.main.accounts", "cache.rules[0].tables"]
                .contains(&problem.path())
        })
        .map(|problem| format!("{}: {}", problem.path(), problem.message()))
        .collect();
    let given: BTreeSet<&str> = file
        .settings()
        .iter()
        .filter(|setting| setting.given)
        .map(|setting| setting.pattern.as_str())
        .collect();
    for Setting { path, pattern, value, default, given: here } in file.settings() {
        if !given.contains(pattern.as_str()) {
            wrong.push(format!("{path}: not in the example"));
        } else if *here && default.is_some() && value != default {
            wrong.push(format!("{path}: the example has {value:?}, the code {default:?}"));
        }
    }
    wrong
}

#[test]
fn the_example_is_valid_as_it_stands() {
    let folder = Folder::new();
    let mut file = ConfigFile::new(folder.write("dazzle.yaml", EXAMPLE));
    let config = file.load().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.users["app"].cluster, "main");
}

#[test]
fn the_example_shows_every_setting_with_its_default() {
    assert_eq!(untrue(EXAMPLE), Vec::<String>::new());
}

#[test]
fn a_setting_that_the_example_forgets_or_tells_wrongly_is_noticed() {
    let forgotten = EXAMPLE.replace("      #lifetime: 1h\n", "");
    assert_eq!(untrue(&forgotten), ["clusters.main.pool.lifetime: not in the example"]);
    let stale = EXAMPLE.replace("#size_max: 20", "#size_max: 21");
    assert_eq!(
        untrue(&stale),
        [r#"clusters.main.pool.size_max: the example has Some("21"), the code Some("20")"#]
    );
    let unknown = EXAMPLE.replace("#workers: 0", "#workers: 0\n  #colour: red");
    assert_eq!(untrue(&unknown), ["process.colour: unknown setting"]);
}
