//! Frames that the application has said, until the transport has taken them, or until the hub has confirmed them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::limits::Limits;
use crate::link::Chunk;
use crate::session::{self, CallSlot, Lane};
use crate::streams::Table;
use crate::wire::Frame;

/// What becomes of a frame when its session is over before it has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits for the next connection: nobody was promised an answer.
    Kept,
    /// It means something in this session only.
    Bound,
    /// A call of this id; it means something while somebody waits for its answer.
    Call(u32),
    /// An answer to a call of the hub; it means something in this session only, and is counted while it waits.
    Answer,
}

struct Waiting {
    frame: Bytes,
    fate: Fate,
}

/// Frames that may be under way unconfirmed, however few may wait: a hub confirms as soon as it has half of them.
const UNDER_WAY_MIN: usize = 128;

/// A bounded lane of encoded frames, first in, first out: `under way | waiting`.
///
/// The bound is for events and calls that wait. Requests of the client itself may go beyond it: two per subscription and
/// [`Limits::answers_waiting_max`] answers. As much again may be under way: sent, and not confirmed by a hub that the client
/// wants to return to; then nothing more is sent until the hub has confirmed some.
pub(super) struct Outbox {
    frames: VecDeque<Waiting>,
    /// How many of them are under way.
    sent: usize,
    /// Frames sent on this connection that are not here any more.
    freed: u64,
    /// Whether frames that were sent stay until they are confirmed.
    keeps: bool,
    /// Of those that are under way.
    sent_bytes: usize,
    /// Of those that wait.
    bytes: usize,
    frames_max: usize,
    bytes_max: usize,
    /// How many requests may go beyond the bound.
    requests_max: usize,
    /// Answers that wait.
    answers: usize,
    /// There is more room than when last asked.
    roomier: bool,
}

impl Outbox {
    pub(super) fn new(limits: &Limits) -> Self {
        let (frames_max, subscriptions_max) = (limits.lane_frames_max, limits.subscriptions_max);
        let requests_max = 2 * subscriptions_max as usize + limits.answers_waiting_max as usize;
        Self {
            frames: VecDeque::new(),
            sent: 0,
            freed: 0,
            keeps: false,
            sent_bytes: 0,
            bytes: 0,
            frames_max: frames_max as usize,
            bytes_max: limits.lane_bytes_max as usize,
            requests_max,
            answers: 0,
            roomier: false,
        }
    }

    /// Begins a connection, on which nothing was sent yet. With `keeps` frames stay until they are confirmed.
    pub(super) fn begin(&mut self, keeps: bool) {
        (self.keeps, self.freed) = (keeps, 0);
    }

    /// Whether everything is here that was sent and not confirmed.
    pub(super) fn keeps(&self) -> bool {
        self.keeps
    }

    /// Whether nothing is sent before the hub has confirmed some of what is under way.
    pub(super) fn is_held_up(&self) -> bool {
        let frames_max = self.frames_max.max(UNDER_WAY_MIN);
        self.keeps && (self.sent >= frames_max || self.sent_bytes >= self.bytes_max)
    }

