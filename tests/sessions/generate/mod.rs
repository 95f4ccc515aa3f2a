//! Random sessions: each step is chosen from what the clients have done so far and what became of it.

mod prepared;
mod texts;

use std::collections::BTreeMap;

use dazzle::lab::Flavor;
use dazzle::wire::{Capabilities, StatusFlags, code};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::generate::prepared::{Kind, PREPARED, value};
use crate::generate::texts::{BOTH, Text, of_flavor};
use crate::pair::Verdict;
use crate::seen::Seen;
use crate::step::{Action, Bytes, Entry, Step, Value};

pub(crate) use texts::{Area, SCHEMA};

/// What every client of a random session has.
const USUAL: Capabilities = Capabilities::CLIENT_MYSQL
    .and_also(Capabilities::LONG_FLAG)
    .and_also(Capabilities::PROTOCOL_41)
    .and_also(Capabilities::TRANSACTIONS)
    .and_also(Capabilities::SECURE_CONNECTION)
    .and_also(Capabilities::MULTI_RESULTS)
    .and_also(Capabilities::PS_MULTI_RESULTS)
    .and_also(Capabilities::PLUGIN_AUTH)
    .and_also(Capabilities::PLUGIN_AUTH_LENENC)
    .and_also(Capabilities::CONNECT_ATTRS)
    .and_also(Capabilities::LOCAL_FILES);

/// Words of a text that may leave something behind which keeps its session's server connection.
const KEEPING: [&str; 17] = [
    "@",
    "TEMPORARY",
    "LOCK",
    "HANDLER",
    "PREPARE",
    "EXECUTE",
    "CALL",
    "timestamp",
    "insert_id",
    "TRANSACTION",
    "CALC",
    "XA",
    "session_track",
    "adds",
    ";",
    "SAVEPOINT",
    "FOUND_ROWS",
];

/// A prepared statement as its client remembers it.
#[derive(Default)]
struct Statement {
    kinds: &'static [Kind],
    /// Types have been sent, so that an execution may leave them out.
    typed: bool,
    /// The types that were sent.
    bound: Vec<u16>,
    cursor: bool,
    /// It has been executed with a cursor.
    had_cursor: bool,
    long: Vec<u16>,
}

#[derive(Default)]
struct Client {
    connected: bool,
    in_transaction: bool,
    /// Something may keep its server connection beyond a transaction.
    keeps: bool,
    pipelines: bool,
    deprecates_eof: bool,
    statements: BTreeMap<u8, Statement>,
}

impl Client {
    /// Several commands were sent at once: what was prepared by them is not used.
    fn took_ahead(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Text(text) => self.keeps |= keeps(&text.0),
                Action::Prepare(slot, _) => {
                    self.statements.remove(slot);
                }
                _ => {}
            }
        }
    }

    fn start_again(&mut self) {
        let Self { connected, pipelines, deprecates_eof, .. } = *self;
        *self = Self { connected, pipelines, deprecates_eof, ..Self::default() };
    }
}

/// Chooses the steps of one episode.
pub(crate) struct Generator {
    rng: StdRng,
    flavor: Flavor,
    areas: Vec<Area>,
    texts: Vec<Text>,
    clients: [Client; 2],
}

impl Generator {
    pub(crate) fn new(seed: u64, flavor: Flavor, areas: &[Area]) -> Self {
        let all = BOTH.iter().chain(of_flavor(flavor)).copied();
        Self {
            rng: StdRng::seed_from_u64(seed),
            flavor,
            areas: areas.to_vec(),
            texts: all.filter(|(_, area, _)| areas.contains(area)).collect(),
            clients: [Client::default(), Client::default()],
        }
    }

    fn chance(&mut self, percent: f64) -> bool {
        self.rng.random_bool(percent / 100.0)
    }

    fn has(&self, area: Area) -> bool {
        self.areas.contains(&area)
    }

