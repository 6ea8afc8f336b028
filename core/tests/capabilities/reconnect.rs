//! A client stays a client through cuts and restarts, says what was missed, and does not crowd its hub.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_lite::future::{self, zip};
use lapwing::client::{Backoff, ClientEnd, Outage, PublishError, State};
use lapwing::hub::{Rule, Shutdown};
use lapwing::wire::CloseReason;
use lapwing::{Client, Delivery, Hub, Typed};

use crate::ground::{Ground, online};
use crate::reading::{event, number, number_in, text, trouble};
use crate::world::{HUB, World};

everywhere![
    a_client_finds_a_hub_that_was_started_again,
    a_client_that_was_ended_for_good_does_not_come_back,
];

const SECOND: Duration = Duration::from_secs(1);

/// Comes back soon, for tests that are not about that.
const SOON: Backoff = Backoff {
    first: Duration::from_millis(10),
    max: Duration::from_millis(100),
};

async fn a_client_finds_a_hub_that_was_started_again(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = online(ground.client(&url).backoff(SOON)).await;
    let mut news = client.subscribe("news").await.expect("allowed");
    let mut weather = client.subscribe("weather/*").await.expect("allowed");
    hub.publish("news", "before").expect("a topic");
    assert_eq!(text(&mut news).await, "before");
    let report = hub.shutdown(Shutdown {
        within: 5 * SECOND,
        return_over: Duration::ZERO..Duration::from_millis(10),
    });
    assert_eq!(report.await.closed, 1);

    let hub = ground.hub().topic("**", Rule::open());
    let hub = hub.build().expect("good filters");
    ground.serve_at(&hub, &url).await;
    client.online().await.expect("it is back");
    assert_eq!(hub.counters().subscriptions, 2, "before it is online");
    hub.publish("news", "after").expect("a topic");
    hub.publish("weather/today", "rain").expect("a topic");
    for (subscription, expected) in [(&mut news, "after"), (&mut weather, "rain")] {
        assert_eq!(subscription.next().await, Some(Delivery::Gap(None)));
        assert_eq!(text(subscription).await, expected);
        assert_eq!(subscription.accounted(), 1, "the hub counts anew");
    }
}

async fn a_client_that_was_ended_for_good_does_not_come_back(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = ground.online(&url).await;
    let mut news = client.subscribe("news").await.expect("allowed");
    let mut states = client.states();
    hub.publish("news", "the last").expect("a topic");
    let connection = client.connection().expect("online");
    hub.connection(connection).close();
    let end = ClientEnd::ClosedByHub(CloseReason::Kicked);
    assert!(!end.is_wanted());
    let ended = State::Ended(end.clone());
    assert_eq!(trouble(&mut states).await, ended);
    assert_eq!(states.next().await, None);
    assert_eq!(client.online().await, Err(end));
    assert_eq!(
        text(&mut news).await,
        "the last",
        "what waited is read first"
    );
    assert_eq!(news.next().await, None);
    assert!(matches!(
        client.publish("news", "x"),
        Err(PublishError::Ended(_))
    ));
}

#[test]
fn a_cut_in_the_middle_is_a_gap_in_the_middle() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let client = world.forgetful("phone").await;
        let mut numbers = client.subscribe("numbers").await.expect("allowed");
        let publish = async {
            for number in 0..1_000_u32 {
                hub.publish("numbers", Typed(number)).expect("a topic");
                if number == 500 {
                    world.network.cut("phone");
                }
                world.sim.sleep(Duration::from_millis(10)).await;
            }
            client.online().await.expect("it is back");
            hub.publish("numbers", Typed(u32::MAX)).expect("a topic");
        };
        let read = async {
            let (mut before, mut after) = (Vec::new(), Vec::new());
            loop {
                match numbers.next().await.expect("more") {
                    Delivery::Event(envelope) => before.push(number_in(&envelope)),
                    Delivery::Gap(None) => break,
                    other => panic!("neither an event nor the gap: {other:?}"),
                }
            }
            while after.last() != Some(&u32::MAX) {
                after.push(number(&mut numbers).await);
            }
            (before, after)
        };
        let ((), (before, mut after)) = zip(publish, read).await;
        assert!(before.iter().copied().eq(0..before.len() as u32));
        // The one on its way was lost, or not.
        assert!((500..=501).contains(&before.len()), "{}", before.len());
        after.pop();
        assert!(after.iter().copied().eq(after[0]..1_000));
        assert!(after[0] > 500);
    });
}

#[test]
fn every_subscription_is_in_place_before_the_client_says_that_it_is_online() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let client = world.forgetful("phone").await;
        let mut subscriptions = Vec::new();
        for number in 0..50 {
            let subscription = client.subscribe(&*format!("topic/{number}")).await;
            subscriptions.push(subscription.expect("allowed"));
        }
        let mut states = client.states();
        for round in 0..3_u32 {
            world.network.cut("phone");
            let State::Waiting { outage, .. } = trouble(&mut states).await else {
                panic!("not waiting");
            };
            assert_eq!(outage, Outage::Broken);
            while !matches!(states.next().await, Some(State::Online { .. })) {}
            for number in 0..50 {
                let topic = format!("topic/{number}");
                let published = hub.publish(&topic, Typed(round)).expect("a topic");
                assert_eq!(published.queued, 1);
            }
            for subscription in &mut subscriptions {
                assert_eq!(subscription.next().await, Some(Delivery::Gap(None)));
                assert_eq!(number(subscription).await, round);
            }
        }
    });
}

