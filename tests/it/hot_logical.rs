//! Hot reads of a logical database over two servers: of one slot and of several, and no older than any write of any slot.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dazzle::lab::{Lab, Server};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::hot_reads::{is_hit, reads};
use crate::support::{
    At, Conn, Login, PASSWORD, Parameter, Proxy, Setup, USER, asked_for, assert_same, eventually, own_lab,
};

const CACHE: &str =
    "cache: {rules: [{name: shop, tables: [purchase, town], ttl: 1h, stale: 1h, keys: [purchase.user_id]}]}";
const ONE: &str = "SELECT n FROM purchase WHERE user_id = 1";
const OTHER: &str = "SELECT n FROM purchase WHERE user_id = 101";
const ALL: &str = "SELECT COUNT(*), SUM(n) FROM purchase";

/// Two servers with a slot each, and the proxy before them: users below 100 are on the first.
struct Scene {
    first: Lab,
    second: Lab,
    proxy: Proxy,
    rules: PathBuf,
    name: &'static str,
}

fn rules(name: &str, revision: u32, below: u32) -> String {
    format!(
        "api: dazzle/v1\nname: {name}\nrevision: {revision}\ndefaults: {{cross_shard_transactions: best_effort, scatter_write: allow}}\n\
         keys: {{user_id: bigint}}\nplacements:\n  by_user: {{range: user_id, ranges: {{0: {{below: {below}}}, 1: {{}}}}, \
         slots: {{main: 0, second: 1}}, database: '{name}_{{slot}}'}}\nsequences:\n  \
         ids: {{shard: main, database: {name}_0, table: town_ids, step: 2}}\ntables:\n  purchase: {{placement: by_user}}\n  \
         town: {{reference: true}}\n  parcel: {{placement: by_user, generate: {{id: ids}}}}\n\
         tests: [{{table: purchase, slots: all}}]\n"
    )
}

/// `follow`: of both clusters.
async fn scene(server: &Server, name: &'static str, follow: &str) -> Scene {
    let (first, second) = (own_lab(server.flavor()).await, own_lab(server.flavor()).await);
    for (slot, lab) in [&first, &second].into_iter().enumerate() {
        let database = format!("{name}_{slot}");
        lab.primary().create_schema(&database).await.unwrap();
        let sql = [
            format!("USE {database}"),
            "CREATE TABLE purchase (id BIGINT NOT NULL, user_id BIGINT NOT NULL, n BIGINT, note VARCHAR(20), \
             PRIMARY KEY (id, user_id))"
                .to_owned(),
            "CREATE TABLE town (id INT NOT NULL PRIMARY KEY, name VARCHAR(20))".to_owned(),
            "CREATE TABLE parcel (id BIGINT NOT NULL, user_id BIGINT NOT NULL, PRIMARY KEY (id, user_id))".to_owned(),
            "CREATE TABLE town_ids (name VARCHAR(64) PRIMARY KEY, next BIGINT UNSIGNED NOT NULL)".to_owned(),
            "INSERT INTO town_ids VALUES ('ids', 1)".to_owned(),
            "INSERT INTO town VALUES (1, 'here'), (2, 'there')".to_owned(),
            "CREATE USER reader@'%' IDENTIFIED BY 'reads'".to_owned(),
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO reader@'%'".to_owned(),
        ];
        lab.primary().execute(&sql).await.unwrap();
    }
    let path = second.dir().join(format!("{name}.yaml"));
    fs::write(&path, rules(name, 1, 100)).unwrap();
    let mut setup = Setup::new(first.primary())
        .user("cluster: main")
        .top(CACHE)
        .top(&format!("sharding: {{rules: [{}]}}", path.display()));
    let follow = format!("binlog: {{{follow}}}");
    setup.clusters = format!(
        "  second:\n    primary: {}\n    connect_timeout: 500ms\n    {follow}\n    pool: {{size_max: 20}}\n",
        second.primary().address()
    );
    let proxy = setup.cluster(&follow).start().await;
    let scene = Scene { first, second, proxy, rules: path, name };
    let mut conn = scene.connect().await;
    for user in [1, 2, 101, 102] {
        conn.ok(&format!("INSERT INTO purchase (id, user_id, n, note) VALUES ({user}, {user}, 0, 'x')"))
            .await;
    }
    for read in [ONE, OTHER] {
        scene.warm(&mut conn, read).await;
    }
    scene
}

