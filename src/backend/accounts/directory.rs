//! Looking accounts up: one connection to the server answers for everybody, several questions at a time. A login
//! sees what the server has at that moment, as it would without a proxy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::backend::accounts::account::{Account, choose};
use crate::backend::accounts::host::Origin;
use crate::backend::accounts::read;
use crate::backend::conn::BackendConn;
use crate::backend::connect::Connector;
use crate::backend::error::BackendError;
use crate::backend::pool::{Connect, Profile, WorkerId};

/// Questions that may wait. Each belongs to a client in its login, and those are bounded, too.
const WAITING_MAX: usize = 1024;

/// Names in one question.
const BATCH_MAX: usize = 64;

/// After a failed attempt to ask, everybody is told of it for this long: a crowd of logins must not become a crowd
/// of connects.
const PAUSE: Duration = Duration::from_millis(200);

/// Accounts could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The server did not answer, or not to Dazzle's own account.
    #[error("the server's accounts cannot be read: {0}")]
    Server(Arc<BackendError>),
    /// Too many ask at once, or nobody answers any more.
    #[error("the server's accounts are not being read")]
    Closed,
}

type Answer = Result<Option<Account>, DirectoryError>;

struct Question {
    name: String,
    answer: oneshot::Sender<Answer>,
}

/// Where accounts are looked up.
#[derive(Debug)]
pub struct Directory {
    questions: mpsc::Sender<Question>,
    names_hosts: Arc<AtomicBool>,
    /// Until somebody runs it.
    reader: Mutex<Option<Reader>>,
}

impl Directory {
    /// The accounts of the server that `connector` connects to, as an account that may read them. Nothing is
    /// answered before its [`Reader`] runs.
    #[must_use]
    pub fn new(connector: Connector, connect_timeout: Duration) -> Self {
        let (questions, received) = mpsc::channel(WAITING_MAX);
        let names_hosts = Arc::new(AtomicBool::new(false));
        let reader = Reader {
            connector,
            connect_timeout,
            received,
            names_hosts: Arc::clone(&names_hosts),
            connected: None,
            failed: None,
        };
        Self { questions, names_hosts, reader: Mutex::new(Some(reader)) }
    }

    /// Whether the server calls hosts by their names (`skip_name_resolve` is off), as far as it has been asked.
    #[must_use]
    pub fn names_hosts(&self) -> bool {
        self.names_hosts.load(Ordering::Relaxed)
    }

    /// What answers the questions, once. It ends when the directory is dropped.
    pub fn reader(&self) -> Option<Reader> {
        self.reader.lock().take()
    }

    /// The account that the server takes for a login of `name` through this proxy, as it is at this moment.
    ///
    /// # Errors
    /// [`DirectoryError`]: it cannot be told.
    pub async fn look_up(&self, name: &str) -> Result<Option<Account>, DirectoryError> {
        let (answer, answered) = oneshot::channel();
        let question = Question { name: name.to_owned(), answer };
        self.questions.try_send(question).map_err(|_| DirectoryError::Closed)?;
        answered.await.unwrap_or(Err(DirectoryError::Closed))
    }
}

/// Answers what is asked of a [`Directory`].
pub struct Reader {
    connector: Connector,
    connect_timeout: Duration,
    received: mpsc::Receiver<Question>,
    names_hosts: Arc<AtomicBool>,
    connected: Option<Connected>,
    failed: Option<(Instant, DirectoryError)>,
}

struct Connected {
    conn: BackendConn,
    origin: Origin,
    /// Privileges cannot be read, and that was said.
    ungranted: bool,
}

impl Reader {
    /// Until the directory is dropped.
    pub async fn run(mut self) {
        let mut questions = Vec::with_capacity(BATCH_MAX);
        while self.received.recv_many(&mut questions, BATCH_MAX).await > 0 {
            let found = self.find(&questions).await;
            for Question { name, answer, .. } in questions.drain(..) {
                let found = found.as_ref().map(|accounts| accounts.get(&name).cloned());
                // Who asked may have left meanwhile.
                let _ = answer.send(found.map_err(Clone::clone));
            }
        }
    }

    async fn find(&mut self, questions: &[Question]) -> Result<HashMap<String, Account>, DirectoryError> {
        if let Some((at, error)) = &self.failed
            && at.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let reused = self.connected.is_some();
        let mut result = self.ask(questions).await;
        if reused && matches!(&result, Err(error) if crate::error::ProxyError::retryable(error)) {
            // The server had closed the connection; reading twice does no harm.
            result = self.ask(questions).await;
        }
        result.map_err(|error| {
            let error = DirectoryError::Server(Arc::new(error));
            if self.failed.is_none() {
                warn!(%error, "logins of the server's own accounts fail");
            }
            self.failed = Some((Instant::now(), error.clone()));
            error
        })
    }

    async fn ask(&mut self, questions: &[Question]) -> Result<HashMap<String, Account>, BackendError> {
        let mut connected = match self.connected.take() {
            Some(connected) => connected,
            None => self.connect().await?,
        };
        let names = distinct(questions);
        let accounts = read::accounts(&mut connected.conn, &names).await?;
        let grants = match read::grants(&mut connected.conn, &names).await {
            Ok(grants) => grants,
            Err(error @ BackendError::Server(_)) => {
                if !std::mem::replace(&mut connected.ungranted, true) {
                    warn!(%error, "privileges cannot be read: changes reach connections when they are replaced");
                }
                HashMap::new()
            }
            Err(error) => return Err(error),
        };
        let found =
            names.iter().filter_map(|name| choose(&accounts, name, &connected.origin)).map(|account| {
                let grants = grants.get(account.name.as_str()).copied();
                (account.name.clone(), account.clone().with_grants(grants))
            });
        let found = found.collect();
        self.connected = Some(connected);
        if self.failed.take().is_some() {
            info!("the server's accounts can be read again");
        }
        Ok(found)
    }

    async fn connect(&self) -> Result<Connected, BackendError> {
        let connect = async {
            let mut conn = self.connector.connect(Profile::PLAIN, WorkerId(0)).await?;
            let rows = conn.ask("SELECT USER()").await?;
            let user = rows.first().and_then(|row| row.first().cloned().flatten()).unwrap_or_default();
            let origin = Origin::of_user(&String::from_utf8_lossy(&user), self.own_address().await);
            // By a socket everybody is `localhost`.
            let tells = !self.connector.backend.address().starts_with('/');
            self.names_hosts.store(tells && origin.host.parse::<IpAddr>().is_err(), Ordering::Relaxed);
            Ok(Connected { conn, origin, ungranted: false })
        };
        timeout(self.connect_timeout, connect).await.map_err(|_| BackendError::Timeout("a login"))?
    }

    /// The address that the server sees, as far as this machine knows: nothing is sent to find it out.
    async fn own_address(&self) -> Option<IpAddr> {
        let address = self.connector.backend.address();
        if address.starts_with('/') {
            return None;
        }
        for any in ["0.0.0.0:0", "[::]:0"] {
            let Ok(socket) = UdpSocket::bind(any).await else { continue };
            if socket.connect(address).await.is_ok() {
                return socket.local_addr().ok().map(|address| address.ip());
            }
        }
        None
    }
}

/// The names that are asked for, each once; the empty one is nobody's.
fn distinct(questions: &[Question]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for question in questions {
        if !question.name.is_empty() && !names.contains(&question.name.as_str()) {
            names.push(&question.name);
        }
    }
    names
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
