//! Which logs hear a topic.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::HashMap;
use std::sync::RwLock;

use bytes::Bytes;

use super::log::{Bounds, Log, Reader};
use crate::hub::segment::Budget;
use crate::id::ConnectionId;
use crate::policy::Policy;
use crate::published::Published;
use crate::registry::{Key, Registry, Seed};
use crate::sync::{read, write};
use crate::topic::{Topic, TopicFilter};
use crate::wire::{Encoding, Envelope};

/// The subscriptions of a program on its own hub.
pub(crate) struct Locals {
    budget: Arc<Budget>,
    logs: RwLock<Logs>,
    /// The registry's epoch, to be looked at without its lock.
    epoch: AtomicU64,
}

struct Logs {
    /// A log stands here for a connection, with one subscription.
    registry: Registry<Arc<Log>>,
    by_filter: HashMap<(Box<str>, Bounds), Key>,
    /// Logs that there have been.
    made: u128,
    ended: bool,
}

/// Those who hear one topic inside the program.
pub(crate) struct Hearers {
    topic: Arc<str>,
    logs: Vec<Arc<Log>>,
}

impl Locals {
    pub(crate) fn new(seed: &Seed, budget: &Arc<Budget>) -> Self {
        Self {
            budget: budget.clone(),
            logs: RwLock::new(Logs {
                registry: Registry::new(seed.0),
                by_filter: HashMap::new(),
                made: 0,
                ended: false,
            }),
            epoch: AtomicU64::new(0),
        }
    }

    /// A number that differs after every change of who hears what.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Who hears `topic`, and the epoch in which it is so.
    pub(crate) fn hearers(&self, topic: Topic<'_>) -> (u64, Option<Hearers>) {
        let logs = read(&self.logs);
        let mut found = Vec::new();
        logs.registry.matching(topic, &mut found);
        let found = found.iter();
        let heard: Vec<_> = found
            .filter_map(|found| logs.registry.get(found.key).cloned())
            .collect();
        let hearers = (!heard.is_empty()).then(|| Hearers {
            topic: topic.as_str().into(),
            logs: heard,
        });
        (logs.registry.epoch(), hearers)
    }

    /// One more reader of the events that a filter selects.
    pub(super) fn enter(&self, filter: TopicFilter<'_>, bounds: Bounds) -> Reader {
        let mut logs = write(&self.logs);
        let key = logs.by_filter.get(&(filter.as_str().into(), bounds));
        let known = key.and_then(|key| logs.registry.get(*key).cloned());
        let log = known.unwrap_or_else(|| logs.make(filter, bounds, &self.budget));
        let reader = Reader::new(log);
        self.changed(&logs);
        reader
    }

    /// A reader goes.
    pub(super) fn leave(&self, filter: &str, bounds: Bounds, reader: Reader) {
        let mut logs = write(&self.logs);
        let (last, released) = reader.leave();
        if last {
            let key = logs.by_filter.remove(&(filter.into(), bounds));
            key.and_then(|key| logs.registry.remove(key));
            self.changed(&logs);
        }
        drop(logs);
        drop(released);
    }

    /// How many read.
    pub(crate) fn len(&self) -> usize {
        let logs = read(&self.logs);
        logs.registry.iter().map(|(_, log)| log.readers()).sum()
    }

    /// Nothing is published any more.
    pub(crate) fn end(&self) {
        let mut logs = write(&self.logs);
        logs.ended = true;
        let all: Vec<_> = logs.registry.iter().map(|(_, log)| log.clone()).collect();
        drop(logs);
        all.iter().for_each(|log| log.end());
    }

    fn changed(&self, logs: &Logs) {
        self.epoch.store(logs.registry.epoch(), Ordering::Release);
    }
}

impl Logs {
    fn make(&mut self, filter: TopicFilter<'_>, bounds: Bounds, budget: &Arc<Budget>) -> Arc<Log> {
        let log = Arc::new(Log::new(bounds, budget));
        if self.ended {
            log.end();
        }
        self.made += 1;
        let id = ConnectionId::from_bytes(self.made.to_be_bytes());
        // The number is new, and so is the key.
        if let Some(key) = self.registry.insert(id, None, log.clone()) {
            let _ = self
                .registry
                .subscribe(key, 0, filter, Policy::DropOldest, 1);
            self.by_filter.insert((filter.as_str().into(), bounds), key);
        }
        log
    }
}

/// Events of one topic, in order.
pub(crate) trait Events: IntoIterator<Item = Envelope, IntoIter: ExactSizeIterator> {}

impl<T: IntoIterator<Item = Envelope, IntoIter: ExactSizeIterator>> Events for T {}

fn both(one: Published, other: Published) -> Published {
    Published {
        queued: one.queued.saturating_add(other.queued),
        dropped: one.dropped.saturating_add(other.dropped),
    }
}

impl Hearers {
    /// An event on their topic.
    pub(crate) fn event(&self, encoding: Encoding, payload: Bytes) -> Envelope {
        Envelope::shared(self.topic.clone(), encoding, payload)
    }

    /// Gives them events; with `tight` there is no memory for many.
    pub(crate) fn push(&self, events: impl Events, tight: bool) -> Published {
        match self.logs.as_slice() {
            [only] => only.push(events.into_iter(), tight),
            several => {
                let events: Vec<_> = events.into_iter().collect();
                let push = |log: &Arc<Log>| log.push(events.iter().cloned(), tight);
                several.iter().map(push).fold(Published::default(), both)
            }
        }
    }

    /// How many logs they read.
    pub(crate) fn len(&self) -> usize {
        self.logs.len()
    }

    /// Whether somebody would lose something if an event with so many bytes of payload came now.
    pub(crate) fn are_full_for(&self, bytes: usize, tight: bool) -> bool {
        let bytes = self.topic.len() + bytes;
        self.logs.iter().any(|log| log.is_full_for(bytes, tight))
    }
}
