//! One subscription: the stream of deliveries that a program reads.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_channel::oneshot;
use futures_core::Stream;

use super::Client;
use super::queue::Queue;
use super::state::ClientEnd;
use crate::policy::Policy;
use crate::topic::{TopicError, TopicFilter};
use crate::wire::{Denied, Envelope, Start};

/// What a subscription brings, in the order in which it happened.
///
/// After each return of the client to its hub a subscription hears exactly one of [`Resumed`](Self::Resumed),
/// [`Replayed`](Self::Replayed) and [`Gap`](Self::Gap), in the place where the connection broke; several returns may come to one while
/// nobody reads. So the events, and the numbers in `Lagged` and `Gap`, come to
/// what was published, as long as no `Gap(None)` says that the hub has forgotten the client: it was started anew, or the client was away
/// for longer than [`Limits::resume`](crate::Limits::resume).
///
/// # Examples
///
/// Whoever adds up misses nothing, whatever becomes of the connection:
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
///     let phone = network.connector("hub").named("phone");
///     let phone = Client::builder(sim.runtime(), phone).spawned();
///     let mut news = phone.subscribe("news").await?;
///     sim.sleep(Duration::from_secs(2)).await;
///
///     network.cut("phone");
///     for _ in 0..10 {
///         hub.publish("news", "rain")?;
///     }
///     let (mut heard, mut missing, mut breaks) = (0, 0, 0);
///     while heard + missing < 10 {
///         match news.next().await.ok_or("the client ended")? {
///             Delivery::Event(_) => heard += 1,
///             Delivery::Lagged(n) | Delivery::Gap(Some(n)) => missing += n,
///             Delivery::Gap(None) => return Err("the hub has forgotten us".into()),
///             _ => breaks += 1,
///         }
///     }
///     assert_eq!((heard, missing, breaks), (10, 0, 1));
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })
/// .expect("nobody waits for ever")
/// # .unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// An event.
    Event(Envelope),
    /// Here so many events are missing, because the client did not read fast enough for the subscription's policy.
    Lagged(u64),
    /// Here events may be missing: so many, or an unknown number. The connection broke at this place, or an
    /// older subscription of the same client missed some on topics that both select. What the topics' history still has of them may follow, and is not
    /// counted here.
    Gap(Option<u64>),
    /// Here the connection broke, and nothing is missing.
    Resumed,
    /// Here the connection broke, or the subscription began in the past, and nothing is missing: the history of its topics
    /// follows.
    Replayed {
        /// The first offset that may follow.
        from: u64,
        /// The last offset of the past.
        to: u64,
    },
    /// The past is over: the events that follow happen now. Only where some of the past was to come.
    Live,
}

/// How a subscription is made; see [`Client::subscribe_with`].
///
/// # Examples
///
/// What a topic keeps is heard first, and [`Delivery::Live`] behind it:
///
/// ```
/// use lapwing::{Client, Delivery, Hub, hub::{History, Rule}};
/// use lapwing::client::{Start, SubscribeOptions};
/// use lapwing_memory::{Network, Virtual};
///
/// let sim = Virtual::new(7);
/// sim.run(async {
///     let network = Network::new(&sim.runtime());
///     let rule = Rule::open().history(History::default());
///     let hub = Hub::builder(sim.runtime()).topic("news", rule).build()?;
///     sim.spawn_named("hub", hub.serve(network.listen("hub")?));
///     hub.publish("news", "rain")?;
///
///     let client = Client::builder(sim.runtime(), network.connector("hub")).spawned();
///     let options = SubscribeOptions { start: Start::Beginning, ..Default::default() };
///     let mut news = client.subscribe_with("news", options).await?;
///     assert!(matches!(news.next().await, Some(Delivery::Replayed { .. })));
///     let Some(Delivery::Event(event)) = news.next().await else { panic!("an event") };
///     assert_eq!(news.next().await, Some(Delivery::Live));
///     let (epoch, offset) = news.position().ok_or("no history")?;
///     assert_eq!(event.offset(), Some(offset));
///
///     // Whoever keeps the position may go on later, also after a restart of its program.
///     let options = SubscribeOptions { start: Start::Offset { epoch, offset }, ..Default::default() };
///     let mut news = client.subscribe_with("news", options).await?;
///     assert_eq!(news.next().await, Some(Delivery::Live));
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })
/// .expect("nobody waits for ever")
/// # .unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Where it begins. Whatever is not [`Start::Now`] needs topics that keep a history, or a value; [`Delivery::Live`] says
    /// when the past is over.
    pub start: Start,
    /// What the hub does with events while the client is full; `None`: what the topic's rule says.
    pub policy: Option<Policy>,
    /// Deliveries that wait for the program to read them; at least one. Reached: the client reads nothing more from the hub.
    pub capacity: usize,
}

impl Default for SubscribeOptions {
    /// With the next event, no policy of its own, and 256 deliveries.
    fn default() -> Self {
        Self {
            start: Start::Now,
            policy: None,
            capacity: 256,
        }
    }
}

