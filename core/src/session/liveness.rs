//! When to ping, when to give up.

use core::time::Duration;

use crate::time::Instant;
use crate::wire::{Frame, Ping, Pong};

/// Into how many parts a promise is divided: pings of one part may leave together.
#[cfg(feature = "std")]
const PINGS_APART: u32 = 64;

/// How much earlier than promised a ping may leave, so that one wake-up does for many.
#[cfg(feature = "std")]
pub(crate) fn slack(promise: Duration) -> Duration {
    promise / PINGS_APART
}

/// Who spoke when, and what is owed to the peer.
#[derive(Debug)]
pub(super) struct Liveness {
    /// We speak at least this often.
    promise_ms: u32,
    /// The peer is dead after this time without a message: its promise and our grace.
    patience_ms: u32,
    /// The peer speaks only when it is asked.
    asks: bool,
    /// When we last spoke, or asked a peer that does not speak by itself.
    spoke: Instant,
    heard: Instant,
    /// The newest ping of the peer that has no pong yet; older ones are not answered.
    owed: Option<u32>,
    ping_due: bool,
    nonce: u32,
    pinged: Option<Instant>,
    /// In microseconds; the largest number while there was none.
    round_trip_us: u32,
}

impl Liveness {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            promise_ms: u32::MAX,
            patience_ms: u32::MAX,
            asks: false,
            spoke: now,
            heard: now,
            owed: None,
            ping_due: false,
            nonce: 0,
            pinged: None,
            round_trip_us: u32::MAX,
        }
    }

    pub(super) fn begin(&mut self, promise_ms: u32, patience_ms: u32, asks: bool, now: Instant) {
        self.asks = asks;
        self.promise_ms = promise_ms;
        self.patience_ms = patience_ms;
        self.spoke = now;
        self.heard = now;
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Whatever was said keeps the promise as well as a ping, but is no question.
    pub(super) fn spoke(&mut self, now: Instant) {
        if !self.asks {
            self.spoke = now;
            self.ping_due = false;
        }
    }

    pub(super) fn is_dead(&self, now: Instant) -> bool {
        self.death() <= now
    }

    /// Makes a ping due when we would otherwise break our promise.
    pub(super) fn speak_if_due(&mut self, now: Instant) {
        self.ping_due |= self.silence() <= now;
    }

    /// A ping that is due already is no reason to wake up: it leaves when there is room.
    pub(super) fn deadline(&self) -> Instant {
        match self.ping_due {
            true => self.death(),
            false => self.death().min(self.silence()),
        }
    }

    /// [`slack`] of our own promise.
    #[cfg(feature = "std")]
    pub(super) fn slack(&self) -> Duration {
        slack(Duration::from_millis(self.promise_ms.into()))
    }

    #[cfg(feature = "std")]
    pub(super) fn is_ping_due(&self) -> bool {
        self.ping_due
    }

    /// The same if a ping that is due leaves at this instant.
    #[cfg(feature = "std")]
    pub(super) fn deadline_once_said(&self, now: Instant) -> Instant {
        let promise = Duration::from_millis(self.promise_ms.into());
        match self.ping_due {
            true => self.death().min(now + promise),
            false => self.deadline(),
        }
    }

    /// When the peer is dead, if it says nothing until then.
    fn death(&self) -> Instant {
        self.heard + Duration::from_millis(self.patience_ms.into())
    }

    /// When we break our promise, if we say nothing until then; or when it is time to ask again: also a peer that speaks, which may wait for a sign of life
    /// of ours and know no other.
    fn silence(&self) -> Instant {
        self.spoke + Duration::from_millis(self.promise_ms.into())
    }

    pub(super) fn asked(&mut self, nonce: u32) {
        self.owed = Some(nonce);
    }

    /// How long our newest ping took; nothing for an answer to an older one, or to none.
    pub(super) fn answered(&mut self, nonce: u32, now: Instant) -> Option<Duration> {
        let pinged = self.pinged.filter(|_| nonce == self.nonce)?;
        self.pinged = None;
        let micros = now.since(pinged).as_micros();
        self.round_trip_us = micros.min(u128::from(u32::MAX - 1)) as u32;
        self.round_trip()
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        let micros = Some(self.round_trip_us).filter(|micros| *micros != u32::MAX);
        micros.map(|micros| Duration::from_micros(micros.into()))
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
        self.spoke = now;
        Some(Frame::Ping(Ping { nonce: self.nonce }))
    }
}
