//! A SELECT over several slots: all are asked at once, and their rows merged on the way to the client.
//!
//! KILL, a client that leaves and the limits of the rules end it on every server that it runs on.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::backend::{BackendError, Flavor, ServerLease, ServerPool};
use crate::engine::client::{Client, Watch};
use crate::engine::error::EngineError;
use crate::engine::kill::{kill_all, killable_all};
use crate::engine::outcome::Outcome;
use crate::engine::relay::RelayError;
use crate::engine::session::Session;
use crate::engine::sharded::collations::collations;
use crate::engine::sharded::hot::merged_found_rows;
use crate::engine::sharded::parameters::Parameters;
use crate::engine::sharded::source::{Next, Source};
use crate::engine::sharded::time;
use crate::error::ProxyError;
use crate::merge::{MergeError, MergeOptions, Merger, Need, RowFormat, Step};
use crate::protection::{Allowance, Refusal};
use crate::sharding::{Scatter, SlotId};
use crate::sql::FoundRows;
use crate::telemetry::StatementContext;
use crate::wire::{
    BUFFER_BYTES, Capabilities, ColumnDefinition, OkPacket, StatusFlags, StreamError, Writer, encode_eof,
    frame,
};

/// What a plan that sorts may hold of one statement.
const SORT_BYTES_MAX: usize = 32 << 20;

/// One row at most, while it is merged.
const ROW_BYTES_MAX: u64 = 64 << 20;

/// How long the ends of replies that nobody needs are read for.
const DRAINED_WITHIN: Duration = Duration::from_millis(50);

/// A slot and what it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) slot: SlotId,
    pub(crate) text: Vec<u8>,
}

/// What all slots are asked, and what is made of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) parts: &'a [Part],
    pub(crate) scatter: &'a Scatter,
    /// Of a prepared statement.
    pub(crate) parameters: Option<&'a Parameters<'a>>,
    /// What the rules allow its result and its time.
    pub(crate) allowance: Allowance,
    /// What a server says was found.
    pub(crate) found: FoundRows,
}

/// The client's side of a merged result.
pub(crate) struct Sending {
    out: Vec<u8>,
    sequence: u8,
    rows: u64,
    /// Rows that OFFSET left out.
    pub(crate) skipped: u64,
    /// Rows of slots that may still be merged.
    pub(crate) left: u64,
    /// Of rows that were sent.
    bytes: u64,
    columns: u64,
    begun: bool,
    /// The statement has to be over by then.
    deadline: Option<Instant>,
    /// A write to the client is under way: whoever gives it up cannot write anything after it.
    writing: bool,
}

impl Session {
    /// Asks all parts, merges, and sends the result. The client's command has been taken from its input.
    pub(crate) async fn scatter(
        &mut self,
        asking: Asking<'_>,
        context: &mut StatementContext<'_>,
    ) -> Result<Outcome, EngineError> {
        let parts = asking.parts;
        if self.is_bound() && !self.holds_for_diagnostics() || self.begins() {
            return Err(crate::engine::sharded::place::another_shard());
        }
        self.let_go().await?;
        let slots: Vec<SlotId> = parts.iter().map(|part| part.slot).collect();
        let mut leases = self.lease_slots(&slots, context.started()).await?;
        context.leased(leases.iter().map(ServerLease::waited).max().unwrap_or_default());
        let Some(place) = &self.place else { return Ok(Outcome::default()) };
        let database = Arc::clone(&place.database);
        let options = MergeOptions {
            format: if asking.parameters.is_some() { RowFormat::Binary } else { RowFormat::Text },
            bytes_max: SORT_BYTES_MAX,
            collations: match leases.first_mut() {
                Some(lease) => collations(&database, lease).await?,
                None => return Ok(Outcome::default()),
            },
        };
        let (timeout, asked) = (self.reply_timeout(), Instant::now());
        let mut sources: Vec<Source> = leases
            .into_iter()
            .zip(&slots)
            .map(|(lease, slot)| Source::new(lease, Arc::clone(database.renaming(*slot)), timeout))
            .collect();
        let limits = &database.rules.policies().scatter_read;
        let mut sending = Sending {
            out: Vec::new(),
            sequence: self.client.stream.sequence,
            rows: 0,
            skipped: 0,
            left: limits.rows_max,
            bytes: 0,
            columns: 0,
            begun: false,
            deadline: (!limits.timeout.is_zero()).then(|| context.started() + limits.timeout),
            writing: false,
        };
        let result = self.merge_in_time(&mut sources, asking, &options, &mut sending).await;
        let took = asked.elapsed();
        if result.is_err() && sending.begun {
            // The error follows the rows that came before it.
            self.client.send(&sending.out).await?;
            self.client.stream.sequence = sending.sequence;
        }
        let until = Instant::now() + DRAINED_WITHIN;
        for source in &mut sources {
            if !source.ended && !matches!(result, Err(EngineError::Relay(_))) {
                source.drain(until).await;
            }
        }
        // What is still in the middle of a reply is closed by its lease, and nobody waits for it any more.
        drop(kill_all(&running(&sources), self.worker.id));
        for source in &mut sources {
            source.forget_time().await;
        }
        if let Err(error) = result {
            return Err(told_late(probed(error, asking.scatter), sending.begun));
        }
        let outcome = self.scattered(&mut sources, &sending, asking.found).await?;
        Ok(Outcome { took: Some(took), ..outcome })
    }

