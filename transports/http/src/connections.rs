//! The connections of an endpoint by the secrets that open them: [`Connections`].

use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapwing::transport::Ticket;
use lapwing::{ConnectionId, Instant};

use crate::pipe::Pipe;
use crate::piped::Way;
use crate::refusal::Refusal;
use crate::tickets::Tickets;

/// Secrets that are remembered although they open nothing any more.
const REMEMBERED_MAX: usize = 1_024;

/// What was negotiated, for a bounded time and in a bounded number; and what is made of several requests.
#[derive(Debug)]
pub(crate) struct Connections {
    known: Mutex<Known>,
    waiting_max: usize,
    within: Duration,
}

#[derive(Debug, Default)]
struct Known {
    waiting: HashMap<String, Waiting>,
    /// Those that wait and some that do no more, the oldest first.
    in_order: VecDeque<String>,
    open: HashMap<String, (Arc<Pipe>, Way)>,
    /// The newest of those that have a WebSocket, or had, and only one.
    attached: Remembered,
    /// Those that may have another one when it is lost.
    tickets: Tickets,
    /// The newest of those that were polled and are over.
    ended: Remembered,
}

/// What was negotiated.
#[derive(Debug)]
struct Waiting {
    connection: ConnectionId,
    until: Instant,
    /// Its client may return when its WebSocket is lost.
    returns: bool,
}

/// The newest of some secrets.
#[derive(Debug, Default)]
struct Remembered(VecDeque<String>);

impl Remembered {
    fn insert(&mut self, token: String) {
        self.0.push_back(token);
        if self.0.len() > REMEMBERED_MAX {
            self.0.pop_front();
        }
    }

    fn has(&self, wanted: &str) -> bool {
        self.0.iter().any(|token| token == wanted)
    }

    fn remove(&mut self, wanted: &str) -> bool {
        let index = self.0.iter().position(|token| token == wanted);
        index.and_then(|index| self.0.remove(index)).is_some()
    }
}

/// What a secret opens.
#[derive(Debug)]
pub(crate) enum Found {
    /// A connection that begins now.
    New(ConnectionId, Arc<Pipe>),
    /// One that is there.
    Open(Arc<Pipe>, Way),
    /// One that was polled, and is over.
    Ended,
    Nothing,
}