const UNFOLLOWED: &str = "follow: off";
const FOLLOWED: &str = "follow: required, user: reader, password: reads";

impl Scene {
    async fn connect(&self) -> Conn {
        self.proxy.login().schema(self.name).connect().await
    }

    fn server(&self, slot: usize) -> &Server {
        if slot == 0 { self.first.primary() } else { self.second.primary() }
    }

    /// Statements in a slot, past the proxy.
    async fn direct(&self, slot: usize, statements: &[&str]) {
        let mut all = vec![format!("USE {}_{slot}", self.name)];
        all.extend(statements.iter().map(|statement| (*statement).to_owned()));
        self.server(slot).execute(&all).await.unwrap();
    }

    async fn is_hit(&self, conn: &mut Conn, sql: &str) -> bool {
        is_hit(&self.proxy, conn, sql).await
    }

    async fn warm(&self, conn: &mut Conn, read: &str) {
        eventually("a kept result", async || self.is_hit(conn, read).await).await;
    }

    /// Which of the three reads are still given after `write`.
    async fn spares(&self, conn: &mut Conn, write: &str) -> [bool; 3] {
        for read in [ONE, OTHER, ALL] {
            self.warm(conn, read).await;
        }
        conn.query(write).await;
        let mut spared = [false; 3];
        for (spared, read) in spared.iter_mut().zip([ONE, OTHER, ALL]) {
            *spared = self.is_hit(conn, read).await;
        }
        spared
    }
}

