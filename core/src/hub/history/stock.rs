//! What there is for a filter: the next event, the last ones, and whether some are gone.

use alloc::sync::Arc;
use core::ops::Bound;

use super::readers::{Mode, Reader};
use super::store::{Histories, Kept, Log};
use crate::topic::{Topic, TopicFilter};

/// What one request may look at: what it asks for may be much more.
pub(crate) struct Looks {
    /// What it cannot see then counts as gone where any event is.
    topics: usize,
    /// What is behind them counts as gone.
    events: usize,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            topics: 4_096,
            events: 16_384,
        }
    }
}

impl Looks {
    /// What the subscriptions of a client that returns may look at, all together.
    pub(crate) fn of_a_return() -> Self {
        let Self { topics, events } = Self::default();
        Self {
            topics: 4 * topics,
            events: 4 * events,
        }
    }

    /// One more event; false when it has to stop.
    fn event(&mut self) -> bool {
        let left = self.events > 0;
        self.events = self.events.saturating_sub(1);
        left
    }
}

/// What a reader may still do in a turn, so that others have theirs.
pub(crate) struct Share {
    /// Events, or topics, that it looks at.
    pub(crate) looks: usize,
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

/// What a reader comes to.
pub(crate) enum Next<'h> {
    Event(u64, &'h Kept),
    /// There is nothing more to read.
    Over,
    /// It has looked at enough for now.
    Enough,
}

/// What there is behind an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stock {
    /// The first offset and the last one, if there are any.
    pub(crate) span: Option<(u64, u64)>,
    /// The newest of the events that are not here any more.
    pub(crate) gone: u64,
}

impl Stock {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        let both =
            |(first, last): (u64, u64), (from, to): (u64, u64)| (first.min(from), last.max(to));
        let span = match (self.span, other.span) {
            (Some(one), Some(other)) => Some(both(one, other)),
            (one, other) => one.or(other),
        };
        let gone = self.gone.max(other.gone);
        Self { span, gone }
    }
}

/// The newest events of a filter up to an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// How many there are, at most as many as were asked for.
    pub(crate) events: u64,
    /// The offset of the first of them; behind all of them where there is none.
    pub(crate) first: u64,
}

