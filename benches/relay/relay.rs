//! The floor: a relay that copies bytes between one client socket and one server socket, one thread,
//! one read and one write for each direction of a statement, and nothing else.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use crate::poller::{Poller, write_all};

const LISTENER: usize = usize::MAX;
const BUFFER_BYTES: usize = 16 << 10;

/// Accepts on `listener` for ever; each client gets its own connection to `server`.
pub(crate) fn run(listener: &TcpListener, server: SocketAddr) -> io::Result<()> {
    let mut poller = Poller::new()?;
    poller.add(listener, LISTENER)?;
    // Sockets stand in pairs: the peer of socket `i` is `i ^ 1`. A closed pair leaves its place empty.
    let mut sockets: Vec<Option<TcpStream>> = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut ready = Vec::new();
    loop {
        poller.wait(None, |token| ready.push(token))?;
        for token in ready.drain(..) {
            if token == LISTENER {
                accept(listener, server, &poller, &mut sockets)?;
            } else if forward(&sockets, token, &mut buffer).is_none() {
                for side in [token, token ^ 1] {
                    if let Some(socket) = sockets[side].take() {
                        // The peer may be gone already.
                        let _ = socket.shutdown(Shutdown::Both);
                    }
                }
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    server: SocketAddr,
    poller: &Poller,
    sockets: &mut Vec<Option<TcpStream>>,
) -> io::Result<()> {
    let (client, _) = listener.accept()?;
    for socket in [client, TcpStream::connect(server)?] {
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        poller.add(&socket, sockets.len())?;
        sockets.push(Some(socket));
    }
    Ok(())
}

/// Copies what `token` has to its peer; nothing: the pair is at its end.
fn forward(sockets: &[Option<TcpStream>], token: usize, buffer: &mut [u8]) -> Option<()> {
    // An event of a pair that ended within the same wait finds its place empty, and closes nothing.
    let (from, to) = (sockets[token].as_ref()?, sockets[token ^ 1].as_ref()?);
    match (&*from).read(buffer) {
        Ok(0) => None,
        Ok(n) => write_all(to, &buffer[..n]).ok(),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(()),
        Err(_) => None,
    }
}
