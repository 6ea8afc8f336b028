//! What topics keep, and subscriptions that begin with it.

use std::time::Duration;

use lapwing::hub::{History, HubBuilder, PublishError, Rule};
use lapwing::wire::{
    Ack, CloseReason, Denied, Event, Frame, Lagged, List, Live, Outcome, Payload, Replay, Start,
    Subscribe, Unsubscribe, Verdict,
};
use lapwing::{Limits, Policy};
use lapwing_memory::{Path, Virtual};

use crate::peer::{Peer, TERMS};
use crate::world::{World, check_with};

mod back;
mod bounds;
mod slow;
mod splice;
mod values;

/// As much as there is room for.
const ENDLESS: History = History {
    events_max: 100_000,
    bytes_max: u32::MAX,
    age: None,
};

/// What a subscriber hears of its topics.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Replay(u32, u64, String),
    Live(u32, u64),
    Event(u64, String),
    Missed(u32, u64),
}

use Heard as H;

fn heard(frame: Frame<'_>) -> Option<Heard> {
    let text = |payload: Payload<'_>| String::from_utf8_lossy(payload.bytes).into_owned();
    match frame {
        Frame::Event(Event { topic: "plug", .. }) => None,
        Frame::Replay(Replay {
            subscription,
            offset,
            payload,
            ..
        }) => Some(H::Replay(subscription, offset, text(payload))),
        Frame::Live(Live {
            subscription,
            offset,
        }) => Some(H::Live(subscription, offset)),
        Frame::Event(Event {
            offset, payload, ..
        }) => {
            let offset = offset.map_or(0, u64::from_le_bytes);
            Some(H::Event(offset, text(payload)))
        }
        Frame::Lagged(Lagged {
            subscription,
            missed,
        }) => Some(H::Missed(subscription, missed)),
        _ => None,
    }
}

/// What the hub says of a subscription that it has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    epoch: u64,
    newest: u64,
    verdict: Verdict,
}

impl Peer {
    async fn begin(&mut self, first: u32, start: Start, filters: &[&str]) -> Outcome {
        self.begin_with(first, None, start, filters).await
    }

    async fn begin_with(
        &mut self,
        first: u32,
        policy: Option<Policy>,
        start: Start,
        filters: &[&str],
    ) -> Outcome {
        let receipt = 1_000 + first;
        self.say(&from(first, policy, start, filters)).await;
        // Nothing of it is heard before.
        let outcome = |frame: Frame<'_>| match frame {
            Frame::Ack(ack) if ack.receipt == receipt => Some(ack.outcome),
            Frame::Replay(replay) => panic!("{replay:?}"),
            _ => None,
        };
        self.until(outcome).await
    }

    /// Begins where the hub has to know about it.
    async fn take(&mut self, number: u32, start: Start, filters: &[&str]) -> Taken {
        taken(number, self.begin(number, start, filters).await)
    }

    async fn refused(&mut self, start: Start, filters: &[&str]) -> Denied {
        match self.begin(500, start, filters).await {
            Outcome::Denied(denied) => denied,
            other => panic!("{other:?}"),
        }
    }

    async fn hears(&mut self, count: usize) -> Vec<Heard> {
        let mut all = Vec::new();
        while all.len() < count {
            all.push(self.until(heard).await);
        }
        all
    }

    /// All that it hears up to the present.
    async fn catches_up(&mut self, number: u32) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            match self.until(heard).await {
                H::Live(found, _) if found == number => return all,
                other => all.push(other),
            }
        }
    }
}

