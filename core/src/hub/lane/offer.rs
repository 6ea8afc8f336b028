//! Who yields when there is no room: the policies.

use bytes::Bytes;

use super::HubLane;
use super::entry::{Entry, Load, Owner, Piece};
use crate::hub::segment::{GENERATIONS_KEPT, Slice};
use crate::policy::Policy;
use crate::wire::CloseReason;

/// Consecutive events of one topic, framed, as they are offered to each lane.
pub(crate) struct Offer<'a> {
    /// Whose lanes it is for.
    pub(crate) class: u8,
    /// All of them.
    pub(crate) slice: &'a Slice,
    /// Where each of them ends, from the start of the slice.
    pub(crate) ends: &'a [u32],
    /// The largest of them, in bytes and framed.
    pub(crate) largest: usize,
    /// Stands for the topic.
    pub(crate) topic: u64,
}

/// What a lane did with an offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Events that wait in the lane now, or did when they were offered.
    pub(crate) queued: u32,
    /// Events that the subscriber will miss: these, or older ones in their place.
    pub(crate) dropped: u32,
    /// There was no room, and the policy is to end the connection, for this reason.
    pub(crate) overflow: Option<CloseReason>,
}

impl HubLane {
    /// Offers events to this lane. With `tight` there is no memory for more: room is where older events go, or nothing waits.
    pub(crate) fn offer(
        &mut self,
        offer: &Offer<'_>,
        subscription: u32,
        policy: Policy,
        tight: bool,
    ) -> Taken {
        if self.torn {
            let dropped = offer.ends.len() as u32;
            return Taken {
                dropped,
                ..Taken::default()
            };
        }
        self.let_go();
        if policy == Policy::Disconnect {
            return self.offer_fixed(offer, tight);
        }
        let owner = Owner::Droppable {
            subscription,
            topic: offer.topic,
        };
        let mut taken = Taken::default();
        let mut start = 0;
        for end in offer.ends {
            let slice = offer.slice.part(start, *end);
            start = *end;
            let (queued, dropped) = match policy {
                _ if self.is_too_large(slice.len()) => {
                    self.miss_newest(subscription);
                    (0, 1)
                }
                Policy::KeepLatest => self.offer_latest(slice, owner, subscription, tight),
                _ => self.offer_one(slice, owner, subscription, policy, tight),
            };
            taken.queued += queued;
            taken.dropped += dropped;
        }
        taken
    }

    /// All of the events, or none: without one of them the connection ends.
    fn offer_fixed(&mut self, offer: &Offer<'_>, tight: bool) -> Taken {
        let count = offer.ends.len() as u32;
        let overflow = if self.is_too_large(offer.largest) {
            let size = self.class.message_bytes(offer.largest);
            let max = self.message_bytes_max();
            Some(CloseReason::MessageTooLarge {
                size: size as u64,
                max: max as u64,
            })
        } else if tight && !self.is_idle() || !self.fits(offer.slice.len(), offer.ends.len()) {
            Some(CloseReason::TooSlow)
        } else {
            None
        };
        if overflow.is_some() {
            return Taken {
                dropped: count,
                overflow,
                ..Taken::default()
            };
        }
        self.join(offer.slice, count);
        Taken {
            queued: count,
            ..Taken::default()
        }
    }

    /// Whether the peer would not take a message of this size, framed.
    pub(super) fn is_too_large(&self, framed: usize) -> bool {
        self.class.message_bytes(framed) > self.message_bytes_max()
    }

    /// Appends a slice; a neighbour of the last entry becomes part of it.
    fn join(&mut self, slice: &Slice, frames: u32) {
        if let Some(Entry {
            piece: Piece::Shared(last),
            frames: count,
            owner: Owner::Fixed,
        }) = self.entries.back_mut()
            && last.touches(slice)
        {
            last.end = slice.end;
            *count += frames;
            return self.count(Load::new(slice.len(), frames), Owner::Fixed);
        }
        self.push(Piece::Shared(slice.clone()), frames, Owner::Fixed);
    }

    /// Offers one event to a subscription that may miss some; says how many are queued and how many dropped.
    fn offer_one(
        &mut self,
        slice: Slice,
        owner: Owner,
        subscription: u32,
        policy: Policy,
        tight: bool,
    ) -> (u32, u32) {
        let free = self.is_idle() || !tight && self.has_room(slice.len(), Load::default());
        let yielding = match policy {
            _ if free => Some(0),
            Policy::DropNewest => None,
            _ => self.yielding(slice.len(), subscription, tight),
        };
        let Some(yielding) = yielding else {
            self.miss_newest(subscription);
            return (0, 1);
        };
        for _ in 0..yielding {
            self.drop_oldest(subscription);
        }
        self.push(Piece::Shared(slice), 1, owner);
        (1, yielding)
    }

