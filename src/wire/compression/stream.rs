//! A byte stream over the compressed protocol.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wire::compression::Algorithm;
use crate::wire::compression::FrameReader;
use crate::wire::compression::frame::{FRAME_MAX, write_stored_header};
use crate::wire::compression::write_frame;
use crate::wire::{HEADER_BYTES, Header};

/// Bytes read from below at once.
const READ_LEN: usize = 16 << 10;
/// Bytes of several packets that go into one frame. MySQL allows 16 MiB; more than this compresses
/// hardly better and holds more memory.
const FRAME_LEN: usize = 64 << 10;
/// A packet of up to this many bytes, header included, is gathered and compressed in one frame.
const GATHERED_MAX: usize = 1 << 20;

/// The packet stream of a connection whose login agreed on compression.
///
/// A frame holds whole packets: servers never cut one into more than two frames, and there are clients
/// that read no more than two (MySQL Connector/Python). So a packet that is not whole yet waits for its rest; one that
/// is too large for that goes out as it comes, in a frame that is not compressed and can be announced before it is there.
/// Callers gather what belongs together. A frame may wait inside until the flush, as with TLS. One sequence id counts in
/// both directions. A connection that waits at a packet boundary with everything flushed holds no buffer.
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
    /// The beginning of a packet whose rest is still to be written.
    gathered: Vec<u8>,
    passing: Passing,
}

/// A packet too large to be gathered, on its way.
#[derive(Clone, Copy, Debug)]
struct Passing {
    /// Its bytes that are still to be written.
    packet_left: usize,
    /// Those that its open frame has announced.
    frame_left: usize,
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
            gathered: Vec::new(),
            passing: Passing { packet_left: 0, frame_left: 0 },
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
        self.input.capacity() + self.output.capacity() + self.gathered.capacity()
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
        self.hand_down(cx)
    }

    fn hand_down(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.poll_output(cx) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Takes bytes from the front of the packet stream; how many. Nothing waits to be written.
    fn poll_take(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.passing.packet_left > 0 {
            return self.poll_pass(cx, bytes);
        }
        if self.gathered.is_empty() {
            let whole = whole_packets(bytes);
            if whole > 0 {
                self.frame(cx, &bytes[..whole])?;
                return Poll::Ready(Ok(whole));
            }
        }
        let mut taken = 0;
        loop {
            let wanted = packet_bytes(&self.gathered).unwrap_or(HEADER_BYTES);
            if wanted > GATHERED_MAX {
                // The header alone: it is not taken for more before its length is known.
                self.passing.packet_left = wanted;
                let header = std::mem::take(&mut self.gathered);
                self.open_passing_frame();
                self.output.extend_from_slice(&header);
                self.passed(header.len());
                self.hand_down(cx)?;
                return Poll::Ready(Ok(taken));
            }
            let n = (wanted - self.gathered.len()).min(bytes.len() - taken);
            self.gathered.extend_from_slice(&bytes[taken..taken + n]);
            taken += n;
            if packet_bytes(&self.gathered) == Some(self.gathered.len()) {
                let packet = std::mem::take(&mut self.gathered);
                self.frame(cx, &packet)?;
                return Poll::Ready(Ok(taken));
            }
            if n == 0 {
                return Poll::Ready(Ok(taken));
            }
        }
    }

    /// Writes bytes of a packet that is not gathered.
    fn poll_pass(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.passing.frame_left == 0 {
            self.open_passing_frame();
            ready!(self.poll_output(cx))?;
        }
        let n = bytes.len().min(self.passing.frame_left);
        let n = ready!(Pin::new(&mut self.inner).poll_write(cx, &bytes[..n]))?;
        self.passed(n);
        Poll::Ready(Ok(n))
    }

    fn open_passing_frame(&mut self) {
        self.passing.frame_left = self.passing.packet_left.min(FRAME_MAX);
        write_stored_header(self.passing.frame_left, self.sequence, &mut self.output);
        self.sequence = self.sequence.wrapping_add(1);
    }

    const fn passed(&mut self, n: usize) {
        self.passing.packet_left -= n;
        self.passing.frame_left -= n;
    }
}

/// The length of the packet that `bytes` begin with, header included.
fn packet_bytes(bytes: &[u8]) -> Option<usize> {
    Header::parse(bytes).map(|header| HEADER_BYTES + header.length)
}

