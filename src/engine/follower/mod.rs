//! Follows the binary logs of clusters whose results are kept, so that a write which does not pass this process ends
//! what is kept of its tables, too.
//!
//! Two things make that exact. A change is in the log before it is visible: so a change that is read there closes its
//! tables like a write of a session, until the server says that it is visible ([`Visible`]). And silence proves
//! nothing: so the server is asked, several times within `lag_max`, where its log ends, and only when everything up
//! to there has been read is what is kept good for another `lag_max` ([`Trust`]). A log that is cut, or stops, or is
//! read too slowly, thus ends what is given from memory by itself.

mod changes;
mod rows;
mod source;
mod stream;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::backend::{BackendConn, BackendError, Cluster, Keyring};
use crate::cache::{Cache, Trust};
use crate::config::FollowMode;
use crate::engine::follower::changes::Progress;
use crate::engine::follower::source::{Sample, Source, Visible, Watch};
use crate::engine::follower::stream::read_event;
use crate::engine::process::Engine;
use crate::telemetry::spawn;
use crate::wire::Malformed;
use crate::wire::auth::LoginSecret;

/// Proofs within `lag_max`.
const PROOFS: u32 = 5;

/// Between two questions while changes wait to be visible.
const QUESTION_PAUSE: Duration = Duration::from_millis(10);

/// A stream that stays behind for so long is given up for another.
const BEHIND_MAX: Duration = Duration::from_secs(10);

/// Between two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Why a log is not followed any more.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error("the server's log cannot be understood: {0}")]
    Malformed(#[from] Malformed),
    /// As the server is set up, it cannot be followed.
    #[error("{0}")]
    Unable(String),
    #[error("the log has begun anew")]
    Reset,
    #[error("the server does not send what its log has")]
    Silent,
    #[error("two connections have reached two servers")]
    Elsewhere,
    #[error("more changes than can be kept in mind wait to be visible")]
    TooMany,
}

/// ER_ACCESS_DENIED_ERROR, ER_DBACCESS_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED_ERROR and its like.
const DENIED: [u16; 4] = [1044, 1045, 1227, 1698];

/// ER_MASTER_FATAL_ERROR_READING_BINLOG: the place is gone, or never was.
const PLACE_IS_GONE: u16 = 1236;

impl FollowError {
    fn is_refusal(&self) -> bool {
        match self {
            Self::Unable(_) => true,
            Self::Backend(BackendError::Server(packet)) => DENIED.contains(&packet.code),
            _ => false,
        }
    }

    fn place_is_gone(&self) -> bool {
        matches!(self, Self::Backend(BackendError::Server(packet)) if packet.code == PLACE_IS_GONE)
            || matches!(self, Self::Reset | Self::Elsewhere)
    }
}

/// Looks after the followers of all clusters, also of those that a reload brings.
pub async fn follow_binlogs(engine: Arc<Engine>) {
    let mut reloads = engine.reloads();
    let mut running: Vec<Running> = Vec::new();
    loop {
        let trusts = engine.cache.trusts.all();
        running.retain(|known| trusts.iter().any(|trust| Arc::ptr_eq(trust, &known.trust)));
        for trust in trusts.iter() {
            let snapshot = engine.snapshot();
            let Some(cluster) = snapshot.topology.cluster(trust.cluster()) else { continue };
            if !running.iter().any(|known| Arc::ptr_eq(trust, &known.trust)) {
                let follower =
                    Follower::new(Arc::clone(&engine.cache), Arc::clone(trust), Arc::clone(cluster));
                let task = spawn("binlog.follower", follower.run());
                running.push(Running { trust: Arc::clone(trust), task });
            }
        }
        if reloads.changed().await.is_err() {
            return;
        }
    }
}

/// A follower's task; it ends with this.
struct Running {
    trust: Arc<Trust>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Follows the log of one cluster's primary.
struct Follower {
    cache: Arc<Cache>,
    trust: Arc<Trust>,
    cluster: Arc<Cluster>,
    progress: Arc<Mutex<Progress>>,
    /// Where it can go on, and on which server.
    resume: Option<(Vec<String>, Visible)>,
    /// It has been followed once.
    followed: bool,
    server_id: u32,
    pause: Duration,
}

/// Tells the trust that it is over, also where the task is ended or panics.
struct Untrusted(Option<Arc<Trust>>);

impl Drop for Untrusted {
    fn drop(&mut self) {
        if let Some(trust) = &self.0 {
            trust.lose("it is not followed any more".to_owned());
        }
    }
}

impl Follower {
    fn new(cache: Arc<Cache>, trust: Arc<Trust>, cluster: Arc<Cluster>) -> Self {
        let progress = Progress::new(Arc::clone(&cache), Arc::clone(&trust), cluster.primary.address());
        let server_id = match trust.settings.binlog.server_id {
            0 => rand::rng().random_range(1 << 31..u32::MAX),
            given => given,
        };
        let progress = Arc::new(Mutex::new(progress));
        Self { cache, trust, cluster, progress, resume: None, followed: false, server_id, pause: PAUSE_MIN }
    }

