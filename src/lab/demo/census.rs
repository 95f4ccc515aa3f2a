//! How many connections there are, as those count them who have them: the servers and the proxy.

use std::sync::atomic::{AtomicU32, Ordering};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use parking_lot::Mutex;
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
    clients_most: AtomicU32,
    /// At the look that found most.
    most: Mutex<Vec<Listed>>,
}

/// One connection in a server's list: its id there, its command, its state, and what it runs.
type Listed = (u64, String, Option<String>, Option<String>);

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
            "SELECT id, command, state, LEFT(info, 60) FROM information_schema.processlist
             WHERE user IN ('{SERVER_USER}', '{UNAUTHENTICATED}')"
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
            let mut listed: Vec<Listed> = Vec::new();
            for (root, server) in roots.iter_mut().zip(stage.lab().servers()) {
                let there = root.query(&question).await;
                listed.extend(there.map_err(server.sql_error("counting connections"))?);
            }
            self.take_in(listed);
            if Instant::now() >= next_page {
                let page = page::get(stage.proxy().settings.http, "/metrics").await?;
                // A gauge of whole numbers.
                let clients = page::metric(&page, "dazzle_clients") as u32;
                self.clients_most.fetch_max(clients, Ordering::Relaxed);
                next_page = Instant::now() + LOOK_AT_PROXY;
            }
        }
    }

    fn take_in(&self, listed: Vec<Listed>) {
        self.server_connections.store(count(&listed), Ordering::Relaxed);
        let mut most = self.most.lock();
        if listed.len() > most.len() {
            *most = listed;
        }
    }

    /// Server connections at the last look.
    pub(super) fn server_connections(&self) -> u32 {
        self.server_connections.load(Ordering::Relaxed)
    }

    /// What each server connection did at the look that found most of them.
    pub(super) fn server_connections_at_most(&self) -> Vec<String> {
        let line = |(id, command, state, info): &Listed| {
            let words = [Some(command), state.as_ref(), info.as_ref()];
            let words: Vec<&str> = words.into_iter().flatten().map(String::as_str).collect();
            format!("{id} {}", words.join(", "))
        };
        self.most.lock().iter().map(line).collect()
    }

    /// Clients that the proxy had at once, at most.
    pub(super) fn clients_most(&self) -> u32 {
        self.clients_most.load(Ordering::Relaxed)
    }
}

fn count(listed: &[Listed]) -> u32 {
    u32::try_from(listed.len()).unwrap_or(u32::MAX)
}
