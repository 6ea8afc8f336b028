//! The tokio runtime: a handle that is entered where tokio wants to know it.

use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant as TokioInstant, Sleep};

use super::{BoxFuture, Runtime, Timer, fill_random};
use crate::time::Instant;

/// The runtime of tokio: spawns onto the runtime of its handle, and sleeps there.
///
/// Works wherever its timers and what they belong to are polled, inside of tokio or outside. The
/// runtime behind the handle needs its time driver (`enable_time` or `enable_all`), and has to outlive what uses this value.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use lapwing::runtime::{Runtime, Tokio};
///
/// let threads = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// let tokio = Tokio::new(threads.handle().clone());
/// let mut timer = tokio.timer();
/// timer.arm(tokio.now() + Duration::from_millis(1));
/// threads.block_on(core::future::poll_fn(|cx| timer.poll_fired(cx)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tokio {
    handle: Handle,
    start: TokioInstant,
}

impl Tokio {
    /// A runtime that uses `handle`, and a clock that starts now.
    pub fn new(handle: Handle) -> Self {
        let start = {
            let _entered = handle.enter();
            TokioInstant::now()
        };
        Self { handle, start }
    }

    /// A runtime that uses the handle of the tokio runtime that this is called in; `None` outside of one.
    ///
    /// The handle is looked up here and never again.
    pub fn current() -> Option<Self> {
        Handle::try_current().ok().map(Self::new)
    }

    /// The handle that it uses, for what tokio makes only with one: sockets of a transport.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Runtime for Tokio {
    /// The present by tokio's clock, so a test that pauses it pauses this one too.
    fn now(&self) -> Instant {
        Instant::default() + self.start.elapsed()
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(TokioTimer {
            runtime: self.clone(),
            sleep: None,
            armed: false,
        })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        // Dropping its handle leaves the task alone: the trait promises that it ends with its owner.
        drop(self.handle.spawn(future));
    }

    fn random(&self, bytes: &mut [u8]) {
        fill_random(bytes);
    }

    fn threads(&self) -> usize {
        self.handle.metrics().num_workers()
    }
}

struct TokioTimer {
    runtime: Tokio,
    /// Made when first armed, then kept.
    sleep: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl TokioTimer {
    fn set(&mut self, at: TokioInstant) {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at),
            None => {
                let _entered = self.runtime.handle.enter();
                self.sleep = Some(Box::pin(tokio::time::sleep_until(at)));
            }
        }
        self.armed = true;
    }
}

impl Timer for TokioTimer {
    fn arm(&mut self, at: Instant) {
        let since_start = Duration::from_micros(at.as_micros());
        match self.runtime.start.checked_add(since_start) {
            Some(at) => self.set(at),
            // Beyond the end of the system's clock.
            None => self.disarm(),
        }
    }

    fn disarm(&mut self) {
        self.armed = false;
    }

    fn poll_fired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = self.sleep.as_mut().filter(|_| self.armed) else {
            return Poll::Pending;
        };
        let fired = sleep.as_mut().poll(cx);
        self.armed = fired.is_pending();
        fired
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;
    use crate::runtime::tests;

    fn tokio_runtime() -> tokio::runtime::Runtime {
        Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime starts")
    }

    #[test]
    fn a_timer_fires_when_its_instant_has_come() {
        let threads = tokio_runtime();
        let tokio = Tokio::new(threads.handle().clone());
        threads.block_on(tests::timer_fires(&tokio));
    }

    #[test]
    fn timers_are_made_outside_of_tokio_too() {
        let threads = tokio_runtime();
        let tokio = Tokio::new(threads.handle().clone());
        let mut timer = tokio.timer();
        timer.arm(tokio.now());
        threads.block_on(core::future::poll_fn(|cx| timer.poll_fired(cx)));
    }

    #[test]
    fn what_is_spawned_runs() {
        let threads = tokio_runtime();
        let tokio = Tokio::new(threads.handle().clone());
        threads.block_on(tests::spawned_runs(&tokio));
    }

    #[test]
    fn the_current_handle_is_found_inside_only() {
        assert!(Tokio::current().is_none());
        let found = tokio_runtime().block_on(async { Tokio::current() });
        assert!(found.is_some());
    }

    #[test]
    fn random_bytes_differ() {
        tests::random_differs(&Tokio::new(tokio_runtime().handle().clone()));
    }
}
