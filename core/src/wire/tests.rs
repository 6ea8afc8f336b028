use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::draw::with_frame;
use super::*;
use crate::id::ConnectionId;
use crate::policy::Policy;

/// The bytes of every frame, and of every variant inside of one. They change only with the version.
macro_rules! golden {
    ($($hex:literal $kind:ident $body:tt)*) => {
        &[$(($hex, Frame::$kind($kind $body))),*]
    };
}

const ID: ConnectionId = ConnectionId::from_bytes(*b"0123456789abcdef");

const TERMS: Terms = Terms {
    encodings: Encodings::NONE
        .with(Encoding::Text)
        .with(Encoding::Postcard),
    promise_ms: 25_000,
    message_bytes_max: 65_536,
    subscriptions_max: 64,
};

const POSITIONS: &[Position] = &[
    Position {
        subscription: 0,
        accounted: 7,
    },
    Position {
        subscription: 200,
        accounted: 300,
    },
];

const VERDICTS: &[Verdict] = &[
    Verdict::Resumed,
    Verdict::Replayed { from: 5, to: 300 },
    Verdict::Gap { missed: Some(9) },
    Verdict::Gap { missed: None },
    Verdict::Denied(Denied::Forbidden),
];

const HI: Payload<'_> = Payload::text("hi");

