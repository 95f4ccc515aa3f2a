//! Answers to what proxies and drivers ask a server about itself.

use crate::replies::Reply;

/// System variables as a fresh MariaDB 10.11 session has them.
const VARIABLES: &[(&str, &str)] = &[
    ("autocommit", "1"),
    ("auto_increment_increment", "1"),
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_database", "utf8mb4"),
    ("character_set_results", "utf8mb4"),
    ("character_set_server", "utf8mb4"),
    ("collation_connection", "utf8mb4_general_ci"),
    ("collation_database", "utf8mb4_general_ci"),
    ("collation_server", "utf8mb4_general_ci"),
    ("foreign_key_checks", "1"),
    ("gtid_binlog_pos", ""),
    ("gtid_current_pos", ""),
    ("hostname", "bench"),
    ("init_connect", ""),
    ("innodb_read_only", "0"),
    ("interactive_timeout", "28800"),
    ("license", "GPL"),
    ("lower_case_table_names", "0"),
    ("max_allowed_packet", "67108864"),
    ("net_read_timeout", "30"),
    ("net_write_timeout", "60"),
    ("performance_schema", "0"),
    ("port", "3306"),
    ("protocol_version", "10"),
    ("read_only", "0"),
    ("server_id", "1"),
    ("session_track_schema", "1"),
    ("session_track_state_change", "0"),
    (
        "session_track_system_variables",
        "autocommit,character_set_client,character_set_connection,character_set_results,time_zone",
    ),
    ("session_track_transaction_info", "OFF"),
    ("socket", "/run/mysqld/mysqld.sock"),
    ("sql_mode", "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION"),
    ("sql_select_limit", "18446744073709551615"),
    ("system_time_zone", "UTC"),
    ("time_zone", "SYSTEM"),
    ("transaction_isolation", "REPEATABLE-READ"),
    ("transaction_read_only", "0"),
    ("tx_isolation", "REPEATABLE-READ"),
    ("tx_read_only", "0"),
    ("unique_checks", "1"),
    ("version", "10.11.14-MariaDB"),
    ("version_comment", "bench"),
    ("version_compile_machine", "x86_64"),
    ("version_compile_os", "Linux"),
    ("wait_timeout", "28800"),
];

/// Answers `SELECT @@a, @@session.b AS c, VERSION()`; false: the text is something else.
pub(crate) fn select(text: &str, reply: &mut Reply<'_>) -> bool {
    let Some(list) = strip_word(text, "SELECT") else { return false };
    let mut names = Vec::new();
    let mut values = Vec::new();
    for item in list.trim_end_matches([';', ' ']).split(',') {
        let item = item.trim();
        let (expression, name) = match item.to_ascii_lowercase().find(" as ") {
            Some(at) => (item[..at].trim(), item[at + 4..].trim().trim_matches(['`', '\'', '"'])),
            None => (item, item),
        };
        let Some(value) = evaluate(expression) else { return false };
        names.push(name);
        values.push(value);
    }
    reply.texts(&names, &[values]);
    true
}

/// Answers `SHOW VARIABLES`, with every variable: askers look for those they named.
pub(crate) fn show(text: &str, reply: &mut Reply<'_>) -> bool {
    let upper = text.to_ascii_uppercase();
    if !upper.starts_with("SHOW") || !upper.contains("VARIABLES") {
        return false;
    }
    let rows: Vec<Vec<&str>> = VARIABLES.iter().map(|(name, value)| vec![*name, *value]).collect();
    reply.texts(&["Variable_name", "Value"], &rows);
    true
}

fn evaluate(expression: &str) -> Option<&'static str> {
    let lower = expression.to_ascii_lowercase();
    if let Some(variable) = lower.strip_prefix("@@") {
        let name = variable.rsplit('.').next()?.trim_matches('`');
        return Some(VARIABLES.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
    }
    match lower.as_str() {
        "version()" => Some("10.11.14-MariaDB"),
        "database()" | "schema()" => Some("bench"),
        "current_user()" | "user()" => Some("bench@localhost"),
        "connection_id()" | "1" => Some("1"),
        _ => None,
    }
}

/// What follows the keyword `word` at the start of `text`.
pub(crate) fn strip_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    (head.eq_ignore_ascii_case(word) && !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        .then(|| rest.trim_start())
}
