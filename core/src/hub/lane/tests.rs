//! What a lane does with events that have no room, one rule each, then all of them at random.

use std::collections::BTreeMap;
use std::string::String;
use std::vec;

use proptest::prelude::*;

use super::*;
use crate::hub::segment::{Budget, GENERATIONS_KEPT};
use crate::policy::Policy;
use crate::protocol::Postcard;
use crate::wire::{self, Ack, Call, CloseReason, Event, Outcome, Payload};

/// One message, as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Event(String, u32),
    Lagged(u32, u64),
    Answer,
    Call,
}

use Heard as H;

struct Bench {
    lane: HubLane,
    segments: Arc<Segments>,
    budget: Arc<Budget>,
    next: u32,
}

impl Bench {
    fn new(bytes_max: usize, frames_max: u32) -> Self {
        Self::with_framing(Framing::LengthPrefix, bytes_max, frames_max)
    }

    fn with_framing(framing: Framing, bytes_max: usize, frames_max: u32) -> Self {
        let limits = Limits {
            lane_bytes_max: bytes_max as u32,
            lane_frames_max: frames_max,
            ..Limits::default()
        };
        let budget = Arc::new(Budget::new(u64::MAX));
        let segments = Arc::new(Segments::new(budget.clone()));
        let lane = HubLane::new(&limits, framing, Arc::new(Postcard), segments.clone());
        Self {
            lane,
            segments,
            budget,
            next: 0,
        }
    }

    /// Offers one event for each size, numbered on from the last one; a size is that of a whole framed message.
    fn offer_run(
        &mut self,
        (subscription, policy): (u32, Policy),
        topic: char,
        sizes: &[usize],
        tight: bool,
    ) -> Taken {
        let (mut framed, mut ends) = (BytesMut::new(), Vec::new());
        for size in sizes {
            self.next += 1;
            append_event(topic, self.next, *size, &mut framed);
            ends.push(framed.len() as u32);
        }
        let slice = self.segments.append(&framed);
        let offer = Offer {
            slice: &slice,
            ends: &ends,
            largest: sizes.iter().copied().max().unwrap_or(0),
            topic: topic.into(),
        };
        self.lane.offer(&offer, subscription, policy, tight)
    }

    fn offer(&mut self, to: (u32, Policy), topic: char, size: usize) -> Taken {
        let taken = self.offer_run(to, topic, &[size], false);
        self.check();
        taken
    }

    fn answer(&mut self) {
        self.lane.push_answer(&Frame::Ack(Ack {
            receipt: 1,
            outcome: Outcome::Subscribed,
        }));
    }

    fn call(&mut self) -> bool {
        self.lane.push_fixed(&Frame::Call(Call {
            id: 1,
            method: "m",
            deadline_ms: None,
            arguments: Payload::text(""),
        }))
    }

    /// Sends one chunk, as a session does.
    fn send(&mut self) -> Vec<Heard> {
        let Some((chunk, frames)) = self.lane.peek() else {
            return Vec::new();
        };
        let heard = match &chunk {
            Chunk::Frame(message) => vec![hear(message)],
            Chunk::Framed(framed) => hear_all(framed),
        };
        assert_eq!(heard.len(), frames as usize);
        self.lane.sent(frames);
        heard
    }

    fn drain(&mut self) -> Vec<Heard> {
        let mut all = Vec::new();
        while !self.lane.is_empty() {
            all.extend(self.send());
            self.check();
        }
        all
    }

    /// What must hold after every step.
    fn check(&self) {
        let lane = &self.lane;
        let (mut all, mut droppable, mut bounded) = <(Load, Load, Load)>::default();
        let mut answers = Load::default();
        let mut last_was_hole = BTreeMap::new();
        for entry in &lane.entries {
            all += entry.load();
            match entry.owner {
                Owner::Answer => answers += entry.load(),
                Owner::Fixed => bounded += entry.load(),
                Owner::Droppable { subscription, .. } => {
                    bounded += entry.load();
                    droppable += entry.load();
                    let hole = entry.is_hole();
                    let before = last_was_hole.insert(subscription, hole);
                    assert!(
                        before != Some(true) || !hole,
                        "two notes that should be one"
                    );
                }
            }
        }
        assert_eq!(
            (all, droppable, answers),
            (lane.all, lane.droppable, lane.answers)
        );
        assert!(bounded.bytes <= lane.bytes_max || bounded.frames == 1);
        assert!(bounded.frames <= lane.frames_max);
        assert!(droppable.bytes <= lane.bytes_max / 2 || droppable.frames == 1);
        assert!(droppable.frames <= lane.frames_max.div_ceil(2));
    }
}

