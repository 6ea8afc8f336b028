//! What the hub's welcome means: a new session, or one that goes on.

use alloc::vec::Vec;

use super::claim::Claim;
use super::handlers::HandlerId;
use super::outbox::Fate;
use super::shared::{Inner, Remains, Shared};
use super::subscription::Delivery;
use super::subscriptions::{Request, Told, delivery};
use crate::session::{CallSlot, Lane};
use crate::wire::{CloseReason, Continued, List, Verdict, Welcome};

/// What there is to do about a welcome when the lock is free.
#[derive(Default)]
#[must_use = "somebody waits for these"]
pub(super) struct Arrival {
    pub(super) told: Told,
    /// What handlers hear, on account of events that are sent straight to the client.
    pub(super) verdict: Option<Delivery>,
    pub(super) hearing: Vec<HandlerId>,
    /// Whether the hub still waits for answers to calls that it made before.
    pub(super) is_whole: bool,
    /// Numbers of subscriptions that the hub is to end.
    unread: Vec<u32>,
    _remains: Remains,
}

impl Shared {
    /// The hub has let the client in: asks for the subscriptions that it does not know, ahead of all that waits.
    ///
    /// # Errors
    ///
    /// The hub says what cannot be: the connection is to be ended.
    pub(super) fn handle_welcome(&self, welcome: &Welcome<'_>) -> Result<Arrival, CloseReason> {
        self.with(|inner| {
            let mut arrival = match welcome.continued {
                Some(continued) => inner.go_on(welcome, continued)?,
                None => inner.begin_anew(),
            };
            inner.settle_in(welcome, self.resumable);
            if arrival.verdict.is_some() {
                arrival.hearing = inner.handlers.hearing(None);
            }
            let requests = match welcome.continued {
                Some(_) => inner.subscriptions.ask_wanted(),
                None => inner.subscriptions.renew(inner.hub_bytes_max),
            };
            let unread = core::mem::take(&mut arrival.unread);
            self.ask_first(inner, &unread, requests);
            Ok(arrival)
        })
    }

    /// Asks the hub ahead of all that waits: first to end subscriptions, so that there is room for others.
    fn ask_first(&self, inner: &mut Inner, unread: &[u32], requests: Vec<Request>) {
        inner.renewing += requests.len();
        let mut frames: Vec<_> = unread
            .iter()
            .map(|number| self.unsubscribe_frame(inner, *number, None))
            .collect();
        let requests = requests.into_iter();
        frames.extend(requests.map(|request| self.subscribe_frame(inner, request, true)));
        inner.store.outbox.push_first(frames);
    }
}

impl Inner {
    /// Takes note of what the hub tells about itself and this connection.
    fn settle_in(&mut self, welcome: &Welcome<'_>, resumable: bool) {
        self.connection = Some(welcome.connection);
        self.resume_token = welcome.resume_token.filter(|_| resumable);
        self.hub_bytes_max = welcome.terms.message_bytes_max as usize;
        let outbox = &mut self.store.outbox;
        outbox.begin(self.resume_token.is_some());
        self.discarded += outbox.discard_larger(self.hub_bytes_max);
    }

    /// The hub knows of no session.
    fn begin_anew(&mut self) -> Arrival {
        let remains = self.forget_session();
        self.accounted = 0;
        let returned = core::mem::replace(&mut self.known, true);
        Arrival {
            verdict: returned.then_some(Delivery::Gap(None)),
            _remains: remains,
            ..Arrival::default()
        }
    }

    /// The hub knows the session that there is a claim on.
    fn go_on(
        &mut self,
        welcome: &Welcome<'_>,
        continued: Continued,
    ) -> Result<Arrival, CloseReason> {
        let claim = self.claim.take().ok_or(CloseReason::Unexpected)?;
        let answered = continued.whole || welcome.verdicts.len() == claim.positions.len();
        // What is to be sent again was made for the hub as it was.
        if !answered || (welcome.terms.message_bytes_max as usize) < self.hub_bytes_max {
            return Err(CloseReason::Unexpected);
        }
        if !self.store.outbox.rewind(continued.received) {
            return Err(CloseReason::Count);
        }
        Ok(match continued.whole {
            true => self.resume(claim),
            false => self.pick_up(claim, welcome.verdicts),
        })
    }

    /// Nothing is missing, in either direction.
    fn resume(&mut self, mut claim: Claim) -> Arrival {
        let mut arrival = Arrival {
            verdict: Some(Delivery::Resumed),
            is_whole: true,
            ..Arrival::default()
        };
        let link = self.link.as_mut().expect("a connection has a link");
        link.session
            .continue_from(&mut claim.session, &mut self.store);
        // A call that nobody waits for any more is not made late.
        let (calls, streams) = (&self.calls, &self.store.streams);
        self.store.outbox.retain(|fate| match fate {
            Fate::Call(id) => {
                let streams = streams.as_ref();
                calls.contains_key(&id) || streams.is_some_and(|streams| streams.lock().keep(id))
            }
            _ => true,
        });
        if let Some(streams) = streams {
            streams.lock().say_again();
        }
        self.subscriptions.resume(&mut arrival.told);
        arrival
    }

    /// What was on its way from the hub is missing, answers and all; events of the client that it has not received are sent again.
    fn pick_up(&mut self, claim: Claim, verdicts: List<'_, Verdict>) -> Arrival {
        self.generation += 1;
        self.lose_streams();
        self.renewing = 0;
        self.store.slots.fill(CallSlot::FREE);
        self.store.outbox.retain(|fate| fate == Fate::Kept);
        let mut arrival = Arrival {
            _remains: self.forget_waiting(),
            ..Arrival::default()
        };
        let mut verdicts = claim.positions.into_iter().zip(verdicts.iter());
        if let Some((_, verdict)) = verdicts.next() {
            if let Verdict::Gap { missed } = verdict {
                self.account(missed.unwrap_or(0));
            }
            arrival.verdict = Some(delivery(verdict));
        }
        arrival.unread = self
            .subscriptions
            .take_verdicts(verdicts, &mut arrival.told);
        arrival
    }
}
