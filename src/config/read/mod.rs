//! From the tree of a file to typed settings: each struct of `config` is read by one function here.
//!
//! A function asks its [`Section`] for every field by name, so a field that nobody reads does not
//! compile, a key that nobody asks for is refused, and the list of all settings and defaults falls out.

mod address;
mod backend;
mod binlog;
mod cache;
mod frontend;
pub(crate) mod kind;
mod process;
mod protection;
mod redis;
mod secret;
mod sharding;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::document::{ConfigError, Fingerprint, Node, Problem, Report, Section, Setting};
use crate::config::{Cluster, Config, User, UserSource};

/// What a file says, and what was needed to understand it.
pub(crate) struct Reading {
    pub(crate) config: Result<Config, ConfigError>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) files: BTreeMap<PathBuf, Fingerprint>,
}

/// Reads `text`, the content of `file`. Relative paths in it are seen from the file's folder.
pub(crate) fn read(text: &str, file: &Path) -> Reading {
    let report = Report::new(file.parent().unwrap_or(Path::new("")));
    let node = match Node::parse(text) {
        Ok(node) => node,
        Err(error) => {
            let problem = Problem::new(error.at, "", error.message);
            let config = Err(ConfigError::new(file, text, vec![problem]));
            return Reading { config, settings: Vec::new(), files: BTreeMap::new() };
        }
    };
    let config = config(&Section::root(&report, &node));
    let (problems, settings, files) = report.into_parts();
    let config = if problems.is_empty() { Ok(config) } else { Err(ConfigError::new(file, text, problems)) };
    Reading { config, settings, files }
}

fn config(root: &Section<'_>) -> Config {
    let listeners = frontend::listeners(root);
    let clusters: Vec<(&str, Section<'_>, Cluster)> = root
        .named("clusters", 1)
        .into_iter()
        .map(|(name, section)| {
            check_name(name, &section);
            let cluster = backend::cluster(&section);
            (name, section, cluster)
        })
        .collect();
    let surroundings = Surroundings {
        clusters: clusters.iter().map(|(name, _, cluster)| (*name, cluster)).collect(),
        secure_listener: listeners.iter().any(|(_, listener)| frontend::can_be_secure(listener)),
    };
    backend::check_sources(&clusters);
    let from_server =
        clusters.iter().any(|(_, _, cluster)| matches!(cluster.users, UserSource::FromServer(_)));
    let users: BTreeMap<String, User> = root
        .named("users", usize::from(!from_server))
        .into_iter()
        .map(|(name, section)| (name.to_owned(), frontend::user(name, &section, &surroundings)))
        .collect();
    for (name, section, cluster) in &clusters {
        backend::check_shares(name, section, cluster, &users);
    }
    let tls = root.child("tls");
    let names: Vec<&str> = clusters.iter().map(|(name, ..)| *name).collect();
    let known = protection::Known { users: &users, clusters: &names };
    let protection = protection::protection(&root.child("protection"), known);
    let config = Config {
        tls: frontend::tls(&tls, &listeners),
        listeners: listeners.into_iter().map(|(_, listener)| listener).collect(),
        clusters: clusters.into_iter().map(|(name, _, cluster)| (name.to_owned(), cluster)).collect(),
        timeouts: frontend::timeouts(&root.child("timeouts")),
        limits: frontend::limits(&root.child("limits")),
        protection,
        cache: cache::cache(&root.child("cache")),
        users,
        admin: process::admin(&root.child("admin")),
        process: process::process(&root.child("process")),
        logging: process::logging(&root.child("logging")),
        sharding: sharding::sharding(&root.child("sharding")),
    };
    process::check_ports(root, &config);
    root.finish();
    config
}

/// See [`crate::config::duration`].
pub(crate) fn duration(text: &str) -> Option<std::time::Duration> {
    kind::duration(text)
}

/// What a user's settings are checked against.
struct Surroundings<'c> {
    clusters: BTreeMap<&'c str, &'c Cluster>,
    /// Whether some listener has TLS or is a unix socket.
    secure_listener: bool,
}

/// The name of a cluster becomes a label of metrics and a word in logs.
fn check_name(name: &str, section: &Section<'_>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        section.wrong("the name must be 1 to 64 letters, digits, `_`, `-` or `.`");
    }
}
