//! A reader that stops harms itself only, misses nothing without a word, and costs a bounded amount.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::future::zip;
use lapwing::client::{Outage, PublishError, State, SubscribeOptions};
use lapwing::hub::{HubBuilder, Published, Rule};
use lapwing::session::Ending;
use lapwing::wire::CloseReason;
use lapwing::{Client, Delivery, Hub, Limits, Policy, Subscription, Typed};
use lapwing_memory::Path;

use crate::ground::{Ground, online, sleep};
use crate::reading::{event, number, number_in, text, trouble};
use crate::world::World;

everywhere![
    a_reader_that_was_slow_is_told_of_every_event_that_it_missed,
    a_publisher_that_waits_for_room_loses_nothing,
];

const DROPPING: [Policy; 3] = [Policy::DropOldest, Policy::DropNewest, Policy::KeepLatest];

const TICK: Duration = Duration::from_millis(50);

/// A hub whose lanes hold so many frames.
fn narrow(world: &World, lane_frames_max: u32) -> HubBuilder {
    world.hub().limits(Limits {
        lane_frames_max,
        ..Limits::default()
    })
}

async fn subscribe(client: &Client, filter: &str, policy: Policy) -> Subscription {
    let options = SubscribeOptions {
        policy: Some(policy),
        ..SubscribeOptions::default()
    };
    let subscription = client.subscribe_with(filter, options).await;
    subscription.expect("the hub allows it")
}

/// What a reader got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    received: u64,
    missed: u64,
}

/// Reads the numbers up to `end`; each that does not come has to be told in its place.
async fn account(subscription: &mut Subscription, end: u32) -> Account {
    let mut account = Account::default();
    while account.received + account.missed < u64::from(end) {
        match subscription.next().await.expect("more") {
            Delivery::Event(envelope) => {
                let expected = account.received + account.missed;
                assert_eq!(u64::from(number_in(&envelope)), expected);
                account.received += 1;
            }
            Delivery::Lagged(missed) => account.missed += missed,
            other => panic!("neither an event nor a loss: {other:?}"),
        }
    }
    assert_eq!(subscription.accounted(), u64::from(end));
    account
}

#[test]
fn a_reader_that_has_stopped_delays_nobody() {
    for policy in [
        Policy::Disconnect,
        Policy::DropOldest,
        Policy::DropNewest,
        Policy::KeepLatest,
    ] {
        World::check(async |world| {
            let _hub = world.serve(narrow(world, 16));
            let stopped = world.online("stopped").await;
            let _stopped = subscribe(&stopped, "numbers", policy).await;
            let latency = Duration::from_millis(10);
            world.network.delay(Path::to_client("fast"), latency);
            let mut fast = world.online("fast").await.subscribe("numbers").await;
            let fast = fast.as_mut().expect("allowed");
            let publisher = world.online("publisher").await;
            world.network.stall("stopped");
            let publish = async {
                for _ in 0..100 {
                    let sent = world.sim.elapsed().as_micros() as u64;
                    let published = publisher.publish("numbers", Typed((sent, [7_u8; 32])));
                    published.expect("room");
                    world.sim.sleep(TICK).await;
                }
            };
            let read = async {
                for _ in 0..100 {
                    let heard = event(fast).await.decode();
                    let Typed((sent, _)): Typed<(u64, [u8; 32])> = heard.expect("a time");
                    let took = world.sim.elapsed() - Duration::from_micros(sent);
                    assert_eq!(took, latency, "{policy:?}");
                }
            };
            zip(publish, read).await;
        });
    }
}

#[test]
fn every_event_is_received_or_told_missing_in_its_place() {
    for policy in DROPPING {
        World::check(async |world| {
            let hub = world.serve(narrow(world, 16));
            let reader = world.online("reader").await;
            let mut numbers = subscribe(&reader, "numbers", policy).await;
            let mut offered = 0;
            // Runs freely, stops, and catches up, several times.
            for round in 0..6 {
                match round % 3 {
                    1 => world.network.stall("reader"),
                    2 => world.network.resume("reader"),
                    _ => {}
                }
                for _ in 0..50 {
                    hub.publish("numbers", Typed(offered)).expect("a topic");
                    offered += 1;
                    if round % 3 == 0 {
                        world.sim.settle().await;
                    }
                }
                world.sim.settle().await;
            }
            let account = account(&mut numbers, offered).await;
            assert!(account.missed > 0 && account.received > 0, "{account:?}");
            let dropped: u64 = hub.counters().dropped.values().sum();
            assert_eq!(dropped, account.missed);
        });
    }
}

