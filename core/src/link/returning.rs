//! A peer that comes, or returns, with a ticket.

use super::Link;
use crate::session::Store;
use crate::transport::Ticket;

impl Link {
    /// Whether the peer has come by its ticket, as one that was let in before.
    pub(crate) fn has_returned(&self) -> bool {
        self.returned
    }

    /// By which the peer returns, if it and its protocol can.
    pub(crate) fn ticket(&self) -> Option<&Ticket> {
        let has = self.memory.has_conversation();
        self.memory.ticket().filter(|_| has)
    }

    /// What the hub knows the connection by to which the peer returns by its ticket: another one after each return.
    pub(crate) fn token(&self) -> Option<[u8; 16]> {
        self.memory.ticket()?.token()
    }

    /// Whether the peer returns to a connection that is over.
    pub(crate) fn is_too_late(&self) -> bool {
        self.memory.ticket().is_some_and(Ticket::is_cancelled)
    }

    /// Whether a wish to return later can be granted.
    pub(crate) fn may_return(&self) -> bool {
        !self.memory.has_conversation() || self.memory.ticket().is_some()
    }

    /// Goes on with what was under way by an earlier transport of the same peer, which has nothing more to say.
    pub(crate) fn continue_from(&mut self, before: &mut Self, store: &mut impl Store) {
        self.session.continue_from(&mut before.session, store);
        // It may be dismissed in this moment.
        self.memory.set_words(before.memory.take_words());
        if self.memory.ticket().is_none() {
            return;
        }
        if let Some(mut conversation) = before.memory.take_conversation() {
            self.session.count_on(&mut before.session);
            conversation.go_on(self.session.sent() + 1);
            self.memory.set_conversation(Some(conversation));
            self.chosen = before.chosen;
        }
    }
}
