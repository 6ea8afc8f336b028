//! The data lane of one connection: frames that wait to leave, first in, first out.

mod entry;
mod offer;
mod ring;
mod room;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use self::entry::{Entry, Load, Owner, Piece};
pub(crate) use self::offer::{Offer, Taken};
use self::ring::Ring;
pub(crate) use self::room::Prospect;
use super::class::Class;
use crate::limits::Limits;
use crate::link::Chunk;
use crate::session::{CallSlot, Lane, Store};
use crate::streams::Table;
use crate::time::Instant;
use crate::transport::Framing;
use crate::wire::{Frame, Lagged};

/// A bounded queue of frames.
///
/// The bounds are for what waits. Notes about missing events cost nothing until they are written, and there is one
/// before each event of a subscription and one behind them at most.
pub(crate) struct HubLane {
    entries: VecDeque<Entry>,
    /// Of all entries.
    all: Load,
    /// Of those that may be dropped.
    droppable: Load,
    /// Of answers.
    answers: Load,
    /// Of items of streams.
    items: Load,
    /// The largest message that the peer takes.
    message_bytes_max: u32,
    class: Arc<Class>,
    /// The transport frames messages by itself.
    one_by_one: bool,
    /// The newest segment when old ones were let go of.
    looked_at: u64,
    /// What was sent and is not confirmed, for a client that may resume.
    ring: Ring,
    /// The peer is away, and what waits for it has the bound of what is kept for it.
    away: bool,
    /// Something is missing of what the peer should get next: nothing of it leaves any more.
    torn: bool,
    /// Nothing leaves until then, or until the peer has said something.
    held: Option<Instant>,
    /// What is next waits until the peer confirms something.
    stuck: bool,
    /// Until when it has to, as it has got all that may leave before.
    confirm_by: Option<Instant>,
}

/// What may wait in a lane; all of a class have the same.
pub(crate) struct Bounds {
    bytes: usize,
    frames: usize,
    answers: usize,
    /// More than the subscriptions of one moment ever need.
    entries: usize,
    /// How long the peer may confirm nothing of what the rest waits for.
    stall: Duration,
}

impl Bounds {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            bytes: limits.lane_bytes_max as usize,
            frames: limits.lane_frames_max as usize,
            answers: limits.answers_waiting_max.max(1) as usize,
            entries: (limits.lane_frames_max as usize)
                .saturating_mul(2)
                .saturating_add(limits.answers_waiting_max as usize)
                .saturating_add(limits.subscriptions_max.max(1) as usize),
            stall: limits.stall,
        }
    }
}

/// Why a frame is not in the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// There is no room.
    Full,
    /// The peer takes no message of this size.
    TooLarge { size: u64, max: u64 },
}

impl HubLane {
    pub(crate) fn new(class: Arc<Class>, framing: Framing) -> Self {
        Self {
            entries: VecDeque::new(),
            all: Load::default(),
            droppable: Load::default(),
            answers: Load::default(),
            items: Load::default(),
            message_bytes_max: u32::MAX,
            class,
            one_by_one: framing == Framing::None,
            looked_at: 0,
            ring: Ring::default(),
            away: false,
            torn: false,
            held: None,
            stuck: false,
            confirm_by: None,
        }
    }

    /// Keeps from now on what was sent until it is confirmed, up to so many bytes.
    pub(crate) fn keep_sent(&mut self, bytes_max: u32) {
        self.ring.keep(bytes_max, self.class.bounds.frames as u32);
    }

    /// The same of all that was sent: what there is no room for waits until some of it is confirmed.
    pub(crate) fn keep_all_sent(&mut self, bytes_max: u32) {
        self.ring.keep_all(bytes_max);
    }

    /// Lets nothing leave for now.
    pub(crate) fn hold(&mut self, until: Instant) {
        self.held = Some(until);
    }

    /// Until when nothing leaves, if so.
    pub(crate) fn held_until(&self) -> Option<Instant> {
        self.held
    }

    /// Lets what waits leave.
    pub(crate) fn release(&mut self) {
        self.held = None;
    }

    /// Gives the peer its time to confirm something, if that is what the rest waits for: it has got all that may leave before.
    pub(crate) fn await_confirmation(&mut self, now: Instant) {
        if self.stuck {
            let stall = self.class.bounds.stall;
            self.confirm_by.get_or_insert(now + stall);
        }
    }

    /// Gives it that time once more: nobody has listened.
    pub(crate) fn await_anew(&mut self, now: Instant) {
        if self.confirm_by.take().is_some() {
            self.await_confirmation(now);
        }
    }

