//! What is done for the fleet beside the statements: probes of an open circuit, writes told that could not be told at
//! once, results put.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::info;

use crate::cache::{Asked, Place, Portable, Reply};
use crate::engine::fleet::connection::{CONNECT_TIMEOUT, Connection, FleetError};
use crate::engine::fleet::counts::FleetOutcome;
use crate::engine::fleet::limit::within;
use crate::engine::fleet::{Active, Put, Sharing};
use crate::engine::process::Engine;
use crate::telemetry::spawn;

/// Nobody waits for a result to be put, or for what is told late.
const UNHURRIED: Duration = Duration::from_secs(1);

/// Between two attempts to tell while the circuit is still closed.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks after what is configured, also by a reload.
pub async fn keep_fleet(engine: Arc<Engine>) {
    let mut reloads = engine.reloads();
    let mut running: Option<Running> = None;
    loop {
        let active = engine.fleet.active().as_ref().map(Arc::clone);
        let same = match (&running, &active) {
            (Some(running), Some(active)) => Arc::ptr_eq(&running.active, active),
            (None, None) => true,
            _ => false,
        };
        if !same {
            running = active.map(Running::start);
        }
        if reloads.changed().await.is_err() {
            return;
        }
    }
}

/// The tasks; they end with this.
struct Running {
    active: Arc<Active>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    fn start(active: Arc<Active>) -> Self {
        let mut tasks = vec![spawn("cache.fleet", tell(Arc::clone(&active)))];
        if let Some(puts) = active.putting.lock().take() {
            tasks.push(spawn("cache.puts", put(puts)));
        }
        Self { active, tasks }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Tells what is untold, and closes the circuit when Redis answers again.
async fn tell(active: Arc<Active>) {
    let untold = active.cache.untold();
    loop {
        if !active.circuit.is_closed() {
            probe(&active).await;
            continue;
        }
        let now = Instant::now();
        let Some(telling) = untold.due(now) else {
            let next = untold.next();
            tokio::select! {
                () = untold.news() => {}
                () = active.circuit.opened() => {}
                () = sleep_until(next.unwrap_or(now)), if next.is_some() => {}
            }
            continue;
        };
        let places: Vec<Place> = telling.places().collect();
        if ask(&active, UNHURRIED, async |connection| {
            connection.tell(&active.tokens, places.into_iter()).await
        })
        .await
        {
            untold.told(&telling);
        } else {
            sleep(PAUSE).await;
        }
    }
}

/// Waits until a probe may be sent, and sends it. It counts if it is answered as quickly as a client would want.
async fn probe(active: &Active) {
    let began = Instant::now();
    let passage = match active.circuit.ask(began) {
        Ok(passage) => passage,
        Err(pause) => return sleep(pause).await,
    };
    // The connection may take its time: clients do not wait for that.
    let good = match timeout(CONNECT_TIMEOUT, active.pool.get()).await {
        Ok(Ok(mut connection)) => {
            let place = active.seal.place(b"");
            let asked = connection.look_up(&active.tokens, std::iter::once(None), &place, 0);
            match within(active.settings.timeout, asked).await.unwrap_or(Err(FleetError::Late)) {
                Ok(_) => true,
                Err(error) => {
                    active.failed(&error, false);
                    false
                }
            }
        }
        Ok(Err(bb8::RunError::User(error))) => {
            active.failed(&error, false);
            false
        }
        Ok(Err(bb8::RunError::TimedOut)) | Err(_) => {
            active.failed(&FleetError::Late, false);
            false
        }
    };
    if active.circuit.probed(passage, began, Instant::now(), good) {
        info!("redis is asked for results");
    }
}

/// Asks one thing that nobody waits for. True if it was answered.
async fn ask<T>(
    active: &Active,
    limit: Duration,
    question: impl AsyncFnOnce(&mut Connection) -> Result<T, FleetError>,
) -> bool {
    let began = Instant::now();
    let answer = timeout(limit, active.ask_unbounded(question)).await.unwrap_or(Err(FleetError::Late));
    let opens = active.circuit.record(began, Instant::now(), answer.is_ok());
    match answer {
        Ok(_) => true,
        Err(error) => {
            active.failed(&error, opens);
            false
        }
    }
}

/// Puts results, one after the other.
async fn put(mut puts: mpsc::Receiver<Put>) {
    while let Some(Put { sharing, answer, ttl }) = puts.recv().await {
        let Sharing { active, question, slots, tokens, clock } = sharing;
        if !active.circuit.is_closed() {
            active.counts.add(FleetOutcome::NotPut);
            continue;
        }
        let reply = Reply {
            bytes: answer.bytes.clone(),
            status: answer.status,
            rows: answer.rows,
            columns: answer.columns,
            took: Duration::ZERO,
        };
        let portable = Portable { reply, ttl };
        let value =
            active.seal.close(Asked { question: &question, slots: &slots, tokens: &tokens }, &portable);
        let Some(value) = value else {
            active.counts.add(FleetOutcome::NotPut);
            continue;
        };
        let place = active.seal.place(&question);
        let until = clock.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX / 2));
        let done =
            ask(&active, UNHURRIED, async |connection| connection.put(&place, &value, until).await).await;
        active.counts.add(if done { FleetOutcome::Put } else { FleetOutcome::NotPut });
    }
}
