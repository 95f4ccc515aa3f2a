//! The kernel's list of ready sockets, level-triggered: what all roles of this bench stand on.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec};

/// Events of one wait; more sockets are told by the next.
const EVENTS_MAX: usize = 256;

/// An epoll instance whose sockets are known by a number.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Tells when `socket` can be read, as `token`.
    pub(crate) fn add(&self, socket: impl AsFd, token: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token as u64), EventFlags::IN)?)
    }

    /// Waits until sockets are readable, or for `timeout`; calls `each` with their tokens.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, mut each: impl FnMut(usize)) -> io::Result<()> {
        let timeout = timeout.map(timespec);
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            let data = event.data;
            each(data.u64() as usize);
        }
        Ok(())
    }
}

/// Writes all of `bytes` to a non-blocking socket; waits where its buffer is full, which a bench whose
/// peers read at once never sees twice.
pub(crate) fn write_all(mut socket: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match io::Write::write(&mut socket, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_until_writable(socket)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Lets `duration` pass: between two looks at another process that tells nothing by itself.
pub(crate) fn pause(duration: Duration) {
    // An interrupted pause is a shorter one.
    let _ = rustix::event::poll(&mut [], Some(&timespec(duration)));
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: duration.subsec_nanos().into() }
}

fn wait_until_writable(socket: &TcpStream) -> io::Result<()> {
    match rustix::event::poll(&mut [PollFd::new(&socket, PollFlags::OUT)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
