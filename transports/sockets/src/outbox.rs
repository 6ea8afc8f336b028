//! What was started and waits to be written: small pieces gathered, large ones as they are.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Up to here a piece is copied behind the others: one long write is cheaper than many places to gather from.
const COPIED_BYTES_MAX: usize = 1_024;

/// The bytes that wait to be written, in order. Holds no memory while there are none.
///
/// # Examples
///
/// ```
/// use lapwing_sockets::Outbox;
///
/// let mut outbox = Outbox::default();
/// outbox.push_headed(&[5], "hello".into());
/// outbox.push_copy(&[&[3], b"you"]);
/// assert_eq!(outbox.unsent(), 10);
///
/// outbox.advance(6);
/// assert!(outbox.pieces().eq([b"\x03you"]));
/// ```
#[derive(Debug, Default)]
pub struct Outbox {
    /// Written first; empty only when nothing waits.
    front: Bytes,
    /// What follows. On its own, because most of the time nothing does.
    behind: Option<Box<Behind>>,
}

impl Outbox {
    /// Queues `bytes`, without a copy unless they are few and others wait.
    pub fn push(&mut self, bytes: Bytes) {
        if self.is_empty() {
            self.front = bytes;
        } else if bytes.len() <= COPIED_BYTES_MAX {
            self.behind().push_copy(&[&bytes]);
        } else {
            self.behind().push(bytes);
        }
    }

    /// Queues a copy of `parts`, one behind the other.
    pub fn push_copy(&mut self, parts: &[&[u8]]) {
        if self.is_empty() {
            self.front = parts.concat().into();
        } else {
            self.behind().push_copy(parts);
        }
    }

    /// Queues `body` with `head` in front: a small body is copied behind its head, a large one stays as it is.
    pub fn push_headed(&mut self, head: &[u8], body: Bytes) {
        if body.len() > COPIED_BYTES_MAX {
            self.push_copy(&[head]);
            self.push(body);
        } else {
            self.push_copy(&[head, &body]);
        }
    }

    fn behind(&mut self) -> &mut Behind {
        self.behind.get_or_insert_default()
    }

    /// How many bytes wait.
    pub fn unsent(&self) -> usize {
        let behind = self.behind.as_ref().map_or(0, |behind| behind.unsent);
        self.front.len() + behind
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.front.is_empty()
    }

    /// The bytes that wait, in the pieces in which they lie; none of them is empty.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let front = (!self.is_empty()).then_some(&self.front[..]);
        let behind = self.behind.iter().flat_map(|behind| behind.pieces());
        front.into_iter().chain(behind)
    }

    /// Drops the first `bytes` bytes: they are written.
    ///
    /// # Panics
    ///
    /// When fewer wait.
    pub fn advance(&mut self, mut bytes: usize) {
        assert!(bytes <= self.unsent(), "only what waits can be written");
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
#[derive(Debug, Default)]
struct Behind {
    pieces: VecDeque<Bytes>,
    /// Small pieces, behind all others.
    gathered: BytesMut,
    /// The bytes of all of them.
    unsent: usize,
}

impl Behind {
    fn push(&mut self, bytes: Bytes) {
        if !self.gathered.is_empty() {
            self.pieces.push_back(self.gathered.split().freeze());
        }
        self.unsent += bytes.len();
        self.pieces.push_back(bytes);
    }

    fn push_copy(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.unsent += part.len();
            self.gathered.extend_from_slice(part);
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let gathered = || {
            let gathered = self.gathered.split().freeze();
            (!gathered.is_empty()).then_some(gathered)
        };
        let next = self.pieces.pop_front().or_else(gathered)?;
        self.unsent -= next.len();
        Some(next)
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
    fn small_bodies_lie_in_one_piece_behind_the_first() {
        let mut outbox = Outbox::default();
        for _ in 0..10 {
            outbox.push_headed(b"4:", Bytes::from_static(b"ping"));
        }
        assert_eq!(outbox.pieces().count(), 2);
        assert_eq!(waiting(&outbox), b"4:ping".repeat(10));
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let large = Bytes::from(vec![1; COPIED_BYTES_MAX + 1]);
        let mut outbox = Outbox::default();
        outbox.push(large.clone());
        outbox.push_headed(b"head", large.clone());
        outbox.push(large.clone());
        let places: Vec<_> = outbox.pieces().map(<[u8]>::as_ptr).collect();
        assert_eq!(places.len(), 4);
        assert!([0, 2, 3].iter().all(|&at| places[at] == large.as_ptr()));
    }

    #[test]
    fn a_small_piece_alone_is_not_copied() {
        let small = Bytes::from(vec![1; 10]);
        let mut outbox = Outbox::default();
        outbox.push(small.clone());
        let place = outbox.pieces().next().map(<[u8]>::as_ptr);
        assert_eq!(place, Some(small.as_ptr()));
    }

    #[test]
    fn nothing_pushed_is_nothing_to_write() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::new());
        outbox.push_copy(&[]);
        outbox.push_headed(&[], Bytes::new());
        assert!(outbox.is_empty());
        assert_eq!(outbox.pieces().count(), 0);
    }

    proptest! {
        #[test]
        fn bytes_leave_in_order_and_nothing_stays(
            pieces in vec((0..3_000_usize, 0..3_usize), 0..20),
            writes in vec(1..5_000_usize, 1..20),
        ) {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            let mut written = Vec::new();
            let mut writes = writes.iter().cycle();
            for (at, (len, way)) in pieces.into_iter().enumerate() {
                let bytes = Bytes::from(vec![at as u8; len]);
                match way {
                    0 => outbox.push(bytes.clone()),
                    1 => outbox.push_copy(&[&bytes[..len / 2], &bytes[len / 2..]]),
                    _ => {
                        expected.extend(b"head");
                        outbox.push_headed(b"head", bytes.clone());
                    }
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
        }
    }

    fn write(outbox: &mut Outbox, written: &mut Vec<u8>, bytes: Option<usize>) {
        let bytes = bytes.unwrap_or_default().min(outbox.unsent());
        assert_eq!(waiting(outbox).len(), outbox.unsent());
        assert!(outbox.pieces().all(|piece| !piece.is_empty()));
        written.extend(&waiting(outbox)[..bytes]);
        outbox.advance(bytes);
    }
}
