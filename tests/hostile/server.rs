//! A server that follows a script: proper enough for a proxy to use it, hostile where the script says so.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dazzle::wire::handshake::{Greeting, Scramble};
use dazzle::wire::{Capabilities, HEADER_BYTES, Header, OkPacket, StatusFlags, Writer, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// The statement that the script answers; everything else is answered properly.
pub(crate) const EVIL: &[u8] = b"SELECT 'evil'";

/// The write that [`Script::Parting`] answers.
pub(crate) const WRITE: &[u8] = b"INSERT INTO t VALUES (1)";

/// One step of a script.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// These bytes.
    Write(Vec<u8>),
    /// These bytes again and again, until the peer has had enough.
    Endless(Vec<u8>),
    /// These bytes so many times.
    Repeat(Vec<u8>, u64),
    /// Nothing, for longer than anybody waits.
    Stall,
    /// The same without reading anything.
    Sleep,
    /// The end of the connection.
    Close,
}

/// When the script is played.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// In place of the greeting.
    Greeting(Vec<Step>),
    /// In place of the answer to the login.
    Login(Vec<Step>),
    /// In place of the reply to the first question after the login.
    Questions(Vec<Step>),
    /// In place of the reply to [`EVIL`].
    Reply(Vec<Step>),
    /// After the reply to [`EVIL`], unasked.
    Unasked(Vec<Step>),
    /// In place of the reply to COM_STMT_PREPARE.
    Prepare(Vec<Step>),
    /// In place of the reply to [`WRITE`], once; everything afterwards is answered properly.
    Parting(Vec<Step>),
    /// So many executions of prepared statements find that they do not fit their tables any more (1615).
    Stale(u32),
    /// From the next command on nothing more is read than its header.
    Deaf,
    /// Never.
    Proper,
}

