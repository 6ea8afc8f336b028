//! The hub's own program: publishes, sends straight to clients, lets them join and leave groups, opens and closes gates.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use lapwing::hub::MembershipError;
use lapwing::{ConnectionId, Hub};

use crate::book::{Id, PROGRAM};
use crate::flows::{self, Order};
use crate::host::USERS;
use crate::report::add;
use crate::topics::{DIRECT, GATED, MINE, PUBLIC, TOPICS, members};
use crate::world::{Phase, World, lock};

/// To whom an event is sent that nobody has to ask for.
enum To {
    One(ConnectionId),
    User(usize),
    Group(String),
    All,
}

pub(crate) struct Program {
    world: Arc<World>,
    dice: Rng,
}

impl Program {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self {
            world: world.clone(),
            dice: world.dice(),
        }
    }

    /// Acts until the world is over.
    pub(crate) async fn run(mut self) {
        while self.world.phase() != Phase::Over {
            let pause = Duration::from_millis(self.dice.u64(20..330));
            self.world.sim.sleep(pause).await;
            if self.world.phase() == Phase::Storm
                && let Some(hub) = self.world.hub()
            {
                self.act(&hub);
            }
        }
    }

    fn act(&mut self, hub: &Hub) {
        match self.dice.u32(..1_000) {
            0..400 => {
                let topic = self.one_of(PUBLIC | MINE);
                publish(&self.world, hub, topic, self.dice.usize(8..200));
            }
            400..450 => self.burst(hub),
            450..700 => self.send(hub),
            700..850 => self.join_or_leave(hub),
            850..900 => {
                let user = self.dice.usize(..USERS);
                let gate = self.one_of(GATED);
                self.world.book().turn_gates(user, 1 << gate);
                self.world
                    .note(|| format!("gate {gate} turns for user {user}"));
            }
            900..905 => self.kick(hub),
            905..950 => self.ask(hub),
            950..980 => self.stream(hub),
            _ => {}
        }
    }

    fn one_of(&mut self, topics: u64) -> u8 {
        let topics: Vec<_> = members(topics).collect();
        topics[self.dice.usize(..topics.len())]
    }

    /// As much as somebody who takes nothing has no room for, and everybody else has.
    fn burst(&mut self, hub: &Hub) {
        let topic = self.one_of(PUBLIC);
        let most = (self.world.limits.lane_frames_max / 3).min(24);
        for _ in 0..self.dice.u32(1..=most) {
            publish(&self.world, hub, topic, 16);
        }
    }

    fn somebody(&mut self) -> Option<ConnectionId> {
        let book = self.world.book();
        let all: Vec<_> = book.present.iter().filter(|(_, one)| one.entered).collect();
        let index = (!all.is_empty()).then(|| self.dice.usize(..all.len()))?;
        Some(*all[index].0)
    }

    fn send(&mut self, hub: &Hub) {
        let Some(one) = self.somebody() else { return };
        let to = match self.dice.u8(..10) {
            0..4 => To::One(one),
            4..7 => To::User(self.dice.usize(..USERS)),
            7..9 => To::Group(self.group()),
            _ => To::All,
        };
        let topic = self.one_of(DIRECT);
        send(&self.world, hub, topic, &to, 16);
    }

    fn group(&mut self) -> String {
        format!("room/{}", self.dice.u8(..4))
    }

    /// The hub's answers have to be those of plain sets.
    fn join_or_leave(&mut self, hub: &Hub) {
        let Some(id) = self.somebody() else { return };
        let (group, remote) = (self.group(), hub.connection(id));
        let max = self.world.limits.groups_max as usize;
        add(&self.world.sums.joins, 1);
        let mut book = self.world.book();
        let Some(present) = book.present.get_mut(&id) else {
            return;
        };
        let (expected, answered) = if self.dice.u8(..5) < 3 {
            let room = present.groups.len() < max || present.groups.contains(&group);
            let expected = match room {
                true => Ok(present.groups.insert(group.clone())),
                false => Err(MembershipError::TooMany { max }),
            };
            (expected, remote.join(group.as_str()))
        } else {
            (Ok(present.groups.remove(&group)), Ok(remote.leave(&group)))
        };
        drop(book);
        if answered != expected {
            let what = format!("{id} and {group}: {answered:?} instead of {expected:?}");
            self.world.find("members", what);
        }
    }

    fn kick(&mut self, hub: &Hub) {
        let Some(id) = self.somebody() else { return };
        add(&self.world.sums.kicked, 1);
        self.world.note(|| format!("{id} is kicked"));
        if let Some(present) = self.world.book().present.get_mut(&id) {
            present.excused = true;
            present.kicked.get_or_insert(self.world.now());
        }
        hub.connection(id).close();
    }

    /// Calls a client, which has to answer what it was asked.
    fn ask(&mut self, hub: &Hub) {
        let Some(id) = self.somebody() else { return };
        let text = format!("{id} {}", self.dice.u32(..));
        let call = hub.connection(id).call::<String>("ask", text.as_str());
        let call = call.within(Duration::from_secs(3));
        let world = self.world.clone();
        let due = world.now() + Duration::from_millis(3_010);
        self.world.sim.spawn_named("the hub asks", async move {
            let answer = call.await;
            if world.is_late(due) {
                world.find("deadline", format!("{text}: {answer:?}, too late"));
            }
            match answer {
                Ok(answer) if answer != text => {
                    world.find("call", format!("{text}: answered {answer}"));
                }
                Ok(_) => add(&world.sums.calls, 1),
                Err(_) => add(&world.sums.calls_failed, 1),
            }
        });
    }
}

