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

    /// Whether there is such a stream, in either direction.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.incoming.iter().any(|stream| stream.id == id)
            || self.outgoing.iter().any(|stream| stream.id == id)
    }

    /// Streams that the peer sends along with its calls.
    pub(crate) fn uploads(&self) -> usize {
        self.count(false)
    }

    /// Streams that answer calls of this side, and are not over.
    pub(crate) fn answers(&self) -> usize {
        self.count(true)
    }

    fn count(&self, answers: bool) -> usize {
        let counts = |stream: &&Incoming| stream.answers == answers && !stream.over;
        self.incoming.iter().filter(counts).count()
    }

    /// Begins to receive a stream, which answers a call of this side or comes along with one of the peer's. How many items of an answer are welcome the call says.
    pub(crate) fn receive(&mut self, id: u32, answers: bool) {
        let owes = self.credits && !answers;
        self.owes |= owes;
        self.incoming.push(Incoming {
            id,
            answers,
            items: VecDeque::new(),
            taken: 0,
            welcome: self.window,
            received: 0,
            owes,
            read: true,
            stop: None,
            end: None,
            over: false,
            reader: None,
        });
    }

    /// An item has arrived. Those of a stream that nobody reads are passed over.
    ///
    /// # Errors
    ///
    /// [`Overrun`]: end the session, the peer does not keep to its credit.
    pub(crate) fn arrive(&mut self, id: u32, item: Item) -> Result<(), Overrun> {
        let Some(stream) = self.incoming.iter_mut().find(|stream| stream.id == id) else {
            return Ok(());
        };
        stream.received += 1;
        if self.credits && stream.received > stream.welcome {
            return Err(Overrun);
        }
        if !stream.read || stream.end.is_some() {
            return Ok(());
        }
        self.bytes += weight(&item);
        stream.items.push_back(item);
        self.woken.extend(stream.reader.take());
        Ok(())
    }

    /// The peer has finished a stream.
    pub(crate) fn end(&mut self, id: u32, result: Result<(), CallFailure>) {
        let Some(index) = self.index(id) else {
            return;
        };
        let stream = &mut self.incoming[index];
        stream.over = true;
        if !stream.read {
            return self.remove(index);
        }
        let result = result.map_err(StreamEnd::Failed);
        stream.end.get_or_insert(result);
        self.woken.extend(stream.reader.take());
    }

    /// Ends a stream for its reader, and stops the peer.
    pub(crate) fn give_up(&mut self, id: u32, failure: CallFailure) {
        let Some(index) = self.index(id) else {
            return;
        };
        let stream = &mut self.incoming[index];
        if !stream.over {
            (stream.owes, stream.stop, self.owes) = (false, Some(false), true);
        }
        let end = Err(StreamEnd::Failed(failure));
        stream.end.get_or_insert(end);
        self.woken.extend(stream.reader.take());
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
        let Some(end) = stream.end.clone() else {
            self.spent.extend(wait(&mut stream.reader, cx));
            return Poll::Pending;
        };
        stream.read = false;
        if stream.over {
            self.remove(index);
        }
        Poll::Ready(end.err().map(Err))
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
        let reader = stream.reader.take();
        stream.read = false;
        if stream.over {
            self.remove(index);
        } else if stream.stop.is_none() {
            (stream.owes, stream.stop, self.owes) = (false, Some(false), true);
        }
        self.spent.extend(reader);
    }

    /// The call is over with which a stream came along: nothing of it comes any more.
    pub(crate) fn forget(&mut self, id: u32) {
        let Some(index) = self.index(id) else {
            return;
        };
        self.empty(index);
        let stream = &mut self.incoming[index];
        (stream.over, stream.owes, stream.stop) = (true, false, None);
        if !stream.read {
            return self.remove(index);
        }
        stream.end.get_or_insert(Err(StreamEnd::Over));
        self.woken.extend(stream.reader.take());
    }

    /// Whether the call is still to be made that a stream answers. Otherwise nothing of it will come.
    pub(crate) fn keep(&mut self, id: u32) -> bool {
        let Some(index) = self.index(id) else {
            return false;
        };
        let stream = &self.incoming[index];
        let kept = stream.read && stream.end.is_none();
        if !kept {
            self.forget(id);
        }
        kept
    }

    /// Takes out one that nobody reads.
    fn remove(&mut self, index: usize) {
        self.empty(index);
        let removed = self.incoming.swap_remove(index);
        self.spent.extend(removed.reader);
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

    /// More items are welcome, so many since the stream began.
    pub(crate) fn credit(&mut self, id: u32, items: u64) {
        if let Some(stream) = self.sending(id) {
            stream.welcome = stream.welcome.max(items);
            let sender = stream.sender.take();
            self.woken.extend(sender);
        }
    }

    /// Nobody reads a stream any more.
    pub(crate) fn stopped(&mut self, id: u32) {
        if let Some(stream) = self.sending(id) {
            stream.stopped = true;
            let sender = stream.sender.take();
            self.woken.extend(sender);
        }
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

impl Incoming {
    /// Whether the peer knows of it for sure.
    fn has_begun(&self) -> bool {
        !self.answers || self.received > 0
    }

    fn is_owed(&self) -> bool {
        self.owes || self.stop == Some(false)
    }

    fn control(&mut self) -> Option<Frame<'static>> {
        let id = self.id;
        match &mut self.stop {
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
