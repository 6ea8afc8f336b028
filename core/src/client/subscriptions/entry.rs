//! One subscription as the driver knows it: how far it has come on this connection, and in history.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::{Answered, Told};
use crate::client::queue::{Place, Queue};
use crate::client::subscription::{Delivery, SubscribeOptions};
use crate::policy::Policy;
use crate::topic::{Topic, TopicFilter};
use crate::wire::{Denied, Envelope, Outcome, Start, Verdict};

/// How far a subscription has come on the present connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The hub does not know of it.
    Wanted,
    /// The hub was asked to begin it here.
    Asked(Start),
    /// The hub has confirmed it.
    Active,
}

/// What is still to come of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    /// Nothing: it hears what happens.
    Over,
    /// Events, all of which come before those that happen now.
    Events,
    /// Values, among what happens now.
    Values,
}

pub(super) struct Entry {
    /// Its name for as long as it lives.
    pub(super) key: u64,
    /// Its name in the present session.
    pub(super) number: u32,
    filter: Box<str>,
    pub(super) policy: Option<Policy>,
    /// Where the program wants it to begin.
    start: Start,
    pub(super) queue: Arc<Queue>,
    pub(super) phase: Phase,
    past: Past,
    /// All its topics keep a history, as the hub said.
    kept: bool,
    /// The life of the history that offsets belong to, if they tell how far it has come.
    epoch: Option<u64>,
    /// All that history has up to here was heard, or said to be missing.
    place: Place,
    /// Events behind its place that it was told to miss.
    missed: u64,
    /// As many of them history has, and may bring again.
    known: u64,
    /// It was told to miss something since it began.
    holey: bool,
    /// The hub keeps no history that it could go on from.
    adrift: bool,
    /// The hub was asked to end it. It counts until the hub has confirmed that.
    pub(super) leaving: bool,
    /// The hub had it under another number, so there is a gap.
    renewed: bool,
    /// It has heard that nothing is missing, so that the end of the past is no news.
    quiet: bool,
    pub(super) answered: Option<Answered>,
}

impl Entry {
    pub(super) fn new(
        (key, number): (u64, u32),
        filter: TopicFilter<'_>,
        options: SubscribeOptions,
        queue: Arc<Queue>,
        answered: Answered,
    ) -> Self {
        Self {
            key,
            number,
            filter: filter.as_str().into(),
            policy: options.policy,
            start: options.start,
            queue,
            phase: Phase::Wanted,
            past: Past::Over,
            kept: false,
            epoch: None,
            place: None,
            missed: 0,
            known: 0,
            holey: false,
            // Its values overtake each other, so an offset does not tell what came before.
            adrift: options.policy == Some(Policy::KeepLatest),
            leaving: false,
            renewed: false,
            quiet: false,
            answered: Some(answered),
        }
    }

