//! Numbers, accounts and verdicts.

use core::task::{Context, Poll};

use bytes::Bytes;

use super::*;
use crate::wire::{Encoding, Verdict};

fn subscribe(all: &mut Subscriptions, filter: &str, policy: Option<Policy>) -> (u64, Arc<Queue>) {
    let queue = Arc::new(Queue::new(16));
    let filter = TopicFilter::new(filter).expect("a good filter");
    let options = SubscribeOptions {
        policy,
        ..SubscribeOptions::default()
    };
    let key = all.insert(filter, options, queue.clone(), oneshot::channel().0);
    (key, queue)
}

fn confirm_all(all: &mut Subscriptions) -> Told {
    let mut told = Told::default();
    let numbers: Vec<_> = all.entries.iter().map(|entry| entry.number).collect();
    for number in numbers {
        all.confirm(number, Outcome::Subscribed, &mut told);
    }
    told
}

fn hear(all: &mut Subscriptions, topic: &str) {
    let topic = Topic::new(topic).expect("a good topic");
    let envelope = Envelope::new(topic, Encoding::Bytes, Bytes::new());
    all.hear(topic, &envelope, &mut Told::default());
}

fn read(queue: &Queue) -> Vec<Delivery> {
    let mut cx = Context::from_waker(Waker::noop());
    let next = || match queue.poll_next(&mut cx) {
        Poll::Ready(delivery) => delivery,
        Poll::Pending => None,
    };
    core::iter::from_fn(next).collect()
}

fn numbers(requests: &[Request]) -> Vec<(Range<u32>, Option<Policy>)> {
    let numbers = requests
        .iter()
        .map(|request| (request.numbers(), request.policy));
    numbers.collect()
}

#[test]
fn an_event_counts_for_the_oldest_and_is_heard_by_all_that_match() {
    let mut all = Subscriptions::default();
    let (_, wide) = subscribe(&mut all, "room/**", None);
    let (_, narrow) = subscribe(&mut all, "room/7", None);
    let (_, other) = subscribe(&mut all, "door", None);
    confirm_all(&mut all);
    hear(&mut all, "room/7");
    hear(&mut all, "room/8");
    let accounted = [&wide, &narrow, &other].map(|queue| queue.accounted());
    assert_eq!(accounted, [2, 0, 0]);
    assert_eq!(
        [&wide, &narrow, &other].map(|queue| read(queue).len()),
        [2, 1, 0]
    );
}

#[test]
fn nothing_counts_before_the_hub_has_confirmed() {
    let mut all = Subscriptions::default();
    let (_, queue) = subscribe(&mut all, "a", None);
    hear(&mut all, "a");
    assert_eq!((queue.accounted(), read(&queue).len()), (0, 0));
}

#[test]
fn one_that_leaves_counts_until_the_hub_has_confirmed_that() {
    let mut all = Subscriptions::default();
    let (key, old) = subscribe(&mut all, "a", None);
    let (_, young) = subscribe(&mut all, "*", None);
    confirm_all(&mut all);
    assert!(matches!(all.leave(key, &mut Vec::new()), Left::Asking(1)));
    assert!(matches!(all.leave(key, &mut Vec::new()), Left::Alone));
    hear(&mut all, "a");
    all.left(1);
    hear(&mut all, "a");
    assert_eq!((old.accounted(), young.accounted()), (1, 1));
    assert_eq!((read(&old).len(), read(&young).len()), (0, 2));
}

#[test]
fn a_loss_is_told_to_the_younger_ones_that_may_share_it() {
    let mut all = Subscriptions::default();
    let (_, oldest) = subscribe(&mut all, "room/7", None);
    let (_, lagging) = subscribe(&mut all, "room/*", None);
    let (_, sharing) = subscribe(&mut all, "**", None);
    let (_, apart) = subscribe(&mut all, "door/*", None);
    confirm_all(&mut all);
    all.lag(2, 5, &mut Told::default());
    assert_eq!(read(&lagging), [Delivery::Lagged(5)]);
    assert_eq!(read(&sharing), [Delivery::Gap(None)]);
    assert_eq!((read(&oldest), read(&apart)), (Vec::new(), Vec::new()));
    assert_eq!((lagging.accounted(), sharing.accounted()), (5, 0));
}

