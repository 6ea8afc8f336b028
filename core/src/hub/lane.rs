//! The data lane of one connection: frames that wait to leave, and who yields when there is no room.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::segment::{Owned, Segments, Slice};
use crate::limits::Limits;
use crate::link::Chunk;
use crate::policy::Policy;
use crate::protocol::Protocol;
use crate::session::{CallSlot, Lane, Store};
use crate::transport::Framing;
use crate::wire::{Frame, Lagged};

/// Every message in a lane has its length in front, in this many bytes.
pub(crate) const PREFIX: usize = 4;

/// Consecutive events of one topic, framed, as they are offered to each lane.
pub(crate) struct Offer<'a> {
    /// All of them.
    pub(crate) slice: &'a Slice,
    /// Where each of them ends, from the start of the slice.
    pub(crate) ends: &'a [u32],
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
    /// There was no room, and the policy is to end the connection.
    pub(crate) overflow: bool,
}

/// A bounded queue of frames, first in, first out; implements the policies.
pub(crate) struct HubLane {
    entries: VecDeque<Entry>,
    bytes: usize,
    frames: usize,
    droppable_bytes: usize,
    droppable_frames: usize,
    answers: usize,
    /// Entries that the transport has, or parts of them: no event takes their place.
    in_hand: usize,
    bytes_max: usize,
    frames_max: usize,
    framing: Framing,
    protocol: Arc<dyn Protocol>,
    segments: Arc<Segments>,
}

struct Entry {
    piece: Piece,
    frames: u32,
    owner: Owner,
}

enum Piece {
    Shared(Slice),
    /// Framed as in a segment.
    Own(Owned),
    /// Here so many events of a subscription are missing.
    Hole(u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Is never dropped: events of subscriptions that would rather be ended, and calls.
    Fixed,
    /// Is never dropped, and its sender waits: `Ack` and `Reply`.
    Answer,
    /// May make room for others of the same subscription.
    Droppable { subscription: u32, topic: u64 },
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Shared(slice) => slice.len(),
            Self::Own(own) => own.bytes().len(),
            Self::Hole(_) => 0,
        }
    }
}

impl Entry {
    fn is_event_of(&self, wanted: u32) -> bool {
        matches!(self.owner, Owner::Droppable { subscription, .. } if subscription == wanted)
            && !self.is_hole()
    }

    fn is_hole(&self) -> bool {
        matches!(self.piece, Piece::Hole(_))
    }

    fn is_droppable(&self) -> bool {
        matches!(self.owner, Owner::Droppable { .. })
    }
}

