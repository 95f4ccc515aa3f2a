//! An open loop: statements come when they come, whether or not those before them have been answered.

use std::io;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::stage::ROWS;
use crate::tally::{End, Tally};

/// For the last answers of a load; what is out then has its connection dropped.
const DRAIN: Duration = Duration::from_secs(60);

/// The clients of one tier.
pub(crate) struct Crowd {
    /// Those that wait for something to do.
    pub(crate) idle: Vec<Conn>,
    /// Rows that each statement reads.
    pub(crate) rows: u32,
}

/// Offers so many statements a second by each crowd, at random moments, and waits for the last answers.
pub(crate) async fn offer(crowds: &mut [Crowd], rates: &[f64], duration: Duration) -> io::Result<Vec<Tally>> {
    let mut tasks = JoinSet::new();
    for (n, (crowd, rate)) in crowds.iter_mut().zip(rates).enumerate() {
        let crowd = std::mem::replace(crowd, Crowd { idle: Vec::new(), rows: 0 });
        let (rate, seed) = (*rate, n as u64);
        tasks.spawn(async move { (n, drive(crowd, rate, duration, seed).await) });
    }
    let mut tallies: Vec<Tally> = rates.iter().map(|_| Tally::new(duration)).collect();
    while let Some(done) = tasks.join_next().await {
        let (n, (crowd, tally)) = done.map_err(io::Error::other)?;
        (crowds[n], tallies[n]) = (crowd, tally);
    }
    Ok(tallies)
}

async fn drive(mut crowd: Crowd, rate: f64, duration: Duration, seed: u64) -> (Crowd, Tally) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut tally = Tally::new(duration);
    let (back, mut returned) = mpsc::channel(crowd.idle.len().max(1));
    let mut out = JoinSet::new();
    let start = Instant::now();
    let mut next = start;
    loop {
        // Exponential pauses: arrivals that know nothing of each other.
        next += Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / rate);
        if next >= start + duration {
            break;
        }
        sleep_until(next).await;
        while let Ok(ended) = returned.try_recv() {
            take(&mut crowd, &mut tally, ended);
        }
        while out.try_join_next().is_some() {}
        tally.offered += 1;
        let Some(mut conn) = crowd.idle.pop() else {
            tally.unsent += 1;
            continue;
        };
        let text = statement(&mut random, crowd.rows);
        let back = back.clone();
        out.spawn(async move {
            let end = ask(&mut conn, &text, next).await;
            // Room for every client of the crowd.
            let _ = back.send((conn, end)).await;
        });
    }
    let drained = async { while out.join_next().await.is_some() {} };
    let _ = timeout(DRAIN, drained).await;
    while let Ok(ended) = returned.try_recv() {
        take(&mut crowd, &mut tally, ended);
    }
    (crowd, tally)
}

fn take(crowd: &mut Crowd, tally: &mut Tally, (conn, end): (Conn, End)) {
    tally.add(end);
    if !matches!(end, End::Lost) {
        crowd.idle.push(conn);
    }
}

/// One statement; its time counts from when it should have been sent.
async fn ask(conn: &mut Conn, text: &str, since: Instant) -> End {
    match conn.query_first::<u64, _>(text).await {
        Ok(_) => End::Answered(since.elapsed()),
        Err(Error::Server(error)) => End::Refused(error.code, since.elapsed()),
        Err(_) => End::Lost,
    }
}

/// A report over `rows` rows: nothing but work for the server.
pub(crate) fn statement(random: &mut SmallRng, rows: u32) -> String {
    let first = random.random_range(1..=ROWS - rows);
    let salt = random.random::<u32>();
    let last = first + rows - 1;
    format!("SELECT SUM(CRC32(SHA2(CONCAT(id, {salt}), 256))) FROM item WHERE id BETWEEN {first} AND {last}")
}
