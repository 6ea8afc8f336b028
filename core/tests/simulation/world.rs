//! One world: a hub, its clients, and what they share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use lapwing::{Hub, Instant, Limits};
use lapwing_memory::{Network, Virtual};

use crate::book::Book;
use crate::flows::Flow;
use crate::host;
use crate::hub_side::HubSide;
use crate::life::Life;
use crate::report::Sums;

/// What the world does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Everything goes wrong.
    Storm,
    /// Nothing goes wrong, and everybody reads as fast as possible.
    Calm,
    /// Nobody begins anything any more.
    Over,
}

pub(crate) struct World {
    pub(crate) sim: Virtual,
    pub(crate) network: Network,
    pub(crate) limits: Limits,
    pub(crate) sums: Sums,
    /// The hub that runs now; its clients find it under one name.
    pub(crate) hub: Mutex<Option<Hub>>,
    /// The hub's ends of all connections.
    pub(crate) hub_sides: Mutex<Vec<HubSide>>,
    /// The lives of clients that have not ended, by the number of the client and of the life.
    pub(crate) lives: Mutex<BTreeMap<(usize, u64), Arc<Life>>>,
    /// Streams on their way.
    pub(crate) flows: Mutex<Vec<Arc<Flow>>>,
    /// The number of the program's newest event.
    pub(crate) published: Mutex<u32>,
    book: Mutex<Book>,
    phase: AtomicU8,
    /// Until when what takes time may be late: the clock has jumped.
    late_until: AtomicU64,
    dice: Mutex<Rng>,
    trace: AtomicU64,
}

impl World {
    pub(crate) fn new(sim: Virtual, seed: u64, diary: bool) -> Arc<Self> {
        // Apart from the runtime's dice: one more draw here does not change what the library draws.
        let mut dice = Rng::with_seed(seed ^ 0x5eed);
        Arc::new(Self {
            network: Network::new(&sim),
            limits: limits(&mut dice),
            sums: Sums::default(),
            hub: Mutex::default(),
            hub_sides: Mutex::default(),
            lives: Mutex::default(),
            flows: Mutex::default(),
            published: Mutex::default(),
            book: Mutex::new(Book::new(diary)),
            phase: AtomicU8::new(0),
            late_until: AtomicU64::new(0),
            dice: Mutex::new(dice),
            trace: AtomicU64::new(0xcbf2_9ce4_8422_2325),
            sim,
        })
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    pub(crate) fn hub(&self) -> Option<Hub> {
        lock(&self.hub).clone()
    }

    pub(crate) fn now(&self) -> Instant {
        self.sim.now()
    }

    /// Dice of its own for whoever asks.
    pub(crate) fn dice(&self) -> Rng {
        lock(&self.dice).fork()
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Storm,
            1 => Phase::Calm,
            _ => Phase::Over,
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.note(|| format!("── {phase:?}"));
    }

    /// Takes note of something that must never be.
    pub(crate) fn find(&self, check: &str, what: impl Into<String>) {
        let at = self.sim.elapsed();
        let what = what.into();
        self.note(|| format!("FOUND {check}: {what}"));
        self.book().find(check, format!("{what} (at {at:?})"));
    }

    pub(crate) fn is_found(&self) -> bool {
        self.book().finding().is_some()
    }

    /// Adds to the one number for all that happens: it is when messages came and went, and what they were.
    ///
    /// Not the runtime's: below WebSocket, bytes are masked with numbers that no seed decides.
    pub(crate) fn trace(&self, bytes: &[u8]) {
        let now = self.now().as_micros().to_le_bytes();
        let mut trace = self.trace.load(Ordering::Relaxed);
        for word in [&now[..]].into_iter().chain(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            trace = (trace ^ u64::from_le_bytes(padded)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            trace ^= trace >> 29;
        }
        self.trace.store(trace, Ordering::Relaxed);
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.trace.load(Ordering::Relaxed)
    }

    /// Drops a task of the hub, whichever the dice say; whether there was one.
    pub(crate) fn drop_task_of_hub(self: &Arc<Self>) -> bool {
        self.book().dropped_at = Some(self.now());
        let dropped = host::process(self).drop_one();
        if host::serve(self) {
            // It was one that accepts, and took all its connections along.
            self.book().excuse_everybody();
        }
        dropped
    }

    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        let now = self.now();
        self.book().note(now, what);
    }

    /// Whether something that was due then is later than the clock allows.
    pub(crate) fn is_late(&self, due: Instant) -> bool {
        let allowed = due.as_micros().max(self.late_until.load(Ordering::Relaxed));
        self.now().as_micros() > allowed
    }

    pub(crate) fn has_leapt(&self) -> bool {
        self.late_until.load(Ordering::Relaxed) > 0
    }

    /// The clock leaps.
    pub(crate) fn jump(&self, by: Duration) {
        self.note(|| format!("the clock leaps by {by:?}"));
        self.sim.jump(by);
        let until = self.now() + Duration::from_secs(1);
        self.late_until.store(until.as_micros(), Ordering::Relaxed);
    }
}

/// Small bounds, so that all of them are met.
fn limits(dice: &mut Rng) -> Limits {
    let mut one_of = |values: &[u32]| values[dice.usize(..values.len())];
    Limits {
        handshake: Duration::from_secs(3),
        message_bytes_max: 16 * 1024,
        lane_bytes_max: one_of(&[6, 16, 64]) * 1024,
        lane_frames_max: one_of(&[32, 64, 256]),
        turn_frames_max: one_of(&[3, 16, 256]),
        stall: Duration::from_secs(3),
        promise: Duration::from_millis(one_of(&[2_000, 4_000, 7_000]).into()),
        grace: Duration::from_secs(3),
        closing: Duration::from_secs(1),
        subscriptions_max: 6,
        groups_max: 3,
        calls_running_max: 16,
        streams_max: one_of(&[4, 64]),
        stream_items_max: one_of(&[1, 3, 16]),
        stream_bytes_max: one_of(&[1, 64]) * 1024,
        answers_waiting_max: one_of(&[4, 64]),
        resume_bytes_max: one_of(&[2, 16, 256]) * 1024,
        resume: Some(Duration::from_secs(one_of(&[4, 8, 16]).into())),
        ..Limits::default()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
