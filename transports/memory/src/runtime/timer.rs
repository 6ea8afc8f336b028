//! Timers on the virtual clock.

use core::future::{Future, poll_fn};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;

use lapwing::Instant;
use lapwing::runtime::Timer;

use super::current::{Wait, wait_for};
use super::scheduler::Scheduler;

/// A timer of a [`Virtual`](crate::Virtual) runtime.
///
/// Strict where others are lenient: one that was armed and not polled wakes nobody, so a driver that forgets to
/// poll is found as a deadlock.
pub(super) struct VirtualTimer {
    scheduler: Arc<Scheduler>,
    number: u64,
    at: Option<Instant>,
    /// Who was polled last, and is woken at that instant.
    waker: Option<Waker>,
}

impl VirtualTimer {
    pub(super) fn new(scheduler: &Arc<Scheduler>) -> Self {
        Self {
            scheduler: scheduler.clone(),
            number: scheduler.lock().next_number(),
            at: None,
            waker: None,
        }
    }

    /// Ready after `duration`, counted from this call.
    pub(super) fn after(mut self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        let now = self.scheduler.now();
        self.arm(now + duration);
        poll_fn(move |cx| self.poll_fired(cx))
    }

    fn is_waited_for(&self, cx: &Context<'_>) -> bool {
        let waker = self.waker.as_ref();
        waker.is_some_and(|waker| waker.will_wake(cx.waker()))
    }
}

impl Timer for VirtualTimer {
    fn arm(&mut self, at: Instant) {
        if self.at != Some(at) {
            self.disarm();
            self.at = Some(at);
        }
    }

    fn disarm(&mut self) {
        let (at, waker) = (self.at.take(), self.waker.take());
        // What is due was taken out as the clock moved.
        if let (Some(at), Some(_)) = (at, waker)
            && at > self.scheduler.now()
        {
            let waker = self.scheduler.lock().timers.remove(&(at, self.number));
            drop(waker);
        }
    }

    fn poll_fired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        if at <= self.scheduler.now() {
            self.disarm();
            return Poll::Ready(());
        }
        if !self.is_waited_for(cx) {
            self.waker = Some(cx.waker().clone());
            let key = (at, self.number);
            let older = self.scheduler.lock().timers.insert(key, cx.waker().clone());
            drop(older);
        }
        wait_for(|| Wait::Timer(at));
        Poll::Pending
    }
}

impl Drop for VirtualTimer {
    fn drop(&mut self) {
        self.disarm();
    }
}
