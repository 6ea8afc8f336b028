//! What was sent and may have to be sent again.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::entry::Piece;
use crate::hub::class::Class;

/// Slices that follow each other join up to this size, so that not much has to go when there is no room.
const JOINED_BYTES_MAX: usize = 4 * 1024;

/// Frames that were sent and are not confirmed, the oldest first; nothing for a client that does not want to resume.
#[derive(Default)]
pub(super) struct Ring {
    bytes_max: u32,
    /// Nothing is forgotten that is not confirmed: what there is no room for is not sent. Counting never begins anew.
    all: bool,
    /// Frames sent since counting began that are not here any more: confirmed, or forgotten.
    freed: u64,
    /// An idle connection has none.
    kept: Option<Box<Kept>>,
}

#[derive(Default)]
struct Kept {
    pieces: VecDeque<(Piece, u32)>,
    bytes: usize,
    frames: u64,
}

impl Ring {
    /// Keeps so many bytes from now on.
    pub(super) fn keep(&mut self, bytes_max: u32) {
        self.bytes_max = bytes_max;
    }

    /// Keeps everything from now on, up to so many bytes.
    pub(super) fn keep_all(&mut self, bytes_max: u32) {
        (self.bytes_max, self.all) = (bytes_max, true);
    }

    /// How many bytes may be sent now, if there is a bound; a larger message may be when nothing is kept.
    pub(super) fn room(&self) -> Option<usize> {
        self.all
            .then(|| self.bytes_max().saturating_sub(self.bytes()))
    }

    pub(super) fn bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_none()
    }

    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max as usize
    }

    /// Takes in what was sent. What there is no room for is forgotten, the oldest first; so is what is more than so many frames.
    pub(super) fn push(&mut self, piece: Piece, frames: u32, frames_max: usize) {
        if self.bytes_max == 0 && !self.all {
            self.freed += u64::from(frames);
            return;
        }
        let (bytes_max, frames_max) = (self.bytes_max as usize, frames_max as u64);
        let kept = self.kept.get_or_insert_default();
        kept.push(piece, frames);
        while !self.all && (kept.bytes > bytes_max || kept.frames > frames_max) {
            self.freed += kept.pop();
        }
        self.drop_if_empty();
    }

    /// Frees what is confirmed. A count within a piece frees nothing of it where that can be forgotten too: lengths are looked at when that is needed.
    pub(super) fn acknowledged(&mut self, count: u64, class: &Class) {
        let Some(kept) = &mut self.kept else { return };
        while let Some((_, frames)) = kept.pieces.front()
            && self.freed + u64::from(*frames) <= count
        {
            self.freed += kept.pop();
        }
        if self.all {
            let within = count.saturating_sub(self.freed);
            self.freed += kept.pop_messages(within, class);
        }
        self.drop_if_empty();
    }

    /// Whether everything is here that was sent after the first `to` frames.
    pub(super) fn holds(&self, to: u64) -> bool {
        let frames = self.kept.as_ref().map_or(0, |kept| kept.frames);
        (self.freed..=self.freed + frames).contains(&to)
    }

    /// Takes out what was sent after the first `to` frames, the newest first, and begins to count anew, or from there.
    pub(super) fn rewind(&mut self, to: u64, class: &Class) -> Vec<(Piece, u32)> {
        let mut kept = self.kept.take().unwrap_or_default();
        kept.pop_messages(to - self.freed, class);
        self.freed = if self.all { to } else { 0 };
        kept.pieces.into_iter().rev().collect()
    }

    /// Forgets everything, so that nothing can be sent again.
    pub(super) fn clear(&mut self) {
        self.freed += self.kept.take().map_or(0, |kept| kept.frames);
    }

    /// Counts from zero.
    pub(super) fn restart(&mut self) {
        self.clear();
        self.freed = 0;
    }

    pub(super) fn pieces(&mut self) -> impl Iterator<Item = &mut Piece> {
        let kept = self.kept.iter_mut();
        kept.flat_map(|kept| kept.pieces.iter_mut().map(|(piece, _)| piece))
    }

    fn drop_if_empty(&mut self) {
        self.kept.take_if(|kept| kept.pieces.is_empty());
    }
}

impl Kept {
    fn push(&mut self, piece: Piece, frames: u32) {
        self.bytes += piece.len();
        self.frames += u64::from(frames);
        if let Piece::Shared(slice) = &piece
            && let Some((Piece::Shared(last), count)) = self.pieces.back_mut()
            && last.len() + slice.len() <= JOINED_BYTES_MAX
            && last.touches(slice)
        {
            last.end = slice.end;
            *count += frames;
            return;
        }
        self.pieces.push_back((piece, frames));
    }

    /// Lets go of the oldest messages, up to so many; says how many that were.
    fn pop_messages(&mut self, count: u64, class: &Class) -> u64 {
        let mut popped = 0;
        while popped < count
            && let Some((piece, frames)) = self.pieces.front_mut()
        {
            if popped + u64::from(*frames) <= count {
                popped += self.pop();
            } else {
                let bytes = piece.take_message(class).len();
                *frames -= 1;
                self.bytes -= bytes;
                self.frames -= 1;
                popped += 1;
            }
        }
        popped
    }

    /// Lets go of the oldest piece; says how many frames that were.
    fn pop(&mut self) -> u64 {
        let Some((piece, frames)) = self.pieces.pop_front() else {
            return 0;
        };
        self.bytes -= piece.len();
        self.frames -= u64::from(frames);
        frames.into()
    }
}
