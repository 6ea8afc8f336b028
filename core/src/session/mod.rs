//! What one side of a connection knows and does next: handshake, liveness, counting, calls and the end.
//!
//! A plain machine: no socket, no task, no clock, no memory of its own. Feed it one input, drain its outputs, wait.
//!
//! ```text
//!   handle_frame(frame, store, now)    something arrived; at most one thing to tell
//!   handle_timeout(store, now)         time has passed
//!   poll_frame(store, now)             what to send
//!   poll_event(store)                  small facts: call timed out, ended
//!   poll_timeout()                     when to call again
//! ```
//!
//! Frames of the application wait in a [`Lane`], calls that wait for an answer in [`CallSlot`]s; both
//! belong to the caller and come in as a [`Store`]: arrays on a chip, growing memory in a hub.

mod calls;
mod closing;
mod counting;
mod handshake;
mod hearing;
mod lane;
mod liveness;
mod rate;

use core::borrow::Borrow;
use core::time::Duration;

use crate::limits::Rate;
use crate::time::Instant;
use crate::wire::{Close, CloseReason, Frame, Refusal, Terms};

#[cfg(feature = "std")]
pub(crate) use self::calls::stream;
pub use self::calls::{Answer, CallSlot, TooManyCalls};
use self::closing::LastWords;
use self::counting::Counting;
#[cfg(feature = "std")]
pub(crate) use self::handshake::millis;
pub use self::handshake::{Grant, Wish};
pub use self::hearing::Input;
pub use self::lane::{FixedLane, Lane};
use self::liveness::Liveness;
#[cfg(feature = "std")]
pub(crate) use self::liveness::slack;
pub(crate) use self::rate::Bucket;

/// Which end of a connection a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Connects, and says hello.
    Client,
    /// Accepts, and says welcome.
    Hub,
}

/// What a session is told about itself. It stays the same as long as the session is.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Which end it is.
    pub role: Role,
    /// What it lets the other side know.
    pub terms: Terms,
    /// How long the peer may be late with its promise.
    pub grace: Duration,
    /// How long a peer may promise to be silent at most; on either side.
    pub promise_max: Duration,
    /// From the start to the end of the handshake.
    pub handshake: Duration,
    /// From our last words to the peer's.
    pub closing: Duration,
    /// Pings, pongs and empty messages that the peer may send.
    pub pings: Rate,
    /// Cheap requests that the peer may send before it has to wait.
    pub requests: Rate,
}

/// Where the frames of one session wait; comes in with each call that may need it.
pub trait Store {
    /// What holds the data frames.
    type Lane: Lane;

    /// The lane, and the calls that wait for an answer.
    fn parts(&mut self) -> (&mut Self::Lane, &mut [CallSlot]);

    /// The next thing to say beside the lane about streams: [`Frame::Credit`] or [`Frame::Cancel`].
    ///
    /// What is about a call of this side that may still be in the lane waits until that has left: until something of its answer has come, or with `idle`, when the lane is empty.
    fn control(&mut self, idle: bool) -> Option<Frame<'static>> {
        let _ = idle;
        None
    }
}

/// One side of one connection.
///
/// See the [module](self) for its verbs. `C` is where it has its [`Config`] from: its own, a reference, or an `Arc` that very many of them share.
#[derive(Debug)]
pub struct Session<C = Config> {
    config: C,
    /// As the config has it, which may be far away: every frame looks at it.
    role: Role,
    phase: Phase,
    /// Of the handshake, or of the end.
    deadline: Option<Instant>,
    peer: Terms,
    live: Liveness,
    counting: Counting,
    pings: Bucket,
    requests: Bucket,
    calls: calls::Calls,
    /// Frames that `poll_frame` gave out last, still in the lane.
    in_hand: u32,
    /// How the session ends, from when that is known.
    ending: Option<Ending>,
    /// What is left to say then.
    last_words: Option<LastWords>,
    /// Whether the owner knows that the session has ended.
    told: bool,
    /// Whether the peer has said its last words.
    parted: bool,
    /// Whether something below sees that the peer is there.
    kept_alive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A client before its hello, a hub before the client's.
    Opening,
    /// A client after its hello, a hub while the application decides.
    Deciding,
    Ready,
    /// Our `Close` leaves after the lane is empty.
    Flushing,
    /// Our `Close` leaves next, or has left.
    Closing,
    /// Nothing matters any more, but last words that are not said yet.
    Ended,
}

/// What to send next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output<C> {
    /// A small frame beside the lane.
    Control(Frame<'static>),
    /// From the lane, encoded already.
    Data(C),
}

/// A small fact about a session, told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// A call of ours got no answer in time; its slot is free as soon as the peer is told.
    CallTimedOut(u32),
    /// The session is over; nothing will come of it any more but last words.
    Ended(Ending),
}

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The peer said so.
    ByPeer(Close),
    /// This side said so.
    ByUs(Close),
    /// The hub did not let the client in; on either side.
    Refused(Refusal),
    /// The connection broke without a word.
    Lost,
    /// It did not end: its client has returned to the connection that it resumes, which has its transport now.
    Resumed,
}

impl<C: Borrow<Config>> Session<C> {
    /// A session at the very start of a connection.
    pub fn new(config: C, now: Instant) -> Self {
        let Config {
            role,
            terms,
            handshake,
            ..
        } = *config.borrow();
        Self {
            config,
            role,
            phase: Phase::Opening,
            deadline: Some(now + handshake),
            peer: terms,
            live: Liveness::new(now),
            counting: Counting::default(),
            pings: Bucket::default(),
            requests: Bucket::default(),
            calls: calls::Calls::new(role),
            in_hand: 0,
            ending: None,
            last_words: None,
            told: false,
            parted: false,
            kept_alive: false,
        }
    }

