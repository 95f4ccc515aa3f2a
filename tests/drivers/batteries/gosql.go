// go-sql-driver/mysql: one program, run direct and through the proxy; what it prints must be the same.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

const schema = "drivers_gosql"

func open(changes func(*mysql.Config)) *sql.DB {
	config := mysql.NewConfig()
	config.User, config.Passwd = os.Getenv("DB_USER"), os.Getenv("DB_PASSWORD")
	config.Net, config.Addr = "tcp", "127.0.0.1:"+os.Getenv("PORT")
	config.DBName = schema
	if changes != nil {
		changes(config)
	}
	db, err := sql.Open("mysql", config.FormatDSN())
	if err != nil {
		panic(err)
	}
	return db
}

func show(name string, values ...interface{}) {
	fmt.Printf("%s: %q\n", name, fmt.Sprintf("%v", values))
}

// section begins a feature. Through the proxy, the metrics of this moment are kept beside its name.
func section(name string) {
	fmt.Printf("== %s\n", name)
	marks := os.Getenv("MARKS")
	if marks == "" {
		return
	}
	answer, err := http.Get("http://" + os.Getenv("ADMIN") + "/metrics")
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	file, err := os.OpenFile(marks, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	fmt.Fprintf(file, "== %s\n", name)
	io.Copy(file, answer.Body)
}

// failure prints what an application can tell errors apart by.
func failure(err error) string {
	if err == nil {
		return "ok"
	}
	if told, ok := err.(*mysql.MySQLError); ok {
		return fmt.Sprintf("error %d %s", told.Number, told.Message)
	}
	return fmt.Sprintf("%T %v", err, err)
}

type runner interface {
	QueryContext(context.Context, string, ...interface{}) (*sql.Rows, error)
	ExecContext(context.Context, string, ...interface{}) (sql.Result, error)
}

func query(name string, on runner, text string, args ...interface{}) {
	rows, err := on.QueryContext(context.Background(), text, args...)
	if err != nil {
		show(name, failure(err))
		return
	}
	defer rows.Close()
	for more := true; more; more = rows.NextResultSet() {
		types, _ := rows.ColumnTypes()
		for _, t := range types {
			length, hasLength := t.Length()
			precision, scale, hasScale := t.DecimalSize()
			nullable, _ := t.Nullable()
			show(name+" column", t.Name(), t.DatabaseTypeName(), length, hasLength, precision, scale, hasScale, nullable, t.ScanType())
		}
		for rows.Next() {
			values := make([]interface{}, len(types))
			targets := make([]interface{}, len(types))
			for i := range values {
				targets[i] = &values[i]
			}
			if err := rows.Scan(targets...); err != nil {
				show(name, failure(err))
			}
			for i, value := range values {
				if raw, ok := value.([]byte); ok {
					values[i] = string(raw)
				}
			}
			show(name, values...)
		}
	}
	show(name+" end", failure(rows.Err()))
}

func exec(name string, on runner, text string, args ...interface{}) {
	result, err := on.ExecContext(context.Background(), text, args...)
	if err != nil {
		show(name, failure(err))
		return
	}
	id, _ := result.LastInsertId()
	affected, _ := result.RowsAffected()
	show(name, id, affected)
}

func types(db *sql.DB) {
	exec("create", db, `CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50), price DECIMAL(20,6), seen DATETIME(6),
		day DATE, span TIME(3), raw BLOB, big BIGINT UNSIGNED, ratio DOUBLE, small FLOAT, flag BIT(9), kind ENUM('a','b'),
		doc JSON, year YEAR, tiny TINYINT(1), must INT NOT NULL DEFAULT 3)`)
	insert := "INSERT INTO t (name, price, seen, day, span, raw, big, ratio, small, flag, kind, doc, year, tiny) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
	when := time.Date(2024, 2, 29, 23, 59, 59, 123456000, time.UTC)
	exec("insert", db, insert, "zebra 🦓 ü", "12345678901234.567890", when, "1999-12-31", "-30:00:00.007", []byte{0, 1, 255, 39, 92},
		uint64(1<<63), 1.5e-300, float32(0.25), []byte{1, 1}, "b", `{"a": [1, null, "🦓"]}`, 2031, true)
	exec("insert nulls", db, insert, make([]interface{}, 14)...)
	query("text", db, "SELECT * FROM t")
	query("binary", db, "SELECT * FROM t WHERE id <= ?", 2)
	parsed := open(func(c *mysql.Config) { c.ParseTime = true; c.Loc = time.UTC })
	query("times", parsed, "SELECT seen, day FROM t WHERE id < ?", 2)
	parsed.Close()
	interpolated := open(func(c *mysql.Config) { c.InterpolateParams = true })
	query("interpolated", interpolated, "SELECT ?, ?, ?", 1, "a'b\\", []byte("x"))
	exec("same", db, "UPDATE t SET name = name")
	interpolated.Close()
	found := open(func(c *mysql.Config) { c.ClientFoundRows = true })
	exec("found", found, "UPDATE t SET name = name")
	found.Close()
}

func transactions(db *sql.DB) {
	ctx := context.Background()
	tx, err := db.BeginTx(ctx, nil)
	show("begin", failure(err))
	exec("in transaction", tx, "INSERT INTO t (name) VALUES (?)", "tx")
	query("outside", db, "SELECT COUNT(*) FROM t WHERE name = 'tx'")
	query("inside", tx, "SELECT COUNT(*) FROM t WHERE name = ?", "tx")
	show("rollback", failure(tx.Rollback()))
	query("after", db, "SELECT COUNT(*) FROM t WHERE name = 'tx'")
	for _, options := range []*sql.TxOptions{{ReadOnly: true}, {Isolation: sql.LevelSerializable}, {Isolation: sql.LevelReadCommitted}} {
		tx, err = db.BeginTx(ctx, options)
		show("begin", failure(err))
		exec("write", tx, "UPDATE t SET tiny = 0 WHERE id = 1")
		query("read", tx, "SELECT tiny FROM t WHERE id = 1")
		show("commit", failure(tx.Commit()))
	}
	one, _ := db.Conn(ctx)
	exec("set", one, "SET @a = 7, SESSION time_zone = '+05:00', autocommit = 0")
	exec("insert", one, "INSERT INTO t (name) VALUES ('open')")
	query("state", one, "SELECT @a, @@time_zone, @@autocommit, ? + 1", 1)
	exec("rollback", one, "ROLLBACK")
	query("none", one, "SELECT COUNT(*) FROM t WHERE name = 'open'")
	exec("set", one, "SET autocommit = 1, time_zone = DEFAULT")
	one.Close()
}

func statements(db *sql.DB) {
	statement, err := db.Prepare("SELECT id, name FROM t WHERE id > ? ORDER BY id LIMIT 1")
	show("prepare", failure(err))
	var group sync.WaitGroup
	var mutex sync.Mutex
	sum := 0
	for n := 0; n < 200; n++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			var id int
			var name sql.NullString
			err := statement.QueryRow(n%2).Scan(&id, &name)
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil || id != n%2+1 {
				show("statement", n, id, failure(err))
			}
			sum += id
		}(n)
	}
	group.Wait()
	show("concurrent", sum)
	exec("alter", db, "ALTER TABLE t ADD COLUMN extra INT DEFAULT 5")
	var id int
	var name sql.NullString
	show("after ALTER", failure(statement.QueryRow(0).Scan(&id, &name)), id, name.String)
	statement.Close()
	_, err = db.Prepare("SELECT nope FROM t WHERE id = ?")
	show("prepare error", failure(err))
	exec("execute error", db, "INSERT INTO t (id) VALUES (?)", 1)
	query("wrong count", db, "SELECT ?", 1, 2)
	big := strings.Repeat("x", 17<<20)
	wide := open(func(c *mysql.Config) { c.MaxAllowedPacket = 64 << 20 })
	var length int
	show("large", failure(wide.QueryRow("SELECT LENGTH(?)", big).Scan(&length)), length)
	var back string
	show("large back", failure(wide.QueryRow("SELECT REPEAT('y', ?)", 17<<20).Scan(&back)), len(back))
	wide.Close()
}

