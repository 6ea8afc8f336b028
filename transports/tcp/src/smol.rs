//! TCP with the sockets of async-io, which work on any executor.

use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use async_io::Async;
use async_trait::async_trait;
use lapwing::transport::{self, Transport};

use crate::address;
use crate::transport::{Socket, Tcp};

/// Listens on `addr`, an IP address or a name and a port: `"127.0.0.1:7000"`, `"localhost:0"`.
///
/// A URL does too, and port 0 takes a free one: [`url`](transport::Listener::url) says which. Of a name with several
/// addresses it is the first that can be listened on.
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
pub async fn listen(addr: impl Into<String>) -> io::Result<Listener> {
    let addrs = async_net::resolve(address::host_and_port(addr)).await?;
    let listener = Async::new(address::listen(addrs)?)?;
    let local_addr = listener.get_ref().local_addr()?;
    Ok(Listener {
        listener,
        local_addr,
    })
}

/// Connects to `addr`, an IP address or a name and a port, or a URL; the name is looked up anew each time.
pub fn connect(addr: impl Into<String>) -> Connector {
    Connector {
        addr: address::host_and_port(addr),
    }
}

/// Accepts peers; what [`listen`] gives.
#[derive(Debug)]
pub struct Listener {
    listener: Async<TcpListener>,
    local_addr: SocketAddr,
}

impl Listener {
    /// Where it listens, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

#[async_trait]
impl transport::Listener for Listener {
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        let (stream, _) = self.listener.accept().await?;
        transport(stream)
    }

    fn url(&self) -> String {
        address::url(self.local_addr)
    }
}

/// Connects to one address, again and again; what [`connect`] gives.
#[derive(Clone, Debug)]
pub struct Connector {
    addr: String,
}

#[async_trait]
impl transport::Connector for Connector {
    async fn connect(&mut self) -> io::Result<Box<dyn Transport>> {
        let mut failed = address::no_address();
        for addr in async_net::resolve(&*self.addr).await? {
            match Async::<TcpStream>::connect(addr).await {
                Ok(stream) => return transport(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn url(&self) -> String {
        address::url(&self.addr)
    }
}

fn transport(stream: Async<TcpStream>) -> io::Result<Box<dyn Transport>> {
    stream.get_ref().set_nodelay(true)?;
    Ok(Box::new(Tcp::new(SmolSocket {
        stream,
        drained: false,
        full: false,
    })))
}

/// A socket that asks the reactor only when the system has said that there is nothing to do.
struct SmolSocket {
    stream: Async<TcpStream>,
    /// The last read found the end of what had arrived: one call saved whenever we are woken for something else.
    drained: bool,
    /// The last write found no room.
    full: bool,
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
