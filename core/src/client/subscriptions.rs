//! The subscriptions of a client: which numbers they have at the hub, and who hears what.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::task::Waker;

use futures_channel::oneshot;

use super::queue::Queue;
use super::subscription::{Delivery, SubscriptionEnd};
use crate::policy::Policy;
use crate::topic::{Topic, TopicFilter};
use crate::wire::{Denied, Envelope};

/// Bytes of a `Subscribe` frame beside its filters, and of one filter beside its text: more than any protocol needs.
const FRAME_BYTES: usize = 64;
const FILTER_BYTES: usize = 8;

/// Says what became of a subscribe.
pub(super) type Answered = oneshot::Sender<Result<(), Denied>>;

/// How far a subscription has come on the present connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The hub does not know of it.
    Wanted,
    /// The hub was asked.
    Asked,
    /// The hub has confirmed it.
    Active,
}

struct Entry {
    /// Its name for as long as it lives.
    key: u64,
    /// Its name on the present connection.
    number: u32,
    filter: Box<str>,
    policy: Option<Policy>,
    queue: Arc<Queue>,
    phase: Phase,
    /// The hub was asked to end it. It counts until the hub has confirmed that.
    leaving: bool,
    /// Some earlier connection had it, so this one has a gap.
    renewed: bool,
    answered: Option<Answered>,
}

impl Entry {
    fn filter(&self) -> TopicFilter<'_> {
        TopicFilter::checked(&self.filter)
    }

    fn hears(&self, topic: Topic<'_>) -> bool {
        self.phase == Phase::Active && self.filter().matches(topic)
    }
}

