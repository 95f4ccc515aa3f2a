//! What real servers call equal is one value to a placement: every spelling of a key, as text and as a parameter.
//!
//! For each literal the rows that a server finds must be rows of the value that it is brought to: never a row
//! that a placement would have put elsewhere.

use dazzle::sharding::{
    Bounded, Collation, Integer, KeyLiteral, KeyType, KeyValue, Match, Moment, Side, Stored, TextKind,
};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Value};

/// A constant in SQL, what it is to the rules, and the same as a parameter.
struct Spelling {
    sql: String,
    literal: KeyLiteral<'static>,
    parameter: Option<Value>,
}

fn text(text: &'static str) -> Spelling {
    let sql = format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    Spelling { sql, literal: KeyLiteral::Text(text.as_bytes()), parameter: Some(Value::from(text)) }
}

fn whole(number: i128) -> Spelling {
    let parameter = match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) => Some(Value::Int(number)),
        (Err(_), Ok(number)) => Some(Value::UInt(number)),
        (Err(_), Err(_)) => None,
    };
    Spelling { sql: number.to_string(), literal: KeyLiteral::Integer(number), parameter }
}

fn decimal(written: &'static str) -> Spelling {
    Spelling { sql: written.to_owned(), literal: KeyLiteral::Decimal(written.as_bytes()), parameter: None }
}

fn double(number: f64) -> Spelling {
    let (sql, literal) = (format!("{number:e}"), KeyLiteral::Double(number));
    Spelling { sql, literal, parameter: Some(Value::Double(number)) }
}

fn other(sql: &str, literal: KeyLiteral<'static>) -> Spelling {
    Spelling { sql: sql.to_owned(), literal, parameter: None }
}

fn integers() -> Vec<Spelling> {
    let texts = [
        "7",
        " 7",
        "\t7",
        "07",
        "+7",
        "7.0",
        "7abc",
        "7e0",
        "0.7e1",
        "70e-1",
        "7 ",
        "7.",
        "7.4",
        "6.99999999999999999999",
        "abc",
        "",
        "-1",
        "-1x",
        "x7",
        ".7e1",
        "7e",
        "0x7",
        "9007199254740993",
        " 9007199254740993",
        "9007199254740993 ",
        "9007199254740993x",
        "9007199254740992",
        "9007199254740993.0",
        "9007199254740993e0",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551615",
        "1e30",
        "1e999",
    ];
    let mut all: Vec<Spelling> = texts.into_iter().map(text).collect();
    all.extend(
        [0, 1, 7, 8, -1, 127, 128, 9_007_199_254_740_993, i64::MAX.into(), u64::MAX.into()].map(whole),
    );
    all.extend(["7.0", "7.000", "7.4", "-0.5", "9007199254740993.0", "9007199254740992.5"].map(decimal));
    all.extend([7.0, 7.4, -1.0, 9_007_199_254_740_992.0, 9_007_199_254_740_991.0, 1e19].map(double));
    all.push(other("NULL", KeyLiteral::Null));
    all.push(other("TRUE", KeyLiteral::Integer(1)));
    all.push(other("x'07'", KeyLiteral::Binary(b"\x07")));
    all.push(other("x'37'", KeyLiteral::Binary(b"7")));
    all
}

fn strings() -> Vec<Spelling> {
    let texts = [
        "abc",
        "Abc",
        "ABC  ",
        " abc",
        "abc\t",
        "äbc",
        "straße",
        "strasse",
        "",
        " ",
        "a",
        "a ",
        "12",
        "012",
        "12abc",
        "a-b",
        "ab",
        "a_b",
        "a.b",
        "a'b",
        "ａbc",
        "ab\u{200b}c",
    ];
    let mut all: Vec<Spelling> = texts.into_iter().map(text).collect();
    all.extend([12, 0].map(whole));
    all.push(double(12.0));
    all.push(other("x'616263'", KeyLiteral::Binary(b"abc")));
    all.push(other("NULL", KeyLiteral::Null));
    all
}

fn moments() -> Vec<Spelling> {
    let texts = [
        "2016-03-04",
        "2016-3-4",
        "2016/03/04",
        "2016.03.04",
        "20160304",
        "20160304101112",
        "2016-03-04 10:11:12",
        "2016-03-04T10:11:12",
        "2016-03-04 10:11",
        "2016-03-04 10:11:12.4",
        "2016-03-04 23:59:59.6",
        "2016-02-30",
        "16-03-04",
        "2016-03-04 ",
        " 2016-03-04",
        "2016-03-31 23:59:59.999999",
        "0000-00-00",
        "x",
    ];
    let mut all: Vec<Spelling> = texts.into_iter().map(text).collect();
    all.extend([20_160_304, 20_160_304_101_112, 0, 160_304].map(whole));
    all.push(other("NULL", KeyLiteral::Null));
    let moment = Moment::new([2016, 3, 4], [10, 11, 12], 0).unwrap();
    all.push(Spelling {
        sql: "TIMESTAMP'2016-03-04 10:11:12'".to_owned(),
        literal: KeyLiteral::Moment(moment),
        parameter: Some(Value::Date(2016, 3, 4, 10, 11, 12, 0)),
    });
    all
}

