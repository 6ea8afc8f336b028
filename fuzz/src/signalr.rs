//! What a client of SignalR says, and hears of it.

use std::sync::Arc;

use bytes::BytesMut;
use lapwing::ConnectionId;
use lapwing::payload::{messagepack::split_value, translated};
use lapwing::protocol::{Conditions, Conversation, Protocol};
use lapwing::transport::Message;
use lapwing::wire::{
    self, Ack, Denied, Encoding, Encodings, End, Failure, FailureCode, Frame, Item, List, Open,
    Outcome, Payload, Reply, Terms, Welcome,
};
use lapwing_signalr::{Json, MessagePack};

/// Ends each record.
const MARK: u8 = 0x1e;

/// A stream means the same however it is cut, the first byte being the size of the pieces; and each answer is a whole JSON text, or a whole MessagePack value
/// behind its length.
pub fn signalr(data: &[u8]) {
    if let Some((step, stream)) = data.split_first() {
        let whole = play(stream, stream.len());
        assert_eq!(play(stream, usize::from(*step)), whole);
    }
}

/// What a hub makes of a stream in pieces of this size, and what it answers.
fn play(stream: &[u8], step: usize) -> Vec<u8> {
    let protocols: [Arc<dyn Protocol>; 2] = [Arc::new(Json), Arc::new(MessagePack)];
    let mut talk = Json
        .conversation(Conditions::new(u32::MAX, &protocols))
        .expect("it has to remember");
    let (mut log, mut scratch) = (Vec::new(), BytesMut::new());
    for piece in stream.chunks(step.max(1)) {
        talk.receive(Message::binary(piece.to_vec()));
        loop {
            let record = match talk.next_record() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                // Then the connection ends.
                Err(_) => return log,
            };
            scratch.clear();
            match talk.decode(&record, &mut scratch) {
                Ok(None) => {}
                Ok(Some(frame)) => {
                    wire::append(&frame, &mut log);
                    translate(&frame);
                    if let Frame::Open(Open {
                        id, items: Some(_), ..
                    }) = frame
                    {
                        let payload = Payload::text("a\u{1e}\"b");
                        say(&mut *talk, &Frame::Item(Item { id, payload }), &mut log);
                    }
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

/// What goes into another encoding has its size, but for what text needs more.
fn translate(frame: &Frame<'_>) {
    let payload = match frame {
        Frame::Publish(publish) => publish.payload,
        Frame::Call(call) => call.arguments,
        _ => return,
    };
    for wanted in [Encoding::Json, Encoding::MessagePack] {
        if let Some((_, bytes)) = translated(payload, wanted) {
            assert!(bytes.len() <= 32 * payload.bytes.len() + 32, "{payload:?}");
        }
    }
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
        Frame::Open(open) if open.items.is_some() => Frame::End(End {
            id: open.id,
            result: match open.method.len() % 2 {
                0 => Ok(()),
                _ => Err(Failure {
                    code: FailureCode::Failed,
                    message: "\u{1e}",
                }),
            },
        }),
        Frame::Open(open) => Frame::Reply(Reply {
            id: open.id,
            result: Ok(Payload::bytes(&[])),
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
    if talk.protocol() == Some("signalr.messagepack") && &said[..] != b"{}\x1e" {
        assert!(said.is_empty() || is_messagepack(&said), "{said:?}");
    } else if let Some(record) = said.strip_suffix(&[MARK]) {
        assert!(!record.contains(&MARK), "{said:?}");
        let read = serde_json::from_slice::<serde::de::IgnoredAny>(record);
        read.expect("a whole JSON text");
    } else {
        assert!(said.is_empty(), "{said:?}");
    }
    log.extend_from_slice(&said);
}

/// Whether it is one value behind its length, which is in as many bytes as it needs.
fn is_messagepack(said: &[u8]) -> bool {
    let Some(last) = said.iter().position(|byte| byte & 0x80 == 0) else {
        return false;
    };
    let (length, record) = said.split_at(last + 1);
    let digits = length.iter().rev();
    let length = digits.fold(0, |length, digit| length << 7 | usize::from(digit & 0x7f));
    let is_value = split_value(record).is_some_and(|(_, rest)| rest.is_empty());
    record.len() == length && is_value
}
