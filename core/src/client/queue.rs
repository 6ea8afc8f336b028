//! Deliveries between the driver and the reader of one subscription.

use alloc::collections::VecDeque;
use core::task::{Context, Poll, Waker};
use std::sync::Mutex;

use super::subscription::{Delivery, SubscriptionEnd};
use crate::sync::lock;

/// How far a subscription has come in the history of its topics: epoch and offset, when there is one.
pub(super) type Place = Option<(u64, u64)>;

/// A bounded queue with one reader; both sides leave a waker in it.
pub(super) struct Queue(Mutex<State>);

struct State {
    deliveries: VecDeque<(Delivery, Place)>,
    capacity: usize,
    /// Where the last delivery that was read has brought the subscription.
    place: Place,
    reader: Option<Waker>,
    driver: Option<Waker>,
    accounted: u64,
    /// Nobody reads any more.
    closed: bool,
    end: Option<SubscriptionEnd>,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Mutex::new(State {
            deliveries: VecDeque::new(),
            capacity: capacity.max(1),
            place: None,
            reader: None,
            driver: None,
            accounted: 0,
            closed: false,
            end: None,
        }))
    }

    /// Appends a delivery, which brings the subscription to `place`; the reader is to be woken. Says whether the queue is full now.
    ///
    /// The driver reads nothing more while a queue is full, so this holds two more than its capacity at most: a gap, and the verdict
    /// of a return. Verdicts of further returns become one with it.
    pub(super) fn push(&self, delivery: Delivery, place: Place, woken: &mut Option<Waker>) -> bool {
        let mut state = lock(&self.0);
        if state.closed || state.end.is_some() {
            return false;
        }
        let full = state.is_full();
        let last = state.deliveries.back_mut();
        match last.and_then(|last| joined(&last.0, &delivery, full).map(|both| (last, both))) {
            Some((last, both)) => *last = (both, place),
            None => state.deliveries.push_back((delivery, place)),
        }
        *woken = state.reader.take();
        state.is_full()
    }

    /// Notes that the subscription is at `place` before anything was delivered.
    pub(super) fn begin_at(&self, place: Place) {
        lock(&self.0).place = place;
    }

    /// Where the last delivery that was read has brought the subscription.
    pub(super) fn place(&self) -> Place {
        lock(&self.0).place
    }

    /// Whether the driver has to wait; its waker is told when not any more.
    pub(super) fn is_full(&self, cx: &mut Context<'_>) -> bool {
        let mut state = lock(&self.0);
        let full = state.is_full();
        let waker = full.then(|| cx.waker().clone());
        let older = core::mem::replace(&mut state.driver, waker);
        drop(state);
        drop(older);
        full
    }

    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut state = lock(&self.0);
        let Some((delivery, place)) = state.deliveries.pop_front() else {
            if state.end.is_some() {
                return Poll::Ready(None);
            }
            let older = state.reader.replace(cx.waker().clone());
            drop(state);
            drop(older);
            return Poll::Pending;
        };
        state.place = place;
        let driver = match state.is_full() {
            true => None,
            false => state.driver.take(),
        };
        drop(state);
        driver.into_iter().for_each(Waker::wake);
        Poll::Ready(Some(delivery))
    }

    /// Forgets what waits, for nobody reads it; the driver is to be woken.
    pub(super) fn close(&self) -> Option<Waker> {
        let mut state = lock(&self.0);
        state.closed = true;
        let unread = core::mem::take(&mut state.deliveries);
        let driver = state.driver.take();
        drop(state);
        drop(unread);
        driver
    }

    /// Ends the stream behind what waits; the reader is to be woken.
    pub(super) fn end(&self, end: SubscriptionEnd) -> Option<Waker> {
        let mut state = lock(&self.0);
        state.end.get_or_insert(end);
        state.reader.take()
    }

    pub(super) fn end_reason(&self) -> Option<SubscriptionEnd> {
        lock(&self.0).end.clone()
    }

    pub(super) fn accounted(&self) -> u64 {
        lock(&self.0).accounted
    }

    pub(super) fn account(&self, events: u64) {
        let mut state = lock(&self.0);
        state.accounted = state.accounted.saturating_add(events);
    }

    /// The hub counts anew.
    pub(super) fn restart_account(&self) {
        lock(&self.0).accounted = 0;
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.deliveries.len() >= self.capacity
    }
}

