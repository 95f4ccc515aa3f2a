//! Logging in at a server: greeting, TLS, authentication, and what every new connection is told.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::backend::error::BackendError;
use crate::config::{Compression, TlsMode};
use crate::wire::auth::{ClientAuth, ClientStep, LoginSecret};
use crate::wire::compression::Algorithm;
use crate::wire::handshake::{
    ChangeUser, ConnectAttributes, Greeting, HandshakeResponse, Scramble, ServerHello, SslRequest,
};
use crate::wire::{Capabilities, ErrPacket, OkPacket, PacketStream, Socket, StatusFlags};

/// Bytes of one packet of a login at most.
const LOGIN_BYTES_MAX: u64 = 64 << 10;

/// `utf8mb4_general_ci`: an id that every server in use knows.
const COLLATION: u8 = 45;

/// What a server must be able to do.
const NEEDED: Capabilities = Capabilities::PROTOCOL_41
    .and_also(Capabilities::PLUGIN_AUTH)
    .and_also(Capabilities::SESSION_TRACK)
    .and_also(Capabilities::DEPRECATE_EOF);

/// What is asked for where the server has it.
const WANTED: Capabilities = NEEDED
    .and_also(Capabilities::CLIENT_MYSQL)
    .and_also(Capabilities::LONG_FLAG)
    .and_also(Capabilities::LOCAL_FILES)
    .and_also(Capabilities::TRANSACTIONS)
    .and_also(Capabilities::SECURE_CONNECTION)
    .and_also(Capabilities::MULTI_RESULTS)
    .and_also(Capabilities::PS_MULTI_RESULTS)
    .and_also(Capabilities::PLUGIN_AUTH_LENENC)
    .and_also(Capabilities::CONNECT_ATTRS)
    .and_also(Capabilities::MARIADB_BULK);

/// The secret of a server identity. That of a declared user never changes; that of a server's own account does
/// when the account gets another password, while its pool goes on.
#[derive(Debug)]
pub struct Keyring(ArcSwapOption<LoginSecret>);

impl Keyring {
    /// With this secret.
    #[must_use]
    pub fn new(secret: LoginSecret) -> Arc<Self> {
        Arc::new(Self(ArcSwapOption::from_pointee(secret)))
    }

    /// The secret that counts from here on; `None`: no login can be made until there is one again.
    pub fn change(&self, secret: Option<LoginSecret>) {
        self.0.store(secret.map(Arc::new));
    }

    fn secret(&self) -> Result<LoginSecret, BackendError> {
        self.0.load().as_deref().cloned().ok_or(BackendError::NoSecret)
    }
}

/// One server identity and how it connects.
#[derive(Debug)]
pub struct Login {
    /// User name at the server.
    pub user: String,
    /// What it proves itself with.
    pub keyring: Arc<Keyring>,
    /// TLS, if it may be used; with the name to verify.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Whether TLS may, must or cannot be used.
    pub tls_mode: TlsMode,
    /// Compression that is asked for.
    pub compression: Compression,
}

/// A connection that is logged in.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    pub(crate) stream: PacketStream,
    pub(crate) greeting: Greeting,
    pub(crate) capabilities: Capabilities,
    pub(crate) status: StatusFlags,
}

impl Login {
    /// Logs in over a socket that has just been connected. `extra` are capabilities of the connection's
    /// profile.
    pub(crate) async fn log_in(&self, socket: Socket, extra: Capabilities) -> Result<LoggedIn, BackendError> {
        let mut stream = PacketStream::new(socket);
        let greeting = match ServerHello::parse(&stream.read_payload(LOGIN_BYTES_MAX).await?)? {
            ServerHello::Greeting(greeting) => greeting,
            ServerHello::Refused(refusal) => {
                return Err(BackendError::Server(ErrPacket {
                    code: refusal.code,
                    state: refusal.state.unwrap_or(*b"HY000"),
                    message: refusal.message.into_bytes(),
                }));
            }
        };
        if !greeting.capabilities.has(NEEDED) {
            return Err(BackendError::TooOld("session tracking or DEPRECATE_EOF"));
        }
        let compression = match self.compression {
            Compression::None => Capabilities::NONE,
            Compression::Zlib => Capabilities::COMPRESS,
            Compression::Zstd => Capabilities::ZSTD,
        };
        let mut capabilities = (WANTED | extra | compression) & greeting.capabilities;
        if let Some(tls) = self.tls_for(&greeting)? {
            capabilities |= Capabilities::SSL;
            stream = self.start_tls(stream, capabilities, tls).await?;
        }
        let mut auth = self.auth(&stream)?;
        let (plugin, auth_response) = auth.first_response(&greeting.plugin, &greeting.scramble)?;
        let response = HandshakeResponse {
            capabilities,
            packet_max: 1 << 30,
            collation: COLLATION,
            user: self.user.clone(),
            auth_response,
            database: None,
            plugin: Some(plugin.to_owned()),
            attributes: own_attributes(),
            zstd_level: 3,
        };
        let mut payload = Vec::new();
        response.encode(&mut payload);
        stream.write_payload(&payload).await?;
        let status = authenticate(&mut stream, &mut auth).await?;
        stream.read_ahead();
        compress(&mut stream, capabilities);
        Ok(LoggedIn { stream, greeting, capabilities, status })
    }

