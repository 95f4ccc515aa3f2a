//! Ids from sequences: INSERTs that leave them out are answered as one server with AUTO_INCREMENT answers them, and
//! no id is ever given twice.

use std::collections::BTreeSet;
use std::fs;

use dazzle::lab::{Lab, Server};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Value};

use crate::support::{At, PASSWORD, Proxy, Setup, USER, own_lab};

const TABLES: [&str; 2] = [
    "CREATE TABLE users (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(4) NOT NULL)",
    "CREATE TABLE orders (order_id BIGINT UNSIGNED NOT NULL PRIMARY KEY, user_id BIGINT UNSIGNED NOT NULL, note VARCHAR(20))",
];

/// Two servers with two slots each, their sequences on the first, and a proxy before them.
struct Scene {
    second: Lab,
    setup: Setup,
    name: &'static str,
}

async fn scene(first: &'static Server, name: &'static str) -> Scene {
    let second = own_lab(first.flavor()).await;
    for slot in 0..4 {
        let server = if slot < 2 { first } else { second.primary() };
        let database = format!("{name}_{slot}");
        server.create_schema(&database).await.unwrap();
        let mut sql = vec![format!("USE {database}")];
        sql.extend(TABLES.map(str::to_owned));
        server.execute(&sql).await.unwrap();
    }
    for server in [first, second.primary()] {
        let ids = format!("{name}_ids");
        server.create_schema(&ids).await.unwrap();
        let table = format!(
            "CREATE TABLE {ids}.sequences (name VARCHAR(64) PRIMARY KEY, next BIGINT UNSIGNED NOT NULL)"
        );
        let rows = format!("INSERT INTO {ids}.sequences VALUES ('user_ids', 0), ('order_numbers', 1)");
        server.execute(&[table, rows]).await.unwrap();
    }
    let path = second.dir().join(format!("{name}.yaml"));
    let rules = format!(
        "api: dazzle/v1\nname: {name}\nrevision: 1\ndefaults: {{cross_shard_transactions: best_effort}}\n\
         keys:\n  user_id: bigint unsigned\n  order_id: {{type: bigint unsigned, bits: {{bucket: 0-13, number: 14-62}}}}\n\
         placements:\n  by_user: {{hash: user_id, also_from: {{order_id: {{bucket: bucket}}}}, slots: {{main: 0-1, second: 2-3}}, database: '{name}_{{slot}}'}}\n\
         sequences:\n  user_ids: {{shard: second, database: {name}_ids, table: sequences, step: 50}}\n  \
         lost: {{shard: main, database: {name}_ids, table: sequences}}\n  \
         order_numbers: {{shard: main, database: {name}_ids, table: sequences, step: 10}}\n  \
         order_ids: {{key: order_id, fill: {{number: order_numbers, bucket: user_id}}}}\n\
         tables:\n  users: {{placement: by_user, columns: {{id: user_id}}, generate: {{id: user_ids}}}}\n  \
         orders: {{with: users, columns: {{user_id: user_id, order_id: order_id}}, generate: {{order_id: order_ids}}}}\n  \
         others: {{with: users, columns: {{id: user_id}}, generate: {{id: lost}}}}\n\
         tests: [{{table: users, slots: all}}]\n"
    );
    fs::write(&path, rules).unwrap();
    let mut setup =
        Setup::new(first).user("cluster: main").top(&format!("sharding: {{rules: [{}]}}", path.display()));
    setup.clusters = format!(
        "  second:\n    primary: {}\n    connect_timeout: 500ms\n    pool: {{size_max: 20}}\n",
        second.primary().address()
    );
    Scene { second, setup, name }
}

async fn connect(at: At, schema: &str) -> Conn {
    let At::Tcp(address) = at else { panic!("not over TCP") };
    let (host, port) = address.rsplit_once(':').unwrap();
    let opts = OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(port.parse().unwrap())
        .prefer_socket(false)
        .user(Some(USER))
        .pass(Some(PASSWORD))
        .db_name(Some(schema));
    Conn::new(opts).await.unwrap()
}

impl Scene {
    async fn connect(&self, proxy: &Proxy) -> Conn {
        connect(proxy.at(), self.name).await
    }
}

