//! Looking whether an event would find room, before it is offered.

use super::HubLane;
use super::entry::{Load, Owner};
use crate::policy::Policy;

/// An event that somebody would like to offer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prospect {
    /// What it has, framed.
    pub(crate) bytes: usize,
    /// Stands for the topic.
    pub(crate) topic: u64,
    /// There is no memory for more.
    pub(crate) tight: bool,
}

impl HubLane {
    /// Whether waiting would save something: offered now, the event would cost its subscriber this or another event, or
    /// its connection, and it would not when more of what waits has left.
    pub(crate) fn is_worth_waiting_for(
        &self,
        prospect: Prospect,
        subscription: u32,
        policy: Policy,
    ) -> bool {
        let Prospect {
            bytes,
            topic,
            tight,
        } = prospect;
        // Nothing leaves for who is away, and what is too large stays so.
        if self.away || self.torn || self.is_too_large(bytes) || self.is_idle() {
            return false;
        }
        let owner = Owner::Droppable {
            subscription,
            topic,
        };
        let fits = match policy {
            Policy::Disconnect => self.fits(bytes, 1),
            Policy::KeepLatest if self.holds(owner) => false,
            _ => self.has_room(bytes, Load::default()),
        };
        tight || !fits
    }

    /// Whether an event of this subscription and topic waits.
    fn holds(&self, owner: Owner) -> bool {
        let mut waiting = self.entries.iter();
        waiting.any(|entry| entry.owner == owner && !entry.is_hole())
    }
}
