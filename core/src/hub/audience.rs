//! Who hears a topic.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use core::sync::atomic::Ordering;

use super::Shared;
use super::audiences::Audiences;
use super::class::ClassSet;
use super::connection::Connection;
use super::history::Keep;
use super::lane::{Offer, Taken};
use super::local::Hearers;
use crate::policy::Policy;
use crate::sync::{lock, read};
use crate::time::Instant;
use crate::topic::{Topic, TopicFilter};

/// One of those who hear a topic.
pub(crate) struct Listener {
    pub(crate) connection: Arc<Connection>,
    pub(crate) subscription: u32,
    pub(crate) policy: Policy,
    pub(super) class: u8,
}

impl Listener {
    pub(crate) fn new(connection: Arc<Connection>, subscription: u32, policy: Policy) -> Self {
        let class = connection.class();
        Self {
            connection,
            subscription,
            policy,
            class,
        }
    }

    pub(super) fn offer(&self, offer: &Offer<'_>, tight: bool, now: Instant) -> Option<Taken> {
        let to = (self.subscription, self.policy);
        self.connection.offer(offer, to, tight, now)
    }
}

/// Everybody who hears a topic, each once, and what the topic keeps for others.
pub(crate) struct Audience {
    pub(super) listeners: Vec<Listener>,
    /// The classes that they are in.
    pub(super) classes: ClassSet,
    /// Those inside the program.
    pub(super) hearers: Option<Hearers>,
    pub(super) keep: Option<Keep>,
    /// Stands for the topic.
    pub(super) hash: u64,
}

impl Audience {
    /// How much there is to remember.
    fn len(&self) -> usize {
        self.listeners.len() + self.hearers.as_ref().map_or(0, Hearers::len)
    }

    fn new(hash: u64, listeners: Vec<Listener>) -> Self {
        Self {
            classes: listeners.iter().map(|listener| listener.class).collect(),
            listeners,
            hearers: None,
            keep: None,
            hash,
        }
    }
}

impl Shared {
    /// Who hears `topic` now.
    pub(crate) fn audience(&self, topic: Topic<'_>) -> Arc<Audience> {
        let epoch = self.epoch();
        let audiences = lock(&self.audiences);
        if let Some(audience) = audiences.get(topic, epoch) {
            return audience;
        }
        drop(audiences);
        let (epoch, audience) = self.find_audience(topic);
        let audience = Arc::new(audience);
        let mut audiences = lock(&self.audiences);
        let outdated = (audiences.epoch < epoch).then(|| {
            let fresh = Audiences::new(epoch, self.hashes.clone());
            core::mem::replace(&mut *audiences, fresh)
        });
        let current = audiences.epoch == epoch;
        let forgotten = current.then(|| audiences.insert(topic, &audience, audience.len()));
        drop(audiences);
        // Not under the lock: there may be very many.
        drop((outdated, forgotten));
        audience
    }

    fn find_audience(&self, topic: Topic<'_>) -> (u64, Audience) {
        let mut found = Vec::new();
        let registry = read(&self.registry);
        registry.matching(topic, &mut found);
        let listener = |found: &crate::registry::Match| {
            let connection = registry.get(found.key)?.clone();
            Some(Listener::new(connection, found.subscription, found.policy))
        };
        let (local_epoch, hearers) = self.locals.hearers(topic);
        let listeners = found.iter().filter_map(listener).collect();
        let audience = Audience {
            hearers,
            keep: self.rules.keep(topic),
            ..Audience::new(self.hash(topic.as_str()), listeners)
        };
        (registry.epoch() + local_epoch, audience)
    }

    /// Those to whom something is sent, whatever they listen to.
    pub(super) fn addressed(&self, topic: Topic<'_>, listeners: Vec<Listener>) -> Audience {
        Audience::new(self.hash(topic.as_str()), listeners)
    }

    fn hash(&self, topic: &str) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        hasher.write(topic.as_bytes());
        hasher.finish()
    }

    /// The subscriptions of a listener that select a topic, the lowest number first.
    pub(super) fn heirs(&self, topic: &str, listener: &Listener) -> Option<Vec<(u32, Policy)>> {
        let topic = Topic::new(topic).ok()?;
        let registry = read(&self.registry);
        let key = registry.key(listener.connection.id)?;
        let selects = |filter: &str| TopicFilter::checked(filter).matches(topic);
        let all = registry.subscriptions_of(key);
        let heirs = all.filter(|(_, filter, _)| selects(filter));
        Some(heirs.map(|(number, _, policy)| (number, policy)).collect())
    }

    /// A number that differs after every change of who hears what.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire) + self.locals.epoch()
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;

    use crate::Hub;
    use crate::runtime::{BoxFuture, Runtime, Timer};
    use crate::time::Instant;

    /// A runtime that does nothing, with the dice of one seed.
    struct Still;

    impl Runtime for Still {
        fn now(&self) -> Instant {
            Instant::default()
        }

        fn timer(&self) -> Box<dyn Timer> {
            unreachable!("nobody connects")
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) {}

        fn random(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn the_seed_of_hashes_is_the_runtimes() {
        let hub = || Hub::builder(Still).build().expect("no filters");
        assert_eq!(hub().shared.hash("news"), hub().shared.hash("news"));
    }
}
