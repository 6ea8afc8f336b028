//! The hub: accepts connections and routes events between them.
//!
//! A [`Hub`] is a cheap handle. [`Hub::serve`] and [`Hub::attach`] give futures that do the work; everything else may be
//! called from any thread at any time.

mod access;
mod accounts;
mod admission;
mod again;
mod audience;
mod audiences;
mod builder;
mod carries;
mod class;
mod connection;
mod counters;
mod dispatch;
mod drive;
pub mod filter;
mod guest;
mod history;
mod lane;
mod local;
mod log;
mod parcel;
mod publish;
mod publisher;
mod recipients;
mod remote;
mod remote_call;
mod remote_stream;
mod replay;
mod resume;
mod rules;
mod segment;
mod serve;
mod shard;
mod shutdown;
mod spread;
mod streams;
mod waitlist;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::HashMap;
use std::sync::{Mutex, RwLock};

pub use self::access::{Action, Peer};
pub use self::admission::{Admission, Ask, Gone, Refuse};
pub use self::builder::HubBuilder;
pub use self::counters::Counters;
pub use self::history::History;
pub use self::local::{Heard, LocalOptions, LocalSubscription};
pub use self::publisher::Publisher;
pub use self::recipients::Recipients;
pub use self::remote::{Caller, MembershipError, Presence, Remote};
pub use self::remote_call::{RemoteCall, RemoteCallError};
pub use self::remote_stream::RemoteStream;
pub use self::rules::Rule;
pub use self::shutdown::{Shutdown, ShutdownReport};
pub use crate::answers::CALL_WITHIN;
pub use crate::published::Published;

use self::audience::Audience;
use self::audiences::Audiences;
use self::builder::{Listener as EventListener, OnConnect, OnConnected, OnDisconnect};
use self::class::Classes;
use self::connection::{Connection, HubStore, Live};
use self::counters::Sums;
use self::drive::Drive;
use self::filter::Filters;
use self::history::Histories;
use self::lane::HubLane;
use self::local::Locals;
use self::resume::Tokens;
use self::rules::Rules;
use self::segment::Budget;
use self::shard::Shard;
use self::waitlist::WaitList;
use crate::answers::{CallFailure, Method};
use crate::id::{ConnectionId, Group, UserId};
use crate::limits::{Limits, TOPIC_BYTES_MAX, TOPIC_SEGMENTS_MAX};
use crate::link::{Link, Settings, Traffic};
use crate::payload::{Encode, EncodeError};
use crate::policy::Policy;
use crate::registry::{Registry, Seed};
use crate::runtime::{self, Runtime};
use crate::session::Ending;
use crate::sync::{lock, read};
use crate::topic::{self, Topic, TopicError, TopicFilter};
use crate::transport::{Listener, Transport};
use crate::wire::{Denied, Refusal};

/// Accepts connections and routes events between them; a handle that is cheap to clone.
///
/// # Examples
///
/// ```
/// use lapwing::hub::{Hub, Rule};
/// use lapwing_memory::Virtual;
///
/// let hub = Hub::builder(Virtual::new(1)).topic("news/**", Rule::open()).build()?;
/// let published = hub.publish("news/weather", "rain")?;
/// assert_eq!(published.queued, 0, "nobody is here yet");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Hub {
    pub(crate) shared: Arc<Shared>,
}

/// What all handles and tasks of a hub share.
pub(crate) struct Shared {
    runtime: Arc<dyn Runtime>,
    limits: Limits,
    /// Of all connections.
    settings: Settings,
    classes: Classes,
    rules: Rules,
    direct_policy: Policy,
    filters: Filters,
    on_connect: Option<OnConnect>,
    on_connected: Option<OnConnected>,
    on_disconnect: Option<OnDisconnect>,
    methods: HashMap<String, Method<Caller>>,
    listeners: Vec<(String, EventListener)>,
    registry: RwLock<Registry<Arc<Connection>>>,
    /// The registry's epoch, to be looked at without its lock.
    epoch: AtomicU64,
    audiences: Mutex<Audiences<Audience>>,
    /// Subscriptions of the program itself.
    locals: Arc<Locals>,
    /// Of topics that keep something; their order lock too.
    histories: Mutex<Histories>,
    /// Of others, by hash of the topic.
    order: [Mutex<()>; 16],
    hashes: Seed,
    budget: Arc<Budget>,
    counters: Sums,
    numbers: AtomicU64,
    handshakes: AtomicU64,
    /// Connections whose client is away.
    detached: AtomicU64,
    tokens: Tokens,
    /// Connections with a task, by number.
    tasks: Mutex<BTreeMap<u64, Weak<Connection>>>,
    cutting: AtomicBool,
    stopping: AtomicBool,
    farewell: Mutex<shutdown::Farewell>,
    /// Who waits for room in lanes.
    room: Arc<WaitList>,
}

