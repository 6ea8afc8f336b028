//! What the hub's acks mean for a client's requests.

use alloc::vec::Vec;

use super::outbox::Fate;
use super::shared::{Inner, Receipt, Shared};
use super::subscriptions::{Answered, Request, Told};
use crate::id::ConnectionId;
use crate::wire::{Ack, Denied, Outcome};

/// Who has to be told what a subscribe came to.
type Answers = Vec<(Answered, Result<(), Denied>)>;

/// What an ack means for those who wait for it.
#[must_use = "somebody waits for these"]
pub(super) struct Results {
    answers: Answers,
    receipt: Option<Receipt>,
    outcome: Outcome,
}

impl Results {
    /// Tells whoever waits, if it is still of interest; without a lock, for it may act at once.
    pub(super) fn tell(self) {
        for (answered, answer) in self.answers {
            let _ = answered.send(answer);
        }
        match self.receipt {
            Some(Receipt::Published(published)) => drop(published.send(self.outcome)),
            Some(Receipt::Unsubscribed { closed, .. }) => drop(closed.map(|c| c.send(()))),
            Some(Receipt::Subscribed { .. }) | None => {}
        }
    }
}

impl Shared {
    /// The hub has answered a request; says which queues have become full, and who is to be told.
    pub(super) fn handle_ack(&self, ack: Ack) -> (Told, Results) {
        let mut told = Told::default();
        let mut answers = Answers::new();
        let receipt = self.with(|inner| match inner.receipts.remove(&ack.receipt)? {
            Receipt::Subscribed { request, renewal } => {
                inner.renewing -= usize::from(renewal);
                self.handle_subscribed(
                    inner,
                    request,
                    renewal,
                    ack.outcome,
                    &mut answers,
                    &mut told,
                );
                None
            }
            Receipt::Unsubscribed { number, closed } => {
                inner.subscriptions.left(number);
                Some(Receipt::Unsubscribed { number, closed })
            }
            published => Some(published),
        });
        let results = Results {
            answers,
            receipt,
            outcome: ack.outcome,
        };
        (told, results)
    }

    fn handle_subscribed(
        &self,
        inner: &mut Inner,
        request: Request,
        renewal: bool,
        outcome: Outcome,
        answers: &mut Answers,
        told: &mut Told,
    ) {
        let numbers = request.numbers();
        match outcome {
            // The hub takes all of them or none: which one was it?
            Outcome::Denied(_) if numbers.len() > 1 => {
                let requests = numbers.filter_map(|number| inner.subscriptions.ask(number));
                let requests: Vec<_> = requests.collect();
                inner.renewing += requests.len() * usize::from(renewal);
                for request in requests {
                    let frame = self.subscribe_frame(inner, request, renewal);
                    inner.store.outbox.push(frame, Fate::Bound);
                }
            }
            Outcome::Denied(denied) => {
                if let Some(request) = inner.subscriptions.ask_elsewhere(request.first, denied) {
                    inner.renewing += usize::from(renewal);
                    return self.request(inner, request, renewal);
                }
                let answered = inner.subscriptions.deny(request.first, denied, told);
                answers.extend(answered.map(|answered| (answered, Err(denied))));
            }
            _ => {
                let confirmed =
                    numbers.filter_map(|number| inner.subscriptions.confirm(number, outcome, told));
                answers.extend(confirmed.map(|answered| (answered, Ok(()))));
            }
        }
    }
}

impl Inner {
    /// The connection, when everything on it is in place for the first time.
    pub(super) fn came_online(&self) -> Option<ConnectionId> {
        self.connection
            .filter(|_| self.renewing == 0 && !self.is_online())
    }
}
