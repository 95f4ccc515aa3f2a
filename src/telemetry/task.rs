//! The one place that starts tasks: every task has a name.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::task::JoinHandle;

/// Starts `future` on the current runtime. Who calls owns the task: it keeps the handle, or the future
/// ends by itself when its listener, client or stop signal ends.
///
/// A panic inside is logged with `name`; the task's peers go on.
pub fn spawn(name: &'static str, future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(Named { future, name })
}

pin_project! {
    // Not an `async` block around the future: that would hold it twice, and a session's future is
    // most of what an idle client costs.
    struct Named<F> {
        #[pin]
        future: F,
        name: &'static str,
    }

    impl<F> PinnedDrop for Named<F> {
        fn drop(this: Pin<&mut Self>) {
            if std::thread::panicking() {
                tracing::error!(task = this.name, "task panicked");
            }
        }
    }
}

impl<F: Future<Output = ()>> Future for Named<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.project().future.poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_costs_sixteen_bytes() {
        async fn large() {
            let buffer = [0_u8; 4096];
            std::future::ready(()).await;
            std::hint::black_box(&buffer);
            tokio::task::yield_now().await;
            std::hint::black_box(&buffer);
        }
        let bare = size_of_val(&large());
        assert!(size_of_val(&Named { future: large(), name: "large" }) <= bare + 24);
    }

    #[tokio::test]
    async fn a_panic_ends_its_task_alone() {
        let failed = spawn("fails", async { panic!("on purpose") });
        assert!(failed.await.is_err_and(|error| error.is_panic()));
        assert!(spawn("works", async {}).await.is_ok());
    }
}
