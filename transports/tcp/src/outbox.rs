//! What was started and waits to be written: small pieces gathered, large ones as they are.

use core::iter;
use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use lapwing::transport::TransportError;

use crate::frame;

/// Up to here a piece is copied behind the others: one long write is cheaper than many places to gather from.
const COPIED_BYTES_MAX: usize = 1_024;

/// The bytes that wait to be written, in order. Holds no memory while there are none.
#[derive(Default)]
pub(crate) struct Outbox {
    /// Written first; empty only when nothing waits.
    front: Bytes,
    /// What follows. On its own, because most of the time nothing does.
    behind: Option<Box<Behind>>,
    unsent: usize,
}

impl Outbox {
    /// Queues one message, with its length in front.
    ///
    /// # Errors
    ///
    /// When the length does not fit into 4 bytes.
    pub(crate) fn push_message(&mut self, bytes: Bytes) -> Result<(), TransportError> {
        let head = frame::head(bytes.len())?;
        if bytes.len() > COPIED_BYTES_MAX {
            self.push_copy([&head, &[]]);
            self.push_framed(bytes);
        } else {
            self.push_copy([&head, &bytes]);
        }
        Ok(())
    }

    /// Queues bytes as they are.
    pub(crate) fn push_framed(&mut self, bytes: Bytes) {
        if !self.is_empty() && bytes.len() <= COPIED_BYTES_MAX {
            return self.push_copy([&bytes, &[]]);
        }
        self.unsent += bytes.len();
        if self.front.is_empty() {
            self.front = bytes;
        } else {
            self.behind.get_or_insert_default().push(bytes);
        }
    }

    fn push_copy(&mut self, parts: [&[u8]; 2]) {
        self.unsent += parts[0].len() + parts[1].len();
        if self.front.is_empty() {
            self.front = parts.concat().into();
            return;
        }
        let gathered = &mut self.behind.get_or_insert_default().gathered;
        for part in parts {
            gathered.extend_from_slice(part);
        }
    }

    /// How many bytes wait.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unsent == 0
    }

    /// The bytes that wait, in the pieces in which they lie.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let behind = self.behind.iter().flat_map(|behind| behind.pieces());
        iter::once(&self.front[..]).chain(behind)
    }

    /// Drops the first `bytes` bytes: they are written.
    pub(crate) fn advance(&mut self, mut bytes: usize) {
        assert!(bytes <= self.unsent, "only what waits can be written");
        self.unsent -= bytes;
        while bytes > 0 {
            let step = bytes.min(self.front.len());
            self.front.advance(step);
            bytes -= step;
            if self.front.is_empty() {
                self.next_front();
            }
        }
    }

    fn next_front(&mut self) {
        let next = self.behind.as_mut().and_then(|behind| behind.pop());
        if next.is_none() {
            self.behind = None;
        }
        self.front = next.unwrap_or_default();
    }
}

/// What follows the first piece.
#[derive(Default)]
struct Behind {
    pieces: VecDeque<Bytes>,
    /// Small pieces, behind all others.
    gathered: BytesMut,
}

impl Behind {
    fn push(&mut self, bytes: Bytes) {
        if !self.gathered.is_empty() {
            self.pieces.push_back(self.gathered.split().freeze());
        }
        self.pieces.push_back(bytes);
    }

    fn pop(&mut self) -> Option<Bytes> {
        self.pieces.pop_front().or_else(|| {
            let gathered = self.gathered.split().freeze();
            (!gathered.is_empty()).then_some(gathered)
        })
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let gathered = (!self.gathered.is_empty()).then_some(&self.gathered[..]);
        self.pieces.iter().map(|piece| &piece[..]).chain(gathered)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn waiting(outbox: &Outbox) -> Vec<u8> {
        outbox.pieces().flatten().copied().collect()
    }

    #[test]
    fn small_messages_lie_in_one_piece_behind_the_first() {
        let mut outbox = Outbox::default();
        for _ in 0..10 {
            outbox
                .push_message(Bytes::from_static(b"ping"))
                .expect("it is small");
        }
        assert_eq!(outbox.pieces().count(), 2);
        assert_eq!(waiting(&outbox), b"\0\0\0\x04ping".repeat(10));
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let large = Bytes::from(vec![1; COPIED_BYTES_MAX + 1]);
        let mut outbox = Outbox::default();
        outbox.push_framed(large.clone());
        outbox.push_message(large.clone()).expect("it is small");
        outbox.push_framed(large.clone());
        let places: Vec<_> = outbox.pieces().map(<[u8]>::as_ptr).collect();
        assert_eq!(places.len(), 4);
        assert!([0, 2, 3].iter().all(|&at| places[at] == large.as_ptr()));
    }

    #[test]
    fn a_small_piece_alone_is_not_copied() {
        let small = Bytes::from(vec![1; 10]);
        let mut outbox = Outbox::default();
        outbox.push_framed(small.clone());
        let place = outbox.pieces().next().map(<[u8]>::as_ptr);
        assert_eq!(place, Some(small.as_ptr()));
    }

    proptest! {
        #[test]
        fn bytes_leave_in_order_and_nothing_stays(
            pieces in vec((0..3_000_usize, any::<bool>()), 0..20),
            writes in vec(1..5_000_usize, 1..20),
        ) {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            let mut written = Vec::new();
            let mut writes = writes.iter().cycle();
            for (at, (len, framed)) in pieces.into_iter().enumerate() {
                let bytes = Bytes::from(vec![at as u8; len]);
                if framed {
                    outbox.push_framed(bytes.clone());
                } else {
                    expected.extend(frame::head(len)?);
                    outbox.push_message(bytes.clone())?;
                }
                expected.extend(bytes);
                if at % 3 == 0 {
                    write(&mut outbox, &mut written, writes.next().copied());
                }
            }
            while !outbox.is_empty() {
                write(&mut outbox, &mut written, writes.next().copied());
            }
            prop_assert_eq!(written, expected);
            prop_assert!(outbox.behind.is_none());
            prop_assert!(outbox.front.is_empty());
        }
    }

    fn write(outbox: &mut Outbox, written: &mut Vec<u8>, bytes: Option<usize>) {
        let bytes = bytes.unwrap_or_default().min(outbox.unsent());
        assert_eq!(waiting(outbox).len(), outbox.unsent());
        written.extend(&waiting(outbox)[..bytes]);
        outbox.advance(bytes);
    }
}
