//! A client of our own that speaks in packets: every capability is the story's choice, every byte is seen.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dazzle::backend::tls::{client_config, server_name};
use dazzle::config::ServerTls;
use dazzle::wire::auth::{ClientAuth, ClientStep};
use dazzle::wire::compression::Algorithm;
use dazzle::wire::compression::Compressed;
use dazzle::wire::handshake::{
    ChangeUser, ConnectAttributes, Greeting, HandshakeResponse, ServerHello, SslRequest,
};
use dazzle::wire::{Capabilities, ErrPacket, Socket, Transport, code};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::support::packets::{Broken, Packets};
use crate::support::reply::{Part, Reply};
use crate::support::{PASSWORD, USER};

/// Nothing a peer does takes longer.
pub(crate) const PEER_MAX: Duration = Duration::from_secs(30);

/// Where a server or a proxy is reached.
#[derive(Clone, Debug)]
pub(crate) enum At {
    Tcp(String),
    Unix(PathBuf),
}

/// TLS of a client.
#[derive(Clone, Debug, Default)]
pub(crate) enum Tls {
    #[default]
    No,
    With(ServerTls),
}

/// The plugin that a client begins with, before it knows the account's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guess {
    Native,
    Sha2,
    /// It waits to be asked for the password.
    Clear,
    /// It knows no plugins: `mysql_native_password` is all it has.
    NoPlugins,
}

/// How to log in.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) at: At,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) schema: Option<String>,
    pub(crate) capabilities: Capabilities,
    pub(crate) tls: Tls,
    pub(crate) collation: u8,
    /// How it begins to prove itself; `None`: as the greeting asks.
    pub(crate) guess: Option<Guess>,
    /// Sent before anything else: a PROXY protocol header, say.
    pub(crate) preamble: Vec<u8>,
}

/// What every client of today has.
pub(crate) const MODERN: Capabilities = Capabilities::CLIENT_MYSQL
    .and_also(Capabilities::LONG_FLAG)
    .and_also(Capabilities::PROTOCOL_41)
    .and_also(Capabilities::TRANSACTIONS)
    .and_also(Capabilities::SECURE_CONNECTION)
    .and_also(Capabilities::MULTI_STATEMENTS)
    .and_also(Capabilities::MULTI_RESULTS)
    .and_also(Capabilities::PS_MULTI_RESULTS)
    .and_also(Capabilities::PLUGIN_AUTH)
    .and_also(Capabilities::PLUGIN_AUTH_LENENC)
    .and_also(Capabilities::CONNECT_ATTRS)
    .and_also(Capabilities::DEPRECATE_EOF)
    .and_also(Capabilities::SESSION_TRACK);

impl Login {
    /// The usual account, over `at`.
    pub(crate) fn new(at: At) -> Self {
        Self {
            at,
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            schema: None,
            capabilities: MODERN,
            tls: Tls::No,
            collation: 45,
            guess: None,
            preamble: Vec::new(),
        }
    }

    pub(crate) fn user(mut self, user: &str, password: &str) -> Self {
        (self.user, self.password) = (user.to_owned(), password.to_owned());
        self
    }

    pub(crate) fn schema(mut self, schema: &str) -> Self {
        self.schema = Some(schema.to_owned());
        self
    }

    pub(crate) fn with(mut self, capabilities: Capabilities) -> Self {
        self.capabilities |= capabilities;
        self
    }

    pub(crate) fn without(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = self.capabilities.without(capabilities);
        self
    }

    pub(crate) fn tls(mut self) -> Self {
        self.tls = Tls::With(ServerTls::default());
        self
    }

    /// Logs in; panics if it cannot.
    pub(crate) async fn connect(&self) -> Conn {
        match self.try_connect().await {
            Ok(conn) => conn,
            Err(error) => panic!("login of {:?} at {:?}: {error:?}", self.user, self.at),
        }
    }

    /// Logs in.
    pub(crate) async fn try_connect(&self) -> Result<Conn, LoginError> {
        timeout(PEER_MAX, self.log_in()).await.expect("the login ends")
    }

