//! What every runtime's sockets can do: [`Socket`].

use core::task::{Context, Poll};
use std::io::{self, IoSlice};
use std::net::SocketAddr;

/// A connected socket that does not block, as each runtime has its own.
///
/// Reading and writing keep one waker each, the newest.
pub trait Socket: Send {
    /// Reads into `buffer` with at most one system call that succeeds; 0 is the end.
    ///
    /// # Errors
    ///
    /// The error of the operating system; never `WouldBlock` or `Interrupted`.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes from the front of `pieces`, of which the first is not empty, and says how many bytes are on their way.
    ///
    /// Whoever was told to wait asks again with the same bytes in front; more may stand behind them.
    ///
    /// # Errors
    ///
    /// The error of the operating system; never `WouldBlock` or `Interrupted`.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Ends the writing half.
    ///
    /// # Errors
    ///
    /// The error of the operating system: `NotConnected` when the peer is gone already.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Who is at the other end.
    ///
    /// # Errors
    ///
    /// The error of the operating system; `Unsupported` where addresses are not known.
    fn peer(&self) -> io::Result<SocketAddr>;
}
