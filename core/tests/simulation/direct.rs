//! What was sent straight to one client, beside what it heard of it.

use lapwing::ConnectionId;

use crate::book::Id;

/// One event on its way to a client.
#[derive(Clone, Copy, Debug)]
struct Sent {
    id: Id,
    connection: ConnectionId,
    /// The client had been told that it is there.
    entered: bool,
}

/// All that was sent to one client, in order.
#[derive(Default)]
pub(crate) struct Direct {
    sent: Vec<Sent>,
    /// Everything before this place is settled.
    place: usize,
    told: u64,
    unknown: bool,
}

impl Direct {
    pub(crate) fn send(&mut self, id: Id, connection: ConnectionId, entered: bool) {
        self.sent.push(Sent {
            id,
            connection,
            entered,
        });
    }

    /// The client hears an event, on this connection.
    pub(crate) fn hear(&mut self, id: Id, connection: Option<ConnectionId>) -> Result<(), String> {
        let same = |sent: &Sent| sent.id == id && Some(sent.connection) == connection;
        let found = self.sent.iter().rposition(same);
        let Some(place) = found.filter(|place| *place >= self.place) else {
            return Err(format!("{id} was not sent to it, is late or comes twice"));
        };
        self.settle(place, connection)?;
        self.place = place + 1;
        Ok(())
    }

    pub(crate) fn miss(&mut self, missed: Option<u64>) {
        match missed {
            Some(missed) => self.told += missed,
            None => self.unknown = true,
        }
    }

    /// Everything that was sent so far was heard or counted.
    pub(crate) fn is_done(&mut self, connection: Option<ConnectionId>) -> Result<(), String> {
        self.settle(self.sent.len(), connection)
    }

    /// What was sent to a connection that is no more may be lost.
    fn settle(&mut self, place: usize, connection: Option<ConnectionId>) -> Result<(), String> {
        let missing = &self.sent[self.place..place];
        let present = |sent: &&Sent| sent.entered && Some(sent.connection) == connection;
        let must = missing.iter().filter(present).count() as u64;
        let range = must..=missing.len() as u64;
        if !self.unknown && !range.contains(&self.told) {
            return Err(format!("{range:?} are missing, told were {}", self.told));
        }
        (self.place, self.told, self.unknown) = (place, 0, false);
        Ok(())
    }
}
