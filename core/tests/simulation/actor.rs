//! A client's program: publishes, subscribes, unsubscribes and calls, as its dice say, through one life after the other.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_lite::future;
use lapwing::client::{CallError, PublishError};
use lapwing::wire::Start;
use lapwing::{Client, Policy};

use crate::book::{Id, LIFE};
use crate::carrier::Carrier;
use crate::flows::{self, Order};
use crate::life::Life;
use crate::report::add;
use crate::stream::Taste;
use crate::topics::{FILTERS, PUBLIC, TOPICS, members};
use crate::world::{Phase, World, lock};

/// Where a subscription has ended: by the hub's offsets, and in the order of all events.
type End = ((u64, u64), usize);

/// One client of the world, whatever becomes of it.
pub(crate) struct Actor {
    world: Arc<World>,
    number: usize,
    carrier: Carrier,
    dice: Rng,
    /// Of the newest event.
    published: u32,
    lives: u64,
    /// Between two deeds.
    pause: Duration,
    /// Whether it reads slowly.
    slow: bool,
    /// How far subscriptions had come, by filter.
    ends: Vec<(&'static str, End)>,
}

impl Actor {
    pub(crate) fn new(world: &Arc<World>, number: usize) -> Self {
        let mut dice = world.dice();
        let pause = Duration::from_millis(dice.u64(300..1_400));
        let slow = dice.u8(..4) == 0;
        Self {
            world: world.clone(),
            number,
            carrier: Carrier::ALL[dice.usize(..Carrier::ALL.len())],
            dice,
            published: 0,
            lives: 0,
            pause,
            slow,
            ends: Vec::new(),
        }
    }

    /// Acts until the world is over.
    pub(crate) async fn run(mut self) {
        let mut life = self.live();
        while self.world.phase() != Phase::Over {
            self.rest().await;
            if self.world.phase() == Phase::Storm {
                match life.is_over() {
                    true => life = self.live(),
                    false => self.act(&life).await,
                }
            }
        }
    }

    async fn rest(&mut self) {
        let pause = self.pause.mul_f64(self.dice.f64() * 2.0);
        self.world.sim.sleep(pause).await;
    }

    /// Begins a life, in the place of the one before.
    fn live(&mut self) -> Arc<Life> {
        self.lives += 1;
        let life = Life::begin(&self.world, self.number, self.lives, self.carrier);
        let key = (self.number, self.lives);
        lock(&self.world.lives).insert(key, life.clone());
        for _ in 0..self.dice.u8(1..4) {
            let taste = self.taste();
            life.subscribe(&self.world, taste);
        }
        life
    }

    async fn act(&mut self, life: &Arc<Life>) {
        match self.dice.u32(..1_000) {
            0..500 => self.publish(life),
            500..600 => self.publish_acked(life).await,
            600..690 => {
                self.look_back(life);
                let taste = self.taste();
                life.subscribe(&self.world, taste);
            }
            690..760 => self.unsubscribe(life),
            760..880 => self.call(life),
            880..884 => self.crash(life),
            884..888 => self.close(life),
            888..930 => self.stream(life),
            930..960 => self.upload(life),
            _ => {}
        }
    }

    /// Where a subscription begins: mostly now, also where nothing is kept of the past.
    fn start(&mut self, filter: &str) -> (Start, Option<usize>) {
        let before = self.ends.iter().find(|(of, _)| *of == filter);
        match self.dice.u8(..12) {
            0..3 if before.is_some() => {
                let (_, ((epoch, offset), place)) = *before.expect("it was looked at");
                (Start::Offset { epoch, offset }, Some(place))
            }
            0..4 if filter.starts_with("log/") => (Start::Beginning, None),
            0..9 if filter.starts_with("kept/") => (Start::Retained, None),
            4..6 if filter.starts_with("log/") => (Start::Retained, None),
            0 => (Start::Beginning, None),
            _ => (Start::Now, None),
        }
    }

    /// Notes how far subscriptions had come that are over.
    fn look_back(&mut self, life: &Life) {
        for stream in lock(&life.streams).iter() {
            if let Some(end) = lock(&stream.state).end {
                self.ends
                    .retain(|(filter, _)| *filter != stream.taste.filter);
                self.ends.push((stream.taste.filter, end));
            }
        }
    }

    fn taste(&mut self) -> Taste {
        let policies = [
            None,
            None,
            Some(Policy::Disconnect),
            Some(Policy::DropOldest),
            Some(Policy::DropNewest),
            Some(Policy::KeepLatest),
        ];
        let pause = match self.slow {
            true => Duration::from_millis(self.dice.u64(20..800)),
            false => Duration::ZERO,
        };
        let filter = FILTERS[self.dice.usize(..FILTERS.len())];
        let (start, place) = self.start(filter);
        Taste {
            filter,
            start,
            place,
            policy: policies[self.dice.usize(..policies.len())],
            capacity: if self.slow {
                self.dice.usize(1..9)
            } else {
                256
            },
            pause,
        }
    }

