use core::time::Duration;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::wire::draw::with_frame;
use crate::wire::{
    self, Encoding, Encodings, Failure, FailureCode, List, Name, Outcome, Payload, Return, Start,
    VERSION,
};

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
        client.session.hello(None, List::new(&[]), now);
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
        .hello(Some(b"key"), List::new(&[]), client.now);
    assert_eq!(hub.hears(Frame::Hello(hello)), Input::Hello(hello));
    let welcome = hub.session.welcome(ID, hub.now).expect("in time");
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

#[test]
fn a_session_is_small() {
    let bytes = size_of::<Session>();
    assert!(bytes < 320, "{bytes} bytes");
}

// ── handshake ──

#[test]
fn both_sides_know_the_terms_of_the_other() {
    let mut big = config(Role::Hub);
    big.terms.message_bytes_max = 1024 * 1024;
    let (mut client, mut hub) = (Side::new(config(Role::Client)), Side::new(big));
    let hello = client.session.hello(None, List::new(&[]), client.now);
    hub.hears(Frame::Hello(hello));
    assert!(!hub.session.is_ready() && !client.session.is_ready());
    let welcome = hub.session.welcome(ID, hub.now).expect("in time");
    client.hears(Frame::Welcome(welcome));
    assert!(hub.session.is_ready() && client.session.is_ready());
    assert_eq!(client.session.peer(), &big.terms);
    assert_eq!(hub.session.peer(), &config(Role::Client).terms);
    assert_eq!(welcome.connection, ID);
}

#[test]
fn another_version_is_refused() {
    for (oldest, newest) in [(VERSION + 1, VERSION + 3), (0, VERSION - 1)] {
        let mut hub = Side::hub();
        let hello = Hello {
            oldest,
            newest,
            ..some_hello()
        };
        assert_eq!(hub.hears(Frame::Hello(hello)), Input::Nothing);
        let reason = Refusal::Version {
            oldest: VERSION,
            newest: VERSION,
        };
        assert_says(&mut hub, &[refused(reason, None)]);
        assert_ends(&mut hub, Ending::Refused(reason));
    }
}

#[test]
fn a_range_of_versions_that_has_ours_is_accepted() {
    let hello = Hello {
        oldest: 0,
        newest: u16::MAX,
        ..some_hello()
    };
    assert_eq!(Side::hub().hears(Frame::Hello(hello)), Input::Hello(hello));
}

#[test]
fn a_hello_too_late_is_refused() {
    let mut hub = Side::hub();
    hub.after(10 * SECOND - MILLISECOND);
    assert!(!hub.session.is_ended());
    hub.after(MILLISECOND);
    assert_eq!(hub.hears(Frame::Hello(some_hello())), Input::Nothing);
    assert_says(&mut hub, &[refused(Refusal::Late, Some(0))]);
    assert_ends(&mut hub, Ending::Refused(Refusal::Late));
}

#[test]
fn a_decision_too_late_is_none() {
    let mut hub = Side::hub();
    hub.hears(Frame::Hello(some_hello()));
    hub.after(10 * SECOND);
    assert_eq!(hub.session.welcome(ID, hub.now), None);
    assert_says(&mut hub, &[refused(Refusal::Late, Some(0))]);
    assert_ends(&mut hub, Ending::Refused(Refusal::Late));
}

#[test]
fn a_hub_that_does_not_answer_is_silent() {
    let mut client = Side::client();
    client.after(10 * SECOND);
    let close = because(CloseReason::Silent);
    assert_says(&mut client, &[Frame::Close(close)]);
    assert_ends(&mut client, Ending::ByUs(close));
}

#[test]
fn whoever_does_not_begin_with_a_hello_is_refused() {
    for first in [
        PUBLISH,
        EVENT,
        ping(1),
        Frame::Close(DONE),
        Frame::Welcome(some_welcome()),
    ] {
        let mut hub = Side::hub();
        assert_eq!(hub.hears(first), Input::Nothing);
        assert_says(&mut hub, &[refused(Refusal::Malformed, None)]);
        assert_ends(&mut hub, Ending::Refused(Refusal::Malformed));
    }
}

