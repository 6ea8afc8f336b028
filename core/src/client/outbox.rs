//! Frames that the application has said and the transport has not taken yet.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::limits::Limits;
use crate::link::Chunk;
use crate::session::{self, CallSlot, Lane};

/// What becomes of a frame when the connection breaks before it has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits for the next connection: nobody was promised an answer.
    Kept,
    /// It means something on this connection only.
    Bound,
    /// An answer to a call of the hub; dropped, and counted while it waits.
    Answer,
}

struct Waiting {
    frame: Bytes,
    fate: Fate,
}

/// A bounded lane of encoded frames, first in, first out.
///
/// The bound is for events and calls. Requests of the client itself may go beyond it: two per subscription and
/// [`Limits::answers_waiting_max`] answers.
pub(super) struct Outbox {
    frames: VecDeque<Waiting>,
    bytes: usize,
    frames_max: usize,
    bytes_max: usize,
    answers: usize,
    /// The oldest frame is at the transport, and only waits to be freed.
    in_hand: bool,
    /// There is more room than when last asked.
    freed: bool,
}

impl Outbox {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            frames_max: limits.lane_frames_max as usize,
            bytes_max: limits.lane_bytes_max as usize,
            answers: 0,
            in_hand: false,
            freed: false,
        }
    }

    /// Whether a frame of that size fits; a large one does when nothing else waits.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let fits = self.bytes + bytes <= self.bytes_max || self.frames.is_empty();
        fits && self.frames.len() < self.frames_max
    }

    /// Appends a frame; whoever must keep to the bound asks [`has_room`](Self::has_room) before.
    pub(super) fn push(&mut self, frame: Bytes, fate: Fate) {
        self.bytes += frame.len();
        self.answers += usize::from(fate == Fate::Answer);
        self.frames.push_back(Waiting { frame, fate });
    }

    /// Puts frames in front of all others. Nothing is in hand then: the connection is new.
    pub(super) fn push_first(&mut self, frames: Vec<Bytes>) {
        for frame in frames.into_iter().rev() {
            self.bytes += frame.len();
            let fate = Fate::Bound;
            self.frames.push_front(Waiting { frame, fate });
        }
    }

    /// Frames that wait.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Answers that wait.
    pub(super) fn answers(&self) -> usize {
        self.answers
    }

    /// Whether there is more room than when last asked.
    pub(super) fn take_freed(&mut self) -> bool {
        core::mem::take(&mut self.freed)
    }

    /// Forgets what meant something on the connection that is over, and what its transport has taken.
    pub(super) fn handle_lost(&mut self) {
        if core::mem::take(&mut self.in_hand) {
            self.free_oldest();
        }
        self.retain(|waiting| waiting.fate == Fate::Kept);
    }

    /// Gives up frames that the hub would not take; says how many.
    pub(super) fn discard_larger(&mut self, bytes_max: usize) -> usize {
        let before = self.frames.len();
        self.retain(|waiting| waiting.frame.len() <= bytes_max);
        before - self.frames.len()
    }

    fn retain(&mut self, keep: impl Fn(&Waiting) -> bool) {
        self.frames.retain(keep);
        self.bytes = self.frames.iter().map(|waiting| waiting.frame.len()).sum();
        let answers = self
            .frames
            .iter()
            .filter(|waiting| waiting.fate == Fate::Answer);
        self.answers = answers.count();
        self.freed = true;
    }

    fn free_oldest(&mut self) {
        if let Some(oldest) = self.frames.pop_front() {
            self.bytes -= oldest.frame.len();
            self.answers -= usize::from(oldest.fate == Fate::Answer);
            self.freed = true;
        }
    }
}

impl Lane for Outbox {
    type Chunk<'a> = Chunk;

    fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn peek(&mut self) -> Option<(Chunk, u32)> {
        let oldest = self.frames.front()?;
        self.in_hand = true;
        Some((Chunk::Frame(oldest.frame.clone()), 1))
    }

    fn sent(&mut self, frames: u32) {
        for _ in 0..frames {
            self.in_hand = false;
            self.free_oldest();
        }
    }

    fn acknowledged(&mut self, _: u64) {}

    fn rewind(&mut self, _: u64) -> bool {
        false
    }
}

/// What a client keeps for its session.
pub(super) struct Store {
    pub(super) outbox: Outbox,
    pub(super) slots: Vec<CallSlot>,
}

impl Store {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            outbox: Outbox::new(limits),
            slots: alloc::vec![CallSlot::FREE; limits.calls_waiting_max as usize],
        }
    }

    pub(super) fn handle_lost(&mut self) {
        self.outbox.handle_lost();
        self.slots.fill(CallSlot::FREE);
    }
}

impl session::Store for Store {
    type Lane = Outbox;

    fn parts(&mut self) -> (&mut Outbox, &mut [CallSlot]) {
        (&mut self.outbox, &mut self.slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(frames: u32, bytes: u32) -> Outbox {
        Outbox::new(&Limits {
            lane_frames_max: frames,
            lane_bytes_max: bytes,
            ..Limits::default()
        })
    }

    fn texts(outbox: &Outbox) -> Vec<&[u8]> {
        outbox
            .frames
            .iter()
            .map(|waiting| &waiting.frame[..])
            .collect()
    }

    #[test]
    fn it_is_bounded_in_frames_and_in_bytes() {
        let mut outbox = outbox(2, 10);
        outbox.push(Bytes::from_static(b"12345"), Fate::Kept);
        assert!(outbox.has_room(5));
        assert!(!outbox.has_room(6));
        outbox.push(Bytes::from_static(b"1"), Fate::Kept);
        assert!(!outbox.has_room(1));
    }

    #[test]
    fn a_frame_larger_than_the_lane_fits_when_nothing_waits() {
        let mut outbox = outbox(2, 10);
        assert!(outbox.has_room(11));
        outbox.push(Bytes::from_static(b"1"), Fate::Kept);
        assert!(!outbox.has_room(11));
    }

    #[test]
    fn events_that_have_not_left_are_kept_for_the_next_connection() {
        let mut outbox = outbox(10, 100);
        outbox.push(Bytes::from_static(b"taken"), Fate::Kept);
        outbox.push(Bytes::from_static(b"call"), Fate::Bound);
        outbox.push(Bytes::from_static(b"answer"), Fate::Answer);
        outbox.push(Bytes::from_static(b"event"), Fate::Kept);
        outbox.peek().expect("a frame");
        outbox.handle_lost();
        assert_eq!(texts(&outbox), [b"event"]);
        assert_eq!((outbox.bytes, outbox.answers(), outbox.len()), (5, 0, 1));
        assert!(outbox.take_freed());
    }

    #[test]
    fn what_comes_first_keeps_its_order() {
        let mut outbox = outbox(10, 100);
        outbox.push(Bytes::from_static(b"event"), Fate::Kept);
        outbox.push_first([Bytes::from_static(b"a"), Bytes::from_static(b"b")].into());
        assert_eq!(texts(&outbox), [&b"a"[..], b"b", b"event"]);
        assert_eq!(outbox.discard_larger(1), 1);
        outbox.sent(2);
        assert!(outbox.is_empty());
    }
}
