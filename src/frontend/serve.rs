//! The loop of a session: read a command, have it run, repeat.

use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use crate::engine::{ClientError, EngineError, Session, Shutdown};
use crate::error::{Blame, ProxyError, SqlError};
use crate::frontend::accept::{Frontend, admit_user};
use crate::frontend::candidate::{self, Identified};
use crate::frontend::limits::Counted;
use crate::frontend::login::{Claim, LoginError};
use crate::telemetry::{Activity, Kill, RateLimit, SessionGuard};
use crate::wire::handshake::{ChangeUser, Scramble};
use crate::wire::{
    Capabilities, Command, ErrPacket, HEADER_BYTES, Header, ReplyKind, StreamError, Writer, code,
};

/// How long a session that may be asked for warnings keeps its server connection.
const DIAGNOSTICS_LINGER: Duration = Duration::from_millis(20);

/// Commands other than statements are small: names, ids, flags, attributes.
const SMALL_COMMAND_MAX: usize = 128 << 10;

/// What a session needs of its surroundings.
pub(crate) struct Context {
    pub(crate) frontend: Frontend,
    pub(crate) counted: Counted,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) scramble: Scramble,
    /// Refused COM_CHANGE_USER, at most [`REFUSED_CHANGES_MAX`].
    pub(crate) refused_changes: u8,
}

/// MariaDB answers no more COM_CHANGE_USER after so many refused ones, so that nobody tries passwords on one connection
/// (MDEV-3915). A success does not start the count again.
const REFUSED_CHANGES_MAX: u8 = 3;

/// Serves the client until it leaves, is killed, or the process drains.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold each argument twice, for every idle client"
)]
pub(crate) fn run(mut session: Session, mut context: Context) -> impl Future<Output = ()> {
    async move {
        serve(&mut session, &mut context).await;
        // A client that left in the middle of a transaction must not leave it to the next one.
        Box::pin(session.end()).await;
        drop(context.counted);
    }
}

async fn serve(session: &mut Session, context: &mut Context) {
    let mut alarm = pin!(alarm(Arc::clone(&session.guard), context.frontend.engine.shutdown()));
    let mut armed = false;
    let mut stage = Shutdown::Not;
    loop {
        let now = context.frontend.engine.stage();
        if std::mem::take(&mut session.alarm_rung) || std::mem::replace(&mut stage, now) != now {
            alarm.set(self::alarm(Arc::clone(&session.guard), context.frontend.engine.shutdown()));
            armed = false;
        }
        if session.guard.take_kill() == Some(Kill::Connection) || must_end(session, context).await {
            break;
        }
        let header = match wait(session, alarm.as_mut(), &mut armed).await {
            Wake::Command(Ok(header)) => header,
            Wake::Command(Err(error)) => {
                Box::pin(say_goodbye(session, &error)).await;
                break;
            }
            Wake::Alarm => {
                alarm.set(self::alarm(Arc::clone(&session.guard), context.frontend.engine.shutdown()));
                armed = false;
                continue;
            }
            Wake::Linger => match Box::pin(session.save_diagnostics()).await {
                Ok(()) => continue,
                Err(_) => break,
            },
        };
        // A KILL that was answered before the command came: a server would not have read it any more.
        if session.guard.take_kill() == Some(Kill::Connection) {
            break;
        }
        let result = match dispatch(session, header, context).await {
            Ok(Next::Continue) => continue,
            Ok(Next::Quit) => break,
            Err(error) => Box::pin(answer(session, &error)).await,
        };
        if result.is_err() {
            break;
        }
    }
}

/// Whether the process is on its way out and this session with it; the client has then been told.
async fn must_end(session: &mut Session, context: &Context) -> bool {
    match context.frontend.engine.stage() {
        Shutdown::Not => return false,
        Shutdown::Draining if !session.is_outside_transaction() => return false,
        Shutdown::Draining | Shutdown::Immediate => {}
    }
    let error = SqlError::new(1053, "08S01", "Server shutdown in progress");
    session.client.stream.sequence = 0;
    let _ = Box::pin(session.client.send_error(&error)).await;
    true
}

/// Why a session stops waiting for the next command.
enum Wake {
    Command(Result<Header, ClientError>),
    Linger,
    Alarm,
}

/// Ready when the session was killed or the process has come a step nearer to its end.
async fn alarm(guard: Arc<SessionGuard>, mut shutdown: watch::Receiver<Shutdown>) {
    tokio::select! {
        _ = guard.killed() => {}
        _ = shutdown.changed() => {}
    }
}

/// Waits for the next command, an alarm, or the end of the linger.
///
/// The alarm is polled once and then only after a wake-up that brought no command: its waker is the
/// task's and stays registered across waits, which saves two locks per statement. What rings while a
/// statement runs is seen in the flags that [`run`] looks at before each wait.
async fn wait(
    session: &mut Session,
    mut alarm: Pin<&mut impl Future<Output = ()>>,
    armed: &mut bool,
) -> Wake {
    if session.holds_for_diagnostics() {
        return Box::pin(wait_lingering(session, alarm)).await;
    }
    let mut command = pin!(session.client.command_header());
    let mut woken = !std::mem::replace(armed, true);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(result) = command.as_mut().poll(cx) {
            return Poll::Ready(Wake::Command(result));
        }
        if std::mem::replace(&mut woken, true) {
            return alarm.as_mut().poll(cx).map(|()| Wake::Alarm);
        }
        Poll::Pending
    })
    .await
}

