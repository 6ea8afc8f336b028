//! Where the transports of an endpoint come out: [`Listener`].

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use std::io;

use async_trait::async_trait;
use futures_channel::mpsc::{Receiver, Sender, channel};
use futures_core::Stream;
use lapwing::transport::{self, Transport};

/// Transports that are ready and wait for a hub, beside one for each clone of the sender.
const READY_MAX: usize = 64;

/// The transports that come of the requests to one endpoint; for [`Hub::serve`](lapwing::Hub::serve).
pub struct Listener {
    transports: Receiver<Box<dyn Transport>>,
    url: String,
}

/// The other end.
pub(crate) type Way = Sender<Box<dyn Transport>>;

pub(crate) fn way(url: String) -> (Way, Listener) {
    let (way, transports) = channel(READY_MAX);
    (way, Listener { transports, url })
}

#[async_trait]
impl transport::Listener for Listener {
    /// When the endpoint and all that was asked of it are gone, nobody will come any more: then this is pending for ever.
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        let next = poll_fn(|cx| Pin::new(&mut self.transports).poll_next(cx));
        match next.await {
            Some(transport) => Ok(transport),
            None => core::future::pending().await,
        }
    }

    fn url(&self) -> String {
        self.url.clone()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
