//! The demo's `dazzle.yaml`: small enough to be read, and to be edited while it runs.

use std::net::SocketAddr;

/// What the file says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Where clients connect.
    pub(super) listener: SocketAddr,
    /// The operators' port.
    pub(super) http: SocketAddr,
    /// The server that takes writes.
    pub(super) primary: SocketAddr,
    /// The server that follows it.
    pub(super) replica: SocketAddr,
    /// The other shard's, in the same order.
    pub(super) south: [SocketAddr; 2],
    /// Server connections at most.
    pub(super) pool: u32,
    /// Client connections at most.
    pub(super) connections_max: u32,
}

/// Who clients say they are.
pub(super) const CLIENT_USER: &str = "app";
/// Their password.
pub(super) const CLIENT_PASSWORD: &str = "app-secret";
/// Who the proxy says it is at the servers.
pub(super) const SERVER_USER: &str = "dazzle";
/// The same at the shards, so that the connections of either can be counted.
pub(super) const SHARD_USER: &str = "dazzle_shards";
/// The password of both.
pub(super) const SERVER_PASSWORD: &str = "dazzle-secret";
/// The schema of the data set.
pub(super) const SCHEMA: &str = "food";
/// The logical database, which lies on two shards.
pub(super) const SHARDED: &str = "waimai";
/// Its rules.
pub(super) const RULES: &str = include_str!("../../../sharding-rules/waimai.yaml");
/// The file of its rules, beside the configuration.
pub(super) const RULES_FILE: &str = "waimai.yaml";

impl Settings {
    /// The file's text.
    pub(super) fn to_yaml(self) -> String {
        let Self { listener, http, primary, replica, south, pool, connections_max } = self;
        let [south_primary, south_replica] = south;
        format!(
            "\
# The demo's configuration. Edit and save it: the running proxy takes the change at once.
# docs/dazzle.example.yaml explains every setting.

listeners:
  - address: {listener}

clusters:
  {SCHEMA}:
    primary: {primary}
    replicas: [\"{replica}\"]
    server_user: {SERVER_USER}
    server_password: {SERVER_PASSWORD}
    pool:
      size_max: {pool}        # server connections at most; the clients share them

  # The two shards of `{SHARDED}`. The first is on the servers above.
  north:
    primary: {primary}
    replicas: [\"{replica}\"]
    server_user: {SHARD_USER}
    server_password: {SERVER_PASSWORD}
  south:
    primary: {south_primary}
    replicas: [\"{south_replica}\"]
    server_user: {SHARD_USER}
    server_password: {SERVER_PASSWORD}

sharding:
  rules: [{RULES_FILE}]

users:
  {CLIENT_USER}:
    password: {CLIENT_PASSWORD}
    cluster: {SCHEMA}
    schema: {SCHEMA}

limits:
  connections_max: {connections_max}

admin:
  http: {http}    # /metrics, /healthz, /readyz, /digests
"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_file_is_a_valid_configuration() {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let settings = Settings {
            listener: at(6033),
            http: at(6032),
            primary: at(20_001),
            replica: at(20_002),
            south: [at(20_003), at(20_004)],
            pool: 7,
            connections_max: 300,
        };
        let config = Config::parse(&settings.to_yaml(), Path::new("/x/dazzle.yaml")).unwrap();
        assert_eq!(config.clusters[SCHEMA].pool.size_max, 7);
        assert_eq!(config.clusters[SCHEMA].replicas, ["127.0.0.1:20002"]);
        assert_eq!(config.clusters["south"].primary, "127.0.0.1:20003");
        assert_eq!(config.limits.connections_max, 300);
        assert_eq!(config.server_identity(CLIENT_USER).unwrap().user, SERVER_USER);
    }
}
