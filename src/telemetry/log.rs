//! Logs: `tracing` events as text or JSON lines on standard error, written by a thread of their own, so
//! that a slow reader of the log never stops a worker.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{LogFormat, Logging};

/// Lines that wait for the writing thread; one more is dropped and counted.
const LINES_MAX: usize = 8192;

/// Why logs could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `logging.level` is not a filter.
    #[error("logging.level: not a filter: {0}")]
    Level(#[from] ParseError),
    /// Another subscriber is in place.
    #[error("logs are already set up: {0}")]
    Taken(#[from] TryInitError),
    /// The writing thread could not be started.
    #[error("log thread could not be started: {0}")]
    Thread(#[from] io::Error),
    /// The subscriber is gone.
    #[error("log level could not be changed: {0}")]
    Gone(#[from] reload::Error),
}

/// Keeps logs flowing; dropping it writes what still waits and ends the thread.
#[derive(Debug)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    lines: Arc<Lines>,
    thread: Option<JoinHandle<()>>,
}

impl LogHandle {
    /// Takes a new level, as at a reload of the configuration. On error the old one stays.
    pub fn reload(&self, level: &str) -> Result<(), LogError> {
        Ok(self.filter.reload(EnvFilter::try_new(level)?)?)
    }

    /// A cheap handle that tells how many lines were dropped because their reader was too slow.
    #[must_use]
    pub fn dropped(&self) -> DroppedLines {
        DroppedLines(Arc::clone(&self.lines))
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        self.lines.sender.lock().take();
        if let Some(thread) = self.thread.take() {
            // The thread only ends early if it panicked, which the panic hook has shown.
            let _ = thread.join();
        }
    }
}

/// How many log lines were dropped.
#[derive(Clone, Debug)]
pub struct DroppedLines(Arc<Lines>);

impl DroppedLines {
    /// The number so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

/// Starts logging to standard error; once per process. Panics are logged with their place too.
pub fn start(logging: &Logging) -> Result<LogHandle, LogError> {
    let (sender, receiver) = sync_channel(LINES_MAX);
    let lines = Arc::new(Lines { sender: parking_lot::Mutex::new(Some(sender)), dropped: AtomicU64::new(0) });
    let (filter, reload) = reload::Layer::new(EnvFilter::try_new(&logging.level)?);
    let writer = LineWriter(Arc::clone(&lines));
    let layer = match logging.format {
        LogFormat::Text => tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer).boxed(),
        LogFormat::Json => {
            tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer).boxed()
        }
    };
    tracing_subscriber::registry().with(filter).with(layer).try_init()?;
    let thread =
        std::thread::Builder::new().name("dazzle-log".into()).spawn(move || write_lines(&receiver))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    Ok(LogHandle { filter: reload, lines, thread: Some(thread) })
}

#[derive(Debug)]
struct Lines {
    /// Taken at the end. Held for one `try_send`, which never waits.
    sender: parking_lot::Mutex<Option<SyncSender<Box<[u8]>>>>,
    dropped: AtomicU64,
}

/// Hands each formatted line to the writing thread.
struct LineWriter(Arc<Lines>);

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> Self::Writer {
        &self.0
    }
}

impl Write for &Lines {
    /// `tracing-subscriber` formats a whole event and writes it at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let sent = match &*self.sender.lock() {
            Some(sender) => sender.try_send(line.into()),
            None => return io::stderr().write(line),
        };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = sent {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(receiver: &Receiver<Box<[u8]>>) {
    let mut stderr = io::stderr().lock();
    for line in receiver {
        // A log that nobody reads any more is no reason to stop.
        let _ = stderr.write_all(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_costs_lines_not_time() {
        let (sender, receiver) = sync_channel(2);
        let lines = Lines { sender: parking_lot::Mutex::new(Some(sender)), dropped: AtomicU64::new(0) };
        for _ in 0..5 {
            assert_eq!((&lines).write(b"line\n").unwrap(), 5);
        }
        assert_eq!(lines.dropped.load(Ordering::Relaxed), 3);
        lines.sender.lock().take();
        assert_eq!(receiver.iter().count(), 2);
    }

    #[test]
    fn a_level_that_is_no_filter_is_refused() {
        let logging = Logging { level: "dazzle=loud".into(), format: LogFormat::Text };
        assert!(matches!(start(&logging), Err(LogError::Level(_))));
    }
}
