//! One side of the comparison: two clients that play steps on a server or on a proxy.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dazzle::lab::Server;
use dazzle::wire::auth::ClientAuth;
use dazzle::wire::handshake::{ChangeUser, ConnectAttributes};
use dazzle::wire::{
    Capabilities, Malformed, PAYLOAD_MAX, Reader, StatusFlags, Writer, code, frame, parse_eof,
};
use tokio::time::{Instant, sleep, timeout};

use crate::seen::{Ids, Role, Seen};
use crate::step::{Action, Entry, Step, execution};
use crate::support::{At, Conn, Login, PASSWORD, USER};

/// A reply that takes longer never comes.
const REPLY_MAX: Duration = Duration::from_secs(20);

/// A statement that a server is not seen to run by then has failed.
const START_MAX: Duration = Duration::from_secs(2);

/// A statement as this side knows it.
#[derive(Clone, Copy)]
struct Slot {
    id: u32,
    parameters: u16,
}

/// Two clients of one side.
pub(crate) struct Player {
    at: At,
    server: &'static Server,
    conns: [Option<Conn>; 2],
    ids: Ids,
    slots: HashMap<(usize, u8), Slot>,
    /// Looks on at what the server runs.
    observer: Option<Conn>,
}

type Lost = std::io::Error;

impl Player {
    pub(crate) fn new(at: At, server: &'static Server) -> Self {
        let ids = [0, 0];
        Self { at, server, conns: [None, None], ids, slots: HashMap::new(), observer: None }
    }

    pub(crate) fn ids(&self) -> Ids {
        self.ids
    }

    pub(crate) fn is_connected(&self, client: usize) -> bool {
        self.conns[client].is_some()
    }

