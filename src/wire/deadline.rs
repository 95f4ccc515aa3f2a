//! A deadline that costs next to nothing while it is met: one timer per connection, armed rarely.
//!
//! Registering a timer for every wait would take a lock and a clock reading twice per statement. Here
//! the timer stays armed across waits and is looked at only when it fires: at most once a second while
//! a connection is busy, exactly when due while it is silent. The price: a wait of two seconds or more
//! may be cut off up to one second late.

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
    /// The timer is armed further ahead than one tick: it must be drawn in before it can serve a new wait.
    far: bool,
}

/// What one wait knows about its end.
#[derive(Clone, Copy)]
enum Due {
    /// The wait has not been polled yet.
    New,
    /// Not known: the clock has not been read since the wait began.
    Lazy,
    /// Known.
    At(Instant),
}

impl Deadline {
    /// A deadline whose timer is made when it is first needed.
    #[must_use]
    pub const fn new() -> Self {
        Self { timer: None, far: false }
    }

    /// Runs `wait` for `limit` at most; zero means no limit. `wait` is polled first; it is dropped when
    /// time is up, so it must be cancel-safe or its owner must not be used again.
    pub async fn run<F: Future>(&mut self, limit: Duration, wait: F) -> Result<F::Output, Elapsed> {
        let mut wait = std::pin::pin!(wait);
        let mut due = Due::New;
        poll_fn(|cx| {
            if let Poll::Ready(output) = wait.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if limit.is_zero() {
                return Poll::Pending;
            }
            self.poll(cx, limit, &mut due).map(|()| Err(Elapsed))
        })
        .await
    }

    /// Ready when the wait is over.
    fn poll(&mut self, cx: &mut Context<'_>, limit: Duration, due: &mut Due) -> Poll<()> {
        let far = std::mem::take(&mut self.far);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + TICK)));
        if matches!(due, Due::New) {
            *due = Due::Lazy;
            if limit < 2 * TICK {
                let at = Instant::now() + limit;
                *due = Due::At(at);
                timer.as_mut().reset(at);
            } else if far {
                timer.as_mut().reset(Instant::now() + TICK);
            }
        }
        while timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            match *due {
                Due::At(at) if now >= at => return Poll::Ready(()),
                Due::At(at) => timer.as_mut().reset(at),
                // The timer was armed by an earlier wait, or a tick has passed: from here on it counts.
                Due::New | Due::Lazy => {
                    *due = Due::At(now + limit);
                    timer.as_mut().reset(now + limit);
                }
            }
        }
        self.far = matches!(due, Due::At(_));
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_noticed_at_most_a_tick_late() {
        let mut deadline = Deadline::new();
        for seconds in [1, 5, 3600, 2, 1] {
            let start = Instant::now();
            let limit = Duration::from_secs(seconds);
            let result = deadline.run(limit, std::future::pending::<()>()).await;
            assert_eq!(result, Err(Elapsed));
            let waited = start.elapsed();
            assert!(waited >= limit && waited <= limit + TICK + TICK / 100, "{waited:?} of {limit:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_passed_on() {
        let mut deadline = Deadline::new();
        for _ in 0..5 {
            let wait = tokio::time::sleep(Duration::from_millis(2700));
            assert_eq!(deadline.run(Duration::from_secs(3), wait).await, Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_is_no_limit() {
        let wait = tokio::time::sleep(Duration::from_secs(1 << 30));
        assert_eq!(Deadline::new().run(Duration::ZERO, wait).await, Ok(()));
    }
}
