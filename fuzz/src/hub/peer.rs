//! A client without a will of its own: says frames, and hears what has arrived.

use std::task::{Context, Poll, Waker};

use lapwing::transport::{Incoming, Message, Outgoing, Transport};
use lapwing::wire::{self, Frame};

/// One transport to the hub.
pub(super) struct Peer(Box<dyn Transport>);

impl Peer {
    pub(super) fn new(transport: Box<dyn Transport>) -> Self {
        Self(transport)
    }

    /// There is room: nobody says much at once.
    pub(super) fn say(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        wire::append(frame, &mut bytes);
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(matches!(self.0.poll_ready(cx), Poll::Ready(Ok(()))));
        let started = self.0.start_send(Outgoing::Message(Message::binary(bytes)));
        started.expect("the hub is there");
        assert!(matches!(self.0.poll_flush(cx), Poll::Ready(Ok(()))));
    }

    /// The next message that has arrived.
    pub(super) fn hear(&mut self) -> Option<Message> {
        let cx = &mut Context::from_waker(Waker::noop());
        match self.0.poll_recv(cx) {
            Poll::Pending => None,
            Poll::Ready(Ok(Incoming::Message(message))) => Some(message),
            Poll::Ready(other) => panic!("{other:?}"),
        }
    }
}