/// Appends an event that has this size when it is framed, or one byte less where there is none of this size.
fn append_event(topic: char, number: u32, size: usize, into: &mut BytesMut) {
    let (start, mut letter) = (into.len(), [0; 4]);
    let topic = &*topic.encode_utf8(&mut letter);
    let mut payload = vec![0; size];
    payload[..4].copy_from_slice(&number.to_le_bytes());
    // The length of the payload has a length of its own.
    for around in 10.. {
        into.truncate(start);
        let payload = Payload::bytes(&payload[..size - around]);
        let event = Event {
            topic,
            direct: false,
            offset: None,
            payload,
        };
        append_framed(&Postcard, &Frame::Event(event), into);
        if into.len() - start <= size {
            break;
        }
    }
    assert!(into.len() - start + 1 >= size);
}

fn hear(message: &[u8]) -> Heard {
    match wire::decode(message).expect("a frame").expect("known") {
        Frame::Event(Event { topic, payload, .. }) => {
            let number = payload.bytes.first_chunk().expect("it has a number");
            H::Event(topic.into(), u32::from_le_bytes(*number))
        }
        Frame::Lagged(Lagged {
            subscription,
            missed,
        }) => H::Lagged(subscription, missed),
        Frame::Ack(_) => H::Answer,
        Frame::Call(_) => H::Call,
        other => panic!("{other:?}"),
    }
}

fn hear_all(mut framed: &[u8]) -> Vec<Heard> {
    let mut all = Vec::new();
    while !framed.is_empty() {
        let length = framed_length(framed);
        all.push(hear(&framed[PREFIX..length]));
        framed = &framed[length..];
    }
    all
}

fn event(topic: &str, number: u32) -> Heard {
    H::Event(topic.into(), number)
}

const FIXED: (u32, Policy) = (1, Policy::Disconnect);
const OLDEST: (u32, Policy) = (2, Policy::DropOldest);
const NEWEST: (u32, Policy) = (3, Policy::DropNewest);
const LATEST: (u32, Policy) = (4, Policy::KeepLatest);

// ── writing ──

#[test]
fn slices_that_touch_are_one_entry_and_one_chunk() {
    let mut bench = Bench::new(10_000, 100);
    bench.offer_run(FIXED, 'a', &[50, 60], false);
    bench.offer(FIXED, 'b', 70);
    assert_eq!(bench.lane.entries.len(), 1);
    let (chunk, frames) = bench.lane.peek().expect("three events");
    assert_eq!((chunk.as_ref().len(), frames), (180, 3));
}

#[test]
fn neighbours_that_may_be_dropped_leave_in_one_chunk_too() {
    let mut bench = Bench::new(10_000, 100);
    bench.offer(OLDEST, 'a', 50);
    bench.offer(FIXED, 'b', 50);
    bench.offer(LATEST, 'c', 50);
    assert_eq!(bench.lane.entries.len(), 3);
    assert_eq!(bench.lane.peek().map(|(_, frames)| frames), Some(3));
}

#[test]
fn without_framing_messages_leave_one_by_one() {
    let mut bench = Bench::with_framing(Framing::None, 10_000, 100);
    bench.offer_run(FIXED, 'a', &[50, 60, 70], false);
    bench.offer(OLDEST, 'b', 50);
    for (topic, number) in [("a", 1), ("a", 2), ("a", 3), ("b", 4)] {
        assert_eq!(bench.send(), [event(topic, number)]);
        bench.check();
    }
    assert!(bench.lane.is_empty());
}

// ── who yields ──

#[test]
fn an_event_that_the_peer_would_not_take_is_missed_or_ends_it() {
    let mut bench = Bench::new(1_000, 100);
    bench.lane.set_message_bytes_max(50);
    for size in [50 + PREFIX, 51 + PREFIX, 50] {
        bench.offer(OLDEST, 'a', size);
    }
    assert_eq!(
        bench.drain(),
        [event("a", 1), H::Lagged(OLDEST.0, 1), event("a", 3)]
    );
    let too_large = CloseReason::MessageTooLarge { size: 51, max: 50 };
    let taken = bench.offer(FIXED, 'a', 51 + PREFIX);
    assert_eq!(taken.overflow, Some(too_large));
}

