//! Connections for several slots at once, without two sessions ever waiting for each other's.

use std::sync::Arc;

use tokio::time::Instant;

use crate::backend::pool::Want;
use crate::backend::{BackendError, ServerLease, ServerPool, SessionImage};
use crate::engine::error::EngineError;
use crate::engine::session::Session;
use crate::sharding::SlotId;

impl Session {
    /// What this session wants of the pool, until `deadline`.
    pub(crate) fn want(&mut self, deadline: Instant) -> Want {
        let state_key = self.wanted_image().key() as u64;
        let (worker, profile, user) = (self.worker.id, self.profile(), self.user.slot);
        let roams = self.place.is_some();
        Want { worker, profile, state_key, roams, user, deadline }
    }

    /// A connection for each slot, looking like this session there. First all that are idle are tried for;
    /// if one is missing, all are given back and waited for one by one, by one session at a time: nobody
    /// who holds a connection waits for somebody who holds another.
    pub(crate) async fn lease_slots(
        &mut self,
        slots: &[SlotId],
        started: Instant,
    ) -> Result<Vec<ServerLease>, EngineError> {
        let mut want = self.want(started);
        let mut wanted: Vec<(Arc<ServerPool>, Arc<SessionImage>)> = Vec::with_capacity(slots.len());
        let Some(place) = &mut self.place else { return Ok(Vec::new()) };
        for slot in slots {
            let image = place.image(&self.state.image, *slot);
            wanted.push((Arc::clone(place.pool(place.database.shard(*slot))), image));
        }
        let mut leases = Vec::with_capacity(slots.len());
        for (pool, image) in &wanted {
            want.state_key = image.key() as u64;
            match pool.try_lease(&want) {
                Some(lease) => leases.push(lease),
                None => break,
            }
        }
        if leases.len() < slots.len() {
            leases.clear();
            let engine = Arc::clone(&self.engine);
            let turn = self.watch_client(engine.several.lock()).await?;
            for (pool, image) in &wanted {
                want.state_key = image.key() as u64;
                want.deadline = started + pool.queue_timeout();
                leases.push(self.watch_client(pool.lease(&want)).await??);
            }
            drop(turn);
        }
        for (lease, (_, image)) in leases.iter_mut().zip(&wanted) {
            lease.move_to(self.worker.id).map_err(BackendError::from)?;
            if !lease.stream.is_quiet() {
                return Err(BackendError::Stream(crate::wire::StreamError::Closed).into());
            }
            lease.adopt(image).await?;
        }
        Ok(leases)
    }
}