impl HubLane {
    pub(crate) fn new(
        limits: &Limits,
        framing: Framing,
        protocol: Arc<dyn Protocol>,
        segments: Arc<Segments>,
    ) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            frames: 0,
            droppable_bytes: 0,
            droppable_frames: 0,
            answers: 0,
            in_hand: 0,
            bytes_max: limits.lane_bytes_max as usize,
            frames_max: limits.lane_frames_max as usize,
            framing,
            protocol,
            segments,
        }
    }

    /// Frames that wait, notes about missing ones included.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Answers that wait.
    pub(crate) fn answers(&self) -> usize {
        self.answers
    }

    /// Appends an answer to the peer; its sender looks at [`answers`](Self::answers) before it makes the next one.
    pub(crate) fn push_answer(&mut self, frame: &Frame<'_>) {
        let own = self.segments.own(self.encode(frame));
        self.push(Piece::Own(own), 1, Owner::Answer);
    }

    /// Appends a frame that is never dropped.
    ///
    /// # When full
    ///
    /// False, and nothing is appended.
    pub(crate) fn push_fixed(&mut self, frame: &Frame<'_>) -> bool {
        let bytes = self.encode(frame);
        let fits = self.fits(bytes.len(), false);
        if fits {
            let own = self.segments.own(bytes);
            self.push(Piece::Own(own), 1, Owner::Fixed);
        }
        fits
    }

    /// Offers events to this lane. With `tight` there is room in an empty lane only.
    pub(crate) fn offer(
        &mut self,
        offer: &Offer<'_>,
        subscription: u32,
        policy: Policy,
        tight: bool,
    ) -> Taken {
        self.let_go();
        match policy {
            Policy::Disconnect => self.offer_fixed(offer, tight),
            _ => self.offer_droppable(offer, subscription, policy, tight),
        }
    }

    fn offer_fixed(&mut self, offer: &Offer<'_>, tight: bool) -> Taken {
        let frames = offer.ends.len();
        let room = !tight
            && self.bytes + offer.slice.len() <= self.bytes_max
            && self.frames + frames <= self.frames_max;
        let fitting = if room {
            frames
        } else {
            self.fitting(offer, tight)
        };
        if fitting > 0 {
            let end = offer.ends[fitting - 1];
            self.join(offer.slice.part(0, end), fitting as u32);
        }
        let missing = (frames - fitting) as u32;
        Taken {
            queued: fitting as u32,
            dropped: missing,
            overflow: missing > 0,
        }
    }

    /// How many events of the offer fit, one after the other.
    fn fitting(&self, offer: &Offer<'_>, tight: bool) -> usize {
        let fits = |index: usize| {
            let empty = self.entries.is_empty() && index == 0;
            let bytes = self.bytes + offer.ends[index] as usize;
            empty || !tight && bytes <= self.bytes_max && self.frames + index < self.frames_max
        };
        (0..offer.ends.len())
            .take_while(|index| fits(*index))
            .count()
    }

    /// Appends a slice; a neighbour of the last entry becomes part of it.
    fn join(&mut self, slice: Slice, frames: u32) {
        if let Some(Entry {
            piece: Piece::Shared(last),
            frames: count,
            owner: Owner::Fixed,
        }) = self.entries.back_mut()
            && last.touches(&slice)
        {
            self.bytes += slice.len();
            self.frames += frames as usize;
            last.end = slice.end;
            *count += frames;
            return;
        }
        self.push(Piece::Shared(slice), frames, Owner::Fixed);
    }

    fn offer_droppable(
        &mut self,
        offer: &Offer<'_>,
        subscription: u32,
        policy: Policy,
        tight: bool,
    ) -> Taken {
        let owner = Owner::Droppable {
            subscription,
            topic: offer.topic,
        };
        let mut taken = Taken::default();
        let mut start = 0;
        for end in offer.ends {
            let slice = offer.slice.part(start, *end);
            start = *end;
            self.offer_one(slice, owner, policy, tight, &mut taken);
        }
        taken
    }

    /// Offers one event to a subscription that may miss some.
    fn offer_one(
        &mut self,
        slice: Slice,
        owner: Owner,
        policy: Policy,
        tight: bool,
        taken: &mut Taken,
    ) {
        let Owner::Droppable { subscription, .. } = owner else {
            return;
        };
        if policy == Policy::KeepLatest
            && let Some(index) = self.position(|entry| entry.owner == owner && !entry.is_hole())
        {
            self.replace(index, slice, subscription);
            taken.queued += 1;
            taken.dropped += 1;
            return;
        }
        let mut tight = tight;
        while !self.fits_droppable(slice.len(), tight) {
            taken.dropped += 1;
            // No older event has to go for one that fits in an empty lane only.
            let hopeless = slice.len() > self.bytes_max / 2;
            if policy == Policy::DropNewest || hopeless || !self.evict(subscription) {
                return self.miss_newest(subscription);
            }
            // Without memory for more, one that comes takes the place of one that goes.
            tight = false;
        }
        self.push(Piece::Shared(slice), 1, owner);
        taken.queued += 1;
    }

    fn fits(&self, bytes: usize, tight: bool) -> bool {
        self.entries.is_empty()
            || !tight && self.bytes + bytes <= self.bytes_max && self.frames < self.frames_max
    }

    /// Droppable subscriptions together hold at most half of the lane.
    fn fits_droppable(&self, bytes: usize, tight: bool) -> bool {
        let half = self.droppable_bytes + bytes <= self.bytes_max / 2
            && self.droppable_frames < self.frames_max.div_ceil(2);
        self.entries.is_empty() || half && self.fits(bytes, tight)
    }

    /// Drops the oldest event of a subscription and notes it in its place; false when it has none.
    fn evict(&mut self, subscription: u32) -> bool {
        let Some(index) = self.position(|entry| entry.is_event_of(subscription)) else {
            return false;
        };
        self.discount(index);
        let hole = self.hole_before(index, subscription);
        match hole {
            Some(_) => drop(self.entries.remove(index)),
            None => self.entries[index].piece = Piece::Hole(0),
        }
        let hole = hole.unwrap_or(index);
        self.widen(hole);
        true
    }

    /// The first such entry that the transport does not have.
    fn position(&self, is_wanted: impl Fn(&Entry) -> bool) -> Option<usize> {
        let found = self.entries.range(self.in_hand..).position(is_wanted);
        found.map(|index| self.in_hand + index)
    }

    /// The note about missing events that nothing of the subscription follows up to `index`.
    fn hole_before(&self, index: usize, subscription: u32) -> Option<usize> {
        let mine = |entry: &Entry| matches!(entry.owner, Owner::Droppable { subscription: other, .. } if other == subscription);
        let last = self.entries.range(..index).rposition(mine)?;
        self.entries[last].is_hole().then_some(last)
    }

    /// Notes that the newest event of a subscription is missing.
    fn miss_newest(&mut self, subscription: u32) {
        let hole = self
            .hole_before(self.entries.len(), subscription)
            .unwrap_or_else(|| {
                self.push(
                    Piece::Hole(0),
                    1,
                    Owner::Droppable {
                        subscription,
                        topic: 0,
                    },
                );
                self.entries.len() - 1
            });
        self.widen(hole);
    }

    fn widen(&mut self, index: usize) {
        if let Piece::Hole(missed) = &mut self.entries[index].piece {
            *missed += 1;
        }
    }

    /// Puts a newer value of a topic where the older one waits, behind a note that one is missing.
    fn replace(&mut self, index: usize, slice: Slice, subscription: u32) {
        self.bytes = self.bytes - self.entries[index].piece.len() + slice.len();
        self.droppable_bytes = self.droppable_bytes - self.entries[index].piece.len() + slice.len();
        self.entries[index].piece = Piece::Shared(slice);
        if let Some(hole) = self.hole_before(index, subscription) {
            return self.widen(hole);
        }
        let owner = Owner::Droppable {
            subscription,
            topic: 0,
        };
        self.entries.insert(
            index,
            Entry {
                piece: Piece::Hole(1),
                frames: 1,
                owner,
            },
        );
        self.frames += 1;
        self.droppable_frames += 1;
    }

    fn push(&mut self, piece: Piece, frames: u32, owner: Owner) {
        let entry = Entry {
            piece,
            frames,
            owner,
        };
        self.count(&entry);
        self.entries.push_back(entry);
    }

    fn count(&mut self, entry: &Entry) {
        self.bytes += entry.piece.len();
        self.frames += entry.frames as usize;
        if entry.is_droppable() {
            self.droppable_bytes += entry.piece.len();
            self.droppable_frames += entry.frames as usize;
        }
        self.answers += usize::from(entry.owner == Owner::Answer);
    }

    /// Takes the entry out of the sums; its note, if one stays, has one frame and no bytes.
    fn discount(&mut self, index: usize) {
        let bytes = self.entries[index].piece.len();
        self.bytes -= bytes;
        self.droppable_bytes -= bytes;
        if self
            .hole_before(index, self.subscription_at(index))
            .is_some()
        {
            self.frames -= 1;
            self.droppable_frames -= 1;
        }
    }

    fn subscription_at(&self, index: usize) -> u32 {
        match self.entries[index].owner {
            Owner::Droppable { subscription, .. } => subscription,
            _ => 0,
        }
    }

    /// Copies what waits in old segments, so that it does not keep all of them.
    fn let_go(&mut self) {
        for entry in &mut self.entries {
            let Piece::Shared(slice) = &entry.piece else {
                continue;
            };
            if !self.segments.is_old(slice) {
                return;
            }
            let copy = Bytes::copy_from_slice(&self.segments.bytes(slice));
            entry.piece = Piece::Own(self.segments.own(copy));
        }
    }

    fn encode(&self, frame: &Frame<'_>) -> Bytes {
        let mut bytes = BytesMut::new();
        append_framed(&*self.protocol, frame, &mut bytes);
        bytes.freeze()
    }

    /// The bytes of the front entry and of those that follow it in the same segment, framed; all these are in hand then.
    fn front(&mut self) -> Option<(Bytes, u32)> {
        if let Entry {
            piece: Piece::Hole(missed),
            owner: Owner::Droppable { subscription, .. },
            ..
        } = *self.entries.front()?
        {
            let bytes = self.encode(&Frame::Lagged(Lagged {
                subscription,
                missed,
            }));
            self.bytes += bytes.len();
            self.droppable_bytes += bytes.len();
            self.entries.front_mut()?.piece = Piece::Own(self.segments.own(bytes));
        }
        let mut entries = self.entries.iter();
        let first = entries.next()?;
        self.in_hand = 1;
        let slice = match &first.piece {
            Piece::Own(own) => return Some((own.bytes().clone(), first.frames)),
            Piece::Shared(slice) => slice,
            Piece::Hole(_) => return None,
        };
        let mut whole = slice.clone();
        let mut frames = first.frames;
        for entry in entries {
            match &entry.piece {
                Piece::Shared(next) if whole.touches(next) => {
                    whole.end = next.end;
                    frames += entry.frames;
                    self.in_hand += 1;
                }
                _ => break,
            }
        }
        Some((self.segments.bytes(&whole), frames))
    }

    fn pop(&mut self) -> Option<u32> {
        let entry = self.entries.pop_front()?;
        let bytes = entry.piece.len();
        self.bytes -= bytes;
        self.frames -= entry.frames as usize;
        if entry.is_droppable() {
            self.droppable_bytes -= bytes;
            self.droppable_frames -= entry.frames as usize;
        }
        self.answers -= usize::from(entry.owner == Owner::Answer);
        if self.entries.is_empty() && self.entries.capacity() > 8 {
            self.entries = VecDeque::new();
        }
        Some(entry.frames)
    }

    /// Takes one message from the front entry, which has more of them.
    fn pop_one(&mut self) {
        let Some(entry) = self.entries.front_mut() else {
            return;
        };
        let length = match &mut entry.piece {
            Piece::Shared(slice) => {
                let length = framed_length(&self.segments.bytes(slice));
                slice.start += length as u32;
                length
            }
            Piece::Own(own) => {
                let length = framed_length(own.bytes());
                own.advance(length);
                length
            }
            Piece::Hole(_) => 0,
        };
        entry.frames -= 1;
        self.frames -= 1;
        self.bytes -= length;
    }
}

