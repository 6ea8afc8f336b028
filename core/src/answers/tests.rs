//! Handlers in their order, with their limits.

use alloc::boxed::Box;
use core::future::{pending, poll_fn, ready};
use core::task::Waker;
use core::time::Duration;
use std::string::ToString;
use std::sync::Mutex;

use futures_channel::oneshot;

use super::*;
use crate::payload::{Decode, PayloadError, Typed};
use crate::sync::lock;
use crate::wire::{Encoding, Payload};

/// What the arguments of each call have.
const BYTES: usize = 100;

const START: Instant = Instant::from_micros(1_000_000);

/// Handlers of a test, and what they did.
struct Stage {
    answers: Answers,
    log: Log,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        lock(&self.0).push(line.into());
    }

    fn take(&self) -> Vec<String> {
        core::mem::take(&mut *lock(&self.0))
    }
}

impl Stage {
    fn new(running_max: u32, waiting_max: u32) -> Self {
        Self {
            answers: Answers::new(&Limits {
                calls_running_max: running_max,
                calls_waiting_max: waiting_max,
                calls_waiting_bytes_max: 1_000,
                ..Limits::default()
            }),
            log: Log::default(),
        }
    }

    fn push(&mut self, id: u32, future: impl Future<Output = Answer> + Send + 'static) -> bool {
        self.push_job(Some(id), None, Place::default(), future)
    }

    fn push_job(
        &mut self,
        id: Option<u32>,
        deadline: Option<Instant>,
        place: Place,
        future: impl Future<Output = Answer> + Send + 'static,
    ) -> bool {
        self.answers
            .push(id, deadline, place, BYTES, Box::pin(future))
    }

    /// A call whose handler runs until the sender says so.
    fn push_held(&mut self, id: u32) -> oneshot::Sender<()> {
        let (sender, receiver) = oneshot::channel();
        let log = self.log.clone();
        let pushed = self.push(id, async move {
            log.add(id.to_string());
            let _ = receiver.await;
            done()
        });
        assert!(pushed);
        sender
    }

    fn poll_at(&mut self, now: Instant) -> Poll<(u32, Answer)> {
        self.answers
            .poll(now, &mut Context::from_waker(Waker::noop()))
    }

    fn poll(&mut self) -> Poll<(u32, Answer)> {
        self.poll_at(START)
    }

    /// All answers that are there, by the ids of their calls.
    fn answered(&mut self) -> Vec<u32> {
        let mut ids = Vec::new();
        while let Poll::Ready((id, _)) = self.poll() {
            ids.push(id);
        }
        ids
    }
}

fn done() -> Answer {
    Ok(Product::Value((Encoding::Bytes, Vec::new())))
}

