//! One client: somebody who is hungry, with a connection of their own.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Statement, TxOpts};
use rand::RngExt;
use rand::rngs::SmallRng;

use crate::lab::dataset::Dataset;
use crate::lab::demo::tally::{Mishap, Sent, Tally};

const PROFILE: &str = "SELECT id, email, name, city_id FROM users WHERE id = ?";
const HISTORY: &str = "SELECT order_id, user_id, status FROM orders WHERE user_id = ? \
                       ORDER BY created_at DESC, order_id DESC LIMIT 5";
const PLACE: &str = "INSERT INTO orders (user_id, shop_id, city_id, amount, created_at) \
                     VALUES (?, ?, ?, ?, NOW(3))";
const ACCEPT: &str = "UPDATE orders SET status = 'accepted' WHERE order_id = ? AND user_id = ?";

/// Cities of the data set.
const CITIES: u32 = 20;

/// A client and what it has prepared.
#[derive(Debug)]
pub(super) struct Customer {
    connection: Conn,
    profile: Statement,
    history: Statement,
    place: Statement,
    accept: Statement,
}

impl Customer {
    /// Logs in and prepares four statements.
    pub(super) async fn enter(opts: Opts) -> mysql_async::Result<Self> {
        let mut connection = Conn::new(opts).await?;
        let profile = connection.prep(PROFILE).await?;
        let history = connection.prep(HISTORY).await?;
        let place = connection.prep(PLACE).await?;
        let accept = connection.prep(ACCEPT).await?;
        Ok(Self { connection, profile, history, place, accept })
    }

    /// Does one of the things that customers do, and checks that the answer is the customer's own.
    pub(super) async fn visit(
        &mut self,
        dataset: &Dataset,
        dice: &mut SmallRng,
        tally: &Tally,
    ) -> Result<(), Mishap> {
        let user = dice.random_range(1..=dataset.users);
        let shop = dice.random_range(1..=dataset.shops);
        let city = dice.random_range(1..=CITIES);
        match dice.random_range(0..100) {
            0..35 => self.browse(city, tally).await,
            35..60 => self.look_at_profile(user, tally).await,
            60..80 => self.look_at_history(user, tally).await,
            80..88 => self.watch_shop(shop, tally).await,
            _ => self.order(user, shop, city, tally).await,
        }
    }

    /// Text: the best open shops of a city.
    async fn browse(&mut self, city: u32, tally: &Tally) -> Result<(), Mishap> {
        let text = format!(
            "SELECT id, city_id, name FROM shops WHERE city_id = {city} AND is_open = 1 ORDER BY rating DESC LIMIT 10"
        );
        let shops: Vec<(u64, u32, String)> = tally.timed(Sent::Text, self.connection.query(text)).await?;
        expect(shops.iter().all(|shop| shop.1 == city), "a shop of another city")
    }

    /// Prepared: one row by its primary key.
    async fn look_at_profile(&mut self, user: u32, tally: &Tally) -> Result<(), Mishap> {
        let found = self.connection.exec_first(&self.profile, (user,));
        let row: Option<(u32, String, String, u32)> = tally.timed(Sent::Prepared, found).await?;
        let email = format!("user{user}@example.com");
        expect(row.is_some_and(|row| row.0 == user && row.1 == email), "another user's profile")
    }

    /// Prepared: a user's last orders.
    async fn look_at_history(&mut self, user: u32, tally: &Tally) -> Result<(), Mishap> {
        let found = self.connection.exec(&self.history, (user,));
        let orders: Vec<(u64, u32, String)> = tally.timed(Sent::Prepared, found).await?;
        expect(orders.iter().all(|order| order.1 == user), "another user's orders")
    }

    /// Text: how many orders of a shop are in which state.
    async fn watch_shop(&mut self, shop: u32, tally: &Tally) -> Result<(), Mishap> {
        let text = format!(
            "SELECT shop_id, status, COUNT(*) FROM orders WHERE shop_id = {shop} GROUP BY shop_id, status"
        );
        let states: Vec<(u32, String, u64)> = tally.timed(Sent::Text, self.connection.query(text)).await?;
        expect(states.iter().all(|state| state.0 == shop), "another shop's orders")
    }

    /// A transaction: the order, what is in it, and its acceptance.
    async fn order(&mut self, user: u32, shop: u32, city: u32, tally: &Tally) -> Result<(), Mishap> {
        let begun = self.connection.start_transaction(TxOpts::default());
        let mut order = tally.timed(Sent::Text, begun).await?;
        let amount = format!("{}.50", 10 + shop % 40);
        tally.timed(Sent::Prepared, order.exec_drop(&self.place, (user, shop, city, amount))).await?;
        let id = order.last_insert_id().ok_or(Mishap::Wrong("no id for a new order"))?;
        let items = format!(
            "INSERT INTO order_items (order_id, line, dish, quantity, price) \
             VALUES ({id}, 1, 'Margherita', 1, 9.50), ({id}, 2, 'Pad Thai', 2, 11.00)"
        );
        tally.timed(Sent::Text, order.query_drop(items)).await?;
        expect(order.affected_rows() == 2, "an order without its items")?;
        tally.timed(Sent::Prepared, order.exec_drop(&self.accept, (id, user))).await?;
        expect(order.affected_rows() == 1, "an order that is not there to be accepted")?;
        tally.timed(Sent::Text, order.commit()).await?;
        tally.committed();
        Ok(())
    }

    /// Logs out.
    pub(super) async fn leave(self) -> mysql_async::Result<()> {
        self.connection.disconnect().await
    }
}

fn expect(right: bool, otherwise: &'static str) -> Result<(), Mishap> {
    if right { Ok(()) } else { Err(Mishap::Wrong(otherwise)) }
}
