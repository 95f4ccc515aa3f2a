//! diesel, over the C library of MariaDB.

use bigdecimal::BigDecimal;
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use diesel::connection::SimpleConnection;
use diesel::mysql::MysqlConnection;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};

use crate::battery::{CONNECTS, CYCLES, Fallible, section, show, url, variable};

const SCHEMA: &str = "drivers_diesel";

diesel::table! {
    t (id) {
        id -> Integer,
        name -> Nullable<Varchar>,
        price -> Nullable<Decimal>,
        seen -> Nullable<Datetime>,
        day -> Nullable<Date>,
        span -> Nullable<Time>,
        raw -> Nullable<Blob>,
        big -> Nullable<Unsigned<Bigint>>,
        ratio -> Nullable<Double>,
        small -> Nullable<Float>,
        flag -> Nullable<Bool>,
    }
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = t)]
struct Animal {
    name: Option<String>,
    price: Option<BigDecimal>,
    seen: Option<NaiveDateTime>,
    day: Option<NaiveDate>,
    span: Option<NaiveTime>,
    raw: Option<Vec<u8>>,
    big: Option<u64>,
    ratio: Option<f64>,
    small: Option<f32>,
    flag: Option<bool>,
}

#[expect(dead_code, reason = "what Debug prints is what is compared")]
#[derive(Debug, QueryableByName)]
struct Texts {
    #[diesel(sql_type = Nullable<Text>)]
    a: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    b: Option<String>,
}

#[derive(Debug, QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn connect() -> ConnectionResult<MysqlConnection> {
    MysqlConnection::establish(&url(SCHEMA))
}

fn tell<T: std::fmt::Debug>(name: &str, result: QueryResult<T>) {
    match result {
        Ok(value) => show(name, value),
        Err(Error::DatabaseError(kind, info)) => {
            show(name, (format!("{kind:?}"), info.message(), info.table_name()))
        }
        Err(other) => show(name, other.to_string()),
    }
}

fn number(conn: &mut MysqlConnection, text: &str) -> QueryResult<i64> {
    diesel::sql_query(text).get_result::<Number>(conn).map(|number| number.n)
}

fn texts(conn: &mut MysqlConnection, text: &str) -> QueryResult<Vec<Texts>> {
    diesel::sql_query(text).load(conn)
}

pub fn play() -> Fallible<()> {
    let mut root = MysqlConnection::establish(&url("information_schema"))?;
    root.batch_execute(&format!(
        "DROP DATABASE IF EXISTS {SCHEMA}; CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4"
    ))?;
    section("connect")?;
    for _ in 0..CONNECTS {
        drop(connect()?);
    }
    let mut conn = connect()?;
    types(&mut conn)?;
    prepared(&mut conn)?;
    transactions(&mut conn)?;
    state(&mut conn)?;
    diagnostics(&mut conn)?;
    results(&mut conn)?;
    login(&mut conn, &mut root)?;
    section("request cycle")?;
    for n in 0..CYCLES {
        let mut conn = connect()?;
        t::table.find(n as i32).select(t::name).first::<Option<String>>(&mut conn).optional()?;
        conn.transaction(|conn| {
            diesel::insert_into(t::table).values(t::name.eq(format!("cycle {n}"))).execute(conn)
        })?;
    }
    section("end")?;
    root.batch_execute(&format!("DROP DATABASE {SCHEMA}"))?;
    Ok(())
}