    /// COM_CHANGE_USER to the same user without a schema.
    pub(crate) async fn change_user(
        &self,
        stream: &mut PacketStream,
        capabilities: Capabilities,
        scramble: &Scramble,
    ) -> Result<StatusFlags, BackendError> {
        let mut auth = self.auth(stream)?;
        // The plugin of the account is not known here; the server switches to it.
        let (plugin, auth_response) = auth.first_response("caching_sha2_password", scramble)?;
        let change = ChangeUser {
            user: self.user.clone(),
            auth_response,
            database: None,
            collation: Some(u16::from(COLLATION)),
            plugin: Some(plugin.to_owned()),
            attributes: own_attributes(),
        };
        let mut payload = Vec::new();
        change.encode(capabilities, &mut payload);
        stream.write_payload(&payload).await?;
        authenticate(stream, &mut auth).await
    }

    fn auth(&self, stream: &PacketStream) -> Result<ClientAuth, BackendError> {
        let secret = self.keyring.secret()?;
        // sha256_password trusts TLS only, where the others trust a unix socket as well.
        let encrypted = matches!(stream.socket(), Socket::Tls(_));
        Ok(ClientAuth::with_secret(secret, stream.socket().is_secure()).encrypted(encrypted))
    }

    fn tls_for(
        &self,
        greeting: &Greeting,
    ) -> Result<Option<(Arc<ClientConfig>, ServerName<'static>)>, BackendError> {
        match (&self.tls, greeting.capabilities.has(Capabilities::SSL)) {
            (Some(tls), true) => Ok(Some(tls.clone())),
            _ if self.tls_mode == TlsMode::Required => Err(BackendError::NoTls),
            _ => Ok(None),
        }
    }

    async fn start_tls(
        &self,
        mut stream: PacketStream,
        capabilities: Capabilities,
        (config, name): (Arc<ClientConfig>, ServerName<'static>),
    ) -> Result<PacketStream, BackendError> {
        let request = SslRequest { capabilities, packet_max: 1 << 30, collation: COLLATION };
        let mut payload = Vec::new();
        request.encode(&mut payload);
        stream.write_payload(&payload).await?;
        let sequence = stream.sequence;
        let Socket::Plain(transport) = stream.into_socket()? else {
            unreachable!("a connection that was just made is plain");
        };
        let tls = TlsConnector::from(config).connect(name, transport).await?;
        Ok(PacketStream::over(Socket::Tls(Box::new(tls.into())), sequence))
    }
}

/// Runs the rest of the authentication until OK or ERR.
async fn authenticate(stream: &mut PacketStream, auth: &mut ClientAuth) -> Result<StatusFlags, BackendError> {
    loop {
        let payload = stream.read_payload(LOGIN_BYTES_MAX).await?;
        match auth.receive(&payload)? {
            ClientStep::Send(answer) => stream.write_payload(&answer).await?,
            ClientStep::Wait => {}
            ClientStep::Finished if payload.first() == Some(&0xFF) => {
                return Err(BackendError::Server(ErrPacket::parse(&payload)?));
            }
            ClientStep::Finished => return Ok(OkPacket::parse(&payload)?.status),
        }
    }
}

fn compress(stream: &mut PacketStream, capabilities: Capabilities) {
    let algorithm = if capabilities.has(Capabilities::ZSTD) {
        Algorithm::Zstd { level: 3 }
    } else if capabilities.has(Capabilities::COMPRESS) {
        Algorithm::Zlib
    } else {
        return;
    };
    stream.compress(algorithm);
}

/// What the server's `performance_schema.session_connect_attrs` says about us.
fn own_attributes() -> ConnectAttributes {
    let mut attributes = ConnectAttributes::new();
    attributes.push(b"_client_name", b"dazzle");
    attributes.push(b"_client_version", env!("CARGO_PKG_VERSION").as_bytes());
    attributes.push(b"_pid", std::process::id().to_string().as_bytes());
    attributes
}
