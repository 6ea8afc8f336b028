//! Connections that were negotiated and have no transport yet: [`Waiting`].

use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lapwing::{ConnectionId, Instant};

/// What was negotiated, by the secret that opens it, for a bounded time and in a bounded number.
#[derive(Debug)]
pub(crate) struct Waiting {
    by_token: Mutex<HashMap<String, (ConnectionId, Instant)>>,
    max: usize,
    within: Duration,
}

impl Waiting {
    pub(crate) fn new(max: usize, within: Duration) -> Self {
        Self {
            by_token: Mutex::default(),
            max,
            within,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (ConnectionId, Instant)>> {
        self.by_token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a connection; false when there are too many.
    pub(crate) fn insert(&self, token: String, connection: ConnectionId, now: Instant) -> bool {
        let mut by_token = self.lock();
        if by_token.len() >= self.max {
            by_token.retain(|_, (_, until)| *until > now);
        }
        let has_room = by_token.len() < self.max;
        if has_room {
            by_token.insert(token, (connection, now + self.within));
        }
        has_room
    }

    /// The connection that `token` opens; it opens none again.
    pub(crate) fn take(&self, token: &str, now: Instant) -> Option<ConnectionId> {
        let (connection, until) = self.lock().remove(token)?;
        (until > now).then_some(connection)
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
        let (waiting, now) = (Waiting::new(10, WITHIN), Instant::from_micros(1));
        assert!(waiting.insert("a".into(), id(1), now));
        assert!(waiting.insert("b".into(), id(2), now));
        assert_eq!(waiting.take("c", now), None);
        assert_eq!(waiting.take("a", now), Some(id(1)));
        assert_eq!(waiting.take("a", now), None);
        assert_eq!(waiting.take("b", now + WITHIN), None);
    }

    #[test]
    fn those_whose_time_is_over_make_room_for_others() {
        let (waiting, now) = (Waiting::new(2, WITHIN), Instant::from_micros(1));
        assert!(waiting.insert("a".into(), id(1), now));
        let later = now + Duration::from_secs(1);
        assert!(waiting.insert("b".into(), id(2), later));
        assert!(!waiting.insert("c".into(), id(3), later));
        assert!(waiting.insert("c".into(), id(3), now + WITHIN));
        assert!(!waiting.insert("d".into(), id(4), now + WITHIN));
        assert_eq!(waiting.take("b", now + WITHIN), Some(id(2)));
    }
}
