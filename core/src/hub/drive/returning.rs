//! A client that is away, and its return.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll};
use core::time::Duration;

use super::Drive;
use crate::hub::admission::{Admission, Refuse};
use crate::hub::connection::{Connection, Live};
use crate::hub::guest::Guest;
use crate::hub::log;
use crate::hub::resume::{Arrival, Before, Claim, NotResumed, Resume};
use crate::id::Group;
use crate::link::Link;
use crate::registry::Key;
use crate::session::{Ending, Grant, Lane};
use crate::sync::{read, write};
use crate::time::Instant;
use crate::topic::TopicFilter;
use crate::wire::{
    Close, CloseReason, Continued, Denied, Frame, List, Position, Refusal, Return, Verdict,
};

/// To a client with a ticket of a connection that is over.
pub(super) fn nothing_to_return_to() -> Refuse {
    Refuse::unauthorized("there is nothing to return to")
}

/// The task of the new transport: it ends when the connection has it.
impl Drive {
    /// Hands the client over to the connection that it wants to resume; false when it may not, or wants none.
    pub(super) fn hand_over(
        &mut self,
        admission: &Admission,
        now: Instant,
    ) -> Result<bool, Refuse> {
        let by_ticket = self.returns_by_ticket();
        // Who returns by a ticket wants nothing else.
        let nothing = || match by_ticket {
            true => Err(nothing_to_return_to()),
            false => Ok(false),
        };
        let Some((connection, resume)) = self.wanted_back(admission) else {
            return nothing();
        };
        let Some(live) = self.connection.live().take() else {
            return nothing();
        };
        match connection.arrive(Arrival {
            live: Box::new(live),
            resume,
            number: self.connection.number,
            groups: admission.groups.clone(),
            guest: admission.guest.clone(),
        }) {
            Ok(()) => {
                self.moved = true;
                Ok(true)
            }
            Err(NotResumed::Unknown(live)) => {
                *self.connection.live() = Some(*live);
                nothing()
            }
            Err(NotResumed::Count(live)) => {
                *self.connection.live() = Some(*live);
                // Nobody can say what a client has missed that counts wrongly.
                connection.miscounted(now);
                Err(Refuse::new(Refusal::Count, Some(Duration::ZERO)))
            }
        }
    }

    /// The connection that the client wants to resume, if it is the same user's, and gets the same bytes.
    fn wanted_back(&mut self, admission: &Admission) -> Option<(Arc<Connection>, Resume)> {
        let mut resume = self.entering.as_mut()?.resume.take()?;
        if resume.is_by_ticket() {
            // By an earlier transport it may have returned since, and been heard.
            resume.token = self.live(|live| live.link.token()).flatten()?;
        }
        let shared = self.shared();
        let key = shared.tokens.find(&resume.token)?;
        let registry = read(&shared.registry);
        let connection = registry.get(key)?;
        let same_user = registry.user(key) == admission.user.as_ref();
        let same_class = connection.class() == self.connection.class();
        (same_user && same_class && !shared.is_stopping()).then(|| (connection.clone(), resume))
    }

    /// Ends a task whose client has gone on with another connection.
    pub(super) fn move_out(&mut self) -> Ending {
        self.shared().settle();
        self.bury();
        Ending::Resumed
    }
}

/// The task of the connection, while its client is away.
impl Drive {
    /// Begins to wait for the client; until when, if it may return after such an ending at all.
    pub(super) fn go_away(&self, ending: Ending, now: Instant) -> Option<Instant> {
        let shared = self.shared();
        let resume = shared.limits.resume.filter(|_| !shared.is_stopping())?;
        let lost = self.live(|live| live.goes_on()).unwrap_or(false);
        if !lost || self.is_abandoned() || !shared.has_room_away() {
            return None;
        }
        self.live(|live| {
            live.link.session.handed_over(&mut live.store);
            live.store.lane.leave();
        });
        self.connection.set_away(true);
        shared.detached.fetch_add(1, Ordering::AcqRel);
        // Nobody waits for room in its lane.
        shared.room_freed();
        log::detached(&self.connection, ending);
        Some(now + resume)
    }

