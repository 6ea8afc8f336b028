//! Plays a session by the bytes of a script, and checks after each step what must always hold.
//!
//! Shared with the fuzzer, whose crate includes this file.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::vec::Vec;

use super::with_frame;
use crate::limits::Rate;
use crate::session::{
    CallSlot, Config, FixedLane, Grant, Input, Output, Role, Session, SessionEvent, Store, Wish,
};
use crate::wire::{
    self, Close, CloseReason, Encodings, Event, Frame, List, Payload, Refusal, Return, Terms,
};
use crate::{ConnectionId, Instant};

/// Turns of the clock after which a session with a silent peer has ended: pings, calls, and the end.
const TURNS_MAX: usize = 32;

/// Plays the script; every sequence of bytes is one.
pub(super) fn run(script: &[u8]) {
    let mut bytes = Bytes(script);
    let mut stage = Stage::new(match bytes.next() % 2 {
        0 => Role::Client,
        _ => Role::Hub,
    });
    while !bytes.0.is_empty() {
        stage.step(&mut bytes);
        stage.check();
    }
    stage.play_out();
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    fn piece(&mut self) -> &'a [u8] {
        let length = usize::from(self.next() % 64).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        piece
    }

    /// From a millisecond to some minutes, each as likely.
    fn duration(&mut self) -> Duration {
        Duration::from_millis(1 << (self.next() % 18))
    }
}

struct Queues {
    lane: FixedLane<256, 8>,
    calls: [CallSlot; 3],
}

impl Store for Queues {
    type Lane = FixedLane<256, 8>;

    fn parts(&mut self) -> (&mut Self::Lane, &mut [CallSlot]) {
        (&mut self.lane, &mut self.calls)
    }
}

/// A session, and a simple model of what it may still do.
struct Stage {
    role: Role,
    session: Session,
    queues: Queues,
    now: Instant,
    /// What the lane holds.
    pushed: VecDeque<Vec<u8>>,
    /// Calls that may still get an answer.
    waiting: BTreeSet<u32>,
    /// Data frames that came out.
    sent: u64,
    said_last_words: bool,
    told_end: bool,
}

impl Stage {
    fn new(role: Role) -> Self {
        let now = Instant::from_micros(1_000_000);
        Self {
            role,
            session: Session::new(config(role), now),
            queues: Queues {
                lane: FixedLane::new(),
                calls: [CallSlot::FREE; 3],
            },
            now,
            pushed: VecDeque::new(),
            waiting: BTreeSet::new(),
            sent: 0,
            said_last_words: false,
            told_end: false,
        }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.next() % 25 {
            0..4 => self.hear(bytes.piece()),
            4..7 => self.shake_hands(true),
            7 => self.shake_hands(false),
            8 => self.wait(bytes.duration()),
            9 => self.wait_for_timeout(),
            10 => self.say_all(),
            11 => _ = self.say(),
            12 => self.tell(),
            13 => self.push(),
            14 => self.call(bytes.duration()),
            15 => self.cancel(bytes.next()),
            16 => self.session.handle_skipped(self.now),
            17 => self.session.handle_alive(self.now),
            18 => (0..=bytes.next()).for_each(|_| self.session.handle_skipped(self.now)),
            19 => self.session.close(CLOSE, true, self.now),
            20 => self.session.close(CLOSE, false, self.now),
            21 => _ = self.session.violate(CloseReason::Malformed, self.now),
            22 => self.session.give_up(CloseReason::Stalled),
            23 => self.session.handle_end(),
            _ => self.session.hold(self.now),
        }
    }

    /// What holds at any time.
    fn check(&mut self) {
        let ended = self.session.is_ended();
        assert!(!ended || self.session.is_closing());
        assert!(!(self.session.is_ready() && self.session.is_closing()));
        assert!(!ended || self.session.poll_timeout().is_none());
        assert!(!self.told_end || ended);
        assert_eq!(self.session.sent(), self.sent);
        if let Some(at) = self.session.reading_resumes(self.now) {
            assert!(at > self.now);
        }
    }

    fn hear(&mut self, drawn: &[u8]) {
        let (ready, ended) = (self.session.is_ready(), self.session.is_ended());
        with_frame(drawn, |frame| {
            match self.session.handle_frame(frame, &mut self.queues, self.now) {
                Input::Nothing => {}
                Input::Reply(reply) => assert!(self.waiting.remove(&reply.id), "nobody waits"),
                Input::Hello(_) => assert_eq!(self.role, Role::Hub),
                Input::Welcome(_) | Input::Refused(_) => assert_eq!(self.role, Role::Client),
                Input::Close(_) | Input::Pong(_) => assert!(!ended),
                Input::Subscribe(_) | Input::Unsubscribe(_) | Input::Publish(_) => {
                    assert!(ready && self.role == Role::Hub);
                }
                Input::Event(_)
                | Input::Replay(_)
                | Input::Live(_)
                | Input::Lagged(_)
                | Input::Ack(_) => {
                    assert!(ready && self.role == Role::Client);
                }
                Input::Call(_)
                | Input::Open(_)
                | Input::Item(_)
                | Input::Credit(_)
                | Input::Cancel(_) => {
                    assert!(ready);
                }
                Input::End(end) => {
                    assert!(ready);
                    self.waiting.remove(&end.id);
                }
            }
        });
    }

