//! The operators' port, asked by a raw TCP client.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::*;

struct Port {
    address: std::net::SocketAddr,
    state: Arc<AdminState>,
    stop: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
}

impl Port {
    async fn open() -> Self {
        let reasons: Reasons = Box::new(Vec::new);
        let cache = Arc::new(Cache::new(0, Instant::now()));
        let state = Arc::new(AdminState {
            telemetry: Arc::new(Telemetry::new(1)),
            readiness: Arc::new(Readiness::new(reasons)),
            controls: Arc::default(),
            cache: Arc::clone(&cache),
            fleet: Arc::new(Fleet::new(cache)),
            rules: RunningRules(Box::new(RuleSet::default)),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(serve(listener, Arc::clone(&state), stopped));
        Self { address, state, stop, server }
    }

    /// Sends `request` and reads until the port closes the connection.
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        let read = stream.read_to_string(&mut reply);
        timeout(Duration::from_secs(5), read).await.expect("the connection is closed").unwrap();
        reply
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: dazzle\r\n\r\n")).await
    }
}

fn body(reply: &str) -> &str {
    reply.split_once("\r\n\r\n").expect("a head and a body").1
}

#[tokio::test]
async fn each_page_answers_in_its_own_type() {
    let port = Port::open().await;
    for (path, content_type, part) in [
        ("/", "text/html", "/metrics"),
        ("/metrics", "application/openmetrics-text; version=1.0.0; charset=utf-8", "# EOF"),
        ("/healthz", "text/plain", "ok"),
        ("/digests", "application/json", "{\"digests\":[]}"),
        ("/rules", "application/json", "{\"rules\":[]}"),
        ("/pins", "application/json", "{\"pinned\":[],\"pins\":[]}"),
    ] {
        let reply = port.get(path).await;
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {reply}");
        assert!(reply.contains(&format!("content-type: {content_type}")), "{path}: {reply}");
        assert!(reply.contains("connection: close"), "{path}: {reply}");
        assert!(body(&reply).contains(part), "{path}: {reply}");
    }
}

#[tokio::test]
async fn readiness_follows_the_life_of_the_process() {
    let port = Port::open().await;
    for (lifecycle, status, part) in [
        (Lifecycle::Starting, "503", "\"reasons\":[\"starting\"]"),
        (Lifecycle::Serving, "200", "{\"ready\":true,\"lifecycle\":\"serving\",\"reasons\":[]}"),
        (Lifecycle::Draining, "503", "\"lifecycle\":\"draining\""),
    ] {
        port.state.readiness.set(lifecycle);
        let reply = port.get("/readyz").await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
        assert!(body(&reply).contains(part), "{reply}");
    }
}

#[tokio::test]
async fn reasons_keep_a_serving_process_unready() {
    let readiness = Readiness::new(Box::new(|| vec!["no primary for orders".into()]));
    readiness.set(Lifecycle::Serving);
    let report = readiness.report();
    assert!(!report.ready);
    assert!(report.to_json().contains("no primary for orders"));
}

#[tokio::test]
async fn digests_come_with_their_texts_by_time() {
    let port = Port::open().await;
    let worker = port.state.telemetry.worker(0);
    for (hash, text, seconds) in [(1, "SELECT ?", 1), (0xAB, "SELECT \"x\" FROM `t`", 2)] {
        let row = worker.digests.row(hash, text);
        worker.digests.record(row, Instant::now(), Duration::from_secs(seconds), false);
    }
    let reply = port.get("/digests?top=1").await;
    let json: serde_json::Value = serde_json::from_str(body(&reply)).unwrap();
    assert_eq!(json["digests"].as_array().unwrap().len(), 1);
    assert_eq!(json["digests"][0]["digest"], "00000000000000ab");
    assert_eq!(json["digests"][0]["text"], "SELECT \"x\" FROM `t`");
    assert_eq!(json["digests"][0]["time_sum_seconds"], 2.0);
}

#[tokio::test]
async fn what_is_no_page_is_refused() {
    let port = Port::open().await;
    for (request, status) in [
        ("GET /nothing HTTP/1.1\r\nHost: d\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n", "405"),
        ("GET /digests?top=0 HTTP/1.1\r\nHost: d\r\n\r\n", "400"),
        ("GET /digests?limit=5 HTTP/1.1\r\nHost: d\r\n\r\n", "400"),
        ("\x01\x02garbage\r\n\r\n", "400"),
    ] {
        let reply = port.ask(request).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {reply}");
    }
    assert!(port.get("/healthz").await.contains("200 OK"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_dropped_at_its_deadline() {
    let port = Port::open().await;
    let started = Instant::now();
    let mut silent = TcpStream::connect(port.address).await.unwrap();
    silent.write_all(b"GET /metr").await.unwrap();
    let read = silent.read(&mut [0; 1]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(started.elapsed() >= listener::DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn silent_clients_delay_others_by_one_deadline_at_most() {
    let port = Port::open().await;
    let mut silent = Vec::new();
    for _ in 0..listener::CONNECTIONS_MAX {
        silent.push(TcpStream::connect(port.address).await.unwrap());
    }
    let started = Instant::now();
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: d\r\n\r\n").await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    let waited = started.elapsed();
    assert!(waited >= listener::DEADLINE && waited < 2 * listener::DEADLINE, "{waited:?}");
}

#[tokio::test]
async fn a_stop_ends_the_port() {
    let port = Port::open().await;
    port.get("/healthz").await;
    port.stop.send(true).unwrap();
    let ended = timeout(Duration::from_secs(5), port.server).await.expect("the server ends");
    assert!(ended.unwrap().is_ok());
    assert!(TcpStream::connect(port.address).await.is_err());
}