fn string_type(kind: TextKind, collation: &str) -> KeyType {
    KeyType::Text { kind, length: 40, collation: Collation::named(collation).unwrap() }
}

/// A column's type in SQL, the same to the rules, and the spellings that are tried on it.
type Tried = (String, KeyType, fn() -> Vec<Spelling>);

/// What is tried on both servers.
fn types() -> Vec<Tried> {
    let integer = |bits, unsigned| KeyType::Integer(Integer { bits, unsigned });
    let mut types: Vec<Tried> = vec![
        ("BIGINT".into(), integer(64, false), integers),
        ("BIGINT UNSIGNED".into(), integer(64, true), integers),
        ("INT".into(), integer(32, false), integers),
        ("TINYINT".into(), integer(8, false), integers),
        ("DATE".into(), KeyType::Date, moments),
        ("DATETIME".into(), KeyType::DateTime { digits: 0 }, moments),
        ("DATETIME(3)".into(), KeyType::DateTime { digits: 3 }, moments),
    ];
    for collation in ["utf8mb4_bin", "utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_unicode_520_ci"] {
        let column = format!("VARCHAR(40) CHARACTER SET utf8mb4 COLLATE {collation}");
        types.push((column, string_type(TextKind::VarChar, collation), strings));
    }
    let latin = "CHAR(40) CHARACTER SET latin1 COLLATE latin1_swedish_ci";
    types.push((latin.into(), string_type(TextKind::Char, "latin1_swedish_ci"), strings));
    let ascii = "CHAR(40) CHARACTER SET ascii COLLATE ascii_bin";
    types.push((ascii.into(), string_type(TextKind::Char, "ascii_bin"), strings));
    types.push(("VARBINARY(40)".into(), string_type(TextKind::VarBinary, "binary"), strings));
    types
}

/// Only MySQL has these.
fn own_types(version: &str) -> Vec<Tried> {
    if version.contains("MariaDB") {
        return Vec::new();
    }
    let mut types: Vec<Tried> = Vec::new();
    for collation in ["utf8mb4_0900_ai_ci", "utf8mb4_0900_as_ci", "utf8mb4_0900_as_cs", "utf8mb4_0900_bin"] {
        let column = format!("VARCHAR(40) CHARACTER SET utf8mb4 COLLATE {collation}");
        types.push((column, string_type(TextKind::VarChar, collation), strings));
    }
    types
}

/// What a stored value is to a placement, as the server gives it back.
fn held(key_type: &KeyType, value: &Value) -> Option<KeyValue<'static>> {
    let owned = |matched: Match<'_>| match matched {
        Match::Exactly(value) => Some(value.into_owned()),
        Match::Never | Match::Unknown => None,
    };
    match value {
        Value::Int(number) => owned(key_type.equal_to(&KeyLiteral::Integer((*number).into()))),
        Value::UInt(number) => owned(key_type.equal_to(&KeyLiteral::Integer((*number).into()))),
        Value::Bytes(bytes) => owned(key_type.equal_to(&KeyLiteral::Text(bytes))),
        Value::Date(year, month, day, hour, minute, second, micros) => {
            let date = [u32::from(*year), u32::from(*month), u32::from(*day)];
            let time = [u32::from(*hour), u32::from(*minute), u32::from(*second)];
            let moment = Moment::new(date, time, *micros)?;
            owned(key_type.equal_to(&KeyLiteral::Moment(moment)))
        }
        Value::NULL | Value::Float(_) | Value::Double(_) | Value::Time(..) => None,
    }
}

/// One column type of one server.
struct Subject<'s> {
    conn: &'s mut Conn,
    column: &'s str,
    key_type: &'s KeyType,
    wrong: &'s mut Vec<String>,
}

