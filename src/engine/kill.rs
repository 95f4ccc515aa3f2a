//! Ending a statement that runs on a server: KILL QUERY over a connection of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep, timeout};
use tracing::{debug, warn};

use crate::backend::pool::{Connect, Pooled, Profile, WorkerId};
use crate::backend::{BackendError, ServerLease, ServerPool};
use crate::engine::combine::{Holding, PATIENCE};
use crate::engine::cut::{Cut, Why};
use crate::telemetry::{SessionGuard, spawn};

/// For connecting and killing together; a server that takes longer is left to its own devices.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Whom to kill, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running<'a> {
    pub(crate) pool: &'a Arc<ServerPool>,
    pub(crate) worker: WorkerId,
    /// The server's id of the connection that runs the statement.
    pub(crate) thread_id: u32,
    /// Other sessions' statements are on that connection: they must go elsewhere before a KILL.
    pub(crate) holding: Option<&'a Holding<ServerLease>>,
}

/// What ends a statement before it ends by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a> {
    /// KILL, which names the session.
    pub(crate) guard: &'a SessionGuard,
    /// A limit of its result.
    pub(crate) cut: &'a Cut,
    /// A limit of its time.
    pub(crate) time_max: Option<Duration>,
}

impl Running<'_> {
    /// Kills the statement, in a task of its own; the handle tells when it is over. The connection used
    /// is not one of the pool's: a full pool is when this matters most.
    pub(crate) fn kill(self) -> JoinHandle<()> {
        let Self { worker, thread_id, holding, .. } = self;
        if let Some(holding) = holding {
            holding.break_up();
        }
        let pool = Arc::clone(self.pool);
        spawn("kill", async move {
            let exchange = async {
                let mut conn = pool.connector().connect(Profile::PLAIN, worker).await?;
                let killed = conn.ask(&format!("KILL QUERY {thread_id}")).await;
                conn.close().await;
                killed
            };
            match timeout(KILL_TIMEOUT, exchange).await {
                Ok(Ok(_)) => debug!(thread_id, "statement killed"),
                // 1094: it ended by itself meanwhile.
                Ok(Err(BackendError::Server(packet))) if packet.code == 1094 => {}
                Ok(Err(error)) => warn!(thread_id, %error, "statement could not be killed"),
                Err(_) => warn!(thread_id, "statement could not be killed in time"),
            }
        })
    }
}

/// Runs an exchange with several servers to its end, as [`killable`] does with one: KILL reaches every statement
/// in `running`. Also returns whether it came.
pub(crate) async fn killable_all<F: Future>(
    mut exchange: Pin<&mut F>,
    guard: &SessionGuard,
    running: &[(Arc<ServerPool>, u32)],
    worker: WorkerId,
) -> (F::Output, bool) {
    let mut killing: Vec<JoinHandle<()>> = Vec::new();
    let output = std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = exchange.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        if killing.is_empty() && guard.take_kill().is_some() {
            killing = kill_all(running, worker);
        }
        Poll::Pending
    })
    .await;
    let killed = !killing.is_empty();
    for one in killing {
        // A panic there has been logged; there is nothing to wait for then.
        let _ = one.await;
    }
    (output, killed)
}

/// Kills all these statements, each in a task of its own.
pub(crate) fn kill_all(running: &[(Arc<ServerPool>, u32)], worker: WorkerId) -> Vec<JoinHandle<()>> {
    let one = |(pool, thread_id): &(Arc<ServerPool>, u32)| {
        Running { pool, worker, thread_id: *thread_id, holding: None }.kill()
    };
    running.iter().map(one).collect()
}

/// Runs an exchange with a server to its end. If it takes long, those whose replies follow go alone. It kills
/// the statement there when KILL names this session meanwhile, when its time is over or its result is cut
/// off. The exchange goes on until the server has answered, and this returns only when the KILL is
/// over as well: one that comes late must not hit the statement of whoever gets the connection next.
///
/// The wake-up comes through the session's alarm, whose waker is this task's. Also returns whether KILL
/// came: the alarm has rung then and must be set anew.
///
/// The exchange stays where its caller has pinned it: moved in here it would take its room twice in every
/// session.
pub(crate) async fn killable<F: Future>(
    mut exchange: Pin<&mut F>,
    order: Order<'_>,
    running: Running<'_>,
) -> (F::Output, bool) {
    let mut killing: Option<JoinHandle<()>> = None;
    let mut followed = running.holding.filter(|holding| holding.is_followed());
    let mut patience: Option<Pin<Box<Sleep>>> = None;
    let mut named = false;
    let mut time = order.time_max.map(|max| (max, Box::pin(sleep(max))));
    let output = std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = exchange.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        if killing.is_none() {
            if let Some((max, timer)) = &mut time
                && timer.as_mut().poll(cx).is_ready()
            {
                order.cut.order(Why::Time(*max));
            }
            named = order.guard.take_kill().is_some();
            if named || order.cut.is_ordered() {
                killing = Some(running.kill());
            }
        }
        if let Some(holding) = followed {
            let patience = patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
            if patience.as_mut().poll(cx).is_ready() {
                holding.break_up();
                followed = None;
            }
        }
        Poll::Pending
    })
    .await;
    if let Some(killing) = killing {
        // A panic there has been logged; there is nothing to wait for then.
        let _ = killing.await;
    }
    (output, named)
}
