//! The hub protocol as JSON: [`Json`], and the messages of a hub in it.

use std::borrow::Cow;
use std::io;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};
use lapwing::payload::translated;
use lapwing::protocol::{Conditions, Conversation, Protocol};
use lapwing::transport::{Kind, Message};
use lapwing::wire::{Encoding, Frame, Lagged, Payload};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::conversation::Talk;
use crate::incoming::{Incoming, Str, Value};
use crate::records::MARK;

pub(crate) const NAME: &str = "signalr.json";

/// SignalR's hub protocol in its [JSON encoding](https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md#json-encoding),
/// versions 1 and 2, in text messages.
///
/// A text is a string, a value itself, and bytes are base64 in a string.
///
/// A client gives up when it has heard nothing for a time, usually 30 s: the hub says something at least every [`Limits::promise`](lapwing::Limits::promise), 25 s if
/// nothing else is said; 15 s is usual with SignalR.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Protocol for Json {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn encoding(&self) -> Encoding {
        Encoding::Json
    }

    fn arguments(&self) -> Encoding {
        Encoding::JsonArguments
    }

    fn ignores_case(&self) -> bool {
        true
    }

    fn keeps_to_credit(&self) -> bool {
        false
    }

    fn speaks(&self, first: &Message) -> bool {
        first.bytes.starts_with(b"{") && first.bytes.contains(&MARK)
    }

    fn conversation(&self, conditions: Conditions<'_>) -> Option<Box<dyn Conversation>> {
        Some(Box::new(Talk::new(conditions)))
    }

    fn encode(&self, frame: &Frame<'_>, into: &mut BytesMut) {
        match frame {
            Frame::Event(event) => append_invocation(event.topic, event.payload, into),
            Frame::Replay(replay) => append_invocation(replay.topic, replay.payload, into),
            Frame::Lagged(lagged) => append_lagged(lagged, into),
            // All others are about one connection.
            _ => {}
        }
    }
}

/// All that a message may have. Unknown members are skipped, whatever they are, without recursion.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    r#type: i64,
    #[serde(borrow)]
    invocation_id: Option<Str<'a>>,
    #[serde(borrow)]
    target: Option<Str<'a>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    stream_ids: Option<Vec<Str<'a>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    item: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<Str<'a>>,
    sequence_id: Option<u64>,
}

/// A value that is there is there, also when it is null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// What a record says; `None` when it is no message, or lacks what it has to have.
pub(crate) fn parse(record: &[u8]) -> Option<Incoming<'_>> {
    let object: Object<'_> = serde_json::from_slice(record).ok()?;
    let id = object.invocation_id.map(|Str(id)| id);
    Some(match object.r#type {
        1 | 4 => {
            let streamed = object.r#type == 4;
            let uploads = object.stream_ids.unwrap_or_default();
            let Str(target) = object.target?;
            let arguments = object.arguments?;
            if !arguments.get().starts_with('[') || streamed && id.is_none() {
                return None;
            }
            Incoming::Invocation {
                id,
                target,
                arguments: arguments.get().as_bytes(),
                streamed,
                uploads: uploads.into_iter().map(|Str(id)| id).collect(),
            }
        }
        2 => Incoming::Item {
            id: id?,
            item: value(object.item?),
        },
        3 => Incoming::Completion {
            id: id?,
            result: match (object.result, object.error) {
                (result, None) => Ok(result.map(value)),
                (None, Some(Str(error))) => Err(error),
                (Some(_), Some(_)) => return None,
            },
        },
        5 => Incoming::Cancel(id?),
        7 => Incoming::Close,
        8 => Incoming::Ack(object.sequence_id?),
        9 => Incoming::Sequence(object.sequence_id?),
        _ => Incoming::Other,
    })
}

fn value(value: &RawValue) -> Value<'_> {
    match serde_json::from_str(value.get()) {
        Ok(Str(text)) => Value::Text(text),
        Err(_) => Value::Other(Payload::json(value.get())),
    }
}

