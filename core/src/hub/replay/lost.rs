//! What history still has of what a client lost with its connection.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use crate::hub::Shared;
use crate::hub::accounts::Began;
use crate::hub::connection::Connection;
use crate::hub::history::{Histories, Looks, Mode, Reader, ReaderId};
use crate::policy::Policy;
use crate::registry::{Key, Registry};
use crate::sync::{lock, read, write};
use crate::topic::TopicFilter;
use crate::wire::{Position, Verdict};

/// Pairs of subscriptions of which it is found out whether they share topics; more than that might.
const PAIRS_LOOKED_AT: usize = 4_096;

/// The same on a return, for subscriptions with wildcards: each is compared with all that are older.
const PAIRS_PER_RETURN: usize = 65_536;

/// What one return may look at, whatever it asks for, and what is known of its subscriptions.
pub(crate) struct Survey {
    /// Those that share no topic with an older one, by number.
    alone: BTreeSet<u32>,
    looks: Looks,
}

/// A subscription that has lost something.
struct Loser {
    filter: String,
    policy: Policy,
    /// The past covers all that it hears, and it hears all of that: no other one of the connection hears it in its place.
    alone: bool,
}

impl Shared {
    /// Lets a subscription go on behind all that its client has accounted for, when not everything that was on its way follows;
    /// the client has to be told the verdict.
    ///
    /// Where each topic of its filter has a history, and the client knows where in it it began, it reads that first, whatever the verdict is: nothing is offered to it from
    /// here on, and the client hears `Live` when it has come to the present. Otherwise `None`: it hears the present, and what is
    /// missing is a gap. What will be replayed is taken back from what it was offered, as it counts when it is put into the lane; `in_vain`,
    /// when its client has not heard what became of the return before this one.
    ///
    /// Takes the lock of the histories, then those of the registry and of the connection, one after the other; nothing is put into the lane.
    pub(crate) fn replay_lost(
        &self,
        connection: &Arc<Connection>,
        key: Key,
        Position {
            subscription,
            accounted,
        }: Position,
        in_vain: bool,
        survey: &mut Survey,
    ) -> Option<Verdict> {
        let loser = self.loser(key, subscription, survey)?;
        let mut histories = lock(&self.histories);
        histories.expire(self.runtime.now());
        // Nothing that it hears is offered under that lock.
        let offered = placed(connection, subscription)?;
        let lost = offered.saturating_sub(accounted);
        let id = (connection.number, subscription);
        let reader = histories.readers.remove(id);
        let looks = &mut survey.looks;
        let mut found = histories.found(id, &loser, reader.as_ref(), lost, looks);
        let mut missed = reader.as_ref().map_or(0, |reader| reader.missed);
        let told_in_vain = in_vain && reader.as_ref().is_some_and(|reader| reader.lost);
        if told_in_vain || loser.policy == Policy::Disconnect {
            // Part of a word that its client has still to hear, as others may have missed the same. And who would be ended for it
            // at once, and would come back to find that more is gone, is told now.
            found.gone = mem::take(&mut missed);
        }
        self.lull(connection, key, subscription, &found, reader.is_none());
        let reader = Reader {
            connection: connection.clone(),
            key,
            filter: loser.filter.into(),
            policy: loser.policy,
            mode: Mode::behind(found.cursor),
            missed,
            lost: told_in_vain || found.events > 0,
        };
        histories.readers.insert(id, reader);
        Some(found.verdict(lost, told_in_vain))
    }

    /// The subscription, if the past covers all that it hears.
    fn loser(&self, key: Key, subscription: u32, survey: &Survey) -> Option<Loser> {
        if !self.rules.keep_anything() {
            return None;
        }
        let registry = read(&self.registry);
        let (filter, policy) = registry.subscription(key, subscription)?;
        let loser = Loser {
            filter: filter.into(),
            policy,
            // Events that it shares with one of a lower number are offered to that one.
            alone: survey.alone.contains(&subscription),
        };
        let mine = TopicFilter::checked(filter);
        self.rules.history_covers(mine).then_some(loser)
    }

    /// Looks at the subscriptions of a connection whose client returns.
    pub(crate) fn survey(&self, key: Key) -> Survey {
        let alone = match self.rules.keep_anything() {
            true => alone(read(&self.registry).subscriptions_of(key)),
            false => BTreeSet::new(),
        };
        Survey {
            alone,
            looks: Looks::of_a_return(),
        }
    }

    /// Lets a subscription hear nothing of the present, and takes back what it will hear of the past.
    fn lull(&self, connection: &Connection, key: Key, subscription: u32, found: &Found, new: bool) {
        let mut registry = write(&self.registry);
        registry.sleep(key, subscription);
        self.changed(&registry);
        drop(registry);
        if let Some(live) = connection.live().as_mut() {
            live.accounts.set_dormant(subscription, true);
            live.accounts.take_back(subscription, found.events);
            live.accounts.replay(subscription, found.gone);
            live.replaying += u32::from(new);
        }
    }