#[test]
fn disconnect_takes_as_many_bytes_as_allowed_and_not_one_more() {
    let mut bench = Bench::new(200, 100);
    bench.offer(FIXED, 'a', 150);
    let overflow = Taken {
        dropped: 1,
        overflow: Some(CloseReason::TooSlow),
        ..Taken::default()
    };
    assert_eq!(bench.offer(FIXED, 'a', 51), overflow);
    assert_eq!(bench.offer(FIXED, 'a', 50).queued, 1);
    assert_eq!(bench.lane.bytes(), 200);
}

#[test]
fn disconnect_takes_as_many_frames_as_allowed_and_not_one_more() {
    let mut bench = Bench::new(10_000, 3);
    assert!(
        bench
            .offer_run(FIXED, 'a', &[50, 50, 50, 50], false)
            .overflow
            .is_some()
    );
    assert_eq!(bench.lane.frames(), 0, "all of them, or none");
    assert_eq!(bench.offer_run(FIXED, 'a', &[50, 50, 50], false).queued, 3);
    assert!(bench.offer(FIXED, 'a', 50).overflow.is_some());
}

#[test]
fn droppable_subscriptions_together_hold_half_of_the_frames() {
    let mut bench = Bench::new(10_000, 4);
    bench.offer(NEWEST, 'a', 50);
    bench.offer(LATEST, 'b', 50);
    assert_eq!(bench.offer(NEWEST, 'a', 50).dropped, 1);
    assert_eq!(
        bench.offer(OLDEST, 'a', 50).dropped,
        1,
        "it has none to give"
    );
    assert_eq!(bench.offer_run(FIXED, 'c', &[50, 50], false).queued, 2);
}

#[test]
fn droppable_subscriptions_together_hold_half_of_the_bytes() {
    let mut bench = Bench::new(400, 100);
    bench.offer(NEWEST, 'a', 150);
    assert_eq!(bench.offer(NEWEST, 'a', 51).dropped, 1);
    assert_eq!(bench.offer(LATEST, 'b', 50).queued, 1);
    assert_eq!(bench.offer(FIXED, 'c', 200).queued, 1);
}

#[test]
fn drop_oldest_gives_only_its_own_and_notes_it_in_their_place() {
    let mut bench = Bench::new(10_000, 6);
    bench.offer(NEWEST, 'n', 50);
    bench.offer(OLDEST, 'a', 50);
    bench.offer(FIXED, 'f', 50);
    bench.offer(OLDEST, 'a', 50);
    for _ in 0..3 {
        let taken = bench.offer(OLDEST, 'b', 50);
        assert_eq!((taken.queued, taken.dropped), (1, 1));
    }
    let (n, lagged, f) = (event("n", 1), H::Lagged(2, 3), event("f", 3));
    let expected = [n, lagged, f, event("b", 6), event("b", 7)];
    assert_eq!(bench.drain(), expected);
}

#[test]
fn drop_oldest_gives_as_many_as_are_needed() {
    let mut bench = Bench::new(400, 100);
    bench.offer_run(OLDEST, 'a', &[50, 50, 50, 50], false);
    let taken = bench.offer(OLDEST, 'a', 101);
    assert_eq!((taken.queued, taken.dropped), (1, 3));
    let expected = [H::Lagged(2, 3), event("a", 4), event("a", 5)];
    assert_eq!(bench.drain(), expected);
}

#[test]
fn drop_oldest_gives_nothing_when_that_would_not_be_enough() {
    let mut bench = Bench::new(400, 100);
    bench.offer(FIXED, 'f', 350);
    bench.offer(OLDEST, 'a', 50);
    assert_eq!(bench.offer(OLDEST, 'a', 51).dropped, 1);
    let expected = [event("f", 1), event("a", 2), H::Lagged(2, 1)];
    assert_eq!(bench.drain(), expected);
}

#[test]
fn drop_newest_notes_what_is_missing_at_the_end() {
    let mut bench = Bench::new(10_000, 4);
    bench.offer_run(NEWEST, 'a', &[50; 5], false);
    bench.offer(FIXED, 'f', 50);
    bench.offer(NEWEST, 'a', 50);
    let expected = [event("a", 1), event("a", 2), H::Lagged(3, 4), event("f", 6)];
    assert_eq!(bench.drain(), expected);
}

#[test]
fn keep_latest_puts_the_newest_value_in_the_place_of_the_older_one() {
    let mut bench = Bench::new(10_000, 100);
    for topic in "abcba".chars() {
        bench.offer(LATEST, topic, 50);
    }
    let expected = [
        H::Lagged(4, 1),
        event("a", 5),
        H::Lagged(4, 1),
        event("b", 4),
        event("c", 3),
    ];
    assert_eq!(bench.drain(), expected);
}

