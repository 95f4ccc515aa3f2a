//! The logical database of the show: its slots on two servers, loaded through the proxy, and one server that holds the
//! same whole, to compare with.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tokio::time::timeout;

use crate::lab::dataset::Dataset;
use crate::lab::demo::error::DemoError;
use crate::lab::error::LabError;
use crate::lab::server::Server;

/// The schema of the whole.
pub(super) const WHOLE: &str = "waimai_whole";

/// Clients that load side by side.
const LOADERS: u32 = 4;
/// For one statement, on a busy machine.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// What the physical databases are called, by server, and the tables of each.
const SLOTS: [&[(&str, &[usize])]; 2] = [
    &[("waimai_user_0", OF_USER), ("waimai_user_1", OF_USER), ("waimai_shop_0", OF_SHOP)],
    &[("waimai_user_2", OF_USER), ("waimai_user_3", OF_USER), ("waimai_shop_1", OF_SHOP)],
];
/// Places in [`Dataset::TABLES`].
const OF_USER: &[usize] = &[0, 2, 3];
const OF_SHOP: &[usize] = &[1];

/// See the module.
#[derive(Debug)]
pub(super) struct Shards {
    dataset: Dataset,
    /// The id that the first order was given.
    order: u64,
}

impl Default for Shards {
    /// Loaded in a second or two, one statement a row.
    fn default() -> Self {
        Self { dataset: Dataset { users: 200, shops: 40, orders: 400, ..Dataset::default() }, order: 0 }
    }
}

impl Shards {
    pub(super) const fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// An order that is there.
    pub(super) const fn order(&self) -> u64 {
        self.order
    }

    /// Statements that load it.
    pub(super) const fn rows(&self) -> u32 {
        self.dataset.users + self.dataset.shops + self.dataset.orders
    }

    /// Makes the slots, the table of the sequences, and the whole.
    pub(super) async fn make(&self, north: &Server, south: &Server) -> Result<(), LabError> {
        let Dataset { users, shops, .. } = self.dataset;
        for (server, slots) in [north, south].into_iter().zip(SLOTS) {
            for (database, tables) in slots {
                make(server, database, tables).await?;
            }
        }
        north.create_schema("waimai_ids").await?;
        north
            .execute(&[
                "CREATE TABLE waimai_ids.sequences (name VARCHAR(64) PRIMARY KEY, next BIGINT UNSIGNED NOT NULL)"
                    .to_owned(),
                format!(
                    "INSERT INTO waimai_ids.sequences VALUES ('user_ids', {}), ('shop_ids', {}), ('order_numbers', 1)",
                    users + 1,
                    shops + 1
                ),
            ])
            .await?;
        make(north, WHOLE, &[0, 1, 2, 3]).await
    }

    /// Loads it row by row as an application would, each statement to where its row belongs. Returns the ids that the
    /// orders were given.
    pub(super) async fn load(
        &mut self,
        opts: &OptsBuilder,
        mut loaded: impl FnMut(),
    ) -> Result<Vec<(u32, u64)>, DemoError> {
        let Dataset { users, shops, orders, .. } = self.dataset;
        let mut conns = Vec::new();
        for _ in 0..LOADERS {
            conns.push(Conn::new(opts.clone()).await.map_err(DemoError::Sharded)?);
        }
        let mut ids = Vec::new();
        let last = users.max(shops).max(orders);
        for first in (1..=last).step_by(LOADERS as usize) {
            let numbers = first..=last.min(first + LOADERS - 1);
            let [one, two, three, four] = &mut conns[..] else { return Ok(ids) };
            let of = |number: u32| numbers.contains(&number).then_some(number);
            let all = tokio::try_join!(
                self.load_row(one, of(first)),
                self.load_row(two, of(first + 1)),
                self.load_row(three, of(first + 2)),
                self.load_row(four, of(first + 3)),
            )?;
            let (one, two, three, four) = all;
            ids.extend([one, two, three, four].into_iter().flatten());
            for number in numbers {
                [users, shops, orders].iter().filter(|count| number <= **count).for_each(|_| loaded());
            }
        }
        for conn in conns {
            conn.disconnect().await.map_err(DemoError::Sharded)?;
        }
        self.order = ids.first().map_or(0, |(_, id)| *id);
        Ok(ids)
    }

    /// The user, the shop and the order of this number; returns the order's id.
    async fn load_row(&self, conn: &mut Conn, number: Option<u32>) -> Result<Option<(u32, u64)>, DemoError> {
        let Some(number) = number else { return Ok(None) };
        let dataset = &self.dataset;
        if number <= dataset.users {
            run(conn, dataset.user(number)).await?;
        }
        if number <= dataset.shops {
            run(conn, dataset.shop(number)).await?;
        }
        if number > dataset.orders {
            return Ok(None);
        }
        run(conn, dataset.order_without_id(number)).await?;
        let id = conn.last_insert_id().unwrap_or_default();
        run(conn, dataset.items(number, id)).await?;
        Ok(Some((number, id)))
    }

    /// The same rows on one server.
    pub(super) async fn load_whole(&self, north: &Server, ids: Vec<(u32, u64)>) -> Result<(), LabError> {
        let mut statements = vec![format!("USE {WHOLE}")];
        statements.extend(self.dataset.with_ids(&ids));
        north.execute(&statements).await
    }
}

async fn run(conn: &mut Conn, sql: String) -> Result<(), DemoError> {
    match timeout(STATEMENT_TIMEOUT, conn.query_drop(sql)).await {
        Ok(done) => done.map_err(DemoError::Sharded),
        Err(_) => Err(DemoError::ShardedLate),
    }
}

async fn make(server: &Server, database: &str, tables: &[usize]) -> Result<(), LabError> {
    server.create_schema(database).await?;
    let mut statements = vec![format!("USE {database}")];
    statements.extend(tables.iter().map(|table| Dataset::schema()[*table].to_owned()));
    server.execute(&statements).await
}
