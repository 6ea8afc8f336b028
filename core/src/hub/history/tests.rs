//! What is kept, against a naive model that looks at everything.

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::ConnectionId;
use crate::limits::Limits;
use crate::policy::Policy;
use crate::registry::{Key, Registry};
use crate::time::Instant;
use crate::topic::{Topic, TopicFilter};
use crate::wire::Encoding;

const TOPICS: [&str; 5] = ["a", "a/b", "ab", "b/a", "b/b"];
const FILTERS: [&str; 7] = ["a", "a/b", "a/*", "a/**", "*", "*/b", "**"];
const TOPICS_MAX: u32 = 4;
const BYTES_MAX: u64 = 12 * 300;

#[derive(Clone, Debug)]
enum Step {
    Keep(usize, usize),
    Forget(usize),
    Pass(u64),
    Begin(usize, u64),
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..TOPICS.len(), 0..60_usize).prop_map(|(topic, size)| Step::Keep(topic, size)),
        1 => (0..TOPICS.len()).prop_map(Step::Forget),
        2 => (0..40_u64).prop_map(Step::Pass),
        2 => (0..FILTERS.len(), 0..60_u64).prop_map(|(filter, back)| Step::Begin(filter, back)),
        2 => (0..20_usize).prop_map(Step::Read),
    ]
}

/// What the rule of a topic says.
fn keep_of(topic: usize) -> Keep {
    let age = Some(Duration::from_micros(100));
    let history = |events_max, bytes_max, age| {
        let history = History {
            events_max,
            bytes_max,
            age,
        };
        Some(history)
    };
    let (history, retain) = match topic {
        0 => (history(3, u32::MAX, None), false),
        1 => (history(100, 900, age), false),
        2 => (None, true),
        3 => (history(4, u32::MAX, age), true),
        _ => (history(100, u32::MAX, age), false),
    };
    Keep { history, retain }
}

struct Event {
    offset: u64,
    topic: usize,
    bytes: u64,
    at: u64,
}

/// A reader, and what it has read, or was told to be missing.
struct ModelReader {
    id: ReaderId,
    filter: &'static str,
    cursor: u64,
    read: Vec<u64>,
    missed: u64,
    /// Every event of the filter behind the place where it began, kept or not.
    wanted: u64,
}

#[derive(Default)]
struct Model {
    newest: u64,
    now: u64,
    events: Vec<Event>,
    /// All that is gone.
    gone: Vec<(u64, usize)>,
    readers: Vec<ModelReader>,
}

fn matches(filter: &str, topic: usize) -> bool {
    let filter = TopicFilter::new(filter).expect("a good filter");
    filter.matches(Topic::new(TOPICS[topic]).expect("a good topic"))
}

impl Model {
    fn evict(&mut self, index: usize) {
        let event = self.events.remove(index);
        self.gone.push((event.offset, event.topic));
        for reader in &mut self.readers {
            if reader.cursor < event.offset && matches(reader.filter, event.topic) {
                reader.missed += 1;
            }
        }
    }

    fn of(&self, topic: usize) -> Vec<usize> {
        let events = self.events.iter().enumerate();
        let of_topic = events.filter(|(_, event)| event.topic == topic);
        of_topic.map(|(index, _)| index).collect()
    }

    fn expire(&mut self) {
        while let Some(index) = (0..self.events.len()).find(|index| self.is_old(*index)) {
            self.evict(index);
        }
    }

    fn is_old(&self, index: usize) -> bool {
        let event = &self.events[index];
        let keep = keep_of(event.topic);
        let retained = keep.retain && self.of(event.topic).last() == Some(&index);
        let age = keep.history.and_then(|history| history.age);
        let old = age.is_some_and(|age| event.at + age.as_micros() as u64 <= self.now);
        old && !retained
    }

    fn keep(&mut self, topic: usize, size: usize) {
        self.newest += 1;
        let bytes = (256 + TOPICS[topic].len() + size) as u64;
        let (offset, at) = (self.newest, self.now);
        self.events.push(Event {
            offset,
            topic,
            bytes,
            at,
        });
        for reader in &mut self.readers {
            reader.wanted += u64::from(matches(reader.filter, topic));
        }
        let keep = keep_of(topic);
        loop {
            let mine = self.of(topic);
            let bytes: u64 = mine.iter().map(|index| self.events[*index].bytes).sum();
            let (events_max, bytes_max) = match keep.history {
                Some(history) => (history.events_max as usize, history.bytes_max.into()),
                None => (1, u64::MAX),
            };
            let much = mine.len() > events_max || bytes > bytes_max;
            match much && !(keep.retain && mine.len() == 1) {
                true => self.evict(mine[0]),
                false => break,
            }
        }
        while self.events.iter().map(|event| event.bytes).sum::<u64>() > BYTES_MAX {
            self.evict(0);
        }
    }

