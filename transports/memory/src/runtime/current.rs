//! What the task that is being polled leaves behind: what it waits for, and what it was handed.

use core::cell::RefCell;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use std::borrow::Cow;
use std::sync::Arc;

use lapwing::Instant;

use super::trace::Trace;
use crate::crash::{Holding, Life};

/// Enough for a driver with a transport, a timer and a few queues; more would not be read.
const WAITS_MAX: usize = 16;

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// Notes what the task that is being polled waits for, to be read in a [`Stuck`](crate::Stuck).
///
/// To be called by a poll function before it returns `Pending`; the note holds until the task is polled again. Does
/// nothing outside of [`Virtual::run`](crate::Virtual::run). In async code [`labelled`] is easier.
///
/// # Examples
///
/// ```
/// use std::task::Poll;
/// use lapwing_memory::{Virtual, waiting};
///
/// let sim = Virtual::new(7);
/// let stuck = sim.run(std::future::poll_fn(|_| {
///     waiting("the rain to stop");
///     Poll::<()>::Pending
/// }));
/// assert!(stuck.unwrap_err().to_string().contains("the rain to stop"));
/// ```
pub fn waiting(what: impl Into<Cow<'static, str>>) {
    wait_for(|| Wait::Other(what.into()));
}

/// Runs `future`, and names what it waits for in case it never comes; see [`waiting`].
///
/// # Examples
///
/// ```
/// use lapwing_memory::{Virtual, labelled};
///
/// let sim = Virtual::new(7);
/// let stuck = sim.run(labelled("the phone's answer", std::future::pending::<()>()));
/// assert!(stuck.unwrap_err().to_string().contains("the phone's answer"));
/// ```
///
/// # Cancel safety
///
/// As safe as `future` is.
pub async fn labelled<F: Future>(what: impl Into<Cow<'static, str>>, future: F) -> F::Output {
    let what = what.into();
    let mut future = pin!(future);
    poll_fn(|cx| {
        let poll = future.as_mut().poll(cx);
        if poll.is_pending() {
            waiting(what.clone());
        }
        poll
    })
    .await
}

/// Notes something that happens in a test, to be printed when its seed fails, among the faults that the test has brought about.
///
/// The newest sixty are kept. Does nothing outside of [`Virtual::run`](crate::Virtual::run).
///
/// # Examples
///
/// ```
/// use lapwing_memory::{Virtual, note};
///
/// Virtual::check(0..20, async |sim| {
///     note("the day begins");
///     sim.settle().await;
/// });
/// ```
pub fn note(what: impl Into<String>) {
    note_with(|| what.into());
}

/// What a task waits for.
#[derive(Clone, Debug)]
pub(crate) enum Wait {
    Message { peer: Arc<str> },
    Room { peer: Arc<str> },
    Peer { listener: Arc<str> },
    Timer(Instant),
    Other(Cow<'static, str>),
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { peer } => write!(f, "memory: a message from {peer}"),
            Self::Room { peer } => write!(f, "memory: room to send to {peer}"),
            Self::Peer { listener } => write!(f, "memory: a peer that connects to {listener}"),
            Self::Timer(at) => write!(f, "a timer at {:?}", at.since(Instant::default())),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// The record of one poll.
#[derive(Default)]
pub(crate) struct Turn {
    pub(crate) trace: Trace,
    pub(crate) waits: Vec<Wait>,
    pub(crate) notes: Vec<String>,
    /// That of the process whose task it is.
    pub(crate) life: Option<Arc<Life>>,
}

/// Notes a wait, if a task of a virtual runtime is being polled.
pub(crate) fn wait_for(wait: impl FnOnce() -> Wait) {
    TURN.with_borrow_mut(|turn| match turn {
        Some(turn) if turn.waits.len() < WAITS_MAX => turn.waits.push(wait()),
        _ => {}
    });
}

/// Notes what is done to the run, if a task of a virtual runtime is being polled.
pub(crate) fn note_with(what: impl FnOnce() -> String) {
    TURN.with_borrow_mut(|turn| {
        if let Some(turn) = turn {
            turn.notes.push(what());
        }
    });
}

/// Notes that the task was handed `bytes`, if a task of a virtual runtime is being polled.
pub(crate) fn handed_over(bytes: &[u8]) {
    TURN.with_borrow_mut(|turn| {
        if let Some(turn) = turn {
            turn.trace.add_bytes(bytes);
        }
    });
}

/// Lets the process whose task is being polled, if any, hold what it has opened.
pub(crate) fn hold(holding: Holding) {
    let life = TURN.with_borrow(|turn| turn.as_ref()?.life.clone());
    if let Some(life) = life {
        life.hold(holding);
    }
}

/// Calls `poll` with `turn` as the record to write to, and gives it back filled.
pub(crate) fn during<T>(turn: Turn, poll: impl FnOnce() -> T) -> (T, Turn) {
    let mut outer = Outer(TURN.replace(Some(turn)));
    let polled = poll();
    let turn = TURN.replace(outer.0.take());
    (polled, turn.unwrap_or_default())
}

/// The record of the poll around this one, put back even when this one panics.
struct Outer(Option<Turn>);

impl Drop for Outer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            TURN.set(self.0.take());
        }
    }
}
