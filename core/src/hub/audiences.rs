//! Who hears which topic, as it was found out last.

use alloc::string::String;
use alloc::sync::Arc;
use std::collections::HashMap;

use crate::registry::Seed;
use crate::topic::Topic;

/// Topics whose audience is remembered: it is looked up again after any change in the registry.
const AUDIENCES_MAX: usize = 1_024;

/// Listeners of all audiences that are remembered, some 24 bytes each: peers choose the topics.
const LISTENERS_MAX: usize = 128 * 1_024;

/// Audiences as of one state of the registry.
pub(crate) struct Audiences<A> {
    pub(crate) epoch: u64,
    by_topic: HashMap<String, Arc<A>, Seed>,
    /// Of all of them.
    listeners: usize,
}

impl<A> Audiences<A> {
    pub(crate) fn new(epoch: u64, seed: Seed) -> Self {
        Self {
            epoch,
            by_topic: HashMap::with_hasher(seed),
            listeners: 0,
        }
    }

    /// Who hears `topic`, when that is known and still so.
    pub(crate) fn get(&self, topic: Topic<'_>, epoch: u64) -> Option<Arc<A>> {
        let audience = self.by_topic.get(topic.as_str())?;
        (self.epoch == epoch).then(|| audience.clone())
    }

    /// Whether one more audience of that size may be remembered; any may when there is no other.
    fn has_room(&self, listeners: usize) -> bool {
        let within = self.listeners + listeners <= LISTENERS_MAX;
        self.by_topic.len() < AUDIENCES_MAX && (within || self.by_topic.is_empty())
    }

    /// Remembers who hears `topic`, so many; gives back what had to be forgotten for it.
    pub(crate) fn insert(
        &mut self,
        topic: Topic<'_>,
        audience: &Arc<A>,
        listeners: usize,
    ) -> Option<Self> {
        if self.by_topic.contains_key(topic.as_str()) {
            return None;
        }
        let fresh = Self::new(self.epoch, self.by_topic.hasher().clone());
        let full = !self.has_room(listeners);
        let forgotten = full.then(|| core::mem::replace(self, fresh));
        self.listeners += listeners;
        self.by_topic
            .insert(topic.as_str().into(), audience.clone());
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    /// Remembers a few thousand topics that so many hear; says how many listeners are remembered at most.
    fn most(listeners: usize) -> usize {
        let mut audiences = Audiences::new(7, Seed([7; 16]));
        let audience = Arc::new(());
        let remember = |number| {
            let name = format!("topic/{number}");
            let topic = Topic::new(&name).expect("a good topic");
            audiences.insert(topic, &audience, listeners);
            audiences.insert(topic, &audience, listeners);
            assert!(audiences.get(topic, 7).is_some());
            assert!(audiences.get(topic, 8).is_none(), "it may be another one");
            assert!(audiences.by_topic.len() <= AUDIENCES_MAX);
            let remembered = audiences.by_topic.len() * listeners;
            assert_eq!(remembered, audiences.listeners);
            remembered
        };
        (0..3_000).map(remember).max().unwrap_or_default()
    }

    #[test]
    fn what_is_remembered_is_bounded_by_topics_and_by_listeners() {
        assert_eq!(most(1), AUDIENCES_MAX);
        assert_eq!(most(10_000), LISTENERS_MAX / 10_000 * 10_000);
        assert_eq!(most(2 * LISTENERS_MAX), 2 * LISTENERS_MAX, "one always is");
    }
}
