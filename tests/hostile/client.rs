//! A client that can misbehave: bytes over TCP, packets if it likes, and a verdict on what comes back.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use dazzle::wire::auth::{ClientAuth, ClientStep};
use dazzle::wire::handshake::{ConnectAttributes, Greeting, HandshakeResponse, ServerHello};
use dazzle::wire::{Capabilities, ErrPacket, HEADER_BYTES, Header, PAYLOAD_MAX, code, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing in these tests may take longer.
pub(crate) const WITHIN: Duration = Duration::from_secs(15);

/// How the other side took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An ERR packet with this number.
    Error(u16),
    /// An OK packet.
    Ok,
    /// The first packet of anything else.
    Rows,
    /// The connection was closed.
    Closed,
}

/// One connection.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    /// Sequence id of the next packet in either direction.
    pub(crate) sequence: u8,
    pub(crate) capabilities: Capabilities,
    pub(crate) zstd_level: u8,
}

/// Capabilities of every client here.
const BASE: Capabilities = Capabilities::CLIENT_MYSQL
    .and_also(Capabilities::PROTOCOL_41)
    .and_also(Capabilities::SECURE_CONNECTION)
    .and_also(Capabilities::PLUGIN_AUTH)
    .and_also(Capabilities::PLUGIN_AUTH_LENENC)
    .and_also(Capabilities::CONNECT_ATTRS)
    .and_also(Capabilities::MULTI_STATEMENTS)
    .and_also(Capabilities::MULTI_RESULTS)
    .and_also(Capabilities::LOCAL_FILES)
    .and_also(Capabilities::DEPRECATE_EOF);

