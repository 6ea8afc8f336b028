//! What a hub or client needs of its surroundings: time, tasks and chance.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::any::Any;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::time::Instant;

#[cfg(feature = "smol")]
mod smol;
#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "smol")]
pub use self::smol::Smol;
#[cfg(feature = "tokio")]
pub use self::tokio::Tokio;

/// A future on the heap that may move to another thread; what [`Runtime::spawn`] takes.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The runtime as a value: time, tasks and random bytes, chosen by whoever builds a hub or client.
///
/// [`Smol`] and [`Tokio`] come with the features of these names, a virtual one with the crate
/// `lapwing-memory`; a third is these functions. Nothing else in the library reads a clock, starts a task or rolls dice,
/// so a runtime that repeats makes a whole program repeat. Sockets are not its business: they belong to the transport crates.
/// An `Arc` of a runtime is one too, so a program may hold `Arc<dyn Runtime>` and choose late.
pub trait Runtime: Send + Sync + 'static {
    /// The present, on a clock that never goes back.
    fn now(&self) -> Instant;

    /// A timer that is not armed.
    fn timer(&self) -> Box<dyn Timer>;

    /// Runs `future` beside the caller until it ends.
    ///
    /// Every future that lapwing spawns ends soon after its owner (a `serve`, a `Client`) is dropped or closed.
    fn spawn(&self, future: BoxFuture<'static, ()>);

    /// Fills `bytes` with random ones, good enough for ids and tokens that nobody may guess.
    fn random(&self, bytes: &mut [u8]);

    /// How many threads run what is spawned: a hub that serves writes on as many of them at a time.
    fn threads(&self) -> usize {
        1
    }
}

/// One timer that can be armed again and again; what [`Runtime::timer`] gives.
pub trait Timer: Send {
    /// Lets the timer fire at `at`, or at once when that is past. Replaces an earlier instant.
    fn arm(&mut self, at: Instant);

    /// Lets the timer never fire, until it is armed again.
    fn disarm(&mut self);

    /// Ready once when the armed instant has come; the timer is disarmed then.
    ///
    /// Pending otherwise, also when it is not armed; the newest `cx` is woken when it fires.
    /// To be polled after each [`arm`](Timer::arm).
    fn poll_fired(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl<R: Runtime + ?Sized> Runtime for Arc<R> {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn timer(&self) -> Box<dyn Timer> {
        (**self).timer()
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        (**self).spawn(future);
    }

    fn random(&self, bytes: &mut [u8]) {
        (**self).random(bytes);
    }

    fn threads(&self) -> usize {
        (**self).threads()
    }
}

/// The runtime for all parts of a hub or client; one that is shared already is not wrapped twice.
pub(crate) fn shared(runtime: impl Runtime) -> Arc<dyn Runtime> {
    let any: &dyn Any = &runtime;
    match any.downcast_ref::<Arc<dyn Runtime>>() {
        Some(shared) => shared.clone(),
        None => Arc::new(runtime),
    }
}

/// Fills `bytes` from the operating system's source.
#[cfg(any(feature = "smol", feature = "tokio"))]
fn fill_random(bytes: &mut [u8]) {
    // A program without randomness would hand out tokens that can be guessed: better none at all.
    getrandom::fill(bytes).expect("the operating system has random bytes");
}

/// What every runtime must do.
#[cfg(all(test, any(feature = "smol", feature = "tokio")))]
mod tests {
    use alloc::sync::Arc;
    use core::future::poll_fn;
    use core::sync::atomic::{AtomicBool, Ordering};
    use core::time::Duration;

    use super::*;

    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(3_600);

    pub(super) async fn timer_fires(runtime: &dyn Runtime) {
        let mut timer = runtime.timer();
        assert_pending(&mut *timer).await;

        let at = runtime.now() + SHORT;
        timer.arm(at);
        poll_fn(|cx| timer.poll_fired(cx)).await;
        assert!(runtime.now() >= at);
        assert_pending(&mut *timer).await;

        rearmed_earlier(runtime, &mut *timer).await;
        rearmed_later(runtime, &mut *timer).await;
        disarmed(runtime, &mut *timer).await;
    }

    async fn rearmed_earlier(runtime: &dyn Runtime, timer: &mut dyn Timer) {
        timer.arm(Instant::from_micros(u64::MAX));
        assert_pending(timer).await;
        timer.arm(runtime.now() + LONG);
        assert_pending(timer).await;
        timer.arm(runtime.now() + SHORT);
        poll_fn(|cx| timer.poll_fired(cx)).await;

        timer.arm(Instant::default());
        poll_fn(|cx| timer.poll_fired(cx)).await;
    }

    async fn rearmed_later(runtime: &dyn Runtime, timer: &mut dyn Timer) {
        timer.arm(runtime.now() + SHORT);
        poll_once(timer).await;
        let at = runtime.now() + SHORT * 4;
        timer.arm(at);
        poll_fn(|cx| timer.poll_fired(cx)).await;
        assert!(runtime.now() >= at);
    }

    async fn disarmed(runtime: &dyn Runtime, timer: &mut dyn Timer) {
        let mut other = runtime.timer();
        timer.arm(runtime.now() + SHORT);
        poll_once(timer).await;
        timer.disarm();
        other.arm(runtime.now() + SHORT * 2);
        poll_fn(|cx| other.poll_fired(cx)).await;
        assert_pending(timer).await;
    }

    async fn assert_pending(timer: &mut dyn Timer) {
        assert!(!poll_once(timer).await);
    }

    /// Whether the timer fired; on a busy machine a short one may.
    async fn poll_once(timer: &mut dyn Timer) -> bool {
        poll_fn(|cx| Poll::Ready(timer.poll_fired(cx).is_ready())).await
    }

    pub(super) async fn spawned_runs(runtime: &dyn Runtime) {
        let ran = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ran);
        runtime.spawn(Box::pin(async move { flag.store(true, Ordering::Release) }));

        let mut timer = runtime.timer();
        while !ran.load(Ordering::Acquire) {
            timer.arm(runtime.now() + SHORT);
            poll_fn(|cx| timer.poll_fired(cx)).await;
        }
    }

    pub(super) fn random_differs(runtime: &dyn Runtime) {
        let (mut one, mut other) = ([0; 16], [0; 16]);
        runtime.random(&mut one);
        runtime.random(&mut other);
        assert_ne!(one, other);
    }
}
