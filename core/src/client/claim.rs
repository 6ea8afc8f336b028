//! The claim of a client on the session whose connection is lost.

use alloc::vec::Vec;

use futures_channel::oneshot;

use super::call::CallAnswer;
use super::shared::{Inner, Receipt, Remains, Shared};
use crate::limits::Limits;
use crate::link::{Link, Settings};
use crate::session::{Session, SessionEvent, Wish};
use crate::time::Instant;
use crate::wire::{Frame, List, Position};

/// What it takes to go on with a session on another connection. While a client has one, what its session knows stays as it is: receipts, calls,
/// subscriptions, and what was sent and not confirmed.
pub(super) struct Claim {
    token: [u8; 16],
    /// Data frames received in it.
    received: u64,
    /// Holds the calls that wait for an answer.
    pub(super) session: Session<Settings>,
    /// When there is no hope any more.
    until: Instant,
    /// What the hub was told about subscriptions when it was last asked.
    pub(super) positions: Vec<Position>,
}

impl Shared {
    /// Says hello on a new link, and asks for the session that there is a claim on.
    pub(super) fn say_hello(&self, link: &mut Link, token: Option<&[u8]>) {
        let now = self.runtime.now();
        self.expire_claim(now);
        let (resume, positions, max) = self.with(|inner| {
            let (resume, positions) = inner.ask_to_return();
            (resume, positions, inner.hub_bytes_max)
        });
        let wish = Wish {
            resumable: self.resumable,
            resume,
            positions: List::new(&positions),
        };
        let hello = Frame::Hello(link.session.hello(token, wish, now));
        // So many subscriptions that the hub would not even read it.
        if resume.is_some() && self.encode(&hello, 0).len() > max {
            self.give_up_claim();
            return self.say_hello(link, token);
        }
        link.send_first(&hello);
    }

    /// Gives up the claim, if there is one: whoever waits for an answer is told.
    pub(super) fn give_up_claim(&self) {
        let remains = self.with(|inner| inner.claim.is_some().then(|| inner.forget_session()));
        drop(remains);
    }

    /// Ends calls whose time is over while there is no session; says when to do it again.
    pub(super) fn expire_calls(&self, now: Instant) -> Option<Instant> {
        let (late, next) = self.with(|inner| inner.expire_calls(now));
        for waiting in late {
            let _ = waiting.send(CallAnswer::TimedOut);
        }
        next
    }

    /// Gives up a claim whose time is over; says when that of another one is.
    pub(super) fn expire_claim(&self, now: Instant) -> Option<Instant> {
        let until = self.with(|inner| inner.claim.as_ref().map(|claim| claim.until))?;
        if until > now {
            return Some(until);
        }
        self.give_up_claim();
        None
    }
}

impl Inner {
    /// The connection is over. Its session may go on if the hub thinks so too; otherwise nothing that was said in it means anything any more.
    pub(super) fn part(&mut self, may_return: bool, limits: &Limits, now: Instant) -> Remains {
        if !may_return || !self.keep_claim(limits, now) {
            return self.handle_lost();
        }
        self.connection = None;
        // Those who wait for the end of a subscription need not wait any longer.
        let receipts = self.receipts.values_mut();
        let closed = receipts.filter_map(|receipt| match receipt {
            Receipt::Unsubscribed { closed, .. } => closed.take(),
            _ => None,
        });
        Remains {
            _closed: closed.collect(),
            link: self.link.take(),
            ..Remains::default()
        }
    }

    /// Whether there is a claim from before, or on the session that was just lost.
    fn keep_claim(&mut self, limits: &Limits, now: Instant) -> bool {
        if self.claim.is_none() {
            self.claim = self.new_claim(limits, now);
        }
        self.claim.is_some()
    }

    fn new_claim(&mut self, limits: &Limits, now: Instant) -> Option<Claim> {
        let token = self.resume_token.take()?;
        let until = now + limits.resume?;
        let link = self.link.as_mut().filter(|_| self.store.outbox.keeps())?;
        let received = link.session.received();
        let session = Session::holder(&mut link.session, &mut self.store, now);
        Some(Claim {
            token,
            received,
            session,
            until,
            positions: Vec::new(),
        })
    }

    /// What a hello says about the session that there is a claim on.
    fn ask_to_return(&mut self) -> (Option<([u8; 16], u64)>, Vec<Position>) {
        let Some(claim) = &mut self.claim else {
            return (None, Vec::new());
        };
        let straight = Position {
            subscription: 0,
            accounted: self.accounted,
        };
        claim.positions = [straight].into();
        claim.positions.extend(self.subscriptions.positions());
        (Some((claim.token, claim.received)), claim.positions.clone())
    }

    fn expire_calls(
        &mut self,
        now: Instant,
    ) -> (Vec<oneshot::Sender<CallAnswer>>, Option<Instant>) {
        let mut late = Vec::new();
        if let Some(claim) = &mut self.claim {
            claim.session.expire_calls(&mut self.store, now);
        }
        while let Some(id) = self.poll_timed_out() {
            self.timed_out(id);
            late.extend(self.calls.remove(&id));
        }
        let next = self
            .claim
            .as_ref()
            .map(|claim| claim.session.calls_timeout());
        (late, next.flatten())
    }

    fn poll_timed_out(&mut self) -> Option<u32> {
        match self.claim.as_mut()?.session.poll_event(&mut self.store)? {
            SessionEvent::CallTimedOut(id) => Some(id),
            SessionEvent::Ended(_) => None,
        }
    }
}
