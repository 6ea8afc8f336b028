//! The text of every shape, and that every frame comes back as it was.

use std::string::String;
use std::vec::Vec;

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::Json;
use crate::id::ConnectionId;
use crate::limits::NESTING_MAX;
use crate::policy::Policy;
use crate::protocol::Protocol;
use crate::session::Role;
use crate::transport::Message;
use crate::wire::draw::with_frame;
use crate::wire::*;

const ID: ConnectionId = ConnectionId::from_bytes(*b"0123456789abcdef");

/// All that JSON says of encodings.
const ENCODINGS: Encodings = Encodings::NONE
    .with(Encoding::Text)
    .with(Encoding::Bytes)
    .with(Encoding::Json);

const SILENT: Terms = Terms {
    encodings: ENCODINGS,
    promise_ms: Terms::NO_PROMISE,
    message_bytes_max: u32::MAX,
    subscriptions_max: u32::MAX,
};

const TERMS: Terms = Terms {
    encodings: ENCODINGS,
    promise_ms: 25_000,
    message_bytes_max: 65_536,
    subscriptions_max: 64,
};

const HI: Payload<'_> = Payload::text("hi");
const NOTHING: Payload<'_> = Payload::bytes(&[]);

macro_rules! golden {
    ($($text:literal $kind:ident $body:tt)*) => {
        &[$(($text, Frame::$kind($kind $body))),*]
    };
}

