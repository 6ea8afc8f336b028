//! What a protocol remembers of one connection.

use alloc::sync::Arc;

use bytes::BytesMut;

use super::Protocol;
use crate::transport::Message;
use crate::wire::{CloseReason, DecodeError, Frame};

/// What a conversation has to keep to.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Conditions<'a> {
    /// The largest record of the peer, in bytes, with all that is around it.
    pub record_bytes_max: u32,
    /// The transport carries text and nothing else.
    pub text_only: bool,
    /// The protocols that the hub speaks.
    pub protocols: &'a [Arc<dyn Protocol>],
}

impl<'a> Conditions<'a> {
    /// Those of a hub that speaks these, over a transport that carries everything.
    pub const fn new(record_bytes_max: u32, protocols: &'a [Arc<dyn Protocol>]) -> Self {
        Self {
            record_bytes_max,
            text_only: false,
            protocols,
        }
    }

    /// Whether the hub speaks the protocol of this [name](Protocol::name).
    pub fn speaks(&self, name: &str) -> bool {
        self.protocols.iter().any(|known| known.name() == name)
    }
}

/// The hub's end of one connection in a protocol that has to remember something of it: names that the peer gave to its calls,
/// the half of a message, what the handshake was about. Made by [`Protocol::conversation`].
///
/// A message of the transport may hold several *records*, or a part of one; each record is a frame at most.
pub trait Conversation: Send {
    /// Takes in a message of the transport, when there are no more whole records.
    ///
    /// # When full
    ///
    /// It holds one half record of up to [`Limits::message_bytes_max`](crate::Limits::message_bytes_max) beside the message.
    fn receive(&mut self, message: Message);

    /// The next whole record that has come in.
    ///
    /// # Errors
    ///
    /// [`CloseReason`]: the connection ends, nothing that follows can be understood.
    fn next_record(&mut self) -> Result<Option<Message>, CloseReason>;

    /// The frame that `record` carries; `None` when it may be skipped.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]: the connection ends, its peer cannot be understood.
    fn decode<'a>(
        &mut self,
        record: &'a Message,
        scratch: &'a mut BytesMut,
    ) -> Result<Option<Frame<'a>>, DecodeError>;

    /// Whether the record that was decoded last counts as received although it carries no frame, or one that is [not data](Frame::is_data): such as what
    /// the peer says again. Records that do not count are few, or the connection ends.
    fn counts(&self) -> bool {
        false
    }

    /// Takes note that the peer has returned by another transport: what it has said half is void, and of all that is counted the frame with the number `next` is
    /// what it hears first, from 1 on over all transports. What was not confirmed is sent again. A [`Frame::Welcome`] follows, to
    /// be written as this protocol begins such a transport.
    fn go_on(&mut self, next: u64) {
        let _ = next;
    }

    /// The [name](Protocol::name) of the protocol that is spoken from now on, if the hello has decided that.
    fn protocol(&self) -> Option<&str>;

    /// Appends the bytes of `frame` for this peer; nothing when the protocol has no words for it. Then it does not count as sent.
    ///
    /// An answer may be asked for twice, when it was larger than the peer had said that it takes: then the second is a failure.
    fn encode(&mut self, frame: &Frame<'_>, into: &mut BytesMut);

    /// Takes the program's own words for a [`Close`](Frame::Close) of the reason [`Kicked`](CloseReason::Kicked), which may be encoded later; `None`: there are none any more.
    ///
    /// Protocols without a place for them do nothing, as this does unless it is written otherwise.
    fn part(&mut self, words: Option<&str>) {
        let _ = words;
    }
}
