//! The load: a closed loop of connections in one thread; and a crowd of clients that do nothing.

use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use dazzle::wire::Writer;
use tokio::time::Instant;

use crate::client::{Client, reply_end};
use crate::poller::{Poller, write_all};
use crate::replies::packet;
use crate::scenario::Mode;

const TEXT: &str = "SELECT id, user_id, status, total_cents, note FROM orders WHERE id = ";
/// Replies of the bench are about 400 bytes.
const READ_BYTES: usize = 16 << 10;

/// For the last replies of a run.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// Logs `connections` clients in, says `ready`, then for each line `MILLISECONDS` on standard input
/// drives them that long and prints how many statements were answered. Ends with its input. `keys`: orders that are asked for.
pub(crate) fn run(address: SocketAddr, connections: usize, mode: Mode, keys: u64) -> io::Result<()> {
    let mut poller = Poller::new()?;
    let mut loops = Vec::with_capacity(connections);
    for index in 0..connections {
        let mut client = Client::login(address)?;
        let statement = match mode {
            Mode::Text => None,
            Mode::Prepared => Some(client.prepare(&format!("{TEXT}?"))?),
        };
        let socket = client.into_socket()?;
        poller.add(&socket, index)?;
        loops.push(Loop { socket, statement, seed: index as u64 + 1, keys, partial: Vec::new() });
    }
    println!("ready");
    for line in io::stdin().lock().lines() {
        let millis = line?.parse().map_err(io::Error::other)?;
        let statements = drive(&mut poller, &mut loops, Duration::from_millis(millis))?;
        println!("{statements}");
    }
    Ok(())
}

/// One connection with at most one statement under way.
struct Loop {
    socket: TcpStream,
    statement: Option<u32>,
    seed: u64,
    keys: u64,
    /// The start of a reply that came in pieces.
    partial: Vec<u8>,
}

/// Every connection sends one statement after the other until `duration` has passed and the last
/// replies have come; the number of statements.
fn drive(poller: &mut Poller, loops: &mut [Loop], duration: Duration) -> io::Result<u64> {
    let mut buffer = vec![0; READ_BYTES];
    let mut command = Vec::with_capacity(256);
    let mut ready = Vec::new();
    let end = Instant::now() + duration;
    for each in loops.iter_mut() {
        each.send(&mut command)?;
    }
    let mut under_way = loops.len();
    let mut answered = 0;
    while under_way > 0 {
        poller.wait(Some(REPLY_TIMEOUT), |token| ready.push(token))?;
        let now = Instant::now();
        if ready.is_empty() && now >= end + REPLY_TIMEOUT {
            return Err(io::Error::other(format!("{under_way} statements were never answered")));
        }
        let over = now >= end;
        for token in ready.drain(..) {
            if !loops[token].receive(&mut buffer)? {
                continue;
            }
            answered += 1;
            match over {
                true => under_way -= 1,
                false => loops[token].send(&mut command)?,
            }
        }
    }
    Ok(answered)
}

impl Loop {
    fn send(&mut self, command: &mut Vec<u8>) -> io::Result<()> {
        // xorshift64: another order each time.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let order = 100_000 + self.seed % self.keys;
        command.clear();
        match self.statement {
            None => text_command(command, order),
            Some(statement) => execute_command(command, statement, order),
        }
        write_all(&self.socket, command)
    }

    /// Reads once; whether the reply is whole.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let read = match self.socket.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => &buffer[..n],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let bytes = if self.partial.is_empty() {
            read
        } else {
            self.partial.extend_from_slice(read);
            &self.partial
        };
        match reply_end(bytes)? {
            Some(end) if end == bytes.len() => {
                self.partial.clear();
                Ok(true)
            }
            Some(_) => Err(io::Error::other("bytes behind the end of a reply")),
            None => {
                if self.partial.is_empty() {
                    self.partial.extend_from_slice(read);
                }
                Ok(false)
            }
        }
    }
}

fn text_command(command: &mut Vec<u8>, order: u64) {
    command.put_u24(1 + TEXT.len() as u32 + 6);
    command.push(0);
    command.push(0x03);
    command.extend_from_slice(TEXT.as_bytes());
    write!(command, "{order:06}").expect("a Vec takes every byte");
}

/// Source: MySQL "COM_STMT_EXECUTE"; types are bound each time, as most drivers do.
fn execute_command(command: &mut Vec<u8>, statement: u32, order: u64) {
    command.put_u24(22);
    command.push(0);
    command.push(0x17);
    command.put_u32(statement);
    command.push(0);
    command.put_u32(1);
    command.push(0);
    command.push(1);
    command.put_u16(8);
    command.put_u64(order);
}

/// Logs `count` clients in, says `ready`; on each further line of standard input all of them run one
/// statement in turn and it says `ready` again. Ends with its input.
pub(crate) fn idle(address: SocketAddr, count: usize) -> io::Result<()> {
    let mut clients = (0..count).map(|_| Client::login(address)).collect::<io::Result<Vec<_>>>()?;
    println!("ready");
    for line in io::stdin().lock().lines() {
        line?;
        let mut command = Vec::new();
        for (index, client) in clients.iter_mut().enumerate() {
            command.clear();
            text_command(&mut command, 100_000 + index as u64);
            client.command(&command)?;
        }
        println!("ready");
    }
    // COM_QUIT, so that the proxy logs no lost clients.
    let mut quit = Vec::new();
    packet(&mut quit, 0, &[0x01]);
    clients.into_iter().try_for_each(|client| (&client.into_socket()?).write_all(&quit))
}
