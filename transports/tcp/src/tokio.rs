//! TCP with the sockets of a tokio runtime, to be polled inside of it or outside.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::{self, TcpListener, TcpStream};
use ::tokio::runtime::Handle;
use async_trait::async_trait;
use lapwing::runtime::Tokio;
use lapwing::transport::{self, Transport};

use crate::address;
use crate::transport::{Socket, Tcp};

/// Listens on `addr`, an IP address or a name and a port: `"127.0.0.1:7000"`, `"localhost:0"`.
///
/// A URL does too, and port 0 takes a free one: [`url`](transport::Listener::url) says which. Of a name with several
/// addresses it is the first that can be listened on. The runtime needs its I/O driver (`enable_io` or `enable_all`).
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
pub async fn listen(runtime: &Tokio, addr: impl Into<String>) -> io::Result<Listener> {
    let handle = runtime.handle().clone();
    let addr = address::host_and_port(addr);
    let listener = inside(&handle, async {
        let addrs = net::lookup_host(addr).await?;
        TcpListener::from_std(address::listen(addrs)?)
    });
    let listener = listener.await?;
    let local_addr = listener.local_addr()?;
    Ok(Listener {
        handle,
        listener,
        local_addr,
    })
}

/// Connects to `addr`, an IP address or a name and a port, or a URL; the name is looked up anew each time.
///
/// The runtime needs its I/O driver (`enable_io` or `enable_all`).
pub fn connect(runtime: &Tokio, addr: impl Into<String>) -> Connector {
    Connector {
        handle: runtime.handle().clone(),
        addr: address::host_and_port(addr),
    }
}

/// Accepts peers; what [`listen`] gives.
#[derive(Debug)]
pub struct Listener {
    handle: Handle,
    listener: TcpListener,
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
        let (stream, _) = inside(&self.handle, self.listener.accept()).await?;
        transport(stream)
    }

    fn url(&self) -> String {
        address::url(self.local_addr)
    }
}

/// Connects to one address, again and again; what [`connect`] gives.
#[derive(Clone, Debug)]
pub struct Connector {
    handle: Handle,
    addr: String,
}

#[async_trait]
impl transport::Connector for Connector {
    async fn connect(&mut self) -> io::Result<Box<dyn Transport>> {
        let stream = inside(&self.handle, TcpStream::connect(&self.addr)).await?;
        transport(stream)
    }

    fn url(&self) -> String {
        address::url(&self.addr)
    }
}

/// Polls `future` inside of the runtime, wherever it is polled itself: sockets are made there only.
async fn inside<T>(handle: &Handle, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _entered = handle.enter();
        future.as_mut().poll(cx)
    })
    .await
}

fn transport(stream: TcpStream) -> io::Result<Box<dyn Transport>> {
    stream.set_nodelay(true)?;
    Ok(Box::new(Tcp::new(stream)))
}

impl Socket for TcpStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(AsyncRead::poll_read(Pin::new(self), cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            // Tried first: tokio lets a task poll 128 sockets and then calls the next one pending, ready or
            // not, and a task that writes for thousands would go round for nothing.
            match write(self, pieces) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
            ready!(self.poll_write_ready(cx))?;
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(self), cx)
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }
}

/// Writes `pieces`; one alone is cheaper without a list.
fn write(stream: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    match pieces {
        [piece] => stream.try_write(piece),
        pieces => stream.try_write_vectored(pieces),
    }
}
