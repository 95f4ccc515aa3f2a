//! A byte stream over the compressed protocol.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wire::compression::Algorithm;
use crate::wire::compression::FrameReader;
use crate::wire::compression::write_frame;

/// Bytes read from below at once.
const READ_LEN: usize = 16 << 10;
/// Bytes of one frame before compression that we send. MySQL allows 16 MiB; more than this compresses
/// hardly better and holds more memory.
const FRAME_LEN: usize = 64 << 10;

/// The packet stream of a connection whose login agreed on compression.
///
/// Each write makes one frame, so callers gather what belongs together. A frame may wait inside until
/// the flush, as with TLS. One sequence id counts in both directions. A connection that waits at a frame
/// boundary with everything flushed holds no buffer.
pub struct Compressed<S> {
    inner: S,
    algorithm: Algorithm,
    sequence: u8,
    reader: FrameReader,
    /// Compressed bytes that were read, from `input_at` on not yet used.
    input: Vec<u8>,
    input_at: usize,
    /// Frames to be written, from `output_at` on not yet taken by `inner`.
    output: Vec<u8>,
    output_at: usize,
}

impl<S> Compressed<S> {
    /// Compression over `inner`, from the first byte after the login's OK packet.
    #[must_use]
    pub const fn new(inner: S, algorithm: Algorithm) -> Self {
        Self {
            inner,
            algorithm,
            sequence: 0,
            reader: FrameReader::new(algorithm),
            input: Vec::new(),
            input_at: 0,
            output: Vec::new(),
            output_at: 0,
        }
    }

    /// A new command begins: its first frame has sequence id 0.
    pub const fn reset_sequence(&mut self) {
        self.sequence = self.reader.next_command();
    }

    /// What is below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// What is below. Reading or writing there breaks the stream.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Bytes of memory held by buffers.
    #[cfg(test)]
    fn buffered(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }
}

impl<S: AsyncRead + Unpin> Compressed<S> {
    /// Reads once from below; false at the end of the stream.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        debug_assert_eq!(self.input_at, self.input.len(), "what was read is used up first");
        self.input_at = 0;
        self.input.resize(READ_LEN, 0);
        let mut spare = ReadBuf::new(&mut self.input);
        let polled = Pin::new(&mut self.inner).poll_read(cx, &mut spare);
        let len = spare.filled().len();
        self.input.truncate(len);
        if len == 0 {
            self.input = Vec::new();
            self.reader.release();
        }
        ready!(polled)?;
        Poll::Ready(Ok(len > 0))
    }
}

