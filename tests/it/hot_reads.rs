//! Results kept in memory: as a server would have told them, each only to whom it would, and never an old one.

use dazzle::lab::Server;
use dazzle::wire::Capabilities;

use crate::support::{
    At, Conn, Login, Parameter, Proxy, Reply, Setup, assert_same, eventually, execution, own_lab,
};

const RULES: &str = "cache: {rules: [{name: menu, tables: [menu, item, place], ttl: 1h}]}";

async fn tables(server: &Server, schema: &str) {
    server.create_schema(schema).await.unwrap();
    server
        .execute(&[
            format!("CREATE TABLE {schema}.menu (id INT PRIMARY KEY, name VARCHAR(20), price DECIMAL(8,2))"),
            format!("INSERT INTO {schema}.menu VALUES (1,'soup',4.50),(2,'bread',1.20),(3,NULL,0)"),
            format!("CREATE TABLE {schema}.item (id INT PRIMARY KEY, menu INT, n INT)"),
            format!("INSERT INTO {schema}.item VALUES (1,1,10),(2,1,20),(3,2,30)"),
            format!("CREATE TABLE {schema}.aside (id INT PRIMARY KEY, n INT)"),
            format!("INSERT INTO {schema}.aside VALUES (1,1)"),
        ])
        .await
        .unwrap();
}

pub(crate) async fn kept(server: &Server, schema: &str) -> Proxy {
    tables(server, schema).await;
    let proxy = Setup::new(server).top(RULES).start().await;
    let mut conn = proxy.login().schema(schema).connect().await;
    warm(&proxy, &mut conn).await;
    proxy
}

/// Waits until it is known what the server's tables are.
async fn warm(proxy: &Proxy, conn: &mut Conn) {
    eventually("the server's tables are known", async || {
        let before = reads(proxy, "hit");
        conn.ok("SELECT COUNT(*) FROM menu").await;
        reads(proxy, "hit") > before
    })
    .await;
}

pub(crate) fn reads(proxy: &Proxy, outcome: &str) -> f64 {
    proxy.metric("dazzle_cache_reads_total", &format!("outcome=\"{outcome}\""))
}

/// Runs `sql` and says whether it was answered from memory.
pub(crate) async fn is_hit(proxy: &Proxy, conn: &mut Conn, sql: &str) -> bool {
    let before = reads(proxy, "hit") + reads(proxy, "shared");
    conn.ok(sql).await;
    reads(proxy, "hit") + reads(proxy, "shared") > before
}

/// Every reply of `script`, run twice through a proxy that keeps results, is that of the server.
async fn same_as_direct(
    server: &'static Server,
    schema: &str,
    client: impl Fn(Login) -> Login,
    script: impl AsyncFn(&mut Conn),
) {
    let proxy = kept(server, schema).await;
    let mut direct = client(Login::new(At::Tcp(server.address().to_string()))).schema(schema).connect().await;
    script(&mut direct).await;
    for round in 0..2 {
        let mut conn = client(proxy.login()).schema(schema).connect().await;
        let before = reads(&proxy, "hit");
        script(&mut conn).await;
        assert!(reads(&proxy, "hit") > before, "round {round}: nothing came from memory");
        assert_same(&direct.log, &conn.log);
    }
}

/// Reads, each of them three times, and what sessions can ask about them afterwards.
async fn reads_and_questions(conn: &mut Conn) {
    for sql in [
        "SELECT * FROM menu ORDER BY id",
        "SELECT name, price * 2 AS double_price FROM menu WHERE id = 2",
        "SELECT m.name, SUM(i.n) FROM menu m JOIN item i ON i.menu = m.id GROUP BY m.name ORDER BY 1",
        "SELECT id FROM menu WHERE id > 100",
        "SELECT id FROM menu ORDER BY id LIMIT 1, 1",
    ] {
        for _ in 0..3 {
            conn.query("SELECT * FROM aside WHERE id = 1").await;
            conn.query(sql).await;
            conn.query("SELECT ROW_COUNT()").await;
            conn.query(sql).await;
            conn.query("SHOW WARNINGS").await;
            conn.query(sql).await;
            conn.query("SELECT @@warning_count, @@error_count").await;
            // In the EOF before its rows MySQL warns of FOUND_ROWS() already, which is not about kept results.
            let modern = conn.capabilities.has(Capabilities::DEPRECATE_EOF);
            if modern && !sql.contains("LIMIT 1, 1") {
                conn.query(sql).await;
                conn.query("SELECT FOUND_ROWS()").await;
            }
        }
    }
    // Statements that leave warnings and errors, and reads after them.
    for sql in ["SELECT name + 1 FROM menu WHERE id = 1", "SELECT nothing FROM menu", "SELECT * FROM nowhere"]
    {
        for _ in 0..2 {
            conn.query(sql).await;
            conn.query("SHOW WARNINGS").await;
            conn.query("SELECT * FROM menu ORDER BY id").await;
            conn.query("SHOW WARNINGS").await;
        }
    }
}