#[test]
fn a_new_connection_gets_one_request_per_policy_and_tells_of_the_gap() {
    let mut all = Subscriptions::default();
    let (_, a) = subscribe(&mut all, "a", None);
    let (_, b) = subscribe(&mut all, "b", Some(Policy::DropOldest));
    let (_, c) = subscribe(&mut all, "c", None);
    confirm_all(&mut all);
    hear(&mut all, "a");
    let (_, new) = subscribe(&mut all, "d", None);

    all.handle_lost();
    let requests = all.renew(1_000);
    // Nobody knows yet whether the topics of the new one keep a history.
    let expected = [(1..3, None), (3..4, None), (4..5, Some(Policy::DropOldest))];
    assert_eq!(numbers(&requests), expected);
    assert_eq!(requests[0].filters, ["a".into(), "c".into()]);

    confirm_all(&mut all);
    assert_eq!(read(&a).last(), Some(&Delivery::Gap(None)));
    assert_eq!(
        (read(&b), read(&c)),
        ([Delivery::Gap(None)].into(), [Delivery::Gap(None)].into())
    );
    assert_eq!(read(&new), [], "it has missed nothing");
    assert_eq!(a.accounted(), 0, "the hub counts anew");
}

#[test]
fn a_request_is_as_large_as_a_message_may_be() {
    let mut all = Subscriptions::default();
    for filter in ["aaaaaaaa", "bbbbbbbb", "cccccccc"] {
        subscribe(&mut all, filter, None);
    }
    confirm_all(&mut all);
    let requests = all.renew(FRAME_BYTES + 2 * (8 + FILTER_BYTES));
    assert_eq!(numbers(&requests), [(1..3, None), (3..4, None)]);
    assert_eq!(all.renew(1).len(), 3);
}

fn replay(all: &mut Subscriptions, number: u32, offset: u64, told: &mut Told) {
    let topic = Topic::new("log").expect("a good topic");
    let envelope = Envelope::new(topic, Encoding::Bytes, Bytes::new()).at(Some(offset));
    all.replay(number, envelope, told);
}

/// A history may still have what there was no room for at the time.
#[test]
fn what_was_told_as_missing_stays_missing_when_history_brings_it() {
    let (mut all, mut told) = (Subscriptions::default(), Told::default());
    let (_, log) = subscribe(&mut all, "log", None);
    let positioned = |offset, verdict| Outcome::Positioned {
        first: 1,
        epoch: 1,
        offset,
        verdict,
    };
    assert!(all.ask_newest().is_some());
    all.confirm(1, positioned(5, Verdict::Resumed), &mut told);
    all.lag(1, 3, &mut told);
    all.handle_lost();
    let asked = all.renew(1024);
    let (epoch, offset) = (1, 5);
    assert_eq!(asked[0].start, Start::Offset { epoch, offset });
    let (from, to) = (6, 10);
    let verdict = Verdict::Replayed { from, to };
    all.confirm(1, positioned(10, verdict), &mut told);
    // One of them is too large, and is missed once more.
    replay(&mut all, 1, 6, &mut told);
    all.lag(1, 1, &mut told);
    for offset in 8..=10 {
        replay(&mut all, 1, offset, &mut told);
    }
    all.come_live(1, 10, &mut told);
    let heard: Vec<_> = read(&log)
        .into_iter()
        .map(|delivery| match delivery {
            Delivery::Event(event) => Err(event.offset()),
            other => Ok(other),
        })
        .collect();
    let told = [
        Ok(Delivery::Lagged(3)),
        Ok(Delivery::Replayed { from, to }),
        Err(Some(9)),
        Err(Some(10)),
        Ok(Delivery::Live),
    ];
    assert_eq!(heard, told);
    assert_eq!(log.accounted(), 5);
}

/// The same when that was told on a return, and the session is over before history is heard.
#[test]
fn what_was_a_gap_stays_one_when_history_brings_it_to_another_session() {
    let (mut all, mut told) = (Subscriptions::default(), Told::default());
    let log = begin(&mut all, Start::Now);
    all.confirm(1, positioned(1, 5), &mut told);
    let gap = Verdict::Gap { missed: Some(2) };
    all.take_verdicts([(all.positions()[0], gap)].into_iter(), &mut told);
    all.handle_lost();
    let (epoch, offset) = (1, 5);
    assert_eq!(all.renew(1024)[0].start, Start::Offset { epoch, offset });
    all.confirm(1, positioned(1, 8), &mut told);
    for offset in 6..=8 {
        replay(&mut all, 1, offset, &mut told);
    }
    let heard = read(&log);
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert_eq!(heard[..2], [Delivery::Gap(Some(2)), Delivery::Resumed]);
    let is_eighth = |event: &Envelope| event.offset() == Some(8);
    assert!(matches!(&heard[2], Delivery::Event(event) if is_eighth(event)));
}

