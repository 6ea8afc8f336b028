//! Several messages that arrived together: [`Messages`].

use bytes::{Buf, Bytes};

use super::{Kind, Message};

/// A length of 4 bytes, big-endian, as in [`Framing::LengthPrefix`](super::Framing::LengthPrefix).
type Length = [u8; 4];

/// Whole messages of one kind that arrived together, in order; none of them is empty.
///
/// They are one piece of memory, so that very many small messages cost no more than their bytes; each that is taken out keeps all of it alive.
///
/// # Examples
///
/// ```
/// use lapwing::transport::{Kind, Message, Messages};
///
/// let mut messages = Messages::new(&b"\0\0\0\x01a\0\0\0\x02bc"[..], Kind::Binary);
/// assert_eq!(messages.next(), Some(Message::binary(&b"a"[..])));
/// assert_eq!(messages.next(), Some(Message::binary(&b"bc"[..])));
/// assert_eq!(messages.next(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages {
    framed: Bytes,
    kind: Kind,
}

impl Default for Messages {
    fn default() -> Self {
        Self::new(Bytes::new(), Kind::Binary)
    }
}

impl Messages {
    /// The messages in `framed`, each behind its length in 4 bytes, big-endian. What is not whole is none; that none is empty the caller
    /// sees to.
    pub fn new(framed: impl Into<Bytes>, kind: Kind) -> Self {
        let framed = framed.into();
        Self { framed, kind }
    }

    /// How they travelled.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The first of them, if there are any.
    pub fn first(&self) -> Option<&[u8]> {
        let (length, rest) = self.framed.split_first_chunk::<{ size_of::<Length>() }>()?;
        rest.get(..u32::from_be_bytes(*length) as usize)
    }

    /// Drops the first of them, if there are any.
    pub(crate) fn drop_first(&mut self) {
        if let Some(first) = self.first() {
            self.framed.advance(size_of::<Length>() + first.len());
            self.rest();
        }
    }

    /// An empty rest would keep all memory.
    fn rest(&mut self) {
        if self.framed.is_empty() {
            self.framed = Bytes::new();
        }
    }
}

impl Iterator for Messages {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let bytes = self.first()?.len();
        self.framed.advance(size_of::<Length>());
        let message = Message {
            bytes: self.framed.split_to(bytes),
            kind: self.kind,
        };
        self.rest();
        Some(message)
    }
}
