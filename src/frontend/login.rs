//! The login: greeting, TLS, authentication, schema; and COM_CHANGE_USER, which is a login in the
//! middle of a connection.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::config::{Config, TlsMode};
use crate::engine::Offered;
use crate::error::SqlError;
use crate::frontend::credential::credential_of;
use crate::wire::auth::{
    Credential, Decoys, Offer, Plugin, Proof, RsaKeys, ServerAuth, Services, Sha2Cache, Step,
};
use crate::wire::handshake::{ClientHello, Greeting, HandshakeError, HandshakeResponse, Scramble};
use crate::wire::{Capabilities, PacketStream, Socket, StatusFlags, StreamError, encode_err};

/// Bytes of one packet of a login at most: connection attributes may take 64 KiB, names little.
pub(crate) const LOGIN_BYTES_MAX: u64 = 128 << 10;

/// What logins are checked with; rebuilt with every configuration.
#[derive(Debug)]
pub struct Security {
    /// TLS towards clients.
    pub tls: Arc<ServerConfig>,
    /// Keys for passwords without TLS.
    pub rsa: Arc<RsaKeys>,
    /// Passwords that have proved right.
    pub sha2_cache: Arc<Sha2Cache>,
    /// What names that do not exist are checked against.
    pub decoys: Decoys,
}

impl Security {
    /// The decoys of a configuration: unknown users behave like its known ones.
    #[must_use]
    pub fn decoys_of(config: &Config) -> Decoys {
        let credentials: Vec<Credential> =
            config.users.values().filter_map(|user| credential_of(&user.password).ok()).collect();
        Decoys::new(&credentials, &mut rand::rng())
    }

    fn services<'a>(&'a self, cache: &'a Sha2Cache) -> Services<'a> {
        Services { keys: &self.rsa, cache, default_plugin: Plugin::CachingSha2Password }
    }
}

/// A login that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// The client is told and the connection closed.
    #[error("{}", .0.message)]
    Refused(SqlError),
    /// The client left, or its socket failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl From<std::io::Error> for LoginError {
    fn from(error: std::io::Error) -> Self {
        Self::Stream(error.into())
    }
}

impl From<HandshakeError> for LoginError {
    fn from(error: HandshakeError) -> Self {
        Self::Refused(crate::error::ProxyError::sql_error(&error))
    }
}

impl LoginError {
    pub(crate) fn refused(code: u16, state: &'static str, message: impl Into<String>) -> Self {
        Self::Refused(SqlError::new(code, state, message.into()))
    }
}

/// What the greeting of one connection says.
#[derive(Clone, Debug)]
pub(crate) struct Greeted {
    pub(crate) offered: Offered,
    pub(crate) connection_id: u32,
    pub(crate) tls: TlsMode,
    /// Client address as the error message of a refused login shows it.
    pub(crate) host: String,
}

/// A client that has said who it is.
#[derive(Debug)]
pub(crate) struct Hello {
    pub(crate) stream: PacketStream,
    pub(crate) response: HandshakeResponse,
    pub(crate) scramble: Scramble,
}

/// Sends the greeting, starts TLS if the client wants it, reads who the client says it is.
pub(crate) async fn greet(
    mut stream: PacketStream,
    greeted: &Greeted,
    security: &Security,
) -> Result<Hello, (PacketStream, LoginError)> {
    let scramble = Scramble::random(&mut rand::rng());
    let mut payload = Vec::new();
    Greeting {
        server_version: greeted.offered.version.clone(),
        connection_id: greeted.connection_id,
        scramble,
        capabilities: greeted.offered.capabilities,
        collation: greeted.offered.collation,
        status: StatusFlags::AUTOCOMMIT,
        plugin: Plugin::CachingSha2Password.name().to_owned(),
    }
    .encode(&mut payload);
    if let Err(error) = stream.write_payload(&payload).await {
        return Err((stream, error.into()));
    }
    let mut hello = match read_hello(&mut stream).await {
        Ok(hello) => hello,
        Err(error) => return Err((stream, error)),
    };
    let mut secure = stream.socket().is_secure();
    if matches!(hello, ClientHello::Ssl(_)) {
        if !greeted.offered.capabilities.has(Capabilities::SSL) {
            return Err((stream, LoginError::refused(1043, "08S01", "Bad handshake")));
        }
        stream = match start_tls(stream, security).await {
            Ok(stream) => stream,
            Err(error) => return Err((dead_stream(), error)),
        };
        secure = true;
        hello = match read_hello(&mut stream).await {
            Ok(hello) => hello,
            Err(error) => return Err((stream, error)),
        };
    }
    match hello {
        ClientHello::Ssl(_) => Err((stream, LoginError::refused(1043, "08S01", "Bad handshake"))),
        ClientHello::Login(_) if !secure && greeted.tls == TlsMode::Required => Err((stream, tls_required())),
        ClientHello::Login(response) => Ok(Hello { stream, response, scramble }),
    }
}

