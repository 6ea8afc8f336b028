//! The hub protocol as MessagePack: [`MessagePack`], and the messages of a hub in it.

use std::borrow::Cow;

use bytes::BytesMut;
use lapwing::payload::{messagepack::split_value, translated};
use lapwing::protocol::{Conditions, Conversation, Protocol};
use lapwing::transport::{Kind, Message};
use lapwing::wire::{Encoding, Frame, Lagged, Payload};
use rmp::{decode, encode};

use crate::conversation::Talk;
use crate::incoming::{Incoming, Value};
use crate::records::append_binary;

pub(crate) const NAME: &str = "signalr.messagepack";

/// What each kind of completion has behind its id.
const ERROR: u64 = 1;
const VOID: u64 = 2;
const RESULT: u64 = 3;

/// SignalR's hub protocol in its [MessagePack encoding](https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md#messagepack-msgpack-encoding),
/// versions 1 and 2, in binary messages; as [`Json`](crate::Json), with which its handshake begins.
///
/// Texts, bytes and values are what they are; a struct is a map with the names of its fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagePack;

impl Protocol for MessagePack {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Binary
    }

    fn encoding(&self) -> Encoding {
        Encoding::MessagePack
    }

    fn arguments(&self) -> Encoding {
        Encoding::MessagePackArguments
    }

    fn ignores_case(&self) -> bool {
        true
    }

    fn keeps_to_credit(&self) -> bool {
        false
    }

    /// Never: its first message is that of [`Json`](crate::Json), which finds out.
    fn speaks(&self, _: &Message) -> bool {
        false
    }

    fn conversation(&self, conditions: Conditions<'_>) -> Option<Box<dyn Conversation>> {
        Some(Box::new(Talk::new(conditions)))
    }

    fn encode(&self, frame: &Frame<'_>, into: &mut BytesMut) {
        match frame {
            Frame::Event(event) => append_invocation(None, event.topic, event.payload, into),
            Frame::Replay(replay) => append_invocation(None, replay.topic, replay.payload, into),
            Frame::Lagged(lagged) => append_lagged(lagged, into),
            // All others are about one connection.
            _ => {}
        }
    }
}

/// The elements of a message that are still to be read.
struct Elements<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Elements<'a> {
    fn new(record: &'a [u8]) -> Option<Self> {
        let mut rest = record;
        let left = decode::read_array_len(&mut rest).ok()?;
        Some(Self { rest, left })
    }

    /// The next one as it came; `None` when there is none, or it is not whole.
    fn raw(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let (value, rest) = split_value(self.rest)?;
        self.rest = rest;
        Some(value)
    }

    fn number(&mut self) -> Option<u64> {
        decode::read_int(&mut self.raw()?).ok()
    }

    /// A text, or nothing.
    fn text(&mut self) -> Option<Option<&'a str>> {
        match self.raw()? {
            [NIL] => Some(None),
            raw => text(raw).map(Some),
        }
    }
}

const NIL: u8 = 0xc0;

fn text(raw: &[u8]) -> Option<&str> {
    let (text, rest) = decode::read_str_from_slice(raw).ok()?;
    rest.is_empty().then_some(text)
}

/// An array of texts. Nothing is reserved for what it announces.
fn texts(raw: &[u8]) -> Option<Vec<Cow<'_, str>>> {
    let mut elements = Elements::new(raw)?;
    let mut texts = Vec::new();
    while elements.left > 0 {
        texts.push(elements.text()??.into());
    }
    Some(texts)
}

fn is_array(raw: &[u8]) -> bool {
    decode::read_array_len(&mut &*raw).is_ok()
}

