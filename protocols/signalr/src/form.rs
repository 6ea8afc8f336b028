//! The two forms of the hub protocol: [`Form`].

use std::borrow::Cow;

use bytes::BytesMut;
use lapwing::payload::Decode;
use lapwing::protocol::Protocol;
use lapwing::wire::{Encoding, Frame, Payload};

use crate::incoming::{Incoming, Value};
use crate::{json, messagepack};

/// How messages are written once the handshake is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    MessagePack,
}

impl Form {
    /// The name of its protocol.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => json::NAME,
            Self::MessagePack => messagepack::NAME,
        }
    }

    pub(crate) fn parse(self, record: &[u8]) -> Option<Incoming<'_>> {
        match self {
            Self::Json => json::parse(record),
            Self::MessagePack => messagepack::parse(record),
        }
    }

    /// The arguments of a call as they came.
    pub(crate) fn arguments(self, bytes: &[u8]) -> Payload<'_> {
        let encoding = match self {
            Self::Json => Encoding::JsonArguments,
            Self::MessagePack => Encoding::MessagePackArguments,
        };
        Payload { encoding, bytes }
    }

    /// The only argument, a text.
    pub(crate) fn text(self, arguments: &[u8]) -> Option<String> {
        let (text,) = Decode::decode(self.arguments(arguments)).ok()?;
        Some(text)
    }

    /// A topic, and a value for it.
    pub(crate) fn publication(self, arguments: &[u8]) -> Option<(Cow<'_, str>, Value<'_>)> {
        match self {
            Self::Json => json::publication(arguments),
            Self::MessagePack => messagepack::publication(arguments),
        }
    }

    pub(crate) fn append_question(
        self,
        id: &str,
        target: &str,
        arguments: Payload<'_>,
        into: &mut BytesMut,
    ) {
        match self {
            Self::Json => json::append_question(id, target, arguments, into),
            Self::MessagePack => {
                messagepack::append_invocation(Some(id), target, arguments, into);
            }
        }
    }

    pub(crate) fn append_item(self, id: &str, item: Payload<'_>, into: &mut BytesMut) {
        match self {
            Self::Json => json::append_item(id, item, into),
            Self::MessagePack => messagepack::append_item(id, item, into),
        }
    }

    pub(crate) fn append_completion(
        self,
        id: &str,
        result: Result<Payload<'_>, &str>,
        into: &mut BytesMut,
    ) {
        match self {
            Self::Json => json::append_completion(id, result, into),
            Self::MessagePack => messagepack::append_completion(id, result, into),
        }
    }

    pub(crate) fn append_ping(self, into: &mut BytesMut) {
        match self {
            Self::Json => json::append_ping(into),
            Self::MessagePack => messagepack::append_ping(into),
        }
    }

    /// What has come of the other side's messages: the number of the newest.
    pub(crate) fn append_ack(self, number: u64, into: &mut BytesMut) {
        self.append_number(8, number, into);
    }

    /// The number of the message that follows.
    pub(crate) fn append_sequence(self, number: u64, into: &mut BytesMut) {
        self.append_number(9, number, into);
    }

    fn append_number(self, kind: u8, number: u64, into: &mut BytesMut) {
        match self {
            Self::Json => json::append_number(kind, number, into),
            Self::MessagePack => messagepack::append_number(kind, number, into),
        }
    }

    pub(crate) fn append_close(self, error: Option<&str>, returns: bool, into: &mut BytesMut) {
        match self {
            Self::Json => json::append_close(error, returns, into),
            Self::MessagePack => messagepack::append_close(error, returns, into),
        }
    }

    /// What is the same for everybody.
    pub(crate) fn append_shared(self, frame: &Frame<'_>, into: &mut BytesMut) {
        match self {
            Self::Json => json::Json.encode(frame, into),
            Self::MessagePack => messagepack::MessagePack.encode(frame, into),
        }
    }
}
