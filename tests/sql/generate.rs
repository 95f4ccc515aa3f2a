//! Statements by the seed: keys in every spelling, under every operator, in both protocols; aggregates,
//! groups, orders, limits, joins, subqueries; writes.

use dazzle::wire::{Writer, column_type};

use crate::data::{self, ORDER, USERS};
use crate::draw::Draw;
use crate::query::{Item, Predicate, Query, Sort};
use crate::support::Parameter;

/// A statement and whether it writes.
#[derive(Clone, Debug)]
pub(crate) enum Generated {
    Read(Query),
    Write(String, Vec<Parameter>),
}

/// The next statement. `id` numbers new rows.
pub(crate) fn statement(draw: &mut Draw, id: u64) -> Generated {
    match draw.below(100) {
        21..=25 => Generated::Read(union(draw)),
        0..=16 => Generated::Write(write(draw, id), Vec::new()),
        17..=20 => {
            let (sql, parameters) = prepared_write(draw, id);
            Generated::Write(sql, parameters)
        }
        _ => Generated::Read(read(draw)),
    }
}

/// Columns of `orders o` whose equal values are written alike, and those that are not.
const EXACT: [&str; 7] =
    ["o.shop_id", "o.amount", "o.discount", "o.waited", "o.big", "o.created_at", "o.user_id"];
const LOOSE: [&str; 2] = ["o.status", "o.note"];

const AGGREGATES: [&str; 40] = [
    "COUNT(DISTINCT o.shop_id, o.status)",
    "COUNT(DISTINCT o.note)",
    "COUNT(DISTINCT o.waited)",
    "COUNT(DISTINCT o.big)",
    "SUM(DISTINCT o.amount)",
    "AVG(DISTINCT o.shop_id)",
    "GROUP_CONCAT(o.id ORDER BY o.id)",
    "GROUP_CONCAT(DISTINCT o.shop_id ORDER BY o.shop_id DESC SEPARATOR '; ')",
    "GROUP_CONCAT(DISTINCT o.created_at ORDER BY o.created_at)",
    "GROUP_CONCAT(o.discount, o.shop_id ORDER BY o.discount, o.shop_id)",
    "GROUP_CONCAT(o.note ORDER BY o.id, o.user_id SEPARATOR '')",
    "GROUP_CONCAT(o.amount ORDER BY o.amount DESC)",
    "MIN(o.note)",
    "MAX(o.status)",
    "MAX(o.shop_id)",
    "SUM(o.amount / 3)",
    "SUM(ROUND(o.amount / 3, 2))",
    "AVG(CAST(o.amount / 3 AS DECIMAL(20, 5)))",
    "AVG(o.amount / 7)",
    "MAX(o.amount / 7)",
    "SUM(o.discount / o.shop_id)",
    "COUNT(*)",
    "COUNT(o.discount)",
    "SUM(o.amount)",
    "AVG(o.amount)",
    "MIN(o.amount)",
    "MAX(o.amount)",
    "SUM(o.discount)",
    "AVG(o.discount)",
    "MIN(o.created_at)",
    "MAX(o.waited)",
    "MIN(o.waited)",
    "MAX(o.big)",
    "BIT_OR(o.big)",
    "BIT_AND(o.big)",
    "BIT_XOR(o.shop_id)",
    "COUNT(DISTINCT o.shop_id)",
    "COUNT(DISTINCT o.status)",
    "SUM(o.big)",
    "SUM(o.shop_id)",
];

/// Expressions of them, that a server computes when they are known.
const EXPRESSIONS: [&str; 31] = [
    "ROUND(AVG(o.shop_id), 2)",
    "ROUND(AVG(o.amount) * 7, 4)",
    "FORMAT(AVG(o.amount), 2)",
    "TRUNCATE(AVG(o.shop_id), 3)",
    "FLOOR(AVG(o.shop_id))",
    "AVG(o.shop_id) - SUM(o.shop_id) / COUNT(*)",
    "GREATEST(MAX(o.amount), AVG(o.amount))",
    "MAX(o.discount) + 1",
    "MAX(o.shop_id) - MIN(o.shop_id)",
    "SUM(o.amount) * 1.5 / 7",
    "DATEDIFF(MAX(o.created_at), MIN(o.created_at))",
    "YEAR(MAX(o.created_at))",
    "TIME_TO_SEC(MAX(o.waited))",
    "MIN(o.created_at) + INTERVAL 1 DAY",
    "COALESCE(SUM(o.discount), AVG(o.amount))",
    "SUM(o.amount) / COUNT(*)",
    "COUNT(*) + 1",
    "ROUND(AVG(o.amount), 1)",
    "IFNULL(SUM(o.discount), 0)",
    "SUM(o.amount) - SUM(o.discount)",
    "AVG(o.amount) * 3",
    "AVG(o.shop_id) / 7 * 3",
    "IF(SUM(o.amount) > 100, 'good', 'new')",
    "COALESCE(MAX(o.discount), MIN(o.amount), 0)",
    "SUM(o.big) / 7",
    "CASE WHEN COUNT(*) > 3 THEN SUM(o.amount) ELSE -1 END AS several",
    "SUM(o.amount) / SUM(o.shop_id - 2)",
    "CONCAT(COUNT(*), ' of ', COUNT(DISTINCT o.shop_id))",
    "BIT_OR(o.big) & 255",
    "100 * SUM(o.discount) / SUM(o.amount)",
    "AVG(o.discount) IS NULL",
];