#[test]
fn keep_latest_keeps_to_the_bounds_with_values_that_grow() {
    let mut bench = Bench::new(400, 100);
    bench.offer_run(LATEST, 'a', &[50], false);
    bench.offer_run(LATEST, 'b', &[50], false);
    bench.offer_run(LATEST, 'c', &[50], false);
    assert_eq!(bench.offer(LATEST, 'b', 151).dropped, 3);
    assert_eq!(bench.drain(), [H::Lagged(4, 3), event("b", 4)]);
}

#[test]
fn the_same_topic_of_another_subscription_is_another_value() {
    let mut bench = Bench::new(10_000, 100);
    bench.offer(LATEST, 'a', 50);
    assert_eq!(bench.offer((5, Policy::KeepLatest), 'a', 50).dropped, 0);
    assert_eq!(bench.drain(), [event("a", 1), event("a", 2)]);
}

#[test]
fn an_event_larger_than_the_lane_is_taken_when_nothing_waits() {
    for to in [FIXED, OLDEST, NEWEST, LATEST] {
        let mut bench = Bench::new(200, 100);
        assert_eq!(bench.offer(to, 'a', 1_000).queued, 1, "{to:?}");
        assert_eq!(bench.drain(), [event("a", 1)]);

        bench.offer(FIXED, 'f', 50);
        assert_eq!(bench.offer(to, 'a', 1_000).queued, 0, "{to:?}");
    }
}

#[test]
fn the_newest_event_wins_however_large_it_is() {
    for to in [OLDEST, LATEST] {
        let mut bench = Bench::new(200, 100);
        for size in [50, 1_000, 2_000, 50] {
            assert_eq!(bench.offer(to, 'a', size).queued, 1);
        }
        assert_eq!(bench.drain(), [H::Lagged(to.0, 3), event("a", 4)]);
    }
}

#[test]
fn a_note_that_was_sent_is_over_and_the_next_loss_is_a_new_one() {
    let mut bench = Bench::new(10_000, 4);
    bench.offer_run(OLDEST, 'a', &[50; 4], false);
    assert_eq!(bench.send(), [H::Lagged(2, 2)]);
    bench.offer(OLDEST, 'a', 50);
    let expected = [H::Lagged(2, 1), event("a", 4), event("a", 5)];
    assert_eq!(bench.drain(), expected);
}

#[test]
fn notes_become_one_when_nothing_is_left_between_them() {
    let mut bench = Bench::new(400, 100);
    for _ in 0..100 {
        bench.offer(OLDEST, 'a', 50);
        bench.offer(FIXED, 'f', 50);
        bench.offer(OLDEST, 'a', 120);
        bench.send();
    }
    assert!(
        bench.lane.entries.len() < 20,
        "{}",
        bench.lane.entries.len()
    );
}

#[test]
fn notes_take_no_room() {
    let mut bench = Bench::new(10_000, 2);
    bench.offer_run(FIXED, 'f', &[50, 50], false);
    for subscription in 10..20 {
        bench.offer((subscription, Policy::DropNewest), 'a', 50);
    }
    assert_eq!((bench.lane.frames(), bench.lane.entries.len()), (2, 11));
    bench.send();
    assert_eq!(bench.offer_run(FIXED, 'f', &[50, 50], false).queued, 2);
}

// ── answers and calls ──

#[test]
fn answers_are_never_dropped_and_counted() {
    let mut bench = Bench::new(100, 2);
    bench.offer(FIXED, 'f', 100);
    for count in 1..=5 {
        bench.answer();
        assert_eq!(bench.lane.answers.frames, count);
        bench.check();
    }
    assert!(bench.offer(FIXED, 'f', 50).overflow.is_some());
    bench.offer(OLDEST, 'a', 50);
    assert_eq!(bench.drain()[1..6], [const { H::Answer }; 5]);
    assert_eq!(bench.lane.answers, Load::default());
}

#[test]
fn who_subscribes_ever_anew_has_to_take_its_notes_first() {
    let mut bench = Bench::new(10_000, 4);
    let misses = |bench: &mut Bench, numbers: core::ops::Range<u32>| {
        for subscription in numbers {
            bench.offer_run((subscription, Policy::DropNewest), 'a', &[50], false);
        }
    };
    let Limits {
        subscriptions_max, ..
    } = Limits::default();
    misses(&mut bench, 1..subscriptions_max);
    misses(&mut bench, 1..subscriptions_max);
    assert!(!bench.lane.is_answering_enough(), "so many it may have");
    misses(&mut bench, subscriptions_max..2 * subscriptions_max);
    assert!(bench.lane.is_answering_enough());
    bench.drain();
    assert!(!bench.lane.is_answering_enough());
}