#[test]
fn the_oldest_the_newest_or_all_but_the_latest_go() {
    World::check(async |world| {
        let hub = world.serve(narrow(world, 16));
        let mut readers = Vec::new();
        for (name, policy) in ["oldest", "newest", "latest"].into_iter().zip(DROPPING) {
            let client = world.online(name).await;
            readers.push(subscribe(&client, "numbers", policy).await);
            world.network.stall(name);
        }
        for number in 0..100_u32 {
            hub.publish("numbers", Typed(number)).expect("a topic");
            world.sim.settle().await;
        }
        let mut heard = Vec::new();
        for (name, reader) in ["oldest", "newest", "latest"].into_iter().zip(&mut readers) {
            world.network.resume(name);
            world.sim.settle().await;
            let mut numbers = Vec::new();
            while reader.accounted() < 100 {
                world.sim.settle().await;
            }
            while let Some(Some(delivery)) = futures_lite::future::poll_once(reader.next()).await {
                if let Delivery::Event(envelope) = delivery {
                    numbers.push(number_in(&envelope));
                }
            }
            heard.push(numbers);
        }
        let [oldest, newest, latest] = &heard[..] else {
            panic!("three readers");
        };
        assert_eq!(oldest.last(), Some(&99));
        assert!(newest.iter().copied().eq(0..newest.len() as u32));
        assert_eq!(latest.last(), Some(&99));
        assert!(
            latest.len() <= 3,
            "{latest:?}: the transport has one or two"
        );
    });
}

#[test]
fn of_many_topics_the_latest_value_of_each_is_kept() {
    World::check(async |world| {
        let hub = world.serve(narrow(world, 64));
        let reader = world.online("reader").await;
        let mut values = subscribe(&reader, "position/*", Policy::KeepLatest).await;
        world.network.stall("reader");
        for round in 0..50_u32 {
            for vehicle in 0..8 {
                let topic = format!("position/{vehicle}");
                hub.publish(&topic, Typed(round)).expect("a topic");
            }
            world.sim.settle().await;
        }
        world.network.resume("reader");
        let (mut newest, mut account) = (BTreeMap::new(), Account::default());
        while account.received + account.missed < 50 * 8 {
            match values.next().await.expect("more") {
                Delivery::Event(envelope) => {
                    account.received += 1;
                    let number = number_in(&envelope);
                    let older = newest.insert(envelope.topic().to_owned(), number);
                    assert!(older.is_none_or(|older| older < number));
                }
                Delivery::Lagged(missed) => account.missed += missed,
                other => panic!("neither an event nor a loss: {other:?}"),
            }
        }
        assert_eq!(newest.len(), 8);
        assert!(newest.values().all(|round| *round == 49), "{newest:?}");
        assert!(account.received < 3 * 8, "{account:?}");
    });
}

#[test]
fn who_may_miss_nothing_is_ended_and_may_begin_anew() {
    World::check(async |world| {
        let endings = Arc::new(Mutex::new(Vec::new()));
        let all = endings.clone();
        let hub = narrow(world, 16).on_disconnect(move |gone| {
            all.lock().expect("no panic").push(gone.ending);
        });
        let hub = world.serve(hub);
        let reader = world.forgetful("reader").await;
        let mut numbers = subscribe(&reader, "numbers", Policy::Disconnect).await;
        let mut states = reader.states();
        world.network.stall(Path::to_client("reader"));
        let mut total = Published::default();
        for number in 0..500_u32 {
            let published = hub.publish("numbers", Typed(number)).expect("a topic");
            total.queued += published.queued;
            total.dropped += published.dropped;
            world.sim.settle().await;
        }
        assert_eq!(total.dropped, 1, "the one that was too much");
        world.network.resume("reader");
        let State::Waiting { outage, .. } = trouble(&mut states).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Closed(CloseReason::TooSlow));
        world.sim.settle().await;
        let endings = endings.lock().expect("no panic").clone();
        assert!(
            matches!(endings[..], [Ending::ByUs(close)] if close.reason == CloseReason::TooSlow),
            "{endings:?}"
        );
        assert_eq!(hub.counters().dropped["disconnect"], 1);

        // What had left arrives in order, without a hole; then it is told where it ends.
        let mut expected = 0;
        loop {
            match numbers.next().await.expect("more") {
                Delivery::Event(envelope) => assert_eq!(number_in(&envelope), expected),
                Delivery::Gap(None) => break,
                other => panic!("neither an event nor the gap: {other:?}"),
            }
            expected += 1;
        }
        assert!(expected <= total.queued);
        hub.publish("numbers", Typed(1_000_u32)).expect("a topic");
        assert_eq!(number(&mut numbers).await, 1_000);
    });
}

