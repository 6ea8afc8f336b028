//! What leaves, and in which pieces.

use super::*;

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
fn frames_of_a_websocket_leave_in_one_chunk_or_are_taken_one_by_one() {
    let mut bench = Bench::with_framing(Framing::WebSocket, 10_000, 100);
    bench.offer_run(FIXED, 'a', &[50, 500, 60], false);
    assert_eq!(bench.lane.peek().map(|(_, frames)| frames), Some(3));
    bench.lane.sent(1);
    bench.check();
    assert_eq!(bench.drain(), [event("a", 2), event("a", 3)]);
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
