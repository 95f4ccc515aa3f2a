//! Two servers of one flavor: a plain database on the first, slots on both, and the proxy before them.

use dazzle::lab::{Account, Flavor, Lab, LabOptions};

use crate::answer::Answer;
use crate::compare::{Promise, Verdict, verdict};
use crate::data::{DATABASE, DEFINITIONS, TABLES, fill};
use crate::draw::Draw;
use crate::support::{At, Conn, Login, PASSWORD, Parameter, Proxy, Setup, USER};

/// The rules, unless others are asked for.
const RULES: &str = include_str!("rules/hash.yaml");

/// See the module's text.
pub(crate) struct Stage {
    labs: [Lab; 2],
    _proxy: Proxy,
    pub(crate) reference: Conn,
    pub(crate) subject: Conn,
    slots: Vec<(usize, String)>,
}

impl Stage {
    /// Starts everything, and fills both sides by the same statements.
    pub(crate) async fn start(flavor: Flavor, rules: Option<&str>, draw: &mut Draw) -> Self {
        let options = LabOptions::new(flavor);
        let labs = tokio::join!(Lab::start(&options), Lab::start(&options));
        let labs = [labs.0.unwrap(), labs.1.unwrap()];
        let rules = rules.unwrap_or(RULES);
        let slots = slots_of(rules);
        for (server, lab) in labs.iter().enumerate() {
            let server_slots = slots.iter().filter(|(at, _)| *at == server).map(|(_, name)| name.as_str());
            let plain = (server == 0).then_some(DATABASE);
            for database in server_slots.chain(plain) {
                let mut sql = vec![format!("CREATE DATABASE {database}"), format!("USE {database}")];
                sql.extend(DEFINITIONS.map(str::to_owned));
                lab.primary().execute(&sql).await.unwrap();
            }
            lab.primary().create_account(&Account::new(flavor, USER, PASSWORD)).await.unwrap();
        }
        let folder = labs[0].dir().join("rules");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(format!("{DATABASE}.yaml")), rules).unwrap();
        let mut setup = Setup::new(labs[0].primary())
            .user("cluster: main")
            .top(&format!("sharding: {{rules: [{}]}}", folder.display()));
        let second = labs[1].primary().address();
        setup.clusters = format!("  second:\n    primary: {second}\n    pool: {{size_max: 20}}\n");
        let proxy = setup.start().await;
        let reference = Login::new(At::Tcp(labs[0].primary().address().to_string()))
            .user(USER, PASSWORD)
            .schema(DATABASE)
            .connect()
            .await;
        let subject = proxy.login().schema(DATABASE).connect().await;
        let mut stage = Self { labs, _proxy: proxy, reference, subject, slots };
        for sql in fill(draw) {
            stage.reference.ok(&sql).await;
            stage.subject.ok(&sql).await;
        }
        stage
    }

    /// The same statement on both sides. `whole`: the statement without its LIMIT.
    pub(crate) async fn judge(
        &mut self,
        sql: &str,
        parameters: &[Parameter],
        promise: &Promise,
        whole: Option<&str>,
    ) -> Verdict {
        let whole = match whole {
            Some(whole) => Some(ask(&mut self.reference, whole, parameters).await),
            None => None,
        };
        let reference = ask(&mut self.reference, sql, parameters).await;
        let subject = ask(&mut self.subject, sql, parameters).await;
        let verdict = verdict(promise, &reference, whole.as_ref(), &subject);
        let counted = matches!(verdict, Verdict::Same | Verdict::Nearly(_));
        if counted && sql.len().is_multiple_of(4) && matches!(reference, Answer::Rows { .. }) {
            return self.judge_found(verdict).await;
        }
        verdict
    }

    /// What FOUND_ROWS() says after a statement that was answered the same.
    async fn judge_found(&mut self, before: Verdict) -> Verdict {
        let found = "SELECT FOUND_ROWS()";
        let reference = ask(&mut self.reference, found, &[]).await;
        let subject = ask(&mut self.subject, found, &[]).await;
        match verdict(&Promise::default(), &reference, None, &subject) {
            Verdict::Wrong(what) => Verdict::Wrong(format!("FOUND_ROWS(): {what}")),
            Verdict::Same | Verdict::Nearly(_) | Verdict::Refused(_) => before,
        }
    }

    /// A statement that writes, in a transaction on the plain side that is undone if the proxy refuses.
    pub(crate) async fn judge_write(&mut self, sql: &str, parameters: &[Parameter]) -> Verdict {
        let subject = ask(&mut self.subject, sql, parameters).await;
        if let Some(number) = subject.refusal() {
            return Verdict::Refused(number.to_owned());
        }
        let reference = ask(&mut self.reference, sql, parameters).await;
        verdict(&Promise::default(), &reference, None, &subject)
    }

    /// Whether the slots together hold what the plain database holds, no row twice, and each where a
    /// statement with its key finds it. What differs, if anything.
    pub(crate) async fn difference(&mut self) -> Option<String> {
        for (table, _) in TABLES {
            let sql = format!("SELECT * FROM {table}");
            let plain = sorted(&ask(&mut self.reference, &sql, &[]).await);
            let reference_table = matches!(table, "shops" | "cities");
            let mut union = Vec::new();
            for (server, database) in self.slots.clone() {
                let slot = self.rows_of(server, &database, table).await;
                if reference_table && slot != plain {
                    return Some(format!("{table} of {database} is not {table}"));
                }
                union.extend(slot);
            }
            union.sort();
            if !reference_table && union != plain {
                return Some(format!("{} rows of {table} in all slots for {}", union.len(), plain.len()));
            }
        }
        for (table, key) in [("users", "id"), ("orders", "user_id"), ("order_items", "user_id")] {
            let counts =
                ask(&mut self.reference, &format!("SELECT {key}, COUNT(*) FROM {table} GROUP BY {key}"), &[])
                    .await;
            for row in counts.rows() {
                let cell = |n: usize| String::from_utf8(row[n].clone().unwrap()).unwrap();
                let sql = format!("SELECT COUNT(*) FROM {table} WHERE {key} = {}", cell(0));
                if self.subject.value(&sql).await != cell(1) {
                    return Some(format!("rows of {table} lie where their key {} does not lead", cell(0)));
                }
            }
        }
        None
    }

    async fn rows_of(&mut self, server: usize, database: &str, table: &str) -> Vec<crate::answer::Row> {
        let at = At::Tcp(self.labs[server].primary().address().to_string());
        let mut conn = Login::new(at).user(USER, PASSWORD).schema(database).connect().await;
        let answer = ask(&mut conn, &format!("SELECT * FROM {table}"), &[]).await;
        conn.quit().await;
        sorted(&answer)
    }
}