#[test]
fn the_policy_of_a_rule_counts_for_who_has_chosen_none() {
    World::check(async |world| {
        let hub = Hub::builder(world.sim.runtime())
            .topic("state/*", Rule::open().policy(Policy::KeepLatest))
            .limits(Limits {
                lane_frames_max: 16,
                ..Limits::default()
            });
        let hub = world.serve(hub);
        let reader = world.online("reader").await;
        let mut numbers = reader.subscribe("state/*").await.expect("allowed");
        world.network.stall("reader");
        for number in 0..100_u32 {
            hub.publish("state/a", Typed(number)).expect("a topic");
            world.sim.settle().await;
        }
        world.network.resume("reader");
        account(&mut numbers, 100).await;
        let dropped = hub.counters().dropped;
        assert!(dropped["keep-latest"] > 90, "{dropped:?}");
    });
}

#[test]
fn a_subscription_that_drops_leaves_room_for_one_that_may_not() {
    World::check(async |world| {
        let hub = world.serve(narrow(world, 16));
        let reader = world.online("reader").await;
        let mut noise = subscribe(&reader, "noise", Policy::DropOldest).await;
        let mut gossip = subscribe(&reader, "gossip", Policy::DropOldest).await;
        let mut alarms = subscribe(&reader, "alarm", Policy::Disconnect).await;
        let connection = reader.connection();
        world.network.stall("reader");
        hub.publish("gossip", "did you hear?").expect("a topic");
        for number in 0..200_u32 {
            hub.publish("noise", Typed(number)).expect("a topic");
            if number % 50 == 0 {
                hub.publish("alarm", "fire").expect("a topic");
            }
            world.sim.settle().await;
        }
        world.network.resume("reader");
        assert!(account(&mut noise, 200).await.missed > 150);
        assert_eq!(
            text(&mut gossip).await,
            "did you hear?",
            "nobody else's goes"
        );
        for _ in 0..4 {
            assert_eq!(text(&mut alarms).await, "fire");
        }
        assert_eq!(reader.connection(), connection);
    });
}

#[test]
fn an_event_larger_than_a_lane_is_taken_when_the_lane_is_empty() {
    World::check(async |world| {
        let hub = world.serve(world.hub().limits(Limits {
            lane_bytes_max: 1_000,
            ..Limits::default()
        }));
        for (name, policy) in ["a", "b", "c", "d"].into_iter().zip([
            Policy::Disconnect,
            Policy::DropOldest,
            Policy::DropNewest,
            Policy::KeepLatest,
        ]) {
            let mut large = subscribe(&world.online(name).await, name, policy).await;
            let published = hub.publish(name, [7; 5_000]).expect("a topic");
            assert_eq!((published.queued, published.dropped), (1, 0));
            assert_eq!(event(&mut large).await.bytes()[..], [7; 5_000]);
        }
    });
}

#[test]
fn what_is_sent_straight_to_somebody_has_a_policy_too() {
    World::check(async |world| {
        let hub = world.serve(narrow(world, 16).direct_policy(Policy::DropOldest));
        let reader = world.online("reader").await;
        let heard = Arc::new(Mutex::new(Account::default()));
        let account = heard.clone();
        let on = reader.on("**", move |delivery| {
            let mut account = account.lock().expect("no panic");
            match delivery {
                Delivery::Event(_) => account.received += 1,
                Delivery::Lagged(missed) => account.missed += missed,
                other => panic!("neither an event nor a loss: {other:?}"),
            }
        });
        on.expect("a filter");
        world.network.stall("reader");
        for number in 0..100_u32 {
            hub.all().send("a", Typed(number)).expect("a topic");
            world.sim.settle().await;
        }
        world.network.resume("reader");
        world.sim.settle().await;
        let account = *heard.lock().expect("no panic");
        assert_eq!(account.received + account.missed, 100);
        assert!(account.missed > 50, "{account:?}");
        assert_eq!(reader.accounted(), 100);
    });
}

