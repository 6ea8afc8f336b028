//! Sockets of async-io, which work on any executor.

use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use async_io::Async;

use crate::address;
use crate::socket::Socket;

mod futures_io;

pub use self::futures_io::FuturesIo;

/// Listens on an IP address or a name, and a port: `"127.0.0.1:7000"`, `"localhost:0"`.
///
/// Port 0 takes a free one: [`local_addr`](Listener::local_addr) says which. Of a name with several addresses it is the
/// first that can be listened on.
///
/// # Errors
///
/// When the name is not found or nothing can listen there.
///
/// # Cancel safety
///
/// Dropping the future listens on nothing.
///
/// # When full
///
/// 4,096 peers wait to be accepted, or as many as the system allows; it turns more away.
pub async fn listen(host_and_port: &str) -> io::Result<Listener> {
    let addrs = async_net::resolve(host_and_port).await?;
    let listener = Async::new(address::listen(addrs)?)?;
    let local_addr = listener.get_ref().local_addr()?;
    Ok(Listener {
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
/// # Cancel safety
///
/// Dropping the future ends the attempt.
pub async fn connect(host_and_port: &str) -> io::Result<SmolSocket> {
    let mut failed = address::no_address();
    for addr in async_net::resolve(host_and_port).await? {
        match Async::<TcpStream>::connect(addr).await {
            Ok(stream) => return SmolSocket::new(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Accepts peers; what [`listen`] gives.
#[derive(Debug)]
pub struct Listener {
    listener: Async<TcpListener>,
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
    pub async fn accept(&self) -> io::Result<SmolSocket> {
        let (stream, _) = self.listener.accept().await?;
        SmolSocket::new(stream)
    }

    /// Where it listens, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

/// A socket that asks the reactor only when the system has said that there is nothing to do.
#[derive(Debug)]
pub struct SmolSocket {
    stream: Async<TcpStream>,
    /// The last read found the end of what had arrived: one call saved whenever we are woken for something else.
    drained: bool,
    /// The last write found no room.
    full: bool,
}

impl SmolSocket {
    fn new(stream: Async<TcpStream>) -> io::Result<Self> {
        stream.get_ref().set_nodelay(true)?;
        Ok(Self {
            stream,
            drained: false,
            full: false,
        })
    }
}

impl Socket for SmolSocket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if self.drained {
                ready!(self.stream.poll_readable(cx))?;
                self.drained = false;
            }
            match self.stream.get_ref().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.drained = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    self.drained = read.as_ref().is_ok_and(|read| *read < buffer.len());
                    return Poll::Ready(read);
                }
            }
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.full {
                ready!(self.stream.poll_writable(cx))?;
                self.full = false;
            }
            match write(self.stream.get_ref(), pieces) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.full = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.get_ref().shutdown(Shutdown::Write))
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().peer_addr()
    }
}

/// Writes `pieces`; one alone is cheaper without a list.
fn write(mut stream: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    match pieces {
        [piece] => stream.write(piece),
        pieces => stream.write_vectored(pieces),
    }
}
