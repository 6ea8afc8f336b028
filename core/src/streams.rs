//! Streams of one connection, in both directions: what has arrived and is not read, and how much may be sent.

pub(crate) mod reader;
mod receiving;
mod sending;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Waker};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use crate::answers::CallFailure;
use crate::limits::Limits;
use crate::sync::lock;
use crate::wire::{Encoding, Frame};

/// What an item costs beside its bytes.
const ITEM_BYTES: usize = 64;

/// One item: its encoding and its bytes.
pub(crate) type Item = (Encoding, Bytes);

/// Why a stream has no more items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The other side says why.
    Failed(CallFailure),
    /// The session is over, and the rest of the stream with it.
    Lost,
    /// The call is over with which it came along.
    Over,
}

/// More items than there was credit for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overrun;

/// Bytes that a peer may have said before it could know that it is to wait.
const ON_ITS_WAY: usize = 1024 * 1024;

/// The streams of one session, for the connection and for those who read them: what has come is read also when the session is over.
///
/// Its lock is the last one: nobody who has it takes another.
#[derive(Clone, Debug)]
pub(crate) struct Table(Arc<Mutex<Streams>>);

impl Table {
    pub(crate) fn new(limits: &Limits, credits: bool) -> Self {
        Self(Arc::new(Mutex::new(Streams::new(limits, credits))))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Streams> {
        lock(&self.0)
    }

    /// Does `act`, and lets tasks have a turn: not to be called with a lock.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Streams) -> T) -> T {
        let mut streams = self.lock();
        let done = act(&mut streams);
        let wakers = streams.take_wakers();
        drop(streams);
        drop(wakers);
        done
    }
}

/// Tasks that are to have a turn, and wakers that nobody needs any more: dropped without a lock, which a task may take that is woken, or ends with its last waker.
#[derive(Default)]
pub(crate) struct Wakers {
    _spent: Vec<Waker>,
    woken: Vec<Waker>,
}

impl Drop for Wakers {
    fn drop(&mut self) {
        self.woken.drain(..).for_each(Waker::wake);
    }
}

/// All streams of one session.
#[derive(Debug)]
pub(crate) struct Streams {
    incoming: Vec<Incoming>,
    outgoing: Vec<Outgoing>,
    /// Items of one stream that may wait.
    window: u64,
    /// The peer keeps to credit.
    credits: bool,
    /// Of all items that wait.
    bytes: usize,
    bytes_max: usize,
    /// Something is to be said.
    owes: bool,
    /// Those of tasks that wait no more, to be dropped without a lock: a task may end with its last one.
    spent: Vec<Waker>,
    /// Of tasks that are to have a turn, likewise.
    woken: Vec<Waker>,
}

/// A stream that the peer sends.
#[derive(Debug)]
struct Incoming {
    id: u32,
    /// It answers a call of this side.
    answers: bool,
    items: VecDeque<Item>,
    /// Items that were taken out.
    taken: u64,
    /// Items that were welcome so far.
    welcome: u64,
    received: u64,
    /// The peer does not know how many are welcome now.
    owes: bool,
    /// Somebody reads it.
    read: bool,
    /// The peer is to stop, and was told so or not.
    stop: Option<bool>,
    /// What its reader hears at the end.
    end: Option<Result<(), StreamEnd>>,
    /// Nothing of it comes any more.
    over: bool,
    reader: Option<Waker>,
}

/// A stream that this side sends.
#[derive(Debug)]
struct Outgoing {
    id: u32,
    sent: u64,
    welcome: u64,
    /// Nobody reads it.
    stopped: bool,
    sender: Option<Waker>,
}

impl Streams {
    /// None; `credits` says whether the peer waits for credit.
    pub(crate) fn new(limits: &Limits, credits: bool) -> Self {
        Self {
            incoming: Vec::new(),
            outgoing: Vec::new(),
            window: limits.stream_items_max.max(1).into(),
            credits,
            bytes: 0,
            bytes_max: limits.stream_bytes_max.max(1) as usize,
            owes: false,
            spent: Vec::new(),
            woken: Vec::new(),
        }
    }

    /// What is to be done when no lock is held.
    pub(crate) fn take_wakers(&mut self) -> Wakers {
        Wakers {
            _spent: core::mem::take(&mut self.spent),
            woken: core::mem::take(&mut self.woken),
        }
    }

    /// Whether so much waits to be read that the peer may say no more for now.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }

    /// Whether so much waits although the peer was asked to wait.
    pub(crate) fn is_overrun(&self) -> bool {
        self.bytes.saturating_sub(self.bytes_max) >= self.bytes_max.max(ON_ITS_WAY)
    }

    /// Whether something is to be said beside the lane.
    pub(crate) fn owes(&self) -> bool {
        self.owes
    }
}

/// What the peer is told beside the lane, and what becomes of it all when a connection breaks.
impl Streams {
    /// The next thing to say. What is about a call that may not have left waits until something of its answer has come, or the lane is `idle`.
    pub(crate) fn control(&mut self, idle: bool) -> Option<Frame<'static>> {
        if !self.owes {
            return None;
        }
        let mut left = self.incoming.iter_mut();
        let said = left.find_map(|stream| match stream.has_begun() || idle {
            true => stream.control(),
            false => None,
        });
        self.owes = self.incoming.iter().any(Incoming::is_owed);
        said
    }

    /// The peer has returned and has heard everything but what was said beside the lane.
    pub(crate) fn say_again(&mut self) {
        for stream in self.incoming.iter_mut().filter(|stream| !stream.over) {
            match &mut stream.stop {
                Some(told) => *told = false,
                None => stream.owes = self.credits && stream.end.is_none(),
            }
        }
        self.owes = !self.incoming.is_empty();
    }

    /// The session is over: ends all streams.
    pub(crate) fn lose(&mut self) {
        self.incoming.retain(|stream| stream.read);
        for stream in &mut self.incoming {
            stream.end.get_or_insert(Err(StreamEnd::Lost));
            (stream.over, stream.owes, stream.stop) = (true, false, None);
            self.woken.extend(stream.reader.take());
        }
        let sent = self.outgoing.drain(..);
        self.woken.extend(sent.filter_map(|stream| stream.sender));
        self.owes = false;
    }
}

/// Lets `slot` have the waker of `cx`; the one that it had, of another task.
fn wait(slot: &mut Option<Waker>, cx: &Context<'_>) -> Option<Waker> {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => None,
        _ => slot.replace(cx.waker().clone()),
    }
}

fn weight(item: &Item) -> usize {
    item.1.len() + ITEM_BYTES
}

#[cfg(test)]
mod tests;