    pub(super) fn filter(&self) -> TopicFilter<'_> {
        TopicFilter::checked(&self.filter)
    }

    /// Whether a hub has said that not all its topics keep a history.
    pub(super) fn is_plain(&self) -> bool {
        self.renewed && !self.kept
    }

    pub(super) fn filter_text(&self) -> Box<str> {
        self.filter.clone()
    }

    /// Whether the hub counts what happens for it: confirmed, and done with past events.
    pub(super) fn is_live(&self) -> bool {
        self.phase == Phase::Active && self.past != Past::Events
    }

    pub(super) fn is_heard(&self) -> bool {
        self.phase == Phase::Active && !self.leaving
    }

    pub(super) fn hears(&self, topic: Topic<'_>) -> bool {
        self.is_live() && self.filter().matches(topic)
    }

    /// Takes note that the hub is asked for it; says where it is to begin.
    pub(super) fn ask(&mut self) -> Start {
        let start = match (self.place, self.start) {
            // Nobody knows any more which values it has.
            (_, Start::Retained) if self.holey => Start::Retained,
            (Some((epoch, offset)), _) if !self.adrift => Start::Offset { epoch, offset },
            (_, Start::Retained) => Start::Retained,
            // It had some of the past already.
            _ if self.adrift && self.renewed => Start::Now,
            (_, start) => start,
        };
        self.phase = Phase::Asked(start);
        start
    }

    /// Whether the hub's refusal is about where it was to begin only, so that it may begin elsewhere.
    pub(super) fn may_begin_elsewhere(&mut self, denied: Denied) -> bool {
        let no_history = matches!(denied, Denied::NoHistory | Denied::Offset);
        let elsewhere = no_history && self.renewed && self.phase != Phase::Asked(Start::Now);
        if elsewhere && core::mem::replace(&mut self.adrift, true) {
            // Not even values any more.
            self.start = Start::Now;
        }
        elsewhere
    }

    /// The hub has confirmed it: what follows is heard.
    pub(super) fn confirm(&mut self, outcome: Outcome, told: &mut Told) {
        let asked = match self.phase {
            Phase::Asked(start) => start,
            _ => Start::Now,
        };
        self.phase = Phase::Active;
        self.queue.restart_account();
        let returned = core::mem::replace(&mut self.renewed, true);
        self.known = 0;
        let delivery = match outcome {
            Outcome::Positioned {
                epoch,
                offset,
                verdict,
                ..
            } => self.enter_history(asked, (epoch, offset), verdict, returned),
            _ => {
                (self.kept, self.epoch, self.place) = (false, None, None);
                self.past = Past::Over;
                returned.then_some(Delivery::Gap(None))
            }
        };
        match delivery {
            Some(delivery) => self.tell(delivery, told),
            None => self.queue.begin_at(self.place),
        }
    }

    /// Begins at some place of a history; what there is to tell about that.
    fn enter_history(
        &mut self,
        asked: Start,
        newest: (u64, u64),
        verdict: Verdict,
        returned: bool,
    ) -> Option<Delivery> {
        let gap = matches!(verdict, Verdict::Gap { .. });
        self.quiet = false;
        self.kept = asked != Start::Retained;
        let placed = newest.0 != 0 && self.policy != Some(Policy::KeepLatest);
        self.adrift |= !placed;
        self.epoch = placed.then_some(newest.0);
        self.past = match asked {
            Start::Now => Past::Over,
            Start::Retained => Past::Values,
            Start::Offset { .. } | Start::Beginning => Past::Events,
        };
        if matches!(asked, Start::Offset { .. }) && !gap {
            self.known = self.missed;
        }
        self.place = self.epoch.and_then(|epoch| match asked {
            Start::Now => Some(newest),
            Start::Offset { epoch, offset } if !gap => Some((epoch, offset)),
            // Among what was missed may be the newest value of a topic.
            Start::Retained if core::mem::take(&mut self.holey) => None,
            Start::Retained => self.place.filter(|place| place.0 == epoch),
            Start::Offset { .. } | Start::Beginning => None,
        });
        match asked {
            Start::Now | Start::Retained => returned.then_some(Delivery::Gap(None)),
            // It begins, and nothing is missing.
            _ if !returned && verdict == Verdict::Resumed => None,
            _ => Some(delivery(verdict)),
        }
    }

    /// Takes what becomes of it on a return to its session, when not everything follows that was on its way.
    ///
    /// Where all its topics keep a history, the hub lets it come to the present from there, whatever the verdict is.
    pub(super) fn take_verdict(&mut self, verdict: Verdict, shared_loss: bool, told: &mut Told) {
        if self.kept || matches!(verdict, Verdict::Replayed { .. }) {
            self.quiet = self.past == Past::Over && verdict == Verdict::Resumed;
            self.past = Past::Events;
        }
        self.holey |= shared_loss || matches!(verdict, Verdict::Gap { .. });
        let verdict = match verdict {
            Verdict::Gap {
                missed: Some(missed),
            } => {
                self.queue.account(missed);
                let gap = self.gap(missed);
                if let (Verdict::Gap { missed }, false) = (gap, shared_loss) {
                    self.missed = self.missed.saturating_add(missed.unwrap_or(0));
                }
                gap
            }
            other => other,
        };
        let delivery = match shared_loss {
            true => Delivery::Gap(None),
            false => delivery(verdict),
        };
        self.tell(delivery, told);
    }

    /// What a gap of this size is, beside what it was told before.
    fn gap(&mut self, missed: u64) -> Verdict {
        let known = self.known.min(missed);
        self.known -= known;
        match missed - known {
            0 if known > 0 => Verdict::Resumed,
            missed => Verdict::Gap {
                missed: Some(missed),
            },
        }
    }

    /// Hears an event that happens.
    pub(super) fn hear(&mut self, envelope: &Envelope, told: &mut Told) {
        if self.past == Past::Over {
            self.come_to(envelope.offset());
        }
        self.tell(Delivery::Event(envelope.clone()), told);
    }

    /// Hears an event of the past, unless it had it before.
    pub(super) fn replay(&mut self, envelope: Envelope, told: &mut Told) {
        self.queue.account(1);
        if self.past == Past::Over {
            // More of it follows, and then the word that it is over.
            self.past = Past::Events;
        }
        self.quiet = false;
        let known = self.place.filter(|place| Some(place.0) == self.epoch);
        if known.is_some_and(|(_, known)| envelope.offset() <= Some(known)) {
            return;
        }
        if self.past == Past::Events {
            let missed = self.missed;
            self.come_to(envelope.offset());
            if self.known > 0 {
                // It was told to miss this one, and so it does.
                (self.known, self.missed) = (self.known - 1, missed.saturating_sub(1));
                return;
            }
        }
        self.tell(Delivery::Event(envelope), told);
    }

    /// Misses events, or hears so once more.
    pub(super) fn miss(&mut self, missed: u64, told: &mut Told) {
        self.queue.account(missed);
        self.holey = true;
        let known = self.known.min(missed);
        self.known -= known;
        self.missed = self.missed.saturating_add(missed - known);
        if missed > known {
            self.tell(Delivery::Lagged(missed - known), told);
        }
    }

    /// Misses nobody knows how many.
    pub(super) fn miss_some(&mut self, told: &mut Told) {
        self.holey = true;
        self.tell(Delivery::Gap(None), told);
    }

    /// The past is over.
    pub(super) fn come_live(&mut self, offset: u64, told: &mut Told) {
        if core::mem::replace(&mut self.past, Past::Over) == Past::Over {
            return;
        }
        self.come_to(Some(offset));
        self.known = 0;
        if !core::mem::take(&mut self.quiet) {
            self.tell(Delivery::Live, told);
        }
    }

    /// Says that so many events are missing, or an unknown number.
    pub(super) fn tell(&self, delivery: Delivery, told: &mut Told) {
        told.push(&self.queue, delivery, self.place);
    }

    /// Its session is over.
    pub(super) fn handle_lost(&mut self) {
        (self.phase, self.past) = (Phase::Wanted, Past::Over);
    }

    fn come_to(&mut self, offset: Option<u64>) {
        if let (Some(epoch), Some(offset)) = (self.epoch, offset) {
            let before = self.place.filter(|place| place.0 == epoch);
            let newest = before.map_or(offset, |(_, before)| before.max(offset));
            self.place = Some((epoch, newest));
            self.missed = 0;
        }
    }
}

/// A verdict as the program hears it.
pub(in crate::client) fn delivery(verdict: Verdict) -> Delivery {
    match verdict {
        Verdict::Resumed => Delivery::Resumed,
        Verdict::Replayed { from, to } => Delivery::Replayed { from, to },
        Verdict::Gap { missed } => Delivery::Gap(missed),
        Verdict::Denied(_) => Delivery::Gap(None),
    }
}
