//! The client: connects to a hub and stays connected, publishes, subscribes and calls.
//!
//! ```text
//!   Client, Subscription ──► Shared: outbox, subscriptions, calls ◄── Driver: one connection after the other
//!    (many, any task)             (one lock)                            (one future)
//! ```
//!
//! A [`Client`] is a handle that can be cloned. All work is done by its [`Driver`], a future that somebody has to poll:
//! [`ClientBuilder::spawned`] gives it to the runtime, [`ClientBuilder::build`] to the caller.
//!
//! The driver connects, and connects again by its [`Backoff`] whenever the connection is lost. Where the hub still knows the client, its
//! session goes on as if nothing had happened; otherwise every subscription is made again before the client says [`State::Online`]. What
//! that cost is told in the place where it was, see [`Delivery`]. Only the program, or the hub's verdict, ends a client for good.

mod acks;
mod builder;
mod call;
mod claim;
mod connection;
mod driver;
mod handlers;
mod meantime;
mod methods;
mod outbox;
mod publish;
mod queue;
mod reconnect;
mod replies;
mod shared;
mod state;
mod stream;
mod streaming;
mod subscription;
mod subscriptions;
mod uploading;
mod welcome;

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

pub use self::builder::ClientBuilder;
pub use self::call::{Call, CallError, ClientContext};
pub use self::driver::Driver;
pub use self::handlers::HandlerId;
pub use self::publish::PublishError;
pub use self::reconnect::Backoff;
use self::shared::{Shared, Waiter};
pub use self::state::{ClientEnd, Outage, State, States};
pub use self::stream::CallStream;
pub use self::subscription::{
    Delivery, SubscribeError, SubscribeOptions, Subscription, SubscriptionEnd,
};
pub use crate::answers::CALL_WITHIN;
use crate::id::ConnectionId;
pub use crate::published::Published;
use crate::runtime::{self, Runtime};
use crate::transport::Connector;
pub use crate::wire::Start;

/// A handle to one client of a hub; clones are handles to the same client.
///
/// See the [module](self) for the picture, and the [front page](crate) for a program. When the last handle is dropped,
/// subscriptions included, the driver ends politely as after [`close`](Self::close). When the driver is dropped, everything that waits ends at once with an error.
#[derive(Clone)]
pub struct Client(Arc<Handle>);

/// Closes the client when nobody holds it any more.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Client {
    /// Begins to describe a client that reaches its hub through `connector` and takes time and chance from `runtime`.
    pub fn builder(runtime: impl Runtime, connector: impl Connector + 'static) -> ClientBuilder {
        ClientBuilder::new(runtime::shared(runtime), connector)
    }

    /// Ready when the client is online: connected, with every subscription in place.
    ///
    /// # Errors
    ///
    /// [`ClientEnd`] when it never will be again.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn online(&self) -> Result<(), ClientEnd> {
        let waiter = Waiter::new(self.shared());
        let online = waiter.until(|inner| match inner.end() {
            Some(end) => Some(Err(end.clone())),
            None => inner.is_online().then_some(Ok(())),
        });
        online.await
    }

    /// Where the client stands with its hub: first the present state, then each newer one.
    pub fn states(&self) -> States {
        States::new(self.shared())
    }

    /// The hub's name for the present connection; `None` while there is none. After a break it is the same, if the hub knows the client.
    pub fn connection(&self) -> Option<ConnectionId> {
        self.shared().with(|inner| inner.connection)
    }

    /// How long the hub took to answer the newest ping on this connection, when it did.
    pub fn round_trip(&self) -> Option<Duration> {
        let shared = self.shared();
        shared.with(|inner| inner.link.as_ref()?.session.round_trip())
    }

    /// Events that were sent straight to this client, or reported missing of these; see [`Subscription::accounted`].
    pub fn accounted(&self) -> u64 {
        self.shared().with(|inner| inner.accounted)
    }

    /// Frames that wait to be sent; once the client has ended, events that never were.
    pub fn unsent(&self) -> usize {
        self.shared().with(|inner| inner.unsent())
    }

    /// Ends the client politely: sends what waits, says goodbye, and is ready when the driver has ended.
    ///
    /// Takes [`Limits::closing`](crate::Limits::closing) at most for what waits to be sent, as long for the hub's goodbye, and as long for
    /// the end of its bytes. Without a connection it ends at once; [`ClientEnd::Closed`] says what was given up. From now on nothing can be published.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the client ends in any case; only the answer is lost.
    pub async fn close(&self) -> ClientEnd {
        self.shared().close();
        let waiter = Waiter::new(self.shared());
        waiter.until(|inner| inner.end().cloned()).await
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connection", &self.connection())
            .finish_non_exhaustive()
    }
}
