//! A log of events that subscribers inside the program read, each at its own pace.
//!
//! Events stand in *chunks*. The log holds the newest of them, within its bounds. A reader has the chunk that it reads in, takes
//! events out of it without a lock, and asks the log for the next one at its end: so an event costs its publisher
//! one step, however many read it, and a reader that stands still keeps one chunk.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::{Add, SubAssign};
use core::task::{Context, Poll, Waker};

use slab::Slab;

use crate::hub::segment::Budget;
use crate::published::Published;
use crate::sync::{Arc, AtomicUsize, Mutex, OnceLock, Ordering, lock};
use crate::wire::Envelope;

/// Events of a chunk at most; a log holds eight of them or more.
pub(super) const CHUNK_EVENTS_MAX: usize = 64;

/// A chunk with more bytes gets no further event, or with an eighth of what a log may hold.
pub(super) const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// What a log keeps at most that everybody has read.
pub(super) const READ_BYTES_MAX: usize = 16 * 1024;

/// What a log holds for readers that have not come so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bounds {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// Events for several readers.
#[derive(Debug)]
pub(super) struct Log {
    bounds: Bounds,
    budget: Arc<Budget>,
    pub(super) state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    /// The oldest first; their numbers follow each other.
    older: VecDeque<Held>,
    newest: Held,
    /// In all of these.
    pub(super) load: Load,
    /// Readers whose chunk the log has let go of.
    stragglers: u32,
    /// Who reads, and the waker of each that has come to the end.
    readers: Slab<Option<Waker>>,
    pub(super) asleep: usize,
    /// For wakers of the next time.
    spare: Vec<Waker>,
    /// Nothing follows.
    ended: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Bounds {
    /// Whether the oldest chunk has to go: too many bytes, or without it there are still as many events as may wait.
    fn are_exceeded(self, all: Load, oldest: Load, tight: bool) -> bool {
        let events = all.events - oldest.events;
        tight || events >= self.events || all.bytes > self.bytes
    }
}

impl Add for Load {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            events: self.events + more.events,
            bytes: self.bytes + more.bytes,
        }
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, less: Self) {
        self.events -= less.events;
        self.bytes -= less.bytes;
    }
}

/// A chunk as the log knows it.
#[derive(Debug)]
struct Held {
    chunk: Arc<Chunk>,
    load: Load,
    /// How many read in it.
    readers: u32,
}

#[derive(Debug)]
struct Chunk {
    number: u64,
    /// Events of the log before it.
    before: u64,
    events: Box<[OnceLock<Envelope>]>,
    /// With more of them it gets no further event.
    bytes_max: usize,
    bytes: AtomicUsize,
    budget: Arc<Budget>,
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes.load(Ordering::Relaxed));
    }
}

impl Chunk {
    fn event(&self, index: usize) -> Option<&Envelope> {
        self.events.get(index)?.get()
    }
}

/// What a reader finds next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An event: the [current](Reader::current) one.
    Event,
    /// That so many are missing.
    Lagged(u64),
    /// Nothing, and nothing follows.
    End,
}

impl Log {
    pub(super) fn new(bounds: Bounds, budget: &Arc<Budget>) -> Self {
        let newest = Held::new(bounds, budget, 0, 0);
        Self {
            bounds,
            budget: budget.clone(),
            state: Mutex::new(State {
                older: VecDeque::new(),
                newest,
                load: Load::default(),
                stragglers: 0,
                readers: Slab::new(),
                asleep: 0,
                spare: Vec::new(),
                ended: false,
            }),
        }
    }

    /// Appends events. With `tight` there is no memory for more than the newest chunk.
    pub(super) fn push(
        &self,
        events: impl ExactSizeIterator<Item = Envelope>,
        tight: bool,
    ) -> Published {
        let (count, mut dropped, mut gone) = (events.len(), 0, Vec::new());
        let mut state = lock(&self.state);
        if state.ended {
            return Published::default();
        }
        for event in events {
            state.append(event, self);
            let missed = state.make_room(self.bounds, tight, &mut gone);
            dropped = u32::saturating_add(dropped, missed);
        }
        let queued = state.readers.len() * count;
        let woken = state.take_wakers();
        drop(state);
        drop(gone);
        self.wake(woken);
        Published {
            queued: u32::try_from(queued).unwrap_or(u32::MAX),
            dropped,
        }
    }

    /// Whether somebody would lose an event of so many bytes, topic and payload, or an older one, if it came now.
    pub(super) fn is_full_for(&self, bytes: usize, tight: bool) -> bool {
        let state = lock(&self.state);
        if state.ended {
            return false;
        }
        let more = Load {
            events: 1,
            bytes: cost(bytes),
        };
        let full = (!state.newest.takes(more.bytes)).then_some(&state.newest);
        let (mut load, mut behind) = (state.load + more, state.stragglers);
        for oldest in state.older.iter().chain(full) {
            if !self.bounds.are_exceeded(load, oldest.load, tight) {
                return false;
            }
            if behind > 0 {
                return true;
            }
            behind += oldest.readers;
            load -= oldest.load;
        }
        false
    }