#[rustfmt::skip]
const GOLDEN: &[(&str, Frame<'_>)] = golden! {
    r#"{"hello":{}}"#
        Hello { oldest: 1, newest: 1, terms: SILENT, resumable: false, token: None, resume: None, positions: List::new(&[]) }
    r#"{"hello":{"oldest":2,"newest":3,"token":"key","promise_ms":25000,"message_bytes_max":65536,"subscriptions_max":64,"resumable":true,"resume":["30313233343536373839616263646566",31],"positions":[[0,7],[200,300]]}}"#
        Hello { oldest: 2, newest: 3, terms: TERMS, resumable: true, token: Some(b"key"), resume: Some((*b"0123456789abcdef", 31)), positions: List::new(&[Position { subscription: 0, accounted: 7 }, Position { subscription: 200, accounted: 300 }]) }
    r#"{"hello":{"token":{"base64":"/w=="}}}"#
        Hello { oldest: 1, newest: 1, terms: SILENT, resumable: false, token: Some(&[0xff]), resume: None, positions: List::new(&[]) }
    r#"{"welcome":{"connection":"30313233343536373839616263646566","version":1,"promise_ms":25000,"message_bytes_max":65536,"subscriptions_max":64}}"#
        Welcome { version: 1, connection: ID, terms: TERMS, resume_token: None, continued: None, verdicts: List::new(&[]) }
    r#"{"welcome":{"connection":"30313233343536373839616263646566","version":1,"resume_token":"66656463626139383736353433323130","continued":{"whole":true,"received":300},"verdicts":["resumed",{"replayed":{"from":5,"to":300}},{"gap":{"missed":9}},{"gap":{"missed":null}},{"denied":"forbidden"}]}}"#
        Welcome { version: 1, connection: ID, terms: SILENT, resume_token: Some(*b"fedcba9876543210"), continued: Some(Continued { whole: true, received: 300 }), verdicts: List::new(&[Verdict::Resumed, Verdict::Replayed { from: 5, to: 300 }, Verdict::Gap { missed: Some(9) }, Verdict::Gap { missed: None }, Verdict::Denied(Denied::Forbidden)]) }
    r#"{"refused":{"reason":"full","retry_after_ms":2000,"message":"later"}}"#
        Refused { reason: Refusal::Full, retry_after_ms: Some(2_000), message: "later" }
    r#"{"refused":{"reason":{"version":{"oldest":1,"newest":3}}}}"#
        Refused { reason: Refusal::Version { oldest: 1, newest: 3 }, retry_after_ms: None, message: "" }
    r#"{"refused":{"reason":"count"}}"#             Refused { reason: Refusal::Count, retry_after_ms: None, message: "" }
    r#"{"refused":{"reason":"unauthorized"}}"#      Refused { reason: Refusal::Unauthorized, retry_after_ms: None, message: "" }
    r#"{"refused":{"reason":"shutdown"}}"#          Refused { reason: Refusal::Shutdown, retry_after_ms: None, message: "" }
    r#"{"refused":{"reason":"malformed"}}"#         Refused { reason: Refusal::Malformed, retry_after_ms: None, message: "" }
    r#"{"refused":{"reason":"late"}}"#              Refused { reason: Refusal::Late, retry_after_ms: None, message: "" }
    r#"{"refused":{"reason":{"promise":{"max_ms":600000}}}}"#
        Refused { reason: Refusal::Promise { max_ms: 600_000 }, retry_after_ms: None, message: "" }
    r#"{"refused":{"reason":{"message-too-large":{"size":300,"max":100}}}}"#
        Refused { reason: Refusal::MessageTooLarge { size: 300, max: 100 }, retry_after_ms: None, message: "" }

    r#"{"subscribe":"news/**"}"#
        Subscribe { receipt: 0, first: 0, policy: None, start: Start::Now, filters: List::new(&["news/**"]) }
    r#"{"subscribe":["a","b/**"],"id":2,"receipt":7,"policy":"drop-oldest","from":"retained"}"#
        Subscribe { receipt: 7, first: 2, policy: Some(Policy::DropOldest), start: Start::Retained, filters: List::new(&["a", "b/**"]) }
    r#"{"subscribe":[],"policy":"disconnect","from":{"offset":{"epoch":5,"offset":300}}}"#
        Subscribe { receipt: 0, first: 0, policy: Some(Policy::Disconnect), start: Start::Offset { epoch: 5, offset: 300 }, filters: List::new(&[]) }
    r#"{"subscribe":"a","policy":"drop-newest"}"#
        Subscribe { receipt: 0, first: 0, policy: Some(Policy::DropNewest), start: Start::Now, filters: List::new(&["a"]) }
    r#"{"subscribe":"a","policy":"keep-latest"}"#
        Subscribe { receipt: 0, first: 0, policy: Some(Policy::KeepLatest), start: Start::Now, filters: List::new(&["a"]) }
    r#"{"subscribe":"a","from":"beginning"}"#
        Subscribe { receipt: 0, first: 0, policy: None, start: Start::Beginning, filters: List::new(&["a"]) }
    r#"{"unsubscribe":1}"#                          Unsubscribe { receipt: 0, first: 1, count: 1 }
    r#"{"unsubscribe":1,"receipt":2,"count":3}"#    Unsubscribe { receipt: 2, first: 1, count: 3 }

    r#"{"event":"a"}"#                              Publish { receipt: 0, name: Name::Topic("a"), payload: NOTHING }
    r#"{"event":"a/b","data":"hi","receipt":3}"#    Publish { receipt: 3, name: Name::Topic("a/b"), payload: HI }
    r#"{"event":"a","data":{"base64":"AP+A"}}"#     Publish { receipt: 0, name: Name::Topic("a"), payload: Payload::bytes(&[0, 0xff, 0x80]) }
    r#"{"event":"a","data":{"degrees":[21.5,null]}}"# Publish { receipt: 0, name: Name::Topic("a"), payload: Payload::json(r#"{"degrees":[21.5,null]}"#) }
    r#"{"event":"a","data":null}"#                  Publish { receipt: 0, name: Name::Topic("a"), payload: Payload::json("null") }
    r#"{"event":"a","data":"hi","alias":300}"#      Publish { receipt: 0, name: Name::Declare(300, "a"), payload: HI }
    r#"{"data":"hi","alias":300}"#                  Publish { receipt: 0, name: Name::Alias(300), payload: HI }

    r#"{"ack":1,"subscribed":true}"#                Ack { receipt: 1, outcome: Outcome::Subscribed }
    r#"{"ack":0,"subscribed":5}"#                   Ack { receipt: 0, outcome: Outcome::Numbered { first: 5 } }
    r#"{"ack":1,"subscribed":5,"position":{"epoch":9,"offset":300,"verdict":{"replayed":{"from":2,"to":300}}}}"#
        Ack { receipt: 1, outcome: Outcome::Positioned { first: 5, epoch: 9, offset: 300, verdict: Verdict::Replayed { from: 2, to: 300 } } }
    r#"{"ack":1,"unsubscribed":true}"#              Ack { receipt: 1, outcome: Outcome::Unsubscribed }
    r#"{"ack":1,"published":{"queued":300,"dropped":1}}"# Ack { receipt: 1, outcome: Outcome::Published { queued: 300, dropped: 1 } }
    r#"{"ack":1,"error":"forbidden"}"#              Ack { receipt: 1, outcome: Outcome::Denied(Denied::Forbidden) }
    r#"{"ack":1,"error":"topic"}"#                  Ack { receipt: 1, outcome: Outcome::Denied(Denied::Topic) }
    r#"{"ack":1,"error":{"too-large":{"size":300,"max":100}}}"# Ack { receipt: 1, outcome: Outcome::Denied(Denied::TooLarge { size: 300, max: 100 }) }
    r#"{"ack":1,"error":{"too-many":{"max":1024}}}"# Ack { receipt: 1, outcome: Outcome::Denied(Denied::TooMany { max: 1_024 }) }
    r#"{"ack":1,"error":"number-taken"}"#           Ack { receipt: 1, outcome: Outcome::Denied(Denied::NumberTaken) }
    r#"{"ack":1,"error":"no-history"}"#             Ack { receipt: 1, outcome: Outcome::Denied(Denied::NoHistory) }
    r#"{"ack":1,"error":"alias"}"#                  Ack { receipt: 1, outcome: Outcome::Denied(Denied::Alias) }
    r#"{"ack":1,"error":"payload"}"#                Ack { receipt: 1, outcome: Outcome::Denied(Denied::Payload) }

    r#"{"ack":1,"error":"offset"}"#                 Ack { receipt: 1, outcome: Outcome::Denied(Denied::Offset) }

    r#"{"event":"a/b","data":"hi"}"#                Event { topic: "a/b", direct: false, offset: None, payload: HI }
    r#"{"event":"a","data":"hi","direct":true,"offset":258}"# Event { topic: "a", direct: true, offset: Some(258u64.to_le_bytes()), payload: HI }
    r#"{"replay":"a","id":2,"data":"hi","offset":258}"# Replay { subscription: 2, offset: 258, topic: "a", payload: HI }
    r#"{"live":2,"offset":258}"#                    Live { subscription: 2, offset: 258 }
    r#"{"lagged":2,"missed":12}"#                   Lagged { subscription: 2, missed: 12 }

    r#"{"call":"add","id":5,"data":[20,22],"deadline_ms":1000}"# Call { id: 5, method: "add", deadline_ms: Some(1_000), arguments: Payload::json("[20,22]") }
    r#"{"call":"","id":0}"#                         Call { id: 0, method: "", deadline_ms: None, arguments: NOTHING }
    r#"{"reply":5,"data":42}"#                      Reply { id: 5, result: Ok(Payload::json("42")) }
    r#"{"reply":5}"#                                Reply { id: 5, result: Ok(NOTHING) }
    r#"{"reply":5,"error":{"code":"failed","message":"no"}}"# Reply { id: 5, result: Err(Failure { code: FailureCode::Failed, message: "no" }) }
    r#"{"reply":5,"error":{"code":"unknown-method"}}"# Reply { id: 5, result: Err(Failure { code: FailureCode::UnknownMethod, message: "" }) }
    r#"{"reply":5,"error":{"code":"arguments"}}"#   Reply { id: 5, result: Err(Failure { code: FailureCode::Arguments, message: "" }) }
    r#"{"reply":5,"error":{"code":"forbidden"}}"#   Reply { id: 5, result: Err(Failure { code: FailureCode::Forbidden, message: "" }) }
    r#"{"reply":5,"error":{"code":"busy"}}"#        Reply { id: 5, result: Err(Failure { code: FailureCode::Busy, message: "" }) }
    r#"{"reply":5,"error":{"code":"timed-out"}}"#   Reply { id: 5, result: Err(Failure { code: FailureCode::TimedOut, message: "" }) }
    r#"{"reply":5,"error":{"code":"cancelled"}}"#   Reply { id: 5, result: Err(Failure { code: FailureCode::Cancelled, message: "" }) }
    r#"{"reply":5,"error":{"code":"panicked"}}"#    Reply { id: 5, result: Err(Failure { code: FailureCode::Panicked, message: "" }) }
    r#"{"reply":5,"error":{"code":"shutdown"}}"#    Reply { id: 5, result: Err(Failure { code: FailureCode::Shutdown, message: "" }) }
    r#"{"reply":5,"error":{"code":"streams"}}"#     Reply { id: 5, result: Err(Failure { code: FailureCode::Streams, message: "" }) }
    r#"{"reply":5,"error":{"code":"no-stream"}}"#   Reply { id: 5, result: Err(Failure { code: FailureCode::NoStream, message: "" }) }
    r#"{"open":"m","id":5,"data":"hi","items":16}"# Open { id: 5, method: "m", deadline_ms: None, arguments: HI, items: Some(16), streams: 0 }
    r#"{"open":"m","id":5,"deadline_ms":7,"streams":2}"# Open { id: 5, method: "m", deadline_ms: Some(7), arguments: NOTHING, items: None, streams: 2 }
    r#"{"item":5,"data":"hi"}"#                     Item { id: 5, payload: HI }
    r#"{"credit":5,"items":16}"#                    Credit { id: 5, items: 16 }
    r#"{"cancel":5}"#                               Cancel { id: 5 }
    r#"{"end":5}"#                                  End { id: 5, result: Ok(()) }
    r#"{"end":5,"error":{"code":"failed"}}"#        End { id: 5, result: Err(Failure { code: FailureCode::Failed, message: "" }) }

    r#"{"received":64}"#                            Received { count: 64 }
    r#"{"ping":7}"#                                 Ping { nonce: 7 }
    r#"{"pong":7}"#                                 Pong { nonce: 7 }
    r#"{"close":{"reason":"done","return":"now"}}"# Close { reason: CloseReason::Done, verdict: Return::Now }
    r#"{"close":{"reason":"shutdown","return":{"after":{"ms":2000}}}}"# Close { reason: CloseReason::Shutdown, verdict: Return::After { ms: 2_000 } }
    r#"{"close":{"reason":"kicked","return":"never"}}"# Close { reason: CloseReason::Kicked, verdict: Return::Never }
    r#"{"close":{"reason":{"message-too-large":{"size":300,"max":100}},"return":"now"}}"# Close { reason: CloseReason::MessageTooLarge { size: 300, max: 100 }, verdict: Return::Now }
    r#"{"close":{"reason":"too-slow","return":"now"}}"# Close { reason: CloseReason::TooSlow, verdict: Return::Now }
    r#"{"close":{"reason":"stalled","return":"now"}}"# Close { reason: CloseReason::Stalled, verdict: Return::Now }
    r#"{"close":{"reason":"silent","return":"now"}}"# Close { reason: CloseReason::Silent, verdict: Return::Now }
    r#"{"close":{"reason":"flood","return":"now"}}"# Close { reason: CloseReason::Flood, verdict: Return::Now }
    r#"{"close":{"reason":"malformed","return":"now"}}"# Close { reason: CloseReason::Malformed, verdict: Return::Now }
    r#"{"close":{"reason":"unexpected","return":"now"}}"# Close { reason: CloseReason::Unexpected, verdict: Return::Now }
    r#"{"close":{"reason":"count","return":"now"}}"# Close { reason: CloseReason::Count, verdict: Return::Now }
};

/// Who says such a frame.
fn speaker(frame: &Frame<'_>) -> Role {
    match frame {
        Frame::Event(_) => Role::Hub,
        _ => Role::Client,
    }
}

fn written(frame: &Frame<'_>) -> String {
    let mut text = BytesMut::new();
    Json.encode(frame, &mut text);
    String::from_utf8(text.to_vec()).expect("JSON is UTF-8")
}

fn read<T>(
    text: &[u8],
    from: Role,
    check: impl FnOnce(Result<Option<Frame<'_>>, DecodeError>) -> T,
) -> T {
    let mut scratch = BytesMut::from(&b"left over"[..]);
    let message = Message::binary(text.to_vec());
    check(Json.decode(&message, from, &mut scratch))
}

fn is_refused(text: &[u8]) -> bool {
    read(text, Role::Client, |read| read == Err(DecodeError::NoFrame))
}

#[test]
fn every_frame_has_its_golden_text() {
    for (text, frame) in GOLDEN {
        assert_eq!(written(frame), *text);
        read(text.as_bytes(), speaker(frame), |read| {
            assert_eq!(read, Ok(Some(*frame)), "{text}")
        });
    }
    let mut kinds: Vec<_> = GOLDEN
        .iter()
        .map(|(_, frame)| core::mem::discriminant(frame))
        .collect();
    kinds.dedup();
    assert_eq!(kinds.len(), 0x16, "one kind is missing");
}

#[test]
fn a_page_may_leave_out_much() {
    let same = [
        (
            r#" { "subscribe" : [ "a" ] , "new" : [ { } ] , "id" : null } "#,
            r#"{"subscribe":"a"}"#,
        ),
        (
            r#"{"data":1,"event":"\u0061"}"#,
            r#"{"event":"a","data":1}"#,
        ),
        (
            r#"{"close":{}}"#,
            r#"{"close":{"reason":"done","return":"now"}}"#,
        ),
        (r#"{"call":"add"}"#, r#"{"call":"add","id":0}"#),
        (r#"{"call":"add","alias":1}"#, r#"{"call":"add","id":0}"#),
        (r#"{"ping":1,"alias":1}"#, r#"{"ping":1}"#),
        (r#"{"event":"a","data":{"base64":""}}"#, r#"{"event":"a"}"#),
        (
            r#"{"event":"a","data":"\ud83d\ude00"}"#,
            r#"{"event":"a","data":"😀"}"#,
        ),
        ("\r\n\t {\"ping\":1}\n", r#"{"ping":1}"#),
    ];
    for (short, long) in same {
        read(short.as_bytes(), Role::Client, |short| {
            let frame = short.expect(long).expect("a known one");
            assert_eq!(written(&frame), long);
        });
    }
}

#[test]
fn what_looks_like_text_or_bytes_and_is_not_stays_a_value() {
    for value in [
        r#"{"base64":"not of it"}"#,
        r#"{"base64":1}"#,
        r#"{"base64":"AA==","more":1}"#,
        r#"["AA=="]"#,
        r#""\ud800""#,
        "1e999",
        "18446744073709551616",
        "{}",
    ] {
        let text = std::format!(r#"{{"event":"a","data":{value}}}"#);
        read(text.as_bytes(), Role::Hub, |read| match read {
            Ok(Some(Frame::Event(event))) => assert_eq!(event.payload, Payload::json(value)),
            other => panic!("{other:?}"),
        });
    }
}

#[test]
fn what_json_has_no_word_for_is_bytes() {
    let unknown = [
        Payload {
            encoding: Encoding::Postcard,
            bytes: &[1, 2],
        },
        Payload {
            encoding: Encoding::MessagePack,
            bytes: &[1, 2],
        },
        Payload {
            encoding: Encoding::Text,
            bytes: &[0xff],
        },
        Payload {
            encoding: Encoding::Json,
            bytes: b"}",
        },
    ];
    for payload in unknown {
        let text = written(&Frame::Item(Item { id: 1, payload }));
        read(text.as_bytes(), Role::Hub, |read| {
            let payload = Payload::bytes(payload.bytes);
            assert_eq!(read, Ok(Some(Frame::Item(Item { id: 1, payload }))));
        });
    }
}

#[test]
fn what_is_no_frame_is_refused() {
    for text in [
        "{}",
        "[]",
        "null",
        "1",
        "\"subscribe\"",
        "{",
        "}",
        "{\"ping\":1",
        "{\"ping\":1}}",
        "{\"ping\":1}{\"ping\":2}",
        "{\"ping\":1},",
        r#"{"unknown":1}"#,
        r#"{"ping":1,"pong":1}"#,
        r#"{"ping":1,"ping":1}"#,
        r#"{"event":"a","event":"b"}"#,
        r#"{"event":"a","data":1,"data":2}"#,
        r#"{"ping":-1}"#,
        r#"{"ping":1.5}"#,
        r#"{"ping":4294967296}"#,
        r#"{"ping":1e999}"#,
        r#"{"ping":"1"}"#,
        r#"{"ping":null}"#,
        r#"{"ping":NaN}"#,
        r#"{"subscribe":1}"#,
        r#"{"subscribe":[1]}"#,
        r#"{"subscribe":{}}"#,
        r#"{"subscribe":"a","id":"b"}"#,
        r#"{"subscribe":"a","policy":"nice"}"#,
        r#"{"event":1}"#,
        r#"{"event":"a","data":}"#,
        r#"{"event":"a","data":[1,]}"#,
        r#"{"event":"a","data":01}"#,
        r#"{"event":"\ud800"}"#,
        r#"{"event":"a","data":"x}"#,
        r#"{"hello":1}"#,
        r#"{"hello":{"promise_ms":-1}}"#,
        r#"{"ack":1}"#,
        r#"{"ack":1,"subscribed":true,"unsubscribed":true}"#,
        r#"{"ack":1,"subscribed":false}"#,
        r#"{"lagged":1}"#,
        r#"{"credit":1}"#,
        r#"{"reply":1,"error":"forbidden"}"#,
        r#"{"ack":1,"error":{"code":"failed"}}"#,
        r#"{"close":{"reason":"bored"}}"#,
        r#"{"refused":{}}"#,
        r#"{"welcome":{"connection":"12"}}"#,
        r#"{"event":"a","data":1,"x":[}"#,
    ] {
        assert!(is_refused(text.as_bytes()), "{text}");
    }
    for bytes in [
        &b"{\"event\":\"\xff\"}"[..],
        b"{\"event\":\"a\",\"x\":\"\xff\"}",
        b"\xef\xbb\xbf{\"ping\":1}",
        b"\x11\x07",
    ] {
        assert!(is_refused(bytes), "{bytes:?}");
    }
    for nothing in ["", " ", "\r\n\t"] {
        read(nothing.as_bytes(), Role::Client, |read| {
            assert_eq!(read, Err(DecodeError::Empty))
        });
    }
}

#[test]
fn a_message_nests_as_deep_as_a_value_in_it_may_and_no_deeper() {
    let nest = |levels| "[".repeat(levels) + &"]".repeat(levels);
    for (before, after) in [
        (r#"{"event":"a","data":"#, "}"),
        (r#"{"ping":1,"unknown":"#, "}"),
    ] {
        let message = |levels| std::format!("{before}{}{after}", nest(levels));
        assert!(!is_refused(message(NESTING_MAX).as_bytes()));
        assert!(is_refused(message(NESTING_MAX + 1).as_bytes()));
        assert!(
            is_refused(message(100_000).as_bytes()),
            "the stack survives"
        );
        assert!(is_refused(
            std::format!("{before}{}", "[{".repeat(100_000)).as_bytes()
        ));
    }
}

#[test]
fn it_is_known_by_its_first_character() {
    let speaks = |bytes: &[u8]| Json.speaks(&Message::binary(bytes.to_vec()));
    assert!(speaks(b"{\"hello\":{}}"));
    assert!(speaks(b" \r\n\t{"));
    assert!(!speaks(b"{}\x1e"), "others end so");
    assert!(!speaks(b""));
    assert!(!speaks(b"[{}]"));
    assert!(!speaks(&[0x01, b'{']), "a hello in postcard's form");
}

/// The frame as JSON can say it.
fn sayable<T>(frame: Frame<'_>, check: impl FnOnce(Frame<'_>) -> T) -> T {
    let terms = |terms| Terms {
        encodings: ENCODINGS,
        ..terms
    };
    check(match frame {
        Frame::Hello(hello) => Frame::Hello(Hello {
            terms: terms(hello.terms),
            ..hello
        }),
        Frame::Welcome(welcome) => Frame::Welcome(Welcome {
            terms: terms(welcome.terms),
            ..welcome
        }),
        Frame::Publish(publish) => Frame::Publish(Publish {
            payload: known(publish.payload),
            ..publish
        }),
        Frame::Event(event) => Frame::Event(Event {
            payload: known(event.payload),
            ..event
        }),
        Frame::Call(call) => Frame::Call(Call {
            arguments: known(call.arguments),
            ..call
        }),
        Frame::Open(open) => Frame::Open(Open {
            arguments: known(open.arguments),
            ..open
        }),
        Frame::Reply(reply) => Frame::Reply(Reply {
            result: reply.result.map(known),
            ..reply
        }),
        Frame::Item(item) => Frame::Item(Item {
            payload: known(item.payload),
            ..item
        }),
        Frame::Replay(replay) => Frame::Replay(Replay {
            payload: known(replay.payload),
            ..replay
        }),
        other => other,
    })
}

/// The payload as JSON can say it; one drawn at random is a value by chance only.
fn known(payload: Payload<'_>) -> Payload<'_> {
    match core::str::from_utf8(payload.bytes) {
        Ok(_) if payload.encoding == Encoding::Text => payload,
        _ => Payload::bytes(payload.bytes),
    }
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            vec((any::<String>(), inner), 0..6)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn decoding_gives_back_what_was_encoded(entropy in vec(any::<u8>(), 0..300)) {
        with_frame(&entropy, |frame| {
            sayable(frame, |frame| {
                let text = written(&frame);
                prop_assert!(crate::payload::json::nests_within(text.as_bytes(), NESTING_MAX));
                read(text.as_bytes(), speaker(&frame), |read| {
                    prop_assert_eq!(read, Ok(Some(frame)));
                    Ok(())
                })
            })
        })?;
    }

    #[test]
    fn a_value_comes_as_it_left(value in value()) {
        let json = std::format!("{value}");
        let frame = Frame::Item(Item { id: 1, payload: Payload::json(&json) });
        read(written(&frame).as_bytes(), Role::Hub, |read| {
            let expected = match &value {
                serde_json::Value::String(text) => Payload::text(text),
                _ => Payload::json(&json),
            };
            prop_assert_eq!(read, Ok(Some(Frame::Item(Item { id: 1, payload: expected }))));
            Ok(())
        })?;
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..300)) {
        read(&bytes, Role::Client, |_| ());
    }

    #[test]
    fn a_changed_byte_never_panics(which in 0..GOLDEN.len(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut message = GOLDEN[which].0.as_bytes().to_vec();
        let at = at.index(message.len());
        message[at] = to;
        read(&message, Role::Client, |_| ());
        read(&message, Role::Hub, |_| ());
    }
}