fn begin(all: &mut Subscriptions, start: Start) -> Arc<Queue> {
    let options = SubscribeOptions {
        start,
        ..SubscribeOptions::default()
    };
    let queue = Arc::new(Queue::new(16));
    let filter = TopicFilter::new("log").expect("a good filter");
    all.insert(filter, options, queue.clone(), oneshot::channel().0);
    assert!(all.ask_newest().is_some());
    queue
}

fn positioned(epoch: u64, offset: u64) -> Outcome {
    Outcome::Positioned {
        first: 1,
        epoch,
        offset,
        verdict: Verdict::Resumed,
    }
}

/// What was missed may be the newest value of another topic.
#[test]
fn values_are_not_taken_for_known_ones_when_some_were_missed() {
    for lagged in [false, true] {
        let (mut all, mut told) = (Subscriptions::default(), Told::default());
        let values = begin(&mut all, Start::Retained);
        all.confirm(1, positioned(1, 9), &mut told);
        all.come_live(1, 9, &mut told);
        if lagged {
            all.lag(1, 1, &mut told);
        }
        all.handle_lost();
        all.renew(1024);
        all.deny(2, Denied::NoHistory, &mut told);
        if let Some(again) = all.ask_elsewhere(1, Denied::NoHistory) {
            assert_eq!(again.start, Start::Retained);
        }
        all.confirm(1, positioned(1, 9), &mut told);
        read(&values);
        replay(&mut all, 1, 7, &mut told);
        assert_eq!(read(&values).len(), usize::from(lagged));
    }
}

#[test]
fn where_offsets_say_nothing_a_subscription_has_no_place() {
    let (mut all, mut told) = (Subscriptions::default(), Told::default());
    let _log = begin(&mut all, Start::Beginning);
    all.confirm(1, positioned(0, 9), &mut told);
    all.come_live(1, 9, &mut told);
    all.handle_lost();
    assert_eq!(all.renew(1024)[0].start, Start::Now);
}

#[test]
fn a_gap_is_told_without_what_was_told_before() {
    let (mut all, mut told) = (Subscriptions::default(), Told::default());
    let log = begin(&mut all, Start::Now);
    all.confirm(1, positioned(1, 5), &mut told);
    all.lag(1, 3, &mut told);
    all.handle_lost();
    all.renew(1024);
    all.confirm(1, positioned(1, 9), &mut told);
    let position = all.positions()[0];
    // The three were on their way, and are gone.
    let missed = Some(4);
    let gap = (position, Verdict::Gap { missed });
    all.take_verdicts([gap].into_iter(), &mut told);
    all.come_live(1, 9, &mut told);
    all.take_verdicts([(position, Verdict::Resumed)].into_iter(), &mut told);
    replay(&mut all, 1, 10, &mut told);
    let heard = read(&log);
    assert_eq!(heard[0], Delivery::Lagged(3));
    assert!(heard.contains(&Delivery::Gap(Some(1))), "{heard:?}");
    assert!(
        matches!(heard.last(), Some(Delivery::Event(_))),
        "{heard:?}"
    );
}

#[test]
fn values_begin_anew_after_a_gap() {
    let (mut all, mut told) = (Subscriptions::default(), Told::default());
    let _values = begin(&mut all, Start::Retained);
    all.confirm(1, positioned(1, 9), &mut told);
    all.come_live(1, 9, &mut told);
    let missed = Some(20);
    let gap = (all.positions()[0], Verdict::Gap { missed });
    all.take_verdicts([gap].into_iter(), &mut told);
    all.handle_lost();
    assert_eq!(all.renew(1024)[0].start, Start::Retained);
}

/// The hub goes on with it until it is asked to end it, and replays what it lost.
#[test]
fn one_that_leaves_during_a_return_sleeps_as_the_hub_has_it() {
    let (mut all, mut told) = (Subscriptions::default(), Told::default());
    let (key, _) = subscribe(&mut all, "log", None);
    assert!(all.ask_newest().is_some());
    all.confirm(1, positioned(1, 9), &mut told);
    let (_, other) = subscribe(&mut all, "log", None);
    assert!(all.ask_newest().is_some());
    all.confirm(2, Outcome::Subscribed, &mut told);
    let resumed = |position| (position, Verdict::Resumed);
    let positions = all.positions();
    assert!(matches!(all.leave(key, &mut Vec::new()), Left::Asking(1)));
    let unread = all.take_verdicts(positions.into_iter().map(resumed), &mut told);
    assert_eq!(unread, [1]);
    hear(&mut all, "log");
    assert_eq!(other.accounted(), 1);
}
