//! Tasks that wait for the same thing, and look for themselves whether it has happened.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::task::Waker;
use std::sync::Mutex;

use crate::sync::lock;

/// Tasks that wait for the same thing. Whoever may have brought it about wakes all of them, which costs a look at a flag
/// while there is none.
#[derive(Default)]
pub(crate) struct WaitList {
    /// Somebody is on the list.
    awaited: AtomicBool,
    wakers: Mutex<BTreeMap<u64, Waker>>,
    tickets: AtomicU64,
}

/// One who waits, until it is dropped.
pub(crate) struct Ticket {
    list: Arc<WaitList>,
    number: u64,
}

impl WaitList {
    /// Wakes everybody who is on the list, which is empty then.
    ///
    /// What they wait for is visible to them when it was done before, under a lock that they look under too.
    pub(crate) fn wake(&self) {
        if self.awaited.load(Ordering::Acquire) {
            self.wake_all();
        }
    }

    #[cold]
    fn wake_all(&self) {
        let mut wakers = lock(&self.wakers);
        self.awaited.store(false, Ordering::Release);
        let woken = core::mem::take(&mut *wakers);
        drop(wakers);
        woken.into_values().for_each(Waker::wake);
    }
}

impl Ticket {
    pub(crate) fn new(list: &Arc<WaitList>) -> Self {
        Self {
            number: list.tickets.fetch_add(1, Ordering::Relaxed),
            list: list.clone(),
        }
    }

    /// Puts a task on the list. It looks after this whether it has to wait: what happens from here on wakes it.
    pub(crate) fn enlist(&self, waker: &Waker) {
        let mut wakers = lock(&self.list.wakers);
        let known = wakers.get(&self.number);
        if known.is_some_and(|known| known.will_wake(waker)) {
            return;
        }
        let older = wakers.insert(self.number, waker.clone());
        self.list.awaited.store(true, Ordering::Release);
        drop(wakers);
        // It may run code of others.
        drop(older);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let waker = lock(&self.list.wakers).remove(&self.number);
        drop(waker);
    }
}
