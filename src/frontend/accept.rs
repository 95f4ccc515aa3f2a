//! From an accepted socket to a session that runs.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::TcpKeepalive;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use crate::config::{Listener, TlsMode};
use crate::engine::{
    Client, Engine, EngineError, Session, SessionImage, SessionParts, Shutdown, User, Worker, offer,
};
use crate::error::{ProxyError, SqlError};
use crate::frontend::candidate::{self, Identified};
use crate::frontend::limits::{ClientCounts, Counted};
use crate::frontend::listener::BoundListener;
use crate::frontend::listeners::OpenListener;
use crate::frontend::login::{Claim, Greeted, Hello, LoginError, Security, greet, send_error, tls_required};
use crate::frontend::serve;
use crate::telemetry::{ClientRefusal, LoginOutcome, RateLimit, SessionGuard, spawn};
use crate::wire::compression::Algorithm;
use crate::wire::handshake::HandshakeResponse;
use crate::wire::proxy_protocol::{Progress, ProxyHeader, parse};
use crate::wire::{Capabilities, OkPacket, PacketStream, Socket, Transport};

/// How long the first clients wait for their greeting while the server's version is not known: drivers
/// switch features on it for the life of the connection.
const LEARN_PATIENCE: Duration = Duration::from_secs(1);

/// A client whose machine vanished without a word is noticed after two minutes of silence, and what it held (a transaction, a
/// pinned connection) is free again. No TCP_USER_TIMEOUT beside it: Linux counts a full window as well, and a client that
/// takes its time over a result is not gone.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(10))
    .with_retries(6);

/// What the listeners of one worker share.
#[derive(Clone, Debug)]
pub struct Frontend {
    /// The engine.
    pub engine: Arc<Engine>,
    /// This thread's part of it.
    pub worker: Arc<Worker>,
    /// What logins are checked with.
    pub security: Arc<ArcSwap<Security>>,
    /// How many clients there are.
    pub counts: Arc<ClientCounts>,
}

/// Counts a client's end, whatever way it comes.
struct Accepted(Arc<Worker>);

impl Drop for Accepted {
    fn drop(&mut self) {
        self.0.metrics.clients_closed.increment();
    }
}

impl Frontend {
    /// Accepts clients on every listener that opens, until the engine shuts down.
    pub async fn listen(self, mut open: watch::Receiver<Vec<Arc<OpenListener>>>) {
        loop {
            for listener in open.borrow_and_update().iter() {
                if let Some(socket) = listener.take(usize::from(self.worker.id.0)) {
                    drop(spawn("listener", self.clone().accept(socket, Arc::clone(listener))));
                }
            }
            if open.changed().await.is_err() {
                return;
            }
        }
    }

    /// Accepts clients until a reload closes the listener or the engine shuts down.
    async fn accept(self, socket: BoundListener, open: Arc<OpenListener>) {
        let mut shutdown = self.engine.shutdown();
        let accept = async {
            match socket {
                BoundListener::Tcp(listener) => match TcpListener::from_std(listener) {
                    Ok(listener) => self.accept_tcp(&listener, &open).await,
                    Err(error) => warn!(%error, "listener failed"),
                },
                BoundListener::Unix(listener) => match UnixListener::from_std(listener) {
                    Ok(listener) => self.accept_unix(&listener, &open).await,
                    Err(error) => warn!(%error, "listener failed"),
                },
            }
        };
        tokio::select! {
            () = accept => {}
            () = open.closed() => {}
            _ = shutdown.wait_for(|how| *how != Shutdown::Not) => {}
        }
    }

