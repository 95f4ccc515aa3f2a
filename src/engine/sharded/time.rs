//! One time for all slots that a statement is sent to: each server would tell its own.

use crate::backend::{BackendConn, BackendError};

/// Asks `conn` what time it is: what goes into a `SET timestamp`.
pub(crate) async fn now(conn: &mut BackendConn) -> Result<String, BackendError> {
    let rows = conn.ask("SELECT UNIX_TIMESTAMP(NOW(6))").await?;
    let now = rows.first().and_then(|row| row.first()).cloned().flatten().unwrap_or_default();
    let number = now.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') && !now.is_empty();
    Ok(if number { String::from_utf8_lossy(&now).into_owned() } else { "DEFAULT".to_owned() })
}

/// Statements on `conn` begin at this time from now on.
pub(crate) async fn stop(conn: &mut BackendConn, now: &str) -> Result<(), BackendError> {
    conn.ask(&format!("SET timestamp={now}")).await.map(|_| ())
}

/// The connection tells the time by its clock again; one that cannot be told so is closed.
pub(crate) async fn go_on(conn: &mut BackendConn) {
    if conn.ask("SET timestamp=DEFAULT").await.is_err() {
        conn.break_off();
    }
}
