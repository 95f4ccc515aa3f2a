//! Ending a statement before its end: the order for it, and the error that its client gets.

use std::sync::OnceLock;
use std::time::Duration;

use crate::backend::{BackendConn, Flavor};
use crate::engine::client::Client;
use crate::engine::relay::RelayError;
use crate::engine::relay::{Relay, Relaying};
use crate::protection::{Allowance, Refusal};
use crate::wire::{End, HEADER_BYTES, Header, OkPacket, StatusFlags, encode_err, frame};

/// How long a server may take to end a statement that it was told to end.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// What a reply may take, and what is to be known about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Rows, bytes, time.
    pub allowance: Allowance,
    /// Somebody wants to know how long the server takes.
    pub timed: bool,
    /// The statement may carry its limit of time to the server.
    pub limited: bool,
}

impl Relay {
    /// Of a reply that shares its connection nobody can say how long the server took.
    pub(crate) fn timed_if(mut self, alone: bool) -> Self {
        self.bounds.timed &= alone;
        self
    }

    /// A statement that is ended for its time gets a little longer to say so; a server that does not has failed.
    pub(crate) fn within_grace(mut self) -> Self {
        if let Some(time_max) = self.bounds.allowance.time_max {
            let patience = time_max + KILL_GRACE;
            let given = self.reply_timeout;
            self.reply_timeout = if given.is_zero() { patience } else { given.min(patience) };
        }
        self
    }
}

/// What a statement took too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Time, more than this.
    Time(Duration),
    /// Rows.
    Rows(u64),
    /// Bytes of its result.
    Bytes(u64),
}

/// Between the one who relays a reply and the one who can kill its statement: the first reason counts.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    why: OnceLock<Why>,
    session: u32,
    maria_db: bool,
}

impl Cut {
    /// For a statement of session `session` on a server of this flavor.
    pub(crate) fn new(session: u32, flavor: Flavor) -> Self {
        Self { why: OnceLock::new(), session, maria_db: flavor == Flavor::MariaDb }
    }

    /// The statement is to end.
    pub(crate) fn order(&self, why: Why) {
        self.why.get_or_init(|| why);
    }

    /// Whether it is to end.
    pub(crate) fn is_ordered(&self) -> bool {
        self.why.get().is_some()
    }

    /// The number and the payload of the ERR packet that stands for the rest of its reply.
    pub(crate) fn error(&self) -> (u16, Vec<u8>) {
        let refusal = match self.why.get().copied() {
            Some(Why::Time(max)) => Refusal::TooLong(max),
            Some(Why::Rows(max)) => Refusal::TooManyRows(max),
            Some(Why::Bytes(max)) => Refusal::TooManyBytes(max),
            None => Refusal::Killed,
        };
        let error = refusal.sql_error(self.session, self.maria_db);
        let mut payload = Vec::with_capacity(96);
        encode_err(&error, true, &mut payload);
        (error.code, payload)
    }
}

impl Relaying<'_> {
    /// The next row is one too many. What came before it is sent, the rest is dropped.
    pub(super) async fn cut_off(
        &mut self,
        conn: &mut BackendConn,
        client: &mut Client,
    ) -> Result<(), RelayError> {
        if self.done > 0 || !self.staged.is_empty() {
            self.flush(conn, client).await?;
        }
        let Allowance { rows_max, bytes_max, .. } = self.how.bounds.allowance;
        self.cut.order(if self.scanner.rows() >= rows_max {
            Why::Rows(rows_max)
        } else {
            Why::Bytes(bytes_max)
        });
        self.scanner.bound(u64::MAX, u64::MAX);
        self.rest = Some(self.scanner.take_sequence());
        self.how.infile = false;
        Ok(())
    }

    /// The end of a result of which the rest was dropped, or of a statement that was ended for its time: an error
    /// of ours stands in its place. Only what has no rows and succeeded nevertheless is told as it is: a write that
    /// was done is not called undone.
    pub(super) fn end_cut(
        &mut self,
        conn: &mut BackendConn,
        end: End,
        header: Header,
    ) -> Result<(), RelayError> {
        let whole = HEADER_BYTES + header.length;
        let packet = &conn.input().filled()[self.done..self.done + whole];
        let mut more = false;
        if matches!(end, End::Ok | End::Rows) {
            let ok = OkPacket::parse(&packet[HEADER_BYTES..])?;
            more = ok.status.has(StatusFlags::MORE_RESULTS);
            self.note(&ok, end == End::Rows)?;
        } else {
            self.outcome.status = conn.status.without(StatusFlags::MORE_RESULTS);
        }
        if self.rest.is_none() {
            self.stage(conn);
        } else {
            conn.input().consume(self.done);
            self.done = 0;
        }
        conn.input().consume(whole);
        if more {
            self.rest.get_or_insert_with(|| self.scanner.take_sequence());
            return Ok(());
        }
        let sequence = self.rest.take().unwrap_or_else(|| self.scanner.take_sequence());
        let (code, payload) = self.cut.error();
        let mut packet = Vec::with_capacity(payload.len() + HEADER_BYTES);
        frame(&mut packet, sequence, &payload);
        self.staged.push(&packet);
        (self.outcome.error, self.outcome.row_count) = (Some(code), -1);
        Ok(())
    }
}
