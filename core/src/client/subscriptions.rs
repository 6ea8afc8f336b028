//! The subscriptions of a client: which numbers they have at the hub, and who hears what.

mod entry;
mod verdicts;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::task::Waker;

use futures_channel::oneshot;

pub(super) use self::entry::delivery;
use self::entry::{Entry, Phase};
use super::queue::{Place, Queue};
use super::subscription::{Delivery, SubscribeOptions, SubscriptionEnd};
use crate::policy::Policy;
use crate::topic::{Topic, TopicFilter};
use crate::wire::{Denied, Envelope, Outcome, Start};

/// Bytes of a `Subscribe` frame beside its filters, and of one filter beside its text: more than any protocol needs.
const FRAME_BYTES: usize = 64;
const FILTER_BYTES: usize = 8;

/// Says what became of a subscribe.
pub(super) type Answered = oneshot::Sender<Result<(), Denied>>;

/// What to ask the hub for in one frame: filters with consecutive numbers, one policy and one start.
pub(super) struct Request {
    pub(super) first: u32,
    pub(super) policy: Option<Policy>,
    pub(super) start: Start,
    pub(super) filters: Vec<Box<str>>,
}

impl Request {
    /// The numbers of its subscriptions.
    pub(super) fn numbers(&self) -> Range<u32> {
        self.first..self.first + self.filters.len() as u32
    }
}

/// What a subscription is asked to become.
pub(super) enum Left {
    /// Nobody has to be told: the hub never knew, or was told before.
    Alone,
    /// The hub has to be told to end the subscription of this number.
    Asking(u32),
}

/// All subscriptions, the oldest first, which is the one with the lowest number.
#[derive(Default)]
pub(super) struct Subscriptions {
    entries: Vec<Entry>,
    next_key: u64,
    next_number: u32,
}

/// Queues that the driver has to look after, and readers that it has to wake.
#[derive(Default)]
pub(super) struct Told {
    pub(super) full: Vec<Arc<Queue>>,
    pub(super) woken: Vec<Waker>,
}

impl Told {
    fn push(&mut self, queue: &Arc<Queue>, delivery: Delivery, place: Place) {
        let mut reader = None;
        if queue.push(delivery, place, &mut reader) {
            self.full.push(queue.clone());
        }
        self.woken.extend(reader);
    }
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes in a subscription that the hub does not know of yet; says its key.
    pub(super) fn insert(
        &mut self,
        filter: TopicFilter<'_>,
        options: SubscribeOptions,
        queue: Arc<Queue>,
        answered: Answered,
    ) -> u64 {
        self.next_key += 1;
        self.next_number += 1;
        let names = (self.next_key, self.next_number);
        self.entries
            .push(Entry::new(names, filter, options, queue, answered));
        self.next_key
    }

    /// The newest subscription, as a request of its own.
    pub(super) fn ask_newest(&mut self) -> Option<Request> {
        let number = self.entries.last()?.number;
        self.ask(number)
    }

    /// One subscription as a request of its own, if somebody still reads it.
    pub(super) fn ask(&mut self, number: u32) -> Option<Request> {
        let entry = self.find(number).filter(|entry| !entry.leaving)?;
        Some(Request {
            first: number,
            policy: entry.policy,
            start: entry.ask(),
            filters: [entry.filter_text()].into(),
        })
    }

    /// Every subscription that the hub of this session does not know of, each as a request of its own.
    pub(super) fn ask_wanted(&mut self) -> Vec<Request> {
        let wanted = self.entries.iter();
        let wanted = wanted.filter(|entry| entry.phase == Phase::Wanted);
        let numbers: Vec<_> = wanted.map(|entry| entry.number).collect();
        let requests = numbers.into_iter();
        requests.filter_map(|number| self.ask(number)).collect()
    }

    /// Numbers all subscriptions anew for a session that knows none: what to ask for, in few frames of bounded size.
    pub(super) fn renew(&mut self, frame_bytes_max: usize) -> Vec<Request> {
        // Stable: within one policy the oldest stays the oldest.
        self.entries
            .sort_by_key(|entry| entry.policy.map(|policy| policy as u8));
        let mut requests = Vec::<Request>::new();
        let (mut bytes, mut plain) = (0, false);
        for (number, entry) in (1..).zip(&mut self.entries) {
            entry.number = number;
            let (policy, start, filter) = (entry.policy, entry.ask(), entry.filter_text());
            // What the hub says about the past is about one subscription.
            let is_plain = start == Start::Now && entry.is_plain();
            let joins = core::mem::replace(&mut plain, is_plain) && is_plain;
            bytes += filter.len() + FILTER_BYTES;
            match requests.last_mut() {
                Some(last) if joins && last.policy == policy && bytes <= frame_bytes_max => {
                    last.filters.push(filter);
                }
                _ => {
                    bytes = FRAME_BYTES + filter.len() + FILTER_BYTES;
                    requests.push(Request {
                        first: number,
                        policy,
                        start,
                        filters: [filter].into(),
                    });
                }
            }
        }
        self.next_number = self.entries.len() as u32;
        requests
    }

