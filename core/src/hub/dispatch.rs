//! From one published event to many lanes.
//!
//! Consecutive events of one topic gather in a *run*: each is encoded once per protocol, and the run is offered once to
//! every lane. A run is closed before anything that could change its audience, before any wait, and at the end of the turn.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use core::ops::Deref;
use core::sync::atomic::Ordering;

use bytes::BytesMut;

use super::audiences::Audiences;
use super::carries::is_value;
use super::class::{Class, ClassSet};
use super::connection::Connection;
use super::history::{Keep, Variants};
use super::lane::{Offer, Taken};
use super::{PublishError, Shared};
use crate::payload::{Encode, encoded};
use crate::policy::Policy;
use crate::published::Published;
use crate::sync::{lock, read};
use crate::time::Instant;
use crate::topic::{Topic, TopicFilter};
use crate::wire::{Denied, Encoding, Event, Frame, Payload};

/// The largest event that a program may publish: segments count their bytes in 32 bits, and JSON may write six for one.
const EVENT_BYTES_MAX: u64 = 1 << 29;

/// One of those who hear a topic.
pub(crate) struct Listener {
    pub(crate) connection: Arc<Connection>,
    pub(crate) subscription: u32,
    pub(crate) policy: Policy,
    class: u8,
}

impl Listener {
    pub(crate) fn new(connection: Arc<Connection>, subscription: u32, policy: Policy) -> Self {
        let class = connection.class();
        Self {
            connection,
            subscription,
            policy,
            class,
        }
    }

    fn offer(&self, offer: &Offer<'_>, tight: bool, now: Instant) -> Option<Taken> {
        let to = (self.subscription, self.policy);
        self.connection.offer(offer, to, tight, now)
    }
}

/// Everybody who hears a topic, each once, and what the topic keeps for others.
pub(crate) struct Audience<L = Listener> {
    pub(crate) listeners: Arc<[L]>,
    pub(crate) keep: Option<Keep>,
}

impl<L> Clone for Audience<L> {
    fn clone(&self) -> Self {
        Self {
            listeners: self.listeners.clone(),
            keep: self.keep,
        }
    }
}

impl<L> Deref for Audience<L> {
    type Target = [L];

    fn deref(&self) -> &[L] {
        &self.listeners
    }
}

/// Events on their way to one audience.
pub(crate) struct Run<'h> {
    hub: &'h Shared,
    open: Option<Open>,
}

struct Open {
    topic: String,
    epoch: u64,
    audience: Audience,
    batches: Vec<Batch>,
    /// Of a topic that keeps something: its events are encoded when they have their offsets.
    kept: Vec<Variants>,
}

/// Events of one topic as one class of connections gets them.
pub(super) struct Batch {
    pub(super) class: Arc<Class>,
    framed: BytesMut,
    ends: Vec<u32>,
}

impl Batch {
    fn new(class: &Arc<Class>) -> Self {
        Self {
            class: class.clone(),
            framed: BytesMut::new(),
            ends: Vec::new(),
        }
    }

    /// Adds an event of the topic's subscribers, or one that is sent straight to somebody.
    fn add(&mut self, topic: Topic<'_>, direct: bool, payload: Payload<'_>) {
        self.push(Event {
            topic: topic.as_str(),
            direct,
            offset: None,
            payload,
        });
    }

    pub(super) fn push(&mut self, event: Event<'_>) {
        self.class.append(&Frame::Event(event), &mut self.framed);
        self.ends.push(self.framed.len() as u32);
    }

    /// The largest event, framed.
    fn largest(&self) -> usize {
        let starts = core::iter::once(&0).chain(&self.ends);
        let sizes = self.ends.iter().zip(starts).map(|(end, start)| end - start);
        sizes.max().unwrap_or(0) as usize
    }
}

impl<'h> Run<'h> {
    pub(crate) fn new(hub: &'h Shared) -> Self {
        Self { hub, open: None }
    }

    /// Adds an event for the subscribers of `topic`.
    ///
    /// # When full
    ///
    /// [`Denied::TooMany`] when the topic would keep it, and as many topics do as may.
    pub(crate) fn add(&mut self, topic: Topic<'_>, payload: Payload<'_>) -> Result<(), Denied> {
        let epoch = self.hub.epoch();
        let same = self
            .open
            .as_ref()
            .is_some_and(|open| open.topic == topic.as_str() && open.epoch == epoch);
        if !same {
            self.close();
            self.open = Some(self.hub.open(topic, epoch)?);
        }
        if let Some(open) = &mut self.open {
            self.hub.add_to(open, topic, payload);
        }
        Ok(())
    }

