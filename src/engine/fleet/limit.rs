//! A wait that ends on time: the runtime's own timers count whole milliseconds, which is as much as a look-up may take.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// Runs `future` for `limit` at most. It is polled first, and dropped when time is up.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = pass(limit) => None,
    }
}

async fn pass(limit: Duration) {
    match timer(limit) {
        Ok(timer) => drop(timer.readable().await),
        // There are too many files; then it takes a little longer.
        Err(_) => sleep(limit).await,
    }
}

fn timer(limit: Duration) -> std::io::Result<AsyncFd<OwnedFd>> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let never = Timespec { tv_sec: 0, tv_nsec: 0 };
    let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    // Zero would stop it.
    let nanos = limit.subsec_nanos().max(1);
    let once =
        Itimerspec { it_interval: never, it_value: Timespec { tv_sec: seconds, tv_nsec: nanos.into() } };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe; an owned timer is its own for as long as it is registered"
    )]
    AsyncFd::with_interest(timer, Interest::READABLE)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn what_is_ready_is_taken_and_what_is_not_is_given_up_on_time() {
        assert_eq!(within(Duration::from_nanos(1), ready(7)).await, Some(7));
        // On a busy machine one of them may be late, but never all.
        let mut shortest = Duration::MAX;
        for _ in 0..200 {
            let began = Instant::now();
            assert_eq!(within(Duration::from_micros(300), pending::<()>()).await, None);
            shortest = shortest.min(began.elapsed());
        }
        assert!(shortest >= Duration::from_micros(300), "{shortest:?}");
        assert!(shortest < Duration::from_millis(1), "{shortest:?}");
    }
}