fn types(conn: &mut MysqlConnection) -> Fallible<()> {
    section("types")?;
    conn.batch_execute(
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) UNIQUE, price DECIMAL(20,6), seen DATETIME(6), day DATE, \
         span TIME, raw BLOB, big BIGINT UNSIGNED, ratio DOUBLE, small FLOAT, flag BOOL)",
    )?;
    let animal = Animal {
        name: Some("zebra 🦓 ü".to_owned()),
        price: Some("12345678901234.567890".parse()?),
        seen: Some(NaiveDateTime::parse_from_str("2024-02-29 23:59:59.123456", "%Y-%m-%d %H:%M:%S%.f")?),
        day: NaiveDate::from_ymd_opt(1999, 12, 31),
        span: NaiveTime::from_hms_opt(11, 22, 33),
        raw: Some((0..=255).collect()),
        big: Some(u64::MAX),
        ratio: Some(1.5e-300),
        small: Some(0.25),
        flag: Some(true),
    };
    tell("insert", diesel::insert_into(t::table).values(&animal).execute(conn));
    tell("insert nulls", diesel::insert_into(t::table).values(t::name.eq(None::<String>)).execute(conn));
    let many: Vec<_> = (0..20).map(|n| (t::name.eq(format!("n{n}")), t::ratio.eq(f64::from(n)))).collect();
    tell("insert many", diesel::insert_into(t::table).values(&many).execute(conn));
    tell("rows", t::table.order(t::id).limit(3).select(Animal::as_select()).load(conn));
    tell("count", t::table.filter(t::name.like("n1%")).count().get_result::<i64>(conn));
    tell("update", diesel::update(t::table.filter(t::id.gt(5))).set(t::flag.eq(false)).execute(conn));
    tell("same", diesel::update(t::table.filter(t::id.gt(5))).set(t::flag.eq(false)).execute(conn));
    tell("delete", diesel::delete(t::table.filter(t::id.gt(20))).execute(conn));
    tell(
        "replace",
        diesel::replace_into(t::table).values((t::id.eq(2), t::name.eq("replaced"))).execute(conn),
    );
    Ok(())
}

fn prepared(conn: &mut MysqlConnection) -> Fallible<()> {
    section("prepared")?;
    for id in [0, 1, 90] {
        tell(
            "again",
            t::table
                .filter(t::id.gt(id))
                .order(t::id)
                .limit(2)
                .select((t::id, t::name))
                .load::<(i32, Option<String>)>(conn),
        );
    }
    conn.batch_execute("ALTER TABLE t ADD COLUMN extra INT DEFAULT 7")?;
    tell(
        "after ALTER",
        t::table
            .filter(t::id.gt(0))
            .order(t::id)
            .limit(2)
            .select((t::id, t::name))
            .load::<(i32, Option<String>)>(conn),
    );
    for n in 0..40 {
        tell("sum", number(conn, &format!("SELECT CAST({n} + 1 AS SIGNED) AS n")));
    }
    let bound = diesel::sql_query("SELECT CONCAT(?, '') AS a, CONCAT(?, '') AS b")
        .bind::<Integer, _>(4)
        .bind::<Text, _>("ü");
    tell("bound", bound.load::<Texts>(conn));
    tell("prepare error", texts(conn, "SELECT nope AS a, 1 AS b FROM t"));
    Ok(())
}

fn transactions(conn: &mut MysqlConnection) -> Fallible<()> {
    section("transactions")?;
    let mut other = connect()?;
    let count =
        |conn: &mut MysqlConnection| t::table.filter(t::name.like("tx%")).count().get_result::<i64>(conn);
    let rolled = conn.transaction::<(), Error, _>(|conn| {
        tell("insert", diesel::insert_into(t::table).values(t::name.eq("tx1")).execute(conn));
        let inner = conn.transaction::<(), Error, _>(|conn| {
            diesel::insert_into(t::table).values(t::name.eq("tx2")).execute(conn)?;
            Err(Error::RollbackTransaction)
        });
        tell("inner", inner);
        tell("inside", count(conn));
        tell("outside", count(&mut other));
        tell("duplicate", diesel::insert_into(t::table).values(t::name.eq("tx1")).execute(conn));
        Err(Error::RollbackTransaction)
    });
    tell("rolled back", rolled);
    tell("after", count(conn));
    tell(
        "kept",
        conn.transaction(|conn| diesel::insert_into(t::table).values(t::name.eq("tx3")).execute(conn)),
    );
    tell("seen", count(&mut other));
    Ok(())
}

