//! The tasks that are ready, and the wakers that make them so.

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use super::chance::below;
use super::tasks::Key;

/// The keys of the tasks that are ready; behind its own lock, so that wakers hold no task alive.
#[derive(Default)]
pub(super) struct Ready(Mutex<Vec<Key>>);

impl Ready {
    fn lock(&self) -> MutexGuard<'_, Vec<Key>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_one(&self, order: &mut fastrand::Rng) -> Option<Key> {
        let mut keys = self.lock();
        match keys.len() {
            0 => None,
            // No dice for the only one: it would cost and change nothing.
            1 => keys.pop(),
            count => Some(keys.swap_remove(below(order, count))),
        }
    }

    pub(super) fn put(&self, keys: impl IntoIterator<Item = Key>) {
        self.lock().extend(keys);
    }

    pub(super) fn forget(&self, forgotten: u64) {
        self.lock().retain(|key| key.number != forgotten);
    }
}

/// What wakes one task.
pub(super) struct TaskWake {
    key: Key,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl TaskWake {
    pub(super) fn new(key: Key, ready: &Arc<Ready>) -> Arc<Self> {
        Arc::new(Self {
            key,
            queued: AtomicBool::new(false),
            ready: ready.clone(),
        })
    }

    pub(super) fn is_for(&self, key: Key) -> bool {
        self.key == key
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
            self.ready.put([self.key]);
        }
    }
}