#[rustfmt::skip]
const GOLDEN: &[(&str, Frame<'_>)] = golden! {
    // oldest, newest; encodings, promise, largest message, subscriptions; resumable; token; resume; positions
    "01 01 01 11a8c30180800440 00 00 00 00"
        Hello { oldest: 1, newest: 1, terms: TERMS, resumable: false, token: None, resume: None, positions: List::new(&[]) }
    "01 01 ac02 11a8c30180800440 01 01036b6579 01303132333435363738396162636465661f 02 0007 c801ac02"
        Hello { oldest: 1, newest: 300, terms: TERMS, resumable: true, token: Some(b"key"), resume: Some((*b"0123456789abcdef", 31)), positions: List::new(POSITIONS) }

    // version, connection, terms, resume token, continued, verdicts
    "02 01 30313233343536373839616263646566 11a8c30180800440 00 00 00"
        Welcome { version: 1, connection: ID, terms: TERMS, resume_token: None, continued: None, verdicts: List::new(&[]) }
    "02 01 30313233343536373839616263646566 11a8c30180800440 0166656463626139383736353433323130 0101ac02 05 00 0105ac02 020109 0200 0300"
        Welcome { version: 1, connection: ID, terms: TERMS, resume_token: Some(*b"fedcba9876543210"), continued: Some(Continued { whole: true, received: 300 }), verdicts: List::new(VERDICTS) }

    // reason, retry after, message
    "03 000103 00 00"       Refused { reason: Refusal::Version { oldest: 1, newest: 3 }, retry_after_ms: None, message: "" }
    "03 01 00 026e6f"       Refused { reason: Refusal::Unauthorized, retry_after_ms: None, message: "no" }
    "03 02 01e807 00"       Refused { reason: Refusal::Full, retry_after_ms: Some(1_000), message: "" }
    "03 03 0100 00"         Refused { reason: Refusal::Shutdown, retry_after_ms: Some(0), message: "" }
    "03 04 00 00"           Refused { reason: Refusal::Malformed, retry_after_ms: None, message: "" }
    "03 05 00 00"           Refused { reason: Refusal::Late, retry_after_ms: None, message: "" }
    "03 06c0cf24 00 00"     Refused { reason: Refusal::Promise { max_ms: 600_000 }, retry_after_ms: None, message: "" }
    "03 07ac0264 00 00"     Refused { reason: Refusal::MessageTooLarge { size: 300, max: 100 }, retry_after_ms: None, message: "" }
    "03 08 00 00"           Refused { reason: Refusal::Count, retry_after_ms: None, message: "" }

    // receipt, first, policy, start, filters
    "04 01 02 00 00 00"         Subscribe { receipt: 1, first: 2, policy: None, start: Start::Now, filters: List::new(&[]) }
    "04 01 02 0100 00 010161"   Subscribe { receipt: 1, first: 2, policy: Some(Policy::Disconnect), start: Start::Now, filters: List::new(&["a"]) }
    "04 01 02 0101 01 0201610462 2f2a2a" Subscribe { receipt: 1, first: 2, policy: Some(Policy::DropOldest), start: Start::Retained, filters: List::new(&["a", "b/**"]) }
    "04 01 02 0102 0205ac02 00" Subscribe { receipt: 1, first: 2, policy: Some(Policy::DropNewest), start: Start::Offset { epoch: 5, offset: 300 }, filters: List::new(&[]) }
    "04 01 02 0103 00 00"       Subscribe { receipt: 1, first: 2, policy: Some(Policy::KeepLatest), start: Start::Now, filters: List::new(&[]) }

    "04 01 02 00 03 00"         Subscribe { receipt: 1, first: 2, policy: None, start: Start::Beginning, filters: List::new(&[]) }

    // receipt, first, count
    "05 01 02 ffffffff0f"   Unsubscribe { receipt: 1, first: 2, count: u32::MAX }

    // receipt, name, payload
    "06 00 000161 00026869"         Publish { receipt: 0, name: Name::Topic("a"), payload: HI }
    "06 09 01ac020161 00026869"     Publish { receipt: 9, name: Name::Declare(300, "a"), payload: HI }
    "06 09 02ac02 00026869"         Publish { receipt: 9, name: Name::Alias(300), payload: HI }
    "06 00 000161 0103 00ff80"      Publish { receipt: 0, name: Name::Topic("a"), payload: Payload::bytes(&[0, 0xff, 0x80]) }
    "06 00 000161 02027b7d"         Publish { receipt: 0, name: Name::Topic("a"), payload: Payload { encoding: Encoding::Json, bytes: b"{}" } }
    "06 00 000161 030180"           Publish { receipt: 0, name: Name::Topic("a"), payload: Payload { encoding: Encoding::MessagePack, bytes: &[0x80] } }
    "06 00 000161 0400"             Publish { receipt: 0, name: Name::Topic("a"), payload: Payload { encoding: Encoding::Postcard, bytes: &[] } }

    // receipt, outcome
    "07 01 00"              Ack { receipt: 1, outcome: Outcome::Subscribed }
    "07 01 01"              Ack { receipt: 1, outcome: Outcome::Unsubscribed }
    "07 01 02ac0201"        Ack { receipt: 1, outcome: Outcome::Published { queued: 300, dropped: 1 } }
    "07 01 0300"            Ack { receipt: 1, outcome: Outcome::Denied(Denied::Forbidden) }
    "07 01 0301"            Ack { receipt: 1, outcome: Outcome::Denied(Denied::Topic) }
    "07 01 0302ac0264"      Ack { receipt: 1, outcome: Outcome::Denied(Denied::TooLarge { size: 300, max: 100 }) }
    "07 01 03038008"        Ack { receipt: 1, outcome: Outcome::Denied(Denied::TooMany { max: 1_024 }) }
    "07 01 0304"            Ack { receipt: 1, outcome: Outcome::Denied(Denied::NumberTaken) }
    "07 01 0305"            Ack { receipt: 1, outcome: Outcome::Denied(Denied::NoHistory) }
    "07 01 0306"            Ack { receipt: 1, outcome: Outcome::Denied(Denied::Alias) }
    "07 01 0307"            Ack { receipt: 1, outcome: Outcome::Denied(Denied::Payload) }
    "07 01 0308"            Ack { receipt: 1, outcome: Outcome::Denied(Denied::Offset) }
    "07 01 04ac02"          Ack { receipt: 1, outcome: Outcome::Numbered { first: 300 } }
    "07 01 05ac02 05 09 00" Ack { receipt: 1, outcome: Outcome::Positioned { first: 300, epoch: 5, offset: 9, verdict: Verdict::Resumed } }

    // topic, direct, offset, payload
    "08 03612f62 00 00 00026869"                    Event { topic: "a/b", direct: false, offset: None, payload: HI }
    "08 0161 01 010807060504030201 00026869"        Event { topic: "a", direct: true, offset: Some(0x0102_0304_0506_0708u64.to_le_bytes()), payload: HI }

    // subscription, missed
    "09 02 ffffffffffffffffff01"    Lagged { subscription: 2, missed: u64::MAX }

    // id, method, deadline, arguments
    "0a 01 03616464 00 00026869"    Call { id: 1, method: "add", deadline_ms: None, arguments: HI }
    "0a 01 00 018827 00026869"      Call { id: 1, method: "", deadline_ms: Some(5_000), arguments: HI }

    // id, result
    "0b 01 00 00026869"     Reply { id: 1, result: Ok(HI) }
    "0b 01 01 00 026e6f"    Reply { id: 1, result: Err(Failure { code: FailureCode::Failed, message: "no" }) }
    "0b 01 01 01 00"        Reply { id: 1, result: Err(Failure { code: FailureCode::UnknownMethod, message: "" }) }
    "0b 01 01 02 00"        Reply { id: 1, result: Err(Failure { code: FailureCode::Arguments, message: "" }) }
    "0b 01 01 03 00"        Reply { id: 1, result: Err(Failure { code: FailureCode::Forbidden, message: "" }) }
    "0b 01 01 04 00"        Reply { id: 1, result: Err(Failure { code: FailureCode::Busy, message: "" }) }
    "0b 01 01 05 00"        Reply { id: 1, result: Err(Failure { code: FailureCode::TimedOut, message: "" }) }
    "0b 01 01 06 00"        Reply { id: 1, result: Err(Failure { code: FailureCode::Cancelled, message: "" }) }
    "0b 01 01 07 00"        Reply { id: 1, result: Err(Failure { code: FailureCode::Panicked, message: "" }) }
    "0b 01 01 08 00"        Reply { id: 1, result: Err(Failure { code: FailureCode::Shutdown, message: "" }) }
    "0b 01 01 09 00"        Reply { id: 1, result: Err(Failure { code: FailureCode::Streams, message: "" }) }
    "0b 01 01 0a 00"        Reply { id: 1, result: Err(Failure { code: FailureCode::NoStream, message: "" }) }

    "0c 01 00026869"        Item { id: 1, payload: HI }
    "0d 01 10"              Credit { id: 1, items: 16 }
    "0e 01"                 Cancel { id: 1 }
    "0f 01 00"              End { id: 1, result: Ok(()) }
    "0f 01 01 06 026e6f"    End { id: 1, result: Err(Failure { code: FailureCode::Cancelled, message: "no" }) }
    "10 40"                 Received { count: 64 }
    "11 07"                 Ping { nonce: 7 }
    "12 07"                 Pong { nonce: 7 }

    // reason, return
    "13 00 00"              Close { reason: CloseReason::Done, verdict: Return::Now }
    "13 01 01d00f"          Close { reason: CloseReason::Shutdown, verdict: Return::After { ms: 2_000 } }
    "13 02 02"              Close { reason: CloseReason::Kicked, verdict: Return::Never }
    "13 03ac0264 00"        Close { reason: CloseReason::MessageTooLarge { size: 300, max: 100 }, verdict: Return::Now }
    "13 04 00"              Close { reason: CloseReason::TooSlow, verdict: Return::Now }
    "13 05 00"              Close { reason: CloseReason::Stalled, verdict: Return::Now }
    "13 06 00"              Close { reason: CloseReason::Silent, verdict: Return::Now }
    "13 07 00"              Close { reason: CloseReason::Flood, verdict: Return::Now }
    "13 08 00"              Close { reason: CloseReason::Malformed, verdict: Return::Now }
    "13 09 00"              Close { reason: CloseReason::Unexpected, verdict: Return::Now }
    "13 0a 00"              Close { reason: CloseReason::Count, verdict: Return::Now }

    // subscription, offset, topic, payload
    "14 02 ac02 0161 00026869"  Replay { subscription: 2, offset: 300, topic: "a", payload: HI }
    "15 02 ac02"                Live { subscription: 2, offset: 300 }

    // id, method, deadline_ms, arguments, items, streams
    "16 01 016d 00 00026869 0110 00"    Open { id: 1, method: "m", deadline_ms: None, arguments: HI, items: Some(16), streams: 0 }
    "16 01 016d 0107 00026869 00 02"    Open { id: 1, method: "m", deadline_ms: Some(7), arguments: HI, items: None, streams: 2 }
};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|char| char.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn golden() -> impl Iterator<Item = (Vec<u8>, Frame<'static>)> {
    GOLDEN.iter().map(|(hex, frame)| (bytes(hex), *frame))
}

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let length = encode(frame, &mut buffer).expect("room for a small frame");
    buffer[..length].to_vec()
}

