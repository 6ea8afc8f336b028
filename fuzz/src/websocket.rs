//! What a peer may send over a WebSocket that is open: anything, in reads of any length.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

use lapwing::Limits;
use lapwing::transport::{Incoming, Transport, Upgrade};
use lapwing_sockets::Socket;
use lapwing_websocket::over;

/// However the bytes of a client are cut, a server hears the same, answers the same and says the same at the end.
///
/// The first byte is how long the first read is, and with it the others.
pub fn websocket(script: &[u8]) {
    let Some((cut, bytes)) = script.split_first() else {
        return;
    };
    let whole = play(bytes, usize::MAX);
    let cut = play(bytes, usize::from(*cut) + 1);
    assert_eq!(cut, whole);
}

/// What a server hears of `bytes`, as text.
fn play(bytes: &[u8], read: usize) -> Vec<String> {
    let socket = Script {
        rest: bytes.to_vec(),
        read,
    };
    let mut transport = over::upgraded(socket, Default::default(), Upgrade::default());
    transport.apply(&Limits {
        message_bytes_max: 10_000,
        fragments_max: 8,
        ..Limits::default()
    });
    let cx = &mut Context::from_waker(Waker::noop());
    let mut heard = Vec::new();
    loop {
        match transport.poll_recv(cx) {
            Poll::Ready(Ok(Incoming::End)) => break,
            Poll::Ready(said) => heard.push(format!("{said:?}")),
            // Others had their turn.
            Poll::Pending => {}
        }
    }
    assert!(matches!(transport.poll_close(cx), Poll::Ready(Ok(()))));
    heard.push(format!("{} bytes", transport.progress().sent_bytes));
    heard
}

/// A socket that brings `rest` in reads of at most `read` bytes, and takes everything.
struct Script {
    rest: Vec<u8>,
    read: usize,
}

impl Socket for Script {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = self.rest.len().min(self.read).min(buffer.len());
        buffer[..read].copy_from_slice(&self.rest[..read]);
        self.rest.drain(..read);
        Poll::Ready(Ok(read))
    }

    fn poll_write(
        &mut self,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
