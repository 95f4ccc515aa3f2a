//! What clients are offered: capabilities and the server version they decide by.

use crate::backend::{Flavor, Topology};
use crate::wire::Capabilities;

/// Offered to everybody.
const OFFER: Capabilities = Capabilities::CLIENT_MYSQL
    .and_also(Capabilities::FOUND_ROWS)
    .and_also(Capabilities::LONG_FLAG)
    .and_also(Capabilities::CONNECT_WITH_DB)
    .and_also(Capabilities::COMPRESS)
    .and_also(Capabilities::ODBC)
    .and_also(Capabilities::LOCAL_FILES)
    .and_also(Capabilities::IGNORE_SPACE)
    .and_also(Capabilities::PROTOCOL_41)
    .and_also(Capabilities::INTERACTIVE)
    .and_also(Capabilities::TRANSACTIONS)
    .and_also(Capabilities::SECURE_CONNECTION)
    .and_also(Capabilities::MULTI_STATEMENTS)
    .and_also(Capabilities::MULTI_RESULTS)
    .and_also(Capabilities::PS_MULTI_RESULTS)
    .and_also(Capabilities::PLUGIN_AUTH)
    .and_also(Capabilities::CONNECT_ATTRS)
    .and_also(Capabilities::PLUGIN_AUTH_LENENC)
    .and_also(Capabilities::CAN_HANDLE_EXPIRED_PASSWORDS)
    .and_also(Capabilities::SESSION_TRACK)
    .and_also(Capabilities::DEPRECATE_EOF)
    .and_also(Capabilities::ZSTD);

/// Told while no server has been reached yet: recent enough for every driver, and with nothing that
/// only one of the two servers has.
const VERSION_UNKNOWN: &str = "8.0.36-dazzle";

/// What a greeting says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The lowest version of all servers.
    pub version: String,
    /// What every server, and this proxy, can do.
    pub capabilities: Capabilities,
    /// The collation of that server's own greeting.
    pub collation: u8,
}

/// `utf8mb4_general_ci`: while no server is known.
const COLLATION_UNKNOWN: u8 = 45;

/// What a greeting has to say at this moment.
#[must_use]
pub fn offer(topology: &Topology, tls: bool) -> Offered {
    let mut capabilities = OFFER;
    if tls {
        capabilities |= Capabilities::SSL;
    }
    let facts: Vec<_> = topology.clusters().filter_map(|cluster| cluster.primary.facts()).collect();
    let all_known = facts.len() == topology.clusters().count();
    if all_known && !facts.is_empty() && facts.iter().all(|facts| facts.flavor == Flavor::MySql) {
        // MariaDB has no query attributes: what not every server can do is not offered.
        capabilities |= Capabilities::QUERY_ATTRIBUTES;
    }
    if all_known && !facts.is_empty() && facts.iter().all(|facts| facts.extended_metadata) {
        // A greeting without CLIENT_MYSQL says that MariaDB's own flags in it are valid.
        capabilities = capabilities.without(Capabilities::CLIENT_MYSQL);
        capabilities |= Capabilities::MARIADB_EXTENDED_METADATA;
    }
    if all_known && !facts.is_empty() && facts.iter().all(|facts| facts.bulk) {
        capabilities = capabilities.without(Capabilities::CLIENT_MYSQL) | Capabilities::MARIADB_BULK;
    }
    match facts.iter().min_by_key(|facts| numbers(&facts.version)) {
        Some(facts) => Offered { version: facts.version.clone(), capabilities, collation: facts.collation },
        None => Offered { version: VERSION_UNKNOWN.to_owned(), capabilities, collation: COLLATION_UNKNOWN },
    }
}

/// `5.5.5-10.11.6-MariaDB` → `[10, 11, 6]`, `9.7.0` → `[9, 7, 0]`.
fn numbers(version: &str) -> Vec<u32> {
    let version = version.strip_prefix("5.5.5-").unwrap_or(version);
    version.split(|c: char| !c.is_ascii_digit()).take(3).map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashMap};
    use std::path::Path;
    use std::sync::Arc;

    use crate::backend::{PreparedAccount, ServerFacts, SessionImage};
    use crate::config::Config;

    use super::*;

    fn facts(version: &str) -> ServerFacts {
        let flavor = Flavor::of(version);
        let image = || Arc::new(SessionImage::new(None, BTreeMap::new()));
        ServerFacts {
            version: version.to_owned(),
            flavor,
            fresh: image(),
            reset: image(),
            collations: HashMap::new(),
            collation: if flavor == Flavor::MySql { 255 } else { 8 },
            packet_bytes_max: 16 << 20,
            extended_metadata: flavor == Flavor::MariaDb,
            bulk: flavor == Flavor::MariaDb,
            prepared: Arc::new(PreparedAccount::new(100)),
        }
    }

    /// Two clusters, of whose servers so much is known.
    fn told(first: Option<&str>, second: Option<&str>) -> Offered {
        let text = "listeners: [{address: '127.0.0.1:6033'}]\nusers: {u: {password: x, cluster: a}}\n\
                    clusters: {a: {primary: 'h:1'}, b: {primary: 'h:2'}}\n";
        let config = Config::parse(text, Path::new("dazzle.yaml")).expect("valid");
        let topology = Topology::build(&config, &BTreeSet::new(), None).expect("no files to read");
        for (name, version) in [("a", first), ("b", second)] {
            if let Some(version) = version {
                topology.cluster(name).expect("just made").primary.learn(Arc::new(facts(version)));
            }
        }
        offer(&topology, true)
    }

    #[test]
    fn only_what_every_server_can_do_is_offered() {
        const MARIADB: &str = "5.5.5-10.11.6-MariaDB";
        const MYSQL: &str = "9.7.0";
        let check = |servers: [Option<&str>; 2], version: &str, collation: u8, own: [bool; 3]| {
            let offered = told(servers[0], servers[1]);
            let has = |capability| offered.capabilities.has(capability);
            let [attributes, metadata, bulk] = own;
            assert_eq!((&*offered.version, offered.collation), (version, collation), "{servers:?}");
            assert_eq!(has(Capabilities::QUERY_ATTRIBUTES), attributes, "{servers:?}");
            assert_eq!(has(Capabilities::MARIADB_EXTENDED_METADATA), metadata, "{servers:?}");
            assert_eq!(has(Capabilities::MARIADB_BULK), bulk, "{servers:?}");
            // MariaDB's own flags are valid only without it.
            assert_eq!(has(Capabilities::CLIENT_MYSQL), !(metadata || bulk), "{servers:?}");
            assert!(has(Capabilities::SSL) && has(Capabilities::DEPRECATE_EOF), "{servers:?}");
        };
        check([None, None], VERSION_UNKNOWN, COLLATION_UNKNOWN, [false, false, false]);
        check([Some(MYSQL), None], MYSQL, 255, [false, false, false]);
        check([Some(MYSQL), Some("8.0.36")], "8.0.36", 255, [true, false, false]);
        check([Some(MARIADB), Some("5.5.5-11.4.2-MariaDB")], MARIADB, 8, [false, true, true]);
        check([Some(MARIADB), Some(MYSQL)], MYSQL, 255, [false, false, false]);
    }

    #[test]
    fn versions_compare_by_their_numbers() {
        assert!(numbers("5.5.5-10.11.6-MariaDB") > numbers("9.7.0"));
        assert!(numbers("8.0.36") < numbers("8.0.100"));
    }
}
