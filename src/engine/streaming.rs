//! Commands too large to be held: passed on while they arrive.

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
        total += header.length as u64;
        if total > max {
            return Err(crate::engine::client::ClientError::from(StreamError::TooLarge(total)).into());
        }
        let mut rest = HEADER_BYTES + header.length;
        while rest > 0 {
            client.need(rest.min(BUFFER_BYTES)).await?;
            let n = client.stream.input.len().min(rest);
            write_server(conn, &client.stream.input.filled()[..n]).await?;
            client.stream.input.consume(n);
            rest -= n;
        }
        client.stream.sequence = header.sequence.wrapping_add(1);
        if header.length < PAYLOAD_MAX {
            return Ok(());
        }
        header = client.next_header().await?;
    }
}

/// Writes to the server. Not within a deadline of its own: a server that stops reading shows in the
/// kernel's TCP timeouts, and one that answers early (a refusal) in the reply.
pub(crate) async fn write_server(conn: &mut BackendConn, bytes: &[u8]) -> Result<(), RelayError> {
    conn.stream
        .write_all(bytes)
        .await
        .map_err(|error| RelayError::Server { error: error.into(), untouched: false })
}
