//! Waiting until everything that can happen now has happened.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use super::scheduler::Scheduler;

/// The future of [`Virtual::settle`](crate::Virtual::settle).
pub(super) struct Settle {
    scheduler: Arc<Scheduler>,
    /// Its place in line, once it was polled.
    number: Option<u64>,
}

impl Settle {
    pub(super) fn new(scheduler: &Arc<Scheduler>) -> Self {
        Self {
            scheduler: scheduler.clone(),
            number: None,
        }
    }
}

impl Future for Settle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let scheduler = self.scheduler.clone();
        let mut state = scheduler.lock();
        let first = self.number.is_none();
        let number = *self.number.get_or_insert_with(|| state.next_number());
        // Taken out of the line by the scheduler: it was woken because all others rest.
        if !first && !state.settling.contains_key(&number) {
            return Poll::Ready(());
        }
        let older = state.settling.insert(number, cx.waker().clone());
        drop(state);
        drop(older);
        Poll::Pending
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = self.scheduler.lock().settling.remove(&number);
            drop(waker);
        }
    }
}