/// The same of prepared statements, with parameters of several types.
async fn prepared_reads(conn: &mut Conn) {
    let by_id = conn.prepare("SELECT id, name, price FROM menu WHERE id = ?").await.unwrap();
    let by_name =
        conn.prepare("SELECT id, price FROM menu WHERE name = ? OR price > ? ORDER BY id").await.unwrap();
    let all = conn.prepare("SELECT * FROM menu ORDER BY id").await.unwrap();
    for _ in 0..3 {
        for id in [1, 2, 3, 4] {
            let reply = conn.execute(by_id, &[Parameter::int(id)]).await;
            conn.note("by id", &reply);
            let reply = conn.execute_with(by_id, 0, &[Parameter::int(id)], false).await;
            conn.note("by id, types as before", &reply);
        }
        let reply = conn.execute(by_name, &[Parameter::text(b"soup"), Parameter::int(2)]).await;
        conn.note("by name", &reply);
        let reply = conn.execute(by_name, &[Parameter::text(b"soup"), Parameter::text(b"0.5")]).await;
        conn.note("by name, another type", &reply);
        let reply = conn.execute(all, &[]).await;
        conn.note("all", &reply);
        conn.query("SELECT ROW_COUNT()").await;
        conn.execute(all, &[]).await;
        conn.query("SHOW WARNINGS").await;
    }
}

