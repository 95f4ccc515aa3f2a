// mysql2 for Node: one program, run direct and through the proxy; what it prints must be the same.

import { CONNECTS, CYCLES, login as account, require, section, show } from "./battery.mjs";

const mysql = require("mysql2/promise");
const SCHEMA = "drivers_mysql2";
const login = { ...account, jsonStrings: true, supportBigNumbers: true, timezone: "Z" };
const connect = (changes = {}) => mysql.createConnection({ ...login, database: SCHEMA, ...changes });
const attempt = async (name, action) => {
  try {
    show(name, await action());
  } catch (error) {
    show(name, [error.code, error.errno, error.sqlState, error.sqlMessage ?? error.message]);
  }
};
// A server names the collation of the login here, which only a login can set; its charset is what counts.
const charset = (id) => ({ 224: 45, 255: 45, 8: 47 })[id] ?? id;
const columns = (fields) => fields?.map((f) => f && [f.name, f.orgName, f.table, f.orgTable, f.columnType, f.columnLength, f.flags, charset(f.characterSet), f.decimals]);
const query = async (c, sql, args) => { const [rows, fields] = await c.query(sql, args); return [rows, columns(fields)]; };
const execute = async (c, sql, args) => { const [rows, fields] = await c.execute(sql, args); return [rows, columns(fields)]; };

const root = await mysql.createConnection(login);
await query(root, `DROP DATABASE IF EXISTS ${SCHEMA}`);
await query(root, `CREATE DATABASE ${SCHEMA} CHARACTER SET utf8mb4`);
show("no schema", await query(root, "SELECT DATABASE() d"));
await root.changeUser({ database: SCHEMA });
show("change user", await query(root, "SELECT DATABASE() d"));
await attempt("change user wrong", () => root.changeUser({ user: login.user, password: "wrong" }));
root.destroy();

await section("connect");
for (let n = 0; n < CONNECTS; n++) await (await connect()).end();

await section("types");
const c = await connect();
await query(c, `CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50), price DECIMAL(20,6), seen DATETIME(6),
  day DATE, span TIME(3), raw BLOB, big BIGINT UNSIGNED, ratio DOUBLE, small FLOAT, flag BIT(9), kind ENUM('a','b'), doc JSON, year YEAR)`);
const values = ["zebra 🦓 ü", "12345678901234.567890", new Date(Date.UTC(2024, 1, 29, 23, 59, 59, 123)), "1999-12-31", "-30:00:00.007",
  Buffer.from(Array.from({ length: 256 }, (_, n) => n)), "18446744073709551615", 1.5e-300, 0.25, 257, "b", '{"a":[1,null,"🦓"]}', 2031];
const insert = `INSERT INTO t (name, price, seen, day, span, raw, big, ratio, small, flag, kind, doc, year) VALUES (${values.map(() => "?")})`;
await attempt("insert", () => query(c, insert, values));
await attempt("insert prepared", () => execute(c, insert, values));
await attempt("insert nulls", () => execute(c, insert, values.map(() => null)));
await attempt("bulk", () => query(c, "INSERT INTO t (name) VALUES ?", [[["x"], ["y"], ["z"]]]));
await attempt("rows text", () => query(c, "SELECT * FROM t"));
await attempt("rows binary", () => execute(c, "SELECT * FROM t WHERE id <= ?", [3]));
await attempt("rows array", () => query(c, { sql: "SELECT id, name FROM t", rowsAsArray: true }));
await attempt("update same", () => query(c, "UPDATE t SET name = 'x' WHERE name = 'x'"));
const changed = await connect({ flags: ["-FOUND_ROWS"] });
await attempt("update changed", () => query(changed, "UPDATE t SET name = 'x' WHERE name = 'x'"));
await section("diagnostics");
await attempt("warning", () => query(c, "SELECT CAST('12x' AS SIGNED) n"));
await attempt("show warnings", () => query(c, "SHOW WARNINGS"));

await section("prepared");
// Prepared statements: many, again, of other types, in error, after a schema change.
for (const value of [1, "1", 1.5, null, true, Buffer.from("ab"), new Date(Date.UTC(2020, 0, 1)), 2 ** 53]) {
  await attempt(`parameter ${value}`, () => execute(c, "SELECT ? AS p, ? + 1 AS q", [value, 2]));
}
const statement = await c.prepare("SELECT id, name FROM t WHERE id > ? ORDER BY id LIMIT 2");
for (const id of [0, 2, 90]) await attempt(`statement ${id}`, async () => (await statement.execute([id]))[0]);
await query(c, "ALTER TABLE t ADD COLUMN extra INT DEFAULT 7");
await attempt("statement after ALTER", async () => (await statement.execute([0]))[0]);
await statement.close();
await attempt("star after ALTER", () => execute(c, "SELECT * FROM t WHERE id <= ?", [1]));
await attempt("prepare error", () => execute(c, "SELECT nope FROM t WHERE id = ?", [1]));
await attempt("execute error", () => execute(c, "INSERT INTO t (id) VALUES (?)", [1]));
for (let n = 0; n < 100; n++) await execute(c, `SELECT ${n} + ? AS s`, [n]);
const [[{ s }]] = await c.execute("SELECT 50 + ? AS s", [1]);
show("hundred statements", s);

