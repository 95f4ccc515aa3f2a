//! A tour of the logical database: statements with their routes, each answered as one server answers it, or refused.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use crate::lab::demo::error::DemoError;
use crate::lab::demo::settings::SHARDED;
use crate::lab::demo::shards::WHOLE;
use crate::lab::demo::stage::Stage;

/// One statement, and what is to become of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    sql: &'static str,
    becomes: Becomes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    /// One slot answers.
    Routed,
    /// Several do, and their rows are merged.
    Scattered,
    /// It is refused, by this number.
    Refused(&'static str),
}

/// In `{order}`'s place the id of an order stands.
pub(super) const STOPS: [Stop; 10] = [
    routed("SELECT name, email FROM users WHERE id = 77"),
    routed("SELECT status, amount FROM orders WHERE order_id = {order}"),
    routed(
        "SELECT u.name, o.status, i.dish, i.quantity FROM users u JOIN orders o ON o.user_id = u.id \
         JOIN order_items i ON i.order_id = o.order_id WHERE u.id = 77 ORDER BY o.order_id, i.line",
    ),
    scattered("SELECT city_id, COUNT(*), SUM(amount) FROM orders GROUP BY city_id ORDER BY city_id LIMIT 5"),
    scattered(
        "SELECT order_id, amount FROM orders WHERE shop_id = 7 ORDER BY created_at DESC, order_id DESC LIMIT 3",
    ),
    scattered(
        "SELECT u.city_id, COUNT(DISTINCT o.user_id), SUM(o.amount) / COUNT(*) FROM orders o \
         JOIN users u ON u.id = o.user_id GROUP BY u.city_id ORDER BY u.city_id LIMIT 3",
    ),
    scattered(
        "SELECT dish, SUM(quantity) AS sold FROM order_items GROUP BY dish ORDER BY sold DESC, dish LIMIT 3",
    ),
    refused(
        "SELECT s.name, COUNT(*) FROM shops s JOIN orders o ON o.shop_id = s.id GROUP BY s.name",
        "DZ1506",
    ),
    refused("UPDATE orders SET status = 'cancelled' WHERE shop_id = 7", "DZ1508"),
    refused("UPDATE users SET id = 5 WHERE id = 6", "DZ1509"),
];

const fn routed(sql: &'static str) -> Stop {
    Stop { sql, becomes: Becomes::Routed }
}

const fn scattered(sql: &'static str) -> Stop {
    Stop { sql, becomes: Becomes::Scattered }
}

const fn refused(sql: &'static str, number: &'static str) -> Stop {
    Stop { sql, becomes: Becomes::Refused(number) }
}

/// What became of a statement.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) sql: String,
    /// As EXPLAIN ROUTE tells it.
    pub(super) route: String,
    pub(super) answer: String,
    /// What is not as it should be.
    pub(super) complaint: Option<String>,
}

/// Makes the tour.
pub(super) async fn run(stage: &Stage, mut seen_one: impl FnMut()) -> Result<Vec<Seen>, DemoError> {
    let primary = stage.lab().primary();
    let whole = primary.root_opts().db_name(Some(WHOLE));
    let mut whole = primary.connect_with(whole).await?;
    let sharded = Conn::new(stage.client_opts_of(SHARDED)).await;
    let mut sharded = sharded.map_err(DemoError::Sharded)?;
    let mut tour = Vec::new();
    for stop in STOPS {
        let sql = stop.sql.replace("{order}", &stage.shards().order().to_string());
        tour.push(stop.visit(sql, &mut sharded, &mut whole).await?);
        seen_one();
    }
    for conn in [sharded, whole] {
        conn.disconnect().await.map_err(DemoError::Sharded)?;
    }
    Ok(tour)
}

impl Stop {
    async fn visit(self, sql: String, sharded: &mut Conn, whole: &mut Conn) -> Result<Seen, DemoError> {
        let lines: Vec<(String, String)> =
            sharded.query(format!("EXPLAIN ROUTE {sql}")).await.map_err(DemoError::Sharded)?;
        let line = |wanted: &str| lines.iter().find(|(name, _)| name == wanted).map(|(_, how)| how.clone());
        let plan = line("plan").unwrap_or_default();
        let merge = line("merge").map_or(String::new(), |merge| format!("; {merge}"));
        let (answer, well) = match (sharded.query::<Row, _>(sql.as_str()).await, self.becomes) {
            (Ok(rows), Becomes::Routed | Becomes::Scattered) => {
                let expected: Vec<Row> = whole.query(sql.as_str()).await.map_err(DemoError::Sharded)?;
                let same = !rows.is_empty() && texts(&rows) == texts(&expected);
                let how = if same { "as one server answers" } else { "NOT as one server answers" };
                (format!("{} rows, {how}", rows.len()), same)
            }
            (Ok(_), Becomes::Refused(_)) => ("carried out".to_owned(), false),
            (Err(mysql_async::Error::Server(error)), Becomes::Refused(number)) => {
                (format!("error {}: {}", error.code, error.message), error.message.starts_with(number))
            }
            (Err(error), _) => (error.to_string(), false),
        };
        let expected = match self.becomes {
            Becomes::Routed => plan.starts_with("one slot"),
            Becomes::Scattered => plan.contains(" slots: ") && !merge.is_empty(),
            Becomes::Refused(number) => plan.starts_with("refused") && plan.contains(number),
        };
        // The refusal is told in the answer.
        let route = plan.split(" (").next().unwrap_or_default().to_owned() + &merge;
        let complaint = (!well || !expected).then(|| format!("{sql}: {plan}{merge}; {answer}"));
        Ok(Seen { sql, route, answer, complaint })
    }
}

/// Rows as they came, in their order.
fn texts(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| format!("{row:?}")).collect()
}
