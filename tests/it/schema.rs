//! What a logical database shows of itself: the same as one server with its tables, and no name of a slot.

use std::fs;

use dazzle::lab::{Flavor, Lab, Server};

use crate::support::{At, Conn, Login, Part, Proxy, Reply, Setup, own_lab};

const TABLES: [&str; 3] = [
    "CREATE TABLE users (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, email VARCHAR(80) NOT NULL COMMENT 'login', \
     UNIQUE KEY email (email)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci",
    "CREATE TABLE orders (order_id BIGINT UNSIGNED NOT NULL, user_id BIGINT UNSIGNED NOT NULL, note TEXT, \
     PRIMARY KEY (order_id, user_id), KEY of_user (user_id)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci",
    "CREATE TABLE shops (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(40) DEFAULT 'none') ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 \
     COLLATE=utf8mb4_unicode_ci",
];

/// Users with their orders in two slots, shops in two others, a slot of each kind on each server.
struct Scene {
    _second: Lab,
    proxy: Proxy,
    name: &'static str,
    whole: Conn,
}

async fn scene(first: &'static Server, name: &'static str) -> Scene {
    let second = own_lab(first.flavor()).await;
    for (number, server) in [first, second.primary()].into_iter().enumerate() {
        for (kind, tables) in [("user", &TABLES[..2]), ("shop", &TABLES[2..])] {
            let database = format!("{name}_{kind}_{number}");
            server.create_schema(&database).await.unwrap();
            let mut sql = vec![format!("USE {database}"), "CREATE TABLE stray (a INT)".to_owned()];
            sql.extend(tables.iter().map(|table| (*table).to_owned()));
            server.execute(&sql).await.unwrap();
        }
    }
    // One server that has all of it, under the name of the logical database.
    let whole = second.primary();
    whole.create_schema(name).await.unwrap();
    let mut sql = vec![format!("USE {name}")];
    sql.extend(TABLES.map(str::to_owned));
    whole.execute(&sql).await.unwrap();
    let whole = Login::new(At::Tcp(whole.address().to_string())).schema(name).connect().await;
    let path = second.dir().join(format!("{name}.yaml"));
    let rules = format!(
        "api: dazzle/v1\nname: {name}\nrevision: 1\nkeys: {{user_id: bigint unsigned, shop_id: bigint}}\nplacements:\n  \
         by_user: {{hash: user_id, slots: {{main: 0, second: 1}}, database: '{name}_user_{{slot}}'}}\n  \
         by_shop: {{hash: shop_id, slots: {{main: 0, second: 1}}, database: '{name}_shop_{{slot}}'}}\ntables:\n  \
         users: {{placement: by_user, columns: {{id: user_id}}, unique: local}}\n  orders: {{with: users, columns: {{user_id: user_id}}}}\n  \
         shops: {{placement: by_shop, columns: {{id: shop_id}}}}\ntests: [{{table: users, slots: all}}]\n"
    );
    fs::write(&path, rules).unwrap();
    let mut setup =
        Setup::new(first).user("cluster: main").top(&format!("sharding: {{rules: [{}]}}", path.display()));
    setup.clusters =
        format!("  second:\n    primary: {}\n    pool: {{size_max: 20}}\n", second.primary().address());
    let proxy = setup.start().await;
    Scene { _second: second, proxy, name, whole }
}

/// Columns and rows.
fn shown(reply: &Reply) -> (Vec<String>, Vec<Vec<String>>) {
    match reply.parts.first() {
        Some(Part::Rows { columns, .. }) => (columns.clone(), reply.rows()),
        other => panic!("no rows: {other:?}"),
    }
}

