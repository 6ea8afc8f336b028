//! What a client of SignalR says, and hears of it.

use bytes::BytesMut;
use lapwing::ConnectionId;
use lapwing::protocol::{Conversation, Protocol};
use lapwing::transport::Message;
use lapwing::wire::{
    self, Ack, Denied, Encodings, Failure, FailureCode, Frame, List, Outcome, Payload, Reply,
    Terms, Welcome,
};
use lapwing_signalr::Json;

/// Ends each record.
const MARK: u8 = 0x1e;

/// A stream means the same however it is cut, the first byte being the size of the pieces; and each answer is a whole JSON text.
pub fn signalr(data: &[u8]) {
    if let Some((step, stream)) = data.split_first() {
        let whole = play(stream, stream.len());
        assert_eq!(play(stream, usize::from(*step)), whole);
    }
}

/// What a hub makes of a stream in pieces of this size, and what it answers.
fn play(stream: &[u8], step: usize) -> Vec<u8> {
    let mut talk = Json.conversation(u32::MAX).expect("it has to remember");
    let (mut log, mut scratch) = (Vec::new(), BytesMut::new());
    for piece in stream.chunks(step.max(1)) {
        let received = talk.receive(Message::binary(piece.to_vec()));
        received.expect("nothing is too large");
        while let Some(record) = talk.next_record() {
            scratch.clear();
            match talk.decode(&record, &mut scratch) {
                Ok(None) => {}
                Ok(Some(frame)) => {
                    wire::append(&frame, &mut log);
                    say(&mut *talk, &answer(frame), &mut log);
                }
                Err(wire::DecodeError::Empty) => {}
                // Then the connection ends.
                Err(_) => return log,
            }
        }
    }
    log
}

/// What a hub might answer; something that nobody asked for, when there is nothing to be answered.
fn answer(frame: Frame<'_>) -> Frame<'static> {
    let ack = |receipt, outcome| Frame::Ack(Ack { receipt, outcome });
    match frame {
        Frame::Hello(_) => Frame::Welcome(Welcome {
            version: wire::VERSION,
            connection: ConnectionId::from_bytes([1; 16]),
            terms: Terms {
                encodings: Encodings::NONE,
                promise_ms: 1,
                message_bytes_max: 1,
                subscriptions_max: 1,
            },
            resume_token: None,
            continued: None,
            verdicts: List::new(&[]),
        }),
        Frame::Call(call) => Frame::Reply(Reply {
            id: call.id,
            result: match call.method.len() % 3 {
                0 => Ok(Payload::text("a\u{1e}\"b")),
                1 => Ok(Payload::bytes(&[0x1e, 0xff])),
                _ => Err(Failure {
                    code: FailureCode::Failed,
                    message: "\u{1e}",
                }),
            },
        }),
        Frame::Subscribe(subscribe) if subscribe.first % 2 == 0 => {
            ack(subscribe.receipt, Outcome::Denied(Denied::Forbidden))
        }
        Frame::Subscribe(subscribe) => ack(subscribe.receipt, Outcome::Subscribed),
        Frame::Unsubscribe(unsubscribe) => ack(unsubscribe.receipt, Outcome::Unsubscribed),
        Frame::Publish(publish) => ack(publish.receipt, Outcome::Denied(Denied::Payload)),
        _ => ack(0, Outcome::Subscribed),
    }
}

fn say(talk: &mut dyn Conversation, frame: &Frame<'_>, log: &mut Vec<u8>) {
    let mut said = BytesMut::new();
    talk.encode(frame, &mut said);
    if let Some(record) = said.strip_suffix(&[MARK]) {
        assert!(!record.contains(&MARK), "{said:?}");
        let read = serde_json::from_slice::<serde::de::IgnoredAny>(record);
        read.expect("a whole JSON text");
    } else {
        assert!(said.is_empty(), "{said:?}");
    }
    log.extend_from_slice(&said);
}