#[test]
fn what_a_program_keeps_of_what_it_heard_is_not_the_hubs_to_pay() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let client = world.online("keeper").await;
        let mut all = subscribe(&client, "**", Policy::Disconnect).await;
        let mut kept = Vec::new();
        for _ in 0..20 {
            hub.publish("large", vec![7; 100_000]).expect("a topic");
            kept.push(all.next().await.expect("an event"));
        }
        // What has arrived is confirmed after a second at the latest.
        world.sim.sleep(Duration::from_secs(2)).await;
        assert_eq!(hub.counters().held_bytes, 0);
    });
}

#[test]
fn all_queues_together_stay_within_their_bound_and_go_back_to_nothing() {
    World::check(async |world| {
        let hub_bytes_max = 256 * 1024;
        let hub = world.serve(world.hub().limits(Limits {
            hub_bytes_max,
            ..Limits::default()
        }));
        let mut readers = Vec::new();
        for reader in 0..18 {
            let name = format!("reader {reader}");
            let client = world.online(&name).await;
            let policy = DROPPING[reader % 3];
            readers.push((subscribe(&client, "**", policy).await, name));
        }
        for (_, name) in &readers {
            world.network.stall(&**name);
        }
        let mut most = 0;
        for number in 0..1_000_u32 {
            let topic = format!("topic/{}", number % 10);
            let large = Typed((number, [[7_u8; 32]; 32]));
            hub.publish(&topic, large).expect("a topic");
            if number % 10 == 0 {
                world.sim.settle().await;
                most = hub.counters().held_bytes.max(most);
            }
        }
        // Once for all who keep the beginning, once for all who keep the end, and what is still on its way to get old.
        assert!(most > hub_bytes_max, "{most}");
        assert!(most < 3 * hub_bytes_max, "{most}");

        let (gone, back) = readers.split_at_mut(4);
        for (_, name) in gone.iter() {
            world.network.cut(name);
        }
        for (reader, name) in back.iter_mut() {
            world.network.resume(&**name);
            let mut accounted = 0;
            while accounted < 1_000 {
                accounted += match reader.next().await.expect("more") {
                    Delivery::Event(_) => 1,
                    Delivery::Lagged(missed) => missed,
                    other => panic!("neither an event nor a loss: {other:?}"),
                };
            }
            assert_eq!(accounted, 1_000);
        }
        // What has arrived is confirmed after a second; those who are gone are waited for.
        world
            .sim
            .sleep(2 * Limits::default().resume.expect("a time"))
            .await;
        let counters = hub.counters();
        assert_eq!((counters.waiting_frames, counters.held_bytes), (0, 0));
    });
}

#[test]
fn a_program_that_reads_late_misses_nothing_without_a_word() {
    World::check(async |world| {
        let hub = world.serve(narrow(world, 16));
        let reader = world.online("reader").await;
        let options = SubscribeOptions {
            policy: Some(Policy::DropOldest),
            capacity: 4,
            ..SubscribeOptions::default()
        };
        let numbers = reader.subscribe_with("numbers", options).await;
        let mut numbers = numbers.expect("allowed");
        let connection = reader.connection();
        for number in 0..900_u32 {
            hub.publish("numbers", Typed(number)).expect("a topic");
            world.sim.sleep(Duration::from_millis(10)).await;
        }
        let account = account(&mut numbers, 900).await;
        assert!(account.missed > 500, "{account:?}");
        assert_eq!(reader.connection(), connection);
    });
}

#[test]
fn a_reader_that_takes_nothing_for_too_long_is_ended() {
    World::check(async |world| {
        let hub = world.serve(narrow(world, 16));
        let reader = world.forgetful("reader").await;
        let _numbers = subscribe(&reader, "numbers", Policy::DropOldest).await;
        world.network.stall(Path::to_client("reader"));
        let stalled_at = world.sim.elapsed();
        while hub.counters().disconnected.is_empty() {
            hub.publish("numbers", Typed(1_u32)).expect("a topic");
            world.sim.sleep(TICK).await;
        }
        let took = world.sim.elapsed() - stalled_at;
        let stall = Limits::default().stall;
        assert!(took >= stall && took <= stall + 2 * TICK, "{took:?}");
        assert_eq!(hub.counters().disconnected.get("stalled"), Some(&1));
    });
}

