//! Rule files with a real server behind them: compared with its tables, and read again while the proxy runs.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use dazzle::lab::Server;
use dazzle::sharding::Date;
use rustix::process::Signal;
use tokio::process::Command;

use crate::support::{PASSWORD, Setup, USER, eventually};

const RULES: &str = "
api: dazzle/v1
name: ruled
revision: 1
keys: {user_id: bigint unsigned, email: {type: varchar(80), collation: utf8mb4_unicode_ci}}
placements:
  by_user: {hash: user_id, slots: {main: 0-1}}
  by_email: {hash: email, slots: {main: 0}, database: ruled_mails}
tables:
  users: {placement: by_user, columns: {id: user_id}}
  mails: {placement: by_email}
tests: [{table: users, slots: all}]
";

/// Where the story's files are, in the lab's own folder.
fn write(server: &Server, name: &str, text: &str) -> PathBuf {
    let path = server.dir().parent().unwrap().join(name);
    fs::write(&path, text).unwrap();
    path
}

/// `dazzle rules …`: exit code, standard output, standard error.
async fn dazzle(arguments: &[&str]) -> (Option<i32>, String, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_dazzle")).arg("rules").args(arguments).output();
    let output = run.await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

async fn make_tables(server: &Server, users: &str) {
    for (schema, table) in [("ruled_0", users), ("ruled_1", users), ("ruled_mails", MAILS)] {
        server.create_schema(schema).await.unwrap();
        server.execute(&[format!("USE {schema}"), table.to_owned()]).await.unwrap();
    }
}

const USERS: &str = "CREATE TABLE users (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, name VARCHAR(20))";
const MAILS: &str = "CREATE TABLE mails (email VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci \
                     NOT NULL, PRIMARY KEY (email))";

const PLANTED: &str = "
api: dazzle/v1
name: planted
revision: 1
keys: {user_id: bigint unsigned, email: {type: varchar(80), collation: utf8mb4_bin}}
placements:
  by_user: {hash: user_id, slots: {main: 0-1}}
  by_range: {range: user_id, ranges: {0: {below: 9}, 1: {from: 9}}, slots: {main: 0-1}, database: 'range_{slot}'}
tables:
  users: {placement: by_user, columns: {id: user_id}}
  orders: {with: users, columns: {user_id: user_id}}
tests: [{table: users, rows: {id: 1001}, slots: [by_user/0]}]
";

/// What is replaced by what, and what is told of it.
const MISTAKES: [(&str, &str, &str); 9] = [
    (
        "hash: user_id",
        "hsh: user_id",
        "planted.yaml:7:13: placements.by_user.hsh: unknown setting; did you mean `hash`?",
    ),
    ("{main: 0-1}", "{main: [0, 2]}", "planted.yaml:7:36: placements.by_user.slots: no shard has slot 1"),
    (
        "1: {from: 9}",
        "1: {from: 5}",
        "planted.yaml:8:54: placements.by_range.ranges: overlaps with the range in line 8",
    ),
    (
        "1: {from: 9}",
        "1: {from: 11}",
        "planted.yaml:8:54: placements.by_range.ranges: leaves a hole: nothing holds 9",
    ),
    ("bigint unsigned", "timestamp", "planted.yaml:5:17: keys.user_id: "),
    (", collation: utf8mb4_bin", "", "planted.yaml:5:48: keys.email: a string needs a collation"),
    (
        "slots: [by_user/0]",
        "slots: [by_user/1]",
        "planted.yaml:12:49: tests[0]: fails: it leads to `slots: [by_user/0]`",
    ),
    (
        "{placement: by_user, columns: {id: user_id}}",
        "{with: orders}",
        "planted.yaml:10:17: tables.users.with: a cycle",
    ),
    ("main: 0-1}", "mian: 0-1}", "the configuration has no cluster `mian`; did you mean `main`?"),
];

const APPLIED: &str = "
api: dazzle/v1
name: applied
revision: 1
defaults: {scatter_read: {slots_max: 1}}
keys: {user_id: bigint unsigned}
placements: {by_user: {hash: user_id, slots: {main: 0-1}}}
tables: {users: {placement: by_user, columns: {id: user_id}}}
tests: [{table: users, slots: all}]
";

const KEPT: &str = "
api: dazzle/v1
name: kept
revision: 1
keys: {created: date}
placements: {by_year: {interval: created, every: year, from: 2020, ahead: 1, keep: 2, slots: {main: all}}}
tables: {notes: {placement: by_year}}
tests: [{table: notes, slots: all}]
";

/// A configuration whose one cluster is the server.
fn config_of(server: &Server, name: &str) -> PathBuf {
    let config = format!(
        "listeners: [{{address: '127.0.0.1:1'}}]\nclusters: {{main: {{primary: '{}', server_user: {USER}, \
         server_password: {PASSWORD}}}}}\nusers: {{u: {{password: x}}}}\n",
        server.address()
    );
    write(server, name, &config)
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes a rule file and applies it.
async fn apply((file, run): (&Path, &Path), text: &str, more: &[&str]) -> (Option<i32>, String, String) {
    fs::write(file, text).unwrap();
    dazzle(&[&["apply", shown(file), "--folder", shown(run)][..], more].concat()).await
}

/// Revisions that may not follow `second`, each for its reason.
async fn unwelcome(file: &Path, run: &Path, config: &Path, second: &str) {
    let against = ["--against", shown(config)];
    // What it has seen tells whom a further revision would refuse.
    let third = second.replace("revision: 2", "revision: 3").replace("slots_max: 2", "slots_max: 1");
    fs::write(file, &third).unwrap();
    let (code, out, err) = dazzle(&["plan", shown(file), "--against", shown(config), "--strict"]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("policy  defaults: scatter_read.slots_max 2 → 1"), "{out}");
    assert!(out.lines().any(|line| line.starts_with("refused") && line.contains("FROM users")), "{out}");

    // What would lose rows from sight is not applied, nor is nonsense.
    for (from, to, told) in [
        ("slots: {main: 0-1}", "slots: {main: 0-3}", "re-key  by_user: 75.0 %"),
        ("hash:", "hsh:", "did you mean `hash`?"),
        ("{main: 0-1}", "{other: 0-1}", "no cluster `other`"),
    ] {
        let (code, _, err) = apply((file, run), &third.replace(from, to), &against).await;
        assert!(code == Some(1) && err.contains(told), "{err}");
    }
}

both! {
    async fn rules_are_compared_with_what_the_server_has(server) {
        let rules = write(server, "ruled.yaml", RULES);
        let config = config_of(server, "ruled-dazzle.yaml");
        let validate = ["validate", shown(&rules), "--against", shown(&config)];
        make_tables(server, USERS).await;
        let (code, out, err) = dazzle(&validate).await;
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        assert!(out.ends_with("ruled: the servers have what the rules say\n"), "{out}");

        make_tables(server, "CREATE TABLE users (id INT NOT NULL, name VARCHAR(20), UNIQUE KEY name (name))").await;
        let (code, _, err) = dazzle(&validate).await;
        assert_eq!(code, Some(1));
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines.len(), 2, "{err}");
        assert!(lines[0].contains("`users.id` is int") && lines[0].contains("is bigint unsigned"), "{err}");
        assert!(lines[1].contains("the unique key `name` of `users`"), "{err}");
        for schema in ["ruled_0", "ruled_1", "ruled_mails"] {
            server.execute(&[format!("DROP DATABASE {schema}")]).await.unwrap();
        }
        let (code, _, err) = dazzle(&validate).await;
        assert!(code == Some(1) && err.contains("`mails` does not exist"), "{err}");
    }

    async fn a_bad_rule_file_leaves_the_running_rules_and_a_repair_is_noticed(server) {
        let rules = write(server, "reloaded.yaml", RULES);
        let proxy = Setup::new(server).top(&format!("sharding: {{rules: [{}]}}", rules.display())).start().await;
        let mut conn = proxy.connect().await;
        assert_eq!(conn.value("SELECT 'served'").await, "served");
        fs::write(&rules, RULES.replace("slots: {main: 0-1}", "slots: {main: [0, 2]}")).unwrap();
        // Nobody tells it: the file is watched.
        let refused = "reloaded.yaml:7:";
        eventually("the refusal", async || proxy.log().contains(refused)).await;
        assert!(proxy.log().contains("configuration refused, the running one stays"));
        assert_eq!(conn.value("SELECT 'served'").await, "served");
        fs::write(&rules, RULES.replace("revision: 1", "revision: 2")).unwrap();
        eventually("the repair", async || proxy.log().contains("configuration reloaded")).await;
        assert_eq!(conn.value("SELECT 'served'").await, "served");

        // A proxy does not start with rules that are wrong.
        proxy.signal(Signal::TERM);
        proxy.ended().await;
        fs::write(&rules, RULES.replace("main: 0-1", "elsewhere: 0-1")).unwrap();
        let again = proxy.start_again();
        assert!(!again.ended().await.success());
        assert!(again.log().contains("the configuration has no cluster `elsewhere`"), "{}", again.log());
    }

    async fn every_planted_mistake_is_refused_with_its_place_and_the_running_revision_stays(server) {
        let rules = write(server, "planted.yaml", PLANTED);
        for slot in 0..2 {
            server.create_schema(&format!("planted_{slot}")).await.unwrap();
            server.execute(&[format!("CREATE TABLE planted_{slot}.users (id BIGINT UNSIGNED PRIMARY KEY)")]).await.unwrap();
        }
        let proxy = Setup::new(server).top(&format!("sharding: {{rules: [{}]}}", rules.display())).start().await;
        let mut conn = proxy.login().schema("planted").connect().await;
        conn.ok("INSERT INTO users (id) VALUES (7)").await;
        for (from, to, told) in MISTAKES {
            assert!(PLANTED.contains(from), "{from}");
            fs::write(&rules, PLANTED.replacen(from, to, 1)).unwrap();
            proxy.signal(Signal::HUP);
            eventually(told, async || proxy.log().contains(told)).await;
            assert_eq!(conn.value("SELECT id FROM users WHERE id = 7").await, "7", "after {told}");
            let (code, out, _) = dazzle(&["validate", "--json", shown(&rules)]).await;
            // Only the configuration knows the clusters.
            let seen = code == Some(1) && out.contains("\"line\":");
            assert!(seen || told.contains("has no cluster"), "{out}");
        }
    }

    async fn a_revision_is_switched_beneath_sessions_that_go_on(server) {
        let folder = server.dir().parent().unwrap().join("applied");
        fs::create_dir_all(folder.join("run")).unwrap();
        let run = folder.join("run");
        for slot in 0..2 {
            server.create_schema(&format!("applied_{slot}")).await.unwrap();
            server.execute(&[format!("CREATE TABLE applied_{slot}.users (id BIGINT UNSIGNED PRIMARY KEY, n INT)")]).await.unwrap();
        }
        let file = folder.join("new.yaml");
        let (code, out, err) = apply((&file, &run), APPLIED, &[]).await;
        assert_eq!(code, Some(0), "{out}{err}");
        let proxy = Setup::new(server).top(&format!("sharding: {{rules: [{}]}}", run.display())).start().await;
        let config = proxy.config();
        let against = ["--against", shown(&config)];
        let mut sessions = Vec::new();
        for id in 0..8 {
            let mut conn = proxy.login().schema("applied").connect().await;
            conn.ok(&format!("INSERT INTO users (id, n) VALUES ({id}, {id})")).await;
            sessions.push(conn);
        }
        assert_eq!(sessions[0].fails("SELECT COUNT(*) FROM users").await, 1104, "revision 1 asks one slot");
        // A transaction is open while the rules change beneath it.
        sessions[7].ok("BEGIN").await;
        sessions[7].ok("UPDATE users SET n = 70 WHERE id = 7").await;

        let second = APPLIED.replace("revision: 1", "revision: 2").replace("slots_max: 1", "slots_max: 2");
        let applied = Cell::new(false);
        let answered = Cell::new(0);
        let ((code, out, err), ()) = tokio::join!(
            async {
                let done = apply((&file, &run), &second, &against).await;
                applied.set(true);
                done
            },
            async {
                while !applied.get() {
                    for (id, conn) in sessions.iter_mut().enumerate().take(7) {
                        let sql = format!("SELECT n FROM users WHERE id = {id}");
                        assert_eq!(conn.value(&sql).await, id.to_string());
                        answered.set(answered.get() + 1);
                    }
                }
            }
        );
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(out.contains("`applied` revision 2 runs"), "{out}");
        assert!(answered.get() > 100, "{} statements", answered.get());
        sessions[7].ok("COMMIT").await;
        assert_eq!(sessions[7].value("SELECT n FROM users WHERE id = 7").await, "70");
        for conn in &mut sessions {
            assert_eq!(conn.value("SELECT COUNT(*) FROM users").await, "8", "the same session goes by revision 2");
        }

        unwelcome(&file, &run, &config, &second).await;
        assert_eq!(sessions[3].value("SELECT COUNT(*) FROM users").await, "8");

        let back = ["rollback", "applied", "1", "--folder", shown(&run), "--against", shown(&config), "--json"];
        let (code, out, err) = dazzle(&back).await;
        assert!(code == Some(0) && out.contains("\"revision\":3"), "{out}{err}");
        for conn in &mut sessions {
            assert_eq!(conn.fails("SELECT COUNT(*) FROM users").await, 1104);
        }
        let (code, out, _) = dazzle(&["history", "applied", "--folder", shown(&run)]).await;
        assert_eq!((code, out.lines().count()), (Some(0), 3), "{out}");
        assert!(out.lines().last().unwrap().ends_with("3/applied.yaml  runs"), "{out}");
        assert!(proxy.http("/rules").1.contains("\"name\":\"applied\",\"revision\":3,"));
    }

    async fn periods_that_come_are_made_and_those_no_longer_kept_are_told(server) {
        let rules = write(server, "kept.yaml", KEPT);
        let config = config_of(server, "kept-dazzle.yaml");
        let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
        let year = Date::of_days(days as i64).year;
        let table = "CREATE TABLE notes (created DATE NOT NULL, text VARCHAR(20), KEY (created))";
        for schema in ["kept_2020".to_owned(), format!("kept_{}", year - 1)] {
            server.create_schema(&schema).await.unwrap();
            server.execute(&[format!("USE {schema}"), table.to_owned()]).await.unwrap();
        }
        let upkeep = ["upkeep", shown(&rules), "--against", shown(&config)];
        let (code, out, err) = dazzle(&upkeep).await;
        assert_eq!(code, Some(1), "{out}{err}");
        let before = format!("kept_{}", year - 1);
        let expected = [
            "-- on main".to_owned(),
            format!("CREATE DATABASE IF NOT EXISTS `kept_{year}`;"),
            format!("CREATE TABLE IF NOT EXISTS `kept_{year}`.`notes` LIKE `{before}`.`notes`;"),
            format!("CREATE DATABASE IF NOT EXISTS `kept_{}`;", year + 1),
            format!("CREATE TABLE IF NOT EXISTS `kept_{}`.`notes` LIKE `{before}`.`notes`;", year + 1),
            "DROP DATABASE `kept_2020`;".to_owned(),
        ];
        assert_eq!(out.lines().collect::<Vec<_>>(), expected);
        let (code, out, err) = dazzle(&[&upkeep[..], &["--make"]].concat()).await;
        assert_eq!((code, out.as_str(), err.as_str()), (Some(1), "-- on main\nDROP DATABASE `kept_2020`;\n", ""));
        server.execute(&["DROP DATABASE kept_2020".to_owned()]).await.unwrap();
        let (code, out, err) = dazzle(&upkeep).await;
        assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "", ""));
        let (code, _, err) = dazzle(&["validate", shown(&rules), "--against", shown(&config)]).await;
        assert_eq!((code, err.as_str()), (Some(0), ""));
    }
}