fn state(conn: &mut MysqlConnection) -> Fallible<()> {
    section("session state")?;
    tell("login", texts(conn, "SELECT @@time_zone AS a, @@character_set_client AS b"));
    conn.batch_execute("SET @a = 'x', SESSION time_zone = '+02:00'")?;
    tell("state", texts(conn, "SELECT @a AS a, @@time_zone AS b"));
    diesel::insert_into(t::table).values(t::name.eq("last")).execute(conn)?;
    tell("last insert id", number(conn, "SELECT CAST(LAST_INSERT_ID() = MAX(id) AS SIGNED) AS n FROM t"));
    conn.batch_execute("CREATE TEMPORARY TABLE tmp AS SELECT 3 AS n")?;
    tell("temporary", number(conn, "SELECT CAST(n AS SIGNED) AS n FROM tmp"));
    conn.batch_execute("DROP TEMPORARY TABLE tmp")?;
    Ok(())
}

fn diagnostics(conn: &mut MysqlConnection) -> Fallible<()> {
    section("diagnostics")?;
    for text in [
        "SELEC 1",
        "SELECT 1 AS a, 2 AS b FROM missing",
        "INSERT INTO t (id) VALUES (1)",
        "USE missing",
        "CALL missing()",
        "SET nosuch = 1",
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='own', MYSQL_ERRNO=3999",
        "SELECT CAST('12x' AS SIGNED)",
    ] {
        tell(text, conn.batch_execute(text));
        tell(text, diesel::sql_query(text).execute(conn));
    }
    tell("warnings", diesel::sql_query("SHOW WARNINGS").execute(conn));
    tell("alive", number(conn, "SELECT CAST(1 AS SIGNED) AS n"));
    Ok(())
}

fn results(conn: &mut MysqlConnection) -> Fallible<()> {
    section("results")?;
    tell("batch", conn.batch_execute("SELECT 1; UPDATE t SET flag = true WHERE id = 3; SELECT 2"));
    tell("batch with error", conn.batch_execute("SELECT 1; SELECT * FROM missing; SELECT 2"));
    tell("next", number(conn, "SELECT CAST(5 AS SIGNED) AS n"));
    let text = "WITH RECURSIVE r AS (SELECT CAST(1 AS SIGNED) n UNION ALL SELECT n+1 FROM r WHERE n < 900) SELECT a.n FROM r a JOIN r b ON b.n <= 20";
    let sum: QueryResult<i64> =
        diesel::sql_query(text).load_iter::<Number, _>(conn)?.map(|row| row.map(|row| row.n)).sum();
    tell("iterator", sum);
    tell(
        "large",
        texts(conn, "SELECT REPEAT('y', 3 << 20) AS a, 'x' AS b")
            .map(|rows| rows[0].a.as_ref().map(String::len)),
    );
    Ok(())
}

fn login(conn: &mut MysqlConnection, root: &mut MysqlConnection) -> Fallible<()> {
    section("login")?;
    let wrong = url(SCHEMA).replace("%2C", "%2D");
    for (name, url) in [
        ("unknown schema", url("drivers_missing")),
        ("wrong password", wrong),
        (
            "socket",
            format!("{}?unix_socket={}", url(SCHEMA).replace("127.0.0.1", "localhost"), variable("SOCKET")),
        ),
    ] {
        match MysqlConnection::establish(&url) {
            Ok(mut conn) => tell(name, number(&mut conn, "SELECT CAST(1 AS SIGNED) AS n")),
            Err(error) => show(name, error.to_string()),
        }
    }
    let id = number(conn, "SELECT CONNECTION_ID() AS n")?;
    tell("kill", root.batch_execute(&format!("KILL {id}")));
    tell("killed", number(conn, "SELECT CAST(1 AS SIGNED) AS n").map_err(|_| Error::NotFound));
    Ok(())
}