#[test]
fn a_call_needs_room_like_an_event_that_is_not_dropped() {
    let mut bench = Bench::new(10_000, 2);
    assert!(bench.call() && bench.call());
    assert!(!bench.call());
    assert_eq!(bench.drain(), [H::Call, H::Call]);
}

// ── memory ──

#[test]
fn without_memory_for_more_only_an_older_event_makes_room() {
    let mut bench = Bench::new(10_000, 100);
    assert_eq!(
        bench.offer_run(FIXED, 'f', &[50], true).queued,
        1,
        "nothing waits"
    );
    assert!(bench.offer_run(FIXED, 'f', &[50], true).overflow.is_some());
    assert_eq!(bench.offer_run(NEWEST, 'n', &[50], true).dropped, 1);
    assert_eq!(bench.offer_run(OLDEST, 'a', &[50], true).dropped, 1);
    bench.offer(OLDEST, 'a', 50);
    bench.offer(LATEST, 'l', 50);
    for to in [(OLDEST, 'a'), (LATEST, 'l')] {
        let taken = bench.offer_run(to.0, to.1, &[50], true);
        assert_eq!((taken.queued, taken.dropped), (1, 1));
    }
    bench.check();
}

#[test]
fn without_memory_for_more_two_events_make_room_for_one() {
    for (to, topic) in [(OLDEST, "aaaa"), (LATEST, "abcd")] {
        let mut bench = Bench::new(10_000, 100);
        for topic in topic.chars() {
            bench.offer(to, topic, 50);
        }
        for left in [3, 2, 1, 1] {
            bench.offer_run(to, 'd', &[50], true);
            bench.check();
            assert_eq!(bench.lane.frames(), left);
        }
        assert!(bench.drain().contains(&event("d", 8)), "the newest is kept");
    }
}

#[test]
fn what_waits_in_old_segments_is_copied_out_of_them() {
    let mut bench = Bench::new(1_000_000, 1_000);
    // Much that others have had, and a little that waits here.
    let much = bench.segments.append(&[0; 50_000]);
    bench.offer(OLDEST, 'a', 50);
    bench.segments.bytes(&much);
    drop(much);
    assert!(bench.budget.used() > 50_000);
    for _ in 0..2 * GENERATIONS_KEPT {
        let slice = bench.segments.append(&[0; 10]);
        bench.segments.bytes(&slice);
        bench.offer(OLDEST, 'a', 50);
    }
    assert!(bench.budget.used() < 5_000, "{}", bench.budget.used());
    let expected: Vec<_> = (1..).take(1 + 2 * GENERATIONS_KEPT as usize).collect();
    let heard = bench.drain();
    assert_eq!(
        heard,
        expected
            .into_iter()
            .map(|number| event("a", number))
            .collect::<Vec<_>>()
    );
}

#[test]
fn the_budget_is_whole_again_when_nothing_waits() {
    let mut bench = Bench::new(1_000, 100);
    for to in [FIXED, OLDEST, NEWEST, LATEST] {
        bench.offer(to, 'a', 50);
    }
    bench.answer();
    assert!(bench.budget.used() >= 200);
    bench.lane.clear();
    bench.check();
    assert_eq!(bench.budget.used(), 0, "nobody needs the open segment");
    bench.offer(FIXED, 'a', 50);
    bench.drain();
    assert_eq!(bench.budget.used(), 0);
}

#[test]
fn what_the_transport_has_is_in_the_budget() {
    for framing in [Framing::None, Framing::LengthPrefix] {
        let mut bench = Bench::with_framing(framing, 1_000, 100);
        bench.offer(FIXED, 'a', 50);
        bench.answer();
        let mut handed_over = Vec::new();
        while let Some((chunk, frames)) = bench.lane.peek() {
            handed_over.push(chunk);
            bench.lane.sent(frames);
        }
        assert!(bench.budget.used() > 50);
        drop(handed_over);
        assert_eq!(bench.budget.used(), 0);
    }
}

#[test]
fn an_empty_lane_keeps_no_memory() {
    let mut bench = Bench::new(10_000, 100);
    for _ in 0..50 {
        bench.offer(OLDEST, 'a', 50);
    }
    bench.drain();
    assert_eq!(bench.lane.entries.capacity(), 0);
}

