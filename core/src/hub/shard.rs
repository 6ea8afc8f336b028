//! The pump: writes for many connections, and wakes them when their time has come.
//!
//! A task wake for each connection and event would cost more than everything else of ours, so publishers put
//! connections with something to write on one list and wake one pump. A `serve` has one for each thread: the first it polls itself, the others
//! have tasks of their own.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Waker};
use core::time::Duration;

use super::connection::Connection;
use crate::runtime::{Runtime, Timer};
use crate::sync::{AtomicBool, AtomicUsize, AtomicWaker, Mutex, Ordering, lock};
use crate::time::Instant;

/// Connections written for in one turn of the pump, before others have theirs.
const WRITES_PER_TURN: usize = 256;

/// Of very many connections none is in the processor's cache: it waits for the memory of so many at once instead of for one after the other.
pub(crate) const TOUCHED_TOGETHER: usize = 16;

/// Connections of one `serve` that have a pump in common.
pub(crate) struct Shard {
    dirty: Mutex<Vec<Arc<Connection>>>,
    deadlines: Mutex<BTreeMap<(Instant, u64), Arc<Connection>>>,
    members: AtomicUsize,
    pump: AtomicWaker,
    /// Of the `serve`, while it waits for the last member to leave.
    owner: AtomicWaker,
    /// It has a pump, or gets one.
    pumped: AtomicBool,
    stopped: AtomicBool,
}

impl Shard {
    pub(crate) fn new() -> Self {
        Self {
            dirty: Mutex::default(),
            deadlines: Mutex::default(),
            members: AtomicUsize::new(0),
            pump: AtomicWaker::new(),
            owner: AtomicWaker::new(),
            pumped: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }

    /// Puts a connection on the list; it is not on it.
    pub(crate) fn push(&self, connection: Arc<Connection>) {
        let mut dirty = lock(&self.dirty);
        if self.is_stopped() {
            return;
        }
        dirty.push(connection);
        let first = dirty.len() == 1;
        drop(dirty);
        if first {
            self.pump.wake();
        }
    }

    /// Lets the pump look at `connection` at `at` or before; then it says when it wants that next.
    pub(crate) fn schedule(&self, connection: &Arc<Connection>, at: Instant) {
        let planned = || connection.scheduled.load(Ordering::Relaxed);
        // Moved lazily: traffic only makes a deadline later, and that is found out when it fires.
        if planned() <= at.as_micros() {
            return;
        }
        let mut deadlines = lock(&self.deadlines);
        // Under the lock it is the key of the one entry that there is.
        let planned = planned();
        if self.is_stopped() || planned <= at.as_micros() {
            return;
        }
        deadlines.remove(&(Instant::from_micros(planned), connection.number));
        connection
            .scheduled
            .store(at.as_micros(), Ordering::Relaxed);
        deadlines.insert((at, connection.number), connection.clone());
        let first = deadlines
            .first_key_value()
            .is_some_and(|(key, _)| *key == (at, connection.number));
        drop(deadlines);
        if first {
            self.pump.wake();
        }
    }

    /// Takes one of those whose time comes until `end`, and when that is. It has no entry then.
    fn next_due(&self, end: Instant) -> Option<(Instant, Arc<Connection>)> {
        let mut deadlines = lock(&self.deadlines);
        let entry = deadlines.first_entry()?;
        let at = entry.key().0;
        if at > end {
            return None;
        }
        let connection = entry.remove();
        connection.scheduled.store(u64::MAX, Ordering::Relaxed);
        Some((at, connection))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let deadlines = lock(&self.deadlines);
        deadlines.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn enter(&self) {
        self.members.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn leave(&self, connection: &Connection) {
        let mut deadlines = lock(&self.deadlines);
        // Earlier than all: nobody plans anything for it any more.
        let planned = connection.scheduled.swap(0, Ordering::Relaxed);
        deadlines.remove(&(Instant::from_micros(planned), connection.number));
        drop(deadlines);
        if self.members.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.pump.wake();
            self.owner.wake();
        }
    }

    /// How many connections there are.
    pub(crate) fn members(&self) -> usize {
        self.members.load(Ordering::Acquire)
    }

    /// Whether there are none; `waker` is woken when the last leaves.
    pub(crate) fn is_deserted(&self, waker: &Waker) -> bool {
        self.owner.register(waker);
        self.members() == 0
    }

    /// Whether it has no pump: who hears so has to start one.
    pub(crate) fn wants_pump(&self) -> bool {
        !self.pumped.swap(true, Ordering::AcqRel)
    }

    /// Whether its pump goes, as nobody is there: who asks is the pump, and stays only if the answer is no.
    pub(crate) fn spares_pump(&self) -> bool {
        if self.members() > 0 {
            return self.is_stopped();
        }
        self.pumped.swap(false, Ordering::AcqRel);
        // Who has come meanwhile either found the pump or found none: then there is another one.
        self.members() == 0 || self.pumped.swap(true, Ordering::AcqRel)
    }

    /// Whether the owner of all these connections is gone.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Ends all connections without a word, once their tasks have a turn. Nobody writes or wakes for them any more.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        // They hold this shard, and it holds them.
        lock(&self.dirty).clear();
        lock(&self.deadlines).clear();
        self.pump.wake();
    }
}

/// The moving part of a shard.
pub(crate) struct Pump {
    shard: Arc<Shard>,
    runtime: Arc<dyn Runtime>,
    timer: Box<dyn Timer>,
    armed: Option<Instant>,
    /// How much earlier than at its time a connection may say something, when the pump is awake anyway.
    slack: Duration,
    /// Taken from the list, to be written for.
    batch: Vec<Arc<Connection>>,
    /// Woken once, and gone to the end of the executor's queue.
    deferred: bool,
}

impl Pump {
    pub(crate) fn new(shard: Arc<Shard>, runtime: Arc<dyn Runtime>, slack: Duration) -> Self {
        let timer = runtime.timer();
        Self {
            shard,
            runtime,
            timer,
            armed: None,
            slack,
            batch: Vec::new(),
            deferred: false,
        }
    }

