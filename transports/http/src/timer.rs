//! The clock of a runtime as hyper sees it: [`Clock`].

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hyper::rt::{Sleep, Timer};
use lapwing::runtime::{self, Runtime};

/// The clock of a runtime.
#[derive(Clone)]
pub(crate) struct Clock(pub(crate) Arc<dyn Runtime>);

/// One sleep; a mutex, as hyper shares it between threads and polls it on one.
struct Nap(Mutex<Option<Box<dyn runtime::Timer>>>);

impl Timer for Clock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let mut timer = self.0.timer();
        timer.arm(self.0.now() + duration);
        Box::pin(Nap(Mutex::new(Some(timer))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }
}

impl Sleep for Nap {}

impl Future for Nap {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let fired = timer
            .as_mut()
            .map_or(Poll::Ready(()), |timer| timer.poll_fired(cx));
        if fired.is_ready() {
            // It fires once; asked again, the sleep is over.
            *timer = None;
        }
        fired
    }
}