/// A topic, and a value for it.
pub(crate) fn publication(arguments: &[u8]) -> Option<(Cow<'_, str>, Value<'_>)> {
    let (Str(topic), published): (Str<'_>, &RawValue) = serde_json::from_slice(arguments).ok()?;
    Some((topic, value(published)))
}

pub(crate) fn append_ping(into: &mut BytesMut) {
    into.put_slice(b"{\"type\":6}\x1e");
}

/// A message that says a number and nothing else.
pub(crate) fn append_number(kind: u8, number: u64, into: &mut BytesMut) {
    into.put_slice(br#"{"type":"#);
    append_json(&kind, into);
    into.put_slice(br#","sequenceId":"#);
    append_json(&number, into);
    into.put_slice(&[b'}', MARK]);
}

pub(crate) fn append_close(error: Option<&str>, returns: bool, into: &mut BytesMut) {
    into.put_slice(br#"{"type":7"#);
    if let Some(error) = error {
        into.put_slice(br#","error":"#);
        append_json(error, into);
    }
    if returns {
        into.put_slice(br#","allowReconnect":true"#);
    }
    into.put_slice(&[b'}', MARK]);
}

/// Calls a handler of the client that gives no answer.
fn append_invocation(target: &str, arguments: Payload<'_>, into: &mut BytesMut) {
    into.put_slice(br#"{"type":1,"target":"#);
    append_json(target, into);
    append_arguments(arguments, into);
    into.put_slice(&[b'}', MARK]);
}

/// Asks a handler of the client for an answer.
pub(crate) fn append_question(id: &str, target: &str, arguments: Payload<'_>, into: &mut BytesMut) {
    into.put_slice(br#"{"type":1,"invocationId":"#);
    append_json(id, into);
    into.put_slice(br#","target":"#);
    append_json(target, into);
    append_arguments(arguments, into);
    into.put_slice(&[b'}', MARK]);
}

fn append_lagged(lagged: &Lagged, into: &mut BytesMut) {
    let arguments = (lagged.missed, lagged.subscription);
    into.put_slice(br#"{"type":1,"target":"lagged","arguments":"#);
    append_json(&arguments, into);
    into.put_slice(&[b'}', MARK]);
}

/// One item of a stream that answers a call.
pub(crate) fn append_item(id: &str, item: Payload<'_>, into: &mut BytesMut) {
    into.put_slice(br#"{"type":2,"invocationId":"#);
    append_json(id, into);
    into.put_slice(br#","item":"#);
    match is_nothing(item) {
        true => into.put_slice(b"null"),
        false => append_value(item, into),
    }
    into.put_slice(&[b'}', MARK]);
}

/// Answers a call: with a value, nothing, or an error.
pub(crate) fn append_completion(id: &str, result: Result<Payload<'_>, &str>, into: &mut BytesMut) {
    into.put_slice(br#"{"type":3,"invocationId":"#);
    append_json(id, into);
    match result {
        Ok(payload) if is_nothing(payload) => {}
        Ok(payload) => {
            into.put_slice(br#","result":"#);
            append_value(payload, into);
        }
        Err(error) => {
            into.put_slice(br#","error":"#);
            append_json(error, into);
        }
    }
    into.put_slice(&[b'}', MARK]);
}

/// No bytes at all are no value.
fn is_nothing(payload: Payload<'_>) -> bool {
    payload.encoding == Encoding::Bytes && payload.bytes.is_empty()
}

fn append_arguments(payload: Payload<'_>, into: &mut BytesMut) {
    into.put_slice(br#","arguments":"#);
    match payload.encoding {
        Encoding::JsonArguments => into.put_slice(payload.bytes),
        _ if is_nothing(payload) => into.put_slice(b"[]"),
        _ => {
            into.put_u8(b'[');
            append_value(payload, into);
            into.put_u8(b']');
        }
    }
}

fn append_value(payload: Payload<'_>, into: &mut BytesMut) {
    if let Some((_, json)) = translated(payload, Encoding::Json) {
        return into.put_slice(&json);
    }
    let bytes = payload.bytes;
    match (payload.encoding, core::str::from_utf8(bytes)) {
        (Encoding::Json | Encoding::JsonArguments, _) => into.put_slice(bytes),
        (Encoding::Text, Ok(text)) => append_json(text, into),
        _ => append_json(&Base64(bytes), into),
    }
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

pub(crate) fn append_json(value: &(impl Serialize + ?Sized), into: &mut BytesMut) {
    let written: io::Result<()> =
        serde_json::to_writer(into.writer(), value).map_err(io::Error::from);
    written.expect("texts and numbers are JSON, and a growing buffer takes them");
}

#[cfg(test)]
mod tests {
    use lapwing::wire::Event;

    use super::*;

    fn written(payload: Payload<'_>) -> String {
        let mut bytes = BytesMut::new();
        let event = Event {
            topic: "news/\"1\"",
            direct: false,
            offset: None,
            payload,
        };
        Json.encode(&Frame::Event(event), &mut bytes);
        String::from_utf8(bytes.to_vec()).expect("JSON is text")
    }

    #[test]
    fn an_event_is_an_invocation_with_an_array_of_arguments() {
        let invocation = |arguments: &str| {
            format!(r#"{{"type":1,"target":"news/\"1\"","arguments":{arguments}}}"#) + "\u{1e}"
        };
        let arguments = Payload {
            encoding: Encoding::JsonArguments,
            bytes: br#"["ann",7]"#,
        };
        assert_eq!(written(arguments), invocation(r#"["ann",7]"#));
        assert_eq!(written(Payload::json("[1,2]")), invocation("[[1,2]]"));
        assert_eq!(
            written(Payload::text("a\u{1e}b")),
            invocation(r#"["a\u001eb"]"#)
        );
        assert_eq!(
            written(Payload::bytes(&[0xff, 0])),
            invocation(r#"["/wA="]"#)
        );
        assert_eq!(written(Payload::bytes(&[])), invocation("[]"));
    }

    #[test]
    fn a_loss_is_told_in_words() {
        let mut bytes = BytesMut::new();
        let lagged = Lagged {
            subscription: 2,
            missed: 40,
        };
        Json.encode(&Frame::Lagged(lagged), &mut bytes);
        assert_eq!(
            bytes,
            &b"{\"type\":1,\"target\":\"lagged\",\"arguments\":[40,2]}\x1e"[..]
        );
    }
}