impl Lane for HubLane {
    type Chunk<'a> = Chunk;

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn peek(&mut self) -> Option<(Chunk, u32)> {
        let (bytes, frames) = self.front()?;
        match self.framing {
            Framing::None => {
                self.in_hand = 1;
                let length = framed_length(&bytes);
                Some((Chunk::Frame(bytes.slice(PREFIX..length)), 1))
            }
            Framing::LengthPrefix => Some((Chunk::Framed(bytes), frames)),
        }
    }

    fn sent(&mut self, mut frames: u32) {
        self.in_hand = 0;
        while frames > 0 {
            match self.entries.front() {
                None => return,
                Some(entry) if entry.frames <= frames => frames -= self.pop().unwrap_or(frames),
                Some(_) => {
                    self.pop_one();
                    frames -= 1;
                }
            }
        }
    }
}

/// A lane, and the calls to the peer that wait for an answer.
pub(crate) struct HubStore {
    pub(crate) lane: HubLane,
    pub(crate) slots: Vec<CallSlot>,
}

impl Store for HubStore {
    type Lane = HubLane;

    fn parts(&mut self) -> (&mut HubLane, &mut [CallSlot]) {
        (&mut self.lane, &mut self.slots)
    }
}

/// Appends a frame as lanes and segments hold it: a length of four bytes, then the message.
pub(crate) fn append_framed(protocol: &dyn Protocol, frame: &Frame<'_>, into: &mut BytesMut) {
    let start = into.len();
    into.extend_from_slice(&[0; PREFIX]);
    protocol.encode(frame, into);
    let length = (into.len() - start - PREFIX) as u32;
    into[start..start + PREFIX].copy_from_slice(&length.to_be_bytes());
}

/// The length of the first message, prefix included.
fn framed_length(framed: &[u8]) -> usize {
    framed
        .first_chunk::<PREFIX>()
        .map_or(framed.len(), |prefix| {
            PREFIX + u32::from_be_bytes(*prefix) as usize
        })
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
