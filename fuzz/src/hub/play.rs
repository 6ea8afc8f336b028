//! Operations on a hub and on its model.

use std::collections::BTreeSet;
use std::time::Duration;

use lapwing::hub::{Admission, Rule};
use lapwing::transport::Connector as _;
use lapwing::wire::{
    self, Ack, Close, CloseReason, Encodings, Frame, Hello, List, Name, Outcome, Payload, Position,
    Publish, Return, Start, Subscribe, Terms, Unsubscribe, Verdict,
};
use lapwing::{ConnectionId, Hub};
use lapwing_memory::{Network, Virtual};

use super::model::{Connection, ack, event};
use super::peer::Peer;

const SLOTS: usize = 4;
const NAMES: [&str; SLOTS] = ["one", "two", "three", "four"];
const TOPICS: [&str; 5] = ["a", "b", "a/b", "a/b/c", "b/c"];
const FILTERS: [&str; 8] = ["a", "b", "a/*", "*", "**", "a/**", "*/b/**", "b/c"];
const GROUPS: [&str; 3] = ["red", "green", "blue"];

/// How long a connection that was lost is kept, in seconds: the default.
const KEPT: u64 = 60;

/// How long one sleeps, in seconds: some times of it are never just as long as a connection is kept.
const NAP: u64 = 25;

/// What a client tells about itself: it may be silent for an hour.
const TERMS: Terms = Terms {
    encodings: Encodings::NONE,
    promise_ms: 3_600_000,
    message_bytes_max: 1024 * 1024,
    subscriptions_max: 1_024,
};

/// A hub with some clients, and what should be true of them.
pub(super) struct Play<'s> {
    sim: &'s Virtual,
    network: Network,
    hub: Hub,
    slots: [Slot; SLOTS],
    /// Numbers receipts and events.
    number: u32,
}

/// A place for a client.
#[derive(Default)]
struct Slot {
    connection: Option<Connection>,
    peer: Option<Peer>,
    /// It does not read.
    deaf: bool,
    /// The token and the count of a session that is over.
    old: Option<([u8; 16], u64)>,
}

impl<'s> Play<'s> {
    pub(super) fn new(sim: &'s Virtual) -> Self {
        let network = Network::new(&sim.runtime());
        let builder = Hub::builder(sim.runtime())
            .topic("**", Rule::open())
            .on_connect(async |ask| {
                let user = ask.token.as_deref().map(String::from_utf8_lossy);
                Ok(user.map_or_else(Admission::anonymous, |user| Admission::user(&*user)))
            });
        let hub = builder.build().expect("a good filter");
        let listener = network.listen("hub").expect("the name is free");
        sim.spawn_named("serve", hub.serve(listener));
        Self {
            sim,
            network,
            hub,
            slots: Default::default(),
            number: 0,
        }
    }

    pub(super) async fn step(&mut self, [operation, slot, choice]: [u8; 3]) {
        let slot = usize::from(slot) % SLOTS;
        match operation % 16 {
            0 | 1 => self.connect(slot, choice).await,
            2 | 3 => self.come_back(slot).await,
            4 => self.cut(slot),
            5 => self.part(slot).await,
            6 => self.kick(slot),
            7 | 8 => self.subscribe(slot, choice),
            9 => self.unsubscribe(slot, choice),
            10 => self.publish(choice),
            11 => self.publish_from(slot, choice),
            12 => self.join(slot, choice),
            13 => self.send(slot, choice),
            14 => self.slots[slot].deaf = choice.is_multiple_of(2),
            _ => self.sleep(NAP).await,
        }
        self.sim.settle().await;
        self.listen();
    }

    // ── coming and going ──

    async fn connect(&mut self, slot: usize, choice: u8) {
        if self.slots[slot].connection.is_none() {
            let user = [None, Some("ann"), Some("bob")][usize::from(choice / 2) % 3];
            self.enter(slot, user.map(String::from), choice.is_multiple_of(2))
                .await;
        }
    }

