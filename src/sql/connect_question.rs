//! What drivers ask when they connect, as far as the answer follows from the session's settings and from what its
//! server is started with.

use crate::sql::assignment::{Target, scoped_name};
use crate::sql::cursor::Cursor;
use crate::sql::literal::{Literal, literal};
use crate::sql::mode::LexMode;
use crate::sql::token::TokenKind;

/// Variables that a session has, and that change by a SET of its own alone.
const OF_SESSIONS: [&str; 39] = [
    "auto_increment_increment",
    "auto_increment_offset",
    "autocommit",
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "character_set_server",
    "collation_connection",
    "collation_server",
    "completion_type",
    "default_storage_engine",
    "div_precision_increment",
    "foreign_key_checks",
    "group_concat_max_len",
    "innodb_lock_wait_timeout",
    "interactive_timeout",
    "lc_messages",
    "lc_time_names",
    "lock_wait_timeout",
    "max_allowed_packet",
    "max_execution_time",
    "max_join_size",
    "max_statement_time",
    "net_buffer_length",
    "net_read_timeout",
    "net_write_timeout",
    "query_cache_type",
    "sql_auto_is_null",
    "sql_mode",
    "sql_safe_updates",
    "sql_select_limit",
    "storage_engine",
    "time_zone",
    "transaction_isolation",
    "transaction_read_only",
    "tx_isolation",
    "tx_read_only",
    "unique_checks",
    "wait_timeout",
];

/// Variables of the server that change seldom or only with its restart.
const OF_SERVERS: [&str; 15] = [
    "have_openssl",
    "have_ssl",
    "hostname",
    "init_connect",
    "license",
    "lower_case_file_system",
    "lower_case_table_names",
    "performance_schema",
    "query_cache_size",
    "socket",
    "system_time_zone",
    "version",
    "version_comment",
    "version_compile_machine",
    "version_compile_os",
];

/// Functions whose value follows from session and server.
const FUNCTIONS: [&str; 3] = ["DATABASE", "SCHEMA", "VERSION"];

/// Whether `text` is such a question and nothing else: `SELECT` of variables and functions that are known here, each
/// with an alias perhaps, or `SHOW VARIABLES LIKE` with the name of one.
#[must_use]
pub fn connect_question(text: &[u8], mode: LexMode) -> bool {
    let mut cursor = Cursor::applicable(text, mode);
    let asks = if cursor.take("SHOW") { shows(&mut cursor) } else { selects(&mut cursor) };
    while cursor.take_kind(TokenKind::Semicolon) {}
    asks && cursor.peek().kind == TokenKind::End && !cursor.bad
}

fn is_of_sessions(name: &str) -> bool {
    OF_SESSIONS.contains(&name)
}

fn is_of_servers(name: &str) -> bool {
    OF_SERVERS.contains(&name)
}

fn shows(cursor: &mut Cursor<'_>) -> bool {
    cursor.take_any(&["SESSION", "LOCAL"]);
    if !cursor.take("VARIABLES") || !cursor.take("LIKE") || cursor.peek().kind != TokenKind::Text {
        return false;
    }
    let token = cursor.next();
    let Some(Literal::Text(pattern)) = literal(cursor.text(), token.start..token.end, cursor.mode()) else {
        return false;
    };
    // An underscore stands for any letter, and no other variable is called like one of these otherwise.
    let name = String::from_utf8_lossy(&pattern).replace("\\_", "_").to_ascii_lowercase();
    // The server's own path is not told.
    name != "socket" && (is_of_sessions(&name) || is_of_servers(&name))
}

fn selects(cursor: &mut Cursor<'_>) -> bool {
    if !cursor.take("SELECT") {
        return false;
    }
    loop {
        if !column(cursor) {
            return false;
        }
        if !cursor.take_kind(TokenKind::Comma) {
            break;
        }
    }
    if !cursor.take("LIMIT") {
        return true;
    }
    let count = cursor.next();
    count.kind == TokenKind::Number && cursor.bytes(count) != b"0"
}

fn column(cursor: &mut Cursor<'_>) -> bool {
    let value =
        if cursor.peek().kind == TokenKind::SystemVariable { variable(cursor) } else { function(cursor) };
    value && alias(cursor)
}

fn variable(cursor: &mut Cursor<'_>) -> bool {
    cursor.next();
    let Some((scope, name)) = scoped_name(cursor) else { return false };
    let Ok(name) = String::from_utf8(name.to_ascii_lowercase()) else { return false };
    match scope {
        None | Some(Target::Session) => is_of_sessions(&name) || is_of_servers(&name),
        Some(_) => is_of_servers(&name),
    }
}

fn function(cursor: &mut Cursor<'_>) -> bool {
    FUNCTIONS.iter().any(|name| cursor.take(name))
        && cursor.take_kind(TokenKind::Open)
        && cursor.take_kind(TokenKind::Close)
}

/// `AS name`, or a name that cannot be a keyword.
fn alias(cursor: &mut Cursor<'_>) -> bool {
    let explicit = cursor.take("AS");
    let token = cursor.peek();
    match token.kind {
        TokenKind::Quoted | TokenKind::Text => drop(cursor.next()),
        TokenKind::Word if explicit => drop(cursor.next()),
        _ => return !explicit,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_questions_whose_answer_stays_are_known() {
        let check = |text: &str, expected: bool| {
            assert_eq!(connect_question(text.as_bytes(), LexMode::default()), expected, "{text}");
        };
        check(
            "/* mysql-connector-j */SELECT @@session.auto_increment_increment AS auto_increment_increment, @@license AS license",
            true,
        );
        check("SELECT @@max_allowed_packet,@@wait_timeout,@@socket", true);
        check("select @@version_comment limit 1", true);
        check("SELECT DATABASE(), VERSION() AS v", true);
        check("SELECT @@GLOBAL.version", true);
        check("SHOW VARIABLES LIKE 'lower_case_table_names'", true);
        check("SHOW SESSION VARIABLES LIKE 'sql\\_mode'", true);
        check("SHOW VARIABLES LIKE 'lower_case_%'", false);
        check("SHOW VARIABLES LIKE 'socket'", false);
        check("SHOW GLOBAL VARIABLES LIKE 'sql_mode'", false);
        check("SELECT @@global.wait_timeout", false);
        check("SELECT @@timestamp", false);
        check("SELECT @@gtid_executed", false);
        check("SELECT @@sql_mode FROM t", false);
        check("SELECT @@sql_mode LIMIT 0", false);
        check("SELECT @@sql_mode + 1", false);
        check("SELECT @@sql_mode; SELECT 1", false);
        check("SELECT @@sql_mode UNION SELECT 1", false);
        check("SELECT @@sql_mode INTO @a", false);
        check("SELECT DATABASE() IS NULL", false);
        check("SELECT 1", false);
    }
}
