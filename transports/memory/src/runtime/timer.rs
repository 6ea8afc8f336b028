//! Timers on the virtual clock.

use core::future::{Future, poll_fn};
use core::task::{Context, Poll};
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
}

impl VirtualTimer {
    pub(super) fn new(scheduler: &Arc<Scheduler>) -> Self {
        Self {
            scheduler: scheduler.clone(),
            number: scheduler.lock().next_number(),
            at: None,
        }
    }

    /// Ready after `duration`, counted from this call.
    pub(super) fn after(mut self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        let now = self.scheduler.lock().now;
        self.arm(now + duration);
        poll_fn(move |cx| self.poll_fired(cx))
    }
}

impl Timer for VirtualTimer {
    fn arm(&mut self, at: Instant) {
        self.disarm();
        self.at = Some(at);
    }

    fn disarm(&mut self) {
        let Some(at) = self.at.take() else { return };
        let waker = self.scheduler.lock().timers.remove(&(at, self.number));
        drop(waker);
    }

    fn poll_fired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        let mut state = self.scheduler.lock();
        if at <= state.now {
            drop(state);
            self.disarm();
            return Poll::Ready(());
        }
        let older = state.timers.insert((at, self.number), cx.waker().clone());
        drop(state);
        drop(older);
        wait_for(|| Wait::Timer(at));
        Poll::Pending
    }
}

impl Drop for VirtualTimer {
    fn drop(&mut self) {
        self.disarm();
    }
}