#[test]
fn publish_within_waits_for_room_and_gives_up_in_time() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let mut news = hub_reader(world).await;
        let publisher = world.client("publisher").limits(Limits {
            lane_frames_max: 4,
            ..Limits::default()
        });
        let publisher = online(publisher).await;
        world.network.partition("publisher");
        let mut sent = 0_u32;
        while publisher.publish("news", Typed(sent)).is_ok() {
            sent += 1;
            world.sim.settle().await;
        }
        let second = Duration::from_secs(1);
        let (waited, refused) = world
            .timed(publisher.publish_within(3 * second, "news", Typed(sent)))
            .await;
        assert_eq!(waited, 3 * second);
        let Err(PublishError::Full(envelope)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(number_in(&envelope), sent, "it comes back");

        let patient = publisher.publish_within(10 * second, "news", envelope);
        let heal = async {
            world.sim.sleep(2 * second).await;
            world.network.heal("publisher");
        };
        let (waited, (published, ())) = world.timed(zip(patient, heal)).await;
        assert_eq!((waited, published), (2 * second, Ok(())));
        for expected in 0..=sent {
            assert_eq!(number(&mut news).await, expected);
        }
        assert_eq!(hub.counters().connections, 2);
    });
}

async fn hub_reader(world: &World) -> Subscription {
    let reader = world.online("reader").await;
    reader.subscribe("news").await.expect("allowed")
}

async fn a_reader_that_was_slow_is_told_of_every_event_that_it_missed(ground: Ground) {
    let hub = ground.hub().topic("**", Rule::open()).limits(Limits {
        lane_frames_max: 64,
        ..Limits::default()
    });
    let (hub, url) = ground.served(hub).await;
    let mut readers = Vec::new();
    for policy in DROPPING {
        let client = ground.online(&url).await;
        let options = SubscribeOptions {
            policy: Some(policy),
            capacity: 1,
            ..SubscribeOptions::default()
        };
        let subscription = client.subscribe_with("numbers", options).await;
        readers.push(subscription.expect("allowed"));
    }
    // More than the sockets hold: 16 MiB.
    let ballast = [7_u8; 8 * 1024];
    for number in 0..2_000_u32 {
        let large = [&number.to_le_bytes(), &ballast[..]].concat();
        hub.publish("numbers", large).expect("a topic");
        if number % 50 == 0 {
            sleep(&**ground.runtime(), Duration::from_millis(1)).await;
        }
    }
    for (reader, policy) in readers.iter_mut().zip(DROPPING) {
        let mut account = Account::default();
        while account.received + account.missed < 2_000 {
            match reader.next().await.expect("more") {
                Delivery::Event(envelope) => {
                    let number = envelope.bytes().first_chunk().expect("a number");
                    let expected = (account.received + account.missed) as u32;
                    assert_eq!(u32::from_le_bytes(*number), expected, "{policy:?}");
                    account.received += 1;
                }
                Delivery::Lagged(missed) => account.missed += missed,
                other => panic!("neither an event nor a loss: {other:?}"),
            }
        }
        assert_eq!(account.received + account.missed, 2_000);
        assert!(account.missed > 0, "{policy:?}: {account:?}");
    }
    ground.until(|| hub.counters().held_bytes == 0).await;
}

async fn a_publisher_that_waits_for_room_loses_nothing(ground: Ground) {
    let (_hub, url) = ground.open_hub().await;
    let reader = ground.online(&url).await;
    let mut numbers = reader.subscribe("numbers").await.expect("allowed");
    let publisher = ground.client(&url).limits(Limits {
        lane_frames_max: 8,
        ..Limits::default()
    });
    let publisher = online(publisher).await;
    let publish = async {
        for number in 0..2_000_u32 {
            let published =
                publisher.publish_within(crate::ground::PATIENCE, "numbers", Typed(number));
            published.await.expect("room in time");
        }
    };
    let read = async {
        for expected in 0..2_000 {
            assert_eq!(number(&mut numbers).await, expected);
        }
    };
    zip(publish, read).await;
}