    /// Does what brings the handshake on, so that scripts get beyond it.
    fn shake_hands(&mut self, welcome: bool) {
        let terms = config(self.role).terms;
        match self.role {
            Role::Client => {
                self.session.hello(None, Wish::default(), self.now);
                let answer = Frame::Welcome(wire::Welcome {
                    version: wire::VERSION,
                    connection: ConnectionId::from_bytes([1; 16]),
                    terms,
                    resume_token: Some([1; 16]),
                    continued: None,
                    verdicts: List::new(&[]),
                });
                self.session
                    .handle_frame(answer, &mut self.queues, self.now);
            }
            Role::Hub => {
                let hello = Frame::Hello(wire::Hello {
                    oldest: wire::VERSION,
                    newest: wire::VERSION,
                    terms,
                    resumable: false,
                    token: None,
                    resume: None,
                    positions: List::new(&[]),
                });
                let asked = self.session.handle_frame(hello, &mut self.queues, self.now);
                if matches!(asked, Input::Hello(_)) {
                    self.decide(welcome);
                }
            }
        }
    }

    fn decide(&mut self, welcome: bool) {
        if welcome {
            let id = ConnectionId::from_bytes([2; 16]);
            assert!(
                self.session
                    .welcome(id, Grant::default(), self.now)
                    .is_some()
            );
        } else {
            self.session.refuse(Refusal::Unauthorized, None, "");
            self.said_last_words = true;
        }
    }

    fn wait(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.session.handle_timeout(&mut self.queues, self.now);
        if let Some(next) = self.session.poll_timeout() {
            assert!(next > self.now, "a timeout that is over and done");
        }
    }

    fn wait_for_timeout(&mut self) {
        if let Some(at) = self.session.poll_timeout() {
            self.wait(at.since(self.now));
        }
    }

    fn say_all(&mut self) {
        let most = self.pushed.len() + 8;
        let said = core::iter::from_fn(|| self.say().then_some(())).count();
        assert!(said <= most, "there is more to say than there can be");
    }

    /// Whether there was something.
    fn say(&mut self) -> bool {
        let ended = self.session.is_ended();
        let Some(output) = self.session.poll_frame(&mut self.queues, self.now) else {
            return false;
        };
        assert!(!self.said_last_words, "something after last words");
        match output {
            Output::Control(frame) => {
                self.said_last_words = matches!(frame, Frame::Close(_) | Frame::Refused(_));
                assert!(!ended || self.said_last_words, "more than last words");
                assert!(!frame.is_data());
            }
            Output::Data(chunk) => {
                assert!(!ended);
                assert_eq!(self.pushed.pop_front().as_deref(), Some(chunk));
                self.sent += 1;
            }
        }
        true
    }

    fn tell(&mut self) {
        while let Some(event) = self.session.poll_event(&mut self.queues) {
            assert!(!self.told_end, "something after the end");
            match event {
                SessionEvent::CallTimedOut(id) => assert!(self.waiting.remove(&id), "nobody waits"),
                SessionEvent::Ended(_) => self.told_end = true,
            }
        }
    }

    fn push(&mut self) {
        let number = (self.sent + self.pushed.len() as u64).to_le_bytes();
        let frame = Frame::Event(Event {
            topic: "a/b",
            direct: false,
            offset: None,
            payload: Payload::bytes(&number),
        });
        if self.queues.lane.push(&frame).is_ok() {
            let mut buffer = [0; 64];
            let length = wire::encode(&frame, &mut buffer).expect("a small frame");
            self.pushed.push_back(buffer[..length].to_vec());
        }
    }

    fn call(&mut self, within: Duration) {
        let deadline = Some(self.now + within);
        if let Ok(id) = self.session.call(&mut self.queues, deadline) {
            assert!(self.waiting.insert(id), "an id that is in use");
        }
    }

    fn cancel(&mut self, which: u8) {
        if let Some(&id) = self.waiting.iter().nth(usize::from(which % 4)) {
            self.session.cancel(&mut self.queues, id);
            self.waiting.remove(&id);
        }
    }

    /// A peer that says nothing more is given up in bounded time, whatever happened before.
    fn play_out(&mut self) {
        for _ in 0..TURNS_MAX {
            self.say_all();
            self.tell();
            self.check();
            self.wait_for_timeout();
        }
        assert!(self.session.is_ended() && self.told_end, "it does not end");
    }
}

const CLOSE: Close = Close {
    reason: CloseReason::Done,
    verdict: Return::Now,
};

fn config(role: Role) -> Config {
    let rate = Rate {
        per_second: 100,
        burst: 400,
    };
    Config {
        role,
        terms: Terms {
            encodings: Encodings::NONE,
            promise_ms: 25_000,
            message_bytes_max: 1_024,
            subscriptions_max: 8,
        },
        grace: Duration::from_secs(20),
        promise_max: Duration::from_secs(60),
        handshake: Duration::from_secs(10),
        closing: Duration::from_secs(5),
        pings: rate,
        requests: rate,
    }
}
