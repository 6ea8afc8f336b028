//! Sockets of a tokio runtime, to be polled inside of it or outside.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::{self, TcpListener, TcpStream};
use ::tokio::runtime::Handle;

use crate::address;
use crate::socket::Socket;

mod tokio_io;

pub use self::tokio_io::TokioIo;

/// Listens on an IP address or a name, and a port: `"127.0.0.1:7000"`, `"localhost:0"`.
///
/// Port 0 takes a free one: [`local_addr`](Listener::local_addr) says which. Of a name with several addresses it is the
/// first that can be listened on. The runtime needs its I/O driver (`enable_io` or `enable_all`).
///
/// # Errors
///
/// When the name is not found or nothing can listen there.
///
/// # Panics
///
/// When the runtime has no I/O driver.
///
/// # Cancel safety
///
/// Dropping the future listens on nothing.
///
/// # When full
///
/// 4,096 peers wait to be accepted, or as many as the system allows; it turns more away.
pub async fn listen(runtime: &Handle, host_and_port: &str) -> io::Result<Listener> {
    let listener = inside(runtime, async {
        let addrs = net::lookup_host(host_and_port).await?;
        TcpListener::from_std(address::listen(addrs)?)
    });
    let listener = listener.await?;
    let local_addr = listener.local_addr()?;
    Ok(Listener {
        handle: runtime.clone(),
        listener,
        local_addr,
    })
}

/// Connects to an IP address or a name, and a port; of a name with several addresses to the first that answers.
///
/// # Errors
///
/// When the name is not found or nobody answers.
///
/// # Panics
///
/// When the runtime has no I/O driver.
///
/// # Cancel safety
///
/// Dropping the future ends the attempt.
pub async fn connect(runtime: &Handle, host_and_port: &str) -> io::Result<TokioSocket> {
    let stream = inside(runtime, TcpStream::connect(host_and_port)).await?;
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    Ok(TokioSocket::new(stream, peer))
}

/// Accepts peers; what [`listen`] gives.
#[derive(Debug)]
pub struct Listener {
    handle: Handle,
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Listener {
    /// The next peer.
    ///
    /// # Errors
    ///
    /// The error of the operating system, of this peer or of the machine.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no peer: it stays in line.
    pub async fn accept(&self) -> io::Result<TokioSocket> {
        let (stream, peer) = inside(&self.handle, self.listener.accept()).await?;
        if !address::NODELAY_IS_INHERITED {
            stream.set_nodelay(true)?;
        }
        Ok(TokioSocket::new(stream, peer))
    }

    /// Where it listens, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

/// Polls `future` inside of the runtime, wherever it is polled itself: sockets are made there only.
async fn inside<T>(runtime: &Handle, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _entered = runtime.enter();
        future.as_mut().poll(cx)
    })
    .await
}

/// A socket that asks the system first and tokio only when it has to wait for room.
#[derive(Debug)]
pub struct TokioSocket {
    stream: TcpStream,
    peer: SocketAddr,
    /// The last write found no room: tokio is asked first.
    full: bool,
}

impl TokioSocket {
    fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        Self {
            stream,
            peer,
            full: false,
        }
    }
}

impl Socket for TokioSocket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        poll_read(&mut self.stream, cx, buffer)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.full {
            // When this finds no room tokio tries again, and only so finds that out.
            match write_at_once(&self.stream, pieces) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.full = true,
                written => return Poll::Ready(written),
            }
        }
        loop {
            // Tried first: tokio lets a task poll 128 sockets and then calls the next one pending, ready or
            // not, and a task that writes for thousands would go round for nothing.
            match write(&self.stream, pieces) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    self.full = false;
                    return Poll::Ready(written);
                }
            }
            ready!(self.stream.poll_write_ready(cx))?;
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

fn poll_read(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Writes a piece past tokio, whose own memory of a socket is one more that would have to be fetched.
#[cfg(target_os = "linux")]
fn write_at_once(stream: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    use rustix::io::retry_on_intr;
    use rustix::net::{SendFlags, send};
    match pieces {
        [piece] => Ok(retry_on_intr(|| send(stream, piece, SendFlags::NOSIGNAL))?),
        pieces => write(stream, pieces),
    }
}

#[cfg(not(target_os = "linux"))]
fn write_at_once(stream: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    write(stream, pieces)
}

/// Writes `pieces`; one alone is cheaper without a list.
fn write(stream: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    match pieces {
        [piece] => stream.try_write(piece),
        pieces => stream.try_write_vectored(pieces),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::thread;

    use super::*;

    static PIECE: [u8; 64 * 1024] = [7; 64 * 1024];

    /// Writes until there is no room; says how many bytes that were.
    fn fill(socket: &mut TokioSocket, cx: &mut Context<'_>) -> usize {
        let mut written = 0;
        while let Poll::Ready(piece) = socket.poll_write(cx, &[IoSlice::new(&PIECE)]) {
            written += piece.expect("the peer is there");
        }
        written
    }

    #[test]
    fn a_socket_that_was_full_takes_more_when_its_peer_has_read() {
        let mut builder = ::tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_io().build().expect("a reactor");
        runtime.block_on(fill_and_go_on());
    }

    async fn fill_and_go_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("it is bound");
        let mut peer = std::net::TcpStream::connect(addr).expect("somebody listens");
        let (stream, peer_addr) = listener.accept().await.expect("it connects");
        let mut socket = TokioSocket::new(stream, peer_addr);
        let mut written = poll_fn(|cx| Poll::Ready(fill(&mut socket, cx))).await;
        assert!(socket.full);
        let reader = thread::spawn(move || {
            let mut read = Vec::new();
            peer.read_to_end(&mut read).map(|_| read.len())
        });
        for _ in 0..8 {
            let pieces = [IoSlice::new(&PIECE)];
            let piece = poll_fn(|cx| socket.poll_write(cx, &pieces)).await;
            written += piece.expect("the peer reads");
        }
        drop(socket);
        let read = reader.join().expect("no panic").expect("it was written");
        assert_eq!(read, written);
    }
}
