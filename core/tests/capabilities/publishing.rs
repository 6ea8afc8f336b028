//! A publisher knows what became of its events, and chooses whether it waits for those who are slow.

use std::time::Duration;

use futures_channel::mpsc::channel;
use futures_lite::StreamExt;
use futures_lite::future::{poll_once, zip};
use lapwing::client::SubscribeOptions;
use lapwing::hub::{HubBuilder, PublishError, Published};
use lapwing::transport::Listener as _;
use lapwing::{Client, Delivery, Hub, Limits, Policy, Subscription, Typed};
use lapwing_memory::Path;

use crate::ground::{Ground, PATIENCE};
use crate::reading::{number, number_in};
use crate::world::{HUB, World};

everywhere![
    a_publisher_hears_how_many_have_an_event_or_that_there_is_nobody,
    who_publishes_within_a_time_loses_nothing_however_fast_it_is,
    what_is_sent_straight_within_a_time_is_not_lost_either,
];

const POLICIES: [Policy; 4] = [
    Policy::Disconnect,
    Policy::DropOldest,
    Policy::DropNewest,
    Policy::KeepLatest,
];

const SECOND: Duration = Duration::from_secs(1);

const COMPLETE: Published = Published {
    queued: 1,
    dropped: 0,
};

/// Of each lane.
const FRAMES: u32 = 16;

/// Far more than fit into a lane.
const EVENTS: u32 = 500;

fn limits() -> Limits {
    Limits {
        lane_frames_max: FRAMES,
        ..Limits::default()
    }
}

fn narrow(world: &World) -> HubBuilder {
    world.hub().limits(limits())
}

async fn subscribe(client: &Client, policy: Policy) -> Subscription {
    let options = SubscribeOptions {
        policy: Some(policy),
        ..SubscribeOptions::default()
    };
    let subscription = client.subscribe_with("numbers", options).await;
    subscription.expect("the hub allows it")
}

async fn a_publisher_hears_how_many_have_an_event_or_that_there_is_nobody(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let publisher = ground.online(&url).await;
    let nobody = hub.publish("numbers", "x").expect("a topic");
    assert!(nobody.is_nobody(), "{nobody:?}");
    let nobody = publisher.publish_acked("numbers", "x").await;
    assert!(nobody.expect("allowed").is_nobody());

    let readers = [ground.online(&url).await, ground.online(&url).await];
    let mut subscriptions = Vec::new();
    for reader in &readers {
        subscriptions.push(reader.subscribe("numbers").await.expect("allowed"));
    }
    let both = Published {
        queued: 2,
        dropped: 0,
    };
    assert_eq!(hub.publish("numbers", "x").expect("a topic"), both);
    let acked = publisher.publish_acked("numbers", "x").await;
    assert_eq!(acked, Ok(both));
    assert!(!both.is_nobody());
}

async fn who_publishes_within_a_time_loses_nothing_however_fast_it_is(ground: Ground) {
    let hub = ground.hub().topic("**", lapwing::hub::Rule::open());
    let (hub, url) = ground.served(hub.limits(limits())).await;
    for policy in POLICIES {
        let reader = ground.online(&url).await;
        let mut numbers = subscribe(&reader, policy).await;
        let publisher = hub.clone();
        // In a task of its own: nothing but room wakes it.
        ground.runtime().spawn(Box::pin(async move {
            for number in 0..EVENTS {
                let within = publisher.publish_within(PATIENCE, "numbers", Typed(number));
                assert_eq!(within.await.expect("a topic"), COMPLETE, "{policy:?}");
            }
        }));
        for expected in 0..EVENTS {
            assert_eq!(number(&mut numbers).await, expected);
        }
        reader.close().await;
        ground.until(|| hub.counters().connections == 0).await;
    }
}

