//! What waits, and what the hub pays for it.

use super::*;

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
    let much = bench.class.segments.append(&[0; 50_000]);
    bench.offer(OLDEST, 'a', 50);
    bench.class.segments.bytes(&much);
    drop(much);
    assert!(bench.budget.used() > 50_000);
    for _ in 0..2 * GENERATIONS_KEPT {
        let slice = bench.class.segments.append(&[0; 10]);
        bench.class.segments.bytes(&slice);
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
