//! Our sockets as hyper sees them: [`Io`].

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::sync::Arc;

use hyper::rt::{Read, ReadBufCursor, Write};
use lapwing::runtime::{Runtime, Timer};
use lapwing_sockets::Socket;

/// What is read at once: heads of requests are small.
const READ_BYTES: usize = 4 * 1024;

/// How long a client may take nothing of what is written.
const STALL: Duration = Duration::from_secs(10);

/// A socket for hyper, which does not wait for ever for a client that reads nothing.
pub(crate) struct Io<S> {
    pub(crate) socket: S,
    runtime: Arc<dyn Runtime>,
    /// While a write waits.
    stalled: Option<Box<dyn Timer>>,
}

impl<S> Io<S> {
    pub(crate) fn new(socket: S, runtime: Arc<dyn Runtime>) -> Self {
        Self {
            socket,
            runtime,
            stalled: None,
        }
    }

    /// Pending until a write has waited too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let runtime = &self.runtime;
        let timer = self.stalled.get_or_insert_with(|| {
            let mut timer = runtime.timer();
            timer.arm(runtime.now() + STALL);
            timer
        });
        let late = || Err(io::ErrorKind::TimedOut.into());
        timer.poll_fired(cx).map(|()| late())
    }
}

impl<S: Socket + Unpin> Read for Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; READ_BYTES];
        let room = buffer.remaining().min(READ_BYTES);
        let read = ready!(self.socket.poll_read(cx, &mut bytes[..room]))?;
        buffer.put_slice(&bytes[..read]);
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket + Unpin> Write for Io<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(first) = pieces.iter().position(|piece| !piece.is_empty()) else {
            return Poll::Ready(Ok(0));
        };
        let written = self.socket.poll_write(cx, &pieces[first..]);
        if written.is_pending() {
            return self.poll_stalled(cx);
        }
        self.stalled = None;
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_shutdown(cx)
    }
}
