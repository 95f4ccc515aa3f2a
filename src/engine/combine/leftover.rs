//! Replies that nobody reads any more. They are read and dropped, so that their connection need not be replaced:
//! trains break up just when the server has enough to do without new logins.

use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use crate::backend::{BackendConn, ServerLease};
use crate::telemetry::spawn;
use crate::wire::{
    End, Event, HEADER_BYTES, Malformed, OkPacket, ReplyKind, ReplyScanner, StateChanges, StatusFlags,
    StreamError,
};

/// Statements that share a connection are quick: one that takes longer is worth less than a new connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a connection is closed nevertheless.
#[derive(Debug, thiserror::Error)]
enum Spoilt {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Its session is not what it was.
    #[error("a reply told of an error or a change")]
    Changed,
}

/// Drops the next `replies` on the connection, in a task of its own, then gives it back.
pub(crate) fn drop_replies(mut lease: ServerLease, replies: usize) {
    spawn("leftover replies", async move {
        match timeout(PATIENCE, read(&mut lease, replies)).await {
            Ok(Ok(status)) => lease.answered(status),
            Ok(Err(error)) => {
                debug!(%error, "connection with leftover replies closed");
                lease.close();
            }
            Err(_) => lease.close(),
        }
    });
}

/// The status that the last of them told.
async fn read(conn: &mut BackendConn, replies: usize) -> Result<StatusFlags, Spoilt> {
    let mut status = conn.status;
    for _ in 0..replies {
        status = read_one(conn).await?;
    }
    Ok(status)
}

async fn read_one(conn: &mut BackendConn) -> Result<StatusFlags, Spoilt> {
    let mut scanner = ReplyScanner::new(ReplyKind::Results, 1);
    loop {
        let (n, event) = scanner.scan(conn.input().filled_mut())?;
        conn.input().consume(n);
        match event {
            Event::More { wanted } => {
                if conn.stream.fill(wanted).await.map_err(StreamError::from)? == 0 {
                    return Err(StreamError::Closed.into());
                }
            }
            Event::Column => scanner.column_done(),
            Event::ColumnsEnd => {}
            Event::End { end: End::Rows, header, more: false } => {
                let whole = HEADER_BYTES + header.length;
                let ok = OkPacket::parse(&conn.input().filled()[HEADER_BYTES..whole])?;
                let status = ok.status;
                if StateChanges::new(ok.state).next().is_some() {
                    return Err(Spoilt::Changed);
                }
                conn.input().consume(whole);
                return Ok(status);
            }
            Event::End { .. } | Event::TooMuch => return Err(Spoilt::Changed),
        }
    }
}
