//! Clients that lose their connection, and what history has for them when they return.

use futures_lite::future;
use lapwing::wire::{Hello, Position};

use crate::peer::{Entered, resumable};

use super::*;

/// A client that counts.
struct Client {
    name: String,
    peer: Peer,
    token: [u8; 16],
    /// Data frames of the present transport.
    received: u64,
    /// Events and losses of each subscription, and of what is sent straight to it.
    accounted: Vec<(u32, u64)>,
}

impl Client {
    async fn new(world: &World, name: &str) -> Self {
        let mut peer = world.connect(name).await;
        let entered = peer.enter(&resumable()).await;
        Self {
            name: name.into(),
            peer,
            token: entered.token.expect("it may resume"),
            received: 0,
            accounted: vec![(0, 0)],
        }
    }

    /// It hears `news/a`, and with another subscription all news.
    async fn of_two(world: &World) -> Self {
        let mut client = Self::new(world, "client").await;
        for (number, filter) in [(1, "news/a"), (2, "news/*")] {
            client
                .subscribe(number, Policy::Disconnect, Start::Now, filter)
                .await;
        }
        client
    }

    /// On its return it was told that it reads what it has lost: of `news/a`, more than gets onto the way to it, and then of `news/b`, to
    /// which it has not come.
    async fn of_a_long_past(world: &World) -> Self {
        let mut client = Self::new(world, "client").await;
        for (number, filter) in [(1, "news/a"), (2, "news/b"), (3, "chat")] {
            client
                .subscribe(number, Policy::Disconnect, Start::Now, filter)
                .await;
        }
        client.lose(world).await;
        publish(world, "news/b", 1..=4);
        for _ in 5..=20 {
            let large = "x".repeat(64 * 1024);
            world.hub.publish("news/a", large).expect("a good topic");
        }
        let told = [replayed(5, 20), replayed(1, 4), Verdict::Resumed];
        assert_eq!(client.back(world).await, Some(told.to_vec()));
        client.lose_late(world).await;
        client
    }

    /// Hears all of that.
    async fn hears_a_long_past(&mut self) {
        let of_one = self.hears(16).await;
        assert!(of_one.iter().map(offset_of).eq(5..=20));
        assert_eq!(self.hears(1).await, [H::Live(1, 20)]);
        let of_other = self.hears(4).await;
        assert!(of_other.iter().map(offset_of).eq(1..=4));
        assert_eq!(self.hears(1).await, [H::Live(2, 20)]);
    }

    async fn subscribe(&mut self, number: u32, policy: Policy, start: Start, filter: &str) {
        self.received += 1;
        self.accounted.push((number, 0));
        let filters = [filter];
        let taken = self.peer.begin_with(number, Some(policy), start, &filters);
        taken_any(taken.await);
    }

    /// What it hears next. Events are those of the subscription with the lowest number.
    async fn hear(&mut self) -> Heard {
        let heard = self.peer.until(heard).await;
        self.received += 1;
        let (subscription, events) = match &heard {
            H::Replay(subscription, ..) => (*subscription, 1),
            H::Missed(subscription, missed) => (*subscription, *missed),
            H::Event(..) => (self.accounted[1].0, 1),
            H::Live(subscription, _) => (*subscription, 0),
        };
        self.account(subscription, events);
        heard
    }

    fn account(&mut self, subscription: u32, events: u64) {
        for (number, accounted) in &mut self.accounted {
            if *number == subscription {
                *accounted += events;
            }
        }
    }

    async fn hears(&mut self, count: usize) -> Vec<Heard> {
        let mut all = Vec::new();
        while all.len() < count {
            all.push(self.hear().await);
        }
        all
    }

    /// Loses its connection, and everything that is on its way.
    async fn lose(&self, world: &World) {
        world.network.cut(&self.name);
        world.sim.settle().await;
    }

    /// The same when nothing more gets onto the way to it, as it hears nothing.
    async fn lose_late(&self, world: &World) {
        world.sim.settle().await;
        self.lose(world).await;
    }

    /// Comes by a new transport; its welcome may be lost.
    async fn come(&mut self, world: &World) -> Entered {
        self.peer = world.connect(&self.name).await;
        let positions = self.positions();
        let hello = self.returning(&positions);
        self.peer.enter(&hello).await
    }

    /// The same, and is lost so many steps of others later.
    async fn come_and_go(&mut self, world: &World, steps: u32) {
        self.peer = world.connect(&self.name).await;
        let positions = self.positions();
        let hello = self.returning(&positions);
        self.peer.say(&Frame::Hello(hello)).await;
        for _ in 0..steps {
            future::yield_now().await;
        }
        self.lose(world).await;
    }