/// The bytes at the front that are whole packets and may go into one frame.
fn whole_packets(bytes: &[u8]) -> usize {
    let mut whole = 0;
    while let Some(next) = packet_bytes(&bytes[whole..]).map(|length| whole + length)
        && next <= bytes.len()
        && (next <= FRAME_LEN || whole == 0 && next <= GATHERED_MAX)
    {
        whole = next;
    }
    whole
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
        this.poll_take(cx, bytes)
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
        if plain.is_empty() { Poll::Ready(Ok(0)) } else { this.poll_take(cx, &plain) }
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

    /// A packet whose payload is `length` times `byte`.
    fn packet(byte: u8, length: usize) -> Vec<u8> {
        let header = Header { length, sequence: 0 }.encode();
        [&header[..], &vec![byte; length]].concat()
    }

    /// The lengths that the frames in `bytes` announce.
    fn frames(mut bytes: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let [a, b, c, _, d, e, f, rest @ ..] = bytes {
            let [stored, plain] = [[*a, *b, *c, 0], [*d, *e, *f, 0]].map(|n| u32::from_le_bytes(n) as usize);
            lengths.push(if plain == 0 { stored } else { plain });
            bytes = &rest[stored..];
        }
        lengths
    }

    fn pair(algorithm: Algorithm, room: usize) -> (Compressed<DuplexStream>, Compressed<DuplexStream>) {
        let (a, b) = duplex(room);
        (Compressed::new(a, algorithm), Compressed::new(b, algorithm))
    }

    #[tokio::test]
    async fn an_exchange_counts_one_sequence_in_both_directions() {
        for algorithm in ALGORITHMS {
            let (mut client, mut server) = pair(algorithm, 1 << 20);
            let mut read = vec![0; 308];
            for _ in 0..3 {
                client.reset_sequence();
                server.reset_sequence();
                client.write_all(&packet(b'q', 100)).await.unwrap();
                client.write_all(&packet(b'q', 200)).await.unwrap();
                client.flush().await.unwrap();
                server.read_exact(&mut read).await.unwrap();
                assert_eq!(read, [packet(b'q', 100), packet(b'q', 200)].concat());
                server.write_all(&packet(b'r', 304)).await.unwrap();
                server.flush().await.unwrap();
                client.read_exact(&mut read).await.unwrap();
                assert_eq!((client.sequence, server.sequence), (3, 3));
            }
        }
    }

    #[tokio::test]
    async fn a_large_reply_flows_through_a_narrow_pipe() {
        let mut text: Vec<u8> = (0u32..3 << 20).map(|n| (n.wrapping_mul(n) / 7) as u8).collect();
        let length = text.len() - HEADER_BYTES;
        text[..HEADER_BYTES].copy_from_slice(&Header { length, sequence: 0 }.encode());
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
        let slices = [io::IoSlice::new(b"\x04\0\0\0"), io::IoSlice::new(b""), io::IoSlice::new(b"tail")];
        assert_eq!(client.write_vectored(&slices).await.unwrap(), 8);
        client.flush().await.unwrap();
        let mut read = [0; 15];
        server.get_mut().read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"\x08\0\0\0\0\0\0\x04\0\0\0tail");
    }

    #[tokio::test]
    async fn no_packet_is_cut_into_more_than_two_frames() {
        let check = async |packets: &[usize], piece: usize, expected: &[usize]| {
            let (raw, inner) = duplex(100 << 20);
            let (mut raw, mut sender) = (raw, Compressed::new(inner, Algorithm::Zlib));
            let bytes: Vec<u8> = packets.iter().flat_map(|length| packet(b'a', *length)).collect();
            for piece in bytes.chunks(piece) {
                sender.write_all(piece).await.unwrap();
                sender.flush().await.unwrap();
            }
            assert_eq!(sender.buffered(), 0, "{packets:?} in pieces of {piece}");
            drop(sender);
            let mut sent = Vec::new();
            raw.read_to_end(&mut sent).await.unwrap();
            assert_eq!(frames(&sent), expected, "{packets:?} in pieces of {piece}");
            let (mut out, inner) = duplex(100 << 20);
            out.write_all(&sent).await.unwrap();
            drop(out);
            let mut read = Vec::new();
            Compressed::new(inner, Algorithm::Zlib).read_to_end(&mut read).await.unwrap();
            assert!(read == bytes, "{packets:?} in pieces of {piece}");
        };
        check(&[10, 0, 20], 1 << 20, &[14 + 4 + 24]).await;
        check(&[10, 20], 3, &[14, 24]).await;
        check(&[10, 300_000, 20], 1 << 20, &[14, 300_004, 24]).await;
        check(&[300_000, 20], 16 << 10, &[300_004, 24]).await;
        check(&[40_000, 40_000], 1 << 20, &[40_004, 40_004]).await;
        check(&[2 << 20, 20], 16 << 10, &[(2 << 20) + 4, 24]).await;
        check(&[0xFF_FFFF, 0], 1 << 20, &[0xFF_FFFF, 4, 4]).await;
        check(&[0xFF_FFFF, 5], 3 << 10, &[0xFF_FFFF, 4, 9]).await;
    }

    #[tokio::test]
    async fn an_idle_connection_holds_no_buffer() {
        for algorithm in ALGORITHMS {
            let (mut client, mut server) = pair(algorithm, 1 << 20);
            client.write_all(&packet(b'q', 5000)).await.unwrap();
            client.flush().await.unwrap();
            assert_eq!(client.buffered(), 0);
            let mut read = [0; 5004];
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
