//! sqlx.

#![expect(deprecated, reason = "fetch_many shows every result of a prepared CALL")]

use std::str::FromStr;

use bigdecimal::BigDecimal;
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlQueryResult, MySqlRow};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Either, Error, MySqlConnection, Row, TypeInfo,
    ValueRef,
};

use crate::battery::{CONNECTS, CYCLES, Fallible, INSERT, TABLE, port, section, show, url, variable};

const SCHEMA: &str = "drivers_sqlx";

type Seen = Result<Vec<String>, Error>;

fn options() -> MySqlConnectOptions {
    MySqlConnectOptions::from_str(&url(SCHEMA))
        .expect("a valid URL")
        .ssl_mode(sqlx::mysql::MySqlSslMode::Disabled)
}

async fn connect() -> Result<MySqlConnection, Error> {
    options().connect().await
}

fn row_seen(row: &MySqlRow) -> String {
    let mut all = String::new();
    for column in row.columns() {
        let value = row.try_get_raw(column.ordinal()).expect("the column exists");
        let info = value.type_info().name().to_owned();
        let text = if value.is_null() {
            "NULL".to_owned()
        } else if let Ok(text) = row.try_get_unchecked::<String, _>(column.ordinal()) {
            text
        } else {
            format!("{:?}", row.try_get_unchecked::<Vec<u8>, _>(column.ordinal()).unwrap_or_default())
        };
        all += &format!("[{} {} {info} {text}]", column.name(), column.type_info().name());
    }
    all
}

fn seen(step: Either<MySqlQueryResult, MySqlRow>) -> String {
    match step {
        Either::Left(done) => format!("done {} {}", done.rows_affected(), done.last_insert_id()),
        Either::Right(row) => row_seen(&row),
    }
}

/// The text protocol.
async fn raw(conn: &mut MySqlConnection, text: &str) -> Seen {
    sqlx::raw_sql(AssertSqlSafe(text)).fetch_many(conn).map_ok(seen).try_collect().await
}

/// A prepared statement without parameters.
async fn query(conn: &mut MySqlConnection, text: &str) -> Seen {
    sqlx::query(AssertSqlSafe(text)).fetch_many(conn).map_ok(seen).try_collect().await
}

fn tell(name: &str, result: Seen) {
    match result {
        Ok(steps) => show(name, steps),
        Err(Error::Database(error)) => {
            show(name, (error.code().map(|code| code.into_owned()), error.message(), error.kind()))
        }
        Err(other) => show(name, other.to_string().replace(&port().to_string(), "PORT")),
    }
}

pub async fn play() -> Fallible<()> {
    let mut root = options().database("information_schema").connect().await?;
    raw(&mut root, &format!("DROP DATABASE IF EXISTS {SCHEMA}")).await?;
    raw(&mut root, &format!("CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")).await?;
    section("connect")?;
    for _ in 0..CONNECTS {
        connect().await?.close().await?;
    }
    let mut conn = connect().await?;
    types(&mut conn).await?;
    prepared(&mut conn).await?;
    transactions(&mut conn).await?;
    state(&mut conn).await?;
    diagnostics(&mut conn).await?;
    results(&mut conn).await?;
    login(&mut conn, &mut root).await?;
    cycle().await?;
    raw(&mut root, &format!("DROP DATABASE {SCHEMA}")).await?;
    Ok(())
}

