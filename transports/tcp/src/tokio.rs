//! TCP with the sockets of a tokio runtime, to be polled inside of it or outside.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use lapwing::runtime::Tokio;
use lapwing::transport::{self, Transport};
use lapwing_sockets::tokio as sockets;

use crate::address;
use crate::transport::Tcp;

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
    let listener = sockets::listen(runtime.handle(), &address::host_and_port(addr)).await?;
    Ok(Listener { listener })
}

/// Connects to `addr`, an IP address or a name and a port, or a URL; the name is looked up anew each time.
///
/// The runtime needs its I/O driver (`enable_io` or `enable_all`).
pub fn connect(runtime: &Tokio, addr: impl Into<String>) -> Connector {
    Connector {
        runtime: runtime.clone(),
        addr: address::host_and_port(addr),
    }
}

/// Accepts peers; what [`listen`] gives.
#[derive(Debug)]
pub struct Listener {
    listener: sockets::Listener,
}

impl Listener {
    /// Where it listens, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }
}

#[async_trait]
impl transport::Listener for Listener {
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        let socket = self.listener.accept().await?;
        Ok(Box::new(Tcp::new(socket)))
    }

    fn url(&self) -> String {
        address::url(self.local_addr())
    }
}

/// Connects to one address, again and again; what [`connect`] gives.
#[derive(Clone, Debug)]
pub struct Connector {
    runtime: Tokio,
    addr: String,
}

#[async_trait]
impl transport::Connector for Connector {
    async fn connect(&mut self) -> io::Result<Box<dyn Transport>> {
        let socket = sockets::connect(self.runtime.handle(), &self.addr).await?;
        Ok(Box::new(Tcp::new(socket)))
    }

    fn url(&self) -> String {
        address::url(&self.addr)
    }
}