/// Two deliveries as one that says as much, if they can be that: gaps of unknown size, and when there is no room verdicts of returns
/// between which nothing came.
fn joined(last: &Delivery, next: &Delivery, full: bool) -> Option<Delivery> {
    use Delivery as D;
    match (last, next) {
        (D::Gap(None), D::Gap(None)) => {}
        (
            D::Resumed | D::Replayed { .. } | D::Gap(_),
            D::Resumed | D::Replayed { .. } | D::Gap(_),
        ) if full => {}
        _ => return None,
    }
    Some(match (last, next) {
        (D::Gap(Some(before)), D::Gap(Some(more))) => D::Gap(before.checked_add(*more)),
        (D::Gap(None), _) | (_, D::Gap(None)) => D::Gap(None),
        // What is replayed once more was not heard the first time.
        (D::Gap(_), _) | (_, D::Resumed) => last.clone(),
        _ => next.clone(),
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn push(queue: &Queue, delivery: Delivery) -> bool {
        queue.push(delivery, None, &mut None)
    }

    #[test]
    fn it_is_full_at_its_capacity_and_a_gap_is_told_once() {
        let queue = Queue::new(2);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(!push(&queue, Delivery::Lagged(1)));
        assert!(push(&queue, Delivery::Gap(None)));
        assert!(push(&queue, Delivery::Gap(None)));
        assert_eq!(
            queue.poll_next(&mut cx),
            Poll::Ready(Some(Delivery::Lagged(1)))
        );
        assert!(!queue.is_full(&mut cx));
        assert_eq!(
            queue.poll_next(&mut cx),
            Poll::Ready(Some(Delivery::Gap(None)))
        );
        assert!(queue.poll_next(&mut cx).is_pending());
    }

    #[test]
    fn what_waits_is_read_before_the_end() {
        let queue = Queue::new(2);
        let mut cx = Context::from_waker(Waker::noop());
        push(&queue, Delivery::Lagged(1));
        queue.end(SubscriptionEnd::Denied(crate::wire::Denied::Forbidden));
        assert_eq!(
            queue.poll_next(&mut cx),
            Poll::Ready(Some(Delivery::Lagged(1)))
        );
        assert_eq!(queue.poll_next(&mut cx), Poll::Ready(None));
        assert_eq!(queue.poll_next(&mut cx), Poll::Ready(None));
    }

    #[test]
    fn a_closed_queue_is_never_full() {
        let queue = Queue::new(1);
        let mut cx = Context::from_waker(Waker::noop());
        push(&queue, Delivery::Lagged(1));
        assert!(queue.is_full(&mut cx));
        assert!(queue.close().is_some(), "the driver waits");
        assert!(!push(&queue, Delivery::Lagged(1)));
        assert!(!queue.is_full(&mut cx));
    }

    #[test]
    fn verdicts_of_returns_become_one_when_there_is_no_room() {
        use Delivery as D;
        let read = |told: &[D], capacity| {
            let queue = Queue::new(capacity);
            let mut cx = Context::from_waker(Waker::noop());
            for told in told {
                push(&queue, told.clone());
            }
            let mut read = Vec::new();
            while let Poll::Ready(Some(delivery)) = queue.poll_next(&mut cx) {
                read.push(delivery);
            }
            read
        };
        let replayed = |to| D::Replayed { from: 1, to };
        for (told, one) in [
            ([D::Resumed, D::Resumed], D::Resumed),
            ([D::Resumed, D::Gap(Some(2))], D::Gap(Some(2))),
            ([D::Gap(Some(2)), D::Resumed], D::Gap(Some(2))),
            ([D::Gap(Some(2)), D::Gap(Some(3))], D::Gap(Some(5))),
            ([D::Gap(Some(2)), D::Gap(None)], D::Gap(None)),
            ([D::Gap(None), D::Gap(Some(2))], D::Gap(None)),
            ([D::Gap(Some(u64::MAX)), D::Gap(Some(1))], D::Gap(None)),
            ([replayed(5), D::Resumed], replayed(5)),
            ([replayed(5), replayed(9)], replayed(9)),
            ([replayed(5), D::Gap(Some(2))], D::Gap(Some(2))),
            ([D::Gap(Some(2)), replayed(5)], D::Gap(Some(2))),
        ] {
            assert_eq!(read(&told, 1), [one], "{told:?}");
            if told != [D::Gap(None), D::Gap(None)] {
                assert_eq!(read(&told, 2), told, "each is told while there is room");
            }
        }
        let behind = [D::Lagged(1), D::Resumed, D::Resumed];
        assert_eq!(read(&behind, 1), behind[..2]);
    }

    #[test]
    fn the_place_is_that_of_the_last_delivery_that_was_read() {
        let queue = Queue::new(2);
        let mut cx = Context::from_waker(Waker::noop());
        queue.begin_at(Some((7, 1)));
        queue.push(Delivery::Lagged(1), Some((7, 2)), &mut None);
        assert_eq!(queue.place(), Some((7, 1)));
        assert!(queue.poll_next(&mut cx).is_ready());
        assert_eq!(queue.place(), Some((7, 2)));
    }
}
