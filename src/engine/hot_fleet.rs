//! Hot reads of a fleet: what a session asks Redis before it asks its server, and what it leaves there.

use std::sync::Arc;

use tokio::time::Instant;

use crate::backend::Flavor;
use crate::backend::pool::{Profile, Want};
use crate::cache::{Answer, CatalogKey, Fill, Slot};
use crate::engine::fleet::{Active, Shared};
use crate::engine::hot_reads::CATALOG_WAIT_MAX;
use crate::engine::hot_rows::Sent;
use crate::engine::session::Session;
use crate::telemetry::spawn;
use crate::wire::{Capabilities, HEADER_BYTES, Header, StatusFlags};

/// What tells a server, and an account there, from all others, on both servers.
const IDENTITY: &str = "SELECT CURRENT_USER(),@@GLOBAL.hostname,@@GLOBAL.port,@@GLOBAL.server_id,@@GLOBAL.datadir,\
                        @@GLOBAL.socket,@@GLOBAL.pid_file,@@GLOBAL.version";

impl Session {
    /// The result of the read that `fill` waits for, if another process has put it into Redis. If not, it is noted what
    /// has to be known for the read's own result to be put there.
    pub(super) async fn find_in_fleet(
        &mut self,
        fill: Fill,
        header: Header,
        sent: Sent,
        slots: &[Slot],
    ) -> Result<Arc<Answer>, Fill> {
        let active = self.engine.fleet.active().as_ref().map(Arc::clone);
        // What is read in a logical database depends on where its slots are.
        let Some(active) = active.filter(|active| self.place.is_none() && active.is_of_use(slots)) else {
            return Err(fill);
        };
        match self.look_up_in(&active, header, sent, slots).await {
            Shared::Found(portable, age) => fill.end_found(portable.reply, age, Instant::now()),
            Shared::Missing(sharing) => {
                self.hot.sharing = Some(sharing);
                Err(fill)
            }
            Shared::Unknown => Err(fill),
        }
    }

    async fn look_up_in(
        &mut self,
        active: &Arc<Active>,
        header: Header,
        sent: Sent,
        slots: &[Slot],
    ) -> Shared {
        let Some(identity) = self.fleet_identity(Instant::now()) else { return Shared::Unknown };
        let Some(question) = self.whole_question(&identity, header, sent) else { return Shared::Unknown };
        let began = Instant::now();
        let shared = active.look_up(question, slots).await;
        self.worker.metrics.redis_time.record(began.elapsed());
        shared
    }

    /// Everything that decides the result of the read at the front of the client's input.
    fn whole_question(&self, identity: &[u8], header: Header, sent: Sent) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        let mut put = |part: &[u8]| {
            whole.extend_from_slice(&(part.len() as u64).to_le_bytes());
            whole.extend_from_slice(part);
        };
        put(identity);
        put(self.user.name.as_bytes());
        put(&self.state.image.base_bytes());
        let modern = self.client.capabilities.has(Capabilities::DEPRECATE_EOF);
        put(&[self.profile().bits(), u8::from(modern), u8::from(sent.prepared().is_some())]);
        let Some(id) = sent.prepared() else {
            put(self.query_text(header));
            return Some(whole);
        };
        let statement = self.statements.as_ref()?.known.get(&id)?;
        // Behind the number of the statement: flags, parameters.
        let bound = self.client.stream.input.filled().get(HEADER_BYTES + 5..HEADER_BYTES + header.length)?;
        put(&statement.key.text);
        put(statement.types.as_deref().unwrap_or_default());
        put(bound);
        put(&statement.image.base_bytes());
        put(&statement.columns.to_le_bytes());
        Some(whole)
    }

    /// Who the session's account is on which server, as far as that is known lately.
    fn fleet_identity(&self, now: Instant) -> Option<Arc<[u8]>> {
        let key = CatalogKey {
            server: self.user.backend.address().into(),
            account: Some(format!("{}/{}", self.user.name, self.user.lineage()).into()),
        };
        let (identity, asks) = self.engine.fleet.identities.find(&key, now);
        if asks {
            self.ask_identity(key, now);
        }
        identity
    }

    /// Asks on a connection of its own. The task ends with its deadlines: that of the line, and the connection's for
    /// exchanges.
    fn ask_identity(&self, key: CatalogKey, now: Instant) {
        let (engine, pool) = (Arc::clone(&self.engine), Arc::clone(&self.user.pool));
        let (worker, user, deadline) = (self.worker.id, self.user.slot, now + CATALOG_WAIT_MAX);
        let want = Want { worker, profile: Profile::PLAIN, state_key: 0, roams: false, user, deadline };
        drop(spawn("cache.identity", async move {
            let Ok(mut lease) = pool.lease(&want).await else { return };
            if lease.move_to(worker).is_err() || !lease.stream.is_quiet() {
                lease.close();
                return;
            }
            let uuid = if lease.facts.flavor == Flavor::MySql { ",@@GLOBAL.server_uuid" } else { "" };
            let answer = lease.ask(&format!("{IDENTITY}{uuid}")).await;
            // Without autocommit the question has begun a transaction.
            if lease.status.has(StatusFlags::IN_TRANS) && lease.ask("ROLLBACK").await.is_err() {
                lease.close();
                return;
            }
            let Some(row) = answer.ok().and_then(|rows| rows.into_iter().next()) else { return };
            let mut identity = Vec::new();
            for value in row {
                let value = value.unwrap_or_default();
                identity.extend_from_slice(&(value.len() as u64).to_le_bytes());
                identity.extend_from_slice(&value);
            }
            engine.fleet.identities.learn(&key, identity.into(), now);
        }));
    }
}
