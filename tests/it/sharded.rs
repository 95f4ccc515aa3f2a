//! A logical database over two servers: what ends a statement on all of them, what is refused, and what stays one
//! although it is written many times.

use std::fs;
use std::path::PathBuf;

use dazzle::lab::{Flavor, Lab, Server};

use crate::support::{At, Conn, Login, Part, Proxy, Reply, Setup, eventually, own_lab};

/// Two servers with a slot each, and the proxy before them.
pub(crate) struct Scene {
    first: &'static Server,
    pub(crate) second: Lab,
    proxy: Proxy,
    rules: PathBuf,
    name: &'static str,
}

/// Where slots are, unless a story has them elsewhere.
pub(crate) const SLOTS: &str = "main: 0, second: 1";

const TABLES: [&str; 2] = [
    "CREATE TABLE orders (id BIGINT NOT NULL, user_id BIGINT NOT NULL, note VARCHAR(20), PRIMARY KEY (id, user_id))",
    "CREATE TABLE cities (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20), \
     made TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6))",
];

fn rules(name: &str, defaults: &str, slots: &str) -> String {
    format!(
        "api: dazzle/v1\nname: {name}\nrevision: 1\ndefaults: {{{defaults}}}\nkeys: {{user_id: bigint}}\nplacements:\n  \
         by_user: {{range: user_id, ranges: {{0: {{below: 100}}, 1: {{}}}}, slots: {{{slots}}}, database: \
         '{name}_{{slot}}'}}\ntables:\n  orders: {{placement: by_user}}\n  cities: {{reference: true}}\n\
         tests: [{{table: orders, slots: all}}]\n"
    )
}

/// Keys below 100 are on the first server, those from 100 on the second.
pub(crate) async fn scene(
    first: &'static Server,
    name: &'static str,
    defaults: &str,
    user: &str,
    slots: &str,
) -> Scene {
    let second = own_lab(first.flavor()).await;
    for (server, slot) in [(first, 0), (second.primary(), 1)] {
        let database = format!("{name}_{slot}");
        server.create_schema(&database).await.unwrap();
        let mut sql = vec![format!("USE {database}")];
        sql.extend(TABLES.map(str::to_owned));
        server.execute(&sql).await.unwrap();
    }
    let path = second.dir().join(format!("{name}.yaml"));
    fs::write(&path, rules(name, defaults, slots)).unwrap();
    let mut setup = Setup::new(first)
        .user(&["cluster: main", user].join(", "))
        .top(&format!("sharding: {{rules: [{}]}}", path.display()));
    setup.clusters = format!(
        "  second:\n    primary: {}\n    connect_timeout: 500ms\n    pool: {{size_max: 20}}\n",
        second.primary().address()
    );
    let proxy = setup.start().await;
    Scene { first, second, proxy, rules: path, name }
}

impl Scene {
    pub(crate) async fn connect(&self) -> Conn {
        self.proxy.login().schema(self.name).connect().await
    }

    /// A session on a server itself, in its slot.
    pub(crate) async fn direct(&self, slot: usize) -> Conn {
        let server = if slot == 0 { self.first } else { self.second.primary() };
        let at = At::Tcp(server.address().to_string());
        Login::new(at).schema(&format!("{}_{slot}", self.name)).connect().await
    }

    pub(crate) async fn fill(&self, conn: &mut Conn) {
        for user in [1, 2, 101, 102] {
            conn.ok(&format!("INSERT INTO orders (id, user_id, note) VALUES ({user}, {user}, 'x')")).await;
        }
    }
}

/// The code and text of the error that ended a reply.
pub(crate) fn error(reply: &Reply) -> (u16, String) {
    match reply.parts.last() {
        Some(Part::Err { code, message, .. }) => (*code, message.clone()),
        other => panic!("no error: {other:?}"),
    }
}

/// How many statements on `orders` a server is executing.
async fn executing(conn: &mut Conn) -> String {
    let sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT id%FROM orders%'";
    conn.value(sql).await
}

