//! The operators' HTTP port: metrics, health, readiness, digest statistics, protection, hot reads. It reads snapshots;
//! the one thing that it changes are switches, on behalf of this machine's own operators.

mod binlog;
mod cache;
mod digests;
mod listener;
mod pins;
mod protection;
mod readiness;
mod rules;
pub mod systemd;

pub use binlog::register_binlogs;
pub use cache::register_cache;
pub use protection::Controls;
pub use readiness::{Lifecycle, Readiness, Reasons};

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin::listener::BoundedListener;
use crate::cache::Cache;
use crate::engine::Fleet;
use crate::sharding::RuleSet;
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
    /// Doors, rules and switches.
    pub controls: Arc<Controls>,
    /// Results that are kept.
    pub cache: Arc<Cache>,
    /// The other processes that results are shared with.
    pub fleet: Arc<Fleet>,
    /// The sharding rules that statements go by now.
    pub rules: RunningRules,
}

/// The sharding rules of this moment.
pub struct RunningRules(pub Box<dyn Fn() -> RuleSet + Send + Sync>);

impl fmt::Debug for RunningRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunningRules")
    }
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
    let service = router(state).into_make_service_with_connect_info::<Peer>();
    axum::serve(BoundedListener::new(listener), service).with_graceful_shutdown(stopped).await
}

fn router(state: Arc<AdminState>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/digests", get(digests))
        .route("/pins", get(pins))
        .route("/protection", get(protection))
        .route("/cache", get(hot_reads))
        .route("/switches/{name}", post(switch_off).delete(switch_on))
        .route("/rules", get(running_rules))
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

async fn running_rules(State(state): State<Arc<AdminState>>) -> Response {
    ([(CONTENT_TYPE, JSON)], rules::to_json(&(state.rules.0)())).into_response()
}

async fn digests(State(state): State<Arc<AdminState>>, RawQuery(query): RawQuery) -> Response {
    match digests::top(query.as_deref()) {
        Ok(top) => ([(CONTENT_TYPE, JSON)], digests::to_json(&state.telemetry.digests(top))).into_response(),
        Err(message) => (StatusCode::BAD_REQUEST, message).into_response(),
    }
}

async fn protection(State(state): State<Arc<AdminState>>) -> Response {
    ([(CONTENT_TYPE, JSON)], state.controls.to_json()).into_response()
}

async fn hot_reads(State(state): State<Arc<AdminState>>) -> Response {
    ([(CONTENT_TYPE, JSON)], cache::to_json(&state.cache, &state.fleet, Instant::now())).into_response()
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, BoundedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Whether `peer` may change something: it is on this machine, and no page in a browser, which cannot send such a
/// header to another site.
fn may_change(peer: Peer, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
    if !peer.0.ip().to_canonical().is_loopback() {
        return Err((StatusCode::FORBIDDEN, "switches are turned from this machine only\n"));
    }
    if !headers.contains_key("x-dazzle-operator") {
        return Err((StatusCode::FORBIDDEN, "the header X-Dazzle-Operator is missing\n"));
    }
    Ok(())
}

async fn switch_off(
    State(state): State<Arc<AdminState>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = may_change(peer, &headers) {
        return refused.into_response();
    }
    match state.controls.switch(&name, query.as_deref().unwrap_or_default()) {
        Ok(()) => (StatusCode::OK, "off\n").into_response(),
        Err(message) => (StatusCode::BAD_REQUEST, format!("{message}\n")).into_response(),
    }
}

async fn switch_on(
    State(state): State<Arc<AdminState>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = may_change(peer, &headers) {
        return refused.into_response();
    }
    match state.controls.revert(&name) {
        Ok(()) => (StatusCode::OK, "on\n").into_response(),
        Err(error) => (StatusCode::NOT_FOUND, format!("{error}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests;
