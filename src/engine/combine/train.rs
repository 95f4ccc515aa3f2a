//! Statements of several sessions on one server connection: boarded while the first of them gets it, sent
//! in one write, their replies read in the same order, each by the session it belongs to.
//!
//! Whoever's reply comes next holds the connection; it hands it to the next seat when its own reply has
//! been read. A train that cannot go on (its holder left, a statement takes long) is broken up: whoever has
//! not had its turn goes alone, which is possible because only reads are on board.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Statements on one train, the first one included.
const SEATS_MAX: usize = 16;

/// A train; `L` is the connection it travels on.
#[derive(Debug)]
pub(crate) struct Train<L> {
    /// Guards the seats and the connection between two holders for the length of a list operation. Only
    /// sessions of one worker share a train, so it is never contended.
    state: Mutex<State<L>>,
}

#[derive(Debug)]
struct State<L> {
    phase: Phase,
    /// Commands of everybody but the first, framed, in the order of their seats.
    commands: Vec<u8>,
    /// Everybody but the first.
    seats: Vec<Seat>,
    /// The connection, while nobody holds it.
    resting: Option<L>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Others may still board.
    Boarding,
    /// Sent at this moment; the reply of the seat with this number (the first has 0) is read now.
    Departed { at: Instant, turn: usize },
    /// Whoever has not had its turn goes alone.
    BrokenUp,
}

#[derive(Debug, Default)]
struct Seat {
    waker: Option<Waker>,
    left: bool,
}

/// What becomes of a connection whose holder has read its reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passed<L> {
    /// The next seat has it.
    On,
    /// It was the last reply: the connection is the holder's.
    Last(L),
    /// The holder's, but so many replies that nobody reads are still to come.
    Leftover(L, usize),
}

/// A seat's turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn<L> {
    /// The reply that comes next on this connection is the seat's. The train was sent at that moment.
    Now(L, Instant),
    /// The train was broken up: the statement has to go alone.
    Alone,
}

impl<L> Train<L> {
    /// A train that can be boarded.
    pub(crate) fn new() -> Arc<Self> {
        let state = State { phase: Phase::Boarding, commands: Vec::new(), seats: Vec::new(), resting: None };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// The first one has got the connection; those who board may look at it.
    pub(crate) fn rest(&self, connection: L) {
        self.state.lock().resting = Some(connection);
    }

    /// Takes a seat. `append` adds the command, looking at the connection if it is there already; it says
    /// whether it could.
    pub(crate) fn board(
        self: &Arc<Self>,
        append: impl FnOnce(&mut Vec<u8>, Option<&mut L>) -> bool,
    ) -> Option<Ticket<L>> {
        let mut state = self.state.lock();
        if state.phase != Phase::Boarding || state.seats.len() + 1 >= SEATS_MAX {
            return None;
        }
        let State { commands, resting, .. } = &mut *state;
        if !append(commands, resting.as_mut()) {
            return None;
        }
        state.seats.push(Seat::default());
        let seat = state.seats.len();
        drop(state);
        Some(Ticket { train: Arc::clone(self), seat })
    }

    /// Nobody boards any more. Gives the connection that rested, and the commands of all others; without
    /// any of those the first one goes alone.
    pub(crate) fn close_doors(&self) -> (Option<L>, Vec<u8>) {
        let mut state = self.state.lock();
        let mut commands = std::mem::take(&mut state.commands);
        if state.phase == Phase::Boarding && !commands.is_empty() {
            state.phase = Phase::Departed { at: Instant::now(), turn: 0 };
        } else {
            state.phase = Phase::BrokenUp;
            commands.clear();
        }
        (state.resting.take(), commands)
    }

    /// The holder, in seat `seat`, has read its reply.
    fn pass(&self, seat: usize, connection: L) -> Passed<L> {
        let mut state = self.state.lock();
        if seat == state.seats.len() {
            return Passed::Last(connection);
        }
        let left = state.seats.len() - seat;
        let Phase::Departed { at, .. } = state.phase else { return Passed::Leftover(connection, left) };
        // Seat n stands at n − 1: the next one is at `seat`.
        let next = &mut state.seats[seat];
        if next.left {
            state.break_up();
            return Passed::Leftover(connection, left);
        }
        let waker = next.waker.take();
        state.phase = Phase::Departed { at, turn: seat + 1 };
        state.resting = Some(connection);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Passed::On
    }

    /// Whether others wait for the holder in `seat`.
    fn is_followed(&self, seat: usize) -> bool {
        let state = self.state.lock();
        matches!(state.phase, Phase::Departed { .. }) && seat < state.seats.len()
    }

    fn break_up(&self) {
        self.state.lock().break_up();
    }

    /// It will not leave: all on board go alone. Nothing if it has left already.
    pub(crate) fn cancel(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Boarding {
            state.break_up();
        }
    }
}

impl<L> State<L> {
    fn break_up(&mut self) {
        let had_turn = match self.phase {
            Phase::Departed { turn, .. } => turn,
            Phase::Boarding | Phase::BrokenUp => 0,
        };
        self.phase = Phase::BrokenUp;
        for seat in self.seats.iter_mut().skip(had_turn) {
            if let Some(waker) = seat.waker.take() {
                waker.wake();
            }
        }
    }
}

/// The connection is in the hands of the session in this seat. Dropped without [`Holding::pass`], it breaks
/// the train up.
#[derive(Debug)]
pub(crate) struct Holding<L> {
    train: Arc<Train<L>>,
    seat: usize,
    passed: bool,
}

impl<L> Holding<L> {
    /// The session in `seat` of `train` has the connection.
    pub(crate) const fn new(train: Arc<Train<L>>, seat: usize) -> Self {
        Self { train, seat, passed: false }
    }

