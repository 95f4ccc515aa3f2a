// MariaDB Connector/J: one program, run direct and through the proxy; what it prints must be the same.

import java.io.InputStream;
import java.math.BigDecimal;
import java.net.URI;
import java.nio.file.*;
import java.sql.*;
import java.util.*;

public class Battery {
    static final String SCHEMA = "drivers_java";

    interface Action {
        Object run() throws Exception;
    }

    static Connection connect(String schema, String options) throws SQLException {
        String url = "jdbc:mariadb://127.0.0.1:" + System.getenv("PORT") + "/" + schema + "?" + options;
        return DriverManager.getConnection(url, System.getenv("DB_USER"), System.getenv("DB_PASSWORD"));
    }

    static void show(String name, Object value) {
        System.out.println((name + ": " + value).replace("\n", " "));
    }

    // Begins a feature. Through the proxy, the metrics of this moment are kept beside its name.
    static void section(String name) throws Exception {
        System.out.println("== " + name);
        String marks = System.getenv("MARKS");
        if (marks == null) return;
        try (InputStream metrics = URI.create("http://" + System.getenv("ADMIN") + "/metrics").toURL().openStream()) {
            String text = "== " + name + "\n" + new String(metrics.readAllBytes());
            Files.writeString(Path.of(marks), text, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        }
    }

    static void attempt(String name, Action action) {
        try {
            show(name, action.run());
        } catch (SQLException e) {
            // The driver puts the server's connection id in front of its messages.
            String message = String.valueOf(e.getMessage()).replaceAll("\\(conn[^)]*\\) ", "").replaceAll("port=\\d+", "port");
            show(name, e.getClass().getSimpleName() + " " + e.getErrorCode() + " " + e.getSQLState() + " " + message);
        } catch (Exception e) {
            show(name, e.getClass().getSimpleName());
        }
    }

    static String rows(ResultSet r) throws SQLException {
        StringBuilder out = new StringBuilder();
        ResultSetMetaData m = r.getMetaData();
        for (int i = 1; i <= m.getColumnCount(); i++) {
            out.append(String.format("<%s %s %s %d %d %d %d %b %b>", m.getColumnLabel(i), m.getTableName(i), m.getColumnTypeName(i),
                m.getColumnType(i), m.getPrecision(i), m.getScale(i), m.isNullable(i), m.isSigned(i), m.isAutoIncrement(i)));
        }
        while (r.next()) {
            out.append(" [");
            for (int i = 1; i <= m.getColumnCount(); i++) {
                Object value = r.getObject(i);
                out.append(value instanceof byte[] ? Arrays.toString((byte[]) value) : value).append(i < m.getColumnCount() ? ", " : "]");
            }
        }
        return out.toString();
    }

    static String query(Connection c, String sql, Object... args) throws SQLException {
        try (PreparedStatement s = c.prepareStatement(sql)) {
            for (int i = 0; i < args.length; i++) {
                s.setObject(i + 1, args[i]);
            }
            return rows(s.executeQuery());
        }
    }

    static int update(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement()) {
            return s.executeUpdate(sql);
        }
    }

    static Object results(Statement s, boolean first) throws SQLException {
        List<Object> all = new ArrayList<>();
        for (boolean more = first; ; more = s.getMoreResults()) {
            if (more) {
                all.add(rows(s.getResultSet()));
            } else if (s.getUpdateCount() >= 0) {
                all.add(s.getUpdateCount());
            } else {
                return all;
            }
        }
    }

