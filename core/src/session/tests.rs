//! Two sessions turned against each other, or one against frames that a test says.

use core::time::Duration;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::wire::draw::with_frame;
use crate::wire::{
    self, Ack, Call, Cancel, Encoding, Encodings, End, Event, Failure, FailureCode, Hello, Item,
    Lagged, List, Name, Outcome, Payload, Ping, Pong, Publish, Received, Refused, Reply, Return,
    Start, Subscribe, Unsubscribe, VERSION, Welcome,
};

mod budgets;
mod calls;
mod closing;
mod counting;
mod handshake;
mod liveness;
mod order;
mod script;

const PROMISE: Duration = Duration::from_secs(25);
const GRACE: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

const DONE: Close = Close {
    reason: CloseReason::Done,
    verdict: Return::Now,
};

fn because(reason: CloseReason) -> Close {
    Close { reason, ..DONE }
}

/// One session with fixed memory and a clock of its own.
struct Side {
    session: Session,
    store: FixedStore,
    now: Instant,
}

struct FixedStore {
    lane: FixedLane<256, 8>,
    calls: [CallSlot; 2],
}

impl Store for FixedStore {
    type Lane = FixedLane<256, 8>;

    fn parts(&mut self) -> (&mut Self::Lane, &mut [CallSlot]) {
        (&mut self.lane, &mut self.calls)
    }
}

fn config(role: Role) -> Config {
    let limits = Limits::default();
    Config {
        role,
        terms: Terms {
            encodings: Encodings::NONE.with(Encoding::Text),
            promise_ms: 25_000,
            message_bytes_max: 65_536,
            subscriptions_max: 8,
        },
        grace: GRACE,
        promise_max: limits.promise_max,
        handshake: limits.handshake,
        closing: limits.closing,
        pings: limits.pings,
        requests: limits.requests,
    }
}

impl Side {
    fn new(config: Config) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        Self {
            session: Session::new(config, now),
            store: FixedStore {
                lane: FixedLane::new(),
                calls: [CallSlot::FREE; 2],
            },
            now,
        }
    }

    fn hub() -> Self {
        Self::new(config(Role::Hub))
    }

    /// A client that has said hello.
    fn client() -> Self {
        let mut client = Self::new(config(Role::Client));
        let now = client.now;
        client.session.hello(None, Wish::default(), now);
        client
    }

    fn hears<'a>(&mut self, frame: Frame<'a>) -> Input<'a> {
        self.session.handle_frame(frame, &mut self.store, self.now)
    }

    fn says(&mut self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while let Some(output) = self.session.poll_frame(&mut self.store, self.now) {
            messages.push(match output {
                Output::Control(frame) => encoded(&frame),
                Output::Data(chunk) => chunk.to_vec(),
            });
        }
        messages
    }

    fn tells(&mut self) -> Option<SessionEvent> {
        self.session.poll_event(&mut self.store)
    }

    /// Lets time pass without a look at the clock in between.
    fn after(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.session.handle_timeout(&mut self.store, self.now);
    }

    fn pushes(&mut self, frame: Frame<'_>) {
        self.store
            .lane
            .push(&frame)
            .expect("room for a small frame");
    }

    fn calls(&mut self, deadline: Option<Duration>) -> Result<u32, TooManyCalls> {
        let deadline = deadline.map(|left| self.now + left);
        self.session.call(&mut self.store, deadline)
    }
}

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut buffer = [0; 256];
    let length = wire::encode(frame, &mut buffer).expect("room for a small frame");
    buffer[..length].to_vec()
}

