//! Deliveries between the driver and the reader of one subscription.

use alloc::collections::VecDeque;
use core::task::{Context, Poll, Waker};
use std::sync::Mutex;

use super::subscription::{Delivery, SubscriptionEnd};
use crate::sync::lock;

/// A bounded queue with one reader; both sides leave a waker in it.
pub(super) struct Queue(Mutex<State>);

struct State {
    deliveries: VecDeque<Delivery>,
    capacity: usize,
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
            reader: None,
            driver: None,
            accounted: 0,
            closed: false,
            end: None,
        }))
    }

    /// Appends a delivery; the reader is to be woken. Says whether the queue is full now.
    ///
    /// The driver reads nothing more while a queue is full, so this holds one more than its capacity at most: a gap.
    pub(super) fn push(&self, delivery: Delivery, woken: &mut Option<Waker>) -> bool {
        let mut state = lock(&self.0);
        if state.closed || state.end.is_some() {
            return false;
        }
        let repeated =
            delivery == Delivery::Gap(None) && state.deliveries.back() == Some(&delivery);
        if !repeated {
            state.deliveries.push_back(delivery);
        }
        *woken = state.reader.take();
        state.is_full()
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
        let Some(delivery) = state.deliveries.pop_front() else {
            if state.end.is_some() {
                return Poll::Ready(None);
            }
            let older = state.reader.replace(cx.waker().clone());
            drop(state);
            drop(older);
            return Poll::Pending;
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_at_its_capacity_and_a_gap_is_told_once() {
        let queue = Queue::new(2);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(!queue.push(Delivery::Lagged(1), &mut None));
        assert!(queue.push(Delivery::Gap(None), &mut None));
        assert!(queue.push(Delivery::Gap(None), &mut None));
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
        queue.push(Delivery::Lagged(1), &mut None);
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
        queue.push(Delivery::Lagged(1), &mut None);
        assert!(queue.is_full(&mut cx));
        assert!(queue.close().is_some(), "the driver waits");
        assert!(!queue.push(Delivery::Lagged(1), &mut None));
        assert!(!queue.is_full(&mut cx));
    }
}