    static void battery(String mode, String options) throws Exception {
        Connection c = connect(SCHEMA, options);
        section(mode.equals("text") ? "types" : "prepared");
        update(c, "DROP TABLE IF EXISTS t");
        update(c, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50), price DECIMAL(20,6), seen DATETIME(6),"
            + " day DATE, span TIME(3), raw BLOB, big BIGINT UNSIGNED, ratio DOUBLE, small FLOAT, kind ENUM('a','b'), doc JSON,"
            + " tiny TINYINT(1), stamp TIMESTAMP NULL)");
        String insert = "INSERT INTO t (name, price, seen, day, span, raw, big, ratio, small, kind, doc, tiny, stamp) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)";
        Object[] values = {"zebra 🦓 ü", new BigDecimal("12345678901234.567890"), Timestamp.valueOf("2024-02-29 23:59:59.123456"),
            java.sql.Date.valueOf("1999-12-31"), Time.valueOf("11:22:33"), new byte[] {0, 1, -1, 39, 92}, new BigDecimal("18446744073709551615"),
            1.5e-300, 0.25f, "b", "{\"a\": 1}", true, Timestamp.valueOf("2001-01-01 00:00:00")};
        attempt(mode + " insert", () -> {
            try (PreparedStatement s = c.prepareStatement(insert, Statement.RETURN_GENERATED_KEYS)) {
                for (int i = 0; i < values.length; i++) s.setObject(i + 1, values[i]);
                int n = s.executeUpdate();
                String keys = rows(s.getGeneratedKeys());
                for (int i = 0; i < values.length; i++) s.setNull(i + 1, Types.VARCHAR);
                return n + " " + keys + " " + s.executeUpdate();
            }
        });
        attempt(mode + " batch", () -> {
            try (PreparedStatement s = c.prepareStatement("INSERT INTO t (name, tiny) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
                for (int n = 0; n < 20; n++) {
                    s.setString(1, "b" + n);
                    s.setInt(2, n);
                    s.addBatch();
                }
                return Arrays.toString(s.executeBatch()) + rows(s.getGeneratedKeys());
            }
        });
        attempt(mode + " rows", () -> query(c, "SELECT * FROM t WHERE id <= ? ORDER BY id", 2));
        attempt(mode + " text", () -> { try (Statement s = c.createStatement()) { return rows(s.executeQuery("SELECT * FROM t WHERE id <= 2")); } });
        attempt(mode + " same", () -> update(c, "UPDATE t SET name = name"));
        attempt(mode + " changed", () -> { try (Connection o = connect(SCHEMA, options + "&useAffectedRows=true")) { return update(o, "UPDATE t SET name = name"); } });
        section("transactions");
        attempt(mode + " transaction", () -> {
            c.setAutoCommit(false);
            update(c, "INSERT INTO t (name) VALUES ('tx')");
            Savepoint p = c.setSavepoint("one");
            update(c, "INSERT INTO t (name) VALUES ('tx')");
            c.rollback(p);
            String inside = query(c, "SELECT COUNT(*) FROM t WHERE name = ?", "tx");
            c.rollback();
            String after = query(c, "SELECT COUNT(*), @@autocommit FROM t WHERE name = ?", "tx");
            c.setAutoCommit(true);
            return inside + after + query(c, "SELECT @@autocommit");
        });
        attempt(mode + " isolation", () -> {
            c.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
            int level = c.getTransactionIsolation();
            c.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
            return level + " " + c.getTransactionIsolation();
        });
        attempt(mode + " read only", () -> { c.setReadOnly(true); boolean was = c.isReadOnly(); c.setReadOnly(false); return was; });
        section("session state");
        attempt(mode + " schema", () -> { c.setCatalog("information_schema"); String was = c.getCatalog(); c.setCatalog(SCHEMA); return was + c.getCatalog(); });
        attempt(mode + " metadata", () -> { DatabaseMetaData m = c.getMetaData(); return rows(m.getTables(SCHEMA, null, "%", null)) + rows(m.getPrimaryKeys(SCHEMA, null, "t")); });
        section("prepared");
        attempt(mode + " again", () -> {
            StringBuilder all = new StringBuilder();
            try (PreparedStatement s = c.prepareStatement("SELECT id, name FROM t WHERE id > ? ORDER BY id LIMIT 1")) {
                for (int n = 0; n < 4; n++) {
                    s.setInt(1, n);
                    all.append(rows(s.executeQuery()));
                    if (n == 1) update(c, "ALTER TABLE t ADD COLUMN extra INT DEFAULT 5");
                }
            }
            return all;
        });
        section("results");
        attempt(mode + " stream", () -> {
            try (Statement s = c.createStatement()) {
                s.setFetchSize(10);
                ResultSet r = s.executeQuery("WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n WHERE i < 900) SELECT a.i FROM n a JOIN n b ON b.i <= 50");
                long sum = 0;
                while (r.next()) sum += r.getInt(1);
                return sum;
            }
        });
        attempt(mode + " warnings", () -> { try (Statement s = c.createStatement()) { s.executeQuery("SELECT CAST('12x' AS SIGNED)"); SQLWarning w = s.getWarnings(); return w.getErrorCode() + w.getSQLState() + w.getMessage(); } });
        attempt(mode + " call", () -> {
            update(c, "DROP PROCEDURE IF EXISTS two");
            update(c, "CREATE PROCEDURE two(IN a INT, OUT b INT) BEGIN SELECT a; SELECT a + 1 AS c, 'y' AS d; SET b = a * 2; END");
            try (CallableStatement s = c.prepareCall("{call two(?, ?)}")) {
                s.setInt(1, 5);
                s.registerOutParameter(2, Types.INTEGER);
                Object all = results(s, s.execute());
                return all + " " + s.getInt(2);
            }
        });
        attempt(mode + " multi", () -> { try (Connection o = connect(SCHEMA, options + "&allowMultiQueries=true"); Statement s = o.createStatement()) { return results(s, s.execute("SELECT 1; UPDATE t SET tiny = 9; SELECT 'x' AS b")); } });
        attempt(mode + " goes on", () -> query(c, "SELECT 1"));
        section("session state");
        attempt(mode + " state", () -> { update(c, "SET @a = 4, SESSION sql_mode = 'ANSI_QUOTES'"); return query(c, "SELECT @a, \"id\" FROM t LIMIT 1"); });
        section("diagnostics");
        for (String sql : new String[] {"SELEC 1", "SELECT * FROM missing", "INSERT INTO t (id) VALUES (1)", "SELECT nope FROM t", "SELECT 1; SELECT 2",
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='own', MYSQL_ERRNO=3999"}) {
            attempt(mode + " error", () -> { try (PreparedStatement s = c.prepareStatement(sql)) { return s.execute(); } });
        }
        attempt(mode + " query timeout", () -> {
            try (Statement s = c.createStatement()) {
                s.setQueryTimeout(1);
                return rows(s.executeQuery("SELECT SLEEP(5) AS slept"));
            }
        });
        attempt(mode + " after the timeout", () -> query(c, "SELECT 'alive' AS a"));
        section("results");
        attempt(mode + " large", () -> { byte[] big = new byte[17 << 20]; Arrays.fill(big, (byte) 97); return query(c, "SELECT LENGTH(?) AS n", (Object) big); });
        attempt(mode + " valid", () -> c.isValid(2));
        attempt(mode + " abort", () -> { c.close(); return c.isClosed(); });
    }

    // In full: a server that does not know the password any more asks for it, and sends its public key to those who may ask for
    // it. A MariaDB has no such accounts.
    static void fullLogin() throws Exception {
        boolean mariaDb;
        try (Connection c = connect(SCHEMA, "allowPublicKeyRetrieval=true")) {
            update(c, "FLUSH PRIVILEGES");
            mariaDb = query(c, "SELECT VERSION() AS v").contains("MariaDB");
        }
        boolean inFull = System.getenv("MARKS") != null || !mariaDb;
        String url = "jdbc:mariadb://127.0.0.1:" + System.getenv("PORT") + "/?allowPublicKeyRetrieval=";
        for (boolean allowed : new boolean[] {false, true}) {
            attempt("full login, key " + allowed, () -> {
                try (Connection c = DriverManager.getConnection(url + allowed, "full_java", System.getenv("FULL_PASSWORD"))) {
                    String one = query(c, "SELECT 1 AS one");
                    return allowed ? one : "as it must be: " + !inFull;
                } catch (SQLException e) {
                    if (allowed) throw e;
                    return "as it must be: " + inFull;
                }
            });
        }
    }

    // What a pool does for each request: take a connection, see that it lives, begin, work, commit, give it back.
    static void pools(String options) throws Exception {
        Connection text = connect(SCHEMA, options), prepared = connect(SCHEMA, options + "&useServerPrepStmts=true");
        section("request cycle");
        for (int n = 0; n < 40; n++) {
            Connection c = n % 2 == 0 ? text : prepared;
            if (!c.isValid(1)) throw new SQLException("not valid");
            query(c, "SELECT name FROM t WHERE id = ?", n);
            c.setAutoCommit(false);
            try (PreparedStatement s = c.prepareStatement("INSERT INTO t (name) VALUES (?)")) {
                s.setString(1, "cycle " + n);
                s.executeUpdate();
            }
            c.commit();
            c.setAutoCommit(true);
        }
        text.close();
        prepared.close();
    }

    public static void main(String[] args) throws Exception {
        String tls = "useSsl=true&trustServerCertificate=true";
        try (Connection c = connect("", "allowPublicKeyRetrieval=true")) {
            update(c, "DROP DATABASE IF EXISTS " + SCHEMA);
            update(c, "CREATE DATABASE " + SCHEMA + " CHARACTER SET utf8mb4");
            show("no schema", query(c, "SELECT DATABASE() AS d"));
        }
        String plain = "allowPublicKeyRetrieval=true";
        section("connect");
        for (int n = 0; n < 10; n++) connect(SCHEMA, plain).close();
        battery("text", plain + "&useServerPrepStmts=false");
        battery("prepared", plain + "&useServerPrepStmts=true");
        section("login");
        for (String options : new String[] {tls, plain + "&useCompression=true", tls + "&useCompression=true", plain + "&sessionVariables=group_concat_max_len=7",
            plain + "&rewriteBatchedStatements=true", plain + "&connectionCollation=utf8mb4_bin", plain + "&useBulkStmts=true"}) {
            attempt(options, () -> { try (Connection c = connect(SCHEMA, options)) { return query(c, "SELECT @@group_concat_max_len g, REPEAT('a', 1000)"); } });
        }
        attempt("unknown schema", () -> connect("drivers_missing", plain));
        attempt("wrong password", () -> DriverManager.getConnection("jdbc:mariadb://127.0.0.1:" + System.getenv("PORT") + "/?" + plain, "app", "wrong"));
        fullLogin();
        attempt("many", () -> {
            int sum = 0;
            List<Connection> all = new ArrayList<>();
            for (int n = 0; n < 20; n++) all.add(connect(SCHEMA, plain));
            for (Connection c : all) try (PreparedStatement s = c.prepareStatement("SELECT ?")) { s.setInt(1, 2); ResultSet r = s.executeQuery(); r.next(); sum += r.getInt(1); }
            for (Connection c : all) c.close();
            return sum;
        });
        pools(plain);
        section("end");
        try (Connection c = connect("", plain)) {
            update(c, "DROP DATABASE " + SCHEMA);
        }
    }
}