/// The server.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    open: Arc<AtomicUsize>,
    written: Arc<AtomicU64>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script::Proper));
        let open = Arc::new(AtomicUsize::new(0));
        let written = Arc::new(AtomicU64::new(0));
        let (scripts, count, repeated) = (Arc::clone(&script), Arc::clone(&open), Arc::clone(&written));
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let counted = Counted(Arc::clone(&count));
                let (script, written) = (Arc::clone(&scripts), Arc::clone(&repeated));
                tokio::spawn(async move {
                    let _counted = counted;
                    let status = StatusFlags::AUTOCOMMIT;
                    // The peer may go at any point.
                    let _ = Serving { stream, script, written, sequence: 0, status, prepared: 0 }.run().await;
                });
            }
        });
        Self { address, script, open, written, accepting }
    }

    /// From here on this script is played.
    pub(crate) fn play(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    /// Bytes that [`Step::Repeat`] has got rid of.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Connections that are open now.
    pub(crate) fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

struct Serving {
    stream: TcpStream,
    script: Arc<Mutex<Script>>,
    written: Arc<AtomicU64>,
    sequence: u8,
    status: StatusFlags,
    prepared: u32,
}

type Served = std::io::Result<()>;

impl Serving {
    fn script(&self) -> Script {
        self.script.lock().unwrap().clone()
    }

    async fn run(&mut self) -> Served {
        if let Script::Greeting(steps) = self.script() {
            return self.act(&steps, true).await;
        }
        let mut payload = Vec::new();
        Greeting {
            server_version: "8.0.36".into(),
            connection_id: 7,
            scramble: Scramble::from_bytes(*b"abcdefghijklmnopqrst"),
            capabilities: Capabilities(0xDFFF_F7FF & !0x0800),
            collation: 45,
            status: StatusFlags::AUTOCOMMIT,
            plugin: "mysql_native_password".into(),
        }
        .encode(&mut payload);
        self.send(&payload).await?;
        self.read().await?;
        if let Script::Login(steps) = self.script() {
            return self.act(&steps, true).await;
        }
        self.send(&ok()).await?;
        if let Script::Questions(steps) = self.script() {
            self.sequence = 0;
            self.read().await?;
            return self.act(&steps, true).await;
        }
        loop {
            self.sequence = 0;
            let command = self.read().await?;
            match (command.first(), self.script()) {
                (Some(0x01) | None, _) => return Ok(()),
                (Some(0x03), Script::Reply(steps)) if command[1..] == *EVIL => {
                    self.act(&steps, false).await?;
                }
                (Some(0x03), Script::Unasked(steps)) if command[1..] == *EVIL => {
                    self.unasked(&steps).await?;
                }
                (Some(0x16), Script::Prepare(steps)) => self.act(&steps, false).await?,
                // COM_STMT_CLOSE has no reply.
                (Some(0x19), _) => {}
                (Some(0x16), Script::Stale(_)) => {
                    self.prepared += 1;
                    self.send(&[&[0][..], &self.prepared.to_le_bytes(), &[0; 7]].concat()).await?;
                }
                (Some(0x17), Script::Stale(left)) if left > 0 => {
                    *self.script.lock().unwrap() = Script::Stale(left - 1);
                    self.send(b"\xff\x4f\x06#HY000Prepared statement needs to be re-prepared").await?;
                }
                (Some(0x03), Script::Parting(steps)) if command[1..] == *WRITE => {
                    *self.script.lock().unwrap() = Script::Proper;
                    return self.act(&steps, true).await;
                }
                (Some(0x03), _) if command[1..] == *b"BEGIN" => {
                    self.status = self.status.with(StatusFlags::IN_TRANS);
                    self.send(&ok_with(self.status)).await?;
                }
                (Some(0x03), _) => self.query(&String::from_utf8_lossy(&command[1..])).await?,
                _ => self.send(&ok()).await?,
            }
        }
    }

    async fn query(&mut self, sql: &str) -> Served {
        if !sql.starts_with("SELECT") {
            return self.send(&ok()).await;
        }
        let values: Vec<&str> = match sql {
            sql if sql.contains("COLLATIONS") => vec!["45", "utf8mb4_general_ci", "utf8mb4"],
            sql if sql.contains("@@") => {
                vec!["1", "utf8mb4", "utf8mb4", "utf8mb4_general_ci", "STRICT_TRANS_TABLES", "1073741824"]
            }
            _ => vec!["1"],
        };
        self.rows(&values).await
    }

    /// A proper reply and the first step in one write: they arrive together.
    async fn unasked(&mut self, steps: &[Step]) -> Served {
        let mut bytes = Vec::new();
        reply_with(&mut bytes, self.sequence, &["1"], self.status);
        let Some((Step::Write(first), rest)) = steps.split_first() else { panic!("something to say") };
        bytes.extend_from_slice(first);
        self.stream.write_all(&bytes).await?;
        self.act(rest, false).await
    }

    async fn rows(&mut self, values: &[&str]) -> Served {
        let mut bytes = Vec::new();
        reply_with(&mut bytes, self.sequence, values, self.status);
        self.stream.write_all(&bytes).await
    }

    async fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).await?;
        let header = Header::parse(&header).unwrap();
        if matches!(self.script(), Script::Deaf) {
            self.act(&[Step::Sleep], false).await?;
        }
        let mut payload = vec![0; header.length];
        self.stream.read_exact(&mut payload).await?;
        self.sequence = header.sequence.wrapping_add(1);
        Ok(payload)
    }

    async fn send(&mut self, payload: &[u8]) -> Served {
        let mut bytes = Vec::new();
        self.sequence = frame(&mut bytes, self.sequence, payload);
        self.stream.write_all(&bytes).await
    }

    /// Plays the script; `to_the_end`: the connection lasts until the peer closes it.
    async fn act(&mut self, steps: &[Step], to_the_end: bool) -> Served {
        for step in steps {
            match step {
                Step::Write(bytes) => self.stream.write_all(bytes).await?,
                Step::Endless(bytes) => loop {
                    self.stream.write_all(bytes).await?;
                },
                Step::Repeat(bytes, times) => {
                    for _ in 0..*times {
                        self.stream.write_all(bytes).await?;
                        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    }
                }
                Step::Stall => {
                    let gone = self.stream.read_u8();
                    tokio::select! { _ = gone => {}, () = sleep(Duration::from_secs(60)) => {} }
                }
                Step::Sleep => sleep(Duration::from_secs(60)).await,
                Step::Close => return self.stream.shutdown().await,
            }
        }
        while to_the_end && self.stream.read_u8().await.is_ok() {}
        Ok(())
    }
}

/// An OK payload.
pub(crate) fn ok() -> Vec<u8> {
    ok_with(StatusFlags::AUTOCOMMIT)
}

fn ok_with(status: StatusFlags) -> Vec<u8> {
    let mut payload = Vec::new();
    OkPacket { status, ..OkPacket::default() }.encode(0, &mut payload);
    payload
}

/// A column definition.
pub(crate) fn column() -> Vec<u8> {
    let mut definition = Vec::new();
    for text in [&b"def"[..], b"", b"", b"", b"c", b""] {
        definition.put_lenenc_bytes(text);
    }
    definition.extend_from_slice(&[0x0C, 45, 0, 0, 1, 0, 0, 0xFD, 0, 0, 0, 0, 0]);
    definition
}

/// Appends a result set of one row.
pub(crate) fn reply(out: &mut Vec<u8>, sequence: u8, values: &[&str]) {
    reply_with(out, sequence, values, StatusFlags::AUTOCOMMIT);
}

fn reply_with(out: &mut Vec<u8>, mut sequence: u8, values: &[&str], status: StatusFlags) {
    sequence = frame(out, sequence, &[values.len() as u8]);
    for _ in values {
        sequence = frame(out, sequence, &column());
    }
    let mut row = Vec::new();
    values.iter().for_each(|value| row.put_lenenc_bytes(value.as_bytes()));
    sequence = frame(out, sequence, &row);
    let mut end = Vec::new();
    OkPacket { status, ..OkPacket::default() }.encode(0xFE, &mut end);
    frame(out, sequence, &end);
}
