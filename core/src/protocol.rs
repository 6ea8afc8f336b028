//! From messages to frames and back: the contract of a protocol, and the native ones.

mod conversation;
#[cfg(feature = "json")]
mod json;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::BytesMut;

pub use self::conversation::{Conditions, Conversation};
#[cfg(feature = "json")]
pub use self::json::Json;
use crate::session::Role;
use crate::transport::{Kind, Message};
use crate::wire::{self, DecodeError, Encoding, Event, Frame, Name, Payload, Publish};

/// Turns messages into frames and frames into messages; one connection speaks one protocol.
///
/// A protocol holds no state of a connection, so one value serves all of them, and what it writes for one recipient
/// is right for every other. What it has to remember of one connection is in a [`Conversation`] of its own.
pub trait Protocol: Send + Sync + 'static {
    /// Its name, as in a WebSocket sub-protocol: `lapwing.postcard`.
    fn name(&self) -> &'static str;

    /// The kind of message that carries its frames.
    fn kind(&self) -> Kind;

    /// The encoding in which it wants a typed value.
    fn encoding(&self) -> Encoding;

    /// The encoding in which it wants what events and calls carry, where that may be several values: [`encoding`](Self::encoding) otherwise.
    fn arguments(&self) -> Encoding {
        self.encoding()
    }

    /// Whether a method is found whatever the case of its ASCII letters.
    fn ignores_case(&self) -> bool {
        false
    }

    /// Whether its peers send no more items of a stream than there is credit for. Who has not heard of credit is not read while too much waits.
    fn keeps_to_credit(&self) -> bool {
        true
    }

    /// What the hub's end of one connection remembers, for protocols that have to. Then that reads what the peer says, and writes what is for this peer alone;
    /// events are still written by [`encode`](Self::encode), once for all.
    fn conversation(&self, conditions: Conditions<'_>) -> Option<Box<dyn Conversation>> {
        let _ = conditions;
        None
    }

    /// Whether `first`, the first message of a connection, is of this protocol: for connections that have not agreed on one
    /// before.
    fn speaks(&self, first: &Message) -> bool;

    /// Whether a peer that came by an [`Upgrade`](crate::transport::Upgrade) need not say hello.
    fn implies_hello(&self) -> bool {
        false
    }

    /// The frame that `message` carries; `None` when it may be skipped.
    ///
    /// It was said by the side `from`: the same words may mean another thing when the other side says them. `scratch` is memory for what cannot be borrowed from the message as it is.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]: the connection ends, its peer cannot be understood. A protocol that leaves reading to its [conversations](Self::conversation) reads nothing here.
    fn decode<'a>(
        &self,
        message: &'a Message,
        from: Role,
        scratch: &'a mut BytesMut,
    ) -> Result<Option<Frame<'a>>, DecodeError> {
        let _ = (message, from, scratch);
        Err(DecodeError::NoFrame)
    }

    /// Appends the bytes of `frame`, without any framing of a transport.
    fn encode(&self, frame: &Frame<'_>, into: &mut BytesMut);

    /// What every event on `topic` without an offset begins with, if nothing follows but the payload's length, in groups of seven bits with the
    /// lowest first, and its bytes. Then many events are written faster; most protocols have no such beginning.
    fn event_head(&self, topic: &str, encoding: Encoding) -> Option<Vec<u8>> {
        let _ = (topic, encoding);
        None
    }

    /// What every message begins with that publishes under this name and asks for no answer, if nothing follows but the payload as behind an
    /// [event's](Self::event_head): no other message may begin so. Then many of them are read faster, without [`decode`](Self::decode).
    /// A number for a topic stands for what it meant when this was asked.
    fn publish_head(&self, name: Name<'_>, encoding: Encoding) -> Option<Vec<u8>> {
        let _ = (name, encoding);
        None
    }
}

/// The protocols that every hub speaks.
pub(crate) fn native() -> Vec<Arc<dyn Protocol>> {
    alloc::vec![
        Arc::new(Postcard),
        #[cfg(feature = "json")]
        Arc::new(Json),
    ]
}

/// The native protocol: [postcard](crate::wire) frames in binary messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Postcard;

impl Protocol for Postcard {
    fn name(&self) -> &'static str {
        "lapwing.postcard"
    }

    fn kind(&self) -> Kind {
        Kind::Binary
    }

    fn encoding(&self) -> Encoding {
        Encoding::Postcard
    }

    fn speaks(&self, first: &Message) -> bool {
        wire::is_hello(&first.bytes)
    }

    fn decode<'a>(
        &self,
        message: &'a Message,
        _: Role,
        _: &'a mut BytesMut,
    ) -> Result<Option<Frame<'a>>, DecodeError> {
        wire::decode(&message.bytes)
    }

    fn encode(&self, frame: &Frame<'_>, into: &mut BytesMut) {
        wire::append_to(frame, into);
    }

    fn event_head(&self, topic: &str, encoding: Encoding) -> Option<Vec<u8>> {
        let payload = Payload {
            encoding,
            bytes: &[],
        };
        Some(head(&Frame::Event(Event {
            topic,
            direct: false,
            offset: None,
            payload,
        })))
    }

    fn publish_head(&self, name: Name<'_>, encoding: Encoding) -> Option<Vec<u8>> {
        let payload = Payload {
            encoding,
            bytes: &[],
        };
        Some(head(&Frame::Publish(Publish {
            receipt: 0,
            name,
            payload,
        })))
    }
}

/// What comes before the payload's length in a frame whose payload is empty and last.
fn head(frame: &Frame<'_>) -> Vec<u8> {
    let mut head = Vec::new();
    wire::append(frame, &mut head);
    // The length of nothing.
    head.pop();
    head
}
