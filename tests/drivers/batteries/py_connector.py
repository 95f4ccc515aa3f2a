"""mysql-connector-python (pure Python): one program, run direct and through the proxy."""

import datetime
import decimal

import mysql.connector
from mysql.connector import FieldType
from mysql.connector.constants import ClientFlag

from battery import CONNECTS, CYCLES, HOST, PASSWORD, PORT, SOCKET, USER, attempt, section, show

SCHEMA = "drivers_connector"
LOGIN = dict(host=HOST, port=PORT, user=USER, password=PASSWORD, use_pure=True, ssl_disabled=True)


def connect(**changes):
    return mysql.connector.connect(**{**LOGIN, "database": SCHEMA, **changes})


def rows(connection, sql, args=None, **options):
    with connection.cursor(**options) as cursor:
        cursor.execute(sql, args or ())
        # A server names the collation of the login, which only a login can set; its charset is what counts.
        described = [(d[0], FieldType.get_info(d[1]), *d[2:8], 45 if d[8] in (224, 255) else d[8]) for d in cursor.description or ()]
        fetched = cursor.fetchall() if cursor.description else None
        return cursor.rowcount, cursor.lastrowid, cursor.warning_count, described, fetched


root = mysql.connector.connect(**LOGIN)
rows(root, f"DROP DATABASE IF EXISTS {SCHEMA}")
rows(root, f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
show("no schema", (root.database, rows(root, "SELECT DATABASE()")))
root.database = SCHEMA
show("schema", (root.database, rows(root, "SELECT DATABASE()")))

section("connect")
for _ in range(CONNECTS):
    connect().close()

section("types")
c = connect()
show("server", c.server_version)
rows(c, """CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50), price DECIMAL(20,6), seen DATETIME(6),
    day DATE, span TIME(3), raw BLOB, big BIGINT UNSIGNED, ratio DOUBLE, small FLOAT, flag BIT(9), kind ENUM('a','b'),
    many SET('x','y'), doc JSON, year YEAR, stamp TIMESTAMP NULL)""")
insert = """INSERT INTO t (name, price, seen, day, span, raw, big, ratio, small, flag, kind, many, doc, year, stamp)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
values = ("zebra 🦓 ü", decimal.Decimal("12345678901234.567890"), datetime.datetime(2024, 2, 29, 23, 59, 59, 123456),
          datetime.date(1999, 12, 31), datetime.timedelta(hours=-30, milliseconds=7), bytes(range(256)), 2**64 - 1,
          1.5e-300, 0.25, 257, "b", "x,y", '{"a": [1, null, "🦓"]}', 2031, datetime.datetime(2001, 1, 1))
attempt("insert", lambda: rows(c, insert, values))
attempt("insert nulls", lambda: rows(c, insert, (None,) * 15))
attempt("rows", lambda: rows(c, "SELECT * FROM t ORDER BY id"))
attempt("dictionary", lambda: rows(c, "SELECT id, name FROM t ORDER BY id", dictionary=True))
attempt("raw", lambda: rows(c, "SELECT * FROM t ORDER BY id", raw=True))
with c.cursor() as cursor:
    cursor.executemany("INSERT INTO t (name) VALUES (%s)", [(f"n{n}",) for n in range(50)])
    show("executemany", (cursor.rowcount, cursor.lastrowid))
attempt("json", lambda: rows(c, "SELECT JSON_OBJECT('a', 1) j"))
c.commit()

section("prepared")
attempt("insert prepared", lambda: rows(c, insert.replace("'", ""), values, prepared=True))
attempt("insert nulls", lambda: rows(c, insert, (None,) * 15, prepared=True))
# Not the year: the driver misreads it in the binary protocol.
attempt("rows", lambda: rows(c, """SELECT id, name, price, seen, day, span, raw, big, ratio, small, flag, kind, many, doc, stamp
    FROM t WHERE id < %s ORDER BY id""", (60,), prepared=True))
with c.cursor(prepared=True) as cursor:
    for n in (0, 5, 52, 90):
        cursor.execute("SELECT id, name FROM t WHERE id > %s ORDER BY id LIMIT 2", (n,))
        show(f"again {n}", cursor.fetchall())
    c.commit()
    rows(root, "ALTER TABLE t ADD COLUMN extra INT DEFAULT 7")
    cursor.execute("SELECT id, name FROM t WHERE id > %s ORDER BY id LIMIT 2", (1,))
    show("after ALTER", cursor.fetchall())
for value in (1, -1, 2**40, 1.5, "ü", b"ab", None, True, decimal.Decimal("1.50"), datetime.date(2020, 1, 2)):
    attempt(f"parameter {value!r}", lambda: rows(c, "SELECT ? AS p", (value,), prepared=True))
attempt("prepare error", lambda: rows(c, "SELECT nope FROM t WHERE id = %s", (1,), prepared=True))
attempt("execute error", lambda: rows(c, "INSERT INTO t (id) VALUES (%s)", (1,), prepared=True))
attempt("too few", lambda: rows(c, "SELECT %s, %s", (1,), prepared=True))
attempt("long data", lambda: rows(c, "SELECT LENGTH(%s) AS n", (b"x" * 100000,), prepared=True))
c.rollback()

section("transactions")
c.start_transaction(isolation_level="READ COMMITTED")
rows(c, "INSERT INTO t (name) VALUES ('tx')")
show("inside", (c.in_transaction, rows(c, "SELECT COUNT(*) FROM t"), rows(root, "SELECT COUNT(*) FROM t")))
c.rollback()
show("after", (c.in_transaction, rows(c, "SELECT COUNT(*) FROM t")))
c.rollback()
# The driver takes every MariaDB for a server of version 5.5.
attempt("snapshot", lambda: c.start_transaction(consistent_snapshot=True, readonly=True))
attempt("read only", lambda: rows(c, "UPDATE t SET name = 'ro'"))
c.rollback()
attempt("nested", lambda: (c.start_transaction(), c.start_transaction()))
c.rollback()
show("autocommit", c.autocommit)
c.autocommit = True
show("autocommit", (c.autocommit, rows(c, "SELECT @@autocommit")))

section("session state")
rows(c, "SET @a = 5, @b := 'x'")
show("user variables", rows(c, "SELECT @a, @b"))
c.time_zone, c.sql_mode = "+03:00", "ANSI_QUOTES"
show("variables", (c.time_zone, c.sql_mode, rows(c, 'SELECT "id" FROM t LIMIT 1')))
show("other session", rows(root, "SELECT @@time_zone, @a"))
c.cmd_reset_connection()
show("reset", rows(c, "SELECT @@time_zone, @a, DATABASE(), @@autocommit"))
c.autocommit = True
rows(c, "SET @a = 6")
c.reset_session(user_variables={"u": 3}, session_variables={"group_concat_max_len": 9})
show("reset session", rows(c, "SELECT @a, @u, @@group_concat_max_len"))
c.cmd_change_user(USER, PASSWORD, "information_schema")
show("change user", rows(c, "SELECT DATABASE(), @u, @@group_concat_max_len"))
c.cmd_init_db(SCHEMA)
c.autocommit = True
rows(c, "INSERT INTO t (name) VALUES ('l1'), ('l2')")
show("last insert id", rows(c, "SELECT LAST_INSERT_ID(), MAX(id) - LAST_INSERT_ID() FROM t"))
show("found rows", (rows(c, "SELECT SQL_CALC_FOUND_ROWS id FROM t ORDER BY id LIMIT 2"), rows(c, "SELECT FOUND_ROWS()")))
show("id", c.connection_id == rows(c, "SELECT CONNECTION_ID()")[4][0][0])

section("diagnostics")
w = connect(get_warnings=True, autocommit=True)
for sql in ("SELECT CAST('12x' AS SIGNED), 1/0", "SELECT COUNT(*) FROM t WHERE 1 = 0", "DROP TABLE IF EXISTS nothing"):
    with w.cursor() as cursor:
        cursor.execute(sql)
        show(sql, (cursor.fetchall() if cursor.with_rows else None, cursor.fetchwarnings()))
raising = connect(raise_on_warnings=True)
attempt("raised", lambda: rows(raising, "SELECT CAST('12x' AS SIGNED)"))
for sql in ("SELEC 1", "SELECT * FROM missing", "SELECT nope FROM t", "INSERT INTO t (id) VALUES (1)",
            "INSERT INTO t (kind) VALUES ('zz')", "CALL missing()", "USE missing", "SET nosuch = 1", "SET sql_mode = 'nosuch'",
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='own', MYSQL_ERRNO=3999", "SELECT 'a"):
    attempt(f"error {sql}", lambda: rows(c, sql))
show("alive", rows(c, "SELECT 1"))

section("results")
rows(c, "CREATE PROCEDURE two(IN a INT, OUT b INT) BEGIN SELECT a, 'x'; SELECT id FROM t WHERE id <= a; SET b = a * 2; END")
with c.cursor() as cursor:
    show("callproc", cursor.callproc("two", (2, 0)))
    show("stored", [result.fetchall() for result in cursor.stored_results()])
with c.cursor() as cursor:
    try:
        cursor.execute("SELECT 1; UPDATE t SET name='multi' WHERE id=3; SELECT * FROM missing; SELECT 4")
        while True:
            show("multi", (cursor.statement, cursor.rowcount, cursor.fetchall() if cursor.with_rows else None))
            if not cursor.nextset():
                break
    except mysql.connector.Error as error:
        show("multi", (error.errno, error.sqlstate, error.msg))
attempt("multi again", lambda: rows(c, "SELECT 'next'"))
with connect() as s, s.cursor(buffered=False) as cursor:
    cursor.execute("WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n WHERE i < 500) SELECT a.i, REPEAT('x', 100) FROM n a JOIN n b ON b.i <= 20")
    show("streamed", sum(i for i, _ in cursor))
with connect() as l:
    attempt("large", lambda: rows(l, "SELECT LENGTH(%s) AS n", ("y" * (17 << 20),)))
    attempt("large back", lambda: len(rows(l, "SELECT REPEAT('a', 17 << 20)")[4][0][0]))

section("character sets")
for charset in ("latin1", "utf8mb4", "gbk", "cp1251"):
    attempt(charset, lambda: rows(connect(charset=charset), "SELECT @@character_set_client, @@character_set_results, @@collation_connection, %s", ("a",)))
c.set_charset_collation("utf8mb4", "utf8mb4_bin")
show("collation", (c.collation, rows(c, "SELECT @@collation_connection, '🦓'")))

section("login")
attempt("found", lambda: rows(connect(client_flags=[ClientFlag.FOUND_ROWS]), "UPDATE t SET name='multi' WHERE id=3"))
attempt("changed", lambda: rows(connect(client_flags=[-ClientFlag.FOUND_ROWS]), "UPDATE t SET name='multi' WHERE id=3"))
attempt("unknown schema", lambda: connect(database="drivers_missing"))
attempt("wrong password", lambda: connect(password="wrong"))
attempt("unknown user", lambda: connect(user="nobody_here", ssl_disabled=False))
attempt("tls", lambda: bool(rows(connect(ssl_disabled=False), "SHOW STATUS LIKE 'Ssl_cipher'")[4][0][1]))
# Not more: the driver reads a packet from two compressed frames at most, as servers send it up to 16 MiB, and waits
# for ever if there are more.
attempt("compressed", lambda: len(rows(connect(compress=True), "SELECT REPEAT('ab', 5000)")[4][0][0]))
attempt("socket", lambda: rows(mysql.connector.connect(unix_socket=SOCKET, user=USER, password=PASSWORD, use_pure=True), "SELECT 1"))
attempt("ping", lambda: c.ping(reconnect=False))
attempt("statistics", lambda: sorted(c.cmd_statistics()))
attempt("kill", lambda: connect().cmd_process_kill(c.connection_id))
attempt("killed", lambda: rows(c, "SELECT 1"))
show("reconnected", (c.reconnect(), rows(c, "SELECT DATABASE()")))
attempt("timeout", lambda: rows(connect(read_timeout=1), "SELECT SLEEP(3)"))
pool = mysql.connector.pooling.MySQLConnectionPool(pool_name="p", pool_size=4, database=SCHEMA, **LOGIN)

section("request cycle")
for n in range(CYCLES):
    with pool.get_connection() as one:
        rows(one, "SELECT name FROM t WHERE id = %s", (n,))
        rows(one, "INSERT INTO t (name) VALUES (%s)", (f"cycle {n}",))
        one.commit()
section("end")
rows(root, f"DROP DATABASE {SCHEMA}")