#[test]
fn every_frame_has_its_golden_bytes() {
    for (golden, frame) in golden() {
        assert_eq!(encoded(&frame), golden, "{frame:?}");
        assert_eq!(decode(&golden), Ok(Some(frame)));
    }
    let mut kinds: Vec<u8> = golden().map(|(bytes, _)| bytes[0]).collect();
    kinds.dedup();
    assert_eq!(
        kinds,
        (0x01..=0x16).collect::<Vec<_>>(),
        "one kind is missing"
    );
}

#[test]
fn data_frames_are_those_of_the_data_lane() {
    let data: Vec<u8> = golden()
        .filter(|(_, frame)| frame.is_data())
        .map(|(bytes, _)| bytes[0])
        .collect();
    for kind in 0x01..=0x16 {
        let exchange = (0x04..=0x0f).contains(&kind) && kind != 0x0d && kind != 0x0e;
        let expected = exchange || kind >= 0x14;
        assert_eq!(data.contains(&kind), expected, "{kind:#04x}");
    }
}

#[test]
fn trailing_bytes_are_fields_of_a_later_version() {
    for (mut bytes, frame) in golden() {
        bytes.extend([0xff; 9]);
        assert_eq!(decode(&bytes), Ok(Some(frame)));
    }
}

#[test]
fn a_message_cut_short_is_malformed() {
    for (bytes, frame) in golden() {
        for length in 1..bytes.len() {
            let cut = decode(&bytes[..length]);
            assert_eq!(
                cut,
                Err(DecodeError::Body(bytes[0])),
                "{length} bytes of {frame:?}"
            );
        }
    }
}