fn taken(number: u32, outcome: Outcome) -> Taken {
    let Outcome::Positioned {
        first,
        epoch,
        offset,
        verdict,
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(first, number);
    Taken {
        epoch,
        newest: offset,
        verdict,
    }
}

fn replayed(from: u64, to: u64) -> Verdict {
    Verdict::Replayed { from, to }
}

const GAP: Verdict = Verdict::Gap { missed: None };

/// The events with these offsets, which say their offsets, as subscription 1 hears them of the past.
fn past(offsets: impl IntoIterator<Item = u64>) -> Vec<Heard> {
    let replay = |offset: u64| H::Replay(1, offset, offset.to_string());
    offsets.into_iter().map(replay).collect()
}

/// And of the present.
fn present(offsets: impl IntoIterator<Item = u64>) -> Vec<Heard> {
    let event = |offset: u64| H::Event(offset, offset.to_string());
    offsets.into_iter().map(event).collect()
}

/// Publishes events that say their offsets; the first is not the first of all.
fn publish(world: &World, topic: &str, offsets: impl IntoIterator<Item = u64>) {
    for offset in offsets {
        let published = world.hub.publish(topic, offset.to_string());
        published.expect("a good topic");
    }
}

/// Runs a test with a history of `news/**`.
fn check(history: History, test: impl AsyncFn(&World)) {
    check_limited(history, Limits::default(), test);
}

fn check_limited(history: History, limits: Limits, test: impl AsyncFn(&World)) {
    check_with(|_, builder| with(builder, history, limits), test);
}

/// Builds a hub of which `news/**` keeps a history, `state/**` a value, and nothing else anything.
fn with(builder: HubBuilder, history: History, limits: Limits) -> HubBuilder {
    builder
        .limits(limits)
        .topic("news/**", Rule::open().history(history))
        .topic("state/**", Rule::open().retain())
}

#[test]
fn the_past_is_heard_from_the_beginning_and_then_the_present() {
    check(ENDLESS, async |world| {
        let mut early = world.peer("early").await;
        let taken = early.take(1, Start::Beginning, &["news/a"]).await;
        assert_eq!((taken.newest, taken.verdict), (0, Verdict::Resumed));
        assert_eq!(early.hears(1).await, [H::Live(1, 0)]);

        publish(world, "news/a", 1..=500);
        let mut late = world.peer("late").await;
        let taken = late.take(1, Start::Beginning, &["news/a"]).await;
        assert_eq!((taken.newest, taken.verdict), (500, replayed(1, 500)));
        assert_eq!(late.hears(500).await, past(1..=500));
        assert_eq!(late.hears(1).await, [H::Live(1, 500)]);
        publish(world, "news/a", 501..=502);
        assert_eq!(late.hears(2).await, present(501..=502));
        assert_eq!(early.hears(502).await, present(1..=502));
    });
}

#[test]
fn an_offset_is_where_the_past_begins() {
    check(ENDLESS, async |world| {
        publish(world, "news/a", 1..=9);
        let mut peer = world.peer("peer").await;
        let now = peer.take(7, Start::Now, &["news/b"]).await;
        let (epoch, offset) = (now.epoch, 6);
        let taken = peer
            .take(1, Start::Offset { epoch, offset }, &["news/a"])
            .await;
        assert_eq!(taken.verdict, replayed(7, 9));
        assert_eq!(taken.epoch, epoch);
        assert_eq!(peer.catches_up(1).await, past(7..=9));

        let offset = 9;
        let taken = peer
            .take(2, Start::Offset { epoch, offset }, &["news/a"])
            .await;
        assert_eq!(taken.verdict, Verdict::Resumed);
        assert_eq!(peer.catches_up(2).await, []);

        let offset = 10;
        let future = Start::Offset { epoch, offset };
        assert_eq!(peer.refused(future, &["news/a"]).await, Denied::Offset);
        assert_eq!(world.hub.counters().subscriptions, 3, "nothing of it");
    });
}

#[test]
fn what_is_not_there_any_more_is_a_gap_and_the_rest_follows() {
    let history = History {
        events_max: 3,
        ..ENDLESS
    };
    check(history, async |world| {
        publish(world, "news/a", 1..=10);
        let mut peer = world.peer("peer").await;
        let epoch = peer.take(7, Start::Now, &["news/b"]).await.epoch;
        for (offset, verdict) in [(0, GAP), (6, GAP), (7, replayed(8, 10))] {
            let start = Start::Offset { epoch, offset };
            let taken = peer.take(1, start, &["news/a"]).await;
            assert_eq!(taken.verdict, verdict, "{offset}");
            assert_eq!(peer.catches_up(1).await, past(8..=10));
            unsubscribe(&mut peer, 1).await;
        }
        let epoch = epoch ^ 1;
        let other = Start::Offset { epoch, offset: 10 };
        assert_eq!(peer.take(1, other, &["news/a"]).await.verdict, GAP);
        assert_eq!(peer.catches_up(1).await, past(8..=10));
        // Who asks for the beginning asks for what there is.
        let taken = peer.take(2, Start::Beginning, &["news/a"]).await;
        assert_eq!(taken.verdict, replayed(8, 10));
    });
}

async fn unsubscribe(peer: &mut Peer, first: u32) {
    let receipt = 9;
    peer.say(&Frame::Unsubscribe(Unsubscribe {
        receipt,
        first,
        count: 1,
    }))
    .await;
    let ended = |frame: Frame<'_>| match frame {
        Frame::Ack(Ack {
            receipt: 9,
            outcome,
        }) => Some(outcome),
        _ => None,
    };
    assert_eq!(peer.until(ended).await, Outcome::Unsubscribed);
}

