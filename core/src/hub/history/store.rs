//! The events that all topics of a hub keep, within their bounds.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;

use super::Keep;
use super::readers::Readers;
use super::variants::Variants;
use crate::hub::connection::Connection;
use crate::limits::Limits;
use crate::time::Instant;
use crate::topic::Topic;
use crate::wire::Encoding;

/// What keeping an event costs beside its topic and its payload: so tiny events are not free.
const EVENT_BYTES: usize = 256;

/// Topics that are remembered when nothing of them is left, so that it is known whose events are missing.
const SPENT_TOPICS_MAX: usize = 1_024;

/// Events that are too old and go when another one comes: more than one, so that they become fewer.
const EXPIRED_PER_EVENT: usize = 64;

/// The past of a hub. All topics count in one sequence of offsets, so one number says how far somebody has come with any of them.
///
/// Its lock is the order lock of these topics: it is held while an event is offered, and while a reader comes to the present.
pub(crate) struct Histories<C = Arc<Connection>> {
    /// Which life of the hub the offsets belong to.
    pub(crate) epoch: u64,
    /// The offset of the newest event of all; the first one has 1.
    newest: u64,
    pub(super) events: BTreeMap<u64, Kept>,
    /// By name, so that a filter that begins with names is looked for where they stand.
    pub(super) logs: BTreeMap<Arc<str>, Log>,
    /// Topics of which nothing is left, by the offset of their last event.
    spent: BTreeMap<u64, Arc<str>>,
    /// The newest of the events that are gone and of which nobody knows the topic.
    pub(super) forgotten: u64,
    /// The newest of all that are gone.
    pub(super) gone: u64,
    /// When events become too old, but for values that are retained.
    expiries: BTreeSet<(Instant, u64)>,
    bytes: u64,
    bytes_max: u64,
    topics_max: u32,
    pub(crate) readers: Readers<C>,
    /// The newest offset when a connection ended a subscription whose events others hear now: who heard what before that is not
    /// known any more.
    pub(crate) unsettled: BTreeMap<u64, u64>,
}

/// An event of the past.
pub(crate) struct Kept {
    pub(crate) topic: Arc<str>,
    pub(crate) variants: Variants,
    expires: Option<Instant>,
}

impl Kept {
    /// What it takes in a message, beside what is around it.
    pub(crate) fn size(&self, wanted: Encoding) -> usize {
        self.topic.len() + self.variants.payload(wanted).bytes.len()
    }

    fn cost(&self) -> u64 {
        (EVENT_BYTES + self.topic.len() + self.variants.len()) as u64
    }
}

/// What one topic keeps.
#[derive(Default)]
pub(super) struct Log {
    /// Of its events, the oldest first.
    pub(super) offsets: VecDeque<u64>,
    bytes: u64,
    /// The newest of its events that are gone.
    pub(super) gone: u64,
}

impl Log {
    fn remove(&mut self, offset: u64, cost: u64) {
        match self.offsets.front() {
            Some(oldest) if *oldest == offset => drop(self.offsets.pop_front()),
            // The newest may stay longer than others, and clocks may differ by a little.
            _ => self.offsets.retain(|kept| *kept != offset),
        }
        self.bytes -= cost;
        self.gone = self.gone.max(offset);
    }
}

