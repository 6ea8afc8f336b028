//! How a session ends: who says its last words, and what is told.

use super::handshake::refusal;
use super::{Config, Ending, Input, Phase, Role, Session};
use crate::time::Instant;
use crate::wire::{Close, CloseReason, Frame, Refused, Return};
use core::borrow::Borrow;

/// What a side says before it ends; the reason stands in the session's ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastWords {
    /// That this side ends, and why.
    Close,
    /// That the peer's `Close` has arrived.
    Answer,
    /// That the client is not let in.
    Refused { retry_after_ms: Option<u32> },
}

impl<C: Borrow<Config>> Session<C> {
    /// Says last words: with `flush` after everything in the lane, otherwise next.
    ///
    /// The session ends when the peer has answered, its bytes end, or the time for closing is over; at once, when the
    /// handshake is not done yet.
    pub fn close(&mut self, close: Close, flush: bool, now: Instant) {
        match self.phase {
            Phase::Opening | Phase::Deciding => self.break_off(close),
            Phase::Ready | Phase::Flushing => {
                self.phase = match flush {
                    true => Phase::Flushing,
                    false => Phase::Closing,
                };
                self.intend(close);
                let closing = self.config().closing;
                self.deadline.get_or_insert(now + closing);
            }
            Phase::Closing | Phase::Ended => {}
        }
    }

    /// When the time for closing is over, if this side has begun to close.
    pub fn closing_until(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.is_closing())
    }

    /// Whether this side has said its last words and waits for the peer's.
    #[cfg(feature = "std")]
    pub(crate) fn has_spoken(&self) -> bool {
        self.phase == Phase::Closing && self.last_words.is_none()
    }

    /// Ends the session because of what the peer sent.
    pub fn violate<'a>(&mut self, reason: CloseReason, now: Instant) -> Input<'a> {
        match self.phase {
            // Ours was the first reason there was; nothing that waits is of use any more.
            Phase::Flushing => self.phase = Phase::Closing,
            _ => self.close(return_now(reason), false, now),
        }
        Input::Nothing
    }

    /// Ends the session at once: the peer will not answer. It may still get our last words.
    pub fn give_up(&mut self, reason: CloseReason) {
        match self.phase {
            Phase::Opening | Phase::Deciding => self.break_off(return_now(reason)),
            Phase::Ready => {
                self.intend(return_now(reason));
                self.end_alone();
            }
            Phase::Flushing | Phase::Closing | Phase::Ended => self.end_alone(),
        }
    }

    /// Takes the end of the peer's bytes: it will not hear last words either.
    pub fn handle_end(&mut self) {
        if !self.is_ended() {
            self.last_words = None;
            self.end_alone();
        }
    }

    pub(super) fn handle_close<'a>(&mut self, close: Close) -> Input<'a> {
        self.parted = true;
        if self.is_closing() {
            // Ours was the first reason there was.
            self.end_alone();
        } else {
            // The peer wants nothing more: what waits for it is void.
            self.last_words = Some(LastWords::Answer);
            self.end(Ending::ByPeer(close));
        }
        Input::Close(close)
    }

    pub(super) fn end(&mut self, ending: Ending) {
        if !self.is_ended() {
            // That of a handshake is of no use any more.
            self.deadline = self.closing_until();
            self.phase = Phase::Ended;
            self.ending = Some(ending);
        }
    }

    /// The ending, once.
    pub(super) fn poll_ending(&mut self) -> Option<Ending> {
        if !self.is_ended() || core::mem::replace(&mut self.told, true) {
            return None;
        }
        self.ending
    }

    /// The last words, once.
    pub(super) fn last_words(&mut self) -> Option<Frame<'static>> {
        match (self.last_words.take()?, self.ending?) {
            (LastWords::Answer, _) => Some(Frame::Close(return_now(CloseReason::Done))),
            (LastWords::Close, Ending::ByUs(close)) => Some(Frame::Close(close)),
            (LastWords::Refused { retry_after_ms }, Ending::Refused(reason)) => {
                Some(Frame::Refused(Refused {
                    reason,
                    retry_after_ms,
                    message: "",
                }))
            }
            _ => None,
        }
    }

    /// Ends a session in its handshake.
    fn break_off(&mut self, close: Close) {
        if self.role == Role::Hub {
            let (reason, retry_after_ms) = refusal(close);
            return self.refuse_with(reason, retry_after_ms);
        }
        // A client that has said hello says good-bye too: its welcome may be on the way.
        if self.phase == Phase::Deciding {
            self.intend(close);
        }
        self.end(Ending::ByUs(close));
    }

    /// Ends a session whose peer says nothing more, for the first reason there was.
    fn end_alone(&mut self) {
        self.end(self.ending.unwrap_or(Ending::Lost));
    }

    /// Has `close` as its ending and as last words.
    fn intend(&mut self, close: Close) {
        self.ending = Some(Ending::ByUs(close));
        self.last_words = Some(LastWords::Close);
    }
}

fn return_now(reason: CloseReason) -> Close {
    Close {
        reason,
        verdict: Return::Now,
    }
}
