//! A link: two directions between two ends, and what has become of the ends.

use core::task::Waker;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapwing::runtime::Runtime;

use crate::crash::Crash;
use crate::direction::{Direction, Fault};
use crate::toll::Toll;

/// One of the two ends of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Hub,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Hub,
            Self::Hub => Self::Client,
        }
    }
}

/// What is wrong with each direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) to_hub: Fault,
    pub(crate) to_client: Fault,
}

impl Faults {
    pub(crate) fn are_partition(&self) -> bool {
        self.to_hub.partitioned || self.to_client.partitioned
    }
}

/// What counts and ends each direction.
#[derive(Default)]
pub(crate) struct Tolls {
    pub(crate) to_hub: Arc<Toll>,
    pub(crate) to_client: Arc<Toll>,
}

/// What the two ends share.
///
/// Its lock is never held while foreign code runs: wakers are woken and dropped after it.
pub(crate) struct Link {
    pub(crate) runtime: Arc<dyn Runtime>,
    state: Mutex<LinkState>,
}

impl Link {
    pub(crate) fn new(runtime: &Arc<dyn Runtime>, faults: &Faults, tolls: &Tolls) -> Self {
        let mut state = LinkState::new(tolls);
        state.set_faults(faults, &**runtime);
        Self {
            runtime: runtime.clone(),
            state: Mutex::new(state),
        }
    }

    /// Nothing is left half done by a panic in here, so a poisoned lock is as good as new.
    pub(crate) fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the link by `change`, then lets both ends look what that means for them.
    pub(crate) fn change(&self, change: impl FnOnce(&mut LinkState, &dyn Runtime)) {
        let mut state = self.lock();
        change(&mut state, &*self.runtime);
        state.cut_spent(&*self.runtime);
        wake_all(state);
    }

    /// Breaks the link when enough has passed; to be called after whatever may have sent something.
    pub(crate) fn settle(&self, mut state: MutexGuard<'_, LinkState>) {
        if state.cut_spent(&*self.runtime) {
            wake_all(state);
        }
    }
}

fn wake_all(mut state: MutexGuard<'_, LinkState>) {
    let wakers = state.take_wakers();
    drop(state);
    wakers.into_iter().flatten().for_each(Waker::wake);
}

/// Both directions, and which ends know that the link is broken.
pub(crate) struct LinkState {
    to_hub: Direction,
    to_client: Direction,
    broken: [bool; 2],
    dropped: [bool; 2],
}

impl LinkState {
    fn new(tolls: &Tolls) -> Self {
        Self {
            to_hub: Direction::new(&tolls.to_hub),
            to_client: Direction::new(&tolls.to_client),
            broken: [false; 2],
            dropped: [false; 2],
        }
    }

    /// The direction in which `side` sends.
    pub(crate) fn sending(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.to_hub,
            Side::Hub => &mut self.to_client,
        }
    }

    /// The direction in which `side` receives.
    pub(crate) fn receiving(&mut self, side: Side) -> &mut Direction {
        self.sending(side.other())
    }

    pub(crate) fn is_broken(&self, side: Side) -> bool {
        self.broken[side as usize]
    }

    pub(crate) fn set_faults(&mut self, faults: &Faults, clock: &dyn Runtime) {
        self.to_hub.set_fault(faults.to_hub, clock);
        self.to_client.set_fault(faults.to_client, clock);
    }

    /// What is in flight from `side` still arrives, then both ends know that it is over; `side` knows at once.
    fn cut_behind(&mut self, side: Side, clock: &dyn Runtime) {
        self.receiving(side).silence(clock);
        self.sending(side).reset(clock);
        self.broken[side as usize] = true;
    }

    /// Breaks when enough has passed one of the ways.
    fn cut_spent(&mut self, clock: &dyn Runtime) -> bool {
        let spent = [Side::Client, Side::Hub]
            .into_iter()
            .find(|side| !self.is_broken(*side) && self.sending(*side).is_spent());
        if let Some(side) = spent {
            self.cut_behind(side, clock);
        }
        spent.is_some()
    }

    pub(crate) fn set_broken(&mut self, side: Side) {
        self.broken[side as usize] = true;
    }

    /// Both ends know at once that it is over.
    pub(crate) fn cut(&mut self, clock: &dyn Runtime) {
        self.silence(clock);
        self.broken = [true; 2];
    }

    /// The client's end knows at once that it is over, the hub's will never hear of it.
    pub(crate) fn half_open(&mut self, clock: &dyn Runtime) {
        self.lose(Side::Client, clock);
    }

    /// The end of `side` goes with its process. One that was dropped before has said its last word.
    pub(crate) fn crash(&mut self, side: Side, crash: Crash, clock: &dyn Runtime) {
        if self.dropped[side as usize] {
            return;
        }
        match crash {
            // What does not move tells nobody.
            Crash::Reset if self.sending(side).moves() => self.cut(clock),
            Crash::Reset | Crash::Silent => self.lose(side, clock),
        }
    }

    pub(crate) fn set_dropped(&mut self, side: Side) {
        self.dropped[side as usize] = true;
    }

    fn lose(&mut self, side: Side, clock: &dyn Runtime) {
        self.silence(clock);
        self.set_broken(side);
    }

    fn silence(&mut self, clock: &dyn Runtime) {
        self.to_hub.silence(clock);
        self.to_client.silence(clock);
    }

    fn take_wakers(&mut self) -> [Option<Waker>; 4] {
        let (up, down) = (&mut self.to_hub, &mut self.to_client);
        [
            &mut up.receiver,
            &mut up.sender,
            &mut down.receiver,
            &mut down.sender,
        ]
        .map(Option::take)
    }
}
