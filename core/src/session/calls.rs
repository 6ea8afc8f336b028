//! Calls of ours that wait for an answer.

use super::{Config, Role, Session, Store};
use crate::time::Instant;
use crate::wire::{Cancel, Frame};
use core::borrow::Borrow;

/// The number of a stream that is sent along with a call: the first is 1.
pub(crate) const fn stream(call: u32, index: u32) -> u32 {
    call.wrapping_add(index.wrapping_mul(2))
}

/// What answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A [`Reply`](crate::wire::Reply).
    Reply,
    /// [`Item`](crate::wire::Item)s, and an [`End`](crate::wire::End).
    Stream,
}

/// Room for one call that waits for its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallSlot(Slot);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Slot {
    #[default]
    Free,
    Waiting {
        id: u32,
        deadline: Option<Instant>,
        /// The answer is a stream.
        streams: bool,
    },
    /// Its time is over; its owner does not know yet.
    Expired { id: u32, streams: bool },
    /// The peer does not know yet that nobody waits any more.
    Cancelled(u32),
}

impl CallSlot {
    /// An empty one.
    pub const FREE: Self = Self(Slot::Free);

    /// Whether a call may begin in it.
    pub fn is_free(&self) -> bool {
        self.0 == Slot::Free
    }
}

/// As many calls wait for an answer as there are slots: wait for one, or give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many calls wait for an answer")]
pub struct TooManyCalls;

/// What all slots of a session come to, so that none is looked at without need.
#[derive(Debug)]
pub(super) struct Calls {
    /// The newest number of a call or stream of ours.
    last: u32,
    expired: u32,
    cancelled: u32,
    /// No call ends before it; perhaps none then.
    deadline: Option<Instant>,
}

impl Calls {
    /// Clients give odd numbers and hubs even ones, so that a stream has one number whoever opened it.
    pub(super) const fn new(role: Role) -> Self {
        let last = match role {
            Role::Client => u32::MAX,
            Role::Hub => 0,
        };
        Self {
            last,
            expired: 0,
            cancelled: 0,
            deadline: None,
        }
    }

    /// Takes a slot for a call with so many streams of ours, which have the numbers behind it.
    pub(super) fn begin(
        &mut self,
        slots: &mut [CallSlot],
        deadline: Option<Instant>,
        (answer, streams): (Answer, u32),
    ) -> Result<u32, TooManyCalls> {
        let slot = slots
            .iter_mut()
            .find(|slot| slot.is_free())
            .ok_or(TooManyCalls)?;
        let id = stream(self.last, 1);
        self.last = stream(id, streams);
        slot.0 = Slot::Waiting {
            id,
            deadline,
            streams: answer == Answer::Stream,
        };
        self.deadline = [self.deadline, deadline].into_iter().flatten().min();
        Ok(id)
    }

    /// An answer has begun that is a stream: it may take as long as it lasts.
    pub(super) fn answer_begins(&mut self, wanted: u32, slots: &mut [CallSlot]) {
        if self.deadline.is_none() {
            return;
        }
        for slot in slots {
            match &mut slot.0 {
                Slot::Waiting {
                    id,
                    deadline,
                    streams: true,
                } if *id == wanted => *deadline = None,
                _ => {}
            }
        }
    }

    /// Frees the slot of a call that waits for such an answer; `None` when there is no such call.
    pub(super) fn answered(
        &mut self,
        wanted: u32,
        answer: Answer,
        slots: &mut [CallSlot],
    ) -> Option<()> {
        let is_it = |slot: &&mut CallSlot| match slot.0 {
            Slot::Waiting { id, streams, .. } => {
                id == wanted && streams == (answer == Answer::Stream)
            }
            _ => false,
        };
        slots.iter_mut().find(is_it)?.0 = Slot::Free;
        Some(())
    }

    /// Frees the slot of a call that nobody waits for, whose peer learns of it otherwise.
    pub(super) fn drop_silently(&mut self, wanted: u32, slots: &mut [CallSlot]) {
        for slot in slots {
            match slot.0 {
                Slot::Waiting { id, .. } if id == wanted => {}
                Slot::Expired { id, .. } if id == wanted => self.expired -= 1,
                _ => continue,
            }
            slot.0 = Slot::Free;
            return;
        }
    }

    /// Forgets a call, also one whose owner does not know yet that its time is over.
    pub(super) fn abandon(&mut self, wanted: u32, slots: &mut [CallSlot]) {
        for slot in slots {
            match slot.0 {
                Slot::Waiting { id, .. } if id == wanted => {}
                Slot::Expired { id, .. } if id == wanted => self.expired -= 1,
                _ => continue,
            }
            slot.0 = Slot::Cancelled(wanted);
            self.cancelled += 1;
            return;
        }
    }