func results() {
	multi := open(func(c *mysql.Config) { c.MultiStatements = true })
	query("multi", multi, "SELECT 1 AS a; SELECT 'x' AS b, 2 AS c; SELECT NULL")
	exec("multi exec", multi, "INSERT INTO t (name) VALUES ('m1'); INSERT INTO t (name) VALUES ('m2')")
	exec("procedure", multi, "CREATE PROCEDURE two(IN a INT) BEGIN SELECT a; SELECT a + 1 AS b, 'y' AS c; END")
	query("call", multi, "CALL two(5)")
	query("call binary", multi, "CALL two(?)", 6)
	multi.Close()
	db := open(nil)
	query("multi refused", db, "SELECT 1; SELECT 2")
	rows, err := db.Query("WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n WHERE i < 900) SELECT a.i FROM n a JOIN n b ON b.i <= 100")
	show("stream", failure(err))
	sum := 0
	for rows.Next() {
		var i int
		rows.Scan(&i)
		sum += i
	}
	show("streamed", sum, failure(rows.Err()))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	_, err = db.ExecContext(ctx, "DO SLEEP(5)")
	show("cancelled", failure(err))
	cancel()
	query("goes on", db, "SELECT 1")
	db.Close()
}

func connecting() {
	ping := func(name string, changes func(*mysql.Config)) {
		db := open(changes)
		show(name, failure(db.Ping()))
		query(name, db, "SELECT DATABASE(), @@character_set_client, @@collation_connection")
		db.Close()
	}
	ping("plain", nil)
	ping("no schema", func(c *mysql.Config) { c.DBName = "" })
	ping("unknown schema", func(c *mysql.Config) { c.DBName = "drivers_missing" })
	ping("wrong password", func(c *mysql.Config) { c.Passwd = "wrong" })
	ping("unknown user", func(c *mysql.Config) { c.User = "nobody_here" })
	ping("tls", func(c *mysql.Config) { c.TLSConfig = "skip-verify" })
	ping("socket", func(c *mysql.Config) { c.Net = "unix"; c.Addr = os.Getenv("SOCKET") })
	ping("collation", func(c *mysql.Config) { c.Collation = "latin1_swedish_ci" })
	ping("parameters", func(c *mysql.Config) {
		c.Params = map[string]string{"charset": "utf8mb4", "sql_mode": "'ANSI_QUOTES'", "time_zone": "'+01:00'"}
	})
}

