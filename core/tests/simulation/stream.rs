//! One subscription of a client, and the task that reads it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_channel::oneshot;
use futures_lite::future;
use lapwing::client::{SubscribeError, SubscribeOptions};
use lapwing::wire::{Denied, Start};
use lapwing::{Client, Delivery, Policy, Subscription};

use crate::book::{Book, Id};
use crate::client_side::ClientSide;
use crate::report::add;
use crate::topics::{may, selected};
use crate::walk::{Order, Walk};
use crate::words::of_delivery;
use crate::world::{Phase, World, lock};

/// How a subscription is made and read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taste {
    pub(crate) filter: &'static str,
    pub(crate) policy: Option<Policy>,
    pub(crate) capacity: usize,
    /// Between two deliveries, while there is a storm.
    pub(crate) pause: Duration,
    pub(crate) start: Start,
    /// Where the order of all events is at, when it starts at an offset.
    pub(crate) place: Option<usize>,
}

impl Taste {
    /// Whether a newer value may take the place of an older one.
    pub(crate) fn keeps_latest(&self) -> bool {
        match self.policy {
            Some(policy) => policy == Policy::KeepLatest,
            None => self.filter.starts_with("state/"),
        }
    }

    /// What can be said about the order of its events, as long as it shares them with no other subscription.
    fn order(&self) -> Order {
        match self.start {
            _ if self.keeps_latest() => Order::ByTopic,
            // Old values of some topics come behind new ones of others.
            Start::Retained => Order::ByTopic,
            // Of one topic less is kept than of another.
            _ if self.filter == "log/*" => Order::Shared,
            _ => Order::Exact,
        }
    }

    /// Where its events begin, at the earliest.
    fn place(&self, book: &Book) -> usize {
        match self.start {
            Start::Now => book.events.len(),
            Start::Offset { .. } => self.place.unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether the hub can do that.
    fn is_possible(&self) -> bool {
        match self.start {
            Start::Now => true,
            Start::Retained => self.filter.starts_with("kept/") || self.filter.starts_with("log/"),
            _ => self.filter.starts_with("log/"),
        }
    }
}

/// How far a subscription has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Asked,
    Active,
    /// Nobody reads it any more, and the hub may not know.
    Leaving,
    Over,
}

pub(crate) struct Stream {
    side: ClientSide,
    pub(crate) taste: Taste,
    pub(crate) state: Mutex<State>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

pub(crate) struct State {
    pub(crate) walk: Walk,
    pub(crate) standing: Standing,
    /// As the client counts, at the last delivery.
    pub(crate) accounted: u64,
    /// Sessions of its client that it knows of.
    sessions: u64,
    /// Where another one may go on, by the hub's offsets and by the order of all events.
    pub(crate) end: Option<((u64, u64), usize)>,
}

/// What a reader does next.
enum Next {
    Delivery(Option<Delivery>),
    Stop,
}

impl Stream {
    /// Asks for a subscription and reads it, in a task of its own.
    pub(crate) fn begin(
        world: &Arc<World>,
        side: &ClientSide,
        user: usize,
        client: Client,
        taste: Taste,
    ) -> Arc<Self> {
        let place = taste.place(&world.book());
        let (stop, stopped) = oneshot::channel();
        let stream = Arc::new(Self {
            taste,
            state: Mutex::new(State {
                walk: Walk::new(selected(taste.filter), place, taste.order()),
                standing: Standing::Asked,
                accounted: 0,
                sessions: 0,
                end: None,
            }),
            stop: Mutex::new(Some(stop)),
            side: side.clone(),
        });
        let name = format!("{} reads {}", side.name(), taste.filter);
        let reader = stream.clone().read(world.clone(), user, client, stopped);
        world.sim.spawn_named(name, reader);
        stream
    }