    /// What it was told about itself.
    pub fn config(&self) -> &Config {
        self.config.borrow()
    }

    /// Where it has that from.
    #[cfg(feature = "std")]
    pub(crate) fn source(&self) -> &C {
        &self.config
    }

    /// Whether the handshake is done and nobody has said its last words.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Whether the session is over; [`poll_frame`](Self::poll_frame) may still have last words.
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Whether this side has begun to end, or the session is over.
    pub fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Flushing | Phase::Closing | Phase::Ended)
    }

    /// How the session ends, from when that is known.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Whether the peer has said its last words, so that it knows of the end.
    pub fn has_parted(&self) -> bool {
        self.parted
    }

    /// What the peer told about itself; our own terms before the handshake.
    pub fn peer(&self) -> &Terms {
        &self.peer
    }

    /// Data frames handed to the transport so far.
    pub fn sent(&self) -> u64 {
        self.counting.sent()
    }

    /// Data frames that the peer has, as it said last.
    pub fn acknowledged(&self) -> u64 {
        self.counting.acknowledged()
    }

    /// Data frames that have arrived so far.
    pub fn received(&self) -> u64 {
        self.counting.received()
    }

    /// How long the peer took to answer our newest ping, when it did.
    pub fn round_trip(&self) -> Option<Duration> {
        self.live.round_trip()
    }

    /// When reading may go on, if the peer's cheap requests have used up their budget.
    pub fn reading_resumes(&self, now: Instant) -> Option<Instant> {
        self.requests.resumes(now, self.config().requests)
    }

    /// Takes note that time has passed.
    pub fn handle_timeout(&mut self, store: &mut impl Store, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            // Of the handshake or of the end: in both the peer owes us a word.
            self.give_up(CloseReason::Silent);
        }
        if self.phase == Phase::Ready {
            if self.live.is_dead(now) {
                self.give_up(CloseReason::Silent);
            }
            self.live.speak_if_due(now);
            self.counting.expire(now);
        }
        if !self.is_ended() {
            self.expire_calls(store, now);
        }
    }

    /// Does what [`handle_timeout`](Self::handle_timeout) does if that is no more than to have something to say: whether it has, and the time
    /// for the next. `None`, and nothing is done, when it may be more. With `early` what would be due within the slack of a ping is due.
    #[cfg(feature = "std")]
    pub(crate) fn keep_promise(&mut self, now: Instant, early: bool) -> Option<(bool, Instant)> {
        let more = self.deadline.is_some() || self.calls.deadline().is_some();
        if more || !self.is_ready() || self.live.is_dead(now) {
            return None;
        }
        let due = match early {
            true => now + self.live.slack(),
            false => now,
        };
        self.live.speak_if_due(due);
        self.counting.expire(due);
        let next = self.live.deadline_once_said(now);
        let next = self.counting.deadline().map_or(next, |due| due.min(next));
        Some((self.live.is_ping_due() || self.counting.is_owed(), next))
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (live, counting) = match self.phase {
            Phase::Ended => return None,
            Phase::Ready => (Some(self.live.deadline()), self.counting.deadline()),
            _ => (None, None),
        };
        [self.deadline, live, counting, self.calls.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What to send next; call it again until it has nothing.
    ///
    /// Data that it gave out is freed by the next call, so take it first.
    pub fn poll_frame<'s, S: Store>(
        &mut self,
        store: &'s mut S,
        now: Instant,
    ) -> Option<Output<<S::Lane as Lane>::Chunk<'s>>> {
        let (lane, slots) = store.parts();
        lane.sent(core::mem::take(&mut self.in_hand));
        if self.phase == Phase::Flushing && lane.is_empty() {
            self.phase = Phase::Closing;
        }
        if let Some(frame) = self.control(slots, now) {
            self.live.spoke(now);
            return Some(Output::Control(frame));
        }
        if !matches!(self.phase, Phase::Ready | Phase::Flushing) {
            return None;
        }
        let idle = store.parts().0.is_empty();
        if let Some(frame) = store.control(idle) {
            self.live.spoke(now);
            return Some(Output::Control(frame));
        }
        let (chunk, frames) = store.parts().0.peek()?;
        self.in_hand = frames;
        self.counting.handed_out(frames);
        self.live.spoke(now);
        Some(Output::Data(chunk))
    }

    /// Frees what [`poll_frame`](Self::poll_frame) gave out, as its next call would: for a lane that may not drop what
    /// the transport has already.
    pub fn handed_over(&mut self, store: &mut impl Store) {
        store.parts().0.sent(core::mem::take(&mut self.in_hand));
    }

    /// The next small fact.
    pub fn poll_event(&mut self, store: &mut impl Store) -> Option<SessionEvent> {
        match self.calls.expired(store.parts().1) {
            Some(id) => Some(SessionEvent::CallTimedOut(id)),
            None => self.poll_ending().map(SessionEvent::Ended),
        }
    }

    fn control(&mut self, slots: &mut [CallSlot], now: Instant) -> Option<Frame<'static>> {
        match self.phase {
            Phase::Opening | Phase::Deciding => None,
            Phase::Ready | Phase::Flushing => self
                .live
                .control(now)
                .or_else(|| self.calls.control(slots))
                .or_else(|| self.counting.control()),
            Phase::Closing | Phase::Ended => self.last_words(),
        }
    }
}

#[cfg(test)]
mod tests;
