//! Streams of one connection, in both directions: what has arrived and is not read, and how much may be sent.

pub(crate) mod reader;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use crate::answers::CallFailure;
use crate::limits::Limits;
use crate::sync::lock;
use crate::wire::{Cancel, Credit, Encoding, Frame};

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
}

/// More items than there was credit for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overrun;

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
}

/// A stream that the peer sends.
#[derive(Debug)]
struct Incoming {
    id: u32,
    items: VecDeque<Item>,
    /// Items that were taken out.
    taken: u64,
    /// Items that were welcome so far.
    welcome: u64,
    received: u64,
    /// The peer does not know how many are welcome now.
    owes: bool,
    /// Nobody reads it; what the peer has to be told, and whether it was.
    stopped: Option<bool>,
    end: Option<Result<(), StreamEnd>>,
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
        }
    }

    /// Wakers that nobody needs any more: to be dropped when no lock is held.
    pub(crate) fn take_spent(&mut self) -> Vec<Waker> {
        core::mem::take(&mut self.spent)
    }

    /// Whether so much waits to be read that the peer may say no more for now.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }

    /// Whether so much waits although the peer was asked to wait.
    pub(crate) fn is_overrun(&self) -> bool {
        self.bytes / 2 >= self.bytes_max
    }

    /// Whether something is to be said beside the lane.
    pub(crate) fn owes(&self) -> bool {
        self.owes
    }

    /// Whether there is such a stream, in either direction.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.incoming.iter().any(|stream| stream.id == id)
            || self.outgoing.iter().any(|stream| stream.id == id)
    }

    /// Streams that the peer sends.
    pub(crate) fn incoming(&self) -> usize {
        self.incoming.len()
    }

    /// Begins to receive a stream. With `known` the peer knows already how many items are welcome.
    pub(crate) fn receive(&mut self, id: u32, known: bool) {
        let owes = self.credits && !known;
        self.owes |= owes;
        self.incoming.push(Incoming {
            id,
            items: VecDeque::new(),
            taken: 0,
            welcome: self.window,
            received: 0,
            owes,
            stopped: None,
            end: None,
            reader: None,
        });
    }

    /// An item has arrived; who waits for it. Those of a stream that nobody reads are passed over.
    ///
    /// # Errors
    ///
    /// [`Overrun`]: end the session, the peer does not keep to its credit.
    pub(crate) fn arrive(&mut self, id: u32, item: Item) -> Result<Option<Waker>, Overrun> {
        let Some(stream) = self.incoming.iter_mut().find(|stream| stream.id == id) else {
            return Ok(None);
        };
        stream.received += 1;
        if self.credits && stream.received > stream.welcome {
            return Err(Overrun);
        }
        if stream.stopped.is_some() || stream.end.is_some() {
            return Ok(None);
        }
        self.bytes += weight(&item);
        stream.items.push_back(item);
        Ok(stream.reader.take())
    }

    /// The peer has finished a stream; who waits for that.
    pub(crate) fn end(&mut self, id: u32, result: Result<(), CallFailure>) -> Option<Waker> {
        let index = self.index(id)?;
        let stream = &mut self.incoming[index];
        if stream.stopped.is_some() {
            self.incoming.swap_remove(index);
            return None;
        }
        let result = result.map_err(StreamEnd::Failed);
        stream.end.get_or_insert(result);
        stream.reader.take()
    }

    /// The next item, or the end, once; [`StreamEnd::Lost`] of a stream that is not known.
    pub(crate) fn poll_item(
        &mut self,
        id: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Item, StreamEnd>>> {
        let Some(index) = self.index(id) else {
            return Poll::Ready(Some(Err(StreamEnd::Lost)));
        };
        let stream = &mut self.incoming[index];
        if let Some(item) = stream.items.pop_front() {
            stream.taken += 1;
            self.bytes -= weight(&item);
            self.welcome_more(index);
            return Poll::Ready(Some(Ok(item)));
        }
        if stream.end.is_none() {
            self.spent.extend(wait(&mut stream.reader, cx));
            return Poll::Pending;
        }
        let ended = self.incoming.swap_remove(index);
        Poll::Ready(match ended.end {
            Some(Err(end)) => Some(Err(end)),
            Some(Ok(())) | None => None,
        })
    }

    /// Lets the peer send more, when half of what may wait was read.
    fn welcome_more(&mut self, index: usize) {
        let stream = &mut self.incoming[index];
        let welcome = stream.taken + self.window;
        if self.credits
            && stream.end.is_none()
            && welcome - stream.welcome >= self.window.div_ceil(2)
        {
            stream.welcome = welcome;
            (stream.owes, self.owes) = (true, true);
        }
    }

    /// Nobody reads a stream any more: the peer is told, and what still arrives of it is passed over.
    pub(crate) fn stop(&mut self, id: u32) {
        let Some(index) = self.index(id) else {
            return;
        };
        self.empty(index);
        let stream = &mut self.incoming[index];
        if stream.end.is_some() {
            self.incoming.swap_remove(index);
            return;
        }
        stream.owes = false;
        stream.stopped = Some(false);
        self.spent.extend(stream.reader.take());
        self.owes = true;
    }

    /// Forgets a stream without a word: the peer has forgotten it too.
    pub(crate) fn forget(&mut self, id: u32) {
        if let Some(index) = self.index(id) {
            self.empty(index);
            let forgotten = self.incoming.swap_remove(index);
            self.spent.extend(forgotten.reader);
        }
    }

    /// Whether a stream is read; one that is not is forgotten.
    pub(crate) fn keep(&mut self, id: u32) -> bool {
        let Some(index) = self.index(id) else {
            return false;
        };
        let read = self.incoming[index].stopped.is_none();
        if !read {
            self.incoming.swap_remove(index);
        }
        read
    }

    fn empty(&mut self, index: usize) {
        let items = core::mem::take(&mut self.incoming[index].items);
        self.bytes -= items.iter().map(weight).sum::<usize>();
    }

    fn index(&self, id: u32) -> Option<usize> {
        self.incoming.iter().position(|stream| stream.id == id)
    }
}

