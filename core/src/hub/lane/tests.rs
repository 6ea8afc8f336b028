//! A lane on a bench: offers go in, what a reader would see comes out.

use std::collections::BTreeMap;
use std::string::String;
use std::vec;
use std::vec::Vec;

use bytes::BytesMut;

use proptest::prelude::*;

use super::*;
use crate::hub::class::Classes;
use crate::hub::segment::{Budget, GENERATIONS_KEPT};
use crate::link::Chunk;
use crate::policy::Policy;
use crate::protocol::{Postcard, Protocol};
use crate::session::Lane;
use crate::transport::Kind;
use crate::wire::{self, Ack, Call, CloseReason, Event, Outcome, Payload};

mod fixed;
mod memory;
mod policies;
mod random;
mod returns;
mod writing;

/// The length in front of a message.
const PREFIX: usize = 4;

/// One message, as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Event(String, u32),
    Lagged(u32, u64),
    Answer,
    Call,
}

use Heard as H;

struct Bench {
    lane: HubLane,
    class: Arc<Class>,
    budget: Arc<Budget>,
    next: u32,
}

impl Bench {
    fn new(bytes_max: usize, frames_max: u32) -> Self {
        Self::with_framing(Framing::LengthPrefix, bytes_max, frames_max)
    }

    fn with_framing(framing: Framing, bytes_max: usize, frames_max: u32) -> Self {
        let limits = Limits {
            lane_bytes_max: bytes_max as u32,
            lane_frames_max: frames_max,
            ..Limits::default()
        };
        let budget = Arc::new(Budget::new(u64::MAX));
        let postcard: Arc<dyn Protocol> = Arc::new(Postcard);
        let classes = Classes::new(&[postcard.clone()].into(), &limits, &budget);
        let class = classes.find(&postcard, framing).clone();
        let lane = HubLane::new(class.clone(), framing);
        Self {
            lane,
            class,
            budget,
            next: 0,
        }
    }

    /// Offers one event for each size, numbered on from the last one; a size is that of a whole framed message.
    fn offer_run(
        &mut self,
        (subscription, policy): (u32, Policy),
        topic: char,
        sizes: &[usize],
        tight: bool,
    ) -> Taken {
        let (mut framed, mut ends) = (BytesMut::new(), Vec::new());
        for size in sizes {
            self.next += 1;
            append_event(self.class.framing, topic, self.next, *size, &mut framed);
            ends.push(framed.len() as u32);
        }
        let slice = self.class.segments.append(&framed);
        let offer = Offer {
            class: 0,
            slice: &slice,
            ends: &ends,
            largest: sizes.iter().copied().max().unwrap_or(0),
            topic: topic.into(),
        };
        self.lane.offer(&offer, subscription, policy, tight)
    }

    fn offer(&mut self, to: (u32, Policy), topic: char, size: usize) -> Taken {
        let taken = self.offer_run(to, topic, &[size], false);
        self.check();
        taken
    }

    fn answer(&mut self) {
        let (receipt, outcome) = (1, Outcome::Subscribed);
        let ack = self.class.framed(&Frame::Ack(Ack { receipt, outcome }));
        self.lane.push_answer(ack);
    }

    fn call(&mut self) -> bool {
        let call = self.class.framed(&Frame::Call(Call {
            id: 1,
            method: "m",
            deadline_ms: None,
            arguments: Payload::text(""),
        }));
        self.lane.push_fixed(call).is_ok()
    }

    /// Sends one chunk, as a session does.
    fn send(&mut self) -> Vec<Heard> {
        let Some((chunk, frames)) = self.lane.peek() else {
            return Vec::new();
        };
        let heard = match &chunk {
            Chunk::Frame(message) => vec![hear(message)],
            Chunk::Framed(framed) => hear_all(self.class.framing, framed),
        };
        assert_eq!(heard.len(), frames as usize);
        self.lane.sent(frames);
        heard
    }

    fn drain(&mut self) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            let sent = self.send();
            self.check();
            if sent.is_empty() {
                return all;
            }
            all.extend(sent);
        }
    }

    /// What must hold after every step.
    fn check(&self) {
        let lane = &self.lane;
        let (mut all, mut droppable, mut bounded) = <(Load, Load, Load)>::default();
        let (mut answers, mut items) = <(Load, Load)>::default();
        let mut last_was_hole = BTreeMap::new();
        for entry in &lane.entries {
            all += entry.load();
            match entry.owner {
                Owner::Answer => answers += entry.load(),
                Owner::Item => items += entry.load(),
                Owner::Fixed => bounded += entry.load(),
                Owner::Droppable { subscription, .. } => {
                    bounded += entry.load();
                    droppable += entry.load();
                    let hole = entry.is_hole();
                    let before = last_was_hole.insert(subscription, hole);
                    assert!(
                        before != Some(true) || !hole,
                        "two notes that should be one"
                    );
                }
            }
        }
        assert_eq!(
            (all, droppable, answers, items),
            (lane.all, lane.droppable, lane.answers, lane.items)
        );
        assert!(bounded.bytes() <= lane.class.bounds.bytes || bounded.frames() == 1);
        assert!(bounded.frames() <= lane.class.bounds.frames);
        assert!(droppable.bytes() <= lane.class.bounds.bytes / 2 || droppable.frames() == 1);
        assert!(droppable.frames() <= lane.class.bounds.frames.div_ceil(2));
    }
}

/// Appends an event that has this size when it is framed, or a few bytes less where there is none of this size.
fn append_event(framing: Framing, topic: char, number: u32, size: usize, into: &mut BytesMut) {
    let (start, mut letter) = (into.len(), [0; 4]);
    let topic = &*topic.encode_utf8(&mut letter);
    let mut payload = vec![0; size];
    payload[..4].copy_from_slice(&number.to_le_bytes());
    // The lengths of payload and message have lengths of their own.
    for around in 8.. {
        into.truncate(start);
        let payload = Payload::bytes(&payload[..size - around]);
        let event = Event {
            topic,
            direct: false,
            offset: None,
            payload,
        };
        framing.append(Kind::Binary, into, |into| {
            Postcard.encode(&Frame::Event(event), into);
        });
        if into.len() - start <= size {
            break;
        }
    }
    assert!(into.len() - start + 3 >= size);
}

fn hear(message: &[u8]) -> Heard {
    match wire::decode(message).expect("a frame").expect("known") {
        Frame::Event(Event { topic, payload, .. }) => {
            let number = payload.bytes.first_chunk().expect("it has a number");
            H::Event(topic.into(), u32::from_le_bytes(*number))
        }
        Frame::Lagged(Lagged {
            subscription,
            missed,
        }) => H::Lagged(subscription, missed),
        Frame::Ack(_) => H::Answer,
        Frame::Call(_) => H::Call,
        other => panic!("{other:?}"),
    }
}

fn hear_all(framing: Framing, mut framed: &[u8]) -> Vec<Heard> {
    let mut all = Vec::new();
    while !framed.is_empty() {
        let length = framing.framed_bytes(framed);
        all.push(hear(&framed[framing.head_bytes(framed)..length]));
        framed = &framed[length..];
    }
    all
}

fn event(topic: &str, number: u32) -> Heard {
    H::Event(topic.into(), number)
}

const FIXED: (u32, Policy) = (1, Policy::Disconnect);
const OLDEST: (u32, Policy) = (2, Policy::DropOldest);
const NEWEST: (u32, Policy) = (3, Policy::DropNewest);
const LATEST: (u32, Policy) = (4, Policy::KeepLatest);