/// What a client sees of an INSERT, by text or prepared.
async fn insert(conn: &mut Conn, sql: &str, parameters: Option<Vec<Value>>) -> String {
    let result = match parameters {
        None => conn.query_drop(sql).await,
        Some(parameters) => conn.exec_drop(sql, parameters).await,
    };
    let told = match result {
        Ok(()) => format!(
            "{} rows, id {}, {} warnings, {:?}",
            conn.affected_rows(),
            conn.last_insert_id().unwrap_or_default(),
            conn.get_warnings(),
            conn.info()
        ),
        Err(mysql_async::Error::Server(error)) => format!("error {}", error.code),
        Err(error) => panic!("{sql}: {error}"),
    };
    let warnings: Vec<(String, u16, String)> = conn.query("SHOW WARNINGS").await.unwrap();
    let codes: Vec<u16> = warnings.iter().map(|warning| warning.1).collect();
    let last: u64 = conn.query_first("SELECT LAST_INSERT_ID()").await.unwrap().unwrap();
    let named: Vec<(u64, String)> = conn.query("SELECT id, name FROM users ORDER BY id").await.unwrap();
    format!("{told}; {codes:?}; last {last}; {named:?}")
}

fn code(error: &mysql_async::Error) -> u16 {
    match error {
        mysql_async::Error::Server(error) => error.code,
        error => panic!("{error}"),
    }
}

