//! Streams that others have made: [`TokioIo`].

use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use ::tokio::io::{AsyncRead, AsyncWrite};

use super::poll_read;
use crate::socket::Socket;

/// Any stream of tokio's traits as a [`Socket`]: one that was accepted elsewhere, an encrypted one.
///
/// What is written to it is flushed too, so a stream may have buffers of its own. Who is at the other end is not known.
#[derive(Debug)]
pub struct TokioIo<S> {
    stream: S,
    /// What the stream has taken and not passed on.
    unflushed: usize,
}

impl<S> TokioIo<S> {
    /// A socket that is `stream`.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            unflushed: 0,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for TokioIo<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        poll_read(&mut self.stream, cx, buffer)
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
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use core::task::Waker;

    use ::tokio::io::{BufWriter, duplex};

    use super::*;

    #[test]
    fn what_is_written_has_left_the_stream_and_is_written_once() {
        let (ours, theirs) = duplex(4);
        let (mut ours, mut theirs) = (TokioIo::new(BufWriter::new(ours)), TokioIo::new(theirs));
        let cx = &mut Context::from_waker(Waker::noop());
        let (first, later) = (IoSlice::new(b"hello"), IoSlice::new(b"you"));
        assert!(ours.poll_write(cx, &[first]).is_pending());
        assert!(ours.poll_write(cx, &[first, later]).is_pending());

        let mut buffer = [0; 8];
        let mut read = |cx: &mut Context<'_>| match theirs.poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(read)) => buffer[..read].to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(read(cx), b"hell");
        let written = ours.poll_write(cx, &[first, later]);
        assert!(matches!(written, Poll::Ready(Ok(5))));
        assert!(matches!(ours.poll_write(cx, &[later]), Poll::Ready(Ok(3))));
        assert_eq!(read(cx), b"oyou");

        assert!(ours.poll_shutdown(cx).is_ready());
        assert_eq!(read(cx), b"");
    }
}
