//! What few links have: [`Memory`].

use alloc::boxed::Box;

use crate::protocol::Conversation;
use crate::transport::Ticket;

/// On its own, because most links have nothing of it.
#[derive(Default)]
pub(super) struct Memory(Option<Box<Parts>>);

#[derive(Default)]
struct Parts {
    /// Of a protocol that has to remember something.
    conversation: Option<Box<dyn Conversation>>,
    /// By which the peer returns, in protocols that remember.
    ticket: Option<Ticket>,
    /// What the program says at the end.
    words: Option<Box<str>>,
}

impl Memory {
    pub(super) fn has_conversation(&self) -> bool {
        let parts = self.0.as_ref();
        parts.is_some_and(|parts| parts.conversation.is_some())
    }

    pub(super) fn conversation(&self) -> Option<&dyn Conversation> {
        self.0.as_ref()?.conversation.as_deref()
    }

    pub(super) fn conversation_mut(&mut self) -> Option<&mut Box<dyn Conversation>> {
        self.0.as_mut()?.conversation.as_mut()
    }

    pub(super) fn set_conversation(&mut self, conversation: Option<Box<dyn Conversation>>) {
        if self.has_conversation() || conversation.is_some() {
            self.parts().conversation = conversation;
        }
    }

    pub(super) fn take_conversation(&mut self) -> Option<Box<dyn Conversation>> {
        self.0.as_mut()?.conversation.take()
    }

    pub(super) fn ticket(&self) -> Option<&Ticket> {
        self.0.as_ref()?.ticket.as_ref()
    }

    pub(super) fn set_ticket(&mut self, ticket: Ticket) {
        self.parts().ticket = Some(ticket);
    }

    pub(super) fn words(&self) -> Option<&str> {
        self.0.as_ref()?.words.as_deref()
    }

    pub(super) fn set_words(&mut self, words: Option<Box<str>>) {
        if self.words().is_some() || words.is_some() {
            self.parts().words = words;
        }
    }

    pub(super) fn take_words(&mut self) -> Option<Box<str>> {
        self.0.as_mut()?.words.take()
    }

    fn parts(&mut self) -> &mut Parts {
        self.0.get_or_insert_default()
    }
}