both! {
    async fn an_insert_without_its_id_is_answered_as_by_one_server(server) {
        let scene = scene(server, "one_id").await;
        let proxy = scene.setup.start().await;
        let mut sharded = scene.connect(&proxy).await;
        server.create_schema("one_id_whole").await.unwrap();
        let mut whole = connect(At::Tcp(server.address().to_string()), "one_id_whole").await;
        whole.query_drop(TABLES[0]).await.unwrap();
        let text = |text: &str| Value::from(text);
        let statements: [(&str, Option<Vec<Value>>); 12] = [
            ("INSERT INTO users (name) VALUES ('a')", None),
            ("INSERT INTO users (name) VALUES (?)", Some(vec![text("b")])),
            ("INSERT INTO users (id, name) VALUES (NULL, ?)", Some(vec![text("c")])),
            ("INSERT INTO users (id, name) VALUES (?, ?)", Some(vec![Value::NULL, text("d")])),
            ("INSERT INTO users (id, name) VALUES (0, 'e')", None),
            ("INSERT INTO users SET name = 'f'", None),
            ("INSERT INTO users (name) VALUES ('g'), ('h'), ('i')", None),
            ("INSERT INTO users (id, name) VALUES (DEFAULT, ?), (?, ?)", Some(vec![text("j"), Value::NULL, text("k")])),
            ("INSERT IGNORE INTO users (name) VALUES ('much too long')", None),
            ("REPLACE INTO users (name) VALUES ('m')", None),
            ("INSERT INTO users (name) VALUES (?)", Some(vec![text("much too long")])),
            ("INSERT INTO users (name) VALUES (NULL)", None),
        ];
        for (sql, parameters) in statements {
            let one = insert(&mut whole, sql, parameters.clone()).await;
            assert_eq!(one, insert(&mut sharded, sql, parameters).await, "{sql}");
        }
    }

    async fn ids_are_never_given_twice_over_two_proxies_and_a_crash(server) {
        let scene = scene(server, "twice").await;
        let (one, other) = (scene.setup.start().await, scene.setup.start().await);
        let mut ids = BTreeSet::new();
        let mut count = 0;
        for round in 0..2 {
            let mut conns = Vec::new();
            for proxy in [&one, &other] {
                for _ in 0..4 {
                    conns.push(scene.connect(proxy).await);
                }
            }
            for _ in 0..15 {
                let inserts = conns.iter_mut().map(async |conn| {
                    conn.exec_drop("INSERT INTO users (name) VALUES (?), ('y')", ("x",)).await.unwrap();
                    conn.last_insert_id().unwrap()
                });
                for id in futures(inserts.collect()).await {
                    assert!(ids.insert(id) && ids.insert(id + 1), "{id} came twice");
                    count += 2;
                }
            }
            if round == 0 {
                other.signal(rustix::process::Signal::KILL);
                other.ended().await;
                let again = other.start_again();
                again.ready().await;
                let mut conn = scene.connect(&again).await;
                conn.query_drop("INSERT INTO users (name) VALUES ('z')").await.unwrap();
                assert!(ids.insert(conn.last_insert_id().unwrap()));
                count += 1;
                drop(again);
                break;
            }
        }
        let mut conn = scene.connect(&one).await;
        let all: Option<usize> = conn.query_first("SELECT COUNT(DISTINCT id) FROM users").await.unwrap();
        assert_eq!(all, Some(count));
    }

    async fn a_composed_id_leads_to_its_row(server) {
        let scene = scene(server, "composed").await;
        let proxy = scene.setup.start().await;
        let mut conn = scene.connect(&proxy).await;
        let insert = "INSERT INTO orders (user_id, note) VALUES (?, ?)";
        for user in [1001_u64, 2, 10086, 77] {
            conn.exec_drop(insert, (user, "x")).await.unwrap();
            let id = conn.last_insert_id().unwrap();
            let found: Option<u64> =
                conn.exec_first("SELECT user_id FROM orders WHERE order_id = ?", (id,)).await.unwrap();
            assert_eq!(found, Some(user));
            let route: Vec<(String, String)> = conn
                .query(format!("EXPLAIN ROUTE SELECT * FROM orders WHERE order_id = {id} AND user_id = {user}"))
                .await
                .unwrap();
            assert!(route[0].1.starts_with("one slot"), "{route:?}");
        }
        let route: Vec<(String, String)> =
            conn.query("EXPLAIN ROUTE INSERT INTO orders (user_id) VALUES (1001)").await.unwrap();
        assert_eq!(route[0].1, "rows with new ids, in by_user/0");
        assert_eq!(route[1], ("ids".to_owned(), "order_id from order_ids".to_owned()));
        conn.query_drop("START TRANSACTION").await.unwrap();
        conn.query_drop("INSERT INTO orders (user_id, note) VALUES (1001, 'a')").await.unwrap();
        conn.query_drop("UPDATE orders SET note = 'b' WHERE user_id = 1001 AND note = 'a'").await.unwrap();
        assert_eq!(conn.affected_rows(), 1);
        conn.query_drop("ROLLBACK").await.unwrap();
        let left: Option<u64> = conn.query_first("SELECT COUNT(*) FROM orders").await.unwrap();
        assert_eq!(left, Some(4));
        let error = conn.query_drop("INSERT INTO orders (note) VALUES ('nobody')").await.unwrap_err();
        assert_eq!(code(&error), 1364);
    }

    async fn what_cannot_be_counted_is_refused_in_time_and_the_session_goes_on(server) {
        let scene = scene(server, "uncounted").await;
        let proxy = scene.setup.start().await;
        let mut conn = scene.connect(&proxy).await;
        let error = conn.query_drop("INSERT INTO others (name) VALUES ('x')").await.unwrap_err();
        assert_eq!(code(&error), 1467, "no row: {error}");
        conn.query_drop("SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'").await.unwrap();
        let error = conn.query_drop("INSERT INTO users (id, name) VALUES (0, 'x')").await.unwrap_err();
        assert_eq!(code(&error), 1235, "{error}");
        drop(scene.second);
        let error = conn.query_drop("INSERT INTO users (name) VALUES ('x')").await.unwrap_err();
        assert_eq!(code(&error), 1467, "its server is gone: {error}");
        let none: Option<u64> = conn.query_first("SELECT COUNT(*) FROM users WHERE id = 1001").await.unwrap();
        assert_eq!(none, Some(0));
    }
}

/// All of them at once.
async fn futures<F: Future>(all: Vec<F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).map(Some).collect();
    let mut done: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in all.iter_mut().zip(&mut done) {
            if let Some(running) = future
                && let std::task::Poll::Ready(ready) = running.as_mut().poll(cx)
            {
                (*output, *future) = (Some(ready), None);
            }
        }
        if all.iter().all(Option::is_none) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
