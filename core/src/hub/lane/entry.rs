//! What a lane is made of: pieces of bytes, and whose they are.

use core::ops::{Add, AddAssign, Sub, SubAssign};

use bytes::Bytes;

use crate::hub::class::Class;
use crate::hub::segment::Slice;

/// Whole messages of one owner, or a note that some are missing.
pub(super) struct Entry {
    pub(super) piece: Piece,
    pub(super) frames: u32,
    pub(super) owner: Owner,
}

pub(super) enum Piece {
    Shared(Slice),
    /// Framed as in a segment.
    Own(Bytes),
    /// Here so many events of a subscription are missing.
    Hole(u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Is never dropped: events of subscriptions that would rather be ended, calls, and notes that are written.
    Fixed,
    /// Is never dropped, and its sender waits: `Ack` and `Reply`.
    Answer,
    /// Is never dropped, and its sender waits, who alone: an item of a stream.
    Item,
    /// May make room for others of the same subscription. A note has no topic.
    Droppable { subscription: u32, topic: u64 },
}

/// How much waits, in eight bytes: bytes up to 4 GiB, which no lane comes near.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    bytes: u32,
    frames: u32,
}

impl Load {
    pub(super) fn new(bytes: usize, frames: u32) -> Self {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self { bytes, frames }
    }

    pub(super) fn bytes(self) -> usize {
        self.bytes as usize
    }

    pub(super) fn frames(self) -> usize {
        self.frames as usize
    }
}

impl Entry {
    pub(super) fn load(&self) -> Load {
        Load::new(self.piece.len(), self.frames)
    }

    pub(super) fn is_of(&self, wanted: u32) -> bool {
        matches!(self.owner, Owner::Droppable { subscription, .. } if subscription == wanted)
    }

    pub(super) fn is_hole(&self) -> bool {
        matches!(self.piece, Piece::Hole(_))
    }

    pub(super) fn is_event_of(&self, wanted: u32) -> bool {
        self.is_of(wanted) && !self.is_hole()
    }
}

impl Piece {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Shared(slice) => slice.len(),
            Self::Own(own) => own.len(),
            Self::Hole(_) => 0,
        }
    }

    /// Takes the first message out of it.
    pub(super) fn take_message(&mut self, class: &Class) -> Self {
        match self {
            Self::Shared(slice) => {
                let length = class.framing.framed_bytes(&class.segments.bytes(slice)) as u32;
                let message = slice.part(0, length);
                slice.start += length;
                Self::Shared(message)
            }
            Self::Own(own) => {
                let length = class.framing.framed_bytes(own);
                Self::Own(own.split_to(length))
            }
            Self::Hole(_) => Self::Hole(0),
        }
    }
}

impl Add for Load {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(more.bytes),
            frames: self.frames.saturating_add(more.frames),
        }
    }
}

impl Sub for Load {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        debug_assert!(self.frames >= less.frames, "what goes was there");
        Self {
            bytes: self.bytes.saturating_sub(less.bytes),
            frames: self.frames.saturating_sub(less.frames),
        }
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, more: Self) {
        *self = *self + more;
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, less: Self) {
        *self = *self - less;
    }
}
