//! WebSocket with the sockets of a tokio runtime, to be polled inside of it or outside.

use std::io;
use std::net::SocketAddr;

use ::tokio::io::{AsyncRead, AsyncWrite};
use async_trait::async_trait;
use bytes::Bytes;
use lapwing::runtime::Tokio;
use lapwing::transport::{self, Transport, Upgrade};
use lapwing_sockets::{Stream, tokio as sockets};

use crate::address;
use crate::over::{self, Options};
use crate::target::Target;
use crate::transport::WebSocket;
use crate::upgrade::ask;

/// Listens on `addr`, an IP address or a name and a port: `"127.0.0.1:7001"`, `"localhost:0"`.
///
/// A URL does too, and port 0 takes a free one: [`url`](transport::Listener::url) says which. Of a name with several
/// addresses it is the first that can be listened on. Pages of the host's own origin may connect, and programs that are no
/// browser; [`origins`](Listener::origins) lets others in. The runtime needs its I/O driver (`enable_io` or `enable_all`).
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
    let listener = sockets::listen(runtime.handle(), &address::host_and_port(addr)).await?;
    let options = Options::default();
    Ok(Listener { listener, options })
}

/// Connects to `url`, as in `ws://localhost:7001/path?query`; the name is looked up anew each time.
///
/// A URL that cannot be is told by [`connect`](transport::Connector::connect). The runtime needs its I/O driver
/// (`enable_io` or `enable_all`).
pub fn connect(runtime: &Tokio, url: impl Into<String>) -> Connector {
    Connector {
        runtime: runtime.clone(),
        target: Target::new(url),
    }
}

/// The side of a server on `stream`, on which somebody else has answered the request; `arrived` is what was read behind it.
pub fn upgraded(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    arrived: Bytes,
    upgrade: Upgrade,
) -> impl Transport {
    WebSocket::upgraded(sockets::TokioIo::new(stream), arrived, upgrade)
}

/// Accepts peers; what [`listen`] gives.
#[derive(Debug)]
pub struct Listener {
    listener: sockets::Listener,
    options: Options,
}

impl Listener {
    /// Lets pages of these origins connect as well, as in `https://example.org`; `*` is all.
    ///
    /// A browser tells the origin of the page. The listener's own host is always allowed, and whoever tells none.
    #[must_use]
    pub fn origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.options = self.options.origins(origins);
        self
    }

    /// Speaks these sub-protocols instead of lapwing's own: the [names](lapwing::protocol::Protocol::name) of the hub's
    /// protocols. Of those that a peer asks for, its first that is spoken is agreed on; otherwise none.
    #[must_use]
    pub fn protocols(mut self, protocols: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.options = self.options.protocols(protocols);
        self
    }

    /// Where it listens, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }
}

#[async_trait]
impl transport::Listener for Listener {
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        let socket = self.listener.accept().await?;
        Ok(Box::new(over::accept(socket, &self.options)))
    }

    fn url(&self) -> String {
        address::url(self.local_addr())
    }
}

/// Connects to one URL, again and again; what [`connect`] gives.
#[derive(Clone, Debug)]
pub struct Connector {
    runtime: Tokio,
    target: Target,
}

impl Connector {
    /// Sends this header with the request, as `authorization` or `origin`; again for another value.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.target.header(name, value);
        self
    }
}

#[async_trait]
impl transport::Connector for Connector {
    fn offer(&mut self, protocol: &'static str) {
        self.target.offer(protocol);
    }

    async fn connect(&mut self) -> io::Result<Box<dyn Transport>> {
        let request = self.target.request()?;
        let socket = sockets::connect(self.runtime.handle(), &request.host_and_port()).await?;
        let (stream, _, arrived) = ask(Stream::new(socket), &request).await?;
        Ok(Box::new(WebSocket::connected(stream, arrived)))
    }

    fn url(&self) -> String {
        self.target.url()
    }
}
