//! Segments: appended to, read, let go of, and charged to the budget, by several threads at once.

use loom::thread;

use crate::segment::{Budget, Segments, Slice};
use crate::sync::Arc;
use crate::{join, model};

struct World {
    segments: Arc<Segments>,
    budget: Arc<Budget>,
}

impl World {
    fn new() -> Self {
        let budget = Arc::new(Budget::new(1_000));
        Self {
            segments: Arc::new(Segments::new(budget.clone())),
            budget,
        }
    }

    /// Another thread that appends, and reads what it appended.
    fn publisher(&self, text: &'static str) -> thread::JoinHandle<()> {
        let segments = self.segments.clone();
        thread::spawn(move || {
            let slice = segments.append(text.as_bytes());
            is_there(&segments, &slice, text);
        })
    }

    /// Nobody has anything any more, so nothing is charged.
    fn is_empty(&self) {
        assert_eq!(self.budget.used(), 0);
    }
}

fn is_there(segments: &Segments, slice: &Slice, text: &str) {
    assert_eq!(segments.bytes(slice), text.as_bytes());
}

#[test]
fn what_is_appended_is_there_whoever_freezes_it() {
    model(|| {
        let world = World::new();
        join([world.publisher("one"), world.publisher("two")]);
        world.is_empty();
    });
}

#[test]
fn a_reader_freezes_what_another_appends_to() {
    model(|| {
        let world = World::new();
        let first = world.segments.append(b"first");
        let other = world.publisher("second");
        is_there(&world.segments, &first, "first");
        join([other]);
        is_there(&world.segments, &first, "first");
        drop(first);
        world.is_empty();
    });
}

#[test]
fn two_readers_freeze_one_segment_once() {
    model(|| {
        let world = World::new();
        let (segments, slice) = (world.segments.clone(), world.segments.append(b"both"));
        let theirs = slice.clone();
        let other = thread::spawn(move || is_there(&segments, &theirs, "both"));
        is_there(&world.segments, &slice, "both");
        drop(slice);
        join([other]);
        world.is_empty();
    });
}

#[test]
fn the_last_slice_goes_while_another_is_appended() {
    model(|| {
        let world = World::new();
        let first = world.segments.append(b"gone");
        let other = world.publisher("here");
        drop(first);
        join([other]);
        world.is_empty();
    });
}

#[test]
fn bytes_stay_when_the_segment_goes() {
    model(|| {
        let world = World::new();
        let slice = world.segments.append(b"sent");
        let theirs = slice.clone();
        let other = thread::spawn(move || drop(theirs));
        let bytes = world.segments.bytes(&slice);
        drop(slice);
        assert_eq!(world.budget.used(), 4, "a transport has them");
        join([other]);
        assert_eq!(bytes, &b"sent"[..]);
        drop(bytes);
        world.is_empty();
    });
}
