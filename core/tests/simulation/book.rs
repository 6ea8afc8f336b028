//! The book: what has happened in the world, as plain lists and maps. Everything that clients hear is compared with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use lapwing::{ConnectionId, Instant};

use crate::topics::{GATED, TOPICS};

/// The hub's own program, among the publishers.
pub(crate) const PROGRAM: u16 = u16::MAX;

/// Between the numbers of two lives of a client, among the publishers: what one has said last may come after what the next says first.
pub(crate) const LIFE: u16 = 100;

/// What tells one event from all others: it stands in the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    /// The topic's bit.
    pub(crate) topic: u8,
    pub(crate) publisher: u16,
    pub(crate) number: u32,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = TOPICS.get(usize::from(self.topic)).unwrap_or(&"?");
        match self.publisher {
            PROGRAM => write!(f, "{topic}#{}", self.number),
            life => write!(f, "{topic}#{} of c{}", self.number, life % LIFE),
        }
    }
}

impl Id {
    /// The payload, of about so many bytes.
    pub(crate) fn payload(self, bytes: usize) -> String {
        let head = format!("{}.{}.{}.", self.topic, self.publisher, self.number);
        format!("{head:-<bytes$}")
    }

    /// The event that a payload is of.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut parts = payload.split(|byte| *byte == b'.');
        let mut number = || {
            let digits = parts.next().filter(|digits| !digits.is_empty())?;
            digits.iter().try_fold(0_u32, |sum, digit| {
                let digit = digit.is_ascii_digit().then_some(digit - b'0')?;
                Some(sum * 10 + u32::from(digit))
            })
        };
        Some(Self {
            topic: number()? as u8,
            publisher: number()? as u16,
            number: number()?,
        })
    }
}

/// An event that the hub has offered to whoever subscribed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered {
    pub(crate) id: Id,
}

/// A connection that the hub has let in.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    pub(crate) client: usize,
    /// Which of the client's lives it belongs to.
    pub(crate) life: u64,
    pub(crate) user: usize,
    /// The client was told so: from here on the hub has to know it.
    pub(crate) entered: bool,
    /// The hub may forget it at any time: somebody has seen to that.
    pub(crate) excused: bool,
    /// The program has ended it, then.
    pub(crate) kicked: Option<Instant>,
    pub(crate) groups: BTreeSet<String>,
}

/// How a transport of a connection came to its end, as the hub saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    pub(crate) at: Instant,
    /// Events that had been offered to anybody, or sent straight to somebody, when the hub said nothing more on it.
    pub(crate) place: usize,
    /// What the client had not confirmed.
    pub(crate) bytes: usize,
    pub(crate) frames: usize,
    /// All that was to be sent had been, and the hub had not said goodbye.
    pub(crate) clean: bool,
}

impl Loss {
    /// Together with that of a transport after it which nobody has heard: it may have said more, or have come to less.
    pub(crate) fn with(self, later: Self) -> Self {
        Self {
            bytes: self.bytes.max(later.bytes),
            frames: self.frames.max(later.frames),
            clean: self.clean && later.clean,
            ..self
        }
    }
}

/// What a client was let in for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Door {
    pub(crate) times: u64,
    pub(crate) granted: u64,
    /// What had been offered when it was let in last.
    place: usize,
}

/// All that has happened.
#[derive(Default)]
pub(crate) struct Book {
    /// In the order in which they were offered.
    pub(crate) events: Vec<Offered>,
    places: HashMap<Id, usize>,
    /// The newest event of each publisher.
    newest: HashMap<u16, u32>,
    pub(crate) present: BTreeMap<ConnectionId, Present>,
    /// The gates that are closed, by user, and how often that has changed.
    closed: BTreeMap<usize, (u64, u64)>,
    /// How the last transport of each connection was lost.
    pub(crate) losses: BTreeMap<ConnectionId, Loss>,
    /// Events that were sent straight to somebody.
    pub(crate) sent: usize,
    /// When a task of the hub was dropped last.
    pub(crate) dropped_at: Option<Instant>,
    /// When each client was let in last, and when it was last granted each gate.
    doors: BTreeMap<(usize, u64), Door>,
    /// The first thing that was wrong.
    finding: Option<String>,
    /// Whether somebody wants to read what happens.
    diary: bool,
}