    /// The same as [`Session::merge`], until `deadline`, unless KILL comes.
    async fn merge_in_time(
        &mut self,
        sources: &mut [Source],
        asking: Asking<'_>,
        options: &MergeOptions,
        sending: &mut Sending,
    ) -> Result<(), EngineError> {
        let allowed = asking.allowance.time_max.map(|max| (Instant::now() + max, max));
        let allowed = allowed.filter(|(at, _)| sending.deadline.is_none_or(|deadline| *at < deadline));
        let deadline = allowed.map(|(at, _)| at).or(sending.deadline);
        let (guard, running, worker) = (Arc::clone(&self.guard), running(sources), self.worker.id);
        let late = match allowed {
            Some((_, max)) => self.protected(Refusal::TooLong(max)),
            None => too_late(self.flavor()),
        };
        let (result, killed) = {
            let exchange = pin!(async {
                let merged = self.merge(sources, asking, options, sending);
                match deadline {
                    None => merged.await,
                    Some(deadline) => timeout_at(deadline, merged).await.unwrap_or(Err(late)),
                }
            });
            killable_all(exchange, &guard, &running, worker).await
        };
        self.alarm_rung |= killed;
        if sending.writing && matches!(result, Err(EngineError::Refused(_) | EngineError::Protected(_))) {
            return Err(RelayError::Timeout.into());
        }
        result
    }

    async fn merge(
        &mut self,
        sources: &mut [Source],
        asking: Asking<'_>,
        options: &MergeOptions,
        sending: &mut Sending,
    ) -> Result<(), EngineError> {
        if asking.scatter.same_time {
            same_time(sources).await?;
        }
        for (source, part) in sources.iter_mut().zip(asking.parts) {
            match asking.parameters {
                None => source.send(&part.text).await?,
                Some(parameters) => source.execute(&part.text, parameters, &asking.scatter.unbound).await?,
            }
        }
        let mut merger: Option<Merger> = None;
        let count = sources.len();
        for source in &mut *sources {
            let columns = source.columns(&mut self.client).await?;
            match &merger {
                None => {
                    let plan =
                        asking.scatter.merge.of(columns.len()).ok_or(MergeError::Drift).map_err(refused)?;
                    merger = Some(Merger::new(&plan, columns, count, options).map_err(refused)?);
                }
                Some(merger) => merger.check(&columns).map_err(refused)?,
            }
        }
        let Some(mut merger) = merger else { return Ok(()) };
        if let Some(computing) = merger.computing() {
            return Box::pin(self.compute((merger, computing), sources, &asking.allowance, sending)).await;
        }
        // The first row decides whether there is a result at all.
        let mut row = Vec::new();
        let mut step = self.step(&mut merger, sources, &mut row, &mut sending.left).await?;
        self.put_columns(merger.shown(), sending);
        while step == Step::Row {
            self.put_row(&row, &asking.allowance, sending).await?;
            row.clear();
            step = self.step(&mut merger, sources, &mut row, &mut sending.left).await?;
        }
        sending.skipped = merger.skipped();
        Ok(())
    }