/// Conditions for HAVING.
const CONDITIONS: [&str; 17] = [
    "COUNT(*) > 2",
    "SUM(o.amount) >= 100.5",
    "COUNT(*) = 1",
    "AVG(o.amount) > 20",
    "AVG(o.shop_id) > 3.3333",
    "AVG(o.shop_id) <= 3.6667",
    "AVG(o.shop_id) * 3 = 10",
    "SUM(o.amount) / COUNT(*) >= 10",
    "MAX(o.created_at) >= '2026-02-05'",
    "COUNT(DISTINCT o.status) > 1",
    "MIN(o.amount) < MAX(o.amount)",
    "SUM(o.discount) IS NULL",
    "COUNT(*) IN (1, 3)",
    "COUNT(*) <=> 2",
    "NOT (COUNT(*) > 3 OR AVG(o.amount) < 5)",
    "COUNT(o.discount) AND MAX(o.shop_id) > 2",
    "ROUND(AVG(o.amount)) BETWEEN 0 AND 100",
];

fn plain(sql: &str) -> Item {
    // Of equal texts, MIN and MAX may be any.
    Item { sql: sql.to_owned(), loose: matches!(sql, "MIN(o.note)" | "MAX(o.status)") }
}

/// The expression of an item without its alias.
fn unnamed(sql: &str) -> &str {
    sql.split(" AS ").next().unwrap_or(sql)
}

fn read(draw: &mut Draw) -> Query {
    let mut query = Query { from: source(draw).to_owned(), ..Query::default() };
    for _ in 0..draw.below(3) {
        let predicate = if draw.percent(60) { key_predicate(draw) } else { other_predicate(draw) };
        query.conditions.push(predicate);
    }
    match draw.below(4) {
        0 => aggregate(draw, &mut query),
        1 => group(draw, &mut query),
        2 => distinct(draw, &mut query),
        _ => rows(draw, &mut query),
    }
    query
}

/// A UNION: its arms are in the place of a table.
fn union(draw: &mut Draw) -> Query {
    let column =
        draw.one_of(&["status", "note", "shop_id", "amount", "created_at", "discount", "user_id", "big"]);
    let other = draw.one_of(&["o.status", "o.note", "o.shop_id", "o.amount", "o.created_at", "o.waited"]);
    let loose = [column, other].iter().any(|one| one.ends_with("status") || one.ends_with("note"));
    let second = match draw.below(3) {
        0 => format!("SELECT {other} FROM orders o WHERE o.shop_id > 2"),
        1 => "SELECT name FROM users WHERE level > 100".to_owned(),
        _ => format!("SELECT DISTINCT {column} FROM orders WHERE discount IS NULL"),
    };
    let (loose, exact) = (loose || second.contains("name"), draw.percent(60));
    let word = if exact { "UNION" } else { "UNION ALL" };
    let mut query = Query {
        union: Some(format!("SELECT {column} FROM orders {word} {second}")),
        items: vec![Item { sql: column.to_owned(), loose }],
        ..Query::default()
    };
    if draw.percent(70) {
        let direction = if draw.percent(50) { " DESC" } else { "" };
        query.order.push(Sort { sql: format!("{column}{direction}"), item: (!loose).then_some(0) });
        query.total = exact && !loose;
    }
    if draw.percent(40) {
        query.limit = Some((draw.below(6), draw.below(3)));
    }
    query
}

