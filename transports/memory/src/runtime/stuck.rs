//! Why a virtual run cannot go on.

use core::fmt;
use core::time::Duration;

/// Why [`Virtual::run`](crate::Virtual::run) gave up before its future was ready.
///
/// A test that sees one has found a lost wake-up, a circle of waits or a loop that never rests; the tasks say
/// where. Text and debug text are the same, with a line for each task, so that an `unwrap` in a test shows them.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stuck {
    /// No task is ready and no timer is armed: nothing will ever happen again.
    #[error("deadlock after {elapsed:?}: no task is ready, no timer is armed{}", Lines(.tasks))]
    Deadlock {
        /// Virtual time since the start.
        elapsed: Duration,
        /// Every unfinished task, the future given to `run` first.
        tasks: Vec<Parked>,
    },
    /// Tasks were polled very often, and time did not move.
    #[error("live-lock after {elapsed:?}: {polls} polls and time stands still; these are ready:{}", Lines(.tasks))]
    Livelock {
        /// Virtual time since the start.
        elapsed: Duration,
        /// How often tasks were polled since time last moved.
        polls: u64,
        /// The tasks that are ready.
        tasks: Vec<Parked>,
    },
}

impl fmt::Debug for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An unfinished task, as a [`Stuck`] shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parked {
    /// 0 is the future given to `run`; the others are counted as they were spawned.
    pub number: u64,
    /// The name it was spawned with, if any.
    pub name: Option<String>,
    /// What it waited for when it was polled last; empty when that is nothing this crate knows of.
    pub waits: Vec<String>,
}

impl fmt::Display for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "task {} ({name}): ", self.number)?,
            None => write!(f, "task {}: ", self.number)?,
        }
        if self.waits.is_empty() {
            return f.write_str("something outside of lapwing-memory (no timer armed)");
        }
        f.write_str(&self.waits.join(", "))
    }
}

/// A line for each task.
struct Lines<'a>(&'a [Parked]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|task| write!(f, "\n  {task}"))
    }
}
