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
mod lane;
mod liveness;
mod rate;

use core::time::Duration;

use crate::limits::Rate;
use crate::time::Instant;
use crate::wire::{
    Ack, Call, Cancel, Close, CloseReason, Credit, End, Event, Frame, Hello, Item, Lagged, Live,
    Open, Ping, Pong, Publish, Received, Refusal, Refused, Replay, Reply, Return, Subscribe, Terms,
    Unsubscribe, Welcome,
};

#[cfg(feature = "std")]
pub(crate) use self::calls::stream;
pub use self::calls::{Answer, CallSlot, TooManyCalls};
use self::closing::LastWords;
use self::counting::Counting;
#[cfg(feature = "std")]
pub(crate) use self::handshake::millis;
pub use self::handshake::{Grant, Wish};
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

/// What a session is told about itself when it begins.
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
/// See the [module](self) for its verbs.
#[derive(Debug)]
pub struct Session {
    role: Role,
    phase: Phase,
    terms: Terms,
    bounds: Bounds,
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

/// What a session keeps of its [`Config`], small because a hub has very many of them.
#[derive(Debug)]
struct Bounds {
    grace_ms: u32,
    promise_max_ms: u32,
    closing_ms: u32,
    pings: Rate,
    requests: Rate,
}

impl Bounds {
    fn new(config: &Config) -> Self {
        Self {
            grace_ms: handshake::millis(config.grace),
            promise_max_ms: handshake::millis(config.promise_max),
            closing_ms: handshake::millis(config.closing),
            pings: config.pings,
            requests: config.requests,
        }
    }
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

/// What a frame means for the owner of a session, who acts on it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "each variant is documented by the frame it holds"
)]
pub enum Input<'a> {
    /// Nothing: the session took care of it.
    Nothing,
    /// Hub: decide, then call [`Session::welcome`] or [`Session::refuse`].
    Hello(Hello<'a>),
    /// Client: the session is ready.
    Welcome(Welcome<'a>),
    /// Client: the hub said no; the session has ended.
    Refused(Refused<'a>),
    Subscribe(Subscribe<'a>),
    Unsubscribe(Unsubscribe),
    Publish(Publish<'a>),
    Ack(Ack),
    Event(Event<'a>),
    Replay(Replay<'a>),
    Live(Live),
    Lagged(Lagged),
    Call(Call<'a>),
    Open(Open<'a>),
    /// To a call of ours that still waits; its slot is free again.
    Reply(Reply<'a>),
    Item(Item<'a>),
    Credit(Credit),
    Cancel(Cancel),
    /// If it was the answer to a call of ours, the slot is free again.
    End(End<'a>),
    /// The answer to our newest ping, with the time it took.
    Pong(Duration),
    /// The other side has said its last words.
    Close(Close),
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

impl Session {
    /// A session at the very start of a connection.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            role: config.role,
            phase: Phase::Opening,
            terms: config.terms,
            bounds: Bounds::new(&config),
            deadline: Some(now + config.handshake),
            peer: config.terms,
            live: Liveness::new(now),
            counting: Counting::default(),
            pings: Bucket::default(),
            requests: Bucket::default(),
            calls: calls::Calls::new(config.role),
            in_hand: 0,
            ending: None,
            last_words: None,
            told: false,
            parted: false,
            kept_alive: false,
        }
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

    /// Takes a goodbye of the peer from below the protocol, as its `Close` would be.
    pub fn handle_goodbye(&mut self) {
        if self.is_ended() {
            return;
        }
        let reason = CloseReason::Done;
        let verdict = Return::Now;
        self.handle_close(Close { reason, verdict });
        // Nothing can be said any more.
        self.last_words = None;
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
        self.requests.resumes(now, self.bounds.requests)
    }

    /// Takes a frame of the peer; says what the owner has to do about it.
    ///
    /// A frame out of order ends the session: [`poll_frame`](Self::poll_frame) tells the peer why.
    pub fn handle_frame<'a>(
        &mut self,
        frame: Frame<'a>,
        store: &mut impl Store,
        now: Instant,
    ) -> Input<'a> {
        self.live.heard(now);
        match self.phase {
            Phase::Ended => Input::Nothing,
            Phase::Opening | Phase::Deciding => self.handle_first(frame, now),
            Phase::Ready | Phase::Flushing | Phase::Closing => self.handle_ready(frame, store, now),
        }
    }

    /// Takes note of the size of the message whose frame comes next: a peer that may resume is told sooner of large ones.
    pub fn handle_bytes(&mut self, bytes: usize) {
        self.counting.weigh(bytes);
    }

    /// Takes a sign of life from below the protocol.
    pub fn handle_alive(&mut self, now: Instant) {
        self.live.heard(now);
        self.spend_ping(now);
    }

    /// Takes note that the owner does not read now, or did not until now: the peer's silence says nothing.
    pub fn hold(&mut self, now: Instant) {
        self.live.heard(now);
    }

    /// Takes a message that says nothing: empty, or of a kind that may be skipped.
    pub fn handle_skipped(&mut self, now: Instant) {
        self.live.heard(now);
        self.spend_ping(now);
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

    /// Makes room for a call of ours, which has this id from now on.
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`] when every slot waits for an answer.
    pub fn call(
        &mut self,
        store: &mut impl Store,
        deadline: Option<Instant>,
    ) -> Result<u32, TooManyCalls> {
        self.open(store, deadline, (Answer::Reply, 0))
    }

    /// Makes room for a call of ours that has streams: that answers it, or so many that it sends along. It takes its room until it is answered, by [`Input::Reply`] or [`Input::End`]; `deadline` is that of the answer or
    /// of the first item of one. A stream that takes too long is stopped by its owner, when [`SessionEvent::CallTimedOut`] tells.
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`] when every slot waits for an answer.
    pub fn open(
        &mut self,
        store: &mut impl Store,
        deadline: Option<Instant>,
        streams: (Answer, u32),
    ) -> Result<u32, TooManyCalls> {
        self.calls.begin(store.parts().1, deadline, streams)
    }

    /// Forgets a call of ours without a word: the owner sees to it that the peer stops.
    pub fn forget(&mut self, store: &mut impl Store, id: u32) {
        self.calls.drop_silently(id, store.parts().1);
    }

    /// Whether the number of a call or stream is one that this side gave.
    pub fn is_ours(&self, id: u32) -> bool {
        (id % 2 == 1) == (self.role == Role::Client)
    }

    /// When [`expire_calls`](Self::expire_calls) has something to do: for the owner of a session that is over and may go on in
    /// another one.
    pub fn calls_timeout(&self) -> Option<Instant> {
        self.calls.deadline()
    }

    /// Ends calls of ours whose time is over; [`poll_event`](Self::poll_event) tells. As long as the session is not over
    /// [`handle_timeout`](Self::handle_timeout) does it.
    pub fn expire_calls(&mut self, store: &mut impl Store, now: Instant) {
        self.calls.expire(store.parts().1, now);
    }

    /// Forgets a call of ours and tells the peer to stop.
    pub fn cancel(&mut self, store: &mut impl Store, id: u32) {
        self.calls.abandon(id, store.parts().1);
    }

    /// Forgets all calls of ours: the peer has forgotten them too.
    #[cfg(feature = "std")]
    pub(crate) fn forget_calls(&mut self, store: &mut impl Store) {
        self.calls.forget(store.parts().1);
    }

    fn handle_ready<'a>(
        &mut self,
        frame: Frame<'a>,
        store: &mut impl Store,
        now: Instant,
    ) -> Input<'a> {
        let closing = self.phase != Phase::Ready;
        // What nobody acts on was not received: whoever returns says it again.
        if frame.is_data() && !closing {
            self.counting.arrived(now);
        }
        match frame {
            Frame::Close(close) => self.handle_close(close),
            Frame::Ping(Ping { nonce }) => {
                self.spend_ping(now);
                self.live.asked(nonce);
                Input::Nothing
            }
            Frame::Pong(Pong { nonce }) => {
                self.spend_ping(now);
                self.live
                    .answered(nonce, now)
                    .map_or(Input::Nothing, Input::Pong)
            }
            Frame::Received(Received { count }) => self.handle_received(count, store, now),
            // Who has said its last words acts on nothing but the peer's.
            _ if closing => Input::Nothing,
            Frame::Reply(reply) => self
                .calls
                .answered(reply.id, Answer::Reply, store.parts().1)
                .map_or(Input::Nothing, |()| Input::Reply(reply)),
            Frame::Call(call) => Input::Call(call),
            Frame::Cancel(cancel) => {
                self.requests.spend(now, self.bounds.requests);
                Input::Cancel(cancel)
            }
            Frame::Open(open) => Input::Open(open),
            Frame::Item(item) => {
                self.calls.answer_begins(item.id, store.parts().1);
                Input::Item(item)
            }
            Frame::End(end) => {
                let slots = store.parts().1;
                self.calls.answered(end.id, Answer::Stream, slots);
                Input::End(end)
            }
            Frame::Credit(credit) => Input::Credit(credit),
            frame => match self.role {
                Role::Hub => self.handle_request(frame, now),
                Role::Client => self.handle_delivery(frame, now),
            },
        }
    }

    /// Takes note of a message of so many bytes that publishes, of a client that is let in.
    #[cfg(feature = "std")]
    pub(crate) fn handle_again(&mut self, bytes: usize, now: Instant) {
        self.live.heard(now);
        self.counting.weigh(bytes);
        self.counting.arrived(now);
    }

    /// With true the peer hears nothing more of what has arrived: it waits when it has said so much.
    #[cfg(feature = "std")]
    pub(crate) fn withhold_received(&mut self, withheld: bool) {
        self.counting.withhold(withheld);
    }

    /// Takes note of a message that counts as received, and means nothing.
    #[cfg(feature = "std")]
    pub(crate) fn handle_counted(&mut self, now: Instant) {
        self.live.heard(now);
        if self.is_ready() {
            self.counting.arrived(now);
        }
    }

    fn handle_received<'a>(
        &mut self,
        count: u64,
        store: &mut impl Store,
        now: Instant,
    ) -> Input<'a> {
        let before = self.acknowledged();
        if !self.counting.acknowledge(count) {
            return self.violate(CloseReason::Count, now);
        }
        match self.acknowledged() {
            // It says nothing new.
            same if same == before => self.spend_ping(now),
            more => store.parts().0.acknowledged(more),
        }
        Input::Nothing
    }

    fn handle_request<'a>(&mut self, frame: Frame<'a>, now: Instant) -> Input<'a> {
        match frame {
            Frame::Publish(publish) => Input::Publish(publish),
            Frame::Subscribe(subscribe) => {
                self.requests.spend(now, self.bounds.requests);
                Input::Subscribe(subscribe)
            }
            Frame::Unsubscribe(unsubscribe) => {
                self.requests.spend(now, self.bounds.requests);
                Input::Unsubscribe(unsubscribe)
            }
            _ => self.violate(CloseReason::Unexpected, now),
        }
    }

    fn handle_delivery<'a>(&mut self, frame: Frame<'a>, now: Instant) -> Input<'a> {
        match frame {
            Frame::Event(event) => Input::Event(event),
            Frame::Replay(replay) => Input::Replay(replay),
            Frame::Live(live) => Input::Live(live),
            Frame::Lagged(lagged) => Input::Lagged(lagged),
            Frame::Ack(ack) => Input::Ack(ack),
            _ => self.violate(CloseReason::Unexpected, now),
        }
    }

    fn spend_ping(&mut self, now: Instant) {
        if !self.pings.spend(now, self.bounds.pings) && !self.is_closing() {
            self.violate(CloseReason::Flood, now);
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
