//! Making server connections for a pool: TCP or unix socket, login, and the first questions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::TcpKeepalive;
use tokio::net::{TcpStream, UnixStream};
use tracing::info;

use crate::backend::conn::{BackendConn, Connected};
use crate::backend::error::BackendError;
use crate::backend::facts::{Collation, Flavor, LOGIN_VARIABLES, ServerFacts};
use crate::backend::image::SessionImage;
use crate::backend::login::{LoggedIn, Login};
use crate::backend::pool::{Connect, Profile, WorkerId};
use crate::backend::prepared::PreparedAccount;
use crate::backend::topology::Backend;
use crate::config::Cluster;
use crate::wire::{Capabilities, Socket, Transport};

/// A server that vanished without a word is noticed within a minute, however long a statement may run.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(20))
    .with_interval(Duration::from_secs(10))
    .with_retries(3);

/// The same for bytes that the server's kernel does not acknowledge.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// For an exchange of our own at least, however short a connect may take.
const EXCHANGE_MIN: Duration = Duration::from_secs(1);

/// ER_MUST_CHANGE_PASSWORD
const MUST_CHANGE_PASSWORD: u16 = 1820;

/// Makes connections to one backend as one server identity.
#[derive(Debug)]
pub struct Connector {
    /// Where to.
    pub backend: Arc<Backend>,
    /// As whom.
    pub login: Arc<Login>,
    /// Of the connections it makes. Set by a reload and copied by a connect, never held across an await.
    timeouts: Mutex<ServerTimeouts>,
}

/// Deadlines of one server connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTimeouts {
    /// For exchanges that are not statements.
    pub exchange: Duration,
    /// For a server that does not read what it is sent.
    pub write: Duration,
}

impl ServerTimeouts {
    /// As the settings of a cluster have them.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        Self { exchange: cluster.connect_timeout.max(EXCHANGE_MIN), write: cluster.write_timeout }
    }
}

impl Connect for Connector {
    type Conn = BackendConn;
    type Error = BackendError;

    async fn connect(&self, profile: Profile, worker: WorkerId) -> Result<BackendConn, BackendError> {
        let socket = Socket::Plain(self.transport().await?);
        let logged_in = self.login.log_in(socket, capabilities_of(profile)).await?;
        let flavor = Flavor::of(&logged_in.greeting.server_version);
        let known = self.backend.facts().filter(|facts| facts.version == logged_in.greeting.server_version);
        let first = known.is_none();
        let facts = known.unwrap_or_else(|| Arc::new(blank(&logged_in, flavor)));
        let timeouts = *self.timeouts.lock();
        let mut conn = BackendConn::new(Connected {
            profile,
            home: worker,
            thread_id: logged_in.greeting.connection_id,
            capabilities: logged_in.capabilities,
            status: logged_in.status,
            scramble: logged_in.greeting.scramble,
            stream: logged_in.stream,
            facts,
            exchange_timeout: timeouts.exchange,
            write_timeout: timeouts.write,
            login: Arc::clone(&self.login),
        });
        if first {
            let facts = Arc::new(read_facts(&mut conn).await?);
            info!(backend = %self.backend.name(), version = %facts.version, "server is known");
            conn.became(&facts.fresh);
            conn.facts = Arc::clone(&facts);
            self.backend.learn(facts);
        }
        match conn.begin_session().await {
            // Nothing but another password may be set: what happens then is this one client's affair.
            Err(BackendError::Server(packet))
                if packet.code == MUST_CHANGE_PASSWORD && profile.contains(Profile::EXPIRED_PASSWORD) => {}
            begun => begun?,
        }
        Ok(conn)
    }
}

impl Connector {
    /// To `backend`, as `login` says.
    #[must_use]
    pub fn new(backend: Arc<Backend>, login: Arc<Login>, timeouts: ServerTimeouts) -> Self {
        Self { backend, login, timeouts: Mutex::new(timeouts) }
    }

    /// New deadlines, for connections that are made from here on.
    pub fn retime(&self, timeouts: ServerTimeouts) {
        *self.timeouts.lock() = timeouts;
    }

