//! What a client may not say: each ends as the table says, and another connection does not notice.

use lapwing::session::Ending;
use lapwing::transport::{Kind, Message};
use lapwing::wire::{
    self, Ack, Close, CloseReason, Credit, End, Event, Failure, FailureCode, Frame, Item, Lagged,
    List, Outcome, Payload, Received, Refusal, Refused, Reply, Return, Welcome,
};
use lapwing::{ConnectionId, Limits};

use crate::carrier::Carrier;
use crate::peer::{TERMS, bytes, call, hello, ping, publish};
use crate::world::{check, check_over};

fn welcome() -> Frame<'static> {
    Frame::Welcome(Welcome {
        version: wire::VERSION,
        connection: ConnectionId::from_bytes([7; 16]),
        terms: TERMS,
        resume_token: None,
        continued: None,
        verdicts: List::new(&[]),
    })
}

const EVENT: Frame<'_> = Frame::Event(Event {
    topic: "news",
    direct: false,
    offset: None,
    payload: Payload::text("x"),
});

const FAILURE: Failure<'_> = Failure {
    code: FailureCode::Failed,
    message: "",
};

/// What ends a connection whose handshake is done, and why.
fn faults() -> Vec<(Vec<u8>, CloseReason)> {
    let refused = Frame::Refused(Refused {
        reason: Refusal::Full,
        retry_after_ms: None,
        message: "",
    });
    let ack = Frame::Ack(Ack {
        receipt: 1,
        outcome: Outcome::Subscribed,
    });
    let lagged = Frame::Lagged(Lagged {
        subscription: 0,
        missed: 1,
    });
    let count = 1_000_000;
    vec![
        (vec![0x00], CloseReason::Malformed),
        (vec![0x14], CloseReason::Malformed),
        (vec![0x7f, 1, 2, 3], CloseReason::Malformed),
        (vec![0x06], CloseReason::Malformed),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), CloseReason::Malformed),
        (
            vec![0x04, 1, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f],
            CloseReason::Malformed,
        ),
        (bytes(&hello(TERMS)), CloseReason::Unexpected),
        (bytes(&welcome()), CloseReason::Unexpected),
        (bytes(&refused), CloseReason::Unexpected),
        (bytes(&ack), CloseReason::Unexpected),
        (bytes(&EVENT), CloseReason::Unexpected),
        (bytes(&lagged), CloseReason::Unexpected),
        (
            bytes(&Frame::Received(Received { count })),
            CloseReason::Count,
        ),
    ]
}

#[test]
fn a_fault_ends_its_connection_and_no_other() {
    for (message, expected) in faults() {
        check(Limits::default(), async |world| {
            let mut control = world.peer("control").await;
            let mut peer = world.peer("peer").await;
            peer.say_bytes(&message).await;
            // What follows is read and thrown away.
            for _ in 0..10 {
                peer.say(&publish("news", "more")).await;
            }
            world.round_trip(&mut control).await;
            assert_eq!(peer.close_reason().await, expected, "{message:02x?}");
            world.round_trip(&mut control).await;
            world.sim.settle().await;
            assert_eq!(world.reason(), expected);
        });
    }
}

#[test]
fn the_reason_arrives_at_a_peer_that_has_finished_already() {
    // On a WebSocket nothing may follow its goodbye, so there nothing does.
    let carriers = [Carrier::Memory, Carrier::Tcp];
    for (message, expected) in faults() {
        check_over(&carriers, Limits::default(), async |world| {
            let mut peer = world.peer("peer").await;
            peer.say_bytes(&message).await;
            peer.finish().await;
            assert_eq!(peer.close_reason().await, expected, "{message:02x?}");
        });
    }
}

