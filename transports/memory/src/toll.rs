//! What passes one way of a path: counted, and cut when it was enough.

use core::ops::Add;
use core::sync::atomic::{AtomicU64, Ordering};

/// No number of units can use this up.
const NO_END: u64 = u64::MAX;

/// What was sent on a [`Path`](crate::Path) since its network came to be; from [`Network::traffic`](crate::Network::traffic).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Messages, or pieces in which bytes of a stream were sent.
    pub messages: u64,
    /// The bytes of all of them.
    pub bytes: u64,
}

impl Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// Counts what all connections of one direction send, and knows when the next is to break.
///
/// Shared by those connections; each number stands for itself, so no order between them is needed.
#[derive(Debug)]
pub(crate) struct Toll {
    messages: AtomicU64,
    bytes: AtomicU64,
    /// How many units may pass, in messages or bytes as the connection counts.
    left: AtomicU64,
}

impl Default for Toll {
    fn default() -> Self {
        Self {
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            left: AtomicU64::new(NO_END),
        }
    }
}

impl Toll {
    pub(crate) fn cut_after(&self, units: u64) {
        self.left.store(units, Ordering::Relaxed);
    }

    /// Takes back a cut that has not come.
    pub(crate) fn spare(&self) {
        self.left.store(NO_END, Ordering::Relaxed);
    }

    /// Whether the connection that asks is to break; the next one is not.
    pub(crate) fn is_spent(&self) -> bool {
        let order = Ordering::Relaxed;
        let spent = || self.left.compare_exchange(0, NO_END, order, order);
        self.left.load(order) == 0 && spent().is_ok()
    }

    /// How many of so many units may pass.
    pub(crate) fn pass(&self, units: u64) -> u64 {
        let pay = |left: u64| (left != NO_END).then(|| left.saturating_sub(units));
        let order = Ordering::Relaxed;
        match self.left.fetch_update(order, order, pay) {
            Ok(left) => units.min(left),
            Err(_) => units,
        }
    }

    pub(crate) fn count(&self, bytes: usize) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            messages: self.messages.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_units_pass_and_one_connection_breaks() {
        let toll = Toll::default();
        assert_eq!((toll.pass(1_000), toll.is_spent()), (1_000, false));
        toll.cut_after(10);
        assert_eq!((toll.pass(7), toll.is_spent()), (7, false));
        assert_eq!((toll.pass(7), toll.is_spent()), (3, true));
        assert_eq!((toll.pass(7), toll.is_spent()), (7, false));
    }
}