fn arguments(payload: Payload<'_>) -> Arguments<'_> {
    Arguments {
        payload,
        uploads: Vec::new(),
        wanted: Encoding::Postcard,
    }
}

fn failed(answer: Poll<(u32, Answer)>) -> Option<(u32, FailureCode)> {
    match answer {
        Poll::Ready((id, Err(failure))) => Some((id, failure.code)),
        _ => None,
    }
}

#[test]
fn handlers_run_one_at_a_time_and_in_order() {
    let mut stage = Stage::new(1, 10);
    let first = stage.push_held(1);
    let second = stage.push_held(2);
    assert_eq!(stage.answered(), [0; 0]);
    assert_eq!(stage.log.take(), ["1"], "the second has not begun");

    drop(second);
    assert_eq!(stage.answered(), [0; 0], "and is not done before the first");
    drop(first);
    assert_eq!(stage.answered(), [1, 2]);
    assert_eq!(stage.log.take(), ["2"]);
}

#[test]
fn as_many_run_together_as_are_allowed() {
    let mut stage = Stage::new(2, 10);
    let senders: Vec<_> = (1..=3).map(|id| stage.push_held(id)).collect();
    assert_eq!(stage.answered(), [0; 0]);
    assert_eq!(stage.log.take(), ["1", "2"]);
    drop(senders);
    assert_eq!(stage.answered(), [1, 2, 3]);
}

#[test]
fn a_call_beyond_those_that_run_and_wait_is_busy() {
    for waiting_max in [0, 2] {
        let mut stage = Stage::new(1, waiting_max);
        for id in 0..=waiting_max {
            assert!(!stage.answers.is_full());
            assert!(stage.push(id, pending()), "one runs, {waiting_max} wait");
        }
        assert!(stage.answers.is_full());
        assert!(!stage.push(9, ready(done())));
        assert_eq!(stage.answered(), [0; 0]);
    }
}

#[test]
fn a_call_beyond_the_bytes_that_may_wait_is_busy() {
    let mut stage = Stage::new(1, 64);
    // One runs, and ten with 100 bytes each wait.
    for id in 0..11 {
        assert!(stage.push(id, pending()), "{id}");
    }
    assert!(stage.answers.is_full());
    assert!(!stage.push(11, pending()));
    stage.answers.cancel(10);
    assert!(stage.push(11, pending()));
}

#[test]
fn an_event_is_taken_although_it_is_full_and_has_no_answer() {
    let mut stage = Stage::new(1, 1);
    let held = stage.push_held(1);
    let log = stage.log.clone();
    for event in ["a", "b", "c"] {
        let log = log.clone();
        let heard = async move {
            log.add(event);
            done()
        };
        assert!(stage.push_job(None, None, Place::default(), heard));
    }
    assert!(stage.answers.is_full());
    drop(held);
    assert_eq!(stage.answered(), [1]);
    assert_eq!(stage.log.take(), ["1", "a", "b", "c"]);
    assert!(!stage.answers.is_full());
}

#[test]
fn a_call_ends_when_its_time_is_over_whether_it_runs_or_waits() {
    let mut stage = Stage::new(1, 10);
    let after = |seconds| Some(START + Duration::from_secs(seconds));
    let place = Place::default;
    stage.push_job(Some(1), after(2), place(), pending());
    stage.push_job(Some(2), after(1), place(), ready(done()));
    stage.push_job(Some(3), None, place(), ready(done()));
    assert_eq!(stage.answers.deadline(), after(1));
    assert!(stage.poll().is_pending());

    let late = |stage: &mut Stage, seconds| {
        let now = START + Duration::from_secs(seconds);
        failed(stage.poll_at(now))
    };
    assert_eq!(late(&mut stage, 1), Some((2, FailureCode::TimedOut)));
    assert_eq!(late(&mut stage, 2), Some((1, FailureCode::TimedOut)));
    assert_eq!(stage.answers.deadline(), None);
    assert_eq!(stage.answered(), [3]);
}

#[test]
fn a_cancelled_call_is_dropped_without_an_answer() {
    let mut stage = Stage::new(1, 10);
    let running = stage.push_held(1);
    let waiting = stage.push_held(2);
    let _third = stage.push_held(3);
    assert!(stage.poll().is_pending());
    stage.answers.cancel(2);
    stage.answers.cancel(1);
    stage.answers.cancel(7);
    assert!(running.is_canceled() && waiting.is_canceled());
    assert_eq!(stage.answered(), [0; 0]);
    assert_eq!(stage.log.take(), ["1", "3"]);
}

#[test]
fn a_panic_ends_that_call_only() {
    let mut stage = Stage::new(1, 10);
    stage.push(1, async { panic!("a fault") });
    stage.push(2, ready(done()));
    assert_eq!(failed(stage.poll()), Some((1, FailureCode::Panicked)));
    assert_eq!(stage.answered(), [2]);
}

#[test]
fn a_panic_in_the_type_of_the_arguments_ends_that_call_only() {
    struct Faulty;
    impl Decode for Faulty {
        fn decode(_: Payload<'_>) -> Result<Self, PayloadError> {
            panic!("a fault")
        }
    }
    let method = handler(|(), Faulty, (): ()| ready(Ok(())));
    let mut stage = Stage::new(1, 10);
    stage.push(1, (method.handler)((), arguments(Payload::text(""))));
    assert_eq!(failed(stage.poll()), Some((1, FailureCode::Panicked)));
}

#[test]
fn arguments_of_another_type_are_the_callers_fault() {
    let method = handler(|(), Typed(number): Typed<u8>, (): ()| ready(Ok(Typed(number + 1))));
    let mut stage = Stage::new(1, 10);
    let call = |payload| (method.handler)((), arguments(payload));
    stage.push(1, call(Payload::text("seven")));
    assert_eq!(failed(stage.poll()), Some((1, FailureCode::Arguments)));

    let seven = Payload {
        encoding: Encoding::Postcard,
        bytes: &[7],
    };
    stage.push(2, call(seven));
    let Poll::Ready((2, Ok(Product::Value(answer)))) = stage.poll() else {
        panic!("no answer");
    };
    assert_eq!(answer, (Encoding::Postcard, [8].into()));
}

#[test]
fn a_handler_that_lends_its_place_lets_the_next_one_run() {
    let mut stage = Stage::new(1, 10);
    let (sender, receiver) = oneshot::channel::<()>();
    let place = Place::default();
    let lending = place.clone();
    stage.push_job(Some(1), None, place, async move {
        let _ = lending.lend(receiver).await;
        done()
    });
    stage.push(2, ready(done()));
    let _third = stage.push_held(3);
    assert_eq!(
        stage.answered(),
        [2],
        "while the first waits for its caller"
    );
    assert_eq!(stage.log.take(), ["3"]);
    let _fourth = stage.push_held(4);
    assert_eq!(stage.answered(), [0; 0]);
    drop(sender);
    assert_eq!(stage.answered(), [1]);
    assert_eq!(stage.log.take(), [""; 0], "one place was lent, not two");
}

#[test]
fn a_place_comes_back_when_the_handler_stops_waiting() {
    let mut stage = Stage::new(1, 10);
    let place = Place::default();
    let lending = place.clone();
    let (sender, receiver) = oneshot::channel::<()>();
    stage.push_job(Some(1), None, place, async move {
        // What it lent its place for is given up.
        drop(lending.lend(pending::<()>()));
        let _ = receiver.await;
        done()
    });
    stage.push(2, ready(done()));
    assert_eq!(stage.answered(), [0; 0]);
    drop(sender);
    assert_eq!(stage.answered(), [1, 2]);
}

#[test]
fn quick_handlers_do_not_starve_a_slow_one() {
    let mut stage = Stage::new(2, 1_000);
    let mut polls = 0;
    stage.push(
        0,
        poll_fn(move |_| {
            polls += 1;
            match polls < 10 {
                true => Poll::Pending,
                false => Poll::Ready(done()),
            }
        }),
    );
    for id in 1..=1_000 {
        stage.push(id, ready(done()));
    }
    let slow = (1..).find(|_| matches!(stage.poll(), Poll::Ready((0, _))));
    assert!(slow < Some(20), "{slow:?}");
}

#[test]
fn what_is_not_done_when_all_had_to_be_is_given_up() {
    let mut stage = Stage::new(1, 10);
    let held = stage.push_held(1);
    stage.push_job(None, None, Place::default(), pending());
    let _waiting = stage.push_held(2);
    let until = START + Duration::from_secs(3);
    stage.answers.finish_by(until);
    stage.answers.finish_by(until + Duration::from_secs(9));
    assert_eq!(
        stage.answers.deadline(),
        Some(until),
        "the first one counts"
    );
    assert!(!stage.answers.is_finished());
    drop(held);
    assert_eq!(stage.answered(), [1], "there is time");
    let shutdown = Some((2, FailureCode::Shutdown));
    assert_eq!(failed(stage.poll_at(until)), shutdown);
    assert!(stage.poll_at(until).is_pending());
    assert!(stage.answers.is_finished());
    assert_eq!(stage.answers.deadline(), None);
}

#[test]
fn nobody_waits_for_what_comes_when_all_has_to_be_finished() {
    let mut stage = Stage::new(1, 10);
    let held = stage.push_held(1);
    stage.answers.finish_by(START + Duration::from_secs(3));
    stage.push_job(None, None, Place::default(), pending());
    assert!(!stage.answers.is_finished());
    drop(held);
    assert_eq!(stage.answered(), [1]);
    assert!(stage.answers.is_finished());
}

#[test]
fn so_many_may_have_lent_their_places() {
    let mut stage = Stage::new(1, 3);
    for id in 0..10 {
        let place = Place::default();
        let lent = place.clone();
        let waits = async move { lent.lend(pending()).await };
        let pushed = stage.push_job(Some(id), None, place, waits);
        // Four run, of which none has a place, and three wait.
        assert_eq!(pushed, id < 7, "{id}");
        assert!(stage.answered().is_empty());
    }
}
