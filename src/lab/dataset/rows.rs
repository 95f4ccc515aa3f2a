//! The rows of the data set as INSERT statements.

use std::fmt::{self, Write};

use crate::lab::account::escape;
use crate::lab::dataset::Dataset;
use crate::lab::dataset::draw::Draw;

const FIRST_NAMES: [&str; 12] =
    ["Ada", "Zoë", "José", "Mei", "Łukasz", "Fatima", "Søren", "Olga", "Kofi", "Noa", "Jürgen", "小明"];
const LAST_NAMES: [&str; 10] =
    ["O'Brien", "García", "Müller", "Nguyễn", "Kowalski", "Okafor", "Rossi", "Yılmaz", "王", "Smith"];
const SHOP_NAMES: [&str; 8] =
    ["Luigi's", "Golden Wok", "北京烤鸭", "The Corner", "Ñandú", "Crème & Co", "Spice \\ Rice", "Zebra"];
const CUISINES: [&str; 7] = ["pizza", "sushi", "burger", "thai", "indian", "noodles", "bakery"];
const DISHES: [&str; 10] = [
    "Margherita 🍕",
    "Pad Thai",
    "Crème brûlée",
    "Chef's ramen 🍜",
    "Döner",
    "宫保鸡丁",
    "Cheeseburger",
    "Masala dosa",
    "Sushi \"Tokyo\"",
    "Croissant",
];
const NOTES: [&str; 5] =
    ["ring twice", "no onions; extra chili", "it's the blue door", "100% vegetarian", "leave at\nthe door"];
const CITIES: u32 = 20;

/// INSERTs users `first..=last`.
pub(super) fn users(dataset: &Dataset, first: u32, last: u32) -> String {
    insert("users (id, name, email, phone, city_id, preferences, created_at)", first..=last, |id, out| {
        let mut draw = Draw::new(dataset.seed, "users", id);
        let name = format!("{} {}", draw.one_of(&FIRST_NAMES), draw.one_of(&LAST_NAMES));
        let phone =
            if draw.percent(80) { format!("'+{:012}'", draw.below(u32::MAX)) } else { "NULL".to_owned() };
        let city = draw.between(1, CITIES);
        let cuisine = draw.one_of(&CUISINES);
        let news = draw.percent(30);
        let created = Moment::draw(&mut draw);
        write!(
            out,
            "({id},'{}','user{id}@example.com',{phone},{city},'{{\"cuisine\": \"{cuisine}\", \"news\": {news}}}','{created}')",
            escape(&name)
        )
    })
}

/// INSERTs shops `first..=last`.
pub(super) fn shops(dataset: &Dataset, first: u32, last: u32) -> String {
    let columns = "shops (id, name, city_id, cuisine, rating, delivery_fee, is_open, opens_at)";
    insert(columns, first..=last, |id, out| {
        let mut draw = Draw::new(dataset.seed, "shops", id);
        let name = format!("{} {id}", draw.one_of(&SHOP_NAMES));
        let city = draw.between(1, CITIES);
        let cuisine = draw.one_of(&CUISINES);
        let rating =
            if draw.percent(90) { Cents(draw.between(10, 50) * 10).to_string() } else { "NULL".to_owned() };
        let fee = Cents(draw.below(8) * 50);
        let open = u8::from(draw.percent(95));
        let opens = draw.between(6, 17);
        write!(out, "({id},'{}',{city},'{cuisine}',{rating},{fee},{open},'{opens:02}:00:00')", escape(&name))
    })
}

/// INSERTs orders `first..=last`; the amount is the sum of their items.
pub(super) fn orders(dataset: &Dataset, first: u32, last: u32) -> String {
    let columns =
        "orders (order_id, user_id, shop_id, city_id, status, amount, note, created_at, delivered_at)";
    insert(columns, first..=last, |id, out| {
        write!(out, "({id},")?;
        order(dataset, id, out)
    })
}

/// INSERTs one order, whose id is for somebody else to give.
pub(super) fn order_without_id(dataset: &Dataset, number: u32) -> String {
    let columns = "orders (user_id, shop_id, city_id, status, amount, note, created_at, delivered_at)";
    insert(columns, std::iter::once(number), |number, out| {
        out.push('(');
        order(dataset, number, out)
    })
}

/// INSERTs orders that were given these ids, by their numbers.
pub(super) fn orders_with_ids(dataset: &Dataset, ids: &[(u32, u64)]) -> String {
    let columns =
        "orders (order_id, user_id, shop_id, city_id, status, amount, note, created_at, delivered_at)";
    insert(columns, ids.iter(), |(number, id), out| {
        write!(out, "({id},")?;
        order(dataset, *number, out)
    })
}

/// INSERTs the items of orders that were given these ids.
pub(super) fn items_with_ids(dataset: &Dataset, ids: &[(u32, u64)]) -> String {
    items_of_orders(dataset, ids.iter().copied())
}

