//! Publishing, in three ways: now or not at all, within a time, and with a word of the hub on what became of it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::task::Poll;
use core::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;

use super::Client;
use super::outbox::Fate;
use super::shared::{Inner, Receipt, Shared, Waiter};
use crate::payload::{Encode, EncodeError, encoded};
use crate::published::Published;
use crate::topic::{Topic, TopicError};
use crate::wire::{Denied, Encoding, Envelope, Frame, Name, Outcome, Payload, Publish};

/// Why an event was not published; what can be published later comes back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The topic is not one.
    #[error("not a topic")]
    Topic(#[from] TopicError),
    /// The value could not be written.
    #[error("the payload cannot be encoded")]
    Encode(#[from] EncodeError),
    /// The client is not online: publish it later, or wait by [`Client::publish_within`].
    #[error("the client is not online")]
    Offline(Envelope),
    /// Too much waits to be sent: slow down.
    #[error("too much waits to be sent")]
    Full(Envelope),
    /// The hub takes no message of this size.
    #[error("message of {size} bytes, the hub takes at most {max}")]
    TooLarge {
        /// What it has, in bytes.
        size: u64,
        /// What the hub takes, in bytes.
        max: u64,
        /// The event.
        envelope: Envelope,
    },
    /// The client has ended, or is about to.
    #[error("the client has ended")]
    Ended(Envelope),
    /// The hub said no; from [`Client::publish_acked`] only.
    #[error("the hub does not allow this")]
    Denied(#[source] Denied),
    /// The connection broke before the hub's answer, and the session with it: it may have been published, or not; from
    /// [`Client::publish_acked`] only.
    #[error("the connection broke before the hub's answer")]
    Lost,
}

/// Why an event does not go into the outbox now.
enum Refused {
    Offline,
    Full,
    TooLarge { size: u64, max: u64 },
    Ended,
}

/// An event, encoded but for its receipt.
struct Outgoing<'t> {
    topic: Topic<'t>,
    encoding: Encoding,
    payload: Vec<u8>,
}

impl<'t> Outgoing<'t> {
    fn new(
        shared: &Shared,
        topic: impl TryInto<Topic<'t>, Error: Into<TopicError>>,
        payload: impl Encode,
    ) -> Result<Self, PublishError> {
        let topic = topic.try_into().map_err(Into::into)?;
        let (encoding, payload) = encoded(&payload, shared.protocol.encoding())?;
        Ok(Self {
            topic,
            encoding,
            payload,
        })
    }

    fn frame(&self, shared: &Shared, receipt: u32) -> Bytes {
        let publish = Frame::Publish(Publish {
            receipt,
            name: Name::Topic(self.topic.as_str()),
            payload: Payload {
                encoding: self.encoding,
                bytes: &self.payload,
            },
        });
        shared.encode(&publish, self.payload.len())
    }

    fn refused(self, why: Refused) -> PublishError {
        let envelope = Envelope::new(self.topic, self.encoding, self.payload.into());
        match why {
            Refused::Offline => PublishError::Offline(envelope),
            Refused::Full => PublishError::Full(envelope),
            Refused::TooLarge { size, max } => PublishError::TooLarge {
                size,
                max,
                envelope,
            },
            Refused::Ended => PublishError::Ended(envelope),
        }
    }
}

impl Client {
    /// Sends an event to the hub, for all who have subscribed to `topic`.
    ///
    /// # Examples
    ///
    /// What was refused comes back, and can be published later:
    ///
    /// ```
    /// use std::time::Duration;
    /// use lapwing::{Client, Hub, Topic, client::PublishError, hub::Rule};
    /// use lapwing_memory::{Network, Virtual};
    ///
    /// let sim = Virtual::new(7);
    /// sim.run(async {
    ///     let network = Network::new(&sim.runtime());
    ///     let hub = Hub::builder(sim.runtime()).topic("news/**", Rule::open()).build()?;
    ///     sim.spawn_named("hub", hub.serve(network.listen("hub")?));
    ///     let client = Client::builder(sim.runtime(), network.connector("hub")).spawned();
    ///
    ///     let Err(PublishError::Offline(event)) = client.publish("news/today", "rain") else {
    ///         panic!("online before its driver was polled");
    ///     };
    ///     let topic = Topic::new(event.topic())?;
    ///     client.publish_within(Duration::from_secs(5), topic, &event).await?;
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })
    /// .expect("nobody waits for ever")
    /// # .unwrap();
    /// ```
    ///
    /// `Ok` means that it waits to be sent. Should the connection break before it has left, it waits for the next one. Should it break while
    /// the event is under way, it is sent again if the hub has not received it, as long as the hub knows the client, see
    /// [`ClientBuilder::resume`](super::ClientBuilder::resume): so it arrives exactly once. When the hub does not know the client any more, what was under way is not sent again and may be
    /// lost without a word, so that nothing arrives twice; [`publish_acked`](Self::publish_acked) tells.
    ///
    /// # Errors
    ///
    /// [`PublishError`], with the event in it when it may be published later. Nothing was sent then.
    ///
    /// # When full
    ///
    /// Never waits: [`PublishError::Full`] while [`Limits::lane_bytes_max`](crate::Limits::lane_bytes_max) or
    /// [`lane_frames_max`](crate::Limits::lane_frames_max) wait to be sent. As much again may be under way to a hub that has not confirmed it yet; then nothing more
    /// leaves, until the hub does or the connection ends. See [`publish_within`](Self::publish_within) to wait for room.
    pub fn publish<'t>(
        &self,
        topic: impl TryInto<Topic<'t>, Error: Into<TopicError>>,
        payload: impl Encode,
    ) -> Result<(), PublishError> {
        let shared = self.shared();
        let outgoing = Outgoing::new(shared, topic, payload)?;
        let frame = outgoing.frame(shared, 0);
        shared.offer(frame).map_err(|why| outgoing.refused(why))
    }

    /// As [`publish`](Self::publish), but waits until the client is online and has room, for `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: what it waited for when the time was over, [`Offline`](PublishError::Offline) or
    /// [`Full`](PublishError::Full), or what no waiting changes.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was sent.
    ///
    /// # When full
    ///
    /// Waits. Several that wait are served in no certain order.
    pub fn publish_within<'t>(
        &self,
        deadline: Duration,
        topic: impl TryInto<Topic<'t>, Error: Into<TopicError>>,
        payload: impl Encode,
    ) -> impl Future<Output = Result<(), PublishError>> + Send {
        let shared = self.shared().clone();
        let outgoing = Outgoing::new(&shared, topic, payload);
        async move {
            let outgoing = outgoing?;
            let frame = outgoing.frame(&shared, 0);
            let offered = offer_within(&shared, deadline, frame).await;
            offered.map_err(|why| outgoing.refused(why))
        }
    }

    /// As [`publish`](Self::publish), and tells what became of the event at the hub.
    ///
    /// Several may be under way; their answers come in their order.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; with [`Lost`](PublishError::Lost) nobody knows whether the event was published. A break alone does not lose the answer: it is
    /// lost when the hub does not know the client any more, or could not hold so much, or after [`Limits::resume`](crate::Limits::resume) without a connection.
    ///
    /// # Cancel safety
    ///
    /// Dropped after it was polled once, the event is published and only the answer is lost.
    ///
    /// # When full
    ///
    /// Does not wait for room: [`PublishError::Full`] as with `publish`, and while [`Limits::lane_frames_max`](crate::Limits::lane_frames_max)
    /// events wait for their answer.
    pub fn publish_acked<'t>(
        &self,
        topic: impl TryInto<Topic<'t>, Error: Into<TopicError>>,
        payload: impl Encode,
    ) -> impl Future<Output = Result<Published, PublishError>> + Send {
        let shared = self.shared().clone();
        let outgoing = Outgoing::new(&shared, topic, payload);
        async move {
            let outgoing = outgoing?;
            let receipt = shared.receipt();
            let frame = outgoing.frame(&shared, receipt);
            match shared.offer_acked(frame, receipt) {
                Ok(answer) => published(answer.await),
                Err(why) => Err(outgoing.refused(why)),
            }
        }
    }
}

