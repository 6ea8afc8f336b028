//! What leaves next, and what was sent.

use bytes::Bytes;

use super::HubLane;
use super::entry::{Entry, Load, Owner, Piece};
use crate::link::Chunk;
use crate::session::Lane;

impl Lane for HubLane {
    type Chunk<'a> = Chunk;

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn peek(&mut self) -> Option<(Chunk, u32)> {
        if self.torn || self.held.is_some() {
            return None;
        }
        let Some((bytes, frames)) = self.front() else {
            self.unstick();
            return None;
        };
        let Some((bytes, frames)) = self.within_room(bytes, frames) else {
            self.stuck = true;
            return None;
        };
        self.unstick();
        if !self.one_by_one {
            return Some((Chunk::Framed(bytes), frames));
        }
        let framing = self.class.framing;
        let message = framing.head_bytes(&bytes)..framing.framed_bytes(&bytes);
        Some((Chunk::Frame(bytes.slice(message)), 1))
    }

    fn sent(&mut self, mut frames: u32) {
        while frames > 0 {
            match self.pop(frames) {
                None => return,
                Some(taken) => frames -= taken,
            }
        }
    }

    fn acknowledged(&mut self, count: u64) {
        let before = self.ring.bytes();
        self.ring.acknowledged(count, &self.class);
        if self.ring.bytes() < before {
            self.unstick();
        }
    }

    fn rewind(&mut self, to: u64) -> bool {
        if self.torn || !self.ring.holds(to) {
            return false;
        }
        self.unstick();
        for (piece, frames) in self.ring.rewind(to, &self.class) {
            // It has a number that the peer knows: it is never dropped.
            let owner = Owner::Fixed;
            let entry = Entry {
                piece,
                frames,
                owner,
            };
            self.count(entry.load(), owner);
            self.entries.push_front(entry);
        }
        true
    }
}

impl HubLane {
    /// Writes the note that is next, if one is. From now on it is a frame like others: what goes missing later
    /// is not part of it.
    fn write_note(&mut self) {
        let Some(Entry {
            piece: Piece::Hole(missed),
            owner: Owner::Droppable { subscription, .. },
            ..
        }) = self.entries.front()
        else {
            return;
        };
        let note = self.note(*subscription, *missed);
        self.count(note.load(), note.owner);
        self.entries[0] = note;
    }

    /// The bytes of the front entry, framed, and how many frames they are.
    fn front(&mut self) -> Option<(Bytes, u32)> {
        self.write_note();
        let mut entries = self.entries.iter();
        let first = entries.next()?;
        let mut whole = match &first.piece {
            Piece::Own(own) => return Some((own.clone(), first.frames)),
            Piece::Shared(slice) => slice.clone(),
            Piece::Hole(_) => return None,
        };
        let mut frames = first.frames;
        // Who takes one message at a time has no use for its neighbours.
        while !self.one_by_one
            && let Some(entry) = entries.next()
            && let Piece::Shared(next) = &entry.piece
            && whole.touches(next)
        {
            whole.end = next.end;
            frames += entry.frames;
        }
        Some((self.class.segments.bytes(&whole), frames))
    }

    /// As many of these frames as may be sent before some are confirmed.
    fn within_room(&self, bytes: Bytes, frames: u32) -> Option<(Bytes, u32)> {
        let room = self.ring.room().unwrap_or(usize::MAX);
        if bytes.len() <= room {
            return Some((bytes, frames));
        }
        let framing = self.class.framing;
        let (mut end, mut within) = (0, 0);
        while within < frames {
            let next = end + framing.framed_bytes(&bytes[end..]);
            let alone = within == 0 && self.ring.is_empty();
            if next > room && !alone {
                break;
            }
            (end, within) = (next, within + 1);
        }
        (within > 0).then(|| (bytes.slice(..end), within))
    }

    /// Takes the front entry, or one message of it when so many frames are less than it has; says how many it took.
    fn pop(&mut self, frames: u32) -> Option<u32> {
        let front = self.entries.front_mut()?;
        let is_answer = front.owner == Owner::Answer;
        let (piece, taken) = match front.frames <= frames {
            true => {
                let entry = self.entries.pop_front()?;
                self.discount(entry.load(), entry.owner);
                (entry.piece, entry.frames)
            }
            false => {
                let piece = front.piece.take_message(&self.class);
                front.frames -= 1;
                let (load, owner) = (Load::new(piece.len(), 1), front.owner);
                self.discount(load, owner);
                (piece, 1)
            }
        };
        let frames_max = self.class.bounds.frames;
        self.ring.push(piece, taken, frames_max);
        // Who has been answered may hear nothing for long, and of many that come together the next one needs that memory now.
        if is_answer || self.entries.capacity() > 8 {
            self.rest();
        }
        Some(taken)
    }
}
