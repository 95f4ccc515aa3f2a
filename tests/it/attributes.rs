//! Connection attributes: what a client tells of itself, and what a server sees.

use dazzle::lab::{Account, Lab, LabOptions};

use crate::support::{PASSWORD, Setup, USER};

both! {
    async fn attributes_of_clients_reach_rules_and_those_of_the_proxy_the_server(server) {
        // Servers keep attributes where their performance schema is on: MySQL's usually is, MariaDB's is not.
        let (flavor, arguments) = (server.flavor(), vec!["--performance-schema=ON".to_owned()]);
        let lab = Lab::start(&LabOptions { arguments, ..LabOptions::new(flavor) }).await.unwrap();
        lab.primary().create_account(&Account::new(flavor, USER, PASSWORD)).await.unwrap();
        let rules = "protection: {rules: [{name: mine, applications: [it], tables: [denied], deny: true}]}";
        let proxy = Setup::new(lab.primary()).pool("size_max: 1").top(rules).start().await;
        let mut conn = proxy.connect().await;
        let list = |name: &str| {
            format!(
                "SELECT GROUP_CONCAT(ATTR_VALUE) FROM performance_schema.session_account_connect_attrs \
                 WHERE ATTR_NAME = '{name}'"
            )
        };
        // One server connection, whoever uses it: it tells who made it, and what the client is called nowhere.
        for (name, expected) in [
            ("_client_name", "dazzle"),
            ("_client_version", env!("CARGO_PKG_VERSION")),
            ("_pid", &proxy.pid().to_string()),
            ("program_name", "NULL"),
        ] {
            assert_eq!(conn.value(&list(name)).await, expected, "{name}");
        }
        // The client's own name, which its login has told, is what rules compare.
        assert_eq!(conn.fails("SELECT * FROM denied").await, 1227);
    }
}