    /// A row for the client.
    pub(crate) async fn put_row(
        &mut self,
        row: &[u8],
        allowance: &Allowance,
        sending: &mut Sending,
    ) -> Result<(), EngineError> {
        sending.bytes += row.len() as u64;
        has_room(allowance, sending).map_err(|refusal| self.protected(refusal))?;
        sending.sequence = frame(&mut sending.out, sending.sequence, row);
        sending.rows += 1;
        if sending.out.len() >= BUFFER_BYTES {
            (sending.begun, sending.writing) = (true, true);
            self.client.pass_on(&sending.out).await?;
            sending.writing = false;
            sending.out.clear();
        }
        Ok(())
    }

    /// Goes on to the next row of the result, or its end.
    pub(crate) async fn step(
        &mut self,
        merger: &mut Merger,
        sources: &mut [Source],
        row: &mut Vec<u8>,
        left: &mut u64,
    ) -> Result<Step, EngineError> {
        loop {
            let source = match merger.next(row).map_err(refused)? {
                Step::Needs(Need::Of(source)) => source,
                Step::Needs(Need::Any) => any_ready(sources, &mut self.client).await?,
                done => return Ok(done),
            };
            let one = &mut sources[source];
            let next = one.next(&mut self.client).await?;
            if next != Next::End {
                *left = left.checked_sub(1).ok_or_else(too_many_rows)?;
            }
            match next {
                Next::End => merger.end(source),
                Next::Row(length) => {
                    merger.row(source, one.row(length)).map_err(refused)?;
                    one.taken(length);
                }
                Next::Large => {
                    let whole = one.large(&mut self.client, ROW_BYTES_MAX).await?;
                    merger.row(source, &whole).map_err(refused)?;
                }
            }
        }
    }

    pub(crate) fn put_columns(&self, columns: &[ColumnDefinition], sending: &mut Sending) {
        let mut payload = Vec::new();
        payload.put_lenenc(columns.len() as u64);
        sending.columns = columns.len() as u64;
        sending.sequence = frame(&mut sending.out, sending.sequence, &payload);
        for column in columns {
            payload.clear();
            column.encode(&mut payload);
            sending.sequence = frame(&mut sending.out, sending.sequence, &payload);
        }
        if !self.client.capabilities.has(Capabilities::DEPRECATE_EOF) {
            payload.clear();
            encode_eof(0, self.state.idle_status(), &mut payload);
            sending.sequence = frame(&mut sending.out, sending.sequence, &payload);
        }
    }

    /// The end of the result, and what it leaves in the session.
    async fn scattered(
        &mut self,
        sources: &mut [Source],
        sending: &Sending,
        found: FoundRows,
    ) -> Result<Outcome, EngineError> {
        let warnings = sources.iter().fold(0_u16, |sum, source| sum.saturating_add(source.warnings));
        let status = self.state.idle_status();
        let mut end = Vec::new();
        if self.client.capabilities.has(Capabilities::DEPRECATE_EOF) {
            OkPacket { status, warnings, ..OkPacket::default() }.encode(0xFE, &mut end);
        } else {
            encode_eof(warnings, status, &mut end);
        }
        let mut bytes = sending.out.clone();
        self.client.stream.sequence = frame(&mut bytes, sending.sequence, &end);
        self.state.status = status;
        self.state.warnings = warnings;
        self.state.row_count = -1;
        let rows = sending.rows + sending.skipped;
        // Where nothing is sent, servers have counted or not by their plan.
        let untold = found == FoundRows::Untold && sending.rows == 0;
        self.state.found_rows = match untold {
            true => None,
            false => merged_found_rows(found, rows, self.state.found_rows),
        };
        self.diagnostics = None;
        if warnings > 0 {
            self.keep_warnings(sources).await?;
        }
        if untold {
            // No other session could be told as much.
            self.client.recording = None;
        }
        self.client.pass_on(&bytes).await?;
        let columns = sending.columns;
        Ok(Outcome { status, warnings, row_count: -1, rows, columns, results: 1, ..Outcome::default() })
    }

