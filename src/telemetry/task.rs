//! The one way to start a background task: with a name that logs and panics carry.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::Instrument;

/// Starts `future` on the runtime of the calling thread. `name` says whose it is: `pool.dial`.
///
/// The caller keeps the handle, or gives the task another way to end: a weak reference to its owner, a signal.
///
/// # Panics
/// Outside a tokio runtime.
pub fn spawn(name: &'static str, future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(future.instrument(tracing::debug_span!("task", name)))
}