/// What this side sends.
impl Streams {
    /// Begins to send a stream of which so many items are welcome.
    pub(crate) fn send(&mut self, id: u32, welcome: u64) {
        self.outgoing.push(Outgoing {
            id,
            sent: 0,
            welcome,
            stopped: false,
            sender: None,
        });
    }

    /// More items are welcome, so many since the stream began; who waits for that.
    pub(crate) fn credit(&mut self, id: u32, items: u64) -> Option<Waker> {
        let stream = self.sending(id)?;
        stream.welcome = stream.welcome.max(items);
        stream.sender.take()
    }

    /// Nobody reads a stream any more; who sends it.
    pub(crate) fn stopped(&mut self, id: u32) -> Option<Waker> {
        let stream = self.sending(id)?;
        stream.stopped = true;
        stream.sender.take()
    }

    /// Whether an item may be sent.
    pub(crate) fn may_send(&self, id: u32) -> bool {
        let mut outgoing = self.outgoing.iter();
        outgoing.any(|stream| stream.id == id && stream.sent < stream.welcome)
    }

    /// Waits until an item may be sent; false when nobody wants one any more.
    pub(crate) fn poll_credit(&mut self, id: u32, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(stream) = self.sending(id) else {
            return Poll::Ready(false);
        };
        if stream.stopped {
            return Poll::Ready(false);
        }
        if stream.sent < stream.welcome {
            return Poll::Ready(true);
        }
        let older = wait(&mut stream.sender, cx);
        self.spent.extend(older);
        Poll::Pending
    }

    /// Takes note of an item that was sent.
    pub(crate) fn sent(&mut self, id: u32) {
        if let Some(stream) = self.sending(id) {
            stream.sent += 1;
        }
    }

    /// Forgets a stream of this side: its end is said.
    pub(crate) fn finish(&mut self, id: u32) {
        let index = self.outgoing.iter().position(|stream| stream.id == id);
        let finished = index.map(|index| self.outgoing.swap_remove(index));
        self.spent.extend(finished.and_then(|stream| stream.sender));
    }

    fn sending(&mut self, id: u32) -> Option<&mut Outgoing> {
        self.outgoing.iter_mut().find(|stream| stream.id == id)
    }
}

/// What the peer is told beside the lane, and what becomes of it all when a connection breaks.
impl Streams {
    /// The next thing to say.
    pub(crate) fn control(&mut self) -> Option<Frame<'static>> {
        if !self.owes {
            return None;
        }
        let said = self.incoming.iter_mut().find_map(Incoming::control);
        self.owes = said.is_some();
        said
    }

    /// The peer has returned and has heard everything but what was said beside the lane.
    pub(crate) fn say_again(&mut self) {
        for stream in &mut self.incoming {
            match &mut stream.stopped {
                Some(told) => *told = false,
                None => stream.owes = self.credits && stream.end.is_none(),
            }
        }
        self.owes = !self.incoming.is_empty();
    }

    /// The session is over: ends all streams; who waits for anything of them.
    pub(crate) fn lose(&mut self) -> Vec<Waker> {
        let mut waiting = Vec::new();
        self.incoming.retain(|stream| stream.stopped.is_none());
        for stream in &mut self.incoming {
            stream.end.get_or_insert(Err(StreamEnd::Lost));
            stream.owes = false;
            waiting.extend(stream.reader.take());
        }
        for stream in self.outgoing.drain(..) {
            waiting.extend(stream.sender);
        }
        self.owes = false;
        waiting
    }
}

impl Incoming {
    fn control(&mut self) -> Option<Frame<'static>> {
        let id = self.id;
        match &mut self.stopped {
            Some(told) => (!core::mem::replace(told, true)).then_some(Frame::Cancel(Cancel { id })),
            None => core::mem::take(&mut self.owes).then_some(Frame::Credit(Credit {
                id,
                items: self.welcome,
            })),
        }
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
