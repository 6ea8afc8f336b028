//! What comes from the peer, and what it means.

use alloc::boxed::Box;
use core::task::{Context, Poll, ready};

use bytes::BytesMut;

use super::{Link, READS_PER_TURN};
use crate::protocol::Conversation;
use crate::session::{Input, Store};
use crate::time::Instant;
use crate::transport::{Incoming, Message, Transport};
use crate::wire::{CloseReason, DecodeError, Frame};

impl Link {
    /// The next message; `None` when there will be none that matters.
    ///
    /// Ends of all kinds are taken care of: the session knows, and its events tell.
    pub(crate) fn poll_message(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Message>> {
        for _ in 0..READS_PER_TURN {
            if self.deaf {
                return Poll::Ready(None);
            }
            if let Some(message) = self.next_arrived() {
                self.traffic.hear(message.bytes.len());
                return Poll::Ready(Some(message));
            }
            if self.deaf {
                return Poll::Ready(None);
            }
            match ready!(self.transport.poll_recv(cx)) {
                Ok(Incoming::Message(message)) => {
                    let more = self.transport.recv_more();
                    self.arrived = more.first().is_some().then(|| Box::new(more));
                    if self.chosen.is_none() {
                        let mut known = self.protocols().iter();
                        let index = known.position(|protocol| protocol.speaks(&message));
                        self.choose(Some(index.unwrap_or(0)));
                    }
                    let Some(conversation) = self.memory.conversation_mut() else {
                        self.traffic.hear(message.bytes.len());
                        return Poll::Ready(Some(message));
                    };
                    conversation.receive(message);
                }
                Ok(Incoming::Alive) => self.session.handle_alive(now),
                Ok(Incoming::Goodbye(_)) => self.session.handle_goodbye(),
                Ok(Incoming::End) => self.end(),
                Err(error) => self.fail(&error),
            }
        }
        // Nothing but signs of life: others have their turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The next message that is here already.
    fn next_arrived(&mut self) -> Option<Message> {
        if !self.memory.has_conversation() {
            return self.take_arrived();
        }
        // Some of them may be halves.
        loop {
            let record = self.next_record();
            if record.is_some() || self.deaf {
                return record;
            }
            let message = self.take_arrived()?;
            if let Some(conversation) = self.memory.conversation_mut() {
                conversation.receive(message);
            }
        }
    }

    fn take_arrived(&mut self) -> Option<Message> {
        let message = self.arrived.as_mut()?.next();
        self.arrived.take_if(|arrived| arrived.first().is_none());
        message
    }

    /// The next whole record of what has come in.
    fn next_record(&mut self) -> Option<Message> {
        match self.memory.conversation_mut()?.next_record() {
            Ok(record) => record,
            Err(reason) => {
                // It will not be heard when it answers.
                self.be_deaf();
                self.session.give_up(reason);
                None
            }
        }
    }

    /// Gives `take` the messages that are here already, up to the first that it does not recognise as one more publish like those before.
    pub(crate) fn handle_again(&mut self, mut take: impl FnMut(&[u8]) -> bool, now: Instant) {
        let kind = self.protocol().kind();
        let Some(arrived) = &mut self.arrived else {
            return;
        };
        let right_kind = !self.kinds || arrived.kind() == kind;
        let remembers = self.memory.has_conversation();
        if self.deaf || !right_kind || remembers || !self.session.is_ready() {
            return;
        }
        while let Some(message) = arrived.first() {
            if !take(message) {
                return;
            }
            let bytes = message.len();
            self.traffic.hear(bytes);
            self.session.handle_again(bytes, now);
            arrived.drop_first();
        }
        self.arrived = None;
    }

    /// What a message means.
    pub(crate) fn handle<'a>(
        &mut self,
        message: &'a Message,
        scratch: &'a mut BytesMut,
        store: &mut impl Store,
        now: Instant,
    ) -> Input<'a> {
        if self.kinds && !self.memory.has_conversation() && message.kind != self.protocol().kind() {
            self.wrong_kind = true;
            return self.session.violate(CloseReason::Malformed, now);
        }
        self.session.handle_bytes(message.bytes.len());
        match self.decode(message, scratch) {
            Ok(Some(frame)) => {
                if !frame.is_data() && self.counts() {
                    self.session.handle_counted(now);
                }
                self.session.handle_frame(frame, store, now)
            }
            Ok(None) if self.counts() => {
                self.session.handle_counted(now);
                Input::Nothing
            }
            Ok(None) | Err(DecodeError::Empty) => {
                self.session.handle_skipped(now);
                Input::Nothing
            }
            Err(_) => self.session.violate(CloseReason::Malformed, now),
        }
    }

    fn counts(&self) -> bool {
        let conversation = self.memory.conversation();
        conversation.is_some_and(Conversation::counts)
    }

    fn decode<'a>(
        &mut self,
        message: &'a Message,
        scratch: &'a mut BytesMut,
    ) -> Result<Option<Frame<'a>>, DecodeError> {
        let peer = self.peer();
        let Some(conversation) = self.memory.conversation_mut() else {
            return self.protocol().decode(message, peer, scratch);
        };
        let frame = conversation.decode(message, scratch);
        if let Ok(Some(Frame::Hello(_))) = &frame
            && let Some(name) = conversation.protocol()
        {
            let mut known = self.session.source().protocols().iter();
            let index = known.position(|known| known.name() == name);
            self.chosen = Some(index.ok_or(DecodeError::NoFrame)? as u8);
        }
        frame
    }
}
