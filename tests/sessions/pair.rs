//! Two sides in lock-step: a server, and a proxy with one connection to another server of the same kind.

use dazzle::lab::{Flavor, Lab, LabError, LabOptions, Server};

use crate::generate::SCHEMA;
use crate::player::Player;
use crate::seen::Seen;
use crate::step::{Action, Step};
use crate::support::{At, PASSWORD, Proxy, Setup, USER};

/// What a step showed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Both sides the same.
    Same,
    /// It made no sense at this point.
    Nothing,
    /// The only server connection is kept by the other client; the step was left out on both sides.
    Blocked,
    /// The proxy refused it by this code; the step was left out on the other side.
    Refused(String),
    /// Only a part of the step was played on one side: the rest would prove nothing.
    Astray,
    /// A difference, for people.
    Different(String),
}

/// The servers of a flavor; they live as long as the process.
pub(crate) struct Ground {
    direct: &'static Server,
    behind: &'static Server,
}

impl Ground {
    pub(crate) async fn prepare(flavor: Flavor) -> Result<Self, LabError> {
        let mut servers = Vec::new();
        for _ in 0..2 {
            let options = LabOptions { connections_max: 100, ..LabOptions::new(flavor) };
            let lab: &'static Lab = Box::leak(Box::new(Lab::start(&options).await?));
            lab.primary().create_account(&dazzle::lab::Account::new(flavor, USER, PASSWORD)).await?;
            lab.primary().execute(&roles(flavor)).await?;
            servers.push(lab.primary());
        }
        Ok(Self { direct: servers[0], behind: servers[1] })
    }

    /// A proxy before the second server.
    pub(crate) async fn proxy(&self) -> Proxy {
        let setup = Setup::new(self.behind)
            .pool("size_max: 1, queue_timeout: 60ms")
            .listener("tls: disabled")
            .top("limits: {packet_bytes_max: 256MiB}");
        let proxy = setup.start().await;
        // The first login tells it which server it stands for.
        proxy.connect().await.quit().await;
        proxy
    }

    /// Both servers as an episode finds them.
    pub(crate) async fn reset(&self) -> Result<(), LabError> {
        let mut statements: Vec<&str> = SCHEMA.to_vec();
        if self.direct.flavor() == Flavor::MariaDb {
            statements.push("CREATE SEQUENCE fuzz.sq");
            // It forgets over COM_RESET_CONNECTION that its schema has another charset than the server.
            statements.push("ALTER DATABASE fuzz_two CHARACTER SET DEFAULT");
        }
        let (direct, behind) =
            tokio::join!(self.direct.execute(&statements), self.behind.execute(&statements));
        direct.and(behind)
    }
}

/// Roles of the account. On MariaDB only an account that has a default role gets it again by COM_CHANGE_USER.
fn roles(flavor: Flavor) -> Vec<String> {
    let mut statements = Vec::new();
    for role in ["fuzz_reader", "fuzz_default"] {
        statements.push(format!("CREATE ROLE {role}"));
        statements.push(format!("GRANT {role} TO '{USER}'@'%'"));
    }
    if flavor == Flavor::MariaDb {
        statements.push(format!("SET DEFAULT ROLE fuzz_default FOR '{USER}'@'%'"));
    }
    statements
}

/// Both sides of one episode.
pub(crate) struct Pair {
    direct: Player,
    proxied: Player,
    /// Clients whose last statement was left out: what it left behind would differ.
    stale: [bool; 2],
    /// Clients for whom a routine has set `sql_mode`: servers take that back at its end, but not the status flag that says
    /// whether backslashes escape.
    misled: [bool; 2],
}

impl Pair {
    pub(crate) fn new(ground: &Ground, proxy: &Proxy) -> Self {
        let direct = Player::new(At::Tcp(ground.direct.address().to_string()), ground.direct);
        Self {
            direct,
            proxied: Player::new(proxy.at(), ground.behind),
            stale: [false; 2],
            misled: [false; 2],
        }
    }

    pub(crate) fn alive(&self) -> [bool; 2] {
        [0, 1].map(|client| self.direct.is_connected(client))
    }

    /// Plays a step on both sides, on the proxy's first: what it leaves out is left out on the other.
    pub(crate) async fn play(&mut self, step: &Step) -> (Verdict, Seen) {
        if self.stale[step.client] && !matches!(step.action, Action::Connect(_)) {
            let neutral = Step {
                client: step.client,
                action: Action::Text("SELECT k FROM fuzz.t1 WHERE k < 0".into()),
            };
            match self.both(&neutral).await {
                (Verdict::Blocked, seen) => return (Verdict::Blocked, seen),
                (Verdict::Different(text), seen) => return (Verdict::Different(text), seen),
                _ => self.stale[step.client] = false,
            }
        }
        let (verdict, seen) = self.both(step).await;
        self.stale[step.client] |= matches!(verdict, Verdict::Blocked | Verdict::Refused(_));
        (verdict, seen)
    }

    async fn both(&mut self, step: &Step) -> (Verdict, Seen) {
        let Some(proxied) = self.proxied.play(step).await else { return (Verdict::Nothing, Seen::default()) };
        if let Some(verdict) = left_out(step, &proxied) {
            return (verdict, proxied);
        }
        let Some(direct) = self.direct.play(step).await else {
            return (Verdict::Different("not possible direct".to_owned()), proxied);
        };
        let shown = format!("{:?}", step.action);
        let asks = shown.contains("CONNECTION_ID");
        let misled = &mut self.misled[step.client];
        *misled = (*misled || shown.contains("CALL sets")) && !matches!(step.action, Action::Connect(_));
        let misled = *misled;
        let normal = |seen: &Seen, ids| {
            let seen = seen.normal(step.client, ids, asks);
            if misled { seen.without_mode() } else { seen }
        };
        let one = normal(&direct, self.direct.ids());
        let other = normal(&proxied, self.proxied.ids());
        if one == other {
            return (Verdict::Same, direct);
        }
        let first = one.0.iter().zip(&other.0).position(|(one, other)| one != other);
        let mark = first.unwrap_or(one.0.len().min(other.0.len()));
        let text = format!("      direct\n{}\n      proxied\n{}", direct.shown(mark), proxied.shown(mark));
        (Verdict::Different(text), direct)
    }
}

/// Whether the proxy did not do what the step asked for, with good reason.
fn left_out(step: &Step, proxied: &Seen) -> Option<Verdict> {
    let whole = match step.action {
        Action::Pipelined(_) | Action::KillRunning(_) | Action::ChangeUser(..) => false,
        // Long data was lost with the connection it waited for.
        Action::Execute { ref values, .. } => !values.contains(&crate::step::Value::LONG),
        _ => true,
    };
    let lost =
        |code: u16| proxied.0.iter().any(|(_, payload)| payload.ends_with(format!(": {code}").as_bytes()));
    for (code, text) in proxied.errors() {
        let refusal = text.starts_with(b"DZ").then(|| String::from_utf8_lossy(&text[..6]).into_owned());
        match refusal {
            Some(_) | None if code == 1203 && !whole => return Some(Verdict::Astray),
            None if code == 1203 => return Some(Verdict::Blocked),
            Some(_) if !whole => return Some(Verdict::Astray),
            Some(refusal) => return Some(Verdict::Refused(refusal)),
            None => {}
        }
    }
    lost(1203).then_some(if whole { Verdict::Blocked } else { Verdict::Astray })
}