impl<S: AsyncWrite + Unpin> Compressed<S> {
    /// Hands waiting frames down; gives their memory back when they are gone.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.output_at < self.output.len() {
            let rest = &self.output[self.output_at..];
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.output_at += n,
            }
        }
        self.output = Vec::new();
        self.output_at = 0;
        Poll::Ready(Ok(()))
    }

    /// Makes a frame of `plain` and hands down what goes without waiting.
    fn frame(&mut self, cx: &mut Context<'_>, plain: &[u8]) -> io::Result<()> {
        write_frame(self.algorithm, plain, self.sequence, &mut self.output);
        self.sequence = self.sequence.wrapping_add(1);
        match self.poll_output(cx) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Compressed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let input = &this.input[this.input_at..];
            let (consumed, produced) =
                this.reader.read(input, into.initialize_unfilled(), &mut this.sequence)?;
            this.input_at += consumed;
            if produced > 0 {
                into.advance(produced);
                return Poll::Ready(Ok(()));
            }
            if !ready!(this.poll_input(cx))? {
                let whole = this.reader.at_boundary();
                return Poll::Ready(if whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) });
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Compressed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(this.poll_output(cx))?;
        let plain = &bytes[..bytes.len().min(FRAME_LEN)];
        this.frame(cx, plain)?;
        Poll::Ready(Ok(plain.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_output(cx))?;
        let mut plain = Vec::new();
        for slice in slices {
            let room = FRAME_LEN - plain.len();
            plain.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        if !plain.is_empty() {
            this.frame(cx, &plain)?;
        }
        Poll::Ready(Ok(plain.len()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_output(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_output(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Compressed<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressed")
            .field("inner", &self.inner)
            .field("algorithm", &self.algorithm)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::wire::compression::CompressionError;

    const ALGORITHMS: [Algorithm; 2] = [Algorithm::Zlib, Algorithm::Zstd { level: 3 }];

    fn pair(algorithm: Algorithm, room: usize) -> (Compressed<DuplexStream>, Compressed<DuplexStream>) {
        let (a, b) = duplex(room);
        (Compressed::new(a, algorithm), Compressed::new(b, algorithm))
    }

    #[tokio::test]
    async fn an_exchange_counts_one_sequence_in_both_directions() {
        for algorithm in ALGORITHMS {
            let (mut client, mut server) = pair(algorithm, 1 << 20);
            let mut read = vec![0; 300];
            for _ in 0..3 {
                client.reset_sequence();
                server.reset_sequence();
                client.write_all(&[b'q'; 100]).await.unwrap();
                client.write_all(&[b'q'; 200]).await.unwrap();
                client.flush().await.unwrap();
                server.read_exact(&mut read).await.unwrap();
                assert_eq!(read, [b'q'; 300]);
                server.write_all(&[b'r'; 300]).await.unwrap();
                server.flush().await.unwrap();
                client.read_exact(&mut read).await.unwrap();
                assert_eq!((client.sequence, server.sequence), (3, 3));
            }
        }
    }

    #[tokio::test]
    async fn a_large_reply_flows_through_a_narrow_pipe() {
        let text: Vec<u8> = (0u32..3 << 20).map(|n| (n.wrapping_mul(n) / 7) as u8).collect();
        for algorithm in ALGORITHMS {
            let (mut client, mut server) = pair(algorithm, 1000);
            let write = async {
                server.write_all(&text).await.unwrap();
                server.shutdown().await.unwrap();
            };
            let mut read = Vec::new();
            let (done, ()) = tokio::join!(client.read_to_end(&mut read), write);
            done.unwrap();
            assert!(read == text);
        }
    }

    #[tokio::test]
    async fn slices_are_gathered_into_one_frame() {
        let (mut client, mut server) = pair(Algorithm::Zlib, 1 << 20);
        let slices = [io::IoSlice::new(b"head"), io::IoSlice::new(b""), io::IoSlice::new(b"tail")];
        assert_eq!(client.write_vectored(&slices).await.unwrap(), 8);
        client.flush().await.unwrap();
        let mut read = [0; 15];
        server.get_mut().read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"\x08\0\0\0\0\0\0headtail");
    }

    #[tokio::test]
    async fn an_idle_connection_holds_no_buffer() {
        for algorithm in ALGORITHMS {
            let (mut client, mut server) = pair(algorithm, 1 << 20);
            client.write_all(&[b'q'; 5000]).await.unwrap();
            client.flush().await.unwrap();
            assert_eq!(client.buffered(), 0);
            let mut read = [0; 5000];
            server.read_exact(&mut read).await.unwrap();
            let waiting = poll_fn(|cx| {
                Poll::Ready(Pin::new(&mut server).poll_read(cx, &mut ReadBuf::new(&mut [0; 1])).is_pending())
            });
            assert!(waiting.await);
            assert_eq!(server.buffered(), 0);
        }
    }

    #[tokio::test]
    async fn what_the_peer_does_wrong_can_be_told_apart() {
        for (bytes, expected) in [
            (&b"\x01\0\0\x05\0\0\0x"[..], Some(CompressionError::OutOfOrder { expected: 0, got: 5 })),
            (b"\x04\0\0\0\xFF\xFF\xFFbad!", Some(CompressionError::Corrupt("not zlib"))),
            (b"\x04\0\0\0\0\0\0", None),
            (b"\x04\0", None),
        ] {
            let (mut raw, inner) = duplex(1000);
            raw.write_all(bytes).await.unwrap();
            drop(raw);
            let error =
                Compressed::new(inner, Algorithm::Zlib).read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(CompressionError::of(&error).copied(), expected);
            assert_eq!(error.kind() == io::ErrorKind::UnexpectedEof, expected.is_none());
        }
    }
}
