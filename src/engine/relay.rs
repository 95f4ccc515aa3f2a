//! Passing a reply on: as the server sent it where the client's capabilities allow, translated where
//! they do not, in bounded memory either way.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::{BackendConn, Flavor};
use crate::engine::client::{Client, Watch};
use crate::engine::cut::{Bounds, Cut};
pub use crate::engine::interruption::RelayError;
pub use crate::engine::outcome::Outcome;
use crate::engine::reports::{Circumstances, flag_columns, flags_of_plan, is_stale, rewrite};
use crate::engine::sharded::Renaming;
use crate::engine::streaming::{stream_file, write_server};
use crate::wire::{
    Buffer, Capabilities, END_BYTES_MAX, End, Event, HEADER_BYTES, Header, Malformed, OkPacket, PAYLOAD_MAX,
    ReplyKind, ReplyScanner, Socket, StateChange, StateChanges, StatusFlags, StreamError, encode_eof, frame,
};

/// A reply that might have to be withheld is held back up to this size.
const WITHHELD_BYTES_MAX: usize = 64 << 10;

/// Of a result that is looked at before its columns are passed on.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// How a reply is to be passed on.
#[derive(Clone, Debug)]
pub struct Relay {
    /// Its grammar.
    pub kind: ReplyKind,
    /// The client's statement asked for LOAD DATA LOCAL.
    pub infile: bool,
    /// The client's statement may leave the schema, be it to come back.
    pub moves: bool,
    /// It enters a schema, be it the same.
    pub enters: bool,
    /// The server leaves the schema and enters it again without saying so, and the client is to be told.
    pub returns: bool,
    /// The client asked for a cursor.
    pub cursor: bool,
    /// A prepared CALL: a result may be the procedure's OUT parameters.
    pub call: bool,
    /// Results that come at least, unless one is an error.
    pub results_min: usize,
    /// A server silent for this long has failed; zero: no limit.
    pub reply_timeout: Duration,
    /// Columns of a prepared statement as its client knows them: a result with more or fewer is flagged.
    pub columns: Option<u16>,
    /// A server that asks for the statement to be prepared again (1615) is told so once, not the client.
    pub prepares_again: bool,
    /// Other sessions' replies follow on the connection: one after which the client could ask for more is
    /// withheld.
    pub shared: bool,
    /// Column definitions and errors speak of the logical database.
    pub renaming: Option<Arc<Renaming>>,
    /// What it may take.
    pub bounds: Bounds,
}

/// Passes one reply on. Not cancel-safe: a drop midway leaves the connection busy, so that it is closed.
pub async fn relay(conn: &mut BackendConn, client: &mut Client, how: Relay) -> Result<Outcome, RelayError> {
    relay_until(conn, client, how, &Cut::default()).await
}

/// The same for a reply that may be cut off.
pub(crate) async fn relay_until(
    conn: &mut BackendConn,
    client: &mut Client,
    how: Relay,
    cut: &Cut,
) -> Result<Outcome, RelayError> {
    let scanner = ReplyScanner::new(how.kind, client.stream.sequence);
    client.owed.of_this_statement = how.returns;
    let Bounds { allowance, timed, .. } = how.bounds;
    let mut relaying = Relaying {
        scanner: if how.renaming.is_some() { scanner.columns_apart() } else { scanner },
        outcome: Outcome::default(),
        staged: Buffer::default(),
        done: 0,
        sent: false,
        how,
        translate: !client.capabilities.has(Capabilities::DEPRECATE_EOF),
        flagged: false,
        watch: Watch::default(),
        cut,
        began: timed.then(Instant::now),
        rest: None,
    };
    relaying.scanner.bound(allowance.rows_max, allowance.bytes_max);
    relaying.run(conn, client).await?;
    relaying.outcome.rows = relaying.scanner.rows();
    relaying.outcome.columns = relaying.scanner.columns();
    Ok(relaying.outcome)
}