    async fn log_in(&self) -> Result<Conn, LoginError> {
        let transport = match &self.at {
            At::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Transport::Tcp(stream)
            }
            At::Unix(path) => Transport::Unix(UnixStream::connect(path).await?),
        };
        let mut stream = Packets::new(Socket::Plain(transport), 0);
        if !self.preamble.is_empty() {
            stream.write_all(&self.preamble).await?;
        }
        let greeting = match ServerHello::parse(&stream.read().await?).unwrap() {
            ServerHello::Greeting(greeting) => greeting,
            ServerHello::Refused(refusal) => return Err(LoginError::Refused(refusal.code, refusal.message)),
        };
        let mut capabilities = self.capabilities;
        capabilities = if self.schema.is_some() {
            capabilities | Capabilities::CONNECT_WITH_DB
        } else {
            capabilities.without(Capabilities::CONNECT_WITH_DB)
        };
        if let Tls::With(settings) = &self.tls {
            capabilities |= Capabilities::SSL;
            stream = start_tls(stream, capabilities, settings, self.collation).await?;
        }
        let missing = capabilities.without(greeting.capabilities).without(Capabilities::CLIENT_MYSQL);
        assert_eq!(missing, Capabilities::NONE, "not offered at {:?}", self.at);
        let mut conn = Conn { stream, capabilities, greeting, file: None, more: false, log: Vec::new() };
        conn.authenticate(self).await?;
        let algorithm = if capabilities.has(Capabilities::COMPRESS) {
            Algorithm::Zlib
        } else if capabilities.has(Capabilities::ZSTD) {
            Algorithm::Zstd { level: 3 }
        } else {
            return Ok(conn);
        };
        let Conn { stream, .. } = conn;
        let socket = Socket::Compressed(Box::new(Compressed::new(stream.into_socket(), algorithm)));
        Ok(Conn { stream: Packets::new(socket, 0), ..conn })
    }
}

async fn start_tls(
    mut stream: Packets,
    capabilities: Capabilities,
    settings: &ServerTls,
    collation: u8,
) -> Result<Packets, LoginError> {
    let mut payload = Vec::new();
    SslRequest { capabilities, packet_max: 1 << 30, collation }.encode(&mut payload);
    stream.write(&payload).await?;
    let Socket::Plain(transport) = stream.into_socket() else { unreachable!("TLS comes first") };
    let connector = TlsConnector::from(client_config(settings).unwrap());
    let tls = connector.connect(server_name("127.0.0.1"), transport).await?;
    Ok(Packets::new(Socket::Tls(Box::new(tls.into())), 2))
}

/// Why there is no session.
#[derive(Debug)]
pub(crate) enum LoginError {
    /// An ERR packet.
    Refused(u16, String),
    /// The connection failed or was closed.
    Broken(#[expect(dead_code, reason = "shown by Debug")] Broken),
}

impl LoginError {
    /// The error number; 0 for a connection that was merely closed.
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::Refused(code, _) => *code,
            Self::Broken(_) => 0,
        }
    }

    /// What the ERR packet says; nothing for a connection that was merely closed.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Refused(_, text) => text,
            Self::Broken(_) => "",
        }
    }
}

impl From<Broken> for LoginError {
    fn from(error: Broken) -> Self {
        Self::Broken(error)
    }
}

/// A session.
pub(crate) struct Conn {
    pub(crate) stream: Packets,
    pub(crate) capabilities: Capabilities,
    pub(crate) greeting: Greeting,
    /// What a LOAD DATA LOCAL gets; `None`: an empty file.
    pub(crate) file: Option<Arc<[u8]>>,
    /// The EOF after the columns said that more results follow, as it does of OUT parameters.
    more: bool,
    /// Everything that was said, for comparison.
    pub(crate) log: Vec<(String, Reply)>,
}

impl Conn {
    async fn authenticate(&mut self, login: &Login) -> Result<(), LoginError> {
        let secure = self.stream.socket().is_secure();
        let mut auth = ClientAuth::new(login.password.clone().into(), secure)
            .encrypted(matches!(self.stream.socket(), Socket::Tls(_)));
        let first = match login.guess {
            None => &*self.greeting.plugin,
            Some(Guess::Sha2) => "caching_sha2_password",
            Some(Guess::Native | Guess::Clear | Guess::NoPlugins) => "mysql_native_password",
        };
        let (mut plugin, mut auth_response) = auth.first_response(first, &self.greeting.scramble).unwrap();
        if login.guess == Some(Guess::Clear) {
            (plugin, auth_response) = ("mysql_clear_password", Vec::new());
        }
        let mut attributes = ConnectAttributes::new();
        attributes.push(b"program_name", b"it");
        let response = HandshakeResponse {
            capabilities: self.capabilities,
            packet_max: 1 << 30,
            collation: login.collation,
            user: login.user.clone(),
            auth_response,
            database: login.schema.clone(),
            plugin: (login.guess != Some(Guess::NoPlugins)).then(|| plugin.to_owned()),
            attributes,
            zstd_level: 3,
        };
        let mut payload = Vec::new();
        response.encode(&mut payload);
        self.stream.write(&payload).await?;
        self.prove(&mut auth).await
    }