impl Connections {
    pub(crate) fn new(waiting_max: usize, within: Duration) -> Self {
        Self {
            known: Mutex::default(),
            waiting_max,
            within,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what was negotiated, in the place of what has waited longest when there is no other: whoever means it comes at once.
    pub(crate) fn insert(
        &self,
        token: String,
        connection: ConnectionId,
        returns: bool,
        now: Instant,
    ) {
        let known = &mut *self.lock();
        while known.waiting.len() >= self.waiting_max.max(1) {
            known.forget_oldest();
        }
        // Those that came are forgotten when twice as many have.
        while known.in_order.len() >= 2 * self.waiting_max.max(1) {
            known.forget_oldest();
        }
        known.in_order.push_back(token.clone());
        let until = now + self.within;
        let waiting = Waiting {
            connection,
            until,
            returns,
        };
        known.waiting.insert(token, waiting);
    }

    /// The connection for a WebSocket with `token`, one that waits or one to which its client returns; and by what it may return.
    ///
    /// # Errors
    ///
    /// It opens none, or has one already.
    pub(crate) fn attach(
        &self,
        token: &str,
        now: Instant,
    ) -> Result<(ConnectionId, Option<Ticket>), Refusal> {
        let mut known = self.lock();
        let Some(waiting) = known.take(token, now) else {
            return match known.attached.has(token) {
                true => Err(Refusal::conflict("it has a WebSocket already")),
                false => known
                    .tickets
                    .find(token)
                    .map(|(id, ticket)| (id, Some(ticket))),
            };
        };
        let ticket = match waiting.returns {
            true => Some(known.tickets.issue(token, waiting.connection)),
            false => {
                known.attached.insert(token.into());
                None
            }
        };
        Ok((waiting.connection, ticket))
    }

    /// What `token` opens to hear by; a connection that waits begins.
    pub(crate) fn open(&self, token: &str, way: Way, now: Instant) -> Found {
        let mut known = self.lock();
        if let Some((pipe, way)) = known.open.get(token) {
            return Found::Open(pipe.clone(), *way);
        }
        if let Some(Waiting { connection, .. }) = known.take(token, now) {
            let pipe = Arc::new(Pipe::default());
            known.open.insert(token.into(), (pipe.clone(), way));
            return Found::New(connection, pipe);
        }
        match known.ended.remove(token) {
            true => Found::Ended,
            false => Found::Nothing,
        }
    }

    /// The connection that `token` opens, if it is made of several requests.
    pub(crate) fn find(&self, token: &str) -> Option<(Arc<Pipe>, Way)> {
        let (pipe, way) = self.lock().open.get(token)?.clone();
        Some((pipe, way))
    }

    /// Forgets a connection that is over. A client that did not end it itself may `ask` once more.
    pub(crate) fn forget(&self, token: &str, asks: bool) {
        let mut known = self.lock();
        let removed = known.open.remove_entry(token);
        if let Some((token, (_, Way::Polls))) = removed.filter(|_| asks) {
            known.ended.insert(token);
        }
    }
}

impl Known {
    fn forget_oldest(&mut self) {
        if let Some(token) = self.in_order.pop_front() {
            self.waiting.remove(&token);
        }
    }

    fn take(&mut self, token: &str, now: Instant) -> Option<Waiting> {
        let waiting = self.waiting.remove(token)?;
        (waiting.until > now).then_some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(15);

    fn id(byte: u8) -> ConnectionId {
        ConnectionId::from_bytes([byte; 16])
    }

    #[test]
    fn a_token_opens_its_connection_once_and_not_too_late() {
        let (waiting, now) = (Connections::new(10, WITHIN), Instant::from_micros(1));
        waiting.insert("a".into(), id(1), false, now);
        waiting.insert("b".into(), id(2), false, now);
        assert_eq!(waiting.attach("c", now), Err(Refusal::unknown()));
        assert_eq!(waiting.attach("a", now), Ok((id(1), None)));
        let conflict = Refusal::conflict("it has a WebSocket already");
        assert_eq!(waiting.attach("a", now), Err(conflict));
        assert_eq!(waiting.attach("b", now + WITHIN), Err(Refusal::unknown()));
    }

    #[test]
    fn the_newest_takes_the_place_of_the_oldest() {
        let (waiting, now) = (Connections::new(2, WITHIN), Instant::from_micros(1));
        for token in ["a", "b", "c"] {
            waiting.insert(token.into(), id(1), false, now);
        }
        assert!(waiting.attach("a", now).is_err());
        assert!(waiting.attach("b", now).is_ok());
        // Those that come make room.
        waiting.insert("d".into(), id(1), false, now);
        assert!(waiting.attach("c", now).is_ok());
        for index in 0..100 {
            let token = index.to_string();
            waiting.insert(token.clone(), id(1), false, now);
            assert!(waiting.attach(&token, now).is_ok());
            assert!(waiting.lock().in_order.len() <= 4);
        }
    }

    #[test]
    fn what_was_polled_is_remembered_for_one_more_poll() {
        let (connections, now) = (Connections::new(5_000, WITHIN), Instant::from_micros(1));
        for index in 0..REMEMBERED_MAX + 2 {
            let token = index.to_string();
            connections.insert(token.clone(), id(1), false, now);
            let way = if index == 1 { Way::Events } else { Way::Polls };
            assert!(matches!(connections.open(&token, way, now), Found::New(..)));
            assert!(matches!(
                connections.open(&token, way, now),
                Found::Open(..)
            ));
            connections.forget(&token, true);
            assert!(connections.find(&token).is_none());
        }
        let open = |token: &str| connections.open(token, Way::Polls, now);
        assert!(matches!(open("1"), Found::Nothing), "it was not polled");
        assert!(matches!(open("0"), Found::Nothing), "it is too long ago");
        assert!(matches!(open("2"), Found::Ended));
        assert!(matches!(open("2"), Found::Nothing), "it was told");
    }
}