    /// The client is not away any more: it is here, or gone.
    pub(super) fn come_back(&self) {
        if self.connection.set_away(false) {
            self.shared().detached.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Why nobody waits for the client any more, if so.
    pub(super) fn given_up(&self, ending: Ending, until: Instant, now: Instant) -> Option<Ending> {
        let dismissed = self
            .live(|live| live.dismissed.as_deref().copied())
            .flatten();
        let over = until <= now || self.is_abandoned() || self.shared().is_stopping();
        dismissed.or(over.then_some(ending))
    }

    /// Lets handlers go on whose caller is away, and ends calls whose time is over; true when there may be more to do.
    pub(super) fn answer_nobody(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let again = self.answer(now, cx);
        self.live(|live| live.link.session.expire_calls(&mut live.store, now));
        self.events();
        again
    }

    /// Ends a turn; with `again` the next one follows at once.
    pub(super) fn rest(&self, again: bool, cx: &mut Context<'_>) -> Poll<Ending> {
        if again {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// The task of the connection, when its client returns.
impl Drive {
    /// Goes on with a client that has returned.
    pub(super) fn take_arrival(&mut self, now: Instant) {
        let take = |live: &mut Live| {
            let arrival = live.arrival.take()?;
            // It may have been a while.
            let welcome = live.check(&arrival) == Some(true) && live.stop_writing();
            Some((arrival, welcome))
        };
        let Some((arrival, true)) = self.live(take).flatten() else {
            return;
        };
        let Some(key) = self.key.filter(|_| !self.shared().is_cutting()) else {
            return;
        };
        let Arrival {
            live,
            resume,
            number,
            groups,
            guest,
        } = *arrival;
        self.set_guest(Guest::returned(self.guest.as_deref(), guest));
        // What waits may be for a group that it has lost.
        let demoted = self.rejoin(key, groups);
        let denied = self.denied(key);
        let repeated = self.live(|live| live.repeated(&resume)).flatten();
        let whole = denied.is_empty() && !demoted && self.rewind(&live, &resume, repeated);
        if !whole && resume.is_by_ticket() {
            return self.connection.close(NOT_WHOLE, None, now);
        }
        let replayed = match whole {
            true => Vec::new(),
            false => {
                // Of one that was whole the client has no verdict to hear.
                let in_vain = repeated.is_some_and(|before| !before.whole);
                self.begin_anew(key, &resume, in_vain, &denied)
            }
        };
        let received = self.live(|live| live.link.session.received());
        let continued = Continued {
            whole,
            received: repeated.map_or(received.unwrap_or(0), |before| before.received),
        };
        let told = |position: &Position| {
            let number = position.subscription;
            let replayed = replayed.iter().find(|(replayed, _)| *replayed == number);
            match denied.contains(&number) {
                true => Some(Verdict::Denied(Denied::Forbidden)),
                false => replayed.map(|(_, verdict)| *verdict),
            }
        };
        self.install(live.link, (&resume, number), continued, told, now);
        if !whole {
            self.shared().repeat_live(&self.connection);
        }
        self.come_back();
        self.connection.write_anew();
        self.ended = None;
        self.unheard = false;
        self.shared().counters.resumed();
        log::resumed(&self.connection, whole);
    }

    /// Lets the connection be in the groups that its client got at the door this time, instead of those that it got before; true when
    /// it has left one.
    fn rejoin(&mut self, key: Key, groups: Vec<Group>) -> bool {
        let before = core::mem::replace(&mut self.groups, groups.into());
        let shared = self.shared();
        let groups_max = shared.limits.groups_max as usize;
        let mut registry = write(&shared.registry);
        let mut left = false;
        for group in before.iter().filter(|group| !self.groups.contains(group)) {
            left |= registry.leave(key, group.as_str());
        }
        for group in &self.groups {
            // A connection that is in too many stays in those.
            let _ = registry.join(key, group, groups_max);
        }
        shared.changed(&registry);
        left
    }

    /// The subscriptions that are not allowed any more.
    fn denied(&self, key: Key) -> Vec<u32> {
        let shared = self.shared();
        let subscriptions: Vec<(u32, String)> = read(&shared.registry)
            .subscriptions_of(key)
            .map(|(number, filter, _)| (number, filter.into()))
            .collect();
        let peer = self.peer();
        let denied = |(number, filter): &(u32, String)| {
            let filter = TopicFilter::checked(filter);
            let allowed = shared.rules.subscribe(peer, filter);
            allowed.is_none().then_some(*number)
        };
        subscriptions.iter().filter_map(denied).collect()
    }

    /// Lets everything wait again that the client does not have; false when that is not all here.
    fn rewind(&self, new: &Live, resume: &Resume, repeated: Option<Continued>) -> bool {
        let takes = new.link.session.peer().message_bytes_max as usize;
        // Nothing was received of what followed a welcome that was lost.
        let received = resume.received.map(|count| repeated.map_or(count, |_| 0));
        let whole = repeated.is_none_or(|before| before.whole);
        let rewind = |live: &mut Live| {
            live.link.session.handed_over(&mut live.store);
            let received = received.unwrap_or(live.link.session.acknowledged());
            let lane = &mut live.store.lane;
            whole && lane.message_bytes_max() <= takes && lane.rewind(received)
        };
        self.live(rewind).unwrap_or(false)
    }

    /// Gives up what waited, what was asked before, and the subscriptions that the client may not have or does not know of;
    /// says which of the others history helps.
    fn begin_anew(
        &mut self,
        key: Key,
        resume: &Resume,
        in_vain: bool,
        denied: &[u32],
    ) -> Vec<(u32, Verdict)> {
        self.answers = None;
        let over = |number: u32| {
            let known = resume
                .positions
                .iter()
                .any(|position| position.subscription == number);
            denied.contains(&number) || !known
        };
        let torn = self.live(|live| {
            live.store.lane.tear();
            live.link.session.forget_calls(&mut live.store);
            let over: Vec<u32> = live.accounts.numbers().filter(|n| over(*n)).collect();
            (over, live.take_waiters())
        });
        let (numbers, waiters) = torn.unwrap_or_default();
        drop(waiters);
        self.strike(key, &numbers);
        self.live(|live| live.accounts.retain(|number| !over(number)));
        let hub = self.shared();
        let mut survey = hub.survey(key);
        let replay = |position: &Position| {
            let verdict =
                hub.replay_lost(&self.connection, key, *position, in_vain, &mut survey)?;
            Some((position.subscription, verdict))
        };
        resume.positions.iter().filter_map(replay).collect()
    }

    /// Puts the new transport in the place of the old one, and says welcome on it, in one step.
    fn install(
        &self,
        link: Link,
        (resume, number): (&Resume, u64),
        continued: Continued,
        told: impl Fn(&Position) -> Option<Verdict>,
        now: Instant,
    ) {
        let token = self.shared().token();
        let installed = self.live(|live| {
            let verdicts: Vec<_> = resume
                .positions
                .iter()
                .map(|position| told(position).unwrap_or_else(|| live.missed(position, continued)))
                .collect();
            let grant = Grant {
                resume_token: Some(token),
                continued: Some(continued),
                verdicts: List::new(&verdicts),
            };
            let old = live.go_on(link, continued.whole);
            if let Some(welcome) = live.link.session.welcome(self.connection.id, grant, now) {
                live.link.send_first(&Frame::Welcome(welcome));
            }
            live.close_if_dismissed(now);
            live.close_if_torn(now);
            if let Some(ticket) = live.link.ticket() {
                ticket.admit(token);
            }
            let claim = Claim::renewed(token, number, Before::new(resume, continued));
            (old, live.claim.replace(Box::new(claim)))
        });
        let Some((old, claim)) = installed else {
            return;
        };
        let used = claim.iter().flat_map(|claim| claim.tokens());
        let tokens = &self.shared().tokens;
        tokens.remove(used.filter(|used| *used != resume.token));
        if let Some(key) = self.key {
            tokens.insert(token, key);
        }
        // Dropped without the lock: a transport may do much at its end.
        self.shared().counters.traffic(old.traffic);
    }
}

/// To a client that would have to hear of a gap, and cannot.
const NOT_WHOLE: Close = Close {
    reason: CloseReason::Kicked,
    verdict: Return::Now,
};

impl Live {
    /// Lets nothing leave by the transport that its client has left: the pump may be about to write. False when the client is not
    /// welcome any more.
    fn stop_writing(&mut self) -> bool {
        let welcome = self.is_resumable();
        if welcome {
            self.link.session.handed_over(&mut self.store);
            self.link.session.handle_end();
        }
        welcome
    }

    /// Says goodbye to a client that has returned in the moment in which the program ended its connection.
    fn close_if_dismissed(&mut self, now: Instant) {
        if let Some(Ending::ByUs(close)) = self.dismissed.take().as_deref() {
            self.link.session.close(*close, true, now);
        }
    }

    /// Ends a session that goes on whole, when the lane overflowed in the moment in which its client returned: it may return once more.
    fn close_if_torn(&mut self, now: Instant) {
        if self.store.lane.is_torn() {
            self.overflow(CloseReason::TooSlow, now);
        }
    }

    /// Goes on with a new transport; the link that it had until now.
    fn go_on(&mut self, link: Link, whole: bool) -> Link {
        let mut old = core::mem::replace(&mut self.link, link);
        if let Some(streams) = &self.store.streams {
            streams.lock().say_again();
        }
        self.link.continue_from(&mut old, &mut self.store);
        let takes = self.link.session.peer().message_bytes_max;
        let lane = &mut self.store.lane;
        lane.come_back(self.link.framing(), whole);
        lane.set_message_bytes_max(takes);
        self.heard = false;
        old
    }

    /// What the client misses of one of its subscriptions.
    fn missed(&self, position: &Position, continued: Continued) -> Verdict {
        let offered = self.accounts.offered(position.subscription);
        match offered.map(|offered| offered.saturating_sub(position.accounted)) {
            // It was told so before, in a welcome that it did not hear; or it never asked.
            None => Verdict::Denied(Denied::Forbidden),
            Some(missed) if continued.whole || missed == 0 => Verdict::Resumed,
            missed => Verdict::Gap { missed },
        }
    }
}
