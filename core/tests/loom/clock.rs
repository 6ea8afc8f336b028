//! Time that passes when somebody waits for it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::task::{Context, Poll};

use crate::Instant;
use crate::runtime::{BoxFuture, Runtime, Timer};
use crate::sync::{AtomicU64, Ordering};

/// A clock that leaps to what it is asked to wait for.
#[derive(Clone)]
pub(crate) struct Clock {
    now: Arc<AtomicU64>,
    stopped: bool,
}

impl Clock {
    /// One that stands still.
    pub(crate) fn stopped_at(micros: u64) -> Self {
        Self {
            now: Arc::new(AtomicU64::new(micros)),
            stopped: true,
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            now: Arc::new(AtomicU64::new(0)),
            stopped: false,
        }
    }
}

impl Runtime for Clock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.now.load(Ordering::Acquire))
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(Leap {
            clock: self.clone(),
            armed: None,
        })
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) {}

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

struct Leap {
    clock: Clock,
    armed: Option<Instant>,
}

impl Timer for Leap {
    fn arm(&mut self, at: Instant) {
        self.armed = Some(at);
    }

    fn disarm(&mut self) {
        self.armed = None;
    }

    fn poll_fired(&mut self, _: &mut Context<'_>) -> Poll<()> {
        if self.clock.stopped {
            return Poll::Pending;
        }
        let Some(at) = self.armed.take() else {
            return Poll::Pending;
        };
        self.clock.now.fetch_max(at.as_micros(), Ordering::AcqRel);
        Poll::Ready(())
    }
}
