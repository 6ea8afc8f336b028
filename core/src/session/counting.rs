//! Counting data frames in both directions, and telling the peer how many have arrived.

use core::time::Duration;

use super::Role;
use crate::time::Instant;
use crate::wire::{Frame, Received};

/// Data frames between two [`Received`] of a hub: what a client keeps until then has the bound of its lane.
const RECEIVED_EVERY: u16 = 64;

/// The same of a client. A hub forgets what it has no room for, and each `Received` costs it a turn of a task.
const RECEIVED_EVERY_BY_CLIENT: u16 = 256;

/// Bytes of messages between two [`Received`]: less than a side keeps of what is not confirmed.
const RECEIVED_EVERY_BYTES: u32 = 32 * 1024;

/// How long a [`Received`] may be late when fewer frames arrive.
const RECEIVED_AFTER: Duration = Duration::from_secs(1);

/// How many data frames went each way, and what the peer knows of it.
#[derive(Debug, Default)]
pub(super) struct Counting {
    sent: u64,
    received: u64,
    /// How many of the sent ones the peer has, as it said last.
    acknowledged: u64,
    /// How many more were sent by an earlier transport: they are to be sent again, and may be confirmed before.
    again: u32,
    /// How many of the received ones the peer does not know of.
    untold: u16,
    /// Bytes of messages since the peer was told.
    bytes: u32,
    /// After how many frames the peer is told, if it wants to know.
    every: Option<u16>,
    /// When it has to be told at the latest.
    due: Option<Instant>,
    owed: bool,
    /// The peer is to wait.
    withheld: bool,
}

impl Counting {
    /// From now on the peer is told.
    pub(super) fn tell_peer(&mut self, role: Role) {
        self.every = Some(match role {
            Role::Hub => RECEIVED_EVERY,
            Role::Client => RECEIVED_EVERY_BY_CLIENT,
        });
    }

    pub(super) fn handed_out(&mut self, frames: u32) {
        self.sent += u64::from(frames);
        self.again = self.again.saturating_sub(frames);
    }

    pub(super) fn arrived(&mut self, now: Instant) {
        self.received += 1;
        self.untold = self.untold.saturating_add(1);
        if let Some(every) = self.every {
            self.owed |= self.untold >= every;
            self.owed |= self.bytes >= RECEIVED_EVERY_BYTES;
            self.due.get_or_insert(now + RECEIVED_AFTER);
        }
    }

    /// A message of this size is here, and will be handled next.
    pub(super) fn weigh(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Takes the peer's count; false when it goes back, or beyond what was sent.
    pub(super) fn acknowledge(&mut self, count: u64) -> bool {
        let sound = (self.acknowledged..=self.sent + u64::from(self.again)).contains(&count);
        if sound {
            // What is to be sent again will be confirmed again.
            self.acknowledged = count.min(self.sent);
        }
        sound
    }

    /// The same counts, when what is not confirmed is about to be sent again.
    #[cfg(feature = "std")]
    pub(super) fn rewound(self) -> Self {
        let again = u32::try_from(self.sent - self.acknowledged).unwrap_or(u32::MAX);
        Self {
            sent: self.acknowledged,
            again: again.saturating_add(self.again),
            ..self
        }
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Lets the peer know of nothing for now.
    #[cfg(feature = "std")]
    pub(super) fn withhold(&mut self, withheld: bool) {
        self.withheld = withheld;
    }

    /// What is owed already is no reason to wake up: it leaves when there is room.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.filter(|_| !self.owed)
    }

    #[cfg(feature = "std")]
    pub(super) fn is_owed(&self) -> bool {
        self.owed
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.owed |= self.due.is_some_and(|due| due <= now);
    }

    /// The count that is to be sent.
    pub(super) fn control(&mut self) -> Option<Frame<'static>> {
        if self.withheld || !core::mem::take(&mut self.owed) {
            return None;
        }
        self.due = None;
        (self.untold, self.bytes) = (0, 0);
        Some(Frame::Received(Received {
            count: self.received,
        }))
    }
}