/// Why an event of the program itself was not published: the program has a fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The topic is none.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The payload cannot be written.
    #[error(transparent)]
    Payload(#[from] EncodeError),
    /// The event is larger than everything that this hub may hold, or than 512 MiB.
    #[error("event of {size} bytes, at most {max} are allowed")]
    TooLarge {
        /// What it has, in bytes.
        size: u64,
        /// What is allowed, in bytes.
        max: u64,
    },
    /// The topic would keep the event, and as many topics do as may: forget one, or let no program choose their names.
    #[error("no more than {max} topics keep events")]
    TooManyTopics {
        /// What is allowed.
        max: u32,
    },
}

impl From<PublishError> for CallFailure {
    fn from(error: PublishError) -> Self {
        Self::from(error.to_string())
    }
}

impl Hub {
    /// Begins to set up a hub on a runtime.
    pub fn builder(runtime: impl Runtime) -> HubBuilder {
        HubBuilder::new(runtime::shared(runtime))
    }

    // ── connections ──

    /// Serves whoever connects to `listener`: a future that accepts, spawns a task for each connection, and writes for them; where the runtime has
    /// [several threads](crate::runtime::Runtime::threads), in a task for each of the others too.
    ///
    /// It is ready after [`shutdown`](Self::shutdown), when the last of its connections is gone. Best spawned on the runtime: a
    /// future polled beside others at the top of a program is polled more often than it has work.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends all its connections without a word; [`shutdown`](Self::shutdown) ends them politely.
    pub fn serve(
        &self,
        listener: impl Listener + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        serve::Serve::new(self.clone(), Box::new(listener))
    }

