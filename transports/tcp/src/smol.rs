//! TCP with the sockets of async-io, which work on any executor.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use lapwing::transport::{self, Transport};
use lapwing_sockets::smol as sockets;

use crate::address;
use crate::transport::Tcp;

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
    let listener = sockets::listen(&address::host_and_port(addr)).await?;
    Ok(Listener { listener })
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
    addr: String,
}

#[async_trait]
impl transport::Connector for Connector {
    async fn connect(&mut self) -> io::Result<Box<dyn Transport>> {
        let socket = sockets::connect(&self.addr).await?;
        Ok(Box::new(Tcp::new(socket)))
    }

    fn url(&self) -> String {
        address::url(&self.addr)
    }
}