    fn positions(&self) -> Vec<Position> {
        let position = |&(subscription, accounted): &(u32, u64)| Position {
            subscription,
            accounted,
        };
        self.accounted.iter().map(position).collect()
    }

    fn returning<'a>(&self, positions: &'a [Position]) -> Hello<'a> {
        Hello {
            resume: Some((self.token, self.received)),
            positions: List::new(positions),
            ..resumable()
        }
    }

    /// The same; the verdicts on its subscriptions, if not all follows.
    async fn back(&mut self, world: &World) -> Option<Vec<Verdict>> {
        let entered = self.come(world).await;
        let continued = entered.continued.expect("the session is known");
        self.token = entered.token.expect("it may resume again");
        self.received = 0;
        for (index, verdict) in entered.verdicts.iter().enumerate() {
            if let Verdict::Gap {
                missed: Some(missed),
            } = verdict
            {
                self.account(self.accounted[index].0, *missed);
            }
        }
        (!continued.whole).then(|| entered.verdicts[1..].to_vec())
    }
}

fn taken_any(outcome: Outcome) {
    let taken = matches!(outcome, Outcome::Positioned { .. } | Outcome::Subscribed);
    assert!(taken, "{outcome:?}");
}

fn gap(missed: u64) -> Verdict {
    let missed = Some(missed);
    Verdict::Gap { missed }
}

/// Nothing of what is sent is kept for whoever has lost it.
fn forgetful() -> Limits {
    Limits {
        resume_bytes_max: 1,
        ..Limits::default()
    }
}

#[test]
fn what_was_lost_is_replayed_when_all_of_it_is_kept() {
    check_limited(ENDLESS, forgetful(), async |world| {
        let mut client = Client::new(world, "client").await;
        client
            .subscribe(1, Policy::Disconnect, Start::Now, "news/*")
            .await;
        publish(world, "news/a", 1..=10);
        assert_eq!(client.hears(10).await, present(1..=10));
        for round in 1..=5 {
            let last = 10 * round;
            client.lose(world).await;
            publish(world, "news/b", last + 1..=last + 9);
            let verdicts = client.back(world).await;
            assert_eq!(verdicts, Some(vec![replayed(last + 1, last + 9)]));
            assert_eq!(client.hears(9).await, past(last + 1..=last + 9));
            assert_eq!(client.hears(1).await, [H::Live(1, last + 9)]);
            publish(world, "news/a", [last + 10]);
            assert_eq!(client.hears(1).await, present([last + 10]));
        }
        client.lose(world).await;
        client.back(world).await;
        client.peer.finish().await;
    });
}

#[test]
fn what_is_gone_of_what_was_lost_is_a_gap_of_as_many_and_the_rest_follows() {
    let history = History {
        events_max: 20,
        ..ENDLESS
    };
    check_limited(history, forgetful(), async |world| {
        let mut client = Client::new(world, "client").await;
        client
            .subscribe(1, Policy::Disconnect, Start::Now, "news/a")
            .await;
        publish(world, "news/a", 1..=10);
        assert_eq!(client.hears(10).await, present(1..=10));
        client.lose(world).await;
        publish(world, "news/a", 11..=60);
        assert_eq!(client.back(world).await, Some(vec![gap(30)]));
        assert_eq!(client.hears(20).await, past(41..=60));
        assert_eq!(client.hears(1).await, [H::Live(1, 60)]);
        assert_eq!(client.accounted[1], (1, 60));
    });
}

/// Of one topic some events are gone, and older ones of another are not: those were heard before.
#[test]
fn what_was_heard_is_not_replayed_in_the_place_of_what_is_gone() {
    let history = History {
        events_max: 3,
        ..ENDLESS
    };
    check_limited(history, forgetful(), async |world| {
        let mut client = Client::new(world, "client").await;
        client
            .subscribe(1, Policy::Disconnect, Start::Now, "news/*")
            .await;
        publish(world, "news/b", 1..=3);
        assert_eq!(client.hears(3).await, present(1..=3));
        client.lose(world).await;
        publish(world, "news/a", 4..=9);
        assert_eq!(client.back(world).await, Some(vec![gap(3)]));
        assert_eq!(client.hears(3).await, past(7..=9));
        assert_eq!(client.hears(1).await, [H::Live(1, 9)]);
    });
}