    /// Offers the newest value of a topic, which takes the place of an older one that waits.
    fn offer_latest(
        &mut self,
        slice: Slice,
        owner: Owner,
        subscription: u32,
        tight: bool,
    ) -> (u32, u32) {
        let older = |entry: &Entry| entry.owner == owner && !entry.is_hole();
        let Some(index) = self.entries.iter().position(older) else {
            return self.offer_one(slice, owner, subscription, Policy::KeepLatest, tight);
        };
        if tight && let Some(other) = self.oldest_but(index, subscription) {
            self.miss(other, subscription);
            let (queued, dropped) = self.offer_latest(slice, owner, subscription, false);
            return (queued, dropped + 1);
        }
        let load = self.entries[index].load();
        if !self.has_room(slice.len(), load) {
            self.miss(index, subscription);
            // Memory for it there is now.
            let (queued, dropped) =
                self.offer_one(slice, owner, subscription, Policy::KeepLatest, false);
            return (queued, dropped + 1);
        }
        self.discount(load, owner);
        self.entries[index].piece = Piece::Shared(slice);
        self.count(self.entries[index].load(), owner);
        self.note_before(index, subscription);
        (1, 1)
    }

    /// Whether a droppable event fits when entries of this load have gone. Droppable subscriptions together hold at most half of the lane.
    pub(super) fn has_room(&self, bytes: usize, gone: Load) -> bool {
        let (all, droppable) = (self.all - gone, self.droppable - gone);
        let (bytes_max, frames_max) = (self.bytes_max(), self.class.bounds.frames);
        let half = droppable.bytes() + bytes <= bytes_max / 2
            && droppable.frames() < frames_max.div_ceil(2);
        let within = all.bytes() + bytes <= bytes_max && all.frames() < frames_max;
        half && within || all.frames() == 0
    }

    /// How many of its oldest events a subscription has to give for a new one; `None` when all of them are not enough.
    ///
    /// With `tight` it gives two where it has them: other lanes may keep what this one gives, and then nothing is won.
    fn yielding(&self, bytes: usize, subscription: u32, tight: bool) -> Option<u32> {
        let wanted = if tight { 2 } else { 1 };
        let events = self
            .entries
            .iter()
            .filter(|entry| entry.is_event_of(subscription));
        let (mut gone, mut enough) = (Load::default(), None);
        for (count, event) in (1..).zip(events) {
            gone += event.load();
            enough = self.has_room(bytes, gone).then_some(count).or(enough);
            if count >= wanted && enough.is_some() {
                break;
            }
        }
        enough
    }

    /// The oldest event of a subscription that is not the one at `index`.
    fn oldest_but(&self, index: usize, subscription: u32) -> Option<usize> {
        let mut entries = self.entries.iter().enumerate();
        let oldest = entries.find(|(at, entry)| *at != index && entry.is_event_of(subscription))?;
        Some(oldest.0)
    }

    fn drop_oldest(&mut self, subscription: u32) {
        let event = |entry: &Entry| entry.is_event_of(subscription);
        if let Some(index) = self.entries.iter().position(event) {
            self.miss(index, subscription);
        }
    }

    /// Drops an event, and notes that in its place.
    fn miss(&mut self, index: usize, subscription: u32) {
        let entry = &mut self.entries[index];
        let (load, owner) = (entry.load(), entry.owner);
        (entry.piece, entry.frames) = (Piece::Hole(1), 0);
        self.discount(load, owner);
        self.merge_next(index, subscription);
        if let Some(hole) = self.hole_before(index, subscription) {
            self.merge_next(hole, subscription);
        }
    }

    /// Notes that the newest event of a subscription is missing.
    fn miss_newest(&mut self, subscription: u32) {
        self.note_before(self.entries.len(), subscription);
    }

    /// Notes that an event is missing before the entry at `index`.
    fn note_before(&mut self, index: usize, subscription: u32) {
        if let Some(hole) = self.hole_before(index, subscription) {
            return self.widen(hole, 1);
        }
        let note = Entry {
            piece: Piece::Hole(1),
            frames: 0,
            owner: Owner::Droppable {
                subscription,
                topic: 0,
            },
        };
        self.entries.insert(index, note);
    }

    /// The note about missing events that nothing of the subscription follows up to `index`.
    fn hole_before(&self, index: usize, subscription: u32) -> Option<usize> {
        let mut before = self.entries.range(..index);
        let last = before.rposition(|entry| entry.is_of(subscription))?;
        self.entries[last].is_hole().then_some(last)
    }

    /// Makes one note of two that follow each other.
    fn merge_next(&mut self, hole: usize, subscription: u32) {
        let mut behind = self.entries.range(hole + 1..);
        let Some(next) = behind.position(|entry| entry.is_of(subscription)) else {
            return;
        };
        let next = hole + 1 + next;
        if let Piece::Hole(missed) = self.entries[next].piece {
            self.entries.remove(next);
            self.widen(hole, missed);
        }
    }

    fn widen(&mut self, hole: usize, by: u64) {
        if let Piece::Hole(missed) = &mut self.entries[hole].piece {
            *missed += by;
        }
    }

    /// Copies what waits in old segments, so that it does not keep all of them. Looks at everything that waits, so not too often.
    #[inline]
    pub(crate) fn let_go(&mut self) {
        let newest = self.class.segments.newest();
        if newest - self.looked_at >= GENERATIONS_KEPT {
            self.looked_at = newest;
            self.copy_out();
        }
    }

    fn copy_out(&mut self) {
        let waiting = self.entries.iter_mut().map(|entry| &mut entry.piece);
        for piece in waiting.chain(self.ring.pieces()) {
            if let Piece::Shared(slice) = piece
                && self.class.segments.is_wasted_on(slice)
            {
                let copy = Bytes::copy_from_slice(&self.class.segments.bytes(slice));
                *piece = Piece::Own(self.class.segments.own(copy));
            }
        }
    }
}