// ── at random ──

#[derive(Clone, Debug)]
enum Step {
    Offer {
        subscription: u32,
        topic: char,
        sizes: Vec<usize>,
        tight: bool,
    },
    Answer,
    Call,
    Send,
    Drain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![6 => 20..80_usize, 1 => 80..300_usize, 1 => 300..900_usize];
    let offer = (
        1..=8_u32,
        proptest::sample::select(&['a', 'b', 'c'][..]),
        proptest::collection::vec(size, 1..4),
        proptest::bool::weighted(0.1),
    )
        .prop_map(|(subscription, topic, sizes, tight)| Step::Offer {
            subscription,
            topic,
            sizes,
            tight,
        });
    let step = prop_oneof![
        20 => offer,
        1 => Just(Step::Answer),
        1 => Just(Step::Call),
        4 => Just(Step::Send),
        1 => Just(Step::Drain),
    ];
    proptest::collection::vec(step, 0..120)
}

fn policy_of(subscription: u32) -> Policy {
    let policies = [
        Policy::Disconnect,
        Policy::DropOldest,
        Policy::DropNewest,
        Policy::KeepLatest,
    ];
    policies[subscription as usize % 4]
}

/// What the subscriber of one subscription should hear, kept as simply as possible.
#[derive(Default)]
struct Reader {
    /// All events that were offered, in order.
    offered: Vec<(String, u32)>,
    dropped: u64,
    received: u64,
    missed: u64,
    /// The newest number of each topic that was heard.
    newest: BTreeMap<String, u32>,
}

impl Reader {
    fn hear(&mut self, policy: Policy, topic: &str, number: u32) {
        if policy != Policy::KeepLatest {
            // What is missing before it is told before it, to the last event.
            let place = (self.received + self.missed) as usize;
            assert_eq!(self.offered[place], (topic.into(), number));
        }
        let older = self.newest.insert(topic.into(), number);
        assert!(older < Some(number), "{topic} goes back in time");
        self.received += 1;
    }
}

proptest! {
    #[test]
    fn every_loss_is_told_and_every_bound_is_kept(steps in steps(), framed: bool, frames_max in 1..12_u32) {
        let framing = if framed { Framing::LengthPrefix } else { Framing::None };
        let mut bench = Bench::with_framing(framing, 500, frames_max);
        let mut readers: BTreeMap<u32, Reader> = BTreeMap::new();
        let mut owner_of = BTreeMap::new();
        let (mut answers, mut calls) = (0, 0);
        for step in steps.into_iter().chain([Step::Drain]) {
            let heard = match step {
                Step::Offer { subscription, topic, sizes, tight } => {
                    let policy = policy_of(subscription);
                    let first = bench.next + 1;
                    let taken = bench.offer_run((subscription, policy), topic, &sizes, tight);
                    let reader = readers.entry(subscription).or_default();
                    if taken.overflow.is_none() {
                        let numbers = first..first + sizes.len() as u32;
                        reader.offered.extend(numbers.clone().map(|number| (topic.into(), number)));
                        reader.dropped += u64::from(taken.dropped);
                        owner_of.extend(numbers.map(|number| (number, subscription)));
                    }
                    prop_assert!(taken.overflow.is_none() || (policy == Policy::Disconnect && taken.queued == 0));
                    Vec::new()
                }
                Step::Answer => { bench.answer(); answers += 1; Vec::new() }
                Step::Call => { calls += u32::from(bench.call()); Vec::new() }
                Step::Send => bench.send(),
                Step::Drain => bench.drain(),
            };
            bench.check();
            for heard in heard {
                match heard {
                    H::Answer => answers -= 1,
                    H::Call => calls -= 1,
                    H::Lagged(subscription, missed) => readers.entry(subscription).or_default().missed += missed,
                    H::Event(topic, number) => {
                        let subscription = owner_of[&number];
                        let reader = readers.entry(subscription).or_default();
                        reader.hear(policy_of(subscription), &topic, number);
                    }
                }
            }
        }
        prop_assert_eq!((answers, calls, bench.lane.bytes()), (0, 0, 0));
        for reader in readers.values() {
            prop_assert_eq!(reader.missed, reader.dropped);
            prop_assert_eq!(reader.received + reader.missed, reader.offered.len() as u64);
        }
        drop(bench.lane);
        prop_assert_eq!(bench.budget.used(), 0);
    }
}