async fn wait_lingering(session: &mut Session, alarm: Pin<&mut impl Future<Output = ()>>) -> Wake {
    tokio::select! {
        biased;
        result = session.client.command_header() => Wake::Command(result),
        () = alarm => Wake::Alarm,
        () = tokio::time::sleep(DIAGNOSTICS_LINGER) => Wake::Linger,
    }
}

/// What the loop does after a command.
enum Next {
    Continue,
    Quit,
}

async fn dispatch(session: &mut Session, header: Header, context: &mut Context) -> Result<Next, EngineError> {
    session.client.need(HEADER_BYTES + header.length.min(1)).await?;
    session.client.stream.sequence = header.sequence.wrapping_add(1);
    let max = session.client.packet_bytes_max;
    if header.length as u64 > max {
        return Err(ClientError::from(StreamError::TooLarge(header.length as u64)).into());
    }
    let first = session.client.stream.input.filled().get(HEADER_BYTES).copied();
    match first.filter(|_| header.length > 0) {
        Some(code::QUERY) => Box::pin(session.query(header)).await?,
        Some(code::STMT_EXECUTE | code::STMT_BULK_EXECUTE) => Box::pin(session.execute(header)).await?,
        Some(code::STMT_SEND_LONG_DATA) => Box::pin(session.send_long_data(header)).await?,
        Some(code::STMT_PREPARE) => {
            let mut text = Box::pin(take_payload(session, header, max)).await?;
            text.remove(0);
            Box::pin(session.prepare(text)).await?;
        }
        _ => return Box::pin(dispatch_rare(session, header, context)).await,
    }
    Ok(Next::Continue)
}

/// Takes the whole command out of the client's input.
async fn take_payload(session: &mut Session, header: Header, max: u64) -> Result<Vec<u8>, EngineError> {
    session.client.stream.sequence = header.sequence;
    Ok(session.client.read_payload(max).await?)
}

async fn dispatch_rare(
    session: &mut Session,
    header: Header,
    context: &mut Context,
) -> Result<Next, EngineError> {
    session.guard.activity(Activity::Query, Instant::now());
    if header.length > SMALL_COMMAND_MAX {
        session.skip(header).await?;
        return Err(malformed());
    }
    session.client.need(HEADER_BYTES + header.length).await?;
    let payload = session.client.stream.input.filled()[HEADER_BYTES..HEADER_BYTES + header.length].to_vec();
    // Taken out of the input first: whatever becomes of the command, it is not read again.
    session.skip(header).await?;
    let command = match Command::parse(&payload) {
        Ok(command) => command,
        // It has no reply, not even to an error.
        Err(_) if payload.first() == Some(&code::STMT_CLOSE) => return Ok(Next::Continue),
        Err(_) if payload.is_empty() => return Err(unknown_command()),
        Err(_) => return Err(malformed()),
    };
    match command {
        Command::Quit => return Ok(Next::Quit),
        Command::Ping => session.ping().await?,
        Command::InitDb(schema) => session.init_db(schema.to_vec()).await?,
        Command::SetOption(option) => session.set_option(option).await?,
        Command::ResetConnection => session.reset_connection().await?,
        Command::StmtFetch { statement, .. } => session.fetch(&payload, statement).await?,
        Command::Statistics => session.pass_on(&payload, ReplyKind::Text).await?,
        Command::FieldList(_) => session.pass_on(&payload, ReplyKind::Rows).await?,
        Command::ProcessInfo => session.pass_on(&payload, ReplyKind::Results).await?,
        Command::Debug => session.pass_on(&payload, ReplyKind::Status).await?,
        Command::StmtClose(id) => session.close_statement(id),
        Command::StmtReset(id) => session.reset_statement(id).await?,
        Command::ChangeUser(body) => change_user(session, body, context).await?,
        Command::ProcessKill(id) => session.process_kill(id).await?,
        _ => return Err(unknown_command()),
    }
    Ok(Next::Continue)
}

fn unknown_command() -> EngineError {
    EngineError::refused(1047, "08S01", "Unknown command")
}

fn malformed() -> EngineError {
    EngineError::refused(1835, "HY000", "Malformed communication packet.")
}

