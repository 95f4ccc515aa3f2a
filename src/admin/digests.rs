//! `/digests`: statements by the time they took, as JSON. Texts are normalised: no literal is in them.

use serde::Serialize;

use crate::telemetry::DigestStatistics;

const TOP_DEFAULT: usize = 100;
const TOP_MAX: usize = 10_000;

/// One digest, with the names and units of `performance_schema` dashboards in mind.
#[derive(Serialize)]
struct Row<'a> {
    /// 16 hex digits.
    digest: String,
    text: &'a str,
    count: u64,
    errors: u64,
    time_sum_seconds: f64,
    time_average_seconds: f64,
    time_max_seconds: f64,
    first_seen_unix_seconds: f64,
    last_seen_unix_seconds: f64,
}

/// How many digests a query string asks for.
pub(super) fn top(query: Option<&str>) -> Result<usize, &'static str> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(TOP_DEFAULT) };
    query
        .strip_prefix("top=")
        .and_then(|number| number.parse().ok())
        .filter(|top| (1..=TOP_MAX).contains(top))
        .ok_or("the only parameter is top, from 1 to 10000\n")
}

pub(super) fn to_json(digests: &[(DigestStatistics, Box<str>)]) -> String {
    let rows: Vec<Row<'_>> = digests
        .iter()
        .map(|(seen, text)| Row {
            digest: format!("{:016x}", seen.hash),
            text,
            count: seen.count,
            errors: seen.errors,
            time_sum_seconds: seen.time_sum.as_secs_f64(),
            time_average_seconds: seen.time_sum.as_secs_f64() / seen.count.max(1) as f64,
            time_max_seconds: seen.time_max.as_secs_f64(),
            first_seen_unix_seconds: seen.first_seen.as_secs_f64(),
            last_seen_unix_seconds: seen.last_seen.as_secs_f64(),
        })
        .collect();
    serde_json::to_string(&serde_json::json!({ "digests": rows }))
        .expect("strings and finite numbers are JSON")
}
