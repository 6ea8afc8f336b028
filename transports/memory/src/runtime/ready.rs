//! The tasks that are ready, and the wakers that make them so.

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

/// The numbers of the tasks that are ready; behind its own lock, so that wakers hold no task alive.
#[derive(Default)]
pub(super) struct Ready(Mutex<Vec<u64>>);

impl Ready {
    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_one(&self, order: &mut fastrand::Rng) -> Option<u64> {
        let mut numbers = self.lock();
        match numbers.len() {
            0 => None,
            // No dice for the only one: it would cost and change nothing.
            1 => numbers.pop(),
            count => Some(numbers.swap_remove(order.usize(..count))),
        }
    }

    pub(super) fn put(&self, numbers: impl IntoIterator<Item = u64>) {
        self.lock().extend(numbers);
    }

    pub(super) fn forget(&self, forgotten: u64) {
        self.lock().retain(|number| *number != forgotten);
    }
}

/// What wakes one task.
pub(super) struct TaskWake {
    number: u64,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl TaskWake {
    pub(super) fn new(number: u64, ready: &Arc<Ready>) -> Arc<Self> {
        Arc::new(Self {
            number,
            queued: AtomicBool::new(false),
            ready: ready.clone(),
        })
    }

    pub(super) fn is_queued(&self) -> bool {
        self.queued.load(Ordering::Acquire)
    }

    /// From now on it may be woken again.
    pub(super) fn begin_turn(&self) {
        self.queued.store(false, Ordering::Release);
    }
}

impl Wake for TaskWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.put([self.number]);
        }
    }
}
