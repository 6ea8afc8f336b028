//! What an input may cost: the memory that lives at once while it is looked at.

use std::cell::Cell;

use allocation_counter::measure;

/// A check of any bytes, and what it may cost.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name of its program and of the folder of its seeds.
    pub name: &'static str,
    check: fn(&[u8]),
    /// Bytes that may live at once, whatever the input is.
    bytes_free: u64,
    /// And besides for each byte of the input.
    bytes_per_byte: u64,
}

impl Target {
    /// One that may hold 16 times its input and 64 KiB.
    ///
    /// What the check itself keeps to compare counts too, so it keeps little.
    pub(crate) const fn new(name: &'static str, check: fn(&[u8])) -> Self {
        Self {
            name,
            check,
            bytes_free: 64 * 1024,
            bytes_per_byte: 16,
        }
    }

    /// The same with more for what does not depend on the input.
    pub(crate) const fn and_free(self, bytes: u64) -> Self {
        Self {
            bytes_free: self.bytes_free + bytes,
            ..self
        }
    }

    /// The same with another price of a byte.
    pub(crate) const fn per_byte(self, bytes_per_byte: u64) -> Self {
        Self {
            bytes_per_byte,
            ..self
        }
    }

    /// Checks `input`.
    ///
    /// # Panics
    ///
    /// When it does not pass, or holds more than it may at any moment.
    pub fn run(&self, input: &[u8]) {
        warm_up();
        let used = measure(|| (self.check)(input)).bytes_max;
        let max = self.bytes_free + self.bytes_per_byte * input.len() as u64;
        assert!(
            used <= max,
            "{used} bytes at once for an input of {}, at most {max}",
            input.len()
        );
    }
}

/// Lets this thread have what it keeps for all connections: the scratch of sockets.
fn warm_up() {
    thread_local! {
        static WARM: Cell<bool> = const { Cell::new(false) };
    }
    if !WARM.replace(true) {
        crate::tcp::tcp(&[0, 0]);
    }
}
