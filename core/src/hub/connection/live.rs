//! What a connection has until it is gone.

use alloc::boxed::Box;
use alloc::sync::Arc;

use bytes::Bytes;

use super::HubStore;
use crate::hub::accounts::Accounts;
use crate::hub::guest::Guest;
use crate::hub::resume::{Arrival, Claim, Token};
use crate::limits::Limits;
use crate::link::Link;
use crate::session::Ending;
use crate::streams::Table;
use crate::time::Instant;
use crate::wire::{Close, CloseReason, Frame, Return};
/// What a connection has until it is gone; what a delivery looks at stands together and in this order, as in [`Connection`](super::Connection).
#[repr(C)]
pub(crate) struct Live {
    pub(crate) store: HubStore,
    pub(crate) accounts: Accounts,
    /// Subscriptions that get events of the past.
    pub(crate) replaying: u32,
    /// Nothing is offered any more: it has left the registry.
    pub(crate) left: bool,
    /// The client has said something since the last welcome.
    pub(crate) heard: bool,
    /// Its task waits for its peer, and for no time but the session's.
    pub(crate) rests: bool,
    pub(crate) link: Link,
    /// For a client that may return.
    pub(crate) claim: Option<Box<Claim>>,
    /// A client that has returned.
    pub(crate) arrival: Option<Box<Arrival>>,
    /// Its client is away, and not welcome any more.
    pub(crate) dismissed: Option<Box<Ending>>,
    pub(crate) guest: Option<Arc<Guest>>,
}

impl Live {
    pub(crate) fn new(link: Link, store: HubStore) -> Self {
        Self {
            link,
            store,
            accounts: Accounts::default(),
            replaying: 0,
            left: false,
            claim: None,
            heard: false,
            arrival: None,
            dismissed: None,
            guest: None,
            rests: false,
        }
    }

    pub(super) fn takes_events(&self) -> bool {
        !self.left && (self.link.session.is_ready() || self.goes_on())
    }

    /// Whether there is room for more of the past, and somebody wants it.
    pub(crate) fn may_read_on(&self) -> bool {
        self.replaying > 0 && self.store.lane.frames() == 0 && self.link.session.is_ready()
    }

    /// A frame for this peer alone, as its lane holds it; `None` when its protocol has no words for it.
    pub(crate) fn framed(&mut self, frame: &Frame<'_>) -> Option<Bytes> {
        let Self { link, store, .. } = self;
        let class = store.lane.class();
        class.framed_by(|into| link.encode(frame, into))
    }

    /// Lets the peer have an answer; see [`push_answer`](super::lane::HubLane::push_answer).
    pub(crate) fn push_answer(&mut self, frame: &Frame<'_>) {
        if let Some(framed) = self.framed(frame) {
            self.store.lane.push_answer(framed);
        }
    }

    /// Takes note that the client has said something; the token that is used up by that.
    pub(crate) fn hear(&mut self) -> Option<Token> {
        if self.heard || !self.link.session.is_ready() {
            return None;
        }
        self.heard = true;
        self.store.lane.release();
        self.claim.as_mut()?.prove()
    }

    /// Ends the session; one that is lost already does not wait for its client any longer.
    pub(super) fn close(&mut self, close: Close, flush: bool, now: Instant) {
        match self.goes_on() {
            true => self.dismissed = Some(Box::new(Ending::ByUs(close))),
            false => self.link.session.close(close, flush, now),
        }
    }

    /// There was no room for something that may not be dropped.
    pub(crate) fn overflow(&mut self, reason: CloseReason, now: Instant) {
        let verdict = Return::Now;
        let close = Close { reason, verdict };
        if self.link.session.is_ready() {
            self.link.session.close(close, false, now);
        } else if self.ticket().is_some() && self.goes_on() {
            // It can only go on whole.
            self.dismissed = Some(Box::new(Ending::ByUs(close)));
        }
        // Nothing of it leaves any more, and somebody may need the memory.
        match self.claim {
            Some(_) => self.store.lane.tear(),
            None => self.store.lane.clear(),
        }
    }

    /// Its streams, from when there is the first.
    pub(crate) fn streams(&mut self, limits: &Limits) -> &Table {
        let Self { link, store, .. } = self;
        let new = || Table::new(limits, link.protocol().keeps_to_credit());
        store.streams.get_or_insert_with(new)
    }
}
