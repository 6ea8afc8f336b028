//! A socket that plays what a peer sends.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use lapwing_sockets::Socket;

/// Brings its bytes in reads of at most `read` bytes, and takes everything.
pub(crate) struct Script {
    bytes: Vec<u8>,
    at: usize,
    read: usize,
}

impl Script {
    pub(crate) fn new(bytes: &[u8], read: usize) -> Self {
        Self {
            bytes: bytes.to_vec(),
            at: 0,
            read,
        }
    }
}

impl Socket for Script {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let rest = &self.bytes[self.at..];
        let read = rest.len().min(self.read).min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        self.at += read;
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