impl<C> Histories<C> {
    /// What there is for some filters behind an offset.
    pub(crate) fn stock<'f>(
        &self,
        filters: impl IntoIterator<Item = TopicFilter<'f>>,
        behind: u64,
        looks: &mut Looks,
    ) -> Stock {
        let stocks = filters
            .into_iter()
            .map(|filter| self.stock_of(filter, behind, looks));
        stocks.fold(Stock::default(), Stock::and)
    }

    fn stock_of(&self, filter: TopicFilter<'_>, behind: u64, looks: &mut Looks) -> Stock {
        let mut stock = Stock {
            span: None,
            gone: self.forgotten,
        };
        for (topic, log) in self.logs_from(filter, None) {
            let Some(left) = looks.topics.checked_sub(1) else {
                return self.stock_of_any(behind);
            };
            looks.topics = left;
            if filter.matches(Topic::checked(topic)) {
                stock = stock.and(log.stock(behind));
            }
        }
        stock
    }

    /// What there might be, when there are too many topics to look at.
    fn stock_of_any(&self, behind: u64) -> Stock {
        Stock {
            span: (behind < self.newest()).then_some((behind + 1, self.newest())),
            gone: self.gone,
        }
    }

    /// The last events of a filter between two offsets, at most so many; `floor` itself is not among them, `ceiling` is.
    pub(crate) fn tail(
        &self,
        filter: TopicFilter<'_>,
        floor: u64,
        ceiling: u64,
        at_most: u64,
        looks: &mut Looks,
    ) -> Tail {
        let none = Tail {
            events: 0,
            first: ceiling + 1,
        };
        if floor >= ceiling {
            return none;
        }
        let add = |tail: Tail, first: u64| Tail {
            events: tail.events + 1,
            first,
        };
        let at_most = usize::try_from(at_most).unwrap_or(usize::MAX);
        if let Some(topic) = exact(filter) {
            let offsets = self
                .logs
                .get(topic)
                .into_iter()
                .flat_map(|log| &log.offsets);
            let between = offsets
                .copied()
                .rev()
                .skip_while(|offset| *offset > ceiling)
                .take_while(|offset| *offset > floor && looks.event());
            return between.take(at_most).fold(none, add);
        }
        let events = self.events.range(floor + 1..=ceiling).rev();
        let of_filter = events
            .take_while(|_| looks.event())
            .filter(|(_, kept)| filter.matches(Topic::checked(&kept.topic)));
        let offsets = of_filter.map(|(offset, _)| *offset);
        offsets.take(at_most).fold(none, add)
    }

    /// What `reader` reads next, whose place moves up to there and not beyond.
    pub(crate) fn next<'h>(&'h self, reader: &mut Reader<C>, share: &mut Share) -> Next<'h> {
        let filter = TopicFilter::checked(&reader.filter);
        match &mut reader.mode {
            Mode::Past { cursor, .. } => self.next_event(filter, cursor, share),
            Mode::Values { after, upto } => self.next_value(filter, after, *upto, share),
        }
    }

    fn next_event<'h>(
        &'h self,
        filter: TopicFilter<'_>,
        cursor: &mut u64,
        share: &mut Share,
    ) -> Next<'h> {
        if let Some(topic) = exact(filter) {
            let log = self.logs.get(topic);
            let next = log.and_then(|log| log.first_behind(*cursor));
            let kept = next.and_then(|offset| Some((offset, self.events.get(&offset)?)));
            return kept.map_or(Next::Over, |(offset, kept)| Next::Event(offset, kept));
        }
        for (offset, kept) in self.events.range(*cursor + 1..) {
            if filter.matches(Topic::checked(&kept.topic)) {
                return Next::Event(*offset, kept);
            }
            if share.looks == 0 {
                return Next::Enough;
            }
            share.looks -= 1;
            *cursor = *offset;
        }
        Next::Over
    }

    fn next_value<'h>(
        &'h self,
        filter: TopicFilter<'_>,
        after: &mut Option<Arc<str>>,
        upto: u64,
        share: &mut Share,
    ) -> Next<'h> {
        let from = after.clone();
        for (topic, log) in self.logs_from(filter, from.as_deref()) {
            // A newer one was offered as an event.
            let value = log.offsets.back().filter(|offset| **offset <= upto);
            if let Some(offset) = value
                && filter.matches(Topic::checked(topic))
                && let Some(kept) = self.events.get(offset)
            {
                return Next::Event(*offset, kept);
            }
            if share.looks == 0 {
                return Next::Enough;
            }
            share.looks -= 1;
            *after = Some(topic.clone());
        }
        Next::Over
    }

    /// The topics among which those of a filter are, by name, behind one of them.
    fn logs_from<'f>(
        &self,
        filter: TopicFilter<'f>,
        behind: Option<&str>,
    ) -> impl Iterator<Item = (&Arc<str>, &Log)> + use<'_, 'f, C> {
        let prefix = names_of(filter);
        let from = match behind {
            Some(name) => Bound::Excluded(name),
            None => Bound::Included(prefix),
        };
        let logs = self.logs.range::<str, _>((from, Bound::Unbounded));
        let at_most = exact(filter).map_or(usize::MAX, |_| 1);
        logs.take_while(move |(topic, _)| topic.starts_with(prefix))
            .take(at_most)
    }
}

impl Log {
    fn first_behind(&self, offset: u64) -> Option<u64> {
        let index = self.offsets.partition_point(|kept| *kept <= offset);
        self.offsets.get(index).copied()
    }

    fn stock(&self, behind: u64) -> Stock {
        let first = self.first_behind(behind);
        Stock {
            span: first.zip(self.offsets.back().copied()),
            gone: self.gone,
        }
    }
}

/// The one topic of a filter without wildcards.
fn exact<'f>(filter: TopicFilter<'f>) -> Option<&'f str> {
    (!filter.as_str().contains('*')).then_some(filter.as_str())
}

/// The names that all topics of a filter begin with.
fn names_of<'f>(filter: TopicFilter<'f>) -> &'f str {
    let text = filter.as_str();
    match text.find('*') {
        Some(wildcard) => text[..wildcard].trim_end_matches('/'),
        None => text,
    }
}
