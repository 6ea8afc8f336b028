//! What the scheduler knows of each process.

use core::mem;
use std::sync::Arc;

use super::tasks::Key;
use super::trace::Trace;
use crate::crash::Life;

/// Which process a task belongs to, and in which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) process: usize,
    pub(super) life: u64,
}

#[derive(Default)]
pub(super) struct Processes(Vec<State>);

struct State {
    name: String,
    chance: fastrand::Rng,
    life: Arc<Life>,
    lives: u64,
    /// How many crashes are dropping tasks at this moment.
    crashes: u32,
    paused: bool,
    /// The tasks that became ready in a pause.
    held: Vec<Key>,
}

impl Processes {
    /// The number of the process of that name, which comes to be with the first who asks.
    pub(super) fn named(&mut self, name: &str, seed: u64) -> usize {
        if let Some(number) = self.0.iter().position(|process| process.name == name) {
            return number;
        }
        self.0.push(State::new(name, seed));
        self.0.len() - 1
    }

    pub(super) fn chance(&mut self, process: usize) -> &mut fastrand::Rng {
        &mut self.0[process].chance
    }

    pub(super) fn life(&self, process: usize) -> &Arc<Life> {
        &self.0[process].life
    }

    /// Lets a task in that `spawner` gives to `process`; not while it crashes, nor from a life that is over.
    pub(super) fn admit(&self, process: usize, spawner: Option<Membership>) -> Option<Membership> {
        let state = &self.0[process];
        let member = Membership {
            process,
            life: state.lives,
        };
        let stale = spawner.is_some_and(|spawner| spawner.process == process && spawner != member);
        (state.crashes == 0 && !stale).then_some(member)
    }

    /// Begins the next life, and gives back the one that is over; to be followed by [`crashed`](Self::crashed).
    pub(super) fn crash(&mut self, process: usize) -> Arc<Life> {
        let state = &mut self.0[process];
        state.lives += 1;
        state.crashes += 1;
        state.paused = false;
        state.held.clear();
        mem::take(&mut state.life)
    }

    pub(super) fn crashed(&mut self, process: usize) {
        self.0[process].crashes -= 1;
    }

    pub(super) fn pause(&mut self, process: usize) {
        self.0[process].paused = true;
    }

    /// The tasks that became ready meanwhile.
    pub(super) fn go_on(&mut self, process: usize) -> Vec<Key> {
        let state = &mut self.0[process];
        state.paused = false;
        mem::take(&mut state.held)
    }

    /// Keeps a task that is ready while its process must not run; whether it does.
    pub(super) fn holds(&mut self, member: Membership, key: Key) -> bool {
        let state = &mut self.0[member.process];
        if state.paused {
            state.held.push(key);
        }
        state.paused
    }
}

impl State {
    fn new(name: &str, seed: u64) -> Self {
        let mut own_seed = Trace::default();
        own_seed.add(seed);
        own_seed.add_bytes(name.as_bytes());
        Self {
            name: name.into(),
            chance: fastrand::Rng::with_seed(own_seed.hash()),
            life: Arc::default(),
            lives: 0,
            crashes: 0,
            paused: false,
            held: Vec::new(),
        }
    }
}