    /// Whether others wait for their replies.
    pub(crate) fn is_followed(&self) -> bool {
        self.train.is_followed(self.seat)
    }

    /// Whoever has not had its turn goes alone.
    pub(crate) fn break_up(&self) {
        self.train.break_up();
    }

    /// The holder has read its reply.
    pub(crate) fn pass(mut self, connection: L) -> Passed<L> {
        self.passed = true;
        self.train.pass(self.seat, connection)
    }
}

impl<L> Drop for Holding<L> {
    fn drop(&mut self) {
        if !self.passed {
            self.train.break_up();
        }
    }
}

/// A seat other than the first. Dropped before its turn, it breaks up the train where it comes to it.
#[derive(Debug)]
pub(crate) struct Ticket<L> {
    train: Arc<Train<L>>,
    seat: usize,
}

impl<L> Ticket<L> {
    /// For whoever was given the connection.
    pub(crate) fn hold(&self) -> Holding<L> {
        Holding::new(Arc::clone(&self.train), self.seat)
    }

    /// Ready when it is this seat's turn.
    pub(crate) fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<Turn<L>> {
        let mut state = self.train.state.lock();
        match state.phase {
            Phase::BrokenUp => Poll::Ready(Turn::Alone),
            Phase::Departed { at, turn } if turn == self.seat => match state.resting.take() {
                Some(connection) => Poll::Ready(Turn::Now(connection, at)),
                None => Poll::Ready(Turn::Alone),
            },
            Phase::Departed { .. } | Phase::Boarding => {
                state.seats[self.seat - 1].waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<L> Drop for Ticket<L> {
    fn drop(&mut self) {
        let mut state = self.train.state.lock();
        match state.phase {
            // Its command cannot be taken out again without renumbering the seats behind it.
            Phase::Boarding => state.break_up(),
            Phase::Departed { turn, .. } if turn < self.seat => state.seats[self.seat - 1].left = true,
            // It was given the connection and has not fetched it.
            Phase::Departed { turn, .. } if turn == self.seat && state.resting.is_some() => state.break_up(),
            Phase::Departed { .. } | Phase::BrokenUp => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(train: &Arc<Train<u8>>, command: &[u8]) -> Option<Ticket<u8>> {
        train.board(|commands, _| {
            commands.extend_from_slice(command);
            true
        })
    }

    fn turn(ticket: &Ticket<u8>) -> Poll<Option<u8>> {
        let mut cx = Context::from_waker(Waker::noop());
        ticket.poll_turn(&mut cx).map(|turn| match turn {
            Turn::Now(connection, _) => Some(connection),
            Turn::Alone => None,
        })
    }

    #[test]
    fn the_connection_goes_from_seat_to_seat_and_stays_with_the_last() {
        let train = Train::new();
        train.rest(7);
        let (one, two) = (board(&train, b"a").unwrap(), board(&train, b"b").unwrap());
        assert_eq!(turn(&one), Poll::Pending);
        assert_eq!(train.close_doors(), (Some(7), b"ab".to_vec()));
        assert!(board(&train, b"c").is_none(), "it has left");
        assert!(train.is_followed(0));
        assert_eq!(train.pass(0, 7), Passed::On);
        assert_eq!(turn(&two), Poll::Pending);
        assert_eq!(turn(&one), Poll::Ready(Some(7)));
        assert_eq!(one.hold().pass(7), Passed::On);
        assert_eq!(turn(&two), Poll::Ready(Some(7)));
        assert_eq!(two.hold().pass(7), Passed::Last(7));
    }

    #[test]
    fn a_seat_that_was_left_breaks_the_train_up_behind_it() {
        let train = Train::new();
        let (one, two, three) =
            (board(&train, b"a").unwrap(), board(&train, b"b").unwrap(), board(&train, b"c").unwrap());
        train.close_doors();
        drop(two);
        assert_eq!(train.pass(0, 7), Passed::On);
        assert_eq!(turn(&one), Poll::Ready(Some(7)));
        assert_eq!(turn(&three), Poll::Pending);
        assert_eq!(one.hold().pass(7), Passed::Leftover(7, 2));
        assert_eq!(turn(&three), Poll::Ready(None));
    }

    #[test]
    fn a_broken_up_train_sends_all_who_wait_alone() {
        let train = Train::new();
        let (one, two) = (board(&train, b"a").unwrap(), board(&train, b"b").unwrap());
        train.close_doors();
        assert_eq!(train.pass(0, 7), Passed::On);
        assert_eq!(turn(&one), Poll::Ready(Some(7)));
        train.break_up();
        assert_eq!(turn(&two), Poll::Ready(None));
        assert_eq!(one.hold().pass(7), Passed::Leftover(7, 1), "the reply of two is still to come");
    }

    #[test]
    fn whoever_leaves_while_others_board_sends_all_alone() {
        let train = Train::new();
        let one = board(&train, b"a").unwrap();
        drop(board(&train, b"b"));
        assert_eq!(turn(&one), Poll::Ready(None));
        assert!(board(&train, b"c").is_none());
        assert_eq!(train.close_doors(), (None, Vec::new()), "nobody reads their replies");
    }

    #[test]
    fn a_connection_that_nobody_fetched_is_not_lost_in_silence() {
        let train = Train::new();
        let (one, two) = (board(&train, b"a").unwrap(), board(&train, b"b").unwrap());
        train.close_doors();
        assert_eq!(train.pass(0, 7), Passed::On);
        drop(one);
        assert_eq!(turn(&two), Poll::Ready(None));
    }

    #[test]
    fn a_full_train_takes_nobody() {
        let train = Train::new();
        let tickets: Vec<_> = (1..SEATS_MAX).map(|_| board(&train, b"x").unwrap()).collect();
        assert!(board(&train, b"x").is_none());
        assert_eq!(tickets.len(), SEATS_MAX - 1);
    }
}
