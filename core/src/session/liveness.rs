//! When to ping, when to give up.

use core::time::Duration;

use crate::time::Instant;
use crate::wire::{Frame, Ping, Pong};

/// Who spoke when, and what is owed to the peer.
#[derive(Debug)]
pub(super) struct Liveness {
    /// We speak at least this often.
    promise: Duration,
    /// The peer is dead after this time without a message: its promise and our grace.
    patience: Duration,
    spoke: Instant,
    heard: Instant,
    /// The newest ping of the peer that has no pong yet; older ones are not answered.
    owed: Option<u32>,
    ping_due: bool,
    nonce: u32,
    pinged: Option<Instant>,
    round_trip: Option<Duration>,
    last_words: bool,
}

impl Liveness {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            promise: Duration::MAX,
            patience: Duration::MAX,
            spoke: now,
            heard: now,
            owed: None,
            ping_due: false,
            nonce: 0,
            pinged: None,
            round_trip: None,
            last_words: false,
        }
    }

    pub(super) fn begin(&mut self, promise: Duration, patience: Duration, now: Instant) {
        self.promise = promise;
        self.patience = patience;
        self.spoke = now;
        self.heard = now;
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn spoke(&mut self, now: Instant) {
        self.spoke = now;
    }

    pub(super) fn is_dead(&self, now: Instant) -> bool {
        self.heard + self.patience <= now
    }

    /// Makes a ping due when we would otherwise break our promise.
    pub(super) fn speak_if_due(&mut self, now: Instant) {
        self.ping_due |= self.spoke + self.promise <= now;
    }

    pub(super) fn deadline(&self) -> Instant {
        (self.spoke + self.promise).min(self.heard + self.patience)
    }

    pub(super) fn asked(&mut self, nonce: u32) {
        self.owed = Some(nonce);
    }

    /// How long our newest ping took; nothing for an answer to an older one, or to none.
    pub(super) fn answered(&mut self, nonce: u32, now: Instant) -> Option<Duration> {
        let pinged = self.pinged.filter(|_| nonce == self.nonce)?;
        self.pinged = None;
        self.round_trip = Some(now.since(pinged));
        self.round_trip
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The pong or ping that is to be sent.
    pub(super) fn control(&mut self, now: Instant) -> Option<Frame<'static>> {
        if let Some(nonce) = self.owed.take() {
            return Some(Frame::Pong(Pong { nonce }));
        }
        if !core::mem::take(&mut self.ping_due) {
            return None;
        }
        self.nonce = self.nonce.wrapping_add(1);
        self.pinged = Some(now);
        Some(Frame::Ping(Ping { nonce: self.nonce }))
    }

    /// Whether the last words had been said before; they are now.
    pub(super) fn said_last_words(&mut self) -> bool {
        core::mem::replace(&mut self.last_words, true)
    }
}
