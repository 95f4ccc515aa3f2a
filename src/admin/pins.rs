//! `/pins`: which sessions are kept on a server connection and why, and how often that happened, as JSON.

use serde::Serialize;

use crate::telemetry::PinTable;

/// One reason of one user, by the digest of the statement that pinned.
#[derive(Serialize)]
struct Row<'a> {
    reason: &'static str,
    user: &'a str,
    /// 16 hex digits.
    digest: String,
    text: &'a str,
    count: u64,
    time_sum_seconds: f64,
}

/// One session that is pinned now.
#[derive(Serialize)]
struct Pinned<'a> {
    session: u32,
    user: &'a str,
    reason: &'static str,
    /// 16 hex digits.
    digest: String,
    age_seconds: f64,
}

pub(super) fn to_json(table: &PinTable) -> String {
    let (statistics, current) = (table.statistics(), table.current());
    let pins: Vec<Row<'_>> = statistics
        .iter()
        .map(|row| Row {
            reason: row.reason.name(),
            user: &row.user,
            digest: format!("{:016x}", row.digest),
            text: &row.text,
            count: row.count,
            time_sum_seconds: row.time.as_secs_f64(),
        })
        .collect();
    let pinned: Vec<Pinned<'_>> = current
        .iter()
        .map(|row| Pinned {
            session: row.session,
            user: &row.user,
            reason: row.reason.name(),
            digest: format!("{:016x}", row.digest),
            age_seconds: row.age.as_secs_f64(),
        })
        .collect();
    serde_json::to_string(&serde_json::json!({ "pins": pins, "pinned": pinned }))
        .expect("strings and finite numbers are JSON")
}