    /// Begins a new session, though the client asks for an old one.
    async fn enter(&mut self, slot: usize, user: Option<String>, resumable: bool) {
        let hello = Hello {
            resumable,
            resume: self.slots[slot].old.take(),
            ..hello(user.as_deref(), &[])
        };
        let (peer, answer) = self.dial(slot, hello).await;
        let Some(Frame::Welcome(welcome)) = decoded(&answer) else {
            panic!("{answer:?}");
        };
        assert_eq!(welcome.continued, None);
        assert_eq!(welcome.resume_token.is_some(), resumable);
        let slot = &mut self.slots[slot];
        slot.connection = Some(Connection::new(
            welcome.connection,
            user,
            welcome.resume_token,
        ));
        slot.peer = Some(peer);
    }

    /// Goes on with a session, whether the hub has noticed that its transport is lost or not.
    async fn come_back(&mut self, slot: usize) {
        let Some(connection) = &self.slots[slot].connection else {
            return;
        };
        let Some(token) = connection.token else {
            return;
        };
        let position = |(subscription, accounted)| Position {
            subscription,
            accounted,
        };
        let positions: Vec<_> = connection.accounted().into_iter().map(position).collect();
        let hello = Hello {
            resumable: true,
            resume: Some((token, connection.received)),
            ..hello(connection.user.as_deref(), &positions)
        };
        let (peer, answer) = self.dial(slot, hello).await;
        let Some(Frame::Welcome(welcome)) = decoded(&answer) else {
            panic!("{answer:?}");
        };
        let slot = &mut self.slots[slot];
        let connection = slot.connection.as_mut().expect("it was there");
        let continued = welcome.continued.expect("the hub knows the session");
        assert!(continued.whole, "there was room for all");
        assert_eq!(continued.received, connection.said);
        assert_eq!(welcome.connection, connection.id);
        let verdicts: Vec<_> = welcome.verdicts.iter().collect();
        assert_eq!(verdicts, vec![Verdict::Resumed; positions.len()]);
        connection.resume(welcome.resume_token);
        slot.peer = Some(peer);
    }

    /// A new transport, and what the hub answers to a hello on it.
    async fn dial(&self, slot: usize, hello: Hello<'_>) -> (Peer, Vec<u8>) {
        let mut connector = self.network.connector("hub").named(NAMES[slot]);
        let mut peer = Peer::new(connector.connect().await.expect("the hub listens"));
        peer.say(&Frame::Hello(hello));
        self.sim.settle().await;
        let answer = peer.hear().expect("the hub answers at once");
        (peer, answer.bytes.to_vec())
    }

    /// The network breaks.
    fn cut(&mut self, slot: usize) {
        self.network.cut(NAMES[slot]);
        let now = self.seconds();
        let slot = &mut self.slots[slot];
        slot.peer = None;
        match &mut slot.connection {
            Some(lost) if lost.token.is_some() => {
                lost.away.get_or_insert(now);
            }
            _ => slot.over(),
        }
    }

    /// The client says goodbye.
    async fn part(&mut self, slot: usize) {
        let slot = &mut self.slots[slot];
        let Some(mut peer) = slot.peer.take() else {
            return;
        };
        peer.say(&Frame::Close(Close {
            reason: CloseReason::Done,
            verdict: Return::Never,
        }));
        self.sim.settle().await;
        slot.over();
    }

    /// The hub says goodbye.
    fn kick(&mut self, slot: usize) {
        let slot = &mut self.slots[slot];
        if let Some(connection) = &slot.connection {
            self.hub.connection(connection.id).close();
            slot.peer = None;
            slot.over();
        }
    }

    async fn sleep(&mut self, seconds: u64) {
        self.sim.sleep(Duration::from_secs(seconds)).await;
        let now = self.seconds();
        for slot in &mut self.slots {
            let lost = slot.connection.as_ref().and_then(|lost| lost.away);
            if lost.is_some_and(|since| now >= since + KEPT) {
                slot.over();
            }
        }
    }

    fn seconds(&self) -> u64 {
        self.sim.elapsed().as_secs()
    }

    // ── what clients ask for ──

