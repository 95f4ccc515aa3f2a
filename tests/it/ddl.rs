//! `dazzle rules ddl`: one statement for every slot of its table, taken up where it ended.

use std::fs;
use std::process::Command;

use dazzle::lab::{Lab, Server};

use crate::support::{PASSWORD, USER, own_lab};

/// A table in two slots on two servers, with the rules and the configuration that tell of them.
struct Scene {
    first: &'static Server,
    second: Lab,
    name: &'static str,
}

async fn scene(first: &'static Server, name: &'static str) -> Scene {
    let second = own_lab(first.flavor()).await;
    let scene = Scene { first, second, name };
    for slot in 0..2 {
        scene.server(slot).create_schema(&format!("{name}_{slot}")).await.unwrap();
        let table = "CREATE TABLE orders (id BIGINT NOT NULL, user_id BIGINT NOT NULL, note VARCHAR(20), PRIMARY KEY (id, user_id))";
        scene.run(slot, &[table]).await;
    }
    let rules = format!(
        "api: dazzle/v1\nname: {name}\nrevision: 1\nkeys: {{user_id: bigint}}\nplacements:\n  by_user: {{range: user_id, \
         ranges: {{0: {{below: 100}}, 1: {{}}}}, slots: {{main: 0, second: 1}}, database: '{name}_{{slot}}'}}\ntables:\n  \
         orders: {{placement: by_user}}\n  made: {{with: orders}}\ntests: [{{table: orders, slots: all}}]\n"
    );
    fs::write(scene.second.dir().join("rules.yaml"), rules).unwrap();
    let cluster = |server: &Server| {
        format!("{{primary: '{}', server_user: {USER}, server_password: {PASSWORD}}}", server.address())
    };
    let config = format!(
        "listeners: [{{address: '127.0.0.1:1'}}]\nclusters: {{main: {}, second: {}}}\nusers: {{{USER}: {{password: x, cluster: main}}}}\n",
        cluster(first),
        cluster(scene.second.primary())
    );
    fs::write(scene.second.dir().join("dazzle.yaml"), config).unwrap();
    scene
}

impl Scene {
    fn server(&self, slot: usize) -> &Server {
        if slot == 0 { self.first } else { self.second.primary() }
    }

    /// Statements in a slot, past everything.
    async fn run(&self, slot: usize, statements: &[&str]) {
        let mut all = vec![format!("USE {}_{slot}", self.name)];
        all.extend(statements.iter().map(|statement| (*statement).to_owned()));
        self.server(slot).execute(&all).await.unwrap();
    }

    /// Whether it ended well, and what it said.
    fn ddl(&self, statement: &str, more: &[&str]) -> (bool, String) {
        let dir = self.second.dir();
        let output = Command::new(env!("CARGO_BIN_EXE_dazzle"))
            .args(["rules", "ddl"])
            .arg(dir.join("rules.yaml"))
            .arg("--against")
            .arg(dir.join("dazzle.yaml"))
            .args(["-e", statement])
            .args(more)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

both! {
    async fn a_job_goes_on_where_it_ended_and_repeats_nothing(server) {
        let scene = scene(server, "ddl_job").await;
        let add = "ALTER TABLE ddl_job.orders ADD COLUMN weight INT";
        let (well, said) = scene.ddl(add, &["--status"]);
        assert!(!well && said.matches("left").count() == 2, "{said}");
        for _ in 0..2 {
            let (well, said) = scene.ddl(add, &[]);
            assert!(well && said.matches("done").count() == 2, "{said}");
        }
        // Begun, carried out, and nobody wrote down that it was.
        scene.run(0, &["UPDATE dazzle_ddl SET state = 'begun'"]).await;
        let (well, said) = scene.ddl(add, &[]);
        assert!(well, "{said}");
        // What fails in one slot.
        scene.run(1, &["INSERT INTO orders (id, user_id, note) VALUES (1, 101, 'x'), (2, 101, 'x')"]).await;
        let unique = "CREATE UNIQUE INDEX notes ON orders (note)";
        let (well, said) = scene.ddl(unique, &[]);
        assert!(!well && said.contains("done    by_user/0") && said.contains("failed  by_user/1"), "{said}");
        scene.run(1, &["DELETE FROM orders"]).await;
        let (well, said) = scene.ddl(unique, &["--json"]);
        assert!(well && said.matches("\"done\"").count() == 2, "{said}");
        assert!(scene.ddl("CREATE TABLE made (id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL)", &[]).0);
        assert!(scene.ddl("TRUNCATE made", &[]).0);
        assert!(scene.ddl("DROP TABLE made", &[]).0);
    }

    async fn tables_that_differ_are_left_alone(server) {
        let scene = scene(server, "ddl_drift").await;
        scene.run(1, &["ALTER TABLE orders ADD COLUMN other INT"]).await;
        let (well, said) = scene.ddl("ALTER TABLE orders ADD COLUMN weight INT", &[]);
        assert!(!well && said.contains("nothing was done") && said.contains("by_user/1"), "{said}");
        for (statement, why) in [
            ("ALTER TABLE orders RENAME TO o", "keeps its name"),
            ("DROP TABLE nowhere", "do not list"),
            ("ALTER TABLE mysql.orders ADD a INT", "not the logical database"),
        ] {
            let (well, said) = scene.ddl(statement, &[]);
            assert!(!well && said.contains(why), "{statement}: {said}");
        }
    }
}
