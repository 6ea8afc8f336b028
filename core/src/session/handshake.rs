//! Agreeing on a version and on limits.

use core::time::Duration;

use super::{Ending, Input, Phase, Role, Session};
use crate::id::ConnectionId;
use crate::time::Instant;
use crate::wire::{
    Close, CloseReason, Frame, Hello, List, Position, Refusal, Refused, Return, VERSION, Welcome,
};

impl Session {
    /// A client's first words, to be sent before anything else.
    pub fn hello<'a>(
        &mut self,
        token: Option<&'a [u8]>,
        positions: List<'a, Position<'a>>,
        now: Instant,
    ) -> Hello<'a> {
        debug_assert_eq!(
            (self.config.role, self.phase),
            (Role::Client, Phase::Opening)
        );
        self.phase = Phase::Deciding;
        self.live.spoke(now);
        let (oldest, newest) = (VERSION, VERSION);
        Hello {
            oldest,
            newest,
            terms: self.config.terms,
            resumable: false,
            token,
            resume: None,
            positions,
        }
    }

    /// A hub's answer to a client it lets in, to be sent before anything else; `None` when it is too late for one.
    pub fn welcome(&mut self, connection: ConnectionId, now: Instant) -> Option<Welcome<'static>> {
        if self.phase != Phase::Deciding {
            return None;
        }
        self.become_ready(now);
        let terms = self.config.terms;
        Some(Welcome {
            version: VERSION,
            connection,
            terms,
            resume_token: None,
            verdicts: List::new(&[]),
        })
    }

    /// A hub's answer to a client it does not let in, to be sent as its last words. Ends the session.
    pub fn refuse<'a>(
        &mut self,
        reason: Refusal,
        retry_after: Option<Duration>,
        message: &'a str,
    ) -> Refused<'a> {
        self.refuse_with(reason);
        self.refusal_frame();
        Refused {
            reason,
            retry_after_ms: retry_after.map(millis),
            message,
        }
    }

    /// Hub: takes the hello. Client: takes the answer.
    pub(super) fn handle_first<'a>(&mut self, frame: Frame<'a>, now: Instant) -> Input<'a> {
        match (self.config.role, self.phase, frame) {
            (Role::Hub, Phase::Opening, Frame::Hello(hello)) => self.handle_hello(hello),
            (Role::Client, Phase::Deciding, Frame::Welcome(welcome)) => {
                self.handle_welcome(welcome, now)
            }
            (Role::Client, Phase::Deciding, Frame::Refused(refused)) => {
                self.end(Ending::Refused(refused.reason));
                Input::Refused(refused)
            }
            (Role::Client, _, Frame::Close(close)) => {
                self.end(Ending::ByPeer(close));
                Input::Close(close)
            }
            (Role::Client, ..) => {
                self.end(Ending::ByUs(Close {
                    reason: CloseReason::Unexpected,
                    verdict: Return::Now,
                }));
                Input::Nothing
            }
            (Role::Hub, ..) => {
                self.refuse_with(Refusal::Malformed);
                Input::Nothing
            }
        }
    }

    fn handle_hello<'a>(&mut self, hello: Hello<'a>) -> Input<'a> {
        if hello.oldest > VERSION || hello.newest < VERSION {
            self.refuse_with(Refusal::Version {
                oldest: VERSION,
                newest: VERSION,
            });
            return Input::Nothing;
        }
        let max_ms = millis(self.config.promise_max);
        if hello.terms.promise_ms > max_ms {
            self.refuse_with(Refusal::Promise { max_ms });
            return Input::Nothing;
        }
        self.peer = hello.terms;
        self.phase = Phase::Deciding;
        Input::Hello(hello)
    }

    fn handle_welcome<'a>(&mut self, welcome: Welcome<'a>, now: Instant) -> Input<'a> {
        if welcome.version != VERSION {
            self.end(Ending::ByUs(Close {
                reason: CloseReason::Malformed,
                verdict: Return::Never,
            }));
            return Input::Nothing;
        }
        self.peer = welcome.terms;
        self.counted = welcome.resume_token.is_some();
        self.become_ready(now);
        Input::Welcome(welcome)
    }

    fn become_ready(&mut self, now: Instant) {
        self.phase = Phase::Ready;
        self.deadline = None;
        let promise = Duration::from_millis(self.config.terms.promise_ms.into());
        let patience = Duration::from_millis(self.peer.promise_ms.into()) + self.config.grace;
        self.live.begin(promise, patience, now);
    }

    /// Ends the session before it began; the hub's reason leaves by `poll_frame`.
    pub(super) fn refuse_with(&mut self, reason: Refusal) {
        if self.config.role == Role::Hub {
            self.refusal = Some(reason);
        }
        self.end(Ending::Refused(reason));
    }

    /// The hub's reason, once.
    pub(super) fn refusal_frame(&mut self) -> Option<Frame<'static>> {
        let reason = self.refusal.take()?;
        Some(Frame::Refused(Refused {
            reason,
            retry_after_ms: None,
            message: "",
        }))
    }
}

/// A duration as the wire has it.
pub(crate) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
