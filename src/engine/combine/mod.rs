//! Combining: quick plain reads of sessions that look alike, sent together over one server connection.
//!
//! A statement costs the proxy and the server most where it is sent and received by itself: a system call
//! and a wake-up on either side. Sessions of one worker that are ready in the same turn share those: the
//! first leases a connection, the others board its [`Train`], all commands go in one write, and each session
//! reads its own reply when its turn comes.
//!
//! Nobody can tell it from going alone. Only what certainly changes nothing boards (see
//! [`Session::may_combine`]), in a session that is bound to nothing. A reply after which the client could
//! ask for more (warnings, an error), or that tells of a change, is not passed on while others follow: the
//! statement is sent again alone. One that takes long, or a client that does not read, delays nobody:
//! whoever waits behind it goes alone after [`PATIENCE`].

mod leftover;
mod pace;
mod station;
mod train;

pub(crate) use leftover::drop_replies;
pub(crate) use pace::{Pace, REPLY_BYTES_MAX};
pub use station::Station;
pub(crate) use train::{Holding, Passed};

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::backend::{BackendConn, ServerLease};
use crate::engine::combine::station::{Boarding, Line};
use crate::engine::combine::train::{Ticket, Train, Turn};
use crate::engine::error::EngineError;
use crate::engine::relay::Outcome;
use crate::engine::session::Session;
use crate::engine::statement::Sending;
use crate::sql::{Access, Kind};
use crate::telemetry::StatementContext;
use crate::wire::{Capabilities, HEADER_BYTES, StatusFlags};

/// How long others wait behind a reply that does not come or a client that does not read. Long for what is
/// quick, short for a person.
pub(crate) const PATIENCE: Duration = Duration::from_millis(20);

/// Larger commands go alone: copying them would cost more than it saves.
const COMMAND_BYTES_MAX: usize = 4 << 10;

/// How a statement goes.
pub(crate) enum Way {
    /// Alone, on the leased connection if there is one.
    Alone,
    /// It travelled with others, and this is what its reply told.
    Arrived(Outcome),
    /// It is the first of a train that others may board until it has a connection.
    First,
}

/// The connection is the first one's, and this is what others want to send on it.
pub(crate) struct Departure {
    pub(crate) commands: Vec<u8>,
    pub(crate) holding: Holding<ServerLease>,
}

impl Session {
    /// Whether this statement may share a connection with those of other sessions: a plain SELECT without
    /// any effect, known to be quick and small, in autocommit mode, of a session that is bound to nothing.
    pub(crate) fn may_combine(&self, sending: &Sending<'_>) -> bool {
        let statement = &sending.facts.statement;
        sending.facts.pace.is_quick()
            && statement.kind == Kind::Select
            && statement.access == Access::Read
            && statement.effects.is_empty()
            && !sending.relay.cursor
            && sending.header.length <= COMMAND_BYTES_MAX
            && self.lease.is_none()
            && self.pins.is_empty()
            && self.place.as_ref().is_none_or(|place| place.sends_as_it_is())
            && self.state.status.has(StatusFlags::AUTOCOMMIT)
    }

    /// Boards a train, or takes an idle connection, or becomes the first of a train.
    pub(crate) async fn choose_way(
        &mut self,
        sending: &Sending<'_>,
        station: &Station,
        context: &mut StatementContext<'_>,
    ) -> Result<Way, EngineError> {
        let line = self.line();
        if let Some(train) = station.find(&line)
            && let Some(ticket) = self.board(&train, sending)
        {
            drop(train);
            return Box::pin(self.ride(ticket, sending, context)).await;
        }
        Ok(if self.take_idle(context.started())? { Way::First } else { Way::Alone })
    }

    /// What others must have in common with this session to share its connection.
    pub(crate) fn line(&mut self) -> Line {
        Line {
            image: self.wanted_image().key(),
            pool: Arc::as_ptr(self.pool()) as usize,
            user: self.user.slot,
            profile: self.profile(),
        }
    }

    fn board(
        &mut self,
        train: &Arc<Train<ServerLease>>,
        sending: &Sending<'_>,
    ) -> Option<Ticket<ServerLease>> {
        let whole = HEADER_BYTES + sending.header.length;
        train.board(|commands, lease| {
            let Some(id) = sending.prepared else {
                let own = || &self.client.stream.input.filled()[..whole];
                commands.extend_from_slice(self.limited_packet(sending).as_deref().unwrap_or_else(own));
                return true;
            };
            // Only where the statement is prepared already; its id there is known only with the connection.
            let Some(conn) = lease.map(|lease| &mut **lease) else { return false };
            let Some(server_id) = self.prepared_on(id, conn) else { return false };
            match self.address_shared(conn, id, server_id, sending.header) {
                Ok(Some(instead)) => commands.extend_from_slice(&instead),
                Ok(None) => commands.extend_from_slice(&self.client.stream.input.filled()[..whole]),
                Err(_) => return false,
            }
            true
        })
    }

    /// Waits for this seat's turn and reads its reply. Those before it are within their own deadlines, and
    /// lose their followers after [`PATIENCE`].
    async fn ride(
        &mut self,
        ticket: Ticket<ServerLease>,
        sending: &Sending<'_>,
        context: &mut StatementContext<'_>,
    ) -> Result<Way, EngineError> {
        let (lease, sent) = match poll_fn(|cx| ticket.poll_turn(cx)).await {
            Turn::Now(lease, sent) => (lease, sent),
            Turn::Alone => return Ok(Way::Alone),
        };
        let holding = ticket.hold();
        context.joined(sent.saturating_duration_since(context.started()));
        self.lease = Some(lease);
        match self.read_reply(sending.relay.clone(), Some(holding)).await {
            Ok(outcome) if outcome.withheld => Ok(Way::Alone),
            Ok(outcome) => Ok(Way::Arrived(outcome)),
            // Only reads are on board: they may be sent again.
            Err(error) if error.is_untouched() => {
                self.drop_lease();
                Ok(Way::Alone)
            }
            Err(error) => {
                self.drop_lease();
                Err(EngineError::Relay(error))
            }
        }
    }

    /// The first one has its connection: lets whoever is ready in this turn board, then closes the doors.
    pub(crate) async fn gather(&mut self, boarding: Boarding<'_>) -> Option<Departure> {
        let lease = self.lease.take()?;
        if is_compressed(&lease) {
            // Frames are numbered from the first command on.
            self.lease = Some(lease);
            return None;
        }
        boarding.train().rest(lease);
        turn().await;
        let (lease, commands) = boarding.leave();
        self.lease = lease;
        if commands.is_empty() {
            return None;
        }
        Some(Departure { commands, holding: Holding::new(Arc::clone(boarding.train()), 0) })
    }
}

fn is_compressed(conn: &BackendConn) -> bool {
    let compressed = [Capabilities::COMPRESS, Capabilities::ZSTD];
    compressed.iter().any(|one| conn.capabilities().has(*one))
}

/// Ready after every task that is ready now has had its turn.
async fn turn() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