fn source(draw: &mut Draw) -> &'static str {
    draw.one_of(&[
        "orders o",
        "orders o",
        "orders o",
        "orders o JOIN users u ON u.id = o.user_id",
        "orders o LEFT JOIN users u ON u.id = o.user_id AND u.level > 100",
        "users u JOIN orders o ON o.user_id = u.id JOIN shops s ON s.id = o.shop_id",
        "orders o LEFT JOIN shops s ON s.id = o.shop_id",
        "orders o JOIN order_items i ON i.order_id = o.id AND i.user_id = o.user_id",
        "users u LEFT JOIN orders o ON o.user_id = u.id",
        "users u LEFT JOIN orders o ON o.user_id = u.id AND o.shop_id = 2",
        "shops s JOIN orders o ON o.shop_id = s.id",
        "orders o RIGHT JOIN users u ON u.id = o.user_id",
        "orders o JOIN orders p ON p.user_id = o.user_id AND p.id < o.id",
        "orders o JOIN users u USING (id)",
    ])
}

fn rows(draw: &mut Draw, query: &mut Query) {
    query.items = vec![plain("o.id"), plain("o.user_id")];
    query.items.push(plain(draw.one_of(&EXACT)));
    query.items.push(plain(draw.one_of(&LOOSE)));
    let several = query.from.contains("order_items");
    if draw.percent(70) {
        for _ in 0..draw.below(3) {
            query.order.push(sort(draw));
        }
        if !several && draw.percent(60) {
            query.order.push(Sort { sql: "o.id".into(), item: Some(0) });
            query.order.push(Sort { sql: "o.user_id".into(), item: Some(1) });
            query.total = true;
        }
        for sort in &mut query.order {
            if sort.item.is_none() {
                sort.item = query
                    .items
                    .iter()
                    .position(|item| item.sql == bare(&sort.sql) && !LOOSE.contains(&&*item.sql));
            }
        }
    }
    if draw.percent(50) {
        query.limit = Some((draw.below(12), if draw.percent(40) { draw.below(8) } else { 0 }));
    }
}

fn bare(sort: &str) -> &str {
    sort.trim_end_matches(" DESC")
}

fn sort(draw: &mut Draw) -> Sort {
    let column = if draw.percent(70) { draw.one_of(&EXACT) } else { draw.one_of(&LOOSE) };
    let direction = if draw.percent(50) { " DESC" } else { "" };
    Sort { sql: format!("{column}{direction}"), item: None }
}

fn aggregate(draw: &mut Draw, query: &mut Query) {
    for _ in 0..=draw.below(3) {
        let some = if draw.percent(25) { draw.one_of(&EXPRESSIONS) } else { draw.one_of(&AGGREGATES) };
        query.items.push(plain(some));
    }
}

fn group(draw: &mut Draw, query: &mut Query) {
    let (key, loose) = match draw.below(8) {
        0 | 1 => ("o.status", true),
        2 | 3 => ("o.user_id", false),
        4 => ("day", false),
        _ => (draw.one_of(&EXACT), false),
    };
    let alias = key == "day";
    let item = if alias { "DATE(o.created_at) AS day" } else { key };
    query.items.push(Item { sql: item.to_owned(), loose });
    query.group.push(key.to_owned());
    let second = draw.one_of(&EXACT);
    let several = second != key && draw.percent(25);
    if several {
        query.items.push(plain(second));
        query.group.push(second.to_owned());
    }
    aggregate(draw, query);
    if draw.percent(15) && !alias {
        query.items.push(Item { sql: format!("CONCAT({key})"), loose });
    }
    if draw.percent(30) {
        query.having = Some(draw.one_of(&CONDITIONS).to_owned());
    }
    match draw.below(4) {
        0 => {
            query.order.push(Sort { sql: key.to_owned(), item: (!loose).then_some(0) });
            query.total = !several;
        }
        1 if !several => {
            let item = 1 + draw.below(query.items.len() as u64 - 1) as usize;
            let by = unnamed(&query.items[item].sql).to_owned();
            let seen = (!query.items[item].loose).then_some(item);
            query.order.push(Sort { sql: format!("{by} DESC"), item: seen });
            query.order.push(Sort { sql: key.to_owned(), item: (!loose).then_some(0) });
            query.total = true;
        }
        2 if !several => {
            let by = if draw.percent(70) { draw.one_of(&EXPRESSIONS) } else { draw.one_of(&AGGREGATES) };
            query.order.push(Sort { sql: unnamed(by).to_owned(), item: None });
            query.order.push(Sort { sql: key.to_owned(), item: (!loose).then_some(0) });
            query.total = true;
        }
        _ => {}
    }
    if draw.percent(40) {
        query.limit = Some((draw.below(6), draw.below(2)));
    }
}

