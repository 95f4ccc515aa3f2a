//! Commands too large to be held, and files of LOAD DATA LOCAL: passed on while they arrive.

use crate::backend::BackendConn;
use crate::engine::client::Client;
use crate::engine::relay::RelayError;
use crate::wire::{BUFFER_BYTES, HEADER_BYTES, Header, PAYLOAD_MAX, StreamError};

/// Streams the client's command to the server: the packet whose header stands at the front of the
/// client's input, and its continuations. What is passed on is consumed. The first bytes may have been
/// changed in place before.
pub(crate) async fn stream_command(
    conn: &mut BackendConn,
    client: &mut Client,
    first: Header,
) -> Result<(), RelayError> {
    let max = client.packet_bytes_max;
    let mut header = first;
    let mut total = 0;
    loop {
        client.stream.sequence = header.sequence.wrapping_add(1);
        total += header.length as u64;
        if total > max {
            return Err(crate::engine::client::ClientError::from(StreamError::TooLarge(total)).into());
        }
        let mut rest = HEADER_BYTES + header.length;
        let mut head = HEADER_BYTES;
        while rest > 0 {
            client.need(rest.min(BUFFER_BYTES)).await?;
            let n = client.stream.input.len().min(rest);
            let piece = &client.stream.input.filled()[..n];
            if let Some(tail) = client.tail.as_mut() {
                tail.feed(&piece[head.min(n)..]);
            }
            head = head.saturating_sub(n);
            write_server(conn, piece).await?;
            client.stream.input.consume(n);
            rest -= n;
        }
        if header.length < PAYLOAD_MAX {
            return Ok(());
        }
        header = client.next_header().await?;
    }
}

/// Passes the client's packets on until the empty one that ends the file. The server's ids count from
/// `sequence`.
pub(crate) async fn stream_file(
    conn: &mut BackendConn,
    client: &mut Client,
    mut sequence: u8,
) -> Result<(), RelayError> {
    loop {
        let header = client.next_header().await?;
        let mut rest = HEADER_BYTES + header.length;
        client.stream.input.filled_mut()[3] = sequence;
        while rest > 0 {
            client.need(rest.min(BUFFER_BYTES)).await?;
            let n = client.stream.input.len().min(rest);
            write_server(conn, &client.stream.input.filled()[..n]).await?;
            client.stream.input.consume(n);
            rest -= n;
        }
        sequence = sequence.wrapping_add(1);
        client.stream.sequence = client.stream.sequence.wrapping_add(1);
        if header.length == 0 {
            return Ok(());
        }
    }
}

/// Writes to the server, which has to read within the cluster's write timeout.
pub(crate) async fn write_server(conn: &mut BackendConn, bytes: &[u8]) -> Result<(), RelayError> {
    let limit = conn.write_timeout;
    match conn.deadline.run(limit, conn.stream.write_all(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(RelayError::Server { error: error.into(), untouched: false }),
        Err(_) => Err(RelayError::Timeout),
    }
}

/// Writes a whole command, or a part of one that was not streamed: if that fails, the server does not have all
/// of it and cannot have run it.
pub(crate) async fn write_command(conn: &mut BackendConn, bytes: &[u8]) -> Result<(), RelayError> {
    write_server(conn, bytes).await.map_err(|error| match error {
        RelayError::Server { error, .. } => RelayError::Unsent(error),
        other => other,
    })
}
