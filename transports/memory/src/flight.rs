//! What is on its way in one direction, and how much of it has arrived.

use core::time::Duration;
use std::collections::VecDeque;

use lapwing::Instant;
use lapwing::runtime::Runtime;
use lapwing::transport::Message;

/// A line on which so many bytes at a time arrive, with a pause behind each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trickle {
    pub(crate) bytes: usize,
    pub(crate) pause: Duration,
}

impl Trickle {
    /// How long after the first piece the one with byte number `index` arrives.
    fn until(self, index: usize) -> Duration {
        self.pause.saturating_mul(self.pieces(index))
    }

    fn pieces(self, bytes: usize) -> u32 {
        u32::try_from(bytes / self.bytes).unwrap_or(u32::MAX)
    }

    /// How many bytes have arrived so long after the first piece began to.
    fn arrived(self, since: Duration) -> usize {
        let pieces = since.as_micros() / self.pause.as_micros().max(1) + 1;
        usize::try_from(pieces).map_or(usize::MAX, |pieces| pieces.saturating_mul(self.bytes))
    }
}

/// Something on its way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Message(Message),
    /// The sender has said its last word. Stays where it is, to be read again and again.
    End,
    /// The connection broke behind what came before. Stays as well.
    Reset,
}

impl Item {
    fn length(&self) -> usize {
        match self {
            Self::Message(message) => message.bytes.len(),
            Self::End | Self::Reset => 0,
        }
    }
}

/// What [`Flight::land`] finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Landed {
    /// A message, or as much of it as was asked for.
    Message(Message),
    End,
    Reset,
    /// Something arrives at this instant.
    Later(Instant),
    Nothing,
}

/// Items on their way, in order.
#[derive(Default)]
pub(crate) struct Flight {
    queue: VecDeque<Flying>,
    /// Those that are not taken.
    bytes: usize,
    /// When the line has finished with what arrived before.
    free_at: Instant,
    trickle: Option<Trickle>,
}

struct Flying {
    /// `None` is at once: no clock is read as long as nothing is delayed.
    arrives: Option<Instant>,
    item: Item,
    /// How many bytes it had in front that were taken already.
    taken: usize,
}

impl Flight {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn count(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    pub(crate) fn launch(&mut self, item: Item, arrives: Option<Instant>) {
        self.bytes += item.length();
        self.queue.push_back(Flying {
            arrives,
            item,
            taken: 0,
        });
    }

    /// From now on bytes arrive at this pace.
    pub(crate) fn set_trickle(&mut self, trickle: Option<Trickle>, clock: &dyn Runtime) {
        if self.trickle != trickle {
            self.trickle = trickle;
            self.free_at = trickle.map_or_else(Instant::default, |_| clock.now());
        }
    }

    /// How many bytes at most may be read or written in one go.
    pub(crate) fn piece_bytes_max(&self) -> usize {
        self.trickle.map_or(usize::MAX, |trickle| trickle.bytes)
    }

    /// Takes the first item when all of it is there; with `bytes_max`, as much of it as has arrived.
    pub(crate) fn land(&mut self, bytes_max: Option<usize>, clock: &dyn Runtime) -> Landed {
        let Some(first) = self.queue.front() else {
            return Landed::Nothing;
        };
        let (arrived, length) = match self.arrived(first, clock) {
            Ok(arrived) => (arrived, first.taken + first.item.length()),
            Err(begins) => return Landed::Later(begins),
        };
        let wanted = bytes_max.map_or(length, |_| (first.taken + 1).min(length));
        if arrived < wanted {
            return Landed::Later(self.instant_of(first, wanted));
        }
        match first.item {
            Item::End => Landed::End,
            Item::Reset => Landed::Reset,
            Item::Message(_) => {
                let here = arrived - first.taken;
                self.take(bytes_max.unwrap_or(length).min(here))
            }
        }
    }

    /// Takes at most so many bytes more of the first item, which is a message.
    fn take(&mut self, bytes_max: usize) -> Landed {
        let Some(mut first) = self.queue.pop_front() else {
            return Landed::Nothing;
        };
        let Item::Message(message) = &mut first.item else {
            return Landed::Nothing;
        };
        let bytes = message.bytes.split_to(bytes_max.min(message.bytes.len()));
        let landed = Message {
            bytes,
            kind: message.kind,
        };
        let over = message.bytes.is_empty();
        self.bytes -= landed.bytes.len();
        first.taken += landed.bytes.len();
        match over {
            true => self.finish(&first),
            false => self.queue.push_front(first),
        }
        Landed::Message(landed)
    }

    /// Keeps the line busy as long as what was taken keeps it.
    fn finish(&mut self, taken: &Flying) {
        if let Some(trickle) = self.trickle {
            let pieces = taken.taken.div_ceil(trickle.bytes) * trickle.bytes;
            self.free_at = self.begin(taken) + trickle.until(pieces);
        }
    }

    /// When the first bytes of the first item arrive.
    fn begin(&self, first: &Flying) -> Instant {
        first.arrives.unwrap_or_default().max(self.free_at)
    }

    /// How many bytes of the first item have arrived since it began to, or else when it begins.
    fn arrived(&self, first: &Flying, clock: &dyn Runtime) -> Result<usize, Instant> {
        let begins = self.begin(first);
        if begins == Instant::default() && self.trickle.is_none() {
            return Ok(usize::MAX);
        }
        let now = clock.now();
        match self.trickle.filter(|trickle| !trickle.pause.is_zero()) {
            _ if now < begins => Err(begins),
            Some(trickle) => Ok(trickle.arrived(now.since(begins))),
            None => Ok(usize::MAX),
        }
    }

    /// When so many bytes of the first item have arrived.
    fn instant_of(&self, first: &Flying, bytes: usize) -> Instant {
        let trickle = self.trickle.map(|trickle| trickle.until(bytes - 1));
        self.begin(first) + trickle.unwrap_or_default()
    }

    /// How many bytes of a message that is not complete have arrived.
    pub(crate) fn half_received(&self, clock: &dyn Runtime) -> usize {
        let Some(first) = self.queue.front().filter(|_| self.trickle.is_some()) else {
            return 0;
        };
        let arrived = self.arrived(first, clock).unwrap_or(0);
        match arrived < first.taken + first.item.length() {
            true => arrived,
            false => 0,
        }
    }
}
