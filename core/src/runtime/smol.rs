//! The smol runtime: an executor that belongs to the value, with async-io's timers.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use async_executor::Executor;

use super::{BoxFuture, Runtime, Timer, fill_random};
use crate::time::Instant;

/// The runtime of the smol family: runs what lapwing spawns wherever [`run`](Self::run) or [`block_on`](Self::block_on) is polled.
///
/// Clones share the executor. Several threads may poll it at the same time; each then runs a share of the tasks.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use lapwing::runtime::{Runtime, Smol};
///
/// let smol = Smol::new();
/// let mut timer = smol.timer();
/// timer.arm(smol.now() + Duration::from_millis(1));
/// smol.block_on(core::future::poll_fn(|cx| timer.poll_fired(cx)));
/// ```
#[derive(Clone)]
pub struct Smol {
    executor: Arc<Executor<'static>>,
    start: std::time::Instant,
    threads: usize,
}

impl Smol {
    /// A runtime with an executor of its own, and a clock that starts now.
    pub fn new() -> Self {
        Self {
            executor: Arc::new(Executor::new()),
            start: std::time::Instant::now(),
            threads: 1,
        }
    }

    /// The same runtime, with the knowledge that so many threads will poll it: a hub that serves writes on as many at a time.
    pub fn on_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Runs `future` on this thread until it ends, and beside it everything that was spawned.
    ///
    /// `future` is polled more often than it asks for: after each turn of the reactor and the executor. What
    /// tries a system call whenever it is polled, as a loop that accepts does, is better spawned.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        async_io::block_on(self.run(future))
    }

    /// Runs `future` beside the others until it ends: a hub that serves, for one.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        // Not forgotten: what lapwing spawns ends with its owner, and the program's own tasks are its own business.
        self.executor.spawn(future).detach();
    }

    /// Runs what was spawned for as long as `future` is pending; for programs that have a smol executor already.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops `future`; what was spawned stands still until the runtime is polled again.
    pub async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.executor.run(future).await
    }
}

impl Default for Smol {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Smol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smol").finish_non_exhaustive()
    }
}

impl Runtime for Smol {
    fn now(&self) -> Instant {
        Instant::default() + self.start.elapsed()
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(SmolTimer {
            timer: async_io::Timer::never(),
            start: self.start,
        })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        // The type's own.
        Smol::spawn(self, future);
    }

    fn random(&self, bytes: &mut [u8]) {
        fill_random(bytes);
    }

    fn threads(&self) -> usize {
        self.threads
    }
}

struct SmolTimer {
    timer: async_io::Timer,
    start: std::time::Instant,
}

impl Timer for SmolTimer {
    fn arm(&mut self, at: Instant) {
        match self
            .start
            .checked_add(Duration::from_micros(at.as_micros()))
        {
            Some(at) => self.timer.set_at(at),
            // Beyond the end of the system's clock.
            None => self.disarm(),
        }
    }

    fn disarm(&mut self) {
        self.timer = async_io::Timer::never();
    }

    fn poll_fired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Once it has fired it is unset.
        Pin::new(&mut self.timer).poll(cx).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tests;

    #[test]
    fn a_timer_fires_when_its_instant_has_come() {
        let smol = Smol::new();
        smol.block_on(tests::timer_fires(&smol));
    }

    #[test]
    fn what_is_spawned_runs() {
        let smol = Smol::new();
        smol.block_on(tests::spawned_runs(&smol));
    }

    #[test]
    fn what_a_clone_spawned_runs_too() {
        let smol = Smol::new();
        smol.block_on(tests::spawned_runs(&smol.clone()));
    }

    #[test]
    fn random_bytes_differ() {
        tests::random_differs(&Smol::new());
    }
}