fn sorted(answer: &Answer) -> Vec<crate::answer::Row> {
    let mut rows = answer.rows().to_vec();
    rows.sort();
    rows
}

/// In the text protocol without parameters, in the binary one with some.
pub(crate) async fn ask(conn: &mut Conn, sql: &str, parameters: &[Parameter]) -> Answer {
    conn.log.clear();
    if parameters.is_empty() {
        return Answer::of(&conn.query(sql).await, false);
    }
    match conn.prepare(sql).await {
        Ok(id) => {
            let answer = Answer::of(&conn.execute(id, parameters).await, true);
            conn.close_statement(id).await;
            answer
        }
        Err(code) => Answer::Err { code, state: String::new(), message: "at the PREPARE: DZ0000".into() },
    }
}

/// Which physical databases the rules speak of: `# slots: 0 waimai_00 waimai_01` names those of the first
/// server.
fn slots_of(rules: &str) -> Vec<(usize, String)> {
    let lines = rules.lines().filter_map(|line| line.strip_prefix("# slots: "));
    lines
        .flat_map(|line| {
            let mut words = line.split_whitespace();
            let server: usize = words.next().and_then(|word| word.parse().ok()).expect("a server's number");
            words.map(move |word| (server, word.to_owned())).collect::<Vec<_>>()
        })
        .collect()
}