    /// Ends the subscription.
    pub(crate) fn stop(&self) {
        if let Some(stop) = lock(&self.stop).take() {
            let _ = stop.send(());
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        lock(&self.state).standing
    }

    /// From now on some of its events are another subscription's as well.
    pub(crate) fn relax(&self, order: Order) {
        lock(&self.state).walk.relax(order);
    }

    fn find(&self, world: &World, check: &str, what: &str) {
        let what = format!("{} on {:?}: {what}", self.side.name(), self.taste);
        world.find(check, what);
    }

    async fn read(
        self: Arc<Self>,
        world: Arc<World>,
        user: usize,
        client: Client,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let subscription = self.subscribe(&world, user, client).await;
        if let Some(mut subscription) = subscription {
            self.begins(&world, &subscription);
            while !self.turn(&world, &mut subscription, &mut stopped).await {}
            self.ends(&subscription);
            subscription.close().await;
        }
        lock(&self.state).standing = Standing::Over;
    }

    async fn subscribe(&self, world: &World, user: usize, client: Client) -> Option<Subscription> {
        let mut options = SubscribeOptions::default();
        (options.policy, options.capacity) = (self.taste.policy, self.taste.capacity);
        options.start = self.taste.start;
        let open = |world: &World| {
            let book = world.book();
            (book.gates(user), book.gates_changed(user))
        };
        let (before, changed) = open(world);
        let answer = client.subscribe_with(self.taste.filter, options).await;
        let same = open(world) == (before, changed);
        let allowed = may(user, self.taste.filter, before);
        match answer {
            Ok(subscription) if (allowed || !same) && self.taste.is_possible() => {
                Some(subscription)
            }
            Err(SubscribeError::Denied(Denied::NoHistory)) if !self.taste.is_possible() => None,
            Ok(_) => {
                self.find(world, "forbidden", "was allowed");
                None
            }
            Err(SubscribeError::Denied(Denied::Forbidden)) if allowed && same => {
                self.find(world, "forbidden", "was not allowed");
                None
            }
            Err(_) => None,
        }
    }

    fn begins(&self, world: &World, subscription: &Subscription) {
        let place = match self.taste.start {
            Start::Offset { .. } => self.taste.place.unwrap_or(0),
            _ => world.book().events.len(),
        };
        let mut state = lock(&self.state);
        let past = matches!(self.taste.start, Start::Beginning | Start::Retained);
        state.walk.begin(place, past);
        state.sessions = self.side.sessions();
        state.standing = Standing::Active;
        state.accounted = subscription.accounted();
    }

    fn ends(&self, subscription: &Subscription) {
        let mut state = lock(&self.state);
        state.end = subscription.position().zip(state.walk.end());
    }

    /// Reads one delivery; true when it was the last.
    async fn turn(
        &self,
        world: &World,
        subscription: &mut Subscription,
        stopped: &mut oneshot::Receiver<()>,
    ) -> bool {
        let stop = async {
            let _ = stopped.await;
            Next::Stop
        };
        let next = async { Next::Delivery(subscription.next().await) };
        match future::or(stop, next).await {
            Next::Delivery(Some(delivery)) => self.hear(world, delivery),
            Next::Delivery(None) | Next::Stop => {
                lock(&self.state).standing = Standing::Leaving;
                return true;
            }
        }
        lock(&self.state).accounted = subscription.accounted();
        if world.phase() == Phase::Storm && !self.taste.pause.is_zero() {
            world.sim.sleep(self.taste.pause).await;
        }
        false
    }

    /// A hub that remembers the client knows how many events it has missed.
    fn check_gap(&self, state: &mut State, missed: Option<u64>) -> Result<(), String> {
        if missed.is_some() || !state.walk.is_exact() || self.taste.start != Start::Now {
            return Ok(());
        }
        state.sessions += 1;
        match state.sessions > self.side.sessions() {
            true => Err("a gap of unknown size in a session that is known".into()),
            false => Ok(()),
        }
    }

    fn hear(&self, world: &World, delivery: Delivery) {
        world.note(|| {
            format!(
                "{} on {}: {}",
                self.side.name(),
                self.taste.filter,
                of_delivery(&delivery)
            )
        });
        let mut state = lock(&self.state);
        let heard = match delivery {
            Delivery::Event(event) => {
                add(&world.sums.delivered, 1);
                match Id::read(event.bytes()) {
                    Some(id) => state.walk.hear(id, &world.book()),
                    None => Err("an event that nobody has published".into()),
                }
            }
            Delivery::Lagged(missed) => {
                add(&world.sums.lagged, missed);
                state.walk.miss(Some(missed));
                Ok(())
            }
            Delivery::Gap(missed) => {
                add(&world.sums.gaps, missed.unwrap_or(0));
                add(&world.sums.unknown, u64::from(missed.is_none()));
                match (self.taste.start, missed) {
                    (Start::Retained, None) => state.walk.again(),
                    _ => state.walk.miss(missed),
                }
                self.check_gap(&mut state, missed)
            }
            Delivery::Resumed => Ok(()),
            Delivery::Replayed { .. } => {
                add(&world.sums.replayed, 1);
                Ok(())
            }
            Delivery::Live => {
                state.walk.is_live();
                Ok(())
            }
            _ => Err("a delivery that is not known here".into()),
        };
        drop(state);
        if let Err(what) = heard {
            self.find(world, "stream", &what);
        }
    }
}
