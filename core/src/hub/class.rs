//! What connections have in common that get the same bytes: one protocol in one framing.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::lane;
use super::segment::{Budget, Segments};
use crate::limits::Limits;
use crate::link::Protocols;
use crate::protocol::Protocol;
use crate::transport::Framing;
use crate::wire::Frame;

/// The framings in which events are prepared. Transports without one take the messages out of the first.
const FRAMINGS: [Framing; 2] = [Framing::LengthPrefix, Framing::WebSocket];

/// The protocols of a hub, so that a set of classes is one word.
pub(crate) const PROTOCOLS_MAX: usize = 16;

/// A protocol in a framing: events are encoded once for each that is in use.
pub(crate) struct Class {
    /// Its place among the classes of the hub.
    pub(crate) index: u8,
    pub(crate) protocol: Arc<dyn Protocol>,
    pub(crate) framing: Framing,
    pub(crate) segments: Segments,
    /// Of each lane.
    pub(crate) bounds: lane::Bounds,
}

impl Class {
    /// Appends a frame as lanes and segments of this class hold it.
    pub(crate) fn append(&self, frame: &Frame<'_>, into: &mut BytesMut) {
        self.framing.append(self.protocol.kind(), into, |into| {
            self.protocol.encode(frame, into);
        });
    }

    /// Appends what such a frame begins with, up to the payload of so many bytes, for an event whose [head](Protocol::event_head) is known.
    pub(crate) fn begin_event(&self, head: &[u8], payload: usize, into: &mut BytesMut) {
        let (mut length, mut bytes) = ([0; 10], 0);
        let mut rest = payload;
        while rest >= 0x80 {
            length[bytes] = rest as u8 | 0x80;
            rest >>= 7;
            bytes += 1;
        }
        length[bytes] = rest as u8;
        let length = &length[..=bytes];
        let message = head.len() + length.len() + payload;
        self.framing.begin(self.protocol.kind(), message, into);
        into.extend_from_slice(head);
        into.extend_from_slice(length);
    }

    /// A frame as lanes and segments of this class hold it.
    pub(crate) fn framed(&self, frame: &Frame<'_>) -> Bytes {
        let mut bytes = BytesMut::new();
        self.append(frame, &mut bytes);
        bytes.freeze()
    }

    /// A message in the form in which lanes of this class hold it; `None` when `write` writes nothing.
    pub(crate) fn framed_by(&self, write: impl FnOnce(&mut BytesMut)) -> Option<Bytes> {
        let (mut framed, mut silent) = (BytesMut::new(), true);
        self.framing
            .append(self.protocol.kind(), &mut framed, |into| {
                let start = into.len();
                write(into);
                silent = into.len() == start;
            });
        (!silent).then(|| framed.freeze())
    }

    /// The size of a message that has so many bytes framed.
    pub(crate) fn message_bytes(&self, framed: usize) -> usize {
        let head = match (self.framing, framed) {
            (Framing::WebSocket, ..=127) => 2,
            (Framing::WebSocket, 65_540..) => 10,
            _ => 4,
        };
        framed.saturating_sub(head)
    }
}

/// All classes of a hub.
pub(crate) struct Classes(Vec<Arc<Class>>);

impl Classes {
    pub(crate) fn new(protocols: &Protocols, limits: &Limits, budget: &Arc<Budget>) -> Self {
        let mut classes = Vec::new();
        for framing in FRAMINGS {
            for protocol in protocols.iter() {
                classes.push(Arc::new(Class {
                    index: classes.len() as u8,
                    protocol: protocol.clone(),
                    framing,
                    segments: Segments::new(budget.clone()),
                    bounds: lane::Bounds::new(limits),
                }));
            }
        }
        Self(classes)
    }

    /// The class of connections that speak `protocol` over a transport with `framing`.
    pub(crate) fn find(&self, protocol: &Arc<dyn Protocol>, framing: Framing) -> &Arc<Class> {
        let framing = match framing {
            Framing::WebSocket => Framing::WebSocket,
            Framing::None | Framing::LengthPrefix => Framing::LengthPrefix,
        };
        let found = self
            .0
            .iter()
            .find(|class| class.framing == framing && class.protocol.name() == protocol.name());
        found.unwrap_or(&self.0[0])
    }

    /// Those of a set, in order.
    pub(crate) fn of(&self, set: ClassSet) -> impl Iterator<Item = &Arc<Class>> {
        self.0.iter().filter(move |class| set.contains(class.index))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Class>> {
        self.0.iter()
    }

    pub(crate) fn get(&self, index: u8) -> &Arc<Class> {
        &self.0[usize::from(index)]
    }
}

/// Some of the classes of a hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassSet(u32);

impl ClassSet {
    pub(crate) fn with(self, index: u8) -> Self {
        Self(self.0 | 1 << index)
    }

    pub(crate) fn contains(self, index: u8) -> bool {
        self.0 & 1 << index != 0
    }
}

impl FromIterator<u8> for ClassSet {
    fn from_iter<I: IntoIterator<Item = u8>>(indices: I) -> Self {
        indices.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::protocol::native;
    use crate::wire::{Encoding, Event, Payload};

    #[test]
    fn an_event_behind_a_known_head_is_the_same_event() {
        let protocols = Protocols::from(native());
        let classes = Classes::new(
            &protocols,
            &Limits::default(),
            &Arc::new(Budget::new(u64::MAX)),
        );
        for class in classes.iter() {
            let Some(head) = class.protocol.event_head("room/7", Encoding::Text) else {
                continue;
            };
            for length in [
                0, 1, 100, 125, 126, 127, 128, 16_383, 16_384, 65_535, 70_000, 2_097_152,
            ] {
                let payload = vec![b'x'; length];
                let event = Frame::Event(Event {
                    topic: "room/7",
                    direct: false,
                    offset: None,
                    payload: Payload {
                        encoding: Encoding::Text,
                        bytes: &payload,
                    },
                });
                let mut framed = BytesMut::from(&b"before"[..]);
                class.begin_event(&head, length, &mut framed);
                framed.extend_from_slice(&payload);
                assert_eq!(framed[6..], class.framed(&event)[..], "{length}");
            }
        }
    }
}
