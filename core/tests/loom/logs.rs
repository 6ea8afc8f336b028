//! Logs of the program's own subscriptions: read without a lock, while events come, chunks go and others leave.

use core::future::poll_fn;

use lapwing::wire::Encoding;
use lapwing::{Envelope, Topic};
use loom::future::block_on;
use loom::thread;

use crate::log::{Bounds, Found, Log, Reader};
use crate::segment::Budget;
use crate::sync::Arc;
use crate::{join, model};

/// One event in each chunk: readers go from one to the next all the time.
const BOUNDS: Bounds = Bounds {
    events: 1,
    bytes: 1_000,
};

fn world() -> (Arc<Log>, Arc<Budget>) {
    let budget = Arc::new(Budget::new(1_000_000));
    (Arc::new(Log::new(BOUNDS, &budget)), budget)
}

fn event(number: u8) -> Envelope {
    let topic = Topic::new("numbers").expect("a good topic");
    Envelope::new(topic, Encoding::Bytes, vec![number].into())
}

fn publisher(log: &Arc<Log>, numbers: core::ops::Range<u8>) -> thread::JoinHandle<()> {
    let log = log.clone();
    thread::spawn(move || {
        for number in numbers {
            log.push([event(number)].into_iter(), false);
        }
    })
}

/// Reads until so many events were read or missed; for ever, when a wake-up is lost.
fn read(mut reader: Reader, events: u64) -> Reader {
    let mut next = 0;
    while next < events {
        match block_on(poll_fn(|cx| reader.poll_next(cx))) {
            Found::Event => {
                let event = reader.current().expect("it was found");
                assert_eq!(u64::from(event.bytes()[0]), next, "in order, each once");
                next += 1;
            }
            Found::Lagged(missed) => next += missed,
            Found::End => panic!("it does not end"),
        }
    }
    reader
}

#[test]
fn who_sleeps_at_the_end_is_woken_and_hears_everything_or_is_told() {
    model(|| {
        let (log, budget) = world();
        let reader = Reader::new(log.clone());
        let other = publisher(&log, 0..3);
        let reader = read(reader, 3);
        join([other]);
        drop(reader.leave());
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn one_leaves_while_events_come_and_another_reads() {
    model(|| {
        let (log, budget) = world();
        let (stays, leaves) = (Reader::new(log.clone()), Reader::new(log.clone()));
        let publisher = publisher(&log, 0..2);
        let leaver = thread::spawn(move || drop(leaves.leave()));
        let stays = read(stays, 2);
        join([publisher, leaver]);
        let (last, released) = stays.leave();
        assert!(last);
        drop(released);
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn the_end_reaches_who_sleeps() {
    model(|| {
        let (log, _) = world();
        let mut reader = Reader::new(log.clone());
        let ending = log.clone();
        let other = thread::spawn(move || ending.end());
        let found = block_on(poll_fn(|cx| reader.poll_next(cx)));
        assert_eq!(found, Found::End);
        join([other]);
    });
}
