//! What history still has of what a client lost with its connection.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::hub::Shared;
use crate::hub::connection::Connection;
use crate::hub::history::{Histories, Mode, Reader, ReaderId};
use crate::policy::Policy;
use crate::registry::{Key, Registry};
use crate::sync::{lock, read, write};
use crate::topic::TopicFilter;
use crate::wire::Verdict;

/// Pairs of subscriptions of which it is found out whether they share topics; more than that might.
const PAIRS_LOOKED_AT: usize = 4_096;

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
    /// Where each topic of its filter has a history, it reads that first, whatever the verdict is: nothing is offered to it from
    /// here on, and the client hears `Live` when it has come to the present. Otherwise `None`: it hears the present, and what is
    /// missing is a gap. What will be replayed is taken back from what it was offered, as it counts when it is put into the lane.
    ///
    /// Takes the lock of the histories, then those of the registry and of the connection, one after the other; nothing is put into the lane.
    pub(crate) fn replay_lost(
        &self,
        connection: &Arc<Connection>,
        key: Key,
        subscription: u32,
        accounted: u64,
    ) -> Option<Verdict> {
        let loser = self.loser(key, subscription)?;
        let mut histories = lock(&self.histories);
        histories.expire(self.runtime.now());
        // Nothing that it hears is offered under that lock.
        let offered = connection.live().as_ref()?.accounts.offered(subscription)?;
        let lost = offered.saturating_sub(accounted);
        let id = (connection.number, subscription);
        let mut reader = histories.readers.remove(id);
        if let Some(reader) = reader.take_if(|reader| matches!(reader.mode, Mode::Values { .. })) {
            // What it has lost is of the past and of the present.
            histories.readers.insert(id, reader);
            return None;
        }
        let found = histories.found(id, &loser, reader.as_ref(), lost);
        self.lull(
            connection,
            key,
            subscription,
            found.events,
            reader.is_none(),
        );
        let reader = Reader {
            connection: connection.clone(),
            key,
            filter: loser.filter.into(),
            policy: loser.policy,
            mode: Mode::behind(found.cursor),
            missed: reader.map_or(0, |reader| reader.missed),
        };
        histories.readers.insert(id, reader);
        Some(found.verdict(lost))
    }

    /// The subscription, if the past covers all that it hears.
    fn loser(&self, key: Key, subscription: u32) -> Option<Loser> {
        if !self.rules.keep_anything() {
            return None;
        }
        let registry = read(&self.registry);
        let mut all = registry.subscriptions_of(key);
        let (_, filter, policy) = all.find(|(number, ..)| *number == subscription)?;
        let mine = TopicFilter::checked(filter);
        // Events that it shares with one of a lower number are offered to that one.
        let shared = registry
            .subscriptions_of(key)
            .take_while(|(number, ..)| *number < subscription)
            .any(|(_, other, _)| TopicFilter::checked(other).overlaps(mine));
        let loser = Loser {
            filter: filter.into(),
            policy,
            alone: !shared,
        };
        self.rules.history_covers(mine).then_some(loser)
    }

    /// Lets a subscription hear nothing of the present, and takes back what it will hear of the past.
    fn lull(&self, connection: &Connection, key: Key, subscription: u32, again: u64, new: bool) {
        let mut registry = write(&self.registry);
        registry.sleep(key, subscription);
        self.changed(&registry);
        drop(registry);
        if let Some(live) = connection.live().as_mut() {
            live.accounts.set_dormant(subscription, true);
            live.accounts.take_back(subscription, again);
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

/// What there is of what was lost.
struct Found {
    /// How many events are replayed that were offered before.
    events: u64,
    /// Behind which offset.
    cursor: u64,
    /// The last offset that there is.
    last: u64,
}

impl Found {
    fn verdict(&self, lost: u64) -> Verdict {
        match lost - self.events {
            0 if lost == 0 => Verdict::Resumed,
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
    fn found(&self, id: ReaderId, loser: &Loser, reader: Option<&Reader>, lost: u64) -> Found {
        let filter = TopicFilter::checked(&loser.filter);
        let stock = self.stock([filter], 0);
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
        let tail = self.tail(filter, floor, ceiling, if ordered { lost } else { 0 });
        let last = stock.span.map_or(ceiling, |(_, last)| last);
        Found {
            events: tail.events,
            cursor: tail.first - 1,
            last,
        }
    }
}
