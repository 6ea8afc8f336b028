//! What goes on while there is no connection.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::poll_fn;
use core::task::{Context, Poll};

use super::shared::Shared;
use crate::answers::Answers;
use crate::runtime::Timer;
use crate::time::Instant;

/// The timer of a client, and the handlers of the hub's calls: they go on from one connection to the next.
pub(super) struct Meantime {
    pub(super) shared: Arc<Shared>,
    pub(super) timer: Box<dyn Timer>,
    pub(super) answers: Answers,
}

impl Meantime {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            timer: shared.runtime.timer(),
            answers: Answers::new(&shared.limits),
            shared,
        }
    }

    /// What `work` comes to; `None` when its time is over. Meanwhile the time of calls, and of the hope to go on with a session, runs too.
    pub(super) async fn until<T>(
        &mut self,
        until: Instant,
        mut work: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(done) = work(cx) {
                    return Poll::Ready(Some(done));
                }
                let now = self.shared.runtime.now();
                if until <= now {
                    return Poll::Ready(None);
                }
                let next = self.tend(now, cx);
                self.timer.arm(next.map_or(until, |next| next.min(until)));
                if self.timer.poll_fired(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// The hub does not wait for answers any more.
    pub(super) fn forget_answers(&mut self) {
        self.answers = Answers::new(&self.shared.limits);
    }

    /// Looks after what waits for the session to go on; says when to do it again.
    fn tend(&mut self, now: Instant, cx: &mut Context<'_>) -> Option<Instant> {
        let Some(hope) = self.shared.expire_claim(now) else {
            self.forget_answers();
            return None;
        };
        let calls = self.shared.expire_calls(now);
        let blocked = self.shared.answer_calls(&mut self.answers, now, cx);
        let answers = self.answers.deadline().filter(|_| !blocked);
        [Some(hope), calls, answers].into_iter().flatten().min()
    }
}
