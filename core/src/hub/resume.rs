//! Who may return: tokens, what a connection keeps for its client, and a client that has returned.

use alloc::boxed::Box;
use alloc::vec::Vec;
use std::collections::HashMap;
use std::sync::Mutex;

use super::connection::Live;
use super::guest::Guest;
use crate::id::Group;
use crate::registry::{Key, Seed};
use crate::session::Ending;
use crate::sync::lock;
use crate::transport::Ticket;
use crate::wire::{Close, CloseReason, Continued, Position};

/// What a client shows to resume its session.
pub(crate) type Token = [u8; 16];

/// Which connection each token stands for.
pub(crate) struct Tokens(Mutex<HashMap<Token, Key, Seed>>);

impl Tokens {
    pub(crate) fn new(seed: Seed) -> Self {
        Self(Mutex::new(HashMap::with_hasher(seed)))
    }

    pub(crate) fn insert(&self, token: Token, key: Key) {
        lock(&self.0).insert(token, key);
    }

    pub(crate) fn find(&self, token: &Token) -> Option<Key> {
        lock(&self.0).get(token).copied()
    }

    #[inline]
    pub(crate) fn remove(&self, tokens: impl IntoIterator<Item = Token>) {
        for token in tokens {
            lock(&self.0).remove(&token);
        }
    }
}

/// What a connection keeps for a client that wants to resume.
pub(crate) struct Claim {
    pub(crate) token: Token,
    /// Of the connection by which it came last: it has given up all before.
    number: u64,
    /// How it returned last, until it has said something since: it may not have heard our welcome.
    pub(crate) before: Option<Box<Before>>,
}

/// A return whose welcome may be lost: the client may return in the same way again.
pub(crate) struct Before {
    token: Token,
    received: Option<u64>,
    /// What it was told.
    pub(crate) continued: Continued,
}

impl Before {
    pub(crate) fn new(wish: &Resume, continued: Continued) -> Self {
        Self {
            token: wish.token,
            received: wish.received,
            continued,
        }
    }
}

impl Claim {
    pub(crate) fn new(token: Token, number: u64) -> Self {
        Self {
            token,
            number,
            before: None,
        }
    }

    /// The same after a return.
    pub(crate) fn renewed(token: Token, number: u64, before: Before) -> Self {
        Self {
            before: Some(Box::new(before)),
            ..Self::new(token, number)
        }
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> {
        let before = self.before.as_ref().map(|before| before.token);
        core::iter::once(self.token).chain(before)
    }

    /// The token that is used up, now that the client has said something.
    pub(crate) fn prove(&mut self) -> Option<Token> {
        self.before.take().map(|before| before.token)
    }
}

/// What a client says of the session that it wants to resume.
#[derive(Clone, Debug)]
pub(crate) struct Resume {
    pub(crate) token: Token,
    /// Data frames that it has; `None`: it returns by a ticket, and has those that it has confirmed.
    pub(crate) received: Option<u64>,
    pub(crate) positions: Vec<Position>,
}

impl Resume {
    /// Whether the client's transport answers for it: it can go on with its connection, and with nothing else.
    pub(crate) fn is_by_ticket(&self) -> bool {
        self.received.is_none()
    }
}

/// A client that has returned, and waits for the task of its connection.
pub(crate) struct Arrival {
    /// Of the connection that it came by: its link is what is needed.
    pub(crate) live: Box<Live>,
    pub(crate) resume: Resume,
    /// Of that connection: a client has given up all by which it came before.
    pub(crate) number: u64,
    /// What it got at the door.
    pub(crate) groups: Vec<Group>,
    pub(crate) guest: Guest,
}

/// Why a client cannot go on with the session that it names; it has its transport back.
pub(crate) enum NotResumed {
    /// The session is over, or the token is used up.
    Unknown(Box<Live>),
    /// The client counts what was not sent.
    Count(Box<Live>),
}

impl Live {
    /// Whether its client may go on with it, now or after a break that is under way.
    pub(crate) fn is_resumable(&self) -> bool {
        let session = &self.link.session;
        self.claim.is_some() && !self.left && (session.is_ready() || self.goes_on())
    }

    /// Whether its transport is lost and its client may return.
    pub(crate) fn goes_on(&self) -> bool {
        let lost = self.link.session.ending().is_some_and(|ending| {
            // Who returns by a ticket has heard our last words, or will: then it does not.
            let silent = ending == Ending::Lost;
            silent || self.ticket().is_none() && is_loss(ending)
        });
        self.claim.is_some() && lost && !self.left && self.dismissed.is_none()
    }

    /// By which its client, let in already, returns to go on where it was.
    pub(crate) fn ticket(&self) -> Option<&Ticket> {
        self.link.ticket().filter(|_| self.claim.is_some())
    }

    /// Takes in a client that has returned, for the task of the connection to go on with.
    pub(crate) fn arrive(&mut self, arrival: Arrival) -> Result<Option<Box<Arrival>>, NotResumed> {
        match self.check(&arrival) {
            Some(true) => Ok(self.arrival.replace(Box::new(arrival))),
            Some(false) => Err(NotResumed::Count(arrival.live)),
            None => Err(NotResumed::Unknown(arrival.live)),
        }
    }

    /// Whether counts of a return are possible; `None` when nobody may return in this way, or has since.
    pub(crate) fn check(&self, arrival: &Arrival) -> Option<bool> {
        let resume = &arrival.resume;
        let claim = self.claim.as_ref().filter(|_| self.is_resumable())?;
        let waiting = self.arrival.as_ref().map(|waiting| waiting.number);
        if Some(claim.number).max(waiting) > Some(arrival.number) {
            return None;
        }
        let session = &self.link.session;
        let counted = match &claim.before {
            _ if claim.token == resume.token => {
                let possible = session.acknowledged()..=session.sent();
                let received = resume.received;
                received.is_none_or(|received| possible.contains(&received))
            }
            Some(before) if before.token == resume.token => before.received == resume.received,
            _ => return None,
        };
        let accounted = |position: &Position| {
            let offered = self.accounts.offered(position.subscription);
            offered.is_none_or(|offered| position.accounted <= offered)
        };
        Some(counted && resume.positions.iter().all(accounted))
    }

    /// How a return went before that is repeated, as its welcome was lost.
    pub(crate) fn repeated(&self, resume: &Resume) -> Option<Continued> {
        let before = self.claim.as_ref()?.before.as_ref()?;
        (before.token == resume.token).then_some(before.continued)
    }
}

/// Whether a connection ended in a way in which nobody wanted it to.
pub(crate) fn is_loss(ending: Ending) -> bool {
    use CloseReason as R;
    match ending {
        Ending::Lost => true,
        Ending::ByUs(Close { reason, .. }) => matches!(
            reason,
            R::TooSlow | R::Stalled | R::Silent | R::MessageTooLarge { .. }
        ),
        Ending::ByPeer(Close { reason, .. }) => matches!(reason, R::Stalled | R::Silent),
        Ending::Refused(_) | Ending::Resumed => false,
    }
}