/// What follows the id of an order, up to the end of its row.
fn order(dataset: &Dataset, id: u32, out: &mut String) -> fmt::Result {
    let mut draw = Draw::new(dataset.seed, "orders", id);
    let user = draw.between(1, dataset.users.max(1));
    let shop = draw.between(1, dataset.shops.max(1));
    let city = draw.between(1, CITIES);
    let status = match draw.below(100) {
        0..4 => "placed",
        4..7 => "accepted",
        7..10 => "cooking",
        10..14 => "delivering",
        14..94 => "delivered",
        _ => "cancelled",
    };
    let note =
        if draw.percent(25) { format!("'{}'", escape(draw.one_of(&NOTES))) } else { "NULL".to_owned() };
    let created = Moment::draw(&mut draw);
    let took = draw.between(12, 75);
    let delivered =
        if status == "delivered" { format!("'{}'", created.later(took)) } else { "NULL".to_owned() };
    let amount: u32 = items_of(dataset, id).iter().map(|item| item.quantity * item.price.0).sum();
    write!(out, "{user},{shop},{city},'{status}',{},{note},'{created}',{delivered})", Cents(amount))
}

/// INSERTs the items of orders `first..=last`.
pub(super) fn items(dataset: &Dataset, first: u32, last: u32) -> String {
    items_of_orders(dataset, (first..=last).map(|order| (order, u64::from(order))))
}

/// Orders are named by their number and their id.
fn items_of_orders(dataset: &Dataset, orders: impl Iterator<Item = (u32, u64)>) -> String {
    let items = orders.flat_map(|(number, order)| {
        let items = items_of(dataset, number).into_iter();
        items.zip(1_u16..).map(move |(item, line)| (order, line, item))
    });
    insert(
        "order_items (order_id, line, dish, quantity, price, options)",
        items,
        |(order, line, item), out| {
            let Item { dish, quantity, price, extra } = item;
            let options = extra.map_or("NULL".to_owned(), |extra| format!("'{{\"extra\": [\"{extra}\"]}}'"));
            write!(out, "({order},{line},'{}',{quantity},{price},{options})", escape(dish))
        },
    )
}

/// One line of an order.
struct Item {
    dish: &'static str,
    quantity: u32,
    price: Cents,
    extra: Option<&'static str>,
}

/// One to five.
fn items_of(dataset: &Dataset, order: u32) -> Vec<Item> {
    let mut draw = Draw::new(dataset.seed, "order_items", order);
    let count = draw.between(1, 5).min(draw.between(1, 5));
    let mut item = |_| Item {
        dish: draw.one_of(&DISHES),
        quantity: draw.between(1, 4),
        price: Cents(draw.between(7, 60) * 50 - 5),
        extra: if draw.percent(20) { Some(draw.one_of(&["cheese", "chili", "jalapeño"])) } else { None },
    };
    (0..count).map(&mut item).collect()
}

/// An amount of money, printed as a DECIMAL literal.
#[derive(Clone, Copy)]
struct Cents(u32);

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// A moment of 2025, never so late in a day that an order would be delivered on the next.
#[derive(Clone, Copy)]
struct Moment {
    month: u32,
    day: u32,
    minute: u32,
    millisecond: u32,
}

impl Moment {
    fn draw(draw: &mut Draw) -> Self {
        Self {
            month: draw.between(1, 12),
            day: draw.between(1, 28),
            minute: draw.between(8 * 60, 22 * 60),
            millisecond: draw.below(60_000),
        }
    }

    const fn later(self, minutes: u32) -> Self {
        Self { minute: self.minute + minutes, ..self }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { month, day, minute, millisecond } = self;
        let (hour, minute) = (minute / 60, minute % 60);
        let (second, millisecond) = (millisecond / 1000, millisecond % 1000);
        write!(f, "2025-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millisecond:03}")
    }
}

/// `INSERT INTO into VALUES …`, each row written by `row`.
fn insert<T>(
    into: &str,
    rows: impl Iterator<Item = T>,
    mut row: impl FnMut(T, &mut String) -> fmt::Result,
) -> String {
    let mut out = format!("INSERT INTO {into} VALUES ");
    let start = out.len();
    for value in rows {
        if out.len() > start {
            out.push(',');
        }
        row(value, &mut out).expect("writing to a String cannot fail");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_moments_are_written_as_the_servers_do() {
        assert_eq!(Cents(5).to_string(), "0.05");
        assert_eq!(Cents(12_340).to_string(), "123.40");
        let moment = Moment { month: 2, day: 3, minute: 22 * 60, millisecond: 59_007 };
        assert_eq!(moment.to_string(), "2025-02-03 22:00:59.007");
        assert_eq!(moment.later(75).to_string(), "2025-02-03 23:15:59.007");
    }
}
