//! Logging in to real servers: every plugin over every transport, and the compressed protocol after it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::pin::Pin;

use dazzle::backend::tls::{client_config, server_name};
use dazzle::config::ServerTls;
use dazzle::lab::{Account, AuthPlugin, Flavor, Server, shared};
use dazzle::wire::auth::{ClientAuth, ClientStep};
use dazzle::wire::compression::{Algorithm, Compressed};
use dazzle::wire::handshake::{
    ChangeUser, ConnectAttributes, HandshakeResponse, Scramble, ServerHello, SslRequest,
};
use dazzle::wire::{Capabilities, ErrPacket, HEADER_BYTES, Header, frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

/// A server forgets everybody's password at FLUSH PRIVILEGES, so one story at a time says it.
static FORGETTING: Mutex<()> = Mutex::const_new(());

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// A connection that speaks in payloads.
struct Conn {
    stream: Pin<Box<dyn Stream>>,
    sequence: u8,
    scramble: Option<Scramble>,
}

impl Conn {
    async fn read(&mut self) -> Vec<u8> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).await.unwrap();
        let header = Header::parse(&header).unwrap();
        self.sequence = header.sequence.wrapping_add(1);
        let mut payload = vec![0; header.length];
        self.stream.read_exact(&mut payload).await.unwrap();
        payload
    }

    async fn write(&mut self, payload: &[u8]) {
        let mut out = Vec::new();
        self.sequence = frame(&mut out, self.sequence, payload);
        self.stream.write_all(&out).await.unwrap();
        self.stream.flush().await.unwrap();
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Transport {
    Tcp,
    Tls,
    Unix,
}

/// What one login is made with.
struct Login<'a> {
    transport: Transport,
    user: &'a str,
    password: &'a str,
    wanted: Capabilities,
}

impl<'a> Login<'a> {
    fn new(transport: Transport, user: &'a str, password: &'a str) -> Self {
        Self { transport, user, password, wanted: Capabilities::NONE }
    }

    /// Logs in; the error is the server's number.
    async fn run(&self, server: &Server) -> Result<Conn, u16> {
        let stream: Pin<Box<dyn Stream>> = match self.transport {
            Transport::Unix => Box::pin(UnixStream::connect(server.socket()).await.unwrap()),
            _ => Box::pin(TcpStream::connect(server.address()).await.unwrap()),
        };
        let mut conn = Conn { stream, sequence: 0, scramble: None };
        let ServerHello::Greeting(greeting) = ServerHello::parse(&conn.read().await).unwrap() else {
            panic!("the server refuses us")
        };
        let mut capabilities = Capabilities::PROTOCOL_41
            | Capabilities::SECURE_CONNECTION
            | Capabilities::PLUGIN_AUTH
            | Capabilities::PLUGIN_AUTH_LENENC
            | Capabilities::CONNECT_ATTRS
            | self.wanted;
        assert!(greeting.capabilities.has(capabilities), "{:?}", greeting.capabilities);
        capabilities |= Capabilities::CLIENT_MYSQL;
        if self.transport == Transport::Tls {
            capabilities |= Capabilities::SSL;
            let mut payload = Vec::new();
            SslRequest { capabilities, packet_max: 1 << 24, collation: 45 }.encode(&mut payload);
            conn.write(&payload).await;
            let connector = TlsConnector::from(client_config(&ServerTls::default()).unwrap());
            let stream = connector.connect(server_name("localhost"), conn.stream).await.unwrap();
            conn.stream = Box::pin(stream);
        }
        let secure = self.transport != Transport::Tcp;
        let mut auth = ClientAuth::new(self.password.to_owned().into(), secure)
            .encrypted(self.transport == Transport::Tls);
        let (plugin, auth_response) = auth.first_response(&greeting.plugin, &greeting.scramble).unwrap();
        let mut attributes = ConnectAttributes::new();
        attributes.push(b"program_name", b"login-test");
        let response = HandshakeResponse {
            capabilities,
            packet_max: 1 << 24,
            collation: 45,
            user: self.user.to_owned(),
            auth_response,
            database: None,
            plugin: Some(plugin.to_owned()),
            attributes,
            zstd_level: 3,
        };
        let mut payload = Vec::new();
        response.encode(&mut payload);
        conn.write(&payload).await;
        authenticate(&mut conn, &mut auth).await?;
        conn.scramble = Some(greeting.scramble);
        Ok(conn)
    }
}

/// Lets both sides talk until OK or ERR; the error is the server's number.
async fn authenticate(conn: &mut Conn, auth: &mut ClientAuth) -> Result<(), u16> {
    loop {
        let payload = conn.read().await;
        match auth.receive(&payload).unwrap() {
            ClientStep::Send(answer) => conn.write(&answer).await,
            ClientStep::Wait => {}
            ClientStep::Finished if payload[0] == 0 => return Ok(()),
            ClientStep::Finished => return Err(ErrPacket::parse(&payload).unwrap().code),
        }
    }
}

async fn each(check: impl AsyncFn(Flavor, &Server)) {
    let installed = Flavor::installed();
    assert!(!installed.is_empty(), "no database server on this machine: run scripts/servers");
    for flavor in installed {
        check(flavor, shared(flavor).await.unwrap().primary()).await;
    }
}

