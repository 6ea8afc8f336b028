//! Answers to the peer's calls: handlers that run beside the connection's I/O, and calls that wait for their turn.

mod flows;
mod handler;
mod items;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use std::panic::catch_unwind;

pub(crate) use self::flows::{Flows, Opened, Step};
pub(crate) use self::handler::{
    Answer, Arguments, Handler, Method, Product, Value, decoded, handler, stream_handler,
};
pub(crate) use self::items::{Items, written};
use crate::limits::Limits;
use crate::runtime::BoxFuture;
use crate::time::Instant;
use crate::wire::{Failure, FailureCode};

/// How long a call waits for its answer when nothing else is said.
pub const CALL_WITHIN: Duration = Duration::from_secs(30);

/// How much of a name the peer is told again: a method may be as long as a message.
const NAME_BYTES_MAX: usize = 256;

/// Why a call has no result, as its handler says it and its caller hears it.
///
/// A handler that fails for a reason of its own makes one from a text; only that text leaves the process. What the hub refuses
/// to a handler (a publish, a join, a call back) becomes one by `?`, with the error's own line as its text. What the caller must not read becomes a
/// [private](Self::private) one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFailure {
    /// Whose fault it is and what to do.
    pub code: FailureCode,
    /// What the handler adds for people to read.
    pub message: String,
}

impl CallFailure {
    /// A failure of this kind.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A failure of which the caller hears nothing but that there was one: the cause is the program's business. With the feature `tracing` it is logged.
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing::CallFailure;
    ///
    /// let failure = CallFailure::private("the disk is full");
    /// assert_eq!(failure.to_string(), "the call failed");
    /// ```
    pub fn private(cause: impl fmt::Display) -> Self {
        #[cfg(feature = "tracing")]
        tracing::error!(%cause, "a call failed");
        let _ = cause;
        Self::new(FailureCode::Failed, "")
    }

    /// A failure that names what the peer named, as far as that is fit to be read.
    pub(crate) fn about(code: FailureCode, name: &str) -> Self {
        Self::new(code, shortened(name, NAME_BYTES_MAX))
    }

    pub(crate) fn as_wire(&self) -> Failure<'_> {
        Failure {
            code: self.code,
            message: &self.message,
        }
    }
}

impl From<Failure<'_>> for CallFailure {
    fn from(failure: Failure<'_>) -> Self {
        Self::new(failure.code, failure.message)
    }
}

impl From<&str> for CallFailure {
    fn from(message: &str) -> Self {
        Self::new(FailureCode::Failed, message)
    }
}

impl From<String> for CallFailure {
    fn from(message: String) -> Self {
        Self::new(FailureCode::Failed, message)
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.code {
            FailureCode::Failed => "the call failed",
            FailureCode::UnknownMethod => "nobody answers to this method",
            FailureCode::Arguments => "the arguments are not what the method takes",
            FailureCode::Forbidden => "the method may not be called",
            FailureCode::Busy => "too many calls are waiting",
            FailureCode::TimedOut => "the call took too long",
            FailureCode::Cancelled => "the call was cancelled",
            FailureCode::Panicked => "the handler has a fault",
            FailureCode::Shutdown => "the hub shuts down",
            FailureCode::Streams => "the method answers with a stream",
            FailureCode::NoStream => "the method answers with one result",
        };
        match self.message.is_empty() {
            true => f.write_str(what),
            false => write!(f, "{what}: {}", self.message),
        }
    }
}

impl core::error::Error for CallFailure {}

