//! Frames that are never dropped.

use super::*;

#[test]
fn answers_are_never_dropped_and_counted() {
    let mut bench = Bench::new(100, 2);
    bench.offer(FIXED, 'f', 100);
    for count in 1..=5 {
        bench.answer();
        assert_eq!(bench.lane.answers.frames(), count);
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
