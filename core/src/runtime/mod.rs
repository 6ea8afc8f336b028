//! What a hub or client needs of its surroundings: time, tasks and chance.

use alloc::boxed::Box;
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
/// `lapwing-memory`; a third is these four functions. Nothing else in the library reads a clock, starts a task or rolls dice,
/// so a runtime that repeats makes a whole program repeat. Sockets are not its business: they belong to the transport crates.
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