#[tokio::test]
async fn every_plugin_logs_in_over_every_transport() {
    let _alone = FORGETTING.lock().await;
    each(async |flavor, server| {
        let plugins: &[AuthPlugin] = match flavor {
            Flavor::MariaDb => &[AuthPlugin::Native],
            Flavor::MySql => &[AuthPlugin::CachingSha2, AuthPlugin::Sha256],
        };
        for &plugin in plugins {
            let long = "pässwörd ".repeat(9);
            for (user, password) in [("login_short", "x"), ("login_long", &*long), ("login_empty", "")] {
                let account = Account { plugin, ..Account::new(flavor, user, password) };
                server.create_account(&account).await.unwrap();
                for transport in [Transport::Tcp, Transport::Tls, Transport::Unix, Transport::Tcp] {
                    // Twice: the first login of caching_sha2_password is in full, the second is fast.
                    for _ in 0..2 {
                        let login = Login::new(transport, user, password).run(server).await;
                        assert!(login.is_ok(), "{flavor} {plugin:?} {user} {transport:?}: {:?}", login.err());
                    }
                    let wrong = Login::new(transport, user, "wrong").run(server).await;
                    assert_eq!(wrong.err(), Some(1045), "{flavor} {plugin:?} {user} {transport:?}");
                    server.execute(&["FLUSH PRIVILEGES"]).await.unwrap();
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_password_that_the_server_has_forgotten_is_sent_to_it_in_full() {
    let _alone = FORGETTING.lock().await;
    each(async |flavor, server| {
        if flavor == Flavor::MariaDb {
            return;
        }
        server.create_account(&Account::new(flavor, "login_full", "secret")).await.unwrap();
        // Packets of both sides that the password in full takes more: without TLS two for the key.
        for (transport, more) in [(Transport::Tcp, 3), (Transport::Tls, 1), (Transport::Unix, 1)] {
            let login = Login::new(transport, "login_full", "secret");
            server.execute(&["FLUSH PRIVILEGES"]).await.unwrap();
            let in_full = login.run(server).await.unwrap().sequence;
            let fast = login.run(server).await.unwrap().sequence;
            assert_eq!(in_full, fast + more, "{transport:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_user_changes_on_a_connection_with_either_guess() {
    each(async |flavor, server| {
        for user in ["login_one", "login_two"] {
            server.create_account(&Account::new(flavor, user, user)).await.unwrap();
        }
        for transport in [Transport::Tcp, Transport::Unix] {
            let mut conn = Login::new(transport, "login_one", "login_one").run(server).await.unwrap();
            let scramble = conn.scramble.unwrap();
            for (user, guess) in [
                ("login_two", "caching_sha2_password"),
                ("login_two", "mysql_native_password"),
                ("login_one", "caching_sha2_password"),
            ] {
                let mut auth = ClientAuth::new(user.to_owned().into(), transport == Transport::Unix);
                let (plugin, auth_response) = auth.first_response(guess, &scramble).unwrap();
                let change = ChangeUser {
                    user: user.to_owned(),
                    auth_response,
                    database: None,
                    collation: Some(45),
                    plugin: Some(plugin.to_owned()),
                    attributes: ConnectAttributes::new(),
                };
                let mut payload = Vec::new();
                let capabilities =
                    Capabilities::SECURE_CONNECTION | Capabilities::PLUGIN_AUTH | Capabilities::CONNECT_ATTRS;
                change.encode(capabilities, &mut payload);
                conn.sequence = 0;
                conn.write(&payload).await;
                let outcome = authenticate(&mut conn, &mut auth).await;
                assert_eq!(outcome, Ok(()), "{flavor} {transport:?} {user} {guess}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn large_statements_and_replies_flow_compressed() {
    each(async |flavor, server| {
        server.create_account(&Account::new(flavor, "login_zip", "secret")).await.unwrap();
        let mut algorithms = vec![(Capabilities::COMPRESS, Algorithm::Zlib)];
        if flavor == Flavor::MySql {
            algorithms.push((Capabilities::ZSTD, Algorithm::Zstd { level: 3 }));
        }
        for (wanted, algorithm) in algorithms {
            for transport in [Transport::Unix, Transport::Tls] {
                let login = Login { wanted, ..Login::new(transport, "login_zip", "secret") };
                let conn = login.run(server).await.unwrap();
                let mut stream = Compressed::new(conn.stream, algorithm);
                for _ in 0..2 {
                    // One frame, many frames, an incompressible mebibyte.
                    for filler in [10, 300_000, 3_000_000] {
                        stream.reset_sequence();
                        let filler = "filler ".repeat(filler / 7);
                        let query = format!("\x03SELECT /* {filler} */ REPEAT('x', 1e6), RANDOM_BYTES(1024)");
                        let mut out = Vec::new();
                        frame(&mut out, 0, query.as_bytes());
                        stream.write_all(&out).await.unwrap();
                        stream.flush().await.unwrap();
                        let row = row(&mut stream).await;
                        assert_eq!(
                            row.len(),
                            4 + 1_000_000 + 3 + 1024,
                            "{flavor} {algorithm:?} {transport:?}"
                        );
                        assert!(row[4..1_000_004].iter().all(|&byte| byte == b'x'));
                    }
                }
            }
        }
    })
    .await;
}

/// The one row of a result with two columns, read to its end.
async fn row(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let (mut packets, mut row) = (0, Vec::new());
    loop {
        let mut header = [0; HEADER_BYTES];
        stream.read_exact(&mut header).await.unwrap();
        let mut payload = vec![0; Header::parse(&header).unwrap().length];
        stream.read_exact(&mut payload).await.unwrap();
        // Column count, two columns, EOF, the row, EOF.
        match packets {
            0 => assert_eq!(payload, [2], "{}", String::from_utf8_lossy(&payload)),
            4 => row = payload,
            5 => return row,
            _ => {}
        }
        packets += 1;
    }
}