#[test]
fn a_client_waits_for_the_answer_before_it_goes_on() {
    let mut hub = Side::hub();
    hub.hears(Frame::Hello(some_hello()));
    assert_eq!(hub.hears(PUBLISH), Input::Nothing);
    assert_eq!(hub.session.welcome(ID, hub.now), None);
    assert_ends(&mut hub, Ending::Refused(Refusal::Malformed));
}

#[test]
fn a_promise_too_long_is_refused() {
    let mut hub = Side::hub();
    let mut hello = some_hello();
    hello.terms.promise_ms = 3_600_001;
    hub.hears(Frame::Hello(hello));
    let reason = Refusal::Promise { max_ms: 3_600_000 };
    assert_says(&mut hub, &[refused(reason, None)]);
    assert_ends(&mut hub, Ending::Refused(reason));
}

#[test]
fn a_welcome_of_another_version_or_with_a_promise_too_long_is_declined() {
    let mut other = some_welcome();
    other.version = VERSION + 1;
    let mut lazy = some_welcome();
    lazy.terms.promise_ms = 3_600_001;
    for welcome in [other, lazy] {
        let mut client = Side::client();
        assert_eq!(client.hears(Frame::Welcome(welcome)), Input::Nothing);
        let close = Close {
            reason: CloseReason::Unexpected,
            verdict: Return::Never,
        };
        assert_says(&mut client, &[Frame::Close(close)]);
        assert_ends(&mut client, Ending::ByUs(close));
    }
}

#[test]
fn a_refusal_of_the_application_reaches_the_client() {
    let (mut client, mut hub) = (Side::client(), Side::hub());
    hub.hears(Frame::Hello(some_hello()));
    let refused = hub
        .session
        .refuse(Refusal::Unauthorized, Some(SECOND), "no");
    assert_eq!(refused.retry_after_ms, Some(1_000));
    assert_says(&mut hub, &[]);
    assert_ends(&mut hub, Ending::Refused(Refusal::Unauthorized));
    assert_eq!(
        client.hears(Frame::Refused(refused)),
        Input::Refused(refused)
    );
    assert_says(&mut client, &[]);
    assert_ends(&mut client, Ending::Refused(Refusal::Unauthorized));
}

#[test]
fn a_hub_that_is_full_refuses_before_the_hello() {
    let mut hub = Side::hub();
    hub.session.refuse(Refusal::Full, None, "");
    assert_says(&mut hub, &[]);
    assert_ends(&mut hub, Ending::Refused(Refusal::Full));
}

#[test]
fn a_hub_that_closes_before_the_welcome_says_when_to_return() {
    let mut hub = Side::hub();
    let close = Close {
        reason: CloseReason::Shutdown,
        verdict: Return::After { ms: 500 },
    };
    hub.session.close(close, true, hub.now);
    assert_says(&mut hub, &[refused(Refusal::Shutdown, Some(500))]);
    assert_ends(&mut hub, Ending::Refused(Refusal::Shutdown));
}

#[test]
fn a_client_that_closes_before_the_welcome_says_so() {
    let (mut client, mut hub) = (Side::client(), Side::hub());
    hub.hears(Frame::Hello(some_hello()));
    client.session.close(DONE, true, client.now);
    talk(&mut client, &mut hub);
    assert_ends(&mut client, Ending::ByUs(DONE));
    assert_ends(&mut hub, Ending::ByPeer(DONE));
}

#[test]
fn a_client_that_closes_before_its_hello_says_nothing() {
    let mut client = Side::new(config(Role::Client));
    client.session.close(DONE, true, client.now);
    client.session.hello(None, List::new(&[]), client.now);
    assert_says(&mut client, &[]);
    assert_ends(&mut client, Ending::ByUs(DONE));
}