    /// Until when the peer has to confirm something, if the rest waits for that.
    pub(crate) fn confirm_by(&self) -> Option<Instant> {
        self.confirm_by
    }

    fn unstick(&mut self) {
        (self.stuck, self.confirm_by) = (false, None);
    }

    /// The peer has gone away, and may return.
    pub(crate) fn leave(&mut self) {
        self.away = true;
    }

    /// The peer has returned, through a transport with this framing. When nothing can be sent again, this begins anew.
    pub(crate) fn come_back(&mut self, framing: Framing, whole: bool) {
        self.away = false;
        self.one_by_one = framing == Framing::None;
        if !whole {
            self.tear();
            self.torn = false;
            self.ring.restart();
        }
    }

    /// Gives up what waits and what was sent: something is missing between them.
    pub(crate) fn tear(&mut self) {
        self.clear();
        self.torn = true;
    }

    /// Whether something is missing, so that nothing leaves any more.
    pub(crate) fn is_torn(&self) -> bool {
        self.torn
    }

    /// The largest message that the peer takes, in bytes.
    pub(crate) fn message_bytes_max(&self) -> usize {
        self.message_bytes_max as usize
    }

    /// Offers no larger events to the peer from now on: it would end the connection.
    pub(crate) fn set_message_bytes_max(&mut self, bytes: u32) {
        self.message_bytes_max = bytes;
    }

    /// Holds frames of this class from now on, for a transport with this framing. Nothing waits yet.
    pub(crate) fn set_class(&mut self, class: Arc<Class>, framing: Framing) {
        debug_assert!(
            self.entries.is_empty(),
            "a class is chosen before the first frame"
        );
        self.class = class;
        self.one_by_one = framing == Framing::None;
    }

    /// Frames that wait, without notes about missing ones.
    pub(crate) fn frames(&self) -> usize {
        self.all.frames
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.all.bytes
    }

    /// Whether so many answers wait, or so large ones, or notes to subscriptions that have ended since, that the peer may
    /// ask for no more for now.
    pub(crate) fn is_answering_enough(&self) -> bool {
        let bounds = &self.class.bounds;
        self.answers.frames >= bounds.answers
            || self.answers.bytes >= bounds.bytes.max(1)
            || self.entries.len() >= bounds.entries
    }

    /// Whether the peer may speak: few answers wait, or they wait for it to confirm others.
    pub(crate) fn lets_peer_speak(&self) -> bool {
        !self.is_answering_enough() || self.stuck
    }

    /// Whether answers wait without end, for a peer that asks and does not confirm.
    pub(crate) fn is_overrun(&self) -> bool {
        let bounds = &self.class.bounds;
        let most = bounds.frames.max(2 * bounds.answers);
        self.stuck && (self.answers.frames >= most || self.answers.bytes >= 2 * bounds.bytes.max(1))
    }

    /// Whether streams may say more: so much of them may wait as of answers.
    pub(crate) fn takes_items(&self) -> bool {
        let bounds = &self.class.bounds;
        self.answers.frames + self.items.frames < bounds.answers
            && self.answers.bytes + self.items.bytes < bounds.bytes.max(1)
            && self.entries.len() < bounds.entries
    }

    /// What its frames have in common with others.
    pub(crate) fn class(&self) -> &Class {
        &self.class
    }

    /// Bytes that were sent and are kept.
    #[cfg(test)]
    fn ring_bytes(&self) -> usize {
        self.ring.bytes()
    }

    /// Appends an answer to the peer, framed as its class does; its sender looks at [`is_answering_enough`](Self::is_answering_enough) before it makes the next one.
    pub(crate) fn push_answer(&mut self, framed: Bytes) {
        if !self.torn {
            let own = self.class.segments.own(framed);
            self.push(Piece::Own(own), 1, Owner::Answer);
        }
    }

    /// As [`push_answer`](Self::push_answer), for one that may be larger than the peer takes: then nothing is appended.
    pub(crate) fn push_reply(&mut self, framed: Bytes) -> Result<(), Rejected> {
        self.check(&framed)?;
        self.push_answer(framed);
        Ok(())
    }

    /// Appends an item of a stream, whose sender looks at [`takes_items`](Self::takes_items) before; one that is larger than the peer takes is not appended.
    pub(crate) fn push_item(&mut self, framed: Bytes) -> Result<(), Rejected> {
        self.check(&framed)?;
        let own = self.class.segments.own(framed);
        self.push(Piece::Own(own), 1, Owner::Item);
        Ok(())
    }