async fn what_is_sent_straight_within_a_time_is_not_lost_either(ground: Ground) {
    let (hub, url) = ground.served(ground.hub().limits(limits())).await;
    let reader = ground.online(&url).await;
    let (mut tell, mut heard) = channel(EVENTS as usize);
    let handler = move |delivery| {
        if let Delivery::Event(event) = delivery {
            tell.try_send(number_in(&event)).expect("room for all");
        }
    };
    reader.on("numbers", handler).expect("a good filter");
    let remote = hub.connection(reader.connection().expect("online"));
    ground.runtime().spawn(Box::pin(async move {
        for number in 0..EVENTS {
            let sent = match number % 2 {
                0 => remote.send_within(PATIENCE, "numbers", Typed(number)).await,
                _ => {
                    let all = hub.all();
                    all.send_within(PATIENCE, "numbers", Typed(number)).await
                }
            };
            assert_eq!(sent.expect("a topic"), COMPLETE);
        }
    }));
    for expected in 0..EVENTS {
        assert_eq!(heard.next().await, Some(expected));
    }
}

/// A reader that takes nothing now, and for which as much waits as its policy lets.
async fn stopped(world: &World, hub: &Hub, policy: Policy) -> (Client, Subscription, u32) {
    let reader = world.online("reader").await;
    let subscription = subscribe(&reader, policy).await;
    world.sim.settle().await;
    world.network.stall(Path::to_client("reader"));
    let mut published = 0;
    // Its transport takes some. What would be lost waits for no time at all, and is not published then.
    while let Some(done) = poll_once(hub.publish_within(SECOND, "numbers", Typed(published))).await
    {
        assert_eq!(done.expect("a topic"), COMPLETE);
        published += 1;
        world.sim.settle().await;
    }
    (reader, subscription, published)
}

#[test]
fn it_waits_until_there_is_room_and_no_longer() {
    for policy in POLICIES {
        World::check(async |world| {
            let hub = world.serve(narrow(world));
            let (_reader, mut numbers, published) = stopped(world, &hub, policy).await;
            let resume = async {
                world.sim.sleep(3 * SECOND).await;
                world.network.resume("reader");
            };
            let within = hub.publish_within(5 * SECOND, "numbers", Typed(published));
            let (took, (done, ())) = world.timed(zip(within, resume)).await;
            assert_eq!(took, 3 * SECOND, "{policy:?}");
            assert_eq!(done.expect("a topic"), COMPLETE, "{policy:?}");
            for expected in 0..=published {
                assert_eq!(number(&mut numbers).await, expected);
            }
        });
    }
}

#[test]
fn it_publishes_when_the_time_is_over_and_policies_decide() {
    for policy in POLICIES {
        World::check(async |world| {
            let hub = world.serve(narrow(world));
            let (_reader, _numbers, published) = stopped(world, &hub, policy).await;
            let mut prompt = world.online("prompt").await.subscribe("numbers").await;
            let prompt = prompt.as_mut().expect("allowed");
            let within = hub.publish_within(2 * SECOND, "numbers", Typed(published));
            let (took, done) = world.timed(within).await;
            assert_eq!(took, 2 * SECOND, "{policy:?}");
            let queued = match policy {
                Policy::DropOldest | Policy::KeepLatest => 2,
                _ => 1,
            };
            let dropped = 1;
            assert_eq!(done.expect("a topic"), Published { queued, dropped });
            assert_eq!(number(prompt).await, published, "others have it");
        });
    }
}

#[test]
fn what_is_given_up_while_it_waits_was_not_published() {
    World::check(async |world| {
        let hub = world.serve(narrow(world));
        let (_reader, mut numbers, published) = stopped(world, &hub, Policy::Disconnect).await;
        let mut given_up = Box::pin(hub.publish_within(5 * SECOND, "numbers", Typed(u32::MAX)));
        assert!(poll_once(&mut given_up).await.is_none());
        drop(given_up);
        world.network.resume("reader");
        world.sim.settle().await;
        hub.publish("numbers", Typed(published)).expect("a topic");
        for expected in 0..=published {
            assert_eq!(number(&mut numbers).await, expected);
        }
    });
}