#[track_caller]
fn assert_says(side: &mut Side, expected: &[Frame<'_>]) {
    let messages = side.says();
    let said: Vec<_> = messages
        .iter()
        .map(|message| {
            wire::decode(message)
                .expect("a frame")
                .expect("a known one")
        })
        .collect();
    assert_eq!(said, expected);
}

#[track_caller]
fn assert_ends(side: &mut Side, ending: Ending) {
    assert_eq!(side.tells(), Some(SessionEvent::Ended(ending)));
    assert_eq!(side.tells(), None, "an end is told once");
    assert!(side.session.is_ended() && side.session.is_closing());
    assert_eq!(side.session.poll_timeout(), None);
}

/// Carries what each says to the other until both are silent.
fn talk(client: &mut Side, hub: &mut Side) {
    loop {
        let (up, down) = (client.says(), hub.says());
        if up.is_empty() && down.is_empty() {
            return;
        }
        for (side, messages) in [(&mut *hub, up), (client, down)] {
            for message in messages {
                let frame = wire::decode(&message)
                    .expect("a frame")
                    .expect("a known one");
                side.hears(frame);
            }
        }
    }
}

const ID: ConnectionId = ConnectionId::from_bytes([7; 16]);

/// A client and a hub that have just met.
fn met() -> (Side, Side) {
    let mut client = Side::new(config(Role::Client));
    let mut hub = Side::hub();
    let hello = client
        .session
        .hello(Some(b"key"), Wish::default(), client.now);
    assert_eq!(hub.hears(Frame::Hello(hello)), Input::Hello(hello));
    let welcome = hub
        .session
        .welcome(ID, Grant::default(), hub.now)
        .expect("in time");
    assert_eq!(
        client.hears(Frame::Welcome(welcome)),
        Input::Welcome(welcome)
    );
    (client, hub)
}

fn ready_hub() -> Side {
    met().1
}

fn ready_client() -> Side {
    met().0
}

/// A client that was promised a resumption, so that its hub wants to know what has arrived.
fn counting_client() -> Side {
    let mut client = Side::client();
    let mut welcome = some_welcome();
    welcome.resume_token = Some([9; 16]);
    client.hears(Frame::Welcome(welcome));
    client
}

fn some_hello() -> Hello<'static> {
    Hello {
        oldest: VERSION,
        newest: VERSION,
        terms: config(Role::Client).terms,
        resumable: false,
        token: None,
        resume: None,
        positions: List::new(&[]),
    }
}

fn some_welcome() -> Welcome<'static> {
    Welcome {
        version: VERSION,
        connection: ID,
        terms: config(Role::Hub).terms,
        resume_token: None,
        continued: None,
        verdicts: List::new(&[]),
    }
}

const PUBLISH: Frame<'_> = Frame::Publish(Publish {
    receipt: 0,
    name: Name::Topic("a"),
    payload: Payload::text("hi"),
});

const EVENT: Frame<'_> = Frame::Event(Event {
    topic: "a",
    direct: false,
    offset: None,
    payload: Payload::text("hi"),
});

const SUBSCRIBE: Frame<'_> = Frame::Subscribe(Subscribe {
    receipt: 1,
    first: 1,
    policy: None,
    start: Start::Now,
    filters: List::new(&["a"]),
});

fn ping(nonce: u32) -> Frame<'static> {
    Frame::Ping(Ping { nonce })
}

fn pong(nonce: u32) -> Frame<'static> {
    Frame::Pong(Pong { nonce })
}

fn received(count: u64) -> Frame<'static> {
    Frame::Received(Received { count })
}

fn reply(id: u32) -> Frame<'static> {
    let failure = Failure {
        code: FailureCode::Failed,
        message: "no",
    };
    Frame::Reply(Reply {
        id,
        result: Err(failure),
    })
}

fn refused(reason: Refusal, retry_after_ms: Option<u32>) -> Frame<'static> {
    Frame::Refused(Refused {
        reason,
        retry_after_ms,
        message: "",
    })
}

fn ignore(_: Input<'_>) {}

fn publish_input() -> Input<'static> {
    match PUBLISH {
        Frame::Publish(publish) => Input::Publish(publish),
        _ => Input::Nothing,
    }
}

#[test]
fn a_session_is_small() {
    let (own, shared) = (size_of::<Session>(), size_of::<Session<&Config>>());
    assert!(own < 384 && shared <= 248, "{own}, {shared} bytes");
}