    async fn transport(&self) -> Result<Transport, BackendError> {
        let address = self.backend.address();
        if address.starts_with('/') {
            return Ok(Transport::Unix(UnixStream::connect(address).await?));
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let socket = socket2::SockRef::from(&stream);
        socket.set_tcp_keepalive(&KEEPALIVE)?;
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
        Ok(Transport::Tcp(stream))
    }
}

/// `max_prepared_stmt_count` of a server that has not been asked.
const PREPARED_MAX_DEFAULT: usize = 16_382;

/// The capabilities that a profile stands for.
fn capabilities_of(profile: Profile) -> Capabilities {
    let mut capabilities = Capabilities::NONE;
    if profile.contains(Profile::FOUND_ROWS) {
        capabilities |= Capabilities::FOUND_ROWS;
    }
    if profile.contains(Profile::QUERY_ATTRIBUTES) {
        capabilities |= Capabilities::QUERY_ATTRIBUTES;
    }
    if profile.contains(Profile::EXPIRED_PASSWORD) {
        capabilities |= Capabilities::CAN_HANDLE_EXPIRED_PASSWORDS;
    }
    if profile.contains(Profile::EXTENDED_METADATA) {
        capabilities |= Capabilities::MARIADB_EXTENDED_METADATA;
    }
    capabilities
}

fn blank(logged_in: &LoggedIn, flavor: Flavor) -> ServerFacts {
    ServerFacts {
        version: logged_in.greeting.server_version.clone(),
        flavor,
        fresh: Arc::new(SessionImage::new(None, std::collections::BTreeMap::new())),
        reset: Arc::new(SessionImage::new(None, std::collections::BTreeMap::new())),
        collations: HashMap::new(),
        collation: logged_in.greeting.collation,
        packet_bytes_max: 0,
        extended_metadata: logged_in.greeting.capabilities.has(Capabilities::MARIADB_EXTENDED_METADATA),
        bulk: logged_in.greeting.capabilities.has(Capabilities::MARIADB_BULK),
        prepared: Arc::new(PreparedAccount::new(PREPARED_MAX_DEFAULT)),
    }
}

/// Asks what is the same for all connections to this server.
async fn read_facts(conn: &mut BackendConn) -> Result<ServerFacts, BackendError> {
    let selected: Vec<String> = LOGIN_VARIABLES.iter().map(|name| format!("@@{name}")).collect();
    let selected = selected.join(", ");
    let mut rows =
        conn.ask(&format!("SELECT {selected}, @@max_allowed_packet, @@max_prepared_stmt_count")).await?;
    let values = rows.pop().unwrap_or_default();
    let text = |value: Option<&Option<Vec<u8>>>| -> String {
        value
            .and_then(Option::as_ref)
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .unwrap_or_default()
    };
    let prepared_max = text(values.get(LOGIN_VARIABLES.len() + 1)).parse().unwrap_or(PREPARED_MAX_DEFAULT);
    conn.facts.prepared.allow(prepared_max);
    let packet_bytes_max = text(values.get(LOGIN_VARIABLES.len())).parse().unwrap_or(16 << 20);
    let fresh = Arc::new(ServerFacts::fresh_image(&values[..values.len().min(LOGIN_VARIABLES.len())]));
    let reset = match conn.facts.flavor {
        Flavor::MariaDb => Arc::clone(&fresh),
        Flavor::MySql => {
            let mut rows = conn.ask(&format!("SELECT {}", selected.replace("@@", "@@GLOBAL."))).await?;
            Arc::new(ServerFacts::fresh_image(&rows.pop().unwrap_or_default()))
        }
    };
    let collations = conn
        .ask("SELECT ID, COLLATION_NAME, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL")
        .await?
        .iter()
        .filter_map(|row| {
            let id = text(row.first()).parse().ok()?;
            Some((id, Collation { name: text(row.get(1)).into(), charset: text(row.get(2)).into() }))
        })
        .collect();
    Ok(ServerFacts {
        version: conn.facts.version.clone(),
        flavor: conn.facts.flavor,
        fresh,
        reset,
        collations,
        collation: conn.facts.collation,
        packet_bytes_max,
        extended_metadata: conn.facts.extended_metadata,
        bulk: conn.facts.bulk,
        prepared: Arc::clone(&conn.facts.prepared),
    })
}
