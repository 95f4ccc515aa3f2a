//! The tables of a food delivery, and rows that are hard to get right: NULLs, ties, spellings of one text,
//! blanks at the end, extremes; slots that stay empty come by themselves, there are few keys.

use crate::draw::Draw;

/// The logical database, and the name of the plain one.
pub(crate) const DATABASE: &str = "waimai";

/// Its tables, with what makes a row of each unique.
pub(crate) const TABLES: [(&str, &str); 5] =
    [("users", "id"), ("orders", "id"), ("order_items", "id"), ("shops", "id"), ("cities", "id")];

/// Their definitions.
pub(crate) const DEFINITIONS: [&str; 5] = [
    "CREATE TABLE users (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(40) COLLATE utf8mb4_general_ci, \
     city_id INT, level TINYINT UNSIGNED NOT NULL DEFAULT 1, balance DECIMAL(30,5), score DOUBLE, born DATE, \
     created_at DATETIME NOT NULL)",
    "CREATE TABLE orders (id BIGINT NOT NULL, user_id BIGINT NOT NULL, shop_id INT NOT NULL, \
     status VARCHAR(12) COLLATE utf8mb4_general_ci NOT NULL, amount DECIMAL(10,2) NOT NULL, discount INT, \
     note TEXT COLLATE utf8mb4_general_ci, waited TIME, big BIGINT UNSIGNED, created_at DATETIME NOT NULL, \
     PRIMARY KEY (id, user_id), KEY (user_id))",
    "CREATE TABLE order_items (id BIGINT NOT NULL, order_id BIGINT NOT NULL, user_id BIGINT NOT NULL, \
     sku VARCHAR(20) COLLATE utf8mb4_bin NOT NULL, quantity INT, price DECIMAL(8,2) NOT NULL, \
     PRIMARY KEY (id, user_id), KEY (user_id, order_id))",
    "CREATE TABLE shops (id INT NOT NULL PRIMARY KEY, name VARCHAR(40) COLLATE utf8mb4_general_ci NOT NULL, \
     city_id INT NOT NULL, rating DECIMAL(3,1))",
    "CREATE TABLE cities (id INT NOT NULL PRIMARY KEY, name VARCHAR(40) COLLATE utf8mb4_general_ci NOT NULL)",
];

/// Keys of users; few, so that they repeat, with both ends of the type.
pub(crate) const USERS: [i64; 14] =
    [1, 2, 3, 7, 8, 9, 10, 11, 100, 1001, -7, 9_007_199_254_740_993, i64::MAX, i64::MIN];

/// The columns of `orders`, in the order of [`order`].
pub(crate) const ORDER: &str =
    "id, user_id, shop_id, status, amount, discount, note, waited, big, created_at";

/// Orders at the beginning.
const ORDERS: u64 = 90;

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn or_null(draw: &mut Draw, percent: u64, value: impl FnOnce(&mut Draw) -> String) -> String {
    if draw.percent(percent) { "NULL".to_owned() } else { value(draw) }
}

/// A text of those that are written in many ways.
pub(crate) fn word(draw: &mut Draw) -> String {
    let words = [
        "abc", "ABC", "abc ", "äbc", "a", "a\t", "b", "straße", "Strasse", "", " ", "Zoë", "zoe", "李雷",
        "🍜", "10", "9",
    ];
    quoted(draw.one_of(&words))
}

/// The state of an order.
pub(crate) fn status(draw: &mut Draw) -> String {
    quoted(draw.one_of(&["new", "paid", "PAID", "paid ", "done", "cancelled"]))
}

fn moment(draw: &mut Draw) -> String {
    format!("'2026-0{}-0{} 1{}:00:0{}'", draw.below(3) + 1, draw.below(9) + 1, draw.below(4), draw.below(2))
}

/// One row of `orders`, as a list of values.
pub(crate) fn order(draw: &mut Draw, id: u64, user: i64) -> String {
    let amount = draw.one_of(&["0.00", "0.01", "10.00", "93.95", "99999999.99", "-5.50", "19.90"]);
    format!(
        "({id}, {user}, {}, {}, {amount}, {}, {}, {}, {}, {})",
        draw.below(6) + 1,
        status(draw),
        or_null(draw, 30, |draw| (draw.below(7) as i64 - 3).to_string()),
        or_null(draw, 30, word),
        or_null(draw, 20, |draw| (draw.one_of(&["'-00:30:00'", "'838:59:59'", "'00:20:00'", "'100:00:00'"]))
            .to_owned()),
        or_null(draw, 20, |draw| (draw.one_of(&["0", "1", "9223372036854775808", "18446744073709551615"]))
            .to_owned()),
        moment(draw),
    )
}

/// The statements that fill the tables: each for one key.
pub(crate) fn fill(draw: &mut Draw) -> Vec<String> {
    let mut sql = Vec::new();
    for (id, name) in [(1, "北京"), (2, "Zürich"), (3, "zurich")] {
        sql.push(format!("INSERT INTO cities (id, name) VALUES ({id}, '{name}')"));
    }
    for id in 1..=6 {
        let rating = or_null(draw, 30, |draw| format!("{}.5", draw.below(5)));
        sql.push(format!(
            "INSERT INTO shops (id, name, city_id, rating) VALUES ({id}, {}, {}, {rating})",
            word(draw),
            draw.below(4) + 1
        ));
    }
    for user in USERS {
        let balance =
            draw.one_of(&["0.00000", "1.00001", "2.00000", "-0.00001", "9999999999999999999999999.99999"]);
        sql.push(format!(
            "INSERT INTO users (id, name, city_id, level, balance, score, born, created_at) VALUES ({user}, {}, {}, {}, {}, {}, {}, {})",
            or_null(draw, 15, word),
            or_null(draw, 20, |draw| (draw.below(4) + 1).to_string()),
            draw.below(256),
            or_null(draw, 20, |_| balance.to_owned()),
            or_null(draw, 20, |draw| format!("{}e{}", draw.below(9), draw.below(20) as i64 - 10)),
            or_null(draw, 20, |draw| format!("'199{}-01-01'", draw.below(4))),
            moment(draw),
        ));
    }
    for id in 1..=ORDERS {
        let user = draw.one_of(&USERS);
        sql.push(format!("INSERT INTO orders ({ORDER}) VALUES {}", order(draw, id, user)));
        for item in 0..draw.below(3) {
            let sku = draw.one_of(&["'A'", "'a'", "'B-1'", "'b-1'"]);
            let quantity = or_null(draw, 10, |draw| draw.below(5).to_string());
            sql.push(format!(
                "INSERT INTO order_items (id, order_id, user_id, sku, quantity, price) VALUES ({}, {id}, {user}, {sku}, {quantity}, {}.25)",
                id * 10 + item,
                draw.below(30)
            ));
        }
    }
    sql
}
