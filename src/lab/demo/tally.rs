//! What the clients saw: statements, their times, and what went wrong.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// No statement of the demo may take longer; the proxy's own queue gives up after ten seconds.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Different messages that are kept; further ones are only counted.
const MESSAGES_MAX: usize = 8;

/// How a statement was sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sent {
    /// COM_QUERY.
    Text,
    /// COM_STMT_EXECUTE.
    Prepared,
}

/// Something went wrong for one client.
#[derive(Debug, thiserror::Error)]
pub(super) enum Mishap {
    /// The driver's or the server's error.
    #[error("{0}")]
    Driver(#[from] mysql_async::Error),
    /// No answer.
    #[error("no answer within {STATEMENT_TIMEOUT:?}")]
    Late,
    /// An answer that cannot be right: it is somebody else's.
    #[error("wrong answer: {0}")]
    Wrong(&'static str),
}

/// Counted by all clients.
#[derive(Debug)]
pub(super) struct Tally {
    text: AtomicU64,
    prepared: AtomicU64,
    transactions: AtomicU64,
    errors: AtomicU64,
    connected: AtomicU32,
    unconnected: AtomicU32,
    /// Microseconds. Locked for one addition at a time, some tens of nanoseconds.
    times: Mutex<Histogram<u64>>,
    /// Locked when something goes wrong.
    messages: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    pub(super) fn new() -> Self {
        let longest = u64::try_from(STATEMENT_TIMEOUT.as_micros()).unwrap_or(u64::MAX);
        Self {
            text: AtomicU64::new(0),
            prepared: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            connected: AtomicU32::new(0),
            unconnected: AtomicU32::new(0),
            times: Mutex::new(Histogram::new_with_max(longest, 3).expect("three digits over a valid range")),
            messages: Mutex::new(BTreeMap::new()),
        }
    }

    /// Waits for the answer to one statement, and counts it if it came.
    pub(super) async fn timed<T>(
        &self,
        sent: Sent,
        statement: impl Future<Output = mysql_async::Result<T>>,
    ) -> Result<T, Mishap> {
        let began = Instant::now();
        let answer = timeout(STATEMENT_TIMEOUT, statement).await.map_err(|_| Mishap::Late)??;
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.times.lock().saturating_record(micros);
        let counter = match sent {
            Sent::Text => &self.text,
            Sent::Prepared => &self.prepared,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }

    pub(super) fn committed(&self) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connected(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }

    /// A client that never got in.
    pub(super) fn unconnected(&self) {
        self.unconnected.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn went_wrong(&self, what: &str) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut messages = self.messages.lock();
        if let Some(count) = messages.get_mut(what) {
            *count += 1;
        } else if messages.len() < MESSAGES_MAX {
            messages.insert(what.to_owned(), 1);
        }
    }

    /// The numbers of this moment.
    pub(super) fn read(&self) -> Numbers {
        let times = self.times.lock();
        let quantile = |q| Duration::from_micros(times.value_at_quantile(q));
        Numbers {
            text: self.text.load(Ordering::Relaxed),
            prepared: self.prepared.load(Ordering::Relaxed),
            transactions: self.transactions.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            connected: self.connected.load(Ordering::Relaxed),
            unconnected: self.unconnected.load(Ordering::Relaxed),
            p50: quantile(0.5),
            p99: quantile(0.99),
        }
    }

    /// What went wrong, and how often.
    pub(super) fn messages(&self) -> Vec<(String, u64)> {
        self.messages.lock().iter().map(|(message, count)| (message.clone(), *count)).collect()
    }
}

/// A [`Tally`] at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    pub(super) text: u64,
    pub(super) prepared: u64,
    pub(super) transactions: u64,
    pub(super) errors: u64,
    pub(super) connected: u32,
    pub(super) unconnected: u32,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

impl Numbers {
    pub(super) const fn statements(&self) -> u64 {
        self.text + self.prepared
    }
}
