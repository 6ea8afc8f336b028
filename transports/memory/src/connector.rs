//! The end from which clients connect.

use core::future::poll_fn;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use lapwing::transport::{self, Transport};

use crate::bytes::ByteStream;
use crate::end::End;
use crate::listener::Cargo;
use crate::memory::Memory;
use crate::network::Network;

/// Connects to one name of a [`Network`], as often as it is asked; from [`Network::connector`].
#[derive(Clone, Debug)]
pub struct Connector {
    network: Network,
    hub: Arc<str>,
    client: Arc<str>,
}

impl Connector {
    pub(crate) fn new(network: &Network, hub: &str) -> Self {
        Self {
            network: network.clone(),
            hub: hub.into(),
            client: "client".into(),
        }
    }

    /// Gives the client a name: that of its path, and that which the hub sees. Without, it is `client`.
    pub fn named(mut self, client: &str) -> Self {
        self.client = client.into();
        self
    }

    /// A new stream of bytes to the hub, whose listener is one of [bytes](Network::listen_bytes).
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::ConnectionRefused`] when nobody listens for bytes or too many wait, [`io::ErrorKind::HostUnreachable`] in a
    /// [partition](Network::partition).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt.
    pub async fn connect_bytes(&self) -> io::Result<ByteStream> {
        Ok(ByteStream::new(self.connect_as(Cargo::Bytes).await?))
    }

    async fn connect_as(&self, cargo: Cargo) -> io::Result<End> {
        self.round_trip().await;
        self.network.connect(&self.hub, &self.client, cargo)
    }

    /// Waits as long as a question and its answer take.
    async fn round_trip(&self) {
        let delay = self.network.round_trip(&self.client);
        if delay.is_zero() {
            return;
        }
        let runtime = self.network.runtime();
        let mut timer = runtime.timer();
        timer.arm(runtime.now() + delay);
        poll_fn(|cx| timer.poll_fired(cx)).await;
    }
}

#[async_trait]
impl transport::Connector for Connector {
    /// A new transport to the hub.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::ConnectionRefused`] when nobody listens or too many wait, [`io::ErrorKind::HostUnreachable`] in a
    /// [partition](Network::partition).
    async fn connect(&mut self) -> io::Result<Box<dyn Transport>> {
        let near = self.connect_as(Cargo::Messages).await?;
        Ok(Box::new(Memory::new(near)))
    }

    fn url(&self) -> String {
        format!("memory://{}", self.hub)
    }
}
