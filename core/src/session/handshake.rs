//! Agreeing on a version and on limits.

use core::borrow::Borrow;
use core::time::Duration;

use super::calls::Calls;
use super::closing::LastWords;
use super::{Config, Ending, Input, Phase, Role, Session, Store};
use crate::id::ConnectionId;
use crate::time::Instant;
use crate::wire::{
    Close, CloseReason, Continued, Frame, Hello, List, Position, Refusal, Refused, Return, Terms,
    VERSION, Verdict, Welcome,
};

/// What a client wants of resuming, now and later; by default nothing.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Whether it would like to resume later.
    pub resumable: bool,
    /// The session to resume now: its token, and the data frames received in it.
    pub resume: Option<([u8; 16], u64)>,
    /// How far it has come with each subscription of that session.
    pub positions: List<'a, Position>,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self {
            resumable: false,
            resume: None,
            positions: List::new(&[]),
        }
    }
}

/// What a hub grants of a client's [`Wish`]; by default nothing.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// What to show to resume the session later.
    pub resume_token: Option<[u8; 16]>,
    /// How the session goes on that the client wanted to resume.
    pub continued: Option<Continued>,
    /// What became of each position of the wish.
    pub verdicts: List<'a, Verdict>,
}

impl Default for Grant<'_> {
    fn default() -> Self {
        Self {
            resume_token: None,
            continued: None,
            verdicts: List::new(&[]),
        }
    }
}

