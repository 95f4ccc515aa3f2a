//! How many connections there are, as those count them who have them: the servers and the proxy.

use std::sync::atomic::{AtomicU32, Ordering};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval};

use crate::lab::demo::error::DemoError;
use crate::lab::demo::page;
use crate::lab::demo::settings::SERVER_USER;
use crate::lab::demo::stage::Stage;

/// Between two looks at the servers.
const LOOK: Duration = Duration::from_millis(50);
/// Between two looks at the proxy, whose page is longer.
const LOOK_AT_PROXY: Duration = Duration::from_millis(500);

/// A connection whose login is not over counts too.
const UNAUTHENTICATED: &str = "unauthenticated user";

/// The last and the highest counts.
#[derive(Debug, Default)]
pub(super) struct Census {
    server_connections: AtomicU32,
    server_connections_most: AtomicU32,
    clients_most: AtomicU32,
}

impl Census {
    /// Counts until it is dropped; ends only if it cannot count any more.
    pub(super) async fn watch(&self, stage: &Stage) -> DemoError {
        match self.count(stage).await {
            Ok(never) => never,
            Err(error) => error,
        }
    }

    async fn count(&self, stage: &Stage) -> Result<DemoError, DemoError> {
        let question = format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE user IN ('{SERVER_USER}', '{UNAUTHENTICATED}')"
        );
        let mut roots: Vec<Conn> = Vec::new();
        for server in stage.lab().servers() {
            roots.push(server.connect().await?);
        }
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_page = Instant::now();
        loop {
            tick.tick().await;
            let mut count = 0;
            for (root, server) in roots.iter_mut().zip(stage.lab().servers()) {
                let counted: Option<u32> =
                    root.query_first(&question).await.map_err(server.sql_error("counting connections"))?;
                count += counted.unwrap_or_default();
            }
            self.server_connections.store(count, Ordering::Relaxed);
            self.server_connections_most.fetch_max(count, Ordering::Relaxed);
            if Instant::now() >= next_page {
                let page = page::get(stage.proxy().settings.http, "/metrics").await?;
                // A gauge of whole numbers.
                let clients = page::metric(&page, "dazzle_clients") as u32;
                self.clients_most.fetch_max(clients, Ordering::Relaxed);
                next_page = Instant::now() + LOOK_AT_PROXY;
            }
        }
    }

    /// Server connections at the last look.
    pub(super) fn server_connections(&self) -> u32 {
        self.server_connections.load(Ordering::Relaxed)
    }

    /// Server connections at most, at any look.
    pub(super) fn server_connections_most(&self) -> u32 {
        self.server_connections_most.load(Ordering::Relaxed)
    }

    /// Clients that the proxy had at once, at most.
    pub(super) fn clients_most(&self) -> u32 {
        self.clients_most.load(Ordering::Relaxed)
    }
}
