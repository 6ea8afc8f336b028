//! A client's end of its connections: what the hub may say, given what it was asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use lapwing::wire::{Continued, Event, Frame, Outcome, Verdict};
use lapwing::{ConnectionId, Instant};

use crate::book::Id;
use crate::host::USERS;
use crate::report::add;
use crate::tap::Listens;
use crate::topics::{DIRECT, GATED, bit, selected};
use crate::words::of_frame;
use crate::world::{World, lock};

/// More than any event has, with its topic.
const EVENT_BYTES_MAX: usize = 1_700;

/// All connections of one client, one after the other.
#[derive(Clone)]
pub(crate) struct ClientSide {
    world: Arc<World>,
    client: usize,
    life: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The topics of each subscription that the hub may know of, by number.
    asked: BTreeMap<u32, Asked>,
    /// What the hub was asked to do with subscriptions, by receipt.
    requests: HashMap<u32, Request>,
    /// Sessions that began anew.
    sessions: u64,
    /// How often it had been let in when it was last told so.
    welcomes: u64,
    connection: Option<ConnectionId>,
    said: Instant,
    /// Its last hello, as it was sent, and whether it was to resume.
    hello: Bytes,
    resumes: bool,
    /// A hello that has brought it back, after which it has said something.
    used: Option<Bytes>,
    spoken: bool,
    /// It has given up this transport, and heeds nothing any more.
    parted: bool,
    /// Data frames heard on this transport.
    heard: u64,
    /// Answers heard on it, each behind so many: a client may throw away what comes when it has given up a transport.
    answers: Vec<Answer>,
}

#[derive(Clone, Copy)]
struct Asked {
    topics: u64,
    confirmed: bool,
}

impl State {
    /// Whether a subscription of this topic is there that the hub was not asked to end: of others it may still send what it has
    /// sent before, without asking anybody.
    fn stays(&self, topic: u8) -> bool {
        let leaves = |number: u32| {
            self.requests.values().any(|request| match request {
                Request::Unsubscribe { first, count } => (*first..first + count).contains(&number),
                Request::Subscribe { .. } => false,
            })
        };
        let hears = |(number, asked): (&u32, &Asked)| {
            asked.confirmed && asked.topics >> topic & 1 == 1 && !leaves(*number)
        };
        self.asked.iter().any(hears)
    }
}

/// An answer, and what was before it.
struct Answer {
    /// Behind so many data frames.
    place: u64,
    receipt: u32,
    request: Request,
    before: Vec<(u32, Asked)>,
}

#[derive(Clone, Copy)]
enum Request {
    Subscribe { first: u32, count: u32 },
    Unsubscribe { first: u32, count: u32 },
}

impl ClientSide {
    pub(crate) fn new(world: &Arc<World>, client: usize, life: u64) -> Self {
        Self {
            world: world.clone(),
            client,
            life,
            state: Arc::default(),
        }
    }

    /// Which of its client's lives this is.
    pub(crate) fn life(&self) -> u64 {
        self.life
    }

    /// How many sessions this client has begun.
    pub(crate) fn sessions(&self) -> u64 {
        lock(&self.state).sessions
    }

    pub(crate) fn name(&self) -> String {
        format!("c{}", self.client)
    }