#[test]
fn the_past_is_only_where_it_is_kept() {
    check(ENDLESS, async |world| {
        let mut peer = world.peer("peer").await;
        for filter in ["chat", "chat/*", "state/a", "state/**"] {
            let refused = peer.refused(Start::Beginning, &["news/a", filter]).await;
            assert_eq!(refused, Denied::NoHistory, "{filter}");
        }
        let refused = peer.refused(Start::Retained, &["news/a", "chat/*"]).await;
        assert_eq!(refused, Denied::NoHistory);
        let refused = peer.refused(Start::Beginning, &["closed/a"]).await;
        assert_eq!(refused, Denied::Forbidden, "what there is, it may not know");
        assert_eq!(world.hub.counters().subscriptions, 0);

        let plain = peer.begin(1, Start::Now, &["chat", "news/a"]).await;
        assert_eq!(plain, Outcome::Subscribed);
        let numbered = peer.begin(0, Start::Now, &["news/*", "news/a"]).await;
        assert_eq!(taken(3, numbered).verdict, Verdict::Resumed);
        publish(world, "chat", [0]);
        publish(world, "news/a", [1]);
        assert_eq!(peer.hears(2).await, present([0, 1]));
    });
}

#[test]
fn a_filter_hears_the_past_of_all_its_topics_in_one_order() {
    check(ENDLESS, async |world| {
        for round in 0..10 {
            let first = 4 * round + 1;
            publish(world, "news/a", [first]);
            publish(world, "news/b/deep", [first + 1]);
            publish(world, "state/a", [first + 2]);
            publish(world, "news/b", [first + 3]);
        }
        let mut peer = world.peer("peer").await;
        let taken = peer.take(1, Start::Beginning, &["news/*"]).await;
        assert_eq!(taken.verdict, replayed(1, 40));
        let of_filter = (1..=40).filter(|offset| offset % 4 < 2);
        assert_eq!(peer.catches_up(1).await, past(of_filter));
        let taken = peer.take(2, Start::Beginning, &["news/b/**"]).await;
        assert_eq!(taken.verdict, replayed(2, 40));
        let heard = peer.catches_up(2).await;
        let offsets: Vec<_> = heard.iter().map(offset_of).collect();
        let even: Vec<u64> = (2..=40).step_by(2).filter(|n| n % 4 != 3).collect();
        assert_eq!(offsets, even);
    });
}

fn offset_of(heard: &Heard) -> u64 {
    match heard {
        H::Replay(_, offset, _) | H::Live(_, offset) | H::Event(offset, _) => *offset,
        H::Missed(..) => panic!("{heard:?}"),
    }
}

#[test]
fn each_subscription_hears_its_own_past_and_one_of_them_the_present() {
    check(ENDLESS, async |world| {
        publish(world, "news/a", 1..=3);
        let mut peer = world.peer("peer").await;
        peer.take(5, Start::Now, &["news/a"]).await;
        // A lower number: events go through it when it has caught up, and through the other one until then.
        peer.take(1, Start::Beginning, &["news/*"]).await;
        assert_eq!(peer.catches_up(1).await, past(1..=3));
        publish(world, "news/a", [4]);
        assert_eq!(peer.hears(1).await, present([4]));
        unsubscribe(&mut peer, 1).await;
        publish(world, "news/a", [5]);
        assert_eq!(peer.hears(1).await, present([5]));
        peer.take(9, Start::Beginning, &["news/a", "news/b"]).await;
        let heard = peer.catches_up(10).await;
        assert_eq!(heard.len(), 5 + 1);
        assert_eq!(heard.last(), Some(&H::Live(9, 5)));
    });
}

#[test]
fn a_number_that_catches_up_is_taken() {
    let limits = Limits {
        lane_frames_max: 8,
        subscriptions_max: 2,
        ..Limits::default()
    };
    check_limited(ENDLESS, limits, async |world| {
        publish(world, "news/a", 1..=50);
        let (mut peer, id) = world.known_peer("peer").await;
        world.plug("peer", id).await;
        let start = Start::Beginning;
        peer.say(&from(1, None, start, &["news/a"])).await;
        peer.say(&from(1, None, Start::Now, &["news/b"])).await;
        peer.say(&from(2, None, start, &["news/b", "news/c"])).await;
        world.sim.settle().await;
        assert_eq!(world.hub.counters().subscriptions, 1);
        world.network.resume(Path::to_client("peer"));
        let mut denied = Vec::new();
        while denied.len() < 2 {
            let outcome = |frame: Frame<'_>| match frame {
                Frame::Ack(ack) => Some(ack.outcome),
                _ => None,
            };
            if let Outcome::Denied(reason) = peer.until(outcome).await {
                denied.push(reason);
            }
        }
        assert_eq!(denied, [Denied::NumberTaken, Denied::TooMany { max: 2 }]);
        publish(world, "news/a", [51]);
        assert_eq!(world.hub.counters().subscriptions, 1);
    });
}

fn from<'a>(first: u32, policy: Option<Policy>, start: Start, filters: &'a [&'a str]) -> Frame<'a> {
    Frame::Subscribe(Subscribe {
        receipt: 1_000 + first,
        first,
        policy,
        start,
        filters: List::new(filters),
    })
}
