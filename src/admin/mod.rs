//! The operators' HTTP port: metrics, health, readiness, digest statistics. It reads snapshots and
//! changes nothing.

mod digests;
mod listener;
mod pins;
mod readiness;
pub mod systemd;

pub use readiness::{Lifecycle, Readiness, Reasons};

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::admin::listener::BoundedListener;
use crate::telemetry::{self, Telemetry};

const INDEX: &str = include_str!("index.html");
const JSON: &str = "application/json";

/// What the pages are made of.
#[derive(Debug)]
pub struct AdminState {
    /// Metrics and digests.
    pub telemetry: Arc<Telemetry>,
    /// Whether the process takes clients.
    pub readiness: Arc<Readiness>,
}

/// Answers HTTP requests on `listener` until `stop` becomes true (or its sender is gone) and the
/// requests in progress have ended; each has a deadline of ten seconds, so that is soon.
///
/// Run it beside the workers, not on one of them: a scrape takes about a millisecond.
pub async fn serve(
    listener: TcpListener,
    state: Arc<AdminState>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let stopped = async move {
        // An error says that the sender is gone, which is a stop as well.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(BoundedListener::new(listener), router(state)).with_graceful_shutdown(stopped).await
}

fn router(state: Arc<AdminState>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/digests", get(digests))
        .route("/pins", get(pins))
        .layer(middleware::map_response(one_request_a_connection))
        .with_state(state)
}

/// A connection has one deadline from accept to close, so it carries one request.
async fn one_request_a_connection(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn index() -> Response {
    let policy = [(CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'")];
    (policy, Html(INDEX)).into_response()
}

async fn metrics(State(state): State<Arc<AdminState>>) -> Response {
    ([(CONTENT_TYPE, telemetry::CONTENT_TYPE)], state.telemetry.render()).into_response()
}

/// The process is alive: it answers.
async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(state): State<Arc<AdminState>>) -> Response {
    let report = state.readiness.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CONTENT_TYPE, JSON)], report.to_json()).into_response()
}

async fn pins(State(state): State<Arc<AdminState>>) -> Response {
    ([(CONTENT_TYPE, JSON)], pins::to_json(state.telemetry.pins())).into_response()
}

async fn digests(State(state): State<Arc<AdminState>>, RawQuery(query): RawQuery) -> Response {
    match digests::top(query.as_deref()) {
        Ok(top) => ([(CONTENT_TYPE, JSON)], digests::to_json(&state.telemetry.digests(top))).into_response(),
        Err(message) => (StatusCode::BAD_REQUEST, message).into_response(),
    }
}

#[cfg(test)]
mod tests;