    /// The present connection, or the last one.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        lock(&self.state).connection
    }

    fn find(&self, check: &str, what: String) {
        self.world
            .find(check, format!("client {}: {what}", self.client));
    }

    fn welcomed(&self, state: &mut State, id: ConnectionId, is_new: bool) {
        let mut book = self.world.book();
        book.entered(id);
        let times = book.door(self.client, self.life).times;
        drop(book);
        if times <= state.welcomes {
            self.find(
                "admission",
                "came back without being asked who it is".into(),
            );
        }
        state.welcomes = times;
        let before = state
            .connection
            .replace(id)
            .filter(|_| is_new && state.resumes);
        if let Some(before) = before.filter(|before| self.world.book().is_kept(*before)) {
            self.find("kept", format!("{before} is known, and was not resumed"));
        }
        if is_new {
            add(&self.world.sums.new_sessions, u64::from(state.sessions > 0));
            state.sessions += 1;
            state.asked.clear();
            state.requests.clear();
        } else {
            add(&self.world.sums.resumed, 1);
        }
    }

    fn answered(&self, state: &mut State, receipt: u32, outcome: Outcome) {
        let Some(request) = state.requests.remove(&receipt) else {
            return;
        };
        let (first, count, over) = match (request, outcome) {
            (Request::Subscribe { first, count }, Outcome::Denied(_)) => (first, count, true),
            (Request::Subscribe { first, count }, _) => (first, count, false),
            (Request::Unsubscribe { first, count }, _) => (first, count, true),
        };
        let concerned = state.asked.range_mut(first..first + count);
        let confirm = |(number, asked): (&u32, &mut Asked)| {
            let before = (*number, *asked);
            asked.confirmed = true;
            before
        };
        let before: Vec<_> = concerned.map(confirm).collect();
        if over {
            state
                .asked
                .retain(|number, _| !(first..first + count).contains(number));
        }
        let place = state.heard;
        state.answers.push(Answer {
            place,
            receipt,
            request,
            before,
        });
    }

    /// The client has so many frames of its last transport: what it heard behind them it has not heard.
    fn forget(&self, state: &mut State, received: u64) {
        for answer in std::mem::take(&mut state.answers) {
            if answer.place > received {
                state.requests.insert(answer.receipt, answer.request);
                state.asked.extend(answer.before);
            }
        }
    }

    /// So much was missed that it need not be kept.
    fn is_too_much(&self, id: ConnectionId) {
        let (limits, book) = (&self.world.limits, self.world.book());
        let Some(loss) = book.losses.get(&id).copied().filter(|loss| loss.clean) else {
            return;
        };
        let since = book.traffic() - loss.place;
        // Where a gate is closed, a subscription may be over of which the client says nothing.
        let gates = book.gates(self.client % USERS);
        drop(book);
        if gates != GATED {
            return;
        }
        let frames = loss.frames + since;
        let bytes = loss.bytes + since * EVENT_BYTES_MAX;
        let bytes_max = limits.resume_bytes_max.min(limits.lane_bytes_max) as usize / 2;
        if frames < limits.lane_frames_max as usize / 4 && bytes < bytes_max {
            let what = format!("{id}: {frames} frames of {bytes} bytes were not kept");
            self.find("kept", what);
        }
    }

    /// A hello that was good once: what a thief may show.
    pub(crate) fn used_hello(&self) -> Option<Bytes> {
        let state = lock(&self.state);
        state.used.clone().filter(|_| state.spoken)
    }

    fn event(&self, state: &State, event: &Event<'_>) {
        let (topic, direct, id) = (event.topic, event.direct, Id::read(event.payload.bytes));
        let (Some(topic), Some(id)) = (bit(topic), id) else {
            return self.find("stranger", format!("an event on {topic}"));
        };
        let hears = |asked: &Asked| asked.confirmed && asked.topics >> topic & 1 == 1;
        let wanted = match direct {
            true => DIRECT >> topic & 1 == 1,
            false => state.asked.values().any(hears),
        };
        let beyond = self.world.book().is_beyond_gate(self.client, self.life, id);
        if GATED >> topic & 1 == 1 && beyond && state.stays(topic) {
            self.find(
                "admission",
                format!("an event on topic {topic}, granted to another connection"),
            );
        }
        if !wanted {
            let asked: Vec<_> = state.asked.keys().collect();
            self.find(
                "unasked",
                format!("an event on topic {topic}, subscribed are {asked:?}"),
            );
        }
    }

    fn of_known(&self, state: &State, number: u32, what: &str) {
        let known = state
            .asked
            .get(&number)
            .is_some_and(|asked| asked.confirmed);
        if number != 0 && !known {
            self.find("unasked", format!("{what} of subscription {number}"));
        }
    }
}

impl Listens for ClientSide {
    fn said(&self, frame: &Frame<'_>) {
        let now = self.world.now();
        self.world
            .note(|| format!("c{} says {}", self.client, of_frame(frame)));
        let mut state = lock(&self.state);
        let silence = now.since(state.said);
        state.said = now;
        state.spoken |= !matches!(frame, Frame::Close(_));
        match frame {
            Frame::Hello(hello) => {
                state.resumes = hello.resume.is_some();
                let received = hello.resume.map_or(0, |(_, received)| received);
                self.forget(&mut state, received);
                state.heard = 0;
                state.spoken = false;
                state.parted = false;
            }
            Frame::Close(_) => state.parted = true,
            Frame::Subscribe(subscribe) => {
                let (first, count) = (subscribe.first, subscribe.filters.len() as u32);
                for (number, filter) in (first..).zip(subscribe.filters.iter()) {
                    let asked = Asked {
                        topics: selected(filter),
                        confirmed: false,
                    };
                    state.asked.insert(number, asked);
                }
                let request = Request::Subscribe { first, count };
                state.requests.insert(subscribe.receipt, request);
            }
            Frame::Unsubscribe(unsubscribe) => {
                let (first, count) = (unsubscribe.first, unsubscribe.count);
                let request = Request::Unsubscribe { first, count };
                state.requests.insert(unsubscribe.receipt, request);
            }
            Frame::Ping(_) if silence < self.world.limits.promise => {
                self.find("ping", format!("pings after a silence of {silence:?}"));
            }
            _ => {}
        }
    }

    fn heard(&self, frame: &Frame<'_>) {
        let mut state = lock(&self.state);
        if state.parted {
            return;
        }
        state.heard += u64::from(frame.is_data());
        match frame {
            Frame::Welcome(welcome) => {
                let denied = welcome
                    .verdicts
                    .iter()
                    .any(|one| matches!(one, Verdict::Denied(_)));
                match welcome.continued {
                    Some(Continued { whole: false, .. }) if !denied => {
                        self.is_too_much(welcome.connection)
                    }
                    _ => {}
                }
                let is_new = welcome.continued.is_none();
                self.welcomed(&mut state, welcome.connection, is_new);
                state.used = (!is_new).then(|| state.hello.clone());
            }
            Frame::Ack(ack) => self.answered(&mut state, ack.receipt, ack.outcome),
            Frame::Event(event) => self.event(&state, event),
            Frame::Lagged(lagged) => self.of_known(&state, lagged.subscription, "a loss"),
            Frame::Replay(replay) => self.of_known(&state, replay.subscription, "the past"),
            Frame::Live(live) => self.of_known(&state, live.subscription, "the present"),
            _ => {}
        }
        drop(state);
        self.world
            .note(|| format!("c{} hears {}", self.client, of_frame(frame)));
    }

    fn greeted(&self, hello: &[u8]) {
        lock(&self.state).hello = Bytes::copy_from_slice(hello);
    }

    fn passed(&self, bytes: &[u8]) {
        self.world.trace(bytes);
    }

    fn blocked(&self, _: bool) {}

    fn parting(&self) {}

    fn gone(&self) {}
}
