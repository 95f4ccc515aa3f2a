//! `dazzle check`: is the configuration right, and what does it mean?

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::{Table, presets};

use crate::backend::tls::client_config;
use crate::config::{Cluster, Config, ConfigFile, Listener, ListenerAddress, Setting, TlsMode, User};
use crate::frontend::tls::Material;
use crate::server;

/// Check a configuration without serving.
///
/// Reads the file and everything it names (passwords, certificates, sharding rules), prints what was
/// understood, and ends with 0. If anything is wrong, prints every mistake as `file:line:column: setting:
/// what is wrong` on standard error, and ends with 1. Makes nothing and connects to nothing.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "dazzle.yaml")]
    config: PathBuf,

    /// List every setting with the value in effect and where it comes from
    #[arg(long)]
    settings: bool,
}

/// Checks and tells.
pub(super) fn run(arguments: &Check) -> ExitCode {
    let mut file = ConfigFile::new(&arguments.config);
    let config = match file.load() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mistakes = beyond_the_file(&config, &mut file);
    if !mistakes.is_empty() {
        eprintln!("{}", mistakes.join("\n"));
        return ExitCode::FAILURE;
    }
    if arguments.settings {
        print(&settings(file.settings()));
    } else {
        print(&format!("{} is valid\n\n{}", file.path().display(), summary(&config)));
    }
    ExitCode::SUCCESS
}

/// What would keep `dazzle serve` from starting although the file itself is right: sharding rules, certificates and
/// keys that are no such thing or do not belong together.
fn beyond_the_file(config: &Config, file: &mut ConfigFile) -> Vec<String> {
    let mut mistakes = server::load_rules(config, file).err().unwrap_or_default();
    let path = file.path().display();
    if let Err(error) = Material::check(&config.tls, &server::tls_folder(file)) {
        mistakes.push(format!("{path}: tls: {error}"));
    }
    for (name, cluster) in &config.clusters {
        if cluster.tls.mode != TlsMode::Disabled
            && let Err(error) = client_config(&cluster.tls)
        {
            mistakes.push(format!("{path}: clusters.{name}.tls: {error}"));
        }
    }
    mistakes
}

/// Writes to standard output; whoever reads it may close it early, as `head` does.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// What the configuration means, a line for each listener, cluster and user.
fn summary(config: &Config) -> String {
    let mut table = plain_table();
    for listener in &config.listeners {
        table.add_row(["listener", &listener.address.to_string(), &about_listener(listener)]);
    }
    for (name, cluster) in &config.clusters {
        table.add_row(["cluster", name, &about_cluster(cluster)]);
    }
    for (name, user) in &config.users {
        table.add_row(["user", name, &about_user(config, name, user)]);
    }
    if let Some(http) = config.admin.http {
        table.add_row(["admin", &http.to_string(), "http: /metrics, /healthz, /readyz"]);
    }
    format!("{}\n", table.trim_fmt())
}

fn about_listener(listener: &Listener) -> String {
    let mut about = match listener.address {
        ListenerAddress::Tcp(_) => format!("tls {}", listener.tls),
        ListenerAddress::Unix(_) => "unix socket".to_owned(),
    };
    if !listener.proxy_protocol.is_empty() {
        let networks: Vec<String> = listener.proxy_protocol.iter().map(ToString::to_string).collect();
        about.push_str(&format!(", proxy protocol from {}", networks.join(", ")));
    }
    about
}

fn about_cluster(cluster: &Cluster) -> String {
    let replicas = match cluster.replicas.as_slice() {
        [] => "no replica".to_owned(),
        replicas => format!("replicas {}", replicas.join(", ")),
    };
    let all = match cluster.connections_max {
        0 => String::new(),
        max => format!(", {max} in all"),
    };
    let max = cluster.pool.size_max;
    format!(
        "primary {}, {replicas}; at most {max} connections to each server and account{all}",
        cluster.primary
    )
}

fn about_user(config: &Config, name: &str, user: &User) -> String {
    let account = match config.server_identity(name) {
        Some(identity) if identity.user != name => format!(" as `{}`", identity.user),
        _ => String::new(),
    };
    let mut about = format!("to {}{account}", user.cluster);
    if user.dedicated > 0 {
        about.push_str(&format!(", {} connections of its own", user.dedicated));
    }
    if user.require_tls {
        about.push_str(", only through TLS or a unix socket");
    }
    about
}

/// Every setting, its value, and whether that was given.
fn settings(settings: &[Setting]) -> String {
    let mut table = plain_table();
    for setting in settings {
        let origin = if setting.given { "given" } else { "default" };
        table.add_row([setting.path.as_str(), setting.value.as_deref().unwrap_or("-"), origin]);
    }
    format!("{}\n", table.trim_fmt())
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_summary_tells_listeners_clusters_and_users() {
        let text = "
listeners: [{address: '127.0.0.1:6033', proxy_protocol: [10.0.0.0/8]}, {address: /run/d.sock}]
clusters: {main: {primary: 'db1:3306', replicas: ['db2:3306'], server_user: pool, server_password: p}}
users: {app: {password: hunter2, dedicated: 2}, own: {password: hunter2, server_user: own, require_tls: true}}
";
        let config = Config::parse(text, Path::new("dazzle.yaml")).expect("valid");
        let expected = [
            " listener  127.0.0.1:6033  tls preferred, proxy protocol from 10.0.0.0/8",
            " listener  /run/d.sock     unix socket",
            " cluster   main            primary db1:3306, replicas db2:3306; at most 20 connections to each server and account",
            " user      app             to main as `pool`, 2 connections of its own",
            " user      own             to main, only through TLS or a unix socket",
        ];
        assert_eq!(summary(&config).lines().collect::<Vec<_>>(), expected);
    }
}
