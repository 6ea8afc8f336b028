//! Who is there and what each one has to hear, in plain maps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lapwing::wire::{Ack, Denied, Outcome};
use lapwing::{ConnectionId, Topic, TopicFilter};

/// A connection as the hub should see it.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) user: Option<String>,
    pub(super) groups: BTreeSet<String>,
    subscriptions: BTreeMap<u32, Subscription>,
    /// The highest number that one has had.
    highest: u32,
    /// What was sent straight to it, and how much of that it has heard.
    direct: Count,
    /// What it has to hear next.
    pub(super) expected: VecDeque<Expected>,
    /// What to show on return, if that was wanted.
    pub(super) token: Option<[u8; 16]>,
    /// Data frames that it has heard through its transport.
    pub(super) received: u64,
    /// Data frames that it has said through its transport.
    pub(super) said: u64,
    /// When it was lost, in seconds.
    pub(super) away: Option<u64>,
}

struct Subscription {
    filter: &'static str,
    count: Count,
    /// The client knows that it has it.
    known: bool,
}

#[derive(Clone, Copy, Default)]
struct Count {
    offered: u64,
    accounted: u64,
}

/// A data frame.
#[derive(Debug)]
pub(super) struct Expected {
    text: String,
    means: Means,
}

#[derive(Clone, Copy, Debug)]
enum Means {
    Nothing,
    /// An event of this subscription; zero: straight to it.
    Event(u32),
    /// These subscriptions have begun.
    Begun(u32, u32),
}

impl Connection {
    pub(super) fn new(id: ConnectionId, user: Option<String>, token: Option<[u8; 16]>) -> Self {
        Self {
            id,
            user,
            groups: BTreeSet::new(),
            subscriptions: BTreeMap::new(),
            highest: 0,
            direct: Count::default(),
            expected: VecDeque::new(),
            token,
            received: 0,
            said: 0,
            away: None,
        }
    }

    pub(super) fn is_here(&self) -> bool {
        self.away.is_none()
    }

    /// Its client is here again, by another transport.
    pub(super) fn resume(&mut self, token: Option<[u8; 16]>) {
        self.token = token;
        (self.received, self.said) = (0, 0);
        self.away = None;
    }

    pub(super) fn subscribe(&mut self, receipt: u32, first: u32, filters: &[&'static str]) {
        let start = match first {
            0 => self.highest + 1,
            first => first,
        };
        let end = start + filters.len() as u32;
        if self.subscriptions.range(start..end).next().is_some() {
            return self.answer(receipt, Outcome::Denied(Denied::NumberTaken));
        }
        for (number, filter) in (start..).zip(filters) {
            let begun = Subscription {
                filter,
                count: Count::default(),
                known: false,
            };
            self.subscriptions.insert(number, begun);
            self.highest = self.highest.max(number);
        }
        let outcome = match first {
            0 => Outcome::Numbered { first: start },
            _ => Outcome::Subscribed,
        };
        self.expect(ack(receipt, outcome), Means::Begun(start, end));
    }

    pub(super) fn unsubscribe(&mut self, receipt: u32, first: u32, count: u32) {
        let ended = first..first + count;
        self.subscriptions
            .retain(|number, _| !ended.contains(number));
        self.answer(receipt, Outcome::Unsubscribed);
    }

    /// Takes an event that is published, if it hears its topic.
    pub(super) fn publish(&mut self, topic: &str, text: &str) -> bool {
        let heard = Topic::new(topic).expect("one of ours");
        let mut matching = self.subscriptions.iter_mut();
        // The lowest number hears it.
        let found = matching.find(|(_, subscription)| {
            let filter = TopicFilter::new(subscription.filter).expect("one of ours");
            filter.matches(heard)
        });
        let Some((number, subscription)) = found else {
            return false;
        };
        subscription.count.offered += 1;
        let means = Means::Event(*number);
        self.expect(event(topic, false, text), means);
        true
    }

    /// Takes an event that is sent to it.
    pub(super) fn send(&mut self, topic: &str, text: &str) {
        self.direct.offered += 1;
        self.expect(event(topic, true, text), Means::Event(0));
    }

    /// Takes an answer.
    pub(super) fn answer(&mut self, receipt: u32, outcome: Outcome) {
        self.expect(ack(receipt, outcome), Means::Nothing);
    }

    fn expect(&mut self, text: String, means: Means) {
        self.expected.push_back(Expected { text, means });
    }

    /// Hears a data frame.
    pub(super) fn hear(&mut self, text: &str) {
        self.received += 1;
        let Some(expected) = self.expected.pop_front() else {
            panic!("{text} is heard, and nothing was to be");
        };
        assert_eq!(text, expected.text);
        match expected.means {
            Means::Nothing => {}
            Means::Event(0) => self.direct.accounted += 1,
            Means::Event(number) => {
                if let Some(subscription) = self.subscriptions.get_mut(&number) {
                    subscription.count.accounted += 1;
                }
            }
            Means::Begun(first, end) => {
                for (_, subscription) in self.subscriptions.range_mut(first..end) {
                    subscription.known = true;
                }
            }
        }
    }

    /// What it was offered, as the hub tells it.
    pub(super) fn offered(&self) -> Vec<(u32, u64)> {
        let subscriptions = self.subscriptions.iter();
        std::iter::once((0, self.direct.offered))
            .chain(subscriptions.map(|(number, own)| (*number, own.count.offered)))
            .collect()
    }

    /// How far it has come with what it knows of.
    pub(super) fn accounted(&self) -> Vec<(u32, u64)> {
        let known = self.subscriptions.iter().filter(|(_, own)| own.known);
        std::iter::once((0, self.direct.accounted))
            .chain(known.map(|(number, own)| (*number, own.count.accounted)))
            .collect()
    }
}

/// An event as text.
pub(super) fn event(topic: &str, direct: bool, text: &str) -> String {
    format!("{topic} {direct} {text}")
}

/// An answer as text.
pub(super) fn ack(receipt: u32, outcome: Outcome) -> String {
    format!("{:?}", Ack { receipt, outcome })
}