#[test]
fn what_is_asked_for_without_a_connection_waits_for_one_or_says_so() {
    World::check(async |world| {
        // The first connection is found like any other.
        let client = world.client("phone").spawned();
        let State::Waiting { outage, .. } = trouble(&mut client.states()).await else {
            panic!("not waiting");
        };
        assert!(matches!(outage, Outage::Unreachable { .. }), "{outage:?}");
        let Err(PublishError::Offline(envelope)) = client.publish("news", "early") else {
            panic!("not offline");
        };
        let subscribe = client.subscribe("news");
        let publish = client.publish_within(3_600 * SECOND, "late", envelope);
        let start = async {
            world.sim.sleep(60 * SECOND).await;
            world.serve(world.hub())
        };
        let ((news, published), hub) = zip(zip(subscribe, publish), start).await;
        assert_eq!(published, Ok(()));
        hub.publish("news", "rain").expect("a topic");
        let mut news = news.expect("allowed");
        assert_eq!(text(&mut news).await, "rain", "and no gap before it");
        assert!(world.sim.elapsed() <= 60 * SECOND + Backoff::default().max);
    });
}

#[test]
fn clients_that_lose_their_hub_return_spread_out_and_within_bounds() {
    World::check(async |world| {
        let hub = world.hub().build().expect("good filters");
        let listener = world.network.listen(HUB).expect("the name is free");
        let serve = hub.serve(listener);
        let mut clients = Vec::new();
        for number in 0..100 {
            let client = world.client(&format!("client {number}")).backoff(Backoff {
                first: SECOND,
                max: 8 * SECOND,
            });
            clients.push(client.spawned());
        }
        let all_online = async {
            for client in &clients {
                client.online().await.expect("the hub lets it in");
            }
        };
        // Dropped when they are.
        let serve = async {
            serve.await;
            panic!("the hub has ended");
        };
        future::or(all_online, serve).await;
        let mut streams: Vec<_> = clients.iter().map(Client::states).collect();
        for ceiling in [1, 2, 4, 8, 8, 8] {
            let mut waits = BTreeSet::new();
            for states in &mut streams {
                let State::Waiting { until, .. } = trouble(states).await else {
                    panic!("not waiting");
                };
                waits.insert(until);
            }
            let first = *waits.first().expect("a hundred");
            let last = *waits.last().expect("a hundred");
            assert!(waits.len() > 95, "{}: each has its own", waits.len());
            let spread = last.since(first);
            let ceiling = ceiling * SECOND;
            assert!(spread > ceiling / 2, "{spread:?} of {ceiling:?}");
            world.sim.sleep(8 * SECOND).await;
        }
    });
}

#[test]
fn a_client_waits_longer_each_time_and_never_longer_than_its_back_off_says() {
    World::check(async |world| {
        let backoff = Backoff {
            first: SECOND,
            max: 8 * SECOND,
        };
        let client = world.client("phone").backoff(backoff).spawned();
        let mut states = client.states();
        for ceiling in [1, 2, 4, 8, 8, 8] {
            let State::Waiting { until, .. } = trouble(&mut states).await else {
                panic!("not waiting");
            };
            let wait = until.since(world.sim.now());
            assert!(wait <= ceiling * SECOND, "{wait:?} of {ceiling} s");
        }
        // A connection that lasted lets it begin anew.
        let _hub = world.serve(world.hub());
        client.online().await.expect("it is found");
        world.sim.sleep(60 * SECOND).await;
        world.network.cut("phone");
        let State::Waiting { until, .. } = trouble(&mut states).await else {
            panic!("not waiting");
        };
        assert!(until.since(world.sim.now()) <= SECOND);
    });
}

#[test]
fn a_client_behind_a_flapping_path_hears_every_event_or_of_a_gap() {
    World::check(async |world| {
        let hub: Hub = world.serve(world.hub());
        let client = online(world.client("phone").resume(false).backoff(SOON)).await;
        let mut numbers = client.subscribe("numbers").await.expect("allowed");
        let publish = async {
            for number in 0..500_u32 {
                hub.publish("numbers", Typed(number)).expect("a topic");
                if number % 61 == 0 {
                    world.network.cut("phone");
                }
                world.sim.sleep(Duration::from_millis(7)).await;
            }
            client.online().await.expect("it is back");
            hub.publish("numbers", Typed(500_u32)).expect("a topic");
        };
        let read = async {
            let mut expected = 0;
            let mut gap = false;
            while expected <= 500 {
                match numbers.next().await.expect("more") {
                    Delivery::Gap(None) => gap = true,
                    Delivery::Event(envelope) => {
                        let number = number_in(&envelope);
                        assert!(number == expected || gap && number > expected);
                        expected = number + 1;
                        gap = false;
                    }
                    other => panic!("neither an event nor a gap: {other:?}"),
                }
            }
        };
        zip(publish, read).await;
    });
}

#[test]
fn handlers_and_methods_outlive_connections() {
    World::check(async |world| {
        let hub = world.serve(world.hub());
        let client = world
            .client("phone")
            .on_call("name", async |_, (): ()| Ok("phone"));
        let client = online(client).await;
        let mut echo = client.subscribe("echo").await.expect("allowed");
        let again = client.clone();
        let handler = client.on("direct", move |delivery| {
            if let Delivery::Event(_) = delivery {
                again.publish("echo", "heard").expect("room");
            }
        });
        let handler = handler.expect("a filter");
        world.network.cut("phone");
        world.sim.settle().await;
        client.online().await.expect("it is back");
        let remote = hub.connection(client.connection().expect("online"));
        assert_eq!(
            remote.call::<String>("name", ()).await.expect("it"),
            "phone"
        );
        remote.send("direct", "x").expect("a topic");
        assert_eq!(echo.next().await, Some(Delivery::Resumed));
        assert_eq!(event(&mut echo).await.text(), Some("heard"));
        // It holds the client.
        assert!(client.off(handler));
    });
}