#[test]
fn an_empty_message_is_no_frame() {
    assert_eq!(decode(&[]), Err(DecodeError::Empty));
}

#[test]
fn an_unknown_kind_is_skipped_when_its_top_bit_is_set() {
    for kind in core::iter::once(0x00).chain(0x17..0x80) {
        assert_eq!(decode(&[kind, 1, 2]), Err(DecodeError::Kind(kind)));
    }
    for kind in 0x80..=0xff {
        assert_eq!(decode(&[kind, 1, 2]), Ok(None));
    }
}

#[test]
fn an_announced_count_costs_nothing() {
    // Would take hours if the count alone made anybody work.
    for head in ["01 01 01 11a8c30180800440 00 00 00", "04 01 02 00 00"] {
        let mut message = bytes(head);
        message.extend([0xff, 0xff, 0xff, 0xff, 0x0f, 0x01, b'a', 0x00]);
        assert_eq!(decode(&message), Err(DecodeError::Body(message[0])));
    }
}

#[test]
fn an_announced_length_costs_nothing() {
    let message = bytes("06 00 000161 01 ffffffffffffffff7f 00");
    assert_eq!(decode(&message), Err(DecodeError::Body(0x06)));
}

#[test]
fn a_text_is_utf_8() {
    assert_eq!(
        decode(&bytes("06 00 0001ff 00 00")),
        Err(DecodeError::Body(0x06))
    );
}

