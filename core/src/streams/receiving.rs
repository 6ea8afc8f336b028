//! Streams that the peer sends: what has arrived, and who reads it.

use alloc::collections::VecDeque;
use core::task::{Context, Poll};

use super::{Incoming, Item, Overrun, StreamEnd, Streams, wait, weight};
use crate::answers::CallFailure;
use crate::wire::{Cancel, Credit, Frame};

impl Streams {
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

impl Incoming {
    /// Whether the peer knows of it for sure.
    pub(super) fn has_begun(&self) -> bool {
        !self.answers || self.received > 0
    }

    pub(super) fn is_owed(&self) -> bool {
        self.owes || self.stop == Some(false)
    }

    pub(super) fn control(&mut self) -> Option<Frame<'static>> {
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