    /// Runs a connection over a transport that is there already: a future that is ready when the connection has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the connection without a word.
    pub fn attach(
        &self,
        transport: impl Transport + 'static,
    ) -> impl Future<Output = Ending> + Send + 'static {
        self.drive(Box::new(transport), None)
    }

    fn drive(&self, transport: Box<dyn Transport>, shard: Option<Arc<Shard>>) -> Drive {
        let shared = &self.shared;
        let (link, info) = Link::new(transport, shared.settings.clone());
        let class = shared.classes.get(0).clone();
        let store = HubStore::new(HubLane::new(class, info.framing));
        let live = Live::new(link, store);
        let number = shared.numbers.fetch_add(1, Ordering::Relaxed);
        let id = info.connection.unwrap_or_else(|| {
            let mut id = [0; 16];
            shared.runtime.random(&mut id);
            ConnectionId::from_bytes(id)
        });
        let connection = Arc::new(Connection::new(id, number, &info, live, shard));
        Drive::new(self.clone(), connection, info)
    }

    // ── events ──

    /// Offers an event to every subscriber of `topic`, and says how many took it, how many could not, or that there was nobody.
    ///
    /// The program itself may publish on every topic; rules are for peers.
    ///
    /// # Errors
    ///
    /// [`PublishError`] when `topic` is none, or the payload cannot be written or is too large.
    ///
    /// # When full
    ///
    /// Never waits. A subscriber without room is treated by its [`Policy`], and counted in [`Published::dropped`]; see
    /// [`publish_within`](Self::publish_within) to wait for room, and [`publisher`](Self::publisher) for a topic that is published on again and again.
    pub fn publish(&self, topic: &str, payload: impl Encode) -> Result<Published, PublishError> {
        self.shared.publish(Topic::new(topic)?, &payload)
    }

    /// Lets go of all that is kept of `topic`, its retained value too; says how many events that were.
    ///
    /// Who was about to read one of them is told that it is missing, as when it had become too old.
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing::hub::{Hub, Rule};
    /// use lapwing_memory::Virtual;
    ///
    /// let hub = Hub::builder(Virtual::new(1)).topic("door/*", Rule::open().retain()).build()?;
    /// hub.publish("door/7", "open")?;
    /// assert_eq!(hub.forget("door/7"), 1);
    /// assert_eq!(hub.forget("door/7"), 0, "nothing is left");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forget(&self, topic: &str) -> u64 {
        lock(&self.shared.histories).forget(topic)
    }

    /// One connection, to be sent to, called, put into groups or ended, whether it is still there or not.
    pub fn connection(&self, id: ConnectionId) -> Remote {
        Remote::new(self.clone(), id)
    }

    /// All connections of a user, to be sent to at once.
    pub fn user(&self, user: impl Into<UserId>) -> Recipients {
        Recipients::user(self.clone(), user.into())
    }

    /// All members of a group, to be sent to at once.
    pub fn group(&self, group: impl Into<Group>) -> Recipients {
        Recipients::group(self.clone(), group.into())
    }

    /// All connections, to be sent to at once.
    pub fn all(&self) -> Recipients {
        Recipients::all(self.clone())
    }

    // ── questions ──

    /// The connections that are here now, those among them whose client is away and may return.
    pub fn connections(&self) -> Vec<ConnectionId> {
        read(&self.shared.registry)
            .iter()
            .map(|(_, connection)| connection.id)
            .collect()
    }

    /// The members of a group.
    pub fn members(&self, group: &str) -> Vec<ConnectionId> {
        read(&self.shared.registry)
            .members(group)
            .map(|(_, connection)| connection.id)
            .collect()
    }

    /// The connections of a user.
    pub fn connections_of(&self, user: &str) -> Vec<ConnectionId> {
        read(&self.shared.registry)
            .connections_of(user)
            .map(|(_, connection)| connection.id)
            .collect()
    }

    /// What this hub has done so far, and what it holds now. Looks at every connection once.
    pub fn counters(&self) -> Counters {
        let shared = &self.shared;
        let mut traffic = Traffic::default();
        let (mut frames, mut bytes) = (0, 0);
        let everybody: Vec<_> = read(&shared.registry)
            .iter()
            .map(|(_, connection)| connection.clone())
            .collect();
        for connection in everybody {
            if let Some(live) = connection.live().as_ref() {
                counters::add(&mut traffic, live.link.traffic);
                frames += live.store.lane.frames() as u64;
                bytes += live.store.lane.bytes() as u64;
            }
        }
        let history = lock(&shared.histories).totals();
        let registry = read(&shared.registry);
        Counters {
            history_topics: history.topics,
            history_events: history.events,
            history_bytes: history.bytes,
            connections: registry.len() as u64,
            users: registry.users_len() as u64,
            groups: registry.groups_len() as u64,
            subscriptions: registry.subscriptions_len() as u64,
            local_subscriptions: shared.locals.len() as u64,
            detached: shared.detached.load(Ordering::Relaxed),
            handshakes: shared.handshakes.load(Ordering::Relaxed),
            waiting_frames: frames,
            waiting_bytes: bytes,
            held_bytes: shared.budget.used(),
            ..shared.counters.snapshot(traffic)
        }
    }

    fn find(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        let registry = read(&self.shared.registry);
        registry.get(registry.key(id)?).cloned()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl Drop for Shared {
    /// Nobody can publish any more.
    fn drop(&mut self) {
        self.locals.end();
    }
}

impl Shared {
    /// The registry has changed: what was found in it before may be wrong. Called under its lock.
    fn changed(&self, registry: &Registry<Arc<Connection>>) {
        self.epoch.store(registry.epoch(), Ordering::Release);
    }

    /// Why no further handshake may begin, if none may.
    fn has_no_room(&self) -> Option<Refusal> {
        let handshakes =
            self.handshakes.load(Ordering::Relaxed) >= u64::from(self.limits.handshakes_max);
        match self.is_stopping() {
            true => Some(Refusal::Shutdown),
            false => (handshakes || self.budget.is_nearly_over()).then_some(Refusal::Full),
        }
    }

    /// Whether so many are on their way in or out that a further peer is not even told why it cannot stay.
    fn is_overrun(&self) -> bool {
        let Limits {
            connections_max,
            handshakes_max,
            ..
        } = self.limits;
        let away = self.detached.load(Ordering::Relaxed) as usize;
        let max = connections_max as usize + 2 * handshakes_max as usize + away;
        lock(&self.tasks).len() >= max
    }

    /// Why a client is not let in, if so. One that takes the place of a connection that is here needs no other.
    fn has_no_place(&self, has_place: bool) -> Option<Refuse> {
        let full = !has_place && self.is_full(&read(&self.registry));
        let reason = match self.is_stopping() {
            true => Some(Refusal::Shutdown),
            false => full.then_some(Refusal::Full),
        };
        reason.map(|reason| Refuse::new(reason, Some(self.return_after())))
    }

    /// Whether as many clients are here as may be; those who are away have bounds of their own.
    fn is_full(&self, registry: &Registry<Arc<Connection>>) -> bool {
        let away = self.detached.load(Ordering::Relaxed) as usize;
        registry.len().saturating_sub(away) >= self.limits.connections_max as usize
    }

    /// Whether one more connection may wait for its client: as many as there may be clients.
    fn has_room_away(&self) -> bool {
        self.detached.load(Ordering::Relaxed) < self.limits.connections_max.into()
    }

    /// What a client has to show when it returns.
    fn token(&self) -> [u8; 16] {
        let mut token = [0; 16];
        self.runtime.random(&mut token);
        token
    }

    /// The topic that a peer means, within this hub's limits.
    fn topic<'a>(&self, text: &'a str) -> Result<Topic<'a>, Denied> {
        self.within(text)?;
        Topic::new(text).map_err(|_| Denied::Topic)
    }

    /// The filter that a peer means, within this hub's limits.
    fn filter<'a>(&self, text: &'a str) -> Result<TopicFilter<'a>, Denied> {
        self.within(text)?;
        TopicFilter::new(text).map_err(|_| Denied::Topic)
    }

    fn within(&self, text: &str) -> Result<(), Denied> {
        let (bytes, segments) = (self.limits.topic_bytes_max, self.limits.topic_segments_max);
        let (bytes, segments) = (usize::from(bytes), usize::from(segments));
        // Every topic keeps to the protocol's own bounds, which are looked at when it is made.
        match bytes >= TOPIC_BYTES_MAX && segments >= TOPIC_SEGMENTS_MAX {
            true => Ok(()),
            false => topic::within(text, bytes, segments).map_err(|_| Denied::Topic),
        }
    }
}
