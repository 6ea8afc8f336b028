//! From one published event to many lanes.
//!
//! Consecutive events of one topic gather in a *run*: each is encoded once per protocol, and the run is offered once to
//! every lane. A run is closed before anything that could change its audience, before any wait, and at the end of the turn.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::again::Again;
use super::audience::{Audience, Listener};
use super::class::ClassSet;
use super::connection::Connection;
use super::history::Variants;
use super::lane::{Offer, Taken};
use super::local::Events;
use super::parcel::{Batch, Parcel};
use super::rules::PublishRule;
use super::shard::TOUCHED_TOGETHER;
use super::{PublishError, Shared};
use crate::payload::Encode;
use crate::policy::Policy;
use crate::published::Published;
use crate::sync::{lock, read};
use crate::time::Instant;
use crate::topic::Topic;
use crate::wire::{Denied, Payload};

/// Events on their way to one audience.
pub(crate) struct Run<'h> {
    hub: &'h Shared,
    open: Option<Open>,
    /// The topic that its peer has published on last.
    known: Option<(String, Known)>,
    /// How more of what is open begins.
    again: Option<Again>,
    asked: bool,
}

/// What does not change about events of one peer on one topic.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub(crate) rule: PublishRule,
    /// The program has handlers for them.
    pub(crate) heard: bool,
}

struct Open {
    topic: String,
    epoch: u64,
    audience: Arc<Audience>,
    parcel: Parcel,
    /// Of a topic that keeps something: its events are encoded when they have their offsets.
    kept: Vec<Variants>,
}

impl<'h> Run<'h> {
    pub(crate) fn new(hub: &'h Shared) -> Self {
        Self {
            hub,
            open: None,
            known: None,
            again: None,
            asked: false,
        }
    }

    /// What was found out about a topic in this turn.
    pub(crate) fn known(&self, topic: &str) -> Option<Known> {
        let (last, known) = self.known.as_ref()?;
        (last == topic).then_some(*known)
    }

    /// Remembers what was found out about a topic, as far as it stays so.
    pub(crate) fn know(&mut self, topic: &str, known: Known) -> Known {
        self.known = (!known.rule.asks).then(|| (topic.into(), known));
        known
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
            self.hub.add_to_run(open, topic, payload);
        }
        Ok(())
    }

    /// Whether it is to be found out how more of what is open begins; once.
    pub(crate) fn asks(&mut self) -> bool {
        !core::mem::replace(&mut self.asked, true)
    }

    /// Looks at each message again.
    pub(crate) fn forget(&mut self) {
        (self.again, self.asked) = (None, false);
    }

    /// Remembers how messages begin that publish more of what was added last, on a topic that keeps nothing.
    pub(crate) fn expect(&mut self, again: Again) {
        self.again = Some(again);
    }

    /// Adds the event of a message that publishes more of what is open; false when it is none of those. Takes no lock.
    pub(crate) fn add_again(&mut self, message: &[u8]) -> bool {
        let (Some(again), Some(open)) = (&self.again, &mut self.open) else {
            return false;
        };
        let payload = match again.payload(message) {
            Some(payload) if open.epoch == self.hub.epoch() => payload,
            _ => return false,
        };
        let topic = Topic::checked(&open.topic);
        open.parcel.add_again(topic, payload, &open.audience);
        true
    }

    /// Offers what has gathered.
    pub(crate) fn close(&mut self) -> Published {
        self.forget();
        let Some(open) = self.open.take() else {
            return Published::default();
        };
        let Open {
            topic,
            epoch,
            audience,
            parcel,
            kept,
        } = open;
        match audience.keep {
            Some(keep) => {
                let topic = Topic::checked(&topic);
                self.hub.offer_kept(topic, keep, (epoch, audience), kept)
            }
            None => self
                .hub
                .offer(&topic, &parcel.batches, parcel.local, &audience),
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
        let parcel = match audience.keep {
            None => self.parcel(&audience),
            Some(_) => {
                let admitted = self.admit(topic);
                admitted.map_err(|max| Denied::TooMany { max })?;
                Parcel::default()
            }
        };
        Ok(Open {
            topic: topic.as_str().into(),
            epoch,
            audience,
            parcel,
            kept: Vec::new(),
        })
    }

    fn add_to_run(&self, open: &mut Open, topic: Topic<'_>, payload: Payload<'_>) {
        match open.audience.keep {
            Some(_) => open.kept.push(self.variants(topic, payload)),
            None => self.add(topic, payload, &mut open.parcel, &open.audience),
        }
    }

    /// Offers one event of the program to an audience; nothing of it is kept.
    pub(crate) fn send(
        &self,
        topic: Topic<'_>,
        direct: bool,
        payload: &dyn Encode,
        audience: &Audience,
    ) -> Result<Published, PublishError> {
        let batches = self.batches_of(topic, direct, payload, audience)?;
        let local = self.local_event(payload, audience)?;
        Ok(self.offer(topic.as_str(), &batches, local, audience))
    }

    /// Offers events of one topic to each of the audience.
    fn offer(
        &self,
        topic: &str,
        batches: &[Batch],
        local: impl Events,
        audience: &Audience,
    ) -> Published {
        if audience.listeners.is_empty() && audience.hearers.is_none() {
            return Published::default();
        }
        // Held while offering: all subscribers of a topic see its events in one order.
        let _order = lock(&self.order[audience.hash as usize % self.order.len()]);
        self.offer_in_order(topic, batches, local, audience)
    }

    /// The same under the lock that gives the topic its order.
    pub(super) fn offer_in_order(
        &self,
        topic: &str,
        batches: &[Batch],
        local: impl Events,
        audience: &Audience,
    ) -> Published {
        let mut published = Published::default();
        if let Some(hearers) = &audience.hearers {
            published = hearers.push(local, self.budget.is_over());
            self.counters.dropped(Policy::DropOldest, published.dropped);
        }
        if !batches.is_empty() {
            self.offer_to_lanes(topic, batches, audience, &mut published);
        }
        self.counters.delivered(published.queued);
        published
    }

    fn offer_to_lanes(
        &self,
        topic: &str,
        batches: &[Batch],
        audience: &Audience,
        published: &mut Published,
    ) {
        let now = self.runtime.now();
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
                topic: audience.hash,
            })
            .collect();
        for near in audience.listeners.chunks(TOUCHED_TOGETHER) {
            near.iter().for_each(|listener| listener.connection.touch());
            for listener in near {
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
        }
        self.sweep();
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
}