    /// How many read.
    pub(super) fn readers(&self) -> usize {
        lock(&self.state).readers.len()
    }

    /// Nothing follows what is there.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        let woken = state.take_wakers();
        drop(state);
        self.wake(woken);
    }

    /// Wakes tasks, without the lock of the log. A topic's order may be locked: a waker must not poll.
    fn wake(&self, mut woken: Vec<Waker>) {
        if woken.is_empty() {
            return;
        }
        woken.drain(..).for_each(Waker::wake);
        lock(&self.state).spare = woken;
    }
}

/// What an event costs in the budget, with so many bytes in topic and payload.
pub(super) fn cost(bytes: usize) -> usize {
    bytes + size_of::<Envelope>()
}

impl Held {
    fn new(bounds: Bounds, budget: &Arc<Budget>, number: u64, before: u64) -> Self {
        let events = (bounds.events / 8).clamp(1, CHUNK_EVENTS_MAX);
        Self {
            chunk: Arc::new(Chunk {
                number,
                before,
                events: (0..events).map(|_| OnceLock::new()).collect(),
                bytes_max: (bounds.bytes / 8).min(CHUNK_BYTES_MAX),
                bytes: AtomicUsize::new(0),
                budget: budget.clone(),
            }),
            load: Load::default(),
            readers: 0,
        }
    }

    fn takes(&self, bytes: usize) -> bool {
        let empty = self.load.events == 0;
        self.load.events < self.chunk.events.len()
            && (empty || self.load.bytes + bytes <= self.chunk.bytes_max)
    }

    fn append(&mut self, event: Envelope, bytes: usize) {
        let Some(place) = self.chunk.events.get(self.load.events) else {
            return;
        };
        // Before a reader may find the event and let the chunk go.
        self.chunk.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.chunk.budget.take(bytes);
        // It is empty: events are appended one after the other.
        let _ = place.set(event);
        self.load.events += 1;
        self.load.bytes += bytes;
    }
}

impl State {
    fn append(&mut self, event: Envelope, log: &Log) {
        let bytes = cost(event.topic().len() + event.bytes().len());
        if !self.newest.takes(bytes) {
            self.begin_chunk(log);
        }
        self.newest.append(event, bytes);
        self.load = self.load + Load { events: 1, bytes };
    }

    fn begin_chunk(&mut self, log: &Log) {
        let full = &self.newest;
        let (number, before) = (full.chunk.number, full.chunk.before);
        let before = before + full.load.events as u64;
        let next = Held::new(log.bounds, &log.budget, number + 1, before);
        let full = core::mem::replace(&mut self.newest, next);
        self.older.push_back(full);
    }

    /// Whether everybody has read everything when one more comes to the end, and it is worth letting go of.
    fn is_read(&self, id: usize) -> bool {
        let asleep = self.asleep + usize::from(self.readers[id].is_none());
        asleep == self.readers.len() && self.newest.load.bytes > READ_BYTES_MAX
    }

    /// Lets go of the oldest chunks while there is more than may be, or nobody needs them; how many events readers miss by that.
    fn make_room(&mut self, bounds: Bounds, tight: bool, gone: &mut Vec<Arc<Chunk>>) -> u32 {
        let mut missed = 0;
        while self.is_oldest_due(bounds, tight)
            && let Some(oldest) = self.older.pop_front()
        {
            let missed_each = oldest.load.events as u32;
            missed = u32::saturating_add(missed, self.stragglers.saturating_mul(missed_each));
            self.stragglers += oldest.readers;
            self.load -= oldest.load;
            gone.push(oldest.chunk);
        }
        missed
    }

    /// Whether the oldest chunk has to go, or everybody is beyond it.
    fn is_oldest_due(&self, bounds: Bounds, tight: bool) -> bool {
        self.older.front().is_some_and(|oldest| {
            let unread = self.stragglers == 0 && oldest.readers == 0;
            unread || bounds.are_exceeded(self.load, oldest.load, tight)
        })
    }

    /// Everybody who has come to the end, to be woken. Looks at all readers, when there is one who sleeps.
    fn take_wakers(&mut self) -> Vec<Waker> {
        if self.asleep == 0 {
            return Vec::new();
        }
        let mut wakers = core::mem::take(&mut self.spare);
        self.asleep = 0;
        let taken = self.readers.iter_mut();
        wakers.extend(taken.filter_map(|(_, waker)| waker.take()));
        wakers
    }

    /// A chunk by its number; `None` when it is not held any more.
    fn held(&mut self, number: u64) -> Option<&mut Held> {
        let first = self.newest.chunk.number - self.older.len() as u64;
        match number.checked_sub(first)? as usize {
            index if index < self.older.len() => self.older.get_mut(index),
            _ => Some(&mut self.newest),
        }
    }