// ── liveness ──

#[test]
fn a_ping_is_sent_after_silence() {
    let mut hub = ready_hub();
    hub.after(PROMISE - MILLISECOND);
    assert_says(&mut hub, &[]);
    hub.after(MILLISECOND);
    assert_says(&mut hub, &[ping(1)]);
}

#[test]
fn traffic_postpones_the_ping() {
    let mut hub = ready_hub();
    hub.after(PROMISE - SECOND);
    hub.pushes(EVENT);
    assert_says(&mut hub, &[EVENT]);
    hub.hears(PUBLISH);
    hub.after(PROMISE - MILLISECOND);
    assert_says(&mut hub, &[]);
    hub.after(MILLISECOND);
    assert_says(&mut hub, &[ping(1)]);
}

#[test]
fn a_pong_keeps_the_promise_as_well_as_a_ping() {
    let mut hub = ready_hub();
    hub.after(PROMISE);
    hub.hears(ping(5));
    assert_says(&mut hub, &[pong(5)]);
}

#[test]
fn only_the_newest_unsent_ping_is_answered() {
    let mut hub = ready_hub();
    for nonce in 1..=3 {
        hub.hears(ping(nonce));
    }
    assert_says(&mut hub, &[pong(3)]);
}

#[test]
fn an_answered_ping_tells_the_round_trip() {
    let mut hub = ready_hub();
    hub.after(PROMISE);
    assert_says(&mut hub, &[ping(1)]);
    hub.after(30 * MILLISECOND);
    assert_eq!(hub.hears(pong(0)), Input::Nothing, "not our newest ping");
    assert_eq!(hub.hears(pong(1)), Input::Pong(30 * MILLISECOND));
    assert_eq!(hub.session.round_trip(), Some(30 * MILLISECOND));
    assert_eq!(hub.hears(pong(1)), Input::Nothing, "answered already");
}

#[test]
fn a_peer_is_dead_after_its_promise_and_our_grace() {
    let mut hub = ready_hub();
    hub.after(PROMISE + GRACE - MILLISECOND);
    assert!(hub.session.is_ready());
    assert_says(&mut hub, &[ping(1)]);
    hub.after(MILLISECOND);
    let close = because(CloseReason::Silent);
    assert_says(&mut hub, &[Frame::Close(close)]);
    assert_ends(&mut hub, Ending::ByUs(close));
}

#[test]
fn the_promise_of_the_peer_counts_not_ours() {
    let mut hub = Side::hub();
    let mut hello = some_hello();
    hello.terms.promise_ms = 600_000;
    hub.hears(Frame::Hello(hello));
    hub.session.welcome(ID, hub.now);
    hub.after(600 * SECOND + GRACE - MILLISECOND);
    assert!(hub.session.is_ready());
    hub.after(MILLISECOND);
    assert!(hub.session.is_ended());
}

#[test]
fn any_message_counts_as_life() {
    let signs: [fn(&mut Side); 5] = [
        |hub| assert_eq!(hub.hears(ping(1)), Input::Nothing),
        |hub| assert_eq!(hub.hears(PUBLISH), publish_input()),
        |hub| assert_eq!(hub.hears(received(0)), Input::Nothing),
        |hub| hub.session.handle_alive(hub.now),
        |hub| hub.session.handle_skipped(hub.now),
    ];
    for sign in signs {
        let mut hub = ready_hub();
        hub.after(PROMISE + GRACE - MILLISECOND);
        sign(&mut hub);
        hub.after(PROMISE + GRACE - MILLISECOND);
        assert!(hub.session.is_ready());
    }
}

fn ignore(_: Input<'_>) {}

fn publish_input() -> Input<'static> {
    match PUBLISH {
        Frame::Publish(publish) => Input::Publish(publish),
        _ => Input::Nothing,
    }
}

