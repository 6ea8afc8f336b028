//! What a client asks of the hub: to publish, to subscribe, to unsubscribe.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::BytesMut;

use super::Drive;
use crate::answers::Place;
use crate::hub::access::Peer;
use crate::hub::again::Again;
use crate::hub::carries::{Carries, is_value};
use crate::hub::connection::Live;
use crate::hub::dispatch::{Known, Run};
use crate::hub::replay::Wanted;
use crate::hub::rules::PublishRule;
use crate::policy::Policy;
use crate::registry::Key;
use crate::sync::write;
use crate::topic::{Topic, TopicFilter};
use crate::wire::{
    self, Ack, Denied, Encoding, Event, Frame, Name, Outcome, Payload, Publish, Replay, Subscribe,
    Unsubscribe,
};

/// More than an event needs around its topic and its payload.
const EVENT_BYTES_MAX: usize = 32;

impl Drive {
    pub(super) fn publish(&mut self, publish: Publish<'_>, run: &mut Run<'_>) {
        let Publish {
            receipt,
            name,
            payload,
        } = publish;
        if receipt == 0 {
            // Whoever wants to know asks for a receipt.
            let _ = self.publish_to(name, payload, run);
            return;
        }
        // A run of its own, so that the answer counts this event and no other.
        run.close();
        let outcome = match self.publish_to(name, payload, run) {
            Err(denied) => Outcome::Denied(denied),
            Ok(()) => {
                let published = run.close();
                Outcome::Published {
                    queued: published.queued,
                    dropped: published.dropped,
                }
            }
        };
        self.acknowledge(receipt, outcome);
    }

    fn publish_to(
        &mut self,
        name: Name<'_>,
        payload: Payload<'_>,
        run: &mut Run<'_>,
    ) -> Result<(), Denied> {
        let hub = self.hub.shared.clone();
        let declared;
        let text = match name {
            Name::Topic(text) => text,
            Name::Declare(alias, text) => {
                // What messages begin with may stand for another topic now, also when this one is denied.
                run.forget();
                self.declare(alias, text)?;
                text
            }
            Name::Alias(alias) => {
                let aliases = self.aliases.as_ref();
                let name = aliases.and_then(|aliases| aliases.name(alias));
                declared = String::from(name.ok_or(Denied::Alias)?);
                &declared
            }
        };
        let before = run.known(text);
        let known = match before {
            Some(known) => known,
            None => run.know(text, self.known(text)?),
        };
        let (topic, rule) = (Topic::checked(text), known.rule);
        let size = payload.bytes.len() as u64;
        let rule_max = rule.payload_bytes_max.map_or(u64::MAX, |max| max as u64);
        let event_max = payload_bytes_max(hub.limits.message_bytes_max, topic, size, rule.keeps);
        let max = rule_max.min(hub.event_bytes_max()).min(event_max);
        if size > max {
            return Err(Denied::TooLarge { size, max });
        }
        let fits = |carries: Carries| carries.allows(payload);
        if !crate::payload::is_sound(payload) || !rule.carries.is_none_or(fits) {
            return Err(Denied::Payload);
        }
        run.add(topic, payload)?;
        if known.heard {
            self.notify(topic, payload);
        } else if before.is_some() && run.asks() {
            self.expect_more((name, topic), payload.encoding, rule, run);
        }
        Ok(())
    }

    /// Where an event follows another of its topic there may be very many.
    fn expect_more(
        &self,
        (name, topic): (Name<'_>, Topic<'_>),
        encoding: Encoding,
        rule: PublishRule,
        run: &mut Run<'_>,
    ) {
        if rule.keeps || rule.carries.is_some() && is_value(encoding) {
            return;
        }
        let head = |live: &mut Live| live.link.protocol().publish_head(name, encoding);
        let Some(head) = self.live(head).flatten() else {
            return;
        };
        let hub = self.shared();
        let around = topic.as_str().len() + EVENT_BYTES_MAX;
        let fits = (hub.limits.message_bytes_max as usize).saturating_sub(around);
        let fits = fits.min(hub.event_bytes_max() as usize);
        run.expect(Again {
            head,
            encoding,
            payload_bytes_max: rule.payload_bytes_max.map_or(fits, |max| fits.min(max)),
        });
    }

    /// What is to be known about events of a peer on one topic, if it may publish there.
    fn known(&self, text: &str) -> Result<Known, Denied> {
        let hub = self.shared();
        let topic = hub.topic(text)?;
        let rule = hub.rules.publish(self.peer(), topic);
        let hears = |(filter, _): &(String, _)| TopicFilter::checked(filter).matches(topic);
        Ok(Known {
            rule: rule.ok_or(Denied::Forbidden)?,
            heard: hub.listeners.iter().any(hears),
        })
    }

