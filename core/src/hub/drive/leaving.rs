//! The end of a connection: out of the hub, last words, and nothing left over.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::task::{Context, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Drive, Ended};
use crate::hub::admission::Gone;
use crate::hub::log;
use crate::session::Ending;
use crate::sync::write;
use crate::time::Instant;

impl Drive {
    /// Takes the connection out of the hub: from here on it is gone for everybody but its peer.
    pub(super) fn leave(&mut self, ending: Ending) {
        let answers = self.answers.take();
        self.forget_admission();
        let left = self.live(|live| {
            live.left = true;
            if let Some(ticket) = live.ticket() {
                ticket.cancel();
            }
            let undelivered = live.store.lane.frames() as u64;
            live.store.lane.clear();
            let parted = live.link.session.has_parted();
            let tokens: Vec<_> = live.claim.iter().flat_map(|claim| claim.tokens()).collect();
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
            self.forget_guest();
            shared.settle();
            return shared.counters.refused(ending);
        };
        let mut registry = write(&shared.registry);
        let groups = registry.groups_of(key).cloned().collect();
        registry.remove(key);
        shared.changed(&registry);
        drop(registry);
        // What runs for it may have last words, and asks whether anybody hears them.
        drop(answers);
        shared.gone(ending, parted, undelivered);
        if let Some(hook) = &shared.on_disconnect {
            let gone = Gone {
                connection: self.connection.id,
                user: self.user.take(),
                groups,
                ending,
                hub: self.hub.clone(),
                guest: self.guest.take(),
            };
            let _ = catch_unwind(AssertUnwindSafe(|| hook(gone)));
        }
        self.forget_guest();
    }

    /// Lets go of what the program keeps for the connection, which may do something at its end: without a lock, and a panic is its own.
    fn forget_guest(&mut self) {
        let shared = self.live(|live| live.guest.take()).flatten();
        let own = self.guest.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop((shared, own))));
    }

    /// Begins to say goodbye to the peer, whose client may return.
    pub(super) fn end(&mut self, ending: Ending, now: Instant) {
        let away = self.go_away(ending, now);
        if away.is_none() {
            self.leave(ending);
        }
        let begun = self.live(|live| live.link.session.closing_until());
        let until = begun
            .flatten()
            .unwrap_or(now + self.shared().limits.closing);
        self.ended = Some(Box::new(Ended::Goodbye {
            ending,
            until,
            away,
        }));
    }

    /// Has a turn after the end; `None` when it is to have another at once.
    pub(super) fn poll_ended(
        &mut self,
        ended: Ended,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Option<Poll<Ending>> {
        let again = match ended {
            Ended::Goodbye {
                ending,
                until,
                away,
            } => {
                let again = away.is_some() && self.answer_nobody(now, cx);
                match (self.goodbye(now, until, cx).is_ready(), away) {
                    (true, None) => {
                        self.bury();
                        return Some(Poll::Ready(ending));
                    }
                    (true, Some(until)) => {
                        self.live(|live| live.link.let_go());
                        self.ended = Some(Box::new(Ended::Away { ending, until }));
                        return None;
                    }
                    (false, _) => again,
                }
            }
            Ended::Away { ending, until } => {
                if let Some(ending) = self.given_up(ending, until, now) {
                    self.leave(ending);
                    self.bury();
                    return Some(Poll::Ready(ending));
                }
                self.answer_nobody(now, cx)
            }
            Ended::Done => panic!("polled after it was ready"),
        };
        (again || !self.schedule(now, cx)).then(|| self.rest(again, cx))
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
        match &mut self.ended {
            Some(ended) => **ended = Ended::Done,
            none => *none = Some(Box::new(Ended::Done)),
        }
        if let Some(traffic) = self.connection.bury() {
            self.shared().counters.traffic(traffic);
        }
        self.shared().departed(&self.connection);
    }
}