    /// Plays one step; `None` if it makes no sense here: the client is gone, or the slot empty.
    pub(crate) async fn play(&mut self, step: &Step) -> Option<Seen> {
        if let Action::Connect(entry) = &step.action {
            return Some(self.connect(step.client, entry).await);
        }
        if self.conns[step.client].is_none() || !self.is_possible(step.client, &step.action) {
            return None;
        }
        let mut seen = Seen::default();
        let ended = match timeout(REPLY_MAX, self.act(step, &mut seen)).await {
            Ok(Ok(())) => false,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                seen.note(&format!("{error}"));
                true
            }
            Ok(Err(_)) => {
                seen.note("lost");
                true
            }
            Err(_) => {
                seen.note("no reply");
                true
            }
        };
        if ended {
            self.forget(step.client);
        }
        Some(seen)
    }

    fn is_possible(&self, client: usize, action: &Action) -> bool {
        let known = |slot: &u8| self.slots.contains_key(&(client, *slot));
        match action {
            Action::Execute { slot, values, .. } => {
                let slot = self.slots.get(&(client, *slot));
                slot.is_some_and(|slot| usize::from(slot.parameters) == values.len())
            }
            Action::LongData(slot, ..)
            | Action::Fetch(slot, _)
            | Action::ResetStatement(slot)
            | Action::CloseStatement(slot) => known(slot),
            Action::KillOther(_) | Action::KillRunning(_) => self.conns[1 - client].is_some(),
            Action::Pipelined(actions) => actions.iter().all(|action| self.is_possible(client, action)),
            _ => true,
        }
    }

    fn forget(&mut self, client: usize) {
        self.conns[client] = None;
        self.slots.retain(|(owner, _), _| *owner != client);
    }

    async fn connect(&mut self, client: usize, entry: &Entry) -> Seen {
        if let Some(conn) = self.conns[client].take() {
            let _ = timeout(REPLY_MAX, conn.quit()).await;
        }
        self.forget(client);
        let mut login = Login::new(self.at.clone());
        login.capabilities = entry.capabilities;
        login.collation = entry.collation;
        login.schema = entry.schema.map(str::to_owned);
        let mut seen = Seen::default();
        match login.try_connect().await {
            Ok(conn) => {
                self.ids[client] = conn.greeting.connection_id;
                self.conns[client] = Some(conn);
                seen.note("connected");
            }
            Err(error) => seen.note(&format!("login failed: {}", error.code())),
        }
        seen
    }

    async fn act(&mut self, step: &Step, seen: &mut Seen) -> Result<(), Lost> {
        let client = step.client;
        match &step.action {
            Action::KillOther(text) => {
                let payload = match text {
                    Some(text) => self.text(client, &text.0),
                    None => {
                        let mut payload = vec![code::PROCESS_KILL];
                        payload.put_u32(self.ids[1 - client]);
                        payload
                    }
                };
                let conn = self.conn(client)?;
                conn.send(&payload).await;
                read_results(conn, seen).await?;
                if seen.errors().next().is_some() {
                    return Ok(());
                }
                let mut victim = self.conns[1 - client].take().expect("asked before");
                while victim.try_packet().await.is_ok() {}
                self.forget(1 - client);
            }
            Action::KillRunning(text) => self.kill_running(client, text, seen).await?,
            Action::ChangeUser(right, schema) => self.change_user(client, *right, *schema, seen).await?,
            Action::Quit | Action::Vanish => {
                let conn = self.conns[client].take().expect("asked before");
                if step.action == Action::Quit {
                    conn.quit().await;
                }
                self.forget(client);
            }
            Action::Pipelined(actions) => {
                let mut bytes = Vec::new();
                for action in actions {
                    frame(&mut bytes, 0, &self.payload(client, action)?);
                }
                let conn = self.conn(client)?;
                conn.stream.reset_sequence();
                conn.stream.write_all(&bytes).await?;
                for action in actions {
                    self.conn(client)?.stream.expect_reply();
                    self.read(client, action, seen).await?;
                }
            }
            action => {
                let payload = self.payload(client, action)?;
                self.conn(client)?.send(&payload).await;
                self.read(client, action, seen).await?;
            }
        }
        Ok(())
    }

    fn conn(&mut self, client: usize) -> Result<&mut Conn, Lost> {
        self.conns[client].as_mut().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }

    /// A COM_QUERY's payload, with the sessions' ids in place of their names.
    fn text(&self, client: usize, text: &[u8]) -> Vec<u8> {
        let conn = self.conns[client].as_ref();
        let mut payload = conn.map(|conn| conn.query_payload("")).unwrap_or_default();
        if names_sessions(text) {
            let text = String::from_utf8_lossy(text);
            let text = text.replace("{me}", &self.ids[client].to_string());
            let text = text.replace("{other}", &self.ids[1 - client].to_string());
            payload.extend_from_slice(text.as_bytes());
        } else {
            payload.extend_from_slice(text);
        }
        payload
    }

    fn slot(&self, client: usize, slot: u8) -> Result<Slot, Lost> {
        self.slots.get(&(client, slot)).copied().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    fn payload(&self, client: usize, action: &Action) -> Result<Vec<u8>, Lost> {
        let about = |code: u8, slot: u8| -> Result<Vec<u8>, Lost> {
            let mut payload = vec![code];
            payload.put_u32(self.slot(client, slot)?.id);
            Ok(payload)
        };
        Ok(match action {
            Action::Text(text) | Action::Load(text, _) => self.text(client, &text.0),
            Action::Command(payload) => payload.0.clone(),
            Action::Statistics => vec![code::STATISTICS],
            Action::Fields(rest) => [&[code::FIELD_LIST], &rest.0[..]].concat(),
            Action::Prepare(_, text) => [&[code::STMT_PREPARE], &text.0[..]].concat(),
            Action::Execute { slot, flags, values, types } => {
                let conn = self.conns[client].as_ref();
                let attributes =
                    conn.is_some_and(|conn| conn.capabilities.has(Capabilities::QUERY_ATTRIBUTES));
                execution(self.slot(client, *slot)?.id, *flags, values, *types, attributes)
            }
            Action::LongData(slot, parameter, piece) => {
                let mut payload = about(code::STMT_SEND_LONG_DATA, *slot)?;
                payload.put_u16(*parameter);
                payload.extend_from_slice(&piece.0);
                payload
            }
            Action::Fetch(slot, rows) => {
                let mut payload = about(code::STMT_FETCH, *slot)?;
                payload.put_u32(*rows);
                payload
            }
            Action::ResetStatement(slot) => about(code::STMT_RESET, *slot)?,
            Action::CloseStatement(slot) => about(code::STMT_CLOSE, *slot)?,
            Action::Connect(_)
            | Action::ChangeUser(..)
            | Action::KillOther(_)
            | Action::KillRunning(_)
            | Action::Quit
            | Action::Vanish
            | Action::Pipelined(_) => unreachable!("played by themselves"),
        })
    }

    async fn read(&mut self, client: usize, action: &Action, seen: &mut Seen) -> Result<(), Lost> {
        let conn = self.conns[client].as_mut().ok_or(std::io::ErrorKind::NotConnected)?;
        match action {
            Action::Load(_, file) => {
                conn.file = Some(Arc::from(&*file.0));
                read_results(conn, seen).await?;
            }
            Action::Statistics => {
                let packet = conn.try_packet().await?;
                let role = if packet.first() == Some(&0xFF) { Role::Err } else { Role::Text };
                seen.push(role, packet);
            }
            Action::Fields(_) => read_rows(conn, seen, Role::Column).await?,
            Action::Fetch(..) => read_rows(conn, seen, Role::Row).await?,
            Action::Prepare(slot, _) => {
                let slot = *slot;
                if let Some(prepared) = read_prepared(conn, seen).await? {
                    self.slots.insert((client, slot), prepared);
                } else {
                    self.slots.remove(&(client, slot));
                }
            }
            Action::LongData(..) => {}
            Action::CloseStatement(slot) => {
                self.slots.remove(&(client, *slot));
            }
            Action::Command(payload) => {
                read_results(conn, seen).await?;
                if payload.0 == [code::RESET_CONNECTION] {
                    self.slots.retain(|(owner, _), _| *owner != client);
                }
            }
            _ => read_results(conn, seen).await?,
        }
        Ok(())
    }

    async fn change_user(
        &mut self,
        client: usize,
        right: bool,
        schema: Option<&str>,
        seen: &mut Seen,
    ) -> Result<(), Lost> {
        self.slots.retain(|(owner, _), _| *owner != client);
        let conn = self.conn(client)?;
        let password = if right { PASSWORD } else { "wrong" };
        let mut auth = ClientAuth::new(password.to_owned().into(), conn.stream.socket().is_secure());
        let (plugin, auth_response) =
            auth.first_response(&conn.greeting.plugin, &conn.greeting.scramble).unwrap();
        let change = ChangeUser {
            user: USER.to_owned(),
            auth_response,
            database: schema.map(str::to_owned),
            collation: Some(45),
            plugin: Some(plugin.to_owned()),
            attributes: ConnectAttributes::new(),
        };
        let mut payload = Vec::new();
        change.encode(conn.capabilities, &mut payload);
        conn.send(&payload).await;
        match conn.prove(&mut auth).await {
            Ok(()) => seen.note("changed"),
            Err(error) => {
                seen.note(&format!("not changed: {}", error.code()));
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(())
    }

    /// The other client's statement is killed once the server is seen to run it.
    async fn kill_running(&mut self, client: usize, text: &str, seen: &mut Seen) -> Result<(), Lost> {
        let other = 1 - client;
        if self.observer.is_none() {
            let at = At::Tcp(self.server.address().to_string());
            self.observer = Some(Login::new(at).connect().await);
        }
        self.conn(other)?.send_query(text).await;
        let question = format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%{}%' AND id <> CONNECTION_ID()",
            "SLEEP(9)"
        );
        let observer = self.observer.as_mut().expect("made just before");
        let begun = Instant::now();
        // A statement that is refused is never seen.
        while observer.value(&question).await == "0" && begun.elapsed() < START_MAX {
            observer.log.clear();
            sleep(Duration::from_millis(1)).await;
        }
        observer.log.clear();
        let kill = self.text(client, b"KILL QUERY {other}");
        let conn = self.conn(client)?;
        conn.send(&kill).await;
        read_results(conn, seen).await?;
        read_results(self.conn(other)?, seen).await
    }
}

fn names_sessions(text: &[u8]) -> bool {
    text.windows(4).any(|window| window == b"{me}" || window == b"{oth")
}

/// Reads a reply of results.
async fn read_results(conn: &mut Conn, seen: &mut Seen) -> Result<(), Lost> {
    loop {
        let first = conn.try_packet().await?;
        match first.first() {
            Some(0x00) => seen.push(Role::Ok, first),
            Some(0xFF) => {
                seen.push(Role::Err, first);
                return Ok(());
            }
            Some(0xFB) => {
                seen.push(Role::File, first);
                let file = conn.file.clone();
                for piece in file.as_deref().unwrap_or_default().chunks(PAYLOAD_MAX - 1) {
                    conn.stream.write(piece).await?;
                }
                conn.stream.write(&[]).await?;
                continue;
            }
            Some(0xFE) => seen.push(Role::End, first),
            _ => {
                let columns = Reader::new(&first).lenenc().map_err(invalid)?;
                seen.push(Role::Count, first);
                for _ in 0..columns {
                    seen.push(Role::Column, conn.try_packet().await?);
                }
                if !read_after_columns(conn, seen).await? {
                    return Ok(());
                }
            }
        }
        if !seen.status().unwrap_or_default().has(StatusFlags::MORE_RESULTS) {
            return Ok(());
        }
    }
}

/// Reads what follows the columns of a result; false if an error ended it.
async fn read_after_columns(conn: &mut Conn, seen: &mut Seen) -> Result<bool, Lost> {
    if !conn.capabilities.has(Capabilities::DEPRECATE_EOF) {
        let eof = conn.try_packet().await?;
        if eof.len() != 5 || eof[0] != 0xFE {
            return Err(invalid(Malformed("no EOF after the columns")));
        }
        let (_, status) = parse_eof(&eof).map_err(invalid)?;
        if status.has(StatusFlags::CURSOR_EXISTS) {
            seen.push(Role::End, eof);
            return Ok(true);
        }
        seen.push(Role::ColumnsEnd, eof);
    }
    read_rows(conn, seen, Role::Row).await?;
    Ok(seen.0.last().is_none_or(|(role, _)| *role != Role::Err))
}

async fn read_rows(conn: &mut Conn, seen: &mut Seen, role: Role) -> Result<(), Lost> {
    loop {
        let packet = conn.try_packet().await?;
        match packet.first() {
            Some(0xFF) => {
                seen.push(Role::Err, packet);
                return Ok(());
            }
            Some(0xFE) if packet.len() < PAYLOAD_MAX => {
                seen.push(Role::End, packet);
                return Ok(());
            }
            _ => seen.push(role, packet),
        }
    }
}

async fn read_prepared(conn: &mut Conn, seen: &mut Seen) -> Result<Option<Slot>, Lost> {
    let first = conn.try_packet().await?;
    if first.first() != Some(&0) || first.len() < 12 {
        seen.push(Role::Err, first);
        return Ok(None);
    }
    let count = |at: usize| u16::from_le_bytes([first[at], first[at + 1]]);
    let id = u32::from_le_bytes([first[1], first[2], first[3], first[4]]);
    let (columns, parameters) = (count(5), count(7));
    seen.push(Role::Prepared, first);
    for group in [parameters, columns] {
        for _ in 0..group {
            seen.push(Role::Column, conn.try_packet().await?);
        }
        if group > 0 && !conn.capabilities.has(Capabilities::DEPRECATE_EOF) {
            seen.push(Role::ColumnsEnd, conn.try_packet().await?);
        }
    }
    Ok(Some(Slot { id, parameters }))
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> Lost {
    std::io::Error::new(std::io::ErrorKind::InvalidData, error)
}