    fn topics(&self) -> usize {
        (0..TOPICS.len())
            .filter(|topic| !self.of(*topic).is_empty())
            .count()
    }

    /// The offsets behind one that a filter selects.
    fn behind(&self, filter: &str, offset: u64) -> Vec<u64> {
        let events = self.events.iter();
        let behind = events.filter(|event| event.offset > offset && matches(filter, event.topic));
        behind.map(|event| event.offset).collect()
    }

    /// The newest event of a filter that is gone.
    fn gone(&self, filter: &str) -> u64 {
        let of_filter = self
            .gone
            .iter()
            .filter(|(_, topic)| matches(filter, *topic));
        of_filter.map(|(offset, _)| *offset).max().unwrap_or(0)
    }
}

/// Both, and what reads from them.
struct Bench {
    model: Model,
    histories: Histories<()>,
    key: Key,
}

impl Bench {
    fn new() -> Self {
        let limits = Limits {
            history_bytes_max: BYTES_MAX,
            history_topics_max: TOPICS_MAX,
            ..Limits::default()
        };
        let mut registry = Registry::new([7; 16]);
        let key = registry.insert(ConnectionId::from_bytes([1; 16]), None, ());
        Self {
            model: Model::default(),
            histories: Histories::new(7, &limits),
            key: key.expect("a new id"),
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.model.now)
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Pass(time) => self.model.now += time,
            Step::Forget(topic) => {
                let forgotten = self.histories.forget(TOPICS[topic]);
                let mine = self.model.of(topic);
                assert_eq!(forgotten, mine.len() as u64);
                for _ in mine {
                    let first = self.model.of(topic)[0];
                    self.model.evict(first);
                }
            }
            Step::Keep(topic, size) => self.keep(topic, size),
            Step::Begin(filter, back) => self.begin(FILTERS[filter], back),
            Step::Read(events) => self.read(events),
        }
    }

    fn keep(&mut self, topic: usize, size: usize) {
        let (now, name) = (self.now(), Topic::new(TOPICS[topic]).expect("a good topic"));
        self.histories.expire(now);
        self.model.expire();
        let full = self.model.topics() >= TOPICS_MAX as usize && self.model.of(topic).is_empty();
        let admitted = self.histories.admit(name, now);
        assert_eq!(admitted, if full { Err(TOPICS_MAX) } else { Ok(()) });
        if full {
            return;
        }
        let payload = Bytes::from(vec![7; size]);
        let variants = Variants::new((Encoding::Bytes, payload), Vec::new());
        self.histories.keep(name, keep_of(topic), variants, now);
        self.model.keep(topic, size);
    }

    fn begin(&mut self, filter: &'static str, back: u64) {
        let cursor = self.model.newest.saturating_sub(back);
        let number = self.model.readers.len() as u32;
        let id = (u64::from(number % 3), number);
        let gone = self.model.gone.iter();
        let gone = gone.filter(|(offset, topic)| *offset > cursor && matches(filter, *topic));
        let wanted = self.model.behind(filter, cursor).len() + gone.clone().count();
        self.model.readers.push(ModelReader {
            id,
            filter,
            cursor,
            read: Vec::new(),
            // What was gone before it began is no loss of the reader.
            missed: 0,
            wanted: wanted as u64 - gone.count() as u64,
        });
        self.histories.readers.insert(
            id,
            Reader {
                connection: (),
                key: self.key,
                filter: filter.into(),
                policy: Policy::DropOldest,
                mode: Mode::behind(cursor),
                missed: 0,
                lost: false,
            },
        );
    }

    /// Lets each reader read so many events.
    fn read(&mut self, events: usize) {
        for model in &mut self.model.readers {
            let mut reader = self.histories.readers.remove(model.id).expect("it reads");
            let mut share = Share {
                looks: 10,
                frames: 0,
                bytes: 0,
            };
            for _ in 0..events {
                match self.histories.next(&mut reader, &mut share) {
                    Next::Event(offset, kept) => {
                        model.read.push(offset);
                        reader.pass(offset, &kept.topic);
                    }
                    Next::Over | Next::Enough => break,
                }
            }
            let Mode::Past { cursor, .. } = reader.mode else {
                unreachable!("it reads events");
            };
            model.cursor = cursor;
            self.histories.readers.insert(model.id, reader);
        }
    }

    fn compare(&self) {
        let (model, histories) = (&self.model, &self.histories);
        assert_eq!(histories.newest(), model.newest);
        let kept: Vec<_> = histories.events.keys().copied().collect();
        assert_eq!(kept, model.behind("**", 0));
        let totals = histories.totals();
        assert_eq!(totals.topics, model.topics() as u64);
        let bytes: u64 = model.events.iter().map(|event| event.bytes).sum();
        assert_eq!((totals.events, totals.bytes), (kept.len() as u64, bytes));
        assert!(bytes <= BYTES_MAX);
        assert_eq!(histories.readers.len(), model.readers.len());
        for model in &model.readers {
            let told = histories.readers.get(model.id).map(|reader| reader.missed);
            assert_eq!(told, Some(model.missed), "{}", model.filter);
        }
    }

    fn compare_filter(&self, text: &str) {
        let filter = TopicFilter::new(text).expect("a good filter");
        let gone = self.model.gone(text);
        for behind in (0..=self.model.newest).step_by(7) {
            let offsets = self.model.behind(text, behind);
            let span = offsets.first().copied().zip(offsets.last().copied());
            let stock = self
                .histories
                .stock([filter], behind, &mut Looks::default());
            assert_eq!((stock.span, stock.gone), (span, gone), "{text} {behind}");
            for count in [0, 1, 3, u64::MAX] {
                let ceiling = self.model.newest - self.model.newest / 5;
                let mut last: Vec<_> = offsets.iter().filter(|at| **at <= ceiling).collect();
                last.drain(..last.len().saturating_sub(count as usize));
                let tail =
                    self.histories
                        .tail(filter, behind, ceiling, count, &mut Looks::default());
                let first = last.first().map_or(ceiling + 1, |first| **first);
                assert_eq!(
                    (tail.events, tail.first),
                    (last.len() as u64, first),
                    "{text}"
                );
            }
        }
    }

    /// Reads everything: each reader has had all that it wanted, or was told that it is missing.
    fn finish(&mut self) {
        for _ in 0..100 {
            self.read(1_000);
        }
        for reader in &self.model.readers {
            assert!(reader.cursor >= self.last(reader.filter), "it goes on");
            assert!(reader.read.is_sorted_by(|one, next| one < next));
            let had = reader.read.len() as u64 + reader.missed;
            assert_eq!(had, reader.wanted, "{}", reader.filter);
        }
    }

    fn last(&self, filter: &str) -> u64 {
        self.model.behind(filter, 0).last().copied().unwrap_or(0)
    }
}