    /// Lets the client of a slot say a data frame, if one is there.
    fn say(&mut self, slot: usize, frame: &Frame<'_>) -> Option<&mut Connection> {
        let Slot {
            peer, connection, ..
        } = &mut self.slots[slot];
        peer.as_mut()?.say(frame);
        let connection = connection.as_mut()?;
        connection.said += 1;
        Some(connection)
    }

    fn subscribe(&mut self, slot: usize, choice: u8) {
        let receipt = self.next();
        let (first, count) = (u32::from(choice / 16) % 4, 1 + usize::from(choice / 128));
        let filter = usize::from(choice) % FILTERS.len();
        let filters = [FILTERS[filter], FILTERS[(filter + 3) % FILTERS.len()]];
        let subscribe = Frame::Subscribe(Subscribe {
            receipt,
            first,
            policy: None,
            start: Start::Now,
            filters: List::new(&filters[..count]),
        });
        if let Some(connection) = self.say(slot, &subscribe) {
            connection.subscribe(receipt, first, &filters[..count]);
        }
    }

    fn unsubscribe(&mut self, slot: usize, choice: u8) {
        let receipt = self.next();
        let (first, count) = (u32::from(choice % 8), u32::from(choice / 8) % 4);
        let unsubscribe = Frame::Unsubscribe(Unsubscribe {
            receipt,
            first,
            count,
        });
        if let Some(connection) = self.say(slot, &unsubscribe) {
            connection.unsubscribe(receipt, first, count);
        }
    }

    fn publish_from(&mut self, slot: usize, choice: u8) {
        let (topic, text) = (topic(choice), self.next().to_string());
        let receipt = if choice >= 128 { self.next() } else { 0 };
        let publish = Frame::Publish(Publish {
            receipt,
            name: Name::Topic(topic),
            payload: Payload::text(&text),
        });
        if self.say(slot, &publish).is_none() {
            return;
        }
        let queued = self.hear_all(topic, &text);
        let connection = self.slots[slot].connection.as_mut();
        if let Some(connection) = connection.filter(|_| receipt != 0) {
            connection.answer(receipt, Outcome::Published { queued, dropped: 0 });
        }
    }

    // ── what the program does ──

    fn publish(&mut self, choice: u8) {
        let (topic, text) = (topic(choice), self.next().to_string());
        let published = self.hub.publish(topic, text.as_str()).expect("a good one");
        let queued = self.hear_all(topic, &text);
        assert_eq!((published.queued, published.dropped), (queued, 0));
    }

    /// Lets everybody hear an event that is published; how many do.
    fn hear_all(&mut self, topic: &str, text: &str) -> u32 {
        let heard = |connection: &mut Connection| u32::from(connection.publish(topic, text));
        self.connections_mut().map(heard).sum()
    }

    fn join(&mut self, slot: usize, choice: u8) {
        let group = group(choice);
        let Some(connection) = &mut self.slots[slot].connection else {
            return;
        };
        let remote = self.hub.connection(connection.id);
        if choice >= 128 {
            assert_eq!(remote.leave(group), connection.groups.remove(group));
        } else {
            let joined = remote.join(group).expect("it is there");
            assert_eq!(joined, connection.groups.insert(group.into()));
        }
    }

    fn send(&mut self, slot: usize, choice: u8) {
        let (hub, text, group) = (self.hub.clone(), self.next().to_string(), group(choice / 8));
        let payload = text.as_str();
        let one = self.slots[slot].connection.as_ref().map(|one| one.id);
        let sent = match (choice % 5, one) {
            (0, Some(id)) => hub.connection(id).send("to", payload),
            (1, Some(id)) => hub.all().except([id]).send("to", payload),
            (2, _) => hub.user("ann").send("to", payload),
            (3, _) => hub.group(group).send("to", payload),
            _ => hub.all().send("to", payload),
        };
        let is_meant = |connection: &Connection| match (choice % 5, one) {
            (0, Some(id)) => connection.id == id,
            (1, Some(id)) => connection.id != id,
            (2, _) => connection.user.as_deref() == Some("ann"),
            (3, _) => connection.groups.contains(group),
            _ => true,
        };
        let meant = self.connections_mut().filter(|one| is_meant(one));
        let queued = meant.map(|one| one.send("to", payload)).count() as u32;
        let sent = sent.expect("a good event");
        assert_eq!((sent.queued, sent.dropped), (queued, 0));
    }

