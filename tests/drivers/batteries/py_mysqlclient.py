"""mysqlclient (C, MariaDB Connector/C): one program, run direct and through the proxy."""

import datetime
import decimal

import MySQLdb
from MySQLdb.constants import CLIENT
from MySQLdb.cursors import DictCursor, SSCursor

from battery import CONNECTS, CYCLES, HOST, PASSWORD, PORT, SOCKET, USER, attempt, section, show

SCHEMA = "drivers_mysqlclient"
LOGIN = dict(host=HOST, port=PORT, user=USER, password=PASSWORD, charset="utf8mb4")


def connect(**changes):
    return MySQLdb.connect(**{**LOGIN, "database": SCHEMA, **changes})


def rows(connection, sql, args=None):
    with connection.cursor() as cursor:
        affected = cursor.execute(sql, args)
        return affected, cursor.lastrowid, cursor.description, cursor.description_flags, cursor.fetchall()


root = MySQLdb.connect(**LOGIN)
rows(root, f"DROP DATABASE IF EXISTS {SCHEMA}")
rows(root, f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
show("no schema", rows(root, "SELECT DATABASE()"))
root.select_db(SCHEMA)
show("schema", rows(root, "SELECT DATABASE()"))

section("connect")
for _ in range(CONNECTS):
    connect().close()

section("types")
c = connect()
show("server", c.get_server_info().split("-")[0])
rows(c, """CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50), price DECIMAL(20,6), seen DATETIME(6),
    day DATE, span TIME(3), raw BLOB, big BIGINT UNSIGNED, ratio DOUBLE, small FLOAT, flag BIT(9), kind ENUM('a','b'),
    many SET('x','y'), doc JSON, year YEAR, stamp TIMESTAMP NULL, place GEOMETRY)""")
insert = """INSERT INTO t (name, price, seen, day, span, raw, big, ratio, small, flag, kind, many, doc, year, stamp, place)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, ST_GeomFromText(%s))"""
values = ("zebra 🦓 ü", decimal.Decimal("12345678901234.567890"), datetime.datetime(2024, 2, 29, 23, 59, 59, 123456),
          datetime.date(1999, 12, 31), datetime.timedelta(hours=-30, milliseconds=7), bytes(range(256)), 2**64 - 1,
          1.5e-300, 0.25, 257, "b", "x,y", '{"a": [1, null, "🦓"]}', 2031, datetime.datetime(2001, 1, 1), "POINT(1 2)")
attempt("insert", lambda: rows(c, insert, values))
attempt("insert nulls", lambda: rows(c, insert, (None,) * 16))
attempt("rows", lambda: rows(c, "SELECT * FROM t ORDER BY id"))
with c.cursor() as cursor:
    show("executemany", (cursor.executemany("INSERT INTO t (name) VALUES (%s)", [(f"n{n}",) for n in range(50)]), cursor.lastrowid))
show("insert id", c.insert_id())
show("info", (rows(c, "UPDATE t SET kind = 'a'"), c.info()))
with c.cursor(DictCursor) as cursor:
    cursor.execute("SELECT t.id, o.id, o.name n FROM t JOIN t o ON o.id = t.id ORDER BY 1 LIMIT 2")
    show("dict", cursor.fetchall())
show("duplicate key", rows(c, "INSERT INTO t (id, name) VALUES (3, 'x') ON DUPLICATE KEY UPDATE name = 'dup'"))
c.commit()

section("transactions")
show("not committed", (rows(c, "INSERT INTO t (name) VALUES ('tx')"), rows(connect(), "SELECT COUNT(*) FROM t")))
c.commit()
show("committed", rows(connect(), "SELECT COUNT(*) FROM t"))
rows(c, "DELETE FROM t WHERE name LIKE 'n4_'")
c.rollback()
show("rolled back", rows(c, "SELECT COUNT(*) FROM t"))
c.commit()
rows(c, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY")
attempt("read only", lambda: rows(c, "UPDATE t SET name = 'ro'"))
c.rollback()
show("writes again", rows(c, "UPDATE t SET name = 'rw' WHERE id = 3"))
rows(c, "SAVEPOINT s")
rows(c, "UPDATE t SET name = 'lost' WHERE id = 3")
rows(c, "ROLLBACK TO s")
c.commit()
show("savepoint", rows(c, "SELECT name FROM t WHERE id = 3"))
c.autocommit(True)
show("autocommit", (c.get_autocommit(), rows(c, "SELECT @@autocommit")))
a, b = connect(), connect()
rows(a, "UPDATE t SET name = 'a' WHERE id = 1")
rows(b, "UPDATE t SET name = 'b' WHERE id = 2")
rows(b, "SET innodb_lock_wait_timeout = 1")
attempt("lock wait", lambda: rows(b, "UPDATE t SET name = 'b' WHERE id = 1"))
show("goes on", rows(b, "SELECT name FROM t WHERE id = 2"))
a.close()
b.rollback()
show("closed in transaction", rows(c, "SELECT name FROM t WHERE id <= 2"))

section("session state")
rows(c, "SET @a = 5, @b := 'x', @c = 1.50, @d = NULL")
show("user variables", rows(c, "SELECT @a, @b, @c, @d"))
rows(c, "SET SESSION sql_mode='ANSI_QUOTES', time_zone='+03:00', group_concat_max_len=5")
show("variables", rows(c, 'SELECT @@sql_mode, @@time_zone, @@group_concat_max_len, "id" FROM t LIMIT 1'))
show("other session", rows(connect(), "SELECT @@group_concat_max_len, @a"))
rows(c, "SET sql_mode=DEFAULT, time_zone=DEFAULT, group_concat_max_len=DEFAULT")
show("defaults", rows(c, "SELECT @@sql_mode, @@time_zone, @@group_concat_max_len"))
rows(c, "INSERT INTO t (name) VALUES ('l1'), ('l2')")
show("last insert id", rows(c, "SELECT LAST_INSERT_ID(), MAX(id) FROM t"))
show("row count", (rows(c, "UPDATE t SET kind='b' WHERE name IN ('l1','l2')"), rows(c, "SELECT ROW_COUNT()")))
show("found rows", (rows(c, "SELECT SQL_CALC_FOUND_ROWS id FROM t ORDER BY id LIMIT 2"), rows(c, "SELECT FOUND_ROWS()")))
rows(c, "CREATE TEMPORARY TABLE tmp (a INT)")
show("temporary", (rows(c, "INSERT INTO tmp VALUES (1),(2)"), rows(c, "SELECT * FROM tmp"), rows(c, "DROP TEMPORARY TABLE tmp")))
show("lock", (rows(c, "SELECT GET_LOCK('m', 1)"), rows(c, "SELECT IS_USED_LOCK('m') = CONNECTION_ID()"), rows(c, "SELECT RELEASE_LOCK('m')")))
show("ids", c.thread_id() == rows(c, "SELECT CONNECTION_ID()")[4][0][0])
c.change_user(USER, PASSWORD, SCHEMA)
show("change user", rows(c, "SELECT DATABASE(), @a, @@autocommit"))
c.autocommit(True)

section("diagnostics")
show("warnings", (rows(c, "SELECT CAST('12x' AS SIGNED), 1/0"), c.warning_count(), c.show_warnings()))
show("drop if exists", (rows(c, "DROP TABLE IF EXISTS nothing"), c.show_warnings()))
for sql in ("SELEC 1", "SELECT * FROM missing", "SELECT nope FROM t", "INSERT INTO t (id) VALUES (1)",
            "INSERT INTO t (kind) VALUES ('zz')", "", "CALL missing()", "USE missing", "SET nosuch = 1", "SELECT @@nosuch",
            "SET sql_mode = 'nosuch'", "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='own', MYSQL_ERRNO=3999", "SELECT 'a"):
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
    except MySQLdb.Error as error:
        show("multi", error.args)
attempt("multi again", lambda: rows(m, "SELECT 'next'"))
m.set_server_option(1)
attempt("option off", lambda: rows(m, "SELECT 1; SELECT 2"))
with connect(cursorclass=SSCursor) as s, s.cursor() as cursor:
    cursor.execute("WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n WHERE i < 999) SELECT a.i, REPEAT('x', 100) FROM n a JOIN n b ON b.i <= 50")
    show("streamed", sum(i for i, _ in cursor))
with connect() as l:
    show("large", rows(l, "SELECT LENGTH(%s) AS n", ("y" * (17 << 20),)))
    show("large back", len(rows(l, "SELECT REPEAT('a', 17 << 20)")[4][0][0]))

section("character sets")
for charset in ("latin1", "utf8mb4", "gbk", "cp1251"):
    with connect(charset=charset) as l:
        attempt(charset, lambda: rows(l, "SELECT @@character_set_client, @@character_set_results, @@collation_connection, %s", ("a",)))
        show(charset, l.get_character_set_info())
l = MySQLdb.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, init_command="SET NAMES latin1")
show("init_command", rows(l, "SELECT @@character_set_client"))
l.set_character_set("utf8mb4", "utf8mb4_bin")
show("set names", rows(l, "SELECT @@collation_connection, '🦓'"))

section("login")
found = connect(client_flag=CLIENT.FOUND_ROWS, autocommit=True)
show("found", rows(found, "UPDATE t SET name='rw' WHERE name='rw'"))
attempt("unknown schema", lambda: connect(database="drivers_missing"))
attempt("wrong password", lambda: connect(password="wrong"))
attempt("unknown user", lambda: connect(user="nobody_here"))
attempt("tls", lambda: bool(rows(connect(ssl_mode="REQUIRED"), "SHOW STATUS LIKE 'Ssl_cipher'")[4][0][1]))
attempt("compressed", lambda: len(rows(connect(compress=True), "SELECT REPEAT('ab', 300000)")[4][0][0]))
attempt("socket", lambda: rows(MySQLdb.connect(unix_socket=SOCKET, user=USER, password=PASSWORD), "SELECT 1"))
attempt("local infile", lambda: rows(connect(local_infile=0), "LOAD DATA LOCAL INFILE '/dev/null' INTO TABLE t"))
show("ping", c.ping())
attempt("stat", lambda: "Uptime" in c.stat())
attempt("kill", lambda: connect().kill(c.thread_id()))
attempt("killed", lambda: rows(c, "SELECT 1"))
many = [connect(autocommit=True) for _ in range(30)]
show("many", [rows(m, "SELECT %s", (n,))[4][0][0] for n, m in enumerate(many)])
for m in many:
    m.close()
attempt("closed", lambda: rows(m, "SELECT 1"))

section("request cycle")
for n in range(CYCLES):
    c = connect()
    rows(c, "SELECT name FROM t WHERE id = %s", (n,))
    rows(c, "INSERT INTO t (name) VALUES (%s)", (f"cycle {n}",))
    c.commit()
    c.close()
section("end")
rows(root, f"DROP DATABASE {SCHEMA}")