impl Raw {
    pub(crate) async fn dial(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).unwrap();
        Some(Self { stream, sequence: 0, capabilities: BASE, zstd_level: 3 })
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::dial(address).await.expect("it listens")
    }

    /// Writes `bytes` as they are; that the other side has closed shows when reading.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = timeout(WITHIN, self.stream.write_all(bytes)).await.expect("a peer that reads");
    }

    /// Writes `payload` in packets.
    pub(crate) async fn send(&mut self, payload: &[u8]) {
        let mut bytes = Vec::new();
        self.sequence = frame(&mut bytes, self.sequence, payload);
        self.write(&bytes).await;
    }

    /// One packet's payload, or how the connection ended.
    pub(crate) async fn read(&mut self) -> io::Result<Vec<u8>> {
        let read = async {
            let mut header = [0; HEADER_BYTES];
            self.stream.read_exact(&mut header).await?;
            let header = Header::parse(&header).unwrap();
            self.sequence = header.sequence.wrapping_add(1);
            let mut payload = vec![0; header.length];
            self.stream.read_exact(&mut payload).await?;
            Ok(payload)
        };
        timeout(WITHIN, read).await.expect("an answer or a close in time")
    }

    /// What comes next.
    pub(crate) async fn verdict(&mut self) -> Verdict {
        let Ok(payload) = self.read().await else { return Verdict::Closed };
        match payload.first() {
            Some(0xFF) => Verdict::Error(ErrPacket::parse(&payload).unwrap().code),
            Some(0x00) => Verdict::Ok,
            // COM_DEBUG and COM_SET_OPTION end with an EOF.
            Some(0xFE) if payload.len() < 9 => Verdict::Ok,
            _ => Verdict::Rows,
        }
    }

    /// The greeting and what it says.
    pub(crate) async fn greeting(&mut self) -> Result<Greeting, Verdict> {
        let payload = self.read().await.map_err(|_| Verdict::Closed)?;
        match ServerHello::parse(&payload).unwrap() {
            ServerHello::Greeting(greeting) => Ok(greeting),
            ServerHello::Refused(refusal) => Err(Verdict::Error(refusal.code)),
        }
    }

    /// A proper handshake response to `greeting`, as payload; the other half of the conversation.
    pub(crate) fn response(&self, user: &str, password: &str, greeting: &Greeting) -> (Vec<u8>, ClientAuth) {
        let mut auth = ClientAuth::new(password.to_owned().into(), false);
        let (plugin, auth_response) = auth.first_response(&greeting.plugin, &greeting.scramble).unwrap();
        let mut attributes = ConnectAttributes::new();
        attributes.push(b"program_name", b"hostile");
        let response = HandshakeResponse {
            capabilities: self.capabilities & greeting.capabilities,
            packet_max: 1 << 24,
            collation: 45,
            user: user.to_owned(),
            auth_response,
            database: None,
            plugin: Some(plugin.to_owned()),
            attributes,
            zstd_level: self.zstd_level,
        };
        let mut payload = Vec::new();
        response.encode(&mut payload);
        (payload, auth)
    }

    /// Goes on after the handshake response until OK or the end.
    pub(crate) async fn finish(&mut self, auth: &mut ClientAuth) -> Verdict {
        loop {
            let Ok(payload) = self.read().await else { return Verdict::Closed };
            if payload.first() == Some(&0xFF) {
                return Verdict::Error(ErrPacket::parse(&payload).unwrap().code);
            }
            match auth.receive(&payload) {
                Ok(ClientStep::Send(answer)) => self.send(&answer).await,
                Ok(ClientStep::Wait) => {}
                Ok(ClientStep::Finished) => return Verdict::Ok,
                Err(_) => return Verdict::Rows,
            }
        }
    }

    /// Logs in properly; or how that ended.
    pub(crate) async fn log_in(
        mut self,
        user: &str,
        password: &str,
        schema: Option<&str>,
        wanted: Capabilities,
    ) -> Result<Self, Verdict> {
        self.capabilities |= wanted;
        let greeting = self.greeting().await?;
        self.capabilities = self.capabilities & greeting.capabilities;
        let (mut payload, mut auth) = self.response(user, password, &greeting);
        if let Some(schema) = schema {
            let ends = HandshakeResponse {
                database: Some(schema.to_owned()),
                ..match dazzle::wire::handshake::ClientHello::parse(&payload).unwrap() {
                    dazzle::wire::handshake::ClientHello::Login(response) => response,
                    dazzle::wire::handshake::ClientHello::Ssl(_) => unreachable!("a login"),
                }
            };
            let capabilities = ends.capabilities | Capabilities::CONNECT_WITH_DB;
            payload.clear();
            HandshakeResponse { capabilities, ..ends }.encode(&mut payload);
        }
        self.send(&payload).await;
        match self.finish(&mut auth).await {
            Verdict::Ok => Ok(self),
            end => Err(end),
        }
    }

    /// Sends a command.
    pub(crate) async fn command(&mut self, payload: &[u8]) {
        self.sequence = 0;
        self.send(payload).await;
    }

    /// Sends a command and reads its whole reply: one OK, ERR, text, or one result set.
    pub(crate) async fn ask(&mut self, payload: &[u8]) -> Verdict {
        self.command(payload).await;
        self.reply().await
    }

    /// Sends a command whose reply may also be one packet of text, or rows without a count.
    pub(crate) async fn ask_one(&mut self, payload: &[u8]) -> Verdict {
        match payload {
            [code::STATISTICS] => {
                self.command(payload).await;
                self.verdict().await
            }
            _ => self.ask(payload).await,
        }
    }

    /// Reads a whole reply of one OK, ERR, or result set.
    pub(crate) async fn reply(&mut self) -> Verdict {
        let first = self.verdict().await;
        if first != Verdict::Rows {
            return first;
        }
        loop {
            match self.read().await {
                Ok(payload) if payload.first() == Some(&0xFF) => {
                    return Verdict::Error(ErrPacket::parse(&payload).unwrap().code);
                }
                Ok(payload) if payload.first() == Some(&0xFE) && payload.len() < PAYLOAD_MAX => {
                    return Verdict::Rows;
                }
                Ok(_) => {}
                Err(_) => return Verdict::Closed,
            }
        }
    }

    /// Whether the connection still serves: answers a ping, in order.
    pub(crate) async fn serves(&mut self) -> bool {
        self.ask(b"\x0e").await == Verdict::Ok
    }

    /// Reads until the connection is closed, and says what the last packet was about.
    pub(crate) async fn last_words(&mut self) -> Verdict {
        let mut last = Verdict::Closed;
        loop {
            match self.verdict().await {
                Verdict::Closed => return last,
                verdict => last = verdict,
            }
        }
    }
}
