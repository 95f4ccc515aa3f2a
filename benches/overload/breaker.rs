//! A server that hangs, and one that is killed: how soon it is left alone, what a refusal takes, and how it is let in again.

use std::io;
use std::time::Duration;

use dazzle::lab::Server;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::stage::{self, Proxy};

/// Clients that ask again and again, and wait for their answers however long that takes.
const CLIENTS: u32 = 32;
/// Of each of them between two statements.
const PAUSE: Duration = Duration::from_millis(25);
/// In between others come who ask once; they tell when the breaker opens, for those who wait do not see it.
const PROBES: Duration = Duration::from_millis(10);
const PROBES_MAX: usize = 700;
/// Before it happens, for as long as it lasts, and after it.
const PHASES: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(6), Duration::from_secs(18)];
/// What the proxy is told.
const BREAKER: &str = "    breaker: {enabled: true, slow: 500ms}\n";

#[derive(Clone, Copy, PartialEq)]
enum End {
    Served,
    /// DZ0505.
    Refused,
    Failed,
}

/// When a statement ended, after how long, and how.
type Event = (Duration, Duration, End);

/// Both stories.
pub(crate) async fn measure(server: &Server) -> io::Result<Value> {
    Ok(json!({ "hangs": story(server, true).await?, "is_killed": story(server, false).await? }))
}

async fn story(server: &Server, hangs: bool) -> io::Result<Value> {
    let proxy = Proxy::start(server, BREAKER).await?;
    let start = Instant::now();
    // Logging in takes a moment, too.
    let end = start + PHASES.iter().sum::<Duration>() + Duration::from_secs(2);
    let mut tasks = JoinSet::new();
    for n in 0..CLIENTS {
        let conn = stage::connect(proxy.address, stage::CROWDS[1].user).await?;
        // All at the same moment, they would wait for each other and not for the proxy.
        let first = PAUSE * n / CLIENTS;
        tasks.spawn(async move {
            sleep(first).await;
            ask_on(conn, start, end, usize::MAX).await
        });
    }
    let mut idle = Vec::new();
    for _ in 0..PROBES_MAX {
        idle.push(stage::connect(proxy.address, stage::CROWDS[1].user).await?);
    }
    sleep(PHASES[0]).await;
    let fell = start.elapsed();
    let mut probing = JoinSet::new();
    probing.spawn(async move {
        let mut probes = JoinSet::new();
        for conn in idle {
            probes.spawn(ask_on(conn, start, end, 1));
            sleep(PROBES).await;
        }
        probes.join_all().await
    });
    let result = if hangs { server.freeze().await } else { server.kill().await };
    result.map_err(io::Error::other)?;
    sleep(PHASES[1]).await;
    let result = if hangs { server.thaw() } else { server.start().await };
    result.map_err(io::Error::other)?;
    let rose = start.elapsed();
    let mut events = Vec::new();
    while let Some(done) = tasks.join_next().await {
        events.extend(done.map_err(io::Error::other)?);
    }
    while let Some(done) = probing.join_next().await {
        events.extend(done.map_err(io::Error::other)?.into_iter().flatten());
    }
    events.sort_unstable_by_key(|(at, ..)| *at);
    Ok(told(&events, fell, rose))
}

async fn ask_on(mut conn: Conn, start: Instant, end: Instant, times: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while Instant::now() < end && events.len() < times {
        let began = Instant::now();
        let how = match conn.query_drop("SELECT id FROM item WHERE id = 5").await {
            Ok(()) => End::Served,
            Err(Error::Server(error)) if error.message.contains("DZ0505") => End::Refused,
            Err(Error::Server(_)) => End::Failed,
            // Its connection is gone with the server's.
            Err(_) => return events,
        };
        events.push((start.elapsed(), began.elapsed(), how));
        sleep(PAUSE).await;
    }
    events
}

/// Milliseconds, but for what says otherwise.
fn told(events: &[Event], fell: Duration, rose: Duration) -> Value {
    let millis = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let of = |how: End| events.iter().filter(move |(.., end)| *end == how);
    let opened = of(End::Refused).find(|(at, ..)| *at >= fell);
    let sorted = |times: &mut dyn Iterator<Item = &Event>| {
        let mut times: Vec<Duration> = times.map(|(_, took, _)| *took).collect();
        times.sort_unstable();
        times
    };
    let quantile = |times: &[Duration], part: f64| {
        let at = (times.len().saturating_sub(1)) as f64 * part;
        times.get(at as usize).copied().unwrap_or_default()
    };
    let refusals = sorted(&mut of(End::Refused));
    let usual = sorted(&mut of(End::Served).filter(|(at, ..)| *at < fell));
    let before = of(End::Served).filter(|(at, ..)| *at < fell).count() as f64 / fell.as_secs_f64();
    let served = of(End::Served).find(|(at, ..)| *at >= rose);
    // In every half second after its return, the part of what was served before it fell.
    let ramp: Vec<f64> = (0..32)
        .map(|half| rose + Duration::from_millis(500) * half)
        .map(|from| (from, from + Duration::from_millis(500)))
        .map(|(from, to)| of(End::Served).filter(|(at, ..)| (from..to).contains(at)).count() as f64 * 2.0)
        .map(|rate| (rate / before * 100.0).round() / 100.0)
        .collect();
    json!({
        "opens_after": opened.map(|(at, ..)| millis(*at - fell)),
        "refused": refusals.len(),
        "refusal_p50": millis(quantile(&refusals, 0.5)),
        "refusal_p99": millis(quantile(&refusals, 0.99)),
        "usual_p50": millis(quantile(&usual, 0.5)),
        "usual_p99": millis(quantile(&usual, 0.99)),
        "serves_after": served.map(|(at, ..)| millis(*at - rose)),
        "ramp": ramp,
        "failed": of(End::Failed).count(),
    })
}
