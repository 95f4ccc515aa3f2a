//! One connection's bytes, whatever carries them: TCP, a unix socket, TLS over either, compression
//! over any.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

use crate::wire::compression::Compressed;

/// What the operating system gives us.
#[derive(Debug)]
pub enum Transport {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket: a secure transport in MySQL's terms.
    Unix(UnixStream),
    /// A pipe inside this process, for tests.
    Pipe(DuplexStream),
}

/// A transport, plain or under TLS.
#[derive(Debug)]
pub enum Socket {
    /// Plain bytes.
    Plain(Transport),
    /// TLS; boxed because its state is a kilobyte that most connections do without.
    Tls(Box<TlsStream<Transport>>),
    /// Compressed packets over one of the others.
    Compressed(Box<Compressed<Socket>>),
}

impl Transport {
    /// Moves the socket to the I/O driver of the current runtime.
    pub fn reregister(&mut self) -> io::Result<()> {
        // Between the two steps the socket is owned here: a failure leaves a closed pipe behind.
        let (closed, _) = tokio::io::duplex(1);
        *self = match std::mem::replace(self, Self::Pipe(closed)) {
            Self::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream.into_std()?)?),
            Self::Unix(stream) => Self::Unix(UnixStream::from_std(stream.into_std()?)?),
            pipe @ Self::Pipe(_) => pipe,
        };
        Ok(())
    }
}

impl Socket {
    /// Whether a password may be sent in clear: TLS and unix sockets.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        match self {
            Self::Tls(_) | Self::Plain(Transport::Unix(_)) => true,
            Self::Plain(_) => false,
            Self::Compressed(inner) => inner.get_ref().is_secure(),
        }
    }

    /// A new exchange begins; compression counts its own packets and starts again at 0.
    pub fn reset_sequence(&mut self) {
        match self {
            Self::Plain(_) | Self::Tls(_) => {}
            Self::Compressed(compressed) => compressed.reset_sequence(),
        }
    }

    /// The transport below.
    #[must_use]
    pub fn transport(&self) -> &Transport {
        match self {
            Self::Plain(transport) => transport,
            Self::Tls(tls) => tls.get_ref().0,
            Self::Compressed(inner) => inner.get_ref().transport(),
        }
    }
}

/// Delegates the five methods of `AsyncRead` and `AsyncWrite` to whichever variant there is.
macro_rules! delegate_io {
    ($type:ty, $($variant:path),+) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                into: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($variant(inner) => Pin::new(inner).poll_read(cx, into),)+
                }
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $($variant(inner) => Pin::new(inner).poll_write(cx, bytes),)+
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($variant(inner) => Pin::new(inner).poll_flush(cx),)+
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($variant(inner) => Pin::new(inner).poll_shutdown(cx),)+
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $($variant(inner) => Pin::new(inner).poll_write_vectored(cx, slices),)+
                }
            }
        }
    };
}

delegate_io!(Transport, Transport::Tcp, Transport::Unix, Transport::Pipe);
delegate_io!(Socket, Socket::Plain, Socket::Tls, Socket::Compressed);