impl Book {
    pub(crate) fn new(diary: bool) -> Self {
        Self {
            diary,
            ..Self::default()
        }
    }

    /// The hub offers an event, now.
    pub(crate) fn offer(&mut self, id: Id, at: Instant) {
        let newer = self.newest.insert(id.publisher, id.number);
        if newer.is_some_and(|newer| newer >= id.number) {
            self.find("order", format!("{id} was offered after number {newer:?}"));
        }
        self.places.insert(id, self.events.len());
        self.events.push(Offered { id });
        self.note(at, || format!("offered {id}"));
    }

    /// The place of an event in the order of all.
    pub(crate) fn place(&self, id: Id) -> Option<usize> {
        self.places.get(&id).copied()
    }

    /// Events on these topics between two places.
    pub(crate) fn count(&self, topics: u64, from: usize, to: usize) -> u64 {
        let events = self.events.get(from..to).unwrap_or_default();
        let selected = |event: &&Offered| topics >> event.id.topic & 1 == 1;
        events.iter().filter(selected).count() as u64
    }

    // ── who may have what ──

    /// The gates that are open for a user.
    pub(crate) fn gates(&self, user: usize) -> u64 {
        GATED & !self.closed.get(&user).copied().unwrap_or_default().0
    }

    pub(crate) fn gates_changed(&self, user: usize) -> u64 {
        self.closed.get(&user).copied().unwrap_or_default().1
    }

    /// Opens these gates for a user when they are closed, and the other way round.
    pub(crate) fn turn_gates(&mut self, user: usize, gates: u64) {
        let (closed, changed) = self.closed.entry(user).or_default();
        *closed ^= gates & GATED;
        *changed += 1;
    }

    /// The hub lets a client in, which has to ask for its gates again.
    pub(crate) fn let_in(&mut self, client: usize, life: u64) {
        let door = self.doors.entry((client, life)).or_default();
        door.times += 1;
        (door.granted, door.place) = (0, self.events.len());
    }

    /// The hub asks whether a client may have these topics now, and hears that it may.
    pub(crate) fn grant(&mut self, connection: ConnectionId, topics: u64) {
        if let Some(present) = self.present.get(&connection) {
            let door = self
                .doors
                .entry((present.client, present.life))
                .or_default();
            door.granted |= topics;
        }
    }

    /// How often a client was let in, and which gates it was granted since.
    pub(crate) fn door(&self, client: usize, life: u64) -> Door {
        self.doors.get(&(client, life)).copied().unwrap_or_default()
    }

    /// Whether an event was offered after a client was let in last, and the client was not granted its topic since.
    pub(crate) fn is_beyond_gate(&self, client: usize, life: u64, id: Id) -> bool {
        let door = self.door(client, life);
        let granted = door.granted >> id.topic & 1 == 1;
        !granted && self.place(id).is_some_and(|place| place >= door.place)
    }

    // ── who is here ──

    /// All that was offered to anybody.
    pub(crate) fn traffic(&self) -> usize {
        self.events.len() + self.sent
    }

    /// The hub may forget everybody who is here.
    pub(crate) fn excuse_everybody(&mut self) {
        for present in self.present.values_mut() {
            present.excused = true;
        }
    }

    /// Whether the hub has no reason to forget this connection.
    pub(crate) fn is_kept(&self, id: ConnectionId) -> bool {
        let present = self.present.get(&id);
        present.is_some_and(|present| present.entered && !present.excused)
    }

    pub(crate) fn entered(&mut self, id: ConnectionId) {
        if let Some(present) = self.present.get_mut(&id) {
            present.entered = true;
        }
    }

    // ── what was wrong ──

    /// Takes note of something that must never be; the first one ends the run.
    pub(crate) fn find(&mut self, check: &str, what: String) {
        self.finding
            .get_or_insert_with(|| format!("{check}: {what}"));
    }

    pub(crate) fn finding(&self) -> Option<&String> {
        self.finding.as_ref()
    }

    pub(crate) fn note(&mut self, at: Instant, what: impl FnOnce() -> String) {
        if self.diary {
            println!("{:10.6} {}", at.as_micros() as f64 / 1e6, what());
        }
    }
}
