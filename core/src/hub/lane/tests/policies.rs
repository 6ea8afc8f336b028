//! Who yields when there is no room.

use super::*;

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

#[test]
fn what_waits_for_an_ended_subscription_is_not_that_of_the_next_one() {
    let mut bench = Bench::new(10_000, 4);
    let newest = (1, Policy::DropNewest);
    for _ in 0..4 {
        bench.offer(newest, 'a', 50);
    }
    bench.lane.seal(|number| number == 1);
    bench.check();
    bench.answer();
    bench.answer();
    assert_eq!(bench.offer(newest, 'b', 50).dropped, 1);
    let heard = bench.drain();
    let told = [H::Lagged(1, 2), H::Answer, H::Answer, H::Lagged(1, 1)];
    assert_eq!(heard[2..], told);

    let latest = (2, Policy::KeepLatest);
    bench.answer();
    bench.offer(latest, 'c', 50);
    bench.lane.seal(|number| number == 2);
    bench.offer(latest, 'c', 50);
    let heard = bench.drain();
    assert_eq!(heard.len(), 3, "the older value stays: {heard:?}");
}
