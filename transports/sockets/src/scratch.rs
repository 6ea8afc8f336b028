//! Where a read puts its bytes: one scratch for all connections of a thread.

use core::cell::Cell;

/// How much one read may bring.
///
/// A larger read is a larger batch for everything behind it: with 4 KiB delivering costs half as much again.
pub const READ_BYTES: usize = 64 * 1024;

thread_local! {
    /// One for all connections of a thread, so that an idle one has no buffer. What arrived is copied
    /// out: once for all messages of a read, and without keeping 64 KiB alive for a short one.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the scratch of this thread. It is taken out meanwhile: should `read` come back here by way
/// of a waker, it finds none and makes another.
pub(crate) fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut scratch = SCRATCH.take();
    scratch.resize(READ_BYTES, 0);
    let result = read(&mut scratch);
    SCRATCH.set(scratch);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_inside_of_a_read_has_a_scratch_too() {
        let sizes = with_scratch(|outer| (outer.len(), with_scratch(|inner| inner.len())));
        assert_eq!(sizes, (READ_BYTES, READ_BYTES));
    }
}
