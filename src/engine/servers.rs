//! What must be known of a server before its first client can be greeted, and before its session can begin.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::backend::ServerFacts;
use crate::backend::pool::{Profile, Want, WorkerId};
use crate::engine::error::EngineError;
use crate::engine::snapshot::{Snapshot, User};

/// What is known about the server of `user`. The first to ask makes the first connection, and waits for it
/// until `deadline` at most.
pub async fn server_facts(
    user: &User,
    worker: WorkerId,
    deadline: Instant,
) -> Result<Arc<ServerFacts>, EngineError> {
    if let Some(facts) = user.backend.facts() {
        return Ok(facts);
    }
    let want =
        Want { worker, profile: Profile::PLAIN, state_key: 0, roams: false, user: user.slot, deadline };
    let lease = user.pool.lease(&want).await?;
    Ok(Arc::clone(&lease.facts))
}

/// Asks for the facts of every server that is not known yet, so that the greeting can tell its version; waits
/// for `patience` at most. A server that cannot be reached stays unknown.
pub async fn learn_servers(snapshot: &Snapshot, worker: WorkerId, patience: Duration) {
    let deadline = Instant::now() + patience;
    if let Some(accounts) = snapshot.accounts()
        && accounts.cluster().primary.facts().is_none()
        && timeout_at(deadline, accounts.look_up("")).await.is_err()
    {
        debug!("server of the accounts is not known yet");
    }
    for cluster in snapshot.topology.clusters() {
        if cluster.primary.facts().is_some() {
            continue;
        }
        let mut users = snapshot.users();
        let known = match users.find(|user| Arc::ptr_eq(&user.backend, &cluster.primary)) {
            Some(user) => server_facts(user, worker, deadline).await.map_err(|error| error.to_string()),
            None => Err("nobody can ask".to_owned()),
        };
        if let Err(error) = known {
            debug!(cluster = cluster.name, %error, "server is not known yet");
        }
    }
}
