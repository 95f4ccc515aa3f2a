//! A deterministic food-delivery data set: users, shops, orders and what is in them.
//!
//! Every row depends on the seed, its table and its number alone, so a test can say what a row holds without
//! asking a server, and two servers loaded with the same [`Dataset`] hold the same.

mod draw;
mod rows;
mod schema;

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::time::timeout;

use crate::lab::error::LabError;
use crate::lab::server::Server;

/// Rows of one INSERT: some 100 KiB, far below every `max_allowed_packet`.
const BATCH_ROWS: u32 = 500;

/// For one batch, on a busy machine.
const BATCH_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of it, and which one. Ids run from 1 to the number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Another seed gives other names, prices and times.
    pub seed: u64,
    /// Rows of `users`.
    pub users: u32,
    /// Rows of `shops`.
    pub shops: u32,
    /// Rows of `orders`; `order_items` has one to five for each.
    pub orders: u32,
}

impl Default for Dataset {
    /// Loaded in some seconds: about 75,000 rows.
    fn default() -> Self {
        Self { seed: 1, users: 5_000, shops: 400, orders: 20_000 }
    }
}

impl Dataset {
    /// The tables, in an order in which they can be filled.
    pub const TABLES: [&'static str; 4] = ["users", "shops", "orders", "order_items"];

    /// One `CREATE TABLE` for each of [`Dataset::TABLES`], valid on both servers.
    #[must_use]
    pub const fn schema() -> [&'static str; 4] {
        schema::CREATE
    }

    /// The INSERT statements that fill the tables.
    pub fn inserts(&self) -> impl Iterator<Item = String> + use<> {
        let dataset = *self;
        let users = batches(dataset.users).map(move |(first, last)| rows::users(&dataset, first, last));
        let shops = batches(dataset.shops).map(move |(first, last)| rows::shops(&dataset, first, last));
        let orders = batches(dataset.orders).map(move |(first, last)| rows::orders(&dataset, first, last));
        let items = batches(dataset.orders).map(move |(first, last)| rows::items(&dataset, first, last));
        users.chain(shops).chain(orders).chain(items)
    }

    /// One user, alone.
    #[must_use]
    pub fn user(&self, id: u32) -> String {
        rows::users(self, id, id)
    }

    /// One shop, alone.
    #[must_use]
    pub fn shop(&self, id: u32) -> String {
        rows::shops(self, id, id)
    }

    /// The order of this number, whose id is for somebody else to give.
    #[must_use]
    pub fn order_without_id(&self, number: u32) -> String {
        rows::order_without_id(self, number)
    }

    /// The items of the order of this number, which was given this id.
    #[must_use]
    pub fn items(&self, number: u32, id: u64) -> String {
        rows::items_with_ids(self, &[(number, id)])
    }

    /// All of it in four statements, the orders with these ids by their numbers.
    #[must_use]
    pub fn with_ids(&self, ids: &[(u32, u64)]) -> [String; 4] {
        [
            rows::users(self, 1, self.users),
            rows::shops(self, 1, self.shops),
            rows::orders_with_ids(self, ids),
            rows::items_with_ids(self, ids),
        ]
    }

    /// How many statements [`Dataset::inserts`] gives: what a progress bar needs.
    #[must_use]
    pub const fn batch_count(&self) -> u32 {
        self.users.div_ceil(BATCH_ROWS)
            + self.shops.div_ceil(BATCH_ROWS)
            + 2 * self.orders.div_ceil(BATCH_ROWS)
    }

    /// Makes `schema` on `server` anew and fills it; `loaded` is called after each batch.
    ///
    /// # Errors
    /// [`LabError::Sql`] from the first statement that fails, [`LabError::Deadline`] for one that hangs.
    pub async fn load(
        &self,
        server: &Server,
        schema: &str,
        mut loaded: impl FnMut(),
    ) -> Result<(), LabError> {
        server.create_schema(schema).await?;
        let mut connection = server.connect_with(server.root_opts().db_name(Some(schema))).await?;
        for table in Self::schema() {
            connection.query_drop(table).await.map_err(server.sql_error("making the data set's tables"))?;
        }
        for insert in self.inserts() {
            match timeout(BATCH_TIMEOUT, connection.query_drop(insert)).await {
                Ok(done) => done.map_err(server.sql_error("loading the data set"))?,
                Err(_) => return Err(server.late("load a batch", BATCH_TIMEOUT, "no answer".to_owned())),
            }
            loaded();
        }
        connection.disconnect().await.map_err(server.sql_error("a disconnect"))
    }
}

/// The first and the last row of each batch.
fn batches(rows: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..rows.div_ceil(BATCH_ROWS)).map(move |batch| {
        let first = batch * BATCH_ROWS + 1;
        (first, rows.min(first + BATCH_ROWS - 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_every_row_once() {
        for rows in [0, 1, BATCH_ROWS - 1, BATCH_ROWS, BATCH_ROWS + 1, 3 * BATCH_ROWS] {
            let all: Vec<u32> = batches(rows).flat_map(|(first, last)| first..=last).collect();
            assert_eq!(all, (1..=rows).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_rows_and_another_seed_others() {
        let small = Dataset { seed: 7, users: 3, shops: 2, orders: 4 };
        let text = |dataset: Dataset| dataset.inserts().collect::<Vec<_>>();
        assert_eq!(text(small), text(small));
        assert_ne!(text(small), text(Dataset { seed: 8, ..small }));
        assert_eq!(text(small).len(), small.batch_count() as usize);
        let many = Dataset { users: 1_000, ..small };
        assert!(text(many)[0].starts_with(&text(small)[0]), "a row does not depend on how many there are");
    }
}