both! {
    async fn replies_are_the_servers_own(server) {
        same_as_direct(server, "it_hot_same", |login| login, reads_and_questions).await;
    }

    async fn replies_are_the_servers_own_for_older_clients(server) {
        let older = |login: Login| login.without(Capabilities::DEPRECATE_EOF).without(Capabilities::SESSION_TRACK);
        same_as_direct(server, "it_hot_older", older, reads_and_questions).await;
    }

    async fn replies_are_the_servers_own_through_compression(server) {
        let small = |login: Login| login.with(Capabilities::COMPRESS);
        same_as_direct(server, "it_hot_small", small, reads_and_questions).await;
    }

    async fn prepared_replies_are_the_servers_own(server) {
        same_as_direct(server, "it_hot_prepared", |login| login, prepared_reads).await;
    }

    async fn prepared_replies_are_the_servers_own_for_older_clients(server) {
        let older = |login: Login| login.without(Capabilities::DEPRECATE_EOF);
        same_as_direct(server, "it_hot_prepared_older", older, prepared_reads).await;
    }

    async fn prepared_reads_are_kept_by_their_parameters(server) {
        let proxy = kept(server, "it_hot_bound").await;
        let mut conn = proxy.login().schema("it_hot_bound").connect().await;
        let mut writer = proxy.login().schema("it_hot_bound").connect().await;
        let sql = "SELECT name FROM menu WHERE id = ?";
        let id = conn.prepare(sql).await.unwrap();
        let other = writer.prepare(sql).await.unwrap();
        let name = |reply: Reply| {
            let row = reply.packets[reply.packets.len() - 2].clone();
            String::from_utf8_lossy(&row[3..]).into_owned()
        };
        let hits = || reads(&proxy, "hit");
        let before = hits();
        for _ in 0..2 {
            assert_eq!(name(conn.execute(id, &[Parameter::int(1)]).await), "soup");
            assert_eq!(name(conn.execute(id, &[Parameter::int(2)]).await), "bread");
            assert_eq!(name(writer.execute(other, &[Parameter::int(1)]).await), "soup");
            // The types of the execution before.
            assert_eq!(name(conn.execute_with(id, 0, &[Parameter::int(2)], false).await), "bread");
        }
        assert!(hits() - before >= 5.0, "{} hits", hits() - before);
        writer.ok("UPDATE menu SET name = 'stew' WHERE id = 1").await;
        assert_eq!(name(conn.execute(id, &[Parameter::int(1)]).await), "stew");
        assert_eq!(name(writer.execute(other, &[Parameter::int(1)]).await), "stew");
        assert_eq!(name(conn.execute(id, &[Parameter::text(b"1")]).await), "stew");
        let before = hits();
        conn.ok("BEGIN").await;
        conn.execute(id, &[Parameter::int(1)]).await;
        conn.ok("COMMIT").await;
        assert_eq!(hits(), before);
        writer.ok("ALTER TABLE menu MODIFY name VARCHAR(40)").await;
        assert_eq!(name(conn.execute(id, &[Parameter::int(1)]).await), "stew");
    }

    async fn whatever_changes_a_result_has_results_of_its_own(server) {
        let proxy = kept(server, "it_hot_keys").await;
        let mut conn = proxy.login().schema("it_hot_keys").connect().await;
        let sql = "SELECT name FROM menu WHERE id = 1";
        assert!(!is_hit(&proxy, &mut conn, sql).await);
        assert!(is_hit(&proxy, &mut conn, sql).await);
        // The same session state in another session shares it; another text, or state, does not.
        let mut other = proxy.login().schema("it_hot_keys").connect().await;
        assert!(is_hit(&proxy, &mut other, sql).await);
        assert!(!is_hit(&proxy, &mut other, "SELECT name FROM menu WHERE id = 2").await);
        for set in [
            "SET NAMES latin1",
            "SET sql_mode = ''",
            "SET time_zone = '+03:00'",
            "SET sql_select_limit = 1",
            "SET group_concat_max_len = 5",
        ] {
            other.ok(set).await;
            assert!(!is_hit(&proxy, &mut other, sql).await, "{set}");
            assert!(is_hit(&proxy, &mut other, sql).await, "{set}");
        }
        let mut older = proxy.login().without(Capabilities::DEPRECATE_EOF).schema("it_hot_keys").connect().await;
        assert!(!is_hit(&proxy, &mut older, sql).await);
        server.create_schema("it_hot_elsewhere").await.unwrap();
        server.execute(&["CREATE TABLE it_hot_elsewhere.menu AS SELECT 1 AS id, 'tea' AS name"]).await.unwrap();
        let mut elsewhere = proxy.login().schema("it_hot_elsewhere").connect().await;
        assert_eq!(elsewhere.value(sql).await, "tea");
    }

    async fn what_only_the_session_sees_is_neither_kept_nor_given(server) {
        let proxy = kept(server, "it_hot_own").await;
        let mut conn = proxy.login().schema("it_hot_own").connect().await;
        let sql = "SELECT name FROM menu WHERE id = 1";
        conn.ok(sql).await;
        assert!(is_hit(&proxy, &mut conn, sql).await);
        conn.ok("BEGIN").await;
        assert!(!is_hit(&proxy, &mut conn, sql).await);
        conn.ok("COMMIT").await;
        conn.ok("SET autocommit = 0").await;
        assert!(!is_hit(&proxy, &mut conn, sql).await);
        conn.ok("SET autocommit = 1").await;
        conn.ok("CREATE TEMPORARY TABLE menu (id INT, name VARCHAR(20))").await;
        conn.ok("INSERT INTO menu VALUES (1, 'mine')").await;
        assert_eq!(conn.value(sql).await, "mine");
        let mut other = proxy.login().schema("it_hot_own").connect().await;
        assert_eq!(other.value(sql).await, "soup");
        conn.ok("DROP TEMPORARY TABLE menu").await;
        for sql in [
            "SELECT name, NOW(6) FROM menu",
            "SELECT name, RAND() FROM menu",
            "SELECT name, UUID() FROM menu",
            "SELECT name, CONNECTION_ID() FROM menu",
            "SELECT name, CURRENT_USER() FROM menu",
            "SELECT name, @x FROM menu",
            "SELECT name FROM menu LOCK IN SHARE MODE",
            "SELECT name, n FROM menu, aside",
        ] {
            for _ in 0..3 {
                assert!(!is_hit(&proxy, &mut other, sql).await, "{sql}");
            }
        }
    }

    async fn views_and_what_hangs_on_other_tables_is_seen_through(server) {
        tables(server, "it_hot_views").await;
        let proxy = Setup::new(server).top(RULES).start().await;
        let mut conn = proxy.login().schema("it_hot_views").connect().await;
        warm(&proxy, &mut conn).await;
        // `place` is named by a rule and is a view; `cheap` is one that can be written.
        server
            .execute(&[
                "CREATE TABLE it_hot_views.stock (id INT PRIMARY KEY, n INT)",
                "INSERT INTO it_hot_views.stock VALUES (1, 1)",
                "CREATE VIEW it_hot_views.place AS SELECT n FROM it_hot_views.aside",
                "CREATE VIEW it_hot_views.cheap AS SELECT * FROM it_hot_views.menu WHERE price < 3",
                "CREATE TABLE it_hot_views.parent (id INT PRIMARY KEY) ENGINE=InnoDB",
                "INSERT INTO it_hot_views.parent VALUES (1), (2)",
                "CREATE TRIGGER it_hot_views.t AFTER UPDATE ON it_hot_views.stock FOR EACH ROW \
                 UPDATE it_hot_views.menu SET name = 'by trigger' WHERE id = 1",
            ])
            .await
            .unwrap();
        conn.ok("ALTER TABLE item ADD FOREIGN KEY (menu) REFERENCES parent (id) ON DELETE CASCADE").await;
        warm(&proxy, &mut conn).await;
        for _ in 0..3 {
            assert!(!is_hit(&proxy, &mut conn, "SELECT n FROM place").await);
        }
        let checks = [
            ("UPDATE cheap SET name = 'by view' WHERE id = 2", "SELECT name FROM menu WHERE id = 2", "by view"),
            ("DELETE FROM parent WHERE id = 1", "SELECT COUNT(*) FROM item", "1"),
            ("UPDATE stock SET n = 2", "SELECT name FROM menu WHERE id = 1", "by trigger"),
        ];
        for (write, read, expected) in checks {
            warm(&proxy, &mut conn).await;
            conn.ok(read).await;
            assert!(is_hit(&proxy, &mut conn, read).await, "{read}");
            conn.ok(write).await;
            assert_eq!(conn.value(read).await, expected, "{write}");
        }
    }

    async fn a_write_ends_what_is_kept_before_its_client_hears_of_it(server) {
        let proxy = kept(server, "it_hot_writes").await;
        let mut conn = proxy.login().schema("it_hot_writes").connect().await;
        let mut writer = proxy.login().schema("it_hot_writes").connect().await;
        let read = "SELECT name FROM menu WHERE id = 1";
        let unrelated = "SELECT SUM(n) FROM item";
        let prepared = writer.prepare("UPDATE menu SET name = 'prepared' WHERE id = 1").await.unwrap();
        conn.ok(unrelated).await;
        for (write, expected) in [
            ("UPDATE menu SET name = 'a' WHERE id = 1", "a"),
            ("REPLACE INTO menu VALUES (1, 'b', 1)", "b"),
            ("INSERT INTO menu VALUES (1, 'x', 1) ON DUPLICATE KEY UPDATE name = 'c'", "c"),
            ("UPDATE it_hot_writes.menu m JOIN item i ON i.menu = m.id SET m.name = 'd' WHERE m.id = 1", "d"),
            ("SELECT 1; UPDATE menu SET name = 'e' WHERE id = 1", "e"),
            ("/*!50000 UPDATE menu SET name = 'f' WHERE id = 1 */", "f"),
        ] {
            conn.ok(read).await;
            writer.ok(write).await;
            assert_eq!(conn.value(read).await, expected, "{write}");
        }
        conn.ok(read).await;
        writer.execute(prepared, &[]).await;
        assert_eq!(conn.value(read).await, "prepared");
        assert!(proxy.metric("dazzle_cache_invalidations_total", "reach=\"tables\"") >= 5.0);
        writer.ok("BEGIN").await;
        writer.ok("UPDATE menu SET name = 'committed' WHERE id = 1").await;
        assert_eq!(conn.value(read).await, "prepared");
        assert_eq!(conn.value(read).await, "prepared");
        writer.ok("COMMIT").await;
        assert_eq!(conn.value(read).await, "committed");
        writer.ok("SET autocommit = 0").await;
        writer.ok("UPDATE menu SET name = 'implicit' WHERE id = 1").await;
        assert_eq!(conn.value(read).await, "committed");
        writer.ok("SET autocommit = 1").await;
        assert_eq!(conn.value(read).await, "implicit");
        writer.ok("CREATE PROCEDURE p() UPDATE menu SET name = 'called' WHERE id = 1").await;
        warm(&proxy, &mut conn).await;
        conn.ok(read).await;
        writer.ok("CALL p()").await;
        assert_eq!(conn.value(read).await, "called");
        writer.ok("ALTER TABLE menu ADD COLUMN extra INT DEFAULT 7").await;
        warm(&proxy, &mut conn).await;
        assert_eq!(conn.value("SELECT extra FROM menu WHERE id = 1").await, "7");
        conn.ok("SELECT * FROM menu WHERE id = 1").await;
        writer.ok("ALTER TABLE menu DROP COLUMN extra").await;
        assert_eq!(conn.ok("SELECT * FROM menu WHERE id = 1").await.packets[0], [3]);
        writer.ok("PREPARE s FROM 'UPDATE menu SET name = ''executed'' WHERE id = 1'").await;
        warm(&proxy, &mut conn).await;
        conn.ok(read).await;
        writer.ok("EXECUTE s").await;
        assert_eq!(conn.value(read).await, "executed");
        writer.ok("TRUNCATE menu").await;
        assert_eq!(conn.value("SELECT COUNT(*) FROM menu").await, "0");
        writer.ok("DROP TABLE menu").await;
        assert_eq!(conn.fails(read).await, 1146);
    }

    async fn writes_of_other_tables_end_nothing(server) {
        let proxy = kept(server, "it_hot_apart").await;
        let mut conn = proxy.login().schema("it_hot_apart").connect().await;
        let read = "SELECT name FROM menu WHERE id = 1";
        conn.ok(read).await;
        conn.ok("UPDATE aside SET n = n + 1").await;
        assert!(is_hit(&proxy, &mut conn, read).await);
        conn.ok("CREATE TEMPORARY TABLE own (a INT)").await;
        conn.ok("DROP TEMPORARY TABLE own").await;
        let mut other = proxy.login().schema("it_hot_apart").connect().await;
        assert!(is_hit(&proxy, &mut other, read).await);
    }

    async fn a_thousand_identical_reads_are_one_statement_of_the_server(server) {
        let rules = RULES.replace("{rules", "{wait_timeout: 60s, rules");
        a_thousand_at_once(server, &rules).await;
    }

    async fn a_thousand_identical_reads_are_one_statement_also_where_nothing_is_kept(server) {
        let rules = RULES.replace("{rules", "{wait_timeout: 60s, rules");
        a_thousand_at_once(server, &rules.replace("ttl: 1h", "ttl: 0s")).await;
    }

    async fn an_account_that_does_not_see_everything_ends_everything_with_each_write(server) {
        tables(server, "it_hot_blind").await;
        let account = if server.flavor() == dazzle::lab::Flavor::MariaDb { "VIA mysql_native_password USING PASSWORD('x')" } else { "BY 'x'" };
        server
            .execute(&[
                "DROP USER IF EXISTS blind".to_owned(),
                format!("CREATE USER blind IDENTIFIED {account}"),
                "GRANT SELECT, INSERT, UPDATE, DELETE ON it_hot_blind.* TO blind".to_owned(),
                "CREATE TABLE it_hot_blind.ledger (n INT)".to_owned(),
                "INSERT INTO it_hot_blind.ledger VALUES (1)".to_owned(),
                "CREATE TRIGGER it_hot_blind.t AFTER UPDATE ON it_hot_blind.ledger FOR EACH ROW \
                 UPDATE it_hot_blind.menu SET name = 'unseen' WHERE id = 1".to_owned(),
            ])
            .await
            .unwrap();
        let proxy = Setup::new(server).users("blind: {password: x}").top(RULES).start().await;
        let mut conn = proxy.login().user("blind", "x").schema("it_hot_blind").connect().await;
        warm(&proxy, &mut conn).await;
        let read = "SELECT name FROM menu WHERE id = 1";
        conn.ok(read).await;
        assert!(is_hit(&proxy, &mut conn, read).await);
        conn.ok("UPDATE ledger SET n = 5").await;
        assert_eq!(conn.value(read).await, "unseen");
    }

    async fn rules_and_switches_hold_for_kept_results(server) {
        let proxy = kept(server, "it_hot_rules").await;
        let mut conn = proxy.login().schema("it_hot_rules").connect().await;
        let read = "SELECT name FROM menu WHERE id = 1";
        conn.ok(read).await;
        assert!(is_hit(&proxy, &mut conn, read).await);
        proxy.run(&["degrade", "set", "menu", "off", "--table", "menu", "--ttl", "1h"]).expect("it works");
        assert_eq!(conn.fails(read).await, 1203);
        conn.ok("SELECT 1").await;
        proxy.run(&["degrade", "set", "menu", "on"]).expect("it works");
        assert!(is_hit(&proxy, &mut conn, read).await);
        assert!(proxy.http("/cache").1.contains("\"menu\""));
        proxy.reconfigure(|mut setup| { setup.top.clear(); setup });
        eventually("nothing is kept any more", async || !proxy.http("/cache").1.contains("\"menu\"")).await;
        conn.ok("UPDATE menu SET name = 'new' WHERE id = 1").await;
        assert_eq!(conn.value(read).await, "new");
    }
}

