//! One request by which a client hears: [`Hearing`].

use core::task::{Context, Poll};
use std::sync::Arc;

use lapwing::runtime::Runtime;

use crate::pipe::{Heard, Pipe};

/// A request by which a client hears, for as long as it lasts.
pub(crate) struct Hearing {
    pipe: Arc<Pipe>,
    runtime: Arc<dyn Runtime>,
    number: u64,
}

impl Hearing {
    /// Hears from now on, in the place of whoever did.
    pub(crate) fn begin(pipe: Arc<Pipe>, runtime: Arc<dyn Runtime>) -> Self {
        Self {
            number: pipe.begin_to_hear(),
            pipe,
            runtime,
        }
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Heard> {
        self.pipe.poll_hear(self.number, cx)
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.pipe.end_to_hear(self.runtime.now());
    }
}