#[test]
fn a_frame_is_written_where_it_fits_exactly() {
    for (golden, frame) in golden() {
        let mut buffer = std::vec![0; golden.len()];
        assert_eq!(encode(&frame, &mut buffer), Ok(golden.len()));
        assert_eq!(buffer, golden);
        buffer.pop();
        assert_eq!(encode(&frame, &mut buffer), Err(NoRoom), "{frame:?}");
    }
}

#[cfg(feature = "alloc")]
#[test]
fn appending_writes_the_same_bytes() {
    for (golden, frame) in golden() {
        let mut buffer = std::vec![0xaa];
        append(&frame, &mut buffer);
        assert_eq!(buffer[1..], golden, "{frame:?}");
    }
}

#[test]
fn a_list_tells_its_items_and_their_number() {
    let message = bytes("04 01 02 00 00 0201610462 2f2a2a");
    let Ok(Some(Frame::Subscribe(subscribe))) = decode(&message) else {
        panic!("a subscribe");
    };
    assert_eq!(subscribe.filters.len(), 2);
    assert!(subscribe.filters.iter().eq(["a", "b/**"]));
    assert!(List::<&str>::new(&[]).is_empty());
}

/// What serde makes of the body of a publish.
fn publish_by_serde(body: &[u8]) -> Option<Publish<'_>> {
    let taken = postcard::take_from_bytes(body).ok();
    taken.map(|(publish, _)| publish)
}

#[test]
fn the_usual_publish_is_read_as_any_other() {
    let bytes = std::vec![7; 20_000];
    for (length, usual) in [
        (0, true),
        (127, true),
        (128, true),
        (16_383, true),
        (16_384, false),
    ] {
        let payload = Payload::bytes(&bytes[..length]);
        let name = Name::Topic("room/7");
        let publish = Publish {
            receipt: 5,
            name,
            payload,
        };
        let mut message = Vec::new();
        append(&Frame::Publish(publish), &mut message);
        let read = Publish::usual(&message[1..]);
        assert_eq!(read, usual.then_some(publish), "{length}");
        assert_eq!(decode(&message), Ok(Some(Frame::Publish(publish))));
        assert_eq!(Publish::usual(&message[1..message.len() - 1]), None);
    }
}

proptest! {
    #[test]
    fn what_is_read_as_a_usual_publish_is_that_publish(
        receipt in 0..200_u8,
        body in vec(prop_oneof![Just(0_u8), 0..8_u8, any::<u8>()], 0..200),
    ) {
        let body = [&[receipt][..], &body].concat();
        if let Some(publish) = Publish::usual(&body) {
            prop_assert_eq!(Some(publish), publish_by_serde(&body));
        }
    }

    #[test]
    fn decoding_gives_back_what_was_encoded(entropy in vec(any::<u8>(), 0..300)) {
        with_frame(&entropy, |frame| {
            let bytes = encoded(&frame);
            prop_assert_eq!(decode(&bytes), Ok(Some(frame)));
            Ok(())
        })?;
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn no_body_of_a_known_kind_panics(kind in 0x01u8..=0x15, body in vec(any::<u8>(), 0..80)) {
        let mut message = std::vec![kind];
        message.extend(body);
        if let Ok(Some(frame)) = decode(&message) {
            // A number may have come in more bytes than it needs; the frame is the same.
            let again = encoded(&frame);
            prop_assert_eq!(decode(&again), Ok(Some(frame)));
        }
    }

    #[test]
    fn a_changed_byte_never_panics(which in 0..GOLDEN.len(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut message = bytes(GOLDEN[which].0);
        let at = at.index(message.len());
        message[at] = to;
        let _ = decode(&message);
    }
}