pub(crate) fn tls_required() -> LoginError {
    LoginError::refused(
        3159,
        "HY000",
        "Connections using insecure transport are prohibited while --require_secure_transport=ON.",
    )
}

async fn read_hello(stream: &mut PacketStream) -> Result<ClientHello, LoginError> {
    Ok(ClientHello::parse(&stream.read_payload(LOGIN_BYTES_MAX).await?)?)
}

async fn start_tls(stream: PacketStream, security: &Security) -> Result<PacketStream, LoginError> {
    let sequence = stream.sequence;
    let Socket::Plain(transport) = stream.into_socket()? else {
        return Err(LoginError::refused(1043, "08S01", "Bad handshake"));
    };
    let tls = TlsAcceptor::from(Arc::clone(&security.tls)).accept(transport).await?;
    Ok(PacketStream::over(Socket::Tls(Box::new(tls.into())), sequence))
}

/// Stands for a connection whose TLS handshake failed: there is nothing left to answer on.
fn dead_stream() -> PacketStream {
    let (closed, _) = tokio::io::duplex(1);
    PacketStream::new(Socket::Plain(crate::wire::Transport::Pipe(closed)))
}

/// One attempt to prove an identity.
pub(crate) struct Claim<'a> {
    pub(crate) user: &'a str,
    pub(crate) host: &'a str,
    pub(crate) scramble: &'a Scramble,
    pub(crate) plugin: Option<&'a str>,
    pub(crate) response: &'a [u8],
    pub(crate) capabilities: Capabilities,
}

/// What is remembered of logins.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'a> {
    /// Passwords that have proved right.
    pub(crate) passwords: &'a Sha2Cache,
    /// What names that do not exist are checked against.
    pub(crate) decoys: &'a Decoys,
}

/// Runs the authentication exchange. On success the client has been sent everything but the OK. Without a
/// `credential` there is no such user; the exchange goes on as if there were.
pub(crate) async fn authenticate(
    stream: &mut PacketStream,
    claim: Claim<'_>,
    credential: Option<Credential>,
    security: &Security,
    memory: Memory<'_>,
) -> Result<Proof, LoginError> {
    let known = credential.is_some();
    let credential = credential.unwrap_or_else(|| memory.decoys.credential(claim.user, &mut rand::rng()));
    let services = security.services(memory.passwords);
    let offer = Offer {
        scramble: claim.scramble,
        plugin: claim.plugin,
        response: claim.response,
        capabilities: claim.capabilities,
    };
    let mut auth = ServerAuth::new(claim.user, credential, stream.socket().is_secure());
    let mut step = auth.begin(&offer, &services, &mut rand::rng());
    loop {
        match step {
            Step::Ask(payload) => {
                stream.write_payload(&payload).await?;
                let answer = stream.read_payload(LOGIN_BYTES_MAX).await?;
                step = auth.receive(&answer, &services);
            }
            Step::Accepted(proof) if known => {
                if let Some(notice) = proof.notice {
                    stream.write_payload(notice).await?;
                }
                return Ok(proof);
            }
            // A decoy's secret cannot be known; were it guessed, there would still be no such user.
            Step::Accepted(_) => {
                let text = format!("Access denied for user '{}'@'{}'", claim.user, claim.host);
                return Err(LoginError::refused(1045, "28000", text));
            }
            Step::Denied(denial) => {
                return Err(LoginError::Refused(denial.sql_error(claim.user, claim.host)));
            }
        }
    }
}

/// Sends an error in place of a greeting or during the login.
pub(crate) async fn send_error(stream: &mut PacketStream, error: &SqlError, marker: bool) {
    let mut payload = Vec::new();
    encode_err(error, marker, &mut payload);
    // The client may be gone; it is being closed anyway.
    let _ = stream.write_payload(&payload).await;
    let _ = stream.shutdown().await;
}
