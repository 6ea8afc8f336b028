//! TCP and WebSocket over streams of bytes that are memory.

use std::io;

use async_trait::async_trait;
use lapwing::transport::{self, Transport};
use lapwing_memory::{ByteListener, Connector};
use lapwing_sockets::smol::FuturesIo;
use lapwing_websocket::over::{self as websocket, Options};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Tcp,
    WebSocket,
}

/// Accepts streams of bytes, as those of a carrier.
pub(crate) struct Accepting(pub(crate) Carrier, pub(crate) ByteListener);

#[async_trait]
impl transport::Listener for Accepting {
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        let (stream, _name) = self.1.accept().await;
        let socket = FuturesIo::new(stream);
        Ok(match self.0 {
            Carrier::Tcp => Box::new(lapwing_tcp::over(socket)),
            Carrier::WebSocket => Box::new(websocket::accept(socket, &Options::default())),
        })
    }

    fn url(&self) -> String {
        "bytes://hub".into()
    }
}

/// Connects with streams of bytes, as those of a carrier.
pub(crate) struct Connecting(pub(crate) Carrier, pub(crate) Connector);

#[async_trait]
impl transport::Connector for Connecting {
    async fn connect(&mut self) -> io::Result<Box<dyn Transport>> {
        let socket = FuturesIo::new(self.1.connect_bytes().await?);
        Ok(match self.0 {
            Carrier::Tcp => Box::new(lapwing_tcp::over(socket)),
            Carrier::WebSocket => {
                let transport = websocket::connect(socket, "ws://hub", Some("lapwing.postcard"));
                Box::new(transport.await?)
            }
        })
    }

    fn url(&self) -> String {
        "bytes://hub".into()
    }
}
