//! A deadline that costs next to nothing while it is met: one timer per connection, armed rarely.
//!
//! Registering a timer for every wait would take a lock and a wheel slot twice per statement. Here the
//! timer stays armed across waits and is looked at again only when it fires: at most once a second
//! while a connection is busy, exactly when due while it is silent.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How far ahead the timer is armed while nobody knows how long the wait will be.
const TICK: Duration = Duration::from_secs(1);

/// The wait was longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deadline passed")]
pub struct Elapsed;

/// One reusable timer. See the module's text.
#[derive(Debug, Default)]
pub struct Deadline {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// A deadline whose timer is made when it is first needed.
    #[must_use]
    pub const fn new() -> Self {
        Self { timer: None }
    }

    /// Runs `wait` until `due` at the latest. `wait` is polled first; it is dropped when time is up, so
    /// it must be cancel-safe or its owner must not be used again.
    pub async fn run<F: Future>(&mut self, due: Instant, wait: F) -> Result<F::Output, Elapsed> {
        let mut wait = std::pin::pin!(wait);
        let mut first = true;
        poll_fn(|cx| {
            if let Poll::Ready(output) = wait.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            let elapsed = self.poll(cx, due, first);
            first = false;
            elapsed.map(|()| Err(Elapsed))
        })
        .await
    }

    /// Ready when `due` has passed. `first` is true at the first poll of a wait.
    fn poll(&mut self, cx: &mut Context<'_>, due: Instant, first: bool) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due.min(Instant::now() + TICK))));
        if first && timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= due {
                return Poll::Ready(());
            }
            // A wait that began just now is probably short; one that sat through a tick is not.
            let next = if first { due.min(now + TICK) } else { due };
            timer.as_mut().reset(next);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_noticed_when_due() {
        let mut deadline = Deadline::new();
        for seconds in [0, 1, 5, 3600, 2] {
            let start = Instant::now();
            let wait = Duration::from_secs(seconds);
            let result = deadline.run(start + wait, std::future::pending::<()>()).await;
            assert_eq!(result, Err(Elapsed));
            assert_eq!(start.elapsed().as_secs(), seconds);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_passed_on() {
        let mut deadline = Deadline::new();
        for _ in 0..5 {
            let wait = tokio::time::sleep(Duration::from_millis(700));
            let due = Instant::now() + Duration::from_secs(1);
            assert_eq!(deadline.run(due, wait).await, Ok(()));
        }
    }
}