impl Program {
    /// Asks a client for a stream.
    fn stream(&mut self, hub: &Hub) {
        let Some(id) = self.somebody() else { return };
        let name = format!("{id} {}", self.dice.u32(..));
        let order = Order::draw(name, &mut self.dice);
        let pause = Duration::from_millis(self.dice.u64(0..100));
        let reads = flows::of_client(self.world.clone(), hub.connection(id), order, pause);
        self.world.sim.spawn_named("the hub streams", reads);
    }
}

fn next(world: &World, topic: u8) -> Id {
    let mut published = lock(&world.published);
    *published += 1;
    Id {
        topic,
        publisher: PROGRAM,
        number: *published,
    }
}

/// Publishes an event, and notes it at the same moment.
pub(crate) fn publish(world: &World, hub: &Hub, topic: u8, bytes: usize) {
    let id = next(world, topic);
    world.book().offer(id, world.now());
    add(&world.sums.published, 1);
    let topic = TOPICS[usize::from(topic)];
    if let Err(error) = hub.publish(topic, id.payload(bytes).as_str()) {
        world.find("publish", format!("the hub's own: {error:?}"));
    }
}

fn send(world: &World, hub: &Hub, topic: u8, to: &To, bytes: usize) {
    let id = next(world, topic);
    let payload = id.payload(bytes);
    note(world, id, &audience(world, to));
    let topic = TOPICS[usize::from(topic)];
    let sent = match to {
        To::One(one) => hub.connection(*one).send(topic, payload.as_str()),
        To::User(user) => hub.user(user.to_string()).send(topic, payload.as_str()),
        To::Group(group) => hub.group(group.as_str()).send(topic, payload.as_str()),
        To::All => hub.all().send(topic, payload.as_str()),
    };
    if let Err(error) = sent {
        world.find("publish", format!("the hub's own: {error:?}"));
    }
}

/// Sends to everybody who is here.
pub(crate) fn send_to_all(world: &World, hub: &Hub, topic: u8) {
    send(world, hub, topic, &To::All, 16);
}

/// Sends a thousand bytes to one who is here.
pub(crate) fn send_to(world: &World, hub: &Hub, connection: ConnectionId) {
    let topic = members(DIRECT).next().unwrap_or_default();
    send(world, hub, topic, &To::One(connection), 1_000);
}

/// Who is to get it, as plain sets say.
fn audience(world: &World, to: &To) -> BTreeSet<ConnectionId> {
    let book = world.book();
    let present = book.present.iter().filter(|(id, present)| match to {
        To::One(one) => *id == one,
        To::User(user) => present.user == *user,
        To::Group(group) => present.groups.contains(group),
        To::All => true,
    });
    present.map(|(id, _)| *id).collect()
}

fn note(world: &World, id: Id, audience: &BTreeSet<ConnectionId>) {
    world.note(|| format!("sent {id} to {audience:?}"));
    let mut book = world.book();
    book.sent += 1;
    for connection in audience {
        let present = &book.present[connection];
        let life = lock(&world.lives)
            .get(&(present.client, present.life))
            .cloned();
        if let Some(life) = life {
            lock(&life.direct).send(id, *connection, present.entered);
        }
    }
}