both! {
    async fn kill_reaches_every_server_that_a_statement_runs_on(server) {
        let scene = scene(server, "killed", "", "hints: []", SLOTS).await;
        let (mut victim, mut killer) = (scene.connect().await, scene.connect().await);
        scene.fill(&mut killer).await;
        let (mut first, mut second) = (scene.direct(0).await, scene.direct(1).await);
        for locker in [&mut first, &mut second] {
            locker.ok("LOCK TABLES orders WRITE").await;
        }
        victim.send_query("SELECT id FROM orders ORDER BY id").await;
        for locker in [&mut first, &mut second] {
            eventually("the statement on both servers", async || executing(locker).await == "1").await;
        }
        killer.ok(&format!("KILL QUERY {}", victim.greeting.connection_id)).await;
        let reply = victim.reply().await;
        assert_eq!(error(&reply).0, 1317, "{reply:?}");
        for locker in [&mut first, &mut second] {
            eventually("its end on both servers", async || executing(locker).await == "0").await;
            locker.ok("UNLOCK TABLES").await;
        }
        assert_eq!(victim.value("SELECT COUNT(*) FROM orders").await, "4", "the session goes on");
    }

    async fn a_read_ends_everywhere_after_the_time_of_the_rules(server) {
        let scene = scene(server, "hurried", "scatter_read: {timeout: 300ms}", "hints: []", SLOTS).await;
        let mut conn = scene.connect().await;
        scene.fill(&mut conn).await;
        let mut second = scene.direct(1).await;
        second.ok("LOCK TABLES orders WRITE").await;
        let reply = conn.query("SELECT id FROM orders ORDER BY id").await;
        let number = if server.flavor() == Flavor::MariaDb { 1969 } else { 3024 };
        let (code, message) = error(&reply);
        assert!(code == number && message.starts_with("DZ1604"), "{code} {message}");
        eventually("its end on the server", async || executing(&mut second).await == "0").await;
        assert_eq!(conn.value("SELECT COUNT(*) FROM orders WHERE user_id < 50 AND user_id = 1").await, "1");
        second.ok("UNLOCK TABLES").await;
        assert_eq!(conn.value("SELECT COUNT(*) FROM orders").await, "4");
    }

    async fn more_rows_than_the_rules_allow_are_an_error_and_no_result(server) {
        let scene = scene(server, "counted", "scatter_read: {rows_max: 3}", "hints: []", SLOTS).await;
        let mut conn = scene.connect().await;
        scene.fill(&mut conn).await;
        let (code, message) = error(&conn.query("SELECT id FROM orders ORDER BY id").await);
        assert!(code == 1104 && message.starts_with("DZ1605"), "{code} {message}");
        assert_eq!(conn.ok("SELECT id FROM orders ORDER BY id LIMIT 1").await.rows().len(), 1);
        assert_eq!(conn.ok("SELECT id FROM orders WHERE user_id = 1").await.rows().len(), 1);
    }

    async fn a_shard_that_is_down_fails_only_what_needs_it(server) {
        let scene = scene(server, "halved", "cross_shard_transactions: best_effort", "hints: []", SLOTS).await;
        let mut conn = scene.connect().await;
        scene.fill(&mut conn).await;
        let Scene { second, proxy, name, .. } = scene;
        drop(second);
        for _ in 0..2 {
            assert_eq!(conn.value("SELECT COUNT(*) FROM orders WHERE user_id = 1").await, "1");
            assert_eq!(conn.value("SELECT COUNT(*) FROM cities").await, "0");
            conn.ok("UPDATE orders SET note = 'y' WHERE user_id = 2").await;
            conn.fails("SELECT COUNT(*) FROM orders WHERE user_id = 101").await;
            conn.fails("SELECT COUNT(*) FROM orders").await;
            conn.fails("INSERT INTO cities (name) VALUES ('nowhere')").await;
        }
        let mut fresh = proxy.login().schema(name).connect().await;
        assert_eq!(fresh.value("SELECT note FROM orders WHERE user_id = 2").await, "y");
    }

    async fn new_rules_reach_running_sessions_but_no_open_transaction(server) {
        let scene = scene(server, "renewed", "", "hints: []", SLOTS).await;
        let (mut free, mut bound) = (scene.connect().await, scene.connect().await);
        scene.fill(&mut free).await;
        bound.ok("BEGIN").await;
        assert_eq!(bound.value("SELECT COUNT(*) FROM orders WHERE user_id = 1").await, "1");
        let only_users = rules(scene.name, "", SLOTS).replace("revision: 1", "revision: 2").replace("  cities: {reference: true}\n", "");
        fs::write(&scene.rules, only_users).unwrap();
        eventually("the new rules", async || free.query("SELECT * FROM cities").await.error().is_some()).await;
        assert_eq!(bound.value("SELECT COUNT(*) FROM orders WHERE user_id = 2").await, "1");
        assert_eq!(bound.value("SELECT COUNT(*) FROM cities").await, "0", "the transaction began under the old rules");
        bound.ok("COMMIT").await;
        assert!(bound.query("SELECT * FROM cities").await.error().is_some());
        assert_eq!(free.value("SELECT COUNT(*) FROM orders").await, "4");
    }

    async fn copies_of_new_rows_have_one_id_and_one_time(server) {
        let scene = scene(server, "copied", "cross_shard_transactions: best_effort", "hints: []", SLOTS).await;
        let mut conn = scene.connect().await;
        let mut second = scene.direct(1).await;
        // What the copies' servers would generate by themselves is not the same.
        second.ok("INSERT INTO cities (name) VALUES ('gone')").await;
        second.ok("DELETE FROM cities").await;
        conn.ok("INSERT INTO cities (name) VALUES ('a'), ('b')").await;
        conn.ok("INSERT INTO cities (id, name) VALUES (10, 'c')").await;
        conn.ok("INSERT INTO cities (name) VALUES ('d')").await;
        conn.ok("UPDATE cities SET made = CURRENT_TIMESTAMP(6), name = 'B' WHERE name = 'b'").await;
        let all = "SELECT * FROM cities ORDER BY id";
        let (one, other) = (scene.direct(0).await.ok(all).await.rows(), second.ok(all).await.rows());
        assert_eq!(one, other);
        let ids: Vec<&str> = one.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(ids, ["1", "2", "10", "11"]);
        assert_eq!(conn.value("SELECT COUNT(*) FROM cities WHERE made > NOW() - INTERVAL 1 DAY").await, "4");
    }

    async fn what_concerns_one_server_alone_is_refused(server) {
        let scene = scene(server, "common", "", "hints: []", SLOTS).await;
        let mut conn = scene.connect().await;
        scene.fill(&mut conn).await;
        assert_eq!(conn.fails("SET GLOBAL max_connections = 100").await, 1235);
        conn.ok("SET sql_select_limit = 1").await;
        assert_eq!(conn.fails("SELECT COUNT(*), note FROM orders GROUP BY note").await, 1235);
        assert_eq!(conn.ok("SELECT id FROM orders WHERE user_id = 1").await.rows().len(), 1);
        conn.ok("SET sql_select_limit = DEFAULT").await;
        assert_eq!(conn.ok("SELECT id FROM orders").await.rows().len(), 4);
    }

    async fn a_hint_needs_a_user_who_may_use_it(server) {
        let scene = scene(server, "hinted", "", "hints: [slot]", SLOTS).await;
        let mut conn = scene.connect().await;
        scene.fill(&mut conn).await;
        assert_eq!(conn.value("SELECT /*+ dazzle: slot=by_user/1 */ MIN(id) FROM orders").await, "101");
        assert_eq!(conn.fails("DELETE /*+ dazzle: scatter */ FROM orders").await, 1227);
        assert_eq!(conn.fails("SELECT /*+ dazzle: shard=second */ id FROM orders").await, 1227);
        let astray = "INSERT /*+ dazzle: slot=by_user/1 */ INTO orders (id, user_id) VALUES (7, 7)";
        let (code, message) = error(&conn.query(astray).await);
        assert!(code == 1235 && message.starts_with("DZ1504"), "{code} {message}");
        conn.ok("DELETE /*+ dazzle: slot=by_user/1 */ FROM orders").await;
        assert_eq!(conn.value("SELECT COUNT(*) FROM orders").await, "2");
    }
}
