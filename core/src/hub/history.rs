//! What topics keep of their past, for those who come later.

mod publish;
mod readers;
mod stock;
mod store;
#[cfg(test)]
mod tests;
mod variants;

use core::time::Duration;

pub(crate) use self::readers::{Mode, Reader, ReaderId};
pub(crate) use self::stock::{Looks, Next, Share};
#[cfg(test)]
use self::store::Totals;
pub(crate) use self::store::{Histories, Kept};
pub(crate) use self::variants::Variants;

/// How much of its past each topic of a rule keeps; see [`Rule::history`](super::Rule::history).
///
/// # Examples
///
/// ```
/// use lapwing::hub::{History, Rule};
///
/// // The last hundred lines of each room, however old.
/// let lines = Rule::open().history(History { events_max: 100, age: None, ..History::default() });
/// # let _ = lines;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Events of one topic. Reached: the oldest goes.
    ///
    /// 1,000: as many as may wait for one connection.
    pub events_max: u32,
    /// Bytes of one topic; an event has 256 beside its topic and its payload, which is what keeping it costs. Reached: the oldest
    /// goes.
    ///
    /// 1 MiB: as much as may wait for one connection.
    pub bytes_max: u32,
    /// How old an event may become; `None`: as old as there is room for it.
    ///
    /// 5 min: whoever was away for longer begins anew.
    pub age: Option<Duration>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            events_max: 1_000,
            bytes_max: 1024 * 1024,
            age: Some(Duration::from_secs(5 * 60)),
        }
    }
}

/// What the rule of a topic wants to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keep {
    pub(crate) history: Option<History>,
    /// The newest event stays whatever its age.
    pub(crate) retain: bool,
}

impl Keep {
    pub(crate) fn is_nothing(self) -> bool {
        self.history.is_none() && !self.retain
    }

    /// Whether so much is too much for one topic.
    fn is_exceeded(self, events: usize, bytes: u64) -> bool {
        if self.retain && events <= 1 {
            return false;
        }
        match self.history {
            Some(history) => {
                events > history.events_max as usize || bytes > u64::from(history.bytes_max)
            }
            None => events > 1,
        }
    }

    fn age(self) -> Option<Duration> {
        self.history?.age
    }
}