#[test]
fn what_may_be_skipped_is_skipped() {
    let (id, items) = (99, 5);
    let harmless = [
        vec![],
        vec![0x80],
        vec![0xff; 1_000],
        [bytes(&ping(1)), vec![1, 2, 3]].concat(),
        bytes(&Frame::Credit(Credit { id, items })),
        bytes(&Frame::Item(Item {
            id,
            payload: Payload::text("x"),
        })),
        bytes(&Frame::End(End { id, result: Ok(()) })),
        bytes(&Frame::Reply(Reply {
            id,
            result: Err(FAILURE),
        })),
        bytes(&Frame::Received(Received { count: 0 })),
    ];
    check(Limits::default(), async |world| {
        let mut early = world.connect("early").await;
        for message in &harmless[..3] {
            early.say_bytes(message).await;
        }
        early.welcome(TERMS).await;
        for message in &harmless {
            early.say_bytes(message).await;
            world.round_trip(&mut early).await;
        }
        if world.carrier == Carrier::WebSocket {
            return;
        }
        let text = Message {
            bytes: bytes(&call(9, "echo")).into(),
            kind: Kind::Text,
        };
        early.send(text).await.expect("a whole connection");
        assert_eq!(early.answer().await.0, 9, "the bytes count, not their kind");
    });
}

#[test]
fn nothing_but_a_hello_opens_a_connection() {
    let mut first_words: Vec<_> = faults().into_iter().map(|(bytes, _)| bytes).collect();
    let hello = bytes(&hello(TERMS));
    first_words.retain(|words| *words != hello);
    first_words.extend([bytes(&ping(1)), bytes(&publish("news", "x"))]);
    first_words.extend((1..hello.len()).map(|length| hello[..length].to_vec()));
    for words in first_words {
        check(Limits::default(), async |world| {
            let mut control = world.peer("control").await;
            let mut peer = world.connect("peer").await;
            peer.say_bytes(&words).await;
            let refused = peer.refusal().await;
            assert_eq!(refused, (Refusal::Malformed, None), "{words:02x?}");
            world.round_trip(&mut control).await;
            assert_eq!(world.hub.counters().connected, 1);
        });
    }
}

#[test]
fn another_version_is_told_which_there_are() {
    check(Limits::default(), async |world| {
        let Frame::Hello(hello) = hello(TERMS) else {
            unreachable!("it is one");
        };
        let mut peer = world.connect("peer").await;
        let (oldest, newest) = (wire::VERSION, wire::VERSION);
        peer.say(&Frame::Hello(wire::Hello {
            oldest: newest + 1,
            newest: newest + 9,
            ..hello
        }))
        .await;
        let version = Refusal::Version { oldest, newest };
        assert_eq!(peer.refusal().await, (version, None));
    });
}

#[test]
fn a_frame_that_is_cut_anywhere_panics_nobody() {
    let frames = [
        hello(TERMS),
        welcome(),
        EVENT,
        publish("news", "hello"),
        call(1, "echo"),
        ping(7),
        Frame::Subscribe(wire::Subscribe {
            receipt: 1,
            first: 1,
            policy: Some(lapwing::Policy::DropOldest),
            start: wire::Start::Now,
            filters: List::new(&["a", "b/**"]),
        }),
        Frame::Close(Close {
            reason: CloseReason::Done,
            verdict: Return::Never,
        }),
    ];
    for frame in frames {
        let whole = bytes(&frame);
        check(Limits::default(), async |world| {
            let mut control = world.peer("control").await;
            for length in 0..whole.len() {
                let mut peer = world.peer("peer").await;
                peer.say_bytes(&whole[..length]).await;
                world.round_trip(&mut control).await;
            }
        });
    }
}

#[test]
fn random_bytes_end_their_connection_or_mean_nothing() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut messages = Vec::new();
    for _ in 0..2_000 {
        let length = random() % 40;
        let mut message: Vec<_> = (0..length).map(|_| random() as u8).collect();
        // Most of them begin like a frame.
        if let Some(kind) = message.first_mut()
            && random() % 8 > 0
        {
            *kind %= 0x16;
        }
        messages.push(message);
    }
    check(Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        for some in messages.chunks(20) {
            let mut peer = world.peer("peer").await;
            for message in some {
                let message = Message::binary(message.clone());
                let _ = peer.send(message).await;
            }
            world.round_trip(&mut control).await;
        }
        world.sim.settle().await;
        let by_us = |ending: &Ending| !matches!(ending, Ending::Refused(_));
        assert!(world.endings().iter().all(by_us), "they were let in");
    });
}