impl Subject<'_> {
    /// Fills a table with every spelling that a lenient server stores, and checks what was foretold of it.
    async fn store(&mut self, spellings: &[Spelling]) {
        self.conn.query_drop("DROP TABLE IF EXISTS k").await.unwrap();
        let create = format!("CREATE TABLE k (id INT AUTO_INCREMENT PRIMARY KEY, k {} NULL)", self.column);
        self.conn.query_drop(create).await.unwrap();
        for spelling in spellings {
            let insert = format!("INSERT INTO k (k) VALUES ({})", spelling.sql);
            if self.conn.query_drop(insert).await.is_err() {
                continue;
            }
            let last = "SELECT k FROM k ORDER BY id DESC LIMIT 1";
            let value: Value = self.conn.exec_first(last, ()).await.unwrap().unwrap();
            let foretold = match self.key_type.stored(&spelling.literal) {
                Stored::Exactly(foretold) => foretold.into_owned(),
                Stored::Null | Stored::Unknown => continue,
            };
            if held(self.key_type, &value).as_ref() != Some(&foretold) {
                self.wrong
                    .push(format!("{} := {}: foretold {foretold}, is {value:?}", self.column, spelling.sql));
            }
        }
    }

    /// Every row that the server finds equal must have the value that the spelling is brought to.
    async fn equal(&mut self, spellings: &[Spelling]) {
        for spelling in spellings {
            let matched = self.key_type.equal_to(&spelling.literal);
            let query = format!("SELECT k FROM k WHERE k = {}", spelling.sql);
            let found = self.found(&query, Params::Empty).await;
            self.judge(&format!("= {}", spelling.sql), &matched, &found);
            if let Some(parameter) = &spelling.parameter {
                let parameters = Params::Positional(vec![parameter.clone()]);
                let found = self.found("SELECT k FROM k WHERE k = ?", parameters).await;
                self.judge(&format!("= ? {}", spelling.sql), &matched, &found);
            }
        }
    }

    /// What the server finds. A comparison that it refuses (a date that is none, collations that do not mix) finds
    /// nothing to be wrong about.
    async fn found(&mut self, query: &str, parameters: Params) -> Vec<Value> {
        match self.conn.exec(query, parameters).await {
            Ok(found) => found,
            Err(mysql_async::Error::Server(_)) => Vec::new(),
            Err(error) => panic!("{query}: {error}"),
        }
    }

    fn judge(&mut self, what: &str, matched: &Match<'_>, found: &[Value]) {
        for value in found {
            let held = held(self.key_type, value);
            let right = match matched {
                Match::Unknown => true,
                Match::Never => false,
                // A row whose own value is unknown could not have been inserted.
                Match::Exactly(exact) => held.is_none() || held.as_ref() == Some(exact),
            };
            if !right {
                self.wrong
                    .push(format!("{} {what}: {matched:?}, but the server finds {value:?}", self.column));
            }
        }
    }

    /// Every row that the server finds on a side must lie on it.
    async fn bounded(&mut self, spellings: &[Spelling]) {
        let sides = [("<", Side::Below), ("<=", Side::AtMost), (">", Side::Above), (">=", Side::AtLeast)];
        for spelling in spellings {
            for (operator, side) in sides {
                let query = format!("SELECT k FROM k WHERE k {operator} {}", spelling.sql);
                let found = self.found(&query, Params::Empty).await;
                let bounded = self.key_type.bounded_by(&spelling.literal, side);
                for value in found {
                    let Some(held) = held(self.key_type, &value) else { continue };
                    let right = match &bounded {
                        Bounded::Unknown => true,
                        Bounded::Never => false,
                        Bounded::Inclusive(bound) if side.is_upper() => held <= *bound,
                        Bounded::Inclusive(bound) => held >= *bound,
                        Bounded::Exclusive(bound) if side.is_upper() => held < *bound,
                        Bounded::Exclusive(bound) => held > *bound,
                    };
                    if !right {
                        let what = format!("{} {operator} {}", self.column, spelling.sql);
                        self.wrong.push(format!("{what}: {bounded:?}, but the server finds {value:?}"));
                    }
                }
            }
        }
    }
}

both! {
    async fn every_row_that_a_server_calls_equal_is_in_the_slot_that_is_asked(server) {
        let schema = "keys_of_rules";
        server.create_schema(schema).await.unwrap();
        let mut conn = Conn::new(server.root_opts().db_name(Some(schema))).await.unwrap();
        conn.query_drop("SET NAMES utf8mb4, sql_mode = ''").await.unwrap();
        let version: String = conn.query_first("SELECT VERSION()").await.unwrap().unwrap();
        let mut wrong = Vec::new();
        for (column, key_type, spellings) in types().into_iter().chain(own_types(&version)) {
            let spellings = spellings();
            let mut subject =
                Subject { conn: &mut conn, column: &column, key_type: &key_type, wrong: &mut wrong };
            subject.store(&spellings).await;
            subject.equal(&spellings).await;
            subject.bounded(&spellings).await;
        }
        conn.disconnect().await.unwrap();
        assert!(wrong.is_empty(), "{} on {version}:\n{}", wrong.len(), wrong.join("\n"));
    }
}