#[test]
fn two_idle_sides_keep_each_other_alive() {
    let (mut client, mut hub) = met();
    for _ in 0..200 {
        client.after(5 * SECOND);
        hub.after(5 * SECOND);
        talk(&mut client, &mut hub);
    }
    assert!(client.session.is_ready() && hub.session.is_ready());
}

#[test]
fn what_is_due_and_cannot_leave_wakes_nobody_up() {
    let mut client = counting_client();
    client.hears(EVENT);
    client.hears(ping(1));
    client.after(PROMISE);
    // The transport takes nothing: the next thing to do is to give up.
    let dead = client.now - PROMISE + PROMISE + GRACE;
    assert_eq!(client.session.poll_timeout(), Some(dead));
}

// ── budgets ──

#[test]
fn a_flood_of_pings_pongs_or_empty_messages_ends_the_session() {
    let drops: [fn(&mut Side); 4] = [
        |hub| ignore(hub.hears(ping(1))),
        |hub| ignore(hub.hears(pong(1))),
        |hub| hub.session.handle_skipped(hub.now),
        |hub| hub.session.handle_alive(hub.now),
    ];
    for drop in drops {
        let mut hub = ready_hub();
        (0..400).for_each(|_| drop(&mut hub));
        for _ in 0..100 {
            hub.after(10 * MILLISECOND);
            drop(&mut hub);
        }
        assert!(hub.session.is_ready(), "a burst of 400, then 100/s");
        drop(&mut hub);
        assert_says(&mut hub, &[Frame::Close(because(CloseReason::Flood))]);
    }
}

#[test]
fn a_flood_before_the_hello_is_refused() {
    let mut hub = Side::hub();
    (0..400).for_each(|_| hub.session.handle_skipped(hub.now));
    assert!(!hub.session.is_ended());
    hub.session.handle_skipped(hub.now);
    assert_ends(&mut hub, Ending::Refused(Refusal::Malformed));
}

#[test]
fn requests_beyond_the_budget_pause_reading_until_it_refills() {
    let mut hub = ready_hub();
    for request in 0..400 {
        assert_eq!(hub.session.reading_resumes(hub.now), None, "{request}");
        assert!(matches!(hub.hears(SUBSCRIBE), Input::Subscribe(_)));
    }
    let resumes = hub.now + 10 * MILLISECOND;
    assert_eq!(hub.session.reading_resumes(hub.now), Some(resumes));
    assert_eq!(hub.session.reading_resumes(resumes), None);
    assert!(hub.session.is_ready(), "nobody is ended for it");
}

#[test]
fn publishing_uses_no_budget_of_requests() {
    let mut hub = ready_hub();
    (0..1_000).for_each(|_| ignore(hub.hears(PUBLISH)));
    assert_eq!(hub.session.reading_resumes(hub.now), None);
}

// ── counting ──

#[test]
fn data_frames_count_when_they_are_handed_out() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    hub.pushes(EVENT);
    hub.hears(ping(1));
    assert_eq!(hub.session.sent(), 0, "nothing has left yet");
    assert_says(&mut hub, &[pong(1), EVENT, EVENT]);
    assert_eq!(hub.session.sent(), 2, "a pong is control");
}

#[test]
fn data_frames_count_when_they_arrive_and_control_never() {
    let mut hub = ready_hub();
    hub.hears(PUBLISH);
    hub.hears(ping(1));
    hub.hears(Frame::Cancel(Cancel { id: 3 }));
    assert_eq!(hub.session.received(), 1);
}

#[test]
fn what_has_arrived_is_told_after_a_second() {
    let mut client = counting_client();
    client.hears(EVENT);
    client.after(SECOND - MILLISECOND);
    assert_says(&mut client, &[]);
    client.hears(EVENT);
    client.after(MILLISECOND);
    assert_says(&mut client, &[received(2)]);
    client.after(2 * SECOND);
    assert_says(&mut client, &[]);
}