    /// Fetches the warnings of all slots, for the SHOW WARNINGS that may follow.
    async fn keep_warnings(&mut self, sources: &mut [Source]) -> Result<(), EngineError> {
        let mut all = crate::backend::ResultSet::default();
        for source in sources.iter_mut().filter(|source| source.warnings > 0 && source.ended) {
            let some = source.lease.ask_payloads("SHOW WARNINGS").await?;
            all.columns = some.columns;
            all.rows.extend(some.rows);
        }
        self.keep_diagnostics(all);
        Ok(())
    }

    /// Whether a transaction has been begun that no server knows of.
    fn begins(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.begin.is_some())
            || self.state.status.has(StatusFlags::IN_TRANS)
            || !self.state.idle_status().has(StatusFlags::AUTOCOMMIT)
    }
}

/// A source that has something to read; waits for the first if none has. The client is watched meanwhile.
async fn any_ready(sources: &mut [Source], client: &mut Client) -> Result<usize, EngineError> {
    if let Some(ready) = sources.iter_mut().position(|source| !source.ended && source.has_something()) {
        return Ok(ready);
    }
    let mut watch = Watch::default();
    poll_fn(|cx| {
        for (n, source) in sources.iter_mut().enumerate().filter(|(_, source)| !source.ended) {
            // An end or a failure is seen by whoever reads next.
            if source.lease.stream.poll_fill(cx, 1).is_ready() {
                return Poll::Ready(Ok(n));
            }
        }
        watch.poll_left(client, cx).map(|()| Err(RelayError::Gone.into()))
    })
    .await
}

/// All slots are told one time, the first server's.
async fn same_time(sources: &mut [Source]) -> Result<(), EngineError> {
    let Some(first) = sources.first_mut() else { return Ok(()) };
    let now = time::now(&mut first.lease).await?;
    for source in sources {
        time::stop(&mut source.lease, &now).await?;
        source.told_time = true;
    }
    Ok(())
}

/// Where statements run whose replies have not ended.
fn running(sources: &[Source]) -> Vec<(Arc<ServerPool>, u32)> {
    let open = sources.iter().filter(|source| !source.ended);
    open.map(|source| (Arc::clone(source.lease.pool()), source.lease.thread_id())).collect()
}

/// The statement took longer than the rules allow; each server has a number of its own for that.
fn too_late(flavor: Flavor) -> EngineError {
    let (code, state) = match flavor {
        Flavor::MariaDb => (1969, "70100"),
        Flavor::MySql => (3024, "HY000"),
    };
    EngineError::refused(
        code,
        state,
        "DZ1604: the read took longer than scatter_read.timeout of the sharding rules; restrict it by a key",
    )
}

pub(crate) fn too_many_rows() -> EngineError {
    EngineError::refused(
        1104,
        "42000",
        "DZ1605: the read has more rows to merge than rows_max of scatter_read in the sharding rules; restrict \
         it by a key or a LIMIT",
    )
}

/// Whether one more row may be sent, whose bytes are counted already.
const fn has_room(allowance: &Allowance, sending: &Sending) -> Result<(), Refusal> {
    if sending.rows >= allowance.rows_max {
        return Err(Refusal::TooManyRows(allowance.rows_max));
    }
    if sending.bytes > allowance.bytes_max {
        return Err(Refusal::TooManyBytes(allowance.bytes_max));
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
pub(crate) fn refused(error: MergeError) -> EngineError {
    EngineError::Refused(error.sql_error())
}

/// An error that says that a name of GROUP BY is a column and not the alias that it was taken for.
fn probed(error: EngineError, scatter: &Scatter) -> EngineError {
    const AMBIGUOUS_COLUMN: u16 = 1052;
    match error {
        EngineError::Backend(BackendError::Server(packet))
            if scatter.probed && packet.code == AMBIGUOUS_COLUMN =>
        {
            let what = "GROUP BY a name that a column and an alias have";
            EngineError::Refused(crate::sharding::Refusal::Shape { what }.sql_error())
        }
        error => error,
    }
}

/// A server that failed before the client has seen a byte: the statement failed, the session goes on.
fn told_late(error: EngineError, begun: bool) -> EngineError {
    match error {
        EngineError::Relay(RelayError::Server { error, .. }) if !begun => {
            EngineError::Lost(RelayError::Server { error, untouched: true })
        }
        EngineError::Relay(RelayError::Timeout) if !begun => {
            EngineError::Lost(RelayError::Server { error: StreamError::Closed, untouched: true })
        }
        error => error,
    }
}
