//! Subscriptions of the program that has the hub: what a client would hear, without a connection.

use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use lapwing::hub::{
    Heard, History, Hub, LocalOptions, LocalSubscription, Published, Rule, Shutdown,
};
use lapwing::{Delivery, Envelope, Limits, Typed};

use crate::ground::{Ground, PATIENCE};
use crate::reading::{event, number_in};
use crate::world::World;

everywhere![
    a_program_hears_its_own_events_and_those_of_clients,
    a_program_and_its_clients_hear_a_topic_in_one_order,
    a_program_that_reads_too_slowly_is_told_how_much_it_misses,
    a_callback_hears_everything_and_leaves_nothing_out_when_it_is_cancelled,
    who_publishes_again_and_again_reaches_those_who_come_and_go,
    who_publishes_within_a_time_waits_for_the_program_too,
];

const EVENTS: u32 = 500;

async fn heard(subscription: &mut LocalSubscription) -> Envelope {
    match subscription.read().await {
        Some(Heard::Event(event)) => event.clone(),
        other => panic!("not an event: {other:?}"),
    }
}

async fn a_program_hears_its_own_events_and_those_of_clients(ground: Ground) {
    let kept = Rule::open().history(History::default());
    let hub = ground
        .hub()
        .topic("kept/**", kept)
        .topic("**", Rule::open());
    let (hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let mut all = hub.subscribe("**").expect("a filter");
    let mut rooms = hub.subscribe("room/*").expect("a filter");
    let alone = Published {
        queued: 2,
        dropped: 0,
    };
    assert_eq!(hub.publish("room/7", "warm").expect("a topic"), alone);
    assert_eq!(client.publish_acked("room/8", "cold").await, Ok(alone));
    assert!(
        client
            .publish_acked("hall", Typed((1_u8, 'x')))
            .await
            .is_ok()
    );
    hub.publish("kept/a", Typed(7_u32)).expect("a topic");

    for subscription in [&mut all, &mut rooms] {
        let warm = heard(subscription).await;
        assert_eq!((warm.topic(), warm.text()), ("room/7", Some("warm")));
        let cold = heard(subscription).await;
        assert_eq!((cold.topic(), cold.text()), ("room/8", Some("cold")));
    }
    let hall: Typed<(u8, char)> = heard(&mut all).await.decode().expect("a pair");
    assert_eq!(hall.0, (1, 'x'));
    let kept = heard(&mut all).await;
    assert_eq!((number_in(&kept), kept.offset()), (7, Some(1)));

    assert_eq!(hub.counters().local_subscriptions, 2);
    drop(all);
    assert_eq!(hub.counters().local_subscriptions, 1);
    assert!(hub.publish("hall", "x").expect("a topic").is_nobody());
    drop(rooms);
    assert!(hub.publish("room/7", "x").expect("a topic").is_nobody());
}

/// Two publish at once, one of them over the network.
async fn a_program_and_its_clients_hear_a_topic_in_one_order(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let (publisher, reader) = (ground.online(&url).await, ground.online(&url).await);
    let mut there = reader.subscribe("numbers").await.expect("allowed");
    let options = LocalOptions {
        capacity: 2 * EVENTS as usize,
        ..LocalOptions::default()
    };
    let mut here = hub.subscribe_with("numbers", options).expect("a filter");
    let local = async {
        for number in 0..EVENTS {
            hub.publish("numbers", Typed(number)).expect("a topic");
            futures_lite::future::yield_now().await;
        }
    };
    let remote = async {
        for number in EVENTS..2 * EVENTS {
            publisher
                .publish_within(PATIENCE, "numbers", Typed(number))
                .await
                .expect("there is time enough");
        }
    };
    let read = async {
        for _ in 0..2 * EVENTS {
            let (one, other) = (heard(&mut here).await, event(&mut there).await);
            assert_eq!(number_in(&one), number_in(&other), "there is one order");
        }
    };
    zip(zip(local, remote), read).await;
}

async fn a_program_that_reads_too_slowly_is_told_how_much_it_misses(ground: Ground) {
    let (hub, _) = ground.open_hub().await;
    let options = LocalOptions {
        capacity: 32,
        ..LocalOptions::default()
    };
    let mut numbers = hub.subscribe_with("numbers", options).expect("a filter");
    let mut dropped = 0;
    for number in 0..EVENTS {
        let published = hub.publish("numbers", Typed(number)).expect("a topic");
        assert_eq!(published.queued, 1);
        dropped += u64::from(published.dropped);
    }
    let (mut next, mut missed) = (0, 0);
    while next < EVENTS {
        match numbers.next().await {
            Some(Delivery::Event(event)) => {
                assert_eq!(number_in(&event), next);
                next += 1;
            }
            Some(Delivery::Lagged(events)) => {
                missed += events;
                next += u32::try_from(events).expect("few");
            }
            other => panic!("not told: {other:?}"),
        }
    }
    assert!(missed > 0 && missed == dropped, "{missed} of {dropped}");
    let counted = hub.counters().dropped["drop-oldest"];
    assert_eq!(counted, dropped);
}

async fn a_callback_hears_everything_and_leaves_nothing_out_when_it_is_cancelled(ground: Ground) {
    let (hub, _) = ground.open_hub().await;
    let mut numbers = hub.subscribe("numbers").expect("a filter");
    let publisher = hub.publisher("numbers").expect("a topic");
    assert_eq!(publisher.topic(), "numbers");
    let mut next = 0;
    for round in 1..=EVENTS / 50 {
        for number in (round - 1) * 50..round * 50 {
            publisher.publish(Typed(number)).expect("it is written");
        }
        let heard = numbers.for_each(|heard| match heard {
            Heard::Event(event) => {
                assert_eq!(number_in(event), next);
                next += 1;
            }
            other => panic!("not an event: {other:?}"),
        });
        assert!(poll_once(heard).await.is_none(), "more may follow");
        assert_eq!(next, round * 50);
    }
}

async fn who_publishes_within_a_time_waits_for_the_program_too(ground: Ground) {
    let (hub, _) = ground.open_hub().await;
    let options = LocalOptions {
        capacity: 8,
        ..LocalOptions::default()
    };
    let mut numbers = hub.subscribe_with("numbers", options).expect("a filter");
    let publish = async {
        for number in 0..EVENTS {
            let published = hub.publish_within(PATIENCE, "numbers", Typed(number)).await;
            assert_eq!(published.expect("a topic").dropped, 0);
        }
    };
    let read = async {
        for number in 0..EVENTS {
            assert_eq!(number_in(&heard(&mut numbers).await), number);
        }
    };
    zip(publish, read).await;
}

async fn who_publishes_again_and_again_reaches_those_who_come_and_go(ground: Ground) {
    let kept = Rule::open().history(History::default());
    let hub = ground.hub().topic("numbers", kept);
    let (hub, url) = ground.served(hub).await;
    let publisher = hub.publisher("numbers").expect("a topic");
    assert!(hub.publisher("not//one").is_err());
    let client = ground.online(&url).await;
    for number in 0..10 {
        assert!(
            publisher
                .publish(Typed(1_000_u32))
                .expect("it is written")
                .is_nobody()
        );
        let mut here = hub.subscribe("numbers").expect("a filter");
        let mut there = client.subscribe("numbers").await.expect("allowed");
        let published = publisher
            .clone()
            .publish(Typed(number))
            .expect("it is written");
        assert_eq!(published.queued, 2);
        let published = publisher.publish_within(PATIENCE, Typed(number + 1)).await;
        assert_eq!(published.expect("it is written").queued, 2);
        for number in [number, number + 1] {
            assert_eq!(number_in(&heard(&mut here).await), number);
            assert_eq!(number_in(&event(&mut there).await), number);
        }
        there.close().await;
    }
}

#[test]
fn a_program_that_stands_still_costs_a_publisher_its_time_and_no_more() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let options = LocalOptions {
            capacity: 1,
            ..LocalOptions::default()
        };
        let _still = hub.subscribe_with("numbers", options).expect("a filter");
        let (begin, second) = (world.sim.elapsed(), Duration::from_secs(1));
        let mut dropped = 0;
        for number in 0..20 {
            let published = hub.publish_within(second, "numbers", Typed(number)).await;
            dropped += published.expect("a topic").dropped;
        }
        let waited = world.sim.elapsed() - begin;
        assert_eq!(waited, second * dropped, "as often as something was lost");
        assert!(dropped > 15);
    });
}