/// What all topics keep together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) topics: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl<C> Histories<C> {
    pub(crate) fn new(epoch: u64, limits: &Limits) -> Self {
        Self {
            epoch,
            newest: 0,
            events: BTreeMap::new(),
            logs: BTreeMap::new(),
            spent: BTreeMap::new(),
            forgotten: 0,
            gone: 0,
            expiries: BTreeSet::new(),
            bytes: 0,
            bytes_max: limits.history_bytes_max,
            topics_max: limits.history_topics_max,
            readers: Readers::default(),
            unsettled: BTreeMap::new(),
        }
    }

    /// The offset of the newest event.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            topics: (self.logs.len() - self.spent.len()) as u64,
            events: self.events.len() as u64,
            bytes: self.bytes,
        }
    }

    /// Makes a place for a topic, of which an event will be kept at once.
    ///
    /// # When full
    ///
    /// The number of topics that there may be, and nothing has changed but that old events are gone.
    pub(crate) fn admit(&mut self, topic: Topic<'_>, now: Instant) -> Result<(), u32> {
        if self.has_place(topic) {
            return Ok(());
        }
        if self.is_full() {
            self.expire(now);
        }
        if self.is_full() {
            return Err(self.topics_max);
        }
        self.revive(topic);
        Ok(())
    }

    fn has_place(&self, topic: Topic<'_>) -> bool {
        let log = self.logs.get(topic.as_str());
        log.is_some_and(|log| !self.spent.contains_key(&log.gone))
    }

    fn is_full(&self) -> bool {
        self.logs.len() - self.spent.len() >= self.topics_max as usize
    }

    /// Gives a topic its place; says how it is written here.
    fn revive(&mut self, topic: Topic<'_>) -> Arc<str> {
        let name = match self.logs.get_key_value(topic.as_str()) {
            Some((name, _)) => name.clone(),
            None => Arc::from(topic.as_str()),
        };
        let log = self.logs.entry(name.clone()).or_default();
        if log.offsets.is_empty() {
            self.spent.remove(&log.gone);
        }
        name
    }

    /// Takes in an event, with the next offset.
    pub(crate) fn keep(&mut self, topic: Topic<'_>, keep: Keep, variants: Variants, now: Instant) {
        self.expire_some(now, EXPIRED_PER_EVENT);
        self.newest += 1;
        let topic = self.revive(topic);
        let expires = keep.age().map(|age| now + age);
        let kept = Kept {
            topic: topic.clone(),
            variants,
            expires,
        };
        self.append(kept, keep.retain);
        self.trim(&topic, keep);
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.events.keys().next().copied()
        {
            self.evict(oldest);
        }
    }

    fn append(&mut self, kept: Kept, retain: bool) {
        let (offset, cost) = (self.newest, kept.cost());
        self.bytes += cost;
        let log = self.logs.entry(kept.topic.clone()).or_default();
        log.bytes += cost;
        // A value that is retained begins to age when it is not the newest any more.
        let aging = match retain {
            true => log.offsets.back().copied(),
            false => Some(offset),
        };
        log.offsets.push_back(offset);
        self.events.insert(offset, kept);
        if let Some(offset) = aging
            && let Some(expires) = self.events.get(&offset).and_then(|kept| kept.expires)
        {
            self.expiries.insert((expires, offset));
        }
    }

    /// Brings a topic within its bounds.
    fn trim(&mut self, topic: &str, keep: Keep) {
        while let Some(log) = self.logs.get(topic)
            && keep.is_exceeded(log.offsets.len(), log.bytes)
            && let Some(oldest) = log.offsets.front().copied()
        {
            self.evict(oldest);
        }
    }

    /// Lets go of all that is too old.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.expire_some(now, usize::MAX);
    }

    fn expire_some(&mut self, now: Instant, at_most: usize) {
        for _ in 0..at_most {
            match self.expiries.first() {
                Some((expires, offset)) if *expires <= now => self.evict(*offset),
                _ => return,
            }
        }
    }

    /// Lets go of all that a topic keeps; says how many events that were.
    pub(crate) fn forget(&mut self, topic: &str) -> u64 {
        let mut forgotten = 0;
        while let Some(log) = self.logs.get(topic)
            && let Some(oldest) = log.offsets.front().copied()
        {
            self.evict(oldest);
            forgotten += 1;
        }
        forgotten
    }

    /// Forgets all about a connection.
    pub(crate) fn forget_connection(&mut self, number: u64) {
        self.unsettled.remove(&number);
        for subscription in self.readers.of(number) {
            self.readers.remove((number, subscription));
        }
    }

    fn evict(&mut self, offset: u64) {
        let Some(kept) = self.events.remove(&offset) else {
            return;
        };
        let cost = kept.cost();
        self.bytes -= cost;
        self.gone = self.gone.max(offset);
        if let Some(expires) = kept.expires {
            self.expiries.remove(&(expires, offset));
        }
        self.readers.miss(offset, Topic::checked(&kept.topic));
        if let Some(log) = self.logs.get_mut(&kept.topic) {
            log.remove(offset, cost);
            if log.offsets.is_empty() {
                self.spent.insert(log.gone, kept.topic);
                self.bury_spent();
            }
        }
    }

    /// Forgets the names of topics of which nothing is left, when they are too many.
    fn bury_spent(&mut self) {
        while self.spent.len() > SPENT_TOPICS_MAX
            && let Some((offset, topic)) = self.spent.pop_first()
        {
            self.forgotten = self.forgotten.max(offset);
            self.logs.remove(&topic);
        }
    }
}