    /// COM_CHANGE_USER.
    pub(crate) async fn change_user(
        &mut self,
        user: &str,
        password: &str,
        schema: Option<&str>,
    ) -> Result<(), LoginError> {
        let mut auth = ClientAuth::new(password.to_owned().into(), self.stream.socket().is_secure());
        let (plugin, auth_response) =
            auth.first_response(&self.greeting.plugin, &self.greeting.scramble).unwrap();
        let change = ChangeUser {
            user: user.to_owned(),
            auth_response,
            database: schema.map(str::to_owned),
            collation: Some(45),
            plugin: Some(plugin.to_owned()),
            attributes: ConnectAttributes::new(),
        };
        let mut payload = Vec::new();
        change.encode(self.capabilities, &mut payload);
        self.send(&payload).await;
        self.prove(&mut auth).await
    }

    /// The exchange of an authentication, up to OK or ERR.
    pub(crate) async fn prove(&mut self, auth: &mut ClientAuth) -> Result<(), LoginError> {
        loop {
            let payload = self.stream.read().await?;
            match auth.receive(&payload).unwrap() {
                ClientStep::Send(answer) => self.stream.write(&answer).await?,
                ClientStep::Wait => {}
                ClientStep::Finished if payload[0] == 0x00 => return Ok(()),
                ClientStep::Finished => {
                    let error = ErrPacket::parse(&payload).unwrap();
                    let message = String::from_utf8_lossy(&error.message).into_owned();
                    return Err(LoginError::Refused(error.code, message));
                }
            }
        }
    }

    /// Sends a command and nothing more.
    pub(crate) async fn send(&mut self, payload: &[u8]) {
        self.stream.reset_sequence();
        timeout(PEER_MAX, self.stream.write(payload)).await.expect("room to write").unwrap();
    }

    /// Sends a COM_QUERY and nothing more.
    pub(crate) async fn send_query(&mut self, sql: &str) {
        self.send(&self.query_payload(sql)).await;
    }

    /// The payload of a COM_QUERY, without query attributes where they were agreed on.
    pub(crate) fn query_payload(&self, sql: &str) -> Vec<u8> {
        let mut payload = vec![code::QUERY];
        if self.capabilities.has(Capabilities::QUERY_ATTRIBUTES) {
            payload.extend_from_slice(&[0, 1]);
        }
        payload.extend_from_slice(sql.as_bytes());
        payload
    }

    /// One text statement and its reply.
    pub(crate) async fn query(&mut self, sql: &str) -> Reply {
        self.send_query(sql).await;
        let reply = self.reply().await;
        self.note(sql, &reply);
        reply
    }

    /// One text statement and its reply; nothing if the connection has ended.
    pub(crate) async fn query_or_end(&mut self, sql: &str) -> Option<Reply> {
        self.stream.reset_sequence();
        timeout(PEER_MAX, self.stream.write(&self.query_payload(sql))).await.expect("room to write").ok()?;
        self.try_reply().await.ok()
    }

    /// A statement that must not fail.
    pub(crate) async fn ok(&mut self, sql: &str) -> Reply {
        let reply = self.query(sql).await;
        assert_eq!(reply.error(), None, "{sql}: {reply:?}");
        reply
    }

    /// A statement that must fail; its error number.
    pub(crate) async fn fails(&mut self, sql: &str) -> u16 {
        let reply = self.query(sql).await;
        reply.error().unwrap_or_else(|| panic!("{sql}: {reply:?}"))
    }

    /// The first value of a query's result, as text.
    pub(crate) async fn value(&mut self, sql: &str) -> String {
        self.ok(sql).await.value()
    }

