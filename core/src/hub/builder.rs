//! How a hub is set up: hooks, handlers, rules and limits.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::sync::atomic::{AtomicBool, AtomicU64};
use std::collections::HashMap;
use std::sync::{Mutex, RwLock};

use futures_core::Stream;

use super::access::{Action, Authority, Peer};
use super::admission::{Admission, Ask, Gone, Refuse};
use super::audiences::Audiences;
use super::class::{Classes, PROTOCOLS_MAX};
use super::counters::Sums;
use super::filter::{self, Filter, Filters};
use super::history::Histories;
use super::local::Locals;
use super::resume::Tokens;
use super::rules::{Rule, Rules};
use super::segment::Budget;
use super::{Caller, Hub, Remote, Shared};
use crate::answers::{Answer, CallFailure, Method, Product, decoded, handler, stream_handler};
use crate::limits::Limits;
use crate::link::{Protocols, Settings};
use crate::payload::{Decode, Encode};
use crate::policy::Policy;
use crate::protocol::{Protocol, native};
use crate::registry::{Registry, Seed};
use crate::runtime::{BoxFuture, Runtime};
use crate::session::Role;
use crate::streams::reader::Uploads;
use crate::topic::{Topic, TopicError};
use crate::wire::{Encoding, Payload};

/// Decides about a client at the door.
pub(crate) type OnConnect =
    Box<dyn Fn(Ask) -> BoxFuture<'static, Result<Admission, Refuse>> + Send + Sync>;

/// Is told that a connection was let in.
pub(crate) type OnConnected = Box<dyn Fn(Remote) + Send + Sync>;

/// Is told that a connection is gone.
pub(crate) type OnDisconnect = Box<dyn Fn(Gone) + Send + Sync>;

/// Hears events that peers publish.
pub(crate) type Listener =
    Box<dyn Fn(Caller, Topic<'_>, Payload<'_>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Topics that may be offered at the same time, each in its one order.
const ORDERS: usize = 16;

/// Sets up a [`Hub`]; made by [`Hub::builder`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct HubBuilder {
    runtime: Arc<dyn Runtime>,
    limits: Limits,
    protocols: Vec<Arc<dyn Protocol>>,
    direct_policy: Policy,
    rules: Vec<(String, Rule)>,
    authority: Authority,
    filters: Vec<Arc<dyn Filter>>,
    on_connect: Option<OnConnect>,
    on_connected: Option<OnConnected>,
    on_disconnect: Option<OnDisconnect>,
    methods: HashMap<String, Method<Caller>>,
    listeners: Vec<(String, Listener)>,
}