    /// A reader is in the chunk with this number no longer.
    fn leave(&mut self, number: u64) {
        match self.held(number) {
            Some(held) => held.readers -= 1,
            None => self.stragglers -= 1,
        }
    }

    /// The chunk that a reader reads in after the one with this number: the next, or the first that is still held.
    fn enter_after(&mut self, number: u64) -> Arc<Chunk> {
        let held = match self.held(number) {
            Some(_) => self.held(number + 1),
            None => self.older.front_mut(),
        };
        let held = match held {
            Some(held) => held,
            None => &mut self.newest,
        };
        held.readers += 1;
        held.chunk.clone()
    }
}

/// What nobody needs any more.
pub(super) struct Released {
    _waker: Option<Waker>,
    _chunks: Vec<Arc<Chunk>>,
    _log: Arc<Log>,
}

/// One who reads a log, from the moment on in which it came.
#[derive(Debug)]
pub(super) struct Reader {
    log: Arc<Log>,
    id: usize,
    chunk: Arc<Chunk>,
    /// Events of the chunk that it has read.
    read: usize,
}

impl Reader {
    pub(super) fn new(log: Arc<Log>) -> Self {
        let mut state = lock(&log.state);
        let id = state.readers.insert(None);
        state.newest.readers += 1;
        let (chunk, read) = (state.newest.chunk.clone(), state.newest.load.events);
        drop(state);
        Self {
            log,
            id,
            chunk,
            read,
        }
    }

    /// Goes on to the next event of the chunk, if there is one.
    #[inline]
    pub(super) fn step(&mut self) -> bool {
        // Not by adding `usize::from(here)`: rustc 1.95 then forgets the addition (its pass SimplifyComparisonIntegral).
        if self.chunk.event(self.read).is_none() {
            return false;
        }
        self.read += 1;
        true
    }

    /// What comes next; the task is woken when there is something.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Found> {
        match self.step() {
            true => Poll::Ready(Found::Event),
            false => self.poll_beyond(cx),
        }
    }

    /// Reads what is left of the chunk.
    #[inline]
    pub(super) fn read_on(&mut self, mut hear: impl FnMut(&Envelope)) {
        while let Some(event) = self.chunk.event(self.read) {
            self.read += 1;
            hear(event);
        }
    }

    /// The event that was found last.
    #[inline]
    pub(super) fn current(&self) -> Option<&Envelope> {
        self.chunk.event(self.read.checked_sub(1)?)
    }

    /// Ends it; says whether it was the last of its log. What it lets go of may run code of others when it is dropped.
    pub(super) fn leave(self) -> (bool, Released) {
        let mut gone = Vec::from([self.chunk]);
        let mut state = lock(&self.log.state);
        let waker = state.readers.remove(self.id);
        state.asleep -= usize::from(waker.is_some());
        state.leave(gone[0].number);
        state.make_room(self.log.bounds, false, &mut gone);
        let last = state.readers.is_empty();
        if last {
            // A publisher may know the log still, and nobody would read what it brings.
            state.ended = true;
            let empty = Held::new(self.log.bounds, &self.log.budget, 0, 0);
            gone.push(core::mem::replace(&mut state.newest, empty).chunk);
        }
        drop(state);
        (
            last,
            Released {
                _waker: waker,
                _chunks: gone,
                _log: self.log,
            },
        )
    }

    /// What comes when the chunk has nothing more; the task is woken when there is something.
    pub(super) fn poll_beyond(&mut self, cx: &mut Context<'_>) -> Poll<Found> {
        let Self {
            log,
            id,
            chunk,
            read,
        } = self;
        let mut state = lock(&log.state);
        // One may have come before the lock.
        if chunk.event(*read).is_some() {
            drop(state);
            return self.poll_next(cx);
        }
        if state.newest.chunk.number != chunk.number {
            let mut gone = Vec::new();
            let end = chunk.before + *read as u64;
            let next = state.enter_after(chunk.number);
            state.leave(chunk.number);
            *read = 0;
            gone.push(core::mem::replace(chunk, next));
            let missed = chunk.before - end;
            state.make_room(log.bounds, false, &mut gone);
            drop(state);
            drop(gone);
            return match missed {
                0 => self.poll_next(cx),
                missed => Poll::Ready(Found::Lagged(missed)),
            };
        }
        if state.ended {
            return Poll::Ready(Found::End);
        }
        if state.is_read(*id) {
            // All of them go on to an empty chunk, and nobody needs this one any more.
            state.begin_chunk(log);
            let woken = state.take_wakers();
            drop(state);
            log.wake(woken);
            return self.poll_next(cx);
        }
        let waker = &mut state.readers[*id];
        let older = waker.replace(cx.waker().clone());
        state.asleep += usize::from(older.is_none());
        drop(state);
        // It may run code of others.
        drop(older);
        Poll::Pending
    }
}
