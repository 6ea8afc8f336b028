//! The connections to which clients may return, by the secrets that open them: [`Tickets`].

use std::collections::HashMap;

use lapwing::ConnectionId;
use lapwing::transport::Ticket;

use crate::refusal::Refusal;

/// So many are not looked through for those that are void.
const FEW: usize = 64;

/// What each connection has that was negotiated for it: no more than twice as many as were there when void ones were last thrown away.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    known: HashMap<String, (ConnectionId, Ticket)>,
    sound: usize,
}

impl Tickets {
    /// Makes one for a connection that begins.
    pub(crate) fn issue(&mut self, token: &str, connection: ConnectionId) -> Ticket {
        if self.known.len() >= 2 * self.sound.max(FEW) {
            self.known.retain(|_, (_, ticket)| !ticket.is_void());
            self.sound = self.known.len();
        }
        let ticket = Ticket::new();
        self.known
            .insert(token.into(), (connection, ticket.clone()));
        ticket
    }

    /// The connection to which a client returns with this secret.
    ///
    /// # Errors
    ///
    /// It is over, or there was none; or it has only just begun.
    pub(crate) fn find(&mut self, token: &str) -> Result<(ConnectionId, Ticket), Refusal> {
        let (_, ticket) = self.known.get(token).ok_or(Refusal::unknown())?;
        if ticket.is_void() {
            self.known.remove(token);
            return Err(Refusal::unknown());
        }
        match ticket.is_good() {
            true => Ok(self.known[token].clone()),
            false => Err(Refusal::conflict("it has a WebSocket already")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn void_ones_are_thrown_away() {
        let mut tickets = Tickets::default();
        let connection = ConnectionId::from_bytes([1; 16]);
        let held: Vec<_> = (0..100)
            .map(|index| tickets.issue(&format!("held {index}"), connection))
            .collect();
        for index in 0..1_000 {
            let token = format!("void {index}");
            drop(tickets.issue(&token, connection));
            assert_eq!(tickets.find(&token), Err(Refusal::unknown()));
            drop(tickets.issue(&token, connection));
            assert!(tickets.known.len() <= 202);
        }
        let conflict = Refusal::conflict("it has a WebSocket already");
        assert_eq!(tickets.find("held 0"), Err(conflict), "nobody was let in");
        drop(held);
        assert_eq!(tickets.find("held 1"), Err(Refusal::unknown()));
    }
}
