//! Conditions, and whether they hold.

use std::fmt::Display;

/// Prints conditions as they are found to hold or not.
#[derive(Default)]
pub(crate) struct Report {
    failed: usize,
}

impl Report {
    pub(crate) fn check(&mut self, what: impl Display, holds: bool) {
        let mark = if holds { "ok      " } else { "FAILED  " };
        println!("{mark}{what}");
        self.failed += usize::from(!holds);
    }

    pub(crate) fn all_hold(&self) -> bool {
        self.failed == 0
    }
}
