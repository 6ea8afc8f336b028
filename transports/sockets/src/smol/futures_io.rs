//! Streams that others have made: [`FuturesIo`].

use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use ::futures_io::{AsyncRead, AsyncWrite};

use crate::socket::Socket;

/// Any stream of futures-io as a [`Socket`]: one that was accepted elsewhere, an encrypted one.
///
/// What is written to it is flushed too, so a stream may have buffers of its own. Who is at the other end is not known.
#[derive(Debug)]
pub struct FuturesIo<S> {
    stream: S,
    /// What the stream has taken and not passed on.
    unflushed: usize,
}

impl<S> FuturesIo<S> {
    /// A socket that is `stream`.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            unflushed: 0,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for FuturesIo<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut stream = Pin::new(&mut self.stream);
        if self.unflushed == 0 {
            self.unflushed = ready!(match pieces {
                [piece] => stream.as_mut().poll_write(cx, piece),
                pieces => stream.as_mut().poll_write_vectored(cx, pieces),
            })?;
        }
        ready!(stream.poll_flush(cx))?;
        Poll::Ready(Ok(mem::take(&mut self.unflushed)))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use core::task::Waker;

    use super::*;

    /// A stream with a buffer that is passed on when it is told to, once the peer `reads`.
    #[derive(Default)]
    struct Buffered {
        buffer: Vec<u8>,
        arrived: Vec<u8>,
        reads: bool,
    }

    impl AsyncRead for Buffered {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }
    }

    impl AsyncWrite for Buffered {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.buffer.extend(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if !self.reads {
                return Poll::Pending;
            }
            let Self {
                buffer, arrived, ..
            } = self.get_mut();
            arrived.append(buffer);
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    #[test]
    fn what_is_written_has_left_the_stream_and_is_written_once() {
        let mut socket = FuturesIo::new(Buffered::default());
        let cx = &mut Context::from_waker(Waker::noop());
        let (first, later) = (IoSlice::new(b"one"), IoSlice::new(b"two"));
        assert!(socket.poll_write(cx, &[first]).is_pending());
        assert!(socket.poll_write(cx, &[first, later]).is_pending());

        socket.stream.reads = true;
        let written = socket.poll_write(cx, &[first, later]);
        assert!(matches!(written, Poll::Ready(Ok(3))));
        assert_eq!(socket.stream.arrived, b"one");
        assert!(matches!(
            socket.poll_write(cx, &[later]),
            Poll::Ready(Ok(3))
        ));
        assert_eq!(socket.stream.arrived, b"onetwo");
    }
}
