//! Loom's locks and atomics under the names of `src/sync.rs`, and those that loom does not have.
//!
//! Each operation on them is a place where another thread may have a turn, and what it sees is what the memory order allows.

use core::ops::Deref;
use core::task::Waker;
use std::sync;

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use loom::sync::{Mutex, MutexGuard};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a model that panics is over")
}

/// A shared value, as `alloc::sync::Arc`: the count of handles decides, and loom sees it.
#[derive(Debug)]
pub(crate) struct Arc<T> {
    // Dropped last, so that the value goes after its count has reached zero.
    handles: sync::Arc<AtomicUsize>,
    value: Option<sync::Arc<T>>,
}

impl<T> Arc<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            handles: sync::Arc::new(AtomicUsize::new(1)),
            value: Some(sync::Arc::new(value)),
        }
    }

    fn value(&self) -> &sync::Arc<T> {
        self.value.as_ref().expect("it goes when this is dropped")
    }

    pub(crate) fn ptr_eq(one: &Self, other: &Self) -> bool {
        sync::Arc::ptr_eq(one.value(), other.value())
    }

    pub(crate) fn as_ptr(this: &Self) -> *const T {
        sync::Arc::as_ptr(this.value())
    }

    pub(crate) fn strong_count(this: &Self) -> usize {
        this.handles.load(Ordering::Relaxed)
    }

    pub(crate) fn downgrade(this: &Self) -> Weak<T> {
        Weak(Some((
            this.handles.clone(),
            sync::Arc::downgrade(this.value()),
        )))
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        self.handles.fetch_add(1, Ordering::Relaxed);
        Self {
            handles: self.handles.clone(),
            value: self.value.clone(),
        }
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value()
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        if self.handles.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
        }
        drop(self.value.take());
    }
}

/// As `alloc::sync::Weak`.
#[derive(Debug)]
pub(crate) struct Weak<T>(Option<(sync::Arc<AtomicUsize>, sync::Weak<T>)>);

impl<T> Default for Weak<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Weak<T> {
    pub(crate) fn as_ptr(&self) -> *const T {
        self.0
            .as_ref()
            .map_or(core::ptr::null(), |(_, value)| value.as_ptr())
    }

    pub(crate) fn upgrade(&self) -> Option<Arc<T>> {
        let (handles, value) = self.0.as_ref()?;
        let more = |count| (count > 0).then_some(count + 1);
        handles
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, more)
            .ok()?;
        Some(Arc {
            handles: handles.clone(),
            value: Some(value.upgrade().expect("it has a handle")),
        })
    }
}

/// A value that is set once, as `std::sync::OnceLock`.
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    value: sync::OnceLock<T>,
    set: AtomicBool,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            value: sync::OnceLock::new(),
            set: AtomicBool::new(false),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        let set = self.set.load(Ordering::Acquire);
        self.value.get().filter(|_| set)
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.set.store(true, Ordering::Release);
        Ok(())
    }
}

/// As that of the crate `atomic-waker`.
#[derive(Debug)]
pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

impl AtomicWaker {
    pub(crate) fn new() -> Self {
        Self(loom::future::AtomicWaker::new())
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.0.register_by_ref(waker);
    }

    pub(crate) fn wake(&self) {
        self.0.wake();
    }
}
