//! Subscriptions inside the program: events of the hub without a connection.

mod log;
mod logs;

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_core::Stream;

use self::log::{Bounds, Found, Reader};
pub(crate) use self::logs::{Events, Hearers, Locals};
use super::Hub;
use super::waitlist::WaitList;
use crate::client::Delivery;
use crate::topic::{TopicError, TopicFilter};
use crate::wire::Envelope;

/// Chunks of events that a callback gets before others have their turn.
const CHUNKS_PER_TURN: u32 = 16;

/// How a subscription inside the program is made; see [`Hub::subscribe_with`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalOptions {
    /// Events that may wait for the program to read them; at least one.
    pub capacity: usize,
    /// Bytes that these may have, with what stands around each.
    pub bytes_max: usize,
}

impl Default for LocalOptions {
    /// 256 events with 1 MiB.
    fn default() -> Self {
        Self {
            capacity: 256,
            bytes_max: 1024 * 1024,
        }
    }
}

/// What a [`LocalSubscription`] brings, borrowed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard<'a> {
    /// An event.
    Event(&'a Envelope),
    /// Here so many events are missing, because the program did not read fast enough.
    Lagged(u64),
}

impl Heard<'_> {
    /// The same as a value of its own: what the stream brings.
    pub fn to_owned(self) -> Delivery {
        match self {
            Self::Event(event) => Delivery::Event(event.clone()),
            Self::Lagged(missed) => Delivery::Lagged(missed),
        }
    }
}

/// The events that a filter selects, inside the program that has the hub; made by [`Hub::subscribe`].
///
/// No connection, no bytes, no task: events are written once, for all subscriptions of one filter, and read where they are. Read them
/// as a [`Stream`] of [`Delivery`], or with [`read`](Self::read) without a copy. Nothing is resumed here, as nothing breaks: it brings [`Delivery::Event`] and
/// [`Delivery::Lagged`] only.
///
/// Dropping it unsubscribes. It ends when the hub has shut down, or nobody has the hub any more. Its tasks are woken by publishers, so a waker
/// must not poll.
///
/// # When full
///
/// Nobody waits for it, but [`publish_within`](Hub::publish_within). When more events wait than its [capacity](LocalOptions::capacity), or when the hub's memory runs
/// short, the oldest go, by up to 64 at a time, and it is told how many are missing, in their place. What one that stands still has begun to read, up to 64 KiB or one
/// event, it keeps.
///
/// # Examples
///
/// ```
/// use lapwing::hub::{Heard, Hub};
/// use lapwing_memory::Virtual;
///
/// let sim = Virtual::new(1);
/// sim.run(async {
///     let hub = Hub::builder(sim.runtime()).build()?;
///     let mut rooms = hub.subscribe("room/*")?;
///     hub.publish("room/7", "warm")?;
///     let Some(Heard::Event(event)) = rooms.read().await else { panic!("an event") };
///     assert_eq!((event.topic(), event.text()), ("room/7", Some("warm")));
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })
/// .expect("nobody waits for ever")
/// # .unwrap();
/// ```
#[must_use = "dropping a subscription ends it"]
pub struct LocalSubscription {
    /// `None` once it is dropped.
    reader: Option<Reader>,
    filter: String,
    bounds: Bounds,
    locals: Arc<Locals>,
    room: Arc<WaitList>,
}

impl LocalSubscription {
    /// What comes next, borrowed; `None` when nothing follows.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn read(&mut self) -> Option<Heard<'_>> {
        let found = poll_fn(|cx| self.poll_found(cx)).await;
        self.heard(found)
    }

    /// What comes next; `None` when nothing follows.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.read().await.map(Heard::to_owned)
    }

    /// Calls `hear` with everything that comes, until nothing follows: the cheapest way to read.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: whoever reads on begins with what was not heard.
    pub async fn for_each(&mut self, mut hear: impl FnMut(Heard<'_>)) {
        poll_fn(|cx| {
            for _ in 0..CHUNKS_PER_TURN {
                if let Some(reader) = &mut self.reader {
                    reader.read_on(|event| hear(Heard::Event(event)));
                }
                match ready!(self.poll_found(cx)) {
                    Found::End => return Poll::Ready(()),
                    found => self.heard(found).into_iter().for_each(&mut hear),
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// The filter that selects its events.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    fn poll_found(&mut self, cx: &mut Context<'_>) -> Poll<Found> {
        let Some(reader) = &mut self.reader else {
            return Poll::Ready(Found::End);
        };
        if reader.step() {
            return Poll::Ready(Found::Event);
        }
        let found = reader.poll_beyond(cx);
        // It may have gone on from events for which a publisher needs the room.
        self.room.wake();
        found
    }

    #[inline]
    fn heard(&self, found: Found) -> Option<Heard<'_>> {
        match found {
            Found::Event => self.reader.as_ref()?.current().map(Heard::Event),
            Found::Lagged(missed) => Some(Heard::Lagged(missed)),
            Found::End => None,
        }
    }
}

impl Stream for LocalSubscription {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let found = self.poll_found(cx);
        found.map(|found| self.heard(found).map(Heard::to_owned))
    }
}

impl Drop for LocalSubscription {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.locals.leave(&self.filter, self.bounds, reader);
        }
        self.room.wake();
    }
}

impl fmt::Debug for LocalSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSubscription")
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// The events that `filter` selects, for the program itself: every event whose publishing begins after this has returned.
    ///
    /// See [`subscribe_with`](Self::subscribe_with), which takes options beside it.
    ///
    /// # Errors
    ///
    /// [`TopicError`] when `filter` is none.
    ///
    /// # When full
    ///
    /// See [`LocalSubscription`].
    pub fn subscribe<'f>(
        &self,
        filter: impl TryInto<TopicFilter<'f>, Error: Into<TopicError>>,
    ) -> Result<LocalSubscription, TopicError> {
        self.subscribe_with(filter, LocalOptions::default())
    }

    /// The events that `filter` selects, for the program itself, made as `options` say.
    ///
    /// Rules are for peers; the program hears every topic. What was sent straight to connections, users or groups is not heard
    /// here, nor is the past of topics that keep one.
    ///
    /// # Errors
    ///
    /// [`TopicError`] when `filter` is none.
    ///
    /// # When full
    ///
    /// See [`LocalSubscription`].
    pub fn subscribe_with<'f>(
        &self,
        filter: impl TryInto<TopicFilter<'f>, Error: Into<TopicError>>,
        options: LocalOptions,
    ) -> Result<LocalSubscription, TopicError> {
        let filter = filter.try_into().map_err(Into::into)?;
        let bounds = Bounds {
            events: options.capacity.max(1),
            bytes: options.bytes_max,
        };
        let locals = self.shared.locals.clone();
        Ok(LocalSubscription {
            reader: Some(locals.enter(filter, bounds)),
            filter: filter.as_str().into(),
            bounds,
            locals,
            room: self.shared.room.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