    /// A command whose reply is one OK, EOF, ERR or text, or none of these but results.
    pub(crate) async fn command(&mut self, payload: &[u8]) -> Reply {
        self.send(payload).await;
        let reply = self.reply().await;
        self.note(&format!("{:?}", payload.escape_ascii().to_string()), &reply);
        reply
    }

    /// Remembers a reply for the comparison.
    pub(crate) fn note(&mut self, what: &str, reply: &Reply) {
        self.log.push((what.chars().take(200).collect(), reply.clone()));
    }

    /// Reads one packet.
    pub(crate) async fn packet(&mut self) -> Vec<u8> {
        self.try_packet().await.unwrap()
    }

    /// Reads one packet, or learns how the connection ended.
    pub(crate) async fn try_packet(&mut self) -> Result<Vec<u8>, Broken> {
        timeout(PEER_MAX, self.stream.read()).await.expect("an answer in time")
    }

    /// Reads a reply of results.
    pub(crate) async fn reply(&mut self) -> Reply {
        self.try_reply().await.unwrap()
    }

    /// Reads a reply of results, or learns how the connection ended.
    pub(crate) async fn try_reply(&mut self) -> Result<Reply, Broken> {
        let mut reply = Reply::default();
        loop {
            let first = self.try_packet().await?;
            reply.packets.push(first.clone());
            match first[0] {
                0x00 => reply.parts.push(Part::of_ok(&first)),
                0xFF => {
                    reply.parts.push(Part::of_err(&first));
                    return Ok(reply);
                }
                0xFB => {
                    reply.parts.push(Part::File(String::from_utf8_lossy(&first[1..]).into_owned()));
                    self.send_file().await;
                    continue;
                }
                0xFE => reply.parts.push(Part::of_rows(&[], Vec::new(), &first)),
                _ => {
                    if self.result_set(&first, &mut reply).await? {
                        return Ok(reply);
                    }
                }
            }
            let more = std::mem::take(&mut self.more);
            if !more && !reply.status().has(dazzle::wire::StatusFlags::MORE_RESULTS) {
                return Ok(reply);
            }
        }
    }

    /// Reads the rest of a result set; true if an error ended it.
    async fn result_set(&mut self, first: &[u8], reply: &mut Reply) -> Result<bool, Broken> {
        let count = dazzle::wire::Reader::new(first).lenenc().unwrap();
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(self.try_packet().await?);
        }
        reply.packets.extend(columns.iter().cloned());
        if !self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            let eof = self.try_packet().await?;
            assert!(eof[0] == 0xFE && eof.len() == 5, "an EOF after the columns");
            reply.packets.push(eof.clone());
            let (_, status) = dazzle::wire::parse_eof(&eof).unwrap();
            self.more = status.has(dazzle::wire::StatusFlags::PS_OUT_PARAMS);
            if status.has(dazzle::wire::StatusFlags::CURSOR_EXISTS) {
                reply.parts.push(Part::of_rows(&columns, Vec::new(), &eof));
                return Ok(false);
            }
        }
        self.rows(&columns, reply).await
    }

    /// Reads rows and their end; true if an error ended them.
    pub(crate) async fn rows(&mut self, columns: &[Vec<u8>], reply: &mut Reply) -> Result<bool, Broken> {
        let mut rows = Vec::new();
        loop {
            let packet = self.try_packet().await?;
            reply.packets.push(packet.clone());
            match packet[0] {
                0xFF => {
                    reply.parts.push(Part::of_rows(columns, rows, &[0xFE, 0, 0, 0, 0]));
                    reply.parts.push(Part::of_err(&packet));
                    return Ok(true);
                }
                0xFE if packet.len() < 0xFF_FFFF => {
                    reply.parts.push(Part::of_rows(columns, rows, &packet));
                    return Ok(false);
                }
                _ => rows.push(packet),
            }
        }
    }

    /// Sends the file that the server asked for, in packets of 1 MiB, and the empty packet that ends it.
    async fn send_file(&mut self) {
        let file = self.file.clone();
        for piece in file.as_deref().unwrap_or_default().chunks(1 << 20) {
            self.stream.write(piece).await.unwrap();
        }
        self.stream.write(&[]).await.unwrap();
    }

    /// Says goodbye and waits until the other side has closed.
    pub(crate) async fn quit(mut self) {
        self.send(&[code::QUIT]).await;
        while self.try_packet().await.is_ok() {}
    }
}
