//! What carries messages between the hub and a client: memory as it is, or TCP and WebSocket over streams of bytes in memory.

use std::io;

use async_trait::async_trait;
use lapwing::client::ClientBuilder;
use lapwing::protocol::{Json, Postcard};
use lapwing::transport::{Connector, Listener, Transport};
use lapwing_memory::{ByteListener, Network};
use lapwing_sockets::smol::FuturesIo;
use lapwing_websocket::over::{self as websocket, Options};

/// How a client reaches the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Memory,
    Tcp,
    WebSocket,
    /// A WebSocket that speaks JSON.
    Page,
}

impl Carrier {
    /// Each as often as clients use it: bytes take longer to simulate.
    pub(crate) const ALL: [Self; 6] = [
        Self::Memory,
        Self::Memory,
        Self::Memory,
        Self::Tcp,
        Self::WebSocket,
        Self::Page,
    ];

    /// The names under which the hub listens.
    pub(crate) const HUBS: [&'static str; 3] = ["hub", "hub-tcp", "hub-ws"];

    fn hub(self) -> &'static str {
        match self {
            Self::Memory => "hub",
            Self::Tcp => "hub-tcp",
            Self::WebSocket | Self::Page => "hub-ws",
        }
    }

    pub(crate) fn connector(self, network: &Network, client: &str) -> Box<dyn Connector> {
        Box::new(Carried {
            carrier: self,
            inner: network.connector(self.hub()).named(client),
            protocol: None,
        })
    }

    /// Lets a client speak what it has to.
    pub(crate) fn speaking(self, client: ClientBuilder) -> ClientBuilder {
        match self {
            Self::Page => client.protocol(Json),
            _ => client.protocol(Postcard),
        }
    }
}

/// Listens under one of the hub's names, if nobody does.
pub(crate) fn listen(network: &Network, name: &'static str) -> io::Result<Box<dyn Listener>> {
    Ok(match name {
        "hub" => Box::new(network.listen(name)?),
        _ => Box::new(Bytes {
            inner: network.listen_bytes(name)?,
            name,
        }),
    })
}

/// Accepts streams of bytes.
struct Bytes {
    inner: ByteListener,
    name: &'static str,
}

#[async_trait]
impl Listener for Bytes {
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        let (stream, _) = self.inner.accept().await;
        let socket = FuturesIo::new(stream);
        Ok(match self.name {
            "hub-tcp" => Box::new(lapwing_tcp::over(socket)),
            _ => Box::new(websocket::accept(socket, &Options::default())),
        })
    }

    fn url(&self) -> String {
        self.name.into()
    }
}

struct Carried {
    carrier: Carrier,
    inner: lapwing_memory::Connector,
    protocol: Option<&'static str>,
}

#[async_trait]
impl Connector for Carried {
    fn offer(&mut self, protocol: &'static str) {
        self.protocol = Some(protocol);
    }

    async fn connect(&mut self) -> io::Result<Box<dyn Transport>> {
        if self.carrier == Carrier::Memory {
            return self.inner.connect().await;
        }
        let socket = FuturesIo::new(self.inner.connect_bytes().await?);
        Ok(match self.carrier {
            Carrier::Tcp => Box::new(lapwing_tcp::over(socket)),
            _ => Box::new(websocket::connect(socket, "ws://hub", self.protocol).await?),
        })
    }

    fn url(&self) -> String {
        self.inner.url()
    }
}