/// What a record says; `None` when it is no message, or lacks what it has to have.
pub(crate) fn parse(record: &[u8]) -> Option<Incoming<'_>> {
    let mut elements = Elements::new(record)?;
    let kind = elements.number()?;
    Some(match kind {
        1 | 4 => {
            let (_headers, id) = (elements.raw()?, elements.text()?);
            let target = elements.text()??;
            let arguments = elements.raw().filter(|raw| is_array(raw))?;
            let uploads = match elements.raw() {
                None | Some([NIL]) => Vec::new(),
                Some(ids) => texts(ids)?,
            };
            if kind == 4 && id.is_none() {
                return None;
            }
            Incoming::Invocation {
                id: id.map(Cow::Borrowed),
                target: target.into(),
                arguments,
                streamed: kind == 4,
                uploads,
            }
        }
        2 => {
            let (_headers, id) = (elements.raw()?, elements.text()??);
            Incoming::Item {
                id: id.into(),
                item: value(elements.raw()?),
            }
        }
        3 => {
            let (_headers, id) = (elements.raw()?, elements.text()??);
            Incoming::Completion {
                id: id.into(),
                result: match elements.number()? {
                    ERROR => Err(elements.text()??.into()),
                    VOID => Ok(None),
                    RESULT => Ok(Some(value(elements.raw()?))),
                    _ => return None,
                },
            }
        }
        5 => {
            let (_headers, id) = (elements.raw()?, elements.text()??);
            Incoming::Cancel(id.into())
        }
        7 => Incoming::Close,
        8 => Incoming::Ack(elements.number()?),
        9 => Incoming::Sequence(elements.number()?),
        _ => Incoming::Other,
    })
}

fn value(raw: &[u8]) -> Value<'_> {
    if let Some(text) = text(raw) {
        return Value::Text(text.into());
    }
    let mut rest = raw;
    match decode::read_bin_len(&mut rest) {
        // None at all would be no value.
        Ok(1..) => Value::Other(Payload::bytes(rest)),
        _ => Value::Other(Payload {
            encoding: Encoding::MessagePack,
            bytes: raw,
        }),
    }
}

/// A topic, and a value for it.
pub(crate) fn publication(arguments: &[u8]) -> Option<(Cow<'_, str>, Value<'_>)> {
    let mut elements = Elements::new(arguments)?;
    let topic = elements.text()??;
    let published = elements.raw()?;
    (elements.left == 0).then(|| (topic.into(), value(published)))
}

/// Calls a handler of the client, which gives an answer where it gets an id.
pub(crate) fn append_invocation(
    id: Option<&str>,
    target: &str,
    arguments: Payload<'_>,
    into: &mut BytesMut,
) {
    // An array of six, no headers.
    let mut record = vec![0x96, 1, 0x80];
    match id {
        None => record.push(NIL),
        Some(id) => append_text(id, &mut record),
    }
    append_text(target, &mut record);
    append_arguments(arguments, &mut record);
    // No streams.
    record.push(0x90);
    append_binary(&record, into);
}

fn append_lagged(lagged: &Lagged, into: &mut BytesMut) {
    let mut arguments = vec![0x92];
    for count in [lagged.missed, lagged.subscription.into()] {
        written(encode::write_uint(&mut arguments, count).map(drop));
    }
    let arguments = Payload {
        encoding: Encoding::MessagePackArguments,
        bytes: &arguments,
    };
    append_invocation(None, "lagged", arguments, into);
}

/// One item of a stream that answers a call.
pub(crate) fn append_item(id: &str, item: Payload<'_>, into: &mut BytesMut) {
    let mut record = vec![0x94, 2, 0x80];
    append_text(id, &mut record);
    match is_nothing(item) {
        true => record.push(NIL),
        false => append_value(item, &mut record),
    }
    append_binary(&record, into);
}

/// Answers a call: with a value, nothing, or an error.
pub(crate) fn append_completion(id: &str, result: Result<Payload<'_>, &str>, into: &mut BytesMut) {
    let is_void = result.is_ok_and(is_nothing);
    let mut record = vec![if is_void { 0x94 } else { 0x95 }, 3, 0x80];
    append_text(id, &mut record);
    match result {
        _ if is_void => record.push(VOID as u8),
        Ok(payload) => {
            record.push(RESULT as u8);
            append_value(payload, &mut record);
        }
        Err(error) => {
            record.push(ERROR as u8);
            append_text(error, &mut record);
        }
    }
    append_binary(&record, into);
}

pub(crate) fn append_ping(into: &mut BytesMut) {
    append_binary(&[0x91, 6], into);
}

/// A message that says a number and nothing else.
pub(crate) fn append_number(kind: u8, number: u64, into: &mut BytesMut) {
    let mut record = vec![0x92, kind];
    written(encode::write_uint(&mut record, number).map(drop));
    append_binary(&record, into);
}

