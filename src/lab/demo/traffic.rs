//! The show itself: all clients connect, and stay; then all of them are busy for a while.

use std::sync::Arc;
use std::time::Duration;

use indicatif::HumanCount;
use mysql_async::Opts;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until, timeout, timeout_at};

use crate::lab::dataset::Dataset;
use crate::lab::demo::census::Census;
use crate::lab::demo::customer::Customer;
use crate::lab::demo::error::DemoError;
use crate::lab::demo::screen::{Screen, Step};
use crate::lab::demo::stage::Stage;
use crate::lab::demo::tally::{Numbers, Tally};
use crate::lab::demo::{DemoOptions, TICK, page};

/// Clients that log in at the same moment.
const ENTERING_MAX: usize = 200;
/// For the login of one client, with its statements prepared.
const ENTER_TIMEOUT: Duration = Duration::from_secs(30);
/// For one client's goodbye.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// After the last moment, for what is still on its way: more than one statement may take.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(40);
/// A client thinks this long between two visits, at most; half of it on the average.
const PAUSE_MAX: Duration = Duration::from_millis(1_200);
/// The dice of every client begin here, so two runs ask the same questions.
const SEED: u64 = 20_26;

/// What the traffic came to.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) numbers: Numbers,
    pub(super) messages: Vec<(String, u64)>,
    /// What each of them did when there were most.
    pub(super) server_connections: Vec<String>,
    pub(super) clients_most: u32,
    pub(super) busy: Duration,
    /// CPU time of the proxy for one statement, while the clients were busy.
    pub(super) cpu: Duration,
}

/// What all clients share.
#[derive(Clone)]
struct Crowd {
    opts: Opts,
    dataset: Dataset,
    tally: Arc<Tally>,
    door: Arc<Semaphore>,
    /// Until when they are busy; nothing while they gather.
    until: watch::Receiver<Option<Instant>>,
}

/// Runs the clients while the servers' connections are being counted.
pub(super) async fn run(
    stage: &Stage,
    options: &DemoOptions,
    screen: &Screen,
) -> Result<Measured, DemoError> {
    let census = Census::default();
    let tally = Arc::new(Tally::new());
    let (busy, cpu) = tokio::select! {
        driven = drive(stage, options, screen, (&tally, &census)) => driven?,
        error = census.watch(stage) => return Err(error),
        error = stage.proxy().ended() => return Err(error),
    };
    Ok(Measured {
        numbers: tally.read(),
        messages: tally.messages(),
        server_connections: census.server_connections_at_most(),
        clients_most: census.clients_most(),
        busy,
        cpu,
    })
}

/// CPU seconds that the proxy has spent, and commands it has answered.
async fn spent(stage: &Stage) -> Result<(f64, f64), DemoError> {
    let page = page::get(stage.proxy().settings.http, "/metrics").await?;
    Ok((page::metric(&page, "process_cpu_seconds"), page::metric(&page, "dazzle_statements_total")))
}

/// Returns how long the clients were busy, and what a statement cost the proxy meanwhile.
async fn drive(
    stage: &Stage,
    options: &DemoOptions,
    screen: &Screen,
    (tally, census): (&Arc<Tally>, &Census),
) -> Result<(Duration, Duration), DemoError> {
    let (start, until) = watch::channel(None);
    let crowd = Crowd {
        opts: stage.client_opts().into(),
        dataset: stage.dataset(),
        tally: Arc::clone(tally),
        door: Arc::new(Semaphore::new(ENTERING_MAX)),
        until,
    };
    // Dropped with this future, and the clients with it.
    let mut clients = JoinSet::new();
    for number in 0..options.clients {
        // Spread evenly, so that every part of the crowd has its share of idle ones.
        let idle = number * 37 % 100 < options.idle_percent;
        clients.spawn(client(crowd.clone(), u64::from(number), idle));
    }
    drop(crowd);
    let step = screen.bar("clients", u64::from(options.clients), "logging in");
    let inside = gather(&step, options.clients, tally).await;
    step.done(&format!("{} connected, four prepared statements each", HumanCount(inside.into())));

    let (cpu_before, answered_before) = spent(stage).await?;
    let began = Instant::now();
    let last = began + Duration::from_secs(options.seconds.into());
    start.send_replace(Some(last));
    let step = screen.bar("traffic", u64::from(options.seconds) * 10, "");
    let mut tick = interval(TICK);
    while Instant::now() < last {
        tick.tick().await;
        let done = began.elapsed().as_millis() / TICK.as_millis();
        step.show(u64::try_from(done).unwrap_or(u64::MAX), &progress(tally, census, options, began));
    }
    let busy = began.elapsed();
    let (cpu, answered) = spent(stage).await?;
    let cpu = (cpu - cpu_before) / (answered - answered_before).max(1.0);
    let settled = timeout(SETTLE_TIMEOUT, async { while clients.join_next().await.is_some() {} }).await;
    if settled.is_err() {
        tally.went_wrong("clients that did not come to an end");
    }
    step.done(&progress(tally, census, options, began));
    Ok((busy, Duration::from_secs_f64(cpu.max(0.0))))
}

