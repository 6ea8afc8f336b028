//! The topics of a simulated world, and what may be done with them.

use std::sync::LazyLock;

use lapwing::hub::{History, Rule};
use lapwing::{Policy, TopicFilter};

/// Every topic, so that a set of topics is a number: one bit for each.
pub(crate) const TOPICS: [&str; 22] = [
    "news/0",
    "news/1",
    "news/2",
    "room/0",
    "room/1",
    "room/2",
    "room/2/deep",
    "state/0",
    "state/1",
    "state/2",
    "log/0",
    "log/1",
    "kept/0",
    "kept/1",
    "gate/0",
    "gate/1",
    "mine/0",
    "mine/1",
    "mine/2",
    "secret/0",
    "direct/0",
    "direct/1",
];

/// What clients publish on; the rest is the hub's own.
pub(crate) const PUBLIC: u64 = set(0, 16);

/// What a client is sent although it has not asked.
pub(crate) const DIRECT: u64 = set(20, 22);

/// What nobody may have.
pub(crate) const SECRET: u64 = set(19, 20);

/// What the users of a gate may have for as long as it is open for them.
pub(crate) const GATED: u64 = set(14, 16);

/// What one user may have, by its number.
pub(crate) const MINE: u64 = set(16, 19);

/// What clients ask for, more often when it stands here more often.
pub(crate) const FILTERS: [&str; 26] = [
    "news/*",
    "news/0",
    "news/1",
    "news/2",
    "news/**",
    "room/*",
    "room/**",
    "room/1",
    "room/2",
    "room/2/deep",
    "state/*",
    "state/1",
    "state/**",
    "log/1",
    "log/0",
    "log/*",
    "kept/*",
    "kept/1",
    "gate/0",
    "gate/1",
    "gate/0",
    "kept/*",
    "mine/1",
    "mine/*",
    "secret/0",
    "**",
];

const fn set(from: u32, to: u32) -> u64 {
    (1 << to) - (1 << from)
}

/// The topics that `filter` selects.
pub(crate) fn selected(filter: &str) -> u64 {
    let filter = TopicFilter::new(filter).expect("a filter of ours");
    let matching = TOPICS.iter().enumerate().filter(|(_, topic)| {
        let topic = lapwing::Topic::new(topic).expect("a topic of ours");
        filter.matches(topic)
    });
    matching.fold(0, |set, (bit, _)| set | 1 << bit)
}

/// The bit of a topic; `None` for one that the world does not have.
pub(crate) fn bit(topic: &str) -> Option<u8> {
    static SORTED: LazyLock<Vec<(&str, u8)>> = LazyLock::new(|| {
        let mut all: Vec<_> = TOPICS.iter().copied().zip(0..).collect();
        all.sort_unstable();
        all
    });
    let found = SORTED.binary_search_by_key(&topic, |(name, _)| name).ok()?;
    Some(SORTED[found].1)
}

/// The topics of `set`, by bit.
pub(crate) fn members(set: u64) -> impl Iterator<Item = u8> {
    (0..64).filter(move |bit| set >> bit & 1 == 1)
}

/// Whether the user with this number may ask for `filter` now; `open` are the gates.
pub(crate) fn may(user: usize, filter: &str, open: u64) -> bool {
    let wanted = selected(filter);
    // A check of the rules sees the filter, and ours know no wildcards.
    let gated = wanted & GATED == 0 || filter.starts_with("gate/") && wanted & !open == 0;
    let mine = wanted & MINE == 0 || filter == format!("mine/{}", user % 3);
    gated && mine && wanted & (SECRET | DIRECT) == 0
}

/// The rules that say the same, but for gates and users.
pub(crate) fn rules() -> Vec<(&'static str, Rule)> {
    vec![
        ("news/**", Rule::open()),
        ("room/**", Rule::open().policy(Policy::DropOldest)),
        ("state/**", Rule::open().policy(Policy::KeepLatest)),
        ("log/**", Rule::open().history(kept())),
        ("kept/**", Rule::open().retain()),
        ("secret/**", Rule::closed()),
        ("direct/**", Rule::closed()),
    ]
}

/// What a topic with a history keeps.
fn kept() -> History {
    History {
        events_max: 40,
        ..History::default()
    }
}
