//! What waits, what is welcome, and what the peer is told of it.

use alloc::sync::Arc;
use alloc::task::Wake;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::Poll;

use super::*;
use crate::wire::{Cancel, Credit, FailureCode};

/// A table with a window of four items and 1,000 bytes.
fn streams(credits: bool) -> Streams {
    let limits = Limits {
        stream_items_max: 4,
        stream_bytes_max: 1_000,
        ..Limits::default()
    };
    Streams::new(&limits, credits)
}

fn item(bytes: usize) -> Item {
    (Encoding::Bytes, alloc::vec![7; bytes].into())
}

fn failure() -> CallFailure {
    CallFailure::new(FailureCode::Failed, "no")
}

fn idle() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn take(streams: &mut Streams, id: u32) -> bool {
    matches!(streams.poll_item(id, &mut idle()), Poll::Ready(Some(Ok(_))))
}

/// Everything that is to be said.
fn said(streams: &mut Streams) -> Vec<Frame<'static>> {
    core::iter::from_fn(|| streams.control(true)).collect()
}

fn credit(id: u32, items: u64) -> Frame<'static> {
    Frame::Credit(Credit { id, items })
}

fn cancel(id: u32) -> Frame<'static> {
    Frame::Cancel(Cancel { id })
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn items_come_out_in_order_and_then_the_end() {
    let mut streams = streams(true);
    streams.receive(1, true);
    for bytes in 1..=3 {
        assert_eq!(streams.arrive(1, item(bytes)), Ok(()));
    }
    streams.end(1, Err(failure()));
    for bytes in 1..=3 {
        let polled = streams.poll_item(1, &mut idle());
        assert_eq!(polled, Poll::Ready(Some(Ok(item(bytes)))));
    }
    let end = Poll::Ready(Some(Err(StreamEnd::Failed(failure()))));
    assert_eq!(streams.poll_item(1, &mut idle()), end);
    let lost = Poll::Ready(Some(Err(StreamEnd::Lost)));
    assert_eq!(streams.poll_item(1, &mut idle()), lost, "it is forgotten");
    assert_eq!((streams.bytes, streams.incoming.len()), (0, 0));
    assert_eq!(said(&mut streams), []);
}

#[test]
fn more_is_welcome_when_half_is_read() {
    let mut streams = streams(true);
    streams.receive(1, false);
    streams.receive(3, true);
    assert_eq!(said(&mut streams), [credit(1, 4)], "the other one knows");
    for _ in 0..4 {
        assert!(streams.arrive(1, item(1)).is_ok());
    }
    assert_eq!(streams.arrive(1, item(1)), Err(Overrun));
    assert!(take(&mut streams, 1));
    assert_eq!(said(&mut streams), []);
    assert!(take(&mut streams, 1));
    assert_eq!(said(&mut streams), [credit(1, 6)]);
    streams.say_again();
    assert_eq!(said(&mut streams), [credit(1, 6), credit(3, 4)]);
    streams.end(1, Ok(()));
    assert!(take(&mut streams, 1) && take(&mut streams, 1));
    assert_eq!(said(&mut streams), [], "nothing follows");
}

#[test]
fn who_knows_no_credit_may_say_too_much_and_is_not_read_then() {
    let mut streams = streams(false);
    streams.receive(1, false);
    assert_eq!(said(&mut streams), []);
    for _ in 0..9 {
        assert!(!streams.is_full());
        assert!(streams.arrive(1, item(50)).is_ok());
    }
    assert!(streams.is_full(), "each has 64 bytes beside its own");
    assert!(take(&mut streams, 1));
    assert!(!streams.is_full());
    streams.stop(1);
    assert_eq!(streams.bytes, 0);
}

#[test]
fn a_stream_that_nobody_reads_is_passed_over_until_its_end() {
    let mut streams = streams(true);
    streams.receive(1, true);
    assert!(streams.arrive(1, item(1)).is_ok());
    streams.stop(1);
    assert_eq!(said(&mut streams), [cancel(1)]);
    assert!(streams.arrive(1, item(1)).is_ok());
    assert_eq!(streams.bytes, 0);
    streams.say_again();
    assert_eq!(said(&mut streams), [cancel(1)], "it may not have heard");
    streams.end(1, Ok(()));
    assert!(!streams.has(1));
    streams.say_again();
    assert_eq!(said(&mut streams), []);
}

#[test]
fn a_stream_that_is_over_is_not_stopped() {
    let mut streams = streams(true);
    for id in [1, 3] {
        streams.receive(id, true);
        assert!(streams.arrive(id, item(1)).is_ok());
    }
    streams.end(1, Ok(()));
    streams.stop(1);
    streams.forget(3);
    assert_eq!(streams.bytes, 0);
    streams.stop(3);
    assert_eq!(streams.incoming.len(), 0);
    assert_eq!(said(&mut streams), []);
    assert!(streams.arrive(3, item(1)).is_ok(), "it may be on the way");
}