/// Waits until every client is in, or has given up.
async fn gather(step: &Step, clients: u32, tally: &Tally) -> u32 {
    let mut tick = interval(TICK);
    loop {
        tick.tick().await;
        let numbers = tally.read();
        step.show(numbers.connected.into(), &format!("{} connected", HumanCount(numbers.connected.into())));
        if numbers.connected + numbers.unconnected >= clients {
            return numbers.connected;
        }
    }
}

fn progress(tally: &Tally, census: &Census, options: &DemoOptions, began: Instant) -> String {
    let numbers = tally.read();
    let seconds = began.elapsed().as_secs_f64().max(0.001);
    format!(
        "{} statements/s over {}/{} connections, {} errors",
        HumanCount((numbers.statements() as f64 / seconds) as u64),
        census.server_connections(),
        options.pool,
        HumanCount(numbers.errors)
    )
}

/// The life of one client.
async fn client(mut crowd: Crowd, number: u64, idle: bool) {
    let mut dice = SmallRng::seed_from_u64(SEED + number);
    let Some(mut customer) = enter(&crowd).await else {
        crowd.tally.unconnected();
        return;
    };
    crowd.tally.connected();
    let until = match crowd.until.wait_for(Option::is_some).await {
        Ok(until) => until.expect("waited for"),
        Err(_) => return,
    };
    if idle {
        sleep_until(until).await;
        // All at once would be a rush for the few connections that the question is not about.
        let _place = crowd.door.acquire().await.expect("the door is never closed");
        if let Err(mishap) = customer.visit(&crowd.dataset, &mut dice, &crowd.tally).await {
            crowd.tally.went_wrong(&mishap.to_string());
        }
        return leave(customer, &crowd.tally).await;
    }
    loop {
        let pause = PAUSE_MAX.mul_f64(dice.random_range(0.0..1.0));
        sleep_until(until.min(Instant::now() + pause)).await;
        if Instant::now() >= until {
            break;
        }
        let Err(mishap) = customer.visit(&crowd.dataset, &mut dice, &crowd.tally).await else { continue };
        crowd.tally.went_wrong(&mishap.to_string());
        // Nothing is known about that connection any more.
        drop(customer);
        let Some(again) = enter(&crowd).await else { return };
        customer = again;
    }
    leave(customer, &crowd.tally).await;
}

async fn leave(customer: Customer, tally: &Tally) {
    match timeout(LEAVE_TIMEOUT, customer.leave()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tally.went_wrong(&error.to_string()),
        Err(_) => tally.went_wrong("no end to a goodbye"),
    }
}

/// Logs in, when there is room at the door.
async fn enter(crowd: &Crowd) -> Option<Customer> {
    let _place = crowd.door.acquire().await.expect("the door is never closed");
    let deadline = Instant::now() + ENTER_TIMEOUT;
    match timeout_at(deadline, Customer::enter(crowd.opts.clone())).await {
        Ok(Ok(customer)) => return Some(customer),
        Ok(Err(error)) => crowd.tally.went_wrong(&format!("login: {error}")),
        Err(_) => crowd.tally.went_wrong("login: no answer in time"),
    }
    None
}
