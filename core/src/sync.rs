//! What threads share: locks of the standard library, without the question what a panic elsewhere did, and atomics.
//!
//! Files that name them from here run under loom as they are (`core/tests/loom`), which has its own of each.

pub(crate) use alloc::sync::{Arc, Weak};
pub(crate) use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, OnceLock};
use std::sync::{MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(crate) use atomic_waker::AtomicWaker;

/// The value of `mutex`. No code of an application runs under a lock of this crate, so there is nothing to be half done.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value of `lock`, to look at.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// The value of `lock`, to change.
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