#[test]
fn who_leaves_is_not_waited_for() {
    World::check(async |world| {
        let hub = world.serve(narrow(world));
        let (reader, numbers, _) = stopped(world, &hub, Policy::DropOldest).await;
        let leave = async {
            world.sim.sleep(SECOND).await;
            world.network.cut("reader");
        };
        let within = hub.publish_within(5 * SECOND, "numbers", Typed(0));
        let (took, (done, ())) = world.timed(zip(within, leave)).await;
        assert_eq!(took, SECOND);
        assert_eq!(done.expect("a topic").dropped, 1, "it may return, to a gap");
        drop((reader, numbers));
    });
}

#[test]
fn others_are_not_delayed_by_who_waits() {
    World::check(async |world| {
        let hub = world.serve(narrow(world));
        let (_reader, _numbers, _) = stopped(world, &hub, Policy::DropNewest).await;
        let mut other = world.online("other").await.subscribe("other").await;
        let other = other.as_mut().expect("allowed");
        let mut waiting = Box::pin(hub.publish_within(5 * SECOND, "numbers", Typed(0)));
        assert!(poll_once(&mut waiting).await.is_none());
        let publish = async {
            for number in 0..100_u32 {
                let within = hub.publish_within(5 * SECOND, "other", Typed(number));
                assert_eq!(within.await.expect("a topic"), COMPLETE);
            }
        };
        let read = async {
            for expected in 0..100 {
                assert_eq!(number(other).await, expected);
            }
        };
        let (took, _) = world.timed(zip(publish, read)).await;
        assert_eq!(took, Duration::ZERO);
        assert!(poll_once(&mut waiting).await.is_none(), "it still waits");
    });
}

#[test]
fn what_no_waiting_changes_is_said_at_once() {
    World::check(async |world| {
        let hub_bytes_max = 100_000;
        let hub = world.serve(world.hub().limits(Limits {
            hub_bytes_max,
            ..limits()
        }));
        let nothing = hub.publish_within(SECOND, "numbers", "x").await;
        assert!(nothing.expect("a topic").is_nobody());
        let topic = hub.publish_within(SECOND, "a//b", "x").await;
        assert!(matches!(topic, Err(PublishError::Topic(_))));

        // As large as the hub's memory, but not as what this one takes.
        let small = world.client("small").limits(Limits {
            message_bytes_max: 1_000,
            ..Limits::default()
        });
        let small = crate::ground::online(small).await;
        let _numbers = subscribe(&small, Policy::DropOldest).await;
        let large = hub.publish_within(SECOND, "numbers", "x".repeat(2_000));
        let missed = Published {
            queued: 0,
            dropped: 1,
        };
        assert_eq!(large.await.expect("a topic"), missed);
        let larger = "x".repeat(hub_bytes_max as usize + 1);
        let larger = hub.publish_within(SECOND, "numbers", larger).await;
        assert!(matches!(larger, Err(PublishError::TooLarge { .. })));
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_connection_without_a_pump_makes_room_as_well() {
    World::check(async |world| {
        let hub = narrow(world).build().expect("good filters");
        let mut listener = world.network.listen(HUB).expect("the name is free");
        let attached = hub.clone();
        world.sim.spawn_named("attach", async move {
            let transport = listener.accept().await.expect("somebody comes");
            attached.attach(transport).await;
        });
        let reader = world.online("reader").await;
        let mut numbers = subscribe(&reader, Policy::DropOldest).await;
        // In a task of its own: nothing but room wakes it.
        world.sim.spawn_named("publisher", async move {
            for number in 0..EVENTS {
                let within = hub.publish_within(SECOND, "numbers", Typed(number));
                assert_eq!(within.await.expect("a topic"), COMPLETE);
            }
        });
        let before = world.sim.elapsed();
        for expected in 0..EVENTS {
            assert_eq!(number(&mut numbers).await, expected);
        }
        assert_eq!(world.sim.elapsed(), before);
    });
}