    /// Until the task is ended.
    async fn run(mut self) {
        let mut over = Untrusted(Some(Arc::clone(&self.trust)));
        loop {
            let Err(error) = self.follow().await else { continue };
            let may_do_without = self.trust.settings.binlog.follow == FollowMode::Auto;
            if !self.followed && may_do_without && error.is_refusal() {
                self.renounce(&error);
                over.0 = None;
                return;
            }
            if self.trust.lose(error.to_string()) {
                warn!(cluster = self.trust.cluster(), %error, "binary log is not followed: nothing is kept");
            }
            if let Some((_, from)) = &self.resume {
                self.progress.lock().give_up(from);
            }
            if error.place_is_gone() {
                self.forget_place();
            }
            let pause = rand::rng().random_range(self.pause / 2..=self.pause);
            sleep(pause).await;
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
    }

    fn renounce(&self, error: &FollowError) {
        let cluster = self.trust.cluster();
        warn!(cluster, %error, "binary log cannot be followed: writes elsewhere are seen after a result's ttl");
        self.trust.renounce(error.to_string());
    }

    /// What was kept by now may be older than anybody will ever be told.
    fn forget_place(&mut self) {
        if let Some((_, visible)) = &mut self.resume {
            *visible = Visible::Nothing;
        }
    }

    /// Follows until something is wrong.
    async fn follow(&mut self) -> Result<(), FollowError> {
        let limit = self.trust.settings.connect_timeout;
        let opened = timeout(limit * 4, self.open()).await;
        let (source, first) = opened.map_err(|_| BackendError::Timeout("the log's beginning"))??;
        self.pause = PAUSE_MIN;
        let Source { watch, dump, identity: _ } = source;
        let news = Arc::new(Notify::new());
        let reading = read(dump, Arc::clone(&self.progress), Arc::clone(&news));
        let asking = self.ask(watch, first, &news);
        tokio::select! {
            result = reading => result,
            result = asking => result,
        }
    }

    /// Both connections, the stream at its beginning.
    async fn open(&mut self) -> Result<(Source, Sample), FollowError> {
        let binlog = &self.trust.settings.binlog;
        let keyring = Keyring::new(LoginSecret::password(binlog.password.reveal()));
        let login = self.cluster.login(&binlog.user, keyring);
        let login = login.map_err(|error| FollowError::Unable(error.to_string()))?;
        let connector = self.cluster.connector(login);
        let mut source = Source::connect(&connector).await?;
        let sample = source.watch.sample().await?;
        let known = self.resume.take_if(|(server, _)| *server == source.identity);
        let from = match known.map(|(_, visible)| visible) {
            Some(Visible::Nothing) | None => None,
            Some(visible) => Some(visible),
        };
        let begins = from.is_none();
        let from = from.unwrap_or_else(|| sample.visible.clone());
        self.resume = Some((source.identity.clone(), from.clone()));
        let interval = binlog.lag_max / PROOFS;
        source.begin(self.server_id, &from, interval).await?;
        if begins {
            // What was read by now may have been changed by what is in the log before its beginning, and so may
            // definitions.
            self.cache.end_everything();
            self.cache.catalogs.forget();
        }
        self.trust.counts.beginnings[usize::from(!begins)].fetch_add(1, Relaxed);
        self.progress.lock().begin(sample.position.file(), &from)?;
        Ok((source, sample))
    }

    /// Asks the server again and again how far it is.
    async fn ask(&mut self, mut watch: Watch, first: Sample, news: &Notify) -> Result<(), FollowError> {
        let interval = self.trust.settings.binlog.lag_max / PROOFS;
        let mut last = first.position.clone();
        let mut good = Instant::now();
        let mut sample = first;
        loop {
            if sample.position < last {
                return Err(FollowError::Reset);
            }
            last = sample.position.clone();
            let (proven, waiting) = {
                let mut progress = self.progress.lock();
                progress.confirm(&sample.visible);
                progress.expect(sample);
                (progress.proven.take(), progress.is_waiting())
            };
            match proven {
                Some(visible) => {
                    self.proved(visible);
                    good = Instant::now();
                }
                None if good.elapsed() > BEHIND_MAX => return Err(FollowError::Silent),
                None if self.followed && good.elapsed() > interval * PROOFS => self.lag(),
                None => {}
            }
            let pause = if waiting { QUESTION_PAUSE } else { interval };
            sleep(QUESTION_PAUSE).await;
            let _ = timeout(pause.saturating_sub(QUESTION_PAUSE), news.notified()).await;
            sample = watch.sample().await?;
        }
    }

    /// Everything up to here has been read.
    fn proved(&mut self, visible: Visible) {
        self.followed = true;
        if let Some((_, known)) = &mut self.resume {
            *known = visible;
        }
    }

    /// It is read, but too late.
    fn lag(&self) {
        if self.trust.lose("it is read too late".to_owned()) {
            warn!(
                cluster = self.trust.cluster(),
                "binary log is read too late: nothing is answered from memory"
            );
        }
    }
}

/// Reads events until the stream ends.
async fn read(
    mut dump: BackendConn,
    progress: Arc<Mutex<Progress>>,
    news: Arc<Notify>,
) -> Result<(), FollowError> {
    let mut body = Vec::new();
    loop {
        let header = read_event(&mut dump.stream, &mut body).await?;
        let mut progress = progress.lock();
        progress.take(header, &body)?;
        if progress.is_waiting() {
            news.notify_one();
        }
    }
}