    /// Takes note that subscriptions of a connection are about to end: others may hear what these did.
    pub(crate) fn unsettle(&self, connection: &Connection, key: Key, numbers: &[u32]) {
        let may_return = |connection: &Connection| {
            let live = connection.live();
            live.as_ref().is_some_and(|live| live.claim.is_some())
        };
        if !self.rules.keep_anything() || !may_return(connection) {
            return;
        }
        if hands_down(&read(&self.registry), key, numbers) {
            let mut histories = lock(&self.histories);
            let newest = histories.newest();
            histories.unsettled.insert(connection.number, newest);
        }
    }
}

/// What a subscription was offered whose client knows its place in history: of others it does not know that they could sleep.
fn placed(connection: &Connection, subscription: u32) -> Option<u64> {
    let live = connection.live();
    let accounts = &live.as_ref()?.accounts;
    let began = accounts.began(subscription)?;
    accounts
        .offered(subscription)
        .filter(|_| began == Began::Placed)
}

/// Whether another subscription shares topics with one of these, and has a higher number.
fn hands_down(registry: &Registry<Arc<Connection>>, key: Key, numbers: &[u32]) -> bool {
    let all: Vec<_> = registry
        .subscriptions_of(key)
        .map(|(number, filter, _)| (number, TopicFilter::checked(filter)))
        .collect();
    let (ending, staying): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|(number, _)| numbers.contains(number));
    if ending.len() * staying.len() > PAIRS_LOOKED_AT {
        return true;
    }
    ending.iter().any(|(number, filter)| {
        let heirs = staying.iter().filter(|(other, _)| other > number);
        heirs.clone().any(|(_, other)| other.overlaps(*filter))
    })
}

/// The numbers of those that share no topic with an older one, as far as that is found out.
fn alone<'r>(all: impl Iterator<Item = (u32, &'r str, Policy)>) -> BTreeSet<u32> {
    let mut pairs = PAIRS_PER_RETURN;
    let (mut texts, mut wildcards) = (BTreeSet::new(), Vec::new());
    let mut alone = BTreeSet::new();
    for (number, text, _) in all {
        let mine = TopicFilter::checked(text);
        let is_wild = text.contains('*');
        let others = wildcards.len() + if is_wild { texts.len() } else { 1 };
        let Some(left) = pairs.checked_sub(others) else {
            return alone;
        };
        pairs = left;
        let overlaps = |other: &TopicFilter<'_>| other.overlaps(mine);
        let shared = match is_wild {
            false => !texts.insert(text),
            true => texts
                .iter()
                .any(|other| overlaps(&TopicFilter::checked(other))),
        };
        if !shared && !wildcards.iter().any(overlaps) {
            alone.insert(number);
        }
        if is_wild {
            wildcards.push(mine);
        }
    }
    alone
}

/// What there is of what was lost.
struct Found {
    /// How many events are replayed that were offered before.
    events: u64,
    /// How many went before it came to them, and are not told on the way.
    gone: u64,
    /// Behind which offset.
    cursor: u64,
    /// The last offset that there is.
    last: u64,
}

impl Found {
    /// The verdict when so many are missing. With `again` others were before, and are still to be read.
    fn verdict(&self, lost: u64, again: bool) -> Verdict {
        let again = again && self.cursor < self.last;
        match lost - self.events + self.gone {
            0 if lost == 0 && !again => Verdict::Resumed,
            0 => Verdict::Replayed {
                from: self.cursor + 1,
                to: self.last,
            },
            missed => Verdict::Gap {
                missed: Some(missed),
            },
        }
    }
}

impl Histories {
    /// Looks for the last `lost` events of a subscription, from its place in the past, or from the present.
    fn found(
        &self,
        id: ReaderId,
        loser: &Loser,
        reader: Option<&Reader>,
        lost: u64,
        looks: &mut Looks,
    ) -> Found {
        let filter = TopicFilter::checked(&loser.filter);
        let stock = self.stock([filter], 0, looks);
        let (floor, ceiling, ordered) = match reader.map(|reader| &reader.mode) {
            Some(Mode::Past { cursor, began }) => (*began, *cursor, true),
            _ => {
                let unsettled = self.unsettled.get(&id.0).copied().unwrap_or(0);
                // Of several values of a topic the newest takes the place of an older one, so the last ones are any.
                let ordered = loser.alone && loser.policy != Policy::KeepLatest;
                (unsettled, self.newest(), ordered)
            }
        };
        // What is gone may be among the lost ones, and so may be all that is older.
        let floor = stock.gone.max(floor);
        let at_most = if ordered { lost } else { 0 };
        let tail = self.tail(filter, floor, ceiling, at_most, looks);
        let last = stock.span.map_or(ceiling, |(_, last)| last);
        Found {
            events: tail.events,
            gone: 0,
            cursor: tail.first - 1,
            last,
        }
    }
}
