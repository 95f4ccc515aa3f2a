//! The choice of a TCP port that stays free over a server's restarts.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::lab::error::LabError;

/// Another process may take the port between our look and the server's bind.
pub(crate) const PORT_ATTEMPTS: u32 = 10;

/// A port of 127.0.0.1 that nobody listens on, below the range that the system gives to outgoing
/// connections: so a stopped server finds its port free again.
pub(crate) fn free_port() -> Result<u16, LabError> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run at the same time begin at different places, also those whose ids are neighbours.
    let spread = std::process::id().wrapping_mul(7_919) % u32::from(COUNT);
    let spread = u16::try_from(spread).expect("below COUNT") / 16 * 16;
    let mut refused = None;
    for _ in 0..COUNT {
        let offset = (spread + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + offset)) {
            Ok(_) => return Ok(FIRST + offset),
            Err(error) => refused = Some(error),
        }
    }
    let error = refused.unwrap_or_else(|| io::ErrorKind::AddrInUse.into());
    Err(LabError::io("looking for a free port", &"127.0.0.1")(error))
}

/// Whether the log of a server that ended says that its port was taken.
pub(crate) fn is_port_taken(log: &str) -> bool {
    log.contains("Address already in use") || log.contains("Bind on TCP/IP port")
}
