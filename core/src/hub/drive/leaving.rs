//! The end of a connection: out of the hub, last words, and nothing left over.

use alloc::vec::Vec;
use core::task::{Context, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Drive, Stage};
use crate::answers::Answers;
use crate::hub::admission::Gone;
use crate::hub::log;
use crate::hub::resume::Claim;
use crate::session::Ending;
use crate::sync::write;
use crate::time::Instant;

impl Drive {
    /// Takes the connection out of the hub: from here on it is gone for everybody but its peer.
    pub(super) fn leave(&mut self, ending: Ending) {
        self.answers = Answers::new(&self.shared().limits);
        self.admission = None;
        let left = self.live(|live| {
            live.left = true;
            let undelivered = live.store.lane.frames() as u64;
            live.store.lane.clear();
            let parted = live.link.session.has_parted();
            let tokens: Vec<_> = live.claim.iter().flat_map(Claim::tokens).collect();
            live.claim = None;
            let waiting = (live.take_waiters(), live.arrival.take());
            (parted, undelivered, tokens, waiting)
        });
        let (parted, undelivered, tokens, waiting) = left.unwrap_or_default();
        drop(waiting);
        let shared = self.hub.shared.clone();
        shared.tokens.remove(tokens);
        shared.forget_readers(&self.connection);
        self.come_back();
        log::ended(&self.connection, ending, self.key.is_some());
        let Some(key) = self.key.take() else {
            shared.settle();
            return shared.counters.refused(ending);
        };
        let mut registry = write(&shared.registry);
        let groups = registry.groups_of(key).cloned().collect();
        registry.remove(key);
        shared.changed(&registry);
        drop(registry);
        shared.gone(ending, parted, undelivered);
        if let Some(hook) = &shared.on_disconnect {
            let gone = Gone {
                connection: self.connection.id,
                user: self.user.take(),
                groups,
                ending,
            };
            let _ = catch_unwind(AssertUnwindSafe(|| hook(gone)));
        }
    }

    /// Lets the peer have our last words, and its own.
    pub(super) fn goodbye(&self, now: Instant, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if until <= now || self.is_abandoned() || self.shared().is_cutting() {
            return Poll::Ready(());
        }
        let said = self.live(
            |live| match live.link.poll_write(&mut live.store, now, cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(_) => live.link.poll_goodbye(cx),
            },
        );
        said.unwrap_or(Poll::Ready(()))
    }

    /// Frees everything.
    pub(super) fn bury(&mut self) {
        self.stage = Stage::Done;
        if let Some(traffic) = self.connection.bury() {
            self.shared().counters.traffic(traffic);
        }
        self.shared().departed(&self.connection);
    }
}
