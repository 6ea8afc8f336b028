//! From the past into lanes: a bounded part each turn, and over to the present when all is read.

mod begin;
mod lost;

use alloc::sync::Arc;

pub(crate) use self::begin::Wanted;
use super::Shared;
use super::connection::{Connection, Live};
use super::history::{Histories, Kept, Mode, Next, Reader, ReaderId, Share};
use super::lane::Rejected;
use crate::policy::Policy;
use crate::sync::{lock, write};
use crate::time::Instant;
use crate::wire::{CloseReason, Encoding, Frame, Lagged, Live as IsLive, Replay};

/// What one connection is given in one turn, before others have theirs.
const FRAMES_PER_TURN: usize = 256;
const BYTES_PER_TURN: usize = 64 * 1024;

/// Events that are looked at in one turn for those that a filter selects.
const LOOKS_PER_TURN: usize = 4_096;

/// More than a replayed event has around its topic and its payload.
const FRAME_BYTES: usize = 64;

/// How a turn of a reader ended.
enum Turn {
    /// It has read everything.
    Over,
    /// It goes on when the lane has been written from.
    NoRoom,
    /// It goes on after others had their turn.
    Enough,
}

impl Shared {
    /// Puts events of the past into the lane of a connection whose subscriptions begin there, as far as there is room; true
    /// when it could go on at once, and lets others go first.
    ///
    /// Called by the connection's own task, which writes then, and calls again when the lane has been written from.
    pub(crate) fn replay(&self, connection: &Arc<Connection>) -> bool {
        self.replay_from(&mut lock(&self.histories), connection)
    }

    fn replay_from(&self, histories: &mut Histories, connection: &Arc<Connection>) -> bool {
        let now = self.runtime.now();
        histories.expire(now);
        let mut share = Share {
            looks: LOOKS_PER_TURN,
            frames: FRAMES_PER_TURN,
            bytes: BYTES_PER_TURN,
        };
        for number in histories.readers.of(connection.number) {
            let id = (connection.number, number);
            match self.read_on(histories, id, &mut share, now) {
                Turn::Over => {}
                Turn::NoRoom => return false,
                Turn::Enough => return true,
            }
        }
        false
    }

    /// Gives a reader its turn.
    fn read_on(
        &self,
        histories: &mut Histories,
        id: ReaderId,
        share: &mut Share,
        now: Instant,
    ) -> Turn {
        let Some(mut reader) = histories.readers.remove(id) else {
            return Turn::Over;
        };
        let connection = reader.connection.clone();
        let turn = match connection.live().as_mut() {
            None => Turn::NoRoom,
            Some(live) => {
                let class = self.classes.get(connection.class());
                let mut lane = Into {
                    live,
                    subscription: id.1,
                    wanted: class.protocol.arguments(),
                    hub: self,
                };
                lane.read(histories, &mut reader, share, now)
            }
        };
        match turn {
            Turn::Over => self.go_live(histories, id, &reader),
            Turn::NoRoom | Turn::Enough => histories.readers.insert(id, reader),
        }
        turn
    }

    /// Lets a subscription hear the present: what is published from here on stands behind the word that it does.
    fn go_live(&self, histories: &Histories, (_, subscription): ReaderId, reader: &Reader) {
        if matches!(reader.mode, Mode::Past { .. }) {
            let mut registry = write(&self.registry);
            registry.wake(reader.key, subscription);
            self.changed(&registry);
        }
        if let Some(live) = reader.connection.live().as_mut() {
            live.accounts.set_dormant(subscription, false);
            live.replaying -= 1;
            live.push_answer(&Frame::Live(IsLive {
                subscription,
                offset: histories.newest(),
            }));
        }
    }

    /// Says once more to subscriptions that have heard all values that they have: the word may be among what was lost.
    pub(crate) fn repeat_live(&self, connection: &Connection) {
        if !self.rules.keep_anything() {
            return;
        }
        let histories = lock(&self.histories);
        let reading = histories.readers.of(connection.number);
        if let Some(live) = connection.live().as_mut() {
            let of_values = live.accounts.of_values();
            let done = of_values.filter(|number| !reading.contains(number));
            for subscription in done.collect::<alloc::vec::Vec<_>>() {
                live.push_answer(&Frame::Live(IsLive {
                    subscription,
                    offset: histories.newest(),
                }));
            }
        }
    }

