//! What happens to a subscriber that is full.

/// What a subscription does with an event for which its connection has no room.
///
/// Chosen by the subscriber, applied by the hub: a publisher never waits for a slow subscriber. Whatever a policy drops,
/// the subscriber is told how many events it missed, at the place where they are missing.
///
/// # Examples
///
/// ```
/// use lapwing::Policy;
///
/// assert_eq!(Policy::default(), Policy::Disconnect);
/// ```
// The order of the variants is on the wire: new ones go to the end.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Ends the connection: for events of which not one may be missed without a fresh start.
    #[default]
    Disconnect,
    /// Drops the oldest waiting events of this subscription, never those of another: for news that age.
    DropOldest,
    /// Drops the new event: for a sequence whose beginning matters most.
    DropNewest,
    /// Keeps one value per topic, the newest, in the queue place of the value it replaces: for states, like a position.
    KeepLatest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_variants_is_frozen() {
        let policies = [
            Policy::Disconnect,
            Policy::DropOldest,
            Policy::DropNewest,
            Policy::KeepLatest,
        ];
        for (number, policy) in (0..).zip(policies) {
            let mut bytes = [0; 4];
            let written = postcard::to_slice(&policy, &mut bytes).expect("one byte");
            assert_eq!(*written, [number], "{policy:?}");
        }
    }
}
