//! The data lane of one connection: frames that wait to leave, first in, first out.

mod entry;
mod leaving;
mod offer;
mod ring;
mod room;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::time::Duration;

use bytes::Bytes;

use self::entry::{Entry, Load, Owner, Piece};
pub(crate) use self::offer::{Offer, Taken};
use self::ring::Ring;
pub(crate) use self::room::Prospect;
use super::class::Class;
use crate::limits::Limits;
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
    /// Answers that are too many, in bytes; what a load can tell.
    fn overrun_bytes(&self) -> usize {
        let twice = self.bytes.max(1).saturating_mul(2);
        twice.min(u32::MAX as usize)
    }

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
        self.ring.keep(bytes_max);
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
        self.all.frames()
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.all.bytes()
    }

    /// Whether so many answers wait, or so large ones, or notes to subscriptions that have ended since, that the peer may
    /// ask for no more for now.
    pub(crate) fn is_answering_enough(&self) -> bool {
        let bounds = &self.class.bounds;
        self.answers.frames() >= bounds.answers
            || self.answers.bytes() >= bounds.bytes.max(1)
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
        self.stuck
            && (self.answers.frames() >= most || self.answers.bytes() >= bounds.overrun_bytes())
    }

    /// Whether streams may say more: so much of them may wait as of answers.
    pub(crate) fn takes_items(&self) -> bool {
        let bounds = &self.class.bounds;
        self.answers.frames() + self.items.frames() < bounds.answers
            && self.answers.bytes() + self.items.bytes() < bounds.bytes.max(1)
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
        self.all.frames() == 0
    }

    /// The bytes that may wait.
    fn bytes_max(&self) -> usize {
        match self.away {
            true => self.class.bounds.bytes.min(self.ring.bytes_max()),
            false => self.class.bounds.bytes,
        }
    }

    fn fits(&self, bytes: usize, frames: usize) -> bool {
        let within = self.all.bytes() + bytes <= self.bytes_max()
            && self.all.frames() + frames <= self.class.bounds.frames;
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
}