both! {
    async fn a_write_of_any_slot_ends_what_was_read_of_its_rows(server) {
        let scene = scene(server, "hot_writes", UNFOLLOWED).await;
        let mut conn = scene.connect().await;
        for (write, spared) in [
            ("UPDATE purchase SET n = n + 1 WHERE user_id = 1", [false, true, false]),
            ("UPDATE purchase SET n = n + 1 WHERE user_id = 101", [true, false, false]),
            ("UPDATE hot_writes.purchase SET n = n + 1 WHERE user_id = 1", [false, true, false]),
            ("UPDATE purchase SET n = n + 1 WHERE user_id = 2", [true, true, false]),
            ("UPDATE purchase SET n = n + 1 WHERE user_id IN (1, 101)", [false, false, false]),
            ("UPDATE purchase SET n = n + 1 WHERE user_id IN (2, 102)", [true, true, false]),
            ("UPDATE purchase SET n = n + 1", [false, false, false]),
            ("DELETE FROM purchase WHERE note = 'nothing'", [false, false, false]),
            ("INSERT INTO purchase (id, user_id, n) VALUES (3, 3, 0), (103, 103, 0)", [true, true, false]),
            ("INSERT INTO purchase (id, user_id, n) VALUES (4, 1, 0), (104, 103, 0)", [false, true, false]),
            // The server says no: nothing has changed, and nobody knows that before.
            ("INSERT INTO purchase (id, user_id, n) VALUES (1, 1, 0), (103, 103, 0)", [false, true, false]),
            ("INSERT INTO purchase (id, user_id, n) VALUES (1, 1, 0)", [false, true, false]),
            ("REPLACE INTO purchase (id, user_id, n) VALUES (102, 102, 0)", [false, false, false]),
            ("UPDATE town SET name = 'anywhere' WHERE id = 1", [true, true, true]),
            ("INSERT INTO parcel (user_id) VALUES (1), (101)", [true, true, true]),
        ] {
            assert_eq!(scene.spares(&mut conn, write).await, spared, "{write}");
        }
        assert_eq!(conn.value("SELECT COUNT(*) FROM purchase").await, "8");
    }

    async fn a_copy_that_is_read_is_no_older_than_a_write_of_all(server) {
        let scene = scene(server, "hot_towns", UNFOLLOWED).await;
        let mut conn = scene.connect().await;
        let read = "SELECT name FROM town WHERE id = 1";
        for n in 0..20 {
            // The session stays where it was last, so both copies are read.
            for place in [ONE, OTHER] {
                conn.ok(place).await;
                conn.ok(read).await;
            }
            conn.ok(&format!("UPDATE town SET name = 'town {n}' WHERE id = 1")).await;
            for place in [ONE, OTHER] {
                conn.ok(place).await;
                assert_eq!(conn.value(read).await, format!("town {n}"));
                assert!(scene.is_hit(&mut conn, read).await);
            }
        }
        let joined = "SELECT p.n, t.name FROM purchase p JOIN town t ON t.id = p.user_id WHERE p.user_id = 1";
        scene.warm(&mut conn, joined).await;
        conn.ok("UPDATE town SET name = 'joined' WHERE id = 1").await;
        assert!(conn.ok(joined).await.rows()[0][1] == "joined");
    }

    async fn what_comes_from_memory_is_what_the_slots_say(server) {
        let scene = scene(server, "hot_same", UNFOLLOWED).await;
        let script = async |conn: &mut Conn| {
            for _ in 0..3 {
                for sql in [
                    ONE,
                    OTHER,
                    ALL,
                    "SELECT * FROM purchase ORDER BY user_id DESC",
                    "SELECT * FROM purchase ORDER BY user_id LIMIT 1, 2",
                    "SELECT note, COUNT(*) AS c FROM purchase GROUP BY note",
                    "SELECT id FROM purchase WHERE n > 1000",
                    "SELECT note + 1 FROM purchase WHERE user_id = 1",
                    "SELECT note + 1 FROM purchase ORDER BY 1",
                    "SELECT * FROM hot_same.town ORDER BY id",
                    "SELECT nothing FROM purchase WHERE user_id = 1",
                    "SELECT nothing FROM purchase",
                ] {
                    conn.query(sql).await;
                    conn.query("SELECT ROW_COUNT()").await;
                    conn.query(sql).await;
                    conn.query("SHOW WARNINGS").await;
                    conn.query(sql).await;
                    conn.query("SELECT FOUND_ROWS()").await;
                }
                let one = conn.prepare("SELECT id, n FROM purchase WHERE user_id = ?").await.unwrap();
                let several = conn.prepare("SELECT id, n FROM purchase WHERE id > ? ORDER BY id").await.unwrap();
                for bound in [1, 2, 101, 1] {
                    for id in [one, several] {
                        let reply = conn.execute(id, &[Parameter::int(bound)]).await;
                        conn.note("with types", &reply);
                        let reply = conn.execute_with(id, 0, &[Parameter::int(bound)], false).await;
                        conn.note("types as before", &reply);
                        let reply = conn.execute(id, &[Parameter::text(b"1")]).await;
                        conn.note("another type", &reply);
                    }
                }
            }
        };
        // The same proxy, keeping nothing.
        let mut plain = scene.connect().await;
        plain.ok("SELECT 1").await;
        scene.proxy.reconfigure(|mut setup| { setup.top.remove(0); setup });
        eventually("nothing is kept", async || !scene.proxy.http("/cache").1.contains("\"shop\"")).await;
        let mut plain = scene.connect().await;
        script(&mut plain).await;
        scene.proxy.reconfigure(|setup| setup.top(CACHE));
        eventually("results are kept", async || scene.proxy.http("/cache").1.contains("\"shop\"")).await;
        let mut conn = scene.connect().await;
        scene.warm(&mut conn, ONE).await;
        let before = reads(&scene.proxy, "hit");
        let mut conn = scene.connect().await;
        script(&mut conn).await;
        assert_same(&plain.log, &conn.log);
        let hits = reads(&scene.proxy, "hit") - before;
        assert!(hits > 80.0, "{hits} hits");
    }

    async fn sessions_of_all_slots_never_read_what_a_writer_knows_to_be_old(server) {
        let scene = Arc::new(scene(server, "hot_race", UNFOLLOWED).await);
        let (told, begun): (Arc<[AtomicU64; 4]>, Arc<[AtomicU64; 4]>) = (Arc::default(), Arc::default());
        let mut tasks = JoinSet::new();
        let users = [1_u64, 2, 101, 102];
        let rounds = asked_for("DAZZLE_IT_OPERATIONS", 6_000) / 24;
        for (writer, user) in users.into_iter().enumerate() {
            let (scene, told, begun) = (Arc::clone(&scene), Arc::clone(&told), Arc::clone(&begun));
            tasks.spawn(async move {
                let mut conn = scene.connect().await;
                let update = conn.prepare("UPDATE purchase SET n = ? WHERE user_id = ?").await.unwrap();
                for n in 1..=rounds {
                    begun[writer].store(n, Ordering::SeqCst);
                    let (n, user) = (n as i64, user as i64);
                    match n % 5 {
                        0 => {
                            conn.ok("BEGIN").await;
                            conn.ok(&format!("UPDATE purchase SET n = {n} WHERE user_id = {user}")).await;
                            conn.ok("COMMIT").await;
                        }
                        // One text for both slots, which are told apart by nothing but their rows.
                        1 => drop(conn.ok(&format!("UPDATE purchase SET n = {n} WHERE id = {user}")).await),
                        2 => drop(conn.execute(update, &[Parameter::int(n), Parameter::int(user)]).await),
                        _ => drop(conn.ok(&format!("UPDATE purchase SET n = {n} WHERE user_id = {user}")).await),
                    }
                    told[writer].store(n as u64, Ordering::SeqCst);
                }
            });
        }
        for reader in 0..4_usize {
            let (scene, told, begun) = (Arc::clone(&scene), Arc::clone(&told), Arc::clone(&begun));
            tasks.spawn(async move {
                let mut conn = scene.connect().await;
                let mut last = [0; 4];
                for step in 0..5 * rounds as usize {
                    let row = (reader + step) % 4;
                    let before: [u64; 4] = std::array::from_fn(|row| told[row].load(Ordering::SeqCst));
                    if step % 7 == 0 {
                        let sum = conn.value("SELECT SUM(n) FROM purchase").await.parse::<u64>().unwrap();
                        assert!(sum >= before.iter().sum(), "{sum} after {before:?}");
                        continue;
                    }
                    let read = format!("SELECT n FROM purchase WHERE user_id = {}", users[row]);
                    let seen = conn.value(&read).await.parse::<u64>().unwrap();
                    assert!(seen >= before[row], "{seen} after {before:?} were told");
                    assert!(seen >= last[row], "{seen} after the same session has read a later one");
                    assert!(seen <= begun[row].load(Ordering::SeqCst), "{seen} was never written");
                    last[row] = seen;
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert!(reads(&scene.proxy, "hit") > rounds as f64, "little came from memory");
    }

    async fn new_rules_never_answer_with_what_lay_elsewhere(server) {
        let scene = scene(server, "hot_moved", UNFOLLOWED).await;
        let (mut conn, mut bound) = (scene.connect().await, scene.connect().await);
        // User 60 lies on the first server, and after it has moved on the second, where it is another row.
        scene.direct(0, &["INSERT INTO purchase VALUES (60, 60, 1, 'before')"]).await;
        scene.direct(1, &["INSERT INTO purchase VALUES (60, 60, 2, 'after')"]).await;
        let read = "SELECT n FROM purchase WHERE user_id = 60";
        let several = "SELECT COUNT(*) FROM purchase WHERE user_id < 100";
        for read in [read, several] {
            scene.warm(&mut conn, read).await;
        }
        assert_eq!((conn.value(read).await, conn.value(several).await), ("1".to_owned(), "3".to_owned()));
        bound.ok("BEGIN").await;
        assert_eq!(bound.value(read).await, "1");
        fs::write(&scene.rules, rules(scene.name, 2, 50)).unwrap();
        eventually("the new rules", async || scene.proxy.http("/rules").1.contains("\"revision\":2")).await;
        for _ in 0..3 {
            // Both servers have a row of theirs.
            assert_eq!((conn.value(read).await, conn.value(several).await), ("2".to_owned(), "4".to_owned()));
        }
        scene.warm(&mut conn, read).await;
        // What began under the old rules ends under them.
        assert_eq!(bound.value(read).await, "1");
        bound.ok("UPDATE purchase SET n = 9 WHERE user_id = 60").await;
        bound.ok("COMMIT").await;
        assert_eq!((conn.value(read).await, bound.value(read).await), ("2".to_owned(), "2".to_owned()));
        conn.ok("UPDATE purchase SET n = 3 WHERE user_id = 60").await;
        assert_eq!((conn.value(read).await, bound.value(read).await), ("3".to_owned(), "3".to_owned()));
    }

    async fn numbers_of_a_sequence_are_fetched_and_seen(server) {
        let scene = scene(server, "hot_numbers", UNFOLLOWED).await;
        scene.proxy.reconfigure(|mut setup| {
            setup.top[0] = CACHE.replace("town]", "town, town_ids]");
            setup
        });
        eventually("the new rules", async || scene.proxy.http("/cache").1.contains("\"hits\":0")).await;
        let mut plain = scene.proxy.login().schema("hot_numbers_0").connect().await;
        let (mut conn, read) = (scene.connect().await, "SELECT next FROM town_ids WHERE name = 'ids'");
        scene.warm(&mut plain, read).await;
        let mut direct = Login::new(At::Tcp(scene.server(0).address().to_string()));
        direct = direct.schema("hot_numbers_0");
        let mut direct = direct.connect().await;
        for _ in 0..10 {
            conn.ok("INSERT INTO parcel (user_id) VALUES (1), (2), (3)").await;
            // Three at once are more than a run has: no other run is fetched ahead meanwhile.
            assert_eq!(plain.value(read).await, direct.value(read).await);
            plain.ok(read).await;
        }
    }

    async fn writes_past_the_proxy_are_seen_whichever_slot_they_go_to(server) {
        let scene = scene(server, "hot_past", FOLLOWED).await;
        let mut conn = scene.connect().await;
        let mut waits = Vec::new();
        for n in 1..=20_u64 {
            for (slot, read, user) in [(0, ONE, 1), (1, OTHER, 101)] {
                for read in [read, ALL] {
                    scene.warm(&mut conn, read).await;
                }
                let write = format!("UPDATE purchase SET n = {n} WHERE user_id = {user}");
                scene.direct(slot, &[&write]).await;
                let (told, expected) = (Instant::now(), n.to_string());
                while conn.value(read).await != expected {
                    assert!(told.elapsed() < Duration::from_secs(10), "it is never seen");
                }
                let sum = (if slot == 0 { 2 * n - 1 } else { 2 * n }).to_string();
                while conn.ok(ALL).await.rows()[0][1] != sum {
                    assert!(told.elapsed() < Duration::from_secs(10), "it is never seen in {ALL}");
                }
                waits.push(told.elapsed());
            }
        }
        waits.sort_unstable();
        eprintln!("{}: direct writes on shards seen after p50 {:?}, max {:?}", server.flavor(), waits[waits.len() / 2], waits.last());
        assert!(waits.last().is_some_and(|longest| *longest <= Duration::from_secs(1)), "{waits:?}");
    }

    async fn a_job_that_changes_a_table_is_seen_in_the_logs(server) {
        let scene = scene(server, "hot_job", FOLLOWED).await;
        let mut conn = scene.connect().await;
        let (one, several) = ("SELECT * FROM purchase WHERE user_id = 1", "SELECT * FROM purchase ORDER BY user_id");
        for read in [one, several] {
            scene.warm(&mut conn, read).await;
        }
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_dazzle"))
            .args(["rules", "ddl"])
            .arg(&scene.rules)
            .args(["-e", "ALTER TABLE purchase ADD COLUMN extra INT NOT NULL DEFAULT 7", "--against"])
            .arg(job_config(&scene))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told = Instant::now();
        for read in [one, several] {
            while conn.ok(read).await.rows()[0].len() != 5 {
                assert!(told.elapsed() < Duration::from_secs(1), "{read}");
            }
        }
    }

    async fn the_log_of_one_shard_that_is_cut_ends_its_results_alone(server) {
        let scene = scene(server, "hot_cut", FOLLOWED).await;
        let mut conn = scene.connect().await;
        for read in [ONE, OTHER, ALL] {
            scene.warm(&mut conn, read).await;
        }
        scene.second.primary().execute(&["ALTER USER reader@'%' IDENTIFIED BY 'other'"]).await.unwrap();
        kill_dump(scene.second.primary()).await;
        eventually("it is lost", async || scene.proxy.metric("dazzle_binlog_followed", "second") == 0.0).await;
        // A change of an account ends everything that is kept, once.
        scene.warm(&mut conn, ONE).await;
        for n in 1..20 {
            let write = format!("UPDATE purchase SET n = {n} WHERE user_id = 101");
            scene.direct(1, &[&write]).await;
            assert!(scene.is_hit(&mut conn, ONE).await, "the other shard's log is followed");
            assert!(!scene.is_hit(&mut conn, OTHER).await && !scene.is_hit(&mut conn, ALL).await);
            assert_eq!(conn.value(OTHER).await, n.to_string());
        }
        scene.second.primary().execute(&["ALTER USER reader@'%' IDENTIFIED BY 'reads'"]).await.unwrap();
        for read in [ONE, OTHER, ALL] {
            scene.warm(&mut conn, read).await;
        }
        assert_eq!((conn.value(OTHER).await, conn.ok(ALL).await.rows()[0][1].clone()), ("19".to_owned(), "19".to_owned()));
    }

    async fn a_shard_that_is_gone_is_answered_for_where_old_results_may_be(server) {
        let scene = scene(server, "hot_gone", UNFOLLOWED).await;
        let mut conn = scene.connect().await;
        for read in [ONE, OTHER, ALL] {
            scene.warm(&mut conn, read).await;
        }
        conn.ok("UPDATE purchase SET n = 5").await;
        scene.second.primary().stop().await.unwrap();
        for (read, value) in [(OTHER, "0"), (ALL, "4")] {
            assert_eq!(conn.value(read).await, value);
            let shown = conn.ok("SHOW WARNINGS").await.rows();
            assert!(shown.len() == 1 && shown[0][2].starts_with("DZ0510"), "{read}: {shown:?}");
        }
        assert_eq!(conn.value(ONE).await, "5");
        assert!(conn.ok("SHOW WARNINGS").await.rows().is_empty());
        scene.second.primary().start().await.unwrap();
        eventually("it is asked again", async || conn.query(OTHER).await.value() == "5").await;
    }
}

/// A configuration with an account for the job.
fn job_config(scene: &Scene) -> PathBuf {
    let cluster = |server: &Server| {
        format!("{{primary: '{}', server_user: {USER}, server_password: {PASSWORD}}}", server.address())
    };
    let path = scene.second.dir().join("job.yaml");
    let config = format!(
        "listeners: [{{address: '127.0.0.1:1'}}]\nclusters: {{main: {}, second: {}}}\nusers: {{{USER}: {{password: x, cluster: main}}}}\n",
        cluster(scene.server(0)),
        cluster(scene.server(1))
    );
    fs::write(&path, config).unwrap();
    path
}

/// Ends the connection that is sent the log.
async fn kill_dump(server: &Server) {
    use mysql_async::prelude::Queryable;
    let mut conn = server.connect().await.unwrap();
    let find = "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
    let mut ids: Vec<u64> = Vec::new();
    eventually("the log is sent", async || {
        ids = conn.query(find).await.unwrap();
        !ids.is_empty()
    })
    .await;
    for id in ids {
        // It may have gone by itself.
        let _ = conn.query_drop(format!("KILL {id}")).await;
    }
}