fn distinct(draw: &mut Draw, query: &mut Query) {
    query.distinct = true;
    let loose = draw.percent(40);
    let column = if loose { draw.one_of(&LOOSE) } else { draw.one_of(&EXACT) };
    query.items.push(Item { sql: column.to_owned(), loose });
    if draw.percent(50) {
        query.order.push(Sort { sql: column.to_owned(), item: (!loose).then_some(0) });
        query.total = true;
    }
    if draw.percent(40) {
        query.limit = Some((draw.below(6), draw.below(3)));
    }
}

/// A key as people write it; the bigint that it means.
fn spelling(draw: &mut Draw, key: i64) -> Predicate {
    let text =
        |text: String| Predicate { sql: "?".into(), parameters: vec![Parameter::text(text.as_bytes())] };
    let sql = |sql: String| Predicate { sql, parameters: Vec::new() };
    match draw.below(10) {
        0..=3 => sql(key.to_string()),
        4 => sql(format!("'{key}'")),
        5 => sql(format!("' {key}'")),
        6 => sql(format!("{key}.0")),
        7 => sql(format!("'{key}abc'")),
        8 => text(key.to_string()),
        _ => Predicate { sql: "?".into(), parameters: vec![number(draw, key)] },
    }
}

/// A parameter of one of the types that a driver might bind.
fn number(draw: &mut Draw, key: i64) -> Parameter {
    match (draw.below(3), i32::try_from(key)) {
        (0, Ok(small)) => Parameter { kind: column_type::LONG, value: Some(small.to_le_bytes().to_vec()) },
        (1, _) => {
            let mut value = Vec::new();
            value.put_lenenc_bytes(key.to_string().as_bytes());
            Parameter { kind: column_type::NEWDECIMAL, value: Some(value) }
        }
        _ => Parameter::int(key),
    }
}

fn key_predicate(draw: &mut Draw) -> Predicate {
    let mut keys = Vec::new();
    for _ in 0..3 {
        let key = draw.one_of(&USERS);
        keys.push(spelling(draw, key));
    }
    let (a, b, c) = (&keys[0].sql, &keys[1].sql, &keys[2].sql);
    let (form, used): (String, usize) = match draw.below(12) {
        0..=3 => (format!("o.user_id = {a}"), 1),
        4 => (format!("{a} = o.user_id"), 1),
        5 => (format!("o.user_id <=> {a}"), 1),
        6 => (format!("o.user_id IN ({a}, {b}, {c})"), 3),
        7 => (format!("o.user_id BETWEEN {a} AND {b}"), 2),
        8 => (format!("(o.user_id = {a} OR o.user_id = {b})"), 2),
        9 => (format!("NOT (o.user_id = {a})"), 1),
        10 => (format!("o.user_id NOT IN ({a}, {b})"), 2),
        _ => (format!("(o.user_id = {a} OR o.shop_id = 2)"), 1),
    };
    Predicate { sql: form, parameters: keys.into_iter().take(used).flat_map(|key| key.parameters).collect() }
}

fn other_predicate(draw: &mut Draw) -> Predicate {
    let sql = match draw.below(13) {
        8 => format!("(o.user_id, o.shop_id) IN ((7, 1), (8, 2), (9, {}))", draw.below(6) + 1),
        9 => "NOT EXISTS (SELECT 1 FROM order_items x WHERE x.user_id = o.user_id AND x.order_id = o.id)".to_owned(),
        10 => "o.user_id NOT IN (SELECT x.user_id FROM order_items x WHERE x.user_id = o.user_id AND x.sku = 'A')".to_owned(),
        11 => "o.amount > (SELECT AVG(x.price) FROM order_items x WHERE x.user_id = o.user_id)".to_owned(),
        12 => format!("NOT (o.shop_id = {} AND o.user_id <> 7)", draw.below(6) + 1),
        0 => format!("o.status = {}", data::status(draw)),
        1 => format!("o.note < {}", data::word(draw)),
        2 => "o.discount IS NULL".to_owned(),
        3 => format!("o.amount > {}.5", draw.below(50)),
        4 => "o.created_at >= '2026-02-01'".to_owned(),
        5 => "o.shop_id IN (SELECT id FROM shops WHERE city_id < 3)".to_owned(),
        6 => "o.user_id IN (SELECT id FROM users WHERE level > 50)".to_owned(),
        _ => "EXISTS (SELECT 1 FROM order_items x WHERE x.user_id = o.user_id AND x.quantity > 2)".to_owned(),
    };
    Predicate { sql, parameters: Vec::new() }
}