    /// Appends a frame that is never dropped.
    ///
    /// # When full
    ///
    /// [`Rejected`], and nothing is appended.
    pub(crate) fn push_fixed(&mut self, framed: Bytes) -> Result<(), Rejected> {
        self.check(&framed)?;
        if !self.fits(framed.len(), 1) {
            return Err(Rejected::Full);
        }
        let own = self.class.segments.own(framed);
        self.push(Piece::Own(own), 1, Owner::Fixed);
        Ok(())
    }

    /// Whether the peer takes so large a message, and any at all.
    fn check(&self, framed: &Bytes) -> Result<(), Rejected> {
        if self.torn {
            return Err(Rejected::Full);
        }
        let (size, max) = (
            self.class.message_bytes(framed.len()),
            self.message_bytes_max(),
        );
        match size > max {
            true => Err(Rejected::TooLarge {
                size: size as u64,
                max: max as u64,
            }),
            false => Ok(()),
        }
    }

    /// Gives back the memory of entries that there were.
    pub(crate) fn rest(&mut self) {
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// Gives up what waits and what was sent: the peer will not have it.
    pub(crate) fn clear(&mut self) {
        self.entries = VecDeque::new();
        self.ring.clear();
        self.unstick();
        (self.all, self.droppable) = Default::default();
        (self.answers, self.items) = Default::default();
    }

    /// Whether nothing waits but notes: then anything may come, however large.
    fn is_idle(&self) -> bool {
        self.all.frames == 0
    }

    /// The bytes that may wait.
    fn bytes_max(&self) -> usize {
        match self.away {
            true => self.class.bounds.bytes.min(self.ring.bytes_max()),
            false => self.class.bounds.bytes,
        }
    }

    fn fits(&self, bytes: usize, frames: usize) -> bool {
        let within = self.all.bytes + bytes <= self.bytes_max()
            && self.all.frames + frames <= self.class.bounds.frames;
        within || self.is_idle() && frames == 1
    }

    fn push(&mut self, piece: Piece, frames: u32, owner: Owner) {
        let entry = Entry {
            piece,
            frames,
            owner,
        };
        self.count(entry.load(), owner);
        if self.entries.capacity() == 0 {
            // Neighbours join: most never need a second.
            self.entries.reserve_exact(1);
        }
        self.entries.push_back(entry);
    }

    fn count(&mut self, load: Load, owner: Owner) {
        self.all += load;
        match owner {
            Owner::Fixed => {}
            Owner::Answer => self.answers += load,
            Owner::Item => self.items += load,
            Owner::Droppable { .. } => self.droppable += load,
        }
    }

    fn discount(&mut self, load: Load, owner: Owner) {
        self.all -= load;
        match owner {
            Owner::Fixed => {}
            Owner::Answer => self.answers -= load,
            Owner::Item => self.items -= load,
            Owner::Droppable { .. } => self.droppable -= load,
        }
    }

    /// Writes the note that is next, if one is. From now on it is a frame like others: what goes missing later
    /// is not part of it.
    fn write_note(&mut self) {
        let Some(Entry {
            piece: Piece::Hole(missed),
            owner: Owner::Droppable { subscription, .. },
            ..
        }) = self.entries.front()
        else {
            return;
        };
        let note = self.note(*subscription, *missed);
        self.count(note.load(), note.owner);
        self.entries[0] = note;
    }

    /// A note about missing events as it leaves.
    fn note(&self, subscription: u32, missed: u64) -> Entry {
        let lagged = Frame::Lagged(Lagged {
            subscription,
            missed,
        });
        Entry {
            piece: Piece::Own(self.class.segments.own(self.class.framed(&lagged))),
            frames: 1,
            owner: Owner::Fixed,
        }
    }

    /// Lets all that waits for ended subscriptions stay as it is: others may get their numbers.
    pub(crate) fn seal(&mut self, ended: impl Fn(u32) -> bool) {
        for index in 0..self.entries.len() {
            let entry = &mut self.entries[index];
            let (owner, load) = (entry.owner, entry.load());
            let Owner::Droppable { subscription, .. } = owner else {
                continue;
            };
            if !ended(subscription) {
                continue;
            }
            entry.owner = Owner::Fixed;
            if let Piece::Hole(missed) = entry.piece {
                self.entries[index] = self.note(subscription, missed);
            }
            self.discount(load, owner);
            self.count(self.entries[index].load(), Owner::Fixed);
        }
    }

    /// The bytes of the front entry, framed, and how many frames they are.
    fn front(&mut self) -> Option<(Bytes, u32)> {
        self.write_note();
        let mut entries = self.entries.iter();
        let first = entries.next()?;
        let mut whole = match &first.piece {
            Piece::Own(own) => return Some((own.clone(), first.frames)),
            Piece::Shared(slice) => slice.clone(),
            Piece::Hole(_) => return None,
        };
        let mut frames = first.frames;
        // Who takes one message at a time has no use for its neighbours.
        while !self.one_by_one
            && let Some(entry) = entries.next()
            && let Piece::Shared(next) = &entry.piece
            && whole.touches(next)
        {
            whole.end = next.end;
            frames += entry.frames;
        }
        Some((self.class.segments.bytes(&whole), frames))
    }

    /// As many of these frames as may be sent before some are confirmed.
    fn within_room(&self, bytes: Bytes, frames: u32) -> Option<(Bytes, u32)> {
        let room = self.ring.room().unwrap_or(usize::MAX);
        if bytes.len() <= room {
            return Some((bytes, frames));
        }
        let framing = self.class.framing;
        let (mut end, mut within) = (0, 0);
        while within < frames {
            let next = end + framing.framed_bytes(&bytes[end..]);
            let alone = within == 0 && self.ring.is_empty();
            if next > room && !alone {
                break;
            }
            (end, within) = (next, within + 1);
        }
        (within > 0).then(|| (bytes.slice(..end), within))
    }

    /// Takes the front entry, or one message of it when so many frames are less than it has; says how many it took.
    fn pop(&mut self, frames: u32) -> Option<u32> {
        let front = self.entries.front_mut()?;
        let (piece, taken) = match front.frames <= frames {
            true => {
                let entry = self.entries.pop_front()?;
                self.discount(entry.load(), entry.owner);
                (entry.piece, entry.frames)
            }
            false => {
                let piece = front.piece.take_message(&self.class);
                front.frames -= 1;
                let bytes = piece.len();
                let (load, owner) = (Load { bytes, frames: 1 }, front.owner);
                self.discount(load, owner);
                (piece, 1)
            }
        };
        self.ring.push(piece, taken);
        if self.entries.capacity() > 8 {
            self.rest();
        }
        Some(taken)
    }
}

impl Lane for HubLane {
    type Chunk<'a> = Chunk;

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn peek(&mut self) -> Option<(Chunk, u32)> {
        if self.torn || self.held.is_some() {
            return None;
        }
        let Some((bytes, frames)) = self.front() else {
            self.unstick();
            return None;
        };
        let Some((bytes, frames)) = self.within_room(bytes, frames) else {
            self.stuck = true;
            return None;
        };
        self.unstick();
        if !self.one_by_one {
            return Some((Chunk::Framed(bytes), frames));
        }
        let framing = self.class.framing;
        let message = framing.head_bytes(&bytes)..framing.framed_bytes(&bytes);
        Some((Chunk::Frame(bytes.slice(message)), 1))
    }

