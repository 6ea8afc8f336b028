//! Streams that this side sends, as far as the peer has given credit.

use core::task::{Context, Poll};

use super::{Outgoing, Streams, wait};

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