/// What to ask the hub for in one frame: filters with consecutive numbers and one policy.
pub(super) struct Request {
    pub(super) first: u32,
    pub(super) policy: Option<Policy>,
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
    fn push(&mut self, queue: &Arc<Queue>, delivery: Delivery) {
        let mut reader = None;
        if queue.push(delivery, &mut reader) {
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
        policy: Option<Policy>,
        queue: Arc<Queue>,
        answered: Answered,
    ) -> u64 {
        self.next_key += 1;
        self.next_number += 1;
        self.entries.push(Entry {
            key: self.next_key,
            number: self.next_number,
            filter: filter.as_str().into(),
            policy,
            queue,
            phase: Phase::Wanted,
            leaving: false,
            renewed: false,
            answered: Some(answered),
        });
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
        entry.phase = Phase::Asked;
        Some(Request {
            first: number,
            policy: entry.policy,
            filters: [entry.filter.clone()].into(),
        })
    }

    /// Numbers all subscriptions anew for a connection that knows none: what to ask for, in few frames of bounded size.
    pub(super) fn renew(&mut self, frame_bytes_max: usize) -> Vec<Request> {
        // Stable: within one policy the oldest stays the oldest.
        self.entries
            .sort_by_key(|entry| entry.policy.map(|policy| policy as u8));
        let mut requests = Vec::<Request>::new();
        let mut bytes = 0;
        for (number, entry) in (1..).zip(&mut self.entries) {
            entry.number = number;
            entry.phase = Phase::Asked;
            bytes += entry.filter.len() + FILTER_BYTES;
            match requests.last_mut() {
                Some(last) if last.policy == entry.policy && bytes <= frame_bytes_max => {
                    last.filters.push(entry.filter.clone());
                }
                _ => {
                    bytes = FRAME_BYTES + entry.filter.len() + FILTER_BYTES;
                    requests.push(Request {
                        first: number,
                        policy: entry.policy,
                        filters: [entry.filter.clone()].into(),
                    });
                }
            }
        }
        self.next_number = self.entries.len() as u32;
        requests
    }

    /// The hub has confirmed a subscription: what follows is heard.
    pub(super) fn confirm(&mut self, number: u32, told: &mut Told) -> Option<Answered> {
        let entry = self.find(number)?;
        entry.phase = Phase::Active;
        entry.queue.restart_account();
        if core::mem::replace(&mut entry.renewed, true) {
            told.push(&entry.queue, Delivery::Gap(None));
        }
        entry.answered.take()
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
    pub(super) fn hear(&self, topic: Topic<'_>, envelope: &Envelope, told: &mut Told) {
        let mut hearing = self
            .entries
            .iter()
            .filter(|entry| entry.hears(topic))
            .peekable();
        if let Some(oldest) = hearing.peek() {
            oldest.queue.account(1);
        }
        for entry in hearing {
            told.push(&entry.queue, Delivery::Event(envelope.clone()));
        }
    }

    /// Accounts what a subscription missed, and tells it.
    ///
    /// The hub sends an event once, for its oldest subscription. What that one misses, the younger ones that
    /// select some of the same topics may have missed as well; nobody knows how many.
    pub(super) fn lag(&self, number: u32, missed: u64, told: &mut Told) {
        let mut from_here = self
            .entries
            .iter()
            .skip_while(|entry| entry.number != number);
        let Some(lagging) = from_here.next() else {
            return;
        };
        lagging.queue.account(missed);
        told.push(&lagging.queue, Delivery::Lagged(missed));
        let lagging = lagging.filter();
        for younger in from_here.filter(|entry| entry.phase == Phase::Active) {
            if lagging.overlaps(younger.filter()) {
                told.push(&younger.queue, Delivery::Gap(None));
            }
        }
    }

    /// The connection is over, and the hub knows of nothing any more.
    pub(super) fn handle_lost(&mut self) {
        self.entries.retain(|entry| !entry.leaving);
        for entry in &mut self.entries {
            entry.phase = Phase::Wanted;
        }
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
mod tests {
    use core::task::{Context, Poll};

    use bytes::Bytes;

    use super::*;
    use crate::wire::Encoding;

    fn subscribe(
        all: &mut Subscriptions,
        filter: &str,
        policy: Option<Policy>,
    ) -> (u64, Arc<Queue>) {
        let queue = Arc::new(Queue::new(16));
        let filter = TopicFilter::new(filter).expect("a good filter");
        let key = all.insert(filter, policy, queue.clone(), oneshot::channel().0);
        (key, queue)
    }

    fn confirm_all(all: &mut Subscriptions) -> Told {
        let mut told = Told::default();
        let numbers: Vec<_> = all.entries.iter().map(|entry| entry.number).collect();
        for number in numbers {
            all.confirm(number, &mut told);
        }
        told
    }

    fn hear(all: &Subscriptions, topic: &str) {
        let topic = Topic::new(topic).expect("a good topic");
        let envelope = Envelope::new(topic, Encoding::Bytes, Bytes::new());
        all.hear(topic, &envelope, &mut Told::default());
    }

    fn read(queue: &Queue) -> Vec<Delivery> {
        let mut cx = Context::from_waker(Waker::noop());
        let next = || match queue.poll_next(&mut cx) {
            Poll::Ready(delivery) => delivery,
            Poll::Pending => None,
        };
        core::iter::from_fn(next).collect()
    }

    fn numbers(requests: &[Request]) -> Vec<(Range<u32>, Option<Policy>)> {
        let numbers = requests
            .iter()
            .map(|request| (request.numbers(), request.policy));
        numbers.collect()
    }

    #[test]
    fn an_event_counts_for_the_oldest_and_is_heard_by_all_that_match() {
        let mut all = Subscriptions::default();
        let (_, wide) = subscribe(&mut all, "room/**", None);
        let (_, narrow) = subscribe(&mut all, "room/7", None);
        let (_, other) = subscribe(&mut all, "door", None);
        confirm_all(&mut all);
        hear(&all, "room/7");
        hear(&all, "room/8");
        let accounted = [&wide, &narrow, &other].map(|queue| queue.accounted());
        assert_eq!(accounted, [2, 0, 0]);
        assert_eq!(
            [&wide, &narrow, &other].map(|queue| read(queue).len()),
            [2, 1, 0]
        );
    }

    #[test]
    fn nothing_counts_before_the_hub_has_confirmed() {
        let mut all = Subscriptions::default();
        let (_, queue) = subscribe(&mut all, "a", None);
        hear(&all, "a");
        assert_eq!((queue.accounted(), read(&queue).len()), (0, 0));
    }

    #[test]
    fn one_that_leaves_counts_until_the_hub_has_confirmed_that() {
        let mut all = Subscriptions::default();
        let (key, old) = subscribe(&mut all, "a", None);
        let (_, young) = subscribe(&mut all, "*", None);
        confirm_all(&mut all);
        assert!(matches!(all.leave(key, &mut Vec::new()), Left::Asking(1)));
        assert!(matches!(all.leave(key, &mut Vec::new()), Left::Alone));
        hear(&all, "a");
        all.left(1);
        hear(&all, "a");
        assert_eq!((old.accounted(), young.accounted()), (1, 1));
        assert_eq!((read(&old).len(), read(&young).len()), (0, 2));
    }

    #[test]
    fn a_loss_is_told_to_the_younger_ones_that_may_share_it() {
        let mut all = Subscriptions::default();
        let (_, oldest) = subscribe(&mut all, "room/7", None);
        let (_, lagging) = subscribe(&mut all, "room/*", None);
        let (_, sharing) = subscribe(&mut all, "**", None);
        let (_, apart) = subscribe(&mut all, "door/*", None);
        confirm_all(&mut all);
        all.lag(2, 5, &mut Told::default());
        assert_eq!(read(&lagging), [Delivery::Lagged(5)]);
        assert_eq!(read(&sharing), [Delivery::Gap(None)]);
        assert_eq!((read(&oldest), read(&apart)), (Vec::new(), Vec::new()));
        assert_eq!((lagging.accounted(), sharing.accounted()), (5, 0));
    }

    #[test]
    fn a_new_connection_gets_one_request_per_policy_and_tells_of_the_gap() {
        let mut all = Subscriptions::default();
        let (_, a) = subscribe(&mut all, "a", None);
        let (_, b) = subscribe(&mut all, "b", Some(Policy::DropOldest));
        let (_, c) = subscribe(&mut all, "c", None);
        confirm_all(&mut all);
        hear(&all, "a");
        let (_, new) = subscribe(&mut all, "d", None);

        all.handle_lost();
        let requests = all.renew(1_000);
        let expected = [(1..4, None), (4..5, Some(Policy::DropOldest))];
        assert_eq!(numbers(&requests), expected);
        assert_eq!(requests[0].filters, ["a".into(), "c".into(), "d".into()]);

        confirm_all(&mut all);
        assert_eq!(read(&a).last(), Some(&Delivery::Gap(None)));
        assert_eq!(
            (read(&b), read(&c)),
            ([Delivery::Gap(None)].into(), [Delivery::Gap(None)].into())
        );
        assert_eq!(read(&new), [], "it has missed nothing");
        assert_eq!(a.accounted(), 0, "the hub counts anew");
    }

    #[test]
    fn a_request_is_as_large_as_a_message_may_be() {
        let mut all = Subscriptions::default();
        for filter in ["aaaaaaaa", "bbbbbbbb", "cccccccc"] {
            subscribe(&mut all, filter, None);
        }
        let requests = all.renew(FRAME_BYTES + 2 * (8 + FILTER_BYTES));
        assert_eq!(numbers(&requests), [(1..3, None), (3..4, None)]);
        assert_eq!(all.renew(1).len(), 3);
    }
}