    /// The hub has confirmed a subscription: what follows is heard.
    pub(super) fn confirm(
        &mut self,
        number: u32,
        outcome: Outcome,
        told: &mut Told,
    ) -> Option<Answered> {
        let entry = self.find(number)?;
        entry.confirm(outcome, told);
        entry.answered.take()
    }

    /// A subscription that the hub has refused as another request, when the refusal is only about where it was to begin.
    pub(super) fn ask_elsewhere(&mut self, number: u32, denied: Denied) -> Option<Request> {
        let entry = self.find(number)?;
        match entry.may_begin_elsewhere(denied) {
            true => self.ask(number),
            false => None,
        }
    }

    /// The hub has refused a subscription, which ends it.
    pub(super) fn deny(
        &mut self,
        number: u32,
        denied: Denied,
        told: &mut Told,
    ) -> Option<Answered> {
        let entry = self.remove(number)?;
        told.woken
            .extend(entry.queue.end(SubscriptionEnd::Denied(denied)));
        entry.answered
    }

    /// The hub has ended a subscription, as it was asked to.
    pub(super) fn left(&mut self, number: u32) {
        self.remove(number);
    }

    /// Nobody reads a subscription any more.
    pub(super) fn leave(&mut self, key: u64, woken: &mut Vec<Waker>) -> Left {
        let Some(index) = self.entries.iter().position(|entry| entry.key == key) else {
            return Left::Alone;
        };
        let entry = &mut self.entries[index];
        woken.extend(entry.queue.close());
        if entry.phase == Phase::Wanted {
            self.entries.remove(index);
            return Left::Alone;
        }
        match core::mem::replace(&mut entry.leaving, true) {
            true => Left::Alone,
            false => Left::Asking(entry.number),
        }
    }

    /// Accounts an event to the oldest subscription that matches, and tells all that do.
    pub(super) fn hear(&mut self, topic: Topic<'_>, envelope: &Envelope, told: &mut Told) {
        let mut hearing = self
            .entries
            .iter_mut()
            .filter(|entry| entry.hears(topic))
            .peekable();
        if let Some(oldest) = hearing.peek() {
            oldest.queue.account(1);
        }
        for entry in hearing {
            entry.hear(envelope, told);
        }
    }

    /// Accounts an event of the past to the subscription that it is for, and tells it.
    pub(super) fn replay(&mut self, number: u32, envelope: Envelope, told: &mut Told) {
        let entry = self.find(number);
        if let Some(entry) = entry.filter(|entry| entry.phase == Phase::Active) {
            entry.replay(envelope, told);
        }
    }

    /// A subscription is done with the past.
    pub(super) fn come_live(&mut self, number: u32, offset: u64, told: &mut Told) {
        let entry = self.find(number);
        if let Some(entry) = entry.filter(|entry| entry.phase == Phase::Active) {
            entry.come_live(offset, told);
        }
    }

    /// Accounts what a subscription missed, and tells it.
    ///
    /// The hub sends an event once, for its oldest subscription. What that one misses, the younger ones that
    /// select some of the same topics may have missed as well; nobody knows how many. What is missing of the past is its own.
    pub(super) fn lag(&mut self, number: u32, missed: u64, told: &mut Told) {
        let mut from_here = self
            .entries
            .iter_mut()
            .skip_while(|entry| entry.number != number);
        let Some(lagging) = from_here.next() else {
            return;
        };
        lagging.miss(missed, told);
        if !lagging.is_live() {
            return;
        }
        let lagging = lagging.filter();
        for younger in from_here.filter(|entry| entry.is_live()) {
            if lagging.overlaps(younger.filter()) {
                younger.miss_some(told);
            }
        }
    }

    /// The session is over, and the hub knows of nothing any more.
    pub(super) fn handle_lost(&mut self) {
        self.entries.retain(|entry| !entry.leaving);
        self.entries.iter_mut().for_each(Entry::handle_lost);
    }

    /// Ends them all, for the same reason, and wakes whoever waits. Not to be done under a lock.
    pub(super) fn end(self, end: &SubscriptionEnd) {
        for entry in self.entries {
            let reader = entry.queue.end(end.clone());
            reader.into_iter().for_each(Waker::wake);
        }
    }

    fn find(&mut self, number: u32) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.number == number)
    }

    fn remove(&mut self, number: u32) -> Option<Entry> {
        let index = self
            .entries
            .iter()
            .position(|entry| entry.number == number)?;
        Some(self.entries.remove(index))
    }
}

#[cfg(test)]
mod tests;