proptest! {
    #[test]
    fn what_is_kept_and_what_is_gone_is_as_the_model_says(
        steps in proptest::collection::vec(step(), 0..150),
    ) {
        let mut bench = Bench::new();
        for (number, step) in steps.iter().enumerate() {
            bench.take(step);
            bench.compare();
            if number % 16 == 0 {
                FILTERS.iter().for_each(|filter| bench.compare_filter(filter));
            }
        }
        bench.finish();
    }
}

/// A thousand topics of which nothing is left are known by name; with more it is only known that something is gone.
#[test]
fn topics_of_which_nothing_is_left_are_remembered_for_a_while() {
    let mut histories: Histories<()> = Histories::new(7, &Limits::default());
    let keep = Keep {
        history: Some(History::default()),
        retain: false,
    };
    for number in 0..3_000 {
        let name = format!("t/{number:04}");
        let topic = Topic::new(&name).expect("a good topic");
        assert_eq!(histories.admit(topic, Instant::default()), Ok(()));
        let variants = Variants::new((Encoding::Bytes, Bytes::new()), Vec::new());
        histories.keep(topic, keep, variants, Instant::default());
        assert_eq!(histories.forget(&name), 1);
    }
    assert_eq!(histories.totals(), Totals::default());
    assert_eq!(histories.logs.len(), 1_024);
    let gone = |text: String| {
        let filter = TopicFilter::new(&text).expect("a good filter");
        histories.stock([filter], 0, &mut Looks::default()).gone
    };
    assert_eq!(gone("t/2999".into()), 3_000);
    assert_eq!(
        gone("t/0007".into()),
        1_976,
        "it may have been any of those"
    );
    assert_eq!(gone("other".into()), 1_976);
}

/// Who asks for very many topics hears what is certain: there may be something, and something may be gone.
#[test]
fn a_request_looks_at_so_many_topics() {
    let mut histories: Histories<()> = Histories::new(7, &Limits::default());
    let keep = Keep {
        history: None,
        retain: true,
    };
    for number in 1..=5_000 {
        let name = format!("t/{number}");
        let topic = Topic::new(&name).expect("a good topic");
        let variants = Variants::new((Encoding::Bytes, Bytes::new()), Vec::new());
        histories.keep(topic, keep, variants, Instant::default());
    }
    let filter = |text| TopicFilter::new(text).expect("a good filter");
    let few = histories.stock(
        [filter("t/4999"), filter("t/499/**")],
        0,
        &mut Looks::default(),
    );
    assert_eq!((few.span, few.gone), (Some((499, 4_999)), 0));
    let many = histories.stock([filter("*/none")], 10, &mut Looks::default());
    assert_eq!((many.span, many.gone), (Some((11, 5_000)), 0));
    histories.forget("t/77");
    assert_eq!(
        histories
            .stock([filter("*/none")], 10, &mut Looks::default())
            .gone,
        77
    );
}