/// One reply on its way.
pub(super) struct Relaying<'a> {
    pub(super) scanner: ReplyScanner,
    pub(super) outcome: Outcome,
    /// Packets that were changed or inserted, and what precedes them; written together.
    pub(super) staged: Buffer,
    /// Bytes at the front of the server's input that may be passed on.
    pub(super) done: usize,
    /// The client has been sent something.
    sent: bool,
    pub(super) how: Relay,
    /// The client does not know DEPRECATE_EOF.
    translate: bool,
    /// The EOF after the columns said already what the one at the end would.
    flagged: bool,
    watch: Watch,
    /// Whether, and why, the reply is not to go on.
    pub(super) cut: &'a Cut,
    /// When the command had been sent, until the first byte of the reply has come.
    began: Option<Instant>,
    /// What is left of the reply is dropped, and an error of this sequence id takes its place.
    pub(super) rest: Option<u8>,
}

impl Relaying<'_> {
    async fn run(&mut self, conn: &mut BackendConn, client: &mut Client) -> Result<(), RelayError> {
        loop {
            let (n, event) = self.scanner.scan(&mut conn.input().filled_mut()[self.done..])?;
            self.done += n;
            match event {
                Event::More { wanted } => {
                    // Small replies arrive whole and are written once; what is large flows in pieces.
                    if self.done > 0 && !self.may_withhold(conn) {
                        self.flush(conn, client).await?;
                    }
                    self.fill(conn, client, self.done + wanted).await?;
                }
                Event::Column => self.rename_column(conn, client).await?,
                Event::ColumnsEnd if self.translate => self.end_columns(conn, client).await?,
                Event::ColumnsEnd => {}
                Event::TooMuch => self.cut_off(conn, client).await?,
                Event::End { end, header, more } => {
                    self.end_result(conn, client, end, header).await?;
                    if self.outcome.withheld {
                        conn.input().consume(self.done);
                        return Ok(());
                    }
                    if !more && end != End::LocalInfile {
                        return self.flush(conn, client).await;
                    }
                }
            }
        }
    }

    /// Whether the reply is still small enough to be held back until its end is known.
    fn may_withhold(&self, conn: &mut BackendConn) -> bool {
        self.how.shared && !self.sent && conn.input().len() < WITHHELD_BYTES_MAX
    }

    /// Whether the reply, whose last packet has just been noted, must not be passed on.
    fn withholds(&self) -> bool {
        let outcome = &self.outcome;
        let tells = outcome.error.is_some() || outcome.warnings > 0 || outcome.changes.any();
        self.how.shared && !self.sent && (tells || outcome.status.has(StatusFlags::MORE_RESULTS))
    }

    /// Writes what is staged and what is done.
    pub(super) async fn flush(
        &mut self,
        conn: &mut BackendConn,
        client: &mut Client,
    ) -> Result<(), RelayError> {
        if self.rest.is_some() {
            conn.input().consume(self.done);
            self.done = 0;
            if self.staged.is_empty() {
                return Ok(());
            }
        }
        client.tell_fleet(&self.outcome).await;
        self.sent = true;
        self.outcome.bytes += (self.staged.len() + self.done) as u64;
        if self.staged.is_empty() {
            client.pass_on(&conn.input().filled()[..self.done]).await?;
        } else {
            self.stage(conn);
            client.pass_on(self.staged.filled()).await?;
            self.staged.consume(self.staged.len());
        }
        conn.input().consume(self.done);
        self.done = 0;
        Ok(())
    }

    /// Moves what is done behind what is staged.
    pub(super) fn stage(&mut self, conn: &mut BackendConn) {
        if self.done > 0 {
            self.staged.push(&conn.input().filled()[..self.done]);
            conn.input().consume(self.done);
            self.done = 0;
        }
    }

    /// Reads more of the reply. The client is watched meanwhile.
    async fn fill(
        &mut self,
        conn: &mut BackendConn,
        client: &mut Client,
        wanted: usize,
    ) -> Result<(), RelayError> {
        let (deadline, stream, watch) = (&mut conn.deadline, &mut conn.stream, &mut self.watch);
        let read = poll_fn(|cx| {
            if let Poll::Ready(result) = stream.poll_fill(cx, wanted) {
                return Poll::Ready(Ok(result));
            }
            watch.poll_left(client, cx).map(|()| Err(RelayError::Gone))
        });
        let result = deadline.run(self.how.reply_timeout, read).await;
        if let Some(began) = self.began.take() {
            self.outcome.took = Some(began.elapsed());
        }
        let untouched = !self.sent && conn.input().is_empty();
        match result {
            Err(_) => Err(RelayError::Timeout),
            Ok(Err(gone)) => Err(gone),
            Ok(Ok(Ok(0))) => Err(RelayError::Server { error: StreamError::Closed, untouched }),
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err(error))) => Err(RelayError::Server { error: error.into(), untouched }),
        }
    }

    /// Passes a column definition on under the name of the logical database.
    async fn rename_column(&mut self, conn: &mut BackendConn, client: &mut Client) -> Result<(), RelayError> {
        self.stage(conn);
        let whole = loop {
            let held = conn.input().filled();
            let header = Header::parse(held).ok_or(Malformed("column definition without a header"))?;
            if header.length > END_BYTES_MAX {
                return Err(Malformed("column definition too large").into());
            }
            let whole = HEADER_BYTES + header.length;
            if held.len() >= whole {
                break whole;
            }
            self.fill(conn, client, whole).await?;
        };
        let sequence = self.scanner.take_sequence();
        if let Some(renaming) = &self.how.renaming {
            renaming.put_column(&conn.input().filled()[HEADER_BYTES..whole], sequence, &mut self.staged);
        }
        conn.input().consume(whole);
        self.scanner.column_done();
        Ok(())
    }

    /// Inserts the EOF that a client without DEPRECATE_EOF expects after the column definitions, unless
    /// a cursor was opened: then the packet that follows is the only one.
    async fn end_columns(&mut self, conn: &mut BackendConn, client: &mut Client) -> Result<(), RelayError> {
        self.stage(conn);
        if self.how.cursor
            && let Some(status) = self.status_ahead(conn, client, 0).await?
            && status.has(StatusFlags::CURSOR_EXISTS)
        {
            return Ok(());
        }
        let mut flags = conn.status.without(StatusFlags::OF_ONE_RESULT);
        flags = flags.with(flags_of_plan(conn.input().filled()));
        // Some clients look here whether more will come, before they read the rows.
        if self.outcome.results as usize + 1 < self.how.results_min {
            flags = flags.with(StatusFlags::MORE_RESULTS);
        }
        // Clients look for these flags before they read the one row; MySQL has them here alone.
        if self.how.call
            && let Some(status) = self.status_ahead(conn, client, 1).await?
            && status.has(StatusFlags::PS_OUT_PARAMS)
        {
            flags = flags.with(StatusFlags::PS_OUT_PARAMS).with(StatusFlags::MORE_RESULTS);
            self.flagged = conn.facts.flavor == Flavor::MySql;
        }
        let mut eof = Vec::with_capacity(5);
        encode_eof(0, flags, &mut eof);
        let mut packet = Vec::with_capacity(9);
        frame(&mut packet, self.scanner.take_sequence(), &eof);
        self.staged.push(&packet);
        Ok(())
    }

    /// The status at the end of the result whose rows stand at the front of the server's input, if there are
    /// `rows` of them at most.
    async fn status_ahead(
        &mut self,
        conn: &mut BackendConn,
        client: &mut Client,
        rows: usize,
    ) -> Result<Option<StatusFlags>, RelayError> {
        let (mut at, mut left) = (0, rows);
        loop {
            let next = conn.input().filled().get(at..).unwrap_or_default();
            let mut wanted = at + HEADER_BYTES + 1;
            if let (Some(header), Some(first)) = (Header::parse(next), next.get(HEADER_BYTES)) {
                let whole = HEADER_BYTES + header.length;
                wanted = at + whole;
                match first {
                    0xFE if header.length < PAYLOAD_MAX => {
                        if let Some(payload) = next.get(HEADER_BYTES..whole) {
                            return Ok(Some(OkPacket::parse(payload)?.status));
                        }
                    }
                    0xFF => return Ok(None),
                    _ if left == 0 => return Ok(None),
                    _ => {
                        left -= 1;
                        at += whole;
                        wanted = at + HEADER_BYTES + 1;
                    }
                }
            }
            if wanted > AHEAD_BYTES_MAX {
                return Ok(None);
            }
            if conn.input().len() < wanted {
                self.fill(conn, client, wanted).await?;
            }
        }
    }

    /// Handles the packet that ends a result: it stands at `done`, whole.
    async fn end_result(
        &mut self,
        conn: &mut BackendConn,
        client: &mut Client,
        end: End,
        header: Header,
    ) -> Result<(), RelayError> {
        let whole = HEADER_BYTES + header.length;
        // Under compression ids follow the compressed packets and prove nothing.
        let counted = !matches!(conn.stream.socket(), Socket::Compressed(_));
        if end == End::LocalInfile {
            return self.infile(conn, client, header).await;
        }
        let packet = &mut conn.stream.input.filled_mut()[self.done..self.done + whole];
        if counted && end == End::Err && header.sequence == 0 && self.is_untouched() {
            // A reply counts on from the command, whose id is 0. This one was on its way before: what a
            // server says that ends a connection which was idle (4031 on MySQL, 1927 on MariaDB).
            let code = packet.get(5..7).map_or(0, |code| u16::from_le_bytes([code[0], code[1]]));
            return Err(RelayError::Parted(code));
        }
        if self.rest.is_some() || (matches!(end, End::Err | End::Rows) && self.cut.is_ordered()) {
            return self.end_cut(conn, end, header);
        }
        let packet = &mut conn.stream.input.filled_mut()[self.done..self.done + whole];
        let sequence = self.scanner.take_sequence();
        packet[3] = sequence;
        if let Some(columns) = self.how.columns.filter(|_| end == End::Rows) {
            flag_columns(&mut packet[HEADER_BYTES..], u64::from(columns) != self.scanner.columns());
        }
        let payload = &packet[HEADER_BYTES..];
        match end {
            End::Err => return self.end_error(conn, whole, sequence),
            End::Text | End::LocalInfile => {}
            End::Ok if payload.len() == 5 && payload[0] == 0xFE => {
                let (warnings, status) = crate::wire::parse_eof(payload)?;
                self.note(&OkPacket { status, warnings, ..OkPacket::default() }, false)?;
            }
            End::Ok | End::Rows => {
                let ok = OkPacket::parse(payload)?;
                // The reply to COM_SET_OPTION ends like rows and has none.
                let rows = end == End::Rows || payload[0] == 0xFE;
                let at = Circumstances {
                    rows,
                    flavor: conn.facts.flavor,
                    schema: conn.image.schema(),
                    moves: self.how.moves,
                    enters: self.how.enters,
                    flagged: rows && self.translate && std::mem::take(&mut self.flagged),
                };
                let rewritten = rewrite(&ok, at, client)?;
                self.note(&ok, rows)?;
                if let Some(payload) = rewritten.filter(|_| !self.withholds()) {
                    self.stage_instead(conn, whole, sequence, &payload);
                    return Ok(());
                }
            }
        }
        self.done += whole;
        self.outcome.withheld = self.withholds();
        Ok(())
    }

    /// Stages a packet of the proxy's in the place of the server's, whose `whole` bytes come next.
    fn stage_instead(&mut self, conn: &mut BackendConn, whole: usize, sequence: u8, payload: &[u8]) {
        self.stage(conn);
        conn.input().consume(whole);
        let mut packet = Vec::with_capacity(payload.len() + HEADER_BYTES);
        frame(&mut packet, sequence, payload);
        self.staged.push(&packet);
    }

    /// Handles the ERR of `whole` bytes at `done`, which is to have this sequence id.
    fn end_error(&mut self, conn: &mut BackendConn, whole: usize, sequence: u8) -> Result<(), RelayError> {
        let payload = &conn.stream.input.filled_mut()[self.done + HEADER_BYTES..self.done + whole];
        let Some(code) = payload.get(1..3) else {
            return Err(Malformed("error packet without a number").into());
        };
        if self.how.prepares_again && is_stale(payload) && self.is_untouched() {
            self.done += whole;
            self.outcome.status = conn.status;
            (self.outcome.stale, self.outcome.withheld) = (true, true);
            return Ok(());
        }
        self.outcome.error = Some(u16::from_le_bytes([code[0], code[1]]));
        self.outcome.error_state = payload.get(4..9).and_then(|state| state.try_into().ok());
        self.outcome.row_count = -1;
        self.outcome.status = conn.status.without(StatusFlags::MORE_RESULTS);
        if matches!(self.how.results_min, 1 | usize::MAX) {
            // One statement that fails has come back to its schema, whatever its results told on the way.
            self.outcome.changes.schema = None;
        }
        // The number, the SQLSTATE and its mark come first.
        let renaming = self.how.renaming.as_ref();
        let renamed = payload.get(9..).zip(renaming).and_then(|(text, renaming)| renaming.message(text));
        if let Some(text) = renamed {
            let payload = [&payload[..9], &text].concat();
            self.stage_instead(conn, whole, sequence, &payload);
            return Ok(());
        }
        self.done += whole;
        self.outcome.withheld = self.withholds();
        Ok(())
    }

    /// Whether the packet at the front of the server's input is the first of the reply.
    fn is_untouched(&self) -> bool {
        !self.sent && self.done == 0 && self.staged.is_empty()
    }

    /// Remembers what an OK told.
    pub(super) fn note(&mut self, ok: &OkPacket<'_>, rows: bool) -> Result<(), Malformed> {
        let outcome = &mut self.outcome;
        outcome.status = ok.status;
        outcome.warnings = ok.warnings;
        outcome.results = outcome.results.saturating_add(1);
        outcome.row_count = if rows { -1 } else { i64::try_from(ok.affected_rows).unwrap_or(i64::MAX) };
        if ok.last_insert_id != 0 {
            outcome.last_insert_id = ok.last_insert_id;
        }
        let (mut state, mut explained, mut limit) = (false, false, false);
        for change in StateChanges::new(ok.state) {
            match change? {
                StateChange::SystemVariable { name, value } => {
                    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                    if self.how.bounds.explains(&name) {
                        limit = true;
                        continue;
                    }
                    explained = true;
                    outcome.changes.set(&name, value)?;
                }
                StateChange::Schema(name) => {
                    explained = true;
                    outcome.changes.schema = Some(name.into());
                }
                StateChange::State(changed) => state = changed,
                StateChange::Other { .. } => {}
            }
        }
        state &= explained || !limit;
        outcome.changes.state |= state;
        outcome.changes.other_state |= state && !explained;
        Ok(())
    }

    /// LOAD DATA LOCAL: asks the client, streams its file to the server. `whole` bytes at `done` are the
    /// server's request.
    async fn infile(
        &mut self,
        conn: &mut BackendConn,
        client: &mut Client,
        request: Header,
    ) -> Result<(), RelayError> {
        let whole = HEADER_BYTES + request.length;
        let answer = request.sequence.wrapping_add(1);
        if self.how.infile && client.capabilities.has(Capabilities::LOCAL_FILES) {
            conn.input().filled_mut()[self.done + 3] = self.scanner.take_sequence();
            self.done += whole;
            self.flush(conn, client).await?;
            client.stream.sequence = self.scanner.take_sequence();
            stream_file(conn, client, answer).await?;
            self.scanner.number_from(client.stream.sequence);
        } else {
            // Nobody asked for a file: the server gets an empty one and the client the server's OK. A
            // rogue server learns nothing of the client's disk.
            self.stage(conn);
            conn.input().consume(whole);
            write_server(conn, &Header { length: 0, sequence: answer }.encode()).await?;
        }
        self.scanner.file_sent();
        Ok(())
    }
}