    /// Offers what has gathered.
    pub(crate) fn close(&mut self) -> Published {
        let Some(open) = self.open.take() else {
            return Published::default();
        };
        let Open {
            topic,
            epoch,
            audience,
            batches,
            kept,
        } = open;
        match audience.keep {
            Some(keep) => {
                let topic = Topic::checked(&topic);
                self.hub.offer_kept(topic, keep, (epoch, audience), kept)
            }
            None if batches.is_empty() => Published::default(),
            None => self.hub.offer(&topic, &batches, &audience),
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Begins a run of events of `topic`.
    fn open(&self, topic: Topic<'_>, epoch: u64) -> Result<Open, Denied> {
        let audience = self.audience(topic);
        let batches = match audience.keep {
            None => self.batches(&audience),
            Some(_) => {
                let admitted = self.admit(topic);
                admitted.map_err(|max| Denied::TooMany { max })?;
                Vec::new()
            }
        };
        Ok(Open {
            topic: topic.as_str().into(),
            epoch,
            audience,
            batches,
            kept: Vec::new(),
        })
    }

    fn add_to(&self, open: &mut Open, topic: Topic<'_>, payload: Payload<'_>) {
        if open.audience.keep.is_some() {
            return open.kept.push(self.variants(topic, payload));
        }
        for batch in &mut open.batches {
            self.add(topic, false, payload, batch);
        }
    }

    /// Offers one event of the program to an audience; nothing of it is kept.
    pub(crate) fn send(
        &self,
        topic: Topic<'_>,
        direct: bool,
        payload: &dyn Encode,
        audience: &[Listener],
    ) -> Result<Published, PublishError> {
        if audience.is_empty() {
            return Ok(Published::default());
        }
        let mut batches = self.batches(audience);
        for batch in &mut batches {
            let (encoding, bytes) = self.written(payload, batch.class.protocol.encoding())?;
            let bytes = &bytes;
            self.add(topic, direct, Payload { encoding, bytes }, batch);
        }
        Ok(self.offer(topic.as_str(), &batches, audience))
    }

    /// An empty batch for each class that is in an audience.
    pub(super) fn batches(&self, audience: &[Listener]) -> Vec<Batch> {
        let classes: ClassSet = audience.iter().map(|listener| listener.class).collect();
        self.classes.of(classes).map(Batch::new).collect()
    }

    /// Adds an event to a batch, in the encoding that its protocol wants where the topic's values are known.
    fn add(&self, topic: Topic<'_>, direct: bool, payload: Payload<'_>, batch: &mut Batch) {
        let wanted = batch.class.protocol.encoding();
        match self.converted(topic, payload, wanted) {
            None => batch.add(topic, direct, payload),
            Some((encoding, bytes)) => {
                let bytes = &bytes;
                batch.add(topic, direct, Payload { encoding, bytes });
            }
        }
    }

    /// The payload in the encoding that a protocol wants, where it has to change and can.
    pub(super) fn converted(
        &self,
        topic: Topic<'_>,
        payload: Payload<'_>,
        wanted: Encoding,
    ) -> Option<(Encoding, Vec<u8>)> {
        // Most need nothing, and are not looked at any further.
        if payload.encoding == wanted || !is_value(payload.encoding) {
            return None;
        }
        let converted = self.rules.carries(topic)?.convert(payload, wanted);
        converted.filter(|(_, bytes)| bytes.len() as u64 <= self.event_bytes_max())
    }

    /// A payload of the program in the encoding that a protocol wants, unless it has one of its own.
    pub(super) fn written(
        &self,
        payload: &dyn Encode,
        wanted: Encoding,
    ) -> Result<(Encoding, Vec<u8>), PublishError> {
        let (encoding, bytes) = encoded(payload, wanted)?;
        let (size, max) = (bytes.len() as u64, self.event_bytes_max());
        match size > max {
            true => Err(PublishError::TooLarge { size, max }),
            false => Ok((encoding, bytes)),
        }
    }

    /// The largest payload of an event.
    pub(crate) fn event_bytes_max(&self) -> u64 {
        self.limits.hub_bytes_max.min(EVENT_BYTES_MAX)
    }

    /// Offers events of one topic to each of the audience.
    fn offer(&self, topic: &str, batches: &[Batch], audience: &[Listener]) -> Published {
        let hash = self.hash(topic);
        // Held while offering: all subscribers of a topic see its events in one order.
        let _order = lock(&self.order[hash as usize % self.order.len()]);
        self.offer_in_order(topic, hash, batches, audience)
    }

    /// The same under the lock that gives the topic its order.
    pub(super) fn offer_in_order(
        &self,
        topic: &str,
        hash: u64,
        batches: &[Batch],
        audience: &[Listener],
    ) -> Published {
        let now = self.runtime.now();
        let mut published = Published::default();
        let slices: Vec<_> = batches
            .iter()
            .map(|batch| batch.class.segments.append(&batch.framed))
            .collect();
        let tight = self.budget.is_over();
        let offers: Vec<_> = batches
            .iter()
            .zip(&slices)
            .map(|(batch, slice)| Offer {
                class: batch.class.index,
                slice,
                ends: &batch.ends,
                largest: batch.largest(),
                topic: hash,
            })
            .collect();
        for listener in audience {
            let Some(offer) = offers.iter().find(|offer| offer.class == listener.class) else {
                continue;
            };
            let taken = match listener.offer(offer, tight, now) {
                Some(taken) => taken,
                None => self.offer_to_successor(topic, listener, offer, tight, now),
            };
            published.queued += taken.queued;
            published.dropped += taken.dropped;
            self.counters.dropped(listener.policy, taken.dropped);
        }
        self.counters.delivered(published.queued);
        self.sweep();
        published
    }

    /// When memory runs short, lets all lanes go of segments of which they need little: those that are offered nothing would not do so by themselves.
    fn sweep(&self) {
        if !self.budget.is_nearly_over() {
            return;
        }
        let classes = self.classes.iter();
        let due: ClassSet = classes
            .filter(|class| class.segments.is_worth_a_sweep())
            .map(|class| class.index)
            .collect();
        if due == ClassSet::default() {
            return;
        }
        let keeps = |connection: &Connection| due.contains(connection.class());
        let keepers: Vec<_> = read(&self.registry)
            .iter()
            .filter(|(_, connection)| keeps(connection))
            .map(|(_, connection)| connection.clone())
            .collect();
        for connection in keepers {
            if let Some(live) = connection.live().as_mut() {
                live.store.lane.let_go();
            }
        }
    }

    /// Offers to a listener that has ended its subscription since it was looked up, or has it not yet: it may have another one that
    /// selects the topic, and no event of that one may be lost.
    fn offer_to_successor(
        &self,
        topic: &str,
        listener: &Listener,
        offer: &Offer<'_>,
        tight: bool,
        now: Instant,
    ) -> Taken {
        let mut tried = Vec::new();
        // They may have been replaced meanwhile. The same ones again are those that begin with a later event.
        while let Some(heirs) = self.heirs(topic, listener).filter(|heirs| *heirs != tried) {
            if let Some(taken) = listener
                .connection
                .offer_to_first(offer, &heirs, tight, now)
            {
                return taken;
            }
            tried = heirs;
        }
        Taken::default()
    }

    /// The subscriptions of a listener that select a topic, the lowest number first.
    fn heirs(&self, topic: &str, listener: &Listener) -> Option<Vec<(u32, Policy)>> {
        let topic = Topic::new(topic).ok()?;
        let registry = read(&self.registry);
        let key = registry.key(listener.connection.id)?;
        let selects = |filter: &str| TopicFilter::checked(filter).matches(topic);
        let all = registry.subscriptions_of(key);
        let heirs = all.filter(|(_, filter, _)| selects(filter));
        Some(heirs.map(|(number, _, policy)| (number, policy)).collect())
    }

    /// Who hears `topic` now.
    pub(crate) fn audience(&self, topic: Topic<'_>) -> Audience {
        let epoch = self.epoch();
        let audiences = lock(&self.audiences);
        if let Some(audience) = audiences.get(topic, epoch) {
            return audience;
        }
        drop(audiences);
        let (epoch, audience) = self.find_audience(topic);
        let mut audiences = lock(&self.audiences);
        let outdated = (audiences.epoch < epoch).then(|| {
            let fresh = Audiences::new(epoch, self.hashes.clone());
            core::mem::replace(&mut *audiences, fresh)
        });
        let current = audiences.epoch == epoch;
        let forgotten = current.then(|| audiences.insert(topic, &audience));
        drop(audiences);
        // Not under the lock: there may be very many.
        drop((outdated, forgotten));
        audience
    }

    fn find_audience(&self, topic: Topic<'_>) -> (u64, Audience) {
        let mut found = Vec::new();
        let registry = read(&self.registry);
        registry.matching(topic, &mut found);
        let listener = |found: &crate::registry::Match| {
            let connection = registry.get(found.key)?.clone();
            Some(Listener::new(connection, found.subscription, found.policy))
        };
        let audience = Audience {
            listeners: found.iter().filter_map(listener).collect(),
            keep: self.rules.keep(topic),
        };
        (registry.epoch(), audience)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn hash(&self, topic: &str) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        hasher.write(topic.as_bytes());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;

    use crate::Hub;
    use crate::runtime::{BoxFuture, Runtime, Timer};
    use crate::time::Instant;

    /// A runtime that does nothing, with the dice of one seed.
    struct Still;

    impl Runtime for Still {
        fn now(&self) -> Instant {
            Instant::default()
        }

        fn timer(&self) -> Box<dyn Timer> {
            unreachable!("nobody connects")
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) {}

        fn random(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn the_seed_of_hashes_is_the_runtimes() {
        let hub = || Hub::builder(Still).build().expect("no filters");
        assert_eq!(hub().shared.hash("news"), hub().shared.hash("news"));
    }
}
