//! mysql_async.

use mysql_async::prelude::{Protocol, Queryable};
use mysql_async::{
    Conn, Error, IsolationLevel, Opts, OptsBuilder, Params, Pool, PoolConstraints, PoolOpts, QueryResult,
    Row, TxOpts, Value,
};

use crate::battery::{CONNECTS, CYCLES, Fallible, INSERT, TABLE, port, section, show, url, variable};

const SCHEMA: &str = "drivers_mysql_async";

type Seen = Result<Vec<String>, Error>;

fn options() -> OptsBuilder {
    // Over TCP, also to this host, and with the driver's own limits.
    OptsBuilder::from_opts(Opts::from_url(&url(SCHEMA)).expect("a valid URL")).prefer_socket(false)
}

async fn connect() -> Result<Conn, Error> {
    Conn::new(options()).await
}

/// Everything a reply shows, result by result.
async fn drain<P: Protocol>(mut result: QueryResult<'_, 'static, P>) -> Seen {
    let mut all = Vec::new();
    while !result.is_empty() || all.is_empty() {
        let describe = |column: &mysql_async::Column| {
            let (name, original, table) = (column.name_str(), column.org_name_str(), column.table_str());
            let (kind, length, charset) =
                (column.column_type(), column.column_length(), column.character_set());
            format!(
                "{name} {original} {table} {kind:?} {:?} {length} {charset} {}",
                column.flags(),
                column.decimals()
            )
        };
        let columns: Vec<String> = result.columns_ref().iter().map(describe).collect();
        // Of a reply with rows the driver shows what it read before: the id of the prepared statement.
        let affected = if columns.is_empty() { result.affected_rows() } else { 0 };
        let facts = (affected, result.last_insert_id(), result.warnings(), result.info().into_owned());
        let rows: Vec<Row> = result.collect().await?;
        let rows: Vec<Vec<Value>> = rows.into_iter().map(Row::unwrap).collect();
        all.push(format!("{facts:?} {columns:?} {rows:?}"));
    }
    Ok(all)
}

async fn query(conn: &mut Conn, text: &str) -> Seen {
    drain(conn.query_iter(text).await?).await
}

async fn execute(conn: &mut Conn, text: &str, values: impl Into<Params> + Send) -> Seen {
    drain(conn.exec_iter(text, values.into()).await?).await
}

fn tell(name: &str, result: Seen) {
    match result {
        Ok(sets) => show(name, sets),
        Err(Error::Server(told)) => show(name, (told.code, told.state, told.message)),
        Err(other) => show(name, other.to_string().replace(&port().to_string(), "PORT")),
    }
}

async fn outcome(conn: Result<Conn, Error>, text: &str) -> Seen {
    query(&mut conn?, text).await
}