/// Why there is no subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The filter is not one.
    #[error("not a topic filter")]
    Filter(#[from] TopicError),
    /// The hub said no: ask for something else.
    #[error("the hub does not allow this subscription")]
    Denied(#[source] Denied),
    /// The client has as many subscriptions as [`Limits::subscriptions_max`](crate::Limits::subscriptions_max) allows.
    #[error("more than {max} subscriptions are not allowed")]
    TooMany {
        /// What is allowed.
        max: u32,
    },
    /// The client has ended.
    #[error("the client has ended")]
    Ended(#[source] ClientEnd),
}

/// Why a subscription brings nothing more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionEnd {
    /// The hub of a later connection does not allow it any more.
    #[error("the hub does not allow this subscription any more")]
    Denied(#[source] Denied),
    /// The client has ended.
    #[error("the client has ended")]
    Client(#[source] ClientEnd),
}

/// A stream of the events that a filter selects, with a word at every place where some are missing.
///
/// It outlives connections: a new one has it again before the client is online, and the stream says what the break cost where
/// it was: [`Delivery::Resumed`], [`Delivery::Replayed`] or [`Delivery::Gap`]. Dropping it unsubscribes. It counts as a handle: the client stays alive as long as one
/// of its subscriptions does.
///
/// # When full
///
/// Nothing is dropped here. While as many deliveries wait as its [capacity](SubscribeOptions::capacity), the client reads *nothing* from the hub:
/// no event of other subscriptions, no answer to a call, no confirmation. So the hub's lane fills, and the policy of the
/// subscription that an event belongs to decides there. Whoever awaits a call or a subscribe between two
/// reads of a busy subscription should do so in another task. The client stays alive meanwhile: it goes on to speak to the
/// hub, and does not take the silence for death. But the hub ends a connection whose transport has taken nothing for
/// [`Limits::stall`](crate::Limits::stall), whatever the policy: then the client connects again, and is told of the gap.
#[must_use = "dropping a subscription ends it"]
pub struct Subscription {
    client: Client,
    key: u64,
    filter: String,
    queue: Arc<Queue>,
}

impl Subscription {
    pub(super) fn new(client: Client, key: u64, filter: &str, queue: Arc<Queue>) -> Self {
        Self {
            client,
            key,
            filter: filter.into(),
            queue,
        }
    }

    /// The next delivery; `None` when nothing will follow, and [`end_reason`](Self::end_reason) says why.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Delivery> {
        poll_fn(|cx| self.queue.poll_next(cx)).await
    }

    /// Ends the subscription; ready when the hub has confirmed it, or there is no connection. What waits unread is dropped.
    ///
    /// # Cancel safety
    ///
    /// It ends as well when the future is dropped, unless it was never polled: then it ends by being dropped.
    pub async fn close(self) {
        let (closed, confirmed) = oneshot::channel();
        self.client.shared().unsubscribe(self.key, Some(closed));
        // Dropped without a connection: nothing comes then, which is as good as a confirmation.
        let _ = confirmed.await;
    }

    /// The filter that selects its events.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Why nothing will follow what waits to be read; `None` while something may.
    pub fn end_reason(&self) -> Option<SubscriptionEnd> {
        self.queue.end_reason()
    }

    /// How far the program has read, in the history of the topics: epoch and offset of the newest event that it has read, or that it knows is missing. `None`
    /// where topics keep no history.
    ///
    /// Given to [`Start::Offset`], another subscription goes on from there, also of another client and after a restart of the program. A subscription
    /// with the policy [`KeepLatest`](Policy::KeepLatest) has none: its events overtake each other.
    pub fn position(&self) -> Option<(u64, u64)> {
        self.queue.place()
    }

    /// Events that the hub sent, or reported missing, on account of this subscription since the hub knows it: until the hub has forgotten the
    /// client, see [`Delivery`].
    ///
    /// An event that several subscriptions of one client select is sent once, on account of the oldest of them. While nothing is
    /// under way, this is what the hub has counted for the subscription: nothing was lost without a word.
    pub fn accounted(&self) -> u64 {
        self.queue.accounted()
    }
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.queue.poll_next(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.client.shared().unsubscribe(self.key, None);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("filter", &self.filter)
            .field("accounted", &self.accounted())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A stream of the events that `filter` selects: every event published after this is ready.
    ///
    /// See [`subscribe_with`](Self::subscribe_with), which takes options beside it.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, there is no subscription.
    ///
    /// # When full
    ///
    /// See [`Subscription`].
    pub fn subscribe<'f>(
        &self,
        filter: impl TryInto<TopicFilter<'f>, Error: Into<TopicError>>,
    ) -> impl Future<Output = Result<Subscription, SubscribeError>> + Send {
        self.subscribe_with(filter, SubscribeOptions::default())
    }

    /// A stream of the events that `filter` selects, made as `options` say.
    ///
    /// Ready when the hub has confirmed it; while there is no connection it waits for the next one.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, there is no subscription.
    ///
    /// # When full
    ///
    /// It does not wait for room among outgoing events. See [`Subscription`] for incoming ones.
    pub fn subscribe_with<'f>(
        &self,
        filter: impl TryInto<TopicFilter<'f>, Error: Into<TopicError>>,
        options: SubscribeOptions,
    ) -> impl Future<Output = Result<Subscription, SubscribeError>> + Send {
        let filter = filter.try_into().map_err(Into::into);
        let client = self.clone();
        async move { client.subscribe_filter(filter?, options).await }
    }

    async fn subscribe_filter(
        self,
        filter: TopicFilter<'_>,
        options: SubscribeOptions,
    ) -> Result<Subscription, SubscribeError> {
        let queue = Arc::new(Queue::new(options.capacity));
        let (answered, answer) = oneshot::channel();
        let key = self
            .shared()
            .subscribe(filter, options, queue.clone(), answered)?;
        // From here on dropping it, with this future, unsubscribes.
        let subscription = Subscription::new(self, key, filter.as_str(), queue);
        match answer.await {
            Ok(Ok(())) => Ok(subscription),
            Ok(Err(denied)) => Err(SubscribeError::Denied(denied)),
            Err(_) => Err(SubscribeError::Ended(
                subscription.client.shared().end_of_client(),
            )),
        }
    }
}