/// A write with parameters, for one slot, several, or all.
fn prepared_write(draw: &mut Draw, id: u64) -> (String, Vec<Parameter>) {
    let keys = [draw.one_of(&USERS), draw.one_of(&USERS)];
    let small = Parameter::int(draw.below(5) as i64);
    let insert = "INSERT INTO orders (id, user_id, shop_id, status, amount, note, created_at) VALUES";
    let row = "(?, ?, 1, 'new', 1.25, ?, '2026-01-01')";
    let values = |n: u64| {
        let text = if n.is_multiple_of(2) { "abc" } else { "'\\" };
        let user = keys[(n % 2) as usize];
        [Parameter::int((id + n) as i64), Parameter::int(user), Parameter::text(text.as_bytes())]
    };
    match draw.below(6) {
        0 => (format!("{insert} {row}"), values(0).to_vec()),
        1 | 2 => (format!("{insert} {row}, {row}"), [values(0), values(1)].concat()),
        3 => (
            "UPDATE orders SET amount = amount + ? WHERE user_id IN (?, ?)".to_owned(),
            vec![small, number(draw, keys[0]), number(draw, keys[1])],
        ),
        4 => (
            "UPDATE cities SET name = CONCAT(name, ?) WHERE id = ?".to_owned(),
            vec![Parameter::text(b"y"), small],
        ),
        _ => (
            "DELETE FROM order_items WHERE user_id = ? AND quantity > ?".to_owned(),
            vec![number(draw, keys[0]), small],
        ),
    }
}

fn write(draw: &mut Draw, id: u64) -> String {
    let user = draw.one_of(&USERS);
    let other = draw.one_of(&USERS);
    match draw.below(17) {
        16 => format!(
            "INSERT INTO order_items (id, order_id, user_id, sku, price) SELECT o.id * 1000 + {}, o.id, o.user_id, 'C', o.shop_id FROM orders o WHERE o.user_id = {user} AND o.id < 50",
            id % 1000
        ),
        14 | 15 => format!(
            "INSERT INTO order_items (id, order_id, user_id, sku, quantity, price) VALUES ({}, {}, {user}, {}, {}, {}.25)",
            id * 10,
            draw.below(90) + 1,
            draw.one_of(&["'A'", "'a'", "'B-1'"]),
            draw.below(5),
            draw.below(30)
        ),
        10 => format!(
            "UPDATE orders o JOIN users u ON u.id = o.user_id SET o.note = u.name WHERE u.id = {user}"
        ),
        11 => format!(
            "DELETE i FROM order_items i JOIN orders o ON o.id = i.order_id AND o.user_id = i.user_id WHERE o.user_id = {user} AND o.status = {}",
            data::status(draw)
        ),
        12 => format!("UPDATE users SET level = {} WHERE id BETWEEN {user} AND {user}", draw.below(256)),
        13 => {
            let known = draw.below(90) + 1;
            let row = data::order(draw, known, user);
            format!("INSERT INTO orders ({ORDER}) VALUES {row} ON DUPLICATE KEY UPDATE amount = amount + 1")
        }
        0 | 1 => format!("INSERT INTO orders ({ORDER}) VALUES {}", data::order(draw, id, user)),
        2 => format!(
            "INSERT INTO orders ({ORDER}) VALUES {}, {}",
            data::order(draw, id, user),
            data::order(draw, id + 1, other)
        ),
        3 => format!("UPDATE orders SET amount = amount + 1 WHERE user_id = {user}"),
        4 => format!("UPDATE orders SET status = {} WHERE user_id IN ({user}, {other})", data::status(draw)),
        5 => "UPDATE orders SET discount = 1 WHERE discount IS NULL".to_owned(),
        6 => format!("DELETE FROM orders WHERE user_id = '{user}' AND shop_id = {}", draw.below(6) + 1),
        7 => {
            format!("UPDATE orders SET user_id = {other} WHERE user_id = {user} AND id = {}", draw.below(90))
        }
        8 => {
            let known = draw.below(90) + 1;
            format!("REPLACE INTO orders ({ORDER}) VALUES {}", data::order(draw, known, user))
        }
        _ => format!("UPDATE cities SET name = CONCAT(name, 'x') WHERE id = {}", draw.below(4) + 1),
    }
}