#[test]
fn what_has_arrived_is_told_every_64_frames() {
    let mut client = counting_client();
    (0..63).for_each(|_| ignore(client.hears(EVENT)));
    assert_says(&mut client, &[]);
    client.hears(EVENT);
    assert_says(&mut client, &[received(64)]);
}

#[test]
fn who_cannot_resume_is_not_told_what_has_arrived() {
    let mut client = ready_client();
    (0..200).for_each(|_| ignore(client.hears(EVENT)));
    client.after(2 * SECOND);
    assert_says(&mut client, &[]);
}

#[test]
fn a_peer_cannot_count_more_than_was_sent() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    assert_says(&mut hub, &[EVENT]);
    hub.hears(received(1));
    assert!(hub.session.is_ready());
    hub.hears(received(2));
    assert_says(&mut hub, &[Frame::Close(because(CloseReason::Count))]);
}

// ── calls ──

#[test]
fn a_call_gets_its_reply_and_frees_its_slot() {
    let mut client = ready_client();
    let first = client.calls(None).expect("a free slot");
    let second = client.calls(None).expect("a free slot");
    assert_ne!(first, second);
    assert!(matches!(client.hears(reply(second)), Input::Reply(Reply { id, .. }) if id == second));
    assert_eq!(
        client.hears(reply(second)),
        Input::Nothing,
        "it has one answer"
    );
    assert!(matches!(client.hears(reply(first)), Input::Reply(_)));
    assert!(client.store.calls.iter().all(CallSlot::is_free));
}

#[test]
fn too_many_calls_are_refused() {
    let mut client = ready_client();
    let first = client.calls(None).expect("a free slot");
    client.calls(None).expect("a free slot");
    assert_eq!(client.calls(None), Err(TooManyCalls));
    client.hears(reply(first));
    assert!(client.calls(None).is_ok());
}

#[test]
fn a_call_that_takes_too_long_is_told_and_cancelled() {
    let mut client = ready_client();
    let quick = client.calls(Some(2 * SECOND)).expect("a free slot");
    let slow = client.calls(Some(9 * SECOND)).expect("a free slot");
    client.after(2 * SECOND - MILLISECOND);
    assert_eq!(client.tells(), None);
    client.after(MILLISECOND);
    assert_eq!(client.tells(), Some(SessionEvent::CallTimedOut(quick)));
    assert_eq!(client.tells(), None);
    assert_eq!(client.hears(reply(quick)), Input::Nothing, "a late answer");
    assert_says(&mut client, &[Frame::Cancel(Cancel { id: quick })]);
    assert!(client.store.calls[0].is_free());
    assert!(matches!(client.hears(reply(slow)), Input::Reply(_)));
}

#[test]
fn a_cancelled_call_is_told_to_the_peer_and_nobody_else() {
    let mut client = ready_client();
    let id = client.calls(Some(SECOND)).expect("a free slot");
    client.session.cancel(&mut client.store, id);
    assert_eq!(client.hears(reply(id)), Input::Nothing);
    client.after(SECOND);
    assert_eq!(client.tells(), None);
    assert_says(&mut client, &[Frame::Cancel(Cancel { id })]);
    assert!(client.store.calls.iter().all(CallSlot::is_free));
}

#[test]
fn a_call_cancelled_when_its_time_is_over_is_cancelled_once() {
    let mut client = ready_client();
    let id = client.calls(Some(SECOND)).expect("a free slot");
    client.after(SECOND);
    client.session.cancel(&mut client.store, id);
    assert_eq!(client.tells(), None);
    assert_says(&mut client, &[Frame::Cancel(Cancel { id })]);
    assert!(client.store.calls.iter().all(CallSlot::is_free));
}

#[test]
fn both_sides_may_call() {
    let call = Call {
        id: 1,
        method: "add",
        deadline_ms: None,
        arguments: Payload::text(""),
    };
    for mut side in [ready_hub(), ready_client()] {
        assert_eq!(side.hears(Frame::Call(call)), Input::Call(call));
        let cancel = Cancel { id: 1 };
        assert_eq!(side.hears(Frame::Cancel(cancel)), Input::Cancel(cancel));
    }
}