    /// The peer as rules see it.
    pub(super) fn peer(&self) -> Peer<'_> {
        Peer {
            connection: self.connection.id,
            user: self.user.as_ref(),
            guest: self.guest.as_deref(),
        }
    }

    fn declare(&mut self, alias: u16, text: &str) -> Result<(), Denied> {
        self.shared().topic(text)?;
        let max = self.shared().limits.aliases_max;
        let aliases = self.aliases.get_or_insert_default();
        let declared = aliases.declare(alias, text, max);
        declared.map_err(|_full| Denied::TooMany { max: max.into() })
    }

    /// Lets the program's own handlers know of an event that the peer publishes.
    fn notify(&mut self, topic: Topic<'_>, payload: Payload<'_>) {
        let hub = self.hub.shared.clone();
        for (filter, handler) in &hub.listeners {
            if TopicFilter::checked(filter).matches(topic) {
                let place = Place::default();
                let future = handler(self.caller(place.clone()), topic, payload);
                let bytes = payload.bytes.len();
                self.answers().push(None, None, place, bytes, future);
            }
        }
    }

    pub(super) fn subscribe(&mut self, subscribe: Subscribe<'_>) {
        let begun = self.asked_for(&subscribe).and_then(|wanted| {
            match self.shared().is_of_the_past(&wanted)? {
                true => self.shared().begin_in_the_past(&self.connection, &wanted),
                false => self.begin(&wanted),
            }
        });
        if let Err(denied) = begun {
            self.acknowledge(subscribe.receipt, Outcome::Denied(denied));
        }
    }

    fn begin(&self, wanted: &Wanted<'_>) -> Result<(), Denied> {
        self.shared().enlist(wanted, false)?;
        let first = wanted.numbers.start;
        let outcome = match wanted.numbered {
            true => Outcome::Numbered { first },
            false => Outcome::Subscribed,
        };
        let receipt = wanted.receipt;
        // In one step: what is offered from here on stands behind the acknowledgement.
        self.live(|live| {
            live.accounts.open(wanted.numbers.clone(), false);
            let ack = Frame::Ack(Ack { receipt, outcome });
            live.push_answer(&ack);
        });
        Ok(())
    }

    fn acknowledge(&self, receipt: u32, outcome: Outcome) {
        let ack = Frame::Ack(Ack { receipt, outcome });
        self.live(|live| live.push_answer(&ack));
    }

    /// What the peer may have of what it asks for.
    fn asked_for<'a>(&self, subscribe: &Subscribe<'a>) -> Result<Wanted<'a>, Denied> {
        let key = self.key.ok_or(Denied::Forbidden)?;
        let max = self.shared().limits.subscriptions_max;
        if subscribe.filters.len() > max as usize {
            return Err(Denied::TooMany { max });
        }
        Ok(Wanted {
            key,
            receipt: subscribe.receipt,
            numbers: self.numbers(subscribe)?,
            numbered: subscribe.first == 0,
            filters: self.allowed(subscribe)?,
            start: subscribe.start,
        })
    }

    /// The numbers of new subscriptions: those that the peer wants, or those behind all that it has had.
    fn numbers(&self, subscribe: &Subscribe<'_>) -> Result<Range<u32>, Denied> {
        let first = match subscribe.first {
            0 => self.live(|live| live.accounts.unused()).flatten(),
            first => Some(first),
        };
        let first = first.ok_or(Denied::NumberTaken)?;
        let end = first.checked_add(subscribe.filters.len() as u32);
        Ok(first..end.ok_or(Denied::NumberTaken)?)
    }

    /// The filters with their policies, if the rules allow all of them.
    fn allowed<'a>(
        &self,
        subscribe: &Subscribe<'a>,
    ) -> Result<Vec<(TopicFilter<'a>, Policy)>, Denied> {
        let shared = self.shared();
        let allow = |text: &'a str| {
            let filter = shared.filter(text)?;
            let usual = shared
                .rules
                .subscribe(self.peer(), filter)
                .ok_or(Denied::Forbidden)?;
            Ok((filter, subscribe.policy.unwrap_or(usual)))
        };
        subscribe.filters.iter().map(allow).collect()
    }

    pub(super) fn unsubscribe(&mut self, unsubscribe: Unsubscribe) {
        let Unsubscribe {
            receipt,
            first,
            count,
        } = unsubscribe;
        let ended = |number: &u32| {
            number
                .checked_sub(first)
                .is_some_and(|offset| offset < count)
        };
        let mine = |live: &mut Live| {
            let numbers = live.accounts.numbers().filter(ended);
            numbers.collect()
        };
        let numbers: Vec<_> = self.live(mine).unwrap_or_default();
        // Out of the registry first: whoever finds one of them gone here, finds its successor there.
        if let Some(key) = self.key {
            self.strike(key, &numbers);
        }
        // In one step: nothing of them stands behind the acknowledgement.
        self.live(|live| {
            live.accounts.retain(|number| !ended(&number));
            live.store.lane.seal(|number| ended(&number));
            live.push_answer(&Frame::Ack(Ack {
                receipt,
                outcome: Outcome::Unsubscribed,
            }));
        });
    }

    pub(super) fn strike(&self, key: Key, numbers: &[u32]) {
        self.shared().unsettle(&self.connection, key, numbers);
        let mut registry = write(&self.shared().registry);
        for number in numbers {
            registry.unsubscribe(key, *number);
        }
        self.shared().changed(&registry);
        drop(registry);
        self.shared().end_readers(&self.connection, numbers);
    }
}

/// The largest payload of an event of a peer, if that is near to `size`: as a native message it is no larger than what
/// the hub takes itself.
///
/// A topic's number is shorter than the topic: without this a peer could end all who take as much as it may say, and no more.
fn payload_bytes_max(message_bytes_max: u32, topic: Topic<'_>, size: u64, kept: bool) -> u64 {
    let max = u64::from(message_bytes_max);
    let far = size + (topic.as_str().len() + EVENT_BYTES_MAX) as u64;
    if far <= max {
        return max;
    }
    let (topic, payload) = (topic.as_str(), Payload::bytes(&[]));
    let frame = match kept {
        // What is heard again has more around it than what is heard at once.
        true => Frame::Replay(Replay {
            subscription: u32::MAX,
            offset: u64::MAX,
            topic,
            payload,
        }),
        false => Frame::Event(Event {
            topic,
            direct: false,
            offset: None,
            payload,
        }),
    };
    let mut bytes = BytesMut::new();
    wire::append_to(&frame, &mut bytes);
    // The length of no payload is one byte; seven bits of any other are one more each.
    let length = u64::from((u64::BITS - size.leading_zeros()).div_ceil(7).max(1));
    max.saturating_sub(bytes.len() as u64 - 1 + length)
}