#[test]
fn a_program_hears_nothing_after_the_end_of_its_hub() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let mut before = hub.subscribe("numbers").expect("a filter");
        hub.publish("numbers", Typed(1_u32)).expect("a topic");
        hub.shutdown(Shutdown::default()).await;
        let mut after = hub.subscribe("numbers").expect("a filter");
        hub.publish("numbers", Typed(2_u32)).expect("a topic");
        assert_eq!(number_in(&heard(&mut before).await), 1);
        assert_eq!(before.next().await, None);
        assert_eq!(after.next().await, None);
        let error = hub.subscribe("not//one").expect_err("no filter");
        assert!(!error.to_string().is_empty());
    });
}

#[test]
fn a_program_hears_of_the_end_though_nobody_waits_for_it() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let client = world.online("phone").await;
        let mut numbers = hub.subscribe("numbers").expect("a filter");
        // It has begun, and goes on by itself.
        assert!(poll_once(hub.shutdown(Shutdown::default())).await.is_none());
        assert_eq!(numbers.next().await, None);
        drop(client);
    });
}

#[test]
fn a_program_hears_nothing_more_when_nobody_has_the_hub() {
    World::check(async |world| {
        let hub: Hub = world.hub().build().expect("good filters");
        let mut numbers = hub.subscribe("numbers").expect("a filter");
        assert!(poll_once(numbers.next()).await.is_none());
        drop(hub);
        assert_eq!(numbers.next().await, None);
    });
}

#[test]
fn a_program_keeps_little_when_memory_runs_short() {
    World::check(async |world| {
        let limits = Limits {
            hub_bytes_max: 100_000,
            ..Limits::default()
        };
        let hub = world.serve(world.hub().limits(limits));
        let mut slow = hub.subscribe("bytes").expect("a filter");
        let mut dropped = 0;
        for _ in 0..400 {
            let published = hub.publish("bytes", [7; 1_000]).expect("a topic");
            dropped += u64::from(published.dropped);
            assert!(hub.counters().held_bytes < 200_000);
        }
        let (mut events, mut missed) = (0, 0);
        while events + missed < 400 {
            match slow.read().await.expect("more") {
                Heard::Event(event) => events += event.bytes().len() as u64 / 1_000,
                Heard::Lagged(more) => missed += more,
                other => panic!("not told: {other:?}"),
            }
        }
        assert_eq!(missed, dropped);
        assert!(missed > 200, "{missed} had to go");
    });
}
