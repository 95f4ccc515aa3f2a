<?php
// PDO and mysqli (mysqlnd): one program, run direct and through the proxy; what it prints must be the same.

const SCHEMA = 'drivers_php';
$port = (int) getenv('PORT');
$user = getenv('DB_USER');
$password = getenv('DB_PASSWORD');
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
error_reporting(E_ALL & ~E_WARNING & ~E_DEPRECATED);

function show($name, $value)
{
    echo $name, ': ', str_replace("\n", ' ', var_export($value, true)), "\n";
}

// Begins a feature. Through the proxy, the metrics of this moment are kept beside its name.
function section($name)
{
    echo "== $name\n";
    if ($marks = getenv('MARKS')) {
        $metrics = file_get_contents('http://' . getenv('ADMIN') . '/metrics');
        file_put_contents($marks, "== $name\n$metrics", FILE_APPEND);
    }
}

function attempt($name, $action)
{
    try {
        show($name, $action());
    } catch (PDOException $e) {
        show($name, [$e->getCode(), $e->errorInfo, $e->getMessage()]);
    } catch (mysqli_sql_exception $e) {
        show($name, [$e->getCode(), $e->getSqlState(), $e->getMessage()]);
    } catch (Throwable $e) {
        show($name, [get_class($e), $e->getMessage()]);
    }
}

function pdo($changes = [], $schema = SCHEMA)
{
    global $port, $user, $password;
    $options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION] + $changes;
    $dsn = "mysql:host=127.0.0.1;port=$port;charset=utf8mb4" . ($schema ? ";dbname=$schema" : '');
    return new PDO($dsn, $user, $password, $options);
}

function columns($statement)
{
    $all = [];
    for ($i = 0; $i < $statement->columnCount(); $i++) {
        $all[] = $statement->getColumnMeta($i);
    }
    return $all;
}

$root = pdo([], null);
$root->exec('DROP DATABASE IF EXISTS ' . SCHEMA);
$root->exec('CREATE DATABASE ' . SCHEMA . ' CHARACTER SET utf8mb4');
attempt('no schema', fn () => $root->query('SELECT DATABASE()')->fetchAll());
section('connect');
for ($n = 0; $n < 10; $n++) {
    pdo();
}
section('types');
pdo()->exec("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50), price DECIMAL(20,6), seen DATETIME(6),
    day DATE, span TIME(3), raw BLOB, big BIGINT UNSIGNED, ratio DOUBLE, small FLOAT, flag BIT(9), kind ENUM('a','b'),
    doc JSON, year YEAR)");
$values = ['zebra 🦓 ü', '12345678901234.567890', '2024-02-29 23:59:59.123456', '1999-12-31', '-30:00:00.007', "\0\1\xFF'\\",
    '18446744073709551615', 1.5e-300, 0.25, 257, 'b', '{"a": [1, null]}', 2031];
$insert = 'INSERT INTO t (name, price, seen, day, span, raw, big, ratio, small, flag, kind, doc, year) VALUES (' .
    implode(',', array_fill(0, 13, '?')) . ')';