// ── order ──

#[test]
fn a_frame_of_the_wrong_role_ends_the_session() {
    let ack = Frame::Ack(Ack {
        receipt: 1,
        outcome: Outcome::Subscribed,
    });
    let lagged = Frame::Lagged(Lagged {
        subscription: 1,
        missed: 1,
    });
    let unsubscribe = Frame::Unsubscribe(Unsubscribe {
        receipt: 1,
        first: 1,
        count: 1,
    });
    let of_hubs = [EVENT, ack, lagged, Frame::Welcome(some_welcome())];
    let of_clients = [PUBLISH, SUBSCRIBE, unsubscribe, Frame::Hello(some_hello())];
    let wrong = of_hubs
        .map(|frame| (ready_hub(), frame))
        .into_iter()
        .chain(of_clients.map(|frame| (ready_client(), frame)));
    for (mut side, frame) in wrong {
        assert_eq!(side.hears(frame), Input::Nothing, "{frame:?}");
        assert_says(&mut side, &[Frame::Close(because(CloseReason::Unexpected))]);
    }
}

#[test]
fn a_second_handshake_ends_the_session() {
    let again = [
        (ready_hub(), Frame::Hello(some_hello())),
        (ready_client(), Frame::Welcome(some_welcome())),
        (ready_client(), refused(Refusal::Full, None)),
    ];
    for (mut side, frame) in again {
        assert_eq!(side.hears(frame), Input::Nothing);
        assert_says(&mut side, &[Frame::Close(because(CloseReason::Unexpected))]);
    }
}

#[test]
fn what_is_not_a_frame_ends_the_session() {
    let mut hub = ready_hub();
    hub.session.violate(CloseReason::Malformed, hub.now);
    assert_says(&mut hub, &[Frame::Close(because(CloseReason::Malformed))]);
    hub.session.handle_end();
    assert_ends(&mut hub, Ending::ByUs(because(CloseReason::Malformed)));
}

// ── the end ──

#[test]
fn a_close_flushes_first_when_asked_to() {
    let (mut client, mut hub) = met();
    hub.pushes(EVENT);
    hub.session.close(DONE, true, hub.now);
    assert!(hub.session.is_closing() && !hub.session.is_ended());
    hub.hears(ping(1));
    assert_says(&mut hub, &[pong(1), EVENT, Frame::Close(DONE)]);
    client.hears(EVENT);
    client.hears(Frame::Close(DONE));
    talk(&mut client, &mut hub);
    assert_ends(&mut hub, Ending::ByUs(DONE));
    assert_ends(&mut client, Ending::ByPeer(DONE));
}

#[test]
fn a_close_at_once_leaves_the_lane_behind() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    hub.session.close(DONE, false, hub.now);
    assert_says(&mut hub, &[Frame::Close(DONE)]);
}

#[test]
fn a_close_at_once_overtakes_one_that_flushes() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    hub.session.close(DONE, true, hub.now);
    let kicked = because(CloseReason::Kicked);
    hub.session.close(kicked, false, hub.now);
    assert_says(&mut hub, &[Frame::Close(kicked)]);
    hub.session.close(DONE, false, hub.now);
    assert_says(&mut hub, &[]);
    hub.session.handle_end();
    assert_ends(&mut hub, Ending::ByUs(kicked));
}

#[test]
fn a_close_is_answered_and_what_waits_for_the_peer_is_void() {
    let mut client = ready_client();
    client.pushes(PUBLISH);
    let shutdown = because(CloseReason::Shutdown);
    assert_eq!(client.hears(Frame::Close(shutdown)), Input::Close(shutdown));
    assert_says(&mut client, &[Frame::Close(DONE)]);
    assert_ends(&mut client, Ending::ByPeer(shutdown));
}