/// Clients that come at once, by text and by execution: how often the server is asked.
async fn a_thousand_at_once(server: &'static Server, rules: &str) {
    use mysql_async::prelude::Queryable;
    const CLIENTS: usize = 1_000;
    let lab = own_lab(server.flavor()).await;
    let server = lab.primary();
    tables(server, "it_hot_herd").await;
    let proxy = Setup::new(server).top(rules).start().await;
    let mut conns = Vec::new();
    for _ in 0..CLIENTS {
        conns.push(proxy.login().schema("it_hot_herd").connect().await);
    }
    let sql = "SELECT name FROM menu WHERE id = ? AND price > 1";
    let mut prepared = Vec::new();
    for conn in &mut conns {
        prepared.push(conn.prepare(sql).await.unwrap());
    }
    // Before it is known what the server's tables are, each goes by itself.
    eventually("the server's tables are known", async || {
        let before = reads(&proxy, "miss");
        conns[0].ok("SELECT COUNT(*) FROM menu").await;
        reads(&proxy, "miss") > before
    })
    .await;
    let mut locker = server.connect().await.unwrap();
    server.execute(&["SET GLOBAL log_output = 'TABLE'", "SET GLOBAL general_log = 1"]).await.unwrap();
    for round in ["as text", "as executions"] {
        let before = reads(&proxy, "shared");
        locker.query_drop("LOCK TABLES it_hot_herd.menu WRITE").await.unwrap();
        for (conn, id) in conns.iter_mut().zip(&prepared) {
            match round {
                "as text" => conn.send_query(&sql.replace('?', "1")).await,
                _ => conn.send(&execution(*id, 0, &[Parameter::int(1)], true)).await,
            }
        }
        let others = (CLIENTS - 1) as f64;
        eventually("all wait for one", async || proxy.metric("dazzle_cache_waiting", "") == others).await;
        locker.query_drop("UNLOCK TABLES").await.unwrap();
        for conn in &mut conns {
            let reply = conn.reply().await;
            assert_eq!(reply.error(), None, "{round}");
            let row = &reply.packets[reply.packets.len() - 2];
            assert!(row.ends_with(b"soup"), "{round}: {row:?}");
        }
        assert_eq!(reads(&proxy, "shared") - before, others, "{round}");
    }
    assert_eq!(asked(server, "Query", "SELECT name FROM menu WHERE id = 1").await, 1);
    assert_eq!(asked(server, "Execute", "SELECT name FROM menu WHERE id = ").await, 1);
}

/// How often a statement that begins so is in the server's log under such a command.
async fn asked(server: &Server, command: &str, beginning: &str) -> u64 {
    use mysql_async::prelude::Queryable;
    let mut watch = server.connect().await.unwrap();
    let count = format!(
        "SELECT COUNT(*) FROM mysql.general_log WHERE command_type = '{command}' AND CONVERT(argument USING utf8mb4) LIKE \
         '{beginning}%'"
    );
    watch.query_first(count).await.unwrap().unwrap_or_default()
}
