//! What became of an event.

/// What became of an event: how many subscribers have it, and how many do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Subscribers that have it in their lane.
    pub queued: u32,
    /// Events that subscribers miss because of it: this one, or older ones in its place; or they were ended for being full.
    pub dropped: u32,
}