    /// Whether a frame of that size fits; a large one does when nothing else waits.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let fits = self.bytes + bytes <= self.bytes_max || self.len() == 0;
        fits && self.len() < self.frames_max
    }

    /// Appends a frame; whoever must keep to the bound asks [`has_room`](Self::has_room) before.
    pub(super) fn push(&mut self, frame: Bytes, fate: Fate) {
        self.bytes += frame.len();
        self.answers += usize::from(fate == Fate::Answer);
        self.frames.push_back(Waiting { frame, fate });
        // So much waits only for a hub that does not confirm.
        if self.len() > self.frames_max + self.requests_max {
            self.stop_keeping();
        }
    }

    /// Puts frames in front of all others. Nothing was sent then: the connection is new.
    pub(super) fn push_first(&mut self, frames: Vec<Bytes>) {
        for frame in frames.into_iter().rev() {
            self.bytes += frame.len();
            let fate = Fate::Bound;
            self.frames.push_front(Waiting { frame, fate });
        }
    }

    /// Frames that wait.
    pub(super) fn len(&self) -> usize {
        self.frames.len() - self.sent
    }

    /// Answers that wait.
    pub(super) fn answers(&self) -> usize {
        self.answers
    }

    /// Whether there is more room than when last asked.
    pub(super) fn take_freed(&mut self) -> bool {
        core::mem::take(&mut self.roomier)
    }

    /// Forgets what meant something in the session that is over, and what was sent.
    pub(super) fn handle_lost(&mut self) {
        self.stop_keeping();
        self.retain(|fate| fate == Fate::Kept);
    }

    /// Gives up frames that the hub would not take; says how many. Nothing was sent then: the connection is new.
    pub(super) fn discard_larger(&mut self, bytes_max: usize) -> usize {
        let before = self.frames.len();
        self.frames
            .retain(|waiting| waiting.frame.len() <= bytes_max);
        self.recount();
        before - self.frames.len()
    }

    /// Takes back a call that has not left; whether there was one.
    pub(super) fn withdraw(&mut self, call: u32) -> bool {
        let mut waiting = self.frames.range(self.sent..);
        let index = waiting.position(|waiting| waiting.fate == Fate::Call(call));
        let withdrawn = index.and_then(|index| self.frames.remove(self.sent + index));
        if let Some(withdrawn) = &withdrawn {
            self.bytes -= withdrawn.frame.len();
            self.roomier = true;
        }
        withdrawn.is_some()
    }

    /// Gives up frames of another fate. Nothing was sent then.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Fate) -> bool) {
        self.frames.retain(|waiting| keep(waiting.fate));
        self.recount();
    }

    fn recount(&mut self) {
        debug_assert_eq!(self.sent, 0, "what is under way may not change");
        self.bytes = self.frames.iter().map(|waiting| waiting.frame.len()).sum();
        let fates = self.frames.iter().map(|waiting| waiting.fate);
        self.answers = fates.filter(|fate| *fate == Fate::Answer).count();
        self.roomier = true;
    }

    /// Forgets what was sent, so that this session cannot go on after its connection.
    fn stop_keeping(&mut self) {
        self.keeps = false;
        self.confirm(self.sent);
    }

    /// Lets go of the oldest ones that were sent.
    fn confirm(&mut self, frames: usize) {
        for confirmed in self.frames.drain(..frames) {
            self.sent_bytes -= confirmed.frame.len();
        }
        self.sent -= frames;
        self.freed += frames as u64;
    }
}

impl Lane for Outbox {
    type Chunk<'a> = Chunk;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn peek(&mut self) -> Option<(Chunk, u32)> {
        let next = self.frames.get(self.sent).filter(|_| !self.is_held_up())?;
        Some((Chunk::Frame(next.frame.clone()), 1))
    }

    fn sent(&mut self, frames: u32) {
        for _ in 0..frames {
            let Some(sent) = self.frames.get(self.sent) else {
                return;
            };
            self.sent += 1;
            self.bytes -= sent.frame.len();
            self.sent_bytes += sent.frame.len();
            self.answers -= usize::from(sent.fate == Fate::Answer);
            self.roomier = true;
        }
        if !self.keeps {
            self.confirm(self.sent);
        }
    }

    fn acknowledged(&mut self, count: u64) {
        let known = count.saturating_sub(self.freed);
        self.confirm(self.sent.min(known as usize));
    }

    fn rewind(&mut self, to: u64) -> bool {
        let held = self.freed..=self.freed + self.sent as u64;
        if !held.contains(&to) {
            return false;
        }
        self.confirm((to - self.freed) as usize);
        (self.sent, self.sent_bytes, self.freed) = (0, 0, 0);
        self.recount();
        true
    }
}

/// What a client keeps for its session.
pub(super) struct Store {
    pub(super) outbox: Outbox,
    pub(super) slots: Vec<CallSlot>,
    /// None while there was no stream.
    pub(super) streams: Option<Table>,
}

impl Store {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            outbox: Outbox::new(limits),
            slots: alloc::vec![CallSlot::FREE; limits.calls_waiting_max as usize],
            streams: None,
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

