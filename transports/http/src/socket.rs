//! What is left of an HTTP connection when it is one no longer: [`Any`].

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use bytes::Bytes;
use hyper::rt::{Read, ReadBuf, Write};
#[cfg(any(feature = "smol", feature = "tokio"))]
use hyper::upgrade::Parts;
use hyper::upgrade::Upgraded;
use lapwing_sockets::Socket;

#[cfg(any(feature = "smol", feature = "tokio"))]
use crate::io::Io;

/// A socket of one of our servers by itself, or that of another one through hyper.
pub(crate) enum Any {
    #[cfg(feature = "smol")]
    Smol(lapwing_sockets::smol::SmolSocket),
    #[cfg(feature = "tokio")]
    Tokio(lapwing_sockets::tokio::TokioSocket),
    Other {
        upgraded: Upgraded,
        /// Bytes that are written and may be in a buffer still.
        unflushed: usize,
    },
}

/// The socket below, and what was read of it behind the request.
pub(crate) fn of(upgraded: Upgraded) -> (Any, Bytes) {
    #[cfg(feature = "smol")]
    let upgraded = match upgraded.downcast() {
        Ok(Parts {
            io: Io { socket, .. },
            read_buf,
            ..
        }) => return (Any::Smol(socket), read_buf),
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "tokio")]
    let upgraded = match upgraded.downcast() {
        Ok(Parts {
            io: Io { socket, .. },
            read_buf,
            ..
        }) => return (Any::Tokio(socket), read_buf),
        Err(upgraded) => upgraded,
    };
    let other = Any::Other {
        upgraded,
        unflushed: 0,
    };
    (other, Bytes::new())
}

impl Socket for Any {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            #[cfg(feature = "smol")]
            Self::Smol(socket) => socket.poll_read(cx, buffer),
            #[cfg(feature = "tokio")]
            Self::Tokio(socket) => socket.poll_read(cx, buffer),
            Self::Other { upgraded, .. } => {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(upgraded).poll_read(cx, buffer.unfilled()))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            #[cfg(feature = "smol")]
            Self::Smol(socket) => socket.poll_write(cx, pieces),
            #[cfg(feature = "tokio")]
            Self::Tokio(socket) => socket.poll_write(cx, pieces),
            Self::Other {
                upgraded,
                unflushed,
            } => {
                if *unflushed == 0 {
                    let written = Pin::new(&mut *upgraded).poll_write_vectored(cx, pieces);
                    *unflushed = ready!(written)?;
                }
                // Who keeps what was written lets go of it when asked to; until then it is not on its way, and not to be written again.
                ready!(Pin::new(upgraded).poll_flush(cx))?;
                Poll::Ready(Ok(core::mem::take(unflushed)))
            }
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            #[cfg(feature = "smol")]
            Self::Smol(socket) => socket.poll_shutdown(cx),
            #[cfg(feature = "tokio")]
            Self::Tokio(socket) => socket.poll_shutdown(cx),
            Self::Other { upgraded, .. } => Pin::new(upgraded).poll_shutdown(cx),
        }
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        match self {
            #[cfg(feature = "smol")]
            Self::Smol(socket) => socket.peer(),
            #[cfg(feature = "tokio")]
            Self::Tokio(socket) => socket.peer(),
            Self::Other { .. } => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}