fn published(answer: Result<Outcome, oneshot::Canceled>) -> Result<Published, PublishError> {
    match answer {
        Ok(Outcome::Published { queued, dropped }) => Ok(Published { queued, dropped }),
        Ok(Outcome::Denied(denied)) => Err(PublishError::Denied(denied)),
        _ => Err(PublishError::Lost),
    }
}

async fn offer_within(
    shared: &Arc<Shared>,
    deadline: Duration,
    frame: Bytes,
) -> Result<(), Refused> {
    let waiter = Waiter::new(shared);
    let mut timer = None;
    let mut missing = Refused::Offline;
    let accepted = poll_fn(|cx| {
        let attempt = waiter.poll(cx, |inner| match inner.offer(&frame, Fate::Kept) {
            Err(why @ (Refused::Offline | Refused::Full)) => {
                missing = why;
                None
            }
            done => Some(done),
        });
        if let Poll::Ready(done) = attempt {
            return Poll::Ready(Some(done));
        }
        let timer = timer.get_or_insert_with(|| {
            let mut timer = shared.runtime.timer();
            timer.arm(shared.runtime.now() + deadline);
            timer
        });
        timer.poll_fired(cx).map(|()| None)
    });
    let accepted = accepted.await.unwrap_or(Err(missing));
    shared.wake_driver();
    accepted
}

impl Shared {
    fn offer(&self, frame: Bytes) -> Result<(), Refused> {
        let offered = self.with(|inner| inner.offer(&frame, Fate::Kept));
        self.wake_driver();
        offered
    }

    fn offer_acked(
        &self,
        frame: Bytes,
        receipt: u32,
    ) -> Result<oneshot::Receiver<Outcome>, Refused> {
        let (published, answer) = oneshot::channel();
        let receipts_max = self.limits.lane_frames_max as usize;
        let offered = self.with(|inner| {
            if inner.receipts.len() >= receipts_max {
                return Err(Refused::Full);
            }
            inner.offer(&frame, Fate::Bound)?;
            inner
                .receipts
                .insert(receipt, Receipt::Published(published));
            Ok(answer)
        });
        self.wake_driver();
        offered
    }
}

impl Inner {
    /// Puts a frame into the outbox, if the hub and the outbox take it.
    fn offer(&mut self, frame: &Bytes, fate: Fate) -> Result<(), Refused> {
        if self.closing || self.end().is_some() {
            return Err(Refused::Ended);
        }
        if !self.is_online() || self.link.is_none() {
            return Err(Refused::Offline);
        }
        let (size, max) = (frame.len() as u64, self.hub_bytes_max as u64);
        if size > max {
            return Err(Refused::TooLarge { size, max });
        }
        if !self.store.outbox.has_room(frame.len()) {
            self.room_wanted = true;
            return Err(Refused::Full);
        }
        self.store.outbox.push(frame.clone(), fate);
        Ok(())
    }
}