/// The text, or as much of its beginning as there is room for.
pub(crate) fn shortened(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Lets a handler that waits for its own caller give its place to the caller's next call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Place {
    /// Gives the place away, until what is returned is dropped.
    pub(crate) fn give_away(&self) -> GivenAway {
        self.0.fetch_add(1, Ordering::Relaxed);
        GivenAway(self.0.clone())
    }

    /// Runs `future` with the place given away.
    pub(crate) async fn lend<T>(&self, future: impl Future<Output = T>) -> T {
        let _given_away = self.give_away();
        future.await
    }

    fn is_lent(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// A place that somebody else may take meanwhile.
pub(crate) struct GivenAway(Arc<AtomicUsize>);

impl Drop for GivenAway {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One call or event that a handler takes care of.
struct Job {
    /// The call; an event has none and gets no answer.
    id: Option<u32>,
    deadline: Option<Instant>,
    place: Place,
    /// It takes no place at all.
    beside: Option<GivenAway>,
    /// What its arguments had, in bytes.
    bytes: usize,
    /// It came when the others were to be finished already: nobody waits for it.
    late: bool,
    future: BoxFuture<'static, Answer>,
}

/// The handlers of one connection: those that run, and those that wait for their turn.
pub(crate) struct Answers {
    running: Vec<Job>,
    waiting: VecDeque<Job>,
    running_max: usize,
    waiting_max: usize,
    waiting_bytes_max: usize,
    /// When those that are here are given up.
    until: Option<Instant>,
    /// Calls that have streams.
    pub(crate) flows: Flows,
}

impl Answers {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            running: Vec::new(),
            waiting: VecDeque::new(),
            running_max: limits.calls_running_max.max(1) as usize,
            waiting_max: limits.calls_waiting_max as usize,
            waiting_bytes_max: limits.calls_waiting_bytes_max as usize,
            until: None,
            flows: Flows::default(),
        }
    }

    /// Begins to finish: gives up what is not done at `until`.
    pub(crate) fn finish_by(&mut self, until: Instant) {
        self.until.get_or_insert(until);
    }

    /// Whether everything is done that came before it was to be finished.
    pub(crate) fn is_finished(&self) -> bool {
        let mut jobs = self.running.iter().chain(&self.waiting);
        jobs.all(|job| job.late)
    }

    /// Whether the next call would be refused.
    pub(crate) fn is_full(&self) -> bool {
        let lent = self.running.iter().filter(|job| job.place.is_lent());
        let bytes: usize = self.waiting.iter().chain(lent).map(|job| job.bytes).sum();
        let full = self.waiting.len() >= self.waiting_max || bytes >= self.waiting_bytes_max;
        full && !self.has_place()
    }

    /// Lets a handler run when its turn comes; `poll` has to be called after it.
    ///
    /// # When full
    ///
    /// A call is gone, and this is false: it is answered with `Busy`. An event is always taken: whoever reads
    /// events stops while this is full, and one of them may have several handlers.
    pub(crate) fn push(
        &mut self,
        id: Option<u32>,
        deadline: Option<Instant>,
        place: Place,
        bytes: usize,
        future: BoxFuture<'static, Answer>,
    ) -> bool {
        if id.is_some() && self.is_full() {
            return false;
        }
        self.waiting.push_back(Job {
            id,
            deadline,
            beside: None,
            place,
            bytes,
            late: self.until.is_some(),
            future,
        });
        self.start();
        true
    }

    /// Lets a handler run now, beside all others and without a place; whoever asks bounds how many.
    pub(crate) fn push_beside(
        &mut self,
        id: u32,
        deadline: Option<Instant>,
        future: BoxFuture<'static, Answer>,
    ) {
        let place = Place::default();
        self.running.push(Job {
            id: Some(id),
            deadline,
            beside: Some(place.give_away()),
            place,
            bytes: 0,
            late: self.until.is_some(),
            future,
        });
    }

    /// Drops the handler of a call that the peer no longer wants; no answer is sent.
    pub(crate) fn cancel(&mut self, id: u32) {
        self.running.retain(|job| job.id != Some(id));
        self.waiting.retain(|job| job.id != Some(id));
    }

    /// When the next handler runs out of time.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.running
            .iter()
            .chain(&self.waiting)
            .filter_map(|job| job.deadline)
            .chain(self.until.filter(|_| !self.is_finished()))
            .min()
    }

    /// The next answer to a call.
    pub(crate) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<(u32, Answer)> {
        loop {
            if let Some(id) = self.expired(now) {
                return Poll::Ready((id, Err(CallFailure::new(FailureCode::TimedOut, ""))));
            }
            if let Some(id) = self.given_up(now) {
                return Poll::Ready((id, Err(CallFailure::new(FailureCode::Shutdown, ""))));
            }
            let started = self.start();
            match self.poll_running(cx) {
                Some((Some(id), answer)) => return Poll::Ready((id, answer)),
                Some((None, _)) => {}
                // A handler may have lent its place while it was polled.
                None if started || self.may_start() => {}
                None => return Poll::Pending,
            }
        }
    }

    /// A call that had to be finished by now; events are given up without a word.
    fn given_up(&mut self, now: Instant) -> Option<u32> {
        self.until.filter(|until| *until <= now)?;
        loop {
            let job = match self.running.is_empty() {
                true => self.waiting.pop_front()?,
                false => self.running.remove(0),
            };
            if job.id.is_some() {
                return job.id;
            }
        }
    }

    fn may_start(&self) -> bool {
        self.has_place() && !self.waiting.is_empty()
    }

    fn has_place(&self) -> bool {
        let busy = |job: &&Job| !job.place.is_lent();
        // Those that have lent theirs wait, so they have the bound of those that do.
        let all = self
            .running
            .iter()
            .filter(|job| job.beside.is_none())
            .count();
        self.running.iter().filter(busy).count() < self.running_max
            && all < self.running_max.saturating_add(self.waiting_max.max(1))
    }

    fn start(&mut self) -> bool {
        let before = self.running.len();
        while self.may_start() {
            self.running.extend(self.waiting.pop_front());
        }
        self.running.len() > before
    }

    /// The first of the running handlers that is done; the others have been polled up to it.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Option<(Option<u32>, Answer)> {
        for index in 0..self.running.len() {
            let future = &mut self.running[index].future;
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)))
                .unwrap_or_else(|_| Poll::Ready(Err(CallFailure::new(FailureCode::Panicked, ""))));
            if let Poll::Ready(answer) = polled {
                return Some((self.running.remove(index).id, answer));
            }
        }
        None
    }

    /// A call whose time is over; events have no deadline.
    fn expired(&mut self, now: Instant) -> Option<u32> {
        let late = |job: &Job| job.deadline.is_some_and(|deadline| deadline <= now);
        if let Some(index) = self.running.iter().position(late) {
            return self.running.remove(index).id;
        }
        let index = self.waiting.iter().position(late)?;
        self.waiting.remove(index)?.id
    }
}

#[cfg(test)]
mod tests;