foreach (['emulated' => true, 'prepared' => false] as $mode => $emulate) {
    section($emulate ? 'types' : 'prepared');
    $c = pdo([PDO::ATTR_EMULATE_PREPARES => $emulate]);
    show("$mode server", explode('-', $c->getAttribute(PDO::ATTR_SERVER_VERSION))[0]);
    attempt("$mode insert", function () use ($c, $insert, $values) {
        $s = $c->prepare($insert);
        $s->execute($values);
        $first = [$s->rowCount(), $c->lastInsertId()];
        $s->execute(array_fill(0, 13, null));
        return [$first, $s->rowCount(), $c->lastInsertId()];
    });
    attempt("$mode rows", function () use ($c) {
        $s = $c->prepare('SELECT * FROM t WHERE id <= ? ORDER BY id');
        $s->execute([2]);
        return [columns($s), $s->fetchAll(PDO::FETCH_ASSOC)];
    });
    attempt("$mode named", function () use ($c) {
        $s = $c->prepare('SELECT :a AS a, :b + 1 AS b');
        $s->execute(['a' => 'x', 'b' => 4]);
        return $s->fetchAll(PDO::FETCH_NUM);
    });
    section('transactions');
    attempt("$mode transaction", function () use ($c) {
        $c->beginTransaction();
        $c->exec("UPDATE t SET name = 'tx'");
        $inside = $c->inTransaction();
        $c->rollBack();
        return [$inside, $c->inTransaction(), $c->query("SELECT COUNT(*) FROM t WHERE name = 'tx'")->fetchAll()];
    });
    attempt("$mode autocommit", function () use ($c) {
        $c->setAttribute(PDO::ATTR_AUTOCOMMIT, 0);
        $c->exec("INSERT INTO t (name) VALUES ('auto')");
        $c->rollBack();
        $c->setAttribute(PDO::ATTR_AUTOCOMMIT, 1);
        return $c->query("SELECT COUNT(*), @@autocommit FROM t WHERE name = 'auto'")->fetchAll(PDO::FETCH_NUM);
    });
    section('results');
    attempt("$mode results", function () use ($c) {
        $c->exec('DROP PROCEDURE IF EXISTS two');
        $c->exec("CREATE PROCEDURE two(IN a INT) BEGIN SELECT a; SELECT a + 1 AS b, 'y' AS c; END");
        $s = $c->prepare('CALL two(?)');
        $s->execute([5]);
        $all = [];
        do {
            $all[] = $s->columnCount() ? $s->fetchAll(PDO::FETCH_ASSOC) : null;
        } while ($s->nextRowset());
        return $all;
    });
    attempt("$mode multi", function () use ($c) {
        $s = $c->query("SELECT 1; INSERT INTO t (name) VALUES ('multi'); SELECT 2");
        $all = [];
        do {
            $all[] = $s->columnCount() ? $s->fetchAll(PDO::FETCH_NUM) : $s->rowCount();
        } while ($s->nextRowset());
        return $all;
    });
    section('diagnostics');
    foreach (['SELEC 1', 'SELECT * FROM missing', 'INSERT INTO t (id) VALUES (1)', 'USE missing', 'SELECT nope FROM t',
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='own', MYSQL_ERRNO=3999"] as $sql) {
        attempt("$mode error", fn () => $c->prepare($sql)->execute());
    }
    section('session state');
    attempt("$mode state", function () use ($c) {
        $c->exec("SET @a = 5, SESSION sql_mode = 'ANSI_QUOTES'");
        return $c->query('SELECT @a, "id", @@sql_mode FROM t LIMIT 1')->fetchAll(PDO::FETCH_NUM);
    });
    attempt("$mode warnings", function () use ($c) {
        $c->query("SELECT CAST('12x' AS SIGNED)")->fetchAll();
        return $c->query('SHOW WARNINGS')->fetchAll(PDO::FETCH_NUM);
    });
}
section('results');
attempt('found rows', fn () => pdo([PDO::MYSQL_ATTR_FOUND_ROWS => true])->exec('UPDATE t SET name = name'));
attempt('changed rows', fn () => pdo()->exec('UPDATE t SET name = name'));
attempt('unbuffered', function () {
    $c = pdo([PDO::MYSQL_ATTR_USE_BUFFERED_QUERY => false]);
    $sum = 0;
    foreach ($c->query('WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n WHERE i < 900) SELECT a.i FROM n a JOIN n b ON b.i <= 100') as $row) {
        $sum += $row[0];
    }
    return $sum;
});
attempt('large', fn () => strlen(pdo()->query("SELECT REPEAT('y', 17 << 20)")->fetchColumn()));
attempt('persistent', function () {
    for ($i = 0; $i < 3; $i++) {
        $c = pdo([PDO::ATTR_PERSISTENT => true]);
        $all[] = $c->query('SELECT @p')->fetchColumn();
        $c = null;
    }
    return $all;
});
section('login');
attempt('init command', fn () => pdo([PDO::MYSQL_ATTR_INIT_COMMAND => "SET time_zone = '+02:00'"])->query('SELECT @@time_zone')->fetchColumn());
attempt('tls', fn () => pdo([PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => false, PDO::MYSQL_ATTR_SSL_CIPHER => 'DEFAULT'])->query('SELECT 1')->fetchAll());
attempt('compressed', fn () => strlen(pdo([PDO::MYSQL_ATTR_COMPRESS => true])->query("SELECT REPEAT('z', 300000)")->fetchColumn()));
attempt('unknown schema', fn () => pdo([], 'drivers_missing'));
attempt('wrong password', fn () => new PDO("mysql:host=127.0.0.1;port=$port", $user, 'wrong'));
attempt('unknown user', fn () => new PDO("mysql:host=127.0.0.1;port=$port", 'nobody_here', 'wrong'));
attempt('socket', fn () => (new PDO('mysql:unix_socket=' . getenv('SOCKET'), $user, $password))->query('SELECT 1')->fetchAll());

// mysqli
section('types');
$m = new mysqli('127.0.0.1', $user, $password, SCHEMA, $port);
show('mysqli', [$m->character_set_name(), $m->protocol_version]);
attempt('set_charset', fn () => [$m->set_charset('utf8mb4'), $m->query("SELECT @@collation_connection, '🦓'")->fetch_all()]);
attempt('fields', fn () => array_map(fn ($f) => (array) $f, $m->query('SELECT * FROM t LIMIT 1')->fetch_fields()));
attempt('affected', fn () => [$m->query("UPDATE t SET kind = 'a'"), $m->affected_rows, $m->info, $m->insert_id, $m->warning_count]);
section('prepared');
attempt('bind', function () use ($m) {
    $s = $m->prepare('SELECT id, name, price, seen, raw FROM t WHERE id > ? AND name <> ? ORDER BY id LIMIT 3');
    [$id, $name] = [0, 'nothing'];
    $s->bind_param('is', $id, $name);
    $s->execute();
    $all[] = $s->get_result()->fetch_all();
    $id = 1;
    $s->execute();
    $s->store_result();
    return [$all, $s->num_rows, $s->param_count];
});
attempt('cursor', function () use ($m) {
    $s = $m->prepare('SELECT id FROM t ORDER BY id LIMIT 4');
    $s->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
    $s->attr_set(MYSQLI_STMT_ATTR_PREFETCH_ROWS, 1);
    $s->execute();
    $s->bind_result($id);
    $all = [];
    while ($s->fetch()) {
        $all[] = $id;
    }
    return $all;
});
attempt('long data', function () use ($m) {
    $s = $m->prepare('SELECT LENGTH(?), ?');
    [$blob, $one] = [null, 1];
    $s->bind_param('bi', $blob, $one);
    $s->send_long_data(0, str_repeat('a', 100000));
    $s->send_long_data(0, str_repeat('b', 5));
    $s->execute();
    return $s->get_result()->fetch_all();
});
section('results');
attempt('multi_query', function () use ($m) {
    $m->multi_query('SELECT 1; SELECT * FROM missing; SELECT 2');
    $all = [];
    do {
        $all[] = $m->store_result()->fetch_all();
    } while ($m->more_results() && $m->next_result());
    return $all;
});
attempt('again', fn () => $m->query('SELECT 1; SELECT 2'));
section('session state');
attempt('change_user', fn () => [$m->change_user($user, $password, SCHEMA), $m->query('SELECT DATABASE(), @a')->fetch_all()]);
attempt('select_db', fn () => [$m->select_db('information_schema'), $m->query('SELECT DATABASE()')->fetch_all(), $m->select_db('missing')]);
attempt('ping', fn () => [$m->ping(), $m->query('SELECT 1')->fetch_all()]);
attempt('statistics', fn () => is_string($m->stat()) && str_contains($m->stat(), 'Uptime'));
attempt('savepoint', fn () => [$m->begin_transaction(MYSQLI_TRANS_START_READ_ONLY), $m->savepoint('s'), $m->release_savepoint('s'), $m->commit()]);
attempt('read only', fn () => [$m->begin_transaction(MYSQLI_TRANS_START_READ_ONLY), $m->query('DELETE FROM ' . SCHEMA . '.t')]);
attempt('rollback', fn () => $m->rollback());
attempt('async', function () use ($m) {
    $m->query('SELECT SLEEP(0.05), 7', MYSQLI_ASYNC);
    [$read, $error, $reject] = [[$m], [], []];
    mysqli_poll($read, $error, $reject, 5);
    return $m->reap_async_query()->fetch_all();
});
attempt('wrong', fn () => new mysqli('127.0.0.1', $user, 'wrong', SCHEMA, $port));
section('request cycle');
for ($n = 0; $n < 40; $n++) {
    $c = pdo([PDO::ATTR_EMULATE_PREPARES => $n % 2 == 0]);
    $c->prepare('SELECT name FROM t WHERE id = ?')->execute([$n]);
    $c->beginTransaction();
    $c->prepare('INSERT INTO t (name) VALUES (?)')->execute(["cycle $n"]);
    $c->commit();
}
section('end');
$root->exec('DROP DATABASE ' . SCHEMA);