await section("transactions");
await c.beginTransaction();
await execute(c, "INSERT INTO t (name) VALUES (?)", ["tx"]);
await attempt("inside", () => query(c, "SELECT COUNT(*) n FROM t WHERE name = 'tx'"));
const other = await connect();
await attempt("outside", () => query(other, "SELECT COUNT(*) n FROM t WHERE name = 'tx'"));
await c.rollback();
await attempt("rolled back", () => execute(c, "SELECT COUNT(*) n FROM t WHERE name = ?", ["tx"]));
await c.beginTransaction();
await query(c, "INSERT INTO t (name) VALUES ('tx')");
await c.commit();
await attempt("committed", () => query(other, "SELECT COUNT(*) n FROM t WHERE name = 'tx'"));
await query(c, "SET autocommit = 0");
await query(c, "DELETE FROM t WHERE name = 'tx'");
await query(c, "ROLLBACK");
await attempt("autocommit off", () => query(c, "SELECT COUNT(*) n, @@autocommit a FROM t WHERE name = 'tx'"));
await query(c, "SET autocommit = 1");
await query(c, "SET @x = 3, SESSION sql_mode = 'ANSI_QUOTES'");
await attempt("state", () => execute(c, 'SELECT @x + ? AS n, "id" FROM t LIMIT 1', [1]));
await c.reset();
await attempt("reset", () => query(c, "SELECT @x x, @@sql_mode LIKE '%ANSI%' m, DATABASE() d"));

// More than one result.
const multi = await connect({ multipleStatements: true });
await attempt("multi", () => query(multi, "SELECT 1 a; INSERT INTO t (name) VALUES ('m'); SELECT 2 b, 'x' c"));
await attempt("multi error", () => query(multi, "SELECT 1 a; SELECT * FROM missing; SELECT 3 c"));
await query(multi, "CREATE PROCEDURE two(IN a INT) BEGIN SELECT a; SELECT a + 1 AS b, 'y' AS c; END");
await attempt("call", () => query(multi, "CALL two(5)"));
await attempt("call prepared", () => execute(multi, "CALL two(?)", [6]));
await attempt("multi refused", () => query(c, "SELECT 1; SELECT 2"));

// Streaming and size.
const raw = multi.connection;
show("streamed", await new Promise((resolve, reject) => {
  let rows = 0, bytes = 0;
  raw.query("WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n WHERE i < 900) SELECT a.i, REPEAT('x', 200) x FROM n a JOIN n b ON b.i <= 40")
    .stream().on("data", (row) => { rows++; bytes += row.x.length; }).on("error", reject).on("end", () => resolve([rows, bytes]));
}));
const large = Buffer.alloc(17 << 20, 97);
await attempt("large text", () => query(c, "SELECT LENGTH(?) n", [large.toString()]));
await attempt("large parameter", () => execute(c, "SELECT LENGTH(?) n, SHA2(?, 256) s", [large, "a"]));
const [[{ r }]] = await c.execute("SELECT REPEAT('b', ?) r", [17 << 20]);
show("large back", r.length);

// Pipelined by the driver's queue, pooled, pinged.
show("queued", await Promise.all([1, 2, 3].map(async (n) => (await c.query("SELECT ? n", [n]))[0])));
const pool = mysql.createPool({ ...login, database: SCHEMA, connectionLimit: 20 });
show("pool", await Promise.all(Array.from({ length: 60 }, async (_, n) => (await pool.execute("SELECT ? + 0 AS n", [n]))[0][0].n)));
await pool.end();
await attempt("ping", () => c.ping());

await section("login");
for (const sql of ["SELEC 1", "SELECT * FROM missing", "INSERT INTO t (id) VALUES (1)", "USE missing", "CALL missing()",
  "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='own', MYSQL_ERRNO=3999"]) await attempt(sql, () => query(c, sql));
await attempt("unknown schema", () => connect({ database: "drivers_missing" }));
await attempt("wrong password", () => connect({ password: "wrong" }));
await attempt("unknown user", () => connect({ user: "nobody_here" }));
const over = async (name, changes) => attempt(name, async () => {
  const one = await connect(changes);
  const rows = await query(one, "SELECT name FROM t WHERE id = 1");
  const big = await query(one, "SELECT LENGTH(?) n, REPEAT('ab', 100000) r", ["q".repeat(200000)]);
  await one.end();
  return [rows, big[0][0].n, big[0][0].r.length];
});
await over("tls", { ssl: { rejectUnauthorized: false } });
await over("socket", { socketPath: process.env.SOCKET });
await over("compressed", { compress: true });
await over("compressed tls", { compress: true, ssl: { rejectUnauthorized: false } });
await over("latin1", { charset: "latin1_swedish_ci" });
// In full: a server that does not know the password any more asks for it, by its public key. A MariaDB has no such accounts.
await query(c, "FLUSH PRIVILEGES");
await attempt("full login", async () => {
  let key = "";
  const onServerPublicKey = (told) => { key = told.toString(); };
  const authPlugins = { caching_sha2_password: require("mysql2").authPlugins.caching_sha2_password({ onServerPublicKey }) };
  const one = await connect({ user: "full_mysql2", password: process.env.FULL_PASSWORD, database: undefined, authPlugins });
  const rows = await query(one, "SELECT 1 AS one");
  const [[{ v }]] = await one.query("SELECT VERSION() v");
  await one.end();
  const native = !process.env.MARKS && v.includes("MariaDB");
  return [rows, native || key.startsWith("-----BEGIN PUBLIC KEY-----")];
});
const cycling = mysql.createPool({ ...login, database: SCHEMA, connectionLimit: 3 });
await section("request cycle");
for (let n = 0; n < CYCLES; n++) {
  await cycling.query("SELECT name FROM t WHERE id = ?", [n]);
  const one = await cycling.getConnection();
  await one.beginTransaction();
  await one.execute("INSERT INTO t (name) VALUES (?)", [`cycle ${n}`]);
  await one.commit();
  one.release();
}
await section("end");
await cycling.end();
await query(other, `DROP DATABASE ${SCHEMA}`);
for (const one of [c, other, multi, changed]) await one.end();