pub async fn play() -> Fallible<()> {
    let mut root = Conn::new(options().db_name(None::<String>)).await?;
    query(&mut root, &format!("DROP DATABASE IF EXISTS {SCHEMA}")).await?;
    query(&mut root, &format!("CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")).await?;
    tell("no schema", query(&mut root, "SELECT DATABASE()").await);
    section("connect")?;
    for _ in 0..CONNECTS {
        connect().await?.disconnect().await?;
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
    query(&mut root, &format!("DROP DATABASE {SCHEMA}")).await?;
    Ok(())
}

async fn types(conn: &mut Conn) -> Fallible<()> {
    section("types")?;
    show("server", conn.server_version());
    query(conn, TABLE).await?;
    let raw: Vec<u8> = (0..=255).collect();
    let values: Vec<Value> = vec![
        "zebra 🦓 ü".into(),
        "12345678901234.567890".into(),
        Value::Date(2024, 2, 29, 23, 59, 59, 123_456),
        Value::Date(1999, 12, 31, 0, 0, 0, 0),
        Value::Time(true, 1, 6, 0, 0, 7000),
        raw.into(),
        u64::MAX.into(),
        1.5e-300.into(),
        0.25f32.into(),
        "b".into(),
        r#"{"a": [1, null, "🦓"]}"#.into(),
        2031.into(),
    ];
    let nulls = vec![Value::NULL; values.len()];
    tell("insert", execute(conn, INSERT, values).await);
    tell("insert nulls", execute(conn, INSERT, nulls).await);
    tell("text", query(conn, "SELECT * FROM t ORDER BY id").await);
    tell("binary", execute(conn, "SELECT * FROM t WHERE id < ? ORDER BY id", (9,)).await);
    let names = (0..20).map(|n| (format!("n{n}"),));
    conn.exec_batch("INSERT INTO t (name) VALUES (?)", names).await?;
    show("batch", (conn.affected_rows(), conn.last_insert_id()));
    tell("update", query(conn, "UPDATE t SET kind = 'a'").await);
    tell("same", query(conn, "UPDATE t SET kind = 'a'").await);
    Ok(())
}

async fn prepared(conn: &mut Conn) -> Fallible<()> {
    section("prepared")?;
    let statement = conn.prep("SELECT id, name FROM t WHERE id > ? ORDER BY id LIMIT 2").await?;
    for id in [0, 1, 90] {
        let rows: Vec<(u32, Option<String>)> = conn.exec(&statement, (id,)).await?;
        show("again", rows);
    }
    query(conn, "ALTER TABLE t ADD COLUMN extra INT DEFAULT 7").await?;
    let rows: Vec<(u32, Option<String>)> = conn.exec(&statement, (0,)).await?;
    show("after ALTER", rows);
    conn.close(statement).await?;
    tell(
        "named",
        execute(conn, "SELECT :a + 1, :b", vec![("a", Value::from(1)), ("b", Value::from("x"))]).await,
    );
    for n in 0..60 {
        execute(conn, &format!("SELECT {n} + ?"), (n,)).await?;
    }
    tell("prepare error", execute(conn, "SELECT nope FROM t WHERE id = ?", (1,)).await);
    tell("execute error", execute(conn, "INSERT INTO t (id) VALUES (?)", (1,)).await);
    tell("large", execute(conn, "SELECT LENGTH(?)", ("y".repeat(17 << 20),)).await);
    Ok(())
}

async fn transactions(conn: &mut Conn) -> Fallible<()> {
    section("transactions")?;
    let mut other = connect().await?;
    for (level, read_only) in [
        (None, None),
        (Some(IsolationLevel::Serializable), None),
        (Some(IsolationLevel::ReadCommitted), Some(true)),
    ] {
        let mut options = TxOpts::default();
        options.with_isolation_level(level).with_readonly(read_only);
        let mut tx = conn.start_transaction(options).await?;
        match tx.query_drop("UPDATE t SET name = 'tx' WHERE id = 1").await {
            Ok(()) => show("update", tx.affected_rows()),
            Err(error) => show("update", error.to_string()),
        }
        show("inside", tx.query::<Option<String>, _>("SELECT name FROM t WHERE id = 1").await?);
        show("outside", other.query::<Option<String>, _>("SELECT name FROM t WHERE id = 1").await?);
        tx.rollback().await?;
        show("after", conn.query::<Option<String>, _>("SELECT name FROM t WHERE id = 1").await?);
    }
    let mut options = TxOpts::default();
    options.with_consistent_snapshot(true);
    let mut tx = conn.start_transaction(options).await?;
    tx.query_drop("INSERT INTO t (name) VALUES ('dropped')").await?;
    drop(tx);
    tell("dropped", query(conn, "SELECT COUNT(*) FROM t WHERE name = 'dropped'").await);
    Ok(())
}

async fn state(conn: &mut Conn) -> Fallible<()> {
    section("session state")?;
    tell("set", query(conn, "SET @a = 5, SESSION time_zone = '+02:00', group_concat_max_len = 9").await);
    tell("state", execute(conn, "SELECT @a, @@time_zone, @@group_concat_max_len, ?", (1,)).await);
    tell("insert", query(conn, "INSERT INTO t (name) VALUES ('l1'), ('l2')").await);
    tell("last insert id", query(conn, "SELECT LAST_INSERT_ID()").await);
    show("reset", conn.reset().await?);
    tell("state", query(conn, "SELECT @a, @@time_zone, @@group_concat_max_len, DATABASE()").await);
    conn.change_user(mysql_async::ChangeUserOpts::default()).await?;
    tell("change user", query(conn, "SELECT DATABASE(), @a").await);
    let id: u32 = conn.query_first("SELECT CONNECTION_ID()").await?.unwrap_or_default();
    show("id", id == conn.id());
    Ok(())
}

async fn diagnostics(conn: &mut Conn) -> Fallible<()> {
    section("diagnostics")?;
    tell("warning", query(conn, "SELECT CAST('12x' AS SIGNED)").await);
    tell("warnings", query(conn, "SHOW WARNINGS").await);
    for text in [
        "SELEC 1",
        "SELECT * FROM missing",
        "INSERT INTO t (id) VALUES (1)",
        "USE missing",
        "CALL missing()",
        "SET nosuch = 1",
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='own', MYSQL_ERRNO=3999",
    ] {
        tell(text, query(conn, text).await);
    }
    tell("alive", query(conn, "SELECT 1").await);
    Ok(())
}

async fn results(conn: &mut Conn) -> Fallible<()> {
    section("results")?;
    query(conn, "CREATE PROCEDURE two(IN a INT) BEGIN SELECT a; SELECT a + 1 AS b, 'y' AS c; END").await?;
    tell("call", query(conn, "CALL two(5)").await);
    tell("call prepared", execute(conn, "CALL two(?)", (6,)).await);
    tell("multi", query(conn, "SELECT 1; UPDATE t SET name = 'multi' WHERE id = 3; SELECT 2").await);
    tell("multi with error", outcome(connect().await, "SELECT 1; SELECT * FROM missing; SELECT 2").await);
    let text = "WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n WHERE i < 900) SELECT a.i FROM n a JOIN n b ON b.i <= 50";
    let sum = conn.query_fold(text, 0u64, |sum, n: u64| sum + n).await?;
    show("stream", sum);
    // Dropped in the middle; the driver reads the rest when the connection is used again.
    drop(conn.query_iter(text).await?);
    tell("dropped", query(conn, "SELECT 'next'").await);
    show(
        "large back",
        conn.query_first::<String, _>("SELECT REPEAT('y', 17 << 20)").await?.map(|text| text.len()),
    );
    Ok(())
}

async fn login(conn: &mut Conn, root: &mut Conn) -> Fallible<()> {
    section("login")?;
    tell(
        "found rows",
        outcome(Conn::new(options().client_found_rows(true)).await, "UPDATE t SET kind = 'a'").await,
    );
    tell("init", outcome(Conn::new(options().init(vec!["SET @i = 3"])).await, "SELECT @i").await);
    tell(
        "setup",
        outcome(Conn::new(options().setup(vec!["SET time_zone = '+01:00'"])).await, "SELECT @@time_zone")
            .await,
    );
    let compressed = options().compression(mysql_async::Compression::default());
    tell(
        "compressed",
        outcome(Conn::new(compressed).await, "SELECT REPEAT('ab', 100000)")
            .await
            .map(|s| vec![s[0].len().to_string()]),
    );
    tell("socket", outcome(Conn::new(options().socket(Some(variable("SOCKET")))).await, "SELECT 1").await);
    tell(
        "unknown schema",
        outcome(Conn::new(options().db_name(Some("drivers_missing"))).await, "SELECT 1").await,
    );
    tell("wrong password", outcome(Conn::new(options().pass(Some("wrong"))).await, "SELECT 1").await);
    show("ping", conn.ping().await.is_ok());
    tell("kill", query(root, &format!("KILL {}", conn.id())).await);
    show("killed", query(conn, "SELECT 1").await.is_err());
    Ok(())
}

async fn cycle() -> Fallible<()> {
    let constraints = PoolConstraints::new(1, 4).ok_or("constraints")?;
    let pool = Pool::new(options().pool_opts(PoolOpts::default().with_constraints(constraints)));
    section("request cycle")?;
    for n in 0..CYCLES {
        let mut conn = pool.get_conn().await?;
        let _: Option<Row> = conn.exec_first("SELECT name FROM t WHERE id = ?", (n,)).await?;
        let mut tx = conn.start_transaction(TxOpts::default()).await?;
        tx.exec_drop("INSERT INTO t (name) VALUES (?)", (format!("cycle {n}"),)).await?;
        tx.commit().await?;
    }
    section("end")?;
    pool.disconnect().await?;
    Ok(())
}
