//! Rule files with a real server behind them: compared with its tables, and read again while the proxy runs.

use std::fs;
use std::path::{Path, PathBuf};

use dazzle::lab::Server;
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

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

both! {
    async fn rules_are_compared_with_what_the_server_has(server) {
        let rules = write(server, "ruled.yaml", RULES);
        let config = format!(
            "listeners: [{{address: '127.0.0.1:1'}}]\nclusters: {{main: {{primary: '{}', server_user: {USER}, \
             server_password: {PASSWORD}}}}}\nusers: {{u: {{password: x}}}}\n",
            server.address()
        );
        let config = write(server, "ruled-dazzle.yaml", &config);
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
}
