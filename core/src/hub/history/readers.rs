//! Those who read the past: how far each of them has come, and what it was too slow for.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::hub::connection::Connection;
use crate::policy::Policy;
use crate::registry::Key;
use crate::topic::{Topic, TopicFilter};

/// The number of a connection, and that of its subscription.
pub(crate) type ReaderId = (u64, u32);

/// A subscription that gets events of the past.
pub(crate) struct Reader<C = Arc<Connection>> {
    pub(crate) connection: C,
    pub(crate) key: Key,
    pub(crate) filter: Box<str>,
    pub(crate) policy: Policy,
    pub(crate) mode: Mode,
    /// Events that were gone before it came to them, and of which it was not told yet.
    pub(crate) missed: u64,
    /// Some of what it reads was lost in a return, whose client was to hear so.
    pub(crate) lost: bool,
}

/// What a reader reads.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// All events behind an offset; then it hears the present.
    Past {
        /// How far it has come.
        cursor: u64,
        /// Where it began.
        began: u64,
    },
    /// The newest event of each topic behind this one, if it was published up to an offset. It hears the present meanwhile.
    Values { after: Option<Arc<str>>, upto: u64 },
}

impl Mode {
    /// From behind this offset to the present.
    pub(crate) fn behind(offset: u64) -> Self {
        Self::Past {
            cursor: offset,
            began: offset,
        }
    }
}

impl<C> Reader<C> {
    pub(crate) fn filter(&self) -> TopicFilter<'_> {
        TopicFilter::checked(&self.filter)
    }

    /// Moves behind an event of a topic.
    pub(crate) fn pass(&mut self, offset: u64, topic: &Arc<str>) {
        match &mut self.mode {
            Mode::Past { cursor, .. } => *cursor = offset,
            Mode::Values { after, .. } => *after = Some(topic.clone()),
        }
    }

    /// How far it has come, if that says what it may miss.
    fn cursor(&self) -> Option<u64> {
        match self.mode {
            Mode::Past { cursor, .. } => Some(cursor),
            Mode::Values { .. } => None,
        }
    }
}

/// All readers, and who is how far.
pub(crate) struct Readers<C = Arc<Connection>> {
    by_id: BTreeMap<ReaderId, Reader<C>>,
    /// So that an event that goes costs as much as there are readers who will miss it.
    cursors: BTreeSet<(u64, ReaderId)>,
}

impl<C> Default for Readers<C> {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            cursors: BTreeSet::new(),
        }
    }
}

impl<C> Readers<C> {
    pub(crate) fn insert(&mut self, id: ReaderId, reader: Reader<C>) {
        self.cursors
            .extend(reader.cursor().map(|cursor| (cursor, id)));
        self.by_id.insert(id, reader);
    }

    pub(crate) fn remove(&mut self, id: ReaderId) -> Option<Reader<C>> {
        let reader = self.by_id.remove(&id)?;
        if let Some(cursor) = reader.cursor() {
            self.cursors.remove(&(cursor, id));
        }
        Some(reader)
    }

    /// The subscriptions of a connection that read, lowest number first.
    pub(crate) fn of(&self, connection: u64) -> Vec<u32> {
        let readers = self.by_id.range((connection, 0)..=(connection, u32::MAX));
        readers.map(|((_, number), _)| *number).collect()
    }

    /// An event is gone: those who had not come to it miss it.
    pub(super) fn miss(&mut self, offset: u64, topic: Topic<'_>) {
        for (_, id) in self.cursors.range(..(offset, ReaderId::default())) {
            if let Some(reader) = self.by_id.get_mut(id)
                && reader.filter().matches(topic)
            {
                reader.missed += 1;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn get(&self, id: ReaderId) -> Option<&Reader<C>> {
        self.by_id.get(&id)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}