/// COM_CHANGE_USER. A failure ends the connection, where it does so on the server.
async fn change_user(session: &mut Session, body: &[u8], context: &mut Context) -> Result<(), EngineError> {
    // The session is cleared before anybody looks at who asks.
    if context.refused_changes == REFUSED_CHANGES_MAX && session.remain().await? {
        return Err(unknown_command());
    }
    let change = ChangeUser::parse(body, session.client.capabilities).map_err(|_| malformed())?;
    let limit = context.frontend.engine.snapshot().config.timeouts.login;
    let host = context.peer.map_or_else(|| "localhost".to_owned(), |peer| peer.to_string());
    let claim = Claim {
        user: &change.user,
        host: &host,
        scramble: &context.scramble,
        plugin: change.plugin.as_deref(),
        response: &change.auth_response,
        capabilities: session.client.capabilities,
    };
    let secure = session.client.stream.socket().is_secure();
    let identified = candidate::identify(&mut session.client.stream, &context.frontend, claim);
    let Ok(identified) = timeout(limit, identified).await else {
        return Err(ClientError::ReadTimeout.into());
    };
    let admitted = identified.and_then(|identified| {
        admit_user(&identified.user, &mut context.counted, secure).map(|()| identified)
    });
    let Identified { user, expired } = match admitted {
        Ok(identified) => identified,
        Err(LoginError::Stream(error)) => return Err(ClientError::from(error).into()),
        Err(LoginError::Refused(error)) if session.remain().await? => {
            context.refused_changes += 1;
            return Err(EngineError::Refused(error));
        }
        Err(LoginError::Refused(error)) => {
            let _ = session.client.send_error(&error).await;
            return Err(ClientError::Stream(StreamError::Closed).into());
        }
    };
    let facts = crate::engine::server_facts(
        &user,
        context.frontend.worker.id,
        Instant::now() + user.pool.queue_timeout(),
    )
    .await?;
    let login = facts
        .login_image(change.collation.unwrap_or(0), None)
        .with_multi_statements(session.state.image.multi_statements());
    session.become_user(user, Arc::new(login)).await?;
    if session.client.capabilities.has(Capabilities::IGNORE_SPACE) && session.keeps_ignoring_space() {
        session.ignore_space();
    }
    let schema = change.database.or_else(|| session.user.settings.schema.clone());
    if expired {
        session.enter_sandbox(Instant::now()).await?;
    } else if let Some(schema) = schema {
        session.check_schema(schema.as_bytes(), Instant::now()).await?;
    }
    session.answer_ok().await
}

/// Tells the client what went wrong, if it can still be told; an error means that the session is over.
async fn answer(session: &mut Session, error: &EngineError) -> Result<(), ()> {
    report(error);
    if !error.session_survives() {
        if let Some(ClientError::Stream(broken)) = error.of_client()
            && broken.is_told()
        {
            // Not with a server connection in hand.
            Box::pin(session.end()).await;
            session.client.farewell(&error.sql_error()).await;
        } else if let EngineError::Expelled(told) = error {
            Box::pin(session.end()).await;
            session.client.farewell(told).await;
        }
        return Err(());
    }
    let sent = match error {
        // The server's own words: number, SQLSTATE, text.
        error if error.server_packet().is_some() => {
            let packet = error.server_packet().expect("asked just before");
            session.client.send_payload(&encode_server_error(packet)).await
        }
        error => {
            let told = error.sql_error();
            match error {
                EngineError::Refused(_) => {
                    // The connection is given back, but not in the middle of a transaction that an error has hidden.
                    let _ = session.make_certain().await;
                    session.note_refusal(&told);
                }
                EngineError::Torn(torn) => session.note_torn(&told, &torn.1),
                _ => {}
            }
            session.client.send_error(&told).await
        }
    };
    sent.map_err(|_| ())
}

fn encode_server_error(packet: &ErrPacket) -> Vec<u8> {
    let mut payload = vec![0xFF];
    payload.put_u16(packet.code);
    payload.push(b'#');
    payload.extend_from_slice(&packet.state);
    payload.extend_from_slice(&packet.message);
    payload
}

fn report(error: &EngineError) {
    static LIMIT: RateLimit = RateLimit::per_second();
    if error.blame() == Blame::Client {
        debug!(%error, "statement failed");
    } else if let Some(suppressed) = LIMIT.admit(Instant::now()) {
        warn!(%error, suppressed, "statement failed");
    }
}

/// The client fell silent, left, or sent something that is not a packet.
async fn say_goodbye(session: &mut Session, error: &ClientError) {
    let idle = session.client.idle_transaction_max.is_some();
    let told = match error {
        ClientError::ReadTimeout if idle => SqlError::new(
            4031,
            "HY000",
            "DZ0509 a transaction was open without a statement for longer than its rule allows; it is rolled back",
        ),
        error => error.sql_error(),
    };
    match error {
        ClientError::ReadTimeout if !idle && !session.tells_of_inactivity() => {}
        ClientError::ReadTimeout => {
            session.client.stream.sequence = 0;
            let _ = session.client.send_error(&told).await;
            let _ = session.client.stream.shutdown().await;
        }
        ClientError::Stream(broken) if broken.is_told() => {
            session.client.stream.sequence = 1;
            session.end().await;
            session.client.farewell(&told).await;
        }
        ClientError::Stream(_) | ClientError::WriteTimeout => {}
    }
}