#[test]
fn as_much_is_sent_as_is_welcome() {
    let mut streams = streams(true);
    streams.send(2, 1);
    assert!(streams.may_send(2));
    streams.sent(2);
    assert!(!streams.may_send(2));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let cx = &mut Context::from_waker(&waker);
    assert!(streams.poll_credit(2, cx).is_pending());
    streams.credit(2, 3);
    drop(streams.take_wakers());
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    streams.credit(2, 2);
    assert_eq!(streams.poll_credit(2, cx), Poll::Ready(true));
    streams.sent(2);
    streams.sent(2);
    assert!(
        streams.poll_credit(2, cx).is_pending(),
        "credit is never taken back"
    );
    streams.stopped(2);
    drop(streams.take_wakers());
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    assert_eq!(streams.poll_credit(2, cx), Poll::Ready(false));
    streams.finish(2);
    assert!(!streams.has(2));
    assert_eq!(streams.poll_credit(2, cx), Poll::Ready(false));
}

#[test]
fn who_waits_is_woken_and_who_waited_before_is_not_dropped_here() {
    let mut streams = streams(true);
    streams.receive(1, true);
    let [first, second] = [Arc::new(Woken::default()), Arc::default()];
    for woken in [&first, &first, &second] {
        let waker = Waker::from(woken.clone());
        assert!(
            streams
                .poll_item(1, &mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    assert_eq!(Arc::strong_count(&first), 2, "not under a lock");
    drop(streams.take_wakers());
    assert_eq!(Arc::strong_count(&first), 1);
    assert_eq!(streams.arrive(1, item(1)), Ok(()));
    drop(streams.take_wakers());
    assert_eq!(second.0.load(Ordering::Relaxed), 1);
}

#[test]
fn when_the_session_is_over_everybody_is_told() {
    let mut streams = streams(true);
    streams.receive(1, false);
    streams.receive(3, true);
    streams.send(2, 0);
    assert!(streams.arrive(1, item(1)).is_ok());
    let cx = &mut idle();
    assert!(streams.poll_credit(2, cx).is_pending());
    assert!(streams.poll_item(3, cx).is_pending());
    streams.stop(3);
    streams.lose();
    assert_eq!(said(&mut streams), []);
    assert!(take(&mut streams, 1), "what has come is here");
    assert_eq!(
        streams.incoming.len(),
        1,
        "who was told to stop waits for nothing"
    );
    let lost = Poll::Ready(Some(Err(StreamEnd::Lost)));
    assert_eq!(streams.poll_item(1, cx), lost);
    assert_eq!(streams.poll_credit(2, cx), Poll::Ready(false));
}

#[test]
fn what_is_about_a_call_does_not_overtake_it() {
    let mut streams = streams(true);
    streams.receive(2, true);
    streams.receive(1, false);
    streams.stop(2);
    assert_eq!(streams.control(false), Some(credit(1, 4)));
    assert_eq!(streams.control(false), None, "the call may be in the lane");
    assert!(streams.owes());
    assert_eq!(streams.control(true), Some(cancel(2)));
    assert!(!streams.owes());
    streams.say_again();
    assert_eq!(streams.control(false), Some(credit(1, 4)));
    assert_eq!(streams.arrive(2, item(1)), Ok(()));
    assert_eq!(streams.control(false), Some(cancel(2)), "it was heard");
}

#[test]
fn a_stream_that_is_given_up_is_stopped_and_told_at_its_end() {
    let mut streams = streams(true);
    streams.receive(2, true);
    assert_eq!(streams.arrive(2, item(1)), Ok(()));
    streams.give_up(2, failure());
    assert_eq!(said(&mut streams), [cancel(2)]);
    assert_eq!(streams.arrive(2, item(1)), Ok(()), "passed over");
    assert!(take(&mut streams, 2));
    let end = Poll::Ready(Some(Err(StreamEnd::Failed(failure()))));
    assert_eq!(streams.poll_item(2, &mut idle()), end);
    streams.say_again();
    assert_eq!(
        said(&mut streams),
        [cancel(2)],
        "until the peer has ended it"
    );
    assert_eq!(streams.answers(), 1);
    streams.end(2, Ok(()));
    assert_eq!(streams.incoming.len(), 0);
}

#[test]
fn whoever_waits_for_a_stream_of_a_call_that_is_over_is_told() {
    let mut streams = streams(true);
    streams.receive(1, false);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let cx = &mut Context::from_waker(&waker);
    assert!(streams.poll_item(1, cx).is_pending());
    streams.forget(1);
    drop(streams.take_wakers());
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(said(&mut streams), []);
    assert_eq!(streams.uploads(), 0);
    let over = Poll::Ready(Some(Err(StreamEnd::Over)));
    assert_eq!(streams.poll_item(1, cx), over);
    assert_eq!(streams.incoming.len(), 0);
}

#[test]
fn nothing_is_left_of_a_stream_whose_call_was_withdrawn() {
    let mut streams = streams(true);
    streams.receive(1, true);
    streams.stop(1);
    streams.forget(1);
    assert_eq!(streams.incoming.len(), 0);
    assert_eq!(said(&mut streams), []);
}