    fn event(&mut self) -> (Id, String) {
        let topics: Vec<_> = members(PUBLIC).collect();
        self.published += 1;
        let id = Id {
            topic: topics[self.dice.usize(..topics.len())],
            publisher: self.number as u16 + self.lives as u16 * LIFE,
            number: self.published,
        };
        let bytes = if self.dice.u8(..20) == 0 {
            1_500
        } else {
            self.dice.usize(8..200)
        };
        (id, id.payload(bytes))
    }

    fn publish(&mut self, life: &Life) {
        let (id, payload) = self.event();
        let topic = TOPICS[usize::from(id.topic)];
        match life.client.publish(topic, payload.as_str()) {
            Ok(()) => {
                add(&self.world.sums.published, 1);
                life.has_sent(id);
            }
            Err(PublishError::Offline(_) | PublishError::Full(_) | PublishError::Ended(_)) => {}
            Err(error) => self.find("publish", format!("{error:?}")),
        }
    }

    /// Publishes, and hears what became of it: it has been offered then, or was not taken.
    async fn publish_acked(&mut self, life: &Arc<Life>) {
        let (id, payload) = self.event();
        let (world, number) = (self.world.clone(), self.number);
        let client = life.client.clone();
        let mut answer = Box::pin(async move {
            let topic = TOPICS[usize::from(id.topic)];
            let what = match client.publish_acked(topic, payload.as_str()).await {
                Ok(_) => {
                    add(&world.sums.published, 1);
                    let offered = world.book().place(id).is_some();
                    (!offered).then(|| format!("{id} was confirmed and never offered"))
                }
                Err(
                    PublishError::Offline(_)
                    | PublishError::Full(_)
                    | PublishError::Ended(_)
                    | PublishError::Lost,
                ) => None,
                Err(error) => Some(format!("{error:?}")),
            };
            if let Some(what) = what {
                world.find("publish", format!("c{number}: {what}"));
            }
        });
        // It leaves in the order of the numbers.
        if future::poll_once(&mut answer).await.is_none() {
            self.spawn("publishes", answer);
        }
    }

    fn unsubscribe(&mut self, life: &Life) {
        let streams = life.streams();
        if !streams.is_empty() {
            streams[self.dice.usize(..streams.len())].stop();
        }
    }

    /// Calls the hub: the answer is what was asked, or an error, and comes in time.
    fn call(&mut self, life: &Arc<Life>) {
        self.published += 1;
        let text = format!("c{} asks {}", self.number, self.published);
        let method = if self.dice.bool() { "echo" } else { "slow" };
        let within = Duration::from_millis(self.dice.u64(100..6_000));
        let world = self.world.clone();
        let client = life.client.clone();
        self.spawn("calls", async move {
            call(&world, client, method, text, within).await;
        });
    }

    fn order(&mut self) -> Order {
        self.published += 1;
        let name = format!("c{}/{} {}", self.number, self.lives, self.published);
        Order::draw(name, &mut self.dice)
    }

    /// Asks the hub for a stream.
    fn stream(&mut self, life: &Arc<Life>) {
        let (order, dice) = (self.order(), self.dice.fork());
        let reads = flows::of_hub(self.world.clone(), life.client.clone(), order, dice);
        self.spawn("streams", reads);
    }

    /// Sends one along with a call.
    fn upload(&mut self, life: &Arc<Life>) {
        let pause = Duration::from_millis(self.dice.u64(0..100));
        let order = self.order();
        let sends = flows::to_hub(self.world.clone(), life.client.clone(), order, pause);
        self.spawn("uploads", sends);
    }

    fn crash(&mut self, life: &Life) {
        add(&self.world.sums.client_crashes, 1);
        let process = self.world.sim.process(&format!("c{}", self.number));
        match self.dice.bool() {
            true => process.kill(),
            false => process.vanish(),
        }
        life.end();
    }

    fn close(&mut self, life: &Arc<Life>) {
        life.end();
        let client = life.client.clone();
        self.spawn("closes", async move {
            client.close().await;
        });
    }

    fn spawn(&self, what: &str, future: impl Future<Output = ()> + Send + 'static) {
        let name = format!("c{} {what}", self.number);
        self.world.sim.spawn_named(name, future);
    }

    fn find(&self, check: &str, what: String) {
        self.world.find(check, format!("c{}: {what}", self.number));
    }
}

async fn call(world: &World, client: Client, method: &'static str, text: String, within: Duration) {
    let due = world.now() + within + Duration::from_millis(10);
    let answer = client
        .call::<String>(method, text.as_str())
        .within(within)
        .await;
    if world.is_late(due) {
        world.find("deadline", format!("{text}: answered too late, {answer:?}"));
    }
    match answer {
        Ok(answer) if answer == text => add(&world.sums.calls, 1),
        Ok(answer) => world.find("call", format!("{text}: answered {answer}")),
        Err(
            CallError::Offline
            | CallError::Full
            | CallError::TooMany
            | CallError::TimedOut
            | CallError::Lost
            | CallError::Failed(_)
            | CallError::Ended(_),
        ) => add(&world.sums.calls_failed, 1),
        Err(error) => world.find("call", format!("{text}: {error:?}")),
    }
}
