//! What lets a client return to its connection by another transport: [`Ticket`].

use alloc::sync::Arc;
use core::fmt;
use std::sync::Mutex;

use crate::sync::lock;

/// What lets the client of one connection return to it when its transport is lost, without a hello: where somebody has negotiated that before,
/// and knows by a secret of its own who comes.
///
/// Whoever negotiates makes one for each connection, and lets each transport of it have a clone, in its [`Upgrade`](super::Upgrade). The hub lets
/// it be good when the client is let in, if it and its protocol can return; and void just before it says the connection's last words, and
/// when the connection is gone. In between the newest transport with it is the connection's.
///
/// # Examples
///
/// ```
/// use lapwing::transport::{Ticket, Upgrade};
///
/// let ticket = Ticket::new();
/// let mut upgrade = Upgrade::default();
/// upgrade.ticket = Some(ticket.clone());
/// assert!(!ticket.is_good(), "nobody was let in yet");
/// assert!(!ticket.is_void());
/// drop(upgrade);
/// assert!(ticket.is_void(), "no transport has it");
/// ```
#[derive(Clone, Default)]
pub struct Ticket(Arc<Mutex<State>>);

#[derive(Clone, Copy, Default)]
enum State {
    /// Nobody was let in with it.
    #[default]
    New,
    /// What the hub knows the connection by.
    Good([u8; 16]),
    Void,
}

impl Ticket {
    /// One with which nobody has come yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a client may return by it now.
    pub fn is_good(&self) -> bool {
        self.token().is_some()
    }

    /// Whether nobody will return by it any more: the connection is over, or nothing that has to do with it is left but this clone.
    pub fn is_void(&self) -> bool {
        Arc::strong_count(&self.0) == 1 || self.is_cancelled()
    }

    /// What the hub knows the connection by, while the client may return.
    pub(crate) fn token(&self) -> Option<[u8; 16]> {
        match *lock(&self.0) {
            State::Good(token) => Some(token),
            State::New | State::Void => None,
        }
    }

    /// Whether the connection is over.
    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(*lock(&self.0), State::Void)
    }

    /// Lets the client return, unless it is too late.
    pub(crate) fn admit(&self, token: [u8; 16]) {
        let mut state = lock(&self.0);
        if !matches!(*state, State::Void) {
            *state = State::Good(token);
        }
    }

    /// Lets nobody return any more.
    pub(crate) fn cancel(&self) {
        *lock(&self.0) = State::Void;
    }
}

impl PartialEq for Ticket {
    /// Whether both are clones of one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Ticket {}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_from_the_welcome_to_the_end() {
        let (ticket, theirs) = (Ticket::new(), Ticket::new());
        assert_ne!(ticket, theirs);
        let theirs = ticket.clone();
        assert_eq!(ticket, theirs);
        assert!(!ticket.is_good() && !ticket.is_void());
        theirs.admit([1; 16]);
        assert!(ticket.is_good() && !ticket.is_void());
        theirs.cancel();
        theirs.admit([2; 16]);
        assert!(!ticket.is_good() && ticket.is_void());
    }
}
