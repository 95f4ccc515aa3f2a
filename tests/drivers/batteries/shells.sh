#!/usr/bin/env bash
# The shells and the dump programs of both makers: one script, run direct and through the proxy.
#
#   shells.sh mariadb|mysql     whose programs
set -uo pipefail

maker=$1
case "$maker" in
  mariadb) shell=(mariadb) dump=(mariadb-dump --skip-dump-date --skip-comments) ;;
  mysql) shell=("$MYSQL_PROGRAMS/mysql") dump=("$MYSQL_PROGRAMS/mysqldump" --skip-dump-date --skip-comments --column-statistics=0) ;;
esac
schema="drivers_shells"
work=$(mktemp -u)
login=(--no-defaults --host=127.0.0.1 --port="$PORT" --user="$DB_USER" --default-character-set=utf8mb4)
export MYSQL_PWD=$DB_PASSWORD

section() {
  echo "== $1"
  if [ -n "${MARKS:-}" ]; then { echo "== $1"; curl -s "http://$ADMIN/metrics"; } >>"$MARKS"; fi
}
# What a program says, without what is never the same twice.
tell() { sed -E "s/$PORT/PORT/g; s/\([0-9.]+ sec\)/(TIME)/; s/^(Connection id:).*/\1/; s/^(Uptime|Threads):.*//; s/^(UNIX socket|SSL):.*//"; }
ask() { printf '%s\n' "$1" | "${shell[@]}" "${login[@]}" "${@:2}" 2>&1 | tell; }

ask "DROP DATABASE IF EXISTS $schema; CREATE DATABASE $schema CHARACTER SET utf8mb4"

section "connect"
for _ in 1 2 3 4 5 6 7 8 9 10; do ask "" "$schema"; done

section "types"
ask "
CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50), price DECIMAL(20,6), seen DATETIME(6), day DATE, span TIME(3),
  raw BLOB, big BIGINT UNSIGNED, ratio DOUBLE, flag BIT(9), kind ENUM('a','b'), doc JSON, year YEAR, stamp TIMESTAMP NULL) COMMENT 'ü';
