"""PyMySQL: one program, run direct and through the proxy; what it prints must be the same."""

import datetime
import decimal
import os

import pymysql
from pymysql.constants import CLIENT
from pymysql.cursors import SSCursor

from battery import CONNECTS, CYCLES, HOST, PASSWORD, PORT, SOCKET, USER, attempt, section, show

SCHEMA = "drivers_pymysql"
LOGIN = dict(host=HOST, port=PORT, user=USER, password=PASSWORD, charset="utf8mb4")


def connect(**changes):
    return pymysql.connect(**{**LOGIN, "database": SCHEMA, **changes})


def rows(connection, sql, args=None):
    with connection.cursor() as cursor:
        affected = cursor.execute(sql, args)
        described = [(d[0], d[1], d[6]) for d in cursor.description or ()]
        return affected, cursor.lastrowid, described, cursor.fetchall()


with pymysql.connect(**LOGIN) as root:
    show("no schema", rows(root, "SELECT DATABASE()"))
    rows(root, f"DROP DATABASE IF EXISTS {SCHEMA}")
    rows(root, f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
    root.select_db(SCHEMA)
    show("schema", rows(root, "SELECT DATABASE()"))

section("connect")
for _ in range(CONNECTS):
    connect().close()

section("types")
c = connect()
show("server", c.get_server_info().split("-")[0])
rows(c, """CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50), price DECIMAL(20,6),
    seen DATETIME(6), day DATE, span TIME(3), raw BLOB, big BIGINT UNSIGNED, ratio DOUBLE, flag BIT(9),
    kind ENUM('a','b'), doc JSON, year YEAR, stamp TIMESTAMP NULL)""")
insert = """INSERT INTO t (name, price, seen, day, span, raw, big, ratio, flag, kind, doc, year, stamp)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
values = ("zebra 🦓 ü", decimal.Decimal("12345678901234.567890"), datetime.datetime(2024, 2, 29, 23, 59, 59, 123456),
          datetime.date(1999, 12, 31), datetime.timedelta(hours=-30, milliseconds=7), bytes(range(256)), 2**64 - 1,
          1.5e-300, 257, "b", '{"a": [1, null, "🦓"]}', 2031, datetime.datetime(2001, 1, 1))
show("insert", rows(c, insert, values))
show("insert nulls", rows(c, insert, (None,) * 13))
with c.cursor() as cursor:
    show("executemany", (cursor.executemany("INSERT INTO t (name) VALUES (%s)", [(f"n{n}",) for n in range(50)]), cursor.lastrowid))
show("insert id", c.insert_id())
show("not committed", rows(connect(), "SELECT COUNT(*) FROM t"))
c.commit()
show("committed", rows(connect(), "SELECT COUNT(*) FROM t"))
show("all types", rows(c, "SELECT * FROM t WHERE id <= 2"))
with c.cursor() as cursor:
    cursor.execute("SELECT *, COUNT(*) n FROM t x GROUP BY id LIMIT 1")
    fields = [(f.name, f.org_name, f.table_name, f.org_table, f.type_code, f.length, f.flags, f.charsetnr, f.scale)
              for f in cursor._result.fields]
    for field in fields:
        show("field", field)

# Rows found and rows changed.
show("update same", rows(c, "UPDATE t SET name='n1' WHERE name='n1'"))
c.commit()
found = connect(client_flag=CLIENT.FOUND_ROWS, autocommit=True)
show("update found", rows(found, "UPDATE t SET name='n2' WHERE name='n2'"))
show("delete", rows(c, "DELETE FROM t WHERE name LIKE 'n4_'"))
c.rollback()
show("rolled back", rows(c, "SELECT COUNT(*) FROM t"))
c.commit()

section("transactions")
c.begin()
rows(c, "INSERT INTO t (name) VALUES ('tx')")
rows(c, "SAVEPOINT s1")
rows(c, "INSERT INTO t (name) VALUES ('tx2')")
rows(c, "ROLLBACK TO SAVEPOINT s1")
show("inside", rows(c, "SELECT name FROM t WHERE name LIKE 'tx%%' ORDER BY id"))
show("in transaction", c.server_status & 1)
c.commit()
show("after", (c.server_status & 1, rows(c, "SELECT name FROM t WHERE name LIKE 'tx%%' ORDER BY id")))
c.commit()
c.autocommit(True)
show("autocommit", (c.get_autocommit(), rows(c, "SELECT @@autocommit")))
c.autocommit(False)
show("autocommit", (c.get_autocommit(), rows(c, "SELECT @@autocommit")))
rows(c, "UPDATE t SET name='gone' WHERE id=1")
c.close()
c = connect(autocommit=True)
show("closed in transaction", rows(c, "SELECT name FROM t WHERE id=1"))

section("session state")
rows(c, "SET @a = 5, @b := 'x'")
show("user variables", rows(c, "SELECT @a, @b"))
rows(c, "SET SESSION sql_mode='ANSI_QUOTES', time_zone='+03:00', group_concat_max_len=5")
show("variables", rows(c, 'SELECT @@sql_mode, @@time_zone, @@group_concat_max_len, "id" FROM t LIMIT 1'))
show("other session", rows(connect(), "SELECT @@group_concat_max_len, @a"))
show("last insert id", rows(c, "SELECT LAST_INSERT_ID()"))
rows(c, "INSERT INTO t (name) VALUES ('l1'), ('l2')")
show("last insert id", rows(c, "SELECT LAST_INSERT_ID(), MAX(id) FROM t"))
show("row count", (rows(c, "UPDATE t SET kind='a' WHERE name IN ('l1','l2')"), rows(c, "SELECT ROW_COUNT()")))
show("found rows", (rows(c, "SELECT SQL_CALC_FOUND_ROWS id FROM t ORDER BY id LIMIT 2"), rows(c, "SELECT FOUND_ROWS()")))
rows(c, "CREATE TEMPORARY TABLE tmp (a INT)")
show("temporary", (rows(c, "INSERT INTO tmp VALUES (1),(2)"), rows(c, "SELECT * FROM tmp")))
show("lock", (rows(c, "SELECT GET_LOCK('drivers_pymysql', 1)"), rows(c, "SELECT IS_USED_LOCK('drivers_pymysql') = CONNECTION_ID()"),
              rows(c, "SELECT RELEASE_LOCK('drivers_pymysql')")))
rows(c, "PREPARE p FROM 'SELECT ? + 1'")
show("text prepare", (rows(c, "SET @v = 4"), rows(c, "EXECUTE p USING @v"), rows(c, "DEALLOCATE PREPARE p")))
rows(c, "LOCK TABLES t WRITE")
attempt("locked", lambda: rows(c, "SELECT * FROM mysql.user"))
rows(c, "UNLOCK TABLES")
c.close()

section("diagnostics")
c = connect(autocommit=True)
show("warnings", (rows(c, "SELECT CAST('12x' AS SIGNED), 1/0"), c.show_warnings()))
# With a table: MariaDB keeps the warnings of the statement before over one without, as long as nobody
# else uses the connection.
show("no warnings", (rows(c, "SELECT COUNT(*) FROM t WHERE 1 = 0"), c.show_warnings()))
show("drop if exists", (rows(c, "DROP TABLE IF EXISTS nothing"), c.show_warnings()))
rows(c, "SET sql_mode=''")
show("truncated", (rows(c, "INSERT INTO t (kind, name) VALUES ('zz', REPEAT('a', 60))"), rows(c, "SHOW COUNT(*) WARNINGS"), c.show_warnings()))
rows(c, "SET sql_mode=DEFAULT")
for sql in ("SELEC 1", "SELECT * FROM missing", "SELECT nope FROM t", "INSERT INTO t (id) VALUES (1)",
            "INSERT INTO t (kind) VALUES ('zz')", "SELECT 1 FROM", "", "CALL missing()", "SELECT * FROM missing.t",
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='own', MYSQL_ERRNO=3999", "USE missing", "DROP TABLE missing",
            "SET nosuch = 1", "SELECT @@nosuch", "SELECT 'a"):
    attempt(f"error {sql}", lambda: rows(c, sql))
    show("errors", c.show_warnings())
show("alive", rows(c, "SELECT 1"))

section("results")
rows(c, "CREATE PROCEDURE two(IN a INT, OUT b INT) BEGIN SELECT a, 'x'; SELECT id FROM t WHERE id <= a; SET b = a * 2; END")
with c.cursor() as cursor:
    show("callproc", cursor.callproc("two", (2, 0)))
    while True:
        show("result", cursor.fetchall())
        if not cursor.nextset():
            break
    cursor.execute("SELECT @_two_0, @_two_1")
    show("out", cursor.fetchall())
m = connect(client_flag=CLIENT.MULTI_STATEMENTS, autocommit=True)
with m.cursor() as cursor:
    cursor.execute("SELECT 1; UPDATE t SET name='multi' WHERE id=3; SELECT * FROM missing; SELECT 4")
    try:
        while True:
            show("multi", (cursor.rowcount, cursor.fetchall()))
            if not cursor.nextset():
                break
    except pymysql.err.MySQLError as error:
        show("multi", error.args)
attempt("multi again", lambda: rows(m, "SELECT 'next'"))
attempt("multi refused", lambda: rows(c, "SELECT 1; SELECT 2"))

# Big results, streamed; abandoned ones; many columns; large values.
s = connect(cursorclass=SSCursor)
with s.cursor() as cursor:
    cursor.execute("WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n WHERE i < 999) SELECT a.i, REPEAT('x', 100) FROM n a JOIN n b ON b.i <= 10")
    total = sum(i for i, _ in cursor)
    show("streamed", total)
    cursor.execute("WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n WHERE i < 999) SELECT i FROM n")
    show("first", cursor.fetchone())
    cursor.close()
show("after abandoned", rows(s, "SELECT 1"))
with connect() as l:
    size = 17 << 20
    show("large", rows(l, "SELECT LENGTH(%s) AS n, SHA2(%s, 256) AS s", ("y" * size, "z")))
    show("large back", len(rows(l, "SELECT REPEAT('a', %s)", (size,))[3][0][0]))
with c.cursor() as cursor:
    cursor.execute("SELECT " + ",".join(f"{n} AS c{n}" for n in range(1000)))
    show("wide", sum(cursor.fetchone()))
show("empty", rows(c, "SELECT * FROM t WHERE 1=0")[3])

section("character sets")
for charset in ("latin1", "utf8mb4", "gbk", "cp1251"):
    with connect(charset=charset) as l:
        show(charset, rows(l, "SELECT @@character_set_client, @@character_set_results, @@collation_connection, %s, HEX('z')", ("a",)))
        attempt(charset, lambda: rows(l, "SELECT name FROM t WHERE id=1"))
l = connect(init_command="SET NAMES latin1")
show("init_command", rows(l, "SELECT @@character_set_client"))
l.set_character_set("utf8mb4", "utf8mb4_bin")
show("set names", rows(l, "SELECT @@collation_connection, '🦓'"))
l.close()

section("login")
attempt("unknown schema", lambda: connect(database="drivers_missing"))
attempt("wrong password", lambda: connect(password="wrong"))
attempt("no password", lambda: connect(password=""))
attempt("unknown user", lambda: connect(user="nobody_here"))
attempt("tls", lambda: rows(connect(ssl={"check_hostname": False, "verify_mode": None}), "SELECT 1"))
t = connect(ssl={"check_hostname": False, "verify_mode": None})
show("tls on", t._secure)
t.close()
# In full: a server that does not know the password any more asks for it, by its public key. A MariaDB has no such accounts.
rows(c, "FLUSH PRIVILEGES")
full = connect(user="full_pymysql", password=os.environ["FULL_PASSWORD"], database=None, ssl_disabled=True)
native = "MARKS" not in os.environ and "MariaDB" in full.get_server_info()
show("full login", (rows(full, "SELECT 1"), native or full.server_public_key.startswith(b"-----BEGIN PUBLIC KEY-----")))
full.close()
attempt("full login wrong", lambda: connect(user="full_pymysql", password="wrong", database=None, ssl_disabled=True))
attempt("socket", lambda: rows(connect(unix_socket=SOCKET), "SELECT 1"))
show("ping", c.ping(reconnect=False))
attempt("kill", lambda: c.kill(c.thread_id()))
attempt("killed", lambda: rows(c, "SELECT 1"))
show("reconnected", (c.ping(reconnect=True), rows(c, "SELECT DATABASE()")))
many = [connect(autocommit=True) for _ in range(40)]
show("many", [rows(m, "SELECT %s", (n,))[3][0][0] for n, m in enumerate(many)])
for m in many:
    m.close()
attempt("closed", lambda: rows(m, "SELECT 1"))

section("request cycle")
for n in range(CYCLES):
    one = connect()
    rows(one, "SELECT name FROM t WHERE id = %s", (n,))
    rows(one, "INSERT INTO t (name) VALUES (%s)", (f"cycle {n}",))
    one.commit()
    one.close()
section("end")
rows(c, f"DROP DATABASE {SCHEMA}")
