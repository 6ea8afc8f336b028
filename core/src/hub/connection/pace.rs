//! Who waits for whom: when a peer is not read, and when nothing leaves to it.

use super::Live;
use crate::time::Instant;
use crate::wire::CloseReason;

impl Live {
    /// Whether the peer may say more: the answers that it has not read are few, and so were its requests.
    pub(crate) fn may_be_read(&self, now: Instant) -> bool {
        self.store.lane.lets_peer_speak()
            // Who confirms what it hears has to be heard; it waits for our confirmations.
            && (!self.is_full_of_items() || self.ticket().is_some())
            && self.link.session.reading_resumes(now).is_none()
    }

    fn is_full_of_items(&self) -> bool {
        let streams = self.store.streams.as_ref();
        streams.is_some_and(|streams| streams.lock().is_full())
    }

    /// Makes a peer wait that may not be kept from speaking: it hears of nothing that has arrived, and ends if it does not mind.
    pub(crate) fn slow_down(&mut self, now: Instant) {
        if self.ticket().is_none() {
            return;
        }
        let full = self.is_full_of_items();
        self.link.session.withhold_received(full);
        let streams = self.store.streams.as_ref();
        let overrun = streams.is_some_and(|streams| streams.lock().is_overrun());
        if self.link.session.is_ready() && (overrun || self.store.lane.is_overrun()) {
            self.overflow(CloseReason::TooSlow, now);
        }
    }

    /// Lets go what was held back, when it is time; and a peer that has confirmed nothing for too long.
    pub(crate) fn let_go_on(&mut self, now: Instant) {
        let lane = &mut self.store.lane;
        if lane.held_until().is_some_and(|until| until <= now) {
            lane.release();
        }
        if lane.confirm_by().is_some_and(|until| until <= now) {
            self.overflow(CloseReason::TooSlow, now);
        }
    }
}
