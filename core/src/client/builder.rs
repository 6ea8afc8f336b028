//! What a client is made of.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use core::future::Future;

use bytes::Bytes;
use futures_core::Stream;

use super::call::ClientContext;
use super::driver::{Driver, Parts};
use super::methods::Methods;
use super::reconnect::Backoff;
use super::shared::Shared;
use super::{Client, Handle};
use crate::answers::{CallFailure, Method, handler, stream_handler};
use crate::limits::Limits;
use crate::payload::{Decode, Encode};
use crate::protocol::{Postcard, Protocol};
use crate::runtime::Runtime;
use crate::transport::Connector;

/// Describes a client; what [`Client::builder`] returns.
#[must_use = "a client begins with `build` or `spawned`"]
pub struct ClientBuilder {
    runtime: Arc<dyn Runtime>,
    connector: Box<dyn Connector>,
    token: Option<Bytes>,
    limits: Limits,
    resume: bool,
    backoff: Backoff,
    protocol: Arc<dyn Protocol>,
    methods: BTreeMap<String, Method<ClientContext>>,
}

impl ClientBuilder {
    pub(super) fn new(runtime: Arc<dyn Runtime>, connector: impl Connector + 'static) -> Self {
        Self {
            runtime,
            connector: Box::new(connector),
            token: None,
            limits: Limits::default(),
            resume: true,
            backoff: Backoff::default(),
            protocol: Arc::new(Postcard),
            methods: BTreeMap::new(),
        }
    }

    /// Shows `token` to the application of the hub with each hello.
    pub fn token(mut self, token: impl Into<Bytes>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Bounds the client by `limits`, instead of [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Says whether the client would like to go on with its session when a connection is lost, which it does unless told otherwise.
    ///
    /// Then nothing is lost in a break of up to [`Limits::resume`], as far as the hub can hold it: subscriptions go on where they were, each hears one of
    /// [`Delivery::Resumed`](super::Delivery::Resumed), [`Replayed`](super::Delivery::Replayed) and
    /// [`Gap`](super::Delivery::Gap); requests that wait for an answer get it, what the hub has not received is sent again.
    /// The price is memory on both sides: what was sent and is not confirmed takes up room in the outbox, see
    /// [`Client::publish`]. Without, or when the hub does not know the session any more, each subscription is made again and
    /// requests end with an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use lapwing::{Client, Delivery, Hub, hub::Rule};
    /// use lapwing_memory::{Network, Virtual};
    ///
    /// let sim = Virtual::new(7);
    /// sim.run(async {
    ///     let network = Network::new(&sim.runtime());
    ///     let hub = Hub::builder(sim.runtime()).topic("news", Rule::open()).build()?;
    ///     sim.spawn_named("hub", hub.serve(network.listen("hub")?));
    ///
    ///     let phone = network.connector("hub").named("phone");
    ///     let phone = Client::builder(sim.runtime(), phone).resume(false).spawned();
    ///     let mut news = phone.subscribe("news").await?;
    ///     network.cut("phone");
    ///     sim.sleep(Duration::from_secs(5)).await;
    ///     assert_eq!(news.next().await, Some(Delivery::Gap(None)));
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })
    /// .expect("nobody waits for ever")
    /// # .unwrap();
    /// ```
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Waits between attempts to connect as `backoff` says, instead of [`Backoff::default`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Speaks `protocol`, instead of native [`Postcard`].
    pub fn protocol(mut self, protocol: impl Protocol) -> Self {
        self.protocol = Arc::new(protocol);
        self
    }

    /// Answers calls of the hub to `method`; the last handler for a method counts.
    ///
    /// Handlers run beside the connection's I/O, by default one at a time in the order of the calls. A panic in one fails that call.
    ///
    /// # When full
    ///
    /// While [`Limits::calls_waiting_max`] calls wait for their turn, further ones are answered with `Busy`.
    pub fn on_call<A, R, F, Fut>(mut self, method: impl Into<String>, answer: F) -> Self
    where
        A: Decode + Send + 'static,
        R: Encode,
        F: Fn(ClientContext, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, CallFailure>> + Send,
    {
        let method_of = handler(move |context, arguments, (): ()| answer(context, arguments));
        self.methods.insert(method.into(), method_of);
        self
    }

    /// Answers calls of the hub to `method` with a stream; the last handler for a method counts.
    ///
    /// Streams run beside other calls, and never make one wait. An error ends the stream; so does a panic.
    ///
    /// # When full
    ///
    /// The stream is polled when the hub has room for an item; it may have [`Limits::streams_max`] of them.
    pub fn on_stream<A, R, F, S>(mut self, method: impl Into<String>, answer: F) -> Self
    where
        A: Decode + Send + 'static,
        R: Encode + 'static,
        F: Fn(ClientContext, A) -> S + Send + Sync + 'static,
        S: Stream<Item = Result<R, CallFailure>> + Send + 'static,
    {
        let method_of =
            stream_handler(move |context, arguments, (): ()| answer(context, arguments));
        self.methods.insert(method.into(), method_of);
        self
    }

    /// The client, and the future that does its work: nothing happens unless that is polled.
    pub fn build(mut self) -> (Client, Driver) {
        self.connector.offer(self.protocol.name());
        let url = self.connector.url();
        let shared = Shared::new(self.runtime, self.protocol, self.limits, self.resume, url);
        let handle = Arc::new(Handle(Arc::new(shared)));
        let parts = Parts {
            shared: handle.0.clone(),
            connector: self.connector,
            token: self.token,
            methods: Methods {
                handle: Arc::downgrade(&handle),
                by_name: self.methods,
            },
        };
        (Client(handle), Driver::new(parts, self.backoff))
    }

    /// The client, with its driver spawned on the runtime. It ends when the client does.
    pub fn spawned(self) -> Client {
        let runtime = self.runtime.clone();
        let (client, driver) = self.build();
        runtime.spawn(Box::pin(async move {
            driver.await;
        }));
        client
    }
}
