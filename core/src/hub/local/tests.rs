use core::task::{Context, Poll, Waker};
use std::vec::Vec;
use std::{format, vec};

use futures_lite::future::{block_on, poll_once};

use super::log::{
    Bounds, CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX, Found, Log, READ_BYTES_MAX, Reader, cost,
};
use crate::hub::segment::Budget;
use crate::sync::{Arc, lock};
use crate::topic::Topic;
use crate::wire::{Encoding, Envelope};

const TOPIC: &str = "numbers";

const SMALL: Bounds = Bounds {
    events: 16,
    bytes: usize::MAX,
};

fn log(bounds: Bounds) -> (Arc<Log>, Arc<Budget>) {
    let budget = Arc::new(Budget::new(u64::MAX));
    (Arc::new(Log::new(bounds, &budget)), budget)
}

/// The event with this number, in so many bytes.
fn event(number: u64, bytes: usize) -> Envelope {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(payload.len().max(bytes), 0);
    let topic = Topic::new(TOPIC).expect("a good topic");
    Envelope::new(topic, Encoding::Bytes, payload.into())
}

fn number(event: &Envelope) -> u64 {
    u64::from_be_bytes(*event.bytes().first_chunk().expect("a number"))
}

/// A reader, and what it knows of what was published.
struct Witness {
    reader: Reader,
    /// The number of the event that comes next, if none is missing.
    next: u64,
    missed: u64,
}

impl Witness {
    fn new(log: &Arc<Log>, next: u64) -> Self {
        Self {
            reader: Reader::new(log.clone()),
            next,
            missed: 0,
        }
    }

    /// Reads once; whether there was something.
    fn read(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        match self.reader.poll_next(&mut cx) {
            Poll::Ready(Found::Event) => {
                let found = self.reader.current().map(number);
                assert_eq!(found, Some(self.next), "in order, each once");
                self.next += 1;
                true
            }
            Poll::Ready(Found::Lagged(missed)) => {
                assert!(missed > 0);
                self.next += missed;
                self.missed += missed;
                true
            }
            Poll::Ready(Found::End) => panic!("it does not end"),
            Poll::Pending => false,
        }
    }
}

#[test]
fn everybody_hears_everything_or_is_told() {
    for seed in 0..40 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let bounds = Bounds {
            events: dice.usize(1..100),
            bytes: if dice.bool() {
                1_000 * dice.usize(1..100)
            } else {
                usize::MAX
            },
        };
        let (log, budget) = log(bounds);
        let (mut published, mut dropped) = (0, 0);
        let mut witnesses = vec![Witness::new(&log, 0)];
        let mut missed_by_others = 0;
        for _ in 0..dice.usize(1..2_000) {
            match dice.u32(0..100) {
                0..40 => {
                    let many: Vec<_> = (0..dice.u64(1..20))
                        .map(|more| event(published + more, dice.usize(8..3_000)))
                        .collect();
                    let would_lose = log.is_full_for(TOPIC.len() + many[0].bytes().len(), false);
                    let taken = log.push(many[..1].iter().cloned(), false);
                    assert!(would_lose || taken.dropped == 0, "seed {seed}");
                    assert_eq!(taken.queued as usize, witnesses.len());
                    dropped += u64::from(taken.dropped);
                    let tight = dice.u8(..) < 10;
                    dropped += u64::from(log.push(many[1..].iter().cloned(), tight).dropped);
                    published += many.len() as u64;
                }
                40..97 => {
                    let index = dice.usize(..witnesses.len());
                    for _ in 0..dice.usize(..30) {
                        witnesses[index].read();
                    }
                }
                97 => witnesses.push(Witness::new(&log, published)),
                _ if witnesses.len() > 1 => {
                    let mut gone = witnesses.swap_remove(dice.usize(..witnesses.len()));
                    while gone.read() {}
                    assert_eq!(gone.next, published, "seed {seed}");
                    missed_by_others += gone.missed;
                    assert!(!gone.reader.leave().0);
                }
                _ => {}
            }
            let held = lock(&log.state).load;
            assert!(
                held.events <= bounds.events + 2 * CHUNK_EVENTS_MAX,
                "seed {seed}"
            );
            let largest = CHUNK_BYTES_MAX + cost(3_000 + TOPIC.len());
            assert!(held.bytes <= bounds.bytes.saturating_add(largest));
            let pinned = witnesses.len() * largest;
            assert!(budget.used() as usize <= held.bytes + pinned, "seed {seed}");
        }
        let mut missed = missed_by_others;
        for witness in &mut witnesses {
            while witness.read() {}
            assert_eq!(witness.next, published, "seed {seed}");
            missed += witness.missed;
        }
        assert_eq!(missed, dropped, "seed {seed}: each loss is counted once");
        let last = witnesses.pop().expect("one stays");
        for witness in witnesses {
            assert!(!witness.reader.leave().0);
        }
        assert!(last.reader.leave().0, "it was the last");
        assert_eq!(budget.used(), 0, "seed {seed}");
        log.push([event(0, 8)].into_iter(), false);
        assert_eq!(budget.used(), 0, "nobody would read it");
    }
}