#[test]
fn who_has_lost_nothing_hears_so_and_then_the_present() {
    check_limited(ENDLESS, forgetful(), async |world| {
        let mut client = Client::new(world, "client").await;
        client
            .subscribe(1, Policy::Disconnect, Start::Now, "chat")
            .await;
        client
            .subscribe(2, Policy::Disconnect, Start::Now, "news/*")
            .await;
        client.lose(world).await;
        publish(world, "chat", 0..=5);
        let verdicts = client.back(world).await;
        assert_eq!(verdicts, Some(vec![gap(6), Verdict::Resumed]));
        assert_eq!(client.hears(1).await, [H::Live(2, 0)]);
        publish(world, "news/a", [1]);
        assert_eq!(client.hears(1).await, present([1]));
    });
}

#[test]
fn values_that_were_to_come_come_after_a_return() {
    let limits = Limits {
        lane_frames_max: 16,
        ..forgetful()
    };
    check_limited(ENDLESS, limits, async |world| {
        for topic in 1..=50 {
            publish(world, &format!("state/{topic:02}"), [topic]);
        }
        let mut client = Client::new(world, "client").await;
        let start = Start::Retained;
        client
            .subscribe(1, Policy::Disconnect, start, "state/*")
            .await;
        assert_eq!(client.hears(3).await, past(1..=3));
        world.network.cut("client");
        world.sim.settle().await;
        client.back(world).await;
        let accounted = client.accounted[1].1;
        let rest = 51 - accounted as usize;
        let heard = client.hears(rest).await;
        assert_eq!(heard[..rest - 1], past(accounted + 1..=50));
        assert_eq!(heard[rest - 1], H::Live(1, 50));
    });
}

#[test]
fn the_end_of_the_values_is_told_again_when_it_was_lost() {
    check_limited(ENDLESS, forgetful(), async |world| {
        publish(world, "state/a", [1]);
        let mut client = Client::new(world, "client").await;
        let start = Start::Retained;
        client
            .subscribe(1, Policy::Disconnect, start, "state/*")
            .await;
        assert_eq!(client.hears(1).await, past([1]));
        // The word that these were all is sent, and not received.
        world.sim.settle().await;
        client.lose(world).await;
        assert_eq!(client.back(world).await, Some(vec![Verdict::Resumed]));
        assert_eq!(client.hears(1).await, [H::Live(1, 1)]);
        publish(world, "state/a", [2]);
        assert_eq!(client.hears(1).await, present([2]));
    });
}

#[test]
fn where_history_cannot_tell_what_was_lost_it_is_a_gap_of_as_many() {
    for policy in [Policy::KeepLatest, Policy::Disconnect] {
        check_limited(ENDLESS, forgetful(), async |world| {
            let mut client = Client::new(world, "client").await;
            let keeps = policy == Policy::KeepLatest;
            let topic = if keeps { "news/a" } else { "state/a" };
            client.subscribe(1, policy, Start::Now, topic).await;
            publish(world, topic, [1]);
            assert_eq!(client.hears(1).await, present([1]));
            // Sent, and not received.
            publish(world, topic, 2..=7);
            world.sim.settle().await;
            client.lose(world).await;
            assert_eq!(client.back(world).await, Some(vec![gap(6)]));
            publish(world, topic, [8]);
            assert_eq!(client.hears(1).await, present([8]));
            assert_eq!(client.accounted[1], (1, 8));
        });
    }
}

#[test]
fn of_two_that_share_topics_one_hears_the_past_and_the_other_of_a_gap() {
    check_limited(ENDLESS, forgetful(), async |world| {
        let mut client = Client::of_two(world).await;
        client.lose(world).await;
        publish(world, "news/a", 1..=4);
        publish(world, "news/b", 5..=6);
        publish(world, "news/a", 7..=8);
        let verdicts = client.back(world).await;
        assert_eq!(verdicts, Some(vec![replayed(1, 8), gap(2)]));
        assert_eq!(client.hears(6).await, past([1, 2, 3, 4, 7, 8]));
        assert_eq!(client.hears(2).await, [H::Live(1, 8), H::Live(2, 8)]);
    });
}

/// Who heard what before a subscription ended is not known: what was offered to one may have been the other's.
#[test]
fn a_subscription_that_inherits_topics_is_replayed_only_its_own() {
    check_limited(ENDLESS, forgetful(), async |world| {
        let mut client = Client::of_two(world).await;
        client.lose(world).await;
        publish(world, "news/a", 1..=4);
        publish(world, "news/b", 5..=6);
        // It does not know the first one any more.
        client.accounted.remove(1);
        assert_eq!(client.back(world).await, Some(vec![gap(2)]));
        assert_eq!(client.hears(1).await, [H::Live(2, 6)]);
        client.lose(world).await;
        publish(world, "news/a", 7..=9);
        assert_eq!(client.back(world).await, Some(vec![replayed(7, 9)]));
    });
}

