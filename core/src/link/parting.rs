//! The last words.

use alloc::boxed::Box;
use core::task::{Context, Poll, ready};

use super::{Link, READS_PER_TURN, goodbye};
use crate::transport::{Incoming, Outgoing, Transport, TransportError};
use crate::wire::Refusal;

impl Link {
    /// Takes what the program says at the end, if it is the program that ends the session.
    pub(crate) fn part(&mut self, words: Option<&str>) {
        self.memory.set_words(words.map(Box::from));
        if let Some(conversation) = self.memory.conversation_mut() {
            conversation.part(words);
        }
    }

    /// Tells the peer that nothing follows, then reads on until it has finished too.
    ///
    /// Whoever closes a socket with unread bytes in it destroys its own last words; the caller bounds the time.
    pub(crate) fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.tell();
        self.arrived = None;
        if ready!(self.transport.poll_close(cx)).is_err() {
            return Poll::Ready(());
        }
        for _ in 0..READS_PER_TURN {
            match ready!(self.transport.poll_recv(cx)) {
                Ok(Incoming::End) | Err(TransportError::Io(_)) => return Poll::Ready(()),
                Ok(_) | Err(_) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Refuses a peer that is not even asked for its hello; where the transport has a handshake of its own, that does.
    pub(crate) fn turn_away(&mut self, reason: Refusal) {
        self.session.refuse(reason, None, "");
        self.tell();
    }

    /// Lets the transport know what to say at the end, once.
    pub(super) fn tell(&mut self) {
        if core::mem::replace(&mut self.told, true) {
            return;
        }
        let goodbye = if self.wrong_kind {
            goodbye::wrong_kind()
        } else if self.open && self.memory.has_conversation() {
            // The protocol has said why; its clients take any other code for a fault.
            goodbye::normal()
        } else {
            goodbye::goodbye(self.session.ending(), self.memory.words())
        };
        // Nobody can be told when that fails.
        let _ = self.transport.start_send(Outgoing::Goodbye(goodbye));
    }
}