impl<C: Borrow<Config>> Session<C> {
    /// A client's first words, to be sent before anything else.
    pub fn hello<'a>(
        &mut self,
        token: Option<&'a [u8]>,
        wish: Wish<'a>,
        now: Instant,
    ) -> Hello<'a> {
        debug_assert_eq!(self.role, Role::Client);
        if self.phase == Phase::Opening {
            self.phase = Phase::Deciding;
        }
        self.live.spoke(now);
        let (oldest, newest) = (VERSION, VERSION);
        Hello {
            oldest,
            newest,
            terms: self.config().terms,
            resumable: wish.resumable,
            token,
            resume: wish.resume,
            positions: wish.positions,
        }
    }

    /// A hub's answer to a client it lets in, to be sent before anything else; `None` when it is too late for one.
    pub fn welcome<'a>(
        &mut self,
        connection: ConnectionId,
        grant: Grant<'a>,
        now: Instant,
    ) -> Option<Welcome<'a>> {
        if self.phase != Phase::Deciding {
            return None;
        }
        if grant.resume_token.is_some() {
            self.counting.tell_peer(self.role);
        }
        self.become_ready(now);
        Some(Welcome {
            version: VERSION,
            connection,
            terms: self.config().terms,
            resume_token: grant.resume_token,
            continued: grant.continued,
            verdicts: grant.verdicts,
        })
    }

    /// Takes over what was under way in a session that goes on in this one: calls that wait for an answer.
    ///
    /// What that one gave out last counts as sent. Its frames are the business of the [`Lane`](super::Lane).
    pub fn continue_from(&mut self, before: &mut Self, store: &mut impl Store) {
        before.handed_over(store);
        self.calls = core::mem::replace(&mut before.calls, Calls::new(before.role));
    }

    /// A session that only holds what is to go on in another one.
    #[cfg(feature = "std")]
    pub(crate) fn holder(before: &mut Self, store: &mut impl Store, now: Instant) -> Self
    where
        C: Clone,
    {
        let mut holder = Self::new(before.config.clone(), now);
        holder.peer = before.peer;
        holder.continue_from(before, store);
        holder
    }

    /// Goes on with the counts of a session that goes on in this one: what the peer has not confirmed of what was sent is sent again.
    #[cfg(feature = "std")]
    pub(crate) fn count_on(&mut self, before: &mut Self) {
        self.counting = core::mem::take(&mut before.counting).rewound();
    }

    /// A hub's answer to a client it does not let in, to be sent as its last words. Ends the session.
    pub fn refuse<'a>(
        &mut self,
        reason: Refusal,
        retry_after: Option<Duration>,
        message: &'a str,
    ) -> Refused<'a> {
        self.end(Ending::Refused(reason));
        self.last_words = None;
        Refused {
            reason,
            retry_after_ms: retry_after.map(millis),
            message,
        }
    }

    /// Hub: takes the hello. Client: takes the answer.
    pub(super) fn handle_first<'a>(&mut self, frame: Frame<'a>, now: Instant) -> Input<'a> {
        match (self.role, self.phase, frame) {
            (Role::Hub, Phase::Opening, Frame::Hello(hello)) => self.handle_hello(hello),
            (Role::Client, Phase::Deciding, Frame::Welcome(welcome)) => {
                self.handle_welcome(welcome, now)
            }
            (Role::Client, _, Frame::Refused(refused)) => {
                self.end(Ending::Refused(refused.reason));
                Input::Refused(refused)
            }
            (Role::Client, _, Frame::Close(close))
            | (Role::Hub, Phase::Deciding, Frame::Close(close)) => {
                self.end(Ending::ByPeer(close));
                Input::Close(close)
            }
            _ => self.violate(CloseReason::Unexpected, now),
        }
    }

    /// Takes the hello that a client has said by other means than a frame: one that promises nothing and takes everything.
    pub fn imply_hello<'a>(&mut self, wish: Wish<'a>) -> Input<'a> {
        if self.role != Role::Hub || self.phase != Phase::Opening {
            return Input::Nothing;
        }
        let terms = Terms {
            promise_ms: Terms::NO_PROMISE,
            message_bytes_max: u32::MAX,
            subscriptions_max: u32::MAX,
            ..self.config().terms
        };
        self.handle_hello(Hello {
            oldest: VERSION,
            newest: VERSION,
            terms,
            resumable: wish.resumable,
            token: None,
            resume: wish.resume,
            positions: wish.positions,
        })
    }

    fn handle_hello<'a>(&mut self, hello: Hello<'a>) -> Input<'a> {
        if hello.oldest > VERSION || hello.newest < VERSION {
            let (oldest, newest) = (VERSION, VERSION);
            self.refuse_with(Refusal::Version { oldest, newest }, None);
            return Input::Nothing;
        }
        let max_ms = millis(self.config().promise_max);
        if hello.terms.promises() && hello.terms.promise_ms > max_ms {
            self.refuse_with(Refusal::Promise { max_ms }, None);
            return Input::Nothing;
        }
        self.peer = hello.terms;
        self.phase = Phase::Deciding;
        Input::Hello(hello)
    }

    fn handle_welcome<'a>(&mut self, welcome: Welcome<'a>, now: Instant) -> Input<'a> {
        let promise_ms = welcome.terms.promise_ms;
        if welcome.version != VERSION || promise_ms > millis(self.config().promise_max) {
            let close = Close {
                reason: CloseReason::Unexpected,
                verdict: Return::Never,
            };
            self.close(close, false, now);
            return Input::Nothing;
        }
        self.peer = welcome.terms;
        if welcome.resume_token.is_some() {
            self.counting.tell_peer(self.role);
        }
        self.become_ready(now);
        Input::Welcome(welcome)
    }

    /// Leaves it to something below to see that the peer is there: nothing is said or expected for that reason. To be called before the handshake.
    pub fn keep_alive_below(&mut self) {
        self.kept_alive = true;
    }

    fn become_ready(&mut self, now: Instant) {
        self.phase = Phase::Ready;
        self.deadline = None;
        if self.kept_alive {
            return self.live.begin(u32::MAX, u32::MAX, false, now);
        }
        let asks = !self.peer.promises();
        let own_ms = self.config().terms.promise_ms;
        // Who does not speak by itself is asked as often as we speak ourselves.
        let promise_ms = match asks {
            true => own_ms,
            false => self.peer.promise_ms,
        };
        let patience_ms = promise_ms.saturating_add(millis(self.config().grace));
        self.live.begin(own_ms, patience_ms, asks, now);
    }

    /// Ends a hub's session before it began; the reason leaves by `poll_frame`.
    pub(super) fn refuse_with(&mut self, reason: Refusal, retry_after_ms: Option<u32>) {
        self.last_words = Some(LastWords::Refused { retry_after_ms });
        self.end(Ending::Refused(reason));
    }
}

/// What a hub tells a client that it does not let in, and when to try again, where it would otherwise say `close`.
pub(super) fn refusal(close: Close) -> (Refusal, Option<u32>) {
    use CloseReason as R;
    let retry_after_ms = match close.verdict {
        Return::Now => Some(0),
        Return::After { ms } => Some(ms),
        Return::Never => None,
    };
    match close.reason {
        R::Silent | R::Stalled | R::TooSlow => (Refusal::Late, retry_after_ms),
        R::Done | R::Shutdown => (Refusal::Shutdown, retry_after_ms),
        R::Kicked => (Refusal::Unauthorized, retry_after_ms),
        R::MessageTooLarge { size, max } => (Refusal::MessageTooLarge { size, max }, None),
        R::Flood | R::Malformed | R::Unexpected | R::Count => (Refusal::Malformed, None),
    }
}

/// A duration as the wire has it.
pub(crate) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
