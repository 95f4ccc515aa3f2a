//! Opening the sockets that clients connect to.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{Listener, ListenerAddress};

/// Connections the kernel queues before they are accepted; it cuts this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listener {address}: {error}")]
pub struct ListenerError {
    /// Which.
    pub address: ListenerAddress,
    /// Why.
    pub error: io::Error,
}

/// A listening socket, one for each worker.
#[derive(Debug)]
pub enum BoundListener {
    /// TCP. Every worker has a socket of its own; the kernel spreads the clients.
    Tcp(std::net::TcpListener),
    /// A unix socket, shared by the workers.
    Unix(std::os::unix::net::UnixListener),
}

/// Whom a new listener may meet at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Neighbours {
    /// Nobody.
    None,
    /// Listeners of this process that are about to be closed: `127.0.0.1:6033` where `0.0.0.0:6033` comes.
    Own,
}

/// Opens one listener for `workers` workers.
pub(crate) fn bind(
    settings: &Listener,
    workers: usize,
    neighbours: Neighbours,
) -> Result<Vec<BoundListener>, ListenerError> {
    let bound = match &settings.address {
        ListenerAddress::Tcp(address) => bind_tcp(*address, workers, neighbours),
        ListenerAddress::Unix(path) => bind_unix(path, workers),
    };
    bound.map_err(|error| ListenerError { address: settings.address.clone(), error })
}

fn bind_tcp(
    mut address: SocketAddr,
    workers: usize,
    neighbours: Neighbours,
) -> io::Result<Vec<BoundListener>> {
    // Sockets that share a port, as those of workers do, would share it with another process as well, which would then
    // get half of the clients without a word: one that does not share shows that the port is free. Port 0 means any
    // port, but the same one for all workers.
    if neighbours == Neighbours::None {
        address = bound_socket(address, false)?.local_addr()?.as_socket().unwrap_or(address);
    }
    (0..workers)
        .map(|_| {
            let socket = bound_socket(address, true)?;
            socket.listen(BACKLOG)?;
            Ok(BoundListener::Tcp(socket.into()))
        })
        .collect()
}

fn bound_socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind_unix(path: &Path, workers: usize) -> io::Result<Vec<BoundListener>> {
    // A socket file that nobody answers on is left over from a process that was killed.
    if path.exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    (0..workers).map(|_| listener.try_clone().map(BoundListener::Unix)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused_whatever_the_number_of_workers() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        for workers in [1, 3] {
            let bound = bind_tcp(any, workers, Neighbours::None).expect("a free port");
            assert_eq!(bound.len(), workers);
            let BoundListener::Tcp(first) = &bound[0] else { panic!("a TCP listener") };
            let address = first.local_addr().expect("it is bound");
            for others in [1, 2] {
                let error = bind_tcp(address, others, Neighbours::None).expect_err("the port is in use");
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            }
        }
    }
}