#[test]
fn both_sides_may_close_at_the_same_time() {
    let (mut client, mut hub) = met();
    let shutdown = because(CloseReason::Shutdown);
    client.session.close(DONE, false, client.now);
    hub.session.close(shutdown, false, hub.now);
    talk(&mut client, &mut hub);
    assert_ends(&mut client, Ending::ByUs(DONE));
    assert_ends(&mut hub, Ending::ByUs(shutdown));
}

#[test]
fn a_close_that_was_decided_is_said_even_when_the_peer_was_quicker() {
    let mut hub = ready_hub();
    let kicked = because(CloseReason::Kicked);
    hub.session.close(kicked, false, hub.now);
    assert_eq!(hub.hears(Frame::Close(DONE)), Input::Close(DONE));
    assert_says(&mut hub, &[Frame::Close(kicked)]);
    assert_ends(&mut hub, Ending::ByUs(kicked));
}

#[test]
fn a_close_without_an_answer_ends_by_its_deadline() {
    let mut hub = ready_hub();
    hub.session.close(DONE, true, hub.now);
    assert_says(&mut hub, &[Frame::Close(DONE)]);
    hub.after(5 * SECOND - MILLISECOND);
    assert!(!hub.session.is_ended());
    hub.hears(PUBLISH);
    hub.after(MILLISECOND);
    assert_says(&mut hub, &[]);
    assert_ends(&mut hub, Ending::ByUs(DONE));
}

#[test]
fn a_close_that_cannot_leave_ends_by_the_same_deadline() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    hub.session.close(DONE, true, hub.now);
    hub.after(4 * SECOND);
    hub.session.close(DONE, false, hub.now);
    hub.after(SECOND);
    assert_ends(&mut hub, Ending::ByUs(DONE));
}

#[test]
fn a_lost_connection_is_told_and_hears_nothing_more() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    hub.session.handle_end();
    assert_says(&mut hub, &[]);
    assert_ends(&mut hub, Ending::Lost);
    hub.session.handle_end();
    assert_eq!(hub.tells(), None);
}

#[test]
fn a_peer_that_was_given_up_gets_last_words_only() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    hub.session.give_up(CloseReason::Stalled);
    let stalled = because(CloseReason::Stalled);
    assert_ends(&mut hub, Ending::ByUs(stalled));
    assert_says(&mut hub, &[Frame::Close(stalled)]);
}

#[test]
fn the_first_reason_to_end_is_the_one_that_counts() {
    let mut hub = ready_hub();
    hub.session.close(DONE, false, hub.now);
    hub.session.violate(CloseReason::Malformed, hub.now);
    hub.session.give_up(CloseReason::Stalled);
    hub.session.handle_end();
    assert_ends(&mut hub, Ending::ByUs(DONE));
    assert_says(&mut hub, &[Frame::Close(DONE)]);
}

#[test]
fn nothing_happens_after_last_words() {
    let mut hub = ready_hub();
    let id = hub.calls(Some(SECOND)).expect("a free slot");
    hub.session.close(DONE, false, hub.now);
    assert_says(&mut hub, &[Frame::Close(DONE)]);
    for frame in [PUBLISH, SUBSCRIBE, ping(1), reply(id), received(99)] {
        assert_eq!(hub.hears(frame), Input::Nothing);
    }
    hub.hears(Frame::Close(DONE));
    assert_ends(&mut hub, Ending::ByUs(DONE));
    for frame in [PUBLISH, ping(1), Frame::Close(DONE)] {
        assert_eq!(hub.hears(frame), Input::Nothing);
    }
    hub.pushes(EVENT);
    hub.after(100 * SECOND);
    assert_says(&mut hub, &[]);
    assert_eq!(hub.tells(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_order_of_inputs_breaks_a_session(bytes in vec(any::<u8>(), 0..600)) {
        script::run(&bytes);
    }
}