    /// Forgets all calls, of which the peer knows nothing any more. No later one gets the id of an earlier one.
    #[cfg(feature = "std")]
    pub(super) fn forget(&mut self, slots: &mut [CallSlot]) {
        slots.fill(CallSlot::FREE);
        (self.expired, self.cancelled, self.deadline) = (0, 0, None);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn expire(&mut self, slots: &mut [CallSlot], now: Instant) {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        self.deadline = None;
        for slot in slots {
            match slot.0 {
                Slot::Waiting {
                    id,
                    deadline: Some(deadline),
                    streams,
                } if deadline <= now => {
                    slot.0 = Slot::Expired { id, streams };
                    self.expired += 1;
                }
                Slot::Waiting { deadline, .. } => {
                    self.deadline = [self.deadline, deadline].into_iter().flatten().min();
                }
                _ => {}
            }
        }
    }

    /// A call whose owner has to be told that its time is over.
    pub(super) fn expired(&mut self, slots: &mut [CallSlot]) -> Option<u32> {
        if self.expired == 0 {
            return None;
        }
        self.expired -= 1;
        slots.iter_mut().find_map(|slot| match slot.0 {
            // Its owner stops it.
            Slot::Expired { id, streams: true } => {
                slot.0 = Slot::Free;
                Some(id)
            }
            Slot::Expired { id, streams: false } => {
                slot.0 = Slot::Cancelled(id);
                self.cancelled += 1;
                Some(id)
            }
            _ => None,
        })
    }

    /// Tells the peer to stop a call, whose slot is free again.
    pub(super) fn control(&mut self, slots: &mut [CallSlot]) -> Option<Frame<'static>> {
        if self.cancelled == 0 {
            return None;
        }
        self.cancelled -= 1;
        slots.iter_mut().find_map(|slot| match slot.0 {
            Slot::Cancelled(id) => {
                slot.0 = Slot::Free;
                Some(Frame::Cancel(Cancel { id }))
            }
            _ => None,
        })
    }
}

impl<C: Borrow<Config>> Session<C> {
    /// Makes room for a call of ours, which has this id from now on.
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`] when every slot waits for an answer.
    pub fn call(
        &mut self,
        store: &mut impl Store,
        deadline: Option<Instant>,
    ) -> Result<u32, TooManyCalls> {
        self.open(store, deadline, (Answer::Reply, 0))
    }

    /// Makes room for a call of ours that has streams: that answers it, or so many that it sends along. It takes its room until it is answered, by [`Input::Reply`](super::Input::Reply) or [`Input::End`](super::Input::End); `deadline` is that of the answer or
    /// of the first item of one. A stream that takes too long is stopped by its owner, when [`SessionEvent::CallTimedOut`](super::SessionEvent::CallTimedOut) tells.
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`] when every slot waits for an answer.
    pub fn open(
        &mut self,
        store: &mut impl Store,
        deadline: Option<Instant>,
        streams: (Answer, u32),
    ) -> Result<u32, TooManyCalls> {
        self.calls.begin(store.parts().1, deadline, streams)
    }

    /// Forgets a call of ours without a word: the owner sees to it that the peer stops.
    pub fn forget(&mut self, store: &mut impl Store, id: u32) {
        self.calls.drop_silently(id, store.parts().1);
    }

    /// Whether the number of a call or stream is one that this side gave.
    pub fn is_ours(&self, id: u32) -> bool {
        (id % 2 == 1) == (self.role == Role::Client)
    }

    /// When [`expire_calls`](Self::expire_calls) has something to do: for the owner of a session that is over and may go on in
    /// another one.
    pub fn calls_timeout(&self) -> Option<Instant> {
        self.calls.deadline()
    }

    /// Ends calls of ours whose time is over; [`poll_event`](Self::poll_event) tells. As long as the session is not over
    /// [`handle_timeout`](Self::handle_timeout) does it.
    pub fn expire_calls(&mut self, store: &mut impl Store, now: Instant) {
        self.calls.expire(store.parts().1, now);
    }

    /// Forgets a call of ours and tells the peer to stop.
    pub fn cancel(&mut self, store: &mut impl Store, id: u32) {
        self.calls.abandon(id, store.parts().1);
    }

    /// Forgets all calls of ours: the peer has forgotten them too.
    #[cfg(feature = "std")]
    pub(crate) fn forget_calls(&mut self, store: &mut impl Store) {
        self.calls.forget(store.parts().1);
    }
}