    fn next(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    // ── what must be true ──

    fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.slots
            .iter()
            .filter_map(|slot| slot.connection.as_ref())
    }

    fn connections_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.slots
            .iter_mut()
            .filter_map(|slot| slot.connection.as_mut())
    }

    /// Lets all who read hear what has arrived: just that which the model says.
    fn listen(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| !slot.deaf) {
            let (Some(peer), Some(connection)) = (&mut slot.peer, &mut slot.connection) else {
                continue;
            };
            while let Some(message) = peer.hear() {
                if let Some(text) = decoded(&message.bytes).and_then(|frame| text(&frame)) {
                    connection.hear(&text);
                }
            }
            let rest = &connection.expected;
            assert!(rest.is_empty(), "{rest:?} is not heard");
        }
    }

    /// The registry knows who is there, who belongs to whom, and what each was offered.
    pub(super) fn check(&self) {
        self.are(self.hub.connections(), |_| true);
        for group in GROUPS {
            self.are(self.hub.members(group), |one| one.groups.contains(group));
        }
        for user in ["ann", "bob"] {
            let is = |one: &Connection| one.user.as_deref() == Some(user);
            self.are(self.hub.connections_of(user), is);
        }
        for connection in self.connections() {
            let remote = self.hub.connection(connection.id);
            assert_eq!(remote.is_connected(), connection.is_here());
            assert_eq!(remote.offered(), connection.offered());
        }
    }

    fn are(&self, found: Vec<ConnectionId>, wanted: impl Fn(&Connection) -> bool) {
        let bytes = |id: &ConnectionId| *id.as_bytes();
        let ids: BTreeSet<_> = found.iter().map(bytes).collect();
        assert_eq!(ids.len(), found.len(), "nobody is there twice");
        let wanted = self.connections().filter(|one| wanted(one));
        assert_eq!(ids, wanted.map(|one| bytes(&one.id)).collect());
    }

    /// Everybody goes, and nothing is left of them.
    pub(super) async fn end(mut self) {
        for slot in 0..SLOTS {
            self.cut(slot);
        }
        self.sleep(2 * KEPT).await;
        self.sim.settle().await;
        self.check();
        let counters = self.hub.counters();
        let left = [
            counters.connections,
            counters.handshakes,
            counters.users,
            counters.groups,
            counters.subscriptions,
            counters.waiting_frames,
            counters.waiting_bytes,
            counters.held_bytes,
        ];
        assert_eq!(left, [0; 8], "{counters:?}");
        assert_eq!(self.sim.tasks(), 1, "`serve` is left");
    }
}

impl Slot {
    /// The session is over; what its token is worth is tried later.
    fn over(&mut self) {
        if let Some(over) = self.connection.take() {
            self.old = over.token.map(|token| (token, over.received));
        }
    }
}

fn topic(choice: u8) -> &'static str {
    TOPICS[usize::from(choice) % TOPICS.len()]
}

fn group(choice: u8) -> &'static str {
    GROUPS[usize::from(choice) % GROUPS.len()]
}

fn hello<'a>(user: Option<&'a str>, positions: &'a [Position]) -> Hello<'a> {
    Hello {
        oldest: wire::VERSION,
        newest: wire::VERSION,
        terms: TERMS,
        resumable: false,
        token: user.map(str::as_bytes),
        resume: None,
        positions: List::new(positions),
    }
}

fn decoded(bytes: &[u8]) -> Option<Frame<'_>> {
    wire::decode(bytes).expect("the hub speaks well")
}

/// A data frame as text; `None` for what says only that the hub is there.
fn text(frame: &Frame<'_>) -> Option<String> {
    match frame {
        Frame::Event(got) => {
            let payload = String::from_utf8_lossy(got.payload.bytes);
            Some(event(got.topic, got.direct, &payload))
        }
        Frame::Ack(Ack { receipt, outcome }) => Some(ack(*receipt, *outcome)),
        Frame::Ping(_) | Frame::Pong(_) | Frame::Received(_) => None,
        other => panic!("{other:?}"),
    }
}
