//! How a transport marks where a message ends: [`Framing`].

use bytes::{BufMut, BytesMut};

use super::Kind;

/// The bytes of a length prefix, and of what most WebSocket frames have in front.
const USUAL_HEAD: usize = 4;

/// A payload of up to so many bytes has its length in the second byte of a WebSocket frame.
const SHORT_MAX: usize = 125;

/// How a transport marks where a message ends; messages prepared in that form are written as they are.
///
/// # Examples
///
/// ```
/// use bytes::BytesMut;
/// use lapwing::transport::{Framing, Kind};
///
/// let mut framed = BytesMut::new();
/// Framing::WebSocket.append(Kind::Text, &mut framed, |into| into.extend_from_slice(b"hello"));
/// assert_eq!(&framed[..], b"\x81\x05hello");
/// assert_eq!(Framing::WebSocket.head_bytes(&framed), 2);
/// assert_eq!(Framing::WebSocket.framed_bytes(&framed), 7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// Not at all: messages stay apart by themselves, so [`Outgoing::Framed`](super::Outgoing::Framed) is not understood.
    None,
    /// A length of 4 bytes, big-endian, in front.
    LengthPrefix,
    /// Whole frames of a WebSocket server, unmasked:
    /// [RFC 6455, section 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2).
    WebSocket,
}

impl Framing {
    /// Appends the message that `write` appends, framed.
    pub fn append(self, kind: Kind, into: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
        let start = into.len();
        into.put_bytes(0, self.room());
        write(into);
        self.close(kind, start, into);
    }

    /// Appends the head of a message of so many bytes, which follow.
    pub(crate) fn begin(self, kind: Kind, message: usize, into: &mut BytesMut) {
        match self {
            Self::None => {}
            Self::LengthPrefix => into.put_u32(message as u32),
            Self::WebSocket => {
                let (head, bytes) = websocket_head(kind, message);
                into.put_slice(&head[..bytes]);
            }
        }
    }

    /// What is left free for the head of a message whose length is not known yet.
    const fn room(self) -> usize {
        match self {
            Self::None => 0,
            Self::LengthPrefix | Self::WebSocket => USUAL_HEAD,
        }
    }

    /// Writes the head of the message that begins at `start`, behind the room for it.
    fn close(self, kind: Kind, start: usize, into: &mut BytesMut) {
        let message = into.len() - start - self.room();
        match self {
            Self::None => {}
            Self::LengthPrefix => {
                into[start..start + USUAL_HEAD].copy_from_slice(&(message as u32).to_be_bytes());
            }
            Self::WebSocket => {
                let (head, bytes) = websocket_head(kind, message);
                fit(start, bytes, into);
                into[start..start + bytes].copy_from_slice(&head[..bytes]);
            }
        }
    }

    /// How long the head of the first message is.
    pub fn head_bytes(self, framed: &[u8]) -> usize {
        match self {
            Self::None => 0,
            Self::LengthPrefix => USUAL_HEAD,
            Self::WebSocket => match framed.get(1) {
                Some(126) => 4,
                Some(127) => 10,
                _ => 2,
            },
        }
    }

    /// How long the first message is, its head included.
    pub fn framed_bytes(self, framed: &[u8]) -> usize {
        let head = self.head_bytes(framed);
        // Of the bytes of the head, those that hold the length.
        let length = match (self, head) {
            (Self::None, _) => return framed.len(),
            (Self::WebSocket, 2) => framed.get(1..2),
            (Self::WebSocket, _) => framed.get(2..head),
            (Self::LengthPrefix, _) => framed.get(..head),
        };
        let digits = length.unwrap_or_default().iter();
        head + digits.fold(0, |length: usize, byte| length << 8 | usize::from(*byte))
    }
}

/// What stands in front of a whole message of a WebSocket server, and how long it is.
fn websocket_head(kind: Kind, message: usize) -> ([u8; 10], usize) {
    let mut head = [0; 10];
    // The only and so the last fragment.
    head[0] = 0x80
        | match kind {
            Kind::Text => 1,
            Kind::Binary => 2,
        };
    if message <= SHORT_MAX {
        head[1] = message as u8;
        (head, 2)
    } else if let Ok(short) = u16::try_from(message) {
        head[1] = 126;
        head[2..4].copy_from_slice(&short.to_be_bytes());
        (head, 4)
    } else {
        head[1] = 127;
        head[2..].copy_from_slice(&(message as u64).to_be_bytes());
        (head, 10)
    }
}

/// Makes the room in front of a message, which begins at `start`, as long as its head.
fn fit(start: usize, head: usize, into: &mut BytesMut) {
    let (from, to) = (start + USUAL_HEAD, start + head);
    let message = from..into.len();
    let end = to + message.len();
    if to > from {
        into.put_bytes(0, to - from);
    }
    if to != from {
        into.copy_within(message, to);
    }
    into.truncate(end);
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn messages_of_all_lengths_stand_one_behind_the_other() {
        for framing in [Framing::LengthPrefix, Framing::WebSocket] {
            let sizes = [0, 1, 125, 126, 127, 300, 65_535, 65_536, 70_000];
            let mut framed = BytesMut::new();
            for size in sizes {
                let message = vec![size as u8; size];
                framing.append(Kind::Binary, &mut framed, |into| {
                    into.extend_from_slice(&message);
                });
            }
            let mut rest = &framed[..];
            for size in sizes {
                let (head, whole) = (framing.head_bytes(rest), framing.framed_bytes(rest));
                assert_eq!(whole - head, size, "{framing:?}");
                assert!(rest[head..whole].iter().all(|byte| *byte == size as u8));
                rest = &rest[whole..];
            }
            assert!(rest.is_empty(), "{framing:?}");
        }
    }

    #[test]
    fn heads_are_those_of_the_rfc() {
        let head = |size| {
            let mut framed = BytesMut::new();
            Framing::WebSocket.append(Kind::Binary, &mut framed, |into| into.put_bytes(7, size));
            framed[..framed.len() - size].to_vec()
        };
        assert_eq!(head(125), [0x82, 125]);
        assert_eq!(head(256), [0x82, 126, 1, 0]);
        assert_eq!(head(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