    fn control(&mut self, idle: bool) -> Option<Frame<'static>> {
        self.streams.as_ref()?.lock().control(idle)
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
        outbox.begin(true);
        outbox.push(Bytes::from_static(b"taken"), Fate::Kept);
        outbox.push(Bytes::from_static(b"call"), Fate::Call(1));
        outbox.push(Bytes::from_static(b"answer"), Fate::Answer);
        outbox.push(Bytes::from_static(b"event"), Fate::Kept);
        outbox.sent(1);
        outbox.handle_lost();
        assert_eq!(texts(&outbox), [b"event"]);
        assert_eq!((outbox.bytes, outbox.answers(), outbox.len()), (5, 0, 1));
        assert!(outbox.take_freed());
    }

    #[test]
    fn a_call_that_has_not_left_can_be_taken_back() {
        let mut outbox = outbox(10, 100);
        outbox.begin(true);
        for call in 1..=3 {
            outbox.push(Bytes::from_static(b"call"), Fate::Call(call));
        }
        outbox.sent(1);
        outbox.withdraw(1);
        outbox.withdraw(3);
        assert_eq!((outbox.len(), outbox.bytes), (1, 4));
        assert!(outbox.rewind(0));
        assert_eq!(outbox.len(), 2, "the first one has left");
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

    fn peeked(outbox: &mut Outbox) -> Option<Vec<u8>> {
        let (chunk, _) = outbox.peek()?;
        Some(chunk.as_ref().to_vec())
    }

    #[test]
    fn what_was_sent_stays_until_it_is_confirmed() {
        let mut outbox = outbox(3, 100);
        outbox.begin(true);
        for frame in ["a", "b", "c"] {
            outbox.push(Bytes::from_static(frame.as_bytes()), Fate::Kept);
        }
        assert!(!outbox.has_room(1));
        outbox.sent(2);
        assert_eq!(peeked(&mut outbox), Some(b"c".into()));
        assert_eq!((outbox.len(), outbox.has_room(1)), (1, true));
        outbox.acknowledged(1);
        outbox.acknowledged(1);
        assert_eq!(texts(&outbox), [b"b", b"c"]);
        outbox.sent(1);
        assert!(outbox.is_empty(), "nothing waits to be sent");
        outbox.acknowledged(3);
        assert_eq!((outbox.frames.len(), outbox.sent_bytes), (0, 0));
    }

    #[test]
    fn as_much_is_under_way_as_may_wait() {
        let mut outbox = outbox(2, 10);
        outbox.begin(true);
        for _ in 0..3 {
            outbox.push(Bytes::from_static(b"12345"), Fate::Bound);
        }
        outbox.sent(1);
        assert!(outbox.peek().is_some());
        outbox.sent(1);
        assert!(outbox.is_held_up() && outbox.peek().is_none());
        outbox.acknowledged(1);
        assert!(outbox.peek().is_some());

        let mut outbox = self::outbox(2, 1_000);
        outbox.begin(true);
        for sent in 0..UNDER_WAY_MIN {
            outbox.push(Bytes::from_static(b"1"), Fate::Bound);
            assert!(outbox.peek().is_some(), "{sent}");
            outbox.sent(1);
        }
        outbox.push(Bytes::from_static(b"1"), Fate::Bound);
        assert!(outbox.peek().is_none());
    }

    #[test]
    fn exactly_what_the_hub_has_not_received_is_sent_again() {
        let mut outbox = outbox(10, 100);
        outbox.begin(true);
        for frame in ["a", "b", "c", "d"] {
            outbox.push(Bytes::from_static(frame.as_bytes()), Fate::Answer);
        }
        outbox.sent(3);
        outbox.acknowledged(1);
        assert_eq!(outbox.answers(), 1);
        assert!(!outbox.rewind(0), "it said before that it has one");
        assert!(!outbox.rewind(4), "it was sent three");
        assert!(outbox.rewind(2));
        assert_eq!(
            (texts(&outbox), outbox.answers()),
            ([&b"c"[..], b"d"].into(), 2)
        );
        outbox.begin(true);
        outbox.sent(1);
        assert!(outbox.rewind(1), "both sides have counted anew");
        assert_eq!(texts(&outbox), [b"d"]);
    }

    #[test]
    fn a_hub_that_confirms_nothing_cannot_make_it_grow() {
        let mut outbox = outbox(2, 10);
        outbox.begin(true);
        outbox.requests_max = 3;
        outbox.push(Bytes::from_static(b"1234567890"), Fate::Bound);
        outbox.sent(1);
        for _ in 0..5 {
            outbox.push(Bytes::from_static(b"1"), Fate::Bound);
        }
        assert_eq!((outbox.frames.len(), outbox.keeps()), (6, true));
        outbox.push(Bytes::from_static(b"1"), Fate::Bound);
        assert_eq!((outbox.frames.len(), outbox.keeps()), (6, false));
        outbox.sent(6);
        assert_eq!((outbox.frames.len(), outbox.bytes), (0, 0));
    }
}