    /// Ends reading for subscriptions of a connection, which are over.
    pub(crate) fn end_readers(&self, connection: &Connection, numbers: &[u32]) {
        if !self.rules.keep_anything() {
            return;
        }
        let mut histories = lock(&self.histories);
        let ended = |number: &&u32| {
            let id = (connection.number, **number);
            histories.readers.remove(id).is_some()
        };
        let ended = numbers.iter().filter(ended).count();
        if let Some(live) = connection.live().as_mut() {
            live.replaying -= ended as u32;
        }
    }

    /// Forgets all that a connection was about to read: it is gone.
    pub(crate) fn forget_readers(&self, connection: &Connection) {
        if self.rules.keep_anything() {
            lock(&self.histories).forget_connection(connection.number);
        }
    }
}

/// The lane that a reader reads into.
struct Into<'a> {
    live: &'a mut Live,
    subscription: u32,
    /// What its protocol wants values in.
    wanted: Encoding,
    hub: &'a Shared,
}

impl Into<'_> {
    fn read(
        &mut self,
        histories: &Histories,
        reader: &mut Reader,
        share: &mut Share,
        now: Instant,
    ) -> Turn {
        loop {
            if !self.has_room(FRAME_BYTES) {
                return Turn::NoRoom;
            }
            if reader.missed > 0 {
                let missed = core::mem::take(&mut reader.missed);
                if !self.tell_missed(missed, reader.policy, now) {
                    return Turn::NoRoom;
                }
            }
            if share.frames == 0 || share.bytes == 0 {
                return Turn::Enough;
            }
            match histories.next(reader, share) {
                Next::Over => return Turn::Over,
                Next::Enough => return Turn::Enough,
                Next::Event(offset, kept) => {
                    let size = FRAME_BYTES + kept.size(self.wanted);
                    if !self.has_room(size) || !self.put(offset, kept) {
                        return Turn::NoRoom;
                    }
                    reader.pass(offset, &kept.topic);
                    share.frames -= 1;
                    share.bytes = share.bytes.saturating_sub(size);
                }
            }
        }
    }

    /// Whether so much of the past may wait. Half of the lane is for the present, which cannot wait; and what is larger than
    /// that has it for itself.
    fn has_room(&self, bytes: usize) -> bool {
        let (lane, limits) = (&self.live.store.lane, &self.hub.limits);
        let half = lane.bytes() + bytes <= limits.lane_bytes_max as usize / 2
            && lane.frames() < limits.lane_frames_max.div_ceil(2) as usize;
        let open = !self.live.left && !lane.is_torn() && self.live.link.session.is_ready();
        open && (lane.frames() == 0 || half && !self.hub.budget.is_over())
    }

    /// Appends an event; false when the lane did not take it.
    fn put(&mut self, offset: u64, kept: &Kept) -> bool {
        let replay = Frame::Replay(Replay {
            subscription: self.subscription,
            offset,
            topic: &kept.topic,
            payload: kept.variants.payload(self.wanted),
        });
        let framed = self.live.framed(&replay);
        let pushed = framed.map(|framed| self.live.store.lane.push_fixed(framed));
        let put = match pushed.unwrap_or(Ok(())) {
            Ok(()) => true,
            // Ended for it, the peer would come back and find the same event.
            Err(Rejected::TooLarge { .. }) => self.lag(1),
            Err(Rejected::Full) => return false,
        };
        if put {
            self.live.accounts.replay(self.subscription, 1);
        }
        put
    }

    /// Lets the peer know that events were gone before it came to them; false when that ends the connection.
    fn tell_missed(&mut self, missed: u64, policy: Policy, now: Instant) -> bool {
        self.live.accounts.replay(self.subscription, missed);
        match policy {
            Policy::Disconnect => {
                // As one that has no room for the present.
                self.live.overflow(CloseReason::TooSlow, now);
                false
            }
            _ => self.lag(missed),
        }
    }

    fn lag(&mut self, missed: u64) -> bool {
        let subscription = self.subscription;
        let lagged = Frame::Lagged(Lagged {
            subscription,
            missed,
        });
        self.live.push_answer(&lagged);
        true
    }
}