pub(crate) fn append_close(error: Option<&str>, returns: bool, into: &mut BytesMut) {
    let mut record = vec![0x93, 7];
    match error {
        None => record.push(NIL),
        Some(error) => append_text(error, &mut record),
    }
    record.push(if returns { 0xc3 } else { 0xc2 });
    append_binary(&record, into);
}

/// No bytes at all are no value.
fn is_nothing(payload: Payload<'_>) -> bool {
    payload.encoding == Encoding::Bytes && payload.bytes.is_empty()
}

fn append_arguments(payload: Payload<'_>, record: &mut Vec<u8>) {
    match payload.encoding {
        Encoding::MessagePackArguments | Encoding::JsonArguments => append_value(payload, record),
        _ if is_nothing(payload) => record.push(0x90),
        _ => {
            record.push(0x91);
            append_value(payload, record);
        }
    }
}

fn append_value(payload: Payload<'_>, record: &mut Vec<u8>) {
    if let Some((_, value)) = translated(payload, Encoding::MessagePack) {
        return record.extend_from_slice(&value);
    }
    let bytes = payload.bytes;
    match (payload.encoding, core::str::from_utf8(bytes)) {
        (Encoding::MessagePack | Encoding::MessagePackArguments, _) => {
            record.extend_from_slice(bytes);
        }
        (Encoding::Text, Ok(text)) => append_text(text, record),
        // JSON that says what MessagePack cannot.
        (Encoding::Json, _) => record.push(NIL),
        (Encoding::JsonArguments, _) => record.push(0x90),
        _ => written(encode::write_bin(record, bytes)),
    }
}

fn append_text(text: &str, record: &mut Vec<u8>) {
    written(encode::write_str(record, text));
}

fn written<T, E: core::fmt::Debug>(written: Result<T, E>) {
    written.expect("a vector takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(append: impl FnOnce(&mut BytesMut)) -> BytesMut {
        let mut into = BytesMut::new();
        append(&mut into);
        into
    }

    #[test]
    fn messages_are_those_of_the_specification() {
        let arguments = Payload {
            encoding: Encoding::MessagePackArguments,
            bytes: &[0x91, 42],
        };
        let question = written(|into| append_invocation(Some("xyz"), "method", arguments, into));
        assert_eq!(
            question,
            &b"\x11\x96\x01\x80\xa3xyz\xa6method\x91\x2a\x90"[..]
        );
        assert_eq!(written(append_ping), &b"\x02\x91\x06"[..]);
        let void = written(|into| append_completion("xyz", Ok(Payload::bytes(&[])), into));
        assert_eq!(void, &b"\x08\x94\x03\x80\xa3xyz\x02"[..]);
        let result = written(|into| append_completion("xyz", Ok(Payload::json("42")), into));
        assert_eq!(result, &b"\x09\x95\x03\x80\xa3xyz\x03\x2a"[..]);
        let error = written(|into| append_completion("xyz", Err("Error"), into));
        assert_eq!(error, &b"\x0e\x95\x03\x80\xa3xyz\x01\xa5Error"[..]);
        assert_eq!(
            written(|into| append_close(Some("xyz"), true, into)),
            &b"\x07\x93\x07\xa3xyz\xc3"[..]
        );
    }

    #[test]
    fn values_are_what_they_are() {
        let event = |payload| {
            let record = written(|into| append_invocation(None, "t", payload, into));
            // Behind length, head, headers, id and target.
            record[7..record.len() - 1].to_vec()
        };
        assert_eq!(event(Payload::text("hi")), b"\x91\xa2hi");
        assert_eq!(event(Payload::bytes(&[0xff])), b"\x91\xc4\x01\xff");
        assert_eq!(event(Payload::bytes(&[])), b"\x90");
        assert_eq!(
            event(Payload::json("[1,{\"a\":null}]")),
            b"\x91\x92\x01\x81\xa1a\xc0"
        );
        let arguments = Payload {
            encoding: Encoding::JsonArguments,
            bytes: b"[1,2]",
        };
        assert_eq!(event(arguments), b"\x92\x01\x02");
    }
}
