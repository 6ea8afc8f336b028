//! Audiences that are remembered: who has subscribed is in each that is looked up from then on, who has left is in none.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::collections::BTreeSet;

use lapwing::Topic;
use loom::sync::RwLock;
use loom::thread;

use crate::audiences::Audiences;
use crate::registry::Seed;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::{join, model};

const SEED: Seed = Seed([7; 16]);

/// What a hub has of all this; its functions are those of `hub/audience.rs` and of whoever changes the registry.
struct Hub {
    registry: RwLock<Registry>,
    epoch: AtomicU64,
    audiences: Mutex<Audiences<Audience>>,
}

/// Who hears a topic.
type Audience = Vec<u32>;

/// Everybody hears every topic.
#[derive(Default)]
struct Registry {
    listeners: BTreeSet<u32>,
    epoch: u64,
}

impl Hub {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            registry: RwLock::default(),
            epoch: AtomicU64::new(0),
            audiences: Mutex::new(Audiences::new(0, SEED)),
        })
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<u32>)) {
        let mut registry = self.registry.write().expect("no panic");
        change(&mut registry.listeners);
        registry.epoch += 1;
        self.epoch.store(registry.epoch, Ordering::Release);
    }

    fn subscribe(&self, number: u32) {
        self.change(|listeners| {
            listeners.insert(number);
        });
    }

    fn unsubscribe(&self, number: u32) {
        self.change(|listeners| {
            listeners.remove(&number);
        });
    }

    fn hears(&self, number: u32) -> bool {
        self.audience("news").contains(&number)
    }

    fn audience(&self, topic: &str) -> Arc<Audience> {
        let topic = Topic::new(topic).expect("a good topic");
        let epoch = self.epoch.load(Ordering::Acquire);
        let audiences = lock(&self.audiences);
        if let Some(audience) = audiences.get(topic, epoch) {
            return audience;
        }
        drop(audiences);
        let (epoch, audience) = self.find();
        let mut audiences = lock(&self.audiences);
        if audiences.epoch < epoch {
            *audiences = Audiences::new(epoch, SEED);
        }
        if audiences.epoch == epoch {
            audiences.insert(topic, &audience, audience.len());
        }
        audience
    }

    fn find(&self) -> (u64, Arc<Audience>) {
        let registry = self.registry.read().expect("no panic");
        let listeners = registry.listeners.iter().copied().collect();
        (registry.epoch, Arc::new(listeners))
    }
}

#[test]
fn who_has_subscribed_is_in_every_audience_from_then_on() {
    model(|| {
        let hub = Hub::new();
        let subscriber = |number| {
            let hub = hub.clone();
            thread::spawn(move || {
                hub.subscribe(number);
                assert!(hub.hears(number));
            })
        };
        let others = [subscriber(1), subscriber(2)];
        hub.audience("weather");
        join(others);
        assert!(hub.hears(1) && hub.hears(2));
    });
}

#[test]
fn who_has_left_is_in_no_audience_from_then_on() {
    model(|| {
        let hub = Hub::new();
        hub.subscribe(1);
        let publisher = {
            let hub = hub.clone();
            thread::spawn(move || {
                hub.audience("news");
            })
        };
        assert!(hub.hears(1));
        hub.unsubscribe(1);
        assert!(!hub.hears(1));
        join([publisher]);
        assert!(!hub.hears(1));
    });
}