    /// Has a turn; the waker of `cx` is woken when it wants another.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        self.shard.pump.register(cx.waker());
        self.fire(cx);
        if self.batch.is_empty() && lock(&self.shard.dirty).is_empty() {
            return;
        }
        // An executor may run the task that was woken last before others that are ready, whose events
        // would then need a write of their own. A task that wakes itself goes to the end.
        if !core::mem::replace(&mut self.deferred, true) {
            cx.waker().wake_by_ref();
            return;
        }
        self.write();
        // The wake that announced what came meanwhile was spent on this turn, so look again.
        let more = !self.batch.is_empty() || !lock(&self.shard.dirty).is_empty();
        self.deferred = more;
        if more {
            cx.waker().wake_by_ref();
        }
    }

    fn write(&mut self) {
        if self.batch.is_empty() {
            core::mem::swap(&mut self.batch, &mut *lock(&self.shard.dirty));
        }
        let now = self.runtime.now();
        let kept = self.batch.len().saturating_sub(WRITES_PER_TURN);
        for near in self.batch[kept..].chunks(TOUCHED_TOGETHER) {
            near.iter().for_each(|connection| connection.touch());
            for connection in near {
                connection.write_for_pump(now);
            }
        }
        self.batch.truncate(kept);
        if self.batch.is_empty() && self.batch.capacity() > WRITES_PER_TURN {
            self.batch = Vec::new();
        }
    }

    /// Lets those whose time comes soon say now what they will have to say then.
    fn fire_early(&mut self, now: Instant) {
        let end = now + self.slack;
        // All of them are taken first: they come back with a time that may be no later.
        let soon: Vec<_> = core::iter::from_fn(|| self.shard.next_due(end))
            .take(WRITES_PER_TURN)
            .collect();
        for (at, connection) in soon {
            connection.due(&self.shard, at, now);
        }
    }

    /// Wakes everybody whose time has come, and sees to it that the next one will be.
    fn fire(&mut self, cx: &mut Context<'_>) {
        loop {
            let now = self.runtime.now();
            let mut woken = false;
            while let Some((at, connection)) = self.shard.next_due(now) {
                connection.due(&self.shard, at, now);
                woken = true;
            }
            if woken {
                self.fire_early(now);
            }
            let next = self.shard.next_deadline();
            if next != self.armed {
                self.armed = next;
                match next {
                    Some(at) => self.timer.arm(at),
                    None => self.timer.disarm(),
                }
            }
            if self.timer.poll_fired(cx).is_pending() {
                return;
            }
            self.armed = None;
        }
    }
}