#[test]
fn who_loses_its_connection_while_it_catches_up_goes_on_where_it_was() {
    let limits = Limits {
        lane_frames_max: 16,
        ..forgetful()
    };
    check_limited(ENDLESS, limits, async |world| {
        publish(world, "news/a", 1..=100);
        let mut client = Client::new(world, "client").await;
        let start = Start::Beginning;
        client
            .subscribe(1, Policy::Disconnect, start, "news/*")
            .await;
        let mut last = 0;
        while last < 100 {
            assert_eq!(client.hears(7).await, past(last + 1..=last + 7));
            last += 7;
            client.lose(world).await;
            if last + 7 > 100 {
                break;
            }
            match client.back(world).await.as_deref() {
                None | Some([Verdict::Resumed]) => {}
                Some([Verdict::Replayed { from, to: 100 }]) => assert_eq!(*from, last + 1),
                other => panic!("{other:?}"),
            }
        }
        client.back(world).await;
        assert_eq!(client.hears(2).await, past(99..=100));
        assert_eq!(client.hears(1).await, [H::Live(1, 100)]);
    });
}

#[test]
fn a_return_whose_welcome_is_lost_is_the_same_again() {
    let history = History {
        events_max: 20,
        ..ENDLESS
    };
    for kept in [20, 50] {
        let history = History {
            events_max: kept as u32,
            ..history
        };
        check_limited(history, forgetful(), async |world| {
            let mut client = Client::new(world, "client").await;
            client
                .subscribe(1, Policy::Disconnect, Start::Now, "news/a")
                .await;
            client.lose(world).await;
            publish(world, "news/a", 1..=50);
            for _ in 0..3 {
                let entered = client.come(world).await;
                assert!(!entered.continued.expect("it is known").whole);
                world.sim.settle().await;
                client.lose(world).await;
            }
            let verdicts = client.back(world).await.expect("not all follows");
            let first = 51 - kept;
            match kept {
                50 => assert_eq!(verdicts, [replayed(1, 50)]),
                _ => assert_eq!(verdicts, [gap(30)]),
            }
            assert_eq!(client.hears(kept as usize).await, past(first..=50));
            assert_eq!(client.hears(1).await, [H::Live(1, 50)]);
            assert_eq!(client.accounted[1], (1, 50));
        });
    }
}

/// One of two that share topics was to hear the past, and the other of a gap: also when the client hears so only the second time.
#[test]
fn of_two_that_share_topics_each_hears_the_same_when_a_welcome_is_lost() {
    check_limited(ENDLESS, forgetful(), async |world| {
        let mut client = Client::of_two(world).await;
        for steps in 0..30 {
            let last = 8 * u64::from(steps);
            client.lose(world).await;
            publish(world, "news/a", last + 1..=last + 4);
            publish(world, "news/b", last + 5..=last + 6);
            publish(world, "news/a", last + 7..=last + 8);
            client.come_and_go(world, steps).await;
            let verdicts = client.back(world).await;
            assert_eq!(verdicts, Some(vec![replayed(last + 1, last + 8), gap(2)]));
            let of_one = [1, 2, 3, 4, 7, 8].map(|number| last + number);
            assert_eq!(client.hears(6).await, past(of_one));
            let live = [H::Live(1, last + 8), H::Live(2, last + 8)];
            assert_eq!(client.hears(2).await, live);
        }
    });
}

/// The same when history has lost it all before the client hears: that some is missing is part of the word.
#[test]
fn of_two_that_share_topics_each_hears_of_what_went_between_two_returns() {
    let age = Duration::from_secs(1);
    let history = History {
        age: Some(age),
        ..ENDLESS
    };
    check_limited(history, forgetful(), async |world| {
        let mut client = Client::of_two(world).await;
        for steps in 0..30 {
            let last = 6 * u64::from(steps);
            client.lose(world).await;
            publish(world, "news/a", last + 1..=last + 4);
            publish(world, "news/b", last + 5..=last + 6);
            for _ in 0..2 {
                client.come_and_go(world, steps).await;
            }
            world.pass(age).await;
            let verdicts = client.back(world).await;
            assert_eq!(verdicts, Some(vec![gap(4), gap(2)]));
            let live = [H::Live(1, last + 6), H::Live(2, last + 6)];
            assert_eq!(client.hears(2).await, live);
        }
    });
}

