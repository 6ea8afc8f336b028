//! What became of an event.

/// What became of an event: how many subscribers have it, how many do not, or that there was nobody.
///
/// # Examples
///
/// ```
/// use lapwing::hub::Published;
///
/// let missed = Published { queued: 2, dropped: 1 };
/// assert!(!missed.is_nobody(), "somebody was too slow for it");
/// assert!(Published::default().is_nobody(), "a topic that nobody hears, or a typing error");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Subscribers that have it in their lane.
    pub queued: u32,
    /// Events that subscribers miss because of it: this one, or older ones in its place; or they were ended for being full.
    pub dropped: u32,
}

impl Published {
    /// Whether nobody was there to hear it. What a topic keeps of its events, those who come later still get.
    pub fn is_nobody(&self) -> bool {
        *self == Self::default()
    }
}