impl HubBuilder {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            runtime,
            limits: Limits::default(),
            protocols: native(),
            direct_policy: Policy::Disconnect,
            rules: Vec::new(),
            authority: Authority::default(),
            filters: Vec::new(),
            on_connect: None,
            on_connected: None,
            on_disconnect: None,
            methods: HashMap::new(),
            listeners: Vec::new(),
        }
    }

    /// The bounds of everything that peers could make grow; [`Limits::default`] otherwise.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Speaks `protocol` with those who ask for it, beside the native ones.
    ///
    /// # Panics
    ///
    /// With more than 16 protocols.
    pub fn protocol(mut self, protocol: impl Protocol) -> Self {
        assert!(self.protocols.len() < PROTOCOLS_MAX, "too many protocols");
        self.protocols.push(Arc::new(protocol));
        self
    }

    /// What happens to a connection that is full when something is sent straight to it, its user or its
    /// group; [`Policy::Disconnect`] otherwise.
    pub fn direct_policy(mut self, policy: Policy) -> Self {
        self.direct_policy = policy;
        self
    }

    /// What peers may do with the topics that `filter` selects. The first rule that selects a topic counts for publishing
    /// it; a subscription needs every rule that it shares a topic with. Without a rule, nothing is allowed to them.
    pub fn topic(mut self, filter: impl Into<String>, rule: Rule) -> Self {
        self.rules.push((filter.into(), rule));
        self
    }

    /// Decides about everything that peers want to do, by name, beside the rules of topics: both have to agree. Without it the rules alone do, and
    /// everybody may call every method.
    ///
    /// Asked before the filters, for each event that is published, each filter and each call (also of methods that do not exist), if the rules have not said no already; and again about filters when a client returns to its connection; must not block. A panic is a no.
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing::hub::{Action, Hub};
    /// use lapwing_memory::Virtual;
    ///
    /// let hub = Hub::builder(Virtual::new(1)).authorize(|peer, action| match action {
    ///     Action::Call("purge") | Action::Publish("news") => peer.has_role("editor"),
    ///     _ => true,
    /// });
    /// let hub = hub.build()?;
    /// # drop(hub);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn authorize(
        mut self,
        check: impl Fn(Peer<'_>, Action<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.authority = Authority::new(check);
        self
    }

    /// Decides who may connect, and as whom. Without it everybody may, as nobody in particular.
    ///
    /// The time it takes is part of [`Limits::handshake`]; when that is over the future is dropped and the client refused. A panic refuses too.
    pub fn on_connect<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Ask) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Admission, Refuse>> + Send + 'static,
    {
        let hook = Arc::new(hook);
        self.on_connect = Some(Box::new(move |ask| {
            let hook = hook.clone();
            // Called when it is polled, where a panic is one of the future's.
            Box::pin(async move { hook(ask).await })
        }));
        self
    }

    /// Is told of every connection that was let in, exactly once each, before the first of its calls: what is sent to it here it hears before any answer, and it may be put into groups. What others send to everybody may come before.
    /// Must not block; a panic ends what is told of it.
    ///
    /// A client that returns to its connection was let in before.
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing::hub::Hub;
    /// use lapwing_memory::Virtual;
    ///
    /// let hub = Hub::builder(Virtual::new(1)).on_connected(|connection| {
    ///     let id = connection.id().to_string();
    ///     connection.send("welcome", id).expect("a good topic");
    /// });
    /// # drop(hub);
    /// ```
    pub fn on_connected(mut self, hook: impl Fn(Remote) + Send + Sync + 'static) -> Self {
        self.on_connected = Some(Box::new(hook));
        self
    }

    /// Is told of every connection that was let in and is gone, exactly once each, after it has left the hub's groups
    /// and subscriptions. Must not block.
    pub fn on_disconnect(mut self, hook: impl Fn(Gone) + Send + Sync + 'static) -> Self {
        self.on_disconnect = Some(Box::new(hook));
        self
    }

    /// Puts a filter around every call, connect and disconnect, within those that were added before; see [`Filter`].
    pub fn filter(mut self, filter: impl Filter) -> Self {
        self.filters.push(Arc::new(filter));
        self
    }

    /// Answers calls of `method`.
    ///
    /// Calls of one connection run one after the other, beside its reading and writing; see
    /// [`Limits::calls_running_max`]. A panic ends the call, not the connection. The future is dropped when the caller
    /// cancels, its deadline passes, or it is gone.
    pub fn on_call<A, R, F, Fut>(mut self, method: impl Into<String>, function: F) -> Self
    where
        A: Decode + Send + 'static,
        R: Encode,
        F: Fn(Caller, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, CallFailure>> + Send,
    {
        let method_of = handler(move |caller, arguments, (): ()| function(caller, arguments));
        self.methods.insert(method.into(), method_of);
        self
    }

    /// Answers calls of `method` with a stream.
    ///
    /// Streams run beside other calls of the connection, and never make one wait. An error ends the stream, and is what the caller hears at its end; so does a panic. The stream is dropped when the caller
    /// cancels, or it is gone.
    ///
    /// # When full
    ///
    /// The stream is polled when the caller has room for an item; one peer may have [`Limits::streams_max`] of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::stream::{self, StreamExt};
    /// use lapwing::{Client, Hub, Typed, hub::Caller};
    /// use lapwing_memory::{Network, Virtual};
    ///
    /// let sim = Virtual::new(7);
    /// sim.run(async {
    ///     let network = Network::new(&sim.runtime());
    ///     let hub = Hub::builder(sim.runtime())
    ///         .on_stream("count", |_: Caller, Typed(to): Typed<u64>| stream::iter(0..to).map(|n| Ok(Typed(n))))
    ///         .build()?;
    ///     sim.spawn_named("hub", hub.serve(network.listen("hub")?));
    ///
    ///     let client = Client::builder(sim.runtime(), network.connector("hub")).spawned();
    ///     client.online().await?;
    ///     let mut numbers = client.stream("count", Typed(3_u64));
    ///     for expected in 0..3 {
    ///         assert_eq!(numbers.next().await, Some(Ok(Typed(expected as u64))));
    ///     }
    ///     assert_eq!(numbers.next().await, None);
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })
    /// .expect("nobody waits for ever")
    /// # .unwrap();
    /// ```
    pub fn on_stream<A, R, F, S>(mut self, method: impl Into<String>, function: F) -> Self
    where
        A: Decode + Send + 'static,
        R: Encode + 'static,
        F: Fn(Caller, A) -> S + Send + Sync + 'static,
        S: Stream<Item = Result<R, CallFailure>> + Send + 'static,
    {
        let method_of =
            stream_handler(move |caller, arguments, (): ()| function(caller, arguments));
        self.methods.insert(method.into(), method_of);
        self
    }

    /// Answers calls of `method` that send streams along: one [`Upload`](crate::Upload), or a tuple of several.
    ///
    /// Otherwise as [`on_call`](Self::on_call), but beside other calls of the connection as [`on_stream`](Self::on_stream). An [`Upload`](crate::Upload) that fails ends with an error, which `?` makes the answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::stream::{self, StreamExt};
    /// use lapwing::{Client, Hub, Typed, Upload, hub::Caller};
    /// use lapwing_memory::{Network, Virtual};
    ///
    /// let sim = Virtual::new(7);
    /// sim.run(async {
    ///     let network = Network::new(&sim.runtime());
    ///     let hub = Hub::builder(sim.runtime())
    ///         .on_upload("sum", async |_: Caller, (), mut numbers: Upload<Typed<i64>>| {
    ///             let mut sum = 0;
    ///             while let Some(number) = numbers.next().await {
    ///                 sum += number?.0;
    ///             }
    ///             Ok(Typed(sum))
    ///         })
    ///         .build()?;
    ///     sim.spawn_named("hub", hub.serve(network.listen("hub")?));
    ///
    ///     let client = Client::builder(sim.runtime(), network.connector("hub")).spawned();
    ///     client.online().await?;
    ///     let numbers = stream::iter([1, 2, 3]).map(|n: i64| Ok(Typed(n)));
    ///     assert_eq!(client.call("sum", ()).upload(numbers).await, Ok(Typed(6_i64)));
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })
    /// .expect("nobody waits for ever")
    /// # .unwrap();
    /// ```
    pub fn on_upload<A, U, R, F, Fut>(mut self, method: impl Into<String>, function: F) -> Self
    where
        A: Decode + Send + 'static,
        U: Uploads,
        R: Encode,
        F: Fn(Caller, A, U) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, CallFailure>> + Send,
    {
        self.methods.insert(method.into(), handler(function));
        self
    }

    /// Answers calls of `method` that send streams along with a stream: [`on_stream`](Self::on_stream) and [`on_upload`](Self::on_upload) in one.
    pub fn on_duplex<A, U, R, F, S>(mut self, method: impl Into<String>, function: F) -> Self
    where
        A: Decode + Send + 'static,
        U: Uploads,
        R: Encode + 'static,
        F: Fn(Caller, A, U) -> S + Send + Sync + 'static,
        S: Stream<Item = Result<R, CallFailure>> + Send + 'static,
    {
        self.methods.insert(method.into(), stream_handler(function));
        self
    }

    /// Hears the events that peers publish on the topics of `filter`, beside their subscribers: the function gets
    /// who published, the topic, and the payload.
    ///
    /// Events of one connection are handled in order, in turn with its calls. A payload of another type than `A` is passed over: take `Bytes` to see every one.
    ///
    /// # When full
    ///
    /// While [`Limits::calls_waiting_max`] of them wait, their publisher is not read.
    pub fn on_event<A, F, Fut>(mut self, filter: impl Into<String>, function: F) -> Self
    where
        A: Decode + Send + 'static,
        F: Fn(Caller, String, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let function = Arc::new(function);
        let listener: Listener = Box::new(move |caller, topic, payload| {
            let (function, topic) = (function.clone(), String::from(topic.as_str()));
            let value = decoded(payload);
            Box::pin(async move {
                function(caller, topic, value?).await;
                Ok(Product::Value((Encoding::Bytes, Vec::new())))
            })
        });
        self.listeners.push((filter.into(), listener));
        self
    }

    /// Builds the hub; it serves nobody before [`Hub::serve`] or [`Hub::attach`].
    ///
    /// # Errors
    ///
    /// [`TopicError`] for the first filter of a rule or handler that is none.
    pub fn build(self) -> Result<Hub, TopicError> {
        let mut rules = Rules::new(self.authority);
        self.rules
            .into_iter()
            .try_for_each(|(filter, rule)| rules.add(&filter, rule))?;
        self.listeners
            .iter()
            .try_for_each(|(filter, _)| crate::topic::TopicFilter::new(filter).map(drop))?;
        let mut seed = [0; 16];
        self.runtime.random(&mut seed);
        let histories = Histories::new(epoch(&*self.runtime), &self.limits);
        let protocols = Protocols::from(self.protocols);
        let filters = Filters::from(self.filters);
        let budget = Arc::new(Budget::new(self.limits.hub_bytes_max));
        let classes = Classes::new(&protocols, &self.limits, &budget);
        let runtime = self.runtime.clone();
        let shared = Shared {
            settings: Settings::new(protocols, runtime, &self.limits, Role::Hub),
            runtime: self.runtime,
            limits: self.limits,
            classes,
            rules,
            direct_policy: self.direct_policy,
            on_connect: filter::on_connect(&filters, self.on_connect),
            on_connected: self.on_connected,
            on_disconnect: filter::on_disconnect(&filters, self.on_disconnect),
            filters,
            methods: self.methods,
            listeners: self.listeners,
            registry: RwLock::new(Registry::new(seed)),
            epoch: AtomicU64::new(0),
            audiences: Mutex::new(Audiences::new(0, Seed(seed))),
            locals: Arc::new(Locals::new(&Seed(seed), &budget)),
            histories: Mutex::new(histories),
            order: core::array::from_fn::<_, ORDERS, _>(|_| Mutex::new(())),
            hashes: Seed(seed),
            budget,
            counters: Sums::default(),
            numbers: AtomicU64::new(0),
            handshakes: AtomicU64::new(0),
            detached: AtomicU64::new(0),
            tokens: Tokens::new(Seed(seed)),
            tasks: Mutex::default(),
            cutting: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            farewell: Mutex::default(),
            room: Arc::default(),
        };
        Ok(Hub {
            shared: Arc::new(shared),
        })
    }
}

/// A name for one life of a hub, which is a number in every protocol: JSON's are exact up to 2^53. Never zero, which names none.
fn epoch(runtime: &dyn Runtime) -> u64 {
    let mut bytes = [0; 8];
    runtime.random(&mut bytes);
    (u64::from_le_bytes(bytes) >> 11).max(1)
}