    async fn accept_tcp(&self, listener: &TcpListener, open: &OpenListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Replies are whole when they are written: waiting for more would only delay them.
                    let _ = stream.set_nodelay(true);
                    let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE);
                    // An IPv4 client of an IPv6 socket is an IPv4 client: networks and messages say it so.
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    self.admit(Transport::Tcp(stream), Some(peer), open);
                }
                Err(error) => self.accept_failed(&error).await,
            }
        }
    }

    async fn accept_unix(&self, listener: &UnixListener, open: &OpenListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.admit(Transport::Unix(stream), None, open),
                Err(error) => self.accept_failed(&error).await,
            }
        }
    }

    /// Out of file descriptors, mostly: clients wait in the kernel's queue until one is free.
    async fn accept_failed(&self, error: &std::io::Error) {
        static LIMIT: RateLimit = RateLimit::per_second();
        self.worker.metrics.clients_refused.increment(ClientRefusal::FileLimit);
        if let Some(suppressed) = LIMIT.admit(Instant::now()) {
            warn!(%error, suppressed, "a client could not be accepted");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    fn admit(&self, transport: Transport, peer: Option<SocketAddr>, open: &OpenListener) {
        self.worker.metrics.clients_accepted.increment();
        let connection = Connection {
            frontend: self.clone(),
            settings: open.settings(),
            peer: peer.map(|peer| peer.ip()),
        };
        let guard = self.engine.telemetry.sessions().open(peer);
        drop(spawn("client", connection.run(PacketStream::new(Socket::Plain(transport)), guard)));
    }
}

/// One client's connection, before it is a session.
struct Connection {
    frontend: Frontend,
    settings: Arc<Listener>,
    peer: Option<IpAddr>,
}

/// A session and what is counted for it.
struct LoggedIn {
    session: Session,
    counted: Counted,
    peer: Option<IpAddr>,
    scramble: crate::wire::handshake::Scramble,
}

impl Connection {
    async fn run(self, stream: PacketStream, guard: SessionGuard) {
        let _accepted = Accepted(Arc::clone(&self.frontend.worker));
        let frontend = self.frontend.clone();
        // The login needs room that a running session does not: it is boxed, and freed before.
        let Some(logged_in) = Box::pin(self.log_in(stream, guard)).await else { return };
        let LoggedIn { session, counted, peer, scramble } = *logged_in;
        serve::run(session, serve::Context { frontend, counted, peer, scramble, refused_changes: 0 }).await;
    }

    async fn log_in(mut self, stream: PacketStream, guard: SessionGuard) -> Option<Box<LoggedIn>> {
        let snapshot = self.frontend.engine.snapshot();
        let limit = snapshot.config.timeouts.login;
        let metrics = Arc::clone(&self.frontend.worker.metrics);
        match timeout(limit, self.try_log_in(stream, guard)).await {
            Ok(Some(logged_in)) => {
                metrics.logins.increment(LoginOutcome::Ok);
                Some(logged_in)
            }
            Ok(None) => None,
            Err(_) => {
                metrics.clients_refused.increment(ClientRefusal::Timeout);
                metrics.logins.increment(LoginOutcome::Abandoned);
                None
            }
        }
    }

    async fn try_log_in(&mut self, mut stream: PacketStream, guard: SessionGuard) -> Option<Box<LoggedIn>> {
        let metrics = Arc::clone(&self.frontend.worker.metrics);
        if !self.read_proxy_header(&mut stream).await {
            metrics.clients_refused.increment(ClientRefusal::ProxyHeader);
            return None;
        }
        let snapshot = self.frontend.engine.snapshot();
        let Some(counted) = self.frontend.counts.admit(snapshot.config.limits.connections_max) else {
            metrics.clients_refused.increment(ClientRefusal::ConnectionsMax);
            send_error(&mut stream, &SqlError::new(1040, "08004", "Too many connections"), false).await;
            return None;
        };
        let security = self.frontend.security.load_full();
        let tls = match stream.socket() {
            Socket::Plain(Transport::Unix(_)) => TlsMode::Disabled,
            _ => self.settings.tls,
        };
        crate::engine::learn_servers(&snapshot, self.frontend.worker.id, LEARN_PATIENCE).await;
        let offered = offer(&snapshot.topology, tls != TlsMode::Disabled);
        let host = self.peer.map_or_else(|| "localhost".to_owned(), |peer| peer.to_string());
        let greeted = Greeted { offered, connection_id: guard.id(), tls, host };
        let (mut stream, error) = match greet(stream, &greeted, &security).await {
            Ok(hello) => match self.identify(hello, &greeted, (guard, counted)).await {
                Ok(logged_in) => return Some(logged_in),
                Err(failed) => failed,
            },
            Err(failed) => failed,
        };
        match error {
            LoginError::Refused(error) => {
                metrics.logins.increment(LoginOutcome::Denied);
                debug!(code = error.code, message = %error.message, "login refused");
                send_error(&mut stream, &error, true).await;
            }
            LoginError::Stream(error) => {
                metrics.logins.increment(LoginOutcome::Abandoned);
                self.answer_broken_login(&mut stream, &error).await;
            }
        }
        None
    }

    /// A health check that connects and leaves is no event; a broken packet is answered as MySQL does.
    async fn answer_broken_login(&self, stream: &mut PacketStream, error: &crate::wire::StreamError) {
        use crate::wire::StreamError;
        debug!(%error, "login abandoned");
        if matches!(error, StreamError::Closed | StreamError::Io(_)) {
            return;
        }
        self.frontend.worker.metrics.clients_refused.increment(ClientRefusal::Protocol);
        send_error(stream, &error.sql_error(), true).await;
    }

    async fn read_proxy_header(&mut self, stream: &mut PacketStream) -> bool {
        let trusted = |peer: IpAddr| self.settings.proxy_protocol.iter().any(|net| net.contains(&peer));
        if !self.peer.is_some_and(trusted) {
            return true;
        }
        loop {
            match parse(stream.input.filled()) {
                Ok(Progress::Done { header, len }) => {
                    stream.input.consume(len);
                    if let ProxyHeader::Tcp { source, .. } = header {
                        self.peer = Some(source.ip().to_canonical());
                    }
                    return true;
                }
                Ok(Progress::NeedMore(_)) => match stream.fill(1).await {
                    Ok(n) if n > 0 => {}
                    _ => return false,
                },
                Err(error) => {
                    debug!(%error, "PROXY header refused");
                    return false;
                }
            }
        }
    }

    /// Checks who the client says it is and makes its session.
    async fn identify(
        &self,
        hello: Hello,
        greeted: &Greeted,
        (guard, mut counted): (SessionGuard, Counted),
    ) -> Result<Box<LoggedIn>, (PacketStream, LoginError)> {
        let Hello { mut stream, response, scramble } = hello;
        let snapshot = self.frontend.engine.snapshot();
        let claim = Claim {
            user: &response.user,
            host: &greeted.host,
            scramble: &scramble,
            plugin: response.plugin.as_deref(),
            response: &response.auth_response,
            capabilities: response.capabilities,
        };
        let Identified { user, expired } = match candidate::identify(&mut stream, &self.frontend, claim).await
        {
            Ok(identified) => identified,
            Err(error) => return Err((stream, error)),
        };
        if let Err(error) = admit_user(&user, &mut counted, stream.socket().is_secure()) {
            return Err((stream, error));
        }
        let capabilities = response.capabilities & greeted.offered.capabilities;
        let login = match login_image(&user, &self.frontend, &response).await {
            Ok(login) => login,
            Err(error) => return Err((stream, LoginError::Refused(error.sql_error()))),
        };
        guard.logged_in(Arc::clone(&user.name));
        let config = &snapshot.config;
        let client =
            Client::new(stream, capabilities, config.timeouts.clone(), config.limits.packet_bytes_max);
        let schema = response.database.clone().or_else(|| user.settings.schema.clone());
        let mut session = Session::new(SessionParts {
            client,
            user,
            guard,
            engine: Arc::clone(&self.frontend.engine),
            worker: Arc::clone(&self.frontend.worker),
            login: Arc::new(login),
            application: application(&response),
        });
        if capabilities.has(Capabilities::IGNORE_SPACE) {
            session.ignore_space();
        }
        let entered = match schema {
            _ if expired => session.enter_sandbox(Instant::now()).await,
            Some(schema) => session.check_schema(schema.as_bytes(), Instant::now()).await,
            None => Ok(()),
        };
        if let Err(error) = entered {
            return Err((session.client.stream, LoginError::Refused(error.sql_error())));
        }
        if let Err(error) = finish_login(&mut session, response.zstd_level).await {
            return Err((session.client.stream, error));
        }
        Ok(Box::new(LoggedIn { session, counted, peer: self.peer, scramble }))
    }
}

/// Whether this user may have one more connection, over this transport.
pub(crate) fn admit_user(user: &User, counted: &mut Counted, secure: bool) -> Result<(), LoginError> {
    if user.settings.require_tls && !secure {
        return Err(tls_required());
    }
    if !counted.become_user(&user.name, user.settings.connections_max) {
        let text = format!(
            "User '{}' has exceeded the 'max_user_connections' resource (current value: {})",
            user.name, user.settings.connections_max
        );
        return Err(LoginError::refused(1226, "42000", text));
    }
    Ok(())
}

/// The state of a session that has just logged in. Needs to know the server; the first session of all
/// waits for the first server connection.
async fn login_image(
    user: &User,
    frontend: &Frontend,
    response: &HandshakeResponse,
) -> Result<SessionImage, EngineError> {
    let facts =
        crate::engine::server_facts(user, frontend.worker.id, Instant::now() + user.pool.queue_timeout())
            .await?;
    let image = facts.login_image(u16::from(response.collation), None);
    Ok(image.with_multi_statements(response.capabilities.has(Capabilities::MULTI_STATEMENTS)))
}

/// What the client calls itself: the connection attribute `program_name`, as far as it is text and short.
fn application(response: &HandshakeResponse) -> Option<Box<str>> {
    let name = std::str::from_utf8(response.attributes.get(b"program_name")?).ok()?;
    (!name.is_empty() && name.len() <= 128).then(|| name.to_lowercase().into())
}

/// The OK of the login; compression begins after it.
async fn finish_login(session: &mut Session, zstd_level: u8) -> Result<(), LoginError> {
    let mut payload = Vec::new();
    OkPacket { status: session.state.status, ..OkPacket::default() }.encode(0, &mut payload);
    session.client.stream.write_payload(&payload).await?;
    session.client.stream.read_ahead();
    let algorithm = if session.client.capabilities.has(Capabilities::COMPRESS) {
        Algorithm::Zlib
    } else if session.client.capabilities.has(Capabilities::ZSTD) {
        Algorithm::Zstd { level: zstd_level }
    } else {
        return Ok(());
    };
    session.client.compress(algorithm);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, F: Future>(_: impl FnOnce(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_client_holds_no_room_for_a_statement() {
        // A future is as large as the largest state it can be in, and ten thousand clients mostly wait for a command.
        // Whatever runs a statement is boxed; this size is most of what an idle client costs.
        let size = size_of_future(Connection::run);
        assert!(
            size <= 2 << 10,
            "the task of a client has grown to {size} bytes: box what is not needed while it waits"
        );
    }
}
