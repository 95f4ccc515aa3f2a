//! Builds everything from the configuration, runs it, reloads it, drains it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{error, info, warn};

use crate::admin::{self, AdminState, Controls, Lifecycle, Readiness, RunningRules, systemd};
use crate::backend::pool::{Upkeep, WorkerId};
use crate::config::{Config, ConfigError, ConfigFile, Poll};
use crate::engine::accounts::Accounts;
use crate::engine::{
    Disagreements, Engine, FactsCache, KnownAnswers, PinWatch, Shutdown, Station, Worker, follow_binlogs,
    keep_fleet,
};
use crate::frontend::tls::Material;
use crate::frontend::{ClientCounts, Frontend, Listeners, OpenListener, Security};
use crate::protection::Observed;
use crate::sharding::{self, Date, RuleSet};
use crate::telemetry::log::LogHandle;
use crate::telemetry::{self, Outcome, PoolNumbers, PoolTotals, Telemetry, spawn};
use crate::wire::auth::Sha2Cache;

/// Passwords that are remembered as proved; a fleet has few users.
const PROVED_PASSWORDS_MAX: usize = 4096;

/// How often the configuration file is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How often the digests are looked at.
const PATROL_INTERVAL: Duration = Duration::from_secs(5);

/// The process could not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}")]
    Listener(#[from] crate::frontend::ListenerError),
    #[error("TLS: {0}")]
    Tls(#[from] crate::wire::tls::TlsError),
    #[error("log: {0}")]
    Log(#[from] telemetry::log::LogError),
    #[error("admin.http {0}: {1}")]
    Admin(std::net::SocketAddr, io::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Runs the proxy until it is told to stop. Errors of the configuration go to stderr.
#[must_use]
pub fn serve(mut file: ConfigFile) -> ExitCode {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime at start");
    // Before anything else: until they are, a SIGHUP is the end of the process.
    let signals = match runtime.block_on(async { Signals::new() }) {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("dazzle could not start: signals cannot be handled: {error}");
            return ExitCode::FAILURE;
        }
    };
    let config = match file.load() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let rules = match load_rules(&config, &mut file) {
        Ok(rules) => rules,
        Err(lines) => {
            eprintln!("{}", lines.join("\n"));
            return ExitCode::FAILURE;
        }
    };
    match Server::start(config, rules, file) {
        Ok(server) => server.run(&runtime, signals),
        Err(error) => {
            eprintln!("dazzle could not start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that runs.
struct Server {
    engine: Arc<Engine>,
    security: Arc<ArcSwap<Security>>,
    counts: Arc<ClientCounts>,
    listeners: Listeners,
    readiness: Arc<Readiness>,
    file: ConfigFile,
    /// When the rules were read.
    day: Date,
    log: LogHandle,
    workers: Vec<WorkerThread>,
    admin: Option<std::net::TcpListener>,
    controls: Arc<Controls>,
}

/// A worker's thread and what it will run.
struct WorkerThread {
    frontend: Frontend,
    listeners: watch::Receiver<Vec<Arc<OpenListener>>>,
}

impl Server {
    fn start(config: Config, rules: RuleSet, file: ConfigFile) -> Result<Self, StartError> {
        let log = telemetry::log::start(&config.logging)?;
        raise_file_limit(&config);
        let count = worker_count(&config);
        let telemetry = Arc::new(Telemetry::new(count));
        telemetry.watch_log(log.dropped());
        let security = Arc::new(ArcSwap::from_pointee(build_security(&config, &file, None)?));
        let engine = Engine::new(config, rules, telemetry)?;
        let counts = Arc::new(ClientCounts::default());
        let snapshot = engine.snapshot();
        let listeners = Listeners::open(&snapshot.config.listeners, count)?;
        let workers = (0..count)
            .map(|n| WorkerThread {
                frontend: frontend(n, &engine, &security, &counts),
                listeners: listeners.follow(),
            })
            .collect();
        let admin = match snapshot.config.admin.http {
            Some(address) => Some(bind_admin(address).map_err(|error| StartError::Admin(address, error))?),
            None => None,
        };
        register_pools(&engine);
        admin::register_cache(&engine);
        admin::register_binlogs(&engine);
        let controls = Controls::of(&engine);
        let readiness = Arc::new(Readiness::new(Box::new(Vec::new)));
        let day = today();
        Ok(Self { engine, security, counts, listeners, readiness, file, day, log, workers, admin, controls })
    }

    fn run(mut self, runtime: &Runtime, signals: Signals) -> ExitCode {
        let workers = std::mem::take(&mut self.workers);
        let threads: Vec<_> = workers
            .into_iter()
            .enumerate()
            .map(|(n, worker)| {
                std::thread::Builder::new()
                    .name(format!("worker-{n}"))
                    .spawn(move || run_worker(worker))
                    .expect("a thread at start")
            })
            .collect();
        let clean = runtime.block_on(self.control(signals));
        for thread in threads {
            if thread.join().is_err() {
                error!("a worker ended in a panic");
            }
        }
        if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// The control plane: signals, reload, the operators' port. Returns whether the end was clean.
    async fn control(mut self, mut signals: Signals) -> bool {
        let (stop_admin, stop) = watch::channel(false);
        drop(spawn("pins.watch", PinWatch::new(Arc::clone(&self.engine)).run()));
        if let Some(listener) = self.admin.take().and_then(|listener| TcpListener::from_std(listener).ok()) {
            let engine = Arc::clone(&self.engine);
            let state = AdminState {
                telemetry: Arc::clone(&self.engine.telemetry),
                readiness: Arc::clone(&self.readiness),
                controls: Arc::clone(&self.controls),
                cache: Arc::clone(&self.engine.cache),
                fleet: Arc::clone(&self.engine.fleet),
                rules: RunningRules(Box::new(move || engine.snapshot().rules.clone())),
            };
            drop(spawn("admin", async move {
                if let Err(error) = admin::serve(listener, Arc::new(state), stop).await {
                    warn!(%error, "admin port failed");
                }
            }));
        }
        drop(spawn("accounts", follow_accounts(Arc::clone(&self.engine))));
        drop(spawn("binlogs", follow_binlogs(Arc::clone(&self.engine))));
        drop(spawn("fleet", keep_fleet(Arc::clone(&self.engine))));
        self.readiness.set(Lifecycle::Serving);
        systemd::ready("serving");
        info!(version = env!("CARGO_PKG_VERSION"), "ready");
        let mut watch = interval(WATCH_INTERVAL);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut patrol = interval(PATROL_INTERVAL);
        patrol.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = Signals::end(&mut signals.terminate, &mut signals.interrupt) => break,
                _ = signals.hangup.recv() => self.reload(),
                _ = patrol.tick() => self.patrol(),
                _ = watch.tick() => if matches!(self.file.poll(), Poll::Changed) || self.is_new_day() {
                    self.reload();
                },
            }
        }
        let clean = self.drain(&mut signals).await;
        let _ = stop_admin.send(true);
        clean
    }

    /// Looks at what statements did lately, and at switches whose time is over.
    fn patrol(&self) {
        let digests = self.engine.telemetry.digests(usize::MAX);
        let observed: Vec<Observed> = digests
            .iter()
            .filter(|(seen, _)| seen.hash != 0)
            .map(|(seen, _)| Observed { digest: seen.hash, count: seen.count, time: seen.time_sum })
            .collect();
        self.controls.look(&observed, &self.engine.snapshot().config.protection.quarantine);
    }

    /// Whether rules that count periods from today were read on another day.
    fn is_new_day(&self) -> bool {
        self.day != today() && !self.engine.snapshot().rules.is_empty()
    }

    /// A new configuration, if it is right; otherwise everything stays as it is.
    fn reload(&mut self) {
        self.day = today();
        systemd::reloading();
        match self.try_reload() {
            Ok(()) => self.engine.telemetry.control().reloaded(Outcome::Ok),
            Err(lines) => {
                self.engine.telemetry.control().reloaded(Outcome::Failed);
                for line in lines {
                    error!(%line, "configuration refused, the running one stays");
                }
            }
        }
        systemd::ready("serving");
    }

    fn try_reload(&mut self) -> Result<(), Vec<String>> {
        let config = self.file.load().map_err(|error| error.lines().collect::<Vec<_>>())?;
        let rules = load_rules(&config, &mut self.file)?;
        let old = Arc::clone(&self.engine.snapshot().config);
        let changes = old.difference(&config);
        let cache = Arc::clone(&self.security.load().sha2_cache);
        let security =
            build_security(&config, &self.file, Some(cache)).map_err(|error| vec![error.to_string()])?;
        let level = config.logging.level.clone();
        let listeners = self.listeners.prepare(&config.listeners).map_err(|error| vec![error.to_string()])?;
        self.engine.reload(config, rules).map_err(|error| vec![error.to_string()])?;
        self.security.store(Arc::new(security));
        self.listeners.change(listeners);
        if let Err(error) = self.log.reload(&level) {
            warn!(%error, "log level");
        }
        info!(live = ?changes.live, restart = ?changes.restart, "configuration reloaded");
        Ok(())
    }

    /// No new clients; sessions end outside transactions, or when time is up, or at a second signal.
    async fn drain(&self, signals: &mut Signals) -> bool {
        let limit = self.engine.snapshot().config.process.drain_timeout;
        info!(clients = self.counts.all(), "draining");
        self.readiness.set(Lifecycle::Draining);
        systemd::stopping(u32::try_from(limit.as_secs()).unwrap_or(u32::MAX));
        self.engine.shut_down(Shutdown::Draining);
        let clean = tokio::select! {
            result = timeout(limit, self.empty()) => result.is_ok(),
            () = Signals::end(&mut signals.terminate, &mut signals.interrupt) => false,
        };
        self.engine.shut_down(Shutdown::Immediate);
        self.engine.snapshot().drain();
        // Sessions that were told to end at once, and connections that say goodbye to their server.
        let _ = timeout(Duration::from_secs(1), self.empty()).await;
        info!(clients = self.counts.all(), "stopped");
        clean
    }

    async fn empty(&self) {
        let mut tick = interval(Duration::from_millis(10));
        while self.counts.all() > 0 {
            tick.tick().await;
        }
    }
}

/// The signals that mean something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn end(terminate: &mut Signal, interrupt: &mut Signal) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

fn worker_count(config: &Config) -> usize {
    match config.process.workers {
        // The proxy shares its machine with the kernel's network work and, often, its clients.
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
        n => n as usize,
    }
}

fn frontend(
    n: usize,
    engine: &Arc<Engine>,
    security: &Arc<ArcSwap<Security>>,
    counts: &Arc<ClientCounts>,
) -> Frontend {
    let worker = Worker {
        id: WorkerId(n as u16),
        metrics: engine.telemetry.worker(n),
        facts: FactsCache::new(rand::random()),
        station: Station::default(),
        disagreements: Disagreements::default(),
        answers: KnownAnswers::new(rand::random()),
    };
    Frontend {
        engine: Arc::clone(engine),
        worker: Arc::new(worker),
        security: Arc::clone(security),
        counts: Arc::clone(counts),
    }
}

/// Where TLS material is kept that is made.
pub(crate) fn tls_folder(file: &ConfigFile) -> PathBuf {
    file.path().parent().unwrap_or(Path::new(".")).join("dazzle-tls")
}

fn build_security(
    config: &Config,
    file: &ConfigFile,
    cache: Option<Arc<Sha2Cache>>,
) -> Result<Security, crate::wire::tls::TlsError> {
    let material = Material::load_or_create(&config.tls, &tls_folder(file))?;
    Ok(Security {
        tls: material.server,
        rsa: material.rsa,
        sha2_cache: cache.unwrap_or_else(|| Arc::new(Sha2Cache::new(PROVED_PASSWORDS_MAX))),
        decoys: Security::decoys_of(config),
    })
}

/// One worker: a runtime of its own, its listeners, its sessions; until the engine shuts down.
fn run_worker(worker: WorkerThread) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime at start");
    runtime.block_on(async move {
        let WorkerThread { frontend, listeners } = worker;
        let mut shutdown = frontend.engine.shutdown();
        drop(spawn("listeners", frontend.clone().listen(listeners)));
        let counts = Arc::clone(&frontend.counts);
        drop(spawn("upkeep", keep_up(Arc::clone(&frontend.engine), frontend.worker.id)));
        drop(frontend);
        let _ = shutdown.wait_for(|how| *how == Shutdown::Immediate).await;
        // Sessions are told at the same moment; whoever is in the middle of a write gets a little time.
        let last = Instant::now() + Duration::from_secs(1);
        let mut tick = interval(Duration::from_millis(10));
        while counts.all() > 0 && Instant::now() < last {
            tick.tick().await;
        }
    });
}

/// Starts the upkeep of every pool, also of those that a reload makes. The first worker does it.
async fn keep_up(engine: Arc<Engine>, worker: WorkerId) {
    let mut kept: Vec<Weak<crate::backend::ServerPool>> = Vec::new();
    let mut reloads = engine.reloads();
    loop {
        kept.retain(|pool| pool.strong_count() > 0);
        for (_, _, pool) in engine.snapshot().topology.pools() {
            if kept.iter().any(|kept| std::ptr::eq(kept.as_ptr(), Arc::as_ptr(pool))) {
                continue;
            }
            pool.add_worker(worker);
            kept.push(Arc::downgrade(pool));
            if worker == WorkerId(0) {
                drop(spawn("pool.upkeep", Upkeep::new(pool, worker).run()));
            }
        }
        if reloads.changed().await.is_err() {
            return;
        }
    }
}

/// Looks after the server's own accounts, also of those that a reload brings.
async fn follow_accounts(engine: Arc<Engine>) {
    let mut reloads = engine.reloads();
    let mut followed: Weak<Accounts> = Weak::new();
    loop {
        let accounts = engine.snapshot().accounts().map_or_else(Weak::new, Arc::downgrade);
        if !Weak::ptr_eq(&accounts, &followed) {
            drop(spawn("accounts.upkeep", Accounts::keep_up(Weak::clone(&accounts))));
            followed = accounts;
        }
        if reloads.changed().await.is_err() {
            return;
        }
    }
}

fn bind_admin(address: std::net::SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The rules that the configuration names; a line for each mistake. Their files are watched from now on, the
/// wrong ones too.
pub(crate) fn load_rules(config: &Config, file: &mut ConfigFile) -> Result<RuleSet, Vec<String>> {
    let loading = sharding::load(config, today());
    file.watch(loading.files);
    loading.rules.map_err(|errors| errors.iter().flat_map(ConfigError::lines).collect())
}

/// Today, in UTC: what the periods of interval placements are counted from.
pub(crate) fn today() -> Date {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Date::of_days(i64::try_from(since.as_secs() / 86_400).unwrap_or_default())
}

/// As many open files as the system lets us have; too few are reported, not discovered at noon.
fn raise_file_limit(config: &Config) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        warn!("the limit of open files could not be raised");
    }
    let have = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let servers: u64 = config.clusters.values().map(|cluster| u64::from(cluster.pool.size_max)).sum();
    let need = u64::from(config.limits.connections_max) + servers + 64;
    if have < need {
        warn!(have, need, "limits.connections_max is more than the limit of open files allows");
    }
}

/// Numbers of the pools, read when metrics are scraped.
fn register_pools(engine: &Arc<Engine>) {
    let weak = Arc::downgrade(engine);
    engine.telemetry.register(Box::new(move |sink| {
        let Some(engine) = weak.upgrade() else { return Ok(()) };
        let snapshot = engine.snapshot();
        let pools = snapshot.pool_snapshots();
        let numbers: Vec<PoolNumbers<'_>> = pools.iter().map(pool_numbers).collect();
        telemetry::write_pools(sink, &numbers)
    }));
}

fn pool_numbers((cluster, user, pool): &(String, String, crate::backend::pool::Snapshot)) -> PoolNumbers<'_> {
    PoolNumbers {
        cluster,
        backend: "primary",
        user,
        idle: pool.idle,
        leased: pool.leased,
        dialling: pool.dialling,
        closing: pool.closing,
        waiting: pool.waiting,
        size_max: pool.size_max,
        totals: PoolTotals {
            created: pool.totals.created,
            connect_failures: pool.totals.connect_failures,
            waits: pool.totals.waits,
            timeouts: pool.totals.timeouts,
            queue_full: pool.totals.queue_full,
        },
    }
}
