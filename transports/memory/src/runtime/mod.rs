//! A runtime in which an hour takes a moment and everything happens again in the same way.

use core::fmt;
use core::future::Future;
use core::mem;
use core::pin::pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

use lapwing::Instant;
use lapwing::runtime::{BoxFuture, Runtime, Timer};

use self::chance::fill;
use self::scheduler::Scheduler;
use self::settle::Settle;
use self::timer::VirtualTimer;

mod chance;
mod check;
pub(crate) mod current;
mod diary;
mod process;
mod processes;
mod ready;
mod scheduler;
mod settle;
mod stuck;
mod tasks;
mod timer;
mod trace;

pub use self::current::{labelled, note, waiting};
pub use self::process::Process;
pub use self::stuck::{Parked, Stuck};

/// A runtime for tests: virtual time, an order of tasks and random bytes that one seed decides.
///
/// Time stands still while anything can happen, then jumps to the next timer. Of the tasks that are ready
/// the seed picks one, so many seeds try many orders, and one seed is the same order each time, in every
/// process; [`trace_hash`](Self::trace_hash) proves it. What happens outside of it (another
/// thread, a socket, a clock of the operating system) it knows nothing of.
///
/// Clones are handles to the same runtime. The one that [`new`](Self::new) returned owns the tasks: they are dropped with it, and
/// what is spawned later is dropped at once. So nothing leaks although tasks hold their runtime, as
/// long as the owner is not moved into one of them: give them a clone, or [`runtime`](Self::runtime).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use lapwing_memory::Virtual;
///
/// let sim = Virtual::new(7);
/// let handle = sim.clone();
/// let noon = sim.run(async move {
///     handle.sleep(Duration::from_secs(12 * 3600)).await;
///     handle.elapsed()
/// });
/// assert_eq!(noon, Ok(Duration::from_secs(12 * 3600)));
/// ```
pub struct Virtual {
    scheduler: Arc<Scheduler>,
    owner: bool,
}

impl Virtual {
    /// A runtime at the beginning of its time, which goes the way that `seed` decides.
    pub fn new(seed: u64) -> Self {
        Self {
            scheduler: Arc::new(Scheduler::new(seed)),
            owner: true,
        }
    }

    /// Runs `future` to its end, and all tasks beside it.
    ///
    /// Tasks that are not finished then stay as they are, and go on in the next `run`.
    ///
    /// # Errors
    ///
    /// [`Stuck`] when nothing can happen any more before `future` is ready, or too much happens in no time.
    ///
    /// # Panics
    ///
    /// When it runs already, and when a task panics: with the panic of that task.
    pub fn run<F: Future>(&self, future: F) -> Result<F::Output, Stuck> {
        let _running = self.scheduler.begin();
        let mut future = pin!(future);
        loop {
            let mut picked = self.scheduler.next()?;
            let mut cx = Context::from_waker(&picked.waker);
            let turn = mem::take(&mut picked.turn);
            let (output, turn) = current::during(turn, || match &mut picked.future {
                Some(task) => task.as_mut().poll(&mut cx).map(|()| None),
                None => future.as_mut().poll(&mut cx).map(Some),
            });
            picked.turn = turn;
            self.scheduler.end_turn(picked, output.is_pending());
            if let Poll::Ready(Some(output)) = output {
                return Ok(output);
            }
        }
    }

    /// What decides the way it goes.
    pub fn seed(&self) -> u64 {
        self.scheduler.lock().seed
    }

    /// Lets hubs believe that so many threads run their tasks, so that a `serve` writes in as many of them.
    ///
    /// One task runs at a time all the same, and the seed decides which.
    pub fn set_threads(&self, threads: usize) {
        self.scheduler.lock().threads = threads;
    }

    /// This runtime as an argument for everything that takes one.
    pub fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(self.clone())
    }

    /// Runs `future` beside the others, under a name that a [`Stuck`] shows.
    pub fn spawn_named(
        &self,
        name: impl Into<String>,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        self.scheduler
            .spawn(None, Some(name.into()), Box::pin(future));
    }

    /// Ready after `duration` of virtual time, counted from this call.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: time goes on as it would.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        VirtualTimer::new(&self.scheduler).after(duration)
    }

    /// Ready when no other task is ready: everything that can happen now has happened.
    ///
    /// Time does not move meanwhile. Of several that wait for this, one is ready at a time, first come, first served.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it gives up its place in that line; nothing else changes.
    pub fn settle(&self) -> impl Future<Output = ()> + Send + use<> {
        Settle::new(&self.scheduler)
    }

    /// The process of that name: tasks that crash together, in this runtime. It comes to be with the first who asks.
    pub fn process(&self, name: &str) -> Process {
        Process::new(&self.scheduler, name)
    }

    /// Lets the clock leap ahead by `duration`, as after a machine was suspended: all that is due until then fires late, and
    /// at once.
    ///
    /// For one process alone see [`Process::pause`].
    pub fn jump(&self, duration: Duration) {
        current::note_with(|| format!("jump by {duration:?}"));
        self.scheduler.jump(duration);
    }

    /// The present.
    pub fn now(&self) -> Instant {
        self.scheduler.now()
    }

    /// Virtual time since the start.
    pub fn elapsed(&self) -> Duration {
        self.now().since(Instant::default())
    }

    /// Tasks that are not finished; back to what it was before, nothing has leaked.
    pub fn tasks(&self) -> usize {
        self.scheduler.lock().tasks()
    }

    /// One number for all that happened so far: which task was polled, when, and which messages it received from this
    /// crate's transport. A run that repeats has the same one.
    pub fn trace_hash(&self) -> u64 {
        self.scheduler.lock().trace.hash()
    }
}

impl Clone for Virtual {
    fn clone(&self) -> Self {
        Self {
            scheduler: self.scheduler.clone(),
            owner: false,
        }
    }
}

impl Drop for Virtual {
    fn drop(&mut self) {
        if self.owner {
            self.scheduler.end();
        }
    }
}

impl fmt::Debug for Virtual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Virtual")
            .field("elapsed", &self.elapsed())
            .field("tasks", &self.tasks())
            .finish_non_exhaustive()
    }
}

impl Runtime for Virtual {
    fn now(&self) -> Instant {
        self.now()
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(VirtualTimer::new(&self.scheduler))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.scheduler.spawn(None, None, future);
    }

    /// Fills `bytes` as the seed decides: whoever knows the seed can guess them.
    fn random(&self, bytes: &mut [u8]) {
        fill(&mut self.scheduler.lock().chance, bytes);
    }

    fn threads(&self) -> usize {
        self.scheduler.lock().threads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_never_rests_is_a_livelock() {
        let sim = Virtual::new(1);
        sim.scheduler.lock().polls_max = 1_000;
        let handle = sim.clone();
        sim.spawn_named("restless", async move {
            loop {
                handle.settle().await;
            }
        });
        let stuck = sim.run(sim.sleep(Duration::from_secs(1)));
        let Err(Stuck::Livelock { polls, tasks, .. }) = stuck else {
            panic!("not a live-lock");
        };
        assert_eq!((polls, tasks[0].name.as_deref()), (1_001, Some("restless")));
    }
}