#[test]
fn as_many_events_wait_as_may() {
    for events in [1, 7, 8, 64, 256, 1_000] {
        let (log, _) = log(Bounds { events, ..SMALL });
        let mut slow = Witness::new(&log, 0);
        for count in 0..events as u64 {
            assert_eq!(
                log.push([event(count, 8)].into_iter(), false).dropped,
                0,
                "{count} of {events}"
            );
        }
        while slow.read() {}
        assert_eq!((slow.next, slow.missed), (events as u64, 0));
    }
}

#[test]
fn one_who_stands_still_keeps_a_chunk_and_no_more() {
    let (log, budget) = log(SMALL);
    let still = Reader::new(log.clone());
    let mut quick = Witness::new(&log, 0);
    for count in 0..10_000 {
        log.push([event(count, 1_000)].into_iter(), false);
        while quick.read() {}
    }
    let chunk = 2 * cost(1_000 + TOPIC.len());
    assert!(budget.used() as usize <= (SMALL.events + 2) * cost(1_000 + TOPIC.len()) + chunk);
    assert_eq!(quick.missed, 0, "one who keeps up misses nothing");
    drop(still);
}

#[test]
fn readers_that_sleep_are_woken_once_and_leave_no_waker() {
    let (log, _) = log(SMALL);
    let mut reader = Reader::new(log.clone());
    for _ in 0..3 {
        let next = core::future::poll_fn(|cx| reader.poll_next(cx));
        assert!(block_on(poll_once(next)).is_none());
        assert_eq!(lock(&log.state).asleep, 1, "however often it asks");
    }
    log.push([event(0, 8)].into_iter(), false);
    assert_eq!(lock(&log.state).asleep, 0);
    let next = core::future::poll_fn(|cx| reader.poll_next(cx));
    assert_eq!(block_on(next), Found::Event);
    drop(reader.leave());
    assert_eq!(lock(&log.state).asleep, 0);
}

#[test]
fn the_end_comes_behind_what_is_there() {
    let (log, _) = log(SMALL);
    let mut reader = Reader::new(log.clone());
    log.push([event(0, 8)].into_iter(), false);
    log.end();
    log.push([event(1, 8)].into_iter(), false);
    let mut found = || block_on(core::future::poll_fn(|cx| reader.poll_next(cx)));
    assert_eq!(
        [found(), found(), found()],
        [Found::Event, Found::End, Found::End]
    );
    assert!(format!("{log:?}").contains("ended: true"));
}

#[test]
fn what_everybody_has_read_is_let_go_of() {
    let (log, budget) = log(SMALL);
    let mut readers = [Witness::new(&log, 0), Witness::new(&log, 0)];
    for round in 0..3 {
        for count in 0..10 {
            log.push([event(10 * round + count, 5_000)].into_iter(), false);
        }
        // The last one who comes to the end wakes the other.
        for _ in 0..2 {
            for reader in &mut readers {
                while reader.read() {}
            }
        }
        assert!(budget.used() as usize <= READ_BYTES_MAX, "round {round}");
    }
    for reader in &readers {
        assert_eq!((reader.next, reader.missed), (30, 0));
    }
}

#[test]
fn few_bytes_are_a_bound_too() {
    let (log, _) = log(Bounds {
        events: 256,
        bytes: 8_000,
    });
    let mut slow = Witness::new(&log, 0);
    let mut dropped = 0;
    for count in 0..100 {
        let taken = log.push([event(count, 1_000)].into_iter(), false);
        dropped += u64::from(taken.dropped);
    }
    assert!(lock(&log.state).load.bytes <= 8_000);
    while slow.read() {}
    assert_eq!((slow.next, slow.missed), (100, dropped));
    assert!(dropped > 85, "{dropped}");
}