    fn is_bound(&self, client: usize) -> bool {
        let client = &self.clients[client];
        client.in_transaction
            || client.keeps
            || client.statements.values().any(|statement| statement.cursor || !statement.long.is_empty())
    }

    /// The next step.
    pub(crate) fn next(&mut self) -> Step {
        let mut client = self.rng.random_range(0..2);
        // The other one would wait in vain for the server connection that this one keeps; tried all the same,
        // now and then.
        if !self.is_bound(client) && self.is_bound(1 - client) && !self.chance(1.0) {
            client = 1 - client;
        }
        let action = if !self.clients[client].connected {
            self.entry()
        } else if self.is_bound(client) && self.chance(12.0) {
            self.letting_go(client)
        } else {
            self.action(client)
        };
        Step { client, action }
    }

    fn action(&mut self, client: usize) -> Action {
        let other_bound = self.is_bound(1 - client);
        match self.rng.random_range(0..1000) {
            0..8 if self.has(Area::Commands) => self.entry(),
            8..12 if self.has(Area::Commands) => Action::Vanish,
            12..14 if self.has(Area::Commands) => Action::Quit,
            14..24 if self.has(Area::Kills) && self.clients[1 - client].connected => self.kill(client),
            24..140 if self.has(Area::Commands) => self.command(client),
            140..400 if self.has(Area::Prepared) => self.prepared(client),
            400..430 if self.clients[client].pipelines && !other_bound => self.pipeline(client),
            _ => Action::Text(self.text()),
        }
    }

    fn entry(&mut self) -> Action {
        let mut capabilities = USUAL;
        for (flag, percent) in [
            (Capabilities::DEPRECATE_EOF, 60.0),
            (Capabilities::SESSION_TRACK, 60.0),
            (Capabilities::MULTI_STATEMENTS, 70.0),
            (Capabilities::FOUND_ROWS, 8.0),
            (Capabilities::IGNORE_SPACE, 5.0),
            (Capabilities::COMPRESS, 4.0),
            (Capabilities::INTERACTIVE, 10.0),
        ] {
            if self.chance(percent) {
                capabilities |= flag;
            }
        }
        if self.flavor == Flavor::MySql && self.chance(15.0) {
            capabilities |= Capabilities::QUERY_ATTRIBUTES;
        }
        let schema = if self.chance(90.0) { Some("fuzz") } else { None };
        // MariaDB does not know 255 and forgets over a reset what it took in its place.
        let last = if self.flavor == Flavor::MySql { 255 } else { 46 };
        let collation = [45, 45, 45, 33, 8, last, 28][self.rng.random_range(0..7)];
        Action::Connect(Entry { capabilities, schema, collation })
    }

    fn letting_go(&mut self, client: usize) -> Action {
        if !self.clients[client].keeps {
            let ends = ["ROLLBACK", "COMMIT", "SET autocommit = 1", "ROLLBACK"];
            return Action::Text(ends[self.rng.random_range(0..4)].into());
        }
        match self.rng.random_range(0..10) {
            0 => self.entry(),
            1 => Action::ChangeUser(true, Some("fuzz")),
            2..5 => Action::Command(Bytes(vec![code::RESET_CONNECTION])),
            5 => Action::Text("ROLLBACK".into()),
            6 if self.has(Area::Locks) => Action::Text("SELECT RELEASE_ALL_LOCKS()".into()),
            7 if self.has(Area::Temporary) => Action::Text("DROP TEMPORARY TABLE IF EXISTS tt".into()),
            _ => Action::Text("SET autocommit = 1".into()),
        }
    }

    /// A text of those that are in.
    fn text(&mut self) -> Bytes {
        let sum: u32 = self.texts.iter().map(|(weight, ..)| weight).sum();
        let mut at = self.rng.random_range(0..sum);
        let mut chosen = self.texts[0].2;
        for (weight, _, text) in &self.texts {
            if at < *weight {
                chosen = text;
                break;
            }
            at -= weight;
        }
        Bytes(self.filled(chosen).into_bytes())
    }