/// What a client may ask; in DB's place the logical database stands.
const QUESTIONS: [&str; 24] = [
    "SHOW TABLES",
    "SHOW FULL TABLES",
    "SHOW TABLES LIKE 'o%'",
    "SHOW TABLES FROM DB",
    "SHOW FULL TABLES FROM `DB` WHERE Table_type = 'BASE TABLE'",
    "SHOW COLUMNS FROM shops",
    "SHOW FULL COLUMNS FROM users FROM DB",
    "SHOW FIELDS FROM DB.orders",
    "SHOW INDEX FROM orders",
    "SHOW KEYS FROM users FROM `DB`",
    "SHOW CREATE TABLE shops",
    "SHOW CREATE TABLE `DB`.`users`",
    "DESCRIBE shops",
    "DESC DB.orders user_id",
    "EXPLAIN users",
    "SHOW TRIGGERS",
    "SELECT table_name, table_type, table_comment FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name",
    "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'DB' AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME",
    "SELECT c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE, c.IS_NULLABLE, c.COLUMN_DEFAULT, c.COLUMN_KEY, c.EXTRA FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = 'DB' AND c.TABLE_NAME = 'users' ORDER BY c.ORDINAL_POSITION",
    "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 'DB'",
    "SELECT index_name, column_name, non_unique FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'orders' ORDER BY index_name, seq_in_index",
    "SELECT kc.column_name AS c, kc.constraint_name AS k, kc.table_schema AS s FROM information_schema.key_column_usage AS kc, information_schema.table_constraints AS tc WHERE kc.table_schema = DATABASE() AND tc.table_schema = kc.table_schema AND tc.table_name = kc.table_name AND tc.constraint_name = kc.constraint_name AND kc.table_name = 'orders' ORDER BY kc.constraint_name, kc.ordinal_position",
    "SELECT CONSTRAINT_NAME AS n, DELETE_RULE AS d FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = 'DB'",
    "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'mysql' OR TABLE_NAME = 'stray'",
];

both! {
    async fn a_logical_database_shows_what_one_server_would(server) {
        let mut scene = scene(server, "shown_base").await;
        let mut conn = scene.proxy.login().schema(scene.name).connect().await;
        for question in QUESTIONS {
            let sql = question.replace("DB", scene.name);
            let got = shown(&conn.query(&sql).await);
            if question.contains("'stray'") {
                assert_eq!(got.1, [["0"]], "nothing but the logical database's tables");
                continue;
            }
            let expected = shown(&scene.whole.query(&sql).await);
            // Estimates of rows differ from one table to another.
            let steady = |(columns, mut rows): (Vec<String>, Vec<Vec<String>>)| {
                if let Some(at) = columns.iter().position(|column| column == "Cardinality") {
                    rows.iter_mut().for_each(|row| row[at] = String::new());
                }
                (columns, rows)
            };
            assert_eq!(steady(got), steady(expected), "{sql}");
        }
    }

    async fn databases_are_the_logical_ones_and_what_is_one_servers_is_refused(server) {
        let scene = scene(server, "shown_names").await;
        let mut conn = scene.proxy.login().schema(scene.name).connect().await;
        let (columns, rows) = shown(&conn.ok("SHOW DATABASES").await);
        assert_eq!((columns, rows), (vec!["Database".to_owned()], vec![vec!["information_schema".to_owned()], vec![scene.name.to_owned()]]));
        for refused in [
            "SHOW TABLE STATUS",
            "SELECT * FROM information_schema.TABLES",
            "SELECT TABLE_ROWS FROM information_schema.TABLES",
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA",
            "SHOW TABLES FROM mysql",
        ] {
            assert_eq!(conn.fails(refused).await, 1235, "{refused}");
        }
        assert_eq!(conn.fails("SHOW COLUMNS FROM stray").await, 1146);
        // COM_FIELD_LIST, which completion in shells goes by.
        conn.send(b"\x04shops\0").await;
        let mut fields = Vec::new();
        while fields.last().is_none_or(|packet: &Vec<u8>| packet[0] == 3) {
            fields.push(conn.packet().await);
        }
        let names = String::from_utf8_lossy(&fields.concat()).into_owned();
        assert!(fields.len() == 3 && names.contains("name") && names.contains(scene.name), "{names}");
        assert!(!names.contains("shop_0"), "{names}");
        if server.flavor() == Flavor::MariaDb {
            conn.ok("BEGIN").await;
            assert_eq!(conn.ok("SHOW TABLES").await.rows().len(), 3, "before a transaction has a shard");
            conn.ok("COMMIT").await;
        }
        assert_eq!(conn.value("SELECT DATABASE()").await, scene.name);
    }
}