async fn types(conn: &mut MySqlConnection) -> Fallible<()> {
    section("types")?;
    raw(conn, TABLE).await?;
    let moment = NaiveDateTime::parse_from_str("2024-02-29 23:59:59.123456", "%Y-%m-%d %H:%M:%S%.f")?;
    let bytes: Vec<u8> = (0..=255).collect();
    let done = sqlx::query(INSERT)
        .bind("zebra 🦓 ü")
        .bind(BigDecimal::from_str("12345678901234.567890")?)
        .bind(moment)
        .bind(NaiveDate::from_ymd_opt(1999, 12, 31))
        .bind(NaiveTime::from_hms_opt(11, 22, 33))
        .bind(bytes)
        .bind(u64::MAX)
        .bind(1.5e-300)
        .bind(0.25f32)
        .bind("b")
        .bind(r#"{"a": [1, null, "🦓"]}"#)
        .bind(2031)
        .execute(&mut *conn)
        .await?;
    show("insert", (done.rows_affected(), done.last_insert_id()));
    let mut nulls = sqlx::query(INSERT);
    for _ in 0..12 {
        nulls = nulls.bind(None::<String>);
    }
    show("insert nulls", nulls.execute(&mut *conn).await?.last_insert_id());
    tell("text", raw(conn, "SELECT * FROM t ORDER BY id").await);
    tell("binary", query(conn, "SELECT * FROM t ORDER BY id").await);
    let row = sqlx::query("SELECT price, seen, day, span, raw, big, ratio, small FROM t WHERE id = ?")
        .bind(1)
        .fetch_one(&mut *conn)
        .await?;
    show(
        "decoded",
        (
            row.try_get::<BigDecimal, _>(0)?.to_string(),
            row.try_get::<NaiveDateTime, _>(1)?,
            row.try_get::<NaiveDate, _>(2)?,
            row.try_get::<NaiveTime, _>(3)?,
            row.try_get::<Vec<u8>, _>(4)?,
            row.try_get::<u64, _>(5)?,
            row.try_get::<f64, _>(6)?,
            row.try_get::<f32, _>(7)?,
        ),
    );
    tell("update", query(conn, "UPDATE t SET kind = 'a'").await);
    tell("same", query(conn, "UPDATE t SET kind = 'a'").await);
    Ok(())
}

async fn prepared(conn: &mut MySqlConnection) -> Fallible<()> {
    section("prepared")?;
    for id in [0, 1, 90] {
        let rows = sqlx::query("SELECT id, name FROM t WHERE id > ? ORDER BY id LIMIT 2")
            .bind(id)
            .fetch_all(&mut *conn)
            .await?;
        show("again", rows.iter().map(row_seen).collect::<Vec<_>>());
    }
    raw(conn, "ALTER TABLE t ADD COLUMN extra INT DEFAULT 7").await?;
    let rows = sqlx::query("SELECT id, name FROM t WHERE id > ? ORDER BY id LIMIT 2")
        .bind(0)
        .fetch_all(&mut *conn)
        .await?;
    show("after ALTER", rows.iter().map(row_seen).collect::<Vec<_>>());
    tell("star", query(conn, "SELECT * FROM t WHERE id = 1").await);
    for n in 0..120 {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {n} + ?"))).bind(n).fetch_one(&mut *conn).await?;
        show("sum", row_seen(&row));
    }
    show("cached", conn.cached_statements_size());
    conn.clear_cached_statements().await?;
    tell("prepare error", query(conn, "SELECT nope FROM t").await);
    tell("execute error", query(conn, "INSERT INTO t (id) VALUES (1)").await);
    tell(
        "not prepared",
        sqlx::query("SELECT ?")
            .bind(1)
            .persistent(false)
            .fetch_many(&mut *conn)
            .map_ok(seen)
            .try_collect()
            .await,
    );
    let row = sqlx::query("SELECT LENGTH(?)").bind("y".repeat(17 << 20)).fetch_one(&mut *conn).await?;
    show("large", row_seen(&row));
    Ok(())
}

async fn transactions(conn: &mut MySqlConnection) -> Fallible<()> {
    section("transactions")?;
    let mut other = connect().await?;
    let mut tx = conn.begin().await?;
    tell("update", query(&mut tx, "UPDATE t SET name = 'tx' WHERE id = 1").await);
    let mut nested = tx.begin().await?;
    tell("nested", query(&mut nested, "UPDATE t SET name = 'nested' WHERE id = 1").await);
    nested.rollback().await?;
    tell("inside", query(&mut tx, "SELECT name FROM t WHERE id = 1").await);
    tell("outside", query(&mut other, "SELECT name FROM t WHERE id = 1").await);
    tx.commit().await?;
    tell("after", query(&mut other, "SELECT name FROM t WHERE id = 1").await);
    let mut tx = conn.begin_with("START TRANSACTION READ ONLY").await?;
    tell("read only", query(&mut tx, "UPDATE t SET name = 'ro' WHERE id = 1").await);
    drop(tx);
    tell("dropped", query(conn, "UPDATE t SET name = 'rw' WHERE id = 1").await);
    Ok(())
}

async fn state(conn: &mut MySqlConnection) -> Fallible<()> {
    section("session state")?;
    tell("modes", query(conn, "SELECT @@sql_mode, @@time_zone, @@collation_connection").await);
    tell("set", query(conn, "SET @a = 5, SESSION time_zone = '+02:00', group_concat_max_len = 9").await);
    tell("state", query(conn, "SELECT @a, @@time_zone, @@group_concat_max_len").await);
    tell("insert", query(conn, "INSERT INTO t (name) VALUES ('l1'), ('l2')").await);
    tell("last insert id", query(conn, "SELECT LAST_INSERT_ID()").await);
    tell("temporary", raw(conn, "CREATE TEMPORARY TABLE tmp (a INT); INSERT INTO tmp VALUES (3); SELECT * FROM tmp; DROP TEMPORARY TABLE tmp").await);
    Ok(())
}

async fn diagnostics(conn: &mut MySqlConnection) -> Fallible<()> {
    section("diagnostics")?;
    tell("warning", raw(conn, "SELECT CAST('12x' AS SIGNED)").await);
    tell("warnings", raw(conn, "SHOW WARNINGS").await);
    for text in [
        "SELEC 1",
        "SELECT * FROM missing",
        "INSERT INTO t (id) VALUES (1)",
        "USE missing",
        "CALL missing()",
        "SET nosuch = 1",
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='own', MYSQL_ERRNO=3999",
    ] {
        tell(text, raw(conn, text).await);
        tell(text, query(conn, text).await);
    }
    tell("alive", query(conn, "SELECT 1").await);
    Ok(())
}

async fn results(conn: &mut MySqlConnection) -> Fallible<()> {
    section("results")?;
    raw(conn, "CREATE PROCEDURE two(IN a INT) BEGIN SELECT a; SELECT a + 1 AS b, 'y' AS c; END").await?;
    tell("call", raw(conn, "CALL two(5)").await);
    tell(
        "call prepared",
        sqlx::query("CALL two(?)").bind(6).fetch_many(&mut *conn).map_ok(seen).try_collect().await,
    );
    tell("multi", raw(conn, "SELECT 1; UPDATE t SET name = 'multi' WHERE id = 3; SELECT 2").await);
    tell("multi with error", raw(conn, "SELECT 1; SELECT * FROM missing; SELECT 2").await);
    let text = "WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n WHERE i < 900) SELECT a.i FROM n a JOIN n b ON b.i <= 50";
    {
        let mut rows = sqlx::query(text).fetch(&mut *conn);
        let first = rows.next().await.transpose()?;
        show("first", first.as_ref().map(row_seen));
    }
    tell("dropped", query(conn, "SELECT 'next'").await);
    let sum = sqlx::query(text)
        .fetch(&mut *conn)
        .try_fold(0i64, |sum, row| async move { Ok(sum + row.try_get::<i64, _>(0)?) })
        .await?;
    show("stream", sum);
    let row = sqlx::query("SELECT REPEAT('y', 17 << 20)").fetch_one(&mut *conn).await?;
    show("large back", row.try_get_unchecked::<String, _>(0)?.len());
    Ok(())
}

async fn login(conn: &mut MySqlConnection, root: &mut MySqlConnection) -> Fallible<()> {
    section("login")?;
    for (name, options) in [
        ("plain", options()),
        ("latin1", options().charset("latin1")),
        ("collation", options().collation("utf8mb4_bin")),
        ("time zone", options().timezone(Some("+03:00".to_owned()))),
        ("no modes", options().no_engine_substitution(false).pipes_as_concat(false)),
        ("socket", options().socket(variable("SOCKET"))),
        ("unknown schema", options().database("drivers_missing")),
        ("wrong password", options().password("wrong")),
    ] {
        let seen = match options.connect().await {
            Ok(mut conn) => query(
                &mut conn,
                "SELECT DATABASE(), @@character_set_client, @@collation_connection, @@time_zone, @@sql_mode",
            )
            .await,
            Err(error) => Err(error),
        };
        tell(name, seen);
    }
    show("ping", conn.ping().await.is_ok());
    let row = sqlx::raw_sql("SELECT CONNECTION_ID()").fetch_one(&mut *conn).await?;
    tell("kill", raw(root, &format!("KILL {}", row.try_get_unchecked::<u64, _>(0)?)).await);
    show("killed", query(conn, "SELECT 1").await.is_err());
    Ok(())
}

async fn cycle() -> Fallible<()> {
    let pool = MySqlPoolOptions::new().max_connections(3).connect_with(options()).await?;
    section("request cycle")?;
    for n in 0..CYCLES {
        sqlx::query("SELECT name FROM t WHERE id = ?").bind(n as i32).fetch_optional(&pool).await?;
        let mut tx = pool.begin().await?;
        sqlx::query("INSERT INTO t (name) VALUES (?)").bind(format!("cycle {n}")).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    section("end")?;
    pool.close().await;
    Ok(())
}