    fn filled(&mut self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            filled.push_str(&rest[..at]);
            let (place, after) = rest[at..].split_at(3.min(rest.len() - at));
            match place {
                "{n}" => filled.push_str(&self.rng.random_range(1..6).to_string()),
                "{b}" => filled.push_str(&self.rng.random_range(0..2).to_string()),
                "{k}" => filled.push_str(&self.rng.random_range(0..100).to_string()),
                "{s}" => {
                    let words = ["one", "zwei", "gr\u{fc}n", "\u{1F993}", "a_b", "x;y", "lots of words", ""];
                    filled.push_str(words[self.rng.random_range(0..words.len())]);
                }
                other => filled.push_str(other),
            }
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    fn command(&mut self, client: usize) -> Action {
        let one = |bytes: &[u8]| Action::Command(Bytes(bytes.to_vec()));
        match self.rng.random_range(0..20) {
            0..4 => one(&[code::PING]),
            4..6 => one(b"\x02fuzz"),
            6 => one(b"\x02fuzz_two"),
            7 => one(b"\x02nowhere"),
            8 => one(&[code::SET_OPTION, 0, 0]),
            9 => one(&[code::SET_OPTION, 1, 0]),
            10 => Action::Statistics,
            11 => Action::Fields(Bytes(b"t0\0".to_vec())),
            12 => Action::Fields(Bytes(b"nowhere\0".to_vec())),
            13..15 => one(&[code::RESET_CONNECTION]),
            15 if !self.is_bound(1 - client) => Action::ChangeUser(true, Some("fuzz")),
            16 if !self.is_bound(1 - client) && self.chance(20.0) => Action::ChangeUser(false, None),
            17 => Action::Load(
                "LOAD DATA LOCAL INFILE 'some.csv' REPLACE INTO TABLE t1 FIELDS TERMINATED BY ','".into(),
                Bytes(b"5,five\n6,six\n7,sieben\n".to_vec()),
            ),
            18 => Action::Load(
                "LOAD DATA LOCAL INFILE 'bad.csv' INTO TABLE nowhere".into(),
                Bytes(b"5,five\n".to_vec()),
            ),
            _ => one(&[code::PING]),
        }
    }

    fn kill(&mut self, client: usize) -> Action {
        match self.rng.random_range(0..8) {
            0 => Action::KillOther(Some("KILL {other}".into())),
            1 => Action::KillOther(Some("KILL CONNECTION {other}".into())),
            2 => Action::KillOther(None),
            3 => Action::Text("KILL QUERY {other}".into()),
            4 => Action::Text("KILL 4000000000".into()),
            5 if !self.is_bound(client) => Action::KillRunning("SELECT 5, SLEEP(9)"),
            6 if !self.is_bound(client) => {
                Action::KillRunning("UPDATE fuzz.types SET si = 1 WHERE i = 1 AND SLEEP(9)")
            }
            _ => Action::Text("KILL QUERY {me}".into()),
        }
    }

    fn prepare(&mut self, client: usize) -> Action {
        let sum: u32 = PREPARED.iter().map(|(weight, ..)| weight).sum();
        let mut at = self.rng.random_range(0..sum);
        let mut chosen = PREPARED[0].2;
        for (weight, _, text) in PREPARED {
            if at < *weight {
                chosen = text;
                break;
            }
            at -= weight;
        }
        // To a client of before DEPRECATE_EOF MySQL sends an OK more than it announces.
        if chosen.starts_with("CALL outs")
            && self.flavor == Flavor::MySql
            && !self.clients[client].deprecates_eof
        {
            chosen = "SELECT 1";
        }
        Action::Prepare(self.rng.random_range(0..6), chosen.into())
    }

    fn prepared(&mut self, client: usize) -> Action {
        /// BLOB, VAR_STRING, STRING.
        const TEXTS: [u16; 3] = [0xFC, 0xFD, 0xFE];

        let count = self.clients[client].statements.len();
        if count == 0 || self.chance(25.0) {
            return self.prepare(client);
        }
        let at = self.rng.random_range(0..count);
        let (&slot, statement) =
            self.clients[client].statements.iter().nth(at).expect("fewer than there are");
        let (cursor, kinds) = (statement.cursor, statement.kinds);
        // What MariaDB says of a text that is no number depends on what the same statement was executed with before,
        // which a statement that is prepared again on another connection cannot know.
        // Where something else was bound before, MariaDB shows bytes that nobody has set.
        let was_text = |n: &usize| statement.bound.get(*n).is_none_or(|kind| TEXTS.contains(kind));
        let takes_text = |kind: &Kind| matches!(kind, Kind::Text | Kind::Any);
        let texts: Vec<usize> = (0..kinds.len()).filter(|n| takes_text(&kinds[*n]) && was_text(n)).collect();
        match self.rng.random_range(0..100) {
            0..8 => Action::CloseStatement(slot),
            8..12 => Action::ResetStatement(slot),
            12..20 if !texts.is_empty() && !self.is_bound(1 - client) => {
                let parameter = texts[self.rng.random_range(0..texts.len())] as u16;
                Action::LongData(slot, parameter, Bytes(vec![b'L'; self.rng.random_range(0..20)]))
            }
            20..70 if cursor => Action::Fetch(slot, self.rng.random_range(1..4)),
            20..22 => Action::Fetch(slot, 1),
            _ => self.execution(client, slot),
        }
    }

    fn execution(&mut self, client: usize, slot: u8) -> Action {
        let opens = self.chance(12.0);
        let retype = self.chance(75.0);
        let statement = &self.clients[client].statements[&slot];
        let (kinds, typed, long) = (statement.kinds, statement.typed, statement.long.clone());
        let (bound, had_cursor) = (statement.bound.clone(), statement.had_cursor);
        let mut values: Vec<Value> = kinds.iter().map(|kind| value(&mut self.rng, *kind)).collect();
        for parameter in long {
            values[usize::from(parameter)] = Value::LONG;
        }
        // What MySQL makes of other types than those that a parameter had first depends on all that the same statement
        // was executed with before, which a statement that is prepared again on another connection cannot know.
        if typed && self.flavor == Flavor::MySql {
            for (value, kind) in values.iter_mut().zip(&bound) {
                if value.kind != *kind && *value != Value::LONG && *kind != Value::NULL.kind {
                    *value = Value { kind: *kind, bytes: None };
                }
            }
        }
        // A type that is bound only now has the statement prepared anew, and MySQL describes what a NULL is bound to by the
        // value of an execution before.
        if self.flavor == Flavor::MySql && bound.contains(&Value::NULL.kind) {
            for (value, kind) in values.iter_mut().zip(&bound) {
                if *value != Value::LONG {
                    *value = Value { kind: *kind, bytes: None };
                }
            }
        }
        // Without types the values must be of those that were sent before.
        let same = typed
            && values.iter().zip(&bound).all(|(value, kind)| value.bytes.is_none() || value.kind == *kind);
        // After a cursor, MySQL sends no readable reply to an execution without one.
        let flags = u8::from(opens || had_cursor && self.flavor == Flavor::MySql);
        Action::Execute { slot, flags, types: !same || retype, values }
    }

    fn pipeline(&mut self, client: usize) -> Action {
        let count = self.rng.random_range(2..5);
        let mut actions = Vec::new();
        for _ in 0..count {
            let action = match self.rng.random_range(0..4) {
                0 => Action::Command(Bytes(vec![code::PING])),
                1 => self.prepare(client),
                _ => Action::Text(self.text()),
            };
            let slots = |action: &Action| match action {
                Action::Prepare(slot, _) => Some(*slot),
                _ => None,
            };
            // Of two that are prepared into one slot the first would be lost.
            if slots(&action).is_none_or(|slot| {
                !self.clients[client].statements.contains_key(&slot)
                    && actions.iter().all(|earlier| slots(earlier) != Some(slot))
            }) {
                actions.push(action);
            }
        }
        if actions.is_empty() { Action::Command(Bytes(vec![code::PING])) } else { Action::Pipelined(actions) }
    }

    /// What became of a step; `seen` direct.
    pub(crate) fn observe(&mut self, step: &Step, verdict: &Verdict, seen: &Seen, alive: [bool; 2]) {
        let client = step.client;
        match verdict {
            Verdict::Blocked => self.clients[1 - client].keeps = true,
            Verdict::Same | Verdict::Refused(_) => self.took(client, &step.action, seen),
            Verdict::Nothing | Verdict::Different(_) | Verdict::Astray => {}
        }
        for (client, alive) in self.clients.iter_mut().zip(alive) {
            if !alive {
                *client = Client::default();
            }
        }
    }

    fn took(&mut self, client: usize, action: &Action, seen: &Seen) {
        if matches!(action, Action::Text(_) | Action::Execute { .. }) {
            self.clients[1 - client].keeps = false;
        }
        let state = &mut self.clients[client];
        if let Some(status) = seen.status() {
            state.in_transaction = status.has(StatusFlags::IN_TRANS);
        }
        match action {
            Action::Connect(entry) => {
                let pipelines = !entry.capabilities.has(Capabilities::COMPRESS);
                let deprecates_eof = entry.capabilities.has(Capabilities::DEPRECATE_EOF);
                *state = Client { connected: true, pipelines, deprecates_eof, ..Client::default() };
            }
            Action::ChangeUser(..) => state.start_again(),
            Action::Command(payload) if payload.0 == [code::RESET_CONNECTION] => state.start_again(),
            Action::Text(text) => state.keeps |= keeps(&text.0),
            Action::Pipelined(actions) => state.took_ahead(actions),
            Action::Prepare(slot, text) => {
                state.statements.remove(slot);
                let known = PREPARED.iter().find(|(_, _, known)| known.as_bytes() == text.0);
                if let Some((_, kinds, _)) = known
                    && seen.errors().next().is_none()
                {
                    let statement = Statement { kinds, ..Statement::default() };
                    state.statements.insert(*slot, statement);
                }
            }
            Action::Execute { slot, values, types, flags } => {
                let Some(statement) = state.statements.get_mut(slot) else { return };
                statement.had_cursor |= *flags != 0;
                statement.long.clear();
                statement.cursor = seen.status().is_some_and(|status| status.has(StatusFlags::CURSOR_EXISTS));
                if *types {
                    statement.typed = true;
                    statement.bound = values.iter().map(|value| value.kind).collect();
                }
                state.keeps |= statement.kinds.len() < 4 && seen.errors().next().is_some();
            }
            Action::LongData(slot, parameter, _) => {
                if let Some(statement) = state.statements.get_mut(slot) {
                    statement.long.push(*parameter);
                }
            }
            Action::Fetch(slot, _) => {
                let over = seen.errors().next().is_some()
                    || seen.status().is_some_and(|status| status.has(StatusFlags::LAST_ROW_SENT));
                if let Some(statement) = state.statements.get_mut(slot).filter(|_| over) {
                    statement.cursor = false;
                }
            }
            Action::ResetStatement(slot) => {
                if let Some(statement) = state.statements.get_mut(slot) {
                    statement.cursor = false;
                    statement.long.clear();
                }
            }
            Action::CloseStatement(slot) => {
                state.statements.remove(slot);
            }
            _ => {}
        }
    }
}

fn keeps(text: &[u8]) -> bool {
    KEEPING.iter().any(|word| text.windows(word.len()).any(|window| window == word.as_bytes()))
}