INSERT INTO t (name, price, seen, day, span, raw, big, ratio, flag, kind, doc, year, stamp) VALUES
  ('zebra 🦓 ü', 12345678901234.567890, '2024-02-29 23:59:59.123456', '1999-12-31', '-30:00:00.007', x'00ff275c0a', 18446744073709551615,
   1.5e-300, b'100000001', 'b', '{\"a\": [1, null]}', 2031, '2001-01-01'), (NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO t (name) SELECT CONCAT('n', id) FROM t; INSERT INTO t (name) SELECT CONCAT('m', id) FROM t; SELECT * FROM t" "$schema" -vvv
for form in --table --vertical --xml --html --batch --column-type-info; do
  echo "# $form"
  ask "SELECT * FROM t WHERE id <= 2; SELECT COUNT(*) FROM t" "$schema" "$form"
done

section "session state"
ask "SET @a = 5; SELECT @a; USE information_schema; SELECT DATABASE(); USE $schema; SET NAMES latin1; SELECT @@character_set_client;
SET sql_mode = 'ANSI_QUOTES'; SELECT \"id\" FROM t LIMIT 1; SELECT @a, @@sql_mode; SET autocommit = 0; DELETE FROM t; ROLLBACK; SELECT COUNT(*) FROM t" "$schema"
ask "status" "$schema" | grep -vE "^(Server version|Protocol version)|Ver "
ask "help SELECT" "$schema" | head -n 3
ask "\\! echo shelled" "$schema"

section "diagnostics"
ask "SELECT CAST('12x' AS SIGNED); SHOW WARNINGS; DROP TABLE IF EXISTS nothing; SHOW COUNT(*) WARNINGS; SELECT 1/0;" "$schema" --show-warnings
ask "SELEC 1; SELECT * FROM missing; INSERT INTO t (id) VALUES (1); USE missing; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'own'; SELECT 'goes on'" "$schema" --force

section "results"
ask "DELIMITER //
CREATE PROCEDURE two(IN a INT, OUT b INT) BEGIN SELECT a; SELECT a + 1 AS c; SET b = a * 2; END//
CREATE FUNCTION twice(a INT) RETURNS INT DETERMINISTIC RETURN a * 2//
CREATE TRIGGER changed BEFORE UPDATE ON t FOR EACH ROW SET NEW.year = 2000//
DELIMITER ;
CALL two(4, @out); SELECT @out, twice(21); CREATE VIEW v AS SELECT id, name FROM t WHERE id < 3; SELECT * FROM v;
SOURCE /dev/null" "$schema"
printf 'one\ttwo\n"three"\tü\n' >"$work.tsv"
ask "CREATE TABLE l (a VARCHAR(10), b VARCHAR(10)); LOAD DATA LOCAL INFILE '$work.tsv' INTO TABLE l; SELECT * FROM l" "$schema" --local-infile=1 -vv | sed "s#$work#WORK#"
ask "LOAD DATA LOCAL INFILE '$work.tsv' INTO TABLE l" "$schema" --local-infile=0 | sed "s#$work#WORK#"
ask "WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i+1 FROM n WHERE i < 900) SELECT a.i, REPEAT('x', 50) x FROM n a JOIN n b ON b.i <= 30" "$schema" --quick --batch | cksum

section "dump"
copy="${schema}_copy"
dumped() { "${dump[@]}" "${login[@]}" "$@" 2>&1 | tell; }
for options in "" "--single-transaction --quick" "--skip-opt --hex-blob --complete-insert" "--lock-all-tables --routines --triggers --events" "--no-data --xml" "--tz-utc --where=id<3"; do
  echo "# $options"
  # shellcheck disable=SC2086
  dumped $options "$schema" | cksum
done
ask "DROP DATABASE IF EXISTS $copy; CREATE DATABASE $copy CHARACTER SET utf8mb4"
dumped --single-transaction --routines --triggers --hex-blob "$schema" | sed 's/DEFINER=[^ *]*//' >"$work.sql"
grep -c . "$work.sql"
"${shell[@]}" "${login[@]}" "$copy" <"$work.sql" 2>&1 | tell
ask "SELECT * FROM t; SELECT * FROM l; SELECT * FROM v; SELECT twice(4); CHECKSUM TABLE t, $schema.t" "$copy"
dumped --routines --triggers --hex-blob "$copy" | sed "s/DEFINER=[^ *]*//; s/$copy/$schema/g" | cksum
dumped --databases "$schema" "$copy" | grep -c 'CREATE DATABASE'
dumped missing_schema | head -n 3
ask "DROP DATABASE $copy"

section "login"
ask "SELECT 1" drivers_missing
printf 'SELECT 1' | MYSQL_PWD=wrong "${shell[@]}" "${login[@]}" 2>&1 | tell
ask "SELECT REPEAT('z', 300000)" "$schema" --compress | cksum
printf 'SELECT 1' | "${shell[@]}" --no-defaults --socket="$SOCKET" --user="$DB_USER" 2>&1 | tell
ask "SHOW STATUS LIKE 'Ssl_version'" "$schema" --ssl$([ "$maker" = mysql ] && echo -mode=REQUIRED) $([ "$maker" = mariadb ] && echo --skip-ssl-verify-server-cert)
ask "SET @i = 1" "$schema" --init-command="SELECT 'init'"

# In full: a server that does not know the password any more asks for it, by its public key, which MySQL's own programs ask for
# only if they may. A MariaDB has no such accounts.
ask "FLUSH PRIVILEGES"
full=(--no-defaults --host=127.0.0.1 --port="$PORT" --user="full_$maker")
case "$maker" in
  mariadb) ways=(--skip-ssl) ;;
  mysql) ways=("--ssl-mode=DISABLED" "--ssl-mode=DISABLED --get-server-public-key") ;;
esac
for way in "${ways[@]}"; do
  # shellcheck disable=SC2086
  printf 'SELECT 1' | MYSQL_PWD=$FULL_PASSWORD "${shell[@]}" "${full[@]}" $way 2>&1 | tell
done

section "request cycle"
for n in 1 2 3 4 5; do ask "SELECT name FROM t WHERE id = $n; INSERT INTO t (name) VALUES ('cycle'); SELECT COUNT(*) FROM t" "$schema"; done
section "end"
ask "DROP DATABASE $schema"
rm -f "$work.tsv" "$work.sql"