    fn sent(&mut self, mut frames: u32) {
        while frames > 0 {
            match self.pop(frames) {
                None => return,
                Some(taken) => frames -= taken,
            }
        }
    }

    fn acknowledged(&mut self, count: u64) {
        let before = self.ring.bytes();
        self.ring.acknowledged(count, &self.class);
        if self.ring.bytes() < before {
            self.unstick();
        }
    }

    fn rewind(&mut self, to: u64) -> bool {
        if self.torn || !self.ring.holds(to) {
            return false;
        }
        self.unstick();
        for (piece, frames) in self.ring.rewind(to, &self.class) {
            // It has a number that the peer knows: it is never dropped.
            let owner = Owner::Fixed;
            let entry = Entry {
                piece,
                frames,
                owner,
            };
            self.count(entry.load(), owner);
            self.entries.push_front(entry);
        }
        true
    }
}

/// A lane, and the calls to the peer that wait for an answer.
pub(crate) struct HubStore {
    pub(crate) lane: HubLane,
    pub(crate) slots: Vec<CallSlot>,
    /// None while there was no stream.
    pub(crate) streams: Option<Table>,
}

impl Store for HubStore {
    type Lane = HubLane;

    fn parts(&mut self) -> (&mut HubLane, &mut [CallSlot]) {
        (&mut self.lane, &mut self.slots)
    }

    fn control(&mut self, idle: bool) -> Option<Frame<'static>> {
        self.streams.as_ref()?.lock().control(idle)
    }
}