/// Of the second one nothing is lost since a verdict that was heard. Others that share topics with it would hear of a gap if that came again.
#[test]
fn a_verdict_that_was_heard_does_not_come_again_when_a_later_welcome_is_lost() {
    let limits = Limits {
        lane_frames_max: 8,
        ..forgetful()
    };
    check_limited(ENDLESS, limits, async |world| {
        let mut client = Client::of_a_long_past(world).await;
        let told = [replayed(5, 20), Verdict::Resumed, Verdict::Resumed];
        assert_eq!(client.back(world).await, Some(told.to_vec()));
        client.lose_late(world).await;
        // It forgets this welcome.
        let entered = client.come(world).await;
        assert_eq!(entered.verdicts[1..], told);
        client.lose_late(world).await;
        assert_eq!(client.back(world).await, Some(told.to_vec()));
        client.hears_a_long_past().await;
    });
}

/// The same when everything was to follow that welcome, so that there was no verdict in it.
#[test]
fn a_verdict_that_was_heard_does_not_come_again_when_a_whole_return_is_lost() {
    let limits = Limits {
        lane_frames_max: 8,
        resume_bytes_max: 1024 * 1024,
        ..Limits::default()
    };
    check_limited(ENDLESS, limits, async |world| {
        let mut client = Client::of_a_long_past(world).await;
        // It forgets this welcome.
        let entered = client.come(world).await;
        assert!(entered.continued.expect("it is known").whole);
        client.lose_late(world).await;
        // More than may wait for it: what was to follow is given up.
        publish(world, "chat", 1..=9);
        let told = [replayed(5, 20), Verdict::Resumed, gap(9)];
        assert_eq!(client.back(world).await, Some(told.to_vec()));
        client.hears_a_long_past().await;
    });
}

/// What is gone is not what it was too slow for: it would come back, and find that more is gone.
#[test]
fn who_is_ended_for_what_it_misses_hears_some_on_every_return_while_more_goes() {
    let history = History {
        events_max: 20,
        ..ENDLESS
    };
    let limits = Limits {
        lane_frames_max: 8,
        ..forgetful()
    };
    check_limited(history, limits, async |world| {
        publish(world, "news/a", 1..=20);
        let mut client = Client::new(world, "client").await;
        client
            .subscribe(1, Policy::Disconnect, Start::Beginning, "news/a")
            .await;
        assert_eq!(client.hears(1).await, past([1]));
        for round in 1..=10 {
            client.lose(world).await;
            publish(world, "news/a", 20 * round + 1..=20 * round + 20);
            let verdicts = client.back(world).await.expect("not all follows");
            assert!(
                matches!(verdicts[..], [Verdict::Gap { .. }]),
                "{verdicts:?}"
            );
            assert_eq!(client.hears(1).await, past([20 * round + 1]));
            assert_eq!(client.accounted[1].1, 20 * round + 1);
        }
    });
}

/// Lost again and again, at any place: each event is heard once, in order, or told as missing where it is.
#[test]
fn every_event_is_heard_or_told_over_any_number_of_returns() {
    const EVENTS: u64 = 200;
    for events_max in [30, 1_000] {
        let history = History {
            events_max,
            ..ENDLESS
        };
        let limits = Limits {
            resume_bytes_max: 300,
            lane_frames_max: 32,
            ..Limits::default()
        };
        check_limited(history, limits, async |world| {
            let mut client = Client::new(world, "client").await;
            client
                .subscribe(1, Policy::DropOldest, Start::Now, "news/a")
                .await;
            let (mut published, mut last, mut round) = (0, 0, 0);
            while client.accounted[1].1 < EVENTS {
                round += 1;
                let more = (world.sim.now().as_micros() + round * 13) % 37;
                let until = (published + more).min(EVENTS);
                publish(world, "news/a", published + 1..=until);
                published = until;
                world.sim.settle().await;
                for _ in 0..round % 11 {
                    if client.accounted[1].1 == published {
                        break;
                    }
                    if let H::Replay(_, offset, _) | H::Event(offset, _) = client.hear().await {
                        assert!(offset > last, "{offset} behind {last}");
                        assert_eq!(
                            client.accounted[1].1, offset,
                            "all before it is accounted for"
                        );
                        last = offset;
                    }
                }
                if round % 3 == 0 {
                    client.lose(world).await;
                    publish(world, "news/a", published + 1..=(published + 5).min(EVENTS));
                    published = (published + 5).min(EVENTS);
                    client.back(world).await;
                }
            }
        });
    }
}