// fullLogin logs in where the server does not know the password any more: it asks for it, by its public key. With another
// key than the server's that fails. A MariaDB has no such accounts.
func fullLogin(db *sql.DB) {
	exec("flush", db, "FLUSH PRIVILEGES")
	var version string
	db.QueryRow("SELECT VERSION()").Scan(&version)
	native := os.Getenv("MARKS") == "" && strings.Contains(version, "MariaDB")
	wrong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	mysql.RegisterServerPubKey("wrong", &wrong.PublicKey)
	for _, key := range []string{"wrong", ""} {
		full := open(func(c *mysql.Config) {
			c.User, c.Passwd, c.DBName, c.ServerPubKey = "full_go", os.Getenv("FULL_PASSWORD"), "", key
		})
		err := full.Ping()
		if key == "wrong" {
			show("full login with another key", native || err != nil)
		} else {
			show("full login", failure(err))
			query("full login", full, "SELECT 1")
		}
		full.Close()
	}
}

func cycle(db *sql.DB, n int) {
	var name sql.NullString
	db.QueryRow("SELECT name FROM t WHERE id = ?", n).Scan(&name)
	tx, err := db.Begin()
	if err != nil {
		show("begin", failure(err))
		return
	}
	tx.Exec("INSERT INTO t (name) VALUES (?)", "cycle")
	if err := tx.Commit(); err != nil {
		show("commit", failure(err))
	}
}

func main() {
	mysql.SetLogger(silent{})
	first := open(func(c *mysql.Config) { c.DBName = "" })
	exec("drop", first, "DROP DATABASE IF EXISTS "+schema)
	exec("create", first, "CREATE DATABASE "+schema+" CHARACTER SET utf8mb4")
	first.Close()
	section("connect")
	for n := 0; n < 10; n++ {
		one := open(nil)
		show("ping", failure(one.Ping()))
		one.Close()
	}
	db := open(nil)
	db.SetMaxOpenConns(20)
	section("types")
	types(db)
	section("transactions")
	transactions(db)
	section("prepared")
	statements(db)
	section("results")
	results()
	section("diagnostics")
	for _, text := range []string{"SELEC 1", "SELECT * FROM missing", "INSERT INTO t (id) VALUES (1)", "USE missing",
		"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='own', MYSQL_ERRNO=3999"} {
		exec("error", db, text)
	}
	section("login")
	connecting()
	fullLogin(db)
	section("request cycle")
	for n := 0; n < 40; n++ {
		cycle(db, n)
	}
	section("end")
	exec("drop", db, "DROP DATABASE "+schema)
	db.Close()
}

type silent struct{}

func (silent) Print(...interface{}) {}
