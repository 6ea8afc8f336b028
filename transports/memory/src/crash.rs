//! What a process loses when it crashes, and what others notice of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::link::{Link, Side};
use crate::listener::Backlog;

/// What those at the other ends notice of a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The machine goes on without the process, and resets its connections.
    Reset,
    /// The machine is gone: nothing is ever heard of it.
    Silent,
}

/// One life of a process, from its start or restart to a crash: what it holds in the network.
#[derive(Default)]
pub(crate) struct Life(Mutex<Holdings>);

#[derive(Default)]
struct Holdings {
    of_now: Vec<Holding>,
    crashed: Option<Crash>,
}

/// Something that goes with the process.
#[derive(Clone)]
pub(crate) enum Holding {
    /// One end of a connection.
    End(Weak<Link>, Side),
    /// The peers that wait for a listener.
    Backlog(Weak<Backlog>),
}

impl Life {
    /// Adds what this process has opened; goes at once when it has crashed already.
    pub(crate) fn hold(&self, holding: Holding) {
        let mut holdings = self.lock();
        if let Some(crash) = holdings.crashed {
            drop(holdings);
            return holding.crash(crash);
        }
        let of_now = &mut holdings.of_now;
        // Only when it would grow, so that a long life does not look through everything each time.
        if of_now.len() == of_now.capacity() {
            of_now.retain(|holding| !holding.is_gone());
        }
        of_now.push(holding);
    }

    /// Ends this life: all that is held goes.
    pub(crate) fn end(&self, crash: Crash) {
        let mut holdings = self.lock();
        holdings.crashed = Some(crash);
        let lost = core::mem::take(&mut holdings.of_now);
        drop(holdings);
        lost.into_iter().for_each(|holding| holding.crash(crash));
    }

    fn lock(&self) -> MutexGuard<'_, Holdings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holding {
    pub(crate) fn end(link: &Arc<Link>, side: Side) -> Self {
        Self::End(Arc::downgrade(link), side)
    }

    fn is_gone(&self) -> bool {
        match self {
            Self::End(link, _) => link.strong_count() == 0,
            Self::Backlog(backlog) => backlog.strong_count() == 0,
        }
    }

    fn crash(self, crash: Crash) {
        match self {
            Self::End(link, side) => {
                if let Some(link) = link.upgrade() {
                    link.change(|state, clock| state.crash(side, crash, clock));
                }
            }
            Self::Backlog(backlog) => {
                if let Some(backlog) = backlog.upgrade() {
                    backlog.crash(crash);
                }
            }
        }
    }
}
