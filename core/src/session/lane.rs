//! Frames that wait to leave.

use heapless::Deque;

use crate::wire::{self, Frame, NoRoom};

/// A bounded queue of encoded data frames, first in, first out.
pub trait Lane {
    /// Encoded frames on their way out: borrowed on a chip, shared memory in a hub.
    type Chunk<'a>: AsRef<[u8]>
    where
        Self: 'a;

    /// Whether nothing waits.
    fn is_empty(&self) -> bool;

    /// The bytes to send next, and how many frames are in them.
    fn peek(&mut self) -> Option<(Self::Chunk<'_>, u32)>;

    /// Takes note that the oldest frames were handed to the transport. A lane without a wish to resume frees them.
    fn sent(&mut self, frames: u32);

    /// Frees what it keeps of frames sent, up to this count since it was last rewound: the peer has them.
    fn acknowledged(&mut self, count: u64);

    /// Makes everything wait again that was sent after the first `to` frames, for a new connection on which both sides
    /// count from zero, or from there if the lane is one of a protocol that does; false when it no longer has all of that, or less: then nothing has changed.
    fn rewind(&mut self, to: u64) -> bool;
}

/// A lane without an allocator: `BYTES` of frames, at most `FRAMES` of them.
///
/// # Examples
///
/// ```
/// use lapwing::session::{FixedLane, Lane};
/// use lapwing::wire::{Cancel, Frame, NoRoom};
///
/// let mut lane = FixedLane::<3, 8>::new();
/// lane.push(&Frame::Cancel(Cancel { id: 7 }))?;
/// assert_eq!(lane.push(&Frame::Cancel(Cancel { id: 8 })), Err(NoRoom));
/// assert_eq!(lane.peek(), Some((&[0x0e, 7][..], 1)));
/// lane.sent(1);
/// assert!(lane.is_empty());
/// # Ok::<(), NoRoom>(())
/// ```
#[derive(Debug)]
pub struct FixedLane<const BYTES: usize, const FRAMES: usize> {
    bytes: [u8; BYTES],
    used: usize,
    lengths: Deque<u16, FRAMES>,
}

impl<const BYTES: usize, const FRAMES: usize> FixedLane<BYTES, FRAMES> {
    /// Lengths are kept in two bytes each.
    const FITS: () = assert!(
        BYTES <= u16::MAX as usize,
        "a fixed lane has at most 65,535 bytes"
    );

    /// An empty lane.
    pub const fn new() -> Self {
        const { Self::FITS };
        Self {
            bytes: [0; BYTES],
            used: 0,
            lengths: Deque::new(),
        }
    }

    /// Appends a frame, encoded in place.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when it does not fit; nothing has changed then.
    ///
    /// # When full
    ///
    /// Nothing waits and nothing is dropped: the caller decides.
    pub fn push(&mut self, frame: &Frame<'_>) -> Result<(), NoRoom> {
        if self.lengths.is_full() {
            return Err(NoRoom);
        }
        let length = wire::encode(frame, &mut self.bytes[self.used..])?;
        self.lengths.push_back(length as u16).map_err(|_| NoRoom)?;
        self.used += length;
        Ok(())
    }
}

impl<const BYTES: usize, const FRAMES: usize> Default for FixedLane<BYTES, FRAMES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BYTES: usize, const FRAMES: usize> Lane for FixedLane<BYTES, FRAMES> {
    type Chunk<'a> = &'a [u8];

    fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    fn peek(&mut self) -> Option<(&[u8], u32)> {
        let length = usize::from(*self.lengths.front()?);
        Some((&self.bytes[..length], 1))
    }

    fn sent(&mut self, frames: u32) {
        let freed: usize = (0..frames)
            .map_while(|_| self.lengths.pop_front())
            .map(usize::from)
            .sum();
        self.bytes.copy_within(freed..self.used, 0);
        self.used -= freed;
    }

    fn acknowledged(&mut self, _: u64) {}

    /// Never possible: what was sent is not here any more.
    fn rewind(&mut self, _: u64) -> bool {
        false
    }
}
